"""The same step as it is usually written: three retries here, and three more in the state machine."""

from __future__ import annotations

import os
import random
import time
from typing import Any

from examples.steps.app import HttpProvider, Provider

ATTEMPTS = 4
TIMEOUT_S = 1.0

provider: Provider = HttpProvider(os.environ.get("PROVIDER_HOST", "payments.example"))
sleep = time.sleep


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Charge an order of an execution."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return {"receipt": provider.charge(event["order"], key=event["execution"], timeout_s=TIMEOUT_S)}
        except (ConnectionError, TimeoutError):
            if attempt == ATTEMPTS:
                raise
            sleep(random.uniform(0.0, 0.1 * 2**attempt))
    raise AssertionError("unreachable")
