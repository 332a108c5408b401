"""tenacity's own decorators, obeying a target: attempts, waits, budget, circuit, and what is counted."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, RetryParams
from flyball.errors import CircuitOpenError, DeadlineExceeded, FlyballWarning, RejectedError, SettingsError
from flyball.interop import tenacity as adapter
from flyball.interop.shell import library
from flyball.interop.tenacity import obey, retry_if
from flyball.outcome import Outcome
from unit.client.support import PaymentError, World, circuit
from unit.client.tenacity_world import DOWN, TenacityWorld


def test_a_decorated_function_obeys_the_target():
    """Half of 100, 200 and 400 ms, and the fourth attempt is the last."""
    world = TenacityWorld()
    with pytest.raises(PaymentError) as caught:
        world.obedient(DOWN, DOWN, DOWN, DOWN, "never")()
    assert caught.value is DOWN
    assert world.clock.sleeps == [0.05, 0.1, 0.2]
    counters = world.counters
    assert (counters.requests, counters.retries, counters.errors_fast, counters.request_failures) == (
        1,
        3,
        1,
        1,
    )
    assert len(counters.latencies_ms) == 4


def test_a_result_passes_through_and_is_counted_once():
    """K8."""
    world = TenacityWorld()
    assert world.obedient("answer")() == "answer"
    assert world.obedient(DOWN, "answer")() == "answer"
    assert (world.counters.requests, world.counters.retries, world.counters.request_failures) == (2, 1, 0)


def test_latencies_are_of_attempts_without_the_waits(monkeypatch):
    """By tenacity's own measure: 10 ms each, whatever was slept in between."""
    world = TenacityWorld()
    monkeypatch.setattr(tenacity, "time", SimpleNamespace(monotonic=world.clock.monotonic_s))
    world.obedient(DOWN, DOWN, "answer")()
    assert list(world.counters.latencies_ms) == pytest.approx([10.0] * 3)


def test_parameters_are_read_at_each_attempt():
    """The fleet says single attempts while a call waits for its second: the third is not made."""
    world = TenacityWorld()

    def order() -> PaymentError:
        world.handle.target.apply_circuit(
            circuit(CircuitState.CLOSED, max_attempts=2, version=7, valid_until=5_000.0)
        )
        return DOWN

    function = world.function(DOWN, DOWN, "never")

    def ordering() -> object:
        if len(world.calls) == 1:
            order()
        return function()

    with pytest.raises(PaymentError):
        tenacity.retry(**obey(world.handle), reraise=True, sleep=world.clock.sleep)(ordering)()
    assert len(world.calls) == 2


def test_the_budget_is_one_for_all_decorated_functions():
    """First credit 1 and 0.2 per call: three failing calls get one retry between them."""
    world = TenacityWorld(DEFAULT_PARAMS)
    for script in ([DOWN, DOWN], [DOWN], [DOWN]):
        with pytest.raises(PaymentError):
            world.obedient(*script)()
    assert (world.counters.requests, world.counters.retries) == (3, 1)


def test_successes_earn_the_budget():
    """Five good calls buy one retry."""
    world = TenacityWorld(DEFAULT_PARAMS)
    with pytest.raises(PaymentError):
        world.obedient(DOWN, DOWN)()
    for _ in range(4):
        world.obedient("answer")()
    assert world.obedient(DOWN, "answer")() == "answer"


def test_an_open_circuit_is_not_called():
    """`before` asks; the refusal is ours and not a RetryError."""
    world = TenacityWorld()
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError) as caught:
        world.obedient("never")()
    assert (caught.value.target, world.calls, world.counters.short_circuited) == ("t", [], 1)


def test_a_call_without_time_is_not_made():
    """The invocation's deadline is the call's."""
    world = TenacityWorld()
    world.runtime.deadline_s = world.clock.wall_s()
    with pytest.raises(DeadlineExceeded):
        world.obedient("never")()


def test_failures_of_decorated_functions_open_the_local_breaker():
    """Twenty of them: what tenacity reports counts like what a guard reports."""
    world = TenacityWorld(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=3)))
    for _ in range(2):
        with pytest.raises(PaymentError):
            world.obedient(DOWN, DOWN)()
    with pytest.raises(PaymentError):
        world.obedient(DOWN)()
    with pytest.raises(CircuitOpenError):
        world.obedient("never")()


def test_the_callers_own_faults_are_not_repeated():
    """A KeyError is nobody's outage; it is counted as permanent."""
    world = TenacityWorld()
    with pytest.raises(KeyError):
        world.obedient(KeyError("bug"))()
    assert (world.counters.errors_permanent, world.counters.retries) == (1, 0)


def test_what_may_not_be_repeated_is_not():
    """K9, by the target's declaration or the decorator's."""
    world = TenacityWorld()
    careful = world.target(idempotent=False)
    for pieces in (obey(careful), obey(world.handle, idempotent=False)):
        with pytest.raises(PaymentError):
            world.retrying(DOWN, **pieces)()
    assert world.retrying(DOWN, "answer", **obey(careful, idempotent=True))() == "answer"


def test_a_pause_that_the_target_asks_for_is_kept():
    """Retry-After 2 s, jitter on top."""
    world = TenacityWorld()
    error = PaymentError("busy")
    error.response = {"ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "2"}}}  # type: ignore[attr-defined]
    world.obedient(error, "answer")()
    assert world.clock.sleeps == [2.5]
    assert world.counters.throttles == 1


def test_an_own_predicate_may_ask_for_more_within_the_same_limits():
    """A result that is not good enough: it fails the attempt, and the ladder ends it."""
    world = TenacityWorld()
    pieces = obey(world.handle, retry=tenacity.retry_if_result(lambda value: value is None))
    assert world.retrying(None, None, "answer", **pieces)() == "answer"
    with pytest.raises(tenacity.RetryError):
        world.retrying(None, None, None, None, "never", **pieces)()
    assert (world.counters.errors_fast, world.counters.request_failures) == (2, 1)
    pieces = obey(world.handle, retry=lambda state: state.outcome.failed)
    assert world.retrying(KeyError("declared"), "answer", **pieces)() == "answer"


def test_try_again_is_a_failure_like_any_other():
    """tenacity asks no predicate about it."""
    world = TenacityWorld()
    with pytest.raises(tenacity.RetryError):
        world.obedient(*[tenacity.TryAgain()] * 4, "never", reraise=False)()
    assert world.counters.errors_fast == 1


@pytest.mark.parametrize("broken_off", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()])
def test_a_call_that_is_broken_off_gives_its_slot_back_and_says_nothing(broken_off):
    """K7: tenacity catches everything; an interrupt is neither repeated nor a verdict."""
    world = TenacityWorld()
    world.handle.target.apply_circuit(circuit(CircuitState.HALF_OPEN, close_after=1, probe_ratio=1.0))
    for retry in (obey(world.handle)["retry"], tenacity.retry_always | obey(world.handle)["retry"]):
        with pytest.raises(type(broken_off)):
            world.obedient(broken_off, retry=retry)()
    assert world.obedient("answer")() == "answer", "the only slot is free"
    assert world.counters.requests == 1


def test_a_call_that_is_dropped_gives_its_slot_back():
    """Whoever leaves the loop in the middle tells tenacity nothing."""
    world = TenacityWorld()
    world.handle.target.apply_circuit(circuit(CircuitState.HALF_OPEN, close_after=1, probe_ratio=1.0))

    def leave() -> None:
        for _ in tenacity.Retrying(**obey(world.handle)):
            break

    leave()
    assert world.obedient("answer")() == "answer"


def test_blocks_obey_as_functions_do():
    """tenacity's second form."""
    world = TenacityWorld()
    function = world.function(DOWN, "answer")
    for attempt in tenacity.Retrying(**obey(world.handle), sleep=world.clock.sleep):
        with attempt:
            answer = function()
    assert answer == "answer"
    assert world.counters.retries == 1


def test_coroutines_obey_as_functions_do():
    """tenacity awaits them; the decisions are the same."""
    world = TenacityWorld()
    function = world.function(DOWN, DOWN, "answer", DOWN)

    async def asleep(seconds: float) -> None:
        world.clock.sleep(seconds)

    @tenacity.retry(**obey(world.handle), sleep=asleep, reraise=True)
    async def call() -> object:
        return function()

    assert asyncio.run(call()) == "answer"
    assert world.clock.sleeps == [0.05, 0.1]
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        asyncio.run(call())


def test_two_targets_in_one_decorator_keep_their_own_counts():
    """A function that asks two dependencies: each hears of it."""
    world = TenacityWorld()
    other = TenacityWorld()
    pieces = obey(world.handle, retry=retry_if(other.handle))
    assert world.retrying(DOWN, "answer", **pieces)() == "answer"
    assert (world.counters.requests, other.counters.requests) == (1, 1)


def test_retries_of_an_sdk_underneath_are_told_of():
    """Two ladders multiply, whoever repeats on top."""
    world = TenacityWorld()
    error = PaymentError("down")
    error.response = {"ResponseMetadata": {"HTTPStatusCode": 500, "RetryAttempts": 4}}  # type: ignore[attr-defined]
    with pytest.warns(FlyballWarning, match="repeated a request to 't' 4 times"):
        world.obedient(error, "answer")()


def test_a_missing_library_is_named(monkeypatch):
    """Whose fault, and what to do."""
    monkeypatch.setitem(sys.modules, "tenacity", None)
    adapter._pieces.cache_clear()
    with pytest.raises(SettingsError, match="requirements") as caught:
        retry_if(World().target())
    assert caught.value.field == "tenacity"
    with pytest.raises(SettingsError):
        library("no_such_library", "tenacity")


@given(
    outcomes=st.lists(st.sampled_from([*Outcome]), min_size=1, max_size=30),
    ratio=st.sampled_from([0.0, 0.2, 1.0]),
    attempts=st.integers(1, 4),
)
def test_attempts_never_exceed_ladder_and_budget(outcomes, ratio, attempts):
    """K9: whatever happens, total load <= (1 + ratio) x offered + the first credit, per call <= ladder."""
    errors = {
        Outcome.TIMEOUT: TimeoutError(),
        Outcome.ERROR_FAST: DOWN,
        Outcome.PERMANENT: KeyError("bug"),
        Outcome.IGNORED: CircuitOpenError("inner", target="u", retry_after_s=0.0),
    }
    params = RetryParams(max_attempts=attempts, budget_ratio=ratio)
    # A breaker that never trips, so that only the ladder and the budget limit.
    quiet = DEFAULT_PARAMS._replace(retry=params, breaker=BreakerParams(min_calls=10_000))
    world = TenacityWorld(quiet)
    offered = 0
    for outcome in outcomes:
        answer = errors.get(outcome, "answer")
        before_it = len(world.calls)
        with suppress(PaymentError, TimeoutError, KeyError, RejectedError):
            world.obedient(*[answer] * 4)()
        made = len(world.calls) - before_it
        assert made <= attempts
        offered += made > 0
    assert len(world.calls) <= offered + ratio * offered + 1
    world.runtime.flush()  # waits are long enough for flushes in between
    assert sum(json.loads(line).get("attempts", 0) for line in world.lines) == len(world.calls)
