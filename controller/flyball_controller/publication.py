"""From a state to what is published: the parameters and the circuit item of a target.

Pure functions between the core's records and the wire contract; also the
learning of past windows, which decides nothing. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from flyball.circuit_item import TEXT_MAX
from flyball.contract import FLEET, Circuit, CircuitState, TargetParams
from flyball_controller.codec import short_hash
from flyball_controller.core.baseline import confidence, expected_ratio, learn
from flyball_controller.core.model import Decision, Evidence, Observation, Quality, Reason, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.promise import next_rarity
from flyball_controller.core.state import State
from flyball_controller.core.threshold import trips_for

EVIDENCE_S = 3_600.0  # of the past; what is older has left no trace in the rarity of evidence


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
        attempt_timeout_ms=policy.attempt_timeout_ms,
        base_ms=policy.base_ms,
        cap_ms=policy.cap_ms,
    )
    throttle = params.throttle._replace(k=policy.throttle_k)
    breaker = params.breaker._replace(
        failure_ratio=policy.breaker_failure_ratio,
        open_s=policy.breaker_open_s,
        probe_ratio=policy.probe_ratio_min,
        close_after=policy.close_after,
    )
    bulkhead = params.bulkhead._replace(max_concurrent=policy.max_concurrent)
    return params._replace(retry=retry, throttle=throttle, breaker=breaker, bulkhead=bulkhead)


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
