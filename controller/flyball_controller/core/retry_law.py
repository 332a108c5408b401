"""The control laws: from a verdict to the setpoint that is wanted.

Both laws are pure and know nothing of bounds, holds, modes or other targets:
guardrails come after. Each branch says why. Theory and measurements:
docs/theory/control.md.

Common rules. Tighten at once on evidence; loosen only when the last change has
settled (deployed, polled by the clients, and one whole window seen since) and
enough clean windows followed. The longer a target keeps relapsing, the longer
the hold.
"""

from __future__ import annotations

from flyball.records import CircuitState
from flyball_controller.core.circuit import CircuitEvent, may_move, next_circuit
from flyball_controller.core.demand import (
    COVERED,
    budget_demand,
    extra_attempts,
    retries_useless,
    useless_limit,
)
from flyball_controller.core.evidence import Pool, wilson_bounds
from flyball_controller.core.model import Evidence, Reason, Regime, Setpoint
from flyball_controller.core.moment import Moment, Wish
from flyball_controller.core.policy import Policy
from flyball_controller.core.regime import CLEAN_REQUESTS
from flyball_controller.core.state import LawState

# Budgets are quantised: each change is a deployment that every environment pays for.
BUDGET_THROTTLED = 0.1  # or nominal, if that is less
BUDGET_RAISED = 1.0
BUDGET_FULL = 3.0  # every attempt of every request
HOLD_PERIOD_S = 60.0  # as many shorter windows must be clean as make up the time
HEADROOM = 1.2  # predicted attempts may exceed the proven rate by this factor
SHED_MARGIN = 0.85  # shed to below the measured capacity, so that its queue drains
SHED_MAX = 0.9
FULL_FLOW = 0.8  # a half-open step to this share or more closes instead
# To read a member off its enum runs Python code; these are compared and written in every step.
_NOMINAL, _RECOVERING, _BLIND = Regime.NOMINAL, Regime.RECOVERING, Regime.BLIND
_SATURATED, _DEAD, _THROTTLED, _BROKEN = Regime.SATURATED, Regime.DEAD, Regime.THROTTLED, Regime.BROKEN
_CLOSED, _HALF_OPEN, _OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN
_MAY_TRIP, _GATED = (_CLOSED, _HALF_OPEN), (_OPEN, _HALF_OPEN)
_SILENCE = Reason.SILENCE_AT_NORMAL_LATENCY


def wish_two_loop(law: LawState, now: Moment, policy: Policy) -> Wish:
    """Return the wish of the two-loop law (docs/theory/control.md, table of regimes)."""
    verdict = now.verdict
    regime = verdict.regime
    if regime is None:
        return _clean_or_wait(law, now, policy) if verdict.clean else _keep(law, now)
    if regime == _SATURATED:
        return _saturated(law, now, policy)
    if regime == _DEAD:
        return _dead(law, now, policy)
    if regime == _THROTTLED:
        # Goodput is fixed by the target's own limit: more attempts only add calls.
        wanted = law.applied._replace(
            budget_ratio=_withdrawn(policy), throttle_base_ms=policy.throttle_base_ms_throttled
        )
        return Wish(wanted, _THROTTLED, verdict.evidence, 0, 0, law.useless)
    return _broken(law, now, policy)


def _withdrawn(policy: Policy) -> float:
    """Return the budget where retries add load and win little: never more than in health."""
    nominal = policy.budget_nominal
    return nominal if nominal < BUDGET_THROTTLED else BUDGET_THROTTLED


def _at_budget(applied: Setpoint, budget_ratio: float) -> Setpoint:
    """Return the setpoint with another budget; itself, as in most windows, where that is in force."""
    attempts, before, base_ms, circuit, probe_ratio, close_after = applied
    if before == budget_ratio:
        return applied
    return Setpoint(attempts, budget_ratio, base_ms, circuit, probe_ratio, close_after)


def _keep(law: LawState, now: Moment) -> Wish:
    """Nothing proven either way: keep everything, restart the count of clean windows."""
    regime = law.regime
    if regime == _BLIND:  # it sees again, but nothing is proven yet
        regime = _RECOVERING
    return Wish(law.applied, regime, now.verdict.evidence, law.bad_count, 0, law.useless)


def _saturated(law: LawState, now: Moment, policy: Policy) -> Wish:
    """Retries are the sustaining effect: budget 0 is the only value safe for every load under capacity."""
    applied = law.applied
    evidence = now.verdict.evidence
    if applied.budget_ratio > 0.0:
        return Wish(_at_budget(applied, 0.0), _SATURATED, evidence, 0, 0, law.useless)
    count = law.bad_count + 1 if now.settled else law.bad_count
    wanted = applied
    if count >= policy.saturated_periods and applied.circuit in _MAY_TRIP:
        # It stayed saturated without retries: a real capacity deficit. Let through what it serves.
        count_evidence = Evidence(
            Reason.STILL_SATURATED,
            float(count),
            float(policy.saturated_periods),
            now.pool.requests,
            now.trust,
        )
        evidence = (*evidence, count_evidence, *_proof(law, now))
        share = _served_share(law, now, policy)
        # At the floor it serves next to nothing, and then every client sees that for itself: its own
        # breaker opens, probes and closes within seconds, where a circuit of ours would lag a minute.
        if share > policy.probe_ratio_min and _may_cut(law, now, policy):
            circuit = next_circuit(applied.circuit, CircuitEvent.SHED)
            wanted = applied._replace(circuit=circuit, probe_ratio=share, close_after=policy.close_after_shed)
            count = 0
    return Wish(wanted, _SATURATED, evidence, count, 0, law.useless)


def _served_share(law: LawState, now: Moment, policy: Policy) -> float:
    """Return the share of traffic to admit: margin x served / offered, down to a tenth, within bounds."""
    pool = now.pool
    served = pool.requests - pool.failures
    offered = pool.requests + pool.short_circuited
    share = int(SHED_MARGIN * served / offered * 10.0) / 10.0 if offered > 0 else policy.probe_ratio_min
    if share > SHED_MAX:
        share = SHED_MAX
    if law.applied.circuit == _HALF_OPEN and share > law.applied.probe_ratio:
        share = law.applied.probe_ratio  # saturated at this share: never answer by admitting more
    return share if share > policy.probe_ratio_min else policy.probe_ratio_min


def _may_cut(law: LawState, now: Moment, policy: Policy) -> bool:
    """Cutting traffic needs traffic to judge it by, dwell, and the fleet's permission."""
    return (
        _per_minute(now.pool) >= policy.open_per_min_min
        and may_move(since_s=law.circuit_since_s, at_s=now.at_s, dwell_s=policy.dwell_s)
        and now.open_allowed
        # What is cut already is the same episode: narrowing it is no new open.
        and (now.rarity_s >= now.needed_s or law.applied.circuit != _CLOSED)
    )


def _proof(law: LawState, now: Moment) -> tuple[Evidence, ...]:
    """Return whether the promise on false opens lets a closed circuit open; nothing if none was made."""
    if now.needed_s <= 0.0 or law.applied.circuit != _CLOSED:
        return ()
    reason = Reason.OPEN_PROVEN if now.rarity_s >= now.needed_s else Reason.OPEN_UNPROVEN
    return (Evidence(reason, now.rarity_s, now.needed_s, now.pool.requests, now.trust),)


def _per_minute(pool: Pool) -> float:
    return (pool.requests + pool.short_circuited) * 60.0 / pool.span_s if pool.span_s > 0.0 else 0.0


def _dead(law: LawState, now: Moment, policy: Policy) -> Wish:
    """No goodput to win: save concurrency, latency and cost; recovery stays with the clients' probes."""
    applied = law.applied
    evidence = now.verdict.evidence
    wanted = _at_budget(applied, 0.0)
    if applied.circuit in _MAY_TRIP:
        per_minute, wide = _per_minute(now.pool), now.wide
        low_open, _ = wilson_bounds(wide.failures, wide.requests, policy.z_open, now.baseline.dispersion)
        if low_open <= now.trips.open:
            # Enough to stop retrying, not yet enough to cut traffic.
            weak = Evidence(Reason.NOT_ENOUGH_DATA, low_open, now.trips.open, wide.requests, now.trust)
            evidence = (*evidence, weak)
        elif _may_cut(law, now, policy):
            evidence = (*evidence, *_proof(law, now))
            wanted = wanted._replace(
                circuit=next_circuit(applied.circuit, CircuitEvent.TRIP),
                probe_ratio=_probe_ratio(per_minute, policy),
                close_after=policy.close_after,
            )
        elif per_minute < policy.open_per_min_min:
            low = Evidence(
                Reason.TRAFFIC_TOO_LOW_TO_OPEN,
                per_minute,
                policy.open_per_min_min,
                now.pool.requests,
                now.trust,
            )
            evidence = (*evidence, low)
        elif not now.open_allowed:
            evidence = (
                *evidence,
                Evidence(Reason.OPEN_SHARE_LIMITED, 1.0, policy.open_share_max, 0, now.trust),
            )
        else:
            evidence = (*evidence, *_proof(law, now))
    return Wish(wanted, _DEAD, evidence, 0, 0, law.useless)


def _probe_ratio(per_minute: float, policy: Policy) -> float:
    """Return the probe share: the floor, or what makes the least probes per minute."""
    share = policy.probe_per_min_min / per_minute if per_minute > 0.0 else 1.0
    if share < policy.probe_ratio_min:
        share = policy.probe_ratio_min
    return share if share < 1.0 else 1.0


def _broken(law: LawState, now: Moment, policy: Policy) -> Wish:
    """Independent fast failures: a request fails only if all its attempts do, so retries pay."""
    applied = law.applied
    evidence, pool = now.verdict.evidence, now.pool
    ratio = pool.failures / pool.requests
    if law.useless or retries_useless(law, now, policy, ratio):
        # A shard, a poison message, a bad deploy: repeating changes nothing. Never open for it.
        failed = pool.request_failures / pool.requests if pool.request_failures >= 0 else ratio
        limit = useless_limit(ratio)
        evidence = (*evidence, Evidence(Reason.RETRIES_DO_NOT_HELP, failed, limit, pool.requests, now.trust))
        withdrawn = _withdrawn(policy)
        if applied.budget_ratio > withdrawn:  # what saturation took away is not given back for this
            applied = _at_budget(applied, withdrawn)
        return Wish(applied, Regime.USELESS_RETRIES, evidence, 0, 0, True)
    count = law.bad_count + 1 if law.regime == _BROKEN else 1
    demand = budget_demand(now, policy, lost_is_cheap=_is_silent(now))
    if applied.budget_ratio >= COVERED * demand:
        return Wish(applied, _BROKEN, evidence, count, 0, False)
    if pool.requests < CLEAN_REQUESTS:  # few requests: a second bad window decides
        seen = now.seen
        if count < 2 or seen.failures <= now.trips.retry * seen.requests:
            return Wish(applied, _BROKEN, evidence, count, 0, False)
    budget, more = _raised_budget(law, now, policy, count)
    return Wish(_at_budget(applied, budget), _BROKEN, (*evidence, *more), count, 0, False)


def _is_silent(now: Moment) -> bool:
    return now.verdict.evidence[0].reason == _SILENCE


def _raised_budget(
    law: LawState, now: Moment, policy: Policy, count: int
) -> tuple[float, tuple[Evidence, ...]]:
    """Return the budget for partial failure: full where capacity for it is proven, else a step per window."""
    applied, pool = law.applied, now.pool
    if applied.circuit != _CLOSED:
        return applied.budget_ratio, ()
    if applied.budget_ratio < policy.budget_nominal:
        # It was saturated, dead or throttled a moment ago: first see it live without retries for a while.
        needed = policy.hold_periods * law.hold_factor
        wait = Evidence(Reason.WAITING_FOR_HOLD, float(count), float(needed), 0, now.trust)
        # As long as what fails are time-outs, it is still the same trouble, only milder without retries.
        # Unless the rest is as quick as ever: then some node swallows its calls, and retries would help.
        milder = 2 * pool.timeouts < pool.failures
        restored = now.settled and count >= needed and (milder or _is_silent(now))
        return (policy.budget_nominal if restored else applied.budget_ratio), (wait,)
    requests, proven = pool.requests, HEADROOM * now.baseline.proven_per_s
    predicted = requests / pool.span_s * (1.0 + extra_attempts(now))
    evidence = Evidence(Reason.NO_HEADROOM, predicted, proven, requests, now.trust)
    if pool.timeouts > policy.retry_floor * requests and not _is_silent(now):
        # Some of it is a queue, whatever rate was carried once: more attempts would make a storm of it.
        return applied.budget_ratio, (evidence,)
    if proven > 0.0 and predicted <= proven:
        return BUDGET_FULL, (Evidence(Reason.HEADROOM_PROVEN, predicted, proven, requests, now.trust),)
    if not now.settled:
        return applied.budget_ratio, (evidence,)
    return (BUDGET_FULL if applied.budget_ratio >= BUDGET_RAISED else BUDGET_RAISED), (evidence,)


def _clean_or_wait(law: LawState, now: Moment, policy: Policy) -> Wish:
    """Clean: gates open one step per settled window, then the budget returns after its hold."""
    nominal = now.nominal
    applied = law.applied
    evidence = now.verdict.evidence
    if applied == nominal:
        return Wish(applied, _NOMINAL, evidence, 0, law.clean_count + 1, False)
    if not now.settled:
        wait = Evidence(
            Reason.WAITING_TO_SETTLE, now.seen.start_s, law.changed_s + policy.settle_s, 0, now.trust
        )
        return Wish(applied, _RECOVERING, (*evidence, wait), 0, 0, law.useless)
    count = law.clean_count + 1
    if now.loosen_frozen:
        frozen = Evidence(Reason.CORRELATED_FAILURE_FREEZE, float(count), 0.0, 0, now.trust)
        return Wish(applied, _RECOVERING, (*evidence, frozen), 0, count, law.useless)
    if applied.circuit in _GATED:
        return _open_gate(law, now, policy, count)
    needed = policy.hold_periods * law.hold_factor
    if now.seen.period_s < HOLD_PERIOD_S:
        needed = int(needed * HOLD_PERIOD_S / now.seen.period_s + 0.5)
    if count < needed:
        wait = Evidence(Reason.WAITING_FOR_HOLD, float(count), float(needed), 0, now.trust)
        return Wish(applied, _RECOVERING, (*evidence, wait), 0, count, law.useless)
    wanted, reason = one_step_towards(applied, nominal, policy)
    restored = Evidence(reason, float(count), float(needed), now.pool.requests, now.trust)
    regime = _NOMINAL if wanted == nominal else _RECOVERING
    return Wish(wanted, regime, (*evidence, restored), 0, 0, False)


def _open_gate(law: LawState, now: Moment, policy: Policy, count: int) -> Wish:
    """Admit twice the share, or everything once most of it flows: clients close by themselves before this."""
    applied, pool = law.applied, now.pool
    evidence = now.verdict.evidence
    if not may_move(since_s=law.circuit_since_s, at_s=now.at_s, dwell_s=policy.dwell_s):
        return Wish(applied, _RECOVERING, evidence, 0, count, law.useless)
    offered = pool.requests + pool.short_circuited
    flowing = pool.requests / offered if offered > 0 else 0.0
    share = 2.0 * applied.probe_ratio
    if flowing > share:
        share = flowing
    step = Evidence(Reason.PROBES_SUCCEEDED, flowing, applied.probe_ratio, pool.requests, now.trust)
    if applied.circuit == _HALF_OPEN and share >= FULL_FLOW:
        circuit, share = next_circuit(applied.circuit, CircuitEvent.RESET), 1.0
    else:
        circuit = next_circuit(applied.circuit, CircuitEvent.PROBE)
        share = int(share * 10.0 + 0.5) / 10.0
        if share > SHED_MAX:
            share = SHED_MAX
    wanted = applied._replace(circuit=circuit, probe_ratio=share)
    return Wish(wanted, _RECOVERING, (*evidence, step), 0, 0, law.useless)


def one_step_towards(applied: Setpoint, nominal: Setpoint, policy: Policy) -> tuple[Setpoint, Reason]:
    """Return the setpoint one step nearer to nominal: attempts first (bounded step), then everything else."""
    if applied.max_attempts < nominal.max_attempts:
        attempts = applied.max_attempts + policy.attempts_step
        if attempts < nominal.max_attempts:
            return applied._replace(max_attempts=attempts), Reason.STEP_RESTORED
    return nominal, Reason.RESTORED_TO_NOMINAL


def wish_ladder(law: LawState, now: Moment, policy: Policy) -> Wish:
    """Return the wish of the ladder law: fewer attempts over one threshold, open over another.

    This is the practice that most teams know. It is shipped because people ask
    for it and to compare against; what it cannot do (end a retry storm above
    half of the capacity) is measured in docs/theory/control.md.
    """
    applied = law.applied
    pool = now.pool
    evidence = now.verdict.evidence
    requests, failures = pool.requests, pool.failures
    enough = requests >= policy.min_requests and failures >= policy.min_errors
    spread = now.baseline.dispersion if policy.z_act > 0.0 else 1.0
    low, _ = wilson_bounds(failures, requests, policy.z_act, spread)
    low_open, _ = wilson_bounds(failures, requests, policy.z_open, spread)
    if enough and low_open > now.trips.open and applied.circuit in _MAY_TRIP:
        over = Evidence(Reason.ERROR_RATE_OVER_BASELINE, low_open, now.trips.open, pool.requests, now.trust)
        if _may_cut(law, now, policy):
            wanted = applied._replace(
                max_attempts=policy.attempts_min,
                circuit=next_circuit(applied.circuit, CircuitEvent.TRIP),
                probe_ratio=_probe_ratio(_per_minute(pool), policy),
            )
            return Wish(wanted, Regime.DEAD, (over, *_proof(law, now)), 0, 0, False)
        wanted = applied._replace(max_attempts=policy.attempts_min)
        return Wish(wanted, Regime.BROKEN, (over, *_proof(law, now), *evidence), 0, 0, False)
    if enough and low > now.trips.retry:
        over = Evidence(Reason.ERROR_RATE_OVER_TRIP, low, now.trips.retry, pool.requests, now.trust)
        return Wish(applied._replace(max_attempts=policy.attempts_min), Regime.BROKEN, (over,), 0, 0, False)
    if now.verdict.clean:
        return _clean_or_wait(law, now, policy)
    return _keep(law, now)
