"""What a user is promised about thresholds, through the production step over synthetic histories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drawn_histories import DAY, DAY_S, HOUR_S, MINUTE_S, T0, draw, flat, series_of, with_failures
from flyball_analytics.thresholds.firings import CoreRun, Firing, firings_of, run_core
from flyball_controller.codec import encode_state
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import initial_state
from flyball_controller.core.step import step
from flyball_controller.policy_set import load_preset
from flyball_controller.publication import backfill

POLICY = load_preset("two-loop").default
ADAPTIVE = load_preset("adaptive").default
BOTH = pytest.mark.parametrize("policy", [POLICY, ADAPTIVE], ids=["two-loop", "adaptive"])


def judged(history: list[Observation], policy: Policy = POLICY) -> tuple[CoreRun, list[Firing]]:
    """The run of the production step and its firings."""
    run = run_core(series_of(history), policy)
    return run, firings_of(run.rows)


def after(firings: list[Firing], at_s: float) -> list[Firing]:
    """Those that begin at or after a moment."""
    return [firing for firing in firings if firing.start_s >= at_s]


def hourly(low: float, high: float, minutes: int = 3) -> Callable[[np.ndarray], np.ndarray]:
    """A batch in the first minutes of every hour."""
    return lambda at_s: np.where((at_s // MINUTE_S) % 60.0 < minutes, high, low)


def nightly(low: float, high: float, *, minutes: int, shift_at_s: float = 1e18) -> Callable[..., np.ndarray]:
    """A job at 02:00 local time; from `shift_at_s` on local time is an hour later against UTC."""

    def ratio(at_s: np.ndarray) -> np.ndarray:
        local_s = at_s + np.where(at_s >= shift_at_s, HOUR_S, 0.0)
        since_s = local_s % DAY_S - 2 * HOUR_S
        return np.where((since_s >= 0.0) & (since_s < MINUTE_S * minutes), high, low)

    return ratio


@BOTH
@pytest.mark.parametrize("level", [0.10, 0.30])
def test_an_hourly_batch_is_known_after_three_visits(policy: Policy, level: float) -> None:
    """From the fourth hour on the known window does not trip, on any of two days."""
    _, firings = judged(draw(2 * DAY, ratio=hourly(0.002, level)), policy)
    assert len(firings) <= 3
    assert after(firings, T0 + 3 * HOUR_S) == []


@BOTH
def test_the_same_level_outside_of_the_known_window_trips_at_once(policy: Policy) -> None:
    """30 % at minute 0 is the batch; 30 % at minute 30 is an incident, in its first window."""
    at_s = T0 + DAY_S + 30 * MINUTE_S
    history = with_failures(draw(2 * DAY, ratio=hourly(0.002, 0.30)), at_s, at_s + 900.0, 0.30)
    _, firings = judged(history, policy)
    assert [firing.start_s for firing in after(firings, T0 + DAY_S)] == [at_s]


@BOTH
def test_one_error_in_ten_thousand_never_trips(policy: Policy) -> None:
    """300 requests a minute, 0.01 %: four days, with three errors in one minute of every day."""
    history = draw(4 * DAY, ratio=flat(0.0001), per_window=300.0)
    three = {T0 + DAY_S * day + 12 * HOUR_S for day in range(4)}
    history = [seen._replace(errors_fast=3) if seen.start_s in three else seen for seen in history]
    _, firings = judged(history, policy)
    assert firings == []


@BOTH
def test_at_three_requests_a_minute_one_error_does_not_trip(policy: Policy) -> None:
    """One failed call of three is 33 % of a minute and no evidence."""
    history = draw(2 * DAY, ratio=flat(0.0), per_window=3.0, poisson=False)
    history = [seen._replace(errors_fast=1) if i % 120 == 60 else seen for i, seen in enumerate(history)]
    _, firings = judged(history, policy)
    assert firings == []


@BOTH
@pytest.mark.parametrize(("ratio", "minutes"), [(1.0, 3), (0.5, 12)])
def test_at_three_requests_a_minute_an_outage_is_not_missed(
    policy: Policy, ratio: float, minutes: int
) -> None:
    """All failing is enough evidence in three minutes, half of it in twelve."""
    at_s = T0 + DAY_S
    history = draw(DAY + 30, ratio=flat(0.01), per_window=3.0)
    _, firings = judged(with_failures(history, at_s, at_s + 1_800.0, ratio), policy)
    seen = after(firings, at_s)
    assert len(seen) == 1
    assert seen[0].start_s - at_s <= minutes * MINUTE_S


@BOTH
def test_a_new_service_is_guarded_from_its_first_minutes(policy: Policy) -> None:
    """80 % errors five minutes after it was first seen, at the first window."""
    _, firings = judged(with_failures(draw(60, ratio=flat(0.01)), T0 + 300.0, T0 + 1_200.0, 0.8), policy)
    assert [firing.start_s for firing in firings] == [T0 + 300.0]


@BOTH
def test_a_service_that_is_born_in_an_incident_does_not_learn_it(policy: Policy) -> None:
    """80 % errors from its first minute: it fires then, and once it is well its normal is its own."""
    run, firings = judged(with_failures(draw(300, ratio=flat(0.01)), T0, T0 + 1_200.0, 0.8), policy)
    assert [firing.start_s for firing in firings] == [T0]
    assert run.state.baseline.level < 0.03


@BOTH
def test_an_incident_is_forgotten(policy: Policy) -> None:
    """Two hours of 50 %: a day later the normal is within 10 % of what it would have been."""
    calm = draw(2 * DAY, ratio=flat(0.01))
    sick = with_failures(calm, T0 + DAY_S - 2 * HOUR_S, T0 + DAY_S, 0.5)
    levels = [run_core(series_of(history), policy).state.baseline.level for history in (calm, sick)]
    assert levels[1] == pytest.approx(levels[0], rel=0.10)


def test_an_incident_does_not_poison_the_baseline() -> None:
    """Right after two hours of 50 % the normal is within 10 % of what it was."""
    calm = draw(2 * DAY, ratio=flat(0.01))
    sick = with_failures(calm, T0 + 2 * DAY_S - 2 * HOUR_S, T0 + 2 * DAY_S, 0.5)
    levels = [run_core(series_of(history), POLICY).state.baseline.level for history in (calm, sick)]
    assert levels[1] == pytest.approx(levels[0], rel=0.10)


@BOTH
def test_a_step_that_stays_is_the_new_normal_within_a_day(policy: Policy) -> None:
    """20 % from one minute on: one firing, over within 24 hours, and no other one."""
    at_s = T0 + DAY_S
    _, firings = judged(with_failures(draw(4 * DAY, ratio=flat(0.005)), at_s, T0 + 4 * DAY_S, 0.2), policy)
    assert [firing.start_s for firing in firings] == [at_s]
    assert firings[0].end_s - at_s <= DAY_S


def ramp(at_s: np.ndarray) -> np.ndarray:
    """0.5 % for a day, then up to 30 % over a day, then 30 %."""
    return np.clip(0.005 + 0.295 * ((at_s - T0) / DAY_S - 1.0), 0.005, 0.30)


def test_a_slow_ramp_is_not_learned_as_normal() -> None:
    """From 0.5 % to 30 % in a day: it must trip before it ends."""
    _, firings = judged(draw(3 * DAY, ratio=ramp))
    assert after(firings, T0 + DAY_S) != []


@pytest.mark.parametrize("minutes", [5, 60])
def test_a_nightly_job_is_known_after_a_week(minutes: int) -> None:
    """20 % errors at 02:00 every night: no trip in the second week."""
    job = nightly(0.002, 0.20, minutes=minutes)
    _, firings = judged(draw(14 * 288, ratio=job, per_window=3_000.0, period_s=300.0))
    assert after(firings, T0 + 7 * DAY_S) == []


def test_a_weekly_cycle_is_known_after_three_weeks() -> None:
    """20 % on Mondays from 06:00 to 07:00: no trip in the fifth week."""
    monday = 7 * DAY_S
    history = draw(
        5 * 168, ratio=lambda at_s: np.where((at_s - T0) % monday // HOUR_S == 6.0, 0.20, 0.002),
        per_window=30_000.0, period_s=HOUR_S,
    )  # fmt: skip
    _, firings = judged(history)
    assert after(firings, T0 + 4 * monday) == []


def test_the_normal_of_a_quiet_service_is_learned() -> None:
    """5 % at three requests a minute: learned within 30 %, and at most one firing a week."""
    run, firings = judged(draw(7 * DAY, ratio=flat(0.05), per_window=3.0))
    assert run.state.baseline.level == pytest.approx(0.05, rel=0.3)
    assert len(firings) <= 1


def test_a_nightly_job_that_moves_by_an_hour_opens_no_circuit() -> None:
    """Daylight saving: 02:00 local time is another hour in UTC from one day on; 70 % errors for an hour."""
    shifted = nightly(0.002, 0.70, minutes=60, shift_at_s=T0 + 4 * DAY_S + 2 * HOUR_S)
    run, _ = judged(draw(7 * 288, ratio=shifted, per_window=3_000.0, period_s=300.0))
    assert run.opened_s == ()


def test_an_hourly_batch_does_not_notice_daylight_saving() -> None:
    """The clock moves by a whole hour: minute 0 stays minute 0."""
    shifted = draw(DAY, ratio=hourly(0.002, 0.30), start_s=T0 + DAY_S + HOUR_S, seed=2)
    _, firings = judged([*draw(DAY, ratio=hourly(0.002, 0.30)), *shifted])
    assert after(firings, T0 + DAY_S) == []


def levels_by_year(years: int) -> list[tuple[Baseline, int]]:
    """The baseline, and the bytes of the state, after each simulated year of four-hour windows."""
    state = initial_state(POLICY)
    found = []
    shape = lambda at_s: 0.01 + 0.005 * np.sin(at_s / DAY_S * 2.0 * np.pi)  # noqa: E731
    for number, seen in enumerate(
        draw(years * 2_190, ratio=shape, per_window=20_000.0, period_s=4.0 * HOUR_S)
    ):
        state, _ = step(state, seen, POLICY)
        if number % 2_190 == 2_189:
            found.append((state.baseline, len(encode_state(state))))
    return found


def test_years_of_data_do_not_move_a_baseline_that_did_not_move() -> None:
    """Ten years: the visits of an hour have reached their end at 255 weeks, and nothing drifts or grows."""
    years = levels_by_year(10)
    first, last = years[0][0], years[-1][0]
    assert max(last.hour_visits) == 255
    assert last.level == pytest.approx(first.level, rel=0.15)
    assert last.spread == pytest.approx(first.spread, rel=0.25)
    assert last.hour[12] == pytest.approx(first.hour[12], rel=0.15)
    assert {size for _, size in years} == {years[0][1]}


def test_history_read_up_sharpens_a_new_service_without_deciding() -> None:
    """A day before the first look: the batch is known at once, and nothing is decided about the past."""
    past = draw(DAY, ratio=hourly(0.002, 0.30))
    state = backfill(initial_state(POLICY), past, POLICY, now_s=T0 + DAY_S)
    now = draw(180, ratio=hourly(0.002, 0.30), start_s=T0 + DAY_S, seed=2)
    decisions = []
    for seen in now:
        state, decision = step(state, seen, POLICY)
        decisions.append(decision)
    assert not any(decision.changed for decision in decisions)
    cold = [firing.start_s for firing in judged(now)[1]]
    assert cold == [T0 + DAY_S, T0 + DAY_S + HOUR_S, T0 + DAY_S + 2 * HOUR_S]


def test_read_up_history_and_live_history_teach_the_same() -> None:
    """Where nothing is wrong, learning from the past is learning: equal baselines, number by number."""
    history = draw(DAY, ratio=hourly(0.002, 0.02))
    state = backfill(initial_state(POLICY), history, POLICY, now_s=T0 + DAY_S)
    assert state.baseline == run_core(series_of(history), POLICY).state.baseline


def test_read_up_history_does_not_learn_an_incident_of_a_fixed_policy() -> None:
    """A fixed threshold does not follow the level: what is over it teaches nothing, high as the level is."""
    fixed = load_preset("fixed").default
    history = with_failures(draw(DAY, ratio=flat(0.15)), T0 + DAY_S / 2, T0 + DAY_S / 2 + HOUR_S, 0.3)
    calm = backfill(initial_state(fixed), history[: DAY // 2], fixed, now_s=T0 + DAY_S)
    sick = backfill(initial_state(fixed), history[: DAY // 2 + 60], fixed, now_s=T0 + DAY_S)
    assert sick.baseline.failures_ew == calm.baseline.failures_ew
