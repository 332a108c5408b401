"""The decision step: (state, observation, policy) -> (state, decision). Orchestration only.

Total and deterministic: any numbers give a decision, and equal inputs give equal
bytes. There is no clock; time is the observation's arrival. Evidence that is
late, repeated or impossible leaves the state untouched and says so.
"""

from __future__ import annotations

from flyball.records import CircuitState
from flyball_controller.core.baseline import Baseline, confidence, expected_ratio, learn, watch
from flyball_controller.core.evidence import Pool, Window, pool_windows, push_window
from flyball_controller.core.guardrails import guard, hold_is_active, tightens
from flyball_controller.core.inspect import past_invalid, problem_of
from flyball_controller.core.model import (
    Decision,
    Evidence,
    Mode,
    Observation,
    Quality,
    Reason,
    Regime,
    Setpoint,
)
from flyball_controller.core.moment import Moment, Wish
from flyball_controller.core.policy import Law, Policy
from flyball_controller.core.probed import wish_probed
from flyball_controller.core.promise import NO_RARITY, Rarity, needed_s, next_rarity
from flyball_controller.core.regime import CLEAN_REQUESTS, classify
from flyball_controller.core.retry_law import wish_ladder, wish_two_loop
from flyball_controller.core.state import NEVER, LawState, State, nominal_setpoint
from flyball_controller.core.threshold import trips_for

NO_POOL = Pool()
# How many windows of an excursion may enter the minute profile: a batch is
# short, and an incident that lasts longer must not fill the hour.
PROFILE_EXCURSION = 5


def step(state: State, seen: Observation, policy: Policy) -> tuple[State, Decision]:
    """Return the next state and what to do for one target after one observation.

    Args:
        state: From `initial_state`, an earlier step, or a decoded checkpoint.
        seen: One window; its `arrived_s` is the time of the decision.
        policy: The operator's intent.

    Returns:
        The state to remember, and a decision whose `changed` says whether
        anything must be published. Never raises for data.
    """
    problem = problem_of(state, seen)
    if problem is not None:
        kept = past_invalid(state, seen) if problem.reason == Reason.OBSERVATION_INVALID else state
        return kept, _unmoved(kept, seen, policy, (problem,), NO_POOL)
    if policy.mode == Mode.OFF:
        wish = Wish(nominal_setpoint(policy), Regime.NOMINAL, (_note(Reason.MODE_OFF),), 0, 0, False)
        return _conclude(state, seen, policy, wish, NO_POOL, state.baseline, state.ring)
    if seen.quality == Quality.PROBED:
        wish = wish_probed(state, seen, policy)
        return _conclude(state, seen, policy, wish, NO_POOL, state.baseline, state.ring)
    if seen.quality == Quality.MISSING or seen.requests + seen.short_circuited == 0:
        return _without_data(state, seen, policy)
    return _with_data(state, seen, policy)


def _note(
    reason: Reason, measured: float = 0.0, threshold: float = 0.0, n: int = 0, trust: float = 1.0
) -> Evidence:
    return Evidence(reason, measured, threshold, n, trust)


def _without_data(state: State, seen: Observation, policy: Policy) -> tuple[State, Decision]:
    """Missing is not zero: keep everything; say so when it lasts, and let restrictions run out unrenewed."""
    silent_s = seen.arrived_s - state.data_s if state.data_s >= 0.0 else 0.0
    law = state.law
    regime = law.regime
    notes = [_note(Reason.OBSERVATION_MISSING, silent_s, policy.blind_after_s)]
    if silent_s > policy.blind_after_s:
        notes.append(_note(Reason.BLIND_TOO_LONG, silent_s, policy.blind_after_s))
        regime = Regime.BLIND if law.applied != nominal_setpoint(policy) else regime
    wish = Wish(law.applied, regime, tuple(notes), law.bad_count, law.clean_count, law.useless)
    return _conclude(state, seen, policy, wish, NO_POOL, state.baseline, state.ring)


def _window(seen: Observation) -> Window:
    return Window(
        seen.start_s,
        seen.period_s,
        seen.requests,
        seen.timeouts,
        seen.errors_fast,
        seen.throttles,
        seen.attempts,
        seen.request_failures,
        seen.short_circuited,
    )


def _with_data(state: State, seen: Observation, policy: Policy) -> tuple[State, Decision]:
    law = state.law
    # The bursts that widen a bound ask for as many more requests before it can say "clean".
    keep = int(CLEAN_REQUESTS * state.baseline.dispersion)
    if policy.min_requests > keep:
        keep = policy.min_requests
    ring = push_window(state.ring, _window(seen), keep_requests=keep, span_s_max=policy.pool_s_max)
    span = policy.pool_s_max if policy.pool_s_max > seen.period_s else seen.period_s
    pool = pool_windows(ring, enough=policy.min_requests, since_s=law.changed_s, span_s_max=span)
    clean_pool = pool_windows(ring, enough=keep, since_s=law.changed_s, span_s_max=span)
    trust = confidence(state.baseline, policy)
    expected = expected_ratio(state.baseline, seen.start_s, policy)
    trips = trips_for(policy, expected=expected, spread=state.baseline.spread, confidence=trust)
    verdict = classify(pool, clean_pool, seen, trips, state.baseline, policy, trust)
    rarity = _rarity(state, seen, trips.normal, policy)
    settled = law.changed_s < 0.0 or seen.start_s >= law.changed_s + policy.settle_s
    moment = Moment(
        seen.arrived_s,
        seen,
        verdict,
        pool,
        trips,
        state.baseline,
        settled and seen.quality == Quality.OK,
        trust,
        state.open_allowed,
        seen.arrived_s < state.loosen_frozen_until_s,
        rarity.seconds,
        needed_s(policy),
        clean_pool,
    )
    wish = (
        wish_two_loop(law, moment, policy) if policy.law == Law.TWO_LOOP else wish_ladder(law, moment, policy)
    )
    if seen.quality == Quality.PARTIAL:
        # Counts still arriving: they may tighten, but neither teach nor count; the whole window is to come.
        partial = wish._replace(evidence=(*wish.evidence, _note(Reason.OBSERVATION_PARTIAL)))
        if not tightens(wish.setpoint, law.applied, nominal_setpoint(policy)):
            # Not even against recovery: a sensor that shows a partial minute at each look must not stop it.
            partial = Wish(
                law.applied, law.regime, partial.evidence, law.bad_count, law.clean_count, law.useless
            )
        return _conclude(state, seen, policy, partial, pool, state.baseline, state.ring)
    age_s = seen.arrived_s - seen.start_s - seen.period_s
    if age_s > policy.act_within_s and age_s > 2.0 * seen.period_s:
        # After an outage of the controller itself the past is read up: it teaches, but acting on it
        # now would answer a question that nobody asks any more.
        stale = _note(Reason.OBSERVATION_STALE, age_s, policy.act_within_s)
        wish = Wish(law.applied, law.regime, (stale,), law.bad_count, law.clean_count, law.useless)
    baseline, wish = _learned(state, seen, policy, wish, pool, trips.retry)
    # An accepted new normal is a new question: what spoke against the old one is no evidence any more.
    remembered = state._replace(rarity=NO_RARITY if _accepts(wish) else rarity)
    return _conclude(remembered, seen, policy, wish, pool, baseline, ring)


def _rarity(state: State, seen: Observation, normal: float, policy: Policy) -> Rarity:
    """Return the evidence against normal service after this window; a partial one will come again, whole."""
    if seen.quality != Quality.OK:
        return state.rarity
    return next_rarity(
        state.rarity,
        failures=seen.failures,
        requests=seen.requests,
        period_s=seen.period_s,
        normal=normal,
        dispersion=state.baseline.dispersion,
        policy=policy,
    )


def _accepts(wish: Wish) -> bool:
    return any(note.reason == Reason.NEW_NORMAL_ACCEPTED for note in wish.evidence)


def _learned(
    state: State, seen: Observation, policy: Policy, wish: Wish, pool: Pool, trip: float
) -> tuple[Baseline, Wish]:
    """Learn from nominal windows; freeze off nominal, but not for ever."""
    law = state.law
    nominal = nominal_setpoint(policy)
    if seen.requests == 0:
        return state.baseline, wish
    calm = wish.regime == Regime.NOMINAL and wish.setpoint == nominal and law.applied == nominal
    if calm:
        over = seen.failures >= policy.min_errors and seen.failures > trip * seen.requests
        return learn(state.baseline, seen, policy, level_frozen=over), wish
    frozen = wish._replace(evidence=(*wish.evidence, _note(Reason.LEARNING_FROZEN)))
    off_s = seen.arrived_s - law.off_since_s if law.off_since_s >= 0.0 else 0.0
    if off_s > policy.relearn_s and wish.regime in (Regime.BROKEN, Regime.USELESS_RETRIES, Regime.THROTTLED):
        # A day of the same partial failure is how this target is now; waiting longer only blinds us.
        accepted = state.baseline._replace(failures_ew=float(pool.failures), requests_ew=float(pool.requests))
        note = _note(Reason.NEW_NORMAL_ACCEPTED, off_s, policy.relearn_s, pool.requests)
        return accepted, wish._replace(evidence=(*wish.evidence, note))
    if seen.short_circuited > 0:
        return state.baseline, frozen  # a gated target shows only what the gate lets through
    if law.off_count < PROFILE_EXCURSION:
        return learn(state.baseline, seen, policy, level_frozen=True), frozen
    return watch(state.baseline, seen, policy), frozen


def _conclude(
    state: State,
    seen: Observation,
    policy: Policy,
    wish: Wish,
    pool: Pool,
    baseline: Baseline,
    ring: tuple[Window, ...],
) -> tuple[State, Decision]:
    """Pass the wish through the guardrails, keep the law's books, and write the decision."""
    at_s = seen.arrived_s
    law = state.law
    guarded = guard(wish.setpoint, law.applied, state.hold, policy, at_s)
    applied = guarded.setpoint
    changed = applied != law.applied
    nominal = nominal_setpoint(policy)
    urgent = changed and tightens(applied, law.applied, nominal)
    has_data = seen.quality in (Quality.OK, Quality.PARTIAL) and seen.requests + seen.short_circuited > 0
    data_s = at_s if has_data else state.data_s
    blind = data_s >= 0.0 and at_s - data_s > policy.blind_after_s and not hold_is_active(state.hold, at_s)
    sees = not blind or (changed and seen.quality == Quality.PROBED)  # good checks are sight, for this step
    valid_until_s = at_s + policy.valid_for_s if sees else state.valid_until_s
    whole = has_data and seen.quality == Quality.OK
    new_law = _books(
        law, wish, applied, policy, at_s, changed=changed, urgent=urgent, whole=whole, nominal=nominal
    )
    new_state = State(
        new_law,
        baseline,
        ring if not changed else (),
        seen.start_s if whole else state.stamp_s,
        at_s,
        data_s,
        valid_until_s,
        state.sequence + 1,
        state.hold,
        state.open_allowed,
        state.loosen_frozen_until_s,
        # An open spends its evidence, and what a gate lets through adds none.
        state.rarity if applied.circuit == CircuitState.CLOSED else NO_RARITY,
    )
    evidence = wish.evidence + guarded.evidence
    if policy.mode == Mode.SHADOW:
        evidence = (*evidence, _note(Reason.MODE_SHADOW))
    decision = Decision(
        at_s,
        seen.target,
        wish.regime,
        wish.setpoint,
        applied,
        evidence,
        policy.digest,
        new_state.sequence,
        valid_until_s,
        changed,
        urgent,
        pool.failures,
        new_state.stamp_s,
    )
    return new_state, decision


def _books(
    law: LawState,
    wish: Wish,
    applied: Setpoint,
    policy: Policy,
    at_s: float,
    *,
    changed: bool,
    urgent: bool,
    whole: bool,
    nominal: Setpoint,
) -> LawState:
    """Return the law's memory: when things changed, how long to hold, since when it is off nominal."""
    factor = law.hold_factor
    if urgent and law.loosened_s >= 0.0 and at_s - law.loosened_s < policy.retighten_s:
        factor = factor * 2 if factor * 2 < policy.hold_max else policy.hold_max
    elif not changed and law.changed_s >= 0.0 and at_s - law.changed_s > policy.quiet_s:
        factor = 1
    off = applied != nominal or wish.regime != Regime.NOMINAL
    off_since_s = (law.off_since_s if law.off_since_s >= 0.0 else at_s) if off else NEVER
    return LawState(
        wish.regime,
        applied,
        at_s if changed else law.changed_s,
        at_s if changed and not urgent else law.loosened_s,
        at_s if applied.circuit != law.applied.circuit else law.circuit_since_s,
        at_s if _accepts(wish) else off_since_s,
        wish.bad_count,
        0 if changed else wish.clean_count,
        law.off_count + (1 if whole else 0) if off else 0,  # looks without data are no windows
        factor,
        wish.useless,
    )


def _unmoved(
    state: State, seen: Observation, policy: Policy, evidence: tuple[Evidence, ...], pool: Pool
) -> Decision:
    """Return the decision that keeps everything, for an observation that may change nothing."""
    law = state.law
    return Decision(
        seen.arrived_s,
        seen.target,
        law.regime,
        law.applied,
        law.applied,
        evidence,
        policy.digest,
        state.sequence,
        state.valid_until_s,
        False,
        False,
        pool.failures,
        state.stamp_s,
    )
