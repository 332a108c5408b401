"""Driving Powertools' breaker while it moves by itself, and while stores fail."""

from __future__ import annotations

from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.contract import Circuit, CircuitState
from flyball_controller.aws.powertools import PowertoolsCircuits, PowertoolsTable
from flyball_controller.fakes import ManualClock, MemoryCircuits
from flyball_controller.ports import PortError
from unit.aws.doubles import client_error
from unit.aws.powertools_world import NOW, TARGET, World, make_world


@pytest.fixture
def world(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """One table, one clock."""
    return make_world(dynamodb, monkeypatch)


PROBING = {"state": "HALF_OPEN", "opened_at": NOW - 40, "half_open_owner": "7#a"}


def test_a_lost_race_is_decided_anew_from_what_won(world: World):
    """An election between our read and our write: the opening overrules it, seen or unseen."""

    def elected(_: dict[str, Any]) -> None:
        world.client.before.clear()
        world.put(**PROBING, probe_lease_expiry=NOW + 30)

    world.client.before["put_item"] = elected
    world.publish(CircuitState.OPEN)
    assert world.state() == "OPEN"
    assert world.client.calls["put_item"] == 2


def test_a_lost_race_may_leave_nothing_to_do(world: World):
    """The hold that was to be released is a probe under way by now."""
    world.publish(CircuitState.OPEN)

    def elected(_: dict[str, Any]) -> None:
        world.client.before.clear()
        world.put(**PROBING, probe_lease_expiry=NOW + 30)

    world.client.before["put_item"] = elected
    world.publish(CircuitState.CLOSED)
    assert world.state() == "HALF_OPEN"


def test_a_hold_that_a_late_prober_ended_meanwhile_is_not_written_over(world: World):
    """Everything we read is in the condition, also the mark that makes a hold ours."""
    world.publish(CircuitState.OPEN)

    def same_but_theirs(_: dict[str, Any]) -> None:
        world.client.before.clear()
        world.put(state="OPEN", opened_at=NOW + 60)

    world.client.before["put_item"] = same_but_theirs
    world.publish(CircuitState.CLOSED)
    assert world.state() == "OPEN"


@pytest.mark.parametrize("state", [CircuitState.HALF_OPEN, CircuitState.OPEN])
def test_the_end_of_a_circuit_ends_only_our_own_hold(world: World, state: CircuitState):
    """Powertools' own opening runs its own time."""
    world.put(state="OPEN", opened_at=NOW)
    world.publish(state, for_s=-1.0)
    assert world.item()["opened_at"] == str(NOW)


def test_a_circuit_that_changes_under_every_write_is_left_for_the_next_tick(world: World):
    """Three tries, and the error says that it may be offered again."""
    versions = iter(range(100))

    def somebody_else(_: dict[str, Any]) -> None:
        world.put(state="OPEN", opened_at=NOW - next(versions))

    world.client.before["put_item"] = somebody_else
    with pytest.raises(PortError, match=world.name) as caught:
        world.publish(CircuitState.OPEN)
    assert caught.value.retryable
    assert world.client.calls["put_item"] == 3
    assert world.ours.read(TARGET) is not None, "our own item is the truth, and stands"


def test_what_does_not_stand_is_not_carried_over(world: World):
    """A delayed controller: its older circuit was refused."""
    world.publish(CircuitState.CLOSED, version=9)
    assert world.publish(CircuitState.OPEN, version=3) is False
    assert world.item() == {}


def test_circuits_of_single_functions_and_other_targets_are_not_carried_over(world: World):
    """The item is shared: one sick caller must not open it for all."""
    world.publish(CircuitState.OPEN, function="one-caller")
    world.publish(CircuitState.OPEN, target="other")
    assert world.client.calls["get_item"] == 0
    assert world.circuits.read(TARGET, "one-caller") is not None


def test_one_unreachable_name_does_not_keep_the_others_from_theirs(world: World):
    """Every name is tried, and the failure is told."""
    circuits = PowertoolsCircuits(
        world.ours,
        world.client,
        table=world.table,
        names={TARGET: ["broken", world.name]},
        clock=world.clock,
    )

    def denied(arguments: dict[str, Any]) -> None:
        if arguments["Key"] == world.table.key("broken"):
            raise client_error("AccessDeniedException", "GetItem")

    world.client.before["get_item"] = denied
    world.circuits = circuits
    with pytest.raises(PortError):
        world.publish(CircuitState.OPEN)
    assert world.state() == "OPEN"


def test_a_composite_table_is_addressed_as_powertools_does(dynamodb: Any):
    """The partition key is static, the circuit's name the sort key."""
    dynamodb.create_table(
        TableName="composite",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    store = CircuitBreakerDynamoDBPersistence(
        "composite", key_attr="pk", sort_key_attr="sk", static_pk_value="breakers", boto3_client=dynamodb
    )
    circuits = PowertoolsCircuits(
        MemoryCircuits(),
        dynamodb,
        table=PowertoolsTable("composite", key_attr="pk", sort_key_attr="sk", static_pk_value="breakers"),
        names={TARGET: ["a-circuit"]},
        clock=ManualClock(float(NOW)),
        recovery_s=0.5,
    )
    circuits.publish(Circuit(TARGET, "*", CircuitState.OPEN, NOW, 9, 0.1, 1, "w", NOW - 60.0, NOW + 90.0, ""))
    record = store.get_state("a-circuit")
    assert (str(record.state), record.opened_at) == ("OPEN", NOW + 89)


STATES = st.sampled_from(list(CircuitState))


@given(
    events=st.lists(
        st.one_of(
            st.tuples(st.just("publish"), STATES, st.integers(-5, 120)),
            st.tuples(st.just("pass"), st.integers(0, 60)),
            st.tuples(st.just("call"), st.booleans()),
        ),
        max_size=12,
    )
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_published_the_breaker_recovers_once_all_has_lapsed(world: World, events: Any):
    """Law: with the controller dead and the target well, the circuit closes by itself (O5, P6)."""
    world = World(world.client._client, world.clock)  # a new circuit per example
    for event in events:
        if event[0] == "publish":
            world.publish(event[1], for_s=float(event[2]))
        elif event[0] == "pass":
            world.clock.advance(float(event[1]))
        else:
            world.down = event[1]
            world.refuses()
    world.down = False
    world.clock.advance(121.0 + 30.0)
    assert not world.refuses()
    assert world.state() in (None, "CLOSED")
