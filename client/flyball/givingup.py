"""What a fallback is told of a call that is given up: the brake that ended it; the last error is the cause.

Loaded with the first fallback that asks. A fallback for an exhausted budget may
differ from one for a bug of the target: the former passes with the outage, and
the error says so by its kind, as a refused call does.
"""

from __future__ import annotations

from flyball.call import Target
from flyball.calling import Call
from flyball.errors import BudgetExhausted, CircuitOpenError, DeadlineExceeded, RejectedError
from flyball.outcome import GaveUp

_KINDS: dict[GaveUp, tuple[type[RejectedError], str]] = {
    GaveUp.BUDGET: (BudgetExhausted, "its retry budget is exhausted"),
    GaveUp.DEADLINE: (DeadlineExceeded, "no time is left before the deadline"),
    GaveUp.CIRCUIT: (CircuitOpenError, "its circuit has opened"),
}


def reason_of(call: Call, error: Exception, target: Target, now_s: float) -> Exception:
    """Return the error to tell: of ours if a brake kept the call from being repeated, else `error` itself."""
    known = _KINDS.get(call.gave_up)
    if known is None:
        return error
    kind, why = known
    retry_after_s = target._breaker.retry_after_s(now_s) if kind is CircuitOpenError else 0.0
    reason = kind(
        f"{target.name!r} was not called again: {why}", target=target.name, retry_after_s=retry_after_s
    )
    reason.__cause__ = error
    return reason
