"""What one period of one metric is made of, and the statistics read from it.

A bucket keeps sums and, when more than one distinct value came, how often each
value came: that is what percentiles need. A statistic set (count, sum, minimum,
maximum) hides its values, so a bucket that took one answers no percentile any
more, as in CloudWatch. Knows nothing of time, keys or wire formats.

Percentiles are nearest-rank over the kept values: the smallest value with at
least p % of the samples at or below it. AWS does not document its own estimate;
nearest-rank is exact on the values given, always an observed value, and never
leaves [minimum, maximum].

Source: botocore service model "cloudwatch", PutMetricData and MetricDatum.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

StatisticOf = Callable[["Bucket"], float | None]

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100(?:\.0{1,10})?)\Z")


class Bucket:
    """Samples of one metric in one period; grows by `add`, `add_set` and `merge`.

    `values` is None while every sample had the same value (minimum == maximum
    says which), a value -> count map after that, and unusable once `hidden`.
    """

    __slots__ = ("count", "hidden", "maximum", "minimum", "total", "values")

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.values: dict[float, float] | None = None
        self.hidden = False

    def add(self, value: float, count: float) -> None:
        """Take `count` > 0 samples of `value`."""
        values = self.values
        if values is not None:
            values[value] = values.get(value, 0.0) + count
        elif self.count and (value != self.minimum or value != self.maximum) and not self.hidden:
            # Second distinct value: from here on percentiles need the map.
            self.values = {self.minimum: self.count, value: count}
        self.count += count
        self.total += value * count
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value

    def add_set(self, count: float, total: float, minimum: float, maximum: float) -> None:
        """Take a statistic set; keeps percentiles only if all its samples must have been equal."""
        if minimum == maximum and total == minimum * count:
            self.add(minimum, count)
            return
        self.hidden = True
        self.values = None
        self._absorb(count, total, minimum, maximum)

    def merge(self, other: Bucket) -> None:
        """Take all samples of `other`, which keeps its own."""
        if not other.count:
            return
        if other.hidden:
            self.hidden = True
            self.values = None
        elif not self.hidden:
            self._merge_values(other)
        self._absorb(other.count, other.total, other.minimum, other.maximum)

    def _merge_values(self, other: Bucket) -> None:
        alike = not self.count or self.minimum == self.maximum == other.minimum
        if self.values is None and other.values is None and alike:
            return  # still one distinct value
        theirs = other.values or {other.minimum: other.count}
        if self.values is None:
            self.values = {self.minimum: self.count} if self.count else {}
        mine = self.values
        for value, count in theirs.items():
            mine[value] = mine.get(value, 0.0) + count

    def _absorb(self, count: float, total: float, minimum: float, maximum: float) -> None:
        self.count += count
        self.total += total
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)

    def percentile(self, percent: float) -> float | None:
        """Return the nearest-rank percentile, `percent` in [0, 100]; None if samples are hidden in sets."""
        if self.hidden or not self.count:
            return None
        if self.values is None:
            return self.minimum
        wanted = percent / 100.0 * self.count
        seen = 0.0
        for value in sorted(self.values):
            seen += self.values[value]
            if seen >= wanted:
                return value
        return self.maximum  # counts are floats: the sum may end a hair below p100


def merged(parts: list[Bucket]) -> Bucket:
    """Return one bucket with the samples of all `parts` (at least one); a single part is returned itself."""
    if len(parts) == 1:
        return parts[0]
    whole = Bucket()
    for part in parts:
        whole.merge(part)
    return whole


class StatisticSet(NamedTuple):
    """A client-side aggregate: samples whose single values are not known."""

    samples: float
    total: float
    minimum: float
    maximum: float


_BASIC: dict[str, StatisticOf] = {
    "Sum": lambda b: b.total,
    "SampleCount": lambda b: b.count,
    "Average": lambda b: b.total / b.count,
    "Minimum": lambda b: b.minimum,
    "Maximum": lambda b: b.maximum,
}
_percentiles: dict[str, StatisticOf] = {}


def statistic(name: str) -> StatisticOf | None:
    """Return the function behind a CloudWatch statistic name, or None if there is none here.

    Args:
        name: Sum, SampleCount, Average, Minimum, Maximum or pNN[.N] with 0 <= NN <= 100.
            Trimmed statistics (tm, wm, tc, ts, pr, iqm) are not offered.

    >>> b = Bucket()
    >>> b.add(1.0, 9); b.add(5.0, 1)
    >>> [statistic(s)(b) for s in ("Sum", "p90", "p91")]
    [14.0, 1.0, 5.0]
    """
    found = _BASIC.get(name) or _percentiles.get(name)
    if found is None and (match := _PERCENTILE.fullmatch(name)):
        percent = float(match[1])

        def found(bucket: Bucket) -> float | None:
            return bucket.percentile(percent)

        _percentiles[name] = found
    return found


def percent_of(name: str) -> float | None:
    """Return NN of a pNN statistic, None for every other name."""
    match = _PERCENTILE.fullmatch(name)
    return float(match[1]) if match else None
