"""What can be wrong with a recorded history, and how it is said.

Two kinds, and no third: a `Problem` concerns one row or cell, is counted, and
never stops the reading; a `SeriesError` means that the file as a whole cannot
be used. Both name the place, the value, the bound and the remedy.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

from flyball.errors import printable


class ProblemKind(StrEnum):
    """The closed set of what a row can have wrong; the values stand in summaries."""

    TIMESTAMP = "unreadable timestamp"
    FUTURE = "timestamp in the future"
    REPEATED = "repeated timestamp"
    BACKWARD = "backward timestamp"
    ARRIVED = "impossible arrival"
    CELLS = "wrong number of cells"
    NUMBER = "not a number"
    NEGATIVE = "negative number"
    TOO_LARGE = "number too large"
    RATIO = "ratio outside 0..1"
    MORE_ERRORS = "more errors than requests"
    CONTRADICTION = "columns contradict each other"
    BLANK = "blank cell"
    LATENCY = "impossible latency"


class Problem(NamedTuple):
    """One thing wrong at one place; `line` counts from 1 and includes the header."""

    path: str
    line: int
    column: str
    value: str
    kind: ProblemKind
    bound: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.path}:{self.line}: {self.kind}: {self.column}={self.value!r} {self.bound}; {self.remedy}"
        )


class ProblemLog:
    """Counts every problem and keeps the first `KEPT` of them with their place."""

    # A file in the wrong unit has a problem in every row; a thousand examples are enough to see it.
    KEPT = 1_000

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.counts: Counter[ProblemKind] = Counter()

    def add(self, problem: Problem) -> None:
        """Count `problem`; keep its text while there is room."""
        self.counts[problem.kind] += 1
        if len(self.kept) < self.KEPT:
            self.kept.append(problem)


class SeriesError(ValueError):
    """A file that cannot be read as a metric history; `path`, `line` and `found` are for tools."""

    def __init__(self, message: str, *, path: str, line: int = 0, found: tuple[str, ...] = ()) -> None:
        super().__init__(printable(f"{path}:{line}: {message}" if line else f"{path}: {message}"))
        self.path = path
        self.line = line
        self.found = found


class MissingPackageError(SeriesError):
    """An optional Python package is not installed; the message names its extra."""
