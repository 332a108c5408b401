"""References that limit the number of attempts and nothing else, and the rule that switches that number.

Back-off and jitter spread retries over time; with callers that do not wait for
each other they do not make them fewer. So a fixed number R of retries feeds a
storm of its own while (R + 1) * utilisation > 1 (docs/theory/control.md).
"""

from __future__ import annotations

from flyball.contract import BreakerParams, RetryParams, TargetParams, ThrottleParams
from flyball.outcome import Counters
from flyball_analytics.references.base import ReferenceTarget

LADDER_TRIP_RATIO = 0.2
LADDER_ATTEMPTS_HIGH = 4
LADDER_ATTEMPTS_LOW = 2


def static_3() -> ReferenceTarget:
    """Return a client with three retries (four attempts), full jitter 100 ms to 2 s, and no other limit.

    What most services ship; sustains a storm of its own above 25 % utilisation.
    Source: common practice (docs/article.md); back-off: AWS Architecture Blog.
    """
    return ReferenceTarget(attempts=4)


def static_1() -> ReferenceTarget:
    """Return a client with one retry and no other limit; storms live above 50 % utilisation."""
    return ReferenceTarget(attempts=2)


def no_retries() -> ReferenceTarget:
    """Return a client that never repeats: no storm, and every failed attempt is a failed request."""
    return ReferenceTarget(attempts=1)


class LadderTarget(ReferenceTarget):
    """The client under the ladder rule: static attempts, whose number the published parameters set."""

    __slots__ = ("revision",)

    def __init__(self) -> None:
        super().__init__(attempts=LADDER_ATTEMPTS_HIGH)
        self.revision = -1

    def apply_params(self, params: TargetParams, revision: int) -> bool:
        """Obey the attempts of a document that is newer than the last; all else in it is not of this rule."""
        if revision <= self.revision:
            return False
        self.revision = revision
        self.attempts = params.retry.max_attempts
        return True


class LadderRule:
    """The literal rule: error rate of a minute over 20 % means 1 retry instead of 3; under it, one step back.

    A controller, called once for each closed minute with the sum of the fleet's
    counters; what it returns takes effect after the caller's own dead time
    (metric lag, deployment, polling). The rate is that of *attempts*, as a
    downstream's error metric shows it, hence inflated by the retries themselves:
    e = (retries + failed requests) / (requests + retries), because every retry
    follows a failed attempt. A minute without calls changes nothing.

    Source: the practice in docs/article.md ("3 -> 1 when errors exceed 20 %,
    back step by step"); why it ends no storm: docs/theory/control.md.

    >>> minute = Counters(); minute.requests, minute.retries, minute.request_failures = 100, 20, 11
    >>> LadderRule()(minute).retry.max_attempts  # 31 of 120 attempts failed: 26 %
    2
    """

    __slots__ = ("attempts",)

    def __init__(self) -> None:
        self.attempts = LADDER_ATTEMPTS_HIGH

    def __call__(self, minute: Counters) -> TargetParams:
        """Return the parameters to publish after this minute."""
        attempts = minute.requests + minute.retries
        if attempts > 0:
            failed = minute.retries + minute.request_failures
            if failed > LADDER_TRIP_RATIO * attempts:
                self.attempts = LADDER_ATTEMPTS_LOW
            else:
                self.attempts = min(LADDER_ATTEMPTS_HIGH, self.attempts + 1)
        return TargetParams(
            retry=RetryParams(max_attempts=self.attempts, budget_ratio=3.0, budget_burst=10.0),
            # Out of reach, should the parameters go to the real client.
            throttle=ThrottleParams(cap_ratio=0.0),
            breaker=BreakerParams(failure_ratio=1.0, min_calls=10_000, consecutive_failures=0),
        )
