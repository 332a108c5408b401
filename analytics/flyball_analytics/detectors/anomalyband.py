"""A band as CloudWatch anomaly detection describes its own: seasonal, in standard deviations, retrained.

The real model is closed. What is published and imitated here: it learns from up to
two weeks, knows hourly, daily and weekly patterns, draws expected value +- n standard
deviations (2 unless chosen), clamps at what the metric can be, and says
PENDING_TRAINING until it has enough. Here the expected value is the mean of the
time's quarter hour of the day (of the quarter hour of the week, once two weeks are
known) plus what the minute of the hour adds to that for windows of at most five
minutes; the spread is that of the residuals. Retrained every six hours.

Source: Amazon CloudWatch user guide, "Using CloudWatch anomaly detection".
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from flyball_analytics.detectors.base import Verdict

DAY_S = 86_400.0
TRAINED_ON_S = 14.0 * DAY_S
TRAINED_FROM_S = DAY_S  # less is PENDING_TRAINING
RETRAINED_S = 21_600.0
QUARTER_S = 900.0
QUARTERS_OF_DAY = 96
QUARTERS_OF_WEEK = 7 * QUARTERS_OF_DAY
FINE_S = 300.0
BAND_SD = 2.0


class AnomalyBand:
    """Seasonal mean plus `k` standard deviations of the residuals of the last two weeks."""

    def __init__(self, *, k: float = BAND_SD) -> None:
        self._k = k
        self._rows: deque[tuple[float, float]] = deque()
        self._from_s = math.nan
        self._trained_s = -math.inf
        self._quarters: dict[int, float] = {}
        self._slots = QUARTERS_OF_DAY
        self._minutes: dict[int, float] = {}
        self._mean = 0.0
        self._sd = 0.0

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value is over the band; not ready while the training is pending."""
        if math.isnan(value):
            return Verdict(False, None, None, False)
        if not self._rows:
            self._from_s = at_s
        ready = at_s - self._from_s >= TRAINED_FROM_S
        verdict = Verdict(False, None, None, False)
        if ready:
            if at_s - self._trained_s >= RETRAINED_S:
                self._train(at_s, period_s)
            level = self._expected(at_s)
            upper = level + self._k * self._sd
            verdict = Verdict(value > upper, level, upper, True)
        self._rows.append((at_s, value))
        return verdict

    def _train(self, at_s: float, period_s: float) -> None:
        while self._rows[0][0] < at_s - TRAINED_ON_S:
            self._rows.popleft()
        self._trained_s = at_s
        self._mean = math.fsum(v for _, v in self._rows) / len(self._rows)
        full = at_s - self._from_s >= TRAINED_ON_S
        self._slots = QUARTERS_OF_WEEK if full else QUARTERS_OF_DAY
        self._minutes = {}
        self._quarters = _means((int(t // QUARTER_S) % self._slots, v) for t, v in self._rows)
        if period_s <= FINE_S:
            self._minutes = _means((int(t // 60.0) % 60, v - self._expected(t)) for t, v in self._rows)
        self._sd = math.sqrt(math.fsum((v - self._expected(t)) ** 2 for t, v in self._rows) / len(self._rows))

    def _expected(self, at_s: float) -> float:
        quarter = self._quarters.get(int(at_s // QUARTER_S) % self._slots, self._mean)
        return quarter + self._minutes.get(int(at_s // 60.0) % 60, 0.0)


def _means(pairs: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the mean of the values of each key."""
    sums: dict[int, tuple[float, int]] = {}
    for key, value in pairs:
        total, count = sums.get(key, (0.0, 0))
        sums[key] = (total + value, count + 1)
    return {key: total / count for key, (total, count) in sums.items()}
