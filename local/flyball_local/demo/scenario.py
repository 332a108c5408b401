"""The demo's world: twelve services over one day, and what happens to them.

Each incident is of another kind, because a controller that wins on one kind is
easily tuned and loses on the next. Four services have no incident at all; one
of those has an hourly batch that looks like one (four times the traffic, and
one request in twenty fails), another becomes slower and stays well.

Rates and capacities are chosen so that three static retries are metastable
where real targets are: the busy ones run at 60 % of capacity, and
1 / (1 + 3 retries) = 25 % is the most at which a storm dies by itself
(docs/theory/control.md). Times are minutes from the start of the day.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_analytics.plant import Fault, FaultKind, Service, Traffic
from flyball_analytics.plant.traffic import MINUTE_S

# A Monday, 00:00 UTC. Any day does; a fixed one keeps the output the same.
DAY_START_S = 1_789_344_000.0
HOURS_MIN = 2
HOURS_MAX = 24
# Minutes of the day before the first incident and after the start of the last:
# room for the longest fault and for what follows it.
FIRST_AT_MIN = 8
LAST_ROOM_MIN = 40

WORK_S = 0.2  # mean work of one request; with 4 servers the capacity is 20 per second


class Incident(NamedTuple):
    """Something that happens to one service; `harmless` says that nothing should be done about it."""

    service: str
    label: str
    fault: Fault
    harmless: bool = False

    @property
    def minutes(self) -> float:
        """How long it lasts."""
        return (self.fault.end_s - self.fault.start_s) / MINUTE_S


class Scenario(NamedTuple):
    """Services, incidents and the stretch of time."""

    services: tuple[Service, ...]
    incidents: tuple[Incident, ...]
    start_s: float
    hours: int

    @property
    def end_s(self) -> float:
        """End of the simulated time."""
        return self.start_s + self.hours * 3_600.0

    def faults(self, service: str) -> tuple[Fault, ...]:
        """Return the faults of one service."""
        return tuple(incident.fault for incident in self.incidents if incident.service == service)


class _Plan(NamedTuple):
    """One incident before it has a date. `at_ratio` is its place in the day, 0 = first, 1 = last."""

    service: str
    label: str
    at_ratio: float
    kind: FaultKind
    size: float
    minutes: float
    ramp_minutes: float = 0.0
    harmless: bool = False


SERVICES = (
    Service("payments-api", Traffic(12.0, swing_ratio=0.05), work_mean_s=WORK_S),
    Service("pricing-api", Traffic(7.0, swing_ratio=0.1), work_mean_s=WORK_S),
    Service("search-index", Traffic(10.0, swing_ratio=0.1), work_mean_s=WORK_S),
    Service("geo-lookup", Traffic(10.0, swing_ratio=0.1), work_mean_s=WORK_S),
    Service("ledger-db", Traffic(12.0, swing_ratio=0.05), work_mean_s=WORK_S),
    Service("license-check", Traffic(0.05), work_mean_s=WORK_S),
    Service("auth-tokens", Traffic(10.0, swing_ratio=0.1), work_mean_s=WORK_S),
    Service("recommender", Traffic(10.0, swing_ratio=0.1), work_mean_s=WORK_S),
    Service(
        "report-export",
        Traffic(3.0, batch_factor=4.0, batch_minutes=4),
        work_mean_s=WORK_S,
        batch_error_ratio=0.05,
    ),
    Service("catalogue", Traffic(6.0, swing_ratio=0.2), work_mean_s=WORK_S),
    Service("profile-store", Traffic(6.0, swing_ratio=0.5), work_mean_s=WORK_S),
    Service("mail-gateway", Traffic(0.3, swing_ratio=0.3), work_mean_s=WORK_S),
)

_PLANS = (
    _Plan("payments-api", "retry storm after losing 3/4 of capacity", 0.0, FaultKind.CAPACITY_LOSS, 0.75, 4),
    _Plan("pricing-api", "partial errors, 30 %", 0.14, FaultKind.ERRORS, 0.30, 20),
    _Plan("search-index", "hard outage, refused at once", 0.28, FaultKind.OUTAGE, 1.0, 12),
    _Plan("geo-lookup", "throttled to 6 per second", 0.42, FaultKind.THROTTLE, 6.0, 15),
    _Plan("ledger-db", "slow ramp over 25 min", 0.54, FaultKind.SLOWDOWN, 1.2, 25, ramp_minutes=25),
    _Plan("license-check", "outage at 3 requests/min", 0.68, FaultKind.OUTAGE, 1.0, 20),
    _Plan("auth-tokens", "black hole, no answer at all", 0.86, FaultKind.BLACK_HOLE, 1.0, 6),
    _Plan("recommender", "poison: 12 % fail whatever is tried", 1.0, FaultKind.POISON, 0.12, 15),
    _Plan("catalogue", "slower by 120 ms", 0.35, FaultKind.LATENCY, 0.12, 30, harmless=True),
)


def scenario(*, hours: int = HOURS_MAX, only: tuple[str, ...] = ()) -> Scenario:
    """Return the demo's world over `hours` (2 to 24); incidents move together, and keep their length.

    Args:
        hours: Length of the simulated time.
        only: Names of services to keep; empty keeps all twelve.

    Raises:
        ValueError: `hours` is out of range or a name is unknown.

    >>> len(scenario().services), len(scenario(hours=2).incidents)
    (12, 9)
    """
    if not HOURS_MIN <= hours <= HOURS_MAX:
        raise ValueError(f"hours={hours!r} must lie in [{HOURS_MIN}, {HOURS_MAX}]")
    names = {service.name for service in SERVICES}
    unknown = sorted(set(only) - names)
    if unknown:
        raise ValueError(
            f"only={unknown[0]!r} is no service of the demo; known are {', '.join(sorted(names))}"
        )
    span_min = hours * 60 - FIRST_AT_MIN - LAST_ROOM_MIN
    incidents = []
    for plan in _PLANS:
        start_s = DAY_START_S + (FIRST_AT_MIN + round(plan.at_ratio * span_min)) * MINUTE_S
        fault = Fault(
            plan.kind, start_s, start_s + plan.minutes * MINUTE_S, plan.size, plan.ramp_minutes * MINUTE_S
        )
        incidents.append(Incident(plan.service, plan.label, fault, plan.harmless))
    return Scenario(
        services=tuple(s for s in SERVICES if not only or s.name in only),
        incidents=tuple(i for i in incidents if not only or i.service in only),
        start_s=DAY_START_S,
        hours=hours,
    )
