"""The same function as it is usually written: a time-out, three retries with exponential back-off and jitter.

Every line of it is common advice, and in a short trouble it does well. What it
cannot know is what all other environments are doing at the same moment.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

from examples.payments.app import HttpProvider, Provider

ATTEMPTS = 4
TIMEOUT_S = 1.0

provider: Provider = HttpProvider(os.environ.get("PROVIDER_HOST", "payments.example"))
sleep = time.sleep


def charge(order: dict[str, Any], key: str) -> str:
    """Charge the card; return the receipt."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return provider.charge(order, key=key, timeout_s=TIMEOUT_S)
        except (ConnectionError, TimeoutError):
            if attempt == ATTEMPTS:
                raise
            sleep(random.uniform(0.0, 0.1 * 2**attempt))
    raise AssertionError("unreachable")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take an order."""
    order = json.loads(event["body"])
    try:
        receipt = charge(order, event["headers"]["idempotency-key"])
    except (ConnectionError, TimeoutError):
        return {"statusCode": 503, "body": "try again later"}
    return {"statusCode": 200, "body": json.dumps({"order": order["id"], "receipt": receipt})}
