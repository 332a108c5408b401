"""The newest windows of a target and their pools, over arrays: part of fastreplay_loop.py.

The core keeps a tuple and makes a new one for every window; here the same windows lie
in a ring that is written in place. See fastreplay_loop.py for the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyball_analytics.fastreplay_learning import LevelNow
from flyball_controller.core.evidence import RING_LENGTH_MAX
from flyball_controller.core.regime import CLEAN_REQUESTS

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # As in fastreplay_loop.py.
    Columns: TypeAlias = Any
    Memory: TypeAlias = Any
    Params: TypeAlias = Any

RING = RING_LENGTH_MAX + 1  # one place more than is remembered: the newest window is written before it counts


class Pooled(NamedTuple):
    """Sums over the newest windows, as the verdict needs them."""

    span_s: float
    requests: int
    failures: int
    timeouts: int


def put_window(
    columns: Columns, row: int, start_s: float, period_s: float, requests: int, timeouts: int, memory: Memory
) -> int:
    """Write the window into the free place of the ring and return the place; it counts only later."""
    mask = columns.mask
    place: int = (memory.ring_at[0] + 1) % RING
    times, counts = memory.ring_times, memory.ring_counts
    times[place, 0], times[place, 1] = start_s, period_s
    counts[place, 0], counts[place, 1] = requests, timeouts
    counts[place, 2] = columns.errors_fast[row & mask[7]]
    counts[place, 3] = columns.throttles[row & mask[8]]
    counts[place, 4] = columns.attempts[row & mask[9]]
    counts[place, 5] = columns.request_failures[row & mask[10]]
    counts[place, 6] = columns.short_circuited[row & mask[11]]
    return place


def pools(
    memory: Memory,
    place: int,
    start_s: float,
    period_s: float,
    requests: int,
    failures: int,
    timeouts: int,
    level: LevelNow,
    params: Params,
) -> tuple[Pooled, Pooled, int]:
    """Return the pool to act on, the one to call it clean, and how many windows are kept."""
    enough = params.min_requests
    keep = int(CLEAN_REQUESTS * level.dispersion)
    if enough > keep:
        keep = enough
    if requests >= keep and start_s >= memory.times[5]:
        one = Pooled(period_s, requests, failures, timeouts)  # a busy target: this window says it all
        return one, one, 1
    span_s = params.pool_s_max
    if period_s > span_s:
        span_s = period_s
    length = memory.ring_at[1] + 1
    kept = windows_kept(memory, place, length, keep, params.pool_s_max)
    pool = pool_back(memory, place, kept, enough, span_s)
    return pool, pool_back(memory, place, kept, keep, span_s), kept


def windows_kept(memory: Memory, place: int, length: int, keep: int, span_s_max: float) -> int:
    """Return how many of the newest windows are remembered, as `push_window` does."""
    times, counts = memory.ring_times, memory.ring_counts
    kept, requests, span_s = 1, counts[place, 0], times[place, 1]
    while kept < length:
        older = (place - kept) % RING
        if requests >= keep or span_s + times[older, 1] > span_s_max or kept >= RING_LENGTH_MAX:
            break
        kept += 1
        requests += counts[older, 0]
        span_s += times[older, 1]
    return kept


def pool_back(memory: Memory, place: int, kept: int, enough: int, span_s_max: float) -> Pooled:
    """Return the sums over the newest windows, as `pool_windows` does."""
    times, counts = memory.ring_times, memory.ring_counts
    span_s = 0.0
    requests, failures, timeouts = 0, 0, 0
    for back in range(kept):
        at = (place - back) % RING
        late = times[at, 0] < memory.times[5]
        if late or requests >= enough or span_s + times[at, 1] > span_s_max:
            break
        span_s += times[at, 1]
        requests += counts[at, 0]
        timeouts += counts[at, 1]
        failures += counts[at, 1] + counts[at, 2] + counts[at, 3]
    return Pooled(span_s, requests, failures, timeouts)
