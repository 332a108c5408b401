"""POST /orders, behind API Gateway: takes an order and charges the customer's card through a provider.

The order comes with an idempotency key, which the provider honours: that is what
makes a second attempt harmless. If the card cannot be charged now, the order is
taken all the same and its charge kept as a dead letter, to be redriven later
(`flyball redrive QUEUE --call app:charge`); if even that fails, the caller is told 503.
"""

from __future__ import annotations

import http.client
import json
import os
from typing import Any, Protocol

import boto3

import flyball
from flyball.deadletter import DeadLetter, SqsSink


class Provider(Protocol):
    """What is asked of the payment provider."""

    def charge(self, order: dict[str, Any], *, key: str, timeout_s: float) -> str:
        """Charge the card; return the receipt."""
        ...


class HttpProvider:
    """The provider's HTTP interface. It repeats the first answer if a key comes again."""

    def __init__(self, host: str) -> None:
        self._host = host

    def charge(self, order: dict[str, Any], *, key: str, timeout_s: float) -> str:
        """Charge the card; return the receipt."""
        connection = http.client.HTTPSConnection(self._host, timeout=timeout_s)
        try:
            connection.request("POST", "/charges", json.dumps(order), {"Idempotency-Key": key})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= 500:
            raise ConnectionError(f"the provider answered {response.status}")
        if response.status != 200:
            raise ValueError(f"the provider refuses this order: {response.status}")  # never repeated
        return str(json.loads(body)["receipt"])


provider: Provider = HttpProvider(os.environ.get("PROVIDER_HOST", "payments.example"))
unpaid = SqsSink(os.environ.get("UNPAID_QUEUE_URL", "https://sqs.example/unpaid"), boto3.client("sqs"))
payments = flyball.target("payment-provider", on=(ConnectionError,))


def accept(order: dict[str, Any], key: str) -> None:
    """Answer in the provider's place: no receipt yet."""


@payments.guard(
    fallback=accept,
    timeout="timeout_s",
    idempotency_key="key",
    dead_letter=DeadLetter(unpaid, payload="order", required=True),
)
def charge(order: dict[str, Any], key: str, timeout_s: float = 1.0) -> str | None:
    """Charge the card now; return the receipt, None if it will be charged later."""
    return provider.charge(order, key=key, timeout_s=timeout_s)


@flyball.handler
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take an order."""
    order = json.loads(event["body"])
    try:
        receipt = charge(order, event["headers"]["idempotency-key"])
    except (ConnectionError, TimeoutError, flyball.RejectedError):
        return {"statusCode": 503, "headers": {"retry-after": "30"}, "body": "try again later"}
    if receipt is None:
        return {"statusCode": 202, "body": json.dumps({"order": order["id"], "payment": "later"})}
    return {"statusCode": 200, "body": json.dumps({"order": order["id"], "receipt": receipt})}
