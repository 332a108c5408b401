"""What every reference client shares: one environment's view of a target, with its rules plugged in.

The closed-loop plant asks a client to `begin` a call, makes the attempts, and
reports each with `finish`, exactly as it does with `flyball.call.Target`. So a
`ReferenceTarget` can stand where the real client stands, and a difference
between two runs is the algorithm and nothing else. What an algorithm is lives
in a `Rule`: refuse a call, make it wait, or forbid a retry.

One instance belongs to one execution environment, as every library here keeps
its state per client object. That a budget or a breaker then sees few calls is
not a defect of the model but the point of the comparison.

A rule must never know the plant, other environments or the future: it sees its
own calls, the time and a uniform draw. Sources of the formulas: each rule.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from flyball.outcome import Counters, Outcome, Rejected, RejectReason

ATTEMPT_TIMEOUT_S = 1.0
MIN_ATTEMPT_S = 0.010  # a retry with less than this left before its deadline is not begun
_LOW_BITS = 2.0**26


class Backoff(NamedTuple):
    """Exponential growth with full jitter: U(0, 1) * min(cap, base * 2^(retry - 1)).

    A throttled attempt may have its own base. `retry_after_extra_s` is how far a
    target's demand may move the wait: it is honoured within [t, t + extra], as
    the AWS SDKs do; 0 ignores it.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).

    >>> Backoff(base_s=0.1, cap_s=2.0).delay_s(3, Outcome.ERROR_FAST, 0.5)
    0.2
    """

    base_s: float = 0.1
    cap_s: float = 2.0
    throttle_base_s: float = 0.1
    retry_after_extra_s: float = 0.0

    def delay_s(self, retry: int, outcome: Outcome, draw: float, retry_after_s: float | None = None) -> float:
        """Return the seconds before retry number `retry` (from 1); `draw` uniform in [0, 1)."""
        base_s = self.throttle_base_s if outcome is Outcome.THROTTLE else self.base_s
        wait_s = draw * min(self.cap_s, base_s * 2.0 ** (retry - 1))
        if retry_after_s is None:
            return wait_s
        return max(wait_s, min(retry_after_s, wait_s + self.retry_after_extra_s))


FULL_JITTER = Backoff()


class Rule:
    """One limit of a reference client. Every hook is neutral here; an algorithm overrides what it needs."""

    __slots__ = ()

    def admit(self, call: ReferenceCall, now_s: float, draw: float) -> RejectReason | None:
        """Return why the call is refused before its first attempt, or None to let it in."""
        return None

    def pause_s(self, now_s: float) -> float:
        """Take a permit for an attempt wanted at `now_s` and return how long it must wait for it, >= 0."""
        return 0.0

    def begun(self, call: ReferenceCall, now_s: float) -> None:
        """Note a call that every rule let in."""

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Note how an attempt ended; asked about a retry afterwards."""

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """Return whether a retry is allowed, and pay for it if so."""
        return True

    def ended(self, call: ReferenceCall, outcome: Outcome | None, now_s: float) -> None:
        """Note the end of a call and the outcome of its last attempt; None = abandoned without a verdict."""


class ReferenceTarget:
    """A client of one target in one environment: attempts, time-out, back-off, and rules in order.

    >>> target = ReferenceTarget(attempts=2)
    >>> call = target.begin(0.0, 0.5, idempotent=True)
    >>> call.finish(Outcome.TIMEOUT, now_s=1.0, draw=0.5, latency_ms=1_000.0)
    0.05
    >>> call.finish(Outcome.TIMEOUT, now_s=2.05, draw=0.5, latency_ms=1_000.0) is None
    True
    >>> target.counters.retries, target.counters.request_failures
    (1, 1)
    """

    __slots__ = ("attempts", "backoff", "counters", "rules", "timeout_s")

    def __init__(
        self,
        *rules: Rule,
        attempts: int,
        backoff: Backoff = FULL_JITTER,
        timeout_s: float = ATTEMPT_TIMEOUT_S,
    ) -> None:
        """`attempts` counts the first one, so 4 are three retries; >= 1."""
        if attempts < 1:
            raise ValueError(f"attempts={attempts!r} must be >= 1: the first attempt counts")
        self.rules = rules
        self.attempts = attempts
        self.backoff = backoff
        self.timeout_s = timeout_s
        self.counters = Counters()

    def begin(
        self, now_s: float, draw: float, *, deadline_s: float | None = None, idempotent: bool = False
    ) -> ReferenceCall | Rejected:
        """Return the call to make, or why none is to be made; arguments as of `flyball.call.Target.begin`."""
        if deadline_s is not None and now_s >= deadline_s:
            return self._reject(RejectReason.DEADLINE)
        call = ReferenceCall(self, deadline_s, idempotent)
        for rule in self.rules:
            reason = rule.admit(call, now_s, draw)
            if reason is not None:
                return self._reject(reason)
        for rule in self.rules:
            rule.begun(call, now_s)
            call.pause_s = max(call.pause_s, rule.pause_s(now_s))
        return call

    def _reject(self, reason: RejectReason) -> Rejected:
        self.counters.short_circuited += 1
        return Rejected(reason, 0.0)


class ReferenceCall:
    """One call over all its attempts. Made by `ReferenceTarget.begin`.

    `mark` belongs to the rules (a breaker writes there which probing round a
    call belongs to). `pause_s` is how long a rate limiter holds back the first
    attempt; the plant waits that long.
    """

    __slots__ = (
        "_deadline_s",
        "_first",
        "_idempotent",
        "_over",
        "_target",
        "attempt",
        "failed_with",
        "mark",
        "pause_s",
    )

    def __init__(self, target: ReferenceTarget, deadline_s: float | None, idempotent: bool) -> None:
        self._target = target
        self._deadline_s = deadline_s
        self._idempotent = idempotent
        self._first: Outcome | None = None
        self._over = False
        self.attempt = 1  # number of the attempt that is to be made or under way
        self.failed_with: Outcome | None = None  # outcome of the newest attempt that was repeated
        self.mark = -1
        self.pause_s = 0.0

    def timeout_s(self, now_s: float) -> float:
        """Return how long the attempt may take, in seconds, never past the deadline."""
        limit_s = self._target.timeout_s
        if self._deadline_s is not None:
            limit_s = min(limit_s, self._deadline_s - now_s)
        return max(0.0, limit_s)

    def finish(
        self,
        outcome: Outcome,
        *,
        now_s: float,
        draw: float,
        latency_ms: float,
        retry_after_s: float | None = None,
    ) -> float | None:
        """Record how the attempt ended; return the seconds to wait before the next, None if the call is over.

        Raises:
            RuntimeError: The call was over already.
        """
        if self._over:
            raise RuntimeError("this call is over: begin another one")
        target = self._target
        target.counters.latencies_ms.append(latency_ms)
        if self._first is None:
            self._first = outcome
        for rule in target.rules:
            rule.attempted(self, outcome, now_s, draw)
        wait_s = self._wait_s(outcome, now_s, draw, retry_after_s) if is_failure(outcome) else None
        if wait_s is None:
            self._end(outcome, self.attempt, now_s)
        else:
            self.failed_with = outcome
            self.attempt += 1
        return wait_s

    def abandon(self) -> None:
        """End the call without a verdict. Safe to call at any time."""
        if not self._over:
            self._end(None, self.attempt - 1, 0.0)

    def _wait_s(
        self, outcome: Outcome, now_s: float, draw: float, retry_after_s: float | None
    ) -> float | None:
        target = self._target
        if not self._idempotent or self.attempt >= target.attempts:
            return None
        wait_s = target.backoff.delay_s(self.attempt, outcome, draw, retry_after_s)
        if self._deadline_s is not None and now_s + wait_s + MIN_ATTEMPT_S > self._deadline_s:
            return None
        for rule in target.rules:
            if not rule.may_retry(self, outcome, now_s, draw):
                return None
        # A rate limiter's permit is taken when the attempt is due, not now.
        return wait_s + sum(rule.pause_s(now_s + wait_s) for rule in target.rules)

    def _end(self, outcome: Outcome | None, attempts: int, now_s: float) -> None:
        self._over = True
        target = self._target
        if attempts > 0:
            _count(target.counters, self._first, outcome, attempts)
        for rule in target.rules:
            rule.ended(self, outcome, now_s)


def is_failure(outcome: Outcome) -> bool:
    """Return whether an outcome is the target's failure: time-out, throttle or fast error."""
    return Outcome.SUCCESS < outcome < Outcome.PERMANENT


def second_draw(draw: float) -> float:
    """Return a number uniform in [0, 1), independent of the leading 26 bits of `draw`.

    The plant hands in one draw per ended attempt. Where the jitter uses it, a
    rule that refuses by chance must use other bits of it: otherwise the retries
    that pass would all have long waits.

    >>> second_draw(0.5)
    0.0
    """
    return draw * _LOW_BITS - math.floor(draw * _LOW_BITS)


class Recent:
    """Counts of two kinds over the last `window_s`, in slices of one second.

    A slice leaves as a whole, so the window is up to one second shorter. One
    second is what Envoy uses, and a tenth of Finagle's TTL as Finagle does.

    >>> recent = Recent(10.0)
    >>> recent.add(0.5, 1, 0); recent.add(9.9, 1, 1)
    >>> recent.sums(9.9), recent.sums(10.0)
    ((2.0, 1.0), (1.0, 1.0))
    """

    __slots__ = ("_first", "_second", "_slices", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._slices: deque[list[float]] = deque()  # second, first count, second count
        self._first = 0.0  # sums over all slices
        self._second = 0.0

    def add(self, now_s: float, first: float, second: float) -> None:
        """Add to both counts at `now_s`; times do not go back."""
        key = math.floor(now_s)
        if self._slices and self._slices[-1][0] == key:
            self._slices[-1][1] += first
            self._slices[-1][2] += second
        else:
            self._slices.append([key, first, second])
        self._first += first
        self._second += second

    def sums(self, now_s: float) -> tuple[float, float]:
        """Return both counts over the window that ends now."""
        slices, oldest = self._slices, math.floor(now_s) - self._window_s
        while slices and slices[0][0] <= oldest:
            _, first, second = slices.popleft()
            self._first -= first
            self._second -= second
        return self._first, self._second

    def clear(self) -> None:
        """Forget everything."""
        self._slices.clear()
        self._first = self._second = 0.0


def _count(counters: Counters, first: Outcome | None, last: Outcome | None, attempts: int) -> None:
    """Count a call that is over, as `flyball.call` does: failures by class are those of first attempts."""
    counters.requests += 1
    counters.retries += attempts - 1
    if first is Outcome.TIMEOUT:
        counters.timeouts += 1
    elif first is Outcome.THROTTLE:
        counters.throttles += 1
    elif first is Outcome.ERROR_FAST:
        counters.errors_fast += 1
    if last is Outcome.PERMANENT:
        counters.errors_permanent += 1
    elif last is not None and is_failure(last):
        counters.request_failures += 1
