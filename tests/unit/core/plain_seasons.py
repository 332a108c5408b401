"""The seasons in their plain form, one slot after the other: what the step's short cuts are held against."""

from __future__ import annotations

from flyball_controller.core.kernel import HOURS, MINUTES, UNVISITED, VISITS, lower_median, median3, slot_of


def minute_quanta(profile: tuple[int, ...], at_s: float) -> int:
    """Return the seasonal quanta of this minute, widened by one minute each side; 0 if unknown."""
    minute = slot_of(at_s, 60.0) % MINUTES
    best = 0
    for neighbour in (minute - 1, minute, minute + 1):
        at = (neighbour % MINUTES) * VISITS
        oldest = profile[at + 2]
        if oldest != UNVISITED:
            middle = median3(profile[at], profile[at + 1], oldest)
            if middle > best:
                best = middle
    return best


def hour_quanta(
    newest: tuple[int, ...], before: tuple[int, ...], visits: tuple[int, ...], hour: int, visits_min: int
) -> int:
    """Return the seasonal quanta of an hour of the week: of this day, or of most days; 0 if unknown."""
    best = 0
    if visits[hour] >= visits_min:
        best = min(before[hour], newest[hour])
    days = [newest[slot] for slot in range(hour % 24, HOURS, 24) if visits[slot] > 0]
    if len(days) >= visits_min:
        daily = lower_median(days)
        if daily > best:
            best = daily
    return best
