"""How fast a source may be asked: a token bucket, and patience when it says "too many requests".

Pure of clocks: the steady time and the sleep are given. The bucket counts metrics
(or queries), not calls, because that is what sources meter.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

T = TypeVar("T")
# Full-jitter exponential backoff. Source: M. Brooker, "Exponential Backoff and Jitter",
# AWS Architecture Blog (2015). Ten tries wait about two minutes in all.
BACKOFF_BASE_S = 0.5
BACKOFF_MAX_S = 30.0
TRIES_MAX = 10
# After a refusal the rate is halved, and grows back by this factor with every success.
RECOVERY = 1.05


class Bucket:
    """Lets `rate_per_s` tokens pass, `burst` at once.

    Args:
        rate_per_s: Tokens per second, > 0.
        burst: Tokens that may be saved up, > 0.
        steady_s: Seconds that never run backward.
        sleep: Waits so many seconds.

    >>> waits = []
    >>> bucket = Bucket(10.0, 10.0, lambda: 0.0, waits.append)
    >>> bucket.take(10.0), bucket.take(5.0), waits
    (None, None, [0.5])
    """

    def __init__(
        self, rate_per_s: float, burst: float, steady_s: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._full_rate = self._rate = rate_per_s
        self._burst = burst
        self._steady_s, self._sleep = steady_s, sleep
        self._tokens = burst
        self._at_s = steady_s()

    def take(self, tokens: float) -> None:
        """Wait until so many tokens are there, and take them; more than `burst` leave a debt."""
        now_s = self._steady_s()
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        self._tokens -= tokens
        if self._tokens < 0.0:
            wait_s = -self._tokens / self._rate
            self._sleep(wait_s)
            self._tokens = 0.0
            self._at_s = max(self._steady_s(), now_s + wait_s)

    def refused(self) -> None:
        """Halve the rate: the source said that it is too much."""
        self._rate = max(self._full_rate / 64.0, self._rate / 2.0)

    def accepted(self) -> None:
        """Let the rate grow back."""
        self._rate = min(self._full_rate, self._rate * RECOVERY)


class Refused(Exception):  # noqa: N818 - a signal between a source and `patiently`
    """The source refuses for now; `cause` is what it said. `throttled`: because of our rate."""

    def __init__(self, cause: Exception, *, throttled: bool, after_s: float = 0.0) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.throttled = throttled
        self.after_s = after_s


def patiently(
    call: Callable[[], T],
    *,
    bucket: Bucket,
    tokens: float,
    sleep: Callable[[float], object],
    draws: Random,
    told: Callable[[str], object],
) -> T:
    """Return what a call gives; repeat it while the source refuses, at most TRIES_MAX times.

    Args:
        call: Raises Refused if it may go through later.
        bucket: Whose tokens each try costs.
        tokens: How many.
        sleep: Waits so many seconds.
        draws: For the jitter.
        told: Gets a sentence for the user after each refusal.

    Raises:
        Exception: What the last refusal was caused by.
    """
    for number in range(1, TRIES_MAX + 1):
        bucket.take(tokens)
        try:
            result = call()
        except Refused as refused:
            if refused.throttled:
                bucket.refused()
            if number == TRIES_MAX:
                raise refused.cause from None
            wait_s = draws.random() * min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0**number)
            wait_s = max(wait_s, refused.after_s)
            told(f"{refused}: waiting {wait_s:.1f} s (try {number} of {TRIES_MAX})")
            sleep(wait_s)
        else:
            bucket.accepted()
            return result
    raise AssertionError("unreachable")  # pragma: no cover
