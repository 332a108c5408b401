"""What users take hold of: a target, its forms of guarding, and the extent of an invocation.

    payments = flyball.target("payments-api", on=(PaymentError,), idempotent=True)

    @payments.guard(fallback=from_cache, timeout="timeout_s")
    def charge(order, timeout_s): ...

    with payments.permit() as permit:                 # code that cannot be wrapped
        permit.success() if send(order).ok else permit.failure()

    for attempt in payments.attempts():               # ... and is to be repeated
        with attempt:
            reply = send(order, timeout=attempt.timeout_s)

All forms run the same fast loop (`flyball.call`) and leave results and errors
of the user as they are (K8); only a call that was not made raises something of
ours. How a decorated function is called is in `flyball.wrap`, the other two
forms are in `flyball.permit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, overload

from flyball.call import Target
from flyball.environment import DEADLINE_MARGIN_S, Runtime, from_environment
from flyball.errors import SettingsError
from flyball.records import TARGET_NAME_PATTERN
from flyball.wrap import CO_COROUTINE as _CO_COROUTINE
from flyball.wrap import CO_GENERATOR as _CO_GENERATOR
from flyball.wrap import REJECTIONS as _REJECTIONS
from flyball.wrap import Kinds, Plan, Site, async_wrapper, sync_wrapper
from flyball.wrap import code_flags as _code_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyball.permit import Attempts, Permit

__all__ = [
    "_CO_COROUTINE",
    "_CO_GENERATOR",
    "_REJECTIONS",
    "GuardedTarget",
    "_code_flags",
    "configure",
    "flush",
    "handler",
    "invocation",
    "runtime",
    "target",
]

F = TypeVar("F", bound=Callable[..., Any])

_WHEN_UNKNOWN = ("closed", "open")
_NOT_GIVEN = object()

_runtime: Runtime | None = None


def runtime() -> Runtime:
    """Return the process's Runtime, made from the environment variables at first use."""
    global _runtime  # noqa: PLW0603 - one environment, one runtime
    if _runtime is None:
        _runtime = from_environment()
    return _runtime


def configure(new: Runtime | None) -> Runtime | None:
    """Make `new` the process's Runtime and return the one before; None starts anew from the environment.

    Targets belong to the Runtime under which they were declared.
    """
    global _runtime
    before, _runtime = _runtime, new
    return before


def target(
    name: str,
    *,
    on: Kinds | type[BaseException] = (),
    ignore: Kinds | type[BaseException] = (),
    idempotent: bool = False,
    when_unknown: str = "closed",
    within: Runtime | None = None,
) -> GuardedTarget:
    """Return the handle of a dependency, to decorate the functions that call it.

    Args:
        name: The same name as in the policy; printable ASCII, 1 to 255 characters.
        on: Exceptions that mean that the target failed, beside those recognised
            by themselves (time-outs, refused connections, 429 and 5xx answers).
        ignore: Exceptions that say nothing about the target.
        idempotent: Whether its calls may be repeated. False: one attempt, ever,
            unless a call brings an idempotency key.
        when_unknown: What the circuit is while nothing is known: no document
            and no circuit was ever read, because the environment is new and its
            sources fail, or there are none. "closed": calls pass, under the
            compiled-in parameters. "open": calls are refused, for dependencies
            to which a blind call is worse than none; never for ever, but until
            a first read succeeds or EXPIRED_PROBE_S (300 s) are over, when
            calls pass as probes.
        within: The Runtime to belong to; default the process's.

    Raises:
        SettingsError: `name` cannot be a metric dimension, `when_unknown` is
            neither word, or an environment variable cannot be obeyed.
    """
    if not re.match(TARGET_NAME_PATTERN, name):
        raise SettingsError(f"name={name!r} must be 1 to 255 printable ASCII characters", field="name")
    if when_unknown not in _WHEN_UNKNOWN:
        raise SettingsError(
            f"when_unknown={when_unknown!r} must be one of {', '.join(_WHEN_UNKNOWN)}", field="when_unknown"
        )
    shared = runtime() if within is None else within
    known = shared.target(name)
    if when_unknown == "open":
        shared.refuse_unknown(known)
    return GuardedTarget(shared, known, _kinds(on), _kinds(ignore), idempotent)


def _kinds(kinds: Kinds | type[BaseException]) -> Kinds:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _refuse_both(idempotent: bool | None, key: object) -> None:
    if idempotent is not None:
        raise SettingsError(
            f"idempotent={idempotent!r} decides for every call, and idempotency_key={key!r} for each by its "
            "key: give one of them",
            field="idempotent",
        )


class GuardedTarget:
    """A dependency and how its failures are recognised. Made by `flyball.target`."""

    __slots__ = ("_ignore", "_on", "_runtime", "_site", "idempotent", "target")

    def __init__(self, shared: Runtime, target: Target, on: Kinds, ignore: Kinds, idempotent: bool) -> None:
        self._site = Site(shared, target, on, ignore)
        self._runtime = shared
        self._on = on
        self._ignore = ignore
        self.target = target
        self.idempotent = idempotent

    @overload
    def guard(self, function: F, /) -> F: ...

    @overload
    def guard(
        self,
        function: None = None,
        /,
        *,
        fallback: Callable[..., Any] | None = None,
        timeout: str = "",
        idempotent: bool | None = None,
        idempotency_key: str | Callable[..., object] | None = None,
    ) -> Callable[[F], F]: ...

    def guard(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        fallback: Callable[..., Any] | None = None,
        timeout: str = "",
        idempotent: bool | None = None,
        idempotency_key: str | Callable[..., object] | None = None,
    ) -> Any:
        """Decorate a function, plain or `async def`, so that its calls are protected.

        Args:
            function: When used without brackets.
            fallback: Called with the same arguments instead of raising, when the
                call is not made or its last attempt failed by the target's fault.
                If it names a keyword-only parameter `error`, it is told why: a
                CircuitOpenError with its `retry_after_s`, or the last error.
            timeout: Name of the keyword argument through which the function
                receives the attempt's time-out in seconds; "" = it is not told.
            idempotent: Overrides the target's declaration for this function.
            idempotency_key: Name of the argument that makes a repetition
                harmless, or a function of the same arguments that returns it.
                A call with a key may be repeated, whatever the target declares;
                one without (None, empty) is made once, and that is said once.
                The key is handed on as `idempotency_key=` if the function names
                such a parameter.

        Raises:
            SettingsError: The function is a generator (guard what makes the
                request), there is no such argument, or both ways to declare
                repetition are used.
        """
        if idempotency_key is not None:
            _refuse_both(idempotent, idempotency_key)

        def decorate(inner: Callable[..., Any]) -> Callable[..., Any]:
            flags = _code_flags(inner)
            if flags & _CO_GENERATOR:
                raise SettingsError(
                    f"{inner!r} is a generator, whose call returns before anything is asked of the "
                    "target; guard the function that makes the request",
                    field="function",
                )
            site, key = self._site, None
            if idempotency_key is not None:
                from flyball.idempotency import Key

                key = Key(idempotency_key, inner, shared=site.runtime, target=site.target.name)
            plan = Plan(
                site,
                inner,
                fallback=fallback,
                timeout=timeout,
                idempotent=self.idempotent if idempotent is None else idempotent,
                key=key,
            )
            return async_wrapper(plan) if flags & _CO_COROUTINE else sync_wrapper(plan)

        return decorate if function is None else decorate(function)

    def permit(self) -> Permit:
        """Return a call for code that cannot be wrapped; it begins with `with` or `async with`.

        `permit.success()`, `permit.failure(...)` or `permit.ignore()` says how it
        went. An exception that leaves the block says it as well. Leaving without
        a word, or by an interruption, says nothing about the target. Never
        repeated: see `attempts`.

        Raises (at `with`):
            RejectedError: The call is not to be made; the kind says why.
        """
        from flyball.permit import Permit

        return Permit(self._site)

    def acquire(self) -> Permit:
        """Return a permit that has begun, for code without a block; if it is forgotten, nothing is counted.

        Raises:
            RejectedError: The call is not to be made; the kind says why.
        """
        return self.permit().begin()

    def attempts(self, *, idempotent: bool | None = None, idempotency_key: object = _NOT_GIVEN) -> Attempts:
        """Return the attempts of one call, to loop over with `for` or `async for`, each a `with` block.

            for attempt in payments.attempts():
                with attempt:
                    reply = send(order, timeout=attempt.timeout_s)

        An exception that leaves the block and deserves another attempt is
        swallowed, and waited for; the last one is not. A block that ends well
        ends the loop.

        Args:
            idempotent: Whether the call may be repeated; default the target's
                declaration.
            idempotency_key: If given, it decides instead: with a key the call
                may be repeated, with None or an empty one it is made once.

        Raises (at the first `with`):
            RejectedError: The call is not to be made; the kind says why.
        """
        from flyball.permit import Attempts

        repeatable = self.idempotent if idempotent is None else idempotent
        if idempotency_key is not _NOT_GIVEN:
            from flyball.idempotency import key_text, say_missing

            _refuse_both(idempotent, idempotency_key)
            repeatable = key_text(idempotency_key) is not None
            if not repeatable:
                say_missing(self._runtime, self.target.name, "attempts()", stacklevel=3)
        return Attempts(self._site, repeatable)


class invocation:  # noqa: N801 - reads as a statement: `with flyball.invocation(context):`
    """The extent of one Lambda invocation: a deadline for all guarded calls, and metrics at its end.

    Args:
        context: Lambda's context, or anything with `get_remaining_time_in_millis`.
        within: The Runtime; default the process's.
    """

    __slots__ = ("_before_s", "_context", "_within")

    def __init__(self, context: Any, *, within: Runtime | None = None) -> None:
        self._context = context
        self._within = within
        self._before_s: float | None = None

    def __enter__(self) -> None:
        shared = self._within = runtime() if self._within is None else self._within
        # 0 is a value: no time is left. Only a missing clock means no deadline.
        remaining_s = self._context.get_remaining_time_in_millis() / 1_000.0
        self._before_s = shared.deadline_s
        shared.deadline_s = shared.clock.wall_s() + remaining_s - DEADLINE_MARGIN_S

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._within is not None  # noqa: S101 - entered
        self._within.deadline_s = self._before_s
        self._within.flush()


def handler(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Decorate a Lambda handler: each invocation sets the deadline and writes the metrics."""

    @wraps(function)
    def handled(event: Any, context: Any) -> Any:
        with invocation(context):
            return function(event, context)

    return handled


def flush() -> int:
    """Write the metrics of all targets now; returns the number of lines."""
    return runtime().flush()
