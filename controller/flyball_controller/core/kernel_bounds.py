"""Confidence bounds of a failure ratio, and the tests that compare them: part of the kernel (see kernel.py).

A raw ratio lies at low traffic (1 of 1 is 100 %). Decisions compare a bound: trip when
even the lower one is over the threshold, call it clean when even the upper one is
under it. Bursts make counts more variable than coin tosses; `dispersion` (>= 1)
shrinks the effective sample by that factor (quasi-binomial).

A comparison needs no bound: its sign is that of a polynomial without a root or a
division. Only where both are nearer than a margin is the bound computed, so every
answer is that of the plain form. Knows no regimes and no windows.

Source of the bound: Wilson, E. B. (1927), JASA 22 (158), 209-212.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyball_controller.core.policy import Policy

POOLED_SHARE = 0.8  # of the longest pool: so long under half the trip is clean without a bound
# A bound nearer than this to what it is compared with is computed in full. The error
# of either form is a few times 1e-16.
MARGIN = 1e-9


def wilson_bounds(failures: float, requests: float, z: float, dispersion: float = 1.0) -> tuple[float, float]:
    """Return the lower and upper confidence bound of a failure ratio, both in [0, 1].

    Args:
        failures: Failed first attempts, 0 <= failures <= requests.
        requests: First attempts; 0 gives (0, 1): silence proves nothing.
        z: Normal quantile of the one-sided confidence, >= 0; 2.33 is 99 %, 0 gives the raw ratio.
        dispersion: Variance over that of independent failures, >= 1.

    >>> [round(b, 3) for b in wilson_bounds(3, 12, z=2.33)]
    [0.074, 0.582]
    >>> wilson_bounds(0, 0, z=2.33)
    (0.0, 1.0)
    """
    if requests <= 0:
        return 0.0, 1.0
    n = requests / dispersion
    ratio = failures / requests
    zz = z * z
    scale = 1.0 + zz / n
    middle = (ratio + zz / (2.0 * n)) / scale
    half = z * sqrt(ratio * (1.0 - ratio) / n + zz / (4.0 * n * n)) / scale
    low = middle - half
    high = middle + half
    # Rounding may push an exact 0 or 1 over the edge by an ulp.
    if low < 0.0 or failures <= 0:
        low = 0.0
    if high > 1.0 or failures >= requests:
        high = 1.0
    return low, high


def is_surely_under(failures: float, requests: float, limit: float, z: float, dispersion: float) -> bool:
    """Return whether the lower bound is certainly at most `limit`; False: compute it.

    The bounds are the roots x of (x n - k)^2 = d z^2 x (1 - x) n; between them the left
    side is the smaller one.

    >>> is_surely_under(3, 1000, 0.03, 2.33, 1.0), is_surely_under(300, 1000, 0.03, 2.33, 1.0)
    (True, False)
    """
    over = failures - limit * requests
    if over < -MARGIN * requests:
        return True
    zz = z * z
    margin = MARGIN * requests * (requests + zz * dispersion)
    return over * over < dispersion * zz * limit * (1.0 - limit) * requests - margin


def upper_side(failures: float, requests: float, limit: float, z: float, dispersion: float) -> float:
    """Return on which side of `limit` the upper bound surely is: -1 under, 1 over, 0: compute it.

    >>> [upper_side(failures, 40, 0.15, 2.33, 1.0) for failures in (0, 4, 9)]
    [-1.0, 1.0, 0.0]
    """
    zz = z * z
    gap = limit * requests - failures
    margin = MARGIN * requests * (requests + zz * dispersion)
    square = gap * gap
    width = dispersion * zz * limit * (1.0 - limit) * requests
    if gap > 0.0 and failures < requests:
        if square > width + margin:
            return -1.0
        if square < width - margin:
            return 1.0
    return 0.0


def upper_is_under(failures: float, requests: float, limit: float, z: float, dispersion: float) -> bool:
    """Return whether the upper bound of the failure ratio is under `limit`; `requests` > 0.

    >>> upper_is_under(0, 40, 0.15, 2.33, 1.0), upper_is_under(4, 40, 0.15, 2.33, 1.0)
    (True, False)
    """
    side = upper_side(failures, requests, limit, z, dispersion)
    if side < 0.0 or side > 0.0:
        return side < 0.0
    _, high = wilson_bounds(failures, requests, z, dispersion)
    return high < limit


def is_clean(
    failures: float,
    requests: float,
    span_s: float,
    reset: float,
    reset_point: float,
    dispersion: float,
    policy: Policy,
) -> bool:
    """Return whether pooled windows are clean: ratio under half the trip, upper bound under the reset.

    A quiet target may never gather enough requests for the bound: then a whole
    pooling span under half the trip counts.
    """
    if requests <= 0 or failures >= reset_point * requests + 1e-12:
        return False
    if span_s >= POOLED_SHARE * policy.pool_s_max:
        return True
    return upper_is_under(failures, requests, reset, policy.z_act, dispersion)


def is_calm(
    failures: float,
    timeouts: float,
    requests: float,
    retry: float,
    timeout: float,
    dispersion: float,
    policy: Policy,
) -> bool:
    """Return whether pooled windows surely show no trouble; False: let the regimes be told apart.

    Args:
        failures: Pooled failed first attempts, time-outs included.
        timeouts: Those that timed out.
        requests: Pooled first attempts.
        retry: Trip of retries, see `trips_for`.
        timeout: Trip of time-outs.
        dispersion: Of the failures.
        policy: For its least evidence.
    """
    if requests < policy.min_requests or failures < policy.min_errors:
        return True
    lesser = retry if retry < timeout else timeout
    z = policy.z_act
    if is_surely_under(failures, requests, lesser, z, dispersion):
        return True  # so are the time-outs among them
    low, _ = wilson_bounds(failures, requests, z, dispersion)
    if low > lesser:
        return False
    low_timeouts, _ = wilson_bounds(timeouts, requests, z, dispersion)
    return low_timeouts <= timeout
