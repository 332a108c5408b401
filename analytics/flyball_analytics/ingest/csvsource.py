"""`flyball ingest csv`: the files that replay reads, checked once and kept as Parquet.

The rows, their order, their flags and their arrivals are those of `read_csv`, so a
replay of the history decides what a replay of the file decides. A file whose bytes
have not changed is not read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.columns import Field, resolve_columns
from flyball_analytics.csvfile import read_table
from flyball_analytics.ingest.block import block_of
from flyball_analytics.ingest.findings import FindingKind, Findings
from flyball_analytics.ingest.manifest import Input, Source
from flyball_analytics.ingest.store import HistoryWriter, Rule
from flyball_analytics.moments import utc
from flyball_analytics.problems import ProblemKind, SeriesError
from flyball_analytics.series import Series, read_csv


class CsvOptions(NamedTuple):
    """How the files are to be read; see `read_csv`."""

    columns: Mapping[str, str]
    target: str = ""
    period_s: float | None = None
    delay_s: float = 0.0
    now_s: float | None = None


def run(
    writer: HistoryWriter, source: tuple[Source, Findings], paths: Iterable[Path], options: CsvOptions
) -> Iterator[tuple[Path, int]]:
    """Read the files and commit each; yield it with its rows (-1: unchanged, not read).

    Raises:
        SeriesError: If a file is no metric history; what was read before is kept.
    """
    state, findings = source
    for path in paths:
        data = path.read_bytes()
        read = Input(str(path), len(data), hashlib.sha256(data).hexdigest())
        if read in state.inputs:
            yield path, -1
            continue
        rows = 0
        for series in read_all(path, options):
            _report(series, findings)
            writer.add(series.target, block_of(series.observations), Rule(), findings)
            rows += series.rows
        state.inputs = sorted([*(i for i in state.inputs if i.name != read.name), read])
        state.points += rows
        state.complete = True
        writer.commit(state, findings)
        yield path, rows


def read_all(path: Path, options: CsvOptions) -> Iterator[Series]:
    """Yield the series of every target in a file."""
    table = read_table(path)
    found = resolve_columns(table.header, path=str(path), line=table.header_line, mapping=options.columns)
    targets: list[str | None] = [options.target or None]
    position = found.position.get(Field.TARGET)
    if position is not None and not options.target:
        names = {cells[position].strip() for _, cells in table.rows if position < len(cells)}
        targets = [*sorted(names - {""})]
        if not targets:
            raise SeriesError(
                "the target column is blank in every row: fill it or use --target", path=str(path)
            )
    for target in targets:
        yield read_csv(
            path,
            target=target,
            columns=options.columns,
            period_s=options.period_s,
            delay_s=options.delay_s,
            now_s=options.now_s,
        )


def _report(series: Series, findings: Findings) -> None:
    """Add what the reader found, under the words of the report."""
    findings.add_problems(series.problems, total=sum(series.problem_counts.values()), target=series.target)
    for kind, counted in (
        (ProblemKind.REPEATED, FindingKind.DUPLICATE),
        (ProblemKind.BACKWARD, FindingKind.LATE),
        (ProblemKind.TIMESTAMP, FindingKind.POISON),
        (ProblemKind.FUTURE, FindingKind.POISON),
    ):
        findings.count(counted, series.problem_counts.get(kind, 0))
    newest_s = float("-inf")
    for seen in series.observations:
        if seen.start_s < newest_s and seen.arrived_s > seen.start_s + seen.period_s:
            findings.add(
                FindingKind.LATE,
                f"arrived {utc(seen.arrived_s)}, after a younger window",
                target=series.target,
                at_s=seen.start_s,
            )
        newest_s = max(newest_s, seen.start_s)
