"""Graded local shedding: a target that times out gets less, in proportion.

Only time-outs count. A fast error costs the target nothing, and shedding it
would turn a partial failure into a larger one; a time-out means work that piles
up. Unless most calls come back, and as quickly as ever: then no queue is behind
the time-outs, a node swallows its share, and neither shedding nor saving retries
mends that (`is_calm`). The form is Google's adaptive throttling, with a cap so that some traffic
always measures recovery (Envoy caps at 80 %, failsafe-go at 90 %).

Source: Site Reliability Engineering, "Handling Overload", client-side
throttling; constants: docs/theory/control.md.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# One time-out in a quiet environment is noise; from two on the ratio speaks.
MIN_TIMEOUTS = 2
# Calm is judged by as few calls as one environment makes in seconds: the last time-outs, the last answers.
LATE_KEPT = 4
ANSWERS_KEPT = 16
# A queue that lets calls time out takes up most of the time-out before: half of it is the line.
CALM_RATIO = 0.5


def is_calm(*, timeouts: int, good: int, answers_ms: Sequence[float], timeout_ms: float) -> bool:
    """Return whether time-outs come from something else than a queue: most calls are answered, and soon.

    A queue delays everybody: before the first call times out, the others have waited nearly as long.

    Args:
        timeouts: The newest time-outs that are remembered.
        good: Calls that went well since the oldest of them.
        answers_ms: Durations of the newest attempts; those of `timeout_ms` or more are no answers.
        timeout_ms: Time-out of an attempt, > 0.

    >>> is_calm(timeouts=4, good=12, answers_ms=[240.0, 1_000.0, 260.0], timeout_ms=1_000.0)
    True
    >>> is_calm(timeouts=4, good=12, answers_ms=[740.0, 1_000.0, 860.0], timeout_ms=1_000.0)
    False
    """
    answered = [ms for ms in answers_ms if ms < timeout_ms]
    return good >= timeouts and 0.0 < sum(answered) < CALM_RATIO * timeout_ms * len(answered)


def shed_ratio(*, calls: int, timeouts: int, shed: int, k: float, cap_ratio: float) -> float:
    """Return the probability, in [0, cap_ratio], of refusing the next call.

    Args:
        calls: First attempts of the window that ended, in any way.
        timeouts: Those that timed out, <= calls.
        shed: Calls of the window that were refused here. They were offered, so
            they count: else the ratio would forget the overload that it hides.
        k: Offered calls tolerated per call that came back in time, >= 1.
        cap_ratio: Highest answer, < 1.

    >>> shed_ratio(calls=20, timeouts=10, shed=0, k=1.5, cap_ratio=0.8) == 5 / 21
    True
    """
    if timeouts < MIN_TIMEOUTS:
        return 0.0
    offered = calls + shed
    excess = (offered - k * (calls - timeouts)) / (offered + 1)
    return min(cap_ratio, excess) if excess > 0.0 else 0.0
