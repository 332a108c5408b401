"""Circuit items that something else wrote: they must not stand in the way for ever."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.contract import Circuit, CircuitState
from flyball_controller.aws.dynamodb import DynamoCircuits

NOW = 1_700_000_000.0
OPEN = Circuit("orders", "*", CircuitState.OPEN, NOW, 12, 0.1, 5, "w5", NOW - 60, NOW + 90, "NEARLY_ALL_FAIL")


@pytest.mark.parametrize("version", [{"S": "5"}, {"BOOL": True}, {"NULL": True}])
def test_an_item_whose_version_is_no_number_is_replaced(dynamodb: Any, version: dict[str, Any]):
    """It is older than nothing and newer than nothing: no condition on numbers could ever hold over it."""
    dynamodb.put_item(
        TableName="flyball-circuits",
        Item={"target": {"S": "orders"}, "function": {"S": "*"}, "version": version},
    )
    circuits = DynamoCircuits(dynamodb, table="flyball-circuits")
    assert circuits.publish(OPEN) is True
    assert circuits.read("orders") == OPEN
