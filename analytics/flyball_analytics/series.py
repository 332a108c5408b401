"""Recorded metrics -> Observations in the order in which a controller would have seen them.

Order is the point of this module: a row is replayed when it *arrived*, which is
the end of its window (plus a delay) unless the file has an `arrived` column.
Gaps are reported and never filled. What is wrong is counted with its place; only
a file without usable columns or rows is refused. Never knows what the rows will
be used for, and never asks a clock: `now_s` is an argument.

Layouts: columns.py has the words. A `value` column is an error ratio; `errors` are
all failed first attempts (time-outs and throttles included), and what is neither
counts as fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.columns import Columns, Field, resolve_columns
from flyball_analytics.companions import (
    HISTORY_PREFIX,
    add_latency,
    companions_of,
    is_companion,
    target_of,
)
from flyball_analytics.counts import counted
from flyball_analytics.csvfile import Table, read_table, shown
from flyball_analytics.problems import MissingPackageError, Problem, ProblemKind, ProblemLog, SeriesError
from flyball_analytics.rows import Row, RowReader
from flyball_controller.core.model import Observation, Quality

# Rows further apart than this many periods have a gap between them; below it is jitter.
GAP_PERIODS = 1.5
HISTORY_MANIFEST = "manifest.json"  # what makes a folder a history: see docs/reference/history.md


class Gap(NamedTuple):
    """A stretch without rows: `windows` windows are missing between the windows that start at these times."""

    after_s: float
    before_s: float
    windows: int


class Series(NamedTuple):
    """The history of one target, in arrival order, with everything that a reader should know about it."""

    target: str
    path: str
    period_s: float
    observations: tuple[Observation, ...]
    rows: int  # data rows in the file, usable or not
    gaps: tuple[Gap, ...]
    problems: tuple[Problem, ...]  # the first ones with their place
    problem_counts: Mapping[ProblemKind, int]  # all of them
    unused: tuple[str, ...]  # columns that mean nothing here
    notes: tuple[str, ...]  # what was assumed

    def between(self, from_s: float, to_s: float) -> Series:
        """Return the part whose windows start in [from_s, to_s)."""
        kept = tuple(o for o in self.observations if from_s <= o.start_s < to_s)
        gaps = tuple(g for g in self.gaps if from_s <= g.after_s and g.before_s < to_s)
        return self._replace(observations=kept, gaps=gaps)


def read_csv(
    path: str | Path,
    *,
    target: str | None = None,
    columns: Mapping[str, str] | None = None,
    period_s: float | None = None,
    delay_s: float = 0.0,
    now_s: float | None = None,
    companions: bool = True,
) -> Series:
    """Return the metric history in one CSV file.

    Args:
        path: A file with a header line; comma, semicolon or tab.
        target: Name for the observations; default: the file's name. In a file with
            a target column: whose rows to take.
        columns: Field name to header word, where the default words do not fit.
        period_s: Length of a window, > 0; default: the commonest distance of rows.
        delay_s: How long after its end a window can be read, >= 0 (rows without `arrived`).
        now_s: Rows that start later are impossible; None: no such check.
        companions: Whether `X.latency_p99_s.csv` beside `X.error_ratio.csv` is joined.

    Raises:
        SeriesError: If the file cannot give a series at all.
    """
    path = Path(path)
    table = read_table(path)
    found = resolve_columns(table.header, path=shown(path), line=table.header_line, mapping=columns or {})
    name = target if target is not None else target_of(path)
    log = ProblemLog()
    reader = RowReader(found, path=shown(path), target=name, now_s=now_s, log=log)
    rows, count = _read_rows(table, found, reader, path=path, target=target)
    notes = _assumptions(found)
    if Field.ARRIVED not in found.position and _newest_first(rows):
        rows.reverse()
        notes.append("rows were newest first and were read from the end")
    period_s = period_s if period_s is not None else _infer_period(rows, path=path, log=log)
    timed = _arrivals(rows, period_s=period_s, delay_s=delay_s, path=shown(path), found=found, log=log)
    if companions:
        for field, beside in companions_of(path).items():
            if field not in found.position:
                timed, joined = add_latency(timed, field, beside, log=log)
                notes.append(f"{field.value} from {beside.name} ({joined} of {len(timed)} rows)")
    timed.sort(key=lambda o: o.arrived_s)  # stable: rows that arrive together keep the file's order
    return Series(
        target=name,
        path=shown(path),
        period_s=period_s,
        observations=tuple(timed),
        rows=count,
        gaps=_gaps([o.start_s for o in timed], period_s),
        problems=tuple(log.kept),
        problem_counts=dict(log.counts),
        unused=found.unused,
        notes=tuple(notes),
    )


def read_series(
    path: Path,
    *,
    target: str | None = None,
    columns: Mapping[str, str] | None = None,
    period_s: float | None = None,
    delay_s: float | None = None,
    now_s: float | None = None,
    companions: bool = True,
) -> Series:
    """Return the history of one target: a CSV file, or the folder of a target in a history of Parquet files.

    `delay_s` None leaves the arrivals as recorded. The rest is as in `read_csv`; columns
    and period of a history are fixed, and naming others is an error.

    Raises:
        SeriesError: As `read_csv`, or if the extra `sim` is missing.
    """
    if not path.is_dir():
        delay_s = delay_s or 0.0
        return read_csv(
            path,
            target=target,
            columns=columns,
            period_s=period_s,
            delay_s=delay_s,
            now_s=now_s,
            companions=companions,
        )
    if columns or period_s is not None:
        raise SeriesError(
            "a history has its own columns and periods: leave out --column and --period", path=shown(path)
        )
    try:
        from flyball_analytics.ingest.history import read_target
    except ImportError as error:
        raise _needs_extra(error, path) from error
    return read_target(path, delay_s=delay_s)


def series_files(folder: Path) -> list[Path]:
    """Return the CSV files of a folder that can be a target each, sorted; latency companions are left out.

    Of a history it returns the folders of its targets.
    """
    if (folder / HISTORY_MANIFEST).is_file() or folder.name.startswith(HISTORY_PREFIX):
        try:
            from flyball_analytics.ingest.history import history_targets
        except ImportError as error:
            raise _needs_extra(error, folder) from error
        return history_targets(folder)
    return sorted(p for p in folder.glob("*.csv") if not is_companion(p))


def _needs_extra(error: ImportError, path: Path) -> SeriesError:
    return MissingPackageError(
        f"a history of Parquet files needs the Python package {error.name!r}: pip install 'flyball[sim]'",
        path=shown(path),
    )


def _read_rows(
    table: Table, found: Columns, reader: RowReader, *, path: Path, target: str | None
) -> tuple[list[Row], int]:
    """Return the parsed rows of one target and the number of its data rows."""
    rows: list[Row] = []
    count = 0
    seen: set[str] = set()
    position = found.position.get(Field.TARGET)
    for line, cells in table.rows:
        if position is not None:
            whose = cells[position].strip() if position < len(cells) else ""
            seen.add(whose)
            if target is not None and whose != target:
                continue
        count += 1
        row = reader.read(line, cells)
        if row is not None:
            rows.append(row)
    if position is not None and (len(seen) > 1 if target is None else not count):
        raise SeriesError(
            f"the rows belong to {len(seen)} targets ({', '.join(sorted(seen)[:8])}): "
            f"name one of them with --target",
            path=shown(path),
        )
    return rows, count


def _assumptions(found: Columns) -> list[str]:
    """Return, in words, what the columns leave open and how it is read."""
    notes = []
    absent = [f.value for f in (Field.TIMEOUTS, Field.THROTTLES) if f not in found.position]
    if absent:
        notes.append(f"no column for {' or '.join(absent)}: what failed counts as fast errors")
    if Field.ERRORS in found.position and len(absent) < 2 and Field.ERRORS_FAST not in found.position:
        notes.append("errors include time-outs and throttles; the rest counts as fast")
    if Field.ATTEMPTS not in found.position and Field.RETRIES not in found.position:
        notes.append("attempts not measured: every count is taken as first attempts")
    return notes


def _newest_first(rows: Sequence[Row]) -> bool:
    """Return whether every row is older than the one above it (at least two rows)."""
    starts = [row.observation.start_s for row in rows]
    return len(starts) > 1 and all(a > b for a, b in pairwise(starts))


def _infer_period(rows: Sequence[Row], *, path: Path, log: ProblemLog) -> float:
    """Return the commonest distance between neighbouring windows; the smallest of equals."""
    starts = sorted({row.observation.start_s for row in rows})
    if len(starts) < 2:
        first = f"; first problem: {log.kept[0]}" if log.kept else ""
        raise SeriesError(
            f"{counted(len(starts), 'usable row')}: at least 2 are needed to infer the period, "
            f"or give it with --period{first}",
            path=shown(path),
        )
    distances = Counter(b - a for a, b in pairwise(starts))
    return min(distances, key=lambda d: (-distances[d], d))


def _arrivals(
    rows: Sequence[Row], *, period_s: float, delay_s: float, path: str, found: Columns, log: ProblemLog
) -> list[Observation]:
    """Give every row its period and arrival; flag rows that break the order of a file without arrivals."""
    timed: list[Observation] = []
    newest_s = -1.0
    arrived_max_s = -1.0
    states_arrival = Field.ARRIVED in found.position
    for row in rows:
        o = row.observation
        due_s = o.start_s + period_s + delay_s
        quality = o.quality
        if not states_arrival and o.start_s <= newest_s:
            kind = ProblemKind.REPEATED if o.start_s == newest_s else ProblemKind.BACKWARD
            log.add(
                Problem(
                    path,
                    row.line,
                    found.name(Field.TIMESTAMP),
                    f"{o.start_s:.0f}",
                    kind,
                    "must be later than every row above it",
                    "sort the file, or add an `arrived` column if the row really came later",
                )
            )
            quality = Quality.INVALID
        arrived_s = row.arrived_s if row.arrived_s is not None else max(due_s, arrived_max_s)
        if row.arrived_s is not None and row.arrived_s < o.start_s + period_s and quality == Quality.OK:
            quality = Quality.PARTIAL  # read before its window had ended: the counts are a lower bound
        newest_s = max(newest_s, o.start_s)
        if not states_arrival:
            arrived_max_s = max(arrived_max_s, arrived_s)
        timed.append(o._replace(period_s=period_s, arrived_s=arrived_s, quality=quality))
    return timed


def _gaps(starts: Sequence[float], period_s: float) -> tuple[Gap, ...]:
    """Return the stretches without rows, oldest first."""
    ordered = sorted(set(starts))
    return tuple(
        Gap(a, b, round((b - a) / period_s) - 1)
        for a, b in pairwise(ordered)
        if b - a > GAP_PERIODS * period_s
    )
