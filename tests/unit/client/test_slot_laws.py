"""Laws of all that is held and given back: probes, places, budget; with tasks, threads and broken clocks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.budget import Budget
from flyball.call import Call, Outcome, Rejected, Target
from flyball.contract import (
    DEFAULT_PARAMS,
    BreakerParams,
    BulkheadParams,
    CircuitState,
    Jitter,
    RetryParams,
    TargetParams,
)
from flyball.environment import Runtime
from flyball.errors import CircuitOpenError, RejectedError
from flyball.guard import target
from flyball.sources import StaticCircuits
from flyball.window import BUCKETS, Window
from unit.client.support import ManualClock, PaymentError, World, circuit

CALLERS = 10_000


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that let others go first before every line of ours: what a lock forgot is met at once."""

    def enter(frame: FrameType, event: str, arg: object) -> object:
        return before_line if frame.f_globals["__name__"].startswith("flyball.") else None

    def before_line(frame: FrameType, event: str, arg: object) -> object:
        time.sleep(0.0)
        return before_line

    before = threading.gettrace()
    threading.settrace(enter)
    yield
    threading.settrace(before)


def together(work: Callable[[], None], *, threads: int) -> None:
    """Do the same in several threads that begin at one moment; an error in one is the test's."""
    start = threading.Barrier(threads)

    def begin() -> None:
        start.wait(10.0)
        work()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(begin) for _ in range(threads)]:
            done.result()


class Draws(ManualClock):
    """A clock whose draws are evenly spread: the n-th of 10,000 is in a fixed disorder n / 10,000."""

    def draw(self) -> float:
        # 7,919 has no factor in common with 10,000, so each value comes once.
        value = (self.draws * 7_919 % CALLERS) / CALLERS
        self.draws += 1
        return value


def half_open(form: str, *, probe_ratio: float, close_after: int) -> int:
    """How many of 10,000 tasks get through at the half-open instant, all before any has ended."""
    clock = Draws()
    items = [
        circuit(CircuitState.HALF_OPEN, probe_ratio=probe_ratio, close_after=close_after, valid_until=9_999.0)
    ]
    shared = Runtime(clock=clock, circuits=StaticCircuits(items), write=lambda line: None)
    handle = target("t", within=shared)
    gate, through = asyncio.Event(), 0

    async def ask() -> None:
        nonlocal through
        through += 1
        await gate.wait()

    async def by_permit() -> None:
        async with handle.permit() as permit:
            await ask()
            permit.success()

    async def by_attempts() -> None:
        async for attempt in handle.attempts():
            async with attempt:
                await ask()

    call = {"guard": handle.guard(ask), "permit": by_permit, "attempts": by_attempts}[form]

    async def all_at_once() -> list[object]:
        # The first call reads the circuits; its draw decides about the read's jitter.
        shared.poll(clock.wall_s(), clock.monotonic_s())
        clock.draws = 0
        tasks = [asyncio.create_task(call()) for _ in range(CALLERS)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(all_at_once())
    refused = sum(isinstance(result, CircuitOpenError) for result in results)
    assert through + refused == CALLERS
    return through


@pytest.mark.parametrize("form", ["guard", "permit", "attempts"])
@pytest.mark.parametrize(
    ("probe_ratio", "close_after", "expected"),
    [(0.1, 3, 3), (0.01, 100, 100), (1.0, 100, 100), (1.0, 1, 1)],
)
def test_ten_thousand_tasks_at_the_half_open_instant(form, probe_ratio, close_after, expected):
    """K7: exactly the published share of 10,000, and never more in flight than can close the circuit.

    0.1 offers 1,000, of which 3 fit; 0.01 offers 100, and 100 fit.
    """
    assert half_open(form, probe_ratio=probe_ratio, close_after=close_after) == expected


def test_each_of_ten_thousand_that_comes_when_nobody_is_inside_meets_the_share():
    """One after the other the bound never binds: 1,000 of 10,000 at a tenth, to the call."""
    clock = Draws()
    target = Target("t")
    target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=0.1, valid_until=9_999.0))
    through = 0
    for _ in range(CALLERS):
        call = target.begin(1_000.0, clock.draw())
        if isinstance(call, Call):
            through += 1
            call.finish(Outcome.ERROR_FAST, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    assert through == 1_000


def test_a_forgotten_probe_gives_its_slot_back():
    """K7: begun and dropped; and a coroutine that a plain function returned and nobody awaited."""
    world = World()
    handle = world.target()
    handle.target.apply_circuit(
        circuit(CircuitState.HALF_OPEN, probe_ratio=1.0, close_after=1, valid_until=9e9)
    )

    async def never() -> None:
        raise AssertionError

    def plain() -> Coroutine[None, None, None]:
        return never()

    for _ in range(3):
        assert isinstance(handle.target.begin(1_000.0, 0.0), Call)
        pending = handle.guard(plain)()
        assert isinstance(handle.target.begin(1_000.0, 0.0), Rejected)
        pending.cr_frame.f_locals["begun"].close()
        pending.close()
        del pending


@pytest.mark.usefixtures("restless")
def test_threads_never_exceed_the_probes_in_flight():
    """Eight threads at the gate: the bound holds exactly, and when all are out, all slots are free."""
    handle = target("t", within=Runtime(write=lambda line: None))
    item = circuit(CircuitState.HALF_OPEN, probe_ratio=1.0, close_after=2, valid_until=9e9)
    handle.target.apply_circuit(item)
    inside, most, refused = set(), [0], [0]

    def many() -> None:
        me = threading.get_ident()
        for turn in range(30):
            try:
                with handle.permit() as permit:
                    inside.add(me)
                    most[0] = max(most[0], len(inside))
                    time.sleep(0.0001)  # lets others try to come in
                    inside.discard(me)
                    if turn % 2:
                        permit.failure()  # never two good ones in a row for long
            except RejectedError:
                refused[0] += 1

    together(many, threads=8)
    assert most[0] <= 2
    assert refused[0] > 0, "else nothing was shown"
    assert handle.target._breaker._probes == 0


@pytest.mark.usefixtures("restless")
def test_threads_never_spend_more_than_the_budget():
    """K9: 8 x 40 failing calls, a fifth of retries: 64 and the first credit, however they interleave."""
    params = DEFAULT_PARAMS._replace(
        retry=RetryParams(base_ms=1, cap_ms=1),
        breaker=BreakerParams(min_calls=10_000, consecutive_failures=0),
    )
    shared = Target("t", params=params)
    retries = []

    def many() -> None:
        for _ in range(40):
            call = shared.begin(0.0, 0.99, idempotent=True)
            while call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0) is not None:
                retries.append(1)

    together(many, threads=8)
    assert 0 < len(retries) <= 64 + 1


@pytest.mark.usefixtures("restless")
def test_threads_spend_a_token_once():
    """Ten tokens, eight threads that ask ten times each: ten get one."""
    budget = Budget(ratio=3.0, burst=10.0)
    budget.earned = 3  # 1 + 3 x 3
    spent: list[bool] = []

    def many() -> None:
        spent.extend(budget.try_spend() for _ in range(10))

    together(many, threads=8)
    assert sum(spent) == 10


@pytest.mark.usefixtures("restless")
def test_threads_leave_no_count_behind_in_the_window():
    """A failure subtracted twice, or never, would bias the breaker for ever: after the window all is zero."""
    window = Window(1.0)

    def many() -> None:
        for turn in range(100):
            now_s = turn * 0.05
            if now_s >= window.until_s:
                window.advance(now_s)
            window.note_failure()
            window.note_timeout()
            window.note_slow()
            window.note_shed()

    together(many, threads=4)
    for _ in range(BUCKETS):  # slice by slice: further at once, and everything would simply be dropped
        window.advance(window.until_s)
    assert (window.failures, window.timeouts, window.slow, window.shed) == (0, 0, 0, 0)


# --- any mixture of ends --------------------------------------------------------------

ENDS = ["good", "slow", "failed", "permanent", "ignored", "silent", "cancelled", "interrupted", "forgotten"]
PARAMS = st.builds(
    TargetParams,
    retry=st.builds(
        RetryParams,
        max_attempts=st.integers(1, 4),
        budget_ratio=st.sampled_from([0.0, 0.2, 3.0]),
        jitter=st.sampled_from(Jitter),
    ),
    breaker=st.builds(
        BreakerParams,
        min_calls=st.integers(1, 4),
        open_s=st.sampled_from([0.1, 10.0]),
        close_after=st.integers(1, 3),
        slow_call_ms=st.sampled_from([0, 100]),
        slow_call_ratio=st.sampled_from([0.5, 1.0]),
    ),
    bulkhead=st.builds(BulkheadParams, max_concurrent=st.integers(0, 3)),
)


class Interrupted(BaseException):
    """No Exception, like KeyboardInterrupt, which would end the test run."""


async def end_as(world: World, end: str) -> None:
    """What the guarded code does."""
    await asyncio.sleep(0)
    if end == "slow":
        world.clock.pass_s(0.2)
    if end == "failed":
        raise PaymentError
    if end == "permanent":
        raise KeyError
    if end == "ignored":
        raise ZeroDivisionError
    if end == "interrupted":
        raise Interrupted
    if end in ("cancelled", "forgotten"):
        await asyncio.sleep(3_600.0)


async def by_guard(world: World, handle, end: str) -> None:
    await handle.guard(end_as)(world, end)


async def by_permit(world: World, handle, end: str) -> None:
    async with handle.permit() as permit:
        await end_as(world, end)
        if end != "silent":
            permit.success()


async def by_attempts(world: World, handle, end: str) -> None:
    async for attempt in handle.attempts():
        async with attempt:
            await end_as(world, end)
            if end == "silent":
                attempt.ignore()


FORMS = {"guard": by_guard, "permit": by_permit, "attempts": by_attempts}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(FORMS)),
        st.sampled_from(ENDS),
        st.sampled_from(
            [0.0, 0.05, 11.0, 400.0, -3_600.0, 3_600.0]
        ),  # seconds: of life, of freeze, of a step
        st.sampled_from(["pass", "freeze", "step"]),
    ),
    max_size=25,
)


@given(params=PARAMS, steps=STEPS, published=st.booleans(), draw=st.sampled_from([0.0, 0.05, 0.5, 0.99]))
def test_no_slot_leaks_whatever_happens(params, steps, published, draw):
    """K7, K8: any mixture of forms and ends, with cancellations, freezes and a clock set back and forth."""
    world = World()
    world.clock.fixed_draw = draw
    handle = world.target(ignore=ZeroDivisionError)
    handle.target.apply_params(params, 1)
    if published:
        handle.target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=0.5, valid_until=1_300.0))

    async def mixture() -> None:
        under_way: list[asyncio.Task[None]] = []
        forgotten: list[object] = []

        async def swallow(form: str, end: str) -> None:
            try:
                await FORMS[form](world, handle, end)
            except (RejectedError, PaymentError, KeyError, ZeroDivisionError, Interrupted):
                return

        for form, end, seconds, how in steps:
            if end == "forgotten":
                begun = FORMS[form](world, handle, end)
                try:
                    begun.send(None)
                except RejectedError:
                    continue
                forgotten.append(begun)
                continue
            under_way.append(asyncio.create_task(swallow(form, end)))
            await asyncio.sleep(0)
            move(world.clock, seconds, how)
        for _ in range(20):
            await asyncio.sleep(0)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for begun in forgotten:
            begun.close()

    asyncio.run(mixture())
    shared = handle.target
    assert shared._breaker._probes == 0
    assert shared._bulkhead is None or shared._bulkhead.taken == 0
    assert 0.0 <= shared.budget_tokens <= shared.params.retry.budget_burst


def move(clock: ManualClock, seconds: float, how: str) -> None:
    """Time passes, passes while frozen, or is set."""
    if how == "pass":
        clock.pass_s(abs(seconds))
    elif how == "freeze":
        clock.set_wall_s(clock.wall_s() + abs(seconds))
    else:
        clock.set_wall_s(clock.wall_s() + seconds)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(list(Outcome)), st.sampled_from([0.0, 1.0, 50.0, -10_000.0, 10_000.0])),
        max_size=40,
    )
)
def test_a_recovered_target_is_used_again_whatever_the_clock_did(steps):
    """C10 for the client: after any past, five minutes of steady time and good answers close the circuit."""
    target = Target("t", params=DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=2, open_s=30.0)))
    now_s = 100_000.0
    for outcome, seconds in steps:
        now_s += seconds
        call = target.begin(now_s, 0.5, idempotent=True)
        if isinstance(call, Call):
            call.finish(outcome, now_s=now_s, draw=0.9, latency_ms=1.0)
    for _ in range(300):
        now_s += 1.0
        call = target.begin(now_s, 0.99)
        if isinstance(call, Call):
            call.finish(Outcome.SUCCESS, now_s=now_s, draw=0.0, latency_ms=1.0)
    assert target.state(now_s) == CircuitState.CLOSED
    assert isinstance(target.begin(now_s, 0.0), Call)


def tripped(now_s: float) -> Target:
    target = Target("t")
    for _ in range(12):
        call = target.begin(now_s, 0.0)
        call.finish(Outcome.ERROR_FAST, now_s=now_s, draw=0.0, latency_ms=1.0)
    assert target.state(now_s) == CircuitState.OPEN
    return target


def test_a_clock_set_back_does_not_keep_the_breaker_open():
    """An hour back: the pause is 30 s from now on, not an hour and 30 s."""
    target = tripped(10_000.0)
    rejected = target.begin(6_400.0, 0.0)
    assert rejected.retry_after_s == 30.0
    assert target.state(6_429.0) == CircuitState.OPEN
    assert isinstance(target.begin(6_430.0, 0.0), Call)


def test_a_shorter_pause_is_obeyed_by_a_breaker_that_is_open():
    """Live parameters: `open_s` of 5 s counts from the next call on."""
    target = tripped(10_000.0)
    target.apply_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(open_s=5.0)), 1)
    assert target.begin(10_001.0, 0.0).retry_after_s == 5.0
    assert isinstance(target.begin(10_006.0, 0.0), Call)


def test_a_clock_set_back_does_not_keep_a_lost_probe_alive():
    """A probe of the future is an old one: its slot is free, and asking is due."""
    target = tripped(10_000.0)
    hanging = [target.begin(10_030.0, 0.0) for _ in range(3)]
    assert isinstance(target.begin(10_031.0, 0.0), Rejected)
    assert isinstance(target.begin(6_431.0, 0.99), Call)
    assert len(hanging) == 3


def test_a_thaw_ends_the_pause_that_passed_in_the_freeze():
    """Frozen for an hour: the wall clock counts, and the first call after it is a probe."""
    world = World()
    handle = world.target()
    handle.target.apply_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)), 1)
    with pytest.raises(PaymentError):
        handle.guard(world.function(PaymentError()))()
    world.clock.set_wall_s(world.clock.wall_s() + 3_600.0)
    assert handle.guard(world.function("fine"))() == "fine"
