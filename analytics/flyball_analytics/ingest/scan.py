"""Blocks of metric-stream JSON lines as arrays: series numbers and values, in the order of the lines.

Two readers with the same result: the template scanner (scan_kernel.py), and Python's
JSON parser for what it leaves and where numba is missing. Values follow the reader
of single points (stream_points.py), which production uses.

Needs numpy (extra `sim`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from flyball_analytics.ingest import scan_kernel as kernel
from flyball_analytics.ingest.block import Array
from flyball_analytics.ingest.jit import has_numba
from flyball_analytics.ingest.templates import Known
from flyball_controller.aws.metric_map import P50, P99
from flyball_controller.aws.stream_points import Point, Reject, point_in_line

FIXES_MAX = 65_536
# The shortest point: {"namespace":"","metric_name":"","timestamp":0,"value":{"sum":0}} and a line end.
POINT_BYTES_MIN = 66


class SeriesName(NamedTuple):
    """What tells one series of points from another."""

    account: str
    region: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]  # sorted


class Batch(NamedTuple):
    """Points in the order in which they came: series numbers (n,), values (n, 4) as in scan_kernel."""

    series: Array
    values: Array


class Registry:
    """Numbers series in the order in which they are first seen."""

    def __init__(self) -> None:
        self.names: list[SeriesName] = []
        self._numbers: dict[SeriesName, int] = {}

    def number(self, name: SeriesName) -> int:
        """Return the number of a series, a new one if it was never seen."""
        known = self._numbers.setdefault(name, len(self.names))
        if known == len(self.names):
            self.names.append(name)
        return known

    def number_of(self, point: Point) -> int:
        """Return the number of a point's series."""
        named = tuple(sorted(point.dimensions.items()))
        return self.number(SeriesName(point.account, point.region, point.namespace, point.metric, named))


def row_of(point: Point) -> tuple[float, float, float, float]:
    """Return the values of a point: timestamp in ms, sum, p50, p99; NaN where absent."""
    nan = float("nan")
    quantiles: Mapping[str, float] = point.quantiles
    return (point.start_s, point.total, quantiles.get(P50, nan), quantiles.get(P99, nan))


def batch_of(points: list[Point], registry: Registry) -> Batch:
    """Return points that were read one by one as a batch."""
    series = np.array([registry.number_of(point) for point in points], dtype=np.int64)
    values = np.array([row_of(point) for point in points], dtype=np.float64)
    return Batch(series, values.reshape(len(points), kernel.VALUES))


class ParserReader:
    """Reads every line with the JSON parser: no numba, and the reference for tests."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def read(self, data: bytes, first_line: int, reject: Reject) -> Batch:
        """Return the points of whole lines; damage is rejected with its line number."""
        lines = data.split(b"\n")
        found = (point_in_line(raw, number, reject) for number, raw in enumerate(lines, start=first_line))
        return batch_of([point for point in found if point is not None], self._registry)


class ScannerReader:
    """Reads lines by template, and with the JSON parser those that match none.

    Args:
        registry: Numbers the series.
        scan: `scan_lines`, compiled or not.
    """

    def __init__(self, registry: Registry, scan: Callable[..., int] = kernel.scan_lines_fast) -> None:
        self._registry = registry
        self._scan = scan
        self._known = Known()
        self._odd: list[tuple[int, Point]] = []

    def read(self, data: bytes, first_line: int, reject: Reject) -> Batch:
        """Return the points of whole lines; damage is rejected with its line number."""
        if not data.endswith(b"\n"):
            data += b"\n"
        buf = np.frombuffer(data, dtype=np.uint8)
        room = len(data) // POINT_BYTES_MIN + 1
        lines = kernel.Lines(
            np.empty(room, dtype=np.int64),
            np.empty((room, kernel.VALUES), dtype=np.float64),
            np.empty((FIXES_MAX, 4), dtype=np.int64),
        )
        cursor = np.array([0, 0, 0, 0, -1, 0], dtype=np.int64)
        status = kernel.ODD
        while status != kernel.DONE:
            status = self._scan(buf, cursor, lines, self._known.tables)
            if status == kernel.CROWDED or status == kernel.DONE:
                _fix(data, lines, int(cursor[kernel.FIXES]))
                cursor[kernel.FIXES] = 0
            elif status == kernel.ODD:
                raw = data[int(cursor[kernel.BEGIN]) : int(cursor[kernel.AT]) - 1]
                self._read_odd(raw, first_line + int(cursor[kernel.LINE]) - 1, cursor, lines, reject)
        rows = int(cursor[kernel.ROW])
        lines.values[:rows, kernel.START] /= 1000.0
        for row, point in self._odd:
            lines.values[row] = row_of(point)
        self._odd.clear()
        return Batch(lines.series[:rows], lines.values[:rows])

    def _read_odd(self, raw: bytes, line: int, cursor: Array, lines: kernel.Lines, reject: Reject) -> None:
        """Read one line with the JSON parser, and learn its form."""
        point = point_in_line(raw, line, reject)
        if point is None:
            return
        row = int(cursor[kernel.ROW])
        lines.series[row] = self._registry.number_of(point)
        self._odd.append((row, point))
        cursor[kernel.ROW] += 1
        cursor[kernel.PREVIOUS] = self._known.learn(raw, int(lines.series[row]))


def _fix(data: bytes, lines: kernel.Lines, fixes: int) -> None:
    """Convert the numbers that the kernel left as text."""
    for row, column, begin, end in lines.fixes[:fixes].tolist():
        lines.values[row, column] = float(data[begin:end])


def make_reader(registry: Registry) -> ParserReader | ScannerReader:
    """Return the fastest reader that is installed."""
    return ScannerReader(registry) if has_numba() else ParserReader(registry)
