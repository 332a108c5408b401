"""Which observations may count at all: impossible, late and repeated ones are named, never obeyed.

Numbers from the world can be anything: NaN, negative, more failures than
requests, from the future. The state is not touched by any of them (C3, C5).
"""

from __future__ import annotations

from flyball_controller.core.model import Evidence, Observation, Quality, Reason
from flyball_controller.core.state import State

SKEW_S = 2.0  # declared bound on the error of clocks (docs/reference/invariants.md)
COUNT_MAX = 9_007_199_254_740_992  # 2^53: above it floats and counts part
PERIOD_MIN_S, PERIOD_MAX_S = 0.001, 86_400.0  # below it a rate per second can leave the floats
TIME_MAX_S = 1e11  # year 5138: a millisecond stamp read as seconds lies beyond it


def is_finite(value: float) -> bool:
    """Return whether a number is neither NaN nor infinite, with comparisons only."""
    return -1.7976931348623157e308 <= value <= 1.7976931348623157e308


def problem_of(state: State, seen: Observation) -> Evidence | None:
    """Return why an observation must not count, None if it may."""
    if seen.quality == Quality.INVALID or not _is_possible(seen):
        return Evidence(Reason.OBSERVATION_INVALID, 0.0, 0.0, 0, 1.0)
    if seen.quality == Quality.MISSING:
        if seen.arrived_s <= state.seen_s:
            return Evidence(Reason.OBSERVATION_LATE, seen.arrived_s, state.seen_s, 0, 1.0)
        return None
    if seen.quality == Quality.PROBED:
        # Its row may have begun before the newest window; what it may not be is older than a decision.
        if seen.arrived_s < state.seen_s:
            return Evidence(Reason.OBSERVATION_LATE, seen.arrived_s, state.seen_s, seen.requests, 1.0)
        return None
    if seen.start_s <= state.stamp_s:
        return Evidence(Reason.OBSERVATION_LATE, seen.start_s, state.stamp_s, seen.requests, 1.0)
    return None


def past_invalid(state: State, seen: Observation) -> State:
    """Return the state that has put an impossible window behind it, so that it is not offered for ever.

    Only its stamp moves, and only for a window whose times are possible and newer.
    """
    times = is_finite(seen.start_s) and is_finite(seen.arrived_s)
    if times and state.stamp_s < seen.start_s <= seen.arrived_s <= TIME_MAX_S:
        return state._replace(stamp_s=seen.start_s, sequence=state.sequence + 1)
    return state


def _is_possible(seen: Observation) -> bool:
    if not (is_finite(seen.start_s) and is_finite(seen.arrived_s) and is_finite(seen.period_s)):
        return False
    if not (0.0 <= seen.start_s <= TIME_MAX_S and 0.0 <= seen.arrived_s <= TIME_MAX_S):
        return False
    if seen.quality == Quality.MISSING:
        return True
    if not PERIOD_MIN_S <= seen.period_s <= PERIOD_MAX_S or seen.start_s > seen.arrived_s + SKEW_S:
        return False
    if not (_is_latency(seen.latency_ms_p50) and _is_latency(seen.latency_ms_p99)):
        return False
    counts = (
        seen.requests,
        seen.timeouts,
        seen.errors_fast,
        seen.throttles,
        seen.attempts,
        seen.short_circuited,
    )
    for count in counts:
        if not 0 <= count <= COUNT_MAX:
            return False
    if not -1 <= seen.request_failures <= seen.requests:
        return False
    return 0 <= seen.errors_permanent <= COUNT_MAX and seen.failures <= seen.requests


def _is_latency(value: float) -> bool:
    return value == -1.0 or (is_finite(value) and value >= 0.0)
