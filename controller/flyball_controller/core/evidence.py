"""Evidence from counts: confidence bounds on a failure ratio, and the pool of windows they are taken over.

A raw ratio lies at low traffic (1 of 1 is 100 %). Decisions compare a bound:
trip when even the lower bound is over the threshold, call it clean when even
the upper bound is under it. Bursts make counts more variable than coin tosses;
`dispersion` (>= 1) shrinks the effective sample by that factor (quasi-binomial).

Source of the bound: Wilson, E. B. (1927), JASA 22 (158), 209-212.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple


class Window(NamedTuple):
    """Counts of one accepted window, as kept for pooling."""

    start_s: float
    period_s: float
    requests: int
    timeouts: int
    errors_fast: int
    throttles: int
    attempts: int
    request_failures: int  # -1 = not measured
    short_circuited: int

    @property
    def failures(self) -> int:
        """Failed first attempts of every class."""
        return self.timeouts + self.errors_fast + self.throttles


class Pool(NamedTuple):
    """Sums over the newest windows; `request_failures` is -1 if any window lacked it."""

    span_s: float = 0.0
    requests: int = 0
    timeouts: int = 0
    errors_fast: int = 0
    throttles: int = 0
    attempts: int = 0
    request_failures: int = 0
    short_circuited: int = 0

    @property
    def failures(self) -> int:
        """Failed first attempts of every class."""
        return self.timeouts + self.errors_fast + self.throttles


def wilson_bounds(
    failures: float, requests: float, *, z: float, dispersion: float = 1.0
) -> tuple[float, float]:
    """Return the lower and upper confidence bound of a failure ratio, both in [0, 1].

    Args:
        failures: Failed first attempts, 0 <= failures <= requests.
        requests: First attempts; 0 gives (0, 1): silence proves nothing.
        z: Normal quantile of the one-sided confidence, >= 0; 2.33 is 99 %, 0 gives the raw ratio.
        dispersion: Variance over that of independent failures, >= 1.

    >>> [round(b, 3) for b in wilson_bounds(3, 12, z=2.33)]
    [0.071, 0.592]
    >>> wilson_bounds(0, 0, z=2.33)
    (0.0, 1.0)
    """
    if requests <= 0:
        return 0.0, 1.0
    n = requests / dispersion
    ratio = failures / requests
    zz = z * z
    scale = 1.0 + zz / n
    middle = (ratio + zz / (2.0 * n)) / scale
    half = z * sqrt(ratio * (1.0 - ratio) / n + zz / (4.0 * n * n)) / scale
    low = middle - half
    high = middle + half
    # Rounding may push an exact 0 or 1 over the edge by an ulp.
    if low < 0.0 or failures <= 0:
        low = 0.0
    if high > 1.0 or failures >= requests:
        high = 1.0
    return low, high


def pool_windows(ring: tuple[Window, ...], *, enough: int, since_s: float, span_s_max: float) -> Pool:
    """Return the sums over the newest windows, as few as hold `enough` requests.

    Windows that began before `since_s` (the last own change) are never mixed in:
    they show another setting. At most `span_s_max` seconds are pooled.
    """
    span_s = 0.0
    requests = timeouts = errors_fast = throttles = attempts = request_failures = short_circuited = 0
    for window in reversed(ring):
        if window.start_s < since_s or requests >= enough or span_s + window.period_s > span_s_max:
            break
        span_s += window.period_s
        requests += window.requests
        timeouts += window.timeouts
        errors_fast += window.errors_fast
        throttles += window.throttles
        attempts += window.attempts
        short_circuited += window.short_circuited
        if request_failures >= 0:
            request_failures = (
                request_failures + window.request_failures if window.request_failures >= 0 else -1
            )
    return Pool(
        span_s, requests, timeouts, errors_fast, throttles, attempts, request_failures, short_circuited
    )


def push_window(
    ring: tuple[Window, ...], window: Window, *, keep_requests: int, span_s_max: float
) -> tuple[Window, ...]:
    """Return the ring with `window` appended and what can never be pooled again dropped.

    Busy targets need one window, quiet ones a quarter of an hour: older windows go
    as soon as the newer ones alone hold `keep_requests`, so that the state stays small.
    """
    kept: list[Window] = [window]
    requests = window.requests
    span_s = window.period_s
    for older in reversed(ring):
        if requests >= keep_requests or span_s + older.period_s > span_s_max or len(kept) >= RING_LENGTH_MAX:
            break
        kept.append(older)
        requests += older.requests
        span_s += older.period_s
    kept.reverse()
    return tuple(kept)


# Fifteen one-minute windows are the 15 min that control.md allows to pool; shorter periods pool less time.
RING_LENGTH_MAX = 15
