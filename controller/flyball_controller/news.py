"""Which steps deserve a journal line: what changed, what is unusual, and what lasts, but not every minute.

A record holds a state, some kilobytes. A condition that lasts for hours is told when it
begins, once in each hour, and when it ends. Rounds run in any process, so whether it was
told before is read off the state, and never remembered beside it. For what the law says
of a window (an open that the fleet's share forbids) the law is asked again about the
newest window that the state has judged.

Pure; no clock: an hour is one of the windows, or of the decisions where there are none.
"""

from __future__ import annotations

from flyball_controller.core.guardrails import hold_is_active
from flyball_controller.core.inspect import SKEW_S
from flyball_controller.core.model import Decision, Evidence, Observation, Reason
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import NEVER, State
from flyball_controller.core.step import step

TOLD_EVERY_S = 3_600.0  # what lasts is told again in each hour: a journal of one day shows it, too

# What the law says of one window after the other for as long as a guardrail holds it back.
HELD_BACK = frozenset({Reason.GUARDRAIL_FAILED, Reason.OPEN_SHARE_LIMITED, Reason.CORRELATED_FAILURE_FREEZE})
# Reasons that are worth a journal line even when nothing changed.
NEWS = HELD_BACK | {
    Reason.OBSERVATION_INVALID,
    Reason.BLIND_TOO_LONG,
    Reason.OPERATOR_HOLD,
    Reason.OPERATOR_HOLD_EXPIRED,
    Reason.NEW_NORMAL_ACCEPTED,
}
_REFUSALS = frozenset({Reason.OBSERVATION_INVALID, Reason.OBSERVATION_LATE})


def is_news(decision: Decision, before: State, policy: Policy, *, held: bool = False) -> bool:
    """Return whether a step deserves a journal line: it changed something, or something unusual happened.

    Args:
        decision: What the step decided.
        before: The state as the step before left it, so with the fleet's verdict of then.
        policy: That of the step.
        held: An operator held or released the target since the last step.
    """
    if decision.changed or decision.regime != before.law.regime:
        return True
    if not is_refused(decision) and (held or _ended(decision, before)):
        return True
    said = {item.reason for item in decision.evidence} & HELD_BACK
    known = _held_back(before, policy) if said or _may_be_held_back(before) else frozenset()
    if said - known or (known - said and _judged(decision, before)):
        return True
    return any(item.reason in NEWS and not _known(item, decision, before) for item in decision.evidence)


def is_refused(decision: Decision) -> bool:
    """Return whether the window could not count, so that nothing was decided about holds either."""
    return any(item.reason in _REFUSALS for item in decision.evidence)


def _judged(decision: Decision, before: State) -> bool:
    """Return whether the step judged a whole window: only such a one can say that something is over."""
    return decision.stamp_s > before.stamp_s and not is_refused(decision)


def _ended(decision: Decision, before: State) -> bool:
    """Return whether something that was told to last is over with this step."""
    held = hold_is_active(before.hold, before.seen_s) and not hold_is_active(before.hold, decision.at_s)
    return held or _lies_lasted(before)


def _lies_lasted(state: State) -> bool:
    """Return whether windows were impossible for so long that the newest began after the last good look.

    An impossible window moves the stamp and the sequence, nothing else. The first one or two
    are not seen here, so they are told; neither a good window nor history is mistaken for one.
    """
    return state.sequence > 0 and state.stamp_s > state.seen_s + SKEW_S


def _may_be_held_back(state: State) -> bool:
    """Return whether the fleet's verdict forbade anything at the newest data; else no need to ask the law."""
    return not state.open_allowed or state.data_s < state.loosen_frozen_until_s


def _held_back(state: State, policy: Policy) -> frozenset[Reason]:
    """Return what of HELD_BACK the law said of the newest window judged, told by asking it again.

    The state has hardly moved since: off nominal nothing is learned. Without windows the last
    step changed something, and so said something else.
    """
    if not state.ring:
        return frozenset()
    *older, newest = state.ring
    again = Observation(
        "",
        newest.start_s,
        newest.period_s,
        state.data_s,
        newest.requests,
        newest.timeouts,
        newest.errors_fast,
        newest.throttles,
        newest.attempts,
        newest.request_failures,
        newest.short_circuited,
    )
    _, decision = step(state._replace(ring=tuple(older), stamp_s=NEVER), again, policy)
    return frozenset(item.reason for item in decision.evidence) & HELD_BACK


def _known(item: Evidence, decision: Decision, before: State) -> bool:
    """Return whether an earlier step of this hour said so; of HELD_BACK, that one did is known already."""
    if item.reason in HELD_BACK:
        return _same_hour(before.stamp_s, decision.stamp_s)
    if item.reason == Reason.BLIND_TOO_LONG:
        return before.data_s >= 0.0 and before.seen_s - before.data_s > item.threshold
    if item.reason == Reason.OPERATOR_HOLD:
        return hold_is_active(before.hold, before.seen_s) and _same_hour(before.seen_s, decision.at_s)
    if item.reason == Reason.OBSERVATION_INVALID:
        moved = decision.stamp_s > before.stamp_s  # else it will be offered again, which is another fault
        return moved and _lies_lasted(before) and _same_hour(before.stamp_s, decision.stamp_s)
    return False


def _same_hour(one_s: float, other_s: float) -> bool:
    return one_s // TOLD_EVERY_S == other_s // TOLD_EVERY_S
