"""Faults on purpose where no function is decorated: permits, loops of attempts, an SDK client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball.contract import DEFAULT_PARAMS, CircuitState, RetryParams
from flyball.errors import CircuitOpenError
from flyball.faults import NOTE, InjectedThrottle, inject
from flyball.interop.botocore import obey
from flyball.testing import controlled_clock
from flyball_local.loopback import LoopbackServer
from unit.client.boto_world import BotoWorld, Server, client
from unit.client.letters_world import AsyncDesk, Desk
from unit.client.support import World

GENEROUS = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0))
FORMS = ["plain", "async"]
BOTH = pytest.mark.parametrize("form", FORMS)


class FaultyWorld(World):
    """A target with budget to spare, and blocks that note what they were given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.handle = self.target()
        self.handle.target.apply_params(GENEROUS, 1)
        self.runtime.async_sleep = self.clock.sleep
        self.blocks: list[int] = []

    def permit(self, form: str, **options: Any) -> None:
        def block() -> None:
            self.blocks.append(1)

        if form == "plain":
            with self.handle.permit(**options) as permit:
                block()
                permit.success()
            return

        async def awaited() -> None:
            async with self.handle.permit(**options) as permit:
                block()
                permit.success()

        asyncio.run(awaited())

    def loop(self, form: str, **options: Any) -> None:
        if form == "plain":
            for attempt in self.handle.attempts(**options):
                with attempt:
                    self.blocks.append(attempt.number)
            return

        async def awaited() -> None:
            async for attempt in self.handle.attempts(**options):
                async with attempt:
                    self.blocks.append(attempt.number)

        asyncio.run(awaited())


@BOTH
def test_a_permit_meets_its_fault_at_the_begin(form):
    """Counted as the target's failure; the block is not entered, as it would have failed there."""
    world = FaultyWorld()
    with inject(world.handle, error=ConnectionError) as injection, pytest.raises(ConnectionError) as caught:
        world.permit(form)
    assert caught.value.__notes__ == [NOTE]
    assert injection.count == 1
    assert world.blocks == []
    assert (world.counters.requests, world.counters.errors_fast) == (1, 1)
    world.permit(form)
    assert world.blocks == [1]
    assert world.counters.requests == 2


def test_an_acquired_permit_meets_its_fault_there():
    """Code without a block fails where it would have waited for nothing."""
    world = FaultyWorld()
    with inject(world.handle, throttle=5), pytest.raises(InjectedThrottle):
        world.handle.acquire()
    assert world.counters.throttles == 1


@BOTH
def test_a_late_answer_is_counted_as_late(form):
    """The block runs after the pause; a second is less than a new environment's first attempt may take."""
    world = FaultyWorld()
    with inject(world.handle, latency_s=1.0):
        world.permit(form)
        world.loop(form)
    assert world.clock.sleeps == [1.0, 1.0]
    assert list(world.counters.latencies_ms) == pytest.approx([1_000.0, 1_000.0])
    assert world.blocks == [1, 1]


@BOTH
def test_blocks_keep_to_their_time(form):
    """An answer that would come after `timeout_s` (3 s while cold) is a time-out then."""
    world = FaultyWorld()
    with inject(world.handle, latency_s=60.0), pytest.raises(TimeoutError):
        world.permit(form)
    assert world.clock.sleeps == [3.0]
    assert world.counters.timeouts == 1


@BOTH
def test_a_loop_makes_the_faulty_attempts_itself_and_hands_out_the_first_that_is_well(form):
    """Three faults of four, then the block with number 4; the waits and counts of a real outage."""
    world = FaultyWorld()
    with inject(world.handle, error=ConnectionError, ratio=0.5) as injection:
        draws = iter([0.0, 0.0, 0.0, 0.9])
        injection._draw = lambda: next(draws)
        world.loop(form)
    assert world.blocks == [4]
    assert world.clock.sleeps == [0.05, 0.1, 0.2]
    assert (world.counters.requests, world.counters.retries, world.counters.request_failures) == (1, 3, 0)


@BOTH
def test_a_loop_of_faults_ends_with_the_last_error(form):
    """Out of the `for`, since no block was entered; four attempts were made."""
    world = FaultyWorld()
    with inject(world.handle, error=ConnectionError) as injection, pytest.raises(ConnectionError):
        world.loop(form)
    assert injection.count == 4
    assert world.blocks == []
    assert (world.counters.requests, world.counters.retries, world.counters.request_failures) == (1, 3, 1)


@BOTH
@pytest.mark.parametrize("what", ["permit", "loop"])
def test_what_faults_end_is_a_dead_letter_like_any_other(form, what):
    """An experiment that shows whether letters are kept."""
    world, desk = FaultyWorld(), Desk() if form == "plain" else AsyncDesk()
    with inject(world.handle, error=ConnectionError), pytest.raises(ConnectionError):
        getattr(world, what)(form, dead_letter=desk, payload=7)
    assert [(letter.payload, letter.attempts) for letter in desk.letters] == [
        (7, 1 if what == "permit" else 4)
    ]


@BOTH
@pytest.mark.parametrize("what", ["permit", "loop"])
def test_a_call_that_is_not_made_meets_no_fault(form, what):
    """Refused before it could; and the fault is not counted."""
    world = FaultyWorld()
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    with inject(world.handle, error=ConnectionError) as injection, pytest.raises(CircuitOpenError):
        getattr(world, what)(form)
    assert injection.count == 0


@BOTH
@pytest.mark.parametrize("what", ["permit", "loop"])
def test_faults_of_other_targets_and_of_switched_off_runtimes_are_none(form, what):
    """Nothing is guarded then, or it is not meant."""
    world = FaultyWorld()
    with inject("another", error=ConnectionError, within=world.runtime):
        getattr(world, what)(form)
    off = FaultyWorld(off=True)
    with inject(off.handle, error=ConnectionError):
        getattr(off, what)(form)
    assert (world.blocks, off.blocks) == ([1], [1])


def test_tasks_wait_for_their_faults_side_by_side():
    """An asynchronous permit must not stop its loop: two waits of a second take one."""
    world = FaultyWorld()

    async def both() -> None:
        async def one() -> None:
            async with world.handle.permit() as permit:
                permit.success()

        await asyncio.gather(one(), one())

    with controlled_clock(within=world.runtime) as clock, inject(world.handle, latency_s=1.0):
        began_s = clock.monotonic_s()
        asyncio.run(both())
        assert clock.monotonic_s() - began_s == pytest.approx(1.0)


# --- an SDK client ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    server = Server()
    with LoopbackServer(server.respond) as loopback:
        server.url = loopback.url
        yield server


@pytest.fixture
def server(listening: Server) -> Server:
    listening.requests = []
    return listening


def test_an_obeying_client_meets_faults_instead_of_its_service(server: Server):
    """Nothing is sent, and the ladder of the target repeats it; without faults it is sent again."""
    world = BotoWorld()
    with obey(client(server), world.handle):
        with inject(world.handle, error=ConnectionError) as injection, pytest.raises(ConnectionError):
            client(server).list_tables()
        assert server.attempts == 0
        assert injection.count == 4
        assert world.counted() == (1, 3, 1)
        assert client(server).list_tables()["TableNames"] == ["a"]
        assert server.attempts == 1


def test_an_injected_throttle_is_the_sdks_own_error(server: Server):
    """Call sites catch a ClientError; its Retry-After is waited for, the jitter on top."""
    world = BotoWorld()
    with (
        obey(client(server), world.handle),
        inject(world.handle, throttle=2),
        pytest.raises(ClientError) as caught,
    ):
        client(server).list_tables()
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert caught.value.__notes__ == [NOTE]
    assert world.clock.sleeps == [2.5, 3.0, 3.0]
    assert world.counters.throttles == 1


def test_an_obeying_client_waits_for_a_late_answer(server: Server):
    """And gets it, without a deadline: the SDK's own time-out is 5 s here."""
    world = BotoWorld()
    with obey(client(server), world.handle), inject(world.handle, latency_s=0.5):
        assert client(server).list_tables()["TableNames"] == ["a"]
    assert world.clock.sleeps == [0.5]
