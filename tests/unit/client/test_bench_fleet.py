"""The fleet benchmark's books and its reference: a comparison is worth what its yardstick is worth."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerConfig
from aws_lambda_powertools.utilities.circuit_breaker import base as powertools_base
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence
from moto import mock_aws

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture
def world_module(monkeypatch):
    """`fleet_world`, from a folder that is no package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fleet_world

    yield fleet_world
    sys.modules.pop("fleet_world")


@pytest.fixture
def designs_module(world_module):
    """`fleet_designs`, over the same `fleet_world`."""
    import fleet_designs

    yield fleet_designs
    for name in ("fleet_designs", "powertools_memory"):
        sys.modules.pop(name)


class Unprotected:
    """Attempts every call once, and remembers it."""

    def __init__(self, world):
        self.world = world
        self.seen = []

    def offer(self, environment, arrival):
        """Attempt."""
        self.seen.append(arrival)
        self.world.conclude(arrival, well=self.world.attempt(arrival))


class RefusesUntil(Unprotected):
    """Refuses from `begin_s` after the outage's begin until `end_s` after its end."""

    begin_s = 4.0
    end_s = 12.0

    def offer(self, environment, arrival):
        """Attempt outside of the gap."""
        world = self.world
        world.draw()  # a design's own randomness must not move the calls
        if world.outage_s + self.begin_s <= arrival.at_s < world.over_s + self.end_s:
            world.refuse(arrival)
        else:
            super().offer(environment, arrival)


def test_without_protection_every_call_reaches_the_dependency_once(world_module):
    """The books themselves must not lose or double anything."""
    world = world_module.World(world_module.Scenario(10, 10.0, 0.5, timeouts=False), seed=1)
    got = world.run(Unprotected(world))
    assert got.reached == got.offered == got.attempts
    assert 2_800 <= got.offered <= 3_200  # 300 s at 10 per second; three sigma are 164
    assert 0.45 <= got.answered / got.offered <= 0.55
    assert (got.first_open_s, got.recovery_s, got.refused_healthy) == (-1.0, 0.0, 0)


def test_refusals_are_timed_from_the_begin_and_the_end_of_the_outage(world_module):
    """A gap until 12 s after the end spoils the slices 0-5, 5-10 and 10-15."""
    world = world_module.World(world_module.Scenario(10, 50.0, 1.0, timeouts=False), seed=1)
    got = world.run(RefusesUntil(world))
    assert 4.0 <= got.first_open_s < 4.5
    assert got.recovery_s == 15.0
    assert 150 <= got.reached <= 250  # four seconds of 50 calls


def test_every_design_meets_the_same_calls(world_module):
    """Else the ratio between two designs would be partly luck."""
    scenario = world_module.Scenario(10, 10.0, 0.5, timeouts=False)
    assert _arrivals(world_module.World(scenario, seed=3), Unprotected) == _arrivals(
        world_module.World(scenario, seed=3), RefusesUntil
    )


def _arrivals(world, design):
    inner, seen = design(world), []

    class Recorder:
        """Remembers each call before the design sees it."""

        def offer(self, environment, arrival):
            """Remember."""
            seen.append(arrival)
            inner.offer(environment, arrival)

    world.run(Recorder())
    return seen


def _elections(store) -> list[bool]:
    store.configure(CircuitBreakerConfig(), "payments-api")
    results = []
    store.save_open("payments-api", failure_count=5, opened_at=100)
    results.append(store.try_acquire_half_open("payments-api", "a", 100))
    results.append(store.try_acquire_half_open("payments-api", "b", 100))  # it has a prober
    store.save_reopen("payments-api", opened_at=200)
    results.append(store.try_acquire_half_open("payments-api", "b", 100))  # another opening
    results.append(store.try_acquire_half_open("payments-api", "b", 200))
    store.save_closed("payments-api")
    results.append(store.try_acquire_half_open("payments-api", "c", 200))  # it is closed
    store.configure(SimpleNamespace(recovery_timeout=0, local_cache_max_age=5), "payments-api")
    store.save_open("payments-api", failure_count=5, opened_at=300)
    results.append(store.try_acquire_half_open("payments-api", "a", 300))
    results.append(store.try_acquire_half_open("payments-api", "b", 300))  # the lease ended at once
    return results


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_reference_store_elects_as_the_dynamodb_store_does(designs_module):
    """The peer's recovery depends on its elections: a kinder store would flatter it, a harsher one us."""
    expected = [True, False, False, True, False, True, True]
    assert _elections(designs_module.MemoryPersistence()) == expected
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="circuits",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        real = CircuitBreakerDynamoDBPersistence(table_name="circuits", boto3_client=client)
        assert _elections(real) == expected


def test_powertools_modules_are_put_back(world_module, designs_module):
    """The clock of a simulation must not outlive it, whatever happened inside."""
    world = world_module.World(world_module.Scenario(3, 1.0, 1.0, timeouts=False), seed=1)
    before = (powertools_base.dt, powertools_base._LOCAL_FAILURES, powertools_base._PROBE_OWNER)
    fleet = designs_module.PowertoolsFleet(world)
    with pytest.raises(AttributeError), designs_module.patched(world):
        fleet.offer(0, None)
    assert (powertools_base.dt, powertools_base._LOCAL_FAILURES, powertools_base._PROBE_OWNER) == before


def test_powertools_counts_failures_per_environment(world_module, designs_module):
    """Four failures in each of two environments open nothing; the fifth in one opens it for both."""
    world = world_module.World(world_module.Scenario(2, 1.0, 1.0, timeouts=False), seed=1)
    world.now_s = world.outage_s
    with designs_module.patched(world):
        fleet = designs_module.PowertoolsFleet(world)
        for environment in (0, 1) * 4:
            fleet.offer(environment, world_module.Arrival(world.now_s, environment, 0.5))
        assert (world.reached, world.first_open_s) == (8, -1.0)
        fleet.offer(0, world_module.Arrival(world.now_s, 0, 0.5))
        world.now_s += 6.0  # the other's cache of 5 s is over
        fleet.offer(1, world_module.Arrival(world.now_s, 1, 0.5))
    assert (world.reached, world.first_open_s) == (9, 6.0)
