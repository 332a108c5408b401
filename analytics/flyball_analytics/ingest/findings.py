"""What was found about the data: gaps, late, repeated and revised points, and what could not be read.

A finding is one line of the data-quality report. All are counted; of each kind
the first `LISTED_MAX` per source are listed with place and value, and the report
says how many more there were. Nothing here decides what becomes of a point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from flyball_analytics.moments import utc
from flyball_analytics.problems import Problem

# Enough to see a pattern; a stream that repeats every point would list millions.
LISTED_MAX = 10_000
DETAIL_CHARS_MAX = 400  # a poison line may be as long as its file


class FindingKind(StrEnum):
    """The closed set; the values stand in reports."""

    GAP = "gap"  # windows of a target for which there is nothing
    LATE = "late"  # a point that came after a younger window of its target
    DUPLICATE = "duplicate"  # a point that was there already, equal in every value
    REVISED = "revised"  # a window that was there already, with other numbers
    POISON = "poison"  # a line, message, row or reply that could not be read
    PROBLEM = "problem"  # a cell or value that cannot be right; its row is kept and flagged
    INCOMPLETE = "incomplete"  # a minute with latencies but no counts: no row
    STRANGER = "stranger"  # points of a target from a second account or region: left out
    FOREIGN = "foreign"  # points of metrics that no target asks for; counted, not listed


class Finding(NamedTuple):
    """One line of the report. `target` is "" where none is known; `at_s` the window, -1 if none."""

    kind: FindingKind
    target: str
    at_s: float
    detail: str

    def to_json(self) -> dict[str, object]:
        """Return the line of the report."""
        at = utc(self.at_s) if self.at_s >= 0.0 else None
        return {"kind": self.kind.value, "target": self.target, "at": at, "detail": self.detail}


class Findings:
    """Counts every finding and keeps the first of each kind.

    >>> found = Findings()
    >>> found.add(FindingKind.POISON, "a.jsonl:3: not JSON")
    >>> found.counts[FindingKind.POISON], len(found.listed)
    (1, 1)
    """

    def __init__(self) -> None:
        self.counts: Counter[FindingKind] = Counter()
        self.listed: list[Finding] = []
        self._kept: Counter[FindingKind] = Counter()

    def add(self, kind: FindingKind, detail: str, *, target: str = "", at_s: float = -1.0) -> None:
        """Count one finding and list it while there is room."""
        self.counts[kind] += 1
        if self._kept[kind] < LISTED_MAX:
            self._kept[kind] += 1
            short = detail if len(detail) <= DETAIL_CHARS_MAX else f"{detail[:DETAIL_CHARS_MAX]}..."
            self.listed.append(Finding(kind, target, at_s, short))

    def count(self, kind: FindingKind, how_many: int) -> None:
        """Count findings that are not listed one by one."""
        if how_many:
            self.counts[kind] += how_many

    def add_problems(self, problems: Iterable[Problem], *, total: int, target: str) -> None:
        """Add the problems that the CSV reader found; `total` counts those it did not keep, too."""
        shown = 0
        for problem in problems:
            self.add(FindingKind.PROBLEM, str(problem), target=target)
            shown += 1
        self.count(FindingKind.PROBLEM, total - shown)

    def restore(self, counts: Mapping[str, int], listed: Iterable[Finding]) -> None:
        """Continue from what an interrupted run had found."""
        self.counts.update({FindingKind(kind): count for kind, count in counts.items()})
        for finding in listed:
            self._kept[finding.kind] += 1
            self.listed.append(finding)

    def forget(self, kind: FindingKind) -> None:
        """Remove the findings of a kind that is looked for anew."""
        self.listed = [finding for finding in self.listed if finding.kind is not kind]
        del self.counts[kind], self._kept[kind]

    def plain_counts(self) -> dict[str, int]:
        """Return the counts by name, without zeros."""
        return {kind.value: self.counts[kind] for kind in FindingKind if self.counts[kind]}
