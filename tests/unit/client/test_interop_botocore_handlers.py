"""An obedient client beside other handlers, interrupted, and let go."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.stub import Stubber

from flyball.contract import DEFAULT_PARAMS, BulkheadParams, CircuitState, RetryParams
from flyball.errors import FlyballWarning, SettingsError
from flyball.extent import invocation
from flyball.interop.botocore import obey
from flyball_local.loopback import HttpReply, LoopbackServer
from unit.client.boto_world import (
    DENIED,
    DOWN,
    GENEROUS,
    GOOD,
    MODES,
    RESET,
    BotoWorld,
    Server,
    client,
)
from unit.client.support import circuit


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


def test_redirects_are_the_sdks_and_are_no_retries(server: Server):
    """S3 asks the right region by itself: one call, no budget, no failure."""
    world = BotoWorld(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1)))
    elsewhere = HttpReply(301, b"", {"x-amz-bucket-region": "eu-west-1"})
    server.script = [elsewhere, HttpReply(200)]
    bucket = client(server, "s3")
    with obey(bucket, world.handle):
        bucket.delete_object(Bucket="b", Key="k")
    assert server.attempts == 2
    assert (world.counted(), world.counters.errors_permanent) == ((1, 0, 0), 0)


def test_an_error_in_a_good_answer_is_an_error(server: Server):
    """S3 may say 200 and then report that it failed."""
    world = BotoWorld()
    error = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>x</Message></Error>'
    good = b'<?xml version="1.0"?><CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>'
    server.script = [HttpReply(200, error), HttpReply(200, good)]
    bucket = client(server, "s3")
    with obey(bucket, world.handle):
        bucket.copy_object(Bucket="b", Key="k", CopySource="b/k")
    assert (server.attempts, *world.counted(), world.counters.errors_fast) == (2, 1, 1, 0, 1)


def test_a_call_that_a_stubber_answers_is_not_counted(server: Server):
    """Nothing was asked of the target."""
    world = BotoWorld()
    with obey(client(server), world.handle), Stubber(client(server)) as stub:
        stub.add_response("list_tables", {"TableNames": []})
        client(server).list_tables()
    assert world.counted() == (0, 0, 0)


def test_a_call_that_another_handler_answers_is_not_counted(server: Server):
    """A cache, registered as plainly as anybody would: whoever answers comes before the gate."""
    world = BotoWorld()
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    events = client(server).meta.events

    def cached(**_: object) -> Any:
        return AWSResponse("", 200, {}, None), {"TableNames": ["cached"]}

    with obey(client(server), world.handle):
        events.register("before-call", cached)
        try:
            assert client(server).list_tables() == {"TableNames": ["cached"]}
        finally:
            events.unregister("before-call", cached)
    assert (world.counted(), world.counters.short_circuited) == ((0, 0, 0), 0)


def broken_body(server: Server) -> Callable[[], Any]:
    """A body that can be sent once: the second attempt cannot be made."""

    class Once(BytesIO):
        def seek(self, *place: int) -> int:
            if server.attempts:
                raise OSError("gone")
            return super().seek(*place)

    return lambda: client(server, "s3").put_object(Bucket="b", Key="k", Body=Once(b"body"))


def test_a_retry_that_cannot_be_sent_is_no_attempt(server: Server):
    """Counted are the attempts that were made."""
    world = BotoWorld()
    server.script = [DOWN]
    with obey(client(server, "s3"), world.handle), pytest.raises(Exception, match="stream"):
        broken_body(server)()
    assert server.attempts == 1
    assert (world.counters.requests, world.counters.retries, world.counters.errors_fast) == (1, 0, 1)


class InTheWayError(Exception):
    """Another handler's fault."""


def test_a_fault_of_another_handler_is_not_the_targets(server: Server):
    """It is raised on the way out, and counted as nobody's outage."""
    world = BotoWorld()
    events = client(server).meta.events

    def fail(**_: object) -> None:
        raise InTheWayError

    for event, counted in (("before-send", 1), ("request-created.dynamodb", 1)):
        events.register(event, fail)
        try:
            with obey(client(server), world.handle), pytest.raises(InTheWayError):
                client(server).list_tables()
        finally:
            events.unregister(event, fail)
        assert (world.counters.requests, world.counters.errors_permanent) == (counted, counted)
    assert world.counters.request_failures == 0
    assert server.attempts == 0


def test_an_exhausted_call_that_another_handler_repeats_is_theirs(server: Server):
    """Whoever answers needs-retry before us takes the attempt upon himself."""
    world = BotoWorld(GENEROUS._replace(retry=RetryParams(max_attempts=1)))
    server.script = [DOWN, DOWN, GOOD]
    events = client(server).meta.events

    def again(response: Any, **_: object) -> int | None:
        return 0 if response[0].status_code >= 500 else None

    events.register("needs-retry", again)
    try:
        with obey(client(server), world.handle):
            client(server).list_tables()
    finally:
        events.unregister("needs-retry", again)
    assert (server.attempts, *world.counted()) == (3, 1, 0, 1)


def test_a_failure_of_the_answers_own_is_reported_at_the_end(server: Server):
    """A handler that turns a good answer into a failure, after the last word on retries."""
    world = BotoWorld()
    events = client(server).meta.events

    def spoil(http_response: Any, parsed: Any, **_: object) -> None:
        http_response.status_code = parsed["ResponseMetadata"]["HTTPStatusCode"] = 503

    events.register_first("after-call", spoil)
    try:
        with obey(client(server), world.handle), pytest.raises(ClientError):
            client(server).list_tables()
    finally:
        events.unregister("after-call", spoil)
    assert (world.counters.requests, world.counters.retries, world.counters.errors_fast) == (1, 0, 1)


@pytest.mark.parametrize("broken_off", [KeyboardInterrupt, SystemExit])
def test_a_call_that_is_broken_off_gives_its_slot_back(server: Server, broken_off: type[BaseException]):
    """K7: the SDK tells nobody of an interrupt."""
    world = BotoWorld()
    world.handle.target.apply_circuit(circuit(CircuitState.HALF_OPEN, close_after=1, probe_ratio=1.0))
    events = client(server).meta.events

    def interrupt(**_: object) -> None:
        raise broken_off

    with obey(client(server), world.handle):
        events.register("before-send", interrupt)
        try:
            with pytest.raises(broken_off):
                client(server).list_tables()
        finally:
            events.unregister("before-send", interrupt)
        client(server).list_tables()
    assert world.counted() == (1, 0, 0)
    assert world.handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_a_call_granted_a_retry_that_nobody_makes_gives_its_place_back(server: Server):
    """The bulkhead has one place: it would be lost with the call."""
    world = BotoWorld(GENEROUS._replace(bulkhead=BulkheadParams(max_concurrent=1)))
    events = client(server).meta.events
    spoilt: list[Any] = []

    def spoil(http_response: Any, parsed: Any, context: Any, **_: object) -> None:
        http_response.status_code = parsed["ResponseMetadata"]["HTTPStatusCode"] = 503
        spoilt.append(context)  # whoever keeps the context keeps the call from being forgotten

    with obey(client(server), world.handle):
        events.register_first("after-call", spoil)
        try:
            with pytest.raises(ClientError):
                client(server).list_tables()
        finally:
            events.unregister("after-call", spoil)
        assert client(server).list_tables()["TableNames"] == ["a"]
    assert len(spoilt) == 1


def test_our_own_repetitions_are_not_taken_for_the_sdks(server: Server):
    """A warning of stacked retries would be an error here."""
    world = BotoWorld()
    server.script = [DOWN, DENIED]
    with obey(client(server), world.handle), pytest.raises(ClientError) as caught:
        client(server).list_tables()
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 1


def test_a_call_that_is_broken_off_later_counts_the_attempts_that_ended(server: Server):
    """The server has felt them."""
    world = BotoWorld()
    server.script = [DOWN]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    world.runtime.sleep = interrupt
    with obey(client(server), world.handle), pytest.raises(KeyboardInterrupt):
        client(server).list_tables()
    counters = world.counters
    assert (counters.requests, counters.retries, counters.errors_fast) == (1, 0, 1)


# --- being let go -----------------------------------------------------------------------

EVENTS = ("before-call", "request-created", "needs-retry", "after-call", "after-call-error")


def handlers(some_client: Any) -> list[list[Any]]:
    service = some_client.meta.service_model.service_id.hyphenize()
    trie = some_client.meta.events._emitter._handlers
    return [list(trie.prefix_search(f"{event}.{service}.Operation")) for event in EVENTS]


@pytest.mark.parametrize("service", ["dynamodb", "s3", "sqs", "lambda"])
@MODES
def test_release_restores_the_client_exactly(server: Server, service: str, mode: str):
    """The same handlers in the same order; once more changes nothing."""
    some_client = client(server, service, mode)
    before = handlers(some_client)
    held = obey(some_client, BotoWorld().handle)
    assert handlers(some_client) != before
    held.release()
    held.release()
    assert handlers(some_client) == before


def test_a_released_client_repeats_by_itself_again(server: Server, monkeypatch: pytest.MonkeyPatch):
    """Its own four attempts, waiting its own way, and none of it is counted."""
    monkeypatch.setattr("botocore.endpoint.time", type("Time", (), {"sleep": staticmethod(lambda _: None)}))
    world = BotoWorld()
    obey(client(server), world.handle).release()
    server.script = [DOWN]
    with pytest.raises(ClientError):
        client(server).list_tables()
    assert (server.attempts, world.counted()) == (4, (0, 0, 0))


def test_switched_off_the_sdk_repeats_as_if_we_were_not_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    """The first emergency exit."""
    monkeypatch.setattr("botocore.endpoint.time", type("Time", (), {"sleep": staticmethod(lambda _: None)}))
    world = BotoWorld(off=True)
    server.script = [DOWN, GOOD]
    with obey(client(server), world.handle):
        client(server).list_tables()
        server.script = [RESET]
        with pytest.raises(ConnectionClosedError):
            client(server).list_tables()
    assert (server.attempts, world.counted(), world.clock.sleeps) == (2 + 4, (0, 0, 0), [])


def test_a_client_obeys_one_target_at_a_time(server: Server):
    """Two would repeat each other's attempts."""
    with obey(client(server), BotoWorld().handle):
        with pytest.raises(SettingsError) as caught:
            obey(client(server), BotoWorld().handle)
        assert caught.value.field == "client"


def test_threads_share_a_client_and_every_call_is_counted_once(server: Server):
    """boto3's clients are made for it."""
    world = BotoWorld()
    with obey(client(server), world.handle), ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: client(server).list_tables()["TableNames"], range(40)))
    assert replies == [["a"]] * 40
    assert (server.attempts, *world.counted()) == (40, 40, 0, 0)


def test_a_client_in_adaptive_mode_is_told_of_its_own_brake(server: Server):
    """The SDK's rate limiter stays: it waits before attempts, for seconds, and knows no deadline."""
    world = BotoWorld()
    with pytest.warns(FlyballWarning, match="adaptive mode obeys 't'.*retries=.*standard"):
        obey(client(server, mode="adaptive"), world.handle).release()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        obey(client(server, mode="adaptive"), world.handle).release()
        obey(client(server, mode="standard"), BotoWorld().handle).release()
    assert said == []


def test_without_a_deadline_the_read_time_out_is_the_clients_own(server: Server):
    """An invocation without a context has endless time, which is no number for a socket."""
    server.script = [GOOD]
    world = BotoWorld()
    with obey(client(server), world.handle), invocation(None, within=world.runtime):
        client(server).list_tables()
        assert world.counted() == (1, 0, 0)
