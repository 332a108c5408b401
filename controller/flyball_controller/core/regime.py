"""From counts to a regime: what kind of trouble this is, in a fixed order of tests.

The order matters: time-outs first, because retries feed a saturated target
whatever else is wrong with it; then death, throttling, partial failure. Each
test compares a confidence bound, never a raw ratio. Derivation:
docs/theory/control.md, section "Regimes".
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Pool, wilson_bounds
from flyball_controller.core.kernel_bounds import is_clean
from flyball_controller.core.model import Evidence, Observation, Reason, Regime
from flyball_controller.core.policy import Policy
from flyball_controller.core.threshold import Trips

# A clean verdict needs more requests than a bad one: 40 without a failure put
# the 99 % upper bound at 12 %, under the default reset of 15 %.
CLEAN_REQUESTS = 40
# Graded throttles of small environments refuse a few calls by chance; more than this is shedding.
SHED_SHARE = 0.25
# In a full queue the next attempt times out like the first. Where hardly one of four is lost for good,
# retries repair the time-outs: slow answers that come a little too late, but no storm.
REPAIRED_SHARE = 0.25


class Verdict(NamedTuple):
    """What the newest evidence says. `regime` None = nothing is over a threshold."""

    regime: Regime | None
    clean: bool
    evidence: tuple[Evidence, ...]


def classify(
    pool: Pool,
    clean_pool: Pool,
    seen: Observation,
    trips: Trips,
    baseline: Baseline,
    policy: Policy,
    trust: float,
) -> Verdict:
    """Return the verdict over the pooled windows.

    Args:
        pool: The fewest newest windows with enough requests to act on.
        clean_pool: The same with enough requests to call it clean.
        seen: The newest window, for latency.
        trips: Thresholds at its time.
        baseline: What is normal.
        policy: The operator's.
        trust: Confidence of the baseline, 0..1, recorded with the evidence.
    """
    n, failures = pool.requests, pool.failures
    wide_failures = failures if clean_pool is pool else clean_pool.failures
    if n >= policy.min_requests and failures >= policy.min_errors:
        bad = _trouble(pool, failures, seen, trips, baseline, policy, trust)
        if bad is not None:
            return bad
    clean = is_clean(
        wide_failures,
        clean_pool.requests,
        clean_pool.span_s,
        trips.reset,
        trips.reset_point,
        baseline.dispersion,
        policy,
    )
    if n < policy.min_requests:
        note = Evidence(Reason.NOT_ENOUGH_DATA, float(n), float(policy.min_requests), n, trust)
    elif clean:
        note = Evidence(Reason.ERROR_RATE_UNDER_RESET, failures / n, trips.reset_point, n, trust)
    else:
        note = Evidence(Reason.BETWEEN_TRIP_AND_RESET, failures / n, trips.retry, n, trust)
    return Verdict(None, clean, (note,))


def _trouble(
    pool: Pool,
    failures: int,
    seen: Observation,
    trips: Trips,
    baseline: Baseline,
    policy: Policy,
    trust: float,
) -> Verdict | None:
    """Return the first regime whose test holds, None if no threshold is crossed."""
    n, timeouts = pool.requests, pool.timeouts
    retry_trip, open_trip, timeout_trip, _, _, _ = trips
    spread, z_act = baseline.dispersion, policy.z_act
    low, _ = wilson_bounds(failures, n, z_act, spread)
    # The bound of no time-outs is 0, and that of the same count is the same.
    low_timeouts = low if timeouts == failures else 0.0
    if 0 < timeouts < failures:
        low_timeouts, _ = wilson_bounds(timeouts, n, z_act, spread)
    if low_timeouts > timeout_trip:
        if _others_are_well(pool, seen, baseline, policy):
            # A queue delays everybody. Some calls vanish while the rest is as quick as ever: a dead
            # node, a lossy path. That is partial failure, and another attempt most likely meets a good node.
            typical = policy.typical_multiple * baseline.typical_ms
            return _bad(
                Regime.BROKEN, Reason.SILENCE_AT_NORMAL_LATENCY, seen.latency_ms_p50, typical, n, trust
            )
        if _are_repaired(pool):
            return _repaired(pool, trust)
        return _bad(Regime.SATURATED, Reason.TIMEOUTS_OVER_TRIP, low_timeouts, timeout_trip, n, trust)
    if low <= retry_trip and low <= timeout_trip:
        return None
    throttled = pool.throttles > policy.throttle_share * failures and low > policy.throttle_trip
    if timeouts > 0 and low > timeout_trip and not throttled and baseline.latency_ms > 0.0:
        limit = policy.latency_multiple * baseline.latency_ms
        if seen.latency_ms_p99 > limit:
            if _are_repaired(pool):
                return _repaired(pool, trust)
            return _bad(Regime.SATURATED, Reason.LATENCY_OVER_BASELINE, seen.latency_ms_p99, limit, n, trust)
    if low <= retry_trip:
        return None
    if throttled:
        share = pool.throttles / failures
        return _bad(Regime.THROTTLED, Reason.THROTTLES_DOMINATE, share, policy.throttle_share, n, trust)
    if (
        low > open_trip
        and failures >= policy.open_bad_share * n
        and 1.0 - timeouts / failures >= 0.5  # mostly fast
    ):
        return _bad(Regime.DEAD, Reason.NEARLY_ALL_FAIL, low, open_trip, n, trust)
    reason = (
        Reason.ERROR_RATE_OVER_BASELINE
        if policy.retry_adaptive and retry_trip > policy.retry_floor
        else Reason.ERROR_RATE_OVER_TRIP
    )
    return _bad(Regime.BROKEN, reason, low, retry_trip, n, trust)


def _others_are_well(pool: Pool, seen: Observation, baseline: Baseline, policy: Policy) -> bool:
    """Return whether most calls are answered, and the median as quickly as ever."""
    if baseline.typical_ms <= 0.0 or seen.latency_ms_p50 < 0.0 or 2 * pool.timeouts >= pool.requests:
        return False
    if pool.short_circuited > SHED_SHARE * (pool.requests + pool.short_circuited):
        return False  # clients shed already: that is why the rest is quick
    return seen.latency_ms_p50 < policy.typical_multiple * baseline.typical_ms


def _are_repaired(pool: Pool) -> bool:
    """Return whether retries repair the time-outs, with clients that shed next to nothing."""
    offered = pool.requests + pool.short_circuited
    return (
        0 <= pool.request_failures < REPAIRED_SHARE * pool.timeouts
        and 2 * pool.short_circuited < pool.timeouts  # or who got through proves nothing
        and 2 * pool.timeouts < offered
    )


def _repaired(pool: Pool, trust: float) -> Verdict:
    limit = REPAIRED_SHARE * pool.timeouts / pool.requests
    failed = pool.request_failures / pool.requests
    return Verdict(None, False, (Evidence(Reason.RETRIES_REPAIR, failed, limit, pool.requests, trust),))


def _bad(regime: Regime, reason: Reason, measured: float, threshold: float, n: int, trust: float) -> Verdict:
    return Verdict(regime, False, (Evidence(reason, measured, threshold, n, trust),))
