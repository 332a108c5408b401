"""The embedded AWS of the demo with the real handlers in it, on one virtual clock.

    clients' EMF lines -> CloudWatch -> alarm per target -> EventBridge -> alarm handler
                                    schedule, each minute -> EventBridge -> tick handler
    handlers -> DynamoDB (checkpoints, circuits, journal), AppConfig -> what environments read

Delivery is as unkind as AWS's is at its best: a few events in a hundred come
twice, a few late. No AWS variable is read and no socket is opened: botocore
clients are answered in process.

For speed the demo leaves out what tests do: botocore's parameter validation and
the contract check of every call (`checked=True` brings both back), and it saves
a nominal checkpoint four times an hour, as the controller's loop does by default.

Times within a minute: clients flush at :02, metrics can be read at :17, alarms
are evaluated at :25, the schedule fires at :45.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from botocore.config import Config

from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.cloudwatch import CloudWatchSensor
from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoCircuits, DynamoHolds
from flyball_controller.aws.journal import DynamoJournal
from flyball_controller.aws.settings import Settings
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.loop import CHECKPOINT_EVERY_S, Ports
from flyball_controller.policy_set import PolicySet
from flyball_handlers import alarm, tick, wiring
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry
from flyball_local.cloudwatch import Transition
from flyball_local.cloudwatch.events import STATE_CHANGE
from flyball_local.delivery import DeliveryFaults, Outcome
from flyball_local.embedded import EmbeddedAws
from flyball_local.eventbus import Target
from flyball_local.virtualclock import VirtualClock

REGION = "eu-west-1"
ACCOUNT = "123456789012"
METRIC_LAG_S = 15.0
EVALUATE_AT_S = 25.0  # seconds into each minute
TICK_AT_S = 45.0
MINUTE_S = 60.0
UNKINDNESS = DeliveryFaults(duplicate_ratio=0.03, reorder_ratio=0.03, reorder_s=20.0)
# Wakes the controller; what is done about it is the controller's to decide.
ALARM_THRESHOLD_RATIO = 0.1
UNVALIDATED = Config(parameter_validation=False)


class Cloud:
    """Everything between the clients' log lines and what the clients read."""

    def __init__(
        self,
        clock: VirtualClock,
        targets: Sequence[str],
        *,
        policies: PolicySet,
        seed: int,
        checked: bool = False,
    ) -> None:
        """Make tables, configuration profile and the handlers' runtime; nothing runs yet."""
        self.clock = clock
        self.targets = tuple(targets)
        self.transitions: list[Transition] = []
        self.deployments: list[tuple[float, bytes]] = []  # time and document of each
        self._deployments_seen = 0
        self._policies = policies
        self._checked = checked
        self.aws = EmbeddedAws(
            clock,
            seed,
            REGION,
            ACCOUNT,
            metric_lag_s=METRIC_LAG_S,
            delivery=UNKINDNESS,
            check_contracts=checked,
        )
        self.resources = self.aws.create_flyball_resources()
        self.journal = DynamoJournal(self.client("dynamodb"), table=self.resources.tables.journal)
        self.runtime = self._runtime(seed)
        self.aws.cloudwatch.on_transition(self.transitions.append)

    def client(self, service: str) -> Any:
        """Return a boto3 client that is answered in this process."""
        return self.aws.client(service, config=None if self._checked else UNVALIDATED)

    def _runtime(self, seed: int) -> wiring.Runtime:
        config, names = self.resources.config, self.resources.tables
        settings = Settings(
            appconfig=config, targets=self.targets, region=REGION, checkpoint_every_s=CHECKPOINT_EVERY_S
        )
        tables = self.client("dynamodb")
        checkpoints = DynamoCheckpoints(tables, table=names.state)
        draw = Random(f"{seed}/write-ids")
        publisher = AppConfigPublisher(
            self.client("appconfig"),
            **config._asdict(),
            checkpoints=checkpoints,
            limits=wiring.publish_limits(self._policies, settings),
            new_id=lambda: f"{draw.getrandbits(64):016x}",
        )
        return wiring.Runtime(
            settings=settings,
            origins=Origins(accounts=frozenset({ACCOUNT}), regions=frozenset({REGION})),
            ports=Ports(
                sensor=CloudWatchSensor(self.client("cloudwatch"), lag_s=settings.metric_lag_s),
                checkpoints=checkpoints,
                circuits=DynamoCircuits(tables, table=names.circuits),
                holds=DynamoHolds(tables, table=names.holds),
                publisher=publisher,
                journal=self.journal,
            ),
            policies=self._policies,
            clock=self.clock,
            telemetry=Telemetry(silent=True),
            sole_writer=True,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let alarms, schedule and handlers run on the clock inside the block."""
        self._put_alarms()
        bus = self.aws.bus
        pattern = {"source": ["aws.cloudwatch"], "detail-type": [STATE_CHANGE]}
        bus.rule("flyball-alarms", pattern, Target(bus.function("flyball-alarm", alarm.handler)))
        ticker = Target(bus.function("flyball-tick", tick.handler))
        now_s = self.clock.now_s()
        self.clock.call_at(now_s + EVALUATE_AT_S, self._evaluate)
        self.clock.call_at(now_s + TICK_AT_S, lambda: bus.schedule("flyball-tick", "rate(1 minute)", ticker))
        with self.aws, wiring.use_runtime(self.runtime):
            yield

    def _evaluate(self) -> None:
        self.aws.cloudwatch.evaluate()
        self.clock.call_at(self.clock.now_s() + MINUTE_S, self._evaluate)

    def _put_alarms(self) -> None:
        client = self.client("cloudwatch")
        for target in self.targets:
            client.put_metric_alarm(**failures_alarm(target))

    def note_deployments(self) -> None:
        """Remember the documents deployed since the last call, before the publisher prunes old versions."""
        if self.aws.appconfig.calls["StartDeployment"] == self._deployments_seen:
            return
        config = self.resources.config
        listed = self.aws.appconfig.call(
            "appconfig",
            "ListDeployments",
            {"ApplicationId": config.application_id, "EnvironmentId": config.environment_id},
        )["Items"]
        for item in sorted(listed, key=lambda item: int(item["DeploymentNumber"])):
            if int(item["DeploymentNumber"]) > self._deployments_seen:
                self._deployments_seen = int(item["DeploymentNumber"])
                version = self.aws.appconfig.call(
                    "appconfig",
                    "GetHostedConfigurationVersion",
                    {
                        "ApplicationId": config.application_id,
                        "ConfigurationProfileId": config.profile_id,
                        "VersionNumber": int(item["ConfigurationVersion"]),
                    },
                )
                self.deployments.append((item["StartedAt"].timestamp(), bytes(version["Content"])))

    def nominal(self, target: str) -> Mapping[str, Any]:
        """Return the target's nominal setpoint in the journal's form."""
        setpoint = nominal_setpoint(self._policies.for_target(target))
        return {**setpoint._asdict(), "circuit": setpoint.circuit.name}

    def steered(self, target: str) -> bool:
        """Return whether the controller holds the target off its nominal setpoint."""
        known = self.runtime.cache.get(target)
        nominal = nominal_setpoint(self._policies.for_target(target))
        return known is not None and known.state.law.applied != nominal

    def counts(self) -> Mapping[str, int]:
        """Return how often each part ran."""
        deliveries = self.aws.bus.deliveries
        ran = [d for d in deliveries if d.route.startswith("rule ") and d.outcome is Outcome.DELIVERED]
        invoked = [d for d in deliveries if d.route.startswith("async ")]
        failed = sum(d.outcome is not Outcome.DELIVERED for d in invoked)
        return {
            "ticks": sum(d.route.startswith("rule flyball-tick ") for d in ran),
            "alarm_events": sum(d.route.startswith("rule flyball-alarms ") for d in ran),
            "duplicates": sum(d.copy > 1 for d in ran),
            "handler_errors": failed + self.runtime.telemetry.totals["backend_errors"],
        }


def alarm_name(target: str) -> str:
    """Return the name of a target's alarm; the handlers understand the form `flyball/<target>/...`.

    >>> alarm_name("payments-api")
    'flyball/payments-api/failures'
    """
    return f"flyball/{target}/failures"


def failures_alarm(target: str) -> dict[str, Any]:
    """Return the alarm on a target's failure ratio as PutMetricAlarm takes it."""
    return {
        "AlarmName": alarm_name(target),
        "Metrics": [
            _sum_of("failures", "first_attempt_failures", target),
            _sum_of("requests", "requests", target),
            {"Id": "ratio", "Expression": "failures / requests", "ReturnData": True},
        ],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": ALARM_THRESHOLD_RATIO,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "TreatMissingData": "notBreaching",
    }


def _sum_of(identifier: str, metric: str, target: str) -> dict[str, Any]:
    dimensions = [{"Name": "target", "Value": target}]
    return {
        "Id": identifier,
        "ReturnData": False,
        "MetricStat": {
            "Metric": {"Namespace": "flyball", "MetricName": metric, "Dimensions": dimensions},
            "Period": 60,
            "Stat": "Sum",
        },
    }
