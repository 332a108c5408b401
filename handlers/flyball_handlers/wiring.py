"""The composition root: the one place where names of adapters meet the handlers.

A `Runtime` is built once per container, from the environment, when the first
event arrives (not at import: a container must be able to start, and to say what
is wrong, without any backend). Tests and the embedded demo put their own in
place with `set_runtime` or `use_runtime`; nothing else in this package
constructs an adapter, reads the environment or asks for the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, Any

from flyball.errors import SettingsError
from flyball_controller.absent import NoPublisher
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.clients import Clients
from flyball_controller.aws.clock import SystemClock
from flyball_controller.aws.cloudwatch import CloudWatchSensor
from flyball_controller.aws.dynamodb import DynamoCheckpoints, DynamoCircuits, DynamoHolds
from flyball_controller.aws.journal import DynamoJournal
from flyball_controller.aws.metric_map import AwsMetricMap, lambda_metrics
from flyball_controller.aws.powertools import PowertoolsCircuits, PowertoolsTable
from flyball_controller.aws.publish_plan import Limits
from flyball_controller.aws.settings import Settings, service_name
from flyball_controller.core.errors import PolicyError
from flyball_controller.loop import Ports, Remembered
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet
from flyball_controller.policy_store import read_pointer, read_policy
from flyball_controller.ports import Circuits, Clock, ConfigPublisher, PortError
from flyball_handlers import origins as origins_module
from flyball_handlers.events import Expected
from flyball_handlers.origins import FUNCTION_TARGETS, Origins
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.tracing import Traces, make_traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything a handler works with.

    `cache` keeps the states this container knows between invocations.
    `sole_writer` says that no other process writes these states (an embedded
    run), so that the cache needs no look at the store before it is trusted.
    `bundled` is the policy of the settings, obeyed unless another one was applied
    (flyball_controller.policy_store); None: `policies` is not to be replaced.
    `policy_known` says whether this container ever saw which one was: until then
    there are no rounds, or a new container would undo an operator's "off".
    """

    settings: Settings
    origins: Origins
    ports: Ports
    policies: PolicySet
    clock: Clock
    telemetry: Telemetry
    maps: Mapping[str, AwsMetricMap] = field(default_factory=dict)
    cache: dict[str, Remembered] = field(default_factory=dict)
    sole_writer: bool = False
    bundled: PolicySet | None = None
    policy_known: bool = True
    traces: Traces = field(default_factory=Traces)
    checking: Callable[[str, float], Any] | None = None  # the probe function's clients, see Clients.checking

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets of this deployment: those of the settings, else those that the policy names."""
        return self.settings.targets or tuple(sorted(self.policies.targets))

    def expected(self, now_s: float) -> Expected:
        """Return which events can be meant for this deployment at a time (epoch seconds)."""
        return Expected(
            now_s=now_s,
            targets=frozenset(self.targets),
            alarm_targets=self.origins.alarm_targets,
            accounts=self.origins.accounts,
            regions=self.origins.regions,
            namespace=self.settings.metric_namespace,
        )


def build(
    environ: Mapping[str, str],
    *,
    clients: Clients | None = None,
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
    log: IO[str] | None = None,
) -> Runtime:
    """Return the runtime that an environment describes; makes no call to AWS.

    Args:
        environ: E.g. os.environ.
        clients, clock, telemetry: An embedded run's own; None: AWS's, the machine's, of this installation.
        log: Where the telemetry writes if none is given; None: standard output.

    Raises:
        SettingsError: A variable that is unknown or cannot be obeyed.
        PolicyError: The policy cannot be read.
    """
    settings = Settings.from_env(environ, also=origins_module.VARIABLES)
    origins = Origins.from_env(environ)
    policies = load_policy(settings.policy)
    clients = clients or Clients(region=settings.region)
    maps = metric_maps(origins)
    checkpoints = DynamoCheckpoints(clients.dynamodb, table=settings.state_table)
    clock = clock or SystemClock()
    telemetry = telemetry or Telemetry(stream=log, service=service_name(settings.installation))
    ports = Ports(
        sensor=CloudWatchSensor(
            clients.cloudwatch,
            namespace=settings.metric_namespace,
            maps=maps,
            accounts=settings.metric_accounts,
            period_s=settings.metric_period_s,
            lag_s=settings.metric_lag_s,
        ),
        checkpoints=checkpoints,
        circuits=_circuits(clients, settings, origins, clock),
        holds=DynamoHolds(clients.dynamodb, table=settings.holds_table),
        publisher=_publisher(clients, settings, policies, checkpoints),
        journal=DynamoJournal(
            clients.dynamodb, table=settings.journal_table, keep_days=settings.journal_days
        ),
    )
    return Runtime(
        settings=settings,
        origins=origins,
        ports=ports,
        policies=policies,
        clock=clock,
        telemetry=telemetry,
        maps=maps,
        bundled=policies,
        policy_known=False,
        traces=make_traces(settings.traces, telemetry.error),
        checking=clients.checking,
    )


def with_policy_in_force(runtime: Runtime) -> Runtime:
    """Return the runtime with the policy that was applied last, if one was.

    A store that cannot be read, or a policy that cannot be obeyed, leaves the one
    known before in force, and says so: no policy at all would be no protection. A
    container that knows of none yet stays without (`policy_known`): it holds everything.
    """
    bundled = runtime.bundled
    if bundled is None:
        return runtime
    try:
        pointer = read_pointer(runtime.ports.checkpoints)
        if (pointer.hash or bundled.hash) == runtime.policies.hash:
            return runtime if runtime.policy_known else replace(runtime, policy_known=True)
        policies = read_policy(runtime.ports.checkpoints, pointer.hash) if pointer.hash else bundled
    except (PortError, PolicyError) as error:
        runtime.telemetry.count("policy_unreadable")
        runtime.telemetry.count(
            "backend_errors"
        )  # what the alarm watches: the next container may know no policy
        kept = runtime.policies.hash if runtime.policy_known else None
        runtime.telemetry.error("policy unreadable", kept=kept, detail=str(error)[:300])
        return runtime
    runtime.telemetry.info("policy in force", **pointer._asdict())
    publisher = runtime.ports.publisher
    if isinstance(publisher, AppConfigPublisher):
        publisher.limit(publish_limits(policies, runtime.settings))
    return replace(runtime, policies=policies, policy_known=True)


def _publisher(
    clients: Clients, settings: Settings, policies: PolicySet, checkpoints: DynamoCheckpoints
) -> ConfigPublisher:
    """Return the publisher of the document, or one that publishes none."""
    if settings.appconfig is None:
        return NoPublisher()
    return AppConfigPublisher(
        clients.appconfig,
        **settings.appconfig._asdict(),
        checkpoints=checkpoints,
        limits=publish_limits(policies, settings),
    )


def _circuits(clients: Clients, settings: Settings, origins: Origins, clock: Clock) -> Circuits:
    """Return the store of circuits, which also drives Powertools' breakers if any are named."""
    ours = DynamoCircuits(clients.dynamodb, table=settings.circuits_table)
    if not origins.powertools_table:
        return ours
    names: dict[str, list[str]] = {}
    for name, targets in origins.powertools_circuits.items():
        for target in targets:
            names.setdefault(target, []).append(name)
    table = PowertoolsTable(origins.powertools_table)
    return PowertoolsCircuits(ours, clients.dynamodb, table=table, names=names, clock=clock)


def publish_limits(policies: PolicySet, settings: Settings) -> Limits:
    """Return how often the document may change: the fleet's policy, a quarter kept for urgent changes."""
    policy = policies.default
    return Limits(
        per_h=policy.changes_per_h_max,
        reserve=policy.changes_per_h_max // 4,
        gap_s=policy.change_gap_s,
        hold_s=settings.rollback_hold_s,
    )


def metric_maps(origins: Origins) -> dict[str, AwsMetricMap]:
    """Return the metrics of the targets that are Lambda functions without the client.

    Raises:
        SettingsError: Two functions are mapped to one target: their windows cannot be added up.
    """
    maps: dict[str, AwsMetricMap] = {}
    for function, targets in origins.function_targets.items():
        for target in targets:
            if target in maps:
                other = maps[target].dimensions[0][1]
                raise SettingsError(
                    f"{FUNCTION_TARGETS} maps {other!r} and {function!r} to {target!r}: "
                    "a target is watched through one function; give each its own target",
                    field=FUNCTION_TARGETS,
                )
            maps[target] = lambda_metrics(function)
    return maps


_current: Runtime | None = None


def runtime() -> Runtime:
    """Return this container's runtime with the policy in force now; see `build` for what it raises."""
    global _current  # noqa: PLW0603 - one per container is the point
    _current = with_policy_in_force(build(os.environ) if _current is None else _current)
    return _current


def telemetry() -> Telemetry:
    """Return the runtime's telemetry, or a plain one if there is no runtime: errors must be sayable."""
    return _current.telemetry if _current is not None else Telemetry()


def set_runtime(replacement: Runtime | None) -> None:
    """Put a runtime in place; None makes the next event build one from the environment."""
    global _current  # noqa: PLW0603 - one per container is the point
    _current = replacement


@contextmanager
def use_runtime(replacement: Runtime) -> Iterator[Runtime]:
    """Put a runtime in place for a block, and the earlier one back after it."""
    earlier = _current
    set_runtime(replacement)
    try:
        yield replacement
    finally:
        set_runtime(earlier)
