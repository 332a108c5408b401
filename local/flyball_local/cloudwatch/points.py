"""Identity, bounds and retention of data points: what CloudWatch takes and for how long.

Shared by the store and by everything that feeds it; no state, no clock.

Source: botocore service model "cloudwatch", PutMetricData (bounds) and
GetMetricData (retention).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyball_local.cloudwatch.buckets import StatisticSet
from flyball_local.cloudwatch.errors import PointError

MINUTE_S = 60
FIVE_MINUTES_S = 300
HOUR_S = 3_600
DAY_S = 86_400
# (age up to which points answer, finest period there), finest first.
RETENTION = ((3 * HOUR_S, 1), (15 * DAY_S, MINUTE_S), (63 * DAY_S, FIVE_MINUTES_S), (455 * DAY_S, HOUR_S))
OLDEST_ACCEPTED_S = 14 * DAY_S
NEWEST_ACCEPTED_S = 2 * HOUR_S
# Bound of a value, both signs. Precedent: PutMetricData refuses what lies outside.
VALUE_ABS_MAX = 2.0**360
NO_UNIT = "None"


class MetricKey(NamedTuple):
    """One time series; dimensions sorted by name. Build it with `metric_key`."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class Points(NamedTuple):
    """Statistics of one series, oldest first; only periods that have data."""

    times_s: list[int]  # starts of the periods
    values: list[float]


def metric_key(
    namespace: str, name: str, dimensions: Mapping[str, str] | Iterable[tuple[str, str]] = ()
) -> MetricKey:
    """Return the identity of a series, whatever the order of its dimensions.

    >>> metric_key("n", "m", {"b": "2", "a": "1"}).dimensions
    (('a', '1'), ('b', '2'))
    """
    pairs = dimensions.items() if isinstance(dimensions, Mapping) else dimensions
    return MetricKey(namespace, name, tuple(sorted(pairs)))


def checked_value(value: float, field: str) -> float:
    """Return `value` as float if CloudWatch would store it; raise PointError otherwise."""
    number = float(value)
    if not math.isfinite(number) or abs(number) > VALUE_ABS_MAX:
        raise PointError(
            f"{field}={value!r} must be a finite number in [-2^360, 2^360]; leave the point out instead",
            field=field,
            value=value,
        )
    return number


def checked_samples(samples: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return (value, count) pairs as floats if CloudWatch would store them all, else raise PointError."""
    taken = tuple((checked_value(v, "Value"), checked_count(c)) for v, c in samples)
    if not taken:
        raise PointError("Values=[] must hold at least one value", field="Values", value=taken)
    return taken


def checked_set(aggregate: StatisticSet) -> StatisticSet:
    """Return the statistic set if CloudWatch would store it; raise PointError otherwise."""
    checked_count(aggregate.samples)
    for field, value in zip(("Sum", "Minimum", "Maximum"), aggregate[1:], strict=True):
        checked_value(value, field)
    if aggregate.minimum > aggregate.maximum:
        raise PointError(
            f"Minimum={aggregate.minimum!r} must not exceed Maximum={aggregate.maximum!r}",
            field="Minimum",
            value=aggregate.minimum,
        )
    return aggregate


def checked_time(at_s: float, now_s: float) -> float:
    """Return `at_s` if a point of that time is accepted at `now_s`, else raise PointError."""
    if not now_s - OLDEST_ACCEPTED_S <= at_s <= now_s + NEWEST_ACCEPTED_S:
        raise PointError(
            f"Timestamp={at_s!r} must lie between two weeks before and two hours after now ({now_s!r})",
            field="Timestamp",
            value=at_s,
        )
    return at_s


def checked_count(count: float) -> float:
    """Return a sample count as float if it is finite and positive, else raise PointError."""
    number = float(count)
    if not 0.0 < number < math.inf:
        raise PointError(
            f"Counts={count!r} must be a finite number greater than 0", field="Counts", value=count
        )
    return number
