"""The step where no recorded stream happens to lead: times, pools and periods exactly at a limit."""

from __future__ import annotations

import pytest

from core_runs import T0, calm, run, window
from flyball_controller.core import initial_state, step
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Window
from flyball_controller.core.model import Evidence, Hold, HoldKind, Observation, Quality, Reason, Regime
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import LawState, State, nominal_setpoint

POLICY = Policy()
NOMINAL = nominal_setpoint(POLICY)
ZERO = NOMINAL._replace(budget_ratio=0.0)


def _looked(state: State, at_s: float) -> list[tuple[Reason, float]]:
    """What a look that finds nothing says."""
    missing = Observation("t", at_s, 60.0, at_s, quality=Quality.MISSING)
    return [(e.reason, e.measured) for e in step(state, missing, POLICY)[1].evidence]


@pytest.mark.parametrize(("data_s", "silent_s"), [(-1.0, 0.0), (0.0, 600.5), (0.5, 600.0), (10.0, 590.5)])
def test_silence_is_counted_from_the_last_data_and_the_epoch_is_a_time(data_s, silent_s):
    """Over ten minutes it is named; at ten minutes it is not yet."""
    said = _looked(initial_state(POLICY)._replace(data_s=data_s), 600.5)
    assert said[0] == (Reason.OBSERVATION_MISSING, silent_s)
    assert (len(said) == 2) is (silent_s > 600.0)


def test_a_policy_may_ask_for_more_requests_than_clean_does():
    """100 instead of 40: two windows of 60 are pooled, and one is not enough to say anything."""
    policy = Policy(min_requests=100)
    state, first = run([window(0, requests=60)], policy)
    assert first[0].evidence[0].reason == Reason.NOT_ENOUGH_DATA
    _, second = run([window(1, requests=60)], policy, state)
    assert second[0].evidence[0].n == 120
    assert second[0].evidence[0].reason == Reason.ERROR_RATE_UNDER_RESET


def test_a_window_longer_than_the_longest_pool_is_a_pool_of_its_own():
    """Half an hour, where 15 min may be pooled."""
    _, decision = step(
        initial_state(POLICY), window(0)._replace(period_s=1_800.0, arrived_s=T0 + 1_820.0), POLICY
    )
    assert decision.evidence[0].n == 600


@pytest.mark.parametrize(
    ("changed_s", "start_s", "settled"),
    [
        (T0, T0 + 75.0, True),
        (T0, T0 + 74.0, False),
        (0.0, 60.0, False),  # the epoch is a time, too
        (0.5, 60.0, False),
        (-1.0, 0.0, True),
    ],
)
def test_a_window_is_settled_from_the_settling_time_on(changed_s, start_s, settled):
    """75 s after the change, the 75th included."""
    law = LawState(Regime.SATURATED, ZERO, changed_s=changed_s)
    seen = Observation("t", start_s, 60.0, start_s + 80.0, 600, attempts=600, request_failures=0)
    _, decision = step(State(law), seen, POLICY)
    reasons = {e.reason for e in decision.evidence}
    assert (Reason.WAITING_TO_SETTLE not in reasons) is settled


@pytest.mark.parametrize(
    ("period_s", "age_s", "stale"),
    [(60.0, 300.0, False), (60.0, 300.5, True), (150.0, 300.5, True), (300.0, 600.0, False),
     (300.0, 601.0, True), (250.0, 500.5, True)],
)  # fmt: skip
def test_evidence_is_stale_after_five_minutes_and_two_periods(period_s, age_s, stale):
    """Of its own age, counted from its end; both must be over."""
    seen = window(0, fast=590)._replace(period_s=period_s, arrived_s=T0 + period_s + age_s)
    _, decision = step(initial_state(POLICY), seen, POLICY)
    assert (decision.evidence[0].reason == Reason.OBSERVATION_STALE) is stale


def test_a_window_exactly_at_the_trip_teaches():
    """75 of 600 is an eighth; only over the trip the level is frozen."""
    policy = Policy(z_act=0.0, retry_adaptive=False, retry_floor=0.125)
    assert step(initial_state(policy), window(0, fast=75), policy)[0].baseline.requests_ew == 600.0
    learned = step(initial_state(policy), window(0, fast=76), policy)[0].baseline
    assert learned.requests_ew == 0.0


def test_few_failures_over_the_trip_teach():
    """Two of two hundred over a trip of half a percent are no evidence of anything; three are."""
    policy = Policy(z_act=2.33, retry_adaptive=False, retry_floor=0.005)
    for fast, taught in ((2, 200.0), (3, 0.0)):
        state, _ = step(initial_state(policy), window(0, requests=200, fast=fast), policy)
        assert state.baseline.requests_ew == taught


def test_the_ring_keeps_what_a_bursty_target_needs_to_be_clean():
    """40 requests x a dispersion of 4 = 160: windows of 60 are kept until the newer ones hold as many."""
    state = State(LawState(Regime.NOMINAL, NOMINAL), Baseline(dispersion=4.0))
    state, _ = run(calm(0, 6, requests=60), POLICY, state)
    assert [one.requests for one in state.ring] == [60, 60, 60]
    assert isinstance(state.ring[0], Window)


# --- the law's books ---------------------------------------------------------------------

STORM = Observation("t", 60.0, 60.0, 140.0, 600, timeouts=200, attempts=800, request_failures=200)
PARTLY = Observation("t", 60.0, 60.0, 140.0, 600, errors_fast=120, attempts=720, request_failures=0)
CLEAN = Observation("t", 60.0, 60.0, 140.0, 600, attempts=600, request_failures=0)


def law(regime: Regime = Regime.NOMINAL, applied=NOMINAL, **memory: object) -> LawState:
    """Memory of the law."""
    return LawState(regime, applied)._replace(**memory)  # type: ignore[arg-type]


def test_every_decision_carries_the_policy_it_was_made_with():
    """Also one that may change nothing."""
    policy = Policy(digest="abc")
    assert step(initial_state(policy), CLEAN, policy)[1].policy_hash == "abc"
    late = initial_state(policy)._replace(stamp_s=60.0)
    assert step(late, CLEAN, policy)[1].policy_hash == "abc"


@pytest.mark.parametrize(
    ("factor", "loosened_s", "after"),
    [(1, 100.0, 2), (2, 100.0, 4), (4, 100.0, 5), (5, 100.0, 5), (2, 0.0, 4), (2, 0.5, 4), (2, -1.0, 2)],
)
def test_a_relapse_doubles_the_hold_up_to_its_most(factor, loosened_s, after):
    """Five, here. Loosened at the epoch is loosened; never is not."""
    before = State(law(hold_factor=factor, loosened_s=loosened_s))
    assert step(before, STORM, Policy(hold_max=5))[0].law.hold_factor == after


@pytest.mark.parametrize(
    ("loosened_s", "doubled"), [(1_000.0, True), (480.5, True), (480.0, False), (-1.0, False)]
)
def test_only_a_relapse_within_ten_minutes_doubles(loosened_s, doubled):
    """600 s before 1,080 s is too long ago."""
    storm = STORM._replace(start_s=1_000.0, arrived_s=1_080.0)
    after, _ = step(State(law(loosened_s=loosened_s)), storm, POLICY)
    assert after.law.hold_factor == (2 if doubled else 1)


@pytest.mark.parametrize(
    ("changed_s", "arrived_s", "factor"),
    [(0.0, 1_801.0, 1), (0.5, 1_801.0, 1), (0.0, 1_800.0, 4), (-1.0, 1_801.0, 4)],
)
def test_half_an_hour_without_a_change_forgets_the_relapses(changed_s, arrived_s, factor):
    """Counted from the change, should it have been at the epoch."""
    seen = CLEAN._replace(start_s=arrived_s - 80.0, arrived_s=arrived_s)
    after, _ = step(State(law(changed_s=changed_s, hold_factor=4)), seen, POLICY)
    assert after.law.hold_factor == factor


@pytest.mark.parametrize(("before_s", "after_s"), [(-1.0, 140.0), (0.0, 0.0), (0.5, 0.5), (100.0, 100.0)])
def test_off_nominal_is_counted_from_its_first_window(before_s, after_s):
    """And forgotten with the first nominal one."""
    after, _ = step(State(law(Regime.BROKEN, off_since_s=before_s)), PARTLY, POLICY)
    assert after.law.off_since_s == after_s
    nominal, _ = step(State(law(Regime.BROKEN, off_since_s=before_s)), CLEAN, POLICY)
    assert nominal.law.off_since_s == -1.0


@pytest.mark.parametrize(
    ("off_since_s", "relearn_s", "accepted"),
    [(0.0, 139.0, True), (0.5, 139.0, True), (0.0, 140.0, False), (-1.0, 0.5, False), (100.0, 39.0, True)],
)
def test_a_new_normal_is_accepted_after_its_time_and_the_clock_begins_anew(off_since_s, relearn_s, accepted):
    """120 of 600 become the level; what just began is not old."""
    policy = Policy(relearn_s=relearn_s)
    before = State(law(Regime.BROKEN, off_since_s=off_since_s))
    after, decision = step(before, PARTLY, policy)
    reasons = [e.reason for e in decision.evidence]
    assert (Reason.NEW_NORMAL_ACCEPTED in reasons) is accepted
    if accepted:
        note = next(e for e in decision.evidence if e.reason == Reason.NEW_NORMAL_ACCEPTED)
        assert note == Evidence(Reason.NEW_NORMAL_ACCEPTED, 140.0 - off_since_s, relearn_s, 600, 1.0)
        assert (after.baseline.failures_ew, after.baseline.requests_ew) == (120.0, 600.0)
        assert after.law.off_since_s == 140.0


def test_what_an_operator_changes_restarts_the_count_of_clean_windows():
    """And the windows of before are forgotten: they show another setting."""
    hold = Hold(HoldKind.FORCE_OPEN, 1_000.0, "ana", "drill")
    before = State(law(clean_count=5), hold=hold)
    after, decision = step(before, CLEAN, POLICY)
    assert decision.changed
    assert (after.law.clean_count, after.ring) == (0, ())
    kept, _ = step(State(law(clean_count=5)), CLEAN, POLICY)
    assert (kept.law.clean_count, len(kept.ring)) == (6, 1)


@pytest.mark.parametrize(("data_s", "renewed"), [(-1.0, True), (0.0, False), (0.5, False), (100.0, True)])
def test_a_blind_target_s_decision_is_not_renewed(data_s, renewed):
    """600 s without data; never any is not blind."""
    before = initial_state(POLICY)._replace(data_s=data_s, valid_until_s=50.0)
    look = Observation("t", 640.0, 60.0, 700.0, quality=Quality.MISSING)
    after, decision = step(before, look, POLICY)
    assert after.valid_until_s == decision.valid_until_s == (790.0 if renewed else 50.0)


@pytest.mark.parametrize(("until_s", "frozen"), [(140.0, False), (140.5, True), (-1.0, False)])
def test_a_fleet_that_is_frozen_loosens_from_its_last_second_on(until_s, frozen):
    """The window arrives at 140 s."""
    before = State(law(applied=ZERO, clean_count=9), loosen_frozen_until_s=until_s)
    after, decision = step(before, CLEAN, POLICY)
    assert (Reason.CORRELATED_FAILURE_FREEZE in {e.reason for e in decision.evidence}) is frozen
    assert (after.law.applied == ZERO) is frozen
