"""DynamoDB for the store tests: moto, made atomic, with the four tables, and no real credentials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler

REGION = "eu-west-1"
TABLES = {
    "flyball-state": [("key", "HASH")],
    "flyball-holds": [("target", "HASH")],
    "flyball-circuits": [("target", "HASH"), ("function", "RANGE")],
    "flyball-journal": [("target", "HASH"), ("seq", "RANGE")],
}


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here may find credentials or a profile."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an emulated DynamoDB whose conditional writes are atomic.

    moto checks a condition and writes in two steps; without the lock, concurrent
    writers lose updates and a concurrency test would prove nothing.
    """
    lock = threading.RLock()
    act = DynamoHandler.call_action

    def one_at_a_time(self: DynamoHandler) -> Any:
        with lock:
            return act(self)

    monkeypatch.setattr(DynamoHandler, "call_action", one_at_a_time)
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        for name, keys in TABLES.items():
            client.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        yield client
