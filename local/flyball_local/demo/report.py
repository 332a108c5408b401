"""The demo's result as text for a terminal and as JSON for programs.

Pure functions of a `DemoResult`: no clock, no width of the terminal, no colour,
so that one seed prints the same bytes everywhere. The verdict is computed from
the numbers above it; where flyball loses, it says so.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import NamedTuple

from flyball_analytics.cli.program import program_name
from flyball_controller.core.model import Observation
from flyball_local.demo.outcome import Action, Arm, Control, IncidentOutcome, Machinery
from flyball_local.demo.scenario import Incident, Scenario

NEXT_COMMANDS = (
    ("demo --policy ladder", "the same day under the literal rule: 3 retries to 1 at 20 % errors"),
    ("replay METRICS.csv", "the same controller over the history of your own service"),
)
_COLUMNS = (
    ("", 10),
    ("goodput in", 12),
    ("after", 9),
    ("recovered", 12),
    ("lost", 10),
    ("detected", 11),
    ("acted", 9),
    ("false-open", 12),
    ("config", 8),
)


BATCH_SERVICE = "report-export"
BATCH_NOTE = "(hourly batch: 4 x traffic, 5 % errors)"


class DemoResult(NamedTuple):
    """Everything the demo found out."""

    scenario: Scenario
    seed: int
    policy: str
    flyball: Arm
    static: Arm
    incident_control: tuple[Control, ...]  # in the order of the scenario's incidents
    quiet_control: tuple[Control, ...]  # what was done outside incidents, per service
    actions: tuple[Action, ...]
    machinery: Machinery
    recorded: tuple[tuple[str, tuple[Observation, ...]], ...] = ()  # by service, if it was asked for


class Totals(NamedTuple):
    """The comparison over all real incidents; the harmless ones are judged apart."""

    incidents: int
    minutes: float
    lost_with: int
    lost_without: int
    recovered_with: int
    recovered_without: int
    worse: tuple[str, ...]  # services that lost more requests with flyball than without
    false_open_min: float  # over all services and the whole time
    false_actions: int  # where nothing should have been done

    @property
    def kept_more(self) -> int:
        """Successful requests more than without flyball; negative if fewer."""
        return self.lost_without - self.lost_with

    @property
    def kept_more_per_min(self) -> float:
        """The same per minute of incident."""
        return self.kept_more / self.minutes if self.minutes > 0.0 else 0.0


def totals(result: DemoResult) -> Totals:
    """Return the comparison over the incidents that do harm."""
    rows = [
        (incident, result.flyball.incidents[n], result.static.incidents[n])
        for n, incident in enumerate(result.scenario.incidents)
        if not incident.harmless
    ]
    return Totals(
        incidents=len(rows),
        minutes=sum(incident.minutes for incident, _, _ in rows),
        lost_with=sum(mine.lost for _, mine, _ in rows),
        lost_without=sum(other.lost for _, _, other in rows),
        recovered_with=sum(mine.recovered_after_s is not None for _, mine, _ in rows),
        recovered_without=sum(other.recovered_after_s is not None for _, _, other in rows),
        worse=tuple(incident.service for incident, mine, other in rows if mine.lost > other.lost),
        false_open_min=sum(service.false_open_min for service in result.flyball.services),
        false_actions=sum(control.actions for control in result.quiet_control),
    )


def verdict(result: DemoResult) -> str:
    """Return one sentence with units, whichever way it goes."""
    sums = totals(result)
    if not sums.incidents:
        return "Verdict: there was no incident, so there is nothing to compare."
    word = "more" if sums.kept_more >= 0 else "FEWER"
    sentence = (
        f"Verdict: {abs(sums.kept_more_per_min):,.0f} {word} successful requests per incident minute than "
        f"three static retries ({sums.lost_with:,} requests lost with flyball, {sums.lost_without:,} "
        f"without, over {sums.incidents} incidents of {sums.minutes:.0f} min and the hour after each); "
        f"{sums.recovered_with} of {sums.incidents} services came back by themselves, "
        f"without flyball {sums.recovered_without}; false-open {sums.false_open_min:.1f} min and "
        f"{sums.false_actions} actions without cause"
    )
    if sums.worse:
        sentence += f"; flyball lost more than static retries on {', '.join(sums.worse)}"
    return sentence + "."


def render_text(result: DemoResult) -> str:
    """Return the report for a terminal, at most 110 columns, ending with a newline."""
    scenario = result.scenario
    title = (
        f"flyball demo: {len(scenario.services)} services, {scenario.hours} h from "
        f"{_clock(scenario.start_s)} UTC, seed {result.seed}, policy {result.policy}"
    )
    lines = [
        title,
        "",
        "  " + "".join(heading.rjust(width) for heading, width in _COLUMNS),
    ]
    for n, incident in enumerate(scenario.incidents):
        lines += _incident_lines(
            n + 1,
            incident,
            result.flyball.incidents[n],
            result.static.incidents[n],
            result.incident_control[n],
        )
    lines += ["", *_quiet_lines(result), "", *_wrap(verdict(result)), "", *_notes(result), "", "Try next:"]
    commands = [(f"{program_name()} {arguments}", why) for arguments, why in NEXT_COMMANDS]
    lines += [f"  {command:<40} {why}" for command, why in commands]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _incident_lines(
    number: int, incident: Incident, mine: IncidentOutcome, other: IncidentOutcome, control: Control
) -> list[str]:
    tail = " (harmless: nothing should be done)" if incident.harmless else ""
    head = (
        f"{number} {incident.service}: {incident.label}, {incident.minutes:.0f} min "
        f"from {_clock(incident.fault.start_s)}{tail}"
    )
    deployed = (
        _after(control.detected_after_s),
        _after(control.acted_after_s),
        f"{mine.false_open_min:.1f} min",
        str(control.deployments),
    )
    more = f"; then {control.actions - 1} more" if control.actions > 1 else ""
    action = f"{control.regime}: {control.action}{more}" if control.action else "none"
    return [
        head,
        "  " + _row("flyball", mine, deployed),
        "  " + _row("static 3", other, ("", "", "", "")),
        "  " + "action".rjust(_COLUMNS[0][1]) + "  " + action,
    ]


def _row(name: str, outcome: IncidentOutcome, rest: tuple[str, ...]) -> str:
    recovered = "never*" if outcome.rescued else "not yet"
    if outcome.recovered_after_s is not None:
        recovered = _after(outcome.recovered_after_s)
    cells = (
        name,
        _percent(outcome.goodput_in_ratio),
        _percent(outcome.goodput_after_ratio),
        recovered,
        f"{outcome.lost:,}",
        *rest,
    )
    return "".join(cell.rjust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True))


def _quiet_lines(result: DemoResult) -> list[str]:
    """Return what was done where nothing should be done: services without incident, and false actions."""
    struck = {incident.service for incident in result.scenario.incidents if not incident.harmless}
    days = {day.service: day for day in result.flyball.services}
    shown = [c for c in result.quiet_control if c.service not in struck or c.actions]
    if not shown:
        return ["No action outside the incidents."]
    rows = []
    for control in shown:
        why = BATCH_NOTE if control.service == BATCH_SERVICE else ""
        first = f"first {control.regime}: {control.action}" if control.actions else why
        rows.append(
            f"  {control.service:<16}{control.actions:>8}{days[control.service].false_open_min:>14.1f} min"
            f"{control.deployments:>9}   {first}"
        )
    return ["Where nothing should be done", "  service          actions        false-open   config", *rows]


def _notes(result: DemoResult) -> list[str]:
    machine = result.machinery
    minutes = len(result.scenario.services) * result.scenario.hours * 60
    share = sum(service.simulated_minutes for service in result.flyball.services) / minutes
    how = (
        f"simulated call by call: {share:.1%} of the service minutes (each incident, and whatever is off "
        "nominal); the rest is counted from the same distributions. Both worlds get the same arrivals and "
        "run the same client code."
    )
    ran = (
        f"machinery: real handlers on the embedded AWS; {machine.ticks:,} scheduled ticks, "
        f"{machine.alarm_events:,} alarm events, {machine.duplicates:,} of both delivered twice, "
        f"{machine.decisions:,} changes decided, {machine.circuit_writes:,} circuit writes, "
        f"{machine.deployments:,} deployments, {machine.handler_errors:,} handler errors."
    )
    notes = (
        "goodput: successful share of the requests that arrived in the incident, and in the hour after it.",
        "recovered: from the end of the fault until 98 % succeed again. lost: requests, both stretches.",
        "detected, acted: from the start of the fault to flyball's first finding, and its first change.",
        "false-open: minutes of traffic refused while the target was well. config: AppConfig deployments.",
        "never*: an operator stopped the callers and emptied the queue 60 min after the fault had ended.",
        how,
        ran,
    )
    return [line for note in notes for line in _wrap(note)]


def render_json(result: DemoResult) -> str:
    """Return every measure as canonical JSON (sorted keys), ending with a newline."""
    scenario = result.scenario
    sums = totals(result)
    plain = {
        "schema": 1,
        "seed": result.seed,
        "policy": result.policy,
        "start_s": scenario.start_s,
        "hours": scenario.hours,
        "incidents": [
            {
                "service": incident.service,
                "label": incident.label,
                "kind": incident.fault.kind.name,
                "harmless": incident.harmless,
                "start_s": incident.fault.start_s,
                "end_s": incident.fault.end_s,
                "flyball": result.flyball.incidents[n]._asdict(),
                "static": result.static.incidents[n]._asdict(),
                "control": result.incident_control[n]._asdict(),
            }
            for n, incident in enumerate(scenario.incidents)
        ],
        "outside_incidents": [control._asdict() for control in result.quiet_control],
        "services": {
            "flyball": [service._asdict() for service in result.flyball.services],
            "static": [service._asdict() for service in result.static.services],
        },
        "actions": [action._asdict() for action in result.actions],
        "totals": {
            **sums._asdict(),
            "kept_more": sums.kept_more,
            "kept_more_per_min": sums.kept_more_per_min,
        },
        "machinery": result.machinery._asdict(),
        "verdict": verdict(result),
    }
    return json.dumps(plain, sort_keys=True, indent=1) + "\n"


def _clock(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%H:%M")


def _after(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


def _percent(ratio: float) -> str:
    # 99.96 % must not look like perfection, nor 0.04 % like nothing at all.
    text = f"{100.0 * ratio:.0f}"
    if (text == "100" and ratio < 1.0) or (text == "0" and ratio > 0.0):
        text = f"{min(99.9, max(0.1, 100.0 * ratio)):.1f}"
    return text + " %"


def _wrap(text: str, width: int = 110) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]
