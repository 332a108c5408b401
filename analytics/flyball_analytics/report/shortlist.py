"""Which services of a report must be watched closely: those that are drawn, and those that are told of.

The rest of a fleet is glanced at. Who belongs to whom is known only when all are through, so a
bounded number of histories is kept meanwhile: memory does not grow with the fleet.
"""

from __future__ import annotations

from flyball_analytics.labels import Labels
from flyball_analytics.report.model import urgency
from flyball_analytics.report.watch import Watched
from flyball_analytics.report.worst import WORST_MAX, grave
from flyball_analytics.series import Series

Kept = tuple[int, Series, Labels | None]  # with the service's place in the report's list
Ranked = list[tuple[tuple[object, ...], Kept]]


class Shortlist:
    """The first `drawn` services by urgency, and those with the costliest decisions, with their histories."""

    def __init__(self, drawn: int) -> None:
        self._drawn = drawn
        self._urgent: Ranked = []
        self._grave: Ranked = []

    def add(self, place: int, one: Watched, series: Series, labels: Labels | None) -> None:
        """Consider the service at a place."""
        kept = (place, series, labels)
        self._urgent = _first(self._urgent, (*urgency(one), place), kept, self._drawn)
        key = grave(one)
        if any(key):
            falling = tuple(-part for part in key)
            self._grave = _first(self._grave, (*falling, one.target, place), kept, WORST_MAX)

    def kept(self) -> list[Kept]:
        """Return the services to watch, in order of their places."""
        found = {kept[0]: kept for _, kept in (*self._urgent, *self._grave)}
        return [found[place] for place in sorted(found)]


def _first(ranked: Ranked, key: tuple[object, ...], kept: Kept, count: int) -> Ranked:
    found: Ranked = [*ranked, (key, kept)]
    found.sort(key=lambda pair: pair[0])
    return found[:count]
