"""Single pieces of the tenacity adapter, beside what a decorator has already."""

from __future__ import annotations

import pytest
import tenacity

from flyball.contract import DEFAULT_PARAMS, BreakerParams, BulkheadParams, CircuitState, RetryParams
from flyball.errors import SettingsError
from flyball.hooks import RetryScheduled
from flyball.interop.tenacity import before, obey, retry_if, stop, wait
from flyball.outcome import Outcome
from unit.client.support import PaymentError
from unit.client.tenacity_world import DOWN, GENEROUS, TenacityWorld


def test_without_before_the_calls_are_counted_all_the_same():
    """Asked for the first time after the first attempt."""
    world = TenacityWorld()
    pieces = {"retry": retry_if(world.handle), "stop": stop(world.handle), "wait": wait(world.handle)}
    assert world.retrying(DOWN, "answer", **pieces)() == "answer"
    assert (world.counters.requests, world.counters.retries) == (1, 1)


@pytest.mark.parametrize("late", [False, True])
def test_without_before_nothing_is_repeated_against_an_open_circuit_or_after_the_deadline(late):
    """The attempt was made: it is not counted as one that was refused."""
    world = TenacityWorld()
    if late:
        world.runtime.deadline_s = world.clock.wall_s()
    else:
        world.handle.target.hold(CircuitState.FORCED_OPEN)
    pieces = {"retry": retry_if(world.handle), "stop": stop(world.handle)}
    with pytest.raises(PaymentError):
        world.retrying(DOWN, "never", **pieces)()
    assert (world.counters.requests, world.counters.short_circuited) == (0, 0)


def test_without_before_hooks_are_told_all_the_same():
    """Of the retry, as with a guard; a call that was not asked for has no beginning to tell of."""
    events: list[object] = []
    world = TenacityWorld(hooks=events.append)
    pieces = {"retry": retry_if(world.handle), "stop": stop(world.handle)}
    world.retrying(DOWN, "answer", **pieces)()
    assert [event.outcome for event in events if isinstance(event, RetryScheduled)] == [Outcome.ERROR_FAST]


def test_without_before_a_call_is_counted_although_another_would_have_been_shed():
    """It was made: the throttle has no say any more."""
    world = TenacityWorld()
    pieces = {"retry": retry_if(world.handle, idempotent=False), "stop": stop(world.handle)}
    for _ in range(9):
        with pytest.raises(TimeoutError):
            world.retrying(TimeoutError(), "never", **pieces)()
    assert world.handle.target.shed_ratio(world.clock.wall_s()) > 0.5
    world.clock.fixed_draw = 0.0
    world.retrying("answer", **pieces)()
    assert (world.counters.requests, world.counters.short_circuited) == (10, 0)


def test_retry_if_alone_counts_every_further_attempt_as_a_call():
    """It limits nothing; what tenacity goes on with is at least seen."""
    world = TenacityWorld(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1)))
    pieces = {"retry": retry_if(world.handle), "stop": tenacity.stop_after_attempt(3)}
    with pytest.raises(PaymentError):
        world.retrying(DOWN, DOWN, DOWN, **pieces)()
    assert world.counters.requests == 3


def test_stop_and_wait_beside_a_foreign_predicate_keep_the_limits_and_report_nothing():
    """A breaker that hears of failures alone would open for a target that is well."""
    world = TenacityWorld(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)))
    pieces = {
        "retry": tenacity.retry_if_exception_type(PaymentError) | tenacity.retry_if_result(lambda _: False),
        "stop": stop(world.handle),
        "wait": wait(world.handle),
    }
    assert world.retrying(DOWN, "answer", **pieces)() == "answer", "the first credit"
    assert world.clock.sleeps == [0.05]
    for _ in range(3):
        with pytest.raises(PaymentError):
            world.retrying(DOWN, "never", **pieces)()
    assert world.retrying(DOWN, "answer", **pieces)() == "answer", "five failed calls buy another"
    assert world.counters.requests == 0
    assert world.handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_stop_beside_a_foreign_predicate_knows_attempts_circuit_and_idempotence():
    """All that can be said without having heard of successes."""
    world = TenacityWorld(GENEROUS._replace(retry=RetryParams(max_attempts=3, budget_ratio=3.0)))
    for _ in range(10):  # earn enough
        world.obedient("answer")()
    with pytest.raises(PaymentError):
        world.retrying(DOWN, DOWN, DOWN, "never", stop=stop(world.handle))()
    assert len(world.calls) == 13
    with pytest.raises(PaymentError):
        world.retrying(DOWN, "never", stop=stop(world.handle, idempotent=False))()
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(PaymentError):
        world.retrying(DOWN, "never", stop=stop(world.handle))()


def test_stop_beside_a_foreign_predicate_ignores_what_is_declared_to_be_no_news():
    """`ignore` is the handle's word, also against a predicate that repeats everything."""
    world = TenacityWorld()
    handle = world.target(ignore=LookupError)
    with pytest.raises(LookupError):
        world.retrying(KeyError("k"), "never", stop=stop(handle))()


def test_before_alone_is_refused_at_the_first_call():
    """Not at the first failure: whoever tries it once learns it."""
    world = TenacityWorld()
    with pytest.raises(SettingsError) as caught:
        world.retrying("never", before=before(world.handle))()
    assert caught.value.field == "retry"
    assert world.calls == []


def test_another_targets_predicate_does_not_count():
    """It hears of the same outcomes, for somebody else."""
    world = TenacityWorld()
    with pytest.raises(SettingsError):
        world.retrying("never", before=before(world.handle), retry=retry_if(TenacityWorld().handle))()


def test_switched_off_there_is_one_attempt():
    """As with a guard: the first emergency exit calls straight through."""
    world = TenacityWorld(off=True)
    assert world.obedient("answer")() == "answer"
    with pytest.raises(PaymentError):
        world.obedient(DOWN, "never")()
    assert world.counters.requests == 0


def test_pieces_combine_with_tenacitys_own():
    """`|`, `&` and `+` are tenacity's."""
    world = TenacityWorld()
    pieces = {
        **obey(world.handle),
        "stop": stop(world.handle) | tenacity.stop_after_attempt(2),
        "wait": wait(world.handle) + tenacity.wait_fixed(1.0),
    }
    with pytest.raises(PaymentError):
        world.retrying(DOWN, DOWN, "never", **pieces)()
    assert world.clock.sleeps == [1.05]


def test_without_before_a_call_is_not_counted_if_it_had_no_place():
    """The bulkhead is full; the call went past it, and is neither refused nor given a place."""
    world = TenacityWorld(GENEROUS._replace(bulkhead=BulkheadParams(max_concurrent=1)))
    pieces = {"retry": retry_if(world.handle), "stop": stop(world.handle)}
    with world.handle.permit():
        assert world.retrying("answer", **pieces)() == "answer"
    assert (world.counters.requests, world.counters.short_circuited) == (0, 0)
