"""References that refuse or delay first attempts in proportion to what went wrong.

They differ in what counts as bad, over which window, whether refusals are
remembered, and whether some traffic always passes. The last decides how long a
client stays away from a target that has recovered.
"""

from __future__ import annotations

import math

from flyball.outcome import Outcome, RejectReason
from flyball_analytics.references.base import (
    Recent,
    ReferenceCall,
    ReferenceTarget,
    Rule,
    is_failure,
    second_draw,
)
from flyball_analytics.references.budgets import AWS_ATTEMPTS, ShareBudget, aws_2026_backoff, aws_2026_quota


class AdaptiveThrottle(Rule):
    """SRE's adaptive throttling: refuse with p = max(0, (requests - K*accepts) / (requests + 1)).

    `requests` counts what the application asked for, refused calls included;
    `accepts` what the target took. Defaults: K = 2, 2 min, no cap. Every class of
    failure counts as not accepted: a client cannot tell a refused connection
    from a failed computation by its speed, and K = 2 ignores failures below half.
    First attempts only.

    Source: Beyer et al., Site Reliability Engineering, "Handling Overload",
    client-side throttling.
    """

    __slots__ = ("_recent", "k")

    def __init__(self, *, k: float = 2.0, window_s: float = 120.0) -> None:
        self.k = k
        self._recent = Recent(window_s)

    def ratio(self, now_s: float) -> float:
        """Return the probability of refusing a call now."""
        requests, accepts = self._recent.sums(now_s)
        return max(0.0, (requests - self.k * accepts) / (requests + 1.0))

    def admit(self, call: ReferenceCall, now_s: float, draw: float) -> RejectReason | None:
        """Refuse by chance; count the request either way."""
        refused = draw < self.ratio(now_s)
        self._recent.add(now_s, 1.0, 0.0)
        return RejectReason.SHED if refused else None

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Count an accepted first attempt. The caller's own error was accepted, too."""
        if call.attempt == 1 and not is_failure(outcome):
            self._recent.add(now_s, 0.0, 1.0)


def sre_adaptive_throttling() -> ReferenceTarget:
    """Return SRE's client: adaptive throttling with K = 2, three attempts, retries below 10 % per client."""
    return ReferenceTarget(AdaptiveThrottle(), ShareBudget(), attempts=3)


class AdmissionControl(Rule):
    """Envoy's admission control: refuse with p = ((n - s/threshold) / (n + 1))^(1/aggression), at most 80 %.

    n and s are requests and successes that were let in, over 30 s; refused ones
    are not counted. Defaults: threshold 95 %, aggression 1, cap 80 %. The filter
    stands before the retries, so one request counts once, by its last answer.

    Source: envoyproxy/envoy, admission_control filter: documentation and source.
    """

    __slots__ = ("_recent", "aggression", "cap_ratio", "threshold")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        aggression: float = 1.0,
        cap_ratio: float = 0.8,
        window_s: float = 30.0,
    ) -> None:
        self.threshold = threshold
        self.aggression = aggression
        self.cap_ratio = cap_ratio
        self._recent = Recent(window_s)

    def ratio(self, now_s: float) -> float:
        """Return the probability of refusing a call now."""
        n, s = self._recent.sums(now_s)
        excess = (n - s / self.threshold) / (n + 1.0)
        return min(self.cap_ratio, excess ** (1.0 / self.aggression)) if excess > 0.0 else 0.0

    def admit(self, call: ReferenceCall, now_s: float, draw: float) -> RejectReason | None:
        """Refuse by chance."""
        return RejectReason.SHED if draw < self.ratio(now_s) else None

    def ended(self, call: ReferenceCall, outcome: Outcome | None, now_s: float) -> None:
        """Count a request and whether it succeeded in the end; an abandoned one says nothing."""
        if outcome is not None:
            self._recent.add(now_s, 1.0, 0.0 if is_failure(outcome) else 1.0)


def envoy_admission() -> ReferenceTarget:
    """Return three retries behind Envoy's admission control; see AdmissionControl."""
    return ReferenceTarget(AdmissionControl(), attempts=4)


class CubicRate(Rule):
    """The AWS SDKs' adaptive mode: a token bucket on every attempt whose rate follows CUBIC on throttles.

    Off until the first throttle. Throttled: W = min(measured, limit), limit = 0.7 W,
    K = (W * 0.3 / 0.4)^(1/3). Any other answer t seconds later:
    limit = 0.4 (t - K)^3 + W. Always limit <= 2 * measured and >= 0.5 per second.
    The measured rate is an average with weight 0.8 on the newest stretch, taken
    when a half-second boundary was passed. The bucket holds max(1, limit) tokens;
    an attempt without a token waits, it does not fail.

    Only throttles slow it down: time-outs and errors count as other answers. And
    the floor is per client: fifty environments that are throttled all the time
    still ask 25 times a second, and those that wait make the fleet start more.

    Source: boto/botocore, retries/adaptive.py, throttling.py, bucket.py.
    """

    __slots__ = (
        "_at_s",
        "_bucket_s",
        "_count",
        "_failed_s",
        "_k",
        "_w",
        "enabled",
        "limit",
        "measured",
        "tokens",
    )

    BETA = 0.7
    SCALE = 0.4
    SMOOTHING = 0.8
    RATE_MIN = 0.5
    SLICE_S = 0.5

    def __init__(self) -> None:
        self.enabled = False
        self.limit = 1.0
        self.measured = 0.0
        self.tokens = 0.0
        self._at_s = -1.0  # of the last refill; negative = nothing happened yet
        self._bucket_s = 0.0
        self._count = 0
        self._w = 0.0
        self._k = 0.0
        self._failed_s = 0.0

    def pause_s(self, now_s: float) -> float:
        """Take a token, going into debt if there is none, and return how long until it is paid."""
        if not self.enabled:
            return 0.0
        self._refill(now_s)
        self.tokens -= 1.0
        return max(0.0, -self.tokens / self.limit)

    def begun(self, call: ReferenceCall, now_s: float) -> None:
        """Start the clocks at the first call."""
        if self._at_s < 0.0:
            self._at_s = self._failed_s = now_s
            self._bucket_s = float(math.floor(now_s))

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Follow CUBIC after every answer."""
        self._measure(now_s)
        if outcome is Outcome.THROTTLE:
            self._w = min(self.measured, self.limit) if self.enabled else self.measured
            self._k = (self._w * (1.0 - self.BETA) / self.SCALE) ** (1.0 / 3.0)
            self._failed_s = now_s
            wanted = self._w * self.BETA
            self.enabled = True
        else:
            wanted = self.SCALE * (now_s - self._failed_s - self._k) ** 3 + self._w
        wanted = min(wanted, 2.0 * self.measured)
        self._refill(now_s)
        self.limit = max(wanted, self.RATE_MIN)
        self.tokens = min(self.tokens, max(1.0, wanted))

    def _measure(self, now_s: float) -> None:
        self._count += 1
        bucket_s = math.floor(now_s / self.SLICE_S) * self.SLICE_S
        if bucket_s > self._bucket_s:
            rate = self._count / (bucket_s - self._bucket_s)
            self.measured = self.SMOOTHING * rate + (1.0 - self.SMOOTHING) * self.measured
            self._count, self._bucket_s = 0, bucket_s

    def _refill(self, now_s: float) -> None:
        elapsed_s = max(0.0, now_s - self._at_s)
        self.tokens = min(max(1.0, self.limit), self.tokens + elapsed_s * self.limit)
        self._at_s = max(self._at_s, now_s)


def aws_adaptive() -> ReferenceTarget:
    """Return the AWS SDKs' adaptive mode over the standard mode of 2026: CubicRate and its quota."""
    return ReferenceTarget(CubicRate(), aws_2026_quota(), attempts=AWS_ATTEMPTS, backoff=aws_2026_backoff())


class PartialRejection(Rule):
    """Semian's adaptive breaker: a PID controller moves the share of attempts that is refused.

    Every second, over the error rate e of the last 10 s (0 if nothing was tried):
    d = e - ideal (0 inside a dead zone of 25 % of the ideal),
    P = d - (1 - d) * r, r += 1.0 P + 0.2 * sum(P) within [0, 1], the sum within
    +-10; the derivative's weight is 0. The ideal rate starts at 5 % and is
    smoothed over windows of at most 10 % errors, quickly down (0.078, after
    30 min 0.039) and slowly up (0.0017, 0.0009).

    Seconds without traffic are caught up when the next call comes, 60 at most: by
    then fifty windows in a row were empty and nothing is refused any more.

    Source: Shopify/semian 0.28, lib/semian/pid_controller.rb and
    simple_exponential_smoother.rb.
    """

    __slots__ = ("_next_s", "_recent", "_seen", "ideal", "integral", "rejection")

    INTERVAL_S = 1.0
    KP, KI = 1.0, 0.2
    INTEGRAL_MAX = 10.0
    CAP = 0.1  # windows over this are an incident, not a baseline
    DEAD_ZONE = 0.25
    CATCH_UP = 60
    CONFIDENT_AFTER = 1_800  # observations: 30 min

    def __init__(self) -> None:
        self.rejection = 0.0
        self.ideal = 0.05
        self.integral = 0.0
        self._seen = 0
        self._next_s = -1.0  # of the next update; negative = not started
        self._recent = Recent(10.0)

    def admit(self, call: ReferenceCall, now_s: float, draw: float) -> RejectReason | None:
        """Refuse by chance."""
        self._catch_up(now_s)
        return RejectReason.SHED if draw < self.rejection else None

    def attempted(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> None:
        """Count the attempt."""
        self._catch_up(now_s)
        if outcome <= Outcome.PERMANENT:
            self._recent.add(now_s, 1.0, 1.0 if is_failure(outcome) else 0.0)

    def may_retry(self, call: ReferenceCall, outcome: Outcome, now_s: float, draw: float) -> bool:
        """A retry is an attempt like any other: it may be refused by the same chance."""
        return second_draw(draw) >= self.rejection

    def _catch_up(self, now_s: float) -> None:
        if self._next_s < 0.0:
            self._next_s = now_s + self.INTERVAL_S
            return
        steps = 0
        while self._next_s <= now_s and steps < self.CATCH_UP:
            attempts, errors = self._recent.sums(self._next_s)
            self.update(errors / attempts if attempts > 0.0 else 0.0)
            self._next_s += self.INTERVAL_S
            steps += 1
        if self._next_s <= now_s:
            skipped = int((now_s - self._next_s) / self.INTERVAL_S) + 1
            self._next_s += skipped * self.INTERVAL_S

    def update(self, error_rate: float) -> None:
        """Take one step of the controller with the error rate of the window that ends now."""
        if error_rate <= self.CAP:
            self._seen += 1
            young = self._seen < self.CONFIDENT_AFTER
            if error_rate > self.ideal:
                alpha = 0.0017 if young else 0.0009
            else:
                alpha = 0.078 if young else 0.039
            self.ideal += alpha * (error_rate - self.ideal)
        delta = error_rate - self.ideal
        if 0.0 < delta <= self.DEAD_ZONE * self.ideal:
            delta = 0.0
        p = delta - (1.0 - delta) * self.rejection
        self.integral += p * self.INTERVAL_S
        moved = self.rejection + self.KP * p + self.KI * self.integral
        self.rejection = min(1.0, max(0.0, moved))
        self.integral = min(self.INTEGRAL_MAX, max(-self.INTEGRAL_MAX, self.integral))


def semian_adaptive() -> ReferenceTarget:
    """Return three retries, each attempt behind Semian's partial rejection; see PartialRejection."""
    return ReferenceTarget(PartialRejection(), attempts=4)
