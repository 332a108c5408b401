"""The bulkhead: as many calls as there are places, and every place comes back, whatever happens."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from flyball.bulkhead import Bulkhead
from flyball.call import Call, Outcome, Rejected, RejectReason, Target
from flyball.contract import DEFAULT_PARAMS, BulkheadParams, CircuitState, RetryParams
from flyball.environment import Runtime
from flyball.errors import BulkheadFull
from flyball.guard import target
from unit.client.support import PaymentError, World, circuit

TWO = DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=2))


def test_the_third_of_two_is_turned_away_and_may_come_again_at_once():
    """Free as soon as any other call ends, so 0 s; and it was not made."""
    target = Target("t", params=TWO)
    calls = [target.begin(0.0, 0.0), target.begin(0.0, 0.0)]
    assert target.begin(0.0, 0.0) == Rejected(RejectReason.BULKHEAD_FULL, 0.0)
    assert target.counters.short_circuited == 1
    calls[0].finish(Outcome.SUCCESS, now_s=0.0, draw=0.0, latency_ms=1.0)
    assert isinstance(target.begin(0.0, 0.0), Call)
    assert target.counters.requests == 1


def test_there_is_none_by_default():
    """A Lambda environment makes one call at a time."""
    target = Target("t")
    calls = [target.begin(0.0, 0.0) for _ in range(1_000)]
    assert all(isinstance(call, Call) for call in calls)


@pytest.mark.parametrize("outcome", [*Outcome, None])
def test_however_a_call_ends_its_place_is_free(outcome):
    """K7: every outcome, and no verdict."""
    target = Target("t", params=DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=1)))
    for _ in range(5):
        call = target.begin(0.0, 0.99)
        assert isinstance(call, Call)
        if outcome is None:
            call.abandon()
        else:
            assert call.finish(outcome, now_s=0.0, draw=0.0, latency_ms=1.0) is None
        call.abandon()  # again is harmless


def test_a_forgotten_call_gives_its_place_back():
    """A coroutine that nobody awaits must not shrink the bulkhead for ever."""
    target = Target("t", params=TWO)
    for _ in range(10):
        assert isinstance(target.begin(0.0, 0.0), Call)


def test_who_waits_for_a_retry_keeps_the_place():
    """Else the number of those who wait had no bound."""
    params = TWO._replace(bulkhead=BulkheadParams(max_concurrent=1), retry=RetryParams(budget_ratio=3.0))
    target = Target("t", params=params)
    call = target.begin(0.0, 0.0, idempotent=True)
    assert call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.5, latency_ms=1.0) == 0.05
    assert isinstance(target.begin(0.0, 0.0), Rejected)
    call.finish(Outcome.SUCCESS, now_s=0.0, draw=0.0, latency_ms=1.0)
    assert isinstance(target.begin(0.0, 0.0), Call)


def test_a_call_refused_further_in_leaves_its_place():
    """By the circuit, and by the throttle."""
    target = Target("t", params=TWO)
    target.apply_circuit(circuit(CircuitState.FORCED_OPEN))
    for _ in range(5):
        assert target.begin(1_000.0, 0.0).reason == RejectReason.CIRCUIT_OPEN
    shedding = Target("t", params=TWO)
    for _ in range(4):
        call = shedding.begin(0.0, 0.99)
        call.finish(Outcome.TIMEOUT, now_s=0.0, draw=0.0, latency_ms=1.0)
    for _ in range(5):
        assert shedding.begin(0.0, 0.0).reason == RejectReason.SHED
    assert isinstance(shedding.begin(0.0, 0.99), Call)


def test_a_full_bulkhead_takes_no_probes_slot():
    """It is asked before the gate: a probe that is not made must not count as one."""
    target = Target("t", params=DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=1)))
    target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0, close_after=1))
    probe = target.begin(1_000.0, 0.0)
    assert target.begin(1_000.0, 0.0).reason == RejectReason.BULKHEAD_FULL
    probe.finish(Outcome.SUCCESS, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    assert target.state(1_000.0) == CircuitState.CLOSED


def test_the_limit_is_obeyed_live():
    """Fewer places: who is inside stays; more: the next one comes in; none: no bulkhead."""
    target = Target("t", params=TWO)
    calls = [target.begin(0.0, 0.0), target.begin(0.0, 0.0)]
    target.apply_params(DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=1)), 1)
    calls.pop().abandon()
    assert isinstance(target.begin(0.0, 0.0), Rejected)
    target.apply_params(TWO, 2)
    calls.append(target.begin(0.0, 0.0))
    assert isinstance(target.begin(0.0, 0.0), Rejected)
    target.apply_params(DEFAULT_PARAMS, 3)
    calls.append(target.begin(0.0, 0.0))
    assert all(isinstance(call, Call) for call in calls)


def test_a_guarded_function_says_that_the_bulkhead_is_full():
    """With the target and 0 s, as its own kind of error."""
    world = World()
    handle = world.target()
    handle.target.apply_params(DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=1)), 1)

    @handle.guard
    def outer() -> object:
        return inner()

    @handle.guard
    def inner() -> object:
        return "never"

    with pytest.raises(BulkheadFull) as caught:
        outer()
    assert (caught.value.target, caught.value.retry_after_s) == ("t", 0.0)
    assert inner() == "never", "the outer call gave its place back"


def test_asyncio_tasks_never_exceed_it():
    """100 tasks, 7 places: 7 are under way, 93 are turned away; then all places are free."""
    handle = target("t", within=Runtime(write=lambda line: None))
    handle.target.apply_params(DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=7)), 1)
    inside, most = 0, 0

    @handle.guard
    async def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1

    async def hundred() -> list[object]:
        return await asyncio.gather(*(work() for _ in range(100)), return_exceptions=True)

    for _ in range(3):
        results = asyncio.run(hundred())
        assert sum(isinstance(result, BulkheadFull) for result in results) == 93
    assert most == 7


def test_threads_never_exceed_it_and_leave_it_empty():
    """Eight threads, three places, every kind of end: the bound holds exactly, and nothing leaks."""
    handle = target("t", within=Runtime(write=lambda line: None), on=PaymentError)
    handle.target.apply_params(DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=3)), 1)
    inside: set[int] = set()
    seen: list[int] = []

    @handle.guard
    def work(turn: int) -> None:
        inside.add(threading.get_ident())
        seen.append(len(inside))
        time.sleep(0.0001)  # lets others try to come in
        inside.discard(threading.get_ident())
        if turn % 3 == 0:
            raise SystemExit
        if turn % 3 == 1:
            raise KeyError(turn)

    def many() -> None:
        for turn in range(200):
            try:
                work(turn)
            except (BulkheadFull, KeyError, SystemExit):
                continue

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) <= 3
    assert len(seen) < 8 * 200, "some were turned away, else nothing was shown"
    assert handle.target._bulkhead.taken == 0


def test_a_place_left_twice_is_one_place():
    """Ends are reported by several hands; the place of another must stay his."""
    bulkhead = Bulkhead(1)
    first = bulkhead.enter()
    first.leave()
    second = bulkhead.enter()
    first.leave()
    assert bulkhead.taken == 1
    assert bulkhead.enter() is None
    second.leave()
    assert bulkhead.taken == 0
