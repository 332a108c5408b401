"""What a quiet window teaches, over arrays: evidence, hours, minutes, the level. Part of fastreplay_loop.py.

The arithmetic is the kernel's; here it is put where it belongs, in place. One function
has another form than in the core: the median of whole numbers, which compiled code
counts out and the interpreter sorts out. See fastreplay_loop.py for the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flyball_controller.core.baseline import THIRD_S
from flyball_controller.core.kernel import (
    HOURS,
    MINUTES,
    QUANTA,
    VISITS,
    kept_share,
    learned,
    level_of,
    minute_median,
    minutes_covered,
    minutes_floor_quanta,
    proven_peak,
    quanta,
    recent_quanta,
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


def third_closed(memory: Memory, third: int, hour: int) -> None:
    """Begin the next third of an hour; if that is another hour, close the one that is over."""
    sums, index = memory.sums, memory.running
    if sums[5] > 0.0:
        mean = sums[4] / sums[5]
        if mean < sums[3]:
            sums[3] = mean
    index[1], sums[4], sums[5] = third, 0.0, 0.0
    if hour != index[0]:
        if sums[1] > 0.0:
            hour_closed(memory)
        index[0] = hour


def hour_closed(memory: Memory) -> None:
    """Fold the hour that is over into its slot of the week and into the last day."""
    sums, recent, visits = memory.sums, memory.recent, memory.hour_visits
    slot = memory.running[0] % HOURS
    value = sums[0] / sums[1]
    if sums[2] > value:
        value = sums[2]
    for back in range(len(recent) - 1, 0, -1):
        recent[back] = recent[back - 1]
    recent[0] = quanta(sums[3])
    known = recent_quanta(recent)
    if known >= 0:
        memory.level[8] = known / QUANTA
    memory.level[9] = minutes_floor_quanta(memory.minute) / QUANTA
    memory.hour_before[slot] = memory.hour[slot]
    memory.hour[slot] = quanta(value)
    visits[slot] = visits[slot] + 1 if visits[slot] < 255 else 255
    sums[0], sums[1], sums[2], sums[3] = 0.0, 0.0, 0.0, 1.0
    memory.hour_cached[0] = -1.0


def counted_median(values: list[int]) -> int:
    """Return what `lower_median` returns, for values from 0 to 65,535, without sorting them.

    It halves the range until one value is left that enough others do not exceed: the
    counting runs in vectors, which for some ten values is quicker than any sort.
    """
    needed = (len(values) - 1) // 2 + 1
    low, high = 0, 65_535
    while low < high:
        middle = (low + high) >> 1
        count = 0
        for value in values:
            count += 1 if value <= middle else 0
        if count >= needed:
            high = middle
        else:
            low = middle + 1
    return low


def visit_minutes(memory: Memory, start_s: float, period_s: float, ratio: float) -> None:
    """Shift a visit into each minute that the window covers, and renew the medians of those."""
    profile = memory.minute
    first, count = minutes_covered(start_s, period_s)
    for minute in range(first, first + count):
        slot = minute % MINUTES
        at = slot * VISITS
        profile[at + 2] = profile[at + 1]
        profile[at + 1] = profile[at]
        profile[at] = quanta(ratio)
        memory.medians[slot] = minute_median(profile, slot) / QUANTA


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
