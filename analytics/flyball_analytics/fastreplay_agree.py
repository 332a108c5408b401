"""Whether a quiet window is the same for several policies: part of the compiled replay (fastreplay_loop.py).

Policies that differ only in thresholds and are in the same state stay in the same one over a
quiet window if it is quiet for all, counts as the same kind, is learned to the same value, and
is measured against the same normal. That is asked here with each policy's own thresholds,
by the kernel's functions; no order among policies is assumed. A "no" may be too careful: the
window is then left to the step, which parts the policies or does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyball_analytics.fastreplay_desk import (
    BETWEEN,
    BY_MINUTE,
    CLEAN,
    DIFFERS,
    DISPERSION,
    EXPECTED,
    FAILED,
    FEW,
    KIND,
    LEARNED,
    LEVEL,
    MINUTE_S,
    NORMAL,
    RATIO,
    REQUESTS,
    SIZE,
    SPREAD,
    TRUST,
    UNSURE,
)
from flyball_analytics.fastreplay_learning import LevelNow
from flyball_analytics.fastreplay_ring import Pooled
from flyball_controller.core.kernel import CHRONIC_HEADROOM, confidence_of, expected_of
from flyball_controller.core.kernel_bounds import POOLED_SHARE, is_calm, is_clean, is_surely_under, upper_side
from flyball_controller.core.threshold import Trips, trips_for

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # As in fastreplay_loop.py.
    Params: TypeAlias = Any
    Thresholds: TypeAlias = Any  # a Lane, where `trips_for` says Policy
    Floats: TypeAlias = Any


class Lane(NamedTuple):
    """The thresholds of one policy, by the names of `Policy`; yes is 1, no is 0."""

    retry_floor: float
    retry_adaptive: float
    retry_multiple: float
    retry_spread_k: float
    open_floor: float
    open_adaptive: float
    open_multiple: float
    open_spread_k: float
    trip_ceiling: float
    reset_floor: float
    reset_point: float
    reset_multiple: float
    timeout_trip: float
    normal_floor: float
    normal_multiple: float


def kind_of(
    failures: float, requests: float, dispersion: float, trips: Trips, pooled: bool, params: Params
) -> float:
    """Return CLEAN or BETWEEN for a window that is surely quiet and teaches the level, else UNSURE.

    Only where it says UNSURE may a bound be needed; `pooled`: one window is a whole pooling span.
    """
    few = failures < params.min_errors
    lesser = trips.retry if trips.retry < trips.timeout else trips.timeout
    if params.is_ladder and trips.open < lesser:
        lesser = trips.open
    calm = few or is_surely_under(failures, requests, lesser, params.z_act, dispersion)
    learns = few or failures <= trips.retry * requests
    kind = CLEAN
    if failures >= trips.reset_point * requests + 1e-12:
        kind = BETWEEN
    elif not pooled:
        side = upper_side(failures, requests, trips.reset, params.z_act, dispersion)
        kind = CLEAN if side < 0.0 else BETWEEN if side > 0.0 else UNSURE
    return kind if calm and learns else UNSURE


def lane_at(lanes: Floats, number: int) -> Thresholds:
    """Return the thresholds in a row of `memory.lanes`."""
    return Lane(
        lanes[number, 0], lanes[number, 1], lanes[number, 2], lanes[number, 3], lanes[number, 4],
        lanes[number, 5], lanes[number, 6], lanes[number, 7], lanes[number, 8], lanes[number, 9],
        lanes[number, 10], lanes[number, 11], lanes[number, 12], lanes[number, 13], lanes[number, 14],
    )  # fmt: skip


def cap_over(retry_floor: float, chronic: float) -> float:
    """Return the ratio over which a window is learned as less than it shows, see `top_ratio`."""
    cap = CHRONIC_HEADROOM * chronic
    return retry_floor if retry_floor > cap else cap


def agreed(desk: Floats, count: int, level: LevelNow, by_hour: float, lanes: Floats, params: Params) -> int:
    """Return how many windows of a run, from the first on, are the same under every lane.

    What a window teaches depends on the policies by the cap alone. Up to the lesser of two
    caps a window teaches what it would under the other: it is under both, or cut at the same top.
    """
    for place in range(SIZE):
        desk[EXPECTED + place] = expected_of(
            desk[LEVEL + place], desk[BY_MINUTE + place], level.minute_floor, by_hour,
            params.profile_visits_min,
        )  # fmt: skip
        desk[TRUST + place] = confidence_of(desk[LEARNED + place], params.confidence_full_s)
    for number in range(lanes.shape[0]):
        count = agreed_with(desk, count, level.chronic, lane_at(lanes, number), params)
        if count == 0:
            break
    return count


def agreed_with(desk: Floats, count: int, chronic: float, lane: Thresholds, params: Params) -> int:
    """Return how many windows are the same under one lane."""
    pooled = POOLED_SHARE * params.pool_s_max <= MINUTE_S
    own, other = cap_over(params.retry_floor, chronic), cap_over(lane.retry_floor, chronic)
    cap = own if own < other else other
    if own == other:
        cap = 2.0  # no ratio is over it
    for place in range(SIZE):
        failures, requests, ratio = desk[FAILED + place], desk[REQUESTS + place], desk[RATIO + place]
        trips = trips_for(lane, desk[EXPECTED + place], desk[SPREAD + place], desk[TRUST + place])
        kind = kind_of(failures, requests, desk[DISPERSION + place], trips, pooled, params)
        alike = ratio <= cap or ratio <= desk[FEW + place]
        same = alike and kind == desk[KIND + place] and trips.normal == desk[NORMAL + place]
        desk[DIFFERS + place] = 0.0 if same else 1.0
    differ = 0.0
    for place in range(count):
        differ += desk[DIFFERS + place]
    if differ > 0.0:
        count = 0
        while desk[DIFFERS + count] == 0.0:
            count += 1
    return count


def agree(
    failures: int,
    requests: int,
    ratio: float,
    pool: Pooled,
    wide: Pooled,
    clean: bool,
    expected: float,
    trust: float,
    trips: Trips,
    level: LevelNow,
    lanes: Floats,
    params: Params,
) -> bool:
    """Return whether a quiet window is the same under every lane; `clean` and `trips` are the first one's."""
    own = cap_over(params.retry_floor, level.chronic)
    some = failures >= params.min_errors
    frozen = some and failures > trips.retry * requests
    for number in range(lanes.shape[0]):
        lane = lane_at(lanes, number)
        theirs = trips_for(lane, expected, level.spread, trust)
        also = is_clean(
            wide.failures, wide.requests, wide.span_s, theirs.reset, theirs.reset_point,
            level.dispersion, params,
        )  # fmt: skip
        other = cap_over(lane.retry_floor, level.chronic)
        cap = own if own < other else other
        alike = frozen or own == other or ratio <= cap or ratio <= (params.min_errors - 1.0) / requests
        same = alike and also == clean and theirs.normal == trips.normal
        if not same or (some and failures > theirs.retry * requests) != frozen:
            return False
        if not stays_quiet(pool, theirs, level.dispersion, params):
            return False
    return True


def stays_quiet(pool: Pooled, trips: Trips, dispersion: float, params: Params) -> bool:
    """Return whether neither the regimes nor the law can find anything in the pooled windows."""
    if not is_calm(
        pool.failures, pool.timeouts, pool.requests, trips.retry, trips.timeout, dispersion, params
    ):
        return False
    if not params.is_ladder or pool.requests < params.min_requests or pool.failures < params.min_errors:
        return True
    # The ladder looks at its thresholds itself, z_open >= z_act: what is under one bound is under the other.
    lesser = trips.retry
    if trips.open < lesser:
        lesser = trips.open
    spread = dispersion if params.z_act > 0.0 else 1.0
    return is_surely_under(pool.failures, pool.requests, lesser, params.z_act, spread)
