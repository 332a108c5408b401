"""The decision step: (state, observation, policy) -> (state, decision). Orchestration only.

Total and deterministic: any numbers give a decision, and equal inputs give equal
bytes. There is no clock; time is the observation's arrival. Evidence that is
late, repeated or impossible leaves the state untouched and says so.
"""

from __future__ import annotations

from flyball.records import CircuitState
from flyball_controller.core.baseline import Baseline, expected_ratio, learn, watch
from flyball_controller.core.evidence import NO_POOL, Pool, Window, pool_windows, push_window
from flyball_controller.core.guardrails import guard, hold_is_active, tightens
from flyball_controller.core.inspect import past_invalid, problem_of
from flyball_controller.core.kernel import confidence_of
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

# How many windows of an excursion may enter the minute profile: a batch is
# short, and an incident that lasts longer must not fill the hour.
PROFILE_EXCURSION = 5
# To read a member off its enum runs Python code; these are compared in every step.
_OK, _PARTIAL, _MISSING, _PROBED = Quality.OK, Quality.PARTIAL, Quality.MISSING, Quality.PROBED
_WITH_COUNTS = (_OK, _PARTIAL)
_OFF, _SHADOW = Mode.OFF, Mode.SHADOW
_TWO_LOOP = Law.TWO_LOOP
_NOMINAL = Regime.NOMINAL
_ACCEPTED = Reason.NEW_NORMAL_ACCEPTED
_CLOSED = CircuitState.CLOSED
# What lasts as it is for a day is how this target is now.
_LASTING = (Regime.BROKEN, Regime.USELESS_RETRIES, Regime.THROTTLED)


def _noted(reason: Reason) -> Evidence:
    return Evidence(reason, 0.0, 0.0, 0, 1.0)


_IS_OFF = _noted(Reason.MODE_OFF)
_IN_SHADOW = _noted(Reason.MODE_SHADOW)
_STILL_ARRIVING = _noted(Reason.OBSERVATION_PARTIAL)
_FROZEN = _noted(Reason.LEARNING_FROZEN)


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
    if policy.mode == _OFF:
        wish = Wish(nominal_setpoint(policy), _NOMINAL, (_IS_OFF,), 0, 0, False)
        return _without_counts(state, seen, policy, wish)
    quality = seen.quality
    if quality == _PROBED:
        return _without_counts(state, seen, policy, wish_probed(state, seen, policy))
    if quality == _MISSING or seen.requests + seen.short_circuited == 0:
        return _without_data(state, seen, policy)
    return _with_data(state, seen, policy)


def _without_data(state: State, seen: Observation, policy: Policy) -> tuple[State, Decision]:
    """Missing is not zero: keep everything; say so when it lasts, and let restrictions run out unrenewed."""
    silent_s = seen.arrived_s - state.data_s if state.data_s >= 0.0 else 0.0
    law = state.law
    regime = law.regime
    notes = [Evidence(Reason.OBSERVATION_MISSING, silent_s, policy.blind_after_s, 0, 1.0)]
    if silent_s > policy.blind_after_s:
        notes.append(Evidence(Reason.BLIND_TOO_LONG, silent_s, policy.blind_after_s, 0, 1.0))
        regime = Regime.BLIND if law.applied != nominal_setpoint(policy) else regime
    wish = Wish(law.applied, regime, tuple(notes), law.bad_count, law.clean_count, law.useless)
    return _without_counts(state, seen, policy, wish)


def _without_counts(state: State, seen: Observation, policy: Policy, wish: Wish) -> tuple[State, Decision]:
    nominal = nominal_setpoint(policy)
    return _conclude(state, seen, policy, nominal, wish, 0, state.baseline, state.ring, state.rarity)


def _window(seen: Observation) -> Window:
    """Return the observation's times and counts: the fields of the same names, in the same order."""
    return Window._make(seen[1:3] + seen[4:11])


def _with_data(state: State, seen: Observation, policy: Policy) -> tuple[State, Decision]:
    law, baseline, rarity, nominal = state.law, state.baseline, state.rarity, nominal_setpoint(policy)
    changed_s, start_s, at_s, period_s = law.changed_s, seen.start_s, seen.arrived_s, seen.period_s
    dispersion, failures = baseline.dispersion, seen.failures
    # The bursts that widen a bound ask for as many more requests before it can say "clean".
    enough, keep = policy.min_requests, int(CLEAN_REQUESTS * dispersion)
    if enough > keep:
        keep = enough
    span_s = policy.pool_s_max
    ring = push_window(state.ring, _window(seen), keep, span_s)
    if period_s > span_s:
        span_s = period_s
    pool = wide = pool_windows(ring, enough, changed_s, span_s)
    if enough <= pool.requests < keep:  # else it already is what "clean" is asked of, or all there is
        wide = pool_windows(ring, keep, changed_s, span_s)
    trust = confidence_of(baseline.learned_s, policy.confidence_full_s)
    trips = trips_for(policy, expected_ratio(baseline, start_s, policy), baseline.spread, trust)
    verdict = classify(pool, wide, seen, trips, baseline, policy, trust)
    whole = seen.quality == _OK
    if whole:  # a partial window will come again, whole
        rarity = next_rarity(
            rarity,
            failures=failures,
            requests=seen.requests,
            period_s=period_s,
            normal=trips.normal,
            dispersion=dispersion,
            policy=policy,
        )
    settled = whole and (changed_s < 0.0 or start_s >= changed_s + policy.settle_s)
    frozen = at_s < state.loosen_frozen_until_s
    moment = Moment(
        at_s, seen, verdict, pool, trips, baseline, settled, trust, state.open_allowed,
        frozen, rarity.seconds, needed_s(policy), wide, nominal,
    )  # fmt: skip
    wish = wish_two_loop(law, moment, policy) if policy.law == _TWO_LOOP else wish_ladder(law, moment, policy)
    if not whole:
        wish = _while_partial(law, wish, nominal)
        return _conclude(state, seen, policy, nominal, wish, pool.failures, baseline, state.ring, rarity)
    age_s = at_s - start_s - period_s
    if age_s > policy.act_within_s and age_s > 2.0 * period_s:
        # After an outage of the controller itself the past is read up: it teaches, but acting on it
        # now would answer a question that nobody asks any more.
        stale = Evidence(Reason.OBSERVATION_STALE, age_s, policy.act_within_s, 0, 1.0)
        wish = Wish(law.applied, law.regime, (stale,), law.bad_count, law.clean_count, law.useless)
    over = failures >= policy.min_errors and failures > trips.retry * seen.requests
    return _learned(state, seen, policy, nominal, wish, pool, ring, rarity, over)


def _while_partial(law: LawState, wish: Wish, nominal: Setpoint) -> Wish:
    """Counts still arriving: they may tighten, but neither teach nor count; the whole window is to come."""
    evidence = (*wish.evidence, _STILL_ARRIVING)
    if tightens(wish.setpoint, law.applied, nominal):
        return wish._replace(evidence=evidence)
    # Not even against recovery: a sensor that shows a partial minute at each look must not stop it.
    return Wish(law.applied, law.regime, evidence, law.bad_count, law.clean_count, law.useless)


def _learned(
    state: State,
    seen: Observation,
    policy: Policy,
    nominal: Setpoint,
    wish: Wish,
    pool: Pool,
    ring: tuple[Window, ...],
    rarity: Rarity,
    over: bool,
) -> tuple[State, Decision]:
    """Learn from nominal windows (their level unless `over` the trip), less off nominal; then conclude."""
    law, baseline, failures = state.law, state.baseline, pool.failures
    if seen.requests == 0:
        return _conclude(state, seen, policy, nominal, wish, failures, baseline, ring, rarity)
    regime = wish.regime
    if regime == _NOMINAL and wish.setpoint == law.applied == nominal:
        baseline = learn(baseline, seen, policy, level_frozen=over)
        return _conclude(state, seen, policy, nominal, wish, failures, baseline, ring, rarity)
    off_s = seen.arrived_s - law.off_since_s if law.off_since_s >= 0.0 else 0.0
    if off_s > policy.relearn_s and regime in _LASTING:
        # A day of the same partial failure is how this target is now; waiting longer only blinds us.
        # A new question, too: what spoke against the old normal is no evidence any more.
        baseline = baseline._replace(failures_ew=float(failures), requests_ew=float(pool.requests))
        note = Evidence(Reason.NEW_NORMAL_ACCEPTED, off_s, policy.relearn_s, pool.requests, 1.0)
        return _conclude(state, seen, policy, nominal, wish, failures, baseline, ring, NO_RARITY, note)
    if seen.short_circuited <= 0:  # a gated target shows only what the gate lets through
        if law.off_count < PROFILE_EXCURSION:
            baseline = learn(baseline, seen, policy, level_frozen=True)
        else:
            baseline = watch(baseline, seen, policy)
    return _conclude(state, seen, policy, nominal, wish, failures, baseline, ring, rarity, _FROZEN)


def _conclude(
    state: State,
    seen: Observation,
    policy: Policy,
    nominal: Setpoint,
    wish: Wish,
    failures: int,
    baseline: Baseline,
    ring: tuple[Window, ...],
    rarity: Rarity,
    learning: Evidence | None = None,
) -> tuple[State, Decision]:
    """Pass the wish through the guardrails, keep the law's books, and write the decision.

    `learning` is what is to be said of it, if anything is.
    """
    at_s, quality = seen.arrived_s, seen.quality
    law, _, _, stamp_s, _, data_s, valid_until_s, sequence, hold, open_allowed, frozen_until_s, _ = state
    wanted, regime, evidence, _, _, _ = wish
    before = law.applied
    applied, limits = guard(wanted, before, hold, policy, at_s)
    changed = applied != before
    urgent = changed and tightens(applied, before, nominal)
    whole = False
    if quality in _WITH_COUNTS and seen.requests + seen.short_circuited > 0:
        data_s = at_s
        if quality == _OK:
            whole, stamp_s = True, seen.start_s
    blind = data_s >= 0.0 and at_s - data_s > policy.blind_after_s and not hold_is_active(hold, at_s)
    if not blind or (changed and quality == _PROBED):  # good checks are sight, for this step
        valid_until_s = at_s + policy.valid_for_s
    off = regime != _NOMINAL or applied != nominal
    books = _books(law, wish, applied, policy, at_s, changed=changed, urgent=urgent, whole=whole, off=off)
    if learning is not None:
        evidence = (*evidence, learning)
        if learning.reason == _ACCEPTED:  # from now on it is off another nominal
            books = books._replace(off_since_s=at_s)
    # An open spends its evidence, and what a gate lets through adds none.
    rarity = rarity if applied.circuit == _CLOSED else NO_RARITY
    sequence += 1
    new_state = State(
        books, baseline, () if changed else ring, stamp_s, at_s, data_s, valid_until_s,
        sequence, hold, open_allowed, frozen_until_s, rarity,
    )  # fmt: skip
    evidence += limits
    if policy.mode == _SHADOW:
        evidence = (*evidence, _IN_SHADOW)
    decision = Decision(
        at_s, seen.target, regime, wanted, applied, evidence, policy.digest,
        sequence, valid_until_s, changed, urgent, failures, stamp_s,
    )  # fmt: skip
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
    off: bool,
) -> LawState:
    """Return the law's memory: when things changed, how long to hold, since when it is off nominal."""
    _, before, changed_s, loosened_s, circuit_since_s, off_since_s, _, _, off_count, factor, _ = law
    if urgent and loosened_s >= 0.0 and at_s - loosened_s < policy.retighten_s:
        factor = factor * 2 if factor * 2 < policy.hold_max else policy.hold_max
    elif not changed and changed_s >= 0.0 and at_s - changed_s > policy.quiet_s:
        factor = 1
    clean_count = wish.clean_count
    if changed:
        changed_s, clean_count = at_s, 0
        if not urgent:
            loosened_s = at_s
        if applied.circuit != before.circuit:
            circuit_since_s = at_s
    if not off:
        off_since_s, off_count = NEVER, 0
    else:
        if whole:  # looks without data are no windows
            off_count += 1
        if off_since_s < 0.0:
            off_since_s = at_s
    return LawState(
        wish.regime,
        applied,
        changed_s,
        loosened_s,
        circuit_since_s,
        off_since_s,
        wish.bad_count,
        clean_count,
        off_count,
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
