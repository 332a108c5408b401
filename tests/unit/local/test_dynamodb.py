"""The embedded DynamoDB: what flyball's store protocol relies on.

Fidelity: emulator (moto's operations, botocore's own client in front).
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball_local.dynamodb import DAY_S, DynamoDBService, TableNames
from flyball_local.isolated import DEFAULT_CONFIG
from flyball_local.motodynamo import MotoTables, encode_json
from flyball_local.virtualclock import VirtualClock
from unit.local.tables import NOW_S, SESSION, connect, get_state, put_state


def test_the_four_tables_are_on_demand_with_their_keys_and_time_to_live(client: Any):
    """The adapters rely on these keys, and readers on items that vanish by `expires`."""
    keys = {}
    for name in TableNames():
        table = client.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert table["TableArn"] == f"arn:aws:dynamodb:eu-west-1:000000000000:table/{name}"
        keys[name] = [(k["AttributeName"], k["KeyType"]) for k in table["KeySchema"]]
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    assert keys == {
        "flyball-circuits": [("target", "HASH"), ("function", "RANGE")],
        "flyball-state": [("key", "HASH")],
        "flyball-journal": [("target", "HASH"), ("seq", "RANGE")],
        "flyball-holds": [("target", "HASH")],
    }


def test_binary_state_comes_back_as_the_bytes_that_were_written(client: Any):
    """The checkpoint is one binary attribute; base64 must not leak to either side."""
    put_state(client, 3)
    assert get_state(client) == {"key": {"S": "k"}, "version": {"N": "3"}, "b": {"B": b"\x00\x01" * 3}}


def test_a_lost_race_returns_the_item_that_won(client: Any):
    """The loser re-decides from the winner's state without another read (P1)."""
    put_state(client, 1, seen=0)
    with pytest.raises(ClientError) as refused:
        put_state(client, 1, seen=0)
    assert refused.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert refused.value.response["Item"] == {
        "key": {"S": "k"},
        "version": {"N": "1"},
        "b": {"B": b"\x00\x01"},
    }


def test_of_concurrent_conditional_writes_none_is_lost(service: DynamoDBService, client: Any):
    """Without the lock around condition and write, moto lets two writers both win on one version."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # or each thread finishes its turn before another gets one
    put_state(client, 1)
    wins = [0] * 8
    start = threading.Barrier(8)

    def contend(me: int) -> None:
        mine = connect(service)
        start.wait()
        for _ in range(12):
            seen = int(get_state(mine)["version"]["N"])
            try:
                mine.update_item(
                    TableName="flyball-state",
                    Key={"key": {"S": "k"}},
                    UpdateExpression="SET version = :next",
                    ConditionExpression="version = :seen",
                    ExpressionAttributeValues={":seen": {"N": str(seen)}, ":next": {"N": str(seen + 1)}},
                )
                wins[me] += 1
            except mine.exceptions.ConditionalCheckFailedException:
                continue

    threads = [threading.Thread(target=contend, args=(me,)) for me in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual_s)
    assert int(get_state(client)["version"]["N"]) == 1 + sum(wins)


def test_the_revision_rises_with_every_write_and_only_then(service: DynamoDBService, client: Any):
    """A simulation skips its reads while the revision stands still; a missed rise would hide a state."""
    seen = [service.revision("flyball-circuits")]
    circuit = {"target": {"S": "t"}, "function": {"S": "*"}}

    def note() -> None:
        seen.append(service.revision("flyball-circuits"))

    client.put_item(TableName="flyball-circuits", Item=circuit)
    note()
    client.update_item(
        TableName="flyball-circuits",
        Key=circuit,
        UpdateExpression="SET version = :v",
        ExpressionAttributeValues={":v": {"N": "1"}},
    )
    note()
    client.batch_write_item(
        RequestItems={
            "flyball-circuits": [
                {"PutRequest": {"Item": {"target": {"S": "u"}, "function": {"S": "*"}}}},
                {"DeleteRequest": {"Key": {"target": {"S": "w"}, "function": {"S": "*"}}}},
            ]
        }
    )
    note()
    client.transact_write_items(
        TransactItems=[
            {
                "ConditionCheck": {
                    "TableName": "flyball-circuits",
                    "Key": circuit,
                    "ConditionExpression": "attribute_exists(version)",
                }
            },
            {
                "Put": {
                    "TableName": "flyball-circuits",
                    "Item": {"target": {"S": "x"}, "function": {"S": "*"}},
                }
            },
        ]
    )
    note()
    client.delete_item(TableName="flyball-circuits", Key=circuit)
    note()
    assert [b - a for a, b in itertools.pairwise(seen)] == [1, 1, 2, 1, 1]
    client.get_item(TableName="flyball-circuits", Key=circuit)
    with pytest.raises(ClientError):
        client.put_item(
            TableName="flyball-circuits", Item=circuit, ConditionExpression="attribute_exists(version)"
        )
    assert service.revision("flyball-circuits") == seen[-1]
    client.delete_table(TableName="flyball-circuits")
    assert service.revision("flyball-circuits") == seen[-1] + 1


def test_settings_outside_their_range_are_refused(clock: VirtualClock):
    """Time to live may be two days late, not more and not early."""
    with pytest.raises(ValueError):
        DynamoDBService(clock, ttl_lag_s=-1.0)
    with pytest.raises(ValueError):
        DynamoDBService(clock, ttl_lag_s=2 * DAY_S + 1)
    with pytest.raises(ValueError):
        DynamoDBService(clock, versions_kept=-1)


def test_a_client_of_another_region_or_service_is_refused(service: DynamoDBService):
    """A client that would silently see another region's tables hides a wiring mistake."""
    with pytest.raises(ValueError, match="eu-central-1"):
        service.attach(SESSION.client("dynamodb", region_name="eu-central-1", config=DEFAULT_CONFIG))
    with pytest.raises(ValueError, match="sqs"):
        service.attach(SESSION.client("sqs", config=DEFAULT_CONFIG))


def test_two_services_share_nothing(client: Any):
    """Worlds with and without flyball run side by side in the demo."""
    put_state(client, 1)
    other = connect(DynamoDBService(VirtualClock(NOW_S)))
    assert other.list_tables()["TableNames"] == []


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("GetItem", b"{", "SerializationException"),
        ("GetItem", b"[]", "SerializationException"),
        ("NoSuchThing", b"{}", "UnknownOperationException"),
        ("PutItem", b'{"TableName":"absent","Item":{"key":{"S":"k"}}}', "ResourceNotFoundException"),
        ("PutItem", b'{"TableName":"flyball-state","Item":{"b":{"S":"k"}}}', "ValidationException"),
        (
            "PutItem",
            b'{"TableName":"flyball-state","Item":{"key":{"S":"k"},"b":{"B":"!"}}}',
            "SerializationException",
        ),
        ("GetItem", b'{"TableName":"flyball-state","Key":{"key":{"B":"!"}}}', "SerializationException"),
    ],
)
def test_a_malformed_request_is_answered_with_an_error_code(
    service: DynamoDBService, client: Any, operation: str, body: bytes, code: str
):
    """Whatever a process sends over loopback, the emulator answers; it does not die."""
    status, text = service.handle(operation, body)
    assert status == 400
    assert json.loads(text)["__type"].rpartition("#")[2] == code


REQUESTS = [
    ("PutItem", {"TableName": "t", "Item": {"target": {"S": "a"}, "seq": {"S": "1"}, "b": {"B": "AAE="}}}),
    (
        "UpdateItem",
        {
            "TableName": "t",
            "Key": {"target": {"S": "a"}, "seq": {"S": "2"}},
            "UpdateExpression": "SET #v = :v, bs = :b, m = :m",
            "ExpressionAttributeNames": {"#v": "B"},
            "ExpressionAttributeValues": {
                ":v": {"N": "1.50"},
                ":b": {"BS": ["AQ==", "Ag=="]},
                ":m": {"M": {"l": {"L": [{"B": "AQI="}, {"NULL": True}]}}},
            },
            "ReturnValues": "ALL_NEW",
        },
    ),
    ("GetItem", {"TableName": "t", "Key": {"target": {"S": "a"}, "seq": {"S": "2"}}, "ConsistentRead": True}),
    (
        "Query",
        {
            "TableName": "t",
            "KeyConditionExpression": "target = :t",
            "ExpressionAttributeValues": {":t": {"S": "a"}},
            "ReturnConsumedCapacity": "TOTAL",
        },
    ),
    (
        "BatchWriteItem",
        {
            "RequestItems": {
                "t": [
                    {"PutRequest": {"Item": {"target": {"S": "a"}, "seq": {"S": "3"}, "b": {"B": "AAE="}}}},
                    {"DeleteRequest": {"Key": {"target": {"S": "a"}, "seq": {"S": "1"}}}},
                ]
            }
        },
    ),
    (
        "BatchGetItem",
        {
            "RequestItems": {
                "t": {
                    "Keys": [{"target": {"S": "a"}, "seq": {"S": seq}} for seq in "123"],
                    "ConsistentRead": True,
                }
            }
        },
    ),
    ("Scan", {"TableName": "t", "Limit": 1}),
    ("GetItem", {"TableName": "t", "Key": {"target": {"S": "zz"}, "seq": {"S": "2"}}}),
]


def test_the_quick_path_answers_as_motos_own_parser_and_serializer_would():
    """Item operations skip moto's model walk for speed; that must not be visible in a single byte."""
    table = {
        "TableName": "t",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "target", "AttributeType": "S"},
            {"AttributeName": "seq", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "target", "KeyType": "HASH"},
            {"AttributeName": "seq", "KeyType": "RANGE"},
        ],
    }
    quick, slow = (MotoTables(region="eu-west-1", account="000000000000") for _ in range(2))
    slow._run_item_operation = slow._run_by_model  # type: ignore[method-assign]  # the path under comparison
    for tables in (quick, slow):
        assert tables.call("CreateTable", table).status == 200
    for operation, request in REQUESTS:
        one, two = quick.call(operation, request), slow.call(operation, request)
        assert (one.status, json.loads(one.body)) == (two.status, json.loads(two.body)), operation
        assert one.status == 200


def test_only_values_of_attributes_have_a_json_form():
    """A type that slipped in must be reported, not turned into null."""
    with pytest.raises(TypeError, match="set"):
        encode_json({"SS": {"a"}})


def test_a_long_run_does_not_keep_every_version_ever_written(client: Any):
    """moto remembers all its objects; an hour of simulation would hold all past checkpoints."""
    from moto.dynamodb.models.dynamo_type import Item

    for version in range(1, 1_500):
        put_state(client, version % 3 + 1)
    assert len(Item.instances_tracked) <= 1_001


def test_another_process_reaches_the_same_tables_over_loopback(service: DynamoDBService, client: Any):
    """Handlers in the Lambda host use HTTP; they must see what the demo wrote in process."""
    put_state(client, 5)
    with service.serve() as server:
        remote = SESSION.client("dynamodb", config=DEFAULT_CONFIG, endpoint_url=server.url)
        assert get_state(remote)["b"] == {"B": b"\x00\x01" * 5}
        with pytest.raises(ClientError) as refused:
            put_state(remote, 1, seen=0)
        assert refused.value.response["Item"]["version"] == {"N": "5"}
        service.faults.lose_reply(1)
        with pytest.raises(Exception, match="closed"):
            put_state(remote, 6)
        remote.close()
    assert get_state(client)["version"] == {"N": "6"}
