"""Time to live as DynamoDB keeps it: items vanish some time after their expiry, never at it.

A heap of due times per service; an entry is only a reminder, and the item is
looked at again before it is deleted, because it may have been renewed. Each
reminder's lag is drawn from the seed, so a run repeats exactly.

Knows moto's tables through motodynamo only, and no clock: time is an argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any

from flyball_local.motodynamo import JsonObject, MotoTables, Table, decode_binary, encode_json

# A key written again leaves its old reminder behind: beyond this many per item the dead ones are dropped.
REMINDERS_PER_ITEM, REMINDERS_MIN = 4, 10_000
# The service takes older values for a mistake and never deletes such items.
TTL_PAST_MAX_S = 5 * 365 * 86_400.0

# (due, order of noting, table, key as JSON, expiry): the order makes ties comparable.
_Reminder = tuple[float, int, str, str, float]


class Expiries:
    """Reminders of when items are due for deletion."""

    def __init__(self, tables: MotoTables, draw: Random, lag_s: float) -> None:
        self._tables = tables
        self._draw = draw
        self._lag_s = lag_s
        self._heap: list[_Reminder] = []
        self._noted = 0
        self._compact_at = REMINDERS_MIN

    def note(self, table: Table, key: JsonObject) -> None:
        """Look at one item that was just written, and remember when it is due."""
        expiry_s = self._expiry_s(table, key)
        if expiry_s is None:
            return
        self._noted += 1
        due_s = expiry_s + self._draw.random() * self._lag_s
        heappush(self._heap, (due_s, self._noted, table.name, encode_json(key), expiry_s))
        if len(self._heap) >= self._compact_at:
            self._compact()

    def _compact(self) -> None:
        """Drop reminders of what was written again or is gone; those in force keep their place."""
        self._heap = [reminder for reminder in self._heap if self._in_force(reminder)]
        heapify(self._heap)
        self._compact_at = max(REMINDERS_MIN, REMINDERS_PER_ITEM * len(self._heap))

    def _in_force(self, reminder: _Reminder) -> bool:
        _due, _order, name, key_text, expiry_s = reminder
        table, key = self._tables.table(name), decode_binary(json.loads(key_text))
        return table is not None and self._expiry_s(table, key) == expiry_s

    def rebuild(self) -> None:
        """Look at every item of every table: after an operation that does not say which items it changed."""
        self._heap.clear()
        for table in self._tables.tables():
            for key in self._tables.keys(table):
                self.note(table, key)

    def sweep(self, now_s: float) -> Iterator[str]:
        """Delete what is due and yield the table's name for each item deleted."""
        while self._heap and self._heap[0][0] <= now_s:
            _due, _order, name, key_text, expiry_s = heappop(self._heap)
            table, key = self._tables.table(name), decode_binary(json.loads(key_text))
            if table is None or self._expiry_s(table, key) != expiry_s or expiry_s < now_s - TTL_PAST_MAX_S:
                continue
            self._tables.remove(table, key)
            yield name

    def _expiry_s(self, table: Table, key: JsonObject) -> float | None:
        if table.ttl.get("TimeToLiveStatus") != "ENABLED":
            return None
        value: tuple[str, Any] | None = self._tables.attribute(table, key, table.ttl["AttributeName"])
        # A time kept as a string is ignored by the service, and so it is here.
        return float(value[1]) if value is not None and value[0] == "N" else None
