"""What a recording says about a service and its callers: demand, health, proven capacity. And what it cannot.

A closed loop needs first attempts, not attempts: retries are made again by whatever
client the question is about. Where a recording counts attempts, first attempts are
recovered with the retries that were in force; where it counts requests, they stand
there. Everything else is read from healthy windows: error ratio, latency, and the
most attempts ever served well. The true capacity is at least that, and unknown.

Sources: independent attempts with failure ratio e and n attempts at most make
(1 - e^n) / (1 - e) attempts per request (docs/theory/control.md, "Why first attempts").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.labels import Labels
from flyball_analytics.score import median
from flyball_analytics.series import Series
from flyball_controller.core.model import Observation, Quality

# A window is healthy if it fails no more than this, or than three times the median.
HEALTHY_RATIO_MIN = 0.03
HEALTHY_MULTIPLE = 3.0
WINDOWS_MIN = 60  # an hour of minutes: fewer say little about what is normal
Z99 = 2.326  # standard normal quantile of 99 %
NETWORK_S = 0.01  # as in the plant, but never most of a quick answer
NETWORK_SHARE_MAX = 0.25
# Used where latencies were not measured, and said so.
WORK_MEAN_S, WORK_CV = 0.2, 0.3
WORK_CV_MAX = 2.0


class FitError(ValueError):
    """A recording from which no model can be made; says what is missing."""


class Recorded(NamedTuple):
    """What the recorded counts are, and how the recorded clients retried.

    `counts_attempts`: requests and failures are those of all attempts, as a downstream
    counts them. `max_attempts` counts the first one; `budget_ratio` are the retries
    allowed per request (infinite: no budget).
    """

    counts_attempts: bool = False
    max_attempts: int = 4
    budget_ratio: float = math.inf


class Demand(NamedTuple):
    """First attempts of one window, per second, and the shares of them that failed, by class."""

    start_s: float
    end_s: float
    per_s: float
    attempts_per_s: float
    timeout_ratio: float
    fast_ratio: float
    throttle_ratio: float
    lost: float  # requests that failed for good as recorded, -1 = not measured

    @property
    def failed_ratio(self) -> float:
        """Share of first attempts that failed."""
        return self.timeout_ratio + self.fast_ratio + self.throttle_ratio


class Fit(NamedTuple):
    """A service as its healthy windows show it. `peak_per_s`: most attempts per second served well."""

    target: str
    period_s: float
    demand: tuple[Demand, ...]
    mean_per_s: float
    peak_per_s: float
    error_ratio: float
    work_mean_s: float
    work_cv: float
    p99_s: float
    network_s: float
    assumed: tuple[str, ...]  # what the recording does not say, in words


class Speed(NamedTuple):
    """How quick the healthy service is: work (mean, coefficient of variation), p99, the network's part."""

    work_mean_s: float
    work_cv: float
    p99_s: float
    network_s: float
    assumed: tuple[str, ...]


def amplification(failure_ratio: float, recorded: Recorded) -> float:
    """Return the attempts per request that retries make at a failure ratio of attempts, >= 1.

    >>> amplification(0.5, Recorded(max_attempts=4)), amplification(1.0, Recorded(max_attempts=4))
    (1.875, 4.0)
    >>> amplification(0.5, Recorded(max_attempts=4, budget_ratio=0.2))
    1.2
    """
    ratio = min(max(failure_ratio, 0.0), 1.0)
    free = math.fsum(ratio**n for n in range(recorded.max_attempts))
    return min(free, 1.0 + recorded.budget_ratio)


def demand_of(seen: Observation, recorded: Recorded) -> Demand:
    """Return the demand behind one window; calls that clients refused were demanded too."""
    requests = seen.requests
    timeouts, fast, throttles = (
        n / requests if requests else 0.0 for n in (seen.timeouts, seen.errors_fast, seen.throttles)
    )
    if recorded.counts_attempts:
        first = requests / amplification(timeouts + fast + throttles, recorded)
        attempts, lost = float(requests), -1.0
    else:
        first = float(requests)
        attempts = float(max(seen.attempts, requests))
        lost = float(seen.request_failures)
    if lost >= 0.0:
        lost += seen.short_circuited
    return Demand(
        seen.start_s,
        seen.start_s + seen.period_s,
        (first + seen.short_circuited) / seen.period_s,
        attempts / seen.period_s,
        timeouts,
        fast,
        throttles,
        lost,
    )


def fit(series: Series, labels: Labels | None, recorded: Recorded) -> Fit:
    """Return the model of one service.

    Raises:
        FitError: If there are under 60 healthy windows.
    """
    usable = [o for o in series.observations if o.quality is Quality.OK and o.requests > 0]
    demand = sorted((demand_of(o, recorded) for o in usable), key=lambda d: d.start_s)
    outside = [
        (o, d)
        for o, d in zip(sorted(usable, key=lambda o: o.start_s), demand, strict=True)
        if labels is None or labels.incident_at(o.start_s) is None
    ]
    usual = median(d.failed_ratio for _, d in outside) or 0.0
    limit = max(HEALTHY_RATIO_MIN, HEALTHY_MULTIPLE * usual)
    healthy = [(o, d) for o, d in outside if d.failed_ratio <= limit]
    if len(healthy) < WINDOWS_MIN:
        raise FitError(f"{series.target}: {len(healthy)} healthy windows, {WINDOWS_MIN} are needed")
    requests = sum(o.requests for o, _ in healthy)
    speed = latency_of([o for o, _ in healthy])
    assumed = speed.assumed
    if not recorded.counts_attempts and all(o.attempts <= 0 for o in usable):
        assumed = (*assumed, "attempts were not measured: the proven peak counts first attempts only")
    return Fit(
        series.target,
        series.period_s,
        tuple(demand),
        median(d.per_s for _, d in healthy) or 0.0,
        max(d.attempts_per_s for _, d in healthy),
        sum(o.errors_fast for o, _ in healthy) / requests,
        speed.work_mean_s,
        speed.work_cv,
        speed.p99_s,
        speed.network_s,
        assumed,
    )


def latency_of(healthy: Sequence[Observation]) -> Speed:
    """Return the speed that healthy windows show, and what had to be assumed.

    The work is lognormal, as in the plant: sigma = ln(p99 / p50) / 2.326.
    """
    p50 = median(o.latency_ms_p50 for o in healthy if o.latency_ms_p50 > 0.0)
    p99 = median(o.latency_ms_p99 for o in healthy if o.latency_ms_p99 > 0.0)
    if p50 is None and p99 is None:
        note = f"latency was not measured: a mean of {WORK_MEAN_S * 1000:.0f} ms is assumed"
        return Speed(WORK_MEAN_S, WORK_CV, WORK_MEAN_S * 2.0, NETWORK_S, (note,))
    sigma = math.sqrt(math.log1p(WORK_CV**2))
    assumed: tuple[str, ...] = ()
    if p50 is not None and p99 is not None:
        sigma = max(0.0, math.log(max(p99, p50) / p50) / Z99)
        sigma = min(sigma, math.sqrt(math.log1p(WORK_CV_MAX**2)))
    else:
        missing = "p50" if p50 is None else "p99"
        assumed = (f"{missing} was not measured: a coefficient of variation of {WORK_CV:g} is assumed",)
    tail = math.exp(Z99 * sigma)
    middle_s = (p50 if p50 is not None else (p99 or 0.0) / tail) / 1_000.0
    network_s = min(NETWORK_S, NETWORK_SHARE_MAX * middle_s)
    mean_s = (middle_s - network_s) * math.exp(sigma * sigma / 2.0)  # mean of a lognormal from its median
    return Speed(mean_s, math.sqrt(math.expm1(sigma * sigma)), middle_s * tail, network_s, assumed)
