"""A guarded function on the embedded DynamoDB and a virtual clock, for the tests of the circuit store."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from flyball.aws import TIMEOUT_S, DynamoCircuits
from flyball.contract import Circuit, encode_circuit
from flyball.environment import Runtime
from flyball.guard import GuardedTarget, target
from flyball_local import contractcheck
from flyball_local.dynamodb import DynamoDBService, create_tables
from flyball_local.isolated import isolated_session
from flyball_local.virtualclock import VirtualClock

NOW_S = 1_732_100_000.0
SESSION = isolated_session("eu-west-1")
# As DynamoCircuits' own client; its test is in test_aws.py.
READER = Config(
    connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}, proxies={}
)


class WorldClock:
    """The client's clock on the world's; a draw of 0 shows the shortest intervals."""

    def __init__(self, world: VirtualClock) -> None:
        self._world = world
        self.fixed_draw = 0.0

    def wall_s(self) -> float:
        return self._world.now_s()

    def monotonic_s(self) -> float:
        return self._world.now_s() - NOW_S

    def draw(self) -> float:
        return self.fixed_draw

    def sleep(self, seconds: float) -> None:
        self._world.advance(seconds)


class StoreWorld:
    """One environment of function "pay" that reads a table which may be made to misbehave."""

    def __init__(self, *, tables: bool = True, **runtime: Any) -> None:
        self.clock = VirtualClock(NOW_S)
        self.service = DynamoDBService(self.clock, versions_kept=8, wait=self.clock.advance)
        self.reader, self.writer = (SESSION.client("dynamodb", config=READER) for _ in range(2))
        for client in (self.reader, self.writer):
            self.service.attach(client)
        contractcheck.attach(self.reader)
        if tables:
            create_tables(self.writer)
        self.source = DynamoCircuits(client=self.reader)
        self.client_clock = WorldClock(self.clock)
        self.lines: list[str] = []
        self.runtime = Runtime(
            function="pay",
            circuits=self.source,
            clock=self.client_clock,
            write=self.lines.append,
            **runtime,
        )

    def target(self, name: str = "t") -> GuardedTarget:
        return target(name, idempotent=True, within=self.runtime)

    def put(self, item: Circuit | dict[str, Any]) -> None:
        encoded = item if isinstance(item, dict) else encode_circuit(item)
        self.writer.put_item(TableName="flyball-circuits", Item=encoded)

    @property
    def reads(self) -> int:
        return self.service.calls["BatchGetItem"]

    def state(self, name: str = "t") -> str:
        return self.runtime.targets[name].state(self.clock.now_s()).name
