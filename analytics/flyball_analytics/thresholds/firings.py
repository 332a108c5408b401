"""When rules would have fired over a recorded metric: detectors on values, the production step on counts.

Every rule is run row by row in the order of arrival and joined in the same way, so
that their counts can be compared: a firing is a stretch of windows over a rule's
threshold, and stretches less than half an hour apart are one. A stretch is placed at
the window that began it. Nothing is judged here: whether a firing was false is for
the labels (score.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_analytics.detectors import Detector
from flyball_analytics.replay import CALM, is_gated, with_looks
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_analytics.thresholds.metric import Metric, Point
from flyball_controller.core.baseline import confidence, expected_ratio
from flyball_controller.core.model import Decision, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, initial_state
from flyball_controller.core.step import step
from flyball_controller.core.threshold import trips_for

# One episode, one alarm: an operator who was woken is not woken again within half an hour.
JOIN_S = 1_800.0


class Row(NamedTuple):
    """What a rule held one window against; None where it has no such level.

    `level` is what it held for normal, `upper` where it begins to fire, `reset` under
    which it is clean again, `opens` where traffic would be cut; in the metric's unit.
    """

    start_s: float
    at_s: float
    period_s: float
    value: float
    firing: bool
    ready: bool
    level: float | None = None
    upper: float | None = None
    reset: float | None = None
    opens: float | None = None
    confidence: float | None = None


class Firing(NamedTuple):
    """One stretch over a threshold: start of its first window, when that was known, end of its last one."""

    start_s: float
    at_s: float
    end_s: float
    rows: int


class CoreRun(NamedTuple):
    """The production step over one target: a row per usable window, the circuit openings, the last state."""

    rows: tuple[Row, ...]
    opened_s: tuple[float, ...]
    state: State


def run_detector(metric: Metric, detector: Detector) -> list[Row]:
    """Return the verdict of a detector on every window, in the order of arrival.

    Args:
        metric: The history.
        detector: A fresh one; it must not have seen anything.
    """
    return list(_fed(metric.points, detector, metric.period_s))


def _fed(points: Iterable[Point], detector: Detector, period_s: float) -> Iterator[Row]:
    for point in points:
        said = detector.feed(point.start_s, point.value, period_s)
        yield Row(
            point.start_s,
            point.arrived_s,
            period_s,
            point.value,
            said.firing,
            said.ready,
            said.level,
            said.upper,
        )


def run_core(series: Series, policy: Policy) -> CoreRun:
    """Return what the production step saw in every window of a counted history.

    A window fires when the step names a trouble (its regime is none of the calm
    ones); that is a trip, whatever the budget in force lets it do about it. The
    levels are those that the window was held against, before it taught anything.
    """
    state = initial_state(policy)
    rows: list[Row] = []
    opened: list[float] = []
    for seen, look in with_looks(series.observations, period_s=series.period_s):
        before = state
        state, decision = step(before, seen, policy)
        if look or seen.quality not in (Quality.OK, Quality.PARTIAL) or seen.requests <= 0:
            continue
        if _opens(before, decision):
            opened.append(seen.start_s)
        trust = confidence(before.baseline, policy)
        expected = expected_ratio(before.baseline, seen.start_s, policy)
        trips = trips_for(policy, expected=expected, spread=before.baseline.spread, confidence=trust)
        rows.append(
            Row(
                seen.start_s,
                seen.arrived_s,
                seen.period_s,
                seen.failures / seen.requests,
                decision.regime not in CALM,
                True,
                expected,
                trips.retry,
                trips.reset_point,
                trips.open,
                trust,
            )
        )
    return CoreRun(tuple(rows), tuple(opened), state)


def _opens(before: State, decision: Decision) -> bool:
    """Return whether traffic is cut where it was not; what an operator forces is not a detection."""
    forced = decision.applied.circuit is CircuitState.FORCED_OPEN
    return is_gated(decision.applied) and not is_gated(before.law.applied) and not forced


def firings_of(rows: Iterable[Row], *, join_s: float = JOIN_S) -> list[Firing]:
    """Return the stretches over the threshold, oldest first; gaps up to `join_s` do not end one.

    Args:
        rows: Of one rule; sorted here by their window.
        join_s: Longest pause inside one firing, seconds, >= 0.
    """
    found: list[Firing] = []
    for row in sorted(rows, key=lambda row: row.start_s):
        if not row.firing:
            continue
        end_s = row.start_s + row.period_s
        if found and row.start_s - found[-1].end_s <= join_s:
            last = found[-1]
            found[-1] = Firing(last.start_s, last.at_s, end_s, last.rows + 1)
        else:
            found.append(Firing(row.start_s, row.at_s, end_s, 1))
    return found


def steps_of(rows: Iterable[Row], *, join_s: float = JOIN_S) -> list[Step]:
    """Return the rows as scoring takes them: a firing is an answer, and lasts until it ends.

    The rows inside a pause of a firing count as restricted, because whoever opens at a
    firing stays open there. Windows without a value are left out: they show nothing.
    """
    ordered = sorted(rows, key=lambda row: row.start_s)
    spans = firings_of(ordered, join_s=join_s)
    steps: list[Step] = []
    place = 0
    for row in ordered:
        if math.isnan(row.value):
            continue
        while place < len(spans) and spans[place].end_s <= row.start_s:
            place += 1
        inside = place < len(spans) and spans[place].start_s <= row.start_s
        onset = inside and spans[place].start_s == row.start_s
        steps.append(Step(row.start_s, row.at_s, row.period_s, onset, False, onset, inside, inside))
    return steps
