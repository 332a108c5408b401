"""A history condensed while it runs: the figures of a page, worked by hand."""

from __future__ import annotations

import pytest

from flyball_analytics.labels import Labels
from flyball_analytics.replay import replay_series
from flyball_analytics.report.bins import Level, bins_for
from flyball_analytics.report.watch import MOMENTS_KEPT, watch
from flyball_analytics.score import score_steps
from flyball_analytics.tally import Tally
from flyball_controller.core.model import Quality, Regime
from flyball_controller.policy_set import load_preset
from report_world import ATTEMPTS, REQUESTS, START_S, labels, observation, series, watched

POLICY = load_preset("two-loop").default


def test_its_decisions_and_score_are_those_of_a_replay():
    """The page must not tell another story than `flyball replay`."""
    tally = Tally(POLICY, keep_steps=True)
    for replayed in replay_series(series(), policy=POLICY):
        tally.add(replayed)
    one = watched()
    assert list(one.changes) == tally.changes
    assert one.score == score_steps(tally.steps_by_window(), labels())
    assert one.regimes == {regime.name: count for regime, count in tally.regimes.items()}


def test_retries_are_kept_to_the_budget_that_was_in_force():
    """240 windows of 110 attempts; in the 31 windows from 121 on no retry is allowed: 310 fewer."""
    flow = watched().flow
    assert (flow.requests, flow.failures) == (240 * REQUESTS, 30 * REQUESTS)
    assert (flow.measured, flow.attempts) == (240 * REQUESTS, 240 * ATTEMPTS)
    assert flow.kept == 240 * ATTEMPTS - 31 * (ATTEMPTS - REQUESTS)
    assert flow.refused == 0.0


def test_the_minute_after_an_incident_is_charged_to_the_newest_change():
    """The budget is still 0 after the first clean window, 60 s of healthy time; then it is restored."""
    one = watched()
    assert [change.regime for change in one.changes] == [Regime.SATURATED, Regime.NOMINAL]
    assert [cost.restricted_well_s for cost in one.costs] == [60.0, 0.0]


def test_an_open_circuit_refuses_all_but_the_probes():
    """A dead target: from the second window of it on, 90 of 100 requests a minute are refused."""
    one = watched(fast=True, known=False)
    opened = next(c for c in one.changes if c.applied.circuit != c.before.circuit)
    refused = 1.0 - opened.applied.probe_ratio
    first = next(n for n, cost in enumerate(one.costs) if cost.refused)
    assert one.costs[first].refused % (refused * REQUESTS) == pytest.approx(0.0)
    flow = one.flow
    assert flow.refused == pytest.approx(sum(cost.refused for cost in one.costs))
    assert 0.0 < flow.refused_failing < flow.refused
    assert flow.refused_well == 0.0, "without labels nobody knows what was well"


def test_of_the_costliest_changes_the_moment_is_kept():
    """A state is too large to keep for every change; five are as many as a page explains."""
    one = watched()
    assert list(one.moments) == [0]
    assert one.moments[0].seen.start_s == START_S + 60.0 * 120
    many = watched(outage=range(120, 121))
    assert len(many.moments) <= MOMENTS_KEPT


def test_a_long_history_has_a_close_up_of_its_longest_incident():
    """480 bins for 1,440 windows: three minutes each, and one-minute bins around the outage."""
    one = watched(windows=1_440)
    assert one.bins.width_s == 180.0
    assert one.close is not None
    assert one.close.width_s == 60.0
    # 40 windows before the first bad one (120), 80 after the last bad one's start (149)
    assert (one.close.from_s, one.close.to_s) == (START_S + 80 * 60.0, START_S + 229 * 60.0)


def test_without_labels_the_close_up_is_of_the_costliest_change_and_without_changes_there_is_none():
    """Something to look at where there is something."""
    one = watched(windows=1_440, known=False, fast=True)
    assert one.close is not None
    costliest = max(range(len(one.costs)), key=lambda n: one.costs[n].refused)
    assert one.close.from_s <= one.changes[costliest].at_s <= one.close.to_s
    assert watched(windows=1_440, known=False, outage=range(0)).close is None
    assert watched().close is None, "240 windows are drawn one by one already"


def test_ignored_time_is_not_healthy():
    """Nothing may be concluded from it, so nothing is charged to it."""
    seen = series(outage=range(120, 150))
    from_s, to_s = START_S + 7_200.0, START_S + 60.0 * 200
    one = watch(seen, POLICY, name="two-loop", labels=Labels((), ((from_s, to_s),)))
    assert all(cost.restricted_well_s == 0.0 for cost in one.costs)


def test_rows_that_are_late_or_impossible_are_counted_and_not_drawn():
    """A flagged row is never acted upon; a late one came after a younger one."""
    seen = series()
    rows = list(seen.observations)
    rows[5], rows[6] = (
        rows[6]._replace(arrived_s=rows[5].arrived_s),
        rows[5]._replace(arrived_s=rows[6].arrived_s),
    )
    rows[9] = rows[9]._replace(quality=Quality.INVALID)
    one = watch(seen._replace(observations=tuple(rows)), POLICY, name="two-loop")
    assert one.quality.late == 1
    assert one.quality.windows == 239
    assert one.quality.missing == 4
    assert one.score is None
    assert sum(each.requests for each in one.bins.filled.values()) == 239 * REQUESTS


def test_a_history_without_a_window_is_refused():
    """There is nothing to say, and nothing is said wrongly."""
    bad = observation(0)._replace(quality=Quality.INVALID)
    with pytest.raises(ValueError, match="no usable window"):
        watch(series()._replace(observations=(bad,)), POLICY, name="two-loop")


def test_bins_keep_extremes_sums_and_holes():
    """A spike of one window must be drawn; where nothing was recorded nothing is."""
    bins = bins_for(0.0, 600.0, period_s=60.0, count_max=5)
    assert (bins.width_s, bins.count) == (120.0, 5)
    bins.fill(
        [
            Level(0.0, 100, 1, 0.01, 0.03, 0.6),
            Level(60.0, 300, 27, 0.02, 0.05, 0.5),
            Level(480.0, 10, 0, 0.0, 0.03, 0.6),
            Level(600.0, 10, 10, 0.0, 0.03, 0.6),  # outside
        ]
    )
    first = bins.filled[0]
    assert (first.low, first.high, first.ratio) == (0.01, 0.09, 0.07)
    assert (first.expected, first.trip, first.open_trip) == (0.02, 0.05, 0.6)
    assert [[number for number, _ in run] for run in bins.runs()] == [[0], [4]]
