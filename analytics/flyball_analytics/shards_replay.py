"""Many policies over one history: what is the same for all is done once, the rest by the fast replay.

Which window lies on which day, and which counts as healthy, depends on the history and
its labels alone. Of a policy only the windows matter in which it noted something
(fastreplay.py); the quiet ones change nothing, refuse nothing and are no trouble. The
figures are those of `compare_figures.figures_of` over `acted_windows`, bit for bit.

Compiled code is used from so many windows on that it pays; which engine ran changes
nothing in a result.
"""

from __future__ import annotations

import importlib.util
import os
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flyball_analytics import fastreplay
from flyball_analytics.compare_figures import DAY_S, NO_LABELS, Acted, Day, Figures, Seen, acted
from flyball_analytics.fastreplay import COMPILE_FROM, Engine, Noted
from flyball_analytics.fastreplay_together import run_together
from flyball_analytics.labels import Labels
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_analytics.shards_input import Columns, series_of
from flyball_analytics.thresholds.firings import JOIN_S
from flyball_controller.core.model import Observation, Quality, Setpoint
from flyball_controller.core.policy import Policy

if TYPE_CHECKING:
    from flyball_analytics.fastreplay_columns import History

# Where no compiled code is kept, every process of a search would make it: twenty times the cost of loading.
MAKE_FROM = 20 * COMPILE_FROM


class Ground(NamedTuple):
    """What all policies stand on. `numbers` are the places of the rows among the sound ones, by
    time of their windows; -1: flagged, and no window. `healthy` is 1 where no incident, ignored
    stretch or probation covers the row. `days` hold what was recorded and what was healthy.
    """

    labels: Labels
    numbers: Sequence[int]
    healthy: Sequence[int]
    days: dict[int, Day]
    period_s: float


def figures_of_policies(columns: Columns, policies: Sequence[Policy], labels: Labels | None) -> list[Figures]:
    """Return the figures of each policy over a history; without labels all time is taken as healthy."""
    engine = _engine(columns.rows * len(policies))
    known = labels if labels is not None else NO_LABELS
    history, ground = _laid_out(columns, known, engine)
    advance = fastreplay.compiled_advance(_nothing) if engine is Engine.COMPILED else None
    found: dict[int, Figures] = {}
    for one in run_together(history, policies, keep=_told, advance=advance):
        figures = _figures(columns.target, one.noted, ground, labelled=labels is not None)
        for place in one.places:
            found[place] = figures._replace(contender=policies[place].digest)
    return [found[place] for place in range(len(policies))]


_newest: list[tuple[Columns, Labels, Engine, Series | History, Ground]] = []


def _laid_out(columns: Columns, labels: Labels, engine: Engine) -> tuple[Series | History, Ground]:
    """Return a history as the engine reads it, with its ground; those of the newest columns are kept."""
    newest = next(iter(_newest), None)
    if newest is not None and newest[0] is columns and newest[1:3] == (labels, engine):
        return newest[3:]
    _newest.clear()
    history: Series | History
    if engine is Engine.COMPILED:
        # With the looks that a series is replayed with.
        from flyball_analytics.shards_columns import ground_columns, history_in

        history, ground = history_in(columns), ground_columns(columns, labels)
    else:
        history = series_of(columns)
        ground = ground_rows(history.observations, labels)
    _newest.append((columns, labels, engine, history, ground))
    return history, ground


class Told(NamedTuple):
    """A step that is not quiet, by the row it belongs to; a look into a gap shows nothing."""

    row: int
    acted: Acted | None


def _told(one: Noted, nominal: Setpoint) -> Told:
    return Told(one.row, None if one.look else acted(one, nominal))


def ground_rows(rows: Sequence[Observation], labels: Labels) -> Ground:
    """Return what the policies over some observations share."""
    sound = [row for row, seen in enumerate(rows) if seen.quality != Quality.INVALID]
    sound.sort(key=lambda row: rows[row].start_s)  # stable: windows of one time stay in order of arrival
    numbers = array("q", [-1]) * len(rows)
    healthy = bytearray(len(rows))
    days: dict[int, list[float]] = {}
    for number, row in enumerate(sound):
        numbers[row] = number
        if number < labels.probation:
            continue
        seen = rows[row]
        day = days.setdefault(int(seen.start_s // DAY_S), [0.0, 0.0])
        day[0] += seen.period_s
        if not labels.ignored(seen.start_s) and labels.incident_at(seen.start_s) is None:
            healthy[row] = 1
            day[1] += seen.period_s
    first_s = rows[sound[0]].period_s if sound else 0.0
    kept = {day: Day(recorded_s=recorded, healthy_s=well) for day, (recorded, well) in days.items()}
    return Ground(labels, numbers, healthy, kept, first_s)


def _figures(target: str, told: Sequence[Told], ground: Ground, *, labelled: bool) -> Figures:
    """Return the figures of some policy from the windows in which it noted something."""
    windows = [
        (number, one.row, one.acted)
        for one in told
        if one.acted is not None and (number := ground.numbers[one.row]) >= 0
    ]
    windows.sort(key=itemgetter(0))
    sums: dict[int, list[float]] = {}
    steps = []
    quiet_since_s = float("-inf")
    for number, row, (step, refused_ratio, changed) in windows:
        start_s, period_s = step.start_s, step.period_s
        onset = step.troubled and start_s - quiet_since_s > JOIN_S
        if step.troubled:
            quiet_since_s = start_s + period_s
        if number < ground.labels.probation:
            continue
        if step.troubled:
            steps.append(step)
        day = sums.setdefault(int(start_s // DAY_S), [0.0, 0.0, 0.0, 0.0])
        day[0] += changed
        if ground.healthy[row]:
            day[1] += onset
            day[2] += refused_ratio * period_s
            day[3] += period_s if step.restricted else 0.0
    days = dict(ground.days)
    for key, (changes, alarms, refused_s, restricted_s) in sums.items():
        days[key] = days[key]._replace(
            changes=int(changes), false_alarms=int(alarms), refused_s=refused_s, restricted_s=restricted_s
        )
    return Figures(target, "", True, tuple(_seen(steps, ground)), days, labelled)


def _seen(troubled: Sequence[Step], ground: Ground) -> Iterator[Seen]:
    """Yield how late each incident was recognised: in the first window inside that is troubled."""
    for incident in ground.labels.incidents:
        first = next((step for step in troubled if incident.holds(step.start_s)), None)
        whole_s = incident.to_s - incident.start_s + ground.period_s
        yield Seen(incident, whole_s if first is None else first.at_s - incident.start_s, first is None)


def _engine(points: int) -> Engine:
    """Return what runs a shard of so many windows; small shards add up until compiling pays."""
    _points[0] += points
    if _points[0] < COMPILE_FROM or not _has_numba():
        return Engine.INTERPRETED
    return Engine.COMPILED if _points[0] >= MAKE_FROM or _is_kept() else Engine.INTERPRETED


def _is_kept() -> bool:
    """Return whether an earlier process has left compiled code of these sources."""
    from flyball_analytics.fastreplay_jit import cache_folder

    return any(cache_folder(os.environ, Path.home).rglob("*.nbi"))


_points = [0]  # seen by this process


@lru_cache(maxsize=1)
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _nothing(line: str) -> None:
    """A worker's remark about its cache is nobody's to read."""
