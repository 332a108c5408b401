"""tenacity's `@retry` with the target's live parameters, budget and circuit.

    @retry(**obey(payments), reraise=True)
    def charge(order): ...

or piece by piece, beside what the code has already:

    @retry(stop=stop(payments), wait=wait(payments), retry=if_gateway_says_so | retry_if(payments))

| Piece | Asks | Without it |
| --- | --- | --- |
| `before` | may the call be made at all (circuit, shedding, deadline) | calls reach an open circuit |
| `retry_if` | is it the target's failure; hears of every outcome | see below |
| `wait` | how long (jitter, throttling, Retry-After) | tenacity's own wait, and its default is none |
| `stop` | may there be another (attempts, circuit, deadline, budget, idempotence) | nothing is limited |

What the pieces say is decided once per failed attempt, by the call that all of
them share; whichever is asked first has it decided.

tenacity tells nobody but its `retry` predicate of a success. Without `retry_if`
the other pieces therefore know failures only: they still keep attempts, waits,
circuit, deadline and budget, but report nothing, because a breaker that hears of
failures alone would open for a healthy target; and only calls that fail earn
budget, so fewer retries are allowed. `before` refuses to work that way.

Hazards. Put your own predicate to the left: `yours | retry_if(target)`; on the
right it is not asked about what `retry_if` has reported as over. Where your own
predicate wants a retry of something that `retry_if` would not repeat (a result, a
TryAgain), that counts as a failure of the target. `retry_if` and `wait` alone
limit nothing: tenacity repeats for ever by default. tenacity ends with a
RetryError unless told `reraise=True`. With FLYBALL_OFF there is one attempt, as
with a guard. Interrupts are never repeated.

Source: tenacity 9.2, BaseRetrying.iter (order: before; retry, wait, stop),
RetryCallState (one object per call, which carries ours along).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from flyball.call import Call
from flyball.classify import Classified
from flyball.errors import SettingsError
from flyball.guard import GuardedTarget
from flyball.interop.shell import Held, Shell, library
from flyball.outcome import Outcome

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity.retry import retry_base
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

_ATTRIBUTE = "_flyball"  # our place in tenacity's state of one call
_GOOD = Classified(Outcome.SUCCESS)


class _Verdict(NamedTuple):
    """What was decided about one attempt. `wait_s` None: there is to be no other."""

    attempt: int
    outcome: Outcome
    wait_s: float | None


class _Progress:
    """One call of one decorated function, as far as it has come."""

    __slots__ = ("busy_s", "held", "unheard", "verdict")

    def __init__(self) -> None:
        self.held: Held | None = None
        self.unheard: Call | None = None  # if successes are hidden from us: nothing may be counted
        self.verdict: _Verdict | None = None
        self.busy_s = 0.0  # spent in attempts that are over


class _Judge:
    """Decides for the pieces of one target; what it knows of a call is in tenacity's own state of it."""

    __slots__ = ("shell",)

    def __init__(self, handle: GuardedTarget, idempotent: bool | None) -> None:
        self.shell = Shell(handle, idempotent=idempotent)

    def open_gate(self, state: RetryCallState) -> None:
        """Begin the call before its first attempt, or raise why there is to be none."""
        if self.shell.runtime.off or state.attempt_number > 1:
            return
        if not self._hears_all(state):
            raise SettingsError(
                f"before({self.shell.target.name!r}) needs to hear of successes too: add "
                "retry=retry_if(target) to the same decorator, or use @retry(**obey(target))",
                field="retry",
            )
        self._progress(state).held = Held(self.shell.begin())

    def verdict(self, state: RetryCallState, *, wanted: bool) -> _Verdict:
        """What is to become of the attempt that `state` shows as ended.

        Args:
            state: tenacity's, with an outcome.
            wanted: Whether tenacity's predicate wants a retry: wait and stop are asked
                only then, and what it wants to repeat has failed.
        """
        progress = self._progress(state)
        known = progress.verdict
        if known is None or known.attempt != state.attempt_number:
            found = self._found(state, wanted=wanted)
            known = _Verdict(state.attempt_number, found.outcome, self._decide(state, progress, found))
            progress.verdict = known
        return known

    def _found(self, state: RetryCallState, *, wanted: bool) -> Classified:
        assert state.outcome is not None  # noqa: S101 - tenacity asks about ended attempts
        error = state.outcome.exception()
        found = _GOOD if error is None else self.shell.classify(error)
        if wanted and found.outcome in (Outcome.SUCCESS, Outcome.PERMANENT):
            return Classified(Outcome.ERROR_FAST, found.retry_after_s)
        return found

    def _decide(self, state: RetryCallState, progress: _Progress, found: Classified) -> float | None:
        shell = self.shell
        if shell.runtime.off:
            return None
        assert state.outcome is not None  # noqa: S101 - as above
        error = state.outcome.exception()
        if not self._hears_all(state):
            if progress.unheard is None:
                progress.unheard = shell.begin_unheard()
            return shell.may_retry(progress.unheard, found, error)
        held = progress.held
        if held is None or held.over:
            call = shell.begin_unasked()
            if call is None:
                return None
            held = progress.held = Held(call)
        if _is_interrupt(error):
            held.abandon()
            return None
        # tenacity's own measure: without `before` nobody has told us when the attempt began.
        busy_s = (state.seconds_since_start or 0.0) - state.idle_for
        begun_s = shell.runtime.clock.monotonic_s() - max(0.0, busy_s - progress.busy_s)
        progress.busy_s = busy_s
        wait_s = None
        if found.outcome == Outcome.SUCCESS:
            shell.site.succeeded(held.call, begun_s)
        elif isinstance(error, Exception) and shell.classify(error) == found:
            wait_s = shell.site.failed(held.call, error, begun_s)
        else:  # the decorator's own predicate has the last word on what failed
            wait_s = shell.ended(held.call, found, begun_s, error)
        held.over = wait_s is None
        return wait_s

    def _progress(self, state: RetryCallState) -> _Progress:
        known: dict[int, _Progress] = state.__dict__.setdefault(_ATTRIBUTE, {})
        return known.setdefault(id(self.shell.target), _Progress())

    def _hears_all(self, state: RetryCallState) -> bool:
        """Whether a `retry_if` of this target is part of the predicate."""
        pieces: list[Any] = [state.retry_object.retry]
        while pieces:
            piece = pieces.pop()
            judge = getattr(piece, "judge", None)
            if isinstance(judge, _Judge) and judge.shell.target is self.shell.target:
                return True
            pieces.extend(getattr(piece, "retries", ()))
        return False


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an attempt was broken off: tenacity catches what a guard lets through."""
    return error is not None and not isinstance(error, Exception)


@cache
def _pieces() -> tuple[type[Any], type[Any], type[Any]]:
    """Subclasses of tenacity's strategies, so that `|`, `&` and `+` work on ours."""
    tenacity = library("tenacity", "tenacity")

    def keep(self: Any, judge: _Judge) -> None:
        self.judge = judge

    def retries(self: Any, state: RetryCallState) -> bool:
        return bool(self.judge.verdict(state, wanted=False).outcome in _FAILURES)

    def waits(self: Any, state: RetryCallState) -> float:
        return self.judge.verdict(state, wanted=True).wait_s or 0.0

    def stops(self: Any, state: RetryCallState) -> bool:
        return self.judge.verdict(state, wanted=True).wait_s is None

    return (
        type("retry_if", (tenacity.retry_base,), {"__init__": keep, "__call__": retries}),
        type("wait", (tenacity.wait.wait_base,), {"__init__": keep, "__call__": waits}),
        type("stop", (tenacity.stop.stop_base,), {"__init__": keep, "__call__": stops}),
    )


_FAILURES = frozenset({Outcome.TIMEOUT, Outcome.THROTTLE, Outcome.ERROR_FAST})


def retry_if(handle: GuardedTarget, *, idempotent: bool | None = None) -> retry_base:
    """Return a `retry=` predicate: true for what the handle knows as a failure of its target.

    Reports every outcome to the target. `idempotent` overrides the target's
    declaration; give all pieces of one decorator the same.

    Raises:
        SettingsError: tenacity is not installed; as for all that follow.
    """
    piece: retry_base = _pieces()[0](_Judge(handle, idempotent))
    return piece


def wait(handle: GuardedTarget, *, idempotent: bool | None = None) -> wait_base:
    """Return a `wait=` strategy: seconds by the target's live back-off, its jitter and Retry-After."""
    piece: wait_base = _pieces()[1](_Judge(handle, idempotent))
    return piece


def stop(handle: GuardedTarget, *, idempotent: bool | None = None) -> stop_base:
    """Return a `stop=` condition: true unless attempts, circuit, deadline and budget allow another."""
    piece: stop_base = _pieces()[2](_Judge(handle, idempotent))
    return piece


def before(handle: GuardedTarget, *, idempotent: bool | None = None) -> Any:
    """Return a `before=` hook that raises a RejectedError instead of letting a refused call begin.

    The hook raises SettingsError if there is no `retry_if` of the target in the same decorator.
    """
    return _Judge(handle, idempotent).open_gate


def obey(handle: GuardedTarget, *, retry: Any = None, idempotent: bool | None = None) -> dict[str, Any]:
    """Return all four pieces as keyword arguments for `tenacity.retry`, `Retrying` or `AsyncRetrying`.

    Args:
        handle: From `flyball.target`.
        retry: A predicate of your own, which may ask for more retries than the handle's declarations.
        idempotent: Overrides the target's declaration.
    """
    predicate: Any = retry_if(handle, idempotent=idempotent)
    return {
        "before": before(handle, idempotent=idempotent),
        "retry": predicate if retry is None else retry | predicate,
        "wait": wait(handle, idempotent=idempotent),
        "stop": stop(handle, idempotent=idempotent),
    }
