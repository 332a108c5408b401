"""Checkpoints in DynamoDB keep the store protocol (P1, P4, P7) on an emulator with atomic writes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flyball_controller.aws.dynamodb import DynamoCheckpoints
from flyball_controller.ports import Checkpoint, Conflict, PortError, Saved
from unit.aws.doubles import Between, Waits, client_error

TABLE = "flyball-state"
NOW = 1_700_000_000.25


def save(
    store: DynamoCheckpoints, data: bytes, expected: int, write_id: str, key: str = "a"
) -> Saved | Conflict:
    """Save with the times that do not matter here."""
    return store.save(key, data, expected_version=expected, write_id=write_id, stamp_s=NOW - 60, now_s=NOW)


@pytest.fixture
def between(dynamodb: Any) -> Between:
    """The client with something in between."""
    return Between(dynamodb)


@pytest.fixture
def store(between: Between) -> DynamoCheckpoints:
    """The store under test."""
    return DynamoCheckpoints(between, table=TABLE)


def test_a_key_never_written_has_version_zero(store: DynamoCheckpoints):
    """The core starts from its initial state then."""
    assert store.load(["a"]) == {"a": Checkpoint(0, b"")}


def test_versions_rise_by_one_in_one_call_each(store: DynamoCheckpoints, between: Between):
    """P1, and the cost: one write request per decision."""
    assert save(store, b"one", 0, "w1") == Saved(1)
    assert save(store, b"two", 1, "w2") == Saved(2)
    assert between.calls == {"put_item": 2}
    assert store.load(["a", "b"]) == {"a": Checkpoint(2, b"two", "w2"), "b": Checkpoint(0, b"")}


def test_the_item_carries_its_stamp_and_a_physical_expiry_two_days_ahead(
    store: DynamoCheckpoints, dynamodb: Any
):
    """TTL is whole epoch seconds: 1,700,000,000.25 up to ..001, plus 172,800."""
    save(store, b"one", 0, "w1")
    item = dynamodb.get_item(TableName=TABLE, Key={"key": {"S": "a"}})["Item"]
    assert float(item["stamp"]["N"]) == NOW - 60
    assert item["expires"] == {"N": "1700172801"}
    assert set(item) == {"key", "version", "b", "write_id", "stamp", "expires"}


def test_a_lost_race_returns_what_stands_there_without_another_read(
    store: DynamoCheckpoints, between: Between
):
    """P7: the refusal is the re-read."""
    save(store, b"one", 0, "w1")
    assert save(store, b"mine", 0, "w2") == Conflict(Checkpoint(1, b"one", "w1"))
    assert save(store, b"mine", 7, "w2") == Conflict(Checkpoint(1, b"one", "w1"))
    assert between.calls == {"put_item": 3}


def test_an_own_lost_reply_counts_as_saved(store: DynamoCheckpoints, between: Between):
    """P4: repeating a write that went through is a success, once it is recognised."""
    between.lose_reply.add("put_item")
    with pytest.raises(PortError) as caught:
        save(store, b"one", 0, "w1")
    assert caught.value.retryable
    assert save(store, b"one", 0, "w1") == Saved(1)
    assert store.load(["a"])["a"].version == 1


def test_an_own_write_that_somebody_wrote_over_is_a_conflict(store: DynamoCheckpoints):
    """The write id alone must not make an old success out of a newer state."""
    save(store, b"one", 0, "w1")
    save(store, b"two", 1, "w2")
    assert save(store, b"one", 0, "w1") == Conflict(Checkpoint(2, b"two", "w2"))


def test_a_write_id_used_twice_does_not_turn_a_lost_race_into_a_success(store: DynamoCheckpoints):
    """The version must match too: otherwise a caller's slip would fork the state."""
    save(store, b"one", 0, "w1")
    assert save(store, b"five", 4, "w1") == Conflict(Checkpoint(1, b"one", "w1"))


def test_a_deleted_item_is_a_conflict_with_nothing(store: DynamoCheckpoints, dynamodb: Any, between: Between):
    """The refusal then carries no item; one consistent read says so."""
    save(store, b"one", 0, "w1")
    dynamodb.delete_item(TableName=TABLE, Key={"key": {"S": "a"}})
    assert save(store, b"two", 1, "w2") == Conflict(Checkpoint(0, b""))
    assert between.calls["get_item"] == 1


@pytest.mark.parametrize("attribute", [{"B": b""}, {"S": "text"}, None])
def test_unreadable_bytes_keep_their_version(store: DynamoCheckpoints, dynamodb: Any, attribute: Any):
    """C11 resets the state; P1 forbids that the version restarts with it."""
    item = {"key": {"S": "a"}, "version": {"N": "9"}}
    dynamodb.put_item(TableName=TABLE, Item=item | ({"b": attribute} if attribute else {}))
    assert store.load(["a"]) == {"a": Checkpoint(9, b"")}
    assert save(store, b"new", 9, "w") == Saved(10)


@pytest.mark.parametrize("attribute", [None, {"S": "1"}, {"BOOL": True}])
def test_an_item_without_a_version_number_is_written_over(
    store: DynamoCheckpoints, dynamodb: Any, attribute: Any
):
    """Nobody could ever take a version from it: it would block its key for good."""
    dynamodb.put_item(
        TableName=TABLE, Item={"key": {"S": "a"}} | ({"version": attribute} if attribute else {})
    )
    assert store.load(["a"]) == {"a": Checkpoint(0, b"")}
    assert save(store, b"new", 0, "w") == Saved(1)


@pytest.mark.parametrize("version", ["1.5", "-3", "0", "1E+40"])
def test_an_impossible_version_is_named_and_hurts_only_its_own_key(
    store: DynamoCheckpoints, dynamodb: Any, version: str
):
    """Whatever wrote it is not us; the other targets of the same read must not suffer."""
    dynamodb.put_item(TableName=TABLE, Item={"key": {"S": "a"}, "version": {"N": version}})
    save(store, b"fine", 0, "w", key="b")
    assert store.load(["a", "b"])["b"] == Checkpoint(1, b"fine", "w")
    with pytest.raises(PortError, match="delete it") as caught:
        save(store, b"new", 0, "w")
    assert not caught.value.retryable


def test_a_stamp_that_is_no_number_is_refused_before_the_call(store: DynamoCheckpoints, between: Between):
    """DynamoDB stores no NaN; half a write must not happen."""
    with pytest.raises(PortError, match="stamp"):
        store.save("a", b"", expected_version=0, write_id="w", stamp_s=float("nan"), now_s=NOW)
    assert not between.calls


def test_a_failing_backend_is_a_port_error(store: DynamoCheckpoints, between: Between):
    """Throttled is retryable, a missing table is not."""

    def throttled(_: dict[str, Any]) -> None:
        raise client_error("ProvisionedThroughputExceededException", "PutItem")

    between.before["put_item"] = throttled
    with pytest.raises(PortError) as caught:
        save(store, b"one", 0, "w1")
    assert caught.value.retryable
    with pytest.raises(PortError) as caught:
        DynamoCheckpoints(between, table="missing").load(["a"])
    assert not caught.value.retryable


def test_keys_left_unprocessed_are_asked_for_again(dynamodb: Any):
    """A throttled batch read answers with a part; the pause before each further try is half of its cap."""
    between, waits = Between(dynamodb), Waits()
    store = DynamoCheckpoints(between, table=TABLE, pauses=waits.pauses())
    for key in ("a", "b"):
        save(store, key.encode(), 0, "w", key=key)
    answers = 0

    def only_one_key(arguments: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal answers
        answers += 1
        keys = arguments["RequestItems"][TABLE]["Keys"]
        if answers <= 2 and len(keys) == 2:
            return {"Responses": {}, "UnprocessedKeys": {TABLE: {"Keys": keys, "ConsistentRead": True}}}
        return None

    between.before["batch_get_item"] = only_one_key
    assert {key: found.data for key, found in store.load(["a", "b"]).items()} == {"a": b"a", "b": b"b"}
    # Caps 0.05 x 2 and 0.05 x 4 seconds, halved.
    assert waits == [0.05, 0.1]


def test_keys_still_unprocessed_after_the_last_try_fail_the_read(dynamodb: Any):
    """Missing must not read as never written: the version would seem to restart (P1)."""
    between, waits = Between(dynamodb), Waits()
    store = DynamoCheckpoints(between, table=TABLE, pauses=waits.pauses(tries=3))
    between.before["batch_get_item"] = lambda arguments: {
        "Responses": {},
        "UnprocessedKeys": arguments["RequestItems"],
    }
    with pytest.raises(PortError) as caught:
        store.load(["a"])
    assert caught.value.retryable
    assert between.calls["batch_get_item"] == 3


def test_a_batch_read_takes_a_hundred_keys_and_no_key_twice(store: DynamoCheckpoints, between: Between):
    """The service refuses both a 101st key and a duplicate."""
    sizes: list[int] = []
    between.before["batch_get_item"] = lambda arguments: sizes.append(  # type: ignore[func-returns-value]
        len(arguments["RequestItems"][TABLE]["Keys"])
    )
    keys = [f"k{i}" for i in range(201)]
    assert len(store.load([*keys, *keys])) == 201
    assert sizes == [100, 100, 1]


def test_eight_writers_of_one_key_have_one_winner_per_version(dynamodb: Any):
    """P1, P7, P9: every version has one writer, and no success is lost."""
    wins: list[tuple[int, str]] = []
    lock = threading.Lock()
    start = threading.Barrier(8)

    def write(name: str) -> None:
        store = DynamoCheckpoints(dynamodb, table=TABLE)
        start.wait()
        for round_number in range(6):
            seen = store.load(["a"])["a"].version
            outcome = save(store, name.encode(), seen, f"{name}-{round_number}")
            if isinstance(outcome, Saved):
                with lock:
                    wins.append((outcome.version, name))

    threads = [threading.Thread(target=write, args=(f"t{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = sorted(version for version, _ in wins)
    assert versions == list(range(1, len(wins) + 1))
    final = DynamoCheckpoints(dynamodb, table=TABLE).load(["a"])["a"]
    assert final.version == len(wins)
    assert (final.version, final.data.decode()) in wins
