"""Aids for users' tests: they do what they say and leave nothing behind, in any order, thread or task."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Call, Outcome, Target
from flyball.contract import (
    DEFAULT_PARAMS,
    BreakerParams,
    BulkheadParams,
    CircuitState,
    ContractError,
    Document,
    RetryParams,
)
from flyball.environment import Runtime
from flyball.errors import CircuitOpenError, SettingsError, ShedError
from flyball.guard import GuardedTarget, configure, target
from flyball.layers import memory_of
from flyball.outcome import RejectReason
from flyball.sources import StaticCircuits, StaticDocuments
from flyball.testing import (
    Attempt,
    CapturedCall,
    CapturedRejection,
    capture,
    controlled_clock,
    force_closed,
    force_open,
    no_sleep,
    published,
    with_params,
)
from unit.client.support import PaymentError, ScriptedReads, World, circuit


def aids(world: World):
    """One of each, on the same Runtime and target."""
    shared = world.runtime
    return [
        lambda: force_open("t", within=shared),
        lambda: force_closed("t", within=shared),
        lambda: with_params("t", within=shared, retry={"max_attempts": 1}, breaker={"window_s": 9.0}),
        lambda: published("t", "open", within=shared, max_attempts=2, budget_ratio=0.0),
        lambda: controlled_clock(0.0, within=shared),
        lambda: no_sleep(within=shared),
        lambda: capture(within=shared),
    ]


def everything(world: World) -> object:
    """All that an aid might leave behind, by value."""
    remembered = [
        {name: (id(value), content) for name, (value, content) in values.items()}
        for thing in (world.runtime, world.runtime.targets["t"])
        for _, values in memory_of(thing)
    ]
    return remembered, Target.begin, Call.finish, Call.abandon


def worn(world: World, failures: int) -> None:
    """A target that has seen something: failures in the window, budget spent, half of its probes made."""
    handle = world.target()
    with no_sleep(within=world.runtime):
        for _ in range(failures):
            with pytest.raises(PaymentError):
                handle.guard(world.function(PaymentError(), PaymentError()))()


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), max_size=6), st.integers(0, 3))
def test_whatever_is_nested_or_overlaps_the_last_one_out_leaves_what_the_first_one_met(steps, failures):
    """Enter and leave in any order, with calls in between; then every attribute is as before."""
    world = World()
    worn(world, failures)
    before = everything(world)
    entered: list[tuple[int, ExitStack]] = []
    for number, calls, leaves_the_oldest in steps:
        stack = ExitStack()
        stack.enter_context(aids(world)[number]())
        entered.append((number, stack))
        if calls and min(number for number, _ in entered) <= 4:  # else nobody promised to forget it
            with pytest.raises((PaymentError, CircuitOpenError)):
                world.target().guard(world.function(*[PaymentError()] * 4))()
        if leaves_the_oldest:
            entered.pop(0)[1].close()
    for _, stack in entered:
        stack.close()
    assert everything(world) == before


@pytest.mark.parametrize("number", range(7))
def test_a_failing_block_is_undone_as_well(number):
    """Its exception passes through."""
    world = World()
    worn(world, 1)
    before = everything(world)
    with pytest.raises(ZeroDivisionError), aids(world)[number]():
        raise ZeroDivisionError
    assert everything(world) == before


def test_who_leaves_first_takes_only_his_own():
    """Two tasks overlap on one target: the second's force stays, also without the first."""
    world = World()
    handle = world.target()
    first, second = ExitStack(), ExitStack()
    first.enter_context(force_open(handle))
    second.enter_context(force_closed(handle))
    first.close()
    assert handle.target.state(0.0) == CircuitState.FORCED_CLOSED
    second.close()
    assert handle.target.state(0.0) == CircuitState.CLOSED


def test_parameters_hold_for_the_block_against_documents_that_arrive():
    """And the document that arrived meanwhile is obeyed afterwards, though it is not read again."""
    documents = ScriptedReads(
        Document(4, "", "", {"t": DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=2))})
    )
    world = World(documents=documents)
    handle = world.target()
    with with_params(handle, retry={"max_attempts": 3, "budget_ratio": 3.0}) as params:
        assert params.retry == RetryParams(max_attempts=3, budget_ratio=3.0)
        guarded = handle.guard(world.function(*[PaymentError()] * 9))
        with with_params(handle, retry={"max_attempts": 1}), pytest.raises(PaymentError):
            guarded()
        assert documents.reads == 1
        assert len(world.calls) == 1
        with pytest.raises(PaymentError):
            guarded()
        assert len(world.calls) == 1 + 3
    assert (handle.target.max_attempts, handle.target.revision) == (2, 4)


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"retry": {"max_attemps": 1}}, "targets.t.retry.max_attemps"),
        ({"retry": {"max_attempts": 5}}, "targets.t.retry.max_attempts"),
        ({"retries": {}}, "targets.t.retries"),
    ],
)
def test_parameters_that_no_document_may_carry_are_refused(sections, field):
    """A test under parameters that cannot be published proves nothing."""
    with pytest.raises(ContractError) as caught, with_params("t", within=World().runtime, **sections):
        pass
    assert caught.value.field == field


def test_a_published_circuit_probes_closes_and_expires_as_a_real_one():
    """The share by the draw, two good probes close; after 90 s it is half-open on own evidence."""
    world = World(function="pay")
    handle = world.target()
    world.clock.fixed_draw = 0.3
    guarded = handle.guard(world.function(1, 2, 3, 4))
    with published(handle, "open", probe_ratio=0.2), pytest.raises(CircuitOpenError):
        guarded()
    with published(handle, CircuitState.OPEN, probe_ratio=0.4, close_after=2) as found:
        assert found.valid_until == world.clock.wall_s() + 90.0
        assert [guarded(), guarded(), guarded()] == [1, 2, 3]
        assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED
    with published(handle, "forced_open", lasts_s=5.0):
        assert handle.target.state(world.clock.wall_s()) == CircuitState.FORCED_OPEN
        world.clock.pass_s(5.0)
        assert guarded() == 4


def test_no_other_circuit_is_found_meanwhile_and_the_real_one_afterwards():
    """Neither the fleet's nor the function's own; also if it was read during the block only."""
    circuits = StaticCircuits(
        [circuit(CircuitState.FORCED_OPEN, version=2**53 - 1, function=name) for name in ("*", "pay")]
    )
    world = World(function="pay", circuits=circuits)
    handle = world.target()
    guarded = handle.guard(world.function(1))
    with published(handle, "closed"):
        assert guarded() == 1
    assert handle.target.state(world.clock.wall_s()) == CircuitState.FORCED_OPEN


def test_an_unknown_state_is_refused():
    """With the known ones."""
    with (
        pytest.raises(SettingsError, match="half_open") as caught,
        published("t", "ajar", within=World().runtime),
    ):
        pass
    assert caught.value.field == "state"


def test_the_clock_moves_when_told_and_by_waiting():
    """Three ways for time to pass; the wait of 50 ms between two attempts takes no time."""
    world = World()
    handle = world.target()
    guarded = handle.guard(world.function(PaymentError(), "fine"))
    with controlled_clock(500.0, draw=0.5, within=world.runtime) as clock:
        begun_s = clock.monotonic_s()
        assert guarded() == "fine"
        assert (clock.wall_s(), clock.monotonic_s() - begun_s) == pytest.approx((500.05, 0.05))
        clock.advance(1.0)
        clock.freeze(60.0)
        clock.step(-600.0)
        assert (clock.wall_s(), clock.monotonic_s() - begun_s) == pytest.approx((-38.95, 1.05))
        assert clock.sleeps == [0.05]
        with pytest.raises(SettingsError, match="backwards"):
            clock.advance(-1.0)
    assert world.clock.sleeps == []
    assert world.runtime.clock is world.clock


def test_a_function_guarded_before_is_timed_by_the_controlled_clock():
    """Latencies never mix two clocks."""
    world = World()
    guarded = world.target().guard(lambda: world.runtime.clock.sleep(2.0))
    with capture(within=world.runtime) as captured, controlled_clock(within=world.runtime):
        guarded()
    assert [attempt.latency_ms for attempt in captured.attempts] == pytest.approx([2_000.0])


def test_without_a_start_the_clock_goes_on_from_where_it_stands():
    """So that what was open stays open; draws go on as well."""
    world = World()
    with controlled_clock(within=world.runtime) as clock:
        assert (clock.wall_s(), clock.monotonic_s(), clock.draw()) == (1_000.0, 50.0, 0.5)


def test_what_was_learned_under_a_controlled_clock_is_forgotten_with_it():
    """A breaker that tripped in a test must not be open in the next."""
    world = World()
    handle = world.target(idempotent=False)
    handle.target.apply_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)), 1)
    with controlled_clock(10.0, within=world.runtime), pytest.raises(PaymentError):
        handle.guard(world.function(PaymentError()))()
    assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_waits_of_tasks_overlap_and_the_shortest_ends_first():
    """Three tasks that sleep 3, 1 and 2 s take 3 s together, in the order of waking."""
    world, woken = World(), []

    async def nap(seconds: float) -> None:
        await world.runtime.async_sleep(seconds)
        woken.append((seconds, world.runtime.clock.wall_s()))

    async def all_three() -> None:
        await asyncio.gather(nap(3.0), nap(1.0), nap(2.0))

    with controlled_clock(0.0, within=world.runtime):
        asyncio.run(all_three())
    assert woken == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_a_cancelled_wait_holds_nobody_up():
    """The others need not wait for it."""
    world = World()

    async def nap(seconds: float) -> float:
        await world.runtime.async_sleep(seconds)
        return world.runtime.clock.wall_s()

    async def cancel_the_first() -> float:
        first, second = asyncio.create_task(nap(1.0)), asyncio.create_task(nap(5.0))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    with controlled_clock(0.0, within=world.runtime):
        assert asyncio.run(cancel_the_first()) == 5.0


def test_threads_may_advance_one_clock():
    """No second is lost."""
    world = World()
    with controlled_clock(0.0, within=world.runtime) as clock:
        threads = [
            threading.Thread(target=lambda: [clock.advance(1.0) for _ in range(500)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock.wall_s() == 2_000.0


@pytest.mark.parametrize("limit", [0, 1])
def test_a_place_taken_inside_a_block_and_left_after_it_is_free(limit):
    """What calls under way hold is theirs, not the block's: probes and places alike."""
    target_ = World().target().target
    params = DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=limit))
    target_.apply_params(params, 1)
    target_.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0, close_after=1))
    handle = GuardedTarget(World().runtime, target_, (), (), False)
    first = target_.begin(1_000.0, 0.0)
    with force_closed(handle):
        first.finish(Outcome.IGNORED, now_s=1_000.0, draw=0.0, latency_ms=1.0)
        second = target_.begin(1_000.0, 0.0)
    second.finish(Outcome.SUCCESS, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    assert isinstance(target_.begin(1_000.0, 0.0), Call)


def test_threads_may_force_one_target_at_the_same_time():
    """However they interleave, nothing is left."""
    world = World()
    handle = world.target()

    def force() -> None:
        for _ in range(50):
            with force_open(handle), with_params(handle, retry={"max_attempts": 1}):
                assert handle.target.state(0.0) == CircuitState.FORCED_OPEN

    before = everything(world)
    threads = [threading.Thread(target=force) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert everything(world) == before


def test_a_capture_shows_attempts_rejections_and_metrics():
    """A retried call, one that fails, and one refused; the lines go to the record, not to the log."""
    world = World()
    handle = world.target()
    other = target("other", within=World().runtime)
    with capture(within=world.runtime) as captured:
        handle.guard(world.function(TimeoutError(), "fine"))()
        with pytest.raises(PaymentError):
            handle.guard(world.function(PaymentError()))()
        other.guard(lambda: None)()
        with force_open(handle), pytest.raises(CircuitOpenError):
            handle.guard(world.function())()
    assert captured.calls == [
        CapturedCall(
            "t",
            [
                Attempt(Outcome.TIMEOUT, pytest.approx(10.0), 0.05),
                Attempt(Outcome.SUCCESS, pytest.approx(10.0), None),
            ],
        ),
        CapturedCall("t", [Attempt(Outcome.ERROR_FAST, pytest.approx(10.0), None)]),
    ]
    assert captured.rejections == [CapturedRejection("t", RejectReason.CIRCUIT_OPEN, pytest.approx(30.0))]
    assert captured.retries == captured.metric("retries") == captured.metric("retries", "t") == 1
    assert captured.metric("latency") == pytest.approx(30.0)
    assert (captured.metric("requests", "other"), captured.metric("fallbacks")) == (0, 0)
    assert world.lines == []


def test_captures_end_where_their_blocks_end():
    """What was counted before is written before; an inner block's share is also the outer one's."""
    world = World()
    guarded = world.target().guard(world.function(*range(4)))
    guarded()
    with capture(within=world.runtime) as outer:
        guarded()
        with capture(within=world.runtime) as inner:
            guarded()
    guarded()
    world.runtime.flush()
    assert (outer.metric("requests"), inner.metric("requests"), len(world.lines)) == (2, 1, 2)
    assert (len(outer.calls), len(inner.calls)) == (2, 1)


def test_captures_of_two_runtimes_do_not_mix():
    """Lines and calls belong to the Runtime that was named."""
    one, two = World(), World()
    with capture(within=one.runtime) as of_one, capture(within=two.runtime) as of_two:
        one.target().guard(one.function(1))()
        one.runtime.flush()
    assert (of_one.metric("requests"), of_two.metric("requests")) == (1, 0)
    assert (len(of_one.calls), len(of_two.calls)) == (1, 0)


def test_a_call_that_spans_the_edge_of_a_capture_is_counted_by_neither_half():
    """Begun before: its end is no news. Begun inside and interrupted: a call without attempts."""
    world = World()
    handle = world.target()
    before = handle.target.begin(1_000.0, 0.0)
    with capture(within=world.runtime) as captured:
        before.finish(Outcome.SUCCESS, now_s=1_000.0, draw=0.0, latency_ms=1.0)
        with pytest.raises(KeyboardInterrupt):
            handle.guard(world.function(KeyboardInterrupt()))()
    assert captured.calls == [CapturedCall("t", [])]


def test_a_shed_call_is_captured_with_its_reason():
    """At a draw of 0, over the ratio."""
    world = World()
    world.clock.fixed_draw = 0.0
    guarded = world.target(idempotent=False).guard(world.function(*[TimeoutError()] * 2))
    with capture(within=world.runtime) as captured:
        for expected in (TimeoutError, TimeoutError, ShedError):
            with pytest.raises(expected):
                guarded()
    assert [rejection.reason for rejection in captured.rejections] == [RejectReason.SHED]


@pytest.fixture
def clock():
    """As the documentation shows it."""
    before = configure(Runtime(documents=StaticDocuments(Document(1, "", "", {}))))
    with controlled_clock(start=0.0) as controlled, no_sleep(), capture():
        yield controlled
    configure(before)


def test_aids_serve_as_fixtures(clock):
    """Under the process's Runtime, by name."""
    with force_open("payments-api"):
        assert target("payments-api").target.state(clock.wall_s()) == CircuitState.FORCED_OPEN
