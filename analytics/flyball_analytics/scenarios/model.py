"""A scenario as records: who calls what, what goes wrong when, and what is expected of whom.

All times are seconds from the start of the scenario. Everything is plain data,
so that a scenario can be sent to another process and two equal scenarios give
equal runs.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_analytics.plant import Fault, Service
from flyball_analytics.scenarios.notation import Piece

# A Monday, 00:00 UTC. Any day does; a fixed one keeps every output the same.
DAY_START_S = 1_789_344_000.0


class Caller(NamedTuple):
    """One service of the plant: a target with the fleet of one function that calls it.

    `service.traffic` is what the quiet past looked like; `load` is the mean rate
    during the scenario, to which the traffic's swing and batch apply. Several
    callers may share a target: their metrics are then added, and one setpoint
    holds for all of them.
    """

    name: str
    target: str
    function: str
    service: Service
    load: tuple[Piece, ...]
    faults: tuple[Fault, ...]


class Incident(NamedTuple):
    """Something that happens over [start_s, end_s) to some callers.

    `harmless` says that nothing should be done about it: actions in it are false.
    """

    label: str
    start_s: float
    end_s: float
    callers: tuple[str, ...]
    harmless: bool = False


class Bound(NamedTuple):
    """What one measure must satisfy: `op` and a number, or another algorithm's value plus `number`."""

    measure: str
    op: str  # one of <=, <, >=, >, ==
    number: float
    relative_to: str  # name of an algorithm; "" = the number is absolute
    line: int


class Expectation(NamedTuple):
    """All bounds on one algorithm."""

    algorithm: str
    bounds: tuple[Bound, ...]


class Scenario(NamedTuple):
    """One closed-loop experiment."""

    name: str
    file: str
    description: str
    seeds: tuple[int, ...]
    duration_s: float
    start_s: float  # epoch seconds at which it begins
    history_s: float  # how much quiet past the controller has learned
    period_s: float
    lag_s: float
    callers: tuple[Caller, ...]
    incidents: tuple[Incident, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    blind: tuple[tuple[float, float], ...] = ()  # spans in which no window arrives
    fast: bool = False
    counted: bool = False  # quiet minutes are counted, not simulated: for months without incident

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the names of the targets, each once, in order of appearance."""
        return tuple(dict.fromkeys(caller.target for caller in self.callers))

    @property
    def harmful(self) -> tuple[Incident, ...]:
        """Return the incidents about which something should be done."""
        return tuple(incident for incident in self.incidents if not incident.harmless)
