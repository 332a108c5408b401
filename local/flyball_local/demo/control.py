"""The world with flyball: plant, embedded AWS and real handlers, minute by minute on one clock.

Within a minute the plant runs ahead in chunks of CHUNK_S and the clock follows,
so an environment never sees what has not happened yet, and sees a change at
most one chunk late. In minutes in which no service is simulated the clock jumps.

What flyball did is read afterwards from its own journal in the embedded
DynamoDB, from the alarms' transitions, and from AppConfig's deployments: the
demo looks at the controller from outside, as an operator would.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from flyball.aws import DynamoCircuits
from flyball.call import Counters, Target
from flyball.telemetry import emf_lines
from flyball_analytics.plant import QuietService, ServiceDay
from flyball_controller.core.model import Observation
from flyball_controller.policy_set import PolicySet
from flyball_local.cloudwatch import AlarmState
from flyball_local.demo.cloud import Cloud, alarm_name
from flyball_local.demo.history import HISTORY_DAYS, write_history
from flyball_local.demo.outcome import AFTER_S, Action, Arm, Control, Machinery, measure
from flyball_local.demo.published import Published
from flyball_local.demo.scenario import Scenario
from flyball_local.virtualclock import VirtualClock

CHUNK_S = 5.0
MINUTE_S = 60.0
FLUSH_AFTER_S = 2.0  # the last invocation of a minute has been logged


class FlyballRun(NamedTuple):
    """What the controlled world came to."""

    arm: Arm
    incident_control: tuple[Control, ...]
    quiet_control: tuple[Control, ...]
    actions: tuple[Action, ...]
    machinery: Machinery


class ControlledWorld:
    """Twelve services, one controller, one clock."""

    def __init__(self, scenario: Scenario, *, policies: PolicySet, seed: int, checked: bool = False) -> None:
        """Build everything and write the history; nothing runs before `minutes`. `checked`: see `Cloud`."""
        self.scenario = scenario
        self._clock = VirtualClock(scenario.start_s)
        names = [service.name for service in scenario.services]
        self.cloud = Cloud(self._clock, names, policies=policies, seed=seed, checked=checked)
        quiet = {service.name: QuietService(service, seed=seed) for service in scenario.services}
        write_history(self.cloud.aws.cloudwatch.store, quiet.values(), until_s=scenario.start_s)
        circuits = DynamoCircuits(client=self.cloud.client("dynamodb"))
        self.days = {}
        for service in scenario.services:
            published = Published(
                service.name,
                dynamodb=self.cloud.aws.dynamodb,
                circuits=circuits,
                appconfig=self.cloud.aws.appconfig,
                ids=self.cloud.resources.config,
                seed=seed,
            )
            self.days[service.name] = ServiceDay(
                service,
                faults=scenario.faults(service.name),
                seed=seed,
                start_s=scenario.start_s,
                new_target=_maker(service.name),
                refresh=published.refresh,
                quiet=quiet[service.name],
            )

    def minutes(self) -> Iterator[int]:
        """Run the whole scenario, yielding the number of each minute when it is over."""
        with self.cloud.running(), _few_collections():
            for number in range(self.scenario.hours * 60):
                self._minute(self.scenario.start_s + number * MINUTE_S)
                yield number
            for day in self.days.values():
                day.finish()

    def _minute(self, start_s: float) -> None:
        steered = {name: self.cloud.steered(name) for name in self.days}
        for name, day in self.days.items():
            day.begin_minute(steered=steered[name])
        active = [day for day in self.days.values() if day.active]
        chunks = round(MINUTE_S / CHUNK_S)
        for chunk in range(1, chunks + 1) if active else (chunks,):
            to_s = start_s + chunk * CHUNK_S
            for day in active:
                day.advance(to_s)
            self._clock.advance_to(to_s)
        lines: list[str] = []
        for name, day in self.days.items():
            lines += _lines(day.end_minute(steered=self.cloud.steered(name)), name, start_s)
        self._clock.call_at(start_s + MINUTE_S + FLUSH_AFTER_S, _ingester(self.cloud, lines))
        self.cloud.note_deployments()

    def result(self) -> FlyballRun:
        """Return what the finished run came to."""
        actions = tuple(
            action for service in self.scenario.services for action in self._actions(service.name)
        )
        deployed = self.cloud.deployments
        incidents = tuple(self._incident_control(n, actions) for n in range(len(self.scenario.incidents)))
        quiet = tuple(self._quiet_control(s.name, actions) for s in self.scenario.services)
        counts = self.cloud.counts()
        machinery = Machinery(
            ticks=counts["ticks"],
            alarm_events=counts["alarm_events"],
            duplicates=counts["duplicates"],
            decisions=len(actions),
            deployments=len(deployed),
            circuit_writes=self.cloud.aws.dynamodb.revision(self.cloud.resources.tables.circuits),
            handler_errors=counts["handler_errors"],
        )
        return FlyballRun(measure(self.scenario, self.days), incidents, quiet, actions, machinery)

    def recorded(self) -> tuple[tuple[str, tuple[Observation, ...]], ...]:
        """Return what CloudWatch has kept of every service, the days of learning included."""
        days = HISTORY_DAYS + math.ceil(self.scenario.hours / 24)
        with self.cloud.aws:
            sensor = self.cloud.runtime.ports.sensor
            return tuple(
                (s.name, sensor.history(s.name, until_s=self.scenario.end_s, days=days))
                for s in self.scenario.services
            )

    def _actions(self, target: str) -> Iterator[Action]:
        """Yield the applied changes of one target, from its journal."""
        before: Mapping[str, Any] | None = None
        for record in self.cloud.journal.read(
            target, since_s=self.scenario.start_s, until_s=self.scenario.end_s + MINUTE_S
        ):
            applied = record.get("applied")
            if not record.get("changed") or not isinstance(applied, Mapping):
                continue
            at_s = record["at_s"]
            yield Action(
                target=target,
                at_s=float(at_s) if isinstance(at_s, int | float) else 0.0,
                regime=str(record["regime"]),
                text=describe_change(before or self.cloud.nominal(target), applied),
                tightens=bool(record["urgent"]),
            )
            before = applied

    def _incident_control(self, number: int, actions: Sequence[Action]) -> Control:
        incident = self.scenario.incidents[number]
        start_s, until_s = incident.fault.start_s, incident.fault.end_s + AFTER_S
        mine = [a for a in actions if a.target == incident.service and start_s <= a.at_s < until_s]
        found = [a.at_s for a in mine[:1]] + [
            t.new.at_s
            for t in self.cloud.transitions
            if t.alarm.name == alarm_name(incident.service)
            and t.new.value is AlarmState.ALARM
            and start_s <= t.new.at_s < until_s
        ]
        return Control(
            service=incident.service,
            detected_after_s=min(found) - start_s if found else None,
            acted_after_s=mine[0].at_s - start_s if mine else None,
            regime=mine[0].regime if mine else "",
            action=mine[0].text if mine else "",
            actions=len(mine),
            deployments=self._deployments(incident.service, start_s, until_s),
        )

    def _quiet_control(self, service: str, actions: Sequence[Action]) -> Control:
        """Return what was done to a service outside its incidents."""
        spans = [
            (i.fault.start_s, i.fault.end_s + AFTER_S)
            for i in self.scenario.incidents
            if i.service == service and not i.harmless
        ]
        mine = [
            a
            for a in actions
            if a.target == service and not any(since_s <= a.at_s < until_s for since_s, until_s in spans)
        ]
        inside = sum(self._deployments(service, since_s, until_s) for since_s, until_s in spans)
        total = self._deployments(service, self.scenario.start_s, self.scenario.end_s)
        return Control(
            service=service,
            detected_after_s=None,
            acted_after_s=None,
            regime=mine[0].regime if mine else "",
            action=mine[0].text if mine else "",
            actions=len(mine),
            deployments=total - inside,
        )

    def _deployments(self, target: str, since_s: float, until_s: float) -> int:
        """Return how many deployments in [since_s, until_s) changed this target's parameters."""
        changed, before = 0, None
        for at_s, content in self.cloud.deployments:
            params = json.loads(content)["targets"].get(target)
            if before is not None and params != before and since_s <= at_s < until_s:
                changed += 1
            before = params
        return changed


@contextmanager
def _few_collections() -> Iterator[None]:
    """Let the garbage collector look less often: what lives here lives for the whole run."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def describe_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return what differs between two setpoints, in the words of the report.

    >>> describe_change({"budget_ratio": 0.2, "circuit": "CLOSED"}, {"budget_ratio": 0.0, "circuit": "OPEN"})
    'budget 0.2 -> 0, circuit closed -> open'
    """
    parts = []
    for field, word in _WORDS.items():
        old, new = before.get(field), after.get(field)
        if new != old:
            parts.append(f"{word} {_plain(old)} -> {_plain(new)}")
    return ", ".join(parts) or "renewed"


_WORDS = {
    "budget_ratio": "budget",
    "max_attempts": "attempts",
    "throttle_base_ms": "429 pause ms",
    "circuit": "circuit",
    "probe_ratio": "probes",
    "close_after": "close after",
}


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value.lower() if isinstance(value, str) else str(value)


def _lines(counters: Counters, target: str, start_s: float) -> list[str]:
    return emf_lines(counters, target=target, function="", now_s=start_s + MINUTE_S / 2.0)


def _ingester(cloud: Cloud, lines: Sequence[str]) -> Callable[[], None]:
    def ingest() -> None:
        for line in lines:
            cloud.aws.cloudwatch.ingest_emf(line)

    return ingest


def _maker(name: str) -> Callable[[], Target]:
    return lambda: Target(name)
