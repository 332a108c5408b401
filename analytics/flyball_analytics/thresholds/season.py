"""The learned baseline of one metric in a few numbers: level, bands now, when more than usual is normal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.thresholds.firings import Row
from flyball_controller.core.baseline import (
    HOURS,
    MINUTES,
    UNVISITED,
    VISITS,
    hour_expectation,
    minute_expectation,
)
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State

# A slot is worth a word if it is normally this much over the level.
SEASON_EXCESS = 1.5
# And if it reaches this share of the floor: a hundredth of a percent more moves no threshold.
SEASON_FLOOR_SHARE = 0.5
DAY_S = 86_400.0


class Season(NamedTuple):
    """Slots of one cycle in which more is normal; `known` of `slots` have been seen often enough.

    `parts` are (first slot, last slot, highest expected value).
    """

    cycle: str
    slots: int
    known: int
    parts: tuple[tuple[int, int, float], ...]


class Bands(NamedTuple):
    """What is normal now and where thresholds stand; None where the rule has no such level."""

    at_s: float
    level: float | None
    trip: float | None
    reset: float | None
    opens: float | None
    confidence: float | None
    level_low: float | None  # lowest and highest level of the newest day: how far the season moves it
    level_high: float | None
    seasons: tuple[Season, ...]


def bands_of(rows: Sequence[Row], state: State | None, policy: Policy) -> Bands | None:
    """Return the bands at the newest window of a run; None if no window has a level.

    Args:
        rows: Of the rule that is ours.
        state: The production step's last state, if counts were judged.
        policy: Which floors decide what a season is worth.
    """
    known = [row for row in rows if row.level is not None and row.upper is not None]
    if not known:
        return None
    last = max(known, key=lambda row: row.start_s)
    day = [row.level for row in known if row.start_s > last.start_s - DAY_S and row.level is not None]
    seasons = () if state is None else seasons_of(state, policy)
    return Bands(
        last.start_s,
        last.level,
        last.upper,
        last.reset,
        last.opens,
        last.confidence,
        min(day),
        max(day),
        seasons,
    )


def seasons_of(state: State, policy: Policy) -> tuple[Season, ...]:
    """Return what the production step knows of the hour and of the week."""
    baseline = state.baseline
    minutes = [minute_expectation(baseline, 60.0 * minute) for minute in range(MINUTES)]
    visited = sum(baseline.minute[VISITS * minute + 2] != UNVISITED for minute in range(MINUTES))
    hours = [hour_expectation(baseline, 3_600.0 * hour, policy.profile_visits_min) for hour in range(HOURS)]
    visits = sum(count >= policy.profile_visits_min for count in baseline.hour_visits)
    least = max(SEASON_EXCESS * baseline.level, SEASON_FLOOR_SHARE * policy.retry_floor)
    return (
        Season("minute of the hour", MINUTES, visited, _parts(minutes, least)),
        Season("hour of the week", HOURS, visits, _parts(hours, least)),
    )


def _parts(values: Sequence[float], least: float) -> tuple[tuple[int, int, float], ...]:
    """Return the runs of slots over `least`, in order; a run over the end is one with the beginning."""
    found: list[tuple[int, int, float]] = []
    for slot, value in enumerate(values):
        if math.isnan(value) or value < least:
            continue
        if found and found[-1][1] == slot - 1:
            found[-1] = (found[-1][0], slot, max(found[-1][2], value))
        else:
            found.append((slot, slot, value))
    if len(found) > 1 and found[0][0] == 0 and found[-1][1] == len(values) - 1:
        first = found.pop(0)
        found[-1] = (found[-1][0], first[1], max(found[-1][2], first[2]))
    return tuple(found)
