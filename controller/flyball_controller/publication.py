"""From a state to what is published: parameters, circuit item, which steps deserve a journal line.

Pure functions between the core's records and the wire contract; also the
learning of past windows, which decides nothing. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from flyball.circuit_item import TEXT_MAX
from flyball.contract import FLEET, Circuit, CircuitState, TargetParams
from flyball_controller.codec import short_hash
from flyball_controller.core.baseline import confidence, expected_ratio, learn
from flyball_controller.core.guardrails import hold_is_active
from flyball_controller.core.inspect import SKEW_S
from flyball_controller.core.model import Decision, Evidence, Observation, Quality, Reason, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.promise import next_rarity
from flyball_controller.core.state import State
from flyball_controller.core.threshold import trips_for

EVIDENCE_S = 3_600.0  # of the past; what is older has left no trace in the rarity of evidence

TOLD_EVERY_S = 3_600.0  # what lasts is told again in each hour: a journal of one day shows it, too

# Reasons that are worth a journal line even when nothing changed.
NEWS = frozenset(
    {
        Reason.OBSERVATION_INVALID,
        Reason.BLIND_TOO_LONG,
        Reason.OPERATOR_HOLD,
        Reason.OPERATOR_HOLD_EXPIRED,
        Reason.NEW_NORMAL_ACCEPTED,
        Reason.GUARDRAIL_FAILED,
        Reason.OPEN_SHARE_LIMITED,
        Reason.CORRELATED_FAILURE_FREEZE,
    }
)
_REFUSALS = frozenset({Reason.OBSERVATION_INVALID, Reason.OBSERVATION_LATE})


def is_news(decision: Decision, before: State, *, held: bool = False) -> bool:
    """Return whether a step deserves a journal line: it changed something, or something unusual happened.

    What lasts (a hold, impossible windows) is told when it begins, once an hour, and
    when it ends. `held`: an operator held or released the target since the last step.
    """
    if decision.changed or decision.regime != before.law.regime:
        return True
    if not is_refused(decision) and (held or _ended(decision, before)):
        return True
    return any(item.reason in NEWS and not _known(item, decision, before) for item in decision.evidence)


def is_refused(decision: Decision) -> bool:
    """Return whether the window could not count, so that nothing was decided about holds either."""
    return any(item.reason in _REFUSALS for item in decision.evidence)


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


def _known(item: Evidence, decision: Decision, before: State) -> bool:
    """Return whether an earlier step said so: a target that is gone or held must not fill the journal."""
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


def backfill(state: State, history: Sequence[Observation], policy: Policy, *, now_s: float) -> State:
    """Return the state with past windows learned, oldest first; nothing is decided about the past.

    Windows over the trip threshold of their time (season and confidence included) teach
    only the minute profile, as live ones would. The newest window's stamp is kept, so
    that no minute counts twice. The last hour is evidence too: a target that has been
    dead for ten minutes when it is first seen need not prove it again.
    """
    baseline = state.baseline
    stamp_s = state.stamp_s
    rarity = state.rarity
    for seen in history:
        if seen.quality != Quality.OK or seen.requests <= 0 or seen.start_s + seen.period_s > now_s:
            continue
        trips = trips_for(
            policy,
            expected=expected_ratio(baseline, seen.start_s, policy),
            spread=baseline.spread,
            confidence=confidence(baseline, policy),
        )
        if now_s - seen.start_s <= EVIDENCE_S:
            rarity = next_rarity(
                rarity,
                failures=seen.failures,
                requests=seen.requests,
                period_s=seen.period_s,
                normal=trips.normal,
                dispersion=baseline.dispersion,
                policy=policy,
            )
        over = seen.failures >= policy.min_errors and seen.failures > trips.retry * seen.requests
        baseline = learn(baseline, seen, policy, level_frozen=over)
        stamp_s = max(stamp_s, seen.start_s)
    return state._replace(baseline=baseline, stamp_s=stamp_s, rarity=rarity)


def to_params(applied: Setpoint, policy: Policy) -> TargetParams:
    """Return the configuration of a target whose setpoint is `applied`."""
    params = TargetParams()
    retry = params.retry._replace(
        max_attempts=applied.max_attempts,
        budget_ratio=applied.budget_ratio,
        throttle_base_ms=applied.throttle_base_ms,
        fast_cost=policy.fast_cost,
    )
    throttle = params.throttle._replace(k=policy.throttle_k)
    breaker = params.breaker._replace(
        failure_ratio=policy.breaker_failure_ratio,
        open_s=policy.breaker_open_s,
        probe_ratio=policy.probe_ratio_min,
        close_after=policy.close_after,
    )
    return params._replace(retry=retry, throttle=throttle, breaker=breaker)


def to_circuit(name: str, state: State, decision: Decision, version: int) -> Circuit:
    """Return the circuit item that carries a state's setpoint to the clients, fast and expiring."""
    applied = state.law.applied
    first = decision.evidence[0] if decision.evidence else Evidence(Reason.NOTHING_NEW, 0.0, 0.0, 0, 0.0)
    return Circuit(
        target=name,
        function=FLEET,
        state=applied.circuit,
        changed_at=max(state.law.circuit_since_s, 0.0),
        error_count=decision.error_count,
        probe_ratio=applied.probe_ratio,
        version=version,
        write_id=short_hash(repr((name, version, decision.at_s)).encode()),
        stamp=max(state.stamp_s, 0.0),
        valid_until=max(state.valid_until_s, 0.0),
        reason=f"{decision.regime.name}: {first.reason.name}",
        budget_ratio=applied.budget_ratio,
        max_attempts=applied.max_attempts,
        close_after=applied.close_after,
    )


def circuits_of(
    name: str, state: State, decision: Decision, version: int, canary: Sequence[str]
) -> list[Circuit]:
    """Return the circuit items of a target: one for the fleet, or one for each function of its canary.

    A canary is a trial of the automation. So beside its functions' items stands one
    for all others that lets them be: nothing overridden, closed. What an operator
    forces is no trial and holds for everybody.
    """
    item = to_circuit(name, state, decision, version)
    if not canary:
        return [item]
    trial = [item._replace(function=function) for function in canary]
    if item.state in (CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED):
        return [item, *trial]
    others = item._replace(
        state=CircuitState.CLOSED,
        probe_ratio=1.0,
        reason=f"canary: only {', '.join(canary)} act"[:TEXT_MAX],
        budget_ratio=None,
        max_attempts=None,
        close_after=None,
    )
    return [others, *trial]
