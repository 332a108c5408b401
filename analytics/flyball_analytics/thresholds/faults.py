"""Faults of a stated size set into a recorded history, to ask what a threshold would have missed.

Without labels a history shows how often a threshold fires, not what it fails to see.
A known fault, put into the recording at places that nobody chose, answers the second
question for any history: a threshold that is quiet because it is deaf is found out.
The places are evenly spread, not drawn: equal inputs give equal histories.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.thresholds.metric import Metric, Point
from flyball_controller.core.model import Observation, Quality

FAULTS = 12
# What an operator wants to hear of within minutes: one request in ten fails, or three times the usual.
FAULT_RATIO = 0.10
FAULT_MULTIPLE = 3.0
FAULT_S = 900.0
FAULT_ROWS_MIN = 3
LEARNING_SHARE = 0.15  # as NAB's probation: nothing is asked of a rule before it


class Faulted(NamedTuple):
    """A history with faults in it; `labels` says where, `ratio` or `multiple` how large each is."""

    metric: Metric
    labels: Labels
    words: str


def with_faults(metric: Metric, *, count: int = FAULTS) -> Faulted:
    """Return the history with `count` faults of a quarter of an hour (at least three windows).

    An error ratio is raised to 10 %, or to three times its median if that is more; any
    other metric to three times what it was. Windows without a value stay as they are.

    Args:
        metric: At least `count` x 10 windows, or the faults would be most of it.
        count: How many faults, > 0.
    """
    starts = [point.start_s for point in metric.points]
    length = max(FAULT_ROWS_MIN, math.ceil(FAULT_S / metric.period_s))
    first = int(LEARNING_SHARE * len(starts))
    room = (len(starts) - first) / count
    places = [first + int((number + 0.5) * room) for number in range(count)]
    spans = [(starts[place], starts[min(place + length, len(starts)) - 1]) for place in places]
    incidents = tuple(
        Incident(begin, end, begin, end + metric.period_s, "set in for this question") for begin, end in spans
    )
    labels = Labels(incidents, probation=first)
    if metric.series is None:
        points = tuple(
            point._replace(value=FAULT_MULTIPLE * point.value) if labels.incident_at(point.start_s) else point
            for point in metric.points
        )
        return Faulted(metric._replace(points=points), labels, f"{FAULT_MULTIPLE:g} times the usual value")
    ratio = min(1.0, max(FAULT_RATIO, FAULT_MULTIPLE * _median(metric.points)))
    observations = tuple(
        _failing(seen, ratio) if labels.incident_at(seen.start_s) else seen
        for seen in metric.series.observations
    )
    series = metric.series._replace(observations=observations)
    return Faulted(metric._replace(series=series), labels, f"{100.0 * ratio:.3g} % of the requests fail")


def _failing(seen: Observation, ratio: float) -> Observation:
    """Return the window with at least this share of its requests failed, fast."""
    if seen.quality not in (Quality.OK, Quality.PARTIAL):
        return seen
    more = math.ceil(ratio * seen.requests) - seen.failures
    return seen._replace(errors_fast=seen.errors_fast + more) if more > 0 else seen


def _median(points: Sequence[Point]) -> float:
    there = sorted(point.value for point in points if not math.isnan(point.value))
    return there[len(there) // 2] if there else 0.0
