"""What several test files here start from: a function's environments, and an empty store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyball_local.dynamodb import DynamoDBService, create_tables
from flyball_local.lambdahost import FunctionSettings, LambdaHost
from flyball_local.virtualclock import VirtualClock
from unit.local.processes import HANDLERS, runs
from unit.local.tables import NOW_S, connect


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(HANDLERS)
    return tmp_path


@pytest.fixture
def hosts(root: Path) -> Iterator[Any]:
    """Make hosts that are closed, and checked to have left nothing, when the test ends."""
    made: list[LambdaHost] = []

    def make(handler: str, *, environments: int = 1, on_log: Any = None, **settings: Any) -> LambdaHost:
        host = LambdaHost(
            FunctionSettings(f"app.{handler}", task_root=root, **settings),
            environments=environments,
            on_log=on_log,
        )
        made.append(host)
        return host

    yield make
    pids = [pid for host in made for pid in host.pids().values()]
    for host in made:
        host.close()
    assert not [pid for pid in pids if runs(pid)]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW_S)


@pytest.fixture
def service(clock: VirtualClock) -> DynamoDBService:
    return DynamoDBService(clock, ttl_lag_s=0.0, versions_kept=3, wait=clock.advance)


@pytest.fixture
def client(service: DynamoDBService) -> Iterator[Any]:
    made = connect(service)
    create_tables(made)
    yield made
    made.close()
