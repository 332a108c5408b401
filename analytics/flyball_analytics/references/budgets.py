"""References that limit what share of the traffic may be repeated: quotas, budgets, token buckets.

All are kept per client object, so each execution environment has its own. Two
consequences decide what they are worth in a fleet of single-call environments:
a full bucket per environment multiplies with the number of environments that a
storm starts, and a floor ("at least 3 concurrent", "10 per second") is never
reached by an environment that holds one call at a time.
"""

from __future__ import annotations

from flyball.outcome import Outcome
from flyball_analytics.references.base import (
    Backoff,
    Recent,
    ReferenceCall,
    ReferenceTarget,
    Rule,
    is_failure,
)

AWS_ATTEMPTS = 3
AWS_TOKENS = 500
AWS_CAP_S = 20.0


class RetryQuota(Rule):
    """The AWS SDKs' retry quota: a retry costs tokens, a success brings some back.

    Formula: retry if cost <= tokens, then tokens -= cost. A call that succeeds
    without a retry returns 1; one that succeeds after retries returns what its
    last retry cost; never more than the capacity of 500. In the long run retries
    are at most 1/cost of the successes, after a burst of 500/cost per client.

    Source: boto/botocore, botocore/retries/standard.py and quota.py.
    """

    __slots__ = ("cost", "cost_throttle", "cost_timeout", "tokens")

    def __init__(self, *, cost: int, cost_timeout: int, cost_throttle: int) -> None:
        self.cost = cost
        self.cost_timeout = cost_timeout
        self.cost_throttle = cost_throttle
        self.tokens = AWS_TOKENS

    def _cost(self, outcome: Outcome) -> int:
        if outcome is Outcome.TIMEOUT:
            return self.cost_timeout
        return self.cost_throttle if outcome is Outcome.THROTTLE else self.cost

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """Take the cost of this retry, if the quota has it."""
        cost = self._cost(outcome)
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def ended(self, call: ReferenceCall, outcome: Outcome | None, now_s: float) -> None:
        """Return tokens for a success."""
        if outcome is Outcome.SUCCESS:
            back = 1 if call.failed_with is None else self._cost(call.failed_with)
            self.tokens = min(AWS_TOKENS, self.tokens + back)


def aws_standard_old() -> ReferenceTarget:
    """Return the AWS SDKs' standard mode before 2026-11: 3 attempts, cost 5, time-outs 10, U(0,1)*2^(i-1) s.

    Sustained retries 20 % of successes (time-outs 10 %), after a burst of 100
    (50) per client. Source: boto/botocore, retries/standard.py, mode version 2.0.
    """
    return ReferenceTarget(
        RetryQuota(cost=5, cost_timeout=10, cost_throttle=5),
        attempts=AWS_ATTEMPTS,
        backoff=Backoff(base_s=1.0, cap_s=AWS_CAP_S, throttle_base_s=1.0),
    )


def aws_2026_backoff() -> Backoff:
    """Return the back-off of the AWS SDKs since 2026-11: base 50 ms, 1 s when throttled, cap 20 s."""
    return Backoff(base_s=0.05, cap_s=AWS_CAP_S, throttle_base_s=1.0, retry_after_extra_s=5.0)


def aws_2026_quota() -> RetryQuota:
    """Return the quota of the AWS SDKs since 2026-11: cost 14, throttled 5, of 500."""
    return RetryQuota(cost=14, cost_timeout=14, cost_throttle=5)


def aws_standard_2026() -> ReferenceTarget:
    """Return the AWS SDKs' standard mode since 2026-11: 3 attempts, cost 14 (throttled 5), base 50 ms (1 s).

    Sustained retries 7 % of successes, after a burst of 35 per client. A target's
    demanded wait is honoured up to 5 s beyond the drawn one.
    Source: boto/botocore, retries/standard.py, mode version 2.1; AWS Developer
    Blog, "Updated default retry behavior".
    """
    return ReferenceTarget(aws_2026_quota(), attempts=AWS_ATTEMPTS, backoff=aws_2026_backoff())


class TtlBudget(Rule):
    """Finagle's RetryBudget: requests deposit for ten seconds, retries withdraw, a reserve is always there.

    Formula: a request deposits 1, a retry withdraws 1/ratio; both are forgotten
    after the TTL; a retry is allowed if balance + reserve covers it, where the
    reserve is worth `reserve_per_s * ttl_s` retries. Defaults: ratio 0.2, TTL
    10 s, 10 retries per second *per client*.

    An environment that holds one call at a time makes at most a few retries a
    second, so the reserve alone pays for all of them: as shipped, this budget
    never binds in such a fleet. `reserve_per_s=0` shows what the ratio would do.

    Source: twitter/finagle, finagle-core service/RetryBudget.scala.
    """

    __slots__ = ("_recent", "_reserve", "ratio")

    def __init__(self, *, ratio: float = 0.2, ttl_s: float = 10.0, reserve_per_s: float = 10.0) -> None:
        self.ratio = ratio
        self._reserve = reserve_per_s * ttl_s
        self._recent = Recent(ttl_s)

    def balance(self, now_s: float) -> float:
        """Return how many retries could be made now."""
        deposits, withdrawn = self._recent.sums(now_s)
        return self._reserve + self.ratio * deposits - withdrawn

    def begun(self, call: ReferenceCall, now_s: float) -> None:
        """Deposit for a request."""
        self._recent.add(now_s, 1.0, 0.0)

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """Withdraw one retry if the balance has it (ten fifths are two, although floats fall short)."""
        if self.balance(now_s) < 1.0 - 1e-9:
            return False
        self._recent.add(now_s, 0.0, 1.0)
        return True


def finagle_budget(*, reserve_per_s: float = 10.0) -> ReferenceTarget:
    """Return three retries under Finagle's budget (20 %, TTL 10 s, reserve 10/s); see TtlBudget.

    Linkerd's ServiceProfile budget has the same form and defaults (retryRatio
    0.2, minRetriesPerSecond 10, ttl 10 s), so `linkerd` in the registry is this
    client; in Linkerd the budget sits in the proxy beside one workload instance.
    Source: twitter/finagle, RetryBudget.scala; linkerd/linkerd2-proxy.
    """
    return ReferenceTarget(TtlBudget(reserve_per_s=reserve_per_s), attempts=4)


class ConcurrentRetries(Rule):
    """Envoy's retry budget: concurrent retries <= max(floor, ratio * active requests).

    Defaults: 20 %, floor 3. A retry counts from the decision to its end, back-off
    included. With one call per environment the floor is never reached.

    Source: envoyproxy/envoy, api cluster/v3/circuit_breaker.proto, retry_budget.
    """

    __slots__ = ("_active", "_retrying", "floor", "ratio")

    def __init__(self, *, ratio: float = 0.2, floor: int = 3) -> None:
        self.ratio = ratio
        self.floor = floor
        self._active = 0
        self._retrying = 0

    @property
    def limit(self) -> int:
        """Retries that may be under way now."""
        return max(self.floor, int(self.ratio * self._active))

    def begun(self, call: ReferenceCall, now_s: float) -> None:
        """Count an active request."""
        self._active += 1

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Give back the place of a retry that ended."""
        if call.attempt > 1:
            self._retrying -= 1

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """Take a place if one is free."""
        if self._retrying >= self.limit:
            return False
        self._retrying += 1
        return True

    def ended(self, call: ReferenceCall, outcome: Outcome | None, now_s: float) -> None:
        """Count an active request less; an abandoned retry gives its place back here."""
        self._active -= 1
        if outcome is None and call.attempt > 1:
            self._retrying -= 1


def envoy_budget() -> ReferenceTarget:
    """Return three retries under Envoy's retry budget, one proxy per environment; see ConcurrentRetries."""
    return ReferenceTarget(ConcurrentRetries(), attempts=4)


class RetryThrottle(Rule):
    """gRPC's retry throttling: a failure takes a token, a success returns a tenth; none below half.

    Formula: tokens start at max; each failed attempt -1, each success +ratio,
    within [0, max]; a retry is allowed only while tokens > max/2. Values of the
    specification's example: max 10, ratio 0.1. Attempts are capped at 5; here 4.

    Source: grpc/proposal, A6-client-retries.
    """

    __slots__ = ("maximum", "ratio", "tokens")

    def __init__(self, *, maximum: float = 10.0, ratio: float = 0.1) -> None:
        self.maximum = maximum
        self.ratio = ratio
        self.tokens = maximum

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Move the tokens by what happened."""
        if outcome is Outcome.SUCCESS:
            self.tokens = min(self.maximum, self.tokens + self.ratio)
        elif is_failure(outcome):
            self.tokens = max(0.0, self.tokens - 1.0)

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """Allow a retry above half of the tokens."""
        return self.tokens > self.maximum / 2.0


def grpc_throttling() -> ReferenceTarget:
    """Return three retries under gRPC's retry throttling; see RetryThrottle."""
    return ReferenceTarget(RetryThrottle(), attempts=4)


class ShareBudget(Rule):
    """SRE's per-client retry budget: retry only while retries are less than a share of what was sent.

    Formula: allowed if retries / attempts < 10 % over the window (2 min, the
    history that the same chapter gives to throttling). A client's very first
    failure may thus be repeated: with many young clients that is not 10 %.

    Source: Beyer et al., Site Reliability Engineering, "Handling Overload",
    deciding to retry.
    """

    __slots__ = ("_recent", "share")

    def __init__(self, *, share: float = 0.1, window_s: float = 120.0) -> None:
        self.share = share
        self._recent = Recent(window_s)

    def begun(self, call: ReferenceCall, now_s: float) -> None:
        """Count a first attempt."""
        self._recent.add(now_s, 1.0, 0.0)

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """Allow and count a retry while the share is below the limit."""
        attempts, retries = self._recent.sums(now_s)
        if retries >= self.share * attempts:
            return False
        self._recent.add(now_s, 1.0, 1.0)
        return True
