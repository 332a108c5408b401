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
FLOAT_MAX = 1.7976931348623157e308  # the largest that is not infinite
TIME_MAX_S = 1e11  # year 5138: a millisecond stamp read as seconds lies beyond it
# To read a member off its enum runs Python code; these are compared in every step.
_MISSING, _INVALID, _PROBED = Quality.MISSING, Quality.INVALID, Quality.PROBED


def is_finite(value: float) -> bool:
    """Return whether a number is neither NaN nor infinite, with comparisons only."""
    return -FLOAT_MAX <= value <= FLOAT_MAX


def problem_of(state: State, seen: Observation) -> Evidence | None:
    """Return why an observation must not count, None if it may."""
    quality = seen.quality
    if quality == _INVALID or not _is_possible(seen):
        return Evidence(Reason.OBSERVATION_INVALID, 0.0, 0.0, 0, 1.0)
    if quality == _MISSING:
        if seen.arrived_s <= state.seen_s:
            return Evidence(Reason.OBSERVATION_LATE, seen.arrived_s, state.seen_s, 0, 1.0)
        return None
    if quality == _PROBED:
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
    (
        _, start_s, period_s, arrived_s, requests, timeouts, fast, throttles,
        attempts, lost, short, permanent, p50_ms, p99_ms, quality,
    ) = seen  # fmt: skip
    if not (0.0 <= start_s <= TIME_MAX_S and 0.0 <= arrived_s <= TIME_MAX_S):  # NaN is in no range
        return False
    if quality == _MISSING:
        return is_finite(period_s)
    return (
        PERIOD_MIN_S <= period_s <= PERIOD_MAX_S
        and start_s <= arrived_s + SKEW_S
        and (0.0 <= p50_ms <= FLOAT_MAX or p50_ms == -1.0)
        and (0.0 <= p99_ms <= FLOAT_MAX or p99_ms == -1.0)
        # What is part of the requests needs no upper bound of its own.
        and timeouts >= 0
        and fast >= 0
        and throttles >= 0
        and timeouts + fast + throttles <= requests <= COUNT_MAX
        and -1 <= lost <= requests
        and 0 <= attempts <= COUNT_MAX
        and 0 <= short <= COUNT_MAX
        and 0 <= permanent <= COUNT_MAX
    )
