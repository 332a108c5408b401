"""Powertools' circuit breaker over a store in memory: the reference of two benchmarks.

The breaker is the installed one, unchanged; only its store is ours, because a
benchmark must not time a network. The conditions are those of the DynamoDB
store it ships with: opening and closing are unconditional, the election of the
prober is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from aws_lambda_powertools.utilities.circuit_breaker.persistence.base import (
    CircuitBreakerExistingLockError,
    CircuitBreakerPersistenceLayer,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.record import CircuitStateRecord
from aws_lambda_powertools.utilities.circuit_breaker.states import CircuitState

Items = dict[str, CircuitStateRecord]


class MemoryPersistence(CircuitBreakerPersistenceLayer):
    """A store in a dict, which several layers (one per environment) may share."""

    def __init__(self, items: Items | None = None, *, now_s: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.items: Items = {} if items is None else items
        self.reads = 0
        self._now_s = now_s

    def _get_record(self, name: str) -> CircuitStateRecord | None:
        self.reads += 1
        return self.items.get(name)

    def _put_record(
        self,
        record: CircuitStateRecord,
        condition: str | None = None,
        expected_opened_at: int | None = None,
    ) -> None:
        if condition == "half_open" and not self._may_probe(record.name, expected_opened_at):
            raise CircuitBreakerExistingLockError
        self.items[record.name] = record

    def _may_probe(self, name: str, opened_at: int | None) -> bool:
        """Open, of the opening that was seen, and without a prober; or its prober's lease has ended."""
        stored = self.items.get(name)
        if stored is None:
            return False
        if stored.state == CircuitState.OPEN and stored.half_open_owner is None:
            return opened_at is None or stored.opened_at == opened_at
        lease = stored.probe_lease_expiry
        return stored.state == CircuitState.HALF_OPEN and lease is not None and lease <= int(self._now_s())

    def _update_record(self, record: CircuitStateRecord) -> None:
        # The record carries neither owner nor lease: leaving HALF_OPEN frees both.
        self.items[record.name] = record
