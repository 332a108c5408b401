"""The reference detectors on numbers worked by hand: each must be itself, not a straw man."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from flyball_analytics.detectors.anomalyband import AnomalyBand
from flyball_analytics.detectors.base import Detector, Verdict
from flyball_analytics.detectors.grafana import GrafanaAdaptive, GrafanaRobust
from flyball_analytics.detectors.simple import Ewma, Fixed, Random, RollingMean

MINUTE_S = 60.0
DAY_S = 86_400.0


def run(detector: Detector, values: Iterable[float], *, period_s: float = MINUTE_S) -> list[Verdict]:
    """Feed values one period apart, from time 0."""
    return [detector.feed(i * period_s, value, period_s) for i, value in enumerate(values)]


def test_the_fixed_level_is_learned_from_the_first_fifteen_per_cent():
    """100 rows: 15 of them, mean 2 and sd 1 (0.0 is a half of them): over 2 + 3 x 0.9977."""
    values = [1.0, 3.0] * 7 + [2.0]
    verdicts = run(Fixed(100), [*values, 4.9, 5.0, math.nan])
    assert [v.ready for v in verdicts] == [False] * 15 + [True] * 3
    assert verdicts[15].upper == pytest.approx(2.0 + 3.0 * math.sqrt(14 / 15))
    assert [v.firing for v in verdicts[15:]] == [True, True, False]


def test_a_short_history_gives_the_fixed_level_twelve_rows():
    """15 % of ten rows are no history; a missing value is none either."""
    verdicts = run(Fixed(10), [math.nan, *[1.0] * 12, 2.0])
    assert [v.ready for v in verdicts] == [False] * 13 + [True]
    assert verdicts[-1].firing


def test_the_multiple_is_of_the_window_before_the_value():
    """Mean 1 of the hour before: 2.0 is not over twice it, 2.1 is; a day of 2.1 would be normal."""
    rule = RollingMean(3600.0, multiple=2.0)
    verdicts = run(rule, [*[1.0] * 60, 2.0])
    assert (verdicts[-1].firing, verdicts[-1].upper) == (False, 2.0)
    verdicts = run(RollingMean(3600.0, multiple=2.0), [*[1.0] * 60, 2.1, *[2.1] * 60, math.nan])
    assert verdicts[60].firing
    assert [v.firing for v in verdicts[-31:]] == [False] * 31


def test_an_hour_of_hourly_rows_is_the_row_before():
    """That is what the rule does to hourly metrics: it compares neighbours."""
    verdicts = run(RollingMean(3600.0, multiple=2.0), [*[1.0] * 12, 3.0, 3.0], period_s=3600.0)
    assert [v.firing for v in verdicts[-2:]] == [True, False]


def test_a_window_without_rows_is_not_ready():
    """After a gap longer than the window there is nothing to compare with."""
    rule = RollingMean(3600.0, multiple=2.0)
    run(rule, [1.0] * 60)
    assert rule.feed(10 * 3600.0, 9.0, MINUTE_S).ready is False


def test_mean_and_three_spreads_of_a_day():
    """Mean 2, sd 1: 5.0 is not over, 5.1 is."""
    rule = RollingMean(DAY_S, k=3.0)
    run(rule, [1.0, 3.0] * 30)
    assert rule.feed(60 * MINUTE_S, 5.0, MINUTE_S).firing is False
    assert RollingMean(DAY_S, k=3.0).feed(0.0, 5.1, MINUTE_S).ready is False


def test_ewma_forgets_half_in_its_half_life_and_learns_its_alarms():
    """Six hours after a step from 0 to 1, sixty rows into the plain mean, the level is about one half."""
    rule = Ewma()
    run(rule, [0.0] * 10_000)
    verdicts = [rule.feed((10_000 + i) * MINUTE_S, 1.0, MINUTE_S) for i in range(361)]
    assert verdicts[0].firing
    assert verdicts[-1].level == pytest.approx(0.5, abs=0.01)
    assert verdicts[-1].firing is False
    assert rule.feed(1e9, math.nan, MINUTE_S).ready is False


def test_chance_fires_about_once_a_week_whatever_it_sees():
    """And the same draws each time, so that tables can be compared."""
    verdicts = run(Random(), [0.0] * 10_080 * 8)
    count = sum(v.firing for v in verdicts)
    assert 2 <= count <= 16
    assert [v.firing for v in run(Random(), [9.0] * 10_080 * 8)] == [v.firing for v in verdicts]


def test_grafana_adaptive_needs_five_minutes_and_looks_a_day_back():
    """1.5 times the mean of the hour with the value in it, for five minutes; tomorrow it is known."""
    bump = [1.0] * 720 + [4.0] * 15 + [1.0] * 705
    verdicts = run(GrafanaAdaptive(), [*bump, *bump])
    fired = [i for i, v in enumerate(verdicts) if v.firing]
    assert fired[0] == 725
    assert [i for i in fired if i >= 1440] == []
    assert run(GrafanaAdaptive(), [math.nan])[0].ready is False


def test_grafana_adaptive_keeps_only_wild_spreads():
    """A spread under half of the mean does not count: calm values leave only the margin of 50 %."""
    verdicts = run(GrafanaAdaptive(), [1.0, 1.2] * 60)
    assert verdicts[-1].upper == pytest.approx(1.5 * 1.1)
    wild = run(GrafanaAdaptive(), [0.0, 4.0] * 60)
    assert wild[-1].upper is not None
    assert wild[-1].upper > 2.0 + 1.9 * 2.0


def test_grafana_robust_is_median_and_median_deviation():
    """Values 1..9, median 5, MAD 2: 9 by the deviations; 7.5 by the margin."""
    verdicts = run(GrafanaRobust(), [float(1 + i % 9) for i in range(90)])
    assert verdicts[-1].upper == pytest.approx(9.0)
    rule = GrafanaRobust()
    verdicts = run(rule, [*[1.0] * 30, *[3.0] * 7, math.nan, 3.0])
    assert [i for i, v in enumerate(verdicts) if v.firing] == [35, 36]
    assert run(GrafanaRobust(), [*[1.0] * 13, 2.0], period_s=3600.0)[-1].firing


def test_the_anomaly_band_is_pending_for_a_day_and_then_knows_the_hour():
    """A batch at ten past is expected from the second day on, and its height elsewhere is not."""
    day = [5.0 if i % 60 == 10 else 1.0 + 0.01 * (i % 3) for i in range(1440)]
    values = [*day, *day]
    values[1440 + 700] = 5.0  # minute 40
    verdicts = run(AnomalyBand(), values)
    assert [v.ready for v in (verdicts[1439], verdicts[1440])] == [False, True]
    assert [i for i, v in enumerate(verdicts) if v.firing] == [1440 + 700]
    assert run(AnomalyBand(), [math.nan])[0].ready is False


def test_the_anomaly_band_learns_the_week_in_two():
    """Sundays are busy: in the third week a busy Monday is not expected, a busy Sunday is. Hourly rows."""
    week = [10.0 if i >= 144 else 1.0 for i in range(168)]
    verdicts = run(AnomalyBand(), [*week, *week, *week], period_s=3600.0)
    assert [v.firing for v in verdicts[2 * 168 + 144 :]] == [False] * 24
    assert verdicts[2 * 168 + 150].level == pytest.approx(10.0)
    assert verdicts[2 * 168 + 10].level == pytest.approx(1.0)
