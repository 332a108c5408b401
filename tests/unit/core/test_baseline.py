"""What is learned, what is not, and how fast: invariant C6 and the seasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_runs import T0, calm, run, window
from flyball_controller.core.baseline import (
    HOURS,
    QUANTA,
    Baseline,
    confidence,
    expected_ratio,
    hour_expectation,
    learn,
    minute_expectation,
    watch,
)
from flyball_controller.core.evidence import wilson_bounds
from flyball_controller.core.model import Observation
from flyball_controller.core.policy import Policy

POLICY = Policy()


def _learned(windows: list[Observation], baseline: Baseline | None = None) -> Baseline:
    baseline = baseline or Baseline()
    for seen in windows:
        baseline = learn(baseline, seen, POLICY, level_frozen=False)
    return baseline


def test_the_first_windows_give_the_plain_mean():
    """3 + 6 + 0 of 1800 requests is 0.5 %: usable from the first minute (forgetting over 3 min is 0.3 %)."""
    base = _learned([window(0, fast=3), window(1, fast=6), window(2)])
    assert base.level == pytest.approx(9 / 1800, rel=0.01)


def test_a_level_of_exactly_zero_is_a_value_and_is_not_relearned():
    """0.0 must not be read as 'nothing learned yet'."""
    base = _learned(calm(0, 100))
    assert base.level == 0.0
    assert _learned([window(100, fast=60)], base).level < 0.001


def test_one_wild_window_moves_the_level_by_a_bounded_amount():
    """A minute in which all fails, after a calm day, raises the level by its share of a day (C6)."""
    base = _learned(calm(0, 1440, fast=1))
    after = _learned([window(1440, fast=600)], base)
    assert after.level - base.level <= 60 / 86_400


def test_a_start_inside_an_incident_does_not_make_it_normal():
    """Ten minutes at 50 % on a fresh target: the level stays at most at the absolute floor."""
    assert _learned([window(i, fast=300) for i in range(10)]).level <= POLICY.retry_floor


def test_a_two_hour_incident_leaves_the_learned_level_alone():
    """Frozen off nominal: the level moves by under a tenth of the incident's share of a day."""
    state, _ = run(calm(0, 1440, fast=2))
    after, _ = run([window(1440 + i, fast=300) for i in range(120)], state=state)
    mean_before = state.baseline.failures_ew / state.baseline.requests_ew
    mean_after = after.baseline.failures_ew / after.baseline.requests_ew
    assert mean_after == pytest.approx(mean_before, rel=0.1)


def watched(windows: list[Observation]) -> Baseline:
    """The baseline after windows that taught it only what hours are like."""
    base = Baseline()
    for seen in windows:
        base = watch(base, seen, POLICY)
    return base


def test_what_never_gets_better_becomes_normal_within_hours():
    """A target whose normal is 46 % must not be an incident for ever: three whole hours show it."""
    assert watched([window(i, requests=100, fast=46) for i in range(180)]).level == 0.0
    after = watched([window(i, requests=100, fast=46) for i in range(181)])
    assert after.level == pytest.approx(0.46, abs=0.001)


def test_under_half_a_day_of_anything_leaves_the_median_alone():
    """A day at 1 %, then 100 %: after 12 hours half of the last day still says 1 %, after 13 it does not."""
    day = [window(i, fast=6) for i in range(24 * 60)]
    bad = [window(1440 + i, fast=600) for i in range(13 * 60 + 1)]
    assert watched(day + bad[: 12 * 60 + 1]).chronic == pytest.approx(0.01, abs=1e-4)
    assert watched(day + bad).chronic == 1.0


@given(
    st.lists(st.integers(0, 600), min_size=24, max_size=24),
    st.sets(st.integers(0, 23), max_size=11),
    st.data(),
)
def test_no_incident_of_under_half_a_day_leads_the_median_out_of_the_rest(counts, bad, data):
    """C6, searched by adversary: the median of a day stays within what its good hours were."""
    shown = [data.draw(st.integers(0, 600)) if hour in bad else count for hour, count in enumerate(counts)]
    base = watched([window(60 * hour, fast=count) for hour, count in enumerate(shown)] + [window(24 * 60)])
    good = [count / 600 for hour, count in enumerate(counts) if hour not in bad]
    assert min(good) - 1e-4 <= base.chronic <= max(good) + 1e-4


def test_a_slow_rise_is_no_season():
    """Each minute of the hour is judged by how far it stands out from the other minutes."""
    risen = _learned([window(i, fast=i // 10) for i in range(6 * 60)])
    assert minute_expectation(risen, T0) > 0.03
    assert minute_expectation(risen, T0) - risen.minute_floor < 0.02  # the floor is an hour old


def test_a_short_job_stands_in_its_hour_with_what_it_proves():
    """20 % of 600 in one minute is at least 16.5 % (z = 2.33), where the mean of the hour says 0.3 %."""
    base = watched([window(i, fast=120 if i == 5 else 0) for i in range(61)])
    low, _ = wilson_bounds(120, 600, z=2.33)
    assert base.hour[int(T0 // 3600) % HOURS] == int(low * QUANTA + 0.5)


def test_one_bad_week_is_no_season_and_two_are():
    """An hour of the week counts with the lesser of its last two visits, from the third visit on."""

    def weeks(*ratios: float) -> float:
        windows = [window(60 * 168 * n, fast=int(600 * r)) for n, r in enumerate(ratios)]
        return hour_expectation(watched([*windows, window(60 * (168 * len(ratios) - 1))]), T0, 3)

    assert weeks(0.0, 0.0, 0.5) == 0.0
    assert weeks(0.0, 0.5, 0.5) == pytest.approx(0.5, abs=0.05)


def test_an_hour_of_most_days_is_a_season():
    """Three nights of a job at the same hour are enough; one of three is not."""

    def nights(*ratios: float) -> float:
        windows = [window(60 * 24 * n, fast=int(600 * r)) for n, r in enumerate(ratios)]
        return hour_expectation(watched([*windows, window(60 * (24 * len(ratios) - 1))]), T0, 3)

    assert nights(0.2, 0.2) == 0.0
    assert nights(0.2, 0.0, 0.0) == 0.0
    assert nights(0.2, 0.2, 0.2) == pytest.approx(0.2, abs=0.04)


def test_an_hourly_batch_is_known_after_three_visits():
    """10 % errors at minute 7 of every hour: unknown after two hours, three quarters of it after three."""

    def hours(count: int) -> Baseline:
        return _learned([window(i, fast=60 if i % 60 == 7 else 0) for i in range(60 * count)])

    assert minute_expectation(hours(2), T0 + 60 * 7) == 0.0
    after_three = hours(3)
    assert minute_expectation(after_three, T0 + 60 * 7) == pytest.approx(0.1, abs=1e-4)
    assert expected_ratio(after_three, T0 + 60 * 7, POLICY) == pytest.approx(0.075, abs=0.002)
    assert expected_ratio(after_three, T0 + 60 * 30, POLICY) < 0.005


def test_a_batch_that_starts_a_minute_late_is_still_known():
    """Schedulers jitter: neighbours of a known minute are widened by one."""
    base = _learned([window(i, fast=60 if i % 60 == 7 else 0) for i in range(180)])
    assert minute_expectation(base, T0 + 60 * 8) > 0.09
    assert minute_expectation(base, T0 + 60 * 6) > 0.09
    assert minute_expectation(base, T0 + 60 * 9) == 0.0


def test_a_single_incident_does_not_enter_the_minute_profile():
    """The median of three visits ignores one outlier."""
    base = _learned([window(i, fast=300 if i == 67 else 0) for i in range(240)])
    assert minute_expectation(base, T0 + 60 * 7) == 0.0


def test_a_bad_hour_of_every_day_is_known_from_the_other_days():
    """Hour 3 of each day at 2 %: on the fourth day it is expected, whatever the weekday."""
    stream = [
        window(i * 5, requests=3000, fast=60 if (i // 12) % 24 == 3 else 0)._replace(period_s=300.0)
        for i in range(12 * 24 * 3 + 12)
    ]
    base = _learned(stream)
    start_hour = int(T0 // 3600)
    at_s = (start_hour + 72 + 3) * 3600.0
    assert hour_expectation(base, at_s, 3) == pytest.approx(0.02, rel=0.6)
    assert hour_expectation(base, at_s + 5 * 3600.0, 3) < 0.002


def test_hourly_windows_say_nothing_about_minutes():
    """Backfill from old tiers has 1 h periods."""
    base = learn(Baseline(), window(0, fast=60)._replace(period_s=3600.0), POLICY, level_frozen=False)
    assert base.minute == Baseline().minute


def test_sub_minute_windows_count_one_visit_a_minute():
    """Six 10 s windows are not six visits."""
    base = Baseline()
    for i in range(6 * 3):
        seen = window(0, requests=100, fast=10)._replace(start_s=T0 + 10.0 * i, period_s=10.0)
        base = learn(base, seen, POLICY, level_frozen=True)
    assert base.minute[2] == 65_535
    assert base.minute[0] != 65_535


def test_bursty_failures_raise_the_dispersion_and_even_ones_do_not():
    """Same mean of 1 %; alternating 0 and 12 of 600 has variance 36 against 5.9 for independent failures."""
    even = _learned([window(i, fast=6) for i in range(600)])
    bursty = _learned([window(i, fast=12 if i % 2 else 0) for i in range(600)])
    assert even.dispersion == 1.0
    assert 3.0 < bursty.dispersion < 8.0


def test_latency_is_learned_and_clipped():
    """A 100x spike moves the level as if it were twice it."""
    base = _learned(calm(0, 60))
    assert base.latency_ms == pytest.approx(200.0)
    after = _learned([window(60, p99=20_000)], base)
    assert after.latency_ms < 204.0


def test_latency_that_was_never_measured_stays_unknown():
    """-1 is 'not measured', 0 would be a value."""
    base = _learned([window(i, p99=-1.0) for i in range(5)])
    assert base.latency_ms == -1.0


def test_confidence_grows_with_history_up_to_one():
    """Half a day of history is half the confidence."""
    assert confidence(Baseline(learned_s=43_200.0), POLICY) == 0.5
    assert confidence(Baseline(learned_s=1e9), POLICY) == 1.0


def test_the_highest_healthy_rate_is_remembered_and_fades():
    """Proven capacity: 20/s once, then 10/s for a day, leaves about a third of the excess."""
    base = _learned([window(0, requests=1200), *calm(1, 1440)])
    assert 10.0 <= base.proven_per_s < 12.0
