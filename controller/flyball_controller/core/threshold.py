"""When a ratio is too high: the trip level of an actuator, from a floor and the baseline.

A multiple of a near-zero baseline trips on noise, so there is always a floor;
a baseline that learned an odd day must not make the detector deaf, so there is
a ceiling. Fixed thresholds are the same formula without its second half.
Young baselines widen their multiple: twice at no history, once at full
confidence.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.core.policy import Policy


class Trips(NamedTuple):
    """The levels that one window is compared with, all ratios in [0, 1]."""

    retry: float  # failures over this: act on retries
    open: float  # failures over this: cut traffic
    timeout: float  # time-outs over this: saturated
    reset: float  # failures under this (upper bound): clean
    reset_point: float  # and the plain ratio under this: the gap of the hysteresis
    normal: float  # a mean up to this is normal service: to open on it would be a false open


def trip_level(
    floor: float,
    adaptive: bool,
    multiple: float,
    spread_k: float,
    ceiling: float,
    expected: float,
    spread: float,
    confidence: float,
) -> float:
    """Return max(floor, multiple x expected, expected + spread_k x spread) up to `ceiling`; `floor` if fixed.

    >>> trip_level(floor=0.08, adaptive=True, multiple=2.0, spread_k=3.0, ceiling=0.95,
    ...            expected=0.1, spread=0.01, confidence=1.0)
    0.2
    """
    level = floor
    if adaptive:
        by_multiple = multiple * (2.0 - confidence) * expected
        by_spread = expected + spread_k * spread
        if by_multiple > level:
            level = by_multiple
        if by_spread > level:
            level = by_spread
    return level if level < ceiling else ceiling


def trips_for(policy: Policy, expected: float, spread: float, confidence: float) -> Trips:
    """Return every threshold for a window whose normal ratio is `expected`."""
    retry = trip_level(
        floor=policy.retry_floor,
        adaptive=policy.retry_adaptive,
        multiple=policy.retry_multiple,
        spread_k=policy.retry_spread_k,
        ceiling=policy.trip_ceiling,
        expected=expected,
        spread=spread,
        confidence=confidence,
    )
    opening = trip_level(
        floor=policy.open_floor,
        adaptive=policy.open_adaptive,
        multiple=policy.open_multiple,
        spread_k=policy.open_spread_k,
        ceiling=policy.trip_ceiling,
        expected=expected,
        spread=spread,
        confidence=confidence,
    )
    timeout = policy.timeout_trip
    if policy.retry_adaptive and policy.retry_multiple * expected > timeout:
        timeout = policy.retry_multiple * expected
    reset = policy.reset_floor
    if policy.retry_adaptive and policy.reset_multiple * expected > reset:
        reset = policy.reset_multiple * expected
    point = 0.5 * retry
    if expected > point:
        point = (retry + expected) / 2.0
    if policy.reset_point > point:
        point = policy.reset_point
    normal = trip_level(
        floor=policy.normal_floor,
        adaptive=True,
        multiple=policy.normal_multiple,
        spread_k=0.0,  # bursts widen no mean
        ceiling=opening,
        expected=expected,
        spread=0.0,
        confidence=confidence,
    )
    return Trips(retry, opening, timeout, reset, point, normal)
