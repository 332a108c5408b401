"""Circuit items only move forward; holds keep the newest wish of an operator."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.contract import Circuit, CircuitState
from flyball_controller.aws.dynamodb import DynamoCircuits, DynamoHolds
from flyball_controller.core.model import Hold, HoldKind
from flyball_controller.ports import PortError
from unit.aws.doubles import Between, client_error

NOW = 1_700_000_000.0
OPEN = Circuit(
    target="payments",
    function="*",
    state=CircuitState.OPEN,
    changed_at=NOW,
    error_count=12,
    probe_ratio=0.1,
    version=5,
    write_id="w5",
    stamp=NOW - 60,
    valid_until=NOW + 90,
    reason="NEARLY_ALL_FAIL",
    budget_ratio=0.0,
    max_attempts=1,
)


@pytest.fixture
def between(dynamodb: Any) -> Between:
    """The client with something in between."""
    return Between(dynamodb)


@pytest.fixture
def circuits(between: Between) -> DynamoCircuits:
    """The store under test."""
    return DynamoCircuits(between, table="flyball-circuits")


def test_what_is_published_is_what_is_read(circuits: DynamoCircuits, between: Between):
    """Both sides use the contract's own codec; one call writes."""
    assert circuits.read("payments") is None
    assert circuits.publish(OPEN) is True
    assert between.calls["put_item"] == 1
    assert circuits.read("payments") == OPEN
    assert circuits.read("payments", "other") is None


def test_the_physical_expiry_is_two_days_after_the_logical_one(circuits: DynamoCircuits, dynamodb: Any):
    """P1: deletion at `valid_until` would restart versions."""
    circuits.publish(OPEN)
    item = dynamodb.scan(TableName="flyball-circuits")["Items"][0]
    assert item["expires"] == {"N": str(1_700_000_090 + 172_800)}
    assert item["state"] == {"S": "open"}


def test_a_newer_circuit_stands_against_an_older_one(circuits: DynamoCircuits):
    """A delayed controller must not write over a decision made after its own."""
    newer = OPEN._replace(version=6, write_id="w6", state=CircuitState.CLOSED)
    assert circuits.publish(newer)
    assert circuits.publish(OPEN) is False
    assert circuits.read("payments") == newer


def test_an_own_lost_reply_counts_as_published(circuits: DynamoCircuits, between: Between):
    """P4."""
    between.lose_reply.add("put_item")
    with pytest.raises(PortError):
        circuits.publish(OPEN)
    assert circuits.publish(OPEN) is True


def test_the_same_decision_by_another_run_counts_as_published(circuits: DynamoCircuits):
    """A redelivered event publishes the same version and content under another write id (E5)."""
    circuits.publish(OPEN)
    assert circuits.publish(OPEN._replace(write_id="again")) is True


def test_another_decision_of_the_same_version_is_refused(circuits: DynamoCircuits):
    """Two contents under one version would let clients disagree for ever."""
    circuits.publish(OPEN)
    assert circuits.publish(OPEN._replace(write_id="x", state=CircuitState.CLOSED)) is False


def test_an_item_past_its_physical_expiry_counts_as_deleted(circuits: DynamoCircuits):
    """Deletion is lazy: a state that began anew after two days must be able to publish at once."""
    circuits.publish(OPEN)
    later = NOW + 3 * 86_400
    begun_anew = OPEN._replace(
        version=1, write_id="w1", stamp=later - 60, changed_at=later, valid_until=later + 90
    )
    assert circuits.publish(begun_anew._replace(stamp=NOW + 86_400)) is False
    assert circuits.publish(begun_anew) is True


def test_an_unreadable_item_is_none_and_is_written_over(circuits: DynamoCircuits, dynamodb: Any):
    """K4: from nothing nothing opens; and the next decision repairs it."""
    item = {"target": {"S": "payments"}, "function": {"S": "*"}, "state": {"S": "ajar"}}
    dynamodb.put_item(TableName="flyball-circuits", Item=item)
    assert circuits.read("payments") is None
    assert circuits.publish(OPEN) is True
    assert circuits.read("payments") == OPEN


def test_an_unreadable_item_with_a_higher_version_is_not_ours_to_judge(
    circuits: DynamoCircuits, dynamodb: Any
):
    """It may be a newer controller's: the lower version loses, without an exception."""
    item = {"target": {"S": "payments"}, "function": {"S": "*"}, "version": {"N": "9"}}
    dynamodb.put_item(TableName="flyball-circuits", Item=item)
    assert circuits.publish(OPEN) is False


def test_a_circuit_that_clients_could_not_read_is_refused_before_the_call(
    circuits: DynamoCircuits, between: Between
):
    """A NaN stamp would be an item that no client understands."""
    with pytest.raises(PortError, match="payments") as caught:
        circuits.publish(OPEN._replace(stamp=float("nan")))
    assert not caught.value.retryable
    assert not between.calls


def test_a_backend_failure_is_not_taken_for_a_refusal(circuits: DynamoCircuits, between: Between):
    """Only the condition's own code means that something newer stands."""

    def denied(_: dict[str, Any]) -> None:
        raise client_error("AccessDeniedException", "PutItem")

    between.before["put_item"] = denied
    with pytest.raises(PortError):
        circuits.publish(OPEN)


# --- holds -----------------------------------------------------------------------------


@pytest.fixture
def holds(between: Between) -> DynamoHolds:
    """The store under test."""
    return DynamoHolds(between, table="flyball-holds")


FREEZE = Hold(HoldKind.FREEZE, NOW + 600, "ana", "load test")


def test_a_hold_is_returned_also_after_its_end(holds: DynamoHolds):
    """The core decides what an expired hold means, and says so once."""
    holds.put("payments", FREEZE, now_s=NOW)
    holds.put("search", Hold(HoldKind.FORCE_OPEN, NOW - 5, "bo", ""), now_s=NOW - 60)
    assert holds.active(["payments", "search", "other"]) == {
        "payments": FREEZE,
        "search": Hold(HoldKind.FORCE_OPEN, NOW - 5, "bo", ""),
    }


def test_the_newest_hold_wins_in_any_order(holds: DynamoHolds):
    """A late duplicate of an ended hold must not bring it back."""
    release = Hold(HoldKind.RELEASE, NOW + 60, "ana", "done")
    holds.put("payments", release, now_s=NOW + 10)
    holds.put("payments", FREEZE, now_s=NOW)
    assert holds.active(["payments"]) == {"payments": release}
    holds.put("payments", FREEZE, now_s=NOW + 11)
    assert holds.active(["payments"]) == {"payments": FREEZE}


def test_a_hold_without_a_finite_end_is_refused(holds: DynamoHolds):
    """Every override expires."""
    with pytest.raises(PortError, match="until_s"):
        holds.put("payments", FREEZE._replace(until_s=float("inf")), now_s=NOW)


def test_an_unreadable_kind_freezes_and_an_unreadable_end_is_no_hold(holds: DynamoHolds, dynamodb: Any):
    """What cannot be understood must not move anything, nor hold for ever."""
    until = {"N": str(NOW)}
    for target, item in {
        "a": {"kind": {"S": "EXPLODE"}, "until": until},
        "b": {"kind": {"S": "FREEZE"}},
    }.items():
        dynamodb.put_item(TableName="flyball-holds", Item={"target": {"S": target}, **item})
    assert holds.active(["a", "b"]) == {"a": Hold(HoldKind.FREEZE, NOW, "", "")}
