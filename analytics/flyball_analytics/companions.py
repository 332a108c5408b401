"""Latency files that stand beside an error file: X.error_ratio.csv and X.latency_p99_s.csv.

Exports that hold one statistic per file are common (one CloudWatch query each).
They are joined by timestamp; a row without a partner has no latency, and that is
not an error. Averages and other quantiles are left alone: the core asks for p50
and p99 only, and an average is neither.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from flyball.hints import did_you_mean
from flyball_analytics.columns import Field
from flyball_analytics.csvfile import read_table, shown
from flyball_analytics.moments import MomentError, parse_moment
from flyball_analytics.problems import Problem, ProblemKind, ProblemLog, SeriesError
from flyball_controller.core.model import Observation

_ERROR_SUFFIX = re.compile(r"\.(error_ratio|errors)$")
_COMPANION = re.compile(r"\.latency_(avg|p\d+)_m?s$")
_QUANTILES = {
    Field.LATENCY_P50_MS: ("p50_ms", "p50_s"),
    Field.LATENCY_P99_MS: ("p99_ms", "p99_s"),
}
# A history keeps the parts of each target in a folder of this name (docs/reference/history.md).
HISTORY_PREFIX = "target="
_TIME_WORDS = ("timestamp", "time", "ts")


def target_of(path: Path) -> str:
    """Return the target that a file name, or the folder of a target in a history, stands for.

    >>> target_of(Path("PetSite.error_ratio.csv")), target_of(Path("a/payments.csv"))
    ('PetSite', 'payments')
    >>> target_of(Path("history/target=pay%2Feu"))
    'pay/eu'
    """
    if path.name.startswith(HISTORY_PREFIX):
        return unquote(path.name.removeprefix(HISTORY_PREFIX))
    # A file's name may be bytes of another encoding; what is written about it is UTF-8.
    return _ERROR_SUFFIX.sub("", shown(Path(path.stem)))


def is_companion(path: Path) -> bool:
    """Return whether a file holds latencies only and is no target of its own."""
    return _COMPANION.search(path.stem) is not None


def companions_of(path: Path) -> dict[Field, Path]:
    """Return the latency files beside `path`, by the field that they fill."""
    base = target_of(path)
    found: dict[Field, Path] = {}
    for field, endings in _QUANTILES.items():
        for ending in endings:
            beside = path.with_name(f"{base}.latency_{ending}.csv")
            if beside.is_file():
                found[field] = beside
                break
    return found


def add_latency(
    observations: Sequence[Observation], field: Field, path: Path, *, log: ProblemLog
) -> tuple[list[Observation], int]:
    """Return the observations with one latency filled in, and how many rows found a partner.

    Raises:
        SeriesError: If the file has no time column or no `value` column.
    """
    scale = 1_000.0 if path.stem.endswith("_s") else 1.0
    latency_ms = _read(path, scale, log=log)
    joined = 0
    result = []
    for o in observations:
        value = latency_ms.get(o.start_s)
        if value is None:
            result.append(o)
            continue
        joined += 1
        p50 = field is Field.LATENCY_P50_MS
        result.append(o._replace(latency_ms_p50=value) if p50 else o._replace(latency_ms_p99=value))
    return result, joined


def _read(path: Path, scale: float, *, log: ProblemLog) -> dict[float, float]:
    """Return window start -> latency in ms; impossible cells are counted and left out."""
    table = read_table(path)
    words = [word.strip().lower() for word in table.header]
    time_at = next((words.index(word) for word in _TIME_WORDS if word in words), None)
    if time_at is None or "value" not in words:
        hint = "".join(did_you_mean(word, words) for word in ("timestamp", "value") if word not in words)
        raise SeriesError(
            f"a latency file needs the columns timestamp and value: columns found are "
            f"{', '.join(table.header)}{hint}; or leave it out with --no-latency",
            path=str(path),
            line=table.header_line,
            found=table.header,
        )
    value_at = words.index("value")
    latency_ms: dict[float, float] = {}
    for line, cells in table.rows:
        padded = [*cells, *[""] * (len(words) - len(cells))]
        time_text, value_text = padded[time_at], padded[value_at]
        if not value_text.strip():
            continue
        try:
            start_s = parse_moment(time_text)
        except MomentError as error:
            log.add(
                Problem(
                    str(path), line, "timestamp", time_text, ProblemKind.TIMESTAMP, error.bound, error.remedy
                )
            )
            continue
        try:
            value = float(value_text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0.0):
            log.add(
                Problem(
                    str(path),
                    line,
                    "value",
                    value_text,
                    ProblemKind.LATENCY,
                    "must be a finite number, at least 0",
                    "the row is replayed without this latency",
                )
            )
            continue
        latency_ms[start_s] = value * scale
    return latency_ms
