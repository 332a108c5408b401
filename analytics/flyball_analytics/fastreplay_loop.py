"""The quiet path of the step over columns: plain functions on arrays, compiled by fastreplay_jit.py.

What happens in a quiet window (nominal before and after, one whole window, nothing
over a threshold) is little: pool, compare, learn, count. `advance` does that for one
window after the other, with the arithmetic of flyball_controller.core.kernel, and
stops in front of the first window that could be anything else. It decides nothing:
that window is stepped by `step` itself.

Containers that the core rebuilds are changed in place here, and two answers are kept
that the core works out anew each time: the medians of the minutes and the season of
the running hour. Both are pure functions of the profiles, renewed where those change.

Where a busy target's minutes follow each other, fastreplay_block.py takes up to an hour of
them at once. `window` is the measure: what a block does is what `window` would have done.

Every function also runs uncompiled; the tests do that on short histories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyball_analytics.fastreplay_agree import agree, stays_quiet
from flyball_analytics.fastreplay_block import SHORTEST, block
from flyball_analytics.fastreplay_learning import LevelNow, hour_ratio, rare, taught, visit_minutes, watched
from flyball_analytics.fastreplay_ring import pools, put_window
from flyball_controller.core.kernel import (
    HOURS,
    MINUTES,
    confidence_of,
    expected_of,
    level_of,
    slot_of,
)
from flyball_controller.core.kernel_bounds import is_clean
from flyball_controller.core.threshold import trips_for

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # Arrays stand where the kernel says tuples, and Params where it says Policy: the same
    # fields, other types. What they hold is said in fastreplay_memory.py.
    Columns: TypeAlias = Any
    Memory: TypeAlias = Any
    Params: TypeAlias = Any
    Floats: TypeAlias = Any

PAUSE_MAX = 512  # twice the windows between two attempts at blocks where those come to nothing
DATA_LOW, BETWEEN, CLEAN = 0, 1, 2  # what a quiet window is counted as


def advance(columns: Columns, first: int, last: int, memory: Memory, params: Params) -> int:
    """Run the quiet windows from `first` on; return the first row, at most `last`, that is left to `step`."""
    values = memory.level
    level = LevelNow(
        values[0], values[1], values[2], values[3], values[4],
        values[5], values[6], values[7], values[8], values[9],
    )  # fmt: skip
    memory.hour_cached[0] = -1.0
    row, again, pause = first, first, 1
    while row < last and columns.sound[row] != 0:
        before = row
        if row >= again:
            row, level = block(columns, row, last, level, memory, params)
            pause = 1 if row - before >= SHORTEST else 2 * pause if pause < PAUSE_MAX else pause
            again = row + pause // 2
        if row == before:
            row, level = window(columns, row, level, memory, params)
            if row == before:
                break
    values[0], values[1], values[2] = level.failures_ew, level.requests_ew, level.spread
    values[3], values[4], values[5] = level.dispersion, level.latency_ms, level.proven_per_s
    values[6], values[7] = level.learned_s, level.typical_ms
    return row


def window(
    columns: Columns, row: int, level: LevelNow, memory: Memory, params: Params
) -> tuple[int, LevelNow]:
    """Return the next row and the level after a quiet window; otherwise the same row, nothing changed."""
    mask = columns.mask
    start_s, period_s = columns.start_s[row & mask[0]], columns.window_s[row & mask[1]]
    at_s = columns.arrived_s[row & mask[2]]
    requests = columns.requests[row & mask[5]]
    timeouts = columns.timeouts[row & mask[6]]
    failures = timeouts + columns.errors_fast[row & mask[7]] + columns.throttles[row & mask[8]]
    age_s = at_s - start_s - period_s
    late = start_s <= memory.times[0] or at_s < memory.times[4]
    if late or (age_s > params.act_within_s and age_s > 2.0 * period_s):
        return row, level
    ratio = failures / requests
    place = put_window(columns, row, start_s, period_s, requests, timeouts, memory)
    pool, wide, kept = pools(memory, place, start_s, period_s, requests, failures, timeouts, level, params)
    mean = level_of(level.failures_ew, level.requests_ew, level.chronic)
    minute = slot_of(start_s, 60.0) % MINUTES
    by_minute = minute_ratio(memory.medians, minute)
    by_hour = hour_ratio(memory, slot_of(start_s, 3600.0) % HOURS, params.profile_visits_min)
    expected = expected_of(mean, by_minute, level.minute_floor, by_hour, params.profile_visits_min)
    trust = confidence_of(level.learned_s, params.confidence_full_s)
    trips = trips_for(params, expected, level.spread, trust)
    if not stays_quiet(pool, trips, level.dispersion, params):
        return row, level
    clean = is_clean(
        wide.failures, wide.requests, wide.span_s, trips.reset, trips.reset_point, level.dispersion, params
    )
    if memory.lanes.shape[0] > 0 and not agree(
        failures, requests, ratio, pool, wide, clean, expected, trust, trips, level, memory.lanes, params
    ):
        return row, level
    kind = DATA_LOW
    if pool.requests >= params.min_requests:
        kind = CLEAN if clean else BETWEEN
    memory.ring_at[0], memory.ring_at[1] = place, kept
    keep_books(memory, start_s, at_s, kind, clean, params)
    rare(memory.rarity, failures, requests, ratio, period_s, trips.normal, level.dispersion, params)
    watched(memory, start_s, failures, requests, by_minute, level, params)
    visit_minutes(memory, start_s, period_s, ratio)
    level = LevelNow(
        level.failures_ew,
        level.requests_ew,
        level.spread,
        level.dispersion,
        level.latency_ms,
        level.proven_per_s,
        level.learned_s,
        level.typical_ms,
        memory.level[8],
        memory.level[9],
    )
    if failures >= params.min_errors and failures > trips.retry * requests:
        return row + 1, level  # over the trip: only seasons learn
    return row + 1, taught(columns, row, level, ratio, requests, period_s, memory, params)


def minute_ratio(medians: Floats, minute: int) -> float:
    """Return the seasonal ratio of a minute of the hour, widened by one minute each side."""
    best: float = medians[minute]
    earlier = medians[minute - 1 if minute > 0 else MINUTES - 1]
    later = medians[minute + 1 if minute < MINUTES - 1 else 0]
    if earlier > best:
        best = earlier
    if later > best:
        best = later
    return best


def keep_books(memory: Memory, start_s: float, at_s: float, kind: int, clean: bool, params: Params) -> None:
    """Count the window, and set what every accepted window sets."""
    times, law = memory.times, memory.law
    memory.counted[kind] += 1
    times[0], times[1], times[2] = start_s, at_s, at_s
    times[3] = at_s + params.valid_for_s
    if clean:
        law[0], law[1], law[3] = 0, law[1] + 1, 0
    else:
        law[1] = 0
    if times[5] >= 0.0 and at_s - times[5] > params.quiet_s:
        law[2] = 1
    law[4] += 1
