"""An SQS worker: ships orders through a carrier's API, ten messages at a time.

Each message stands for itself: only those that failed come back to the queue
(ReportBatchItemFailures), and after three receives they go to its dead-letter
queue, where a person looks. What cannot be shipped because the *carrier* is in
trouble needs no person: it is kept as a letter, and redriven when it is well:

    flyball redrive UNSENT_QUEUE_URL --lambda worker-again --circuits flyball-circuits --apply
"""

from __future__ import annotations

import json
import os
from http.client import HTTPSConnection
from typing import Any, Protocol

import boto3

import flyball
from flyball.deadletter import DeadLetter, SqsSink


class Carrier(Protocol):
    """What is asked of the carrier."""

    def ship(self, order: dict[str, Any], *, key: str, timeout_s: float) -> None:
        """Ask for a parcel to be fetched."""
        ...


class HttpCarrier:
    """The carrier's HTTP interface. A second request with the same key ships nothing."""

    def __init__(self, host: str) -> None:
        self._host = host

    def ship(self, order: dict[str, Any], *, key: str, timeout_s: float) -> None:
        """Ask for a parcel to be fetched."""
        connection = HTTPSConnection(self._host, timeout=timeout_s)
        try:
            connection.request("PUT", f"/parcels/{key}", json.dumps(order))
            status = connection.getresponse().status
        finally:
            connection.close()
        if status >= 500:
            raise ConnectionError(f"the carrier answered {status}")
        if status >= 400:
            raise ValueError(f"the carrier refuses this order: {status}")  # never repeated


carrier: Carrier = HttpCarrier(os.environ.get("CARRIER_HOST", "carrier.example"))
unsent = SqsSink(os.environ.get("UNSENT_QUEUE_URL", "https://sqs.example/unsent"), boto3.client("sqs"))
target = flyball.target("carrier", on=(ConnectionError,))


def key_of(order: dict[str, Any], **_: object) -> str:
    """Return what makes a repetition harmless."""
    return str(order["id"])


@target.guard(
    fallback="kept for later",
    timeout="timeout_s",
    idempotency_key=key_of,
    dead_letter=DeadLetter(unsent, payload="order", required=True),
)
def ship(order: dict[str, Any], timeout_s: float = 1.0) -> str:
    """Ship an order now, or keep it for later."""
    carrier.ship(order, key=order["id"], timeout_s=timeout_s)
    return "shipped"


@flyball.handler
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Ship a batch; name the messages that are to come back."""
    failed = []
    for record in event["Records"]:
        try:
            ship(json.loads(record["body"]))
        except Exception:  # noqa: BLE001 - whatever it is, it is this message's alone
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


@flyball.handler
def again(event: dict[str, Any], context: Any) -> str:
    """Ship one order that `flyball redrive` brings back."""
    return ship(event)
