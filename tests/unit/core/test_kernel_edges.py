"""The kernel's arithmetic at its edges, worked by hand: ties, first values, longest and shortest windows."""

from __future__ import annotations

from math import sqrt

import pytest

from flyball_controller.core.baseline import QUANTA, Baseline, hour_expectation, minute_expectation
from flyball_controller.core.kernel import (
    confidence_of,
    expected_of,
    kept_share,
    learned,
    learning_rate,
    level_of,
    lower_median,
    median3,
    minute_median,
    minutes_covered,
    minutes_floor_quanta,
    moved_dispersion,
    moved_latency,
    moved_proven,
    moved_spread,
    proven_peak,
    quanta,
    recent_quanta,
    slot_of,
    top_ratio,
)
from flyball_controller.core.policy import Policy

NO = 65_535
POLICY = Policy()


def minute_quanta(profile: tuple[int, ...], at_s: float) -> int:
    """What the step takes as the season of a minute, in quanta."""
    return round(minute_expectation(Baseline(minute=profile), at_s) * QUANTA)


def hour_quanta(newest, before, visits, hour: int, visits_min: int) -> int:
    """What the step takes as the season of an hour of the week, in quanta."""
    weekly = Baseline(hour=newest, hour_before=before, hour_visits=visits)
    return round(hour_expectation(weekly, 3_600.0 * hour, visits_min) * QUANTA)


def minutes(**visits: tuple[int, int, int]) -> tuple[int, ...]:
    """A minute profile with the visits of some minutes, written m0, m1, ..."""
    profile = [NO] * 180
    for name, values in visits.items():
        at = 3 * int(name[1:])
        profile[at : at + 3] = values
    return tuple(profile)


# --- slots and medians -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_s", "slot"), [(0.0, 0), (59.9, 0), (60.0, 1), (-60.0, -1), (-59.0, -1), (-61.0, -2)]
)
def test_a_slot_begins_with_its_first_second(at_s, slot):
    """Also before the epoch."""
    assert slot_of(at_s, 60.0) == slot


@pytest.mark.parametrize("values", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (2, 1, 3), (1, 3, 2), (3, 1, 2)])
def test_the_middle_of_three_in_any_order(values):
    """Six orders, one middle."""
    assert median3(*values) == 2


@pytest.mark.parametrize(("values", "middle"), [([7], 7), ([4, 2], 2), ([9, 1, 5, 3], 3), ([3, 1, 2], 2)])
def test_the_lower_one_of_two_middles(values, middle):
    """Of four, the second."""
    assert lower_median(values) == middle


def test_a_minute_counts_from_its_third_visit():
    """5, 7, 9: the middle is 7; with two visits nothing is known."""
    profile = minutes(m3=(5, 7, 9), m4=(5, 9, NO))
    assert (minute_median(profile, 3), minute_median(profile, 4)) == (7, 0)


def test_minutes_are_widened_by_one_each_side_across_the_hour():
    """Minute 0 has 59 and 1 as neighbours; the highest middle counts, not the last."""
    profile = minutes(m59=(5, 7, 9), m1=(3, 3, 3), m2=(8, 8, 8))
    hour_s = 3_600.0
    assert [minute_quanta(profile, hour_s + 60.0 * m) for m in (57, 58, 59, 0, 1, 2, 3, 4)] == [
        0, 7, 7, 7, 8, 8, 8, 0,
    ]  # fmt: skip
    assert minute_quanta(minutes(m10=(4, 4, 4)), 11 * 60.0) == 4
    assert minute_quanta(minutes(m10=(0, 0, 0)), 10 * 60.0) == 0


def test_the_floor_of_minutes_is_the_lower_median_of_the_known_ones():
    """Middles 7, 2, 4 and 9: the second is 4; a minute of two visits does not count, nothing known is 0."""
    four = minutes(m0=(7, 7, 7), m1=(2, 2, 2), m30=(3, 5, 4), m59=(9, 9, 9), m2=(1, 1, NO))
    assert minutes_floor_quanta(four) == 4
    assert minutes_floor_quanta(minutes(m59=(9, 9, 9))) == 9
    assert minutes_floor_quanta(minutes()) == 0


def hours(**values: int) -> tuple[int, ...]:
    """A week of hours with some set, written h0, h24, ..."""
    week = [0] * 168
    for name, value in values.items():
        week[int(name[1:])] = value
    return tuple(week)


def test_an_hour_of_the_week_is_the_lesser_of_its_last_two_visits():
    """From the third visit on, in either order."""
    one, other = hours(h5=8), hours(h5=6)
    thrice, twice = hours(h5=3), hours(h5=2)
    assert hour_quanta(one, other, thrice, 5, 3) == 6
    assert hour_quanta(other, one, thrice, 5, 3) == 6
    assert hour_quanta(one, other, twice, 5, 3) == 0


def test_an_hour_of_most_days_counts_where_its_own_day_does_not():
    """Hour 29 is hour 5 of the second day: of the days' 4, 6 and 9 the middle is 6."""
    newest, visits = hours(h5=4, h6=1, h29=6, h149=9), hours(h5=1, h6=1, h29=1, h149=1)
    assert hour_quanta(newest, hours(), visits, 29, 3) == 6
    assert hour_quanta(newest, hours(), hours(h5=1, h29=1), 29, 3) == 0
    assert hour_quanta(newest, hours(), visits, 30, 3) == 0


def test_the_higher_of_day_and_week_counts():
    """Its own day says 8 (twice), the days 4; and the other way round."""
    visits = hours(h5=3, h29=3, h53=3)
    assert hour_quanta(hours(h5=8, h29=4, h53=4), hours(h5=8), visits, 5, 3) == 8
    assert hour_quanta(hours(h5=8, h29=9, h53=9), hours(h5=1), visits, 5, 3) == 9


def test_the_last_day_needs_three_known_hours():
    """Two are too few to ignore one."""
    assert recent_quanta((7, 3, NO)) == -1
    assert recent_quanta((7, 3, 5, NO)) == 5
    assert recent_quanta((NO, NO)) == -1


@pytest.mark.parametrize(
    ("start_s", "period_s", "covered"),
    [
        (60.0, 300.0, (1, 5)),
        (60.0, 300.1, (1, 0)),
        (60.0, 59.0, (1, 1)),
        (119.0, 59.0, (1, 0)),  # it begins 59 s into its minute: not the first of it
        (118.0, 59.0, (1, 1)),
        (60.0, 119.0, (1, 1)),
        (60.0, 120.0, (1, 2)),
        (70.0, 10.0, (1, 0)),
        (69.9, 10.0, (1, 1)),
    ],
)
def test_which_minutes_a_window_visits(start_s, period_s, covered):
    """Whole minutes as many as it is long; shorter ones only if they are the first of their minute."""
    assert minutes_covered(start_s, period_s) == covered


def test_quanta_round_to_the_nearest():
    """1 is 65,534 of them; half a quantum rounds up."""
    assert [quanta(ratio) for ratio in (0.0, 1.0, 0.5 / 65_534, 0.49 / 65_534)] == [0, 65_534, 1, 0]


# --- levels ------------------------------------------------------------------------------


def test_the_level_is_the_mean_or_the_slow_median():
    """3 of 100, or 5 %; nothing learned is 0; sums of half a request are sums, too."""
    assert level_of(3.0, 100.0, 0.01) == 0.03
    assert level_of(3.0, 100.0, 0.05) == 0.05
    assert level_of(0.0, 0.0, 0.0) == 0.0
    assert level_of(0.25, 0.5, 0.0) == 0.5


def test_confidence_is_a_share_up_to_one():
    """A quarter of a day of a day."""
    assert [confidence_of(x, 86_400.0) for x in (0.0, 21_600.0, 86_400.0, 90_000.0)] == [0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize(
    ("minute", "floor", "hour", "expected"),
    [
        (0.0, 0.0, 0.0, 0.1),
        (0.4, 0.2, 0.0, 0.25),  # 0.1 + 3/4 x 0.2
        (0.1, 0.2, 0.0, 0.1),
        (0.0, 0.0, 0.5, 0.4),  # 0.1 + 3/4 x 0.4
        (0.4, 0.2, 0.5, 0.4),
        (0.6, 0.0, 0.5, 0.55),
        (2.0, 0.0, 0.0, 1.0),
    ],
)
def test_a_season_of_three_visits_counts_three_quarters_of_its_excess(minute, floor, hour, expected):
    """The higher of the two seasons, never over 1."""
    assert expected_of(0.1, minute, floor, hour, 3) == pytest.approx(expected)


def test_what_is_kept_and_how_fast_a_mean_moves():
    """ln 2 x 60 / 43,200 is a thousandth, nearly; young means are plain: 60 of 120 s is a half."""
    assert kept_share(1.0, 60.0, 43_200.0) == pytest.approx(
        1.0 / (1.0 + 0.6931471805599453 / 720.0), rel=1e-15
    )
    assert kept_share(0.25, 60.0, 43_200.0) == pytest.approx(
        1.0 / (1.0 + 0.25 * 0.6931471805599453 / 720.0), rel=1e-15
    )
    assert learning_rate(0.75, 60.0, 60.0) == 0.5
    assert learning_rate(0.25, 60.0, 60.0) == 0.75
    assert learning_rate(0.5, 60.0, 60.0) == 0.5
    assert learning_rate(1.0, 0.0, 60.0) == 1.0
    assert learning_rate(0.6, 60.0, 60.0) == 0.5
    assert learning_rate(0.95, 0.0, 0.1) == 1.0


@pytest.mark.parametrize("hair", [1e-10, -1e-10])
def test_the_greater_rate_counts_where_both_nearly_touch(hair):
    """Nearer than the margin of the shortcut, both are computed in full."""
    keep = 0.5 + hair
    assert learning_rate(keep, 60.0, 60.0) == max(0.5, 1.0 - keep)


# --- the clip ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ratio", "requests", "top"),
    [
        # Young: only the floor of 3 % clips, or twice the slow median.
        ({}, 0.5, 600, 0.03),
        ({"chronic": 0.1}, 0.5, 600, 0.2),
        ({"learned_s": 1_799.0, "spread": 0.001}, 0.5, 600, 0.03),
        # From half an hour on the band does: level 1 % + 3 x 0.2 %, or 3 x sqrt(0.01 x 0.99 / 600) = 1.22 %.
        ({"learned_s": 1_800.0, "spread": 0.002}, 0.5, 600, 0.01 + 3.0 * sqrt(0.01 * 0.99 / 600)),
        ({"learned_s": 1_800.0, "spread": 0.006}, 0.5, 600, 0.01 + 3.0 * 0.006),
        ({"learned_s": 1_800.0, "spread": 0.5}, 0.5, 600, 0.03),
        ({"learned_s": 1_800.0, "dispersion": 2.0}, 0.5, 600, 0.01 + 3.0 * sqrt(2.0 * 0.01 * 0.99 / 600)),
        # Inside the band a window teaches itself.
        ({"learned_s": 1_800.0, "spread": 0.006}, 0.02, 600, 0.02),
        # So few failures are never evidence: two of twenty are a tenth.
        ({"learned_s": 1_800.0}, 0.5, 20, 0.1),
        ({"learned_s": 1_800.0}, 0.1, 20, 0.1),
    ],
)
def test_what_a_window_may_teach_at_most(base, ratio, requests, top):
    """Worked by hand for a level of 1 %."""
    assert top_ratio(Baseline(**base), 0.01, ratio, requests, POLICY) == pytest.approx(top, rel=1e-12)


def test_a_level_of_nothing_is_judged_as_one_failure():
    """1 of 10,000: 3 x sqrt(1e-4 x 0.9999 / 10,000) = 3e-4; 2 / 10,000 are never evidence."""
    top = top_ratio(Baseline(learned_s=1e6), 0.0, 0.5, 10_000, POLICY)
    assert top == pytest.approx(3.0 * sqrt(1e-4 * (1.0 - 1e-4) / 10_000), rel=1e-12)


def test_one_request_cannot_have_more_than_all_failures():
    """A level over 1 there is none; of one request the share is 1 and leaves no spread."""
    base = Baseline(learned_s=1e6, chronic=1.0)
    lenient = POLICY._replace(min_errors=1)
    assert top_ratio(base, 0.25, 1.0, 1, lenient) == 0.25
    assert top_ratio(base, 1.5, 2.0, 4, lenient) == 1.5


# --- what moves --------------------------------------------------------------------------

SD = 1.2533141373155001


def test_the_spread_moves_by_the_size_of_the_deviation():
    """0.02 from either side, at a rate of one tenth."""
    up = 0.01 + 0.1 * (SD * 0.02 - 0.01)
    assert moved_spread(0.01, 0.05, 0.03, 0.1) == pytest.approx(up, rel=1e-12)
    assert moved_spread(0.01, 0.01, 0.03, 0.1) == pytest.approx(up, rel=1e-12)


@pytest.mark.parametrize(
    ("level", "ratio", "requests", "rate", "learned_s", "after"),
    [
        (0.1, 0.5, 4, 0.5, 0.0, 2.0),  # 0.4 failures expected: nothing is said
        # 5 of 10 expected, 5 more came: 25 / 2.5 = 10; the prior leaves 1/20 of the move: 2 + 8 / 20.
        (0.5, 1.0, 10, 0.5, 0.0, 2.4),
        # After five more windows 1/25.
        (0.5, 1.0, 10, 0.5, 300.0, 2.32),
        (0.5, 1.0, 10, 0.01, 0.0, 2.08),
        (0.5, 0.0, 10, 0.01, 0.0, 2.08),
        (0.5, 0.5, 10, 0.5, 0.0, 1.9),  # exactly as expected: down to 2 - 2/20
        (0.125, 0.125, 4, 0.5, 0.0, 1.9),  # half a failure expected is enough
        (0.5, 1.0, 1_000, 0.01, 0.0, 2.23),  # 500^2 / 250 = 1,000 counts as 25
        (1.0, 1.0, 10, 0.5, 0.0, 1.95),  # all fail as ever: no more and no less than independent
        (1.5, 1.0, 10, 0.5, 0.0, 1.95),
    ],
)
def test_the_dispersion_moves_by_one_window(level, ratio, requests, rate, learned_s, after):
    """From 2, by minute windows."""
    moved = moved_dispersion(2.0, level, ratio, requests, rate, learned_s, 60.0)
    assert moved == pytest.approx(after, rel=1e-12)


def test_a_dispersion_is_never_under_one():
    """Quieter than independent failures is chance."""
    assert moved_dispersion(1.0, 0.5, 0.5, 10, 0.5, 0.0, 60.0) == 1.0


@pytest.mark.parametrize(
    ("level_ms", "seen_ms", "after_ms"),
    [
        (100.0, 200.0, 110.0),
        (100.0, 900.0, 110.0),  # counts as twice the level
        (100.0, 150.0, 105.0),
        (100.0, 50.0, 95.0),
        (100.0, 0.0, 90.0),  # 0 is a value
        (100.0, -1.0, 100.0),  # not measured
        (-1.0, 300.0, 300.0),
        (-1.0, -1.0, -1.0),
        (0.0, 300.0, 0.0),  # twice nothing
        (-0.5, 300.0, 300.0),
        (0.5, 0.5, 0.5),
        (100.0, 0.5, 90.05),
    ],
)
def test_a_latency_moves_by_a_tenth_of_its_clipped_distance(level_ms, seen_ms, after_ms):
    """The first measured one is the level."""
    assert moved_latency(level_ms, seen_ms, 0.1) == pytest.approx(after_ms)


def test_a_proven_rate_is_of_attempts_if_they_are_measured():
    """1,200 attempts a minute are 20 a second; 10 of before fade to 10 / 1.0012."""
    assert moved_proven(10.0, 1_200, 600, 60.0) == 20.0
    assert moved_proven(5.0, 0, 600, 60.0) == 10.0
    assert moved_proven(10.0, 1, 6_000, 60.0) == pytest.approx(10.0 / 1.0012, rel=1e-12)
    assert moved_proven(10.0, 0, 60, 60.0) == pytest.approx(10.0 / 1.0012, rel=1e-12)


def test_one_window_moves_every_field_of_a_baseline():
    """600 requests, 6 failures at a level of 1 %, in the first minute: each rate is 1, or 1/20."""
    base = Baseline(failures_ew=10.0, requests_ew=1_000.0, spread=0.5, dispersion=2.0, latency_ms=100.0,
                    proven_per_s=5.0, typical_ms=50.0)  # fmt: skip
    after = learned(base, 0.01, 0.01, 600, 700, 60.0, 150.0, 60.0, 0.75, POLICY)
    assert after == pytest.approx((13.5, 1_350.0, 0.0, 1.9, 150.0, 700 / 60.0, 60.0, 60.0))


def test_a_clipped_window_counts_a_quarter():
    """All 600 fail: 3 % are learned, with a quarter of the weight, and forgotten as slowly."""
    after = learned(Baseline(), 0.0, 1.0, 600, 0, -1.0, -1.0, 60.0, 0.75, POLICY)
    assert after[:2] == pytest.approx((0.25 * 0.03 * 600, 150.0))
    base = Baseline(failures_ew=10.0, requests_ew=1_000.0)
    keep = kept_share(0.25, 60.0, POLICY.half_life_s)
    after = learned(base, 0.01, 1.0, 600, 0, -1.0, -1.0, 60.0, 0.75, POLICY)
    assert after[0] == pytest.approx(10.0 * keep + 0.25 * 0.03 * 600, rel=1e-12)
    assert after[1] == pytest.approx(1_000.0 * keep + 150.0, rel=1e-12)
    assert after[4:] == (-1.0, 10.0, 60.0, -1.0)


def test_a_peak_needs_three_failures_and_a_bound_over_it():
    """z = 0: 3 of 10 prove 0.3; bursts of four times the variance prove less at z = 2."""
    plain = POLICY._replace(z_act=0.0)
    assert proven_peak(0.1, 3, 10, 1.0, plain) == 0.3
    assert proven_peak(0.1, 2, 10, 1.0, plain) == 0.1
    assert proven_peak(0.4, 3, 10, 1.0, plain) == 0.4
    assert proven_peak(0.3 + 1e-10, 3, 10, 1.0, plain) == 0.3 + 1e-10
    sure = POLICY._replace(z_act=2.0)
    assert proven_peak(0.05, 40, 400, 4.0, sure) == pytest.approx(0.054572, abs=1e-6)
