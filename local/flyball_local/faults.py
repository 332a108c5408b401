"""What an emulated store may do wrong on request: a queue of faults, each for the next few calls.

Deterministic by construction: a fault names how many calls it hits and which
operations, and is used up in the order it was asked for. Scenario generators
draw these numbers from their seed; nothing here is random.

The kinds are those of a networked store: refusal (throttle, server error),
an effect whose reply is lost, a slow answer, and a read that is behind.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from threading import Lock


class FaultKind(Enum):
    """How a call goes wrong."""

    THROTTLE = "throttle"
    SERVER_ERROR = "server_error"
    LOST_REPLY = "lost_reply"
    SLOW = "slow"
    STALE_READ = "stale_read"


class Fault:
    """One standing order: the next `calls` calls of `operations` (None = any) suffer `kind`."""

    __slots__ = ("calls", "kind", "operations", "value")

    def __init__(
        self, kind: FaultKind, calls: int, operations: Collection[str] | None, value: float = 0.0
    ) -> None:
        if calls < 1:
            raise ValueError(f"calls={calls} must be at least 1: a fault that hits no call changes nothing")
        self.kind = kind
        self.calls = calls
        self.operations = None if operations is None else frozenset(operations)
        self.value = value


class FaultQueue:
    """Standing orders in the order given; each call takes at most one.

    >>> faults = FaultQueue()
    >>> faults.throttle(1, operations=("PutItem",))
    >>> faults.take("GetItem"), faults.take("PutItem").kind, faults.take("PutItem")
    (None, <FaultKind.THROTTLE: 'throttle'>, None)
    """

    def __init__(self) -> None:
        self._orders: list[Fault] = []
        self._lock = Lock()

    def throttle(self, calls: int, *, operations: Collection[str] | None = None) -> None:
        """Refuse the next `calls` calls with ProvisionedThroughputExceededException; nothing is done."""
        self._add(Fault(FaultKind.THROTTLE, calls, operations))

    def server_error(self, calls: int, *, operations: Collection[str] | None = None) -> None:
        """Answer the next `calls` calls with a 500; nothing is done."""
        self._add(Fault(FaultKind.SERVER_ERROR, calls, operations))

    def lose_reply(self, calls: int, *, operations: Collection[str] | None = None) -> None:
        """Do what the next `calls` calls ask, then let the caller wait for its read time-out."""
        self._add(Fault(FaultKind.LOST_REPLY, calls, operations))

    def slow(self, calls: int, *, delay_s: float, operations: Collection[str] | None = None) -> None:
        """Answer the next `calls` calls `delay_s` seconds late; a caller with less patience times out."""
        if not delay_s > 0.0:
            raise ValueError(f"delay_s={delay_s} must be above 0: a delay of nothing changes nothing")
        self._add(Fault(FaultKind.SLOW, calls, operations, delay_s))

    def stale_reads(self, calls: int, *, versions: int = 1) -> None:
        """Let the next `calls` eventual reads (GetItem, BatchGetItem) see items `versions` writes behind."""
        if versions < 1:
            raise ValueError(f"versions={versions} must be at least 1: the newest version is no fault")
        self._add(Fault(FaultKind.STALE_READ, calls, None, float(versions)))

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    def take(self, operation: str, *, eventual: bool = False) -> Fault | None:
        """Return the oldest order that hits this call and use up one of its calls; None if it goes well.

        Args:
            operation: Name in the service model, e.g. "PutItem".
            eventual: The call is a read that did not ask for strong consistency.
        """
        if not self._orders:  # the usual case, without the lock
            return None
        with self._lock:
            for order in self._orders:
                if order.kind is FaultKind.STALE_READ and not eventual:
                    continue
                if order.operations is not None and operation not in order.operations:
                    continue
                order.calls -= 1
                if order.calls == 0:
                    self._orders.remove(order)
                return order
        return None

    def _add(self, order: Fault) -> None:
        with self._lock:
            self._orders.append(order)
