"""stamina with the target's live parameters, budget and circuit.

Everything, in stamina's own two forms, sync and async:

    @retry(payments)                                 # stamina.retry(on=...)
    def charge(order): ...

    for attempt in retry_context(payments):          # stamina.retry_context(on=...)
        with attempt:
            charge(order)

Single parameters, where a decorator is to stay:

    @stamina.retry(on=on(payments), attempts=attempts(payments), timeout=None)
    def charge(order): ...

| | Circuit before the call | Attempts | Waits | Budget | Reports outcomes |
| --- | --- | --- | --- | --- | --- |
| `retry`, `retry_context` | yes | yes | yes | of all calls | yes |
| `on` | before a retry only | no: use `attempts` | first step of the back-off | of failed calls | no |
| `attempts` | – | yes, read at each attempt | – | – | no |

Why the difference: stamina tells a backoff hook the exception and nothing else,
neither which call it belongs to nor that another call went well. So `on` cannot
let waits grow and must not report anything: a breaker that hears of failures
alone would open for a healthy target. Every failure it is asked about earns
budget as if it were a call, and it is asked about each attempt: at the default
ratio of 0.2, five failed attempts buy one retry.

Hazards. stamina's hooks run before our waits, its test mode skips them, and
`stamina.set_active(False)` leaves one attempt. stamina's own `timeout`, 45 s
unless told otherwise, knows no invocation; ours is the deadline, so pass
`timeout=None` beside `on`. With FLYBALL_OFF there is one attempt, as with a guard.

Source: stamina 26.1, _core.py (the hook may return a bool, or seconds; a plain
`attempts` is compared, never copied).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from flyball.functions import CO_COROUTINE, CO_GENERATOR, code_flags
from flyball.guard import GuardedTarget
from flyball.interop.shell import Held, Shell, library
from flyball.misuse import refuse_function

F = TypeVar("F", bound=Callable[..., Any])


def retry(handle: GuardedTarget, *, idempotent: bool | None = None) -> Callable[[F], F]:
    """Return a decorator for a function, plain or `async def`: stamina's loop, the target's decisions.

    Raises:
        SettingsError: The function is a generator: its call returns before anything is asked of
            the target. When it is called, or `retry_context` iterated: stamina is not installed.
    """

    Shell(handle, idempotent=idempotent)  # what is wrong is said when it is declared

    def decorate(function: F) -> F:
        flags = code_flags(function)
        given: object = function
        if not callable(given) or flags & CO_GENERATOR:
            refuse_function(given, "")
        plan: Any = _async_wrapper if flags & CO_COROUTINE else _sync_wrapper
        wrapper: F = plan(handle, function, idempotent)
        return wrapper

    return decorate


def _sync_wrapper(
    handle: GuardedTarget, function: Callable[..., Any], idempotent: bool | None
) -> Callable[..., Any]:
    @wraps(function)
    def retried(*args: Any, **kwargs: Any) -> Any:
        for attempt in retry_context(handle, idempotent=idempotent):
            with attempt:
                result = function(*args, **kwargs)
        return result

    return retried


def _async_wrapper(
    handle: GuardedTarget, function: Callable[..., Awaitable[Any]], idempotent: bool | None
) -> Callable[..., Awaitable[Any]]:
    @wraps(function)
    async def retried(*args: Any, **kwargs: Any) -> Any:
        async for attempt in retry_context(handle, idempotent=idempotent):
            with attempt:
                result = await function(*args, **kwargs)
        return result

    return retried


class retry_context:  # noqa: N801 - stands where stamina.retry_context stands
    """The attempts of one call, for `for` or `async for`; each is a context manager.

    Args:
        handle: From `flyball.target`.
        idempotent: Overrides the target's declaration.

    Raises:
        RejectedError: When iterated: the call is not to be made.
    """

    __slots__ = ("_shell",)

    def __init__(self, handle: GuardedTarget, *, idempotent: bool | None = None) -> None:
        self._shell = Shell(handle, idempotent=idempotent)

    def __iter__(self) -> Iterator[_Attempt]:
        progress = _Progress(self._shell)
        try:
            for attempt in progress.stamina():
                yield _Attempt(progress, attempt)
        finally:
            progress.leave()

    async def __aiter__(self) -> AsyncIterator[_Attempt]:
        progress = _Progress(self._shell)
        try:
            async for attempt in progress.stamina():
                yield _Attempt(progress, attempt)
        finally:
            progress.leave()


class _Progress:
    """One call: what its attempts have come to."""

    __slots__ = ("held", "shell", "wait_s")

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.held: Held | None = None if shell.runtime.off else Held(shell.begin())
        self.wait_s: float | None = None  # until the next attempt

    def stamina(self) -> Any:
        """stamina's own iterator, which asks us about everything and limits nothing itself."""
        context = library("stamina", "stamina").retry_context
        return context(on=self.wait, attempts=None, timeout=None)

    def wait(self, error: Exception) -> bool | float:
        """stamina's backoff hook, asked after the attempt has reported itself."""
        return False if self.wait_s is None else self.wait_s

    def report(self, error: BaseException | None, begun_s: float) -> None:
        """Take note of how the attempt that began then (monotonic) has ended. An interrupt is no verdict."""
        self.wait_s = None
        held, site = self.held, self.shell.site
        if held is None:
            return
        if error is None:
            site.succeeded(held.call, begun_s)
        elif isinstance(error, Exception):
            self.wait_s = site.failed(held.call, error, begun_s)

    def leave(self) -> None:
        """End the call if nothing else has: left in the middle, or stamina stopped for reasons of its own."""
        if self.held is not None:
            self.held.abandon()


class _Attempt:
    """stamina's attempt, and our ear at its door."""

    __slots__ = ("_attempt", "_begun_s", "_progress")

    def __init__(self, progress: _Progress, attempt: Any) -> None:
        self._progress = progress
        self._attempt = attempt
        self._begun_s = 0.0  # monotonic

    @property
    def num(self) -> int:
        """Number of the attempt, from 1."""
        number: int = self._attempt.num
        return number

    def __enter__(self) -> None:
        self._begun_s = self._progress.shell.runtime.clock.monotonic_s()
        self._attempt.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._progress.report(error, self._begun_s)
        swallowed: bool | None = self._attempt.__exit__(kind, error, traceback)
        return swallowed


# --- single parameters ----------------------------------------------------------------


def on(handle: GuardedTarget, *, idempotent: bool | None = None) -> Callable[[Exception], bool | float]:
    """Return an `on=` hook: seconds to wait if the target allows a retry of this failure, else False."""
    shell = Shell(handle, idempotent=idempotent)

    def wait(error: Exception) -> bool | float:
        if shell.runtime.off:
            return False
        wait_s = shell.may_retry(shell.begin_unheard(), shell.classify(error), error)
        return False if wait_s is None else wait_s

    return wait


class attempts(int):  # noqa: N801 - stands where a number stands
    """The target's attempts per call, as a number that is read whenever it is compared.

    As an integer otherwise (printed, added), it is what it was when made.
    """

    _shell: Shell

    def __new__(cls, handle: GuardedTarget) -> attempts:
        """Follow the target of `handle`."""
        number = super().__new__(cls, handle.target.max_attempts)
        number._shell = Shell(handle)
        return number

    def _now(self) -> int:
        shell = self._shell
        if shell.runtime.off:
            return 1
        shell.target.state(shell.poll())  # overrides of a circuit that has lapsed are dropped
        return shell.target.max_attempts

    def __le__(self, other: int) -> bool:
        return self._now() <= other

    def __lt__(self, other: int) -> bool:
        return self._now() < other

    def __ge__(self, other: int) -> bool:
        return self._now() >= other

    def __gt__(self, other: int) -> bool:
        return self._now() > other
