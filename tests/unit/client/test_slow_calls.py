"""Slow answers as a reason to open: off unless defined, by ratio in the window, not closed by slow probes."""

from __future__ import annotations

import pytest

from flyball.call import Call, Outcome, Target
from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, TargetParams, ThrottleParams
from unit.client.support import World, circuit

# Of ten calls half must take 500 ms; 20 s open; two good probes close.
SLOW = DEFAULT_PARAMS._replace(
    breaker=BreakerParams(
        min_calls=10, window_s=30.0, open_s=20.0, close_after=2, slow_call_ms=500, slow_call_ratio=0.5
    )
)


def one(target: Target, latency_ms: float, outcome: Outcome = Outcome.SUCCESS, now_s: float = 0.0) -> None:
    call = target.begin(now_s, 0.0)
    assert isinstance(call, Call)
    assert call.finish(outcome, now_s=now_s, draw=0.0, latency_ms=latency_ms) is None


def used(params: TargetParams, *latencies_ms: float, outcome: Outcome = Outcome.SUCCESS) -> Target:
    target = Target("t", params=params)
    for latency_ms in latencies_ms:
        one(target, latency_ms, outcome)
    return target


def test_half_of_the_calls_slow_opens_it():
    """Five of ten at 500 ms: at the limit counts as slow, at the ratio as over."""
    target = used(SLOW, *[499.9] * 5, *[500.0] * 4)
    assert target.state(0.0) == CircuitState.CLOSED
    one(target, 500.0)
    assert target.state(0.0) == CircuitState.OPEN


def test_nothing_opens_below_the_least_number_of_calls():
    """C8: nine slow calls of nine are not ten."""
    assert used(SLOW, *[9_000.0] * 9).state(0.0) == CircuitState.CLOSED


def test_slowness_is_no_reason_unless_it_is_defined():
    """Off by default: what slow means is known to the caller alone."""
    assert used(DEFAULT_PARAMS, *[9_000.0] * 100).state(0.0) == CircuitState.CLOSED


def test_slow_calls_leave_with_the_window_slice_by_slice():
    """Nine slow ones at 0 s, ten quick ones at 15 s; at 31 s the nine are gone, and 1 of 11 is no half."""
    target = used(SLOW, *[9_000.0] * 9)
    for latency_ms, now_s in [*[(1.0, 15.0)] * 10, (9_000.0, 31.0)]:
        one(target, latency_ms, now_s=now_s)
    assert target.state(31.0) == CircuitState.CLOSED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.TIMEOUT, CircuitState.OPEN),
        (Outcome.THROTTLE, CircuitState.CLOSED),
        (Outcome.PERMANENT, CircuitState.CLOSED),
        (Outcome.IGNORED, CircuitState.CLOSED),
    ],
)
def test_a_timeout_is_the_slowest_call_of_all(outcome, state):
    """Five good calls and five that ended like this after a second. A 429 is an answer, however late."""
    target = used(SLOW, *[1.0] * 5)
    for _ in range(5):
        call = target.begin(0.0, 0.99)
        call.finish(outcome, now_s=0.0, draw=0.0, latency_ms=1_000.0)
    assert target.state(0.0) == state


def test_failures_and_slow_calls_are_counted_apart():
    """Four fast errors and four slow answers of ten: neither ratio is reached, and they are not added up."""
    params = SLOW._replace(breaker=SLOW.breaker._replace(failure_ratio=0.5))
    target = used(params, *[1.0] * 2, *[600.0] * 4)
    for _ in range(4):
        one(target, 1.0, Outcome.ERROR_FAST)
    assert target.state(0.0) == CircuitState.CLOSED


def test_a_slow_probe_is_no_good_one():
    """What opened it must not close it: a slow probe opens it again, two quick ones close it."""
    target = used(SLOW, *[600.0] * 10)
    assert target.state(20.0) == CircuitState.HALF_OPEN
    one(target, 600.0, now_s=20.0)
    assert target.state(20.0) == CircuitState.OPEN
    for _ in range(2):
        one(target, 1.0, now_s=40.0)
    assert target.state(40.0) == CircuitState.CLOSED


def test_slow_probes_do_not_close_a_published_circuit():
    """They break the row of good ones; one quick one is not two in a row."""
    target = Target("t", params=SLOW)
    target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0))
    for latency_ms in (1.0, 600.0, 1.0):
        one(target, latency_ms, now_s=1_000.0)
    assert target.state(1_000.0) == CircuitState.HALF_OPEN
    one(target, 1.0, now_s=1_000.0)
    assert target.state(1_000.0) == CircuitState.CLOSED


def test_a_slow_retry_is_not_a_slow_call():
    """Windows count first attempts: the rest is our own doing."""
    target = Target("t", params=SLOW._replace(breaker=SLOW.breaker._replace(min_calls=1, failure_ratio=1.0)))
    one(target, 1.0)
    one(target, 1.0)
    call = target.begin(0.0, 0.0, idempotent=True)
    assert call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0) == 0.0
    call.finish(Outcome.SUCCESS, now_s=0.0, draw=0.0, latency_ms=9_000.0)
    assert target.state(0.0) == CircuitState.CLOSED


def test_the_throttles_own_window_sees_slow_answers_as_answers():
    """Another length, another window: a slow answer is one that came."""
    params = SLOW._replace(throttle=ThrottleParams(window_s=60.0))
    target = used(params, *[600.0] * 4)
    for _ in range(2):
        call = target.begin(0.0, 0.99)
        call.finish(Outcome.TIMEOUT, now_s=0.0, draw=0.0, latency_ms=1.0)
    # 6 calls, 4 came back: 6 - 1.5 x 4 = 0
    assert target.shed_ratio(0.0) == 0.0


def test_the_definition_can_be_changed_and_taken_back_while_calls_run():
    """Live parameters: obeyed by the next call."""
    target = used(SLOW, *[600.0] * 9)
    target.apply_params(DEFAULT_PARAMS, 1)
    for _ in range(20):
        one(target, 600.0)
    assert target.state(0.0) == CircuitState.CLOSED
    target.apply_params(SLOW, 2)
    for _ in range(30):
        if target.state(0.0) == CircuitState.OPEN:
            break
        one(target, 600.0)
    assert target.state(0.0) == CircuitState.OPEN


def test_a_guard_draws_for_the_pause_that_a_slow_call_begins():
    """Environments that tripped together must not probe together: 20 s, at a draw of one half 2 s more."""
    world = World()
    handle = world.target()
    handle.target.apply_params(SLOW, 1)
    guarded = handle.guard(world.function(*range(10), took_s=0.6))
    for _ in range(10):
        guarded()
    now_s = world.clock.wall_s()
    assert world.clock.draws == 10
    assert handle.target.state(now_s + 21.9) == CircuitState.OPEN
    assert handle.target.state(now_s + 22.0) == CircuitState.HALF_OPEN
