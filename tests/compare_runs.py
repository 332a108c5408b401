"""Hand-made steps, labels and files for the tests of comparing."""

from __future__ import annotations

from flyball_analytics.compare_figures import Acted, Day, Figures, Seen
from flyball_analytics.labels import Incident
from flyball_analytics.score import WEEK_S, Step

NOON_S = 1_700_049_600.0  # 2023-11-15 12:00 UTC


def acted(
    minute: int,
    *,
    troubled: bool = False,
    refused: float = 0.0,
    restricted: bool = False,
    changed: bool = False,
) -> Acted:
    """One minute; the decision comes when it is over."""
    start_s = NOON_S + 60.0 * minute
    step = Step(start_s, start_s + 60.0, 60.0, False, False, False, restricted, troubled)
    return Acted(step, refused, changed)


def incident(first: int, last: int) -> Incident:
    """An incident from one minute to another, both bad."""
    start_s, end_s = NOON_S + 60.0 * first, NOON_S + 60.0 * last
    return Incident(start_s, end_s, start_s, end_s)


def seen(delay_s: float, *, missed: bool = False) -> Seen:
    """One incident and how it was answered."""
    return Seen(incident(0, 9), delay_s, missed)


def figures(
    target: str, contender: str, *, delays: tuple[float, ...] = (), day: Day | None = None
) -> Figures:
    """One service: its incidents' delays and one day's books (default: a healthy week)."""
    one = day if day is not None else Day(WEEK_S, 0, WEEK_S, 0, 0.0, 0.0)
    return Figures(target, contender, True, tuple(seen(d) for d in delays), {0: one}, True)
