"""How long to wait before a retry: exponential growth with full jitter.

Jitter is what breaks up synchronised clients; growth spares bounded callers.
Neither limits the number of retries: that is the budget's work.
Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter);
Brooker, "What is backoff for?".
"""

from __future__ import annotations

# Nobody should pay for a function that sleeps longer than this: the call ends
# instead, and the caller (queue, client) comes back later.
RETRY_AFTER_MAX_S = 20.0


def delay_s(
    retry: int, *, base_ms: float, cap_ms: float, draw: float, retry_after_s: float | None = None
) -> float | None:
    """Return the seconds to wait before a retry, or None if the target asked for more than is worth waiting.

    Args:
        retry: 1 for the first retry.
        base_ms: Upper end of the first wait, > 0; doubles with each retry. A
            throttled call passes its own, longer base.
        cap_ms: No wait is drawn from beyond this; a base above it wins, so that
            a longer base for throttles is not cut off.
        draw: Uniform in [0, 1).
        retry_after_s: What the target asked for; waited in full, jitter on top,
            so that those who were told the same second do not return together.
            Negative or NaN is no demand.

    >>> delay_s(3, base_ms=100, cap_ms=2_000, draw=0.5)
    0.2
    """
    wait_ms = draw * min(max(cap_ms, base_ms), base_ms * (1 << (retry - 1)))
    if retry_after_s is None or not retry_after_s > 0.0:
        return wait_ms / 1_000.0
    if retry_after_s > RETRY_AFTER_MAX_S:
        return None
    return retry_after_s + wait_ms / 1_000.0
