"""A healthy call asks nobody: the short path through a guard, and that it counts as the long one does."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball import Runtime
from flyball.call import Call, Target
from flyball.contract import (
    DEFAULT_PARAMS,
    BreakerParams,
    BulkheadParams,
    CircuitState,
    RetryParams,
    TargetParams,
    ThrottleParams,
)
from flyball.errors import BulkheadFull, CircuitOpenError
from flyball.guard import target
from flyball.outcome import Counters, Outcome
from flyball.testing import capture
from unit.client.support import ManualClock, PaymentError, World, circuit

NEVER_QUIET = float("-inf")
TICK_S = 1 / 64  # sums of them are exact, whichever clock they are taken from


class Asking(Target):
    """The reference: a target at which every call asks."""

    quiet_until_s = property(lambda _self: NEVER_QUIET, lambda _self, _value: None)  # type: ignore[assignment]


class Step(NamedTuple):
    """Wait, then make one call whose attempts end as `ends` says, each after `ticks`."""

    pause_ticks: int
    ends: list[type[BaseException] | None]
    ticks: int
    left_ticks: int | None  # before the deadline


ENDS = st.sampled_from([None, None, None, PaymentError, TimeoutError, ZeroDivisionError, KeyboardInterrupt])
STEPS = st.lists(
    st.builds(
        Step,
        pause_ticks=st.integers(-64 * 80, 64 * 80) | st.integers(0, 64),
        ends=st.lists(ENDS, min_size=4, max_size=4),
        ticks=st.integers(0, 64),
        left_ticks=st.none() | st.integers(0, 128),
    ),
    max_size=40,
)
PARAMS = st.builds(
    TargetParams,
    retry=st.builds(
        RetryParams, max_attempts=st.integers(1, 4), budget_ratio=st.sampled_from([0.0, 0.25, 1.0])
    ),
    throttle=st.builds(ThrottleParams, window_s=st.sampled_from([60.0, 20.0])),
    breaker=st.builds(
        BreakerParams,
        min_calls=st.integers(1, 5),
        open_s=st.just(8.0),
        slow_call_ms=st.sampled_from([0, 500]),
        failure_ratio=st.sampled_from([0.5, 1.0]),
        consecutive_failures=st.sampled_from([0, 2, 3]),
    ),
    bulkhead=st.builds(BulkheadParams, max_concurrent=st.sampled_from([0, 0, 1])),
)


def slots(thing: object) -> dict[str, Any]:
    """What an object of ours remembers, by value."""
    return {name: getattr(thing, name) for name in type(thing).__slots__ if "lock" not in name}


def remembered(known: Target, clock: ManualClock, told: list[object]) -> list[object]:
    """Everything that a run leaves behind."""
    known._book()
    row = (known._in_a_row, known._failed_s)
    windows = []
    for window in (known._window, known._throttle_window):
        values = slots(window)
        values["_past"] = list(values["_past"])
        windows.append(values)
    breaker = slots(known._breaker)
    del breaker["_window"]
    counters = known.counters
    counts = {name: getattr(counters, name) for name in Counters.__slots__}
    return [
        windows,
        breaker,
        counts,
        slots(known._budget),
        known._warm,
        row,
        clock.sleeps,
        clock.wall_s(),
        told,
    ]


def run(kind: type[Target], params: TargetParams, steps: list[Step], *, awaited: bool) -> list[object]:
    """Make the calls of all steps, and return what is left of them."""
    clock = ManualClock()
    shared = Runtime(clock=clock, write=lambda line: None)
    shared.async_sleep = clock.sleep
    known = shared.targets["t"] = kind("t", params=params)
    handle = target("t", on=PaymentError, idempotent=True, within=shared)
    told: list[object] = []
    step = Step(0, [], 0, None)
    made = 0

    def attempt() -> str:
        nonlocal made
        end, made = step.ends[made % 4], made + 1
        clock.pass_s(step.ticks * TICK_S)
        if end is not None:
            raise end
        return "answer"

    async def attempt_async() -> str:
        return attempt()

    guarded: Callable[[], Any] = handle.guard(attempt_async if awaited else attempt)
    for step in steps:
        clock.set_wall_s(clock.wall_s() + step.pause_ticks * TICK_S)
        shared.deadline_s = None if step.left_ticks is None else clock.wall_s() + step.left_ticks * TICK_S
        made = 0
        try:
            told.append(drive(guarded()) if awaited else guarded())
        except BaseException as error:
            told.append(type(error))
        told.append(made)
    return remembered(known, clock, told)


def drive(coroutine: Any) -> Any:
    """Run a coroutine that never waits, without a loop: an interruption must come out of it."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


@pytest.mark.parametrize("awaited", [False, True])
@given(params=PARAMS, steps=STEPS)
def test_who_does_not_ask_leaves_behind_what_who_asks_leaves_behind(awaited, params, steps):
    """Counts, windows, budget, breaker, waits and answers of any run are equal, interruptions included."""
    assert run(Target, params, steps, awaited=awaited) == run(Asking, params, steps, awaited=awaited)


# --- who need not ask, and who must ---------------------------------------------------


def healthy(**kwargs: object) -> tuple[World, Callable[[], object]]:
    """A world in which a first call was made, so that the next one need not ask."""
    world = World(**kwargs)
    guarded = world.target().guard(world.function(*["answer"] * 99))
    guarded()
    assert quiet(world)
    return world, guarded


def quiet(world: World) -> bool:
    return world.clock.wall_s() < world.runtime.targets["t"].quiet_until_s


def test_a_healthy_call_makes_no_call_object(monkeypatch):
    """Else the short path would be there and nobody on it."""
    _, guarded = healthy()
    monkeypatch.setattr(Call, "__init__", lambda *_: pytest.fail("it asked"))
    assert guarded() == "answer"


DISTURBANCES: dict[str, Callable[[World, Target], object]] = {
    "forced open by the process": lambda _, known: known.hold(CircuitState.FORCED_OPEN),
    "open for the fleet": lambda _, known: known.apply_circuit(circuit(CircuitState.FORCED_OPEN)),
    "blind": lambda world, known: known.begin_blind(world.clock.wall_s()),
}


@pytest.mark.parametrize("what", DISTURBANCES)
def test_who_closes_the_gate_closes_it_for_the_very_next_call(what):
    """Whatever forbids calls, forbids those that would not have asked."""
    world, guarded = healthy()
    DISTURBANCES[what](world, world.runtime.targets["t"])
    with pytest.raises(CircuitOpenError):
        guarded()


def test_a_limit_that_comes_with_a_document_is_kept_by_the_very_next_call():
    """A call that holds a place must ask for it."""
    world, guarded = healthy()
    known = world.runtime.targets["t"]
    known.apply_params(DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(1)), 1)
    assert not quiet(world)
    place = known._bulkhead.enter()  # type: ignore[union-attr]
    assert place is not None
    with pytest.raises(BulkheadFull):
        guarded()


def test_time_outs_end_the_quiet_and_their_end_brings_it_back():
    """While the throttle may shed, every call must draw; once the window has forgotten them, none."""
    world = World()
    known, function = world.target(idempotent=False), world.function(*[TimeoutError()] * 2, *["answer"] * 99)
    guarded = known.guard(function)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            guarded()
    world.clock.fixed_draw = 0.99
    guarded()
    assert not quiet(world)
    world.clock.pass_s(61.0)
    guarded()
    guarded()
    assert quiet(world)


def test_who_finds_all_well_looks_at_all_of_it_again_under_the_lock():
    """What changed since it was looked at: another thread may have brought a limit."""
    known = Target("t", params=DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(1)))
    known._calm()
    assert known.quiet_until_s == NEVER_QUIET


def test_a_probe_that_fails_while_calls_are_forced_through_brings_the_next_look_nearer():
    """The breaker that it opens half-opens by the clock, also under a force."""
    known = Target("t", params=DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1, open_s=8.0)))
    known.begin(0.0, 0.0).finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0)
    probe = known.begin(9.0, 0.0)
    known.hold(CircuitState.FORCED_CLOSED)
    known.begin(10.0, 0.0)
    assert known.quiet_until_s == float("inf")
    probe.finish(Outcome.ERROR_FAST, now_s=11.0, draw=0.0, latency_ms=1.0)
    known.begin(12.0, 0.0)
    assert known.quiet_until_s == 19.0


def test_what_was_noticed_at_its_time_holds_when_the_clock_is_set_back():
    """A circuit that expired is half-open, although the hour of its expiry is to come again."""
    known = Target("t")
    known.hold(CircuitState.FORCED_CLOSED)
    known.apply_circuit(circuit(CircuitState.OPEN, valid_until=1_090.0))
    known.begin(1_000.0, 0.5)
    assert known.quiet_until_s == 1_090.0
    assert known.state(1_091.0) == CircuitState.FORCED_CLOSED
    assert known.quiet_until_s == NEVER_QUIET


def test_hooks_and_captures_see_every_call():
    """Who listens where guards and fast loop meet must not be passed by."""
    hooked = World(hooks=lambda event: None)
    guarded = hooked.target().guard(hooked.function("answer", "answer"))
    guarded()
    assert not quiet(hooked)
    world, guarded = healthy()
    with capture(within=world.runtime) as captured:
        guarded()
        guarded()
    assert [len(call.attempts) for call in captured.calls] == [1, 1]
    guarded()
    assert len(captured.calls) == 2
    assert quiet(world)


def test_an_environment_that_was_copied_asks_again():
    """Connections are cold, and what was read is old."""
    world, _ = healthy()
    world.runtime.renew()
    assert not quiet(world)
    assert world.runtime.fresh_until_s == NEVER_QUIET


def test_an_attempt_that_was_begun_unasked_and_was_slow_counts_as_slow():
    """Slow answers are known only at their end."""
    world, _ = healthy()
    known = world.runtime.targets["t"]
    known.apply_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(slow_call_ms=5)), 1)
    world.target().guard(world.function("fast", took_s=0.0))()
    assert quiet(world)
    world.target().guard(world.function("slow", took_s=0.006))()
    assert (known._window.slow, known.counters.requests) == (1, 3)


def test_a_plain_function_that_returns_a_coroutine_is_counted_when_that_ends():
    """Also if the call was begun without asking."""
    world, _ = healthy()

    async def answer() -> str:
        return "answer"

    def plain() -> Any:
        return answer()

    coroutine = world.target().guard(plain)()
    assert world.counters.requests == 1
    assert drive(coroutine) == "answer"
    assert world.counters.requests == 2


def test_threads_that_calm_and_disturb_a_target_never_leave_it_quiet_and_closed_to_calls():
    """A call that found everything well must not overrule who closed the gate meanwhile."""
    known = Target("t")
    start = Barrier(2)

    def calls() -> None:
        for _ in range(200):
            start.wait()
            known.begin(0.0, 0.5)

    thread = Thread(target=calls)
    thread.start()
    for _ in range(200):
        known.hold(None)
        start.wait()
        known.hold(CircuitState.FORCED_OPEN)
        assert known.quiet_until_s == NEVER_QUIET
    thread.join()
