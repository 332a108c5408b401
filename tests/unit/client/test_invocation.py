"""The extent of an invocation, where several are under way at once: threads, tasks, one inside another."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flyball
from flyball.environment import DEADLINE_MARGIN_S, SEVERAL, Runtime
from flyball.errors import DeadlineExceeded, SettingsError
from flyball.extent import invocation
from flyball.guard import configure
from unit.client.support import World

NOW_S = 1_000.0


class Context:
    """Lambda's, with so many seconds left."""

    def __init__(self, left_s: float) -> None:
        self.left_s = left_s

    def get_remaining_time_in_millis(self) -> int:
        return int(self.left_s * 1_000)


def ends(left_s: float) -> float:
    """When an invocation with so many seconds left ends for guarded calls."""
    return NOW_S + left_s - DEADLINE_MARGIN_S


def alternately(world: World, *steps: str) -> list[float | None]:
    """Two threads enter and leave (a 1 s long, b 60 s) in the order told; the deadlines that b then sees."""
    turns = {name: threading.Semaphore(0) for name in "ab"}
    done = threading.Semaphore(0)
    seen: list[float | None] = []

    def thread(name: str, left_s: float) -> None:
        turns[name].acquire()
        with invocation(Context(left_s), within=world.runtime):
            done.release()
            turns[name].acquire()
            seen.append(world.runtime.deadline())
        done.release()

    threads = [threading.Thread(target=thread, args=args) for args in (("a", 1.0), ("b", 60.0))]
    for one in threads:
        one.start()
    for step in steps:
        turns[step].release()
        done.acquire()
    for one in threads:
        one.join(5.0)
    return seen


@pytest.mark.parametrize("steps", ["abab", "abba", "aabb", "baab", "baba"])
def test_threads_obey_their_own_deadlines_and_leave_none(steps):
    """Whoever enters first and leaves first must not leave its deadline to the other, or to all to come."""
    world = World()
    seen = alternately(world, *steps)
    assert sorted(seen) == [ends(1.0), ends(60.0)]
    assert seen[-1] == ends(60.0 if steps[-1] == "b" else 1.0)
    assert world.runtime.deadline_s is None
    assert world.runtime._deadlines == []


def test_a_guarded_call_obeys_the_deadline_of_its_own_task():
    """One is over and the other is not: the call of the first is refused, that of the second is made."""
    world = World()
    guarded = world.target().guard(lambda: "made")

    async def one(left_s: float, both: asyncio.Barrier) -> object:
        with invocation(Context(left_s), within=world.runtime):
            await both.wait()
            try:
                return guarded()
            except DeadlineExceeded:
                return "refused"

    async def two() -> list[object]:
        barrier = asyncio.Barrier(2)
        return await asyncio.gather(one(0.0, barrier), one(60.0, barrier))

    assert asyncio.run(two()) == ["refused", "made"]
    assert guarded() == "made"


def test_one_inside_another_never_lengthens_it():
    """A library that wraps its part again does not know how much time there is."""
    world = World()
    with invocation(Context(10.0), within=world.runtime):
        with invocation(Context(60.0), within=world.runtime):
            assert world.runtime.deadline() == ends(10.0)
        with invocation(Context(5.0), within=world.runtime):
            assert world.runtime.deadline() == ends(5.0)
        assert world.runtime.deadline() == world.runtime.deadline_s == ends(10.0)
    assert world.runtime.deadline() is None


def test_invocations_of_two_runtimes_do_not_see_each_other():
    """An embedding with its own Runtime."""
    world, other = World(), World()
    with (
        invocation(Context(10.0), within=world.runtime),
        invocation(Context(60.0), within=other.runtime),
        invocation(Context(20.0), within=world.runtime),
    ):
        assert world.runtime.deadline() == ends(10.0)
        assert other.runtime.deadline() == ends(60.0)


def test_workers_of_a_pool_obey_the_invocation_that_is_under_way():
    """They are given none of their own; of several they take the latest, which none of them exceeds."""
    world = World()
    with ThreadPoolExecutor(1) as pool, invocation(Context(10.0), within=world.runtime):
        assert pool.submit(world.runtime.deadline).result() == ends(10.0)
        entered = pool.submit(world.runtime.enter, ends(60.0)).result()
        assert world.runtime.deadline_s == SEVERAL
        assert world.runtime.deadline() == ends(10.0)
        with ThreadPoolExecutor(1) as strangers:
            assert strangers.submit(world.runtime.deadline).result() == ends(60.0)
        pool.submit(world.runtime.leave, entered).result()
        assert world.runtime.deadline_s == ends(10.0)


@given(lengths=st.lists(st.integers(0, 100), min_size=1, max_size=6), order=st.randoms())
def test_whatever_the_order_the_last_one_out_leaves_nothing(lengths, order):
    """Tasks end when they like."""
    world = World()

    async def one(left_s: int, gate: asyncio.Event) -> None:
        with invocation(Context(left_s), within=world.runtime):
            await gate.wait()
            assert world.runtime.deadline() == pytest.approx(ends(left_s))

    async def every() -> None:
        gates = [asyncio.Event() for _ in lengths]
        tasks = [asyncio.create_task(one(*pair)) for pair in zip(lengths, gates, strict=True)]
        await asyncio.sleep(0)
        shuffled = list(gates)
        order.shuffle(shuffled)
        for gate in shuffled:
            gate.set()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(every())
    assert world.runtime.deadline_s is None


@pytest.fixture
def process() -> World:
    world = World()
    before = configure(world.runtime)
    yield world
    configure(before)


def test_an_async_handler_has_its_deadline_while_it_is_awaited(process):
    """Its call returns before anything has begun."""

    @flyball.handler
    async def handle(event: object, context: object) -> float | None:
        await asyncio.sleep(0)
        return process.runtime.deadline()

    assert inspect.iscoroutinefunction(handle)
    assert handle.__name__ == "handle"
    assert asyncio.run(handle({}, Context(10.0))) == ends(10.0)
    assert process.runtime.deadline() is None


def test_a_handler_that_fails_leaves_no_deadline(process):
    """The environment is used again."""

    @flyball.handler
    def handle(event: object, context: object) -> None:
        raise ValueError(event)

    with pytest.raises(ValueError, match="bad"):
        handle("bad", Context(10.0))
    assert process.runtime.deadline() is None


def test_a_copy_can_begin_an_invocation_though_the_original_held_the_lock():
    """Another thread of the original may have been entering one."""
    shared = Runtime(write=lambda line: None)
    with shared._lock:
        shared.renew()
        with invocation(Context(10.0), within=shared):
            assert shared.deadline() is not None


def held_open(world: World, left_s: float):
    """An invocation that a generator holds open."""
    with invocation(Context(left_s), within=world.runtime):
        yield


def test_an_invocation_that_is_left_in_another_context_leaves_no_deadline():
    """A fixture or middleware may be finished elsewhere: else every later call would be refused for ever."""
    world = World()
    guarded = world.target().guard(lambda: "made")
    for _ in range(3):
        generator = held_open(world, 1.0)
        contextvars.copy_context().run(next, generator)
        assert next(generator, "over") == "over"
    world.clock.pass_s(100.0)
    assert (world.runtime.deadline(), world.runtime._deadlines, guarded()) == (None, [], "made")


def test_a_task_that_outlives_its_invocation_begins_new_ones_with_their_own_time():
    """A pool of workers is often made by the first request, and inherits what that request knew."""
    world = World()
    guarded = world.target().guard(lambda: "made")

    async def worker(work: asyncio.Queue[float], answers: list[object]) -> None:
        while True:
            with invocation(Context(await work.get()), within=world.runtime):
                answers.append((world.runtime.deadline(), guarded()))
            work.task_done()

    async def host() -> list[object]:
        work: asyncio.Queue[float] = asyncio.Queue()
        answers: list[object] = []
        with invocation(Context(1.0), within=world.runtime):
            task = asyncio.create_task(worker(work, answers))
            await asyncio.sleep(0)
        world.clock.pass_s(100.0)
        work.put_nowait(10.0)
        await work.join()
        task.cancel()
        return answers

    assert asyncio.run(host()) == [(100.0 + ends(10.0), "made")]


def test_a_task_that_outlives_its_invocation_obeys_those_under_way_like_a_stranger():
    """Its own is over, and no reason to refuse anything."""
    world = World()

    async def host() -> float | None:
        with invocation(Context(1.0), within=world.runtime):
            gate = asyncio.Event()
            task = asyncio.create_task(later(gate))
            await asyncio.sleep(0)
        entered = [contextvars.Context().run(world.runtime.enter, ends(left_s)) for left_s in (10.0, 60.0)]
        gate.set()
        seen = await task
        for one in entered:
            world.runtime.leave(one)
        return seen

    async def later(gate: asyncio.Event) -> float | None:
        await gate.wait()
        return world.runtime.deadline()

    assert asyncio.run(host()) == ends(60.0)


def test_what_is_over_is_not_remembered_by_those_who_come_after():
    """Contexts that are never reset would grow by one invocation each time."""
    world = World()
    context = contextvars.Context()
    for _ in range(3):
        world.runtime.leave(context.run(world.runtime.enter, ends(1.0)))
    entered = context.run(world.runtime.enter, ends(1.0))
    assert entered[0][2] is None


def test_without_a_context_there_is_no_deadline(process):
    """Tests call their handlers with None."""
    assert flyball.handler(lambda event, context: process.runtime.deadline())({}, None) == float("inf")
    with invocation(Context(10.0)), invocation(None):
        assert process.runtime.deadline() == ends(10.0)
    guarded = process.target().guard(timeout="timeout_s")(lambda timeout_s: timeout_s)
    assert flyball.handler(lambda event, context: guarded())({}, None) == 3.0


class Answers:
    """A context that answers anything."""

    def __init__(self, answer: object) -> None:
        self.get_remaining_time_in_millis = lambda: answer


@pytest.mark.parametrize("context", [5, {}, object(), Answers("soon"), Answers(None), Answers(float("nan"))])
def test_a_context_that_cannot_tell_the_time_is_refused(process, context):
    """An AttributeError of ours would look like a bug of the handler."""
    with pytest.raises(SettingsError, match=r"context=.* must have .*get_remaining_time_in_millis") as caught:
        flyball.handler(lambda event, context: "not reached")({}, context)
    assert caught.value.field == "context"
    assert process.runtime.deadline() is None


def test_what_is_no_handler_is_refused():
    """When it is decorated, not by the first event."""
    with pytest.raises(SettingsError, match="5 is no function"):
        flyball.handler(5)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="is a generator"):
        flyball.handler(held_open)
