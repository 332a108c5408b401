"""Real boto3 clients that obey a target, against a server on loopback that misbehaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, RetryParams
from flyball.errors import CircuitOpenError, DeadlineExceeded, SettingsError
from flyball.interop.botocore import obey
from flyball_local.loopback import HttpReply, LoopbackServer
from unit.client.boto_world import (
    BUSY,
    DENIED,
    DOWN,
    GENEROUS,
    GOOD,
    JSON,
    MODES,
    RESET,
    BotoWorld,
    Server,
    client,
)


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    server = Server()
    with LoopbackServer(server.respond) as loopback:
        server.url = loopback.url
        yield server


@pytest.fixture
def server(listening: Server) -> Server:
    """One server for all tests, begun anew for each."""
    listening.script = [GOOD]
    listening.requests = []
    return listening


@MODES
def test_a_call_is_repeated_by_the_targets_ladder_and_not_by_the_sdks(server: Server, mode: str):
    """Four attempts where legacy would make ten and standard four with its own waits; counted once."""
    world = BotoWorld()
    server.script = [DOWN]
    with obey(client(server, mode=mode), world.handle), pytest.raises(ClientError) as caught:
        client(server, mode=mode).list_tables()
    assert caught.value.response["Error"]["Code"] == "InternalServerError"
    assert server.attempts == 4
    assert world.clock.sleeps == [0.05, 0.1, 0.2]
    assert world.counted() == (1, 3, 1)
    assert (world.counters.errors_fast, len(world.counters.latencies_ms)) == (1, 4)


@MODES
def test_a_call_that_recovers_is_one_good_call(server: Server, mode: str):
    """The answer is the service's, untouched (K8)."""
    world = BotoWorld()
    server.script = [DOWN, RESET, GOOD]
    with obey(client(server, mode=mode), world.handle):
        reply = client(server, mode=mode).list_tables()
    assert reply["TableNames"] == ["a"]
    assert reply["ResponseMetadata"]["RetryAttempts"] == 2
    assert (server.attempts, *world.counted()) == (3, 1, 2, 0)


@MODES
def test_a_connection_that_is_cut_is_an_error_of_the_target(server: Server, mode: str):
    """Also in legacy mode, whose own handler would raise it by itself."""
    world = BotoWorld(GENEROUS._replace(retry=RetryParams(max_attempts=2, budget_ratio=3.0)))
    server.script = [RESET]
    with obey(client(server, mode=mode), world.handle), pytest.raises(ConnectionClosedError):
        client(server, mode=mode).list_tables()
    assert (server.attempts, *world.counted(), world.counters.errors_fast) == (2, 1, 1, 1, 1)


def test_the_budget_is_one_for_all_clients_of_the_target(server: Server):
    """First credit 1 and 0.2 per call: three failing calls of two services get one retry between them."""
    world = BotoWorld(DEFAULT_PARAMS)
    server.script = [DOWN]
    table, queue = client(server), client(server, "sqs")
    with obey(table, world.handle), obey(queue, world.handle):
        for call in (table.list_tables, queue.list_queues, table.list_tables):
            with pytest.raises(ClientError):
                call()
    assert (server.attempts, *world.counted()) == (4, 3, 1, 3)


def test_nothing_reaches_the_server_while_the_circuit_is_open(server: Server):
    """The refusal is ours, and one that call sites of the SDK know."""
    world = BotoWorld()
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    with obey(client(server), world.handle):
        with pytest.raises(CircuitOpenError) as caught:
            client(server).list_tables()
        with pytest.raises(ClientError):
            client(server).list_tables()
    refused: Any = caught.value
    assert (server.attempts, world.counters.short_circuited) == (0, 2)
    assert (refused.target, refused.operation_name) == ("t", "ListTables")
    assert refused.response["Error"]["Code"] == "CircuitOpenError"
    assert "HTTPStatusCode" not in refused.response["ResponseMetadata"], "no answer came"
    assert str(refused) == "'t' was not called: its circuit is open"
    assert refused.retry_after_s >= 0.0


def test_failures_open_the_local_circuit_and_end_the_retries(server: Server):
    """What a client reports counts like what a guard reports."""
    world = BotoWorld(GENEROUS._replace(breaker=BreakerParams(min_calls=1)))
    server.script = [DOWN]
    with obey(client(server), world.handle):
        with pytest.raises(ClientError):
            client(server).list_tables()
        with pytest.raises(CircuitOpenError):
            client(server).list_tables()
    assert server.attempts == 1


def test_a_throttled_call_waits_as_long_as_it_is_told(server: Server):
    """Retry-After of 2 s, and half of the longer base on top."""
    world = BotoWorld()
    server.script = [BUSY, GOOD]
    with obey(client(server), world.handle):
        client(server).list_tables()
    assert world.clock.sleeps == [2.5]
    assert (world.counters.throttles, world.counters.errors_fast) == (1, 0)


def test_the_callers_own_faults_are_not_repeated(server: Server):
    """Access denied is nobody's outage."""
    world = BotoWorld()
    server.script = [DENIED]
    with obey(client(server), world.handle), pytest.raises(ClientError):
        client(server).list_tables()
    assert (server.attempts, *world.counted(), world.counters.errors_permanent) == (1, 1, 0, 0, 1)


def test_modelled_exceptions_can_be_declared(server: Server):
    """`on` and `ignore` see the class that the caller sees."""
    world = BotoWorld()
    kinds = client(server).exceptions
    for declared, counted in (({"on": kinds.ResourceInUseException}, 4), ({"ignore": ClientError}, 1)):
        server.requests.clear()
        server.script = [HttpReply(400, b'{"__type":"ResourceInUseException"}', JSON)]
        handle = world.target(**{"on": (), **declared})
        with obey(client(server), handle), pytest.raises(kinds.ResourceInUseException):
            client(server).list_tables()
        assert server.attempts == counted


@pytest.mark.parametrize(
    ("idempotent", "attempts"),
    [(None, 1), (False, 1), (True, 2), (("ListTables",), 2), (("GetItem",), 1), ("ListTables", 2)],
)
def test_nothing_is_repeated_unless_declared(server: Server, idempotent: Any, attempts: int):
    """K9: the SDK repeats everything; a target does not."""
    world = BotoWorld()
    careful = world.target(on=(), idempotent=False)
    server.script = [DOWN, DENIED]
    with obey(client(server), careful, idempotent=idempotent), pytest.raises(ClientError):
        client(server).list_tables()
    assert server.attempts == attempts


def test_an_unknown_operation_is_named(server: Server):
    """With what was probably meant; and the client stays as it was."""
    with pytest.raises(SettingsError, match="'GetItem'") as caught:
        obey(client(server), BotoWorld().handle, idempotent=["GetItems"])
    assert caught.value.field == "idempotent"
    with pytest.raises(SettingsError):
        obey(client(server), BotoWorld().handle, idempotent=["Zzz"])
    obey(client(server), BotoWorld().handle).release()


# --- time -------------------------------------------------------------------------------


class RealTime:
    """The wall and monotonic clock; waits are skipped."""

    wall_s = staticmethod(time.time)
    monotonic_s = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.sleep = self.sleeps.append

    def draw(self) -> float:
        return 0.5


def real_time(world: BotoWorld) -> BotoWorld:
    world.runtime.clock = RealTime()
    world.runtime.sleep = world.runtime.clock.sleep
    return world


def test_a_hanging_server_is_given_up_at_the_deadline(server: Server):
    """The client would wait five seconds; the invocation has a fifth of one, and then no time for a retry."""
    world = real_time(BotoWorld())
    server.script = [0.6]
    world.runtime.deadline_s = time.time() + 0.2
    begun_s = time.monotonic()
    with obey(client(server), world.handle), pytest.raises(ReadTimeoutError):
        client(server).list_tables()
    assert time.monotonic() - begun_s < 0.5
    assert (server.attempts, world.counters.timeouts, *world.counted()) == (1, 1, 1, 0, 1)


def test_attempts_keep_to_the_targets_time_out_if_asked_to(server: Server):
    """100 ms, three times as long for the first of a cold environment; the client's own five seconds else."""
    params = GENEROUS._replace(retry=RetryParams(attempt_timeout_ms=100, budget_ratio=3.0, max_attempts=2))
    world = real_time(BotoWorld(params))
    server.script = [0.5, 0.5, GOOD]
    with obey(client(server), world.handle, timeouts=True), pytest.raises(ReadTimeoutError):
        client(server).list_tables()
    first_ms, second_ms = world.counters.latencies_ms
    assert 290 <= first_ms < 480
    assert 90 <= second_ms < 290
    with obey(client(server), world.handle):
        assert client(server).list_tables()["TableNames"] == ["a"]


def test_a_call_without_time_is_not_made(server: Server):
    """Remaining time 0 is a value."""
    world = BotoWorld()
    world.runtime.deadline_s = world.clock.wall_s()
    with obey(client(server), world.handle), pytest.raises(DeadlineExceeded):
        client(server).list_tables()
    assert server.attempts == 0


ANSWERS = st.sampled_from([GOOD, DOWN, BUSY, DENIED, RESET])


@given(
    script=st.lists(ANSWERS, min_size=1, max_size=12),
    ratio=st.sampled_from([0.0, 0.2, 1.0]),
    attempts=st.integers(1, 4),
    mode=st.sampled_from(["legacy", "standard"]),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_attempts_never_exceed_ladder_and_budget(server: Server, script, ratio, attempts, mode):
    """K9, at the server: per call the ladder; in all (1 + ratio) x offered and the first credit."""
    params = RetryParams(max_attempts=attempts, budget_ratio=ratio)
    world = BotoWorld(GENEROUS._replace(retry=params))
    server.requests.clear()
    server.script = [*script, GOOD]
    calls = 6
    with obey(client(server, mode=mode), world.handle):
        for _ in range(calls):
            before = server.attempts
            try:
                client(server, mode=mode).list_tables()
            except (ClientError, ConnectionClosedError):
                assert server.attempts > before
            assert server.attempts - before <= attempts
    assert server.attempts <= calls + ratio * calls + 1
    world.runtime.flush()  # waits are long enough for flushes in between
    totals = [json.loads(line) for line in world.lines]
    assert sum(total.get("requests", 0) for total in totals) == calls
    assert sum(total.get("attempts", 0) for total in totals) == server.attempts
