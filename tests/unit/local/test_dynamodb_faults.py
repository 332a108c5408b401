"""The faults the embedded DynamoDB can be asked for, as a caller meets them.

Fidelity: emulator (moto's operations, botocore's own client in front).
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from flyball_local.dynamodb import DynamoDBService, create_tables
from flyball_local.virtualclock import VirtualClock
from unit.local.tables import NOW_S, connect, get_state, put_state


def test_a_throttle_refuses_just_the_calls_it_names(service: DynamoDBService, client: Any):
    """A throttled checkpoint must not be taken for a conflict, and reads go on meanwhile."""
    service.faults.throttle(2, operations=("PutItem",))
    put = lambda: put_state(client, 1)  # noqa: E731 - said three times below
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            put()
        assert refused.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert get_state(client) is None
    put()
    assert get_state(client) is not None


def test_the_sdk_hides_a_single_server_error_if_it_may_retry(service: DynamoDBService):
    """Faults pass through botocore's own retry machinery, as they would from the network."""
    client = connect(service, Config(retries={"mode": "standard", "total_max_attempts": 2}))
    create_tables(client)
    service.faults.server_error(1, operations=("PutItem",))
    answer = put_state(client, 1)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    service.faults.server_error(2, operations=("PutItem",))
    with pytest.raises(ClientError) as refused:
        put_state(client, 2)
    assert refused.value.response["Error"]["Code"] == "InternalServerError"


def test_a_lost_reply_leaves_its_effect_behind(service: DynamoDBService, client: Any):
    """The writer must recognise its own success in the conflict that follows (P4)."""
    service.faults.lose_reply(1)
    with pytest.raises(ReadTimeoutError):
        put_state(client, 1, seen=0)
    with pytest.raises(ClientError) as refused:
        put_state(client, 1, seen=0)
    assert refused.value.response["Item"]["version"] == {"N": "1"}


def test_a_slow_answer_passes_its_time_and_outlasts_the_impatient(
    service: DynamoDBService, client: Any, clock: VirtualClock
):
    """Deadlines are checked against time really passed: 2 s late is late, 20 s is a read time-out of 5 s."""
    service.faults.slow(1, delay_s=2.0)
    put_state(client, 1)
    assert clock.now_s() == NOW_S + 2.0
    service.faults.slow(1, delay_s=20.0)
    with pytest.raises(ReadTimeoutError):
        put_state(client, 2)
    assert clock.now_s() == NOW_S + 7.0
    assert get_state(client)["version"] == {"N": "2"}


def test_an_eventual_read_may_be_behind_and_a_strong_one_never(service: DynamoDBService, client: Any):
    """Replicas lag: a client must refuse a version lower than one it has seen (K2)."""
    for version in (1, 2, 3):
        put_state(client, version)
    service.faults.stale_reads(3, versions=2)
    assert get_state(client, strong=True)["version"] == {"N": "3"}
    assert get_state(client, strong=False) == {
        "key": {"S": "k"},
        "version": {"N": "1"},
        "b": {"B": b"\x00\x01"},
    }
    service.faults.clear()
    service.faults.stale_reads(1, versions=99)
    assert get_state(client, strong=False) is None  # the oldest version kept: not there yet (F14)
    assert get_state(client, strong=False)["version"] == {"N": "3"}
    service.faults.stale_reads(1)
    unwritten = client.get_item(TableName="flyball-holds", Key={"target": {"S": "t"}})
    assert "Item" not in unwritten


@pytest.mark.parametrize(
    "order",
    [
        lambda faults: faults.throttle(0),
        lambda faults: faults.slow(1, delay_s=0.0),
        lambda faults: faults.stale_reads(1, versions=0),
    ],
)
def test_a_fault_that_changes_nothing_is_refused(service: DynamoDBService, order: Any):
    """A switch without effect makes a test that cannot fail."""
    with pytest.raises(ValueError):
        order(service.faults)
