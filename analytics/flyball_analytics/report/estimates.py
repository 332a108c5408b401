"""Retry amplification and refused load over a history, each with a 95 % interval.

Open loop, and said so wherever it is shown: recorded attempts and failures do not
react. "Kept" is what recorded clients would have attempted under the budget in
force; fewer retries would also have relieved the target, which no recording shows,
so that it is the cautious end.

The interval draws whole services where six or more were recorded, else days, as a
comparison does (compare.py has the bootstrap and why).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flyball_analytics.compare import PIECES_MIN, Interval, Pair, paired_interval
from flyball_analytics.report.watch import Flow, Watched

Part = Callable[[Flow], float]


class Estimate(NamedTuple):
    """A ratio of sums. `value` None: nothing was measured; `interval` None: under six pieces."""

    name: str
    title: str
    unit: str  # `x` = times, `ratio` = share 0..1
    value: float | None
    interval: Interval | None
    pieces: int
    piece: str
    meaning: str


_PARTS: tuple[tuple[str, str, str, Part, Part, str], ...] = (
    (
        "amplification",
        "Amplification as recorded",
        "x",
        lambda flow: float(flow.attempts),
        lambda flow: float(flow.measured),
        "attempts per request",
    ),
    (
        "amplification_kept",
        "Amplification within the budgets",
        "x",
        lambda flow: flow.kept,
        lambda flow: float(flow.measured),
        "attempts per request if clients had kept to the retry budget in force",
    ),
    (
        "retries_saved_ratio",
        "Retries not made",
        "ratio",
        lambda flow: flow.attempts - flow.kept,
        lambda flow: float(flow.attempts - flow.measured),
        "share of the recorded retries that the budget in force forbids",
    ),
    (
        "refused_ratio",
        "Requests refused by circuits",
        "ratio",
        lambda flow: flow.refused,
        lambda flow: float(flow.requests),
        "share of all requests; probes pass",
    ),
    (
        "refused_failing_ratio",
        "Of these, failed anyway",
        "ratio",
        lambda flow: flow.refused_failing,
        lambda flow: flow.refused,
        "share of the refused requests whose first attempt is recorded as failed",
    ),
    (
        "refused_well_ratio",
        "Of these, in healthy time",
        "ratio",
        lambda flow: flow.refused_well,
        lambda flow: flow.refused,
        "share of the refused requests outside labelled incidents; the window after an incident counts here",
    ),
)


def estimates(services: Sequence[Watched]) -> tuple[Estimate, ...]:
    """Return the estimates of several services together; without labels the healthy share is left out."""
    labelled = any(one.labels is not None for one in services)
    wanted = [part for part in _PARTS if labelled or part[0] != "refused_well_ratio"]
    return tuple(_estimate(services, *part) for part in wanted)


def _estimate(
    services: Sequence[Watched], name: str, title: str, unit: str, value: Part, of: Part, meaning: str
) -> Estimate:
    wholes = [(value(flow), of(flow)) for flow in (one.flow for one in services)]
    pieces, piece = [p for p in wholes if p[1] > 0.0], "services"
    if len(pieces) < PIECES_MIN:
        days = [(value(flow), of(flow)) for one in services for flow in one.flows.values()]
        pieces, piece = [p for p in days if p[1] > 0.0], "days"
    if not pieces:
        return Estimate(name, title, unit, None, None, 0, piece, meaning)
    # A ratio of sums is the difference to a baseline that has none: the same bootstrap serves.
    interval = paired_interval([Pair(0.0, size, part, size) for part, size in pieces])
    total = sum(part for part, _ in pieces) / sum(size for _, size in pieces)
    return Estimate(name, title, unit, total, interval, len(pieces), piece, meaning)
