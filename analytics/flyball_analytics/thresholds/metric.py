"""One metric of one target as a row of values, whatever file it came from.

A threshold is about a metric: the error ratio of a target, its latency, any value.
An error ratio keeps the counts behind it (`series`), because the production step
judges counts and never a ratio alone; every other metric has nothing but values.
Knows files, rows and units; never knows rules, thresholds or labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from flyball.hints import did_you_mean
from flyball_analytics.columns import resolve_columns
from flyball_analytics.companions import companions_of, is_companion, target_of
from flyball_analytics.counts import counted
from flyball_analytics.csvfile import read_table
from flyball_analytics.moments import MomentError, parse_moment
from flyball_analytics.problems import Problem, ProblemKind, ProblemLog, SeriesError
from flyball_analytics.series import Series, read_csv, read_series
from flyball_controller.core.model import Observation, Quality

ERRORS, P50, P99, VALUE = "error ratio", "latency p50", "latency p99", "value"
METRICS = (ERRORS, P50, P99, VALUE)
_TIME_WORDS = ("timestamp", "time", "ts", "date", "datetime", "start")


class Point(NamedTuple):
    """One window: when it starts, when it could be read, and its value (NaN: it has none)."""

    start_s: float
    arrived_s: float
    value: float


class Metric(NamedTuple):
    """A history of one metric, in the order of arrival.

    `unit` is `ratio`, `ms` or empty (unknown). `series` are the counts behind an
    error ratio; None for values that have no counts.
    """

    target: str
    name: str
    unit: str
    path: str
    period_s: float
    points: tuple[Point, ...]
    series: Series | None
    problems: tuple[Problem, ...] = ()

    @property
    def span_s(self) -> float:
        """Time from the first window to the end of the last; 0 without windows."""
        if not self.points:
            return 0.0
        starts = [point.start_s for point in self.points]
        return max(starts) - min(starts) + self.period_s

    def between(self, from_s: float, to_s: float) -> Metric:
        """Return the part whose windows start in [from_s, to_s)."""
        points = tuple(p for p in self.points if from_s <= p.start_s < to_s)
        series = None if self.series is None else self.series.between(from_s, to_s)
        return self._replace(points=points, series=series)


def read_metrics(
    path: str | Path,
    *,
    target: str | None = None,
    columns: Mapping[str, str] | None = None,
    period_s: float | None = None,
    delay_s: float = 0.0,
    now_s: float | None = None,
) -> list[Metric]:
    """Return every metric in one file: the error ratio and latencies of counted rows, or its plain values.

    Args:
        path: A CSV file as `series.read_csv` takes it, or one with the columns
            timestamp and value only; or the folder of a target in a history.
        target: Name for the metrics; default: from the file's name.
        columns: Field name to header word; `value=WORD` names the column of a value file.
        period_s: Length of a window; default: the commonest distance of rows.
        delay_s: How long after its end a window can be read.
        now_s: Rows that start later are impossible; None: no such check.

    Raises:
        SeriesError: If the file has neither counts nor values.
    """
    path = Path(path)
    mapping = dict(columns or {})
    if path.is_dir():  # a target of a history: its arrivals are recorded
        series = read_series(
            path, target=target, columns=mapping, period_s=period_s, delay_s=delay_s or None, now_s=now_s
        )
        return metrics_of(series)
    table = read_table(path)
    try:
        resolve_columns(table.header, path=str(path), line=table.header_line, mapping=mapping)
        counted = not is_companion(path)
    except SeriesError:
        if not _value_column(table.header, mapping):
            raise
        counted = False
    if counted:
        series = read_csv(
            path, target=target, columns=mapping, period_s=period_s, delay_s=delay_s, now_s=now_s
        )
        return metrics_of(series)
    return [
        read_values(path, target=target, columns=mapping, period_s=period_s, delay_s=delay_s, now_s=now_s)
    ]


def metrics_of(series: Series) -> list[Metric]:
    """Return the metrics of a counted history: its error ratio, and the latencies that were measured."""
    seen = [o for o in series.observations if o.quality in (Quality.OK, Quality.PARTIAL)]
    found = [
        Metric(
            series.target,
            ERRORS,
            "ratio",
            series.path,
            series.period_s,
            tuple(Point(o.start_s, o.arrived_s, _ratio(o)) for o in seen),
            series,
            series.problems,
        )
    ]
    for name, values in (
        (P50, [o.latency_ms_p50 for o in seen]),
        (P99, [o.latency_ms_p99 for o in seen]),
    ):
        if any(value >= 0.0 for value in values):
            points = tuple(
                Point(o.start_s, o.arrived_s, value if value >= 0.0 else math.nan)
                for o, value in zip(seen, values, strict=True)
            )
            found.append(Metric(series.target, name, "ms", series.path, series.period_s, points, None))
    return found


def read_values(
    path: Path,
    *,
    target: str | None = None,
    columns: Mapping[str, str] | None = None,
    period_s: float | None = None,
    delay_s: float = 0.0,
    now_s: float | None = None,
) -> Metric:
    """Return the one metric of a file with a time and a value column; impossible cells are counted.

    Rows that are not later than every row above them are left out, with their place.

    Raises:
        SeriesError: If a column is missing, or fewer than two rows can be used.
    """
    table = read_table(path)
    words = [word.strip() for word in table.header]
    lower = [word.lower() for word in words]
    time_at = next((lower.index(word) for word in _TIME_WORDS if word in lower), None)
    value_word = _value_column(table.header, columns or {})
    if time_at is None or value_word is None:
        hint = did_you_mean("timestamp" if time_at is None else "value", words)
        raise SeriesError(
            f"needs a time and a value column, has {', '.join(words)}{hint}; "
            "name the value with --column value=COLUMN",
            path=str(path),
            line=table.header_line,
            found=tuple(words),
        )
    value_at = words.index(value_word)
    log = ProblemLog()
    rows: list[tuple[float, float]] = []
    newest_s = -1.0
    for line, cells in table.rows:
        padded = [*cells, *[""] * (len(words) - len(cells))]
        row = _value_row(padded[time_at], padded[value_at], path=str(path), line=line, log=log)
        if row is None:
            continue
        problem = _order_problem(row[0], newest_s, now_s)
        if problem is not None:
            kind, bound, remedy = problem
            log.add(Problem(str(path), line, words[time_at], padded[time_at], kind, bound, remedy))
            continue
        newest_s = row[0]
        rows.append(row)
    if len(rows) < 2:
        raise SeriesError(f"{counted(len(rows), 'usable row')}: at least 2 are needed", path=str(path))
    span_s = period_s if period_s is not None else _commonest([row[0] for row in rows])
    points = tuple(Point(start_s, start_s + span_s + delay_s, value) for start_s, value in rows)
    name = target if target is not None else target_of(path)
    return Metric(name, VALUE, "", str(path), span_s, points, None, tuple(log.kept))


def orphans(folder: Path) -> list[Path]:
    """Return the latency files of a folder that no error file takes in, sorted: values by themselves."""
    taken = {
        beside
        for path in folder.glob("*.csv")
        if not is_companion(path)
        for beside in companions_of(path).values()
    }
    return sorted(p for p in folder.glob("*.csv") if is_companion(p) and p not in taken)


def _ratio(seen: Observation) -> float:
    return seen.failures / seen.requests if seen.requests > 0 else math.nan


def _value_column(header: tuple[str, ...], mapping: Mapping[str, str]) -> str | None:
    """Return the header's word for the value: the mapped one, or `value`."""
    words = [word.strip() for word in header]
    wanted = mapping.get("value", "value")
    return next((word for word in words if word == wanted or word.lower() == wanted), None)


def _value_row(
    time_text: str, value_text: str, *, path: str, line: int, log: ProblemLog
) -> tuple[float, float] | None:
    """Return start and value of one row; an empty cell is NaN, an impossible one is counted."""
    try:
        start_s = parse_moment(time_text)
    except MomentError as error:
        log.add(Problem(path, line, "timestamp", time_text, ProblemKind.TIMESTAMP, error.bound, error.remedy))
        return None
    if not value_text.strip():
        return start_s, math.nan
    try:
        value = float(value_text)
    except ValueError:
        value = math.inf
    if math.isinf(value):
        log.add(
            Problem(
                path, line, "value", value_text, ProblemKind.NUMBER, "must be a finite number", "left out"
            )
        )
        return None
    return start_s, value


def _order_problem(
    start_s: float, newest_s: float, now_s: float | None
) -> tuple[ProblemKind, str, str] | None:
    """Return what is wrong with the time of a row, None if nothing is."""
    if now_s is not None and start_s > now_s:
        return ProblemKind.FUTURE, "must not be later than now", "check the zone, or give --now"
    if start_s == newest_s:
        return ProblemKind.REPEATED, "must be later than every row above it", "the first one counts"
    if start_s < newest_s:
        return ProblemKind.BACKWARD, "must be later than every row above it", "sort the file"
    return None


def _commonest(starts: list[float]) -> float:
    """Return the commonest distance between neighbours; the smallest of equals."""
    distances = Counter(b - a for a, b in pairwise(starts))
    return min(distances, key=lambda d: (-distances[d], d))
