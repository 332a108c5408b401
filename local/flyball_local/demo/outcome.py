"""What the demo measures, in records that cross a process boundary and become the JSON report.

One `Arm` is one world: with flyball, or without. Everything is counted by
arrival time (flyball_analytics.plant.ledger). Nothing here formats anything.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_analytics.plant import ServiceDay
from flyball_analytics.plant.day import RESCUE_AFTER_S
from flyball_local.demo.scenario import Incident, Scenario

AFTER_S = 3_600.0  # "after the incident" is this long, or what is left of the day


class IncidentOutcome(NamedTuple):
    """What one incident cost in one world.

    `kept` and `lost` count requests that arrived from the start of the incident
    until an hour after it. `recovered_after_s` is None if the service did not
    come back by itself within that hour or before the day ended.
    """

    service: str
    arrived: int
    kept: int
    lost: int
    goodput_in_ratio: float
    goodput_after_ratio: float
    recovered_after_s: float | None
    rescued: bool
    attempts_per_request: float
    false_open_min: float


class ServiceOutcome(NamedTuple):
    """A whole day of one service in one world; arrived = ok + failed + rejected."""

    service: str
    arrived: int
    ok: int
    failed: int
    rejected: int
    attempts: int
    false_open_min: float
    peak_environments: int
    simulated_minutes: int


class Arm(NamedTuple):
    """One world's results, incidents in the scenario's order."""

    incidents: tuple[IncidentOutcome, ...]
    services: tuple[ServiceOutcome, ...]


class Action(NamedTuple):
    """One applied change of a setpoint, as the journal tells it."""

    target: str
    at_s: float
    regime: str
    text: str  # what changed, e.g. "budget 0.2 -> 0"
    tightens: bool


class Control(NamedTuple):
    """What flyball did about one incident, or about a service without one."""

    service: str
    detected_after_s: float | None  # first decision off NOMINAL, from the start of the incident
    acted_after_s: float | None
    regime: str
    action: str
    actions: int
    deployments: int


class Machinery(NamedTuple):
    """How much of the real machinery ran: counts, never wall times."""

    ticks: int
    alarm_events: int
    duplicates: int
    decisions: int
    deployments: int
    circuit_writes: int
    handler_errors: int


def measure(scenario: Scenario, days: dict[str, ServiceDay]) -> Arm:
    """Return the outcome of a finished world."""
    return Arm(
        incidents=tuple(_incident(i, scenario, days[i.service]) for i in scenario.incidents),
        services=tuple(_service(day, scenario) for day in days.values()),
    )


def _incident(incident: Incident, scenario: Scenario, day: ServiceDay) -> IncidentOutcome:
    start_s, end_s = incident.fault.start_s, incident.fault.end_s
    until_s = min(end_s + AFTER_S, scenario.end_s)
    inside = day.ledger.window(start_s, end_s)
    after = day.ledger.window(end_s, until_s)
    arrived, kept = inside.arrived + after.arrived, inside.ok + after.ok
    attempts = inside.attempts + after.attempts
    return IncidentOutcome(
        service=incident.service,
        arrived=arrived,
        kept=kept,
        lost=arrived - kept,
        goodput_in_ratio=inside.goodput_ratio,
        goodput_after_ratio=after.goodput_ratio,
        recovered_after_s=day.ledger.recovered_after_s(
            end_s, limit_s=min(end_s + RESCUE_AFTER_S, scenario.end_s)
        ),
        rescued=bool(day.rescued_at_s),
        attempts_per_request=attempts / arrived if arrived else 0.0,
        false_open_min=day.ledger.false_open_min(start_s, until_s),
    )


def _service(day: ServiceDay, scenario: Scenario) -> ServiceOutcome:
    total = day.ledger.window(scenario.start_s, scenario.end_s)
    return ServiceOutcome(
        service=day.service.name,
        arrived=total.arrived,
        ok=total.ok,
        failed=total.failed,
        rejected=total.rejected,
        attempts=total.attempts,
        false_open_min=day.ledger.false_open_min(scenario.start_s, scenario.end_s),
        peak_environments=day.peak_environments,
        simulated_minutes=day.active_minutes,
    )
