"""What a Runtime tells those who want to know: small events, at the moment they happen.

    def log(event): print(event)
    flyball.configure(Runtime(hooks=log))

Hooks see names, numbers and words, never arguments, results or errors of the
user (O6). They run where the event happens, in whatever thread or task that is,
so they must be short. What they raise is swallowed and counted: a broken
dashboard must not fail the call that it looks at. A healthy call tells nothing;
what it counted comes with `MetricsFlushed`. This module is loaded only if hooks
are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar

from flyball.call import Call, Target
from flyball.named import NamedTuple
from flyball.outcome import Counters, Outcome, Rejected, RejectReason
from flyball.records import CircuitState, TargetParams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RetryScheduled(NamedTuple):
    """An attempt (`attempt`, from 1) failed, and another one follows after `wait_s` seconds."""

    target: str
    outcome: Outcome
    attempt: int
    wait_s: float


class CallRejected(NamedTuple):
    """A call was not made. `retry_after_s` estimates when asking again makes sense, >= 0."""

    target: str
    reason: RejectReason
    retry_after_s: float


class CircuitChanged(NamedTuple):
    """The circuit state that this environment enforces changed; `by` is "local", "published" or "held"."""

    target: str
    before: CircuitState
    after: CircuitState
    by: str


class ParamsApplied(NamedTuple):
    """The target obeys the parameters of a newer document."""

    target: str
    revision: int
    before: TargetParams
    after: TargetParams


class StackedRetries(NamedTuple):
    """The SDK repeated a request `sdk_retries` times inside an attempt that flyball may repeat as well."""

    target: str
    sdk_retries: int


class KeyMissing(NamedTuple):
    """A call that is repeated only with an idempotency key came without one, and will not be repeated."""

    target: str
    function: str


class LetterWritten(NamedTuple):
    """A call was given up after `attempts`, and its dead letter written; `kept`: sink and payload are well.

    `reason` is a GaveUp or RejectReason in small letters.
    """

    target: str
    reason: str
    attempts: int
    kept: bool


class MetricsFlushed(NamedTuple):
    """What a target counted since the last flush, if anything happened. Nobody counts in it any more."""

    target: str
    function: str
    counters: Counters


Event = (
    RetryScheduled
    | CallRejected
    | CircuitChanged
    | ParamsApplied
    | StackedRetries
    | KeyMissing
    | LetterWritten
    | MetricsFlushed
)
Hook = Callable[[Event], object]

# Two hooks that call a target which is open would tell each other of it for ever.
DEPTH_MAX = 2
_depth: ContextVar[int] = ContextVar("flyball.hooks", default=0)


class Hooks:
    """All hooks of one Runtime. `failed` counts what they raised, `last_error` keeps the newest of it.

    Without its traceback, which would keep alive the frames of the call in which it came, arguments and all.
    """

    __slots__ = ("_hooks", "failed", "last_error")

    def __init__(self, hooks: Hook | Iterable[Hook]) -> None:
        several: Any = hooks
        given = tuple(several) if not callable(several) and hasattr(several, "__iter__") else (several,)
        if not all(callable(hook) for hook in given):
            from flyball.misuse import refuse

            refuse("hooks", hooks, "a function of an event, or several")
        self._hooks: tuple[Hook, ...] = given
        self.failed = 0
        self.last_error: Exception | None = None

    def emit(self, event: Event) -> None:
        """Tell every hook; an Exception of one does not keep it from the next.

        What a hook causes by guarded calls of its own is told as well; what that causes, is not.
        """
        depth = _depth.get()
        if depth >= DEPTH_MAX:
            return
        before = _depth.set(depth + 1)
        try:
            for hook in self._hooks:
                self._tell(hook, event)
        finally:
            _depth.reset(before)

    def _tell(self, hook: Hook, event: Event) -> None:
        try:
            hook(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the user's call
            self.failed += 1
            self.last_error = error.with_traceback(None)
            error.__context__ = None  # the call's own error, and its frames

    def drain(self, target: Target) -> None:
        """Tell what happened to the circuit of `target` since the last time."""
        for before, after, by in target.take_changes():
            self.emit(CircuitChanged(target.name, before, after, by))

    def began(self, target: Target, call: Call | Rejected) -> None:
        """Tell what a call met at its begin."""
        self.drain(target)
        if isinstance(call, Rejected):
            self.emit(CallRejected(target.name, call.reason, call.retry_after_s))

    def ended(self, target: Target, outcome: Outcome, attempt: int, wait_s: float | None) -> None:
        """Tell how an attempt ended."""
        self.drain(target)
        if wait_s is not None:
            self.emit(RetryScheduled(target.name, outcome, attempt, wait_s))
