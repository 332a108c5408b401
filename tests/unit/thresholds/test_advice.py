"""Rules, trade-off and advice over histories with a known truth; hourly windows keep them short."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drawn_histories import DAY_S, HOUR_S, T0, draw, flat, series_of, with_failures
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.score import score_steps
from flyball_analytics.thresholds.analysis import NO_LABELS, RUNS, analyse, analyse_by_run, anything_said
from flyball_analytics.thresholds.faults import FAULTS, with_faults
from flyball_analytics.thresholds.firings import Firing, steps_of
from flyball_analytics.thresholds.metric import Metric, Point, metrics_of
from flyball_analytics.thresholds.recommend import Advice, missing_data, recommend
from flyball_analytics.thresholds.rules import FIXED, recurring, result_of, rule_names, run_rule
from flyball_analytics.thresholds.tradeoff import (
    Cell,
    TradeOff,
    best_of,
    default_of,
    smoothing_factor,
    trade_off,
)
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default
BUSY = {"period_s": 300.0, "per_window": 3_000.0}


def batches(low: float, high: float):
    """Normal, and the first ten minutes of every hour."""
    return lambda at_s: np.where((at_s // 60.0) % 60.0 < 10.0, high, low)


@pytest.fixture(scope="module")
def batch() -> Metric:
    """Eight days of 5-minute windows with an hourly batch that fails 10 % of its requests."""
    return metrics_of(series_of(draw(8 * 288, ratio=batches(0.002, 0.10), **BUSY)))[0]


def values(count: int, value: float = 100.0, period_s: float = HOUR_S) -> Metric:
    """A metric without counts."""
    points = tuple(Point(T0 + period_s * i, T0 + period_s * (i + 1), value) for i in range(count))
    return Metric("t", "value", "", "t.csv", period_s, points, None)


def cell(
    multiple: float, *, weekly: float, caught: int = 12, delay: float = 0.0, half: float = 43_200.0
) -> Cell:
    """A cell of the grid over one week."""
    return Cell(multiple, half, round(weekly), weekly, caught, 12, delay)


def test_an_hourly_batch_is_a_reason_to_move(batch: Metric) -> None:
    """A fixed threshold fires every hour; flyball learns the hour."""
    analysis = analyse(batch, POLICY, curve=False)
    fixed, ours = analysis.results[0], analysis.results[-1]
    assert len(fixed.firings) == 8 * 24
    assert fixed.recurring == 8 * 24
    assert len(ours.firings) <= 4
    assert analysis.recommendation.advice is Advice.MOVE
    assert "of its firings come at the same time" in analysis.recommendation.because
    assert anything_said(analysis)


def test_a_quiet_service_stays_fixed() -> None:
    """Start fixed: without measured false firings there is nothing to gain."""
    quiet = metrics_of(series_of(draw(8 * 24, ratio=flat(0.001), period_s=HOUR_S, per_window=5_000.0)))[0]
    advice = analyse(quiet, POLICY, curve=False).recommendation
    assert advice.advice is Advice.STAY
    assert advice.because.startswith("fixed fires 0 times in 1.1 weeks")
    assert advice.missing == ()


def test_below_a_week_nothing_is_said_and_what_is_missing_is() -> None:
    """3 days: 4 more."""
    short = metrics_of(series_of(draw(72, ratio=flat(0.001), period_s=HOUR_S)))[0]
    analysis = analyse(short, POLICY)
    assert analysis.recommendation.advice is Advice.UNKNOWN
    assert analysis.recommendation.missing == (
        "3 d of healthy history: 7 d are the least, 4 d more are needed",
    )
    assert analysis.curve is None
    assert not anything_said(analysis)


def test_too_little_traffic_and_too_many_holes_are_named() -> None:
    """Ten hours of values in eight days; two requests an hour."""
    holes = values(200)
    points = tuple(p._replace(value=math.nan) if i % 20 else p for i, p in enumerate(holes.points))
    found = missing_data(holes._replace(points=points), POLICY, 8 * DAY_S)
    assert found == ("10 windows with a value: 30 are the least", "only 5 % of the windows have a value")
    rare = metrics_of(series_of(draw(200, ratio=flat(0.0), period_s=HOUR_S, per_window=2.0, poisson=False)))[
        0
    ]
    assert missing_data(rare, POLICY, 8 * DAY_S) == ("2.0 requests in 1 h: 12 are needed to judge",)
    assert missing_data(values(0), POLICY, 0.0)[0] == "0 windows with a value: 30 are the least"


def test_labels_make_the_same_firings_true() -> None:
    """Four hours of 30 % errors are an incident if they are labelled, else a false firing."""
    history = with_failures(
        draw(9 * 24, ratio=flat(0.002), period_s=HOUR_S, per_window=5_000.0),
        T0 + 5 * DAY_S,
        T0 + 5.1 * DAY_S,
        0.3,
    )
    metric = metrics_of(series_of(history))[0]
    span = (T0 + 5 * DAY_S, T0 + 5.1 * DAY_S)
    labels = Labels((Incident(*span, *span),))
    told = analyse(metric, POLICY, labels=labels, curve=False)
    untold = analyse(metric, POLICY, curve=False)
    assert [r.score.recognised for r in (told.results[0], told.results[-1])] == [1, 1]
    assert told.results[0].score.false_alarms == 0
    assert untold.results[0].score.false_alarms == 1
    assert told.recommendation.because.startswith("fixed fires falsely 0 times")


def firing_result(rule: str, hours: range, labels: Labels = NO_LABELS):
    """A rule that fires in these hours of three weeks."""
    rows = run_rule(values(504), FIXED, POLICY, labels, fixed=1e9).rows
    marked = [row._replace(firing=i in hours) for i, row in enumerate(rows)]
    return result_of(rule, rule, marked, labels)


def test_the_burden_of_proof_is_with_moving() -> None:
    """In three weeks seven firings prove more than one a week (3.29 / 3), six do not (2.61 / 3)."""
    quiet = firing_result("ours", range(0))
    for count, advice in ((6, Advice.STAY), (7, Advice.MOVE)):
        fixed = firing_result("fixed", range(0, 40 * count, 40))
        assert fixed.score.false_alarms == count
        assert recommend(values(504), POLICY, fixed, quiet, None, labelled=False).advice is advice


def test_adaptive_must_at_least_halve_the_false_firings() -> None:
    """28 against 15 is not worth a moving threshold; against 14 it is."""
    fixed = firing_result("fixed", range(0, 504, 18))
    assert fixed.score.false_alarms == 28
    for count, advice in ((15, Advice.STAY), (14, Advice.MOVE)):
        ours = firing_result("ours", range(0, 18 * count, 18))
        assert recommend(values(504), POLICY, fixed, ours, None, labelled=False).advice is advice


def test_adaptive_must_not_miss_a_labelled_incident_that_fixed_sees() -> None:
    """Quiet because deaf is no gain."""
    at = T0 + 100 * HOUR_S
    labels = Labels((Incident(at, at, at, at),))
    fixed = firing_result("fixed", range(100, 504, 10), labels)
    deaf = firing_result("ours", range(0), labels)
    found = recommend(values(504), POLICY, fixed, deaf, None, labelled=True)
    assert found.advice is Advice.STAY
    assert "it sees 0 incidents where fixed sees 1" in found.because


def test_adaptive_must_not_miss_faults_that_were_set_in() -> None:
    """The same without labels."""
    curve = TradeOff(cell(1.0, weekly=9.0), (), cell(3.0, weekly=0.0, caught=9), "12 faults", 3.0)
    fixed, ours = firing_result("fixed", range(0, 504, 10)), firing_result("ours", range(0))
    found = recommend(values(504), POLICY, fixed, ours, curve, labelled=False)
    assert found.advice is Advice.STAY
    assert "it sees 9 of the faults set in where fixed sees 12" in found.because
    seen = curve._replace(best=cell(3.0, weekly=0.0))
    assert recommend(values(504), POLICY, fixed, ours, seen, labelled=False).advice is Advice.MOVE


def test_the_best_cell_misses_least_within_one_false_firing_a_week() -> None:
    """Then the soonest, then the quietest, then what is set now; if none is that quiet, the quietest."""
    now = (3.0, 43_200.0)
    loud, deaf, late = (
        cell(1.5, weekly=2.0),
        cell(4.0, weekly=0.0, caught=8),
        cell(2.0, weekly=0.2, delay=2.0),
    )
    good, equal = cell(2.5, weekly=0.5), cell(3.0, weekly=0.5)
    assert best_of([loud, deaf, late, good, equal], now) == equal
    assert best_of([loud, deaf, late, good], now) == good
    assert best_of([loud, cell(1.25, weekly=5.0)], now) == loud
    slow = cell(3.0, weekly=0.5, half=3_600.0)
    assert best_of([slow, equal], now) == equal


def test_the_whole_grid_is_run_and_what_is_set_now_is_known() -> None:
    """Progress counts runs: rules, the fixed threshold, the grid."""
    metric = metrics_of(series_of(draw(8 * 24, ratio=flat(0.001), period_s=HOUR_S, per_window=5_000.0)))[0]
    items = list(analyse_by_run(metric, POLICY))
    assert sum(item is None for item in items) in (RUNS, RUNS + 1)
    assert items[-1] is not None
    assert items[-1].curve is not None
    assert len(items[-1].curve.cells) == 18
    assert items[-1].curve.best.caught == FAULTS
    assert default_of(metric, POLICY) == (3.0, 43_200.0)
    assert default_of(values(1), POLICY) == (1.5, 43_200.0)


def test_a_history_too_short_for_faults_has_no_trade_off() -> None:
    """119 windows, twelve faults: they would be most of it. With labels none are set in."""
    short = values(119)
    assert list(trade_off(short, POLICY, NO_LABELS)) == []
    at = short.points[60].start_s
    labelled = Labels((Incident(at, at, at, at),))
    assert isinstance(list(trade_off(short, POLICY, labelled))[-1], TradeOff)


def test_only_the_newest_windows_of_a_long_history_enter_the_grid() -> None:
    """So that the answer comes in seconds; faults are three times the usual value."""
    found = list(trade_off(values(400), POLICY, NO_LABELS, rows_max=200, fixed=150.0))
    curve = found[-1]
    assert isinstance(curve, TradeOff)
    assert curve.weeks < 200 / 168
    assert curve.asked == "12 faults set in: 3 times the usual value"
    assert curve.fixed.caught == FAULTS


def test_faults_are_evenly_spread_and_only_ever_add_failures() -> None:
    """10 %, or three times the median; flagged windows stay as they are."""
    metric = metrics_of(series_of(draw(600, ratio=flat(0.05), per_window=1_000.0)))[0]
    faulted = with_faults(metric)
    assert faulted.words == "15 % of the requests fail" or faulted.words.startswith("1")
    assert len(faulted.labels.incidents) == FAULTS
    assert faulted.labels.probation == 90
    assert metric.series is not None
    assert faulted.metric.series is not None
    pairs = list(zip(metric.series.observations, faulted.metric.series.observations, strict=True))
    assert all(after.failures >= before.failures for before, after in pairs)
    changed = [after for before, after in pairs if after != before]
    assert len(changed) == FAULTS * 15 + FAULTS
    assert all(after.failures >= 0.14 * after.requests for after in changed)


def test_firings_at_the_same_minute_again_and_again_are_recurring() -> None:
    """Three in one slot, three times an even spread; scattered ones are not."""
    hourly = [Firing(HOUR_S * h + 120.0, 0.0, 0.0, 1) for h in range(5)]
    nightly = [Firing(DAY_S * d + 7_200.0 + 700.0 * d, 0.0, 0.0, 1) for d in range(5)]
    scattered = [Firing(4_000.0 * i * i, 0.0, 0.0, 1) for i in range(5)]
    assert recurring(hourly) == 5
    assert recurring(nightly) == 5
    assert recurring(scattered) < 3
    assert recurring([]) == 0


def test_a_fixed_level_in_the_unit_of_the_metric() -> None:
    """800 ms are 800 ms; an error ratio takes a ratio through the production step."""
    slow = values(48, 900.0)
    assert run_rule(slow, FIXED, POLICY, NO_LABELS, fixed=800.0).title == "fixed, 800"
    assert len(run_rule(slow, FIXED, POLICY, NO_LABELS, fixed=800.0).firings) == 1
    assert run_rule(slow, FIXED, POLICY, NO_LABELS, fixed=1_000.0).firings == ()
    counted = metrics_of(series_of(draw(48, ratio=flat(0.2), period_s=HOUR_S)))[0]
    assert run_rule(counted, FIXED, POLICY, NO_LABELS, fixed=0.5).firings == ()
    assert len(run_rule(counted, FIXED, POLICY, NO_LABELS, fixed=0.1).firings) == 1
    assert run_rule(counted, "flyball", POLICY, NO_LABELS).title == "flyball, 3 x baseline"


def test_every_metric_has_fixed_first_and_ours_last() -> None:
    """The production step for counts, the band for values; the references between."""
    counted = metrics_of(series_of(draw(2, ratio=flat(0.0))))[0]
    assert rule_names(counted)[0] == rule_names(values(1))[0] == FIXED
    assert (rule_names(counted)[-1], rule_names(values(1))[-1]) == ("flyball", "level-profile")


def test_a_values_advice_comes_from_the_band() -> None:
    """Ten days of hours with a peak every day at noon: the band of the last run is shown."""
    metric = values(240)
    points = tuple(p._replace(value=300.0 if i % 24 == 12 else 100.0) for i, p in enumerate(metric.points))
    analysis = analyse(metric._replace(points=points), POLICY, fixed=200.0, curve=False)
    assert len(analysis.results[0].firings) == 10
    assert analysis.bands is not None
    assert analysis.bands.level == pytest.approx(100.0, rel=0.2)
    assert analysis.bands.seasons == ()
    assert score_steps(steps_of(analysis.results[0].rows), NO_LABELS) == analysis.results[0].score


def test_a_rule_that_never_knew_anything_has_no_bands() -> None:
    """Three windows: nothing learned."""
    assert analyse(values(3), POLICY, curve=False).bands is None


def test_the_smoothing_factor_of_a_half_life() -> None:
    """ln 2 / 24 per hour against a day: 0.02888 / 1.02888."""
    assert smoothing_factor(86_400.0, 3_600.0) == pytest.approx(0.02807, abs=1e-5)


def test_labels_without_an_incident_of_this_metric_do_not_excuse_deafness() -> None:
    """Labels of a fleet name incidents elsewhere: `misses nothing that fixed sees` was true of nothing."""
    curve = TradeOff(cell(1.0, weekly=9.0), (), cell(3.0, weekly=0.0, caught=9), "12 faults", 3.0)
    fixed, ours = firing_result("fixed", range(0, 504, 10)), firing_result("ours", range(0))
    found = recommend(values(504), POLICY, fixed, ours, curve, labelled=True)
    assert found.advice is Advice.STAY
    assert "it sees 9 of the faults set in where fixed sees 12" in found.because
    unasked = recommend(values(504), POLICY, fixed, ours, None, labelled=True)
    assert "and what it would miss was not asked" in unasked.because
    assert "misses nothing" not in unasked.because
