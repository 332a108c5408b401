"""Learns the forms of metric-stream lines, for the scanner to recognise (scan_kernel.py).

A template is learned from one line that the JSON parser has read: its numbers are
replaced by marks, the line is read again by the same reader, and where the marks
come out says what each number means. Knows nothing of series or targets.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from flyball_analytics.ingest import scan_kernel as kernel
from flyball_analytics.ingest.block import Array
from flyball_controller.aws.metric_map import P50, P99
from flyball_controller.aws.stream_points import Damage, point_in_line

# Strings are skipped, numbers found; only ever applied to a line that is known to be JSON.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)', re.DOTALL)
# Marks are whole numbers in the range of timestamps: exact as floats, also divided by a thousand and back.
_MARK = 1_000_000_000_000
LEARNED_BYTES_MAX = 32_768  # longer lines are not worth a template
TEMPLATES_MAX = 1 << 18  # a stream of ever new series must not fill the memory
_ROOM = 1_024


class Known:
    """The templates learned so far; `tables` are the arrays of the kernel."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[tuple[bytes, int], ...], int] = {}
        self._samples: list[bytes] = []  # per template, up to its first number
        self._pieces = 0
        self._used = 0  # bytes of the arena
        self.tables = kernel.Templates(
            arena=np.zeros(256 * _ROOM, dtype=np.uint8),
            pieces=np.zeros((8 * _ROOM, 3), dtype=np.int64),
            first=np.zeros(_ROOM, dtype=np.int64),
            series=np.zeros(_ROOM, dtype=np.int64),
            hashes=np.zeros(_ROOM, dtype=np.int64),
            after=np.full(_ROOM, -1, dtype=np.int64),
            slots=np.full(4 * _ROOM, -1, dtype=np.int64),
            skip=np.zeros(1, dtype=np.int64),
            weights=kernel.key_weights(),
        )

    def learn(self, raw: bytes, series: int) -> int:
        """Return the template of a line (without its end), a new one if needed; -1 if it cannot have one."""
        if len(raw) > LEARNED_BYTES_MAX or len(self._samples) >= TEMPLATES_MAX:
            return -1
        pieces = pieces_of(raw)
        if pieces is None:
            return -1
        known = self._numbers.get(pieces)
        if known is not None:
            return known
        number = len(self._samples)
        self._numbers[pieces] = number
        self._samples.append(raw + b"\n")
        self._store(number, pieces, series)
        return number

    def _store(self, number: int, pieces: tuple[tuple[bytes, int], ...], series: int) -> None:
        needed = self._used + sum(len(text) for text, _ in pieces)
        self.tables = self.tables._replace(
            arena=_with_room(self.tables.arena, needed),
            pieces=_with_room(self.tables.pieces, self._pieces + len(pieces)),
            first=_with_room(self.tables.first, number + 1),
            series=_with_room(self.tables.series, number + 1),
            hashes=_with_room(self.tables.hashes, number + 1),
            after=_with_room(self.tables.after, number + 1, fill=-1),
        )
        tables = self.tables
        tables.first[number] = self._pieces
        tables.series[number] = series
        for text, column in pieces:
            tables.arena[self._used : self._used + len(text)] = np.frombuffer(text, dtype=np.uint8)
            tables.pieces[self._pieces] = (self._used, len(text), column)
            self._used += len(text)
            self._pieces += 1
        colon = max(1, pieces[0][0].rfind(b":"))
        if not 0 < int(tables.skip[0]) <= colon:
            tables.skip[0] = colon
            self._hash_all()
        elif 4 * (number + 1) > len(tables.slots):
            self.tables = tables._replace(slots=np.full(2 * len(tables.slots), -1, dtype=np.int64))
            self._hash_all()
        else:
            self._hash(number)

    def _hash_all(self) -> None:
        self.tables.slots[:] = -1
        for number in range(len(self._samples)):
            self._hash(number)

    def _hash(self, number: int) -> None:
        """Enter a template by its prefix, found as the kernel finds it in a line."""
        sample = np.frombuffer(self._samples[number], dtype=np.uint8)
        end = kernel.prefix_end(sample, int(self.tables.skip[0]))
        if end < 0:
            return  # found by what follows what, or never: then the parser reads it
        mixed = kernel.finished_hash(np.dot(sample[:end].astype(np.uint64), self.tables.weights[:end]))
        self.tables.hashes[number] = mixed
        mask = len(self.tables.slots) - 1
        slot = mixed & mask
        while self.tables.slots[slot] >= 0:
            slot = (slot + 1) & mask
        self.tables.slots[slot] = number


def pieces_of(raw: bytes) -> tuple[tuple[bytes, int], ...] | None:
    """Return the bytes between the numbers of a line and what each number means; None if it has no template.

    >>> line = b'{"namespace":"n","metric_name":"m","timestamp":1,"value":{"sum":2}}'
    >>> [(text[-6:], column) for text, column in pieces_of(line)]
    [(b'tamp":', 0), (b'"sum":', 1), (b'}}\\n', -2)]
    """
    texts, at = [], 0
    for token in _TOKENS.finditer(raw):
        if token.group(1) is not None:
            texts.append(raw[at : token.start()])
            at = token.end()
    marked = b"".join(text + b"%d" % (_MARK + k) for k, text in enumerate(texts)) + raw[at:]
    damage: list[Damage] = []
    point = point_in_line(marked, 0, damage.append)
    if point is None or not texts:
        return None
    columns = [kernel.IGNORED] * len(texts)
    found: dict[int, float] = {kernel.START: point.start_s * 1000.0, kernel.SUM: point.total}
    for column, stat in ((kernel.P50, P50), (kernel.P99, P99)):
        if stat in point.quantiles:
            found[column] = point.quantiles[stat]
    for column, mark in found.items():
        columns[round(mark) - _MARK] = column
    ends = [*zip(texts, columns, strict=True), (raw[at:] + b"\n", kernel.LAST)]
    return tuple(ends)


def _with_room(values: Array, needed: int, *, fill: int = 0) -> Any:
    """Return the array, or a copy at least twice as long if it has not so many entries."""
    if needed <= len(values):
        return values
    grown = np.full((max(needed, 2 * len(values)), *values.shape[1:]), fill, dtype=values.dtype)
    grown[: len(values)] = values
    return grown
