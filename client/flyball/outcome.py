"""Words for how attempts and calls end, and the counts of them.

The vocabulary between the fast loop, its shells and telemetry; no behaviour.
Terms: docs/glossary.md.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import NamedTuple

# Latencies kept between two flushes; older ones give way. Ten EMF documents' worth.
LATENCIES_MAX = 1_000


class Outcome(IntEnum):
    """How an attempt ended. Numbers are fixed: hot paths compare them."""

    SUCCESS = 0
    TIMEOUT = 1  # no answer in time: the target may still be working on it
    THROTTLE = 2  # it said "too many requests"
    ERROR_FAST = 3  # it failed, and said so
    PERMANENT = 4  # the caller's own fault: neither failure nor success of the target
    IGNORED = 5  # declared to be no news about the target


class RejectReason(IntEnum):
    """Why a call was not made."""

    CIRCUIT_OPEN = 0
    SHED = 1
    DEADLINE = 2
    BULKHEAD_FULL = 3
    UNKNOWN = 4  # nothing is known of the target, and it was declared that it must not be called then


class Rejected(NamedTuple):
    """A call that is not to be made; `retry_after_s` estimates when asking again makes sense, >= 0."""

    reason: RejectReason
    retry_after_s: float


class Counters:
    """What one target did since the last flush. Everything of a call is counted when it ends.

    So no flush shows a failure without its request. `requests` are calls whose
    first attempt was made and ended; attempts = requests + retries.
    """

    __slots__ = (
        "errors_fast",
        "errors_permanent",
        "fallbacks",
        "latencies_ms",
        "request_failures",
        "requests",
        "retries",
        "short_circuited",
        "throttles",
        "timeouts",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.timeouts = 0  # first attempts, as the two below
        self.throttles = 0
        self.errors_fast = 0
        self.errors_permanent = 0
        self.request_failures = 0
        self.short_circuited = 0
        self.fallbacks = 0
        self.latencies_ms: deque[float] = deque(maxlen=LATENCIES_MAX)  # of attempts, oldest first

    @property
    def empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.requests or self.short_circuited or self.fallbacks or self.latencies_ms)
