"""An embedded DynamoDB with flyball's tables, and two calls on the state table, for the tests of it."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from flyball_local.dynamodb import DynamoDBService
from flyball_local.isolated import DEFAULT_CONFIG, isolated_session

NOW_S = 1_732_100_000.0
SESSION = isolated_session("eu-west-1")  # making one costs 60 ms, so one for all tests


def connect(service: DynamoDBService, config: Config = DEFAULT_CONFIG) -> Any:
    made = SESSION.client("dynamodb", config=config)
    service.attach(made)
    return made


def put_state(client: Any, version: int, *, seen: int | None = None, expires: float | None = None) -> Any:
    item: dict[str, Any] = {
        "key": {"S": "k"},
        "version": {"N": str(version)},
        "b": {"B": b"\x00\x01" * version},
    }
    if expires is not None:
        item["expires"] = {"N": str(int(expires))}
    condition: dict[str, Any] = (
        {}
        if seen is None
        else {
            "ConditionExpression": "attribute_not_exists(version) OR version = :seen",
            "ExpressionAttributeValues": {":seen": {"N": str(seen)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    )
    return client.put_item(TableName="flyball-state", Item=item, **condition)


def get_state(client: Any, *, strong: bool = True) -> Any:
    answer = client.get_item(TableName="flyball-state", Key={"key": {"S": "k"}}, ConsistentRead=strong)
    return answer.get("Item")
