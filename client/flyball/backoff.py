"""How long to wait before a retry: exponential growth, spread by jitter.

Jitter is what breaks up synchronised clients; growth spares bounded callers.
Neither limits the number of retries: that is the budget's work.

With top = min(cap, base * 2**(retry - 1)) and draw uniform in [0, 1):

    full          draw * top                                      the least work for all together
    equal         top / 2 + draw * top / 2                        never (nearly) at once
    decorrelated  min(cap, base + draw * (3 * previous - base))   grows from what was drawn before

Full jitter is the default: of the three it ends a contention with the fewest
calls. Equal jitter is for targets to which an immediate repetition is of no
use; decorrelated jitter spreads the later waits further.
Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (all three);
Brooker, "What is backoff for?".
"""

from __future__ import annotations

from flyball.records import Jitter

# Nobody should pay for a function that sleeps longer than this: the call ends
# instead, and the caller (queue, client) comes back later.
RETRY_AFTER_MAX_S = 20.0


def pause_ms(
    retry: int,
    *,
    base_ms: float,
    cap_ms: float,
    draw: float,
    jitter: Jitter = Jitter.FULL,
    previous_ms: float | None = None,
) -> float:
    """Return the milliseconds to wait before a retry if the target asks for nothing, >= 0.

    Args:
        retry: 1 for the first retry.
        base_ms: Upper end of the first wait (decorrelated: its lower end), > 0.
            A throttled call passes its own, longer base.
        cap_ms: No wait is drawn from beyond this; a base above it wins, so that
            a longer base for throttles is not cut off.
        draw: Uniform in [0, 1).
        jitter: How the draw is used.
        previous_ms: What this returned for the retry before; None for the first.
            Looked at by decorrelated jitter alone.

    >>> pause_ms(3, base_ms=100, cap_ms=2_000, draw=0.5, jitter=Jitter.EQUAL)
    300.0
    """
    cap_ms = max(cap_ms, base_ms)
    if jitter is Jitter.DECORRELATED:
        # The base may have grown since, by a throttle: then the range is empty and the base holds.
        widest_ms = max(base_ms, 3.0 * (base_ms if previous_ms is None else previous_ms))
        return min(cap_ms, base_ms + draw * (widest_ms - base_ms))
    top_ms = min(cap_ms, base_ms * (1 << (retry - 1)))
    if jitter is Jitter.EQUAL:
        return (top_ms + draw * top_ms) / 2.0
    return draw * top_ms


def obliged_s(wait_ms: float, retry_after_s: float | None) -> float | None:
    """Return the seconds to wait, or None if the target asked for more than is worth waiting.

    Args:
        wait_ms: The wait if the target asks for nothing.
        retry_after_s: What the target asked for; waited in full, `wait_ms` on
            top, so that those who were told the same second do not return
            together. Negative or NaN is no demand.
    """
    if retry_after_s is None or not retry_after_s > 0.0:
        return wait_ms / 1_000.0
    if retry_after_s > RETRY_AFTER_MAX_S:
        return None
    return retry_after_s + wait_ms / 1_000.0


def delay_s(
    retry: int,
    *,
    base_ms: float,
    cap_ms: float,
    draw: float,
    retry_after_s: float | None = None,
    jitter: Jitter = Jitter.FULL,
    previous_ms: float | None = None,
) -> float | None:
    """Return `pause_ms` and `obliged_s` in one: seconds before a retry, or None.

    >>> delay_s(3, base_ms=100, cap_ms=2_000, draw=0.5)
    0.2
    """
    wait_ms = pause_ms(
        retry, base_ms=base_ms, cap_ms=cap_ms, draw=draw, jitter=jitter, previous_ms=previous_ms
    )
    return obliged_s(wait_ms, retry_after_s)
