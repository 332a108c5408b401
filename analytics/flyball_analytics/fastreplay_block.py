"""Runs of quiet minutes at once: what `window` of fastreplay_loop.py does, in loops of one kind of work.

Within an hour a busy target's windows differ in their counts alone. Whatever does not depend on the
window before (ratios, medians of the minutes, thresholds, verdicts) is worked out for all of them in
loops that the compiler turns into vectors; only the level goes on from window to window. The functions
are the kernel's, so the bits are those of `window`; a window that is not surely quiet ends the run and is
left to it. Nothing is changed before that is known.

All in-between results lie on `memory.desk` (fastreplay_desk.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyball_analytics.fastreplay_agree import agreed, kind_of
from flyball_analytics.fastreplay_desk import (
    ATTEMPTS,
    BY_MINUTE,
    CLEAN,
    DISPERSION,
    FAILED,
    FEW,
    KIND,
    LEARNED,
    LEVEL,
    MIDDLE,
    MINUTE_S,
    NORMAL,
    ODDS,
    P50,
    P99,
    PRIOR,
    PROVES,
    RATE_NOW,
    RATIO,
    RENEWED,
    REQUESTS,
    SIZE,
    SPREAD,
    THROTTLED,
    TIMED_OUT,
    UNSURE,
    VISIT,
)
from flyball_analytics.fastreplay_learning import VISIT_ROW, LevelNow, hour_ratio, rare, third_summed
from flyball_analytics.fastreplay_ring import put_window
from flyball_controller.core.baseline import THIRD_S
from flyball_controller.core.kernel import (
    CHRONIC_HEADROOM,
    COLD_S,
    HOURS,
    MINUTES,
    QUANTA,
    UNVISITED,
    confidence_of,
    dispersion_after,
    dispersion_prior,
    expected_of,
    kept_share,
    learning_rate,
    level_of,
    median3,
    moved_latency,
    moved_spread,
    proven_after,
    proven_faded,
    proven_peak,
    quanta,
    slot_of,
    top_ratio,
)
from flyball_controller.core.kernel_bounds import POOLED_SHARE, is_surely_under
from flyball_controller.core.promise import bet
from flyball_controller.core.regime import CLEAN_REQUESTS
from flyball_controller.core.threshold import trips_for

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # As in fastreplay_loop.py.
    Columns: TypeAlias = Any
    Memory: TypeAlias = Any
    Params: TypeAlias = Any
    Floats: TypeAlias = Any
    Column: TypeAlias = Any

SHORTEST = 8  # fewer windows are not worth the loops


def block(
    columns: Columns, row: int, last: int, level: LevelNow, memory: Memory, params: Params
) -> tuple[int, LevelNow]:
    """Return the next row and the level after a run of quiet minutes; the same row if there is none."""
    count = run_limit(columns, row, last, memory)
    if count < SHORTEST:
        return row, level
    desk, slot = memory.desk, slot_of(columns.start_s[row], MINUTE_S)
    minute = slot % MINUTES
    count = run_length(
        columns.start_s, columns.arrived_s, columns.sound, row, count, slot, params.act_within_s
    )
    if count < SHORTEST:
        return row, level
    mask = columns.mask
    copied(columns.latency_ms_p50, mask[3], row, count, desk, P50)
    copied(columns.latency_ms_p99, mask[4], row, count, desk, P99)
    copied(columns.requests, mask[5], row, count, desk, REQUESTS)
    copied(columns.timeouts, mask[6], row, count, desk, TIMED_OUT)
    copied(columns.errors_fast, mask[7], row, count, desk, FAILED)
    copied(columns.throttles, mask[8], row, count, desk, THROTTLED)
    copied(columns.attempts, mask[9], row, count, desk, ATTEMPTS)
    laid_out(desk, level.learned_s, params.min_errors)
    renewed(desk, minute, count, memory.minute, memory.medians)
    if memory.kept[0] != MINUTE_S:
        memory.kept[0], memory.kept[1] = MINUTE_S, kept_share(1.0, MINUTE_S, params.half_life_s)
    after = taught_run(desk, count, level, memory.kept[1], params)
    by_hour = hour_ratio(memory, memory.running[0] % HOURS, params.profile_visits_min)
    sure = judged(desk, count, level, by_hour, memory.sums[2], params)
    if sure > 0 and memory.lanes.shape[0] > 0:
        sure = agreed(desk, sure, level, by_hour, memory.lanes, params)
    if sure == 0:
        return row, level
    if sure < count:
        after = taught_run(desk, sure, level, memory.kept[1], params)
    noted(columns, row, sure, minute, memory, params)
    return row + sure, after


def run_limit(columns: Columns, row: int, last: int, memory: Memory) -> int:
    """Return how many rows from this one on the running hour can hold; 0 if they are no minutes, or late."""
    mask, times = columns.mask, memory.times
    if mask[0] == 0 or mask[1] != 0 or mask[2] == 0 or columns.window_s[0] != MINUTE_S:
        return 0
    start_s = columns.start_s[row]
    timely = start_s > times[0] and start_s >= times[5] and columns.arrived_s[row] >= times[4]
    minute = slot_of(start_s, MINUTE_S) % MINUTES
    if minute == 0 or not timely or slot_of(start_s, 3600.0) != memory.running[0]:
        return 0
    limit = MINUTES - minute
    return limit if limit < last - row else last - row


def run_length(
    starts: Floats, arrivals: Floats, sound: Column, row: int, limit: int, slot: int, late_s: float
) -> int:
    """Return how many of the rows are minutes in a row from `slot` on, sound, in order and in time."""
    if late_s < 2.0 * MINUTE_S:
        late_s = 2.0 * MINUTE_S
    odd = 0
    for place in range(limit):
        odd += is_odd(starts, arrivals, sound, row, place, slot, late_s)
    if odd == 0:
        return limit
    place = 0
    while is_odd(starts, arrivals, sound, row, place, slot, late_s) == 0:
        place += 1
    return place


def is_odd(
    starts: Floats, arrivals: Floats, sound: Column, row: int, place: int, slot: int, late_s: float
) -> int:
    """Return 1 if a row is not the minute that follows, arrives before the one before it, or too late."""
    at = row + place
    start_s, at_s = starts[at], arrivals[at]
    begin_s = (slot + place) * MINUTE_S
    follows = start_s >= begin_s and start_s < begin_s + MINUTE_S
    ordered = at_s >= arrivals[at - 1 if place > 0 else at]
    timely = at_s - start_s - MINUTE_S <= late_s
    return 0 if sound[at] != 0 and follows and ordered and timely else 1


def copied(column: Column, mask: int, row: int, count: int, desk: Floats, at: int) -> None:
    """Copy a column's rows to the desk; a constant column fills its row there."""
    if mask == 0:
        value = column[0]
        for place in range(SIZE):
            desk[at + place] = value
    else:
        for place in range(count):
            desk[at + place] = column[row + place]


def laid_out(desk: Floats, learned_s: float, min_errors: int) -> None:
    """Fill the rows that depend on one window each, and on what was learned before it."""
    for place in range(SIZE):
        desk[LEARNED + place] = learned_s
        learned_s = learned_s + MINUTE_S
    for place in range(SIZE):
        failures = desk[FAILED + place] + desk[TIMED_OUT + place] + desk[THROTTLED + place]
        requests = desk[REQUESTS + place]
        attempts = desk[ATTEMPTS + place]
        desk[FAILED + place] = failures
        desk[RATIO + place] = failures / requests
        desk[FEW + place] = (min_errors - 1.0) / requests
        desk[RATE_NOW + place] = (attempts if attempts > 0.0 else requests) / MINUTE_S
        desk[PRIOR + place] = dispersion_prior(desk[LEARNED + place], MINUTE_S)


def renewed(desk: Floats, minute: int, count: int, profile: Column, medians: Floats) -> None:
    """Fill the visits, the medians that they renew, and the season that each window sees."""
    for place in range(count):
        slot = minute + place
        newest, older = quanta(desk[RATIO + place]), profile[VISIT_ROW + slot]
        middle = median3(newest, profile[slot], older)
        desk[VISIT + place] = newest
        desk[MIDDLE + place] = middle if older != UNVISITED else UNVISITED
        desk[RENEWED + place] = (middle if older != UNVISITED else 0) / QUANTA
    desk[RENEWED - 1] = medians[
        minute - 1
    ]  # behind the row before nobody reads: so the next loop has no case
    for place in range(count):
        slot = minute + place
        best, later, earlier = medians[slot], medians[slot + 1], desk[RENEWED + place - 1]
        if earlier > best:
            best = earlier
        if later > best:
            best = later
        desk[BY_MINUTE + place] = best


def taught_run(desk: Floats, count: int, level: LevelNow, whole: float, params: Params) -> LevelNow:
    """Return the level after windows that all teach it; fill what it was before each."""
    chronic, minute_floor = level.chronic, level.minute_floor
    cap = CHRONIC_HEADROOM * chronic
    if params.retry_floor > cap:
        cap = params.retry_floor
    fading = proven_faded(MINUTE_S)
    rising = kept_share(params.rise_factor, MINUTE_S, params.half_life_s)
    for place in range(count):
        mean = level_of(level.failures_ew, level.requests_ew, chronic)
        desk[LEVEL + place] = mean
        desk[SPREAD + place] = level.spread
        desk[DISPERSION + place] = level.dispersion
        ratio, requests = desk[RATIO + place], desk[REQUESTS + place]
        narrow = mean + params.winsor_k * level.spread
        clipped, weight, keep = ratio, 1.0, whole
        inside = level.learned_s >= COLD_S and ratio <= narrow and ratio <= cap
        if not inside and ratio > desk[FEW + place]:
            clipped = top_ratio(level, mean, ratio, requests, params)
            if clipped < ratio:
                weight, keep = params.rise_factor, rising
        rate = learning_rate(keep, level.learned_s, MINUTE_S)
        dispersion = level.dispersion
        expected = requests * mean
        if expected >= 0.5:
            dispersion = dispersion_after(
                dispersion, mean, clipped, requests, expected, rate, desk[PRIOR + place]
            )
        level = LevelNow(
            level.failures_ew * keep + weight * clipped * requests,
            level.requests_ew * keep + weight * requests,
            moved_spread(level.spread, clipped, mean, rate),
            dispersion,
            moved_latency(level.latency_ms, desk[P99 + place], rate),
            proven_after(level.proven_per_s, desk[RATE_NOW + place], fading),
            level.learned_s + MINUTE_S,
            moved_latency(level.typical_ms, desk[P50 + place], rate),
            chronic,
            minute_floor,
        )
    return level


def judged(desk: Floats, count: int, level: LevelNow, by_hour: float, peak: float, params: Params) -> int:
    """Return how many windows from the first on are surely quiet; fill what each is and proves."""
    pooled = POOLED_SHARE * params.pool_s_max <= MINUTE_S
    for place in range(SIZE):
        failures, requests = desk[FAILED + place], desk[REQUESTS + place]
        dispersion, by_minute = desk[DISPERSION + place], desk[BY_MINUTE + place]
        expected = expected_of(
            desk[LEVEL + place], by_minute, level.minute_floor, by_hour, params.profile_visits_min
        )
        trust = confidence_of(desk[LEARNED + place], params.confidence_full_s)
        trips = trips_for(params, expected, desk[SPREAD + place], trust)
        desk[NORMAL + place] = trips.normal
        desk[ODDS + place] = bet(desk[RATIO + place], trips.normal)
        few = failures < params.min_errors
        busy = requests >= params.min_requests and requests >= CLEAN_REQUESTS * dispersion
        kind = kind_of(failures, requests, dispersion, trips, pooled, params)
        desk[KIND + place] = kind if busy else UNSURE
        known = by_minute if by_minute > peak else peak
        proves = few or is_surely_under(failures, requests, known, params.z_act, dispersion)
        desk[PROVES + place] = 0.0 if proves else 1.0
    unsure = 0
    for place in range(count):
        unsure += 1 if desk[KIND + place] == UNSURE else 0
    sure = count
    if unsure > 0:
        sure = 0
        while desk[KIND + sure] != UNSURE:
            sure += 1
    return sure


def noted(columns: Columns, row: int, count: int, minute: int, memory: Memory, params: Params) -> None:
    """Keep the books of a run: all that `window` keeps but the level."""
    desk = memory.desk
    evidence(desk, count, memory.rarity, params)
    hours(columns.start_s, row, count, desk, memory.sums, memory.running, params)
    profile, medians, middles = memory.minute, memory.medians, memory.middles
    for place in range(count):
        slot = minute + place
        profile[2 * VISIT_ROW + slot] = profile[VISIT_ROW + slot]
        profile[VISIT_ROW + slot] = profile[slot]
        profile[slot] = int(desk[VISIT + place])
        medians[minute + place] = desk[RENEWED + place]
        middles[minute + place] = int(desk[MIDDLE + place])
    clean, since = 0, 0
    for place in range(count):
        clean += 1 if desk[KIND + place] == CLEAN else 0
    law, times = memory.law, memory.times
    memory.counted[1] += count - clean
    memory.counted[2] += clean
    if clean == count:
        law[1] += count
    else:
        while desk[KIND + count - 1 - since] == CLEAN:
            since += 1
        law[1] = since
    if clean > 0:
        law[0], law[3] = 0, 0
    law[4] += count
    newest, mask = row + count - 1, columns.mask
    start_s, at_s = columns.start_s[newest], columns.arrived_s[newest]
    requests, timeouts = columns.requests[newest & mask[5]], columns.timeouts[newest & mask[6]]
    # Busy: the newest window alone is remembered.
    memory.ring_at[0] = put_window(columns, newest, start_s, MINUTE_S, requests, timeouts, memory)
    memory.ring_at[1] = 1
    times[0], times[1], times[2] = start_s, at_s, at_s
    times[3] = at_s + params.valid_for_s
    if times[5] >= 0.0 and at_s - times[5] > params.quiet_s:
        law[2] = 1


def evidence(desk: Floats, count: int, rarity: Floats, params: Params) -> None:
    """Carry the evidence against normal service over the run, as `rare` does for one window."""
    if params.promise == 1:
        carried_s = rarity[0]
        for place in range(count):
            grown_s = (carried_s + MINUTE_S) * desk[ODDS + place]
            carried_s = grown_s if grown_s < params.needed_s else params.needed_s
        for size in range(len(rarity)):
            rarity[size] = 0.0
        rarity[0] = carried_s
    else:
        for place in range(count):
            rare(
                rarity, int(desk[FAILED + place]), int(desk[REQUESTS + place]), desk[RATIO + place],
                MINUTE_S, desk[NORMAL + place], desk[DISPERSION + place], params,
            )  # fmt: skip


def hours(
    starts: Floats, row: int, count: int, desk: Floats, sums: Floats, running: Column, params: Params
) -> None:
    """Add the run to its hour and thirds, as `watched` does for one window."""
    suspects = 0.0
    for place in range(count):
        suspects += desk[PROVES + place]
    if suspects > 0.0:
        for place in range(count):
            if desk[PROVES + place] > 0.0:
                peak = proven_peak(
                    sums[2], int(desk[FAILED + place]), int(desk[REQUESTS + place]),
                    desk[DISPERSION + place], params,
                )  # fmt: skip
                if peak > sums[2] and peak > desk[BY_MINUTE + place]:
                    sums[2] = peak
    failures, requests, of_third, requests_of_third = sums[0], sums[1], sums[4], sums[5]
    end_s = (running[1] + 1) * THIRD_S
    for place in range(count):
        if starts[row + place] >= end_s:
            third_summed(sums, of_third, requests_of_third)
            of_third, requests_of_third = 0.0, 0.0
            running[1] = slot_of(starts[row + place], THIRD_S)
            end_s = (running[1] + 1) * THIRD_S
        failures += desk[FAILED + place]
        requests += desk[REQUESTS + place]
        of_third += desk[FAILED + place]
        requests_of_third += desk[REQUESTS + place]
    sums[0], sums[1], sums[4], sums[5] = failures, requests, of_third, requests_of_third
