"""What the controller's own checks of a target may do: loosen, step by step. Never tighten, never teach.

A check is one call, made by us, to an address we chose. Many calls that fail for
many clients say that a target is down; a check that fails says so of a health
page. So bad checks change nothing, and a target without good ones is judged by
its clients alone, as if nobody checked. Good checks say something that gated
clients cannot: that a target which was dead answers again.

    circuit     what a row of good checks does              unless
    OPEN        half-open, at twice the probe share         clients' calls since the row began still fail
    HALF_OPEN   closed, if traffic is too low to judge by   likewise
    CLOSED      nominal, likewise, if the target was DEAD   likewise

A row has `close_after` checks times the hold factor of relapses, all after the
last change, the newest fresh. Where clients send enough traffic to be judged by,
their windows decide everything after the first step: one good page does not
prove that a target carries its load. For the same reason checks never speak for
a target that was shed, saturated, throttled or partly broken: it answered all
the time.

An observation of quality PROBED carries one row: `requests` good checks from
`start_s` on. Terms: docs/glossary.md. Measured: docs/how-to/probes.md.
"""

from __future__ import annotations

from flyball.records import CircuitState
from flyball_controller.core.circuit import CircuitEvent, may_move, next_circuit
from flyball_controller.core.evidence import Pool, pool_windows
from flyball_controller.core.model import Evidence, Observation, Reason, Regime, Setpoint
from flyball_controller.core.moment import Wish
from flyball_controller.core.policy import Policy
from flyball_controller.core.retry_law import SHED_MAX, one_step_towards
from flyball_controller.core.state import State, nominal_setpoint

SILENT_PERIODS = 2.0  # without a window for this long, clients send nothing to judge by
PERIOD_S = 60.0  # of windows, where none is in sight to ask


def wish_probed(state: State, seen: Observation, policy: Policy) -> Wish:
    """Return what a row of good checks asks for; the applied setpoint where it may say nothing.

    Args:
        state: Before the step.
        seen: Of quality PROBED.
        policy: The operator's.
    """
    law = state.law
    wanted = _next_setpoint(state, seen, policy)
    needed = float(policy.close_after * law.hold_factor)
    if wanted is None or wanted == law.applied:
        quiet = Evidence(Reason.NOTHING_NEW, float(seen.requests), needed, seen.requests, 1.0)
        return Wish(law.applied, law.regime, (quiet,), law.bad_count, law.clean_count, law.useless)
    good = Evidence(Reason.CHECKS_SUCCEEDED, float(seen.requests), needed, seen.requests, 1.0)
    regime = Regime.NOMINAL if wanted == nominal_setpoint(policy) else Regime.RECOVERING
    return Wish(wanted, regime, (good,), 0, 0, law.useless)


def _next_setpoint(state: State, seen: Observation, policy: Policy) -> Setpoint | None:
    """Return the next step of recovery, None if these checks are no reason for one."""
    law, at_s = state.law, seen.arrived_s
    if seen.failures > 0 or seen.requests < policy.close_after * law.hold_factor:
        return None
    if seen.start_s < law.changed_s or at_s - seen.start_s - seen.period_s > policy.act_within_s:
        return None  # another setting, or another time
    if at_s < state.loosen_frozen_until_s or not _was_dead(state, policy):
        return None
    if _contradicts(_pool_since(state, seen.start_s, policy), policy):
        return None
    applied = law.applied
    if applied.circuit == CircuitState.OPEN:
        if not may_move(since_s=law.circuit_since_s, at_s=at_s, dwell_s=policy.dwell_s):
            return None
        share = int(20.0 * applied.probe_ratio + 0.5) / 10.0
        return applied._replace(
            circuit=next_circuit(applied.circuit, CircuitEvent.PROBE),
            probe_ratio=share if share < SHED_MAX else SHED_MAX,
        )
    if at_s < law.changed_s + policy.settle_s or not _is_quiet(state, seen, policy):
        return None
    if applied.circuit == CircuitState.HALF_OPEN:
        if not may_move(since_s=law.circuit_since_s, at_s=at_s, dwell_s=policy.dwell_s):
            return None
        return applied._replace(circuit=next_circuit(applied.circuit, CircuitEvent.RESET), probe_ratio=1.0)
    if applied.circuit == CircuitState.CLOSED:
        return one_step_towards(applied, nominal_setpoint(policy), policy)[0]
    return None  # forced: the operator's


def _was_dead(state: State, policy: Policy) -> bool:
    """Return whether the restriction in force began with a target that nearly always failed fast.

    Only a dead target's circuit is opened; shedding half-opens it, and leaves its mark in `close_after`.
    A closed circuit is restricted for many reasons: this one is DEAD by name, or was just closed by us.
    """
    law = state.law
    shed = law.applied.close_after != policy.close_after or law.regime == Regime.SATURATED
    if law.applied.circuit != CircuitState.CLOSED:
        return not shed
    just_closed = law.circuit_since_s >= 0.0 and law.circuit_since_s == law.changed_s
    return law.regime == Regime.DEAD or (
        just_closed and not shed and law.regime in (Regime.RECOVERING, Regime.BLIND)
    )


def _contradicts(pool: Pool, policy: Policy) -> bool:
    """Return whether clients' own calls say otherwise: theirs is the traffic that matters."""
    return pool.failures > policy.reset_floor * pool.requests


def _pool_since(state: State, since_s: float, policy: Policy) -> Pool:
    return pool_windows(state.ring, enough=policy.min_requests, since_s=since_s, span_s_max=policy.pool_s_max)


def _is_quiet(state: State, seen: Observation, policy: Policy) -> bool:
    """Return whether clients send too little to be judged by, so that waiting for them would last."""
    pool = _pool_since(state, state.law.changed_s, policy)
    if pool.span_s > 0.0:
        return (pool.requests + pool.short_circuited) * 60.0 < policy.open_per_min_min * pool.span_s
    period_s = state.ring[-1].period_s if state.ring else PERIOD_S
    return state.data_s < 0.0 or seen.arrived_s - state.data_s > SILENT_PERIODS * period_s
