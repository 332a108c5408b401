"""What a baseline remembers of hours, thirds and minutes, field by field."""

from __future__ import annotations

import pytest

from core_runs import T0
from flyball_controller.core.baseline import (
    Baseline,
    confidence,
    expected_ratio,
    hour_expectation,
    learn,
    minute_expectation,
    watch,
)
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy

PLAIN = Policy(z_act=0.0)  # a peak is the plain ratio
SLOT = int(T0 // 3600) % 168
Q = 65_534


def seen(at_s: float, failures: int = 0, requests: int = 100, *, period_s: float = 60.0) -> Observation:
    """A window `at_s` seconds after a full hour."""
    start_s = T0 + at_s
    return Observation("t", start_s, period_s, start_s + period_s + 20.0, requests, errors_fast=failures)


def watched(*windows: Observation, base: Baseline = Baseline()) -> Baseline:  # noqa: B008 - immutable
    """The baseline after windows of which only hours learn."""
    for one in windows:
        base = watch(base, one, PLAIN)
    return base


def test_an_hour_gathers_counts_and_its_highest_window():
    """10 of 100, then 30 of 50."""
    base = watched(seen(0.0, 10), seen(60.0, 30, 50))
    hour = T0 / 3600.0
    assert (base.hour_index, base.third_index) == (int(hour), int(3 * hour))
    assert (base.hour_failures, base.hour_requests, base.hour_peak) == (40.0, 150.0, 0.6)
    assert (base.third_failures, base.third_requests, base.hour_best) == (40.0, 150.0, 1.0)


def test_a_third_that_is_over_leaves_its_mean_if_it_is_the_best():
    """30 %, 10 %, 20 %: the best is 10 %; an empty third has none."""
    first = watched(seen(0.0, 30), seen(1_200.0, 10))
    assert (first.hour_best, first.third_failures, first.third_requests) == (0.3, 10.0, 100.0)
    third = watched(seen(2_400.0, 20), base=first)
    assert third.hour_best == 0.1
    assert third.third_index == first.third_index + 1
    assert watched(seen(3_599.0, 20), base=third).hour_best == 0.1
    assert third.hour_failures == 60.0


def test_an_hour_that_is_over_enters_week_and_day():
    """Mean 20 %, highest 30 %, best third 10 %."""
    base = watched(seen(0.0, 30), seen(1_200.0, 10), seen(2_400.0, 20), seen(3_600.0, 5, 10))
    assert base.hour[SLOT] == int(0.3 * Q + 0.5)
    assert (base.hour_before[SLOT], base.hour_visits[SLOT]) == (0, 1)
    assert base.recent[:2] == (int(0.1 * Q + 0.5), 65_535)
    assert len(base.recent) == 24
    assert base.chronic == 0.0  # one hour is no median
    assert (base.hour_index, base.hour_failures, base.hour_requests) == (int(T0 // 3600) + 1, 5.0, 10.0)
    assert (base.hour_peak, base.hour_best) == (0.5, 1.0)
    assert len(base.hour) == len(base.hour_before) == len(base.hour_visits) == 168
    assert sum(base.hour_visits) == 1


def test_without_a_proof_the_mean_of_the_hour_counts():
    """Two failures are no evidence: the peak stays 0, the mean is 2 %."""
    base = watched(seen(0.0, 2), seen(3_600.0))
    assert base.hour[SLOT] == int(0.02 * Q + 0.5)


def test_the_next_hour_begins_without_a_peak():
    """Whatever the last one had."""
    assert watched(seen(0.0, 30), seen(3_600.0)).hour_peak == 0.0


def test_one_request_is_a_third_and_an_hour():
    """It was answered: the best third is 0, and the hour has been visited."""
    one = watched(seen(0.0, 0, 1), seen(1_200.0, 50))
    assert one.hour_best == 0.0
    assert watched(seen(0.0, 0, 1), seen(3_600.0)).hour_visits[SLOT] == 1


def test_the_visit_before_is_kept_beside_the_newest():
    """A week later."""
    week_s = 168 * 3_600.0
    base = watched(seen(0.0, 10), seen(week_s, 20), seen(week_s + 3_600.0))
    assert (base.hour[SLOT], base.hour_before[SLOT], base.hour_visits[SLOT]) == (
        int(0.2 * Q + 0.5), int(0.1 * Q + 0.5), 2,
    )  # fmt: skip
    neighbours = (base.hour[SLOT - 1], base.hour_before[SLOT - 1], base.hour_visits[SLOT - 1])
    assert neighbours == (0, 0, 0)


def test_visits_are_counted_up_to_a_byte():
    """254 becomes 255 and stays there."""
    for before, after in ((254, 255), (255, 255), (3, 4)):
        visits = (*(0,) * SLOT, before, *(0,) * (167 - SLOT))
        base = watched(seen(0.0), seen(3_600.0), base=Baseline(hour_visits=visits))
        assert base.hour_visits[SLOT] == after


def test_the_median_of_the_last_day_is_what_is_chronic():
    """Three hours of 10, 30 and 20 %: 20 %; before the third nothing is known."""
    windows = [seen(3_600.0 * n, failures) for n, failures in enumerate((10, 30, 20, 0))]
    assert watched(*windows[:3]).chronic == 0.0
    assert watched(*windows).chronic == int(0.2 * Q + 0.5) / Q


def test_an_unknown_median_leaves_the_chronic_level():
    """A state that came with one keeps it, until three hours say something else; even that it is nothing."""
    base = watched(seen(0.0, 10), seen(3_600.0, 10), base=Baseline(chronic=0.25))
    assert base.chronic == 0.25
    healthy = [seen(3_600.0 * n) for n in range(4)]
    assert watched(*healthy, base=Baseline(chronic=0.25)).chronic == 0.0


def test_an_hour_without_requests_leaves_no_trace():
    """The first window of all closes the hour before it, in which nothing was."""
    base = watched(seen(0.0, 10))
    assert base.hour_visits == (0,) * 168
    assert base.recent == (65_535,) * 24


def test_a_batch_that_the_minutes_know_leaves_no_mark_on_its_hour():
    """Minute 0 is known to reach 30 %: 30 of 100 is no peak, 31 is, and one minute further 30 is, too."""
    known = int(0.3 * Q + 0.5)
    base = Baseline(minute=(known, known, known, *(65_535,) * 177))
    assert watched(seen(0.0, 29), base=base).hour_peak == 0.0
    assert watched(seen(0.0, 31), base=base).hour_peak == 0.31
    assert watched(seen(120.0, 29), base=base).hour_peak == 0.29
    half = Baseline(minute=(32_767,) * 3 + (65_535,) * 177)
    assert watched(seen(0.0, 50), base=half).hour_peak == 0.0  # exactly what is known
    assert watched(seen(0.0, 29), base=base._replace(hour_peak=0.1)).hour_peak == 0.1


def test_the_floor_of_the_minutes_is_taken_when_an_hour_closes():
    """And not before."""
    known = int(0.3 * Q + 0.5)
    base = watched(seen(0.0), base=Baseline(minute=(known, known, known, *(65_535,) * 177)))
    assert base.minute_floor == 0.0
    assert watched(seen(3_600.0), base=base).minute_floor == known / Q


def test_a_window_shifts_its_visit_into_each_of_its_minutes():
    """Newest first; the oldest of three leaves; five minutes across the hour."""
    one = int(0.1 * Q + 0.5)
    base = learn(
        Baseline(minute=tuple(range(180))), seen(3_480.0, 10, period_s=300.0), PLAIN, level_frozen=True
    )
    assert base.minute[174:] == (one, 174, 175, one, 177, 178)
    assert base.minute[:12] == (one, 0, 1, one, 3, 4, one, 6, 7, 9, 10, 11)
    assert base.minute[171:174] == (171, 172, 173)


def test_a_frozen_level_lets_only_minutes_and_hours_learn():
    """Nothing else moves."""
    before = Baseline(failures_ew=1.0, requests_ew=100.0, latency_ms=5.0)
    frozen = learn(before, seen(0.0, 10), PLAIN, level_frozen=True)
    assert frozen == watched(seen(0.0, 10), base=before)._replace(minute=frozen.minute)
    assert frozen.minute[0] == int(0.1 * Q + 0.5)


def test_a_window_teaches_every_field_its_own_number():
    """1 of 100 where a quarter is chronic: 24^2 / (25 x 0.75) counts as 25, a twentieth of the way from 1.

    Latencies, rate and history are the window's; what hours know is left alone.
    """
    window = seen(0.0, 1)._replace(latency_ms_p50=40.0, latency_ms_p99=90.0, attempts=120)
    before = Baseline(chronic=0.25, minute_floor=0.125)
    after = learn(before, window, PLAIN, level_frozen=False)
    assert after[:4] == pytest.approx((1.0, 100.0, 1.2533141373155001 * 0.24, 2.2))
    assert (after.latency_ms, after.typical_ms, after.proven_per_s, after.learned_s) == (
        90.0,
        40.0,
        2.0,
        60.0,
    )
    assert (after.chronic, after.minute_floor) == (0.25, 0.125)
    assert after[10:] == learn(before, window, PLAIN, level_frozen=True)[10:]


def test_sums_are_forgotten_with_the_half_life_of_the_policy():
    """60 s of 12 h; a second one of 60 s."""
    keep = 1.0 / (1.0 + 60.0 * 0.6931471805599453 / 60.0)
    quick = PLAIN._replace(half_life_s=60.0)
    after = learn(Baseline(requests_ew=100.0), seen(0.0), quick, level_frozen=False)
    assert after.requests_ew == pytest.approx(100.0 * keep + 100.0, rel=1e-12)


def test_what_is_expected_now_is_the_level_or_its_season():
    """Level 10 %; minute 0 knows 50 % over a floor of 10: 0.1 + 3/4 x 0.4; the hour knows 30 %: 0.25."""
    minute = int(0.5 * Q + 0.5)
    hour = int(0.3 * Q + 0.5)
    base = Baseline(failures_ew=10.0, requests_ew=100.0, minute_floor=0.1)
    by_minute = base._replace(minute=(minute, minute, minute, *(65_535,) * 177))
    assert minute_expectation(by_minute, T0) == minute / Q
    assert expected_ratio(by_minute, T0, PLAIN) == pytest.approx(0.4, abs=1e-5)
    week = (*(0,) * SLOT, hour, *(0,) * (167 - SLOT))
    visits = (*(0,) * SLOT, 3, *(0,) * (167 - SLOT))
    by_hour = base._replace(hour=week, hour_before=week, hour_visits=visits)
    assert hour_expectation(by_hour, T0 + 3_599.0, 3) == hour / Q
    assert hour_expectation(by_hour, T0 + 3_600.0, 3) == 0.0
    assert hour_expectation(by_hour, T0, 4) == 0.0
    assert expected_ratio(by_hour, T0, PLAIN) == pytest.approx(0.25, abs=1e-5)
    assert expected_ratio(by_hour, T0, PLAIN._replace(profile_visits_min=4)) == 0.1


def test_confidence_is_history_by_what_the_policy_asks_for():
    """A quarter."""
    assert confidence(Baseline(learned_s=900.0), PLAIN._replace(confidence_full_s=3_600.0)) == 0.25


def test_nothing_learned_expects_nothing():
    """At any time."""
    assert expected_ratio(Baseline(), T0, PLAIN) == 0.0
