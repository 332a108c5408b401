"""The sums of one policy over one history that a search compares: what was fitted on, and what was held out.

Sums only, so that parts of several services add up exactly; rates and objectives are
made of them in sweep_objectives.py. The figures are those of `flyball compare`
(compare_figures.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flyball_analytics.compare_figures import DAY_S, Day, Figures, join_days


class Part(NamedTuple):
    """Sums over some days. `delays_s`: of each labelled incident, in order; a missed one counts in full."""

    recorded_s: float = 0.0
    healthy_s: float = 0.0
    changes: int = 0
    false_alarms: int = 0
    refused_s: float = 0.0
    restricted_s: float = 0.0
    missed: int = 0
    delays_s: tuple[float, ...] = ()

    def plain(self) -> dict[str, object]:
        """Return the sums as they stand in a result."""
        return dict(self._asdict())

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Part:
        """Return the sums that `plain` wrote."""
        return cls(**{**plain, "delays_s": tuple(float(delay) for delay in plain["delays_s"])})


def join_parts(parts: Iterable[Part]) -> Part:
    """Return several parts together."""
    kept = list(parts)
    return Part(
        math.fsum(p.recorded_s for p in kept),
        math.fsum(p.healthy_s for p in kept),
        sum(p.changes for p in kept),
        sum(p.false_alarms for p in kept),
        math.fsum(p.refused_s for p in kept),
        math.fsum(p.restricted_s for p in kept),
        sum(p.missed for p in kept),
        tuple(delay for p in kept for delay in p.delays_s),
    )


def parts_of(figures: Figures, held_ratio: float) -> tuple[Part, Part]:
    """Return the sums of the first days and of the last `held_ratio` of them (rounded up to whole days).

    A policy is replayed over all days: what it learned before the cut it knows after it,
    as it would in production. An incident belongs to the day on which it begins; one on a
    day that was not recorded is none of this history.

    Args:
        figures: Of one policy over one history.
        held_ratio: Share of the days that is held out, 0 to below 1; of one day nothing is.
    """
    days = sorted(figures.days)
    held = min(math.ceil(held_ratio * len(days)), max(len(days) - 1, 0))
    cut = days[len(days) - held] if held else math.inf
    return (
        _part(figures, lambda day: day < cut),
        _part(figures, lambda day: day >= cut),
    )


def _part(figures: Figures, wanted: Callable[[float], bool]) -> Part:
    total: Day = join_days(day for number, day in figures.days.items() if wanted(number))
    begun = ((one, one.incident.start_s // DAY_S) for one in figures.incidents)
    seen = [one for one, day in begun if day in figures.days and wanted(day)]
    return Part(
        total.recorded_s,
        total.healthy_s,
        total.changes,
        total.false_alarms,
        total.refused_s,
        total.restricted_s,
        sum(one.missed for one in seen),
        tuple(one.delay_s for one in seen),
    )
