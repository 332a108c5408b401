"""One count per healthy call, booked when somebody looks: nothing lost, nothing twice, nothing late."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Call, Target
from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, ThrottleParams
from flyball.outcome import LATENCIES_MAX, Counters, Outcome
from flyball.records import RetryParams, TargetParams
from flyball.testing import with_params
from unit.client.support import World, circuit


def fail(target: Target, now_s: float, outcome: Outcome = Outcome.ERROR_FAST) -> float | None:
    """One failed attempt; seconds to wait, if there may be another."""
    call = target.begin(now_s, 0.99, idempotent=True)
    assert isinstance(call, Call)
    return call.finish(outcome, now_s=now_s, draw=0.0, latency_ms=1.0)


def test_whoever_reads_the_counters_reads_all_of_them():
    """Between two looks nothing is written but one number; a look must not be a call behind."""
    target = Target("t")
    for count in range(1, 4):
        target.note_success(0.0, float(count))
        assert target.counters.requests == count
    assert list(target.counters.latencies_ms) == [1.0, 2.0, 3.0]


def test_counters_that_are_replaced_keep_what_was_theirs():
    """A flush swaps them: calls before it are in the old ones, with their latencies, later ones are not."""
    target = Target("t")
    target.note_success(0.0, 1.0)
    target.note_success(0.0, 2.0)
    before, target.counters = target.counters, Counters()
    target.note_success(0.0, 3.0)
    assert (before.requests, list(before.latencies_ms)) == (2, [1.0, 2.0])
    assert (target.counters.requests, list(target.counters.latencies_ms)) == (1, [3.0])


def test_latencies_between_two_flushes_stay_bounded():
    """A function without invocations to flush at must not grow for ever."""
    target = Target("t")
    for _ in range(LATENCIES_MAX + 7):
        target.note_success(0.0, 1.0)
    assert len(target.counters.latencies_ms) == LATENCIES_MAX
    assert target.counters.requests == LATENCIES_MAX + 7


def test_what_went_well_has_earned_before_a_retry_is_paid():
    """0.25 of a token per call: four good calls and the failing one's own share, above the first credit."""
    target = Target("t", params=TargetParams(retry=RetryParams(budget_ratio=0.25)))
    assert fail(target, 0.0) is not None, "the first credit, and its own quarter"
    assert fail(target, 0.0) is None
    for _ in range(2):
        target.note_success(0.0, 1.0)
    assert target.budget_tokens == 1.0
    assert fail(target, 0.0) is not None


def test_what_went_well_while_a_call_waits_has_earned_before_its_next_retry():
    """Another task's good calls pay for it: 4 x 0.25, after the first credit is spent."""
    target = Target("t", params=TargetParams(retry=RetryParams(budget_ratio=0.25)))
    call = target.begin(0.0, 0.0, idempotent=True)
    assert isinstance(call, Call)
    assert call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0) is not None
    for _ in range(4):
        target.note_success(0.0, 1.0)
    assert call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0) is not None


def test_what_went_well_counts_before_what_failed_after_it():
    """Ten calls, nine of them good: the tenth is no outage, though nobody looked at the others before."""
    params = DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=2, failure_ratio=0.5))
    target = Target("t", params=params)
    for _ in range(9):
        target.note_success(0.0, 1.0)
    fail(target, 0.0)
    assert target.state(0.0) == CircuitState.CLOSED
    assert (target._window.calls, target._window.failures) == (10, 1)


def test_what_went_well_leaves_the_window_in_its_time():
    """A slice that ends is booked before it ends: good calls of a minute ago must not vouch for now."""
    params = DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=2, failure_ratio=1.0))
    target = Target("t", params=params)
    target.note_success(0.0, 1.0)
    target.note_success(59.0, 1.0)
    fail(target, 61.0)
    assert target._window.calls == 2, "the one of second 59 and the failure"
    assert target.state(61.0) == CircuitState.CLOSED
    fail(target, 115.0)
    assert target.state(115.0) == CircuitState.OPEN, "two failures, and nothing else within a minute"


def test_two_windows_of_different_length_see_the_same_calls():
    """Each moves at its own time; the good calls of before are put into both first."""
    target = Target("t", params=DEFAULT_PARAMS._replace(throttle=ThrottleParams(window_s=10.0)))
    for now_s in (0.0, 5.0, 9.5, 14.0):
        target.note_success(now_s, 1.0)
    fail(target, 14.5, Outcome.TIMEOUT)
    assert (target._window.calls, target._throttle_window.calls) == (5, 4), (
        "the first is too old for ten seconds"
    )


def test_a_window_that_is_cleared_forgets_what_was_not_booked_yet():
    """A close begins anew: calls begun before the opening and ended during it are of the time before."""
    params = DEFAULT_PARAMS._replace(breaker=BreakerParams(consecutive_failures=1, close_after=1))
    target = Target("t", params=params)
    fail(target, 0.0)
    target.note_success(1.0, 1.0)  # was under way
    probe = target.begin(40.0, 0.0)
    assert isinstance(probe, Call)
    target.note_success(40.0, 1.0)
    probe.finish(Outcome.SUCCESS, now_s=40.0, draw=0.0, latency_ms=1.0)
    assert target.state(40.0) == CircuitState.CLOSED
    target._book()
    assert target._window.calls == 0
    assert target.counters.requests == 4


def test_a_grace_that_ends_forgets_what_was_not_booked_yet():
    """Old news is over by the clock, without a probe: calls of before are of the time before."""
    target = Target("t")
    target.apply_circuit(circuit(CircuitState.OPEN))
    assert target.state(1_090.0) == CircuitState.HALF_OPEN
    target.note_success(1_380.0, 1.0)  # was under way
    assert target.state(1_390.0) == CircuitState.CLOSED
    target._book()
    assert target._window.calls == 0


def test_an_aid_for_tests_forgets_the_calls_inside_and_no_others():
    """Also those that nobody had looked at, neither before the block nor in it."""
    world = World()
    known = world.target().target
    for _ in range(5):
        known.note_success(1_000.0, 1.0)
    longer = {"window_s": 600.0}
    with with_params("t", within=world.runtime, breaker=longer, throttle=longer):
        known.note_success(1_001.0, 1.0)
        known._book()
        known.note_success(1_001.0, 1.0)
    known._book()
    assert (known._window.calls, known.counters.requests) == (5, 7)
    known.note_success(1_050.0, 1.0)
    known._turn_to(1_065.0)
    assert known._window.calls == 1, "in the slice of its time: the window of the block had longer ones"


def test_a_copy_of_the_process_takes_over_no_count():
    """What was not booked is the original's as well; what was learned stays."""
    target = Target("t")
    target.note_success(0.0, 1.0)
    target.renew()
    assert target.counters.empty
    assert (target._window.calls, target.budget_tokens) == (1, 1.0)


def test_new_parameters_take_nothing_from_the_calls_before():
    """A window of another length begins empty; the budget keeps what was earned."""
    target = Target("t", params=TargetParams(retry=RetryParams(budget_ratio=0.25)))
    for _ in range(4):
        target.note_success(0.0, 1.0)
    target.apply_params(TargetParams(breaker=BreakerParams(window_s=30.0)), 1)
    assert (target.budget_tokens, target._window.calls) == (2.0, 0)
    target.note_success(1.0, 1.0)
    fail(target, 1.5)
    assert target._window.calls == 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["well", "fail", "look", "flush", "circuit"]), st.sampled_from([0.0, 3.0, 30.0])
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_every_call_is_counted_once_whoever_looks_when(steps):
    """Sums over all flushes are the calls made; the window never holds more than were made in its time."""
    target = Target("t", params=DEFAULT_PARAMS._replace(breaker=BreakerParams(consecutive_failures=0)))
    now_s, version, made, flushed, times = 0.0, 0, 0, 0, []
    for step, pause_s in steps:
        now_s += pause_s
        if step == "well":
            target.note_success(now_s, 1.0)
        elif step == "fail":
            call = target.begin(now_s, 0.0)
            if not isinstance(call, Call):
                continue
            call.finish(Outcome.PERMANENT, now_s=now_s, draw=0.0, latency_ms=1.0)
        made += step in ("well", "fail")
        times += [now_s] if step == "well" else []
        if step == "look":
            assert target.counters.requests + flushed == made
        elif step == "flush":
            before, target.counters = target.counters, Counters()
            flushed += before.requests
        elif step == "circuit":
            version += 1
            target.apply_circuit(circuit(CircuitState.CLOSED, version=version))
            target.state(now_s)
    assert target.counters.requests + flushed == made
    with target._lock:
        target._turn_to(now_s)
    assert target._window.calls <= sum(now_s - at_s <= 60.0 for at_s in times)
    assert target._window.calls >= sum(now_s - at_s < 54.0 for at_s in times)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Overtaken(Target):
    """Another thread counts in the moment in which the first one has said until when nobody need ask."""

    @property
    def _book_at_s(self) -> float:
        return self.until_s

    @_book_at_s.setter
    def _book_at_s(self, value: float) -> None:
        self.until_s = value
        if value > 0.0 and not self.overtaken:
            self.overtaken = True
            self.note_success(0.0, 1.0)

    overtaken = False


def test_a_thread_that_overtakes_the_first_call_finds_everything_ready():
    """It failed with AttributeError, in the function of a user: the way to count was set up last."""
    target = Overtaken("t")
    target.note_success(0.0, 1.0)
    assert target.overtaken
    assert target.counters.requests == 2


@pytest.mark.usefixtures("restless")
def test_threads_that_book_while_others_count_never_count_twice():
    """More than was made must never show: a budget would be earned twice, an outage hidden."""
    target, each = Target("t"), 2_000

    def count() -> None:
        for _ in range(each):
            target.note_success(0.0, 1.0)

    def look() -> None:
        for _ in range(200):
            assert target.counters.requests <= 3 * each

    threads = [Thread(target=work) for work in (count, count, count, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    target._book()
    counted = target.counters.requests
    assert 0.99 * 3 * each <= counted <= 3 * each
    assert target._window.calls == counted
