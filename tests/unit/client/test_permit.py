"""Calls without a wrapper: permits and loops of attempts, plain and asynchronous."""

from __future__ import annotations

import asyncio
import gc

import pytest

from flyball.contract import DEFAULT_PARAMS, BreakerParams, BulkheadParams, CircuitState, RetryParams
from flyball.errors import BulkheadFull, CircuitOpenError, DeadlineExceeded
from flyball.outcome import Outcome
from flyball.testing import no_sleep
from unit.client.support import PaymentError, World, circuit

ONE_PLACE = DEFAULT_PARAMS._replace(
    bulkhead=BulkheadParams(max_concurrent=1), retry=RetryParams(budget_ratio=3.0)
)


def make(params=ONE_PLACE, **kwargs):
    world = World()
    handle = world.target(**kwargs)
    handle.target.apply_params(params, 1)
    return world, handle


def free(handle) -> bool:
    """Whether the one place is free."""
    try:
        handle.acquire().ignore()
    except BulkheadFull:
        return False
    return True


# --- a permit -------------------------------------------------------------------------


def test_a_success_is_counted_with_its_latency():
    """From the begin of the block to the verdict."""
    world, handle = make()
    with handle.permit() as permit:
        world.clock.pass_s(0.025)
        permit.success()
        world.clock.pass_s(5.0)
    assert world.counters.requests == 1
    assert list(world.counters.latencies_ms) == pytest.approx([25.0])


@pytest.mark.parametrize(
    ("found", "counted"),
    [
        (Outcome.TIMEOUT, "timeouts"),
        (Outcome.THROTTLE, "throttles"),
        (Outcome.ERROR_FAST, "errors_fast"),
        (PaymentError(), "errors_fast"),
        (TimeoutError(), "timeouts"),
        (KeyError(), "errors_permanent"),
    ],
)
@pytest.mark.parametrize("by_word", [True, False])
def test_a_failure_is_counted_by_its_kind(found, counted, by_word):
    """Said by word, or by the exception that leaves the block: the very object (K8)."""
    world, handle = make()
    if by_word or isinstance(found, Outcome):
        with handle.permit() as permit:
            assert permit.failure(found) is False
    else:
        with pytest.raises(type(found)) as caught, handle.permit():
            raise found
        assert caught.value is found
    assert (world.counters.requests, getattr(world.counters, counted)) == (1, 1)
    assert free(handle)


def test_a_failure_without_a_kind_is_a_fast_error():
    """The usual one: it answered, and said no."""
    world, handle = make()
    with handle.permit() as permit:
        permit.failure()
    assert world.counters.errors_fast == 1


def test_an_ignored_attempt_is_a_request_and_no_failure():
    """It was made; it says nothing about the target."""
    world, handle = make()
    handle.acquire().ignore()
    assert (world.counters.requests, world.counters.request_failures) == (1, 0)


def test_leaving_without_a_verdict_is_neutral_and_frees_everything():
    """Nobody knows how it went: not even a request is counted."""
    world, handle = make()
    with handle.permit():
        assert not free(handle)
    assert free(handle)
    assert (world.counters.requests, world.counters.short_circuited) == (1, 1), "those of the question itself"


@pytest.mark.parametrize(
    "interruption", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_an_interruption_is_neutral_and_passes_through(interruption):
    """K7, K8: BaseException is no verdict, neither from the block nor by word."""
    world, handle = make()
    with pytest.raises(interruption), handle.permit():
        raise interruption
    handle.acquire().failure(interruption())
    assert free(handle)
    assert world.counters.requests == 1, "that of the question itself"


def test_an_error_after_the_verdict_changes_nothing():
    """The target answered well; what the caller did with it is his affair."""
    world, handle = make()

    def work() -> None:
        with handle.permit() as permit:
            permit.success()
            raise TimeoutError

    with pytest.raises(TimeoutError):
        work()
    assert (world.counters.requests, world.counters.timeouts) == (1, 0)


def test_one_verdict_is_enough():
    """A second one is a bug of the caller, and must not become a metric."""
    world, handle = make()
    permit = handle.acquire()
    permit.success()
    for again in (permit.success, permit.failure, permit.ignore):
        with pytest.raises(RuntimeError, match="was given already"):
            again()
    assert world.counters.requests == 1


def test_a_permit_is_for_one_attempt():
    """Used a second time, the second attempt would be made by nobody's leave."""
    _, handle = make()
    permit = handle.permit()
    with permit:
        permit.success()
    with pytest.raises(RuntimeError, match="is used up"), permit:
        pass
    with pytest.raises(RuntimeError, match="is used up"):
        handle.acquire().begin()


def test_an_acquired_permit_may_still_be_entered():
    """To leave the rest to the block."""
    world, handle = make()
    with handle.acquire() as permit:
        permit.success()
    assert world.counters.requests == 1


def test_a_permit_that_is_forgotten_gives_back_what_it_held():
    """K7: an exception between acquire and verdict, a generator that is closed half-way."""
    _, handle = make()

    def stream():
        permit = handle.acquire()
        yield 1
        permit.success()

    reader = stream()
    next(reader)
    assert not free(handle)
    reader.close()
    assert free(handle)

    def in_block():
        with handle.permit() as permit:
            yield 1
            permit.success()

    reader = in_block()
    next(reader)
    assert not free(handle)
    del reader
    gc.collect()
    assert free(handle)
    handle.permit()  # never begun: nothing was held
    assert free(handle)


def test_a_refused_permit_says_why():
    """At `with`, and at acquire."""
    world, handle = make()
    handle.target.apply_circuit(circuit(CircuitState.FORCED_OPEN))
    for refused in (handle.acquire, lambda: handle.permit().__enter__()):
        with pytest.raises(CircuitOpenError) as caught:
            refused()
        assert (caught.value.target, caught.value.retry_after_s) == ("t", 90.0)
    assert world.counters.short_circuited == 2


def test_a_permit_tells_how_long_its_attempt_may_take():
    """3 s for the first of a cold environment, then 1 s; nothing if flyball is switched off."""
    world, handle = make()
    permit = handle.acquire()
    assert permit.timeout_s == 3.0
    permit.success()
    assert handle.acquire().timeout_s == 1.0
    world.runtime.off = True
    assert handle.acquire().timeout_s is None


def test_permits_open_and_close_the_circuit_like_any_other_call():
    """The same path: one failure opens, a probe closes; a probe without a verdict frees its slot."""
    world, handle = make(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1, close_after=1)))
    world.clock.fixed_draw = 0.0
    handle.acquire().failure()
    with pytest.raises(CircuitOpenError):
        handle.acquire()
    world.clock.pass_s(30.0)
    with handle.permit():
        assert handle.target.state(world.clock.wall_s()) == CircuitState.HALF_OPEN
    with handle.permit() as permit:
        permit.success()
    assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_async_with_is_the_same():
    """For coroutines; cancellation is neutral."""
    world, handle = make()

    async def succeed() -> None:
        async with handle.permit() as permit:
            await asyncio.sleep(0)
            permit.success()

    async def hang() -> None:
        async with handle.permit():
            await asyncio.sleep(3_600.0)

    async def cancelled() -> None:
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        assert not free(handle)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert free(handle)

    asyncio.run(succeed())
    asyncio.run(cancelled())
    assert world.counters.requests == 2


# --- a loop of attempts ---------------------------------------------------------------


@pytest.fixture(params=["for", "async for"])
def run(request):
    """A loop over the attempts of a handle with a body that does what the script says."""

    def plain(handle, function, **kwargs):
        result = None
        for attempt in handle.attempts(**kwargs):
            with attempt:
                result = function(attempt)
        return result

    async def asynchronous(handle, function, **kwargs):
        result = None
        async for attempt in handle.attempts(**kwargs):
            async with attempt:
                await asyncio.sleep(0)
                result = function(attempt)
        return result

    if request.param == "for":
        return plain
    return lambda *args, **kwargs: asyncio.run(asynchronous(*args, **kwargs))


def scripted(*answers):
    left = list(answers)

    def body(attempt):
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return body


def test_a_good_block_ends_the_loop(run):
    """One attempt, one request; the value is the body's affair."""
    world, handle = make()
    result = object()
    assert run(handle, scripted(result)) is result
    assert (world.counters.requests, world.counters.retries) == (1, 0)
    assert free(handle)


def test_a_failed_block_is_repeated_after_the_wait(run):
    """Half of 100 ms, then half of 200; the third attempt is the answer."""
    world, handle = make()
    with no_sleep(within=world.runtime) as waits:
        assert run(handle, scripted(PaymentError(), TimeoutError(), "fine")) == "fine"
    assert waits == [0.05, 0.1]
    counters = world.counters
    assert (counters.requests, counters.retries, counters.errors_fast) == (1, 2, 1)
    assert free(handle)


def test_the_last_error_leaves_the_loop_untouched(run):
    """K8: the very object, after four attempts."""
    world, handle = make()
    errors = [PaymentError(str(n)) for n in range(4)]
    with no_sleep(within=world.runtime), pytest.raises(PaymentError) as caught:
        run(handle, scripted(*errors))
    assert caught.value is errors[3]
    assert (world.counters.request_failures, world.counters.retries) == (1, 3)
    assert free(handle)


@pytest.mark.parametrize("error", [KeyError(), KeyboardInterrupt(), SystemExit()])
def test_what_is_no_failure_of_the_target_is_not_repeated(run, error):
    """The caller's own faults, and interruptions."""
    _, handle = make()
    with pytest.raises(type(error)) as caught:
        run(handle, scripted(error))
    assert caught.value is error
    assert free(handle)


def test_nothing_is_repeated_unless_declared(run):
    """K9; the loop's own declaration counts before the target's."""
    world, handle = make(idempotent=False)
    with pytest.raises(PaymentError):
        run(handle, scripted(PaymentError()))
    with no_sleep(within=world.runtime):
        assert run(handle, scripted(PaymentError(), 2), idempotent=True) == 2
    _, repeatable = make()
    with pytest.raises(PaymentError):
        run(repeatable, scripted(PaymentError()), idempotent=False)


def test_attempts_know_their_number_and_their_time(run):
    """3 s while all is cold, then 1 s."""
    world, handle = make()
    seen = []

    def body(attempt):
        seen.append((attempt.number, attempt.timeout_s))
        if attempt.number == 1:
            raise TimeoutError

    with no_sleep(within=world.runtime):
        run(handle, body)
    assert seen == [(1, 3.0), (2, 1.0)]


def test_an_answer_may_be_judged_by_word(run):
    """A 429 that is no exception; `failure` says whether another attempt follows, the last one stands."""
    world, handle = make()
    follows = []

    def body(attempt):
        follows.append(attempt.failure(Outcome.THROTTLE))
        return "429"

    with no_sleep(within=world.runtime) as waits:
        assert run(handle, body) == "429"
    assert follows == [True, True, True, False]
    assert waits == [0.5, 1.0, 1.0]  # base 1 s, doubled, capped at 2 s; half of each
    assert world.counters.throttles == 1
    assert free(handle)


def test_a_success_or_nothing_by_word_ends_the_loop(run):
    """Whatever else the block does."""
    world, handle = make()
    assert run(handle, lambda attempt: attempt.success()) is None
    assert run(handle, lambda attempt: attempt.ignore()) is None
    assert (world.counters.requests, world.counters.retries) == (2, 0)


def test_an_error_after_the_word_ends_the_call(run):
    """Said to be repeated, but the block failed by itself: what is under way is given back."""
    world, handle = make()

    def body(attempt):
        assert attempt.failure()
        raise LookupError("mine")

    with pytest.raises(LookupError):
        run(handle, body)
    assert (world.counters.requests, world.counters.errors_fast) == (1, 1)
    assert free(handle)


def test_a_loop_that_survives_such_an_error_is_over_all_the_same():
    """Caught between block and loop: the block failed by itself, and is not repeated."""
    _, handle = make()
    numbers = []
    for attempt in handle.attempts():
        numbers.append(attempt.number)
        try:
            with attempt:
                attempt.failure()
                raise LookupError("mine")
        except LookupError:
            assert free(handle)
    assert numbers == [1]


def test_a_refused_call_leaves_the_loop_at_its_first_block(run):
    """With the reason; nothing was made."""
    world, handle = make()
    world.runtime.deadline_s = world.clock.wall_s()
    with pytest.raises(DeadlineExceeded):
        run(handle, scripted("never"))
    assert world.counters.requests == 0


def test_switched_off_there_is_one_attempt_as_without_the_loop(run):
    """The first emergency exit: no count, no wait, the error itself."""
    world, handle = make()
    world.runtime.off = True
    assert run(handle, scripted(1)) == 1
    with pytest.raises(PaymentError):
        run(handle, scripted(PaymentError()))
    assert world.counters.requests == 0


def test_a_probe_is_not_repeated(run):
    """It asks a question, and has its answer."""
    world, handle = make(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)))
    world.clock.fixed_draw = 0.0
    handle.acquire().failure()
    world.clock.pass_s(30.0)
    with pytest.raises(PaymentError):
        run(handle, scripted(PaymentError()))


def test_breaking_out_of_the_block_is_a_good_end():
    """As a return would be: the block was left without an error."""
    world, handle = make()
    for attempt in handle.attempts():
        with attempt:
            break
    assert world.counters.requests == 1
    assert free(handle)


def test_leaving_between_attempts_ends_the_call_at_once():
    """Also while the name of the last attempt lives on."""
    world, handle = make()
    with no_sleep(within=world.runtime):
        for attempt in handle.attempts():
            if attempt.number == 2:
                break
            with attempt:
                raise PaymentError
    assert free(handle)
    assert attempt.number == 2
    assert (world.counters.requests, world.counters.errors_fast) == (2, 1), "one is the question's"

    async def asynchronous():
        async for attempt in handle.attempts():
            if attempt.number == 2:
                break
            async with attempt:
                raise PaymentError
        assert free(handle)
        return attempt

    with no_sleep(within=world.runtime):
        assert asyncio.run(asynchronous()).number == 2


def test_an_interrupted_wait_ends_the_call_with_what_it_had():
    """Ctrl-C, or cancellation, between two attempts: the first one did fail."""
    world, handle = make()

    def interrupted(seconds):
        raise KeyboardInterrupt

    def loop():
        for attempt in handle.attempts():
            with attempt:
                raise PaymentError

    world.runtime.sleep = interrupted
    with pytest.raises(KeyboardInterrupt):
        loop()
    assert free(handle)

    async def one():
        async for attempt in handle.attempts():
            async with attempt:
                raise PaymentError

    async def cancelled():
        task = asyncio.create_task(one())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert free(handle)


def test_a_closed_generator_ends_the_call():
    """K7: GeneratorExit inside the block is no verdict."""
    world, handle = make()

    def stream():
        for attempt in handle.attempts():
            with attempt:
                yield attempt.number

    reader = stream()
    assert next(reader) == 1
    reader.close()
    assert free(handle)
    assert world.counters.requests == 1, "that of the question itself"


def test_an_attempt_that_is_not_entered_is_a_bug_that_is_told():
    """Otherwise the loop would run for ever without a call."""
    _, handle = make()
    with pytest.raises(RuntimeError, match=r"attempt 1 at 't' was not made: put it into `with attempt:`"):
        for _attempt in handle.attempts():
            pass

    def twice():
        for attempt in handle.attempts():
            with attempt, attempt:
                pass

    with pytest.raises(RuntimeError, match="is used up"):
        twice()
    assert free(handle)


def test_each_loop_over_the_same_attempts_is_a_call_of_its_own():
    """They can be kept, and passed on."""
    world, handle = make()
    attempts = handle.attempts()
    for _ in range(2):
        loop = iter(attempts)
        assert iter(loop) is loop
        for attempt in loop:
            with attempt:
                pass
    assert world.counters.requests == 2

    async def asynchronous():
        loop = aiter(attempts)
        assert aiter(loop) is loop
        async for attempt in loop:
            async with attempt:
                pass

    asyncio.run(asynchronous())
    assert world.counters.requests == 3
