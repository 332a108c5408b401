"""What an environment reads: only when it is due, only if there is news, and never less than it had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flyball.aws import DynamoCircuits
from flyball.call import Target
from flyball.contract import Circuit, CircuitState, TargetParams
from flyball_analytics.plant import Environment
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.aws.dynamodb import DynamoCheckpoints
from flyball_controller.aws.dynamodb import DynamoCircuits as CircuitStore
from flyball_local.demo.published import Published
from flyball_local.dynamodb import TABLE_NAMES
from flyball_local.embedded import EmbeddedAws


class World:
    """One target, one environment, and both sides of what is published."""

    def __init__(self, aws: EmbeddedAws) -> None:
        """Make tables and profile."""
        self.aws = aws
        config = self.ids = aws.create_flyball_resources().config
        tables = aws.client("dynamodb")
        self.store = CircuitStore(tables, table=TABLE_NAMES.circuits)
        self.publisher = AppConfigPublisher(
            aws.client("appconfig"),
            **config._asdict(),
            checkpoints=DynamoCheckpoints(tables, table=TABLE_NAMES.state),
        )
        self.published = Published(
            "api",
            dynamodb=aws.dynamodb,
            circuits=DynamoCircuits(client=tables),
            appconfig=aws.appconfig,
            ids=config,
            seed=1,
        )
        self.environment = Environment(Target("api"))

    def read(self) -> None:
        """Let the environment begin a call now, if it wants to ask before it."""
        now_s = self.aws.clock.now_s()
        if now_s >= self.environment.check_at_s:
            self.published.refresh(self.environment, now_s)

    def publish(self, version: int, budget_ratio: float) -> None:
        """Publish a retry level, good for ten minutes."""
        now_s = self.aws.clock.now_s()
        closed = CircuitState.CLOSED
        circuit = Circuit(
            "api", "*", closed, now_s, 0, 1.0, version, f"w{version}", now_s, now_s + 600.0, "", budget_ratio
        )
        assert self.store.publish(circuit)

    def budget_ratio(self) -> float:
        """Return what the client obeys now."""
        self.environment.target.state(self.aws.clock.now_s())
        return self.environment.target.budget_ratio


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world with nothing published."""
    with EmbeddedAws() as aws:
        yield World(aws)


def test_a_published_level_is_obeyed_at_the_next_due_read(world: World) -> None:
    """Five seconds, a tenth of jitter."""
    world.read()
    world.publish(1, 0.0)
    world.aws.clock.advance(1.0)
    world.read()
    assert world.budget_ratio() == 0.2
    world.aws.clock.advance(5.0)
    world.read()
    assert world.budget_ratio() == 0.0


def test_without_news_the_table_is_not_asked(world: World) -> None:
    """The revision counter says so; that is what makes a day fit into seconds."""
    world.publish(1, 0.0)
    world.read()
    before = world.aws.dynamodb.calls["BatchGetItem"]
    for _ in range(10):
        world.aws.clock.advance(6.0)
        world.read()
    assert world.aws.dynamodb.calls["BatchGetItem"] == before


def test_a_failed_read_keeps_what_was_known_and_is_tried_again(world: World) -> None:
    """Store down: last known until it expires (K3)."""
    world.publish(1, 0.0)
    world.read()
    world.publish(2, 0.1)
    world.aws.dynamodb.faults.throttle(1, operations=["BatchGetItem"])
    world.aws.clock.advance(6.0)
    world.read()
    assert world.published.failed_reads == 1
    assert world.budget_ratio() == 0.0
    world.aws.clock.advance(6.0)
    world.read()
    assert world.budget_ratio() == 0.1


def test_a_deployed_document_reaches_the_environment_through_its_agent(world: World) -> None:
    """After the Agent's poll interval, and one read later: a thawed environment sees the old one once."""
    world.read()
    params = TargetParams()._replace(retry=TargetParams().retry._replace(max_attempts=2))
    report = world.publisher.publish(
        {"api": params}, urgent=True, policy_hash="p", now_s=world.aws.clock.now_s()
    )
    assert report.status.code == "deployed"
    for _ in range(12):
        world.aws.clock.advance(12.0)
        world.read()
    assert world.environment.target.max_attempts == 2
    assert world.environment.target.revision == report.revision


def test_a_document_that_cannot_be_read_changes_nothing(world: World) -> None:
    """Keep the last good one, and keep polling (A3)."""
    client, ids = world.aws.client("appconfig"), world.ids
    version = client.create_hosted_configuration_version(
        ApplicationId=ids.application_id,
        ConfigurationProfileId=ids.profile_id,
        Content=b"{}",
        ContentType="application/json",
    )
    client.start_deployment(
        ApplicationId=ids.application_id,
        EnvironmentId=ids.environment_id,
        DeploymentStrategyId=ids.strategy_id,
        ConfigurationProfileId=ids.profile_id,
        ConfigurationVersion=str(version["VersionNumber"]),
    )
    for _ in range(12):
        world.aws.clock.advance(12.0)
        world.read()
    assert world.published.failed_reads == 1
    assert world.environment.target.params == TargetParams()
