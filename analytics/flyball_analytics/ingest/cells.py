"""Minutes of targets, collected from points in any order, and turned into rows of a history.

The rows follow the sensor's own arithmetic (metric_windows.py), over columns
instead of single windows. A minute whose values came in pieces is merged value by
value; one that lacks a count is PARTIAL. Memory is that of the minutes held:
`drain` hands them out and forgets them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flyball_analytics.ingest import cells_kernel as kernel
from flyball_analytics.ingest.block import (
    IMPOSSIBLE,
    MEASURED_BIT,
    US_PER_S,
    Array,
    Block,
    empty,
    quality_of,
)
from flyball_analytics.ingest.routes import COLUMNS_MAX, Router
from flyball_analytics.ingest.scan import Batch, Registry
from flyball_controller.aws.metric_map import COUNT_FIELDS, NO_LATENCY, P50, P99, SUM, AwsMetricMap
from flyball_controller.core.inspect import COUNT_MAX

_ROOM = 1 << 14
MINUTE_US = 60 * US_PER_S


class Minutes(NamedTuple):
    """Minutes of one target, oldest first; `values` by its sources, `counters` as in cells_kernel."""

    target: str
    minutes: Array
    values: Array
    counters: Array


class Cells:
    """Collects points. `foreign` counts those that no target asks for."""

    def __init__(self, registry: Registry, router: Router) -> None:
        self._registry = registry
        self._router = router
        self._table = _table(_ROOM)

    def __len__(self) -> int:
        return int(self._table.counts[0])

    @property
    def foreign(self) -> int:
        """Points of metrics that no target asks for."""
        return int(self._table.counts[1])

    def add(self, batch: Batch) -> list[int]:
        """Add points; return the numbers, in the batch, of those whose time is impossible."""
        routes = self._router.routes(self._registry.names)
        if len(self._router.targets) > len(self._table.newest):
            self._table = self._table._replace(newest=_longer(self._table.newest, len(self._router.targets)))
        bad = np.empty(len(batch.series), dtype=np.int64)
        wrong: list[int] = []
        at = 0
        while at < len(batch.series):
            at, count = kernel.add_points_fast(batch.series, batch.values, at, routes, self._table, bad)
            wrong += bad[:count].tolist()
            if at < len(batch.series):
                self._grow()
        return wrong

    def drain(self) -> Iterator[Minutes]:
        """Yield all minutes by target and forget them; the youngest minutes seen stay known."""
        used = len(self)
        order = np.argsort(self._table.keys[:used], kind="stable")
        keys = self._table.keys[:used][order]
        targets = keys // kernel.TARGET_SHIFT
        for number in np.unique(targets):
            mine = order[targets == number]
            target = self._router.targets[int(number)]
            sources = sum(1 for _ in self._router.maps[target].sources())
            yield Minutes(
                target,
                self._table.keys[mine] % kernel.TARGET_SHIFT,
                self._table.values[mine, :sources],
                self._table.counters[mine],
            )
        fresh = _table(_ROOM)
        fresh.counts[1] = self._table.counts[1]
        self._table = fresh._replace(newest=self._table.newest)

    def _grow(self) -> None:
        """Double the table."""
        old = self._table
        used = len(self)
        new = _table(2 * len(old.keys))
        for name in ("keys", "values", "counters"):
            getattr(new, name)[:used] = getattr(old, name)[:used]
        new.counts[:] = old.counts
        mask = len(new.slots) - 1
        for cell, key in enumerate(old.keys[:used].tolist()):
            slot = kernel.slot_of(key, mask)
            while new.slots[slot] >= 0:
                slot = (slot + 1) & mask
            new.slots[slot] = cell
        self._table = new._replace(newest=old.newest)


def _table(cells: int) -> kernel.CellTable:
    return kernel.CellTable(
        slots=np.full(2 * cells, -1, dtype=np.int64),
        keys=np.zeros(cells, dtype=np.int64),
        values=np.full((cells, COLUMNS_MAX), np.nan),
        counters=np.zeros((cells, kernel.COUNTERS), dtype=np.int32),
        newest=np.zeros(0, dtype=np.int64),
        counts=np.zeros(2, dtype=np.int64),
    )


def _longer(newest: Array, needed: int) -> Array:
    grown = np.zeros(2 * needed, dtype=np.int64)
    grown[: len(newest)] = newest
    return grown


def expected_bits(metric_map: AwsMetricMap) -> int:
    """Return the bits of `measured` that a complete window of these metrics has."""
    return sum(MEASURED_BIT[field] for field in metric_map.counts())


def rows_of(found: Minutes, metric_map: AwsMetricMap, *, delay_s: float) -> tuple[Block, Array]:
    """Return the rows of a target's minutes, and which minutes gave one (a mask).

    A minute without requests gives none: silence is not zero. One with failures, or
    with an impossible value, but no requests does, and is INVALID or PARTIAL.
    """
    column = {(s.metric, s.stat): found.values[:, i] for i, s in enumerate(metric_map.sources())}
    n = len(found.minutes)
    block = empty()
    measured = np.zeros(n, dtype=np.int32)
    sound = np.ones(n, dtype=bool)
    for field in COUNT_FIELDS:
        names = metric_map.counts().get(field, ())
        total = np.zeros(n, dtype=np.float64)
        whole = np.full(n, bool(names))
        for name in names:
            values = column[name, SUM]
            there = ~np.isnan(values)
            good = (values >= 0.0) & (values <= COUNT_MAX)
            sound &= good | ~there
            total += np.where(good, np.rint(np.where(good, values, 0.0)), 0.0)
            total += np.where(there & ~good & (values > 0.0), float(COUNT_MAX), 0.0)
            whole &= there
        sound &= total <= COUNT_MAX
        counts = np.minimum(total, float(COUNT_MAX)).astype(np.int64)
        block[field] = counts if names or field != "request_failures" else np.full(n, -1, dtype=np.int64)
        measured |= np.where(whole, MEASURED_BIT[field], 0).astype(np.int32)
    shown = ~sound  # an impossible count shows that calls were made; an impossible latency does not
    for name, stat in (("latency_p50_ms", P50), ("latency_p99_ms", P99)):
        block[name], fine = _latency(metric_map, column.get((metric_map.latency, stat)), n)
        sound &= fine
        measured |= np.where(block[name] >= 0.0, MEASURED_BIT[name], 0).astype(np.int32)
    measured |= np.where(sound, 0, IMPOSSIBLE).astype(np.int32)
    block["measured"] = measured
    block["start_us"] = found.minutes * MINUTE_US
    block["period_s"] = np.full(n, kernel.MINUTE_S)
    block["arrived_us"] = block["start_us"] + MINUTE_US + round(delay_s * US_PER_S)
    block["quality"] = quality_of(block, expected_bits(metric_map))
    kept = shown | (block["timeouts"] + block["errors_fast"] + block["throttles"] > 0)
    for field in ("requests", "short_circuited"):
        for name in metric_map.counts().get(field, ()):
            kept |= ~np.isnan(column[name, SUM])
    return {name: values[kept] for name, values in block.items()}, kept


def _latency(metric_map: AwsMetricMap, values: Array | None, n: int) -> tuple[Array, Array]:
    """Return a latency in milliseconds, -1.0 where not measured, and whether it was possible."""
    if values is None or metric_map.latency == NO_LATENCY:
        return np.full(n, -1.0), np.ones(n, dtype=bool)
    scaled = values * metric_map.latency_ms_per_unit
    good = np.isfinite(scaled) & (scaled >= 0.0)
    return np.where(good, scaled, -1.0), good | np.isnan(values)
