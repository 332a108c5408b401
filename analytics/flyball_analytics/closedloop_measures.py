"""Judging a closed-loop run: the measures of control quality, from ledgers and from what the controller did.

Requests count by *arrival*, times from the incident's own begin and end.
Several callers are summed up; where a time is asked for, the worst of all
incidents and callers counts. Words and units: scenarios/measures.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from flyball_analytics.closedloop_control import Action, Control
from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.plant.ledger import Ledger, Tally
from flyball_analytics.plant.traffic import MINUTE_S
from flyball_analytics.scenarios.measures import MEASURES
from flyball_analytics.scenarios.model import Incident, Scenario

AFTER_S = 600.0  # "after the incident" is its next ten minutes
FLAP_S = 600.0  # tightening this soon after loosening means that it was loosened too early
# Late changes still belong to an incident: restoring takes minutes and must not be hurried.
BELONGS_S = 1_800.0
PEAK_REQUESTS = 12  # fewer say nothing about amplification: the steps are then taken together
HOUR_S = 3_600.0


class CallerRun(NamedTuple):
    """What became of one caller's requests."""

    name: str
    target: str
    ledger: Ledger
    environments_peak: int


class Evidence(NamedTuple):
    """All that a run is judged by."""

    scenario: Scenario
    callers: tuple[CallerRun, ...]
    control: Control | None


def measure(evidence: Evidence) -> dict[str, float]:
    """Return every measure by name. Infinite means never, NaN that it has no meaning here."""
    values = dict.fromkeys(MEASURES, math.nan)
    values.update(_traffic(evidence))
    incidents = evidence.scenario.harmful
    if incidents:
        values.update(_incidents(evidence, incidents))
    values.update(_control(evidence))
    return values


def _all(evidence: Evidence, since_s: float, until_s: float) -> Tally:
    """Return the sum over all callers of arrivals in [since_s, until_s), seconds of the scenario."""
    start_s = evidence.scenario.start_s
    total = Tally()
    for caller in evidence.callers:
        _add(total, caller.ledger, start_s + since_s, start_s + until_s)
    return total


def _add(total: Tally, ledger: Ledger, since_s: float, until_s: float) -> None:
    for key in range(int(since_s // STEP_S), int(until_s // STEP_S)):
        found = ledger.steps.get(key)
        if found is not None:
            total.add(found)
    for key in range(int(since_s // MINUTE_S), int(until_s // MINUTE_S)):
        counted = ledger.minutes.get(key)
        if counted is not None:
            total.add(counted)


def _share(part: int, whole: int, *, empty: float) -> float:
    return part / whole if whole else empty


def _traffic(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """Yield the measures that need no incident."""
    scenario = evidence.scenario
    total = _all(evidence, 0.0, scenario.duration_s)
    per_minute = total.arrived / (scenario.duration_s / MINUTE_S)
    yield "goodput_ratio", _share(total.ok, total.arrived, empty=1.0)
    yield "lost_min", (total.arrived - total.ok) / per_minute if total.arrived else 0.0
    yield "amplification", _share(total.attempts, total.arrived, empty=1.0)
    yield "amplification_peak", max(_amplifications(evidence), default=1.0)
    yield "wasted_ratio", _share(total.wasted, total.attempts, empty=0.0)
    yield "rejected_ratio", _share(total.rejected, total.arrived, empty=0.0)
    yield "false_open_min", sum(_false_open_min(scenario, caller) for caller in evidence.callers)
    yield "environments_peak", float(sum(caller.environments_peak for caller in evidence.callers))


def _false_open_min(scenario: Scenario, caller: CallerRun) -> float:
    """Return the minutes of traffic refused while the target was well and no incident was on.

    A surge makes no fault and, as long as clients shed it, no queue; refusing it
    is still right.
    """
    total_s = 0.0
    spans = [(i.start_s, i.end_s) for i in scenario.harmful if caller.name in i.callers]
    for number in range(round(scenario.duration_s / STEP_S)):
        at_s = number * STEP_S
        step = caller.ledger.steps.get(int((scenario.start_s + at_s) // STEP_S))
        if step is None or step.sick or not step.rejected:
            continue
        if not any(start_s <= at_s < end_s for start_s, end_s in spans):
            total_s += STEP_S * step.rejected / step.arrived
    return total_s / MINUTE_S


def _amplifications(evidence: Evidence) -> Iterator[float]:
    """Yield attempts per request over ten seconds, longer where fewer than PEAK_REQUESTS arrived."""
    arrived = attempts = 0
    for number in range(round(evidence.scenario.duration_s / STEP_S)):
        step = _all(evidence, number * STEP_S, (number + 1) * STEP_S)
        arrived += step.arrived
        attempts += step.attempts
        if arrived >= PEAK_REQUESTS:
            yield attempts / arrived
            arrived = attempts = 0


def _incidents(evidence: Evidence, incidents: tuple[Incident, ...]) -> Iterator[tuple[str, float]]:
    """Yield what is judged by the incidents' times."""
    inside, after = Tally(), Tally()
    recoveries = []
    for incident in incidents:
        limit_s = _limit(evidence.scenario, incident)
        for caller in evidence.callers:
            if caller.name not in incident.callers:
                continue
            start_s = evidence.scenario.start_s
            _add(inside, caller.ledger, start_s + incident.start_s, start_s + incident.end_s)
            until_s = min(limit_s, incident.end_s + AFTER_S)
            _add(after, caller.ledger, start_s + incident.end_s, start_s + until_s)
            took_s = caller.ledger.recovered_after_s(start_s + incident.end_s, limit_s=start_s + limit_s)
            recoveries.append(math.inf if took_s is None else took_s)
    yield "goodput_in_ratio", _share(inside.ok, inside.arrived, empty=1.0)
    yield "goodput_after_ratio", _share(after.ok, after.arrived, empty=1.0)
    yield "recovery_s", max(recoveries)
    yield "recovered", 0.0 if math.inf in recoveries else 1.0


def _limit(scenario: Scenario, incident: Incident) -> float:
    """Return until when an incident can be judged: the next one's begin, or the scenario's end."""
    later = [
        other.start_s
        for other in scenario.incidents
        if other.start_s >= incident.end_s and set(other.callers) & set(incident.callers)
    ]
    return min(later, default=scenario.duration_s)


# --- what the controller did -----------------------------------------------------------------


def _control(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """Yield what is judged by actions; without a controller there are none, and nothing is detected."""
    control = evidence.control
    scenario = evidence.scenario
    if control is None:
        for name in ("flaps", "changes", "config_changes_per_h", "false_actions"):
            yield name, 0.0
        return
    yield "flaps", float(sum(_flaps(control.actions, target) for target in scenario.targets))
    yield "changes", float(len(control.actions))
    starts = [deployment.started_s for deployment in control.publisher.started]
    busiest = max((sum(at <= other < at + HOUR_S for other in starts) for at in starts), default=0)
    yield "config_changes_per_h", float(busiest)
    yield "false_actions", float(sum(not _called_for(evidence, action) for action in control.actions))
    incidents = scenario.harmful
    if incidents:
        yield "detect_s", max(_detected_s(evidence, control, incident) for incident in incidents)
        yield "effective_s", max(_effective_s(evidence, control, incident) for incident in incidents)
        yield "restore_s", max(_restored_s(evidence, control, incident) for incident in incidents)


def _flaps(actions: list[Action], target: str) -> int:
    flaps = 0
    loosened_s = -math.inf
    for action in actions:
        if action.target != target:
            continue
        if not action.urgent:
            loosened_s = action.at_s
        elif action.at_s - loosened_s < FLAP_S:
            flaps += 1
            loosened_s = -math.inf  # one loosening is punished once
    return flaps


def _targets(evidence: Evidence, incident: Incident) -> set[str]:
    return {caller.target for caller in evidence.callers if caller.name in incident.callers}


def _called_for(evidence: Evidence, action: Action) -> bool:
    at_s = action.at_s - evidence.scenario.start_s
    return any(
        action.target in _targets(evidence, incident)
        and incident.start_s <= at_s < incident.end_s + BELONGS_S
        for incident in evidence.scenario.harmful
    )


def _span(evidence: Evidence, incident: Incident) -> tuple[float, float]:
    """Return the epoch seconds in which what happens to an incident's targets is its doing."""
    start_s = evidence.scenario.start_s
    return start_s + incident.start_s, start_s + _limit(evidence.scenario, incident)


def _detected_s(evidence: Evidence, control: Control, incident: Incident) -> float:
    since_s, until_s = _span(evidence, incident)
    targets = _targets(evidence, incident)
    seen = [
        sighting.at_s
        for sighting in control.sightings
        if sighting.target in targets and since_s <= sighting.at_s < until_s and sighting.trouble
    ]
    return min(seen) - since_s if seen else math.inf


def _effective_s(evidence: Evidence, control: Control, incident: Incident) -> float:
    since_s, until_s = _span(evidence, incident)
    targets = _targets(evidence, incident)
    obeyed = [
        at_s
        for action in control.actions
        if action.target in targets and since_s <= action.at_s < until_s
        if (at_s := control.obeyed_s(action)) is not None
    ]
    return min(obeyed) - since_s if obeyed else math.inf


def _restored_s(evidence: Evidence, control: Control, incident: Incident) -> float:
    """Return how long after the end the last target was nominal again: 0 if it never left."""
    _, until_s = _span(evidence, incident)
    end_s = evidence.scenario.start_s + incident.end_s
    latest = 0.0
    for target in _targets(evidence, incident):
        changes = [a for a in control.actions if a.target == target and a.at_s < until_s]
        if not changes or changes[-1].after == control.nominal[target]:
            latest = max(latest, changes[-1].at_s - end_s if changes else 0.0)
        else:
            latest = math.inf
    return latest
