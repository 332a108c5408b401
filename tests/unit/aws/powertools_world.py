"""A function under the installed Powertools breaker, our store around its table, and one clock for both."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    base,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence
from aws_lambda_powertools.utilities.circuit_breaker.persistence import base as persistence_base
from aws_lambda_powertools.utilities.circuit_breaker.persistence import dynamodb as persistence_dynamodb

from flyball.contract import Circuit, CircuitState
from flyball_controller.aws.powertools import PowertoolsCircuits, PowertoolsTable
from flyball_controller.fakes import ManualClock, MemoryCircuits
from unit.aws.doubles import Between

NOW = 1_700_000_000
BREAKERS = "breakers"
TARGET = "payments-api"
# Each test has its own circuit: Powertools keeps its counts in its module, by name.
NAMES = (f"circuit-{number}" for number in range(10_000))


class TargetDownError(Exception):
    """The dependency failed."""


class World:
    """A function that Powertools protects, our store around its table, and one clock for both."""

    def __init__(self, client: Any, clock: ManualClock) -> None:
        self.client = Between(client)
        self.clock = clock
        self.name = next(NAMES)
        self.ours = MemoryCircuits()
        self.table = PowertoolsTable(BREAKERS)
        self.circuits = PowertoolsCircuits(
            self.ours, self.client, table=self.table, names={TARGET: [self.name]}, clock=clock
        )
        self.reached = 0
        self.down = False
        self.version = 0
        store = CircuitBreakerDynamoDBPersistence(BREAKERS, boto3_client=client)
        config = CircuitBreakerConfig(
            failure_threshold=2, success_threshold=1, recovery_timeout=30, local_cache_max_age=0
        )

        @circuit_breaker(name=self.name, persistence_store=store, config=config)
        def call() -> str:
            self.reached += 1
            if self.down:
                raise TargetDownError
            return "answer"

        self.call: Callable[[], str] = call

    def refuses(self) -> bool:
        try:
            self.call()
        except CircuitBreakerOpenError:
            return True
        except TargetDownError:
            return False
        return False

    def publish(self, state: CircuitState, *, for_s: float = 90.0, **fields: Any) -> bool:
        self.version += 1
        circuit = Circuit(
            target=TARGET,
            function="*",
            state=state,
            changed_at=float(NOW),
            error_count=9,
            probe_ratio=0.1,
            version=self.version,
            write_id=f"w{self.version}",
            stamp=NOW - 60.0,
            valid_until=self.clock.now_s() + for_s,
            reason="",
        )
        return self.circuits.publish(circuit._replace(**fields))

    def item(self) -> dict[str, Any]:
        reply = self.client._client.get_item(
            TableName=BREAKERS, Key=self.table.key(self.name), ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in reply.get("Item", {}).items()}

    def put(self, **attributes: str | int) -> None:
        item: dict[str, Any] = {
            name: {"S": value} if isinstance(value, str) else {"N": str(value)}
            for name, value in attributes.items()
        }
        self.client._client.put_item(TableName=BREAKERS, Item={**self.table.key(self.name), **item})

    def state(self) -> str | None:
        return self.item().get("state")


def make_world(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """Powertools' modules see the manual clock, and find their table."""
    clock = ManualClock(float(NOW))
    now = SimpleNamespace(timestamp=clock.now_s)
    for module in (base, persistence_base, persistence_dynamodb):
        monkeypatch.setattr(module, "dt", SimpleNamespace(datetime=SimpleNamespace(now=lambda: now)))
    dynamodb.create_table(
        TableName=BREAKERS,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return World(dynamodb, clock)
