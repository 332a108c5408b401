"""Faults on purpose: met inside the call path, in the share asked for, and gone when their time is over."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import DEFAULT_PARAMS, RetryParams
from flyball.environment import Runtime, from_environment
from flyball.errors import CircuitOpenError, SettingsError, ShedError
from flyball.faults import METRIC, NOTE, InjectedThrottle, inject
from flyball.faults_json import turn_on
from flyball.guard import configure, target
from flyball.outcome import Outcome
from flyball.testing import capture, controlled_clock, no_sleep
from unit.client.support import ManualClock, World

NOON_S = 1_767_614_400.0  # 2026-01-05T12:00:00Z


KINDS = ["plain", "async", "returns a coroutine"]


def of_kind(kind, plain, asynchronous):
    """One of the two, or a plain function that returns the other's coroutine."""

    def returns_a_coroutine(**kwargs):
        return asynchronous(**kwargs)

    return dict(zip(KINDS, (plain, asynchronous, returns_a_coroutine), strict=True))[kind]


def run_by(guarded):
    """A function that calls `guarded` to its end, of whichever kind it is."""

    def run():
        result = guarded()
        return asyncio.run(result) if asyncio.iscoroutine(result) else result

    return run


@pytest.fixture(params=KINDS)
def call(request):
    """Guard a function that counts its calls, in each of its kinds; returns (call, calls)."""

    def made(handle, **kwargs):
        calls = []

        def plain(timeout_s=None):
            calls.append(timeout_s)
            return "fine"

        async def asynchronous(timeout_s=None):
            return plain(timeout_s)

        function = of_kind(request.param, plain, asynchronous)
        return run_by(handle.guard(**kwargs)(function)), calls

    return made


def test_off_it_is_not_there(call):
    """No object, no count, no line."""
    world = World()
    run, calls = call(world.target())
    assert (run(), world.runtime.faults, len(calls)) == ("fine", None, 1)


def test_an_error_comes_instead_of_the_answer_and_counts_as_the_targets(call):
    """Retried as any other: first credit 1, so two attempts; the function itself is not called."""
    world = World()
    run, calls = call(world.target())
    with (
        no_sleep(within=world.runtime) as waits,
        inject("t", error=ConnectionError, within=world.runtime) as injection,
        pytest.raises(ConnectionError) as caught,
    ):
        run()
    assert (calls, waits, injection.count) == ([], [0.05], 2)
    assert caught.value.__notes__ == [NOTE]
    counters = world.counters
    assert (counters.requests, counters.errors_fast, counters.request_failures) == (1, 1, 1)
    assert run() == "fine"


def test_an_instance_is_raised_as_it_is(call):
    """For exceptions that carry facts; noted once, however often it is raised."""
    error = TimeoutError("mine")
    world = World()
    run, _ = call(world.target())
    with inject(world.target(), error=error), no_sleep(within=world.runtime):
        for _ in range(2):
            with pytest.raises(TimeoutError) as caught:
                run()
            assert caught.value is error
    assert error.__notes__ == [NOTE]
    assert world.counters.timeouts == 2


@pytest.mark.parametrize(("pause_s", "waited_s"), [(0, 0.5), (2, 2.5)])
def test_a_throttled_answer_asks_for_its_pause(call, pause_s, waited_s):
    """Half of 1,000 ms by the draw, and the Retry-After in full."""
    world = World()
    run, _ = call(world.target())
    with (
        no_sleep(within=world.runtime) as waits,
        inject(world.target(), throttle=pause_s),
        pytest.raises(InjectedThrottle),
    ):
        run()
    assert waits == [waited_s]
    assert world.counters.throttles == 1


def test_a_late_answer_is_timed_as_late(call):
    """The function is called, and its answer comes 0.4 s later."""
    world = World()
    run, calls = call(world.target())
    with (
        controlled_clock(within=world.runtime),
        capture(within=world.runtime) as captured,
        inject(world.target(), latency_s=0.3),
        inject(world.target(), latency_s=0.1),
    ):
        assert run() == "fine"
    assert len(calls) == 1
    assert [attempt.latency_ms for attempt in captured.attempts] == pytest.approx([400.0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_failure_of_the_function_itself_is_late_as_well(kind):
    """Slow networks carry errors too."""
    world = World()

    def plain():
        raise ConnectionError

    async def asynchronous():
        raise ConnectionError

    run = run_by(world.target(idempotent=False).guard(of_kind(kind, plain, asynchronous)))
    with (
        controlled_clock(within=world.runtime),
        capture(within=world.runtime) as captured,
        inject(world.target(), latency_s=0.3),
        pytest.raises(ConnectionError),
    ):
        run()
    assert [attempt.latency_ms for attempt in captured.attempts] == pytest.approx([300.0])


def test_a_hanging_target_is_given_up_after_its_time(call):
    """After 2 s, says the experiment; an attempt that was told 1 s gives up then."""
    world = World()
    untold, _ = call(world.target(idempotent=False))
    told, _ = call(world.target(idempotent=False), timeout="timeout_s")
    with controlled_clock(draw=0.99, within=world.runtime), capture(within=world.runtime) as captured:
        with inject(world.target(), timeout_s=2.0):
            for run in (untold, told):
                with pytest.raises(TimeoutError):
                    run()
        with inject(world.target(), latency_s=1.5), pytest.raises(TimeoutError):
            told()
    assert [attempt.latency_ms for attempt in captured.attempts] == pytest.approx([2_000.0, 1_000.0, 1_000.0])
    assert {attempt.outcome for attempt in captured.attempts} == {Outcome.TIMEOUT}


def test_an_error_may_come_late_and_the_first_of_several_wins(call):
    """Latencies add up."""
    world = World()
    run, _ = call(world.target(idempotent=False))
    with (
        controlled_clock(within=world.runtime),
        capture(within=world.runtime) as captured,
        inject(world.target(), error=KeyError, latency_s=0.2),
        inject(world.target(), throttle=1, latency_s=0.1),
        pytest.raises(KeyError),
    ):
        run()
    assert captured.attempts[0].latency_ms == pytest.approx(300.0)


def hits(ratio: float, seed: int | None, draw: float = 0.5) -> list[bool]:
    world = World()
    world.clock.fixed_draw = draw
    met = []
    guarded = world.target(idempotent=False).guard(lambda: met.append(False))
    with inject(world.target(), error=KeyError, ratio=ratio, seed=seed):
        for _ in range(200):
            try:
                guarded()
            except KeyError:
                met.append(True)
    return met


def test_a_share_of_attempts_meets_the_fault_and_a_seed_repeats_the_choice():
    """0.3 of 200: 60, and three standard deviations are 19."""
    assert 41 <= sum(hits(0.3, 1)) <= 79
    assert hits(0.3, 1) == hits(0.3, 1) != hits(0.3, 2)
    assert (sum(hits(0.5, None, 0.49)), sum(hits(0.5, None, 0.5)), sum(hits(1.0, 7))) == (200, 0, 200)


def test_the_client_reacts_as_to_a_real_outage():
    """All time-outs shed; all fast errors open the circuit."""
    for error, refusal in ((TimeoutError, ShedError), (ConnectionError, CircuitOpenError)):
        world = World()
        world.clock.fixed_draw = 0.2
        guarded = world.target(idempotent=False).guard(lambda: None)
        seen = set()
        with inject(world.target(), error=error):
            for _ in range(30):
                with pytest.raises((error, refusal)) as caught:
                    guarded()
                seen.add(caught.type)
        assert seen == {error, refusal}


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.4]), st.booleans()), max_size=6))
def test_faults_may_overlap_in_any_order_and_leave_nothing(steps):
    """Each takes away only itself."""
    world = World()
    guarded = world.target().guard(lambda: None)
    entered: list[tuple[float, ExitStack]] = []
    with controlled_clock(within=world.runtime) as clock:
        for latency_s, leaves_the_oldest in steps:
            stack = ExitStack()
            stack.enter_context(inject(world.target(), latency_s=latency_s))
            entered.append((latency_s, stack))
            if leaves_the_oldest:
                entered.pop(0)[1].close()
            before_s = clock.monotonic_s()
            guarded()
            assert clock.monotonic_s() - before_s == pytest.approx(sum(latency for latency, _ in entered))
        for _, stack in entered:
            stack.close()
    world.runtime.flush()
    assert world.runtime.faults is None


def test_threads_may_inject_at_the_same_time():
    """No fault is lost, none stays."""
    world = World()
    handle = world.target()
    missed = []

    def experiment() -> None:
        for _ in range(50):
            with inject(handle, error=KeyError) as injection:
                with suppress(KeyError):
                    handle.guard(lambda: missed.append(1))()
                if injection.count == 0:
                    missed.append(2)

    threads = [threading.Thread(target=experiment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.runtime.flush()
    assert (missed, world.runtime.faults) == ([], None)


def test_what_was_injected_is_a_metric_of_its_own():
    """So that nobody takes the experiment for an outage: a line per target and flush."""
    world = World(function="pay")
    guarded = world.target(idempotent=False).guard(lambda: None)
    target("other", within=world.runtime).guard(lambda: None)()
    with capture(within=world.runtime) as captured, inject(world.target(), error=KeyError):
        for _ in range(3):
            with pytest.raises(KeyError):
                guarded()
    assert (captured.metric(METRIC, "t"), captured.metric(METRIC, "other")) == (3, 0)
    injected = json.loads(next(line for line in captured.lines if METRIC in line))
    assert injected["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["target", "function"], ["target"]]
    assert world.runtime.faults is None


def test_a_closed_stdout_does_not_keep_faults_on():
    """Lost lines are lost."""

    def closed(line: str) -> None:
        raise BrokenPipeError

    shared = Runtime(clock=ManualClock(), write=closed)
    handle = target("t", within=shared)
    with inject(handle, error=KeyError), pytest.raises(KeyError):
        handle.guard(lambda: None)()
    assert (shared.flush(), shared.faults) == (0, None)


def test_under_the_processs_runtime_a_name_is_enough():
    """As the documentation shows it; the target may be declared later."""
    before = configure(World().runtime)
    try:
        with inject("payments-api", error=KeyError), pytest.raises(KeyError):
            target("payments-api").guard(lambda: None)()
    finally:
        configure(before)


class PickyError(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "error"),
        ({"error": KeyError, "throttle": 1}, "error"),
        ({"throttle": 1, "timeout_s": 1.0}, "error"),
        ({"error": PickyError}, "error"),
        ({"latency_s": -0.1}, "latency_s"),
        ({"latency_s": 901}, "latency_s"),
        ({"latency_s": float("nan")}, "latency_s"),
        ({"timeout_s": "1"}, "timeout_s"),
        ({"throttle": 1.5}, "throttle"),
        ({"throttle": -1}, "throttle"),
        ({"error": KeyError, "ratio": 0.0}, "ratio"),
        ({"error": KeyError, "ratio": 1.1}, "ratio"),
        ({"error": KeyError, "ratio": True}, "ratio"),
    ],
)
def test_a_fault_that_cannot_happen_is_refused(arguments, field):
    """Before the experiment, not in it."""
    world = World()
    with pytest.raises(SettingsError) as caught, inject("t", within=world.runtime, **arguments):
        pass
    assert caught.value.field == field
    assert world.runtime.faults is None


# --- FLYBALL_FAULTS -------------------------------------------------------------------


def variable(until: object, **fault: object) -> str:
    return json.dumps({"until": until, "faults": [{"target": "t", **fault}]})


@pytest.mark.parametrize("until", ["2026-01-05T12:00:00Z", "2026-01-05T13:00:00+01:00", NOON_S])
def test_an_experiment_ends_at_its_time_whichever_clock_gets_there(until):
    """On the wall clock, or, if that was set back, on the other; afterwards there is nothing left."""
    for set_back_s in (0.0, -3_600.0):
        world = World()
        world.clock.set_wall_s(NOON_S - 60.0)
        guarded = world.target(idempotent=False).guard(lambda: "fine")
        assert turn_on(variable(until, error="ConnectionError"), world.runtime) is world.runtime.faults
        with pytest.raises(ConnectionError):
            guarded()
        world.clock.pass_s(59.0)
        world.clock.set_wall_s(world.clock.wall_s() + set_back_s)
        with pytest.raises(ConnectionError):
            guarded()
        world.clock.pass_s(1.0)
        assert guarded() == "fine"
        world.runtime.flush()
        assert world.runtime.faults is None


def test_an_experiment_that_is_over_is_no_error():
    """The variable may stay until the next deployment."""
    world = World()
    world.clock.set_wall_s(NOON_S)
    assert turn_on(variable(NOON_S, latency_s=1), world.runtime) is None
    assert world.runtime.faults is None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "FLYBALL_FAULTS"),
        ("[" * 100_000, "FLYBALL_FAULTS"),
        ("[]", ""),
        ('{"faults": []}', "until"),
        ('{"until": null, "faults": []}', "until"),
        ('{"until": true, "faults": []}', "until"),
        ('{"until": "tomorrow", "faults": []}', "until"),
        ('{"until": "2026-01-05T12:00:00", "faults": []}', "until"),
        ('{"until": NaN, "faults": []}', "until"),
        ('{"until": Infinity, "faults": []}', "until"),
        (variable(NOON_S + 86_401.0, latency_s=1), "until"),
        ('{"until": 1767614460, "faults": {}}', "faults"),
        ('{"until": 1767614460, "faults": [], "from": 1}', "from"),
        ('{"until": 1767614460, "faults": [3]}', "faults.0"),
        ('{"until": 1767614460, "faults": [{"latency_s": 1}]}', "faults.0.target"),
        (variable(NOON_S + 60.0, latency_ms=1), "faults.0.latency_ms"),
        (variable(NOON_S + 60.0, latency_s="1"), "faults.0.latency_s"),
        (variable(NOON_S + 60.0, latency_s=1, seed="x"), "faults.0.seed"),
        (variable(NOON_S + 60.0, error="KeyboardInterrupt"), "faults.0.error"),
        (variable(NOON_S + 60.0, error="print"), "faults.0.error"),
        (variable(NOON_S + 60.0, error="NoSuchError"), "faults.0.error"),
        (variable(NOON_S + 60.0, error=3), "faults.0.error"),
        (variable(NOON_S + 60.0, error="UnicodeDecodeError"), "faults.0.error"),
        (variable(NOON_S + 60.0), "faults.0.error"),
    ],
)
def test_a_variable_that_cannot_be_obeyed_is_refused_and_turns_nothing_on(text, field):
    """Above all one without an end, or whose end is out of sight."""
    world = World()
    world.clock.set_wall_s(NOON_S)
    with pytest.raises(SettingsError) as caught:
        turn_on(text, world.runtime)
    assert caught.value.field == field
    assert world.runtime.faults is None


def test_a_misspelt_key_is_answered_with_the_right_one():
    """Not silently ignored: the experiment would prove nothing."""
    with pytest.raises(SettingsError, match="did you mean 'latency_s'"):
        turn_on(variable(NOON_S, latency=1), World().runtime)


def test_a_deployed_function_takes_its_faults_from_the_environment():
    """At the first use; FLYBALL_OFF guards nothing and so injects nothing."""
    until = Runtime().clock.wall_s() + 3_600.0
    text = variable(until, throttle=0, seed=1)
    for off, expected in (("0", InjectedThrottle), ("1", None)):
        shared = from_environment({"FLYBALL_FAULTS": text, "FLYBALL_OFF": off})
        handle = target("t", within=shared)
        handle.target.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1)), 1)
        guarded = handle.guard(lambda: "fine")
        if expected is None:
            assert guarded() == "fine"
        else:
            with pytest.raises(expected):
                guarded()
    assert from_environment({}).faults is None
