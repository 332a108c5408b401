"""What follows from a map by arithmetic alone: worst cases, rates, time-outs that fit.

None means "not known" throughout, and what follows from it is None too. Gives no
advice; advice.py and hazards.py compare these numbers and say what to do.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_analytics.integrations import NONE, Call, Function, IntegrationMap, Target, attempts_of
from flyball_controller.core.policy import Policy

CRITICAL = 4  # from this criticality on, an outage is an incident
MINOR = 2  # up to this one, a fallback will do
DEFAULTS = Policy()
ATTEMPTS_MAX = DEFAULTS.attempts_nominal
MONTH_S = 2_628_000.0  # 730 h
TIMEOUT_MULTIPLE = 3.0  # docs/article.md: three times the average execution
TIMEOUT_MIN_S = 0.25  # a first connection takes several round trips, whatever the median says
P99_MARGIN = 1.2  # a time-out under the 99th percentile would fail good answers
TIME_SHARE = 0.9  # of the function's time-out: the rest is for the answer
PAUSE_FIRST_S, PAUSE_MAX_S = 0.1, 2.0  # the client's own pauses, upper bounds (docs/reference/client.md)
REPEATING = ("async", "queue", "stream", "schedule", "workflow")


class Integration(NamedTuple):
    """One function's use of one target."""

    function_name: str
    function: Function
    target_name: str
    target: Target
    call: Call

    @property
    def name(self) -> str:
        """Who calls whom, as it stands in every output."""
        return f"{self.function_name} -> {self.target_name}"


def integrations_of(known: IntegrationMap) -> list[Integration]:
    """Return every call of the map, in its order."""
    return [
        Integration(name, function, called, known.targets[called], call)
        for name, function in known.functions.items()
        for called, call in (function.calls or {}).items()
    ]


def criticality(one: Integration) -> int | None:
    """Return the call's own criticality, else the lesser of target's and function's.

    A critical function may live without the weather, and a report without the payments.
    """
    if one.call.criticality is not None:
        return one.call.criticality
    known = [c for c in (one.target.criticality, one.function.criticality) if c is not None]
    return min(known) if known else None


def timeout_wanted_s(target: Target) -> float | None:
    """Return the time-out of one attempt: 3 x the typical latency, never under 1.2 x the 99th percentile.

    Nor under a quarter of a second. None: no latency is known.

    >>> timeout_wanted_s(Target(latency_ms=200.0, latency_p99_ms=900.0))
    1.08
    """
    wanted = []
    if target.latency_ms is not None:
        wanted.append(TIMEOUT_MULTIPLE * target.latency_ms)
    if target.latency_p99_ms is not None:
        wanted.append(P99_MARGIN * target.latency_p99_ms)
    return max(TIMEOUT_MIN_S, max(wanted) / 1_000.0) if wanted else None


def pauses_s(attempts: int) -> float:
    """Return the longest that the client's pauses between so many attempts can be together, s.

    >>> round(pauses_s(4), 1)
    0.7
    """
    total, pause = 0.0, PAUSE_FIRST_S
    for _ in range(attempts - 1):
        total += pause
        pause = min(2.0 * pause, PAUSE_MAX_S)
    return total


def worst_s(one: Integration) -> float | None:
    """Return how long one call can take with its time-outs, attempts and pauses; inf without a time-out."""
    attempts, timeout = attempts_of(one.call), one.call.timeout_s
    if timeout == NONE or attempts == float("inf"):
        return float("inf")
    if attempts is None or timeout is None:
        return None
    pause = (attempts - 1.0) * one.call.backoff_max_s if one.call.backoff_max_s is not None else 0.0
    return attempts * timeout + pause


def attempts_that_fit(one: Integration) -> int | None:
    """Return how many attempts (0 to 4) end before the function does; None: a time is not known.

    With the time-out that is advised, else the present one; the function's other calls keep their time.
    """
    timeout = timeout_wanted_s(one.target)
    if timeout is None and isinstance(one.call.timeout_s, float | int):
        timeout = one.call.timeout_s
    if timeout is None or one.function.timeout_s is None:
        return None
    own_s = (one.target.latency_ms or 0.0) / 1_000.0
    others_s = max(0.0, (one.function.duration_ms or 0.0) / 1_000.0 - own_s)
    left_s = TIME_SHARE * one.function.timeout_s - others_s
    fitting = 0
    for attempts in range(1, ATTEMPTS_MAX + 1):
        if attempts * timeout + pauses_s(attempts) <= left_s:
            fitting = attempts
    return fitting


def calls_per_s(one: Integration) -> float | None:
    """Return the mean rate of calls; None: the function's traffic is not known."""
    if one.function.requests_per_month is None:
        return None
    return one.function.requests_per_month * one.call.calls_per_request / MONTH_S


def repeats(function: Function) -> int | None:
    """Return how often the platform repeats a failed invocation; None: not known."""
    if function.platform_retries is not None:
        return function.platform_retries
    if function.trigger == "http":
        return 0
    return 2 if function.trigger == "async" else None  # Lambda's default for asynchronous invocation


def concurrency_at_limit(target: Target) -> float | None:
    """Return how many calls at once reach the target's rate limit (Little's law); None: not known.

    >>> concurrency_at_limit(Target(rate_limit_per_s=50.0, latency_ms=200.0))
    10.0
    """
    if target.rate_limit_per_s is None or target.latency_ms is None:
        return None
    return target.rate_limit_per_s * target.latency_ms / 1_000.0
