"""Graded local shedding: a target that times out gets less, in proportion.

Only time-outs count. A fast error costs the target nothing, and shedding it
would turn a partial failure into a larger one; a time-out means work that piles
up. The form is Google's adaptive throttling, with a cap so that some traffic
always measures recovery (Envoy caps at 80 %, failsafe-go at 90 %).

Source: Site Reliability Engineering, "Handling Overload", client-side
throttling; constants: docs/theory/control.md.
"""

from __future__ import annotations

# One time-out in a quiet environment is noise; from two on the ratio speaks.
MIN_TIMEOUTS = 2


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
