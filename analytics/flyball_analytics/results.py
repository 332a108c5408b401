"""What was decided about a history, whoever decided it: as steps that can be scored against labels.

Three sources: a journal of `flyball replay --format json` (or of production), a table
with a `firing` or `anomaly_score` column (any other detector's output), and rules run
here over a recorded metric. All become one `Result`, so that their figures compare.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from flyball.contract import CircuitState
from flyball_analytics.counts import counted
from flyball_analytics.csvfile import read_table
from flyball_analytics.fastreplay import Engine, run
from flyball_analytics.moments import MomentError, parse_moment
from flyball_analytics.problems import SeriesError
from flyball_analytics.replay import CALM, is_gated, is_restricted, widens
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_analytics.tally import Tally
from flyball_analytics.thresholds.firings import Row, steps_of
from flyball_controller.codec import observation_from_json
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Quality, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

TIME_WORDS = ("timestamp", "time", "ts")
FIRING_WORDS = ("firing", "alarm", "anomaly_score", "score")
JOURNAL_SUFFIXES = (".jsonl", ".ndjson", ".json")
_TRUE = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0, "": 0.0}


class Result(NamedTuple):
    """One series judged by one rule, oldest window first.

    `rows` are start and anomaly score of every window (1 = firing, 0 = not, unless the
    source states scores); `threshold` is the score from which a row fires.
    """

    target: str
    rule: str
    path: str
    steps: tuple[Step, ...]
    rows: tuple[tuple[float, float], ...]
    threshold: float = 1.0
    cuts: bool = False  # whether the rule decides about traffic, or only fires


def result_of_replay(series: Series, policy: Policy, *, rule: str, engine: Engine = Engine.AUTO) -> Result:
    """Return what the production step decides over a recorded history; scored as `flyball replay` does."""
    tally = Tally(policy, keep_steps=True)
    tally.take(series, run(series, policy, engine=engine))
    return _of_steps(series.target, rule, series.path, tally.steps_by_window())


def result_of_rows(rows: Sequence[Row], *, target: str, rule: str, path: str) -> Result:
    """Return what a detector said; each firing is an answer that lasts until it ends."""
    ordered = sorted((row for row in rows if not math.isnan(row.value)), key=lambda row: row.start_s)
    scores = tuple((row.start_s, 1.0 if row.firing else 0.0) for row in ordered)
    return Result(target, rule, path, tuple(steps_of(ordered)), scores)


def _of_steps(target: str, rule: str, path: str, steps: Sequence[Step]) -> Result:
    rows = tuple((step.start_s, 1.0 if step.troubled else 0.0) for step in steps)
    return Result(target, rule, path, tuple(steps), rows, cuts=True)


def is_journal(path: Path) -> bool:
    """Return whether a file is read as a journal, by its name."""
    return path.suffix in JOURNAL_SUFFIXES


def results_of_journal(path: Path, nominal: Callable[[str], Policy]) -> list[Result]:
    """Return the decisions in a journal, one result per target.

    Args:
        path: One record per line, as `flyball replay --format json` writes them.
        nominal: The policy of a target; says what counts as restricted.

    Raises:
        SeriesError: If a line is no journal record; names it.
    """
    steps: dict[str, list[Step]] = {}
    before: dict[str, Setpoint] = {}
    for line, record in _records(path):
        try:
            seen = observation_from_json(record["observation"])
            plain = record["applied"]
            applied = Setpoint(**{**plain, "circuit": CircuitState[plain["circuit"]]})
            regime = Regime[str(record["regime"])]
            target, at_s = str(record["target"]), float(record["at_s"])
            changed, urgent = bool(record["changed"]), bool(record["urgent"])
        except (KeyError, TypeError, ValueError, AttributeError, CheckpointError) as error:
            raise SeriesError(
                f"is no journal record ({type(error).__name__}: {error}); "
                "write one with flyball replay --format json",
                path=str(path),
                line=line,
            ) from error
        normal = nominal_setpoint(nominal(target))
        last = before.get(target, normal)
        before[target] = applied
        if seen.quality in (Quality.INVALID, Quality.MISSING):
            continue
        steps.setdefault(target, []).append(
            Step(
                seen.start_s,
                at_s,
                seen.period_s,
                changed and urgent,
                widens(last, applied, normal),
                is_gated(applied) and not is_gated(last),
                is_restricted(applied, normal),
                regime not in CALM,
            )
        )
    if not steps:
        raise SeriesError("holds no decision about any window", path=str(path))
    return [
        _of_steps(target, "journal", str(path), sorted(found, key=lambda step: step.start_s))
        for target, found in steps.items()
    ]


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and record; blank lines are skipped."""
    try:
        with path.open(encoding="utf-8") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield line, json.loads(text)
    except (OSError, ValueError) as error:
        raise SeriesError(f"cannot be read as JSON lines: {error}", path=str(path)) from error


def result_column(header: Sequence[str]) -> str | None:
    """Return the header's word for a firing or a score; None if the table holds no result."""
    lower = [word.strip().lower() for word in header]
    return next((word for word in FIRING_WORDS if word in lower), None)


def result_of_table(path: Path, *, target: str, threshold: float | None, period_s: float | None) -> Result:
    """Return what a table of verdicts says: a time column, and `firing` (0/1) or `anomaly_score`.

    Args:
        path: A CSV file, oldest row first.
        target: Name of the series.
        threshold: A row fires if its score is at least this; default 1.
        period_s: Length of a window; default: the smallest distance of rows.

    Raises:
        SeriesError: If a column is missing or a cell cannot be read; names the line.
    """
    table = read_table(path)
    lower = [word.strip().lower() for word in table.header]
    word = result_column(table.header)
    time_at = next((lower.index(w) for w in TIME_WORDS if w in lower), None)
    if word is None or time_at is None:
        raise SeriesError(
            f"needs a column timestamp and one of {', '.join(FIRING_WORDS)}; has {', '.join(table.header)}",
            path=str(path),
            line=table.header_line,
            found=table.header,
        )
    rows: list[tuple[float, float]] = []
    for line, cells in table.rows:
        try:
            text = cells[lower.index(word)].strip().lower()
            row = parse_moment(cells[time_at]), _TRUE[text] if text in _TRUE else float(text)
        except (IndexError, ValueError, MomentError) as error:
            raise SeriesError(f"cannot be read: {error}", path=str(path), line=line) from error
        if rows and row[0] <= rows[-1][0]:
            raise SeriesError("is not later than the row above it; sort the file", path=str(path), line=line)
        rows.append(row)
    if len(rows) < 2:
        raise SeriesError(f"{counted(len(rows), 'row')}: at least 2 are needed", path=str(path))
    length = period_s or min(b[0] - a[0] for a, b in pairwise(rows))
    least = 1.0 if threshold is None else threshold
    judged = [Row(start_s, start_s + length, length, score, score >= least, True) for start_s, score in rows]
    return Result(target, word, str(path), tuple(steps_of(judged)), tuple(rows), least)
