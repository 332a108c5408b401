"""Words for how attempts and calls end, and the counts of them.

The vocabulary between the fast loop, its shells and telemetry; no behaviour.
Terms: docs/glossary.md.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from flyball.named import NamedTuple

TYPE_CHECKING = False

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


class GaveUp(IntEnum):
    """Why no other attempt followed a failed one: the brake that said no, in the order of asking."""

    OWN_FAULT = 0  # the caller's, or declared to be no news: to repeat it would not help
    NOT_REPEATABLE = 1  # not declared idempotent, without a key, or a probe
    CIRCUIT = 2  # it opened meanwhile
    ATTEMPTS = 3  # all that are allowed were made
    RETRY_AFTER = 4  # the target asked for a longer pause than is worth waiting
    DEADLINE = 5
    BUDGET = 6


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

    if TYPE_CHECKING:
        latencies_ms: deque[float]  # of attempts, oldest first
    else:

        def __getattr__(self, name: str) -> deque[float]:
            """Make the latencies at their first use: even an empty deque weighs more than a target."""
            if name != "latencies_ms":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.latencies_ms = deque(maxlen=LATENCIES_MAX)
            return self.latencies_ms

    def count(self, first: Outcome | None, last: Outcome | None, attempts: int) -> None:
        """Count a call that is over, with the outcome of its first and last attempt."""
        self.requests += 1
        self.retries += attempts - 1
        if first == Outcome.TIMEOUT:
            self.timeouts += 1
        elif first == Outcome.THROTTLE:
            self.throttles += 1
        elif first == Outcome.ERROR_FAST:
            self.errors_fast += 1
        if last == Outcome.PERMANENT:
            self.errors_permanent += 1
        elif last is not None and Outcome.SUCCESS < last < Outcome.PERMANENT:
            self.request_failures += 1

    @property
    def empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.requests or self.short_circuited or self.fallbacks or self.latencies_ms)
