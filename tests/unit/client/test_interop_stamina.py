"""stamina's loop with a target's decisions, whole and by single parameters."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import stamina
from stamina.instrumentation import set_on_retry_hooks

from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, RetryParams
from flyball.errors import CircuitOpenError, SettingsError
from flyball.interop.stamina import attempts, on, retry, retry_context
from unit.client.support import PaymentError, World, circuit

GENEROUS = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0))
DOWN = PaymentError("down")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The waits of stamina's loops: they are tenacity's, and nobody waits for them here."""
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr("stamina._core._smart_sleep", asleep)
    set_on_retry_hooks(())
    yield waits
    set_on_retry_hooks(None)


def made(params: Any = GENEROUS, **kwargs: Any) -> World:
    world = World(**kwargs)
    world.target().target.apply_params(params, 1)
    return world


def test_a_decorated_function_obeys_the_target(slept):
    """Half of 100, 200 and 400 ms, and the fourth attempt is the last; counted once."""
    world = made()
    with pytest.raises(PaymentError) as caught:
        retry(world.target())(world.function(DOWN, DOWN, DOWN, DOWN, "never"))()
    assert caught.value is DOWN
    assert slept == [0.05, 0.1, 0.2]
    counters = world.counters
    assert (counters.requests, counters.retries, counters.request_failures) == (1, 3, 1)
    assert list(counters.latencies_ms) == pytest.approx([10.0] * 4)


def test_a_result_passes_through(slept):
    """K8, with arguments."""
    world = made()
    assert retry(world.target())(world.function(DOWN, "answer"))("a", b=1) == "answer"
    assert world.calls == [("a", ("b", 1))] * 2
    assert (world.counters.requests, world.counters.retries, world.counters.request_failures) == (1, 1, 0)


def test_coroutines_obey_as_functions_do(slept):
    """The same decisions, awaited waits."""
    world = made()
    function = world.function(DOWN, DOWN, "answer", KeyError("bug"))

    @retry(world.target())
    async def call() -> object:
        return function()

    assert asyncio.run(call()) == "answer"
    assert slept == [0.05, 0.1]
    with pytest.raises(KeyError):
        asyncio.run(call())
    assert (world.counters.requests, world.counters.errors_permanent) == (2, 1)


def test_a_block_obeys_and_may_be_left_with_a_result(slept):
    """`return` inside the block closes stamina's generator before it hears of the success."""
    world = made(DEFAULT_PARAMS)
    function = world.function(DOWN, "answer", DOWN, *["answer"] * 5, DOWN, "answer")

    def call() -> object:
        numbers = []
        for attempt in retry_context(world.target()):
            with attempt:
                numbers.append(attempt.num)
                return function(), numbers
        raise AssertionError("unreachable")

    assert call() == ("answer", [1, 2])
    with pytest.raises(PaymentError):
        call()  # the credit is spent
    for _ in range(5):
        call()
    assert call() == ("answer", [1, 2]), "successes have earned another"
    assert world.counters.requests == 8


def test_an_open_circuit_is_not_called(slept):
    """The refusal is raised where the loop begins."""
    world = made()
    world.target().target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        retry(world.target())(world.function("never"))()
    assert (world.calls, world.counters.short_circuited) == ([], 1)


def test_failures_open_the_local_breaker(slept):
    """What stamina repeats counts like what a guard repeats."""
    world = made(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)))
    call = retry(world.target())(world.function(DOWN, "never"))
    with pytest.raises(PaymentError):
        call()
    with pytest.raises(CircuitOpenError):
        call()


def test_what_may_not_be_repeated_is_not(slept):
    """K9."""
    world = made()
    with pytest.raises(PaymentError):
        retry(world.target(), idempotent=False)(world.function(DOWN, "never"))()


@pytest.mark.parametrize("broken_off", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_call_that_is_broken_off_gives_its_slot_back(slept, broken_off):
    """K7: an interrupt is neither repeated nor a verdict."""
    world = made()
    world.target().target.apply_circuit(circuit(CircuitState.HALF_OPEN, close_after=1, probe_ratio=1.0))
    with pytest.raises(type(broken_off)):
        retry(world.target())(world.function(broken_off))()

    def leave() -> None:
        for _ in retry_context(world.target()):
            break

    leave()
    assert retry(world.target())(world.function("answer"))() == "answer"
    assert world.counters.requests == 1


def test_stamina_switched_off_leaves_one_attempt(slept):
    """Its own switch, and ours."""
    world = made()
    stamina.set_active(False)
    try:
        with pytest.raises(PaymentError):
            retry(world.target())(world.function(DOWN, "never"))()
    finally:
        stamina.set_active(True)
    assert world.counters.requests == 1
    off = made(off=True)
    with pytest.raises(PaymentError):
        retry(off.target())(off.function(DOWN, "never"))()
    assert off.counters.requests == 0


def test_stamina_in_test_mode_does_not_wait():
    """Real sleeps would be noticed: half of 60 s."""
    world = made(GENEROUS._replace(retry=RetryParams(base_ms=60_000, cap_ms=60_000, budget_ratio=3.0)))
    with stamina.set_testing(True, attempts=2), pytest.raises(PaymentError):
        retry(world.target())(world.function(DOWN, DOWN, "never"))()
    assert len(world.calls) == 2


def test_a_generator_is_refused():
    """Its call returns before anything is asked of the target."""

    def generate() -> Iterator[int]:
        yield 1

    with pytest.raises(SettingsError) as caught:
        retry(World().target())(generate)
    assert caught.value.field == "function"


def test_a_missing_library_is_named(monkeypatch):
    """Whose fault, and what to do; and the slot is given back."""
    monkeypatch.setitem(sys.modules, "stamina", None)
    with pytest.raises(SettingsError, match="requirements") as caught:
        retry(World().target())(print)()
    assert caught.value.field == "stamina"


# --- single parameters ------------------------------------------------------------------


def test_staminas_own_decorator_takes_attempts_that_change(slept):
    """Three by its document, then one by the fleet's circuit: the number is read when it is compared."""
    world = made(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=3)))
    handle = world.target()
    function = world.function(*[DOWN] * 6, "never")
    call = stamina.retry(on=PaymentError, attempts=attempts(handle), timeout=None)(function)
    with pytest.raises(PaymentError):
        call()
    assert len(world.calls) == 3
    handle.target.apply_circuit(circuit(CircuitState.CLOSED, max_attempts=1, valid_until=9_000.0))
    with pytest.raises(PaymentError):
        call()
    assert len(world.calls) == 4


def test_the_number_of_attempts_compares_as_it_stands():
    """Both ways round, as stamina and tenacity write it."""
    world = made(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=2)))
    live = attempts(world.target())
    world.target().target.apply_params(GENEROUS, 2)  # four by now
    assert live <= 4
    assert not live <= 3
    assert live > 3
    assert live < 5
    assert live >= 4
    assert min(3, live) == 3
    assert attempts(made(off=True).target()) <= 1


def test_staminas_own_decorator_asks_the_hook_for_permission_and_wait(slept):
    """The credit buys one retry; five failed attempts buy the next. Nothing is reported."""
    world = made(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)))
    handle = world.target()
    function = world.function(DOWN, DOWN, DOWN, DOWN, DOWN, "answer")
    call = stamina.retry(on=on(handle), attempts=attempts(handle), timeout=None)(function)
    for _ in range(3):
        with pytest.raises(PaymentError):
            call()
    assert len(world.calls) == 4
    assert call() == "answer"
    assert slept == [0.05, 0.05]
    assert world.counters.requests == 0
    assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_the_hook_knows_circuit_classification_and_switch(slept):
    """No retry into an open circuit, of a bug, or of what may not be repeated; none when switched off."""
    world = made()
    handle = world.target()
    assert on(handle)(DOWN) == 0.05
    assert on(handle)(KeyError("bug")) is False
    assert on(handle, idempotent=False)(DOWN) is False
    handle.target.hold(CircuitState.FORCED_OPEN)
    assert on(handle)(DOWN) is False
    assert on(made(off=True).target())(DOWN) is False
