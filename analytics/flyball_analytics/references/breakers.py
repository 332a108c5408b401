"""References that cut off a target altogether: circuit breakers, one per environment.

Each is wrapped by three retries, and every attempt passes it, as the usual
decorators are stacked (retry outside, breaker inside). A retry that meets an
open breaker ends the call: the breaker stays open longer than any back-off.

Common form: CLOSED -> OPEN for some time -> HALF_OPEN with a few permits ->
CLOSED or OPEN. What differs is what opens, for how long, and what closes.
"""

from __future__ import annotations

import math
from collections import deque

from flyball.outcome import Outcome, RejectReason
from flyball_analytics.references.base import (
    Recent,
    ReferenceCall,
    ReferenceTarget,
    Rule,
    is_failure,
    second_draw,
)

NEVER = float("inf")


class Breaker(Rule):
    """The common form. A subclass says when to open (`tripped`), for how long, and when probing has decided.

    `probing` is True in HALF_OPEN. Permits of an earlier round mean nothing in a
    later one: a call carries the round's number in its mark.
    """

    __slots__ = ("_permits", "_round", "open_until_s", "probing")

    permits_max = 1  # calls under way at once in HALF_OPEN

    def __init__(self) -> None:
        self.open_until_s = -NEVER
        self.probing = False
        self._permits = 0
        self._round = 0

    def is_open(self, now_s: float) -> bool:
        """Return whether calls are refused now, probes apart."""
        return now_s < self.open_until_s

    def admit(self, call: ReferenceCall, now_s: float, draw: float) -> RejectReason | None:
        """Let in a call that the state allows, and give it a permit of this round."""
        if self.is_open(now_s):
            return RejectReason.CIRCUIT_OPEN
        if self.open_until_s > -NEVER and not self.probing:
            self._enter(probing=True)
        if self.probing:
            if self._permits >= self.permits_max:
                return RejectReason.CIRCUIT_OPEN
            self._permits += 1
        call.mark = self._round
        return None

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """A retry passes the breaker like any attempt."""
        return self.admit(call, now_s, draw) is None

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Give the permit back and learn from the outcome, if it belongs to this round."""
        if call.mark != self._round:
            return
        call.mark = -1
        if self.probing:
            self._permits -= 1
        if outcome is Outcome.SUCCESS or is_failure(outcome):
            self.learn(outcome is Outcome.SUCCESS, now_s, second_draw(draw))

    def ended(self, call: ReferenceCall, outcome: Outcome | None, now_s: float) -> None:
        """Give back the permit of an abandoned call."""
        if call.mark == self._round and self.probing:
            self._permits -= 1
        call.mark = -1

    def learn(self, good: bool, now_s: float, draw: float) -> None:
        """Count an outcome of this round and change the state if it decides."""
        raise NotImplementedError

    def forget(self) -> None:
        """Begin to count anew."""
        raise NotImplementedError

    def open(self, now_s: float, *, for_s: float) -> None:
        """Refuse everything for so long."""
        self.open_until_s = now_s + for_s
        self._enter(probing=False)

    def close(self) -> None:
        """Let everything through."""
        self.open_until_s = -NEVER
        self._enter(probing=False)

    def _enter(self, *, probing: bool) -> None:
        self.probing = probing
        self._permits = 0
        self._round += 1
        self.forget()


class CountWindowBreaker(Breaker):
    """Resilience4j's breaker: open at 50 % failures over the last 100 calls, once `min_calls` were seen.

    Open for 60 s; then 10 calls are permitted, and when all have ended the same
    ratio decides between closed and open for another 60 s. The library's default
    is min_calls = 100. An environment that makes one call at a time needs minutes
    to see 100, so with the default it seldom opens at all; the registry uses 10,
    the best case for it.

    Source: resilience4j/resilience4j, CircuitBreakerConfig (defaults).
    """

    __slots__ = ("_bad", "_calls", "min_calls")

    permits_max = 10
    WINDOW_CALLS = 100
    OPEN_S = 60.0
    FAILURE_RATIO = 0.5

    def __init__(self, *, min_calls: int = 100) -> None:
        self.min_calls = min_calls
        self._calls: deque[bool] = deque(maxlen=self.WINDOW_CALLS)
        self._bad = 0
        super().__init__()

    def admit(self, call: ReferenceCall, now_s: float, draw: float) -> RejectReason | None:
        """Permit ten calls a round in HALF_OPEN, not ten at once."""
        if self.probing and len(self._calls) + self._permits >= self.permits_max:
            return RejectReason.CIRCUIT_OPEN
        return super().admit(call, now_s, draw)

    def learn(self, good: bool, now_s: float, draw: float) -> None:
        """Move the window by one call."""
        calls = self._calls
        if len(calls) == self.WINDOW_CALLS:
            self._bad -= not calls[0]
        calls.append(good)
        self._bad += not good
        if len(calls) < (self.permits_max if self.probing else self.min_calls):
            return
        if self._bad >= self.FAILURE_RATIO * len(calls):
            self.open(now_s, for_s=self.OPEN_S)
        elif self.probing:
            self.close()

    def forget(self) -> None:
        """Empty the window."""
        self._calls.clear()
        self._bad = 0


def resilience4j_breaker(*, min_calls: int = 10) -> ReferenceTarget:
    """Return three retries around a Resilience4j-like breaker; see CountWindowBreaker for `min_calls`."""
    return ReferenceTarget(CountWindowBreaker(min_calls=min_calls), attempts=4)


class ConsecutiveBreaker(Breaker):
    """Powertools for AWS Lambda's breaker: open after 5 failures in a row, for 30 s; 3 good probes close.

    One probe at a time; a failed one opens for another 30 s. Failures are counted
    per environment, as in the library. With its DynamoDB store an opened state is
    shared by the fleet; here it is not (its in-memory store), which favours it
    where failures are partial: five in a row anywhere would cut off everybody.

    Source: aws-powertools/powertools-lambda-python, utilities/circuit_breaker
    (CircuitBreakerConfig).
    """

    __slots__ = ("_bad", "_good")

    FAILURES = 5
    OPEN_S = 30.0
    SUCCESSES = 3

    def __init__(self) -> None:
        self._bad = 0
        self._good = 0
        super().__init__()

    def learn(self, good: bool, now_s: float, draw: float) -> None:
        """Count runs of failures, or of successes while probing."""
        self._bad = 0 if good else self._bad + 1
        self._good = self._good + 1 if good else 0
        if self._bad >= (1 if self.probing else self.FAILURES):
            self.open(now_s, for_s=self.OPEN_S)
        elif self.probing and self._good >= self.SUCCESSES:
            self.close()

    def forget(self) -> None:
        """Begin both runs anew."""
        self._bad = self._good = 0


def powertools_breaker() -> ReferenceTarget:
    """Return three retries around a Powertools-like breaker; see ConsecutiveBreaker."""
    return ReferenceTarget(ConsecutiveBreaker(), attempts=4)


class FailureAccrual(Breaker):
    """Finagle's failure accrual: dead after 5 failures in a row, or at a success rate below 0.8 over 30 s.

    The rate is an average with time constant 30 s (weight exp(-gap/30)); it
    counts once 30 s have passed since the start or the last revival and at least
    5 requests fell into the last 30 s. Dead for 5 s, doubling to 300 s, half of
    each interval jittered; one probe decides; success resets the doubling.

    In Finagle a dead node is only avoided by the load balancer: with no other
    node the call goes to it all the same. Here it is refused, as a breaker would;
    letting it pass would make this reference equal to three static retries.

    Source: twitter/finagle, liveness/FailureAccrualPolicy.scala and
    FailureAccrualFactory.scala.
    """

    __slots__ = ("_at_s", "_bad", "_deaths", "_rate", "_recent", "_since_s")

    FAILURES = 5
    RATE_MIN = 0.8
    WINDOW_S = 30.0
    REQUESTS_MIN = 5
    DEAD_S = 5.0
    DEAD_MAX_S = 300.0

    def __init__(self) -> None:
        self._recent = Recent(self.WINDOW_S)
        self._deaths = 0  # since the last revival
        self._bad = 0  # failures in a row
        self._rate = 1.0
        self._since_s = self._at_s = -1.0  # first and newest outcome; negative = nothing seen yet
        super().__init__()

    def learn(self, good: bool, now_s: float, draw: float) -> None:
        """Update run and rate; die, or be revived by a good probe."""
        if good and self.probing:
            self.close()
            self._revive()
        self._update(1.0 if good else 0.0, now_s)
        self._bad = 0 if good else self._bad + 1
        if good:
            return
        requests, _ = self._recent.sums(now_s)
        low = (
            now_s - self._since_s >= self.WINDOW_S
            and self._rate < self.RATE_MIN
            and requests >= self.REQUESTS_MIN
        )
        if self.probing or low or self._bad >= self.FAILURES:
            self.open(now_s, for_s=self.dead_s(draw))
            self._deaths += 1

    def dead_s(self, draw: float) -> float:
        """Return how long the next death lasts, in seconds; `draw` uniform in [0, 1)."""
        whole_s = min(self.DEAD_MAX_S, self.DEAD_S * 2.0**self._deaths)
        return whole_s / 2.0 + draw * whole_s / 2.0

    def forget(self) -> None:
        """Keep everything: only a revival forgets."""

    def _update(self, value: float, now_s: float) -> None:
        self._recent.add(now_s, 1.0, 0.0)
        if self._since_s < 0.0:
            self._since_s = self._at_s = now_s
            self._rate = value
            return
        weight = math.exp(-(now_s - self._at_s) / self.WINDOW_S)
        self._rate = value + weight * (self._rate - value)
        self._at_s = now_s

    def _revive(self) -> None:
        self._deaths = 0
        self._bad = 0
        self._rate = 1.0
        self._since_s = self._at_s = -1.0
        self._recent.clear()


def finagle_accrual() -> ReferenceTarget:
    """Return three retries around Finagle's failure accrual; see FailureAccrual."""
    return ReferenceTarget(FailureAccrual(), attempts=4)
