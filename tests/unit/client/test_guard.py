"""The guard: transparent, counting truly, sleeping only as told; plain and async functions alike."""

from __future__ import annotations

import asyncio
import functools

import pytest

from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, RetryParams
from flyball.environment import Runtime
from flyball.errors import CircuitOpenError, SettingsError, ShedError
from flyball.guard import target
from flyball.sources import StaticCircuits
from flyball.testing import force_open, no_sleep
from unit.client.support import PaymentError, ScriptedReads, World, circuit


def awaited(function):
    """The same function, as `async def`."""

    @functools.wraps(function)
    async def asynchronous(*args: object, **kwargs: object) -> object:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return asynchronous


@pytest.fixture(params=["plain", "async", "returns a coroutine"])
def run(request):
    """How a guarded function of each kind is defined and called."""

    class Way:
        @staticmethod
        def define(function):
            if request.param == "plain":
                return function
            asynchronous = awaited(function)
            if request.param == "async":
                return asynchronous

            def plain(*args, **kwargs):
                return asynchronous(*args, **kwargs)

            return plain

        @staticmethod
        def call(guarded, *args, **kwargs):
            result = guarded(*args, **kwargs)
            return asyncio.run(result) if asyncio.iscoroutine(result) else result

    return Way


def test_a_result_passes_through_untouched(run):
    """K8: the very object; arguments too."""
    world, result = World(), object()
    guarded = world.target().guard(run.define(world.function(result)))
    assert run.call(guarded, 1, key="x") is result
    assert world.calls == [(1, ("key", "x"))]
    assert world.counters.requests == 1
    assert list(world.counters.latencies_ms) == pytest.approx([10.0])


def test_an_exception_passes_through_untouched(run):
    """K8: the very object, not wrapped; one attempt for a fault of the caller."""
    world, error = World(), KeyError("mine")
    guarded = world.target().guard(run.define(world.function(error)))
    with pytest.raises(KeyError) as caught:
        run.call(guarded)
    assert caught.value is error
    assert (len(world.calls), world.counters.errors_permanent) == (1, 1)


def test_a_failure_is_retried_after_the_wait_and_the_last_error_is_raised(run):
    """First credit 1: one retry, after 50 ms; then the second error, the same object."""
    world, last = World(), PaymentError("second")
    waits: list[float] = []

    async def record(seconds: float) -> None:
        waits.append(seconds)

    world.runtime.sleep = waits.append
    world.runtime.async_sleep = record
    guarded = world.target().guard(run.define(world.function(PaymentError("first"), last)))
    with pytest.raises(PaymentError) as caught:
        run.call(guarded)
    assert caught.value is last
    assert waits == [0.05]
    counters = world.counters
    assert (counters.requests, counters.retries, counters.errors_fast, counters.request_failures) == (
        1,
        1,
        1,
        1,
    )


def test_a_retry_may_succeed(run):
    """The whole point."""
    world = World()
    guarded = world.target().guard(run.define(world.function(TimeoutError(), "fine")))
    with no_sleep(within=world.runtime) as waits:
        assert run.call(guarded) == "fine"
    assert waits == [0.05]
    assert (world.counters.timeouts, world.counters.request_failures) == (1, 0)


def test_nothing_is_repeated_unless_declared(run):
    """K9; the function's own declaration counts before the target's."""
    world = World()
    handle = world.target(idempotent=False)
    with pytest.raises(PaymentError):
        run.call(handle.guard(run.define(world.function(PaymentError()))))
    with no_sleep(within=world.runtime):
        assert run.call(handle.guard(idempotent=True)(run.define(world.function(PaymentError(), 2)))) == 2
    with pytest.raises(PaymentError):
        run.call(world.target().guard(idempotent=False)(run.define(world.function(PaymentError()))))


def test_an_open_circuit_makes_no_call(run):
    """And says whom it spares, and for how long."""
    world = World(circuits=StaticCircuits([circuit(CircuitState.FORCED_OPEN)]))
    guarded = world.target().guard(run.define(world.function()))
    with pytest.raises(CircuitOpenError) as caught:
        run.call(guarded)
    assert (caught.value.target, caught.value.retry_after_s) == ("t", 90.0)
    assert (world.calls, world.counters.short_circuited) == ([], 1)


def test_a_target_that_times_out_is_shed(run):
    """At a draw of 0 the first call over the ratio is refused."""
    world = World()
    guarded = world.target().guard(run.define(world.function(*[TimeoutError()] * 9)))
    world.clock.fixed_draw = 0.0
    with no_sleep(within=world.runtime):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                run.call(guarded)
        with pytest.raises(ShedError):
            run.call(guarded)


@pytest.mark.parametrize("script", [(), (PaymentError(),)])
def test_a_fallback_answers_for_calls_not_made_and_for_the_targets_failures(run, script):
    """Rejected, or failed after the last attempt: the same answer."""
    world = World()
    handle = world.target(idempotent=False)
    guarded = handle.guard(fallback=run.define(lambda key: f"cached {key}"))(
        run.define(world.function(*script))
    )
    if script:
        assert run.call(guarded, "k") == "cached k"
    else:
        with force_open("t", within=world.runtime):
            assert run.call(guarded, "k") == "cached k"
    assert world.counters.fallbacks == 1


def test_a_fallback_does_not_hide_the_callers_own_faults(run):
    """A bug answered from a cache would never be found."""
    world = World()
    guarded = world.target().guard(fallback=lambda: "cached")(run.define(world.function(KeyError())))
    with pytest.raises(KeyError):
        run.call(guarded)
    assert world.counters.fallbacks == 0


def test_a_failing_fallback_names_the_error_it_stood_in_for(run):
    """The last error is chained."""
    world, last = World(), PaymentError()

    def broken() -> object:
        raise LookupError("cache empty")

    guarded = world.target(idempotent=False).guard(fallback=broken)(run.define(world.function(last)))
    with pytest.raises(LookupError) as caught:
        run.call(guarded)
    assert caught.value.__context__ is last


def test_an_attempt_is_told_its_time(run):
    """3 s for the first of a cold environment, then 1 s, and never past the deadline of the invocation."""
    world = World()
    guarded = world.target().guard(timeout="timeout_s")(run.define(world.function(TimeoutError(), 1, 2)))
    with no_sleep(within=world.runtime):
        run.call(guarded)
        world.runtime.deadline_s = world.clock.wall_s() + 0.25
        run.call(guarded)
    told = [dict(call)["timeout_s"] for call in world.calls]
    assert told == pytest.approx([3.0, 1.0, 0.25])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit()])
def test_an_interruption_frees_the_probe_slot_and_passes_through(interruption):
    """K7: BaseException is no verdict about the target."""
    world = World()
    handle = world.target()
    handle.target.apply_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1, close_after=1)), 1)
    guarded = handle.guard(world.function(PaymentError(), interruption, "fine"))
    world.clock.fixed_draw = 0.0
    with pytest.raises(PaymentError):
        guarded()
    world.clock.pass_s(30.0)
    with pytest.raises(type(interruption)):
        guarded()
    assert guarded() == "fine"
    assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_a_cancelled_task_frees_the_probe_slot_and_counts_as_nothing():
    """K7, K8: cancellation says nothing about the target."""
    world = World()
    handle = world.target()
    handle.target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0, valid_until=9_999.0))

    @handle.guard
    async def hang() -> None:
        await asyncio.sleep(3_600.0)

    async def cancel_ten() -> None:
        for _ in range(10):
            task = asyncio.create_task(hang())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel_ten())
    assert world.counters.requests == 0
    assert world.counters.short_circuited == 0, "ten probes, though only three fit at a time"


def test_an_interrupted_wait_ends_the_call_with_what_it_had():
    """Ctrl-C while sleeping between attempts: the first did fail."""
    world = World()

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    world.runtime.sleep = interrupted
    with pytest.raises(KeyboardInterrupt):
        world.target().guard(world.function(PaymentError()))()
    assert (world.counters.requests, world.counters.errors_fast) == (1, 1)


def test_async_waiting_lets_other_tasks_run():
    """The real thing: asyncio.sleep, found without importing asyncio."""
    runtime_, lines = Runtime(), []
    handle = target("t", within=runtime_, idempotent=True)
    handle.target.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(base_ms=1)), 1)
    attempts = []

    @handle.guard
    async def flaky() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise TimeoutError
        return "fine"

    async def both() -> str:
        other = asyncio.create_task(asyncio.sleep(0, "ran"))
        result = await flaky()
        lines.append(await other)
        return result

    assert asyncio.run(both()) == "fine"
    assert lines == ["ran"]


def generator():
    yield 1


async def async_generator():
    yield 1


@pytest.mark.parametrize("function", [generator, async_generator, functools.partial(generator)])
def test_generators_are_refused(function):
    """K8: they would be counted as done before they began."""
    with pytest.raises(SettingsError, match="generator"):
        World().target().guard(function)


def test_callable_objects_and_partials_are_seen_for_what_they_are():
    """An async __call__ must be awaited inside the guard."""

    class Service:
        async def __call__(self) -> str:
            raise PaymentError

    world = World()
    guarded = world.target(idempotent=False).guard(functools.partial(Service()))
    with pytest.raises(PaymentError):
        asyncio.run(guarded())
    assert world.counters.errors_fast == 1


def test_the_decorated_function_keeps_its_name_and_guards_methods():
    """Introspection and `self` work as before."""
    world = World()

    class Client:
        @world.target().guard
        def charge(self, amount: int) -> tuple[object, int]:
            """Charge."""
            return self, amount

    client = Client()
    assert client.charge(3) == (client, 3)
    assert (Client.charge.__name__, Client.charge.__doc__) == ("charge", "Charge.")


def test_switched_off_the_guard_is_not_there(run):
    """The first emergency exit: no retry, no count, no read."""
    source = ScriptedReads(None)
    world = World(off=True, documents=source)
    guarded = world.target().guard(fallback=lambda: "cached")(run.define(world.function(PaymentError())))
    with pytest.raises(PaymentError):
        run.call(guarded)
    assert (source.reads, world.counters.requests) == (0, 0)
