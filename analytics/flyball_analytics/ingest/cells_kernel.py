"""Adds points to the minutes of their targets, written so that numba can compile it.

A cell is one minute of one target with one value per metric and statistic. Of
repeated values the larger stands, whatever the order: totals of a minute only grow
(the same rule as in the stream handler). What was late, repeated or revised is
counted per cell. Runs uncompiled too, with the same result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flyball_analytics.ingest.jit import compiled, jitable
from flyball_analytics.moments import EARLIEST_S, LATEST_S

MINUTE_S = 60.0
TARGET_SHIFT = 1 << 32  # a cell's key: target times this plus the minute
NO_TARGET = -1
LATE, REPEATED, REVISED = range(3)  # columns of `counters`
COUNTERS = 3
# Odd factors near 2^31 over the golden ratio and its square: they spread neighbouring minutes and
# targets, and products of 2^27 minutes or 2^31 targets stay below 2^62.
MINUTE_FACTOR, TARGET_FACTOR = 1_327_217_885, 820_265_765
HASH_SHIFT = 12


class CellTable(NamedTuple):
    """All cells; arrays that the caller owns and grows."""

    slots: Any  # hash table: cell or -1; a power of two long, at least twice the cells
    keys: Any  # per cell
    values: Any  # per cell and column, NaN where nothing came
    counters: Any  # per cell: points that were late, repeated, revised
    newest: Any  # per target: youngest minute seen
    counts: Any  # cells in use, points of no target


@jitable
def slot_of(key: int, mask: int) -> int:
    """Return where the search for a cell's key begins."""
    mixed = (key % TARGET_SHIFT) * MINUTE_FACTOR + (key // TARGET_SHIFT) * TARGET_FACTOR
    return (mixed >> HASH_SHIFT) & mask


@jitable
def merge_point(values: Any, counters: Any, cell: int, route: Any, point: Any) -> None:
    """Keep the larger of each value of a cell, and count what was repeated or revised."""
    same, other = 0, 0
    for k in range(1, 4):
        column, value = route[k], point[k]
        if column < 0 or value != value:
            continue
        held = values[cell, column]
        if held == value:
            same += 1
        elif held == held:
            other += 1
        if not held >= value:
            values[cell, column] = value
    if other:
        counters[cell, REVISED] += 1
    elif same:
        counters[cell, REPEATED] += 1


def add_points(series: Any, points: Any, begin: int, routes: Any, table: CellTable, bad: Any) -> Any:
    """Add points from `begin` on; return (how far it came, how many have an impossible time).

    It stops early where the table is full.

    Args:
        series: Per point, (n,).
        points: Start in seconds, sum, p50, p99, (n, 4); NaN where absent.
        begin: First point to add.
        routes: Per series: target or NO_TARGET, columns of sum, p50, p99 or -1, (s, 4).
        table: The cells.
        bad: Room for the numbers of points whose time is impossible.
    """
    slots, keys, values, counters = table.slots, table.keys, table.values, table.counters
    newest, counts = table.newest, table.counts
    mask = len(slots) - 1
    wrong = 0
    for i in range(begin, len(series)):
        target = routes[series[i], 0]
        if target == NO_TARGET:
            counts[1] += 1
            continue
        start_s = points[i, 0]
        if not EARLIEST_S <= start_s < LATEST_S:
            bad[wrong] = i
            wrong += 1
            continue
        minute = int(start_s // MINUTE_S)
        key = target * TARGET_SHIFT + minute
        slot = slot_of(key, mask)
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + 1) & mask
        cell = slots[slot]
        if cell < 0:
            if counts[0] >= len(keys):
                return i, wrong
            cell = counts[0]
            slots[slot] = cell
            keys[cell] = key
            counts[0] += 1
        if minute < newest[target]:
            counters[cell, LATE] += 1
        else:
            newest[target] = minute
        merge_point(values, counters, cell, routes[series[i]], points[i])
    return len(series), wrong


add_points_fast = compiled(add_points)
