"""Windows as columns: what one target's part of a history holds in memory, and how blocks are merged.

A block is one NumPy array per column, all of one length, in order of arrival. The
conventions are those of an Observation (-1 = not measured, blank is not zero), so
that a history replays to the same bytes as what it was made from. `measured` says
which counts the source really gave: needed when a minute arrives in pieces.

Knows nothing of files, targets or sources. Needs numpy (extra `sim`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flyball_controller.aws.metric_map import COUNT_FIELDS
from flyball_controller.core.model import Observation, Quality

Array = npt.NDArray[Any]
US_PER_S = 1_000_000
# Latencies follow the counts in the bits of `measured`.
LATENCY_COLUMNS = ("latency_p50_ms", "latency_p99_ms")
VALUE_COLUMNS = (*COUNT_FIELDS, *LATENCY_COLUMNS)
MEASURED_BIT: Mapping[str, int] = {name: 1 << bit for bit, name in enumerate(VALUE_COLUMNS)}
ALL_MEASURED = (1 << len(VALUE_COLUMNS)) - 1
IMPOSSIBLE = 1 << len(VALUE_COLUMNS)  # besides in `measured`: a raw value was negative or beyond any count

DTYPES: Mapping[str, str] = {
    "start_us": "int64",
    "period_s": "float64",
    "arrived_us": "int64",
    **dict.fromkeys(COUNT_FIELDS, "int64"),
    **dict.fromkeys(LATENCY_COLUMNS, "float64"),
    "quality": "int8",
    "measured": "int32",
}
_KEY = ("start_us", "period_s")
# A second reading that differs in one of these is a revision; another arrival alone is not.
_COMPARED = (*VALUE_COLUMNS, "quality")

Block = dict[str, Array]


class Revision(NamedTuple):
    """A window that was read again with other numbers: the old and new requests and failures."""

    start_us: int
    requests_before: int
    requests_after: int
    failures_before: int
    failures_after: int


class Merged(NamedTuple):
    """What a merge came to; `changed` is False if every row was there already."""

    block: Block
    changed: bool
    repeated: int  # rows that were there already, equal in every value
    revisions: tuple[Revision, ...]


def empty() -> Block:
    """Return a block without rows."""
    return {name: np.empty(0, dtype=kind) for name, kind in DTYPES.items()}


def length(block: Block) -> int:
    """Return the number of rows."""
    return len(block["start_us"])


def take(block: Block, index: Array | slice) -> Block:
    """Return the rows that an index, mask or slice names, in its order."""
    return {name: values[index] for name, values in block.items()}


def joined(blocks: Sequence[Block]) -> Block:
    """Return the rows of several blocks, one after the other."""
    if not blocks:
        return empty()
    return {name: np.concatenate([block[name] for block in blocks]) for name in DTYPES}


def to_us(at_s: float) -> int:
    """Return epoch microseconds.

    >>> to_us(1_700_000_000.25)
    1700000000250000
    """
    return round(at_s * US_PER_S)


def block_of(observations: Iterable[Observation], *, measured: Sequence[int] | None = None) -> Block:
    """Return the rows of one target's observations, in their order.

    Args:
        observations: All of one target.
        measured: Bits per row; None: what the observation itself tells.
    """
    rows = list(observations)
    block = empty()
    block["start_us"] = np.array([to_us(o.start_s) for o in rows], dtype=np.int64)
    block["arrived_us"] = np.array([to_us(o.arrived_s) for o in rows], dtype=np.int64)
    block["period_s"] = np.array([o.period_s for o in rows], dtype=np.float64)
    for name in COUNT_FIELDS:
        block[name] = np.array([getattr(o, name) for o in rows], dtype=np.int64)
    block["latency_p50_ms"] = np.array([o.latency_ms_p50 for o in rows], dtype=np.float64)
    block["latency_p99_ms"] = np.array([o.latency_ms_p99 for o in rows], dtype=np.float64)
    block["quality"] = np.array([int(o.quality) for o in rows], dtype=np.int8)
    bits = [_bits(o) for o in rows] if measured is None else measured
    block["measured"] = np.array(bits, dtype=np.int32)
    return block


def observations_of(target: str, block: Block) -> tuple[Observation, ...]:
    """Return the observations of a block, in its order."""
    columns = [
        (block["start_us"] / US_PER_S).tolist(),
        block["period_s"].tolist(),
        (block["arrived_us"] / US_PER_S).tolist(),
        *(block[name].tolist() for name in COUNT_FIELDS),
        *(block[name].tolist() for name in LATENCY_COLUMNS),
        [Quality(value) for value in block["quality"].tolist()],
    ]
    return tuple(_observation(target, row) for row in zip(*columns, strict=True))


def _observation(target: str, row: tuple[Any, ...]) -> Observation:
    start_s, period_s, arrived_s, *rest = row
    counts = dict(zip(COUNT_FIELDS, rest, strict=False))
    p50, p99, quality = rest[len(COUNT_FIELDS) :]
    return Observation(
        target,
        start_s,
        period_s,
        arrived_s,
        latency_ms_p50=p50,
        latency_ms_p99=p99,
        quality=quality,
        **counts,
    )


def _bits(o: Observation) -> int:
    """Return which values an observation can be seen to hold; a count of 0 may not have been measured."""
    bits = 0 if o.quality == Quality.MISSING else MEASURED_BIT["requests"]
    for name in COUNT_FIELDS:
        if getattr(o, name) > 0 or (name == "request_failures" and o.request_failures == 0):
            bits |= MEASURED_BIT[name]
    for name, value in (("latency_p50_ms", o.latency_ms_p50), ("latency_p99_ms", o.latency_ms_p99)):
        if value >= 0.0:
            bits |= MEASURED_BIT[name]
    return bits


def in_arrival_order(block: Block) -> Block:
    """Return the rows by arrival, then window, then length of the window; equal rows keep their order."""
    order = np.lexsort((block["period_s"], block["start_us"], block["arrived_us"]))
    return take(block, order)


def merge(old: Block, new: Block, *, larger_stands: bool, expected: int = ALL_MEASURED) -> Merged:
    """Return the union of two blocks of one target; a window that is in both becomes one row.

    Args:
        old: What the history holds.
        new: What was read now.
        larger_stands: True: value by value the larger one (points that arrive in pieces
            and only grow); False: the newer row replaces the older.
        expected: Bits that a complete window of this source has (for `larger_stands`).

    The n-th row of a window in `new` is matched with its n-th row in `old`, so that rows
    which a file really repeats stay repeated.
    """
    if not length(old):
        return Merged(new, bool(length(new)), 0, ())
    both = joined([old, new])
    side = np.concatenate([np.zeros(length(old), np.int8), np.ones(length(new), np.int8)])
    occurrence = np.concatenate([_occurrence(old), _occurrence(new)])
    order = np.lexsort((side, occurrence, both["period_s"], both["start_us"]))
    both, side, occurrence = take(both, order), side[order], occurrence[order]
    same = (side[1:] != side[:-1]) & (occurrence[1:] == occurrence[:-1])
    for name in _KEY:
        same &= both[name][1:] == both[name][:-1]
    before, after = np.flatnonzero(same), np.flatnonzero(same) + 1
    if larger_stands:
        _grow(both, before, after, expected)
    equal = np.ones(len(before), dtype=bool)
    for name in _COMPARED:
        equal &= both[name][before] == both[name][after]
    revised = ~equal
    keep = np.ones(len(side), dtype=bool)
    keep[before[revised]] = False  # the newer row stands
    keep[after[equal]] = False  # nothing new: the older row, with its arrival, stands
    revisions = tuple(_revision(both, a, b) for a, b in zip(before[revised], after[revised], strict=True))
    if not revisions and int(equal.sum()) == length(new):
        return Merged(old, False, length(new), ())
    return Merged(in_arrival_order(take(both, keep)), True, int(equal.sum()), revisions)


def _occurrence(block: Block) -> Array:
    """Return for every row how many rows of the same window stand before it."""
    n = length(block)
    order = np.lexsort((np.arange(n), block["period_s"], block["start_us"]))
    sorted_keys = [block[name][order] for name in _KEY]
    fresh = np.ones(n, dtype=bool)
    if n:
        fresh[1:] = np.any([keys[1:] != keys[:-1] for keys in sorted_keys], axis=0)
    first = np.maximum.accumulate(np.where(fresh, np.arange(n), 0))
    result = np.empty(n, dtype=np.int64)
    result[order] = np.arange(n) - first
    return result


def _grow(both: Block, before: Array, after: Array, expected: int) -> None:
    """Give the newer row of every pair the larger of each value, and the quality that follows."""
    for name in VALUE_COLUMNS:
        both[name][after] = np.maximum(both[name][before], both[name][after])
    both["measured"][after] |= both["measured"][before]
    both["arrived_us"][after] = np.maximum(both["arrived_us"][before], both["arrived_us"][after])
    both["quality"][after] = quality_of(take(both, after), expected)


def quality_of(rows: Block, expected: int) -> Array:
    """Return the quality of windows whose counts may still be incomplete.

    Args:
        rows: The counts.
        expected: Bits that a complete window has.
    """
    failures = rows["timeouts"] + rows["errors_fast"] + rows["throttles"]
    impossible = (rows["measured"] & IMPOSSIBLE) != 0
    impossible |= (failures > rows["requests"]) | (rows["request_failures"] > rows["requests"])
    complete = (rows["measured"] & expected) == expected
    sound = np.where(complete, int(Quality.OK), int(Quality.PARTIAL))
    return np.where(impossible, int(Quality.INVALID), sound).astype(np.int8)


def _revision(both: Block, before: int, after: int) -> Revision:
    def failures(row: int) -> int:
        return int(both["timeouts"][row] + both["errors_fast"][row] + both["throttles"][row])

    return Revision(
        int(both["start_us"][after]),
        int(both["requests"][before]),
        int(both["requests"][after]),
        failures(before),
        failures(after),
    )
