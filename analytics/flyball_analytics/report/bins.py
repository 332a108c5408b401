"""A long history in a bounded number of bins: what a picture of fixed width can show, and no more.

Each bin keeps the extremes, so that a spike of one window in a year is still drawn.
Memory is bounded by the number of bins, not by the history. Knows no policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

BINS_MAX = 480  # twice what a narrow screen has pixels for; a wide one stretches them


class Level(NamedTuple):
    """One window with requests, and the levels that it was held against; ratios 0..1."""

    at_s: float
    requests: int
    failures: int
    expected: float
    trip: float
    open_trip: float


@dataclass(slots=True)
class Bin:
    """One stretch of time. Ratios are shares of first attempts that failed, 0..1."""

    low: float = math.inf
    high: float = -math.inf
    requests: int = 0
    failures: int = 0
    expected: float = 0.0
    trip: float = 0.0
    open_trip: float = 0.0

    @property
    def ratio(self) -> float:
        """Failed share of all requests in it; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0


@dataclass(slots=True)
class Bins:
    """The bins of [from_s, to_s); those without a window are absent: silence is not zero."""

    from_s: float
    to_s: float
    width_s: float
    filled: dict[int, Bin] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many bins the span has."""
        return max(1, math.ceil((self.to_s - self.from_s) / self.width_s))

    def fill(self, levels: Iterable[Level]) -> None:
        """Take in the windows that start inside."""
        for at_s, requests, failures, expected, trip, open_trip in levels:
            if not self.from_s <= at_s < self.to_s:
                continue
            one = self.filled.setdefault(int((at_s - self.from_s) // self.width_s), Bin())
            ratio = failures / requests
            one.low, one.high = min(one.low, ratio), max(one.high, ratio)
            one.requests += requests
            one.failures += failures
            one.expected = max(one.expected, expected)
            one.trip = max(one.trip, trip)
            one.open_trip = max(one.open_trip, open_trip)

    def runs(self) -> list[list[tuple[int, Bin]]]:
        """Return the filled bins in order, cut where bins are missing."""
        found: list[list[tuple[int, Bin]]] = []
        for number in sorted(self.filled):
            if not found or number != found[-1][-1][0] + 1:
                found.append([])
            found[-1].append((number, self.filled[number]))
        return found


def bins_for(from_s: float, to_s: float, *, period_s: float, count_max: int = BINS_MAX) -> Bins:
    """Return empty bins over a span: whole windows each, at most `count_max` of them.

    Args:
        from_s: Start of the first window.
        to_s: End of the last one, > `from_s`.
        period_s: Length of a window, > 0.
        count_max: How many bins at most, >= 1.

    >>> bins_for(0.0, 6_000.0, period_s=60.0, count_max=30).width_s
    240.0
    """
    windows = max(1, math.ceil((to_s - from_s) / period_s))
    return Bins(from_s, to_s, period_s * math.ceil(windows / count_max))
