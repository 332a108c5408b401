"""Bad weather for callers: request quotas on the virtual clock, and faults on demand.

Faults exist to test what a caller does after an unknown outcome: a time-out
before the effect and one after it look the same from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from enum import Enum

from flyball.hints import did_you_mean
from flyball_local.virtualclock import VirtualClock

# Requests per second (AWS General Reference, AppConfig quotas). Control plane:
# Get* 100, all others 10, not adjustable.
GET_RATE = 100.0
CONTROL_RATE = 10.0
# Epoch seconds are binary floats: waiting exactly 1/rate must be enough.
ROUNDING_TOKENS = 1e-3
DATA_RATES = {"GetLatestConfiguration": 1000.0, "StartConfigurationSession": 500.0}


class FaultKind(Enum):
    """What happens to a call."""

    TIMEOUT_BEFORE_EFFECT = "no reply, nothing happened"
    TIMEOUT_AFTER_EFFECT = "no reply, but it was carried out"
    SERVER_ERROR = "InternalServerException, nothing happened"
    THROTTLED = "ThrottlingException, nothing happened"


class Faults:
    """Faults waiting for the next calls, per operation, first in first out."""

    def __init__(self, operations: Collection[str]) -> None:
        self._operations = operations
        self._waiting: dict[str, deque[FaultKind]] = {}

    def fail_next(self, operation: str, kind: FaultKind, *, count: int = 1) -> None:
        """Let the next `count` calls of `operation` (e.g. "StartDeployment") fail, after those already set.

        Every attempt counts: an SDK that retries uses up one fault per attempt.

        Raises:
            ValueError: If no such operation exists, or `count` is below 1.
        """
        if operation not in self._operations:
            hint = did_you_mean(operation, self._operations)
            raise ValueError(f"operation={operation!r} does not exist{hint}")
        if count < 1:
            raise ValueError(f"count={count} must be at least 1")
        self._waiting.setdefault(operation, deque()).extend([kind] * count)

    def take(self, operation: str) -> FaultKind | None:
        """Return and use up the fault waiting for this call, None if there is none."""
        waiting = self._waiting.get(operation)
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        """Drop every waiting fault."""
        self._waiting.clear()


class Throttle:
    """One token bucket per operation, one second deep, refilled by virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def admit(self, operation: str) -> bool:
        """Return whether one more call fits now, and count it if so."""
        rate = rate_of(operation)
        now_s = self._clock.now_s()
        tokens, since_s = self._buckets.get(operation, (rate, now_s))
        tokens = min(rate, tokens + (now_s - since_s) * rate)
        admitted = tokens >= 1.0 - ROUNDING_TOKENS
        self._buckets[operation] = (tokens - 1.0 if admitted else tokens, now_s)
        return admitted


def rate_of(operation: str) -> float:
    """Return the quota of an operation, requests per second.

    >>> rate_of("StartDeployment"), rate_of("GetDeployment"), rate_of("GetLatestConfiguration")
    (10.0, 100.0, 1000.0)
    """
    if operation in DATA_RATES:
        return DATA_RATES[operation]
    return GET_RATE if operation.startswith("Get") else CONTROL_RATE
