"""Values of the last so many seconds, with their mean, spread, median and median deviation kept up to date.

What the reference detectors are written with. Adding a value costs O(1) for
`Rolling` and a shift of a sorted list for `SortedWindow`; nothing is recomputed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque


class Rolling:
    """Count, mean and standard deviation of the values newer than `span_s`."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._values: deque[tuple[float, float]] = deque()
        self._shift = 0.0
        self._sum = 0.0
        self._squares = 0.0

    def drop_before(self, at_s: float) -> None:
        """Forget what is as old as the span, or older, at `at_s`."""
        while self._values and self._values[0][0] <= at_s - self._span_s:
            old = self._values.popleft()[1] - self._shift
            self._sum -= old
            self._squares -= old * old

    def add(self, at_s: float, value: float) -> None:
        """Add the value of `at_s`, newer than all before, and forget what is too old."""
        self.drop_before(at_s)
        if not self._values:
            # Sums of differences from a value of the series: squares of large values would drown the spread.
            self._shift, self._sum, self._squares = value, 0.0, 0.0
        self._values.append((at_s, value))
        self._sum += value - self._shift
        self._squares += (value - self._shift) ** 2

    def __len__(self) -> int:
        """Values in the window."""
        return len(self._values)

    @property
    def mean(self) -> float:
        """Mean; NaN without values."""
        return self._shift + self._sum / len(self._values) if self._values else math.nan

    @property
    def sd(self) -> float:
        """Population standard deviation; NaN without values."""
        count = len(self._values)
        if not count:
            return math.nan
        variance = self._squares / count - (self._sum / count) ** 2
        return math.sqrt(variance) if variance > 0.0 else 0.0


class SortedWindow:
    """Median and median absolute deviation of the values newer than `span_s`."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._values: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    def add(self, at_s: float, value: float) -> None:
        """Add the value of `at_s`, newer than all before, and forget what is too old."""
        while self._values and self._values[0][0] <= at_s - self._span_s:
            del self._sorted[bisect_left(self._sorted, self._values.popleft()[1])]
        self._values.append((at_s, value))
        insort(self._sorted, value)

    def __len__(self) -> int:
        """Values in the window."""
        return len(self._sorted)

    @property
    def median(self) -> float:
        """Lower median; NaN without values."""
        return self._sorted[(len(self._sorted) - 1) // 2] if self._sorted else math.nan

    @property
    def mad(self) -> float:
        """Lower median of the distances from the median; NaN without values.

        Distances rise on either side of the median, so the k-th smallest is found
        by halving: i of them from the left, k - i from the right.
        """
        values = self._sorted
        if not values:
            return math.nan
        middle = (len(values) - 1) // 2
        centre = values[middle]
        rank = middle + 1  # this many smallest distances, the centre's own 0 among them
        low, high = max(0, rank - (len(values) - middle)), min(rank, middle)
        while low < high:
            taken = (low + high) // 2  # from the left; rank - taken from the centre and the right
            # Too few from the left if the next one there is nearer than the last one taken on the right.
            if centre - values[middle - taken - 1] < values[middle + rank - taken - 1] - centre:
                low = taken + 1
            else:
                high = taken
        left_far = centre - values[middle - low] if low > 0 else 0.0
        right_far = values[middle + rank - low - 1] - centre if rank > low else 0.0
        return max(left_far, right_far)
