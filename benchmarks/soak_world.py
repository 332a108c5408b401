"""The soak's account: installations of up to 167 targets behind the real handlers, minute by minute.

    clients' counts -> EMF lines -> CloudWatch -> alarm per target -> EventBridge -> alarm handler
                                   schedule, each minute -> EventBridge -> tick handler
    handlers -> DynamoDB, AppConfig -> the circuits that the next minute's clients obey

As docs/how-to/scale.md says, a document holds about 185 targets: a fleet is split
into installations, each with tables and a document of its own. Everything but
the clients is what runs in production; AWS is the embedded one, on a virtual
clock. Within a minute: EMF lines at :02, readable at :17, alarms at :25, ticks at
:45.

CPU time inside the emulators is measured and taken out: a tick's figure is ours
and botocore's. What would grow by design or for the emulators' sake is drained:
metrics older than KEEP_METRICS_MIN, deployments beyond a page, the record of
deliveries, and the journal, whose bytes are counted first.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple, cast

from botocore import UNSIGNED
from botocore.config import Config
from moto.dynamodb.models.dynamo_type import Item

from flyball.contract import Circuit, CircuitState
from flyball.telemetry import emf_lines
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.appconfig_setup import ensure_config
from flyball_controller.aws.cloudwatch import CloudWatchSensor
from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoCircuits, DynamoHolds
from flyball_controller.aws.journal import DynamoJournal
from flyball_controller.aws.settings import AppConfigIds, Settings
from flyball_controller.core.model import Reason
from flyball_controller.loop import Ports
from flyball_controller.policy_file import load_policy
from flyball_handlers import alarm, tick, wiring
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry
from flyball_local.cloudwatch.events import STATE_CHANGE
from flyball_local.delivery import DeliveryFaults, Outcome
from flyball_local.demo.cloud import failures_alarm
from flyball_local.dynamodb import TableNames, create_tables
from flyball_local.embedded import START_S, EmbeddedAws
from flyball_local.eventbus import Target
from flyball_local.queues import Queue
from flyball_local.virtualclock import VirtualClock
from soak_traffic import Fleet

REGION, ACCOUNT = "eu-west-1", "123456789012"
INSTALLATION_TARGETS = 167  # six of them hold a thousand
METRIC_LAG_S, EVALUATE_AT_S, TICK_AT_S, FLUSH_AT_S, MINUTE_S = 15.0, 25.0, 45.0, 2.0, 60.0
KEEP_METRICS_MIN = 30  # a container that starts cold reads at most 15 minutes back
KEEP_DEPLOYMENTS = 50  # of each environment: the page that a publisher reads
FORGET_EVERY_MIN = 10
UNKINDNESS = DeliveryFaults(duplicate_ratio=0.03, reorder_ratio=0.03, reorder_s=20.0)
# Without botocore's own checks, signatures and the text in which it names itself: nobody reads them here.
QUICK = Config(parameter_validation=False, signature_version=UNSIGNED, user_agent="flyball-soak")
JOURNAL_ROLE = "journal"
RECENT = 60  # minutes whose costs are kept here


class TickCost(NamedTuple):
    """CPU milliseconds of one minute's ticks and alarms of all installations."""

    minute: int
    tick_ms: float
    alarm_ms: float
    emulators_ms: float
    decisions: int
    off_nominal: int
    cold: bool


class CircuitsSeen:
    """The circuits port; remembers what the table took, which is what clients read."""

    def __init__(self, inner: DynamoCircuits, seen: dict[str, Circuit]) -> None:
        self._inner = inner
        self._seen = seen
        self.opened = 0

    def publish(self, circuit: Circuit) -> Any:
        """Publish it."""
        taken: Any = self._inner.publish(circuit)
        before = self._seen.get(circuit.target)
        if circuit.state == CircuitState.OPEN and (before is None or before.state != CircuitState.OPEN):
            self.opened += 1
        self._seen[circuit.target] = circuit
        return taken


class Installation:
    """One stack: names, runtime, and the handlers as functions of the account."""

    def __init__(self, world: SoakWorld, number: int, targets: tuple[str, ...]) -> None:
        self.targets = targets
        self.name = f"i{number}"
        self.tables = TableNames(**{role: f"{self.name}-{role}" for role in TableNames._fields})
        dynamodb = world.client("dynamodb")
        create_tables(dynamodb, self.tables)
        appconfig = world.client("appconfig")
        self.config: AppConfigIds = ensure_config(appconfig, profile=self.name, environment=self.name)
        self.agent = world.aws.appconfig.agent(
            self.config.application_id, self.config.environment_id, self.config.profile_id, thaw_stale=True
        )
        self.settings = Settings(appconfig=self.config, targets=targets, region=REGION)
        checkpoints = DynamoCheckpoints(dynamodb, table=self.tables.state)
        draw = Random(f"{world.seed}/{self.name}/write-ids")
        policies = world.policies
        self.circuits = CircuitsSeen(DynamoCircuits(dynamodb, table=self.tables.circuits), world.circuits)
        ports = Ports(
            sensor=CloudWatchSensor(world.client("cloudwatch"), lag_s=self.settings.metric_lag_s),
            checkpoints=checkpoints,
            circuits=self.circuits,
            holds=DynamoHolds(dynamodb, table=self.tables.holds),
            publisher=AppConfigPublisher(
                appconfig,
                **self.config._asdict(),
                checkpoints=checkpoints,
                limits=wiring.publish_limits(policies, self.settings),
                new_id=lambda: f"{draw.getrandbits(64):016x}",
            ),
            journal=DynamoJournal(dynamodb, table=self.tables.journal),
        )
        self.runtime = wiring.Runtime(
            settings=self.settings,
            origins=Origins(accounts=frozenset({ACCOUNT}), regions=frozenset({REGION})),
            ports=ports,
            policies=policies,
            clock=world.clock,
            telemetry=Telemetry(silent=True),
        )


class SoakWorld:
    """The account and its fleet.

    Args:
        targets: How many.
        minutes: Length of the whole run.
        seed: Of everything.
        fleet: The traffic; None: `Fleet` with its usual calendar.
        recycle_min: Every so many minutes all containers are new; 0: never.
        only: Numbers of the installations that are lived here; None: all.
    """

    def __init__(
        self,
        targets: int,
        *,
        minutes: int,
        seed: int = 0,
        fleet: Fleet | None = None,
        recycle_min: int = 360,
        only: Sequence[int] | None = None,
    ) -> None:
        self.seed, self.minutes, self.recycle_min = seed, minutes, recycle_min
        self.policies = load_policy("two-loop")
        self.clock = VirtualClock(START_S)
        self.circuits: dict[str, Circuit] = {}
        self.emulators_ns = 0
        self.metric_queries = 0  # asked of GetMetricData, which is billed by them
        self._spent = Counter[str]()
        self._clients: dict[str, Any] = {}
        self.ticks: deque[TickCost] = deque(maxlen=RECENT)
        self.outcomes: Counter[str] = Counter()
        self.frozen = 0  # journal records that tell of a correlated failure
        self.aws = EmbeddedAws(
            self.clock, seed, REGION, ACCOUNT, metric_lag_s=METRIC_LAG_S, delivery=UNKINDNESS,
            check_contracts=False,
        )  # fmt: skip
        for emulator in (self.aws.dynamodb, self.aws.cloudwatch, self.aws.appconfig):
            self._meter(emulator, "call" if emulator is self.aws.appconfig else "handle")
        count = math.ceil(targets / INSTALLATION_TARGETS)
        names = [f"i{k % count}-service-{k:04d}" for k in range(targets)]
        self.fleet = fleet or Fleet(tuple(names), seed=seed, minutes=minutes)
        self.installations = [
            Installation(self, n, tuple(x for x in names if x.startswith(f"i{n}-")))
            for n in (range(count) if only is None else only)
        ]
        self.dead_letters: Queue = self.aws.bus.queue("failures")
        self._minute = 0

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service, answered in this process; one for everybody."""
        if service not in self._clients:
            self._clients[service] = self.aws.client(service, config=QUICK)
        return self._clients[service]

    def _meter(self, emulator: Any, name: str) -> None:
        inner = getattr(emulator, name)

        def metered(*args: Any, **kwargs: Any) -> Any:
            begun_ns = time.process_time_ns()
            if args and args[0] == "GetMetricData":
                self.metric_queries += len(args[1]["MetricDataQueries"])
            try:
                return inner(*args, **kwargs)
            finally:
                self.emulators_ns += time.process_time_ns() - begun_ns

        setattr(emulator, name, metered)

    # --- wiring ------------------------------------------------------------------------------

    @contextmanager
    def running(self, *, from_minute: int = 0) -> Iterator[None]:
        """Let alarms, schedule and handlers run on the clock inside the block."""
        self.clock.advance_to(START_S + MINUTE_S * from_minute)
        bus, now_s = self.aws.bus, self.clock.now_s()
        for installation in self.installations:
            self._put_alarms(installation)
            pattern: dict[str, Any] = {
                "source": ["aws.cloudwatch"],
                "detail-type": [STATE_CHANGE],
                "detail": {"alarmName": [{"prefix": f"flyball/{installation.name}-"}]},
            }
            woken = bus.function(
                f"{installation.name}-alarm", self._run(installation, alarm.handler, "alarm"),
                dlq=self.dead_letters,
            )  # fmt: skip
            bus.rule(f"{installation.name}-alarms", pattern, Target(woken))
            ticked = bus.function(
                f"{installation.name}-tick", self._run(installation, tick.handler, "tick"),
                dlq=self.dead_letters,
            )  # fmt: skip
            self._schedule(installation.name, Target(ticked), now_s + TICK_AT_S - MINUTE_S)
        self.clock.call_at(now_s + EVALUATE_AT_S, self._evaluate)
        with self.aws:
            yield

    def _schedule(self, name: str, target: Target, at_s: float) -> None:
        if at_s >= self.clock.now_s():
            self.aws.bus.schedule(f"{name}-tick", "rate(1 minute)", target)
        else:
            self.clock.call_at(
                at_s + MINUTE_S,
                lambda: self.aws.bus.schedule(f"{name}-tick", "rate(1 minute)", target),
            )

    def _run(
        self, installation: Installation, handler: Callable[[Any, Any], Any], kind: str
    ) -> Callable[[Any, Any], Any]:
        def run(event: Any, context: Any) -> Any:
            emulated_ns, begun_ns = self.emulators_ns, time.process_time_ns()
            try:
                with wiring.use_runtime(installation.runtime):
                    answer = handler(event, context)
            finally:
                emulated_ns = self.emulators_ns - emulated_ns
                self._spent[kind] += time.process_time_ns() - begun_ns - emulated_ns
                self._spent["emulators"] += emulated_ns
            if kind == "tick":
                self._spent["decisions"] += answer["decisions"]
            return answer

        return run

    def _evaluate(self) -> None:
        self.aws.cloudwatch.evaluate()
        self.clock.call_at(self.clock.now_s() + MINUTE_S, self._evaluate)

    def _put_alarms(self, installation: Installation) -> None:
        client = self.client("cloudwatch")
        for target in installation.targets:
            client.put_metric_alarm(**failures_alarm(target))

    # --- a minute ------------------------------------------------------------------------------

    def minute(self, number: int) -> TickCost:
        """Live minute `number`: its clients count, and what they counted the minute before is acted on."""
        start_s = START_S + MINUTE_S * number
        cold = bool(self.recycle_min) and number > 0 and number % self.recycle_min == 0
        if cold:
            for installation in self.installations:
                installation.runtime.cache.clear()
        self._spent.clear()
        self.clock.advance_to(start_s)
        lines = self._lines(number, start_s)
        self.clock.call_at(start_s + MINUTE_S + FLUSH_AT_S, lambda: self._ingest(lines))
        self.clock.advance_to(start_s + MINUTE_S - 0.001)
        for delivery in self.aws.bus.drain():
            self.outcomes[delivery.outcome.value] += 1
            self.outcomes["duplicates"] += delivery.copy > 1 and delivery.outcome is Outcome.DELIVERED
        if number % FORGET_EVERY_MIN == 0:
            self.aws.cloudwatch.store.forget_before(start_s - MINUTE_S * KEEP_METRICS_MIN)
            self.aws.appconfig.forget_deployments(keep=KEEP_DEPLOYMENTS)
        cost = TickCost(
            number,
            self._spent["tick"] / 1e6,
            self._spent["alarm"] / 1e6,
            self._spent["emulators"] / 1e6,
            self._spent["decisions"],
            sum(c.valid_until > start_s for c in self.circuits.values()),
            cold,
        )
        self.ticks.append(cost)
        return cost

    def _lines(self, number: int, start_s: float) -> list[str]:
        made = self.fleet.minute(number, self.circuits, start_s)
        at_s = start_s + MINUTE_S / 2.0
        return [line for target, c in made for line in emf_lines(c, target=target, function="", now_s=at_s)]

    def _ingest(self, lines: list[str]) -> None:
        for line in lines:
            self.aws.cloudwatch.ingest_emf(line)

    def catch_up(self, first: int, last: int) -> None:
        """Write the minutes [first, last) again, with the circuits of now: for a resume."""
        for number in range(max(0, first), last):
            for line in self._lines(number, START_S + MINUTE_S * number):
                self.aws.cloudwatch.ingest_emf(line)

    # --- looking ---------------------------------------------------------------------------

    def items(self, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (table, item) of every installation's table of a role."""
        client = self.client("dynamodb")
        for installation in self.installations:
            name = getattr(installation.tables, role)
            for page in client.get_paginator("scan").paginate(TableName=name):
                for item in page["Items"]:
                    yield name, item

    def drain_journal(self) -> tuple[int, int]:
        """Count and delete the journal's items; return bytes and records since the last time."""
        client, total, records = self.client("dynamodb"), 0, 0
        for table, item in list(self.items(JOURNAL_ROLE)):
            total += sum(len(name) + len(next(iter(value.values()))) for name, value in item.items())
            records += 1
            self.frozen += Reason.CORRELATED_FAILURE_FREEZE.name in item["record"]["S"]
            client.delete_item(TableName=table, Key={k: item[k] for k in ("target", "seq")})
        return total, records

    def documents(self) -> dict[str, bytes]:
        """Return the standing document of each installation, by name."""
        found = {}
        for installation in self.installations:
            content = installation.agent.get()
            if content is not None:
                found[installation.name] = content
        return found


def forget_tracked_items() -> None:
    """Empty moto's list of every item ever made, which the emulator itself empties only now and then."""
    cast(Any, Item).instances_tracked.clear()
