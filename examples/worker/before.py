"""The same worker as it is usually written: one bad message fails its batch, and all ten come back."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

from examples.worker.app import Carrier, HttpCarrier

ATTEMPTS = 4
TIMEOUT_S = 1.0

carrier: Carrier = HttpCarrier(os.environ.get("CARRIER_HOST", "carrier.example"))
sleep = time.sleep


def ship(order: dict[str, Any]) -> None:
    """Ship an order, with three retries."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            carrier.ship(order, key=order["id"], timeout_s=TIMEOUT_S)
        except (ConnectionError, TimeoutError):
            if attempt == ATTEMPTS:
                raise
            sleep(random.uniform(0.0, 0.1 * 2**attempt))
        else:
            return


def handler(event: dict[str, Any], context: Any) -> None:
    """Ship a batch."""
    for record in event["Records"]:
        ship(json.loads(record["body"]))
