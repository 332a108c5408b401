"""How many requests arrive, and when: open-loop callers with a daily shape and an hourly batch.

Open loop means that callers do not wait for each other: arrivals go on at the
same rate while the target is down, as they do behind a public API. That is the
hard case; a bounded pool of serial callers would throttle itself.

Nothing here knows what becomes of a request.
"""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

from flyball_analytics.plant.draws import poisson, stream

MINUTE_S = 60.0
DAY_S = 86_400.0


class Traffic(NamedTuple):
    """Mean rate and its shape.

    `swing_ratio` is the daily amplitude as a share of the mean (0 = flat),
    `peak_s` the second of the day with most traffic. For `batch_minutes` from
    the start of every hour the rate is multiplied by `batch_factor`.
    """

    mean_per_s: float
    swing_ratio: float = 0.0
    peak_s: float = 50_400.0  # 14:00
    batch_factor: float = 1.0
    batch_minutes: int = 0

    def is_batch(self, at_s: float) -> bool:
        """Return whether the hourly batch runs at this time.

        >>> Traffic(1.0, batch_factor=4.0, batch_minutes=3).is_batch(3600.0 + 179.0)
        True
        """
        return self.batch_minutes > 0 and int(at_s // MINUTE_S) % 60 < self.batch_minutes

    def rate_per_s(self, at_s: float) -> float:
        """Return the expected arrivals per second at this time.

        >>> Traffic(4.0, swing_ratio=0.5, peak_s=0.0).rate_per_s(43_200.0)
        2.0
        """
        angle = 2.0 * math.pi * (at_s - self.peak_s) / DAY_S
        rate = self.mean_per_s * (1.0 + self.swing_ratio * math.cos(angle))
        return rate * self.batch_factor if self.is_batch(at_s) else rate


def arrival_count(traffic: Traffic, minute: int, *, seed: int, service: str) -> tuple[int, Random]:
    """Return how many requests arrive in this minute, and the stream that places them.

    The rate is taken at the middle of the minute. Two callers with the same
    arguments get the same count, whatever else they have drawn.
    """
    rng = stream(seed, service, "arrivals", minute)
    return poisson(traffic.rate_per_s((minute + 0.5) * MINUTE_S) * MINUTE_S, rng), rng


def arrival_times(traffic: Traffic, minute: int, *, seed: int, service: str) -> list[float]:
    """Return the arrival times of this minute, sorted, in seconds; as many as `arrival_count` says.

    Given their number, the arrivals of a Poisson process are uniform over the minute.
    """
    count, rng = arrival_count(traffic, minute, seed=seed, service=service)
    start_s = minute * MINUTE_S
    return sorted(start_s + MINUTE_S * rng.random() for _ in range(count))
