"""The Charge step of an order: one quick loop of attempts here, the patience in the state machine.

The machine's Retry knows two kinds of failure. *Not now* (the provider is in
trouble, or its circuit is open) is waited for, minutes if need be, at the price
of a state transition each. Anything else is decided at once. The execution's name
is the idempotency key, so that neither loop can charge twice.
"""

from __future__ import annotations

import json
import os
from http.client import HTTPSConnection
from typing import Any, Protocol

import flyball


class NotNow(Exception):  # noqa: N818 - the name stands in order.asl.json
    """The provider cannot be asked now; the machine asks again later."""


class CardDeclined(Exception):  # noqa: N818 - the name stands in order.asl.json
    """The provider says no, and would say no again."""


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
        connection = HTTPSConnection(self._host, timeout=timeout_s)
        try:
            connection.request("POST", "/charges", json.dumps(order), {"Idempotency-Key": key})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= 500:
            raise ConnectionError(f"the provider answered {response.status}")
        if response.status != 200:
            raise CardDeclined(str(response.status))
        return str(json.loads(body)["receipt"])


provider: Provider = HttpProvider(os.environ.get("PROVIDER_HOST", "payments.example"))
payments = flyball.target("payment-provider", on=(ConnectionError,))


@payments.guard(timeout="timeout_s", idempotency_key="key")
def charge(order: dict[str, Any], key: str, timeout_s: float = 1.0) -> str:
    """Charge the card; return the receipt."""
    return provider.charge(order, key=key, timeout_s=timeout_s)


@flyball.handler
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Charge an order of an execution."""
    try:
        return {"receipt": charge(event["order"], event["execution"])}
    except (flyball.RejectedError, ConnectionError, TimeoutError) as error:
        raise NotNow(str(error)) from error
