"""What one contender did over one target's history, cut into the pieces that a comparison draws from.

Two kinds of piece: an incident (how long until it was recognised, or missed) and a
day (healthy time, and what was done in it). Both contenders of a comparison see the
same rows, so that their pieces can be paired; which pieces differ, and whether that
is chance, is for compare.py. Nothing here knows two contenders or a verdict.

"Healthy" is what no incident, ignored stretch or probation covers. All healthy time
under an answer counts, also the minutes in which an answer to an incident is taken
back too slowly: the requests refused then were as well meant as any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flyball_analytics.fastreplay import Engine, Noted, run
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.replay import is_gated, step_of
from flyball_analytics.score import Step, score_steps
from flyball_analytics.series import Series
from flyball_analytics.thresholds.firings import JOIN_S
from flyball_controller.core.model import Quality, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

DAY_S = 86_400.0
NO_LABELS = Labels(())


class Acted(NamedTuple):
    """One window: what scoring needs, the share of calls that the circuit refuses, and whether it changed."""

    step: Step
    refused_ratio: float
    changed: bool


class Seen(NamedTuple):
    """One labelled incident. `delay_s`: from its first bad window to the decision, all of it if missed."""

    incident: Incident
    delay_s: float
    missed: bool


class Day(NamedTuple):
    """One UTC day after probation: its length in the recording, and of that what was healthy.

    An alarm within half an hour of the last trouble is the same one, for rules as for
    policies. `refused_s` weighs healthy time by the refused share: half of the calls refused for
    two minutes is one minute.
    """

    recorded_s: float = 0.0
    changes: int = 0
    healthy_s: float = 0.0
    false_alarms: int = 0
    refused_s: float = 0.0
    restricted_s: float = 0.0


class Figures(NamedTuple):
    """One contender over one target. `acts`: it decides about traffic; a detector only fires."""

    target: str
    contender: str
    acts: bool
    incidents: tuple[Seen, ...]
    days: dict[int, Day]  # by day number since 1970
    labelled: bool

    @property
    def total(self) -> Day:
        """All days together."""
        return join_days(self.days.values())


def join_days(days: Iterable[Day]) -> Day:
    """Return the sums of several days."""
    kept = list(days)
    return Day(
        math.fsum(d.recorded_s for d in kept),
        sum(d.changes for d in kept),
        math.fsum(d.healthy_s for d in kept),
        sum(d.false_alarms for d in kept),
        math.fsum(d.refused_s for d in kept),
        math.fsum(d.restricted_s for d in kept),
    )


def acted_windows(series: Series, policy: Policy, *, engine: Engine = Engine.AUTO) -> list[Acted]:
    """Return what the production step does in every sound window, oldest window first.

    The decisions are those of replay.py, at the speed of fastreplay.py: a window that it does
    not note was quiet, so nothing was named, restricted or changed in it.
    """
    nominal = nominal_setpoint(policy)
    outcome = run(series, policy, engine=engine)
    noted = {one.row: one for one in outcome.noted if not one.look}
    found: list[Acted] = []
    for row, seen in enumerate(series.observations):
        if seen.quality == Quality.INVALID:
            continue
        one = noted.get(row)
        if one is None:
            quiet = Step(seen.start_s, seen.arrived_s, seen.period_s, False, False, False, False, False)
            found.append(Acted(quiet, 0.0, False))
        else:
            found.append(acted(one, nominal))
    found.sort(key=lambda window: window.step.start_s)
    return found


def acted(noted: Noted, nominal: Setpoint) -> Acted:
    """Return one window in which a decision was noted; `nominal` is the setpoint when all is well."""
    applied = noted.decision.applied
    return Acted(
        step_of(noted.observation, noted.decision, noted.before, nominal),
        1.0 - applied.probe_ratio if is_gated(applied) else 0.0,
        noted.decision.changed,
    )


def figures_of(
    windows: Sequence[Acted], labels: Labels | None, *, target: str, contender: str, acts: bool
) -> Figures:
    """Return the pieces of one contender over one target; without labels all time is taken as healthy.

    Args:
        windows: Oldest first.
        labels: The true incidents; None if nobody knows them.
        target: Whose history.
        contender: Whose decisions.
        acts: Whether the contender decides about traffic.
    """
    known = labels if labels is not None else NO_LABELS
    steps = [window.step for window in windows]
    answers = score_steps(steps, known).incidents if known.incidents else ()
    period_s = steps[0].period_s if steps else 0.0
    seen = tuple(
        Seen(a.incident, _delay_s(a.incident, a.recognised_s, period_s), a.recognised_s is None)
        for a in answers
    )
    return Figures(target, contender, acts, seen, _days(windows, known), labels is not None)


def figures_of_steps(steps: Sequence[Step], labels: Labels | None, *, target: str, contender: str) -> Figures:
    """Return the pieces of a detector, which fires and does nothing."""
    windows = [Acted(one, 0.0, False) for one in steps]
    return figures_of(windows, labels, target=target, contender=contender, acts=False)


def _delay_s(incident: Incident, recognised_s: float | None, period_s: float) -> float:
    """Return the delay; what was missed counts to the end of the last window in which an answer counts."""
    return incident.to_s - incident.start_s + period_s if recognised_s is None else recognised_s


def _days(windows: Sequence[Acted], labels: Labels) -> dict[int, Day]:
    """Return the figures by day. It runs over every window of a fleet: plain lists, one pass."""
    sums: dict[int, list[float]] = {}
    quiet_since_s = -math.inf
    probation, spans = labels.probation, _spans(labels)
    for number, (one, refused_ratio, changed) in enumerate(windows):
        start_s, period_s = one.start_s, one.period_s
        onset = one.troubled and start_s - quiet_since_s > JOIN_S
        if one.troubled:
            quiet_since_s = start_s + period_s
        if number < probation:
            continue
        day = sums.setdefault(int(start_s // DAY_S), [0.0] * len(Day._fields))
        day[0] += period_s
        day[1] += changed
        if any(since_s <= start_s <= until_s for since_s, until_s in spans):
            continue
        day[2] += period_s
        day[3] += onset
        day[4] += refused_ratio * period_s
        day[5] += period_s if one.restricted else 0.0
    return {key: Day(day[0], int(day[1]), day[2], int(day[3]), day[4], day[5]) for key, day in sums.items()}


def _spans(labels: Labels) -> list[tuple[float, float]]:
    """Return the stretches that are no healthy time, both ends included."""
    return [*labels.ignore, *((one.from_s, one.to_s) for one in labels.incidents)]
