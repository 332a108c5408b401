"""What a quiet window teaches, over arrays: evidence, hours, minutes, the level. Part of fastreplay_loop.py.

The arithmetic is the kernel's; here it is put where it belongs, in place. The medians
of whole numbers have another form than in the core: compiled code counts them out in
arrays where they lie, the interpreter sorts lists. See fastreplay_loop.py for the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyball_controller.core.baseline import RECENT, THIRD_S
from flyball_controller.core.kernel import (
    HOURS,
    MINUTES,
    QUANTA,
    UNVISITED,
    VISITS,
    kept_share,
    learned,
    level_of,
    median3,
    minutes_covered,
    proven_peak,
    quanta,
    slot_of,
)
from flyball_controller.core.promise import NORMAL_MAX, QUANTUM, TROUBLES, bet, likelihood_ratio, multiplied

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    # As in fastreplay_loop.py.
    Columns: TypeAlias = Any
    Memory: TypeAlias = Any
    Params: TypeAlias = Any
    Floats: TypeAlias = Any
    Counts: TypeAlias = Any


VISIT_ROW = 64  # the profile of minutes: all newest visits, all before them, all before those
NEAR = 16  # quanta, in which most medians move within an hour


class LevelNow(NamedTuple):
    """The first ten fields of the baseline, by value: they change with every window."""

    failures_ew: float
    requests_ew: float
    spread: float
    dispersion: float
    latency_ms: float
    proven_per_s: float
    learned_s: float
    typical_ms: float
    chronic: float
    minute_floor: float


def rare(
    rarity: Floats,
    failures: int,
    requests: int,
    ratio: float,
    period_s: float,
    normal: float,
    dispersion: float,
    params: Params,
) -> None:
    """Carry the evidence against normal service on, as `next_rarity` does."""
    if params.promise == 1:
        grown_s = (rarity[0] + period_s) * bet(ratio, normal)
        forget(rarity)
        rarity[0] = params.needed_s
        if grown_s < params.needed_s:
            rarity[0] = grown_s
    elif params.promise == 2 and normal <= NORMAL_MAX:
        share = int(QUANTUM / dispersion)
        cap_s = params.needed_s * len(TROUBLES)
        rarity[0] = 0.0
        for size in range(len(TROUBLES)):
            trouble = normal + TROUBLES[size] * (1.0 - normal)
            odds = likelihood_ratio(failures, requests, normal, trouble, share)
            rarity[size + 1] = multiplied(rarity[size + 1] + period_s, odds, cap_s)
    else:
        forget(rarity)


def forget(rarity: Floats) -> None:
    """Set the evidence to nothing."""
    for place in range(len(rarity)):
        rarity[place] = 0.0


def watched(
    memory: Memory,
    start_s: float,
    failures: int,
    requests: int,
    by_minute: float,
    level: LevelNow,
    params: Params,
) -> None:
    """Add the window to its hour, as `watch` does; close the hours and thirds that are over."""
    sums = memory.sums
    third = slot_of(start_s, THIRD_S)
    if third != memory.running[1]:
        third_closed(memory, third, slot_of(start_s, 3600.0))
    peak = proven_peak(sums[2], failures, requests, level.dispersion, params)
    if peak > sums[2] and peak > by_minute:
        sums[2] = peak
    sums[0] += failures
    sums[1] += requests
    sums[4] += failures
    sums[5] += requests


def hour_ratio(memory: Memory, hour: int, visits_min: int) -> float:
    """Return the seasonal ratio of an hour of the week; kept while it lasts."""
    cached = memory.hour_cached
    if cached[0] != hour:
        cached[0], cached[1] = hour, season_quanta(memory, hour, visits_min) / QUANTA
    season: float = cached[1]
    return season


def season_quanta(memory: Memory, hour: int, visits_min: int) -> int:
    """Return the seasonal quanta of an hour of the week, as `hour_expectation` of the core does."""
    newest, before, visits, week = memory.hour, memory.hour_before, memory.hour_visits, memory.week
    best = 0
    if visits[hour] >= visits_min:
        best = newest[hour] if newest[hour] < before[hour] else before[hour]
    for day in range(len(week)):
        slot = hour % 24 + 24 * day
        week[day] = newest[slot] if visits[slot] > 0 else UNVISITED
    daily = counted_median(week, visits_min if visits_min > 1 else 1, newest[hour])
    return daily if daily > best else best


def third_closed(memory: Memory, third: int, hour: int) -> None:
    """Begin the next third of an hour; if that is another hour, close the one that is over."""
    sums, index = memory.sums, memory.running
    third_summed(sums, sums[4], sums[5])
    index[1], sums[4], sums[5] = third, 0.0, 0.0
    if hour != index[0]:
        if sums[1] > 0.0:
            hour_closed(memory)
        index[0] = hour


def third_summed(sums: Floats, failures: float, requests: float) -> None:
    """Keep the ratio of a third that is over, if it is the best of the hour."""
    if requests > 0.0:
        mean = failures / requests
        if mean < sums[3]:
            sums[3] = mean


def hour_closed(memory: Memory) -> None:
    """Fold the hour that is over into its slot of the week and into the last day."""
    sums, recent, visits = memory.sums, memory.recent, memory.hour_visits
    slot = memory.running[0] % HOURS
    value = sums[0] / sums[1]
    if sums[2] > value:
        value = sums[2]
    for back in range(RECENT - 1, 0, -1):
        recent[back] = recent[back - 1]
    recent[0] = quanta(sums[3])
    known = counted_median(recent, VISITS, memory.nearest[0])
    if known >= 0:
        memory.nearest[0] = known
        memory.level[8] = known / QUANTA
    lowest = counted_median(memory.middles, 1, memory.nearest[1])
    memory.nearest[1] = lowest if lowest > 0 else 0
    memory.level[9] = memory.nearest[1] / QUANTA
    memory.hour_before[slot] = memory.hour[slot]
    memory.hour[slot] = quanta(value)
    visits[slot] = visits[slot] + 1 if visits[slot] < 255 else 255
    sums[0], sums[1], sums[2], sums[3] = 0.0, 0.0, 0.0, 1.0
    if slot % 24 == int(memory.hour_cached[0]) % 24:
        memory.hour_cached[0] = -1.0  # the season of the running hour has this one among its days


def counted_median(values: Counts, least: int, near: int) -> int:
    """Return what `lower_median` returns for the known ones of values from 0 to UNVISITED; -1 if too few.

    It halves the range until one value is left that enough others do not exceed: the
    counting runs in vectors, which for some ten values is quicker than any sort. It
    begins around `near`, which may be anything: the median an hour ago saves ten counts.
    """
    known = 0
    for place in range(len(values)):
        known += 1 if values[place] != UNVISITED else 0
    if known < least:
        return -1
    needed = (known - 1) // 2 + 1
    low, high = 0, UNVISITED
    if counted(values, near + NEAR) >= needed and near + NEAR < high:
        high = near + NEAR
    if near > NEAR and counted(values, near - NEAR) < needed:
        low = near - NEAR + 1
    while low < high:
        middle = (low + high) >> 1
        enough = counted(values, middle) >= needed
        low = low if enough else middle + 1
        high = middle if enough else high
    return low


def counted(values: Counts, limit: int) -> int:
    """Return how many values do not exceed a limit."""
    count = 0
    for place in range(len(values)):
        count += 1 if values[place] <= limit else 0
    return count


def visit_minutes(memory: Memory, start_s: float, period_s: float, ratio: float) -> None:
    """Shift a visit into each minute that the window covers, and renew the medians of those."""
    profile = memory.minute
    first, count = minutes_covered(start_s, period_s)
    for minute in range(first, first + count):
        slot = minute % MINUTES
        newest, middle, oldest = quanta(ratio), profile[slot], profile[VISIT_ROW + slot]
        profile[2 * VISIT_ROW + slot] = oldest
        profile[VISIT_ROW + slot] = middle
        profile[slot] = newest
        known = median3(newest, middle, oldest)
        memory.middles[slot] = known if oldest != UNVISITED else UNVISITED
        memory.medians[slot] = (known if oldest != UNVISITED else 0) / QUANTA
        if slot == 0:
            memory.medians[MINUTES] = memory.medians[0]


def taught(
    columns: Columns,
    row: int,
    level: LevelNow,
    ratio: float,
    requests: int,
    period_s: float,
    memory: Memory,
    params: Params,
) -> LevelNow:
    """Return the level after a window that may teach it."""
    mask = columns.mask
    if memory.kept[0] != period_s:
        memory.kept[0], memory.kept[1] = period_s, kept_share(1.0, period_s, params.half_life_s)
    new = learned(
        level,
        level_of(level.failures_ew, level.requests_ew, level.chronic),
        ratio,
        requests,
        columns.attempts[row & mask[9]],
        columns.latency_ms_p50[row & mask[3]],
        columns.latency_ms_p99[row & mask[4]],
        period_s,
        memory.kept[1],
        params,
    )
    return LevelNow(
        new[0], new[1], new[2], new[3], new[4], new[5], new[6], new[7], level.chronic, level.minute_floor
    )
