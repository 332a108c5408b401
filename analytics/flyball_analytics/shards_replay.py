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
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flyball_analytics import fastreplay
from flyball_analytics.compare_figures import DAY_S, NO_LABELS, Day, Figures, Seen, acted
from flyball_analytics.fastreplay import COMPILE_FROM, Engine, Noted
from flyball_analytics.labels import Labels
from flyball_analytics.score import Step, score_steps
from flyball_analytics.series import Series
from flyball_analytics.shards_input import Columns, series_of
from flyball_analytics.thresholds.firings import JOIN_S
from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

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


def figures_of_policies(
    columns: Columns, policies: Sequence[Policy], labels: Labels | None
) -> Iterator[Figures]:
    """Yield the figures of each policy over a history; without labels all time is taken as healthy."""
    engine = _engine(columns.rows * len(policies))
    known = labels if labels is not None else NO_LABELS
    history: Series | History
    if engine is Engine.COMPILED:
        # Laid out once for all policies, with the looks that a series is replayed with.
        from flyball_analytics.shards_columns import ground_columns, history_in

        history, ground = history_in(columns), ground_columns(columns, known)
    else:
        history = series_of(columns)
        ground = ground_rows(history.observations, known)
    for policy in policies:
        outcome = fastreplay.run(history, policy, engine=engine, say=_nothing)
        yield _figures(columns.target, outcome.noted, policy, ground, labelled=labels is not None)


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


def _figures(
    target: str, noted: Sequence[Noted], policy: Policy, ground: Ground, *, labelled: bool
) -> Figures:
    """Return the figures of one policy from the windows in which it noted something."""
    nominal = nominal_setpoint(policy)
    told = [one for one in noted if not one.look and ground.numbers[one.row] >= 0]
    told.sort(key=lambda one: ground.numbers[one.row])
    days = dict(ground.days)
    steps = []
    quiet_since_s = float("-inf")
    for one in told:
        step, refused_ratio, changed = acted(one, nominal)
        onset = step.troubled and step.start_s - quiet_since_s > JOIN_S
        if step.troubled:
            quiet_since_s = step.start_s + step.period_s
        if ground.numbers[one.row] < ground.labels.probation:
            continue
        steps.append(step)
        key = int(step.start_s // DAY_S)
        day = days[key]._replace(changes=days[key].changes + changed)
        if ground.healthy[one.row]:
            day = day._replace(
                false_alarms=day.false_alarms + onset,
                refused_s=day.refused_s + refused_ratio * step.period_s,
                restricted_s=day.restricted_s + (step.period_s if step.restricted else 0.0),
            )
        days[key] = day
    seen_incidents = tuple(_seen(steps, ground)) if ground.labels.incidents else ()
    return Figures(target, policy.digest, True, seen_incidents, days, labelled)


def _seen(steps: Sequence[Step], ground: Ground) -> Iterator[Seen]:
    """Yield how late each incident was recognised; the steps in probation are left out already."""
    for answer in score_steps(steps, ground.labels._replace(probation=0)).incidents:
        incident, late_s = answer.incident, answer.recognised_s
        missed = late_s is None
        whole_s = incident.to_s - incident.start_s + ground.period_s
        yield Seen(incident, whole_s if late_s is None else late_s, missed)


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
