"""Rules that people write first: a fixed level, a multiple of a mean, a mean plus spreads, chance.

Each learns from every value, its own alarms included, as it does where it is used:
that it learns the incident is the point of the comparison. None fires before it has
seen ROWS_MIN rows; the same holds for ours.
"""

from __future__ import annotations

import math
import random

from flyball_analytics.detectors.base import Verdict
from flyball_analytics.detectors.windows import Rolling

ROWS_MIN = 12
WEEK_S = 604_800.0
FIXED_SHARE = 0.15  # of the rows, as NAB's probation
FIXED_ROWS_MAX = 750
RANDOM_SEED = 20

_PENDING = Verdict(False, None, None, False)


class Fixed:
    """Mean plus three standard deviations of the first 15 % of the rows, then never changed."""

    def __init__(self, rows: int, *, k: float = 3.0) -> None:
        """`rows`: length of the history, of which 15 % (at most 750, at least 12 rows) are learned from."""
        self._rows = max(ROWS_MIN, min(int(FIXED_SHARE * rows), FIXED_ROWS_MAX))
        self._seen = Rolling(math.inf)
        self._k = k
        self._upper = math.inf

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value is over the level of the beginning."""
        if len(self._seen) < self._rows:
            if not math.isnan(value):
                self._seen.add(at_s, value)
                self._upper = self._seen.mean + self._k * self._seen.sd
            return _PENDING
        return Verdict(value > self._upper, self._seen.mean, self._upper, True)


class RollingMean:
    """A multiple of the mean of the last `span_s` seconds, or that mean plus `k` standard deviations."""

    def __init__(self, span_s: float, *, multiple: float = 1.0, k: float = 0.0) -> None:
        self._window = Rolling(span_s)
        self._multiple = multiple
        self._k = k
        self._rows = 0

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value is over the window before it."""
        if math.isnan(value):
            return _PENDING
        # The window ends where this row begins: the newest row in it is one period old.
        self._window.drop_before(at_s - period_s)
        verdict = _PENDING
        if self._rows >= ROWS_MIN and len(self._window):
            level = self._window.mean
            upper = self._multiple * level + (self._k * self._window.sd if self._k else 0.0)
            verdict = Verdict(value > upper, level, upper, True)
        self._window.add(at_s, value)
        self._rows += 1
        return verdict


class Ewma:
    """Exponentially forgotten mean plus `k` standard deviations (Roberts 1959; Finch 2009)."""

    def __init__(self, *, half_life_s: float = 21_600.0, k: float = 3.0) -> None:
        self._half_life_s = half_life_s
        self._k = k
        self._mean = 0.0
        self._variance = 0.0
        self._rows = 0
        self._at_s = -math.inf

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value is over the band, then learn it."""
        if math.isnan(value):
            return _PENDING
        upper = self._mean + self._k * math.sqrt(self._variance)
        ready = self._rows >= ROWS_MIN
        verdict = Verdict(value > upper, self._mean, upper, True) if ready else _PENDING
        passed_s = max(period_s, at_s - self._at_s) if self._rows else period_s
        rate = max(1.0 - 2.0 ** (-passed_s / self._half_life_s), 1.0 / (self._rows + 1))
        deviation = value - self._mean
        self._mean += rate * deviation
        self._variance = (1.0 - rate) * (self._variance + rate * deviation * deviation)
        self._rows += 1
        self._at_s = at_s
        return verdict


class Random:
    """Fires by lot, about once a week: what chance alone catches, and what a score gives it for that."""

    def __init__(self, *, per_week: float = 1.0, seed: int = RANDOM_SEED) -> None:
        self._draw = random.Random(seed)
        self._per_s = per_week / WEEK_S

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return a verdict that owes nothing to the value."""
        return Verdict(self._draw.random() < self._per_s * period_s, None, None, True)
