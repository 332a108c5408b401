"""Evidence from counts: the windows that are remembered, and the pool that bounds are taken over.

Busy targets show enough in one window; quiet ones need a quarter of an hour. The
bounds themselves are arithmetic, and so in kernel_bounds.py.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.core.kernel_bounds import wilson_bounds


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


NO_POOL = Pool()


def pool_windows(ring: tuple[Window, ...], enough: int, since_s: float, span_s_max: float) -> Pool:
    """Return the sums over the newest windows, as few as hold `enough` requests.

    Windows that began before `since_s` (the last own change) are never mixed in:
    they show another setting. At most `span_s_max` seconds are pooled.
    """
    if not ring:
        return NO_POOL
    newest = ring[-1]
    if newest.start_s < since_s or enough <= 0 or newest.period_s > span_s_max:
        return NO_POOL
    if newest.requests >= enough:
        return Pool._make(newest[1:])  # the sums over one window are its own counts, in the same order
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
    ring: tuple[Window, ...], window: Window, keep_requests: int, span_s_max: float
) -> tuple[Window, ...]:
    """Return the ring with `window` appended and what can never be pooled again dropped.

    Busy targets need one window, quiet ones a quarter of an hour: older windows go
    as soon as the newer ones alone hold `keep_requests`, so that the state stays small.
    """
    requests = window.requests
    if requests >= keep_requests:
        return (window,)
    kept = [window]
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

__all__ = ["NO_POOL", "RING_LENGTH_MAX", "Pool", "Window", "pool_windows", "push_window", "wilson_bounds"]
