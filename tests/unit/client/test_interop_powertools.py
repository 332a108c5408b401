"""The installed Powertools breaker with thresholds that change while it runs."""

from __future__ import annotations

from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerPersistenceLayer

from flyball.contract import DEFAULT_PARAMS, BreakerParams, Document
from flyball.errors import SettingsError
from flyball.interop.powertools import live_config
from unit.client.support import PaymentError, ScriptedReads, World


class Memory(CircuitBreakerPersistenceLayer):
    """Powertools' store, in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Any] = {}

    def _get_record(self, name: str) -> Any:
        return self.records.get(name)

    def _put_record(self, record: Any, condition: Any = None, expected_opened_at: Any = None) -> None:
        self.records[record.name] = record

    def _update_record(self, record: Any) -> None:
        self.records[record.name] = record


def breaker(**fields: Any) -> Any:
    return DEFAULT_PARAMS._replace(breaker=BreakerParams(**fields))


def document(revision: int, **fields: Any) -> Document:
    return Document(revision, "", "", {"t": breaker(**fields)})


def test_a_running_breaker_obeys_the_newest_document():
    """18 in a row by default; two from the document that arrives after ten seconds on."""
    reads = ScriptedReads(None, document(1, failure_ratio=0.5, min_calls=3))
    world = World(documents=reads)

    @circuit_breaker("live-threshold", Memory(), config=live_config(world.target(), cache_age_s=0))
    def call() -> None:
        raise PaymentError

    for _ in range(17):
        with pytest.raises(PaymentError):
            call()
    world.clock.pass_s(11.0)
    with pytest.raises(PaymentError):
        call()  # the 18th in a row, and more than two
    with pytest.raises(CircuitBreakerOpenError):
        call()
    assert reads.reads == 2, "read once per age, not per call"


def test_everything_that_powertools_reads_per_call_is_live():
    """Ratio and count as one number, rounded up; seconds rounded up; the rest as it is."""
    world = World()
    config = live_config(world.target())
    assert (config.failure_threshold, config.recovery_timeout, config.success_threshold) == (18, 30, 3)
    params = breaker(failure_ratio=0.55, min_calls=100, open_s=0.4, close_after=7)
    world.runtime.targets["t"].apply_params(params, 1)
    assert (config.failure_threshold, config.recovery_timeout, config.success_threshold) == (55, 1, 7)
    world.runtime.targets["t"].apply_params(breaker(failure_ratio=0.05, min_calls=1, open_s=1.2), 2)
    assert (config.failure_threshold, config.recovery_timeout) == (1, 2)


def test_failures_are_what_the_target_says():
    """Time-outs and errors; neither throttles nor the caller's own bugs."""
    world = World()
    config = live_config(world.target(ignore=LookupError))

    class ThrottledError(Exception):
        response = {"ResponseMetadata": {"HTTPStatusCode": 429}}  # noqa: RUF012 - as botocore carries it

    counted = [
        PaymentError(),
        TimeoutError(),
        ConnectionError(),
        ThrottledError(),
        KeyError("bug"),
        ValueError(),
    ]
    assert [config.counts_as_failure(error) for error in counted] == [True, True, True, False, False, False]


def test_switched_off_nothing_is_read():
    """The first emergency exit also ends our reads."""
    reads = ScriptedReads(document(1, open_s=5.0))
    world = World(documents=reads, off=True)
    assert live_config(world.target()).recovery_timeout == 30
    assert reads.reads == 0


def test_the_configuration_has_every_attribute_that_powertools_own_one_has():
    """A new Powertools that reads one more must be noticed here, not in a function."""
    ours = live_config(World().target(), cache_age_s=9)
    known = {"handled_exceptions", "ignored_exceptions"}  # read by its own counts_as_failure alone
    for name in vars(CircuitBreakerConfig()).keys() - known:
        assert isinstance(getattr(ours, name), int), name
    assert ours.local_cache_max_age == 9


def test_a_negative_cache_age_is_refused():
    """Powertools would refuse it as well, in its own configuration."""
    with pytest.raises(SettingsError) as caught:
        live_config(World().target(), cache_age_s=-1)
    assert caught.value.field == "cache_age_s"
