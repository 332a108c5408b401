"""One call from begin to end: attempts, waits, time-outs, deadlines, counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Call, Outcome, Rejected, RejectReason, Target
from flyball.contract import (
    BOUNDS,
    DEFAULT_PARAMS,
    BreakerParams,
    BulkheadParams,
    CircuitState,
    RetryParams,
    TargetParams,
    ThrottleParams,
)
from unit.client.support import circuit

GENEROUS = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0))
FAILURES = (Outcome.TIMEOUT, Outcome.THROTTLE, Outcome.ERROR_FAST)


def begin(target: Target, now_s: float = 0.0, draw: float = 0.99, **kwargs: object) -> Call:
    call = target.begin(now_s, draw, **{"idempotent": True, **kwargs})
    assert isinstance(call, Call)
    return call


def finish(
    call: Call, outcome: Outcome, now_s: float = 0.0, draw: float = 0.5, **kwargs: object
) -> float | None:
    return call.finish(outcome, now_s=now_s, draw=draw, **{"latency_ms": 10.0, **kwargs})


def test_a_success_ends_the_call():
    """One attempt, nothing to wait for."""
    target = Target("t")
    assert finish(begin(target), Outcome.SUCCESS) is None
    assert (target.counters.requests, target.counters.retries) == (1, 0)


def test_a_failed_call_is_retried_with_growing_jittered_waits_until_its_attempts_are_used():
    """Four attempts; waits of half of 100, 200 and 400 ms."""
    target = Target("t", params=GENEROUS)
    call = begin(target)
    waits = [finish(call, Outcome.ERROR_FAST) for _ in range(4)]
    assert waits == [0.05, 0.1, 0.2, None]
    assert call.attempt == 4
    counters = target.counters
    assert (counters.requests, counters.retries, counters.errors_fast, counters.request_failures) == (
        1,
        3,
        1,
        1,
    )


def test_a_throttled_call_waits_from_its_own_longer_base():
    """Half of 1,000 ms."""
    assert finish(begin(Target("t")), Outcome.THROTTLE) == 0.5


def test_a_target_that_names_its_pause_is_waited_for():
    """Retry-After: 2 s, and jitter of 50 ms."""
    assert finish(begin(Target("t")), Outcome.ERROR_FAST, retry_after_s=2.0) == 2.05


def test_a_pause_too_long_to_wait_ends_the_call_and_costs_no_budget():
    """An hour is the queue's business. First credit 1, and 0.2 earned by the call."""
    target = Target("t")
    assert finish(begin(target), Outcome.THROTTLE, retry_after_s=3_600.0) is None
    assert target.budget_tokens == 1.2


@pytest.mark.parametrize("outcome", [Outcome.PERMANENT, Outcome.IGNORED])
def test_the_callers_own_faults_are_not_retried(outcome):
    """They would fail again."""
    assert finish(begin(Target("t", params=GENEROUS)), outcome) is None


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_call_that_is_not_idempotent_is_never_retried(outcome):
    """K9: a time-out may have charged the card."""
    assert finish(begin(Target("t", params=GENEROUS), idempotent=False), outcome) is None


def test_nothing_is_repeated_unless_declared():
    """K9: the default is the safe one."""
    call = Target("t").begin(0.0, 0.0)
    assert finish(call, Outcome.ERROR_FAST) is None


def test_the_budget_ends_retries_for_all_calls_together():
    """First credit 1 and 0.2 per call: three failing calls get one retry between them."""
    target = Target("t")
    waits = [finish(begin(target), Outcome.ERROR_FAST) for _ in range(3)]
    assert waits == [0.05, None, None]


def test_a_retry_that_could_not_be_made_in_time_is_not_waited_for():
    """50 ms to wait and 10 ms to try: at 59 ms left it is over, and the token is kept; at 60 it is not."""
    target = Target("t")
    assert finish(begin(target, deadline_s=1.059), Outcome.ERROR_FAST, now_s=1.0) is None
    assert target.budget_tokens == 1.2
    assert finish(begin(target, deadline_s=1.0601), Outcome.ERROR_FAST, now_s=1.0) == 0.05


def test_a_call_without_time_is_rejected():
    """Remaining time 0 is a value: it means now, not never."""
    target = Target("t")
    assert target.begin(5.0, 0.0, deadline_s=5.0) == Rejected(RejectReason.DEADLINE, 0.0)
    assert target.counters.short_circuited == 1


def test_an_attempt_may_take_the_configured_time_and_never_more_than_is_left():
    """1 s, or what remains until the deadline, or nothing."""
    target = Target("t")
    finish(begin(target), Outcome.SUCCESS)
    call = begin(target, deadline_s=10.0)
    assert call.timeout_s(2.0) == 1.0
    assert call.timeout_s(9.75) == 0.25
    assert call.timeout_s(11.0) == 0.0
    assert begin(target).timeout_s(1e12) == 1.0


def test_the_first_attempt_of_a_cold_environment_may_take_three_times_as_long():
    """It also opens connections; its retry does not."""
    call = begin(Target("t"), deadline_s=2.5)
    assert call.timeout_s(0.0) == 2.5
    assert call.timeout_s(0.5) == 2.0
    finish(call, Outcome.TIMEOUT)
    assert call.timeout_s(0.0) == 1.0


def test_a_failure_that_trips_the_breaker_is_not_retried():
    """A retry into an open circuit helps nobody."""
    params = GENEROUS._replace(breaker=BreakerParams(min_calls=1))
    assert finish(begin(Target("t", params=params)), Outcome.ERROR_FAST) is None


def test_a_circuit_that_arrives_during_a_call_counts_for_its_retries():
    """Single attempts from now on, says the fleet."""
    target = Target("t", params=GENEROUS)
    call = begin(target)
    target.apply_circuit(circuit(CircuitState.CLOSED, max_attempts=1))
    assert finish(call, Outcome.ERROR_FAST, now_s=1_000.0) is None


def test_a_probe_is_not_retried():
    """It asks a question, and has its answer."""
    target = Target("t", params=GENEROUS._replace(breaker=BreakerParams(min_calls=1)))
    finish(begin(target), Outcome.ERROR_FAST, draw=0.0)
    assert target.state(30.0) == CircuitState.HALF_OPEN
    assert finish(begin(target, now_s=30.0), Outcome.ERROR_FAST, now_s=30.0) is None


def test_a_probe_is_not_retried_even_if_the_fleet_recovers_meanwhile():
    """It was let through to ask, whatever came after."""
    target = Target("t", params=GENEROUS)
    target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0))
    probe = begin(target, now_s=1_000.0)
    target.apply_circuit(circuit(CircuitState.CLOSED, version=2))
    assert finish(probe, Outcome.ERROR_FAST, now_s=1_001.0) is None


def test_what_probes_find_is_the_gates_affair_and_not_the_throttles():
    """A gate that sheds to capacity must not be followed by a second one made of the same time-outs."""
    target = Target("t")
    target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0))
    for _ in range(10):
        finish(begin(target, now_s=1_000.0), Outcome.TIMEOUT, now_s=1_000.0)
    assert target.shed_ratio(1_000.0) == 0.0


def test_timeouts_shed_calls_in_proportion():
    """20 calls, 10 timed out: (20 - 15) / 21 = 0.238 are refused; a refused one raises the ratio."""
    target = Target("t")
    for outcome in [Outcome.SUCCESS, Outcome.TIMEOUT] * 10:
        finish(begin(target, idempotent=False), outcome)
    assert target.shed_ratio(0.0) == pytest.approx(5 / 21)
    assert isinstance(target.begin(0.0, 0.239), Call)
    assert target.begin(0.0, 0.237) == Rejected(RejectReason.SHED, 3.0)
    assert target.shed_ratio(0.0) == pytest.approx(6 / 22)


def test_retries_do_not_inflate_what_throttle_and_breaker_see():
    """A call that failed four times failed once: the rest is our own doing."""
    target = Target("t", params=GENEROUS)
    finish(begin(target), Outcome.SUCCESS)
    call = begin(target)
    while finish(call, Outcome.TIMEOUT) is not None:
        pass
    assert target.shed_ratio(0.0) == 0.0, "one time-out, not four"


def test_throttle_and_breaker_may_look_back_differently():
    """A minute for the one, 30 s for the other: after 45 s only the throttle remembers."""
    params = DEFAULT_PARAMS._replace(throttle=ThrottleParams(window_s=60.0))
    target = Target("t", params=params)
    for outcome in [Outcome.SUCCESS, Outcome.TIMEOUT, Outcome.TIMEOUT, Outcome.TIMEOUT]:
        finish(begin(target, idempotent=False), outcome)
    assert target.shed_ratio(45.0) == pytest.approx((4 - 1.5) / 5)
    assert target.shed_ratio(61.0) == 0.0


def test_a_call_is_counted_when_it_is_over():
    """So that no flush shows a failure without its request (errors > requests)."""
    target = Target("t")
    call = begin(target)
    finish(call, Outcome.TIMEOUT)
    assert (target.counters.requests, target.counters.timeouts) == (0, 0)
    finish(call, Outcome.SUCCESS)
    counters = target.counters
    assert (counters.requests, counters.retries, counters.timeouts) == (1, 1, 1)
    assert (counters.request_failures, list(counters.latencies_ms)) == (0, [10.0, 10.0])


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (Outcome.TIMEOUT, {"timeouts": 1, "request_failures": 1}),
        (Outcome.THROTTLE, {"throttles": 1, "request_failures": 1}),
        (Outcome.ERROR_FAST, {"errors_fast": 1, "request_failures": 1}),
        (Outcome.PERMANENT, {"errors_permanent": 1}),
        (Outcome.IGNORED, {}),
    ],
)
def test_each_outcome_has_its_own_count(outcome, counted):
    """Classes are separate metrics: the controller decides by class."""
    target = Target("t")
    finish(begin(target, idempotent=False), outcome)
    names = ("timeouts", "throttles", "errors_fast", "errors_permanent", "request_failures", "retries")
    assert {n: getattr(target.counters, n) for n in names if getattr(target.counters, n)} == counted
    assert target.counters.requests == 1


def test_an_abandoned_first_attempt_is_counted_as_nothing():
    """A cancelled call says nothing about the target."""
    target = Target("t")
    begin(target).abandon()
    assert target.counters.requests == 0


def test_an_abandoned_retry_counts_the_attempts_that_ended():
    """The first attempt did time out; how the second would have ended nobody knows."""
    target = Target("t")
    call = begin(target)
    finish(call, Outcome.TIMEOUT)
    call.abandon()
    counters = target.counters
    assert (counters.requests, counters.retries, counters.timeouts, counters.request_failures) == (1, 0, 1, 0)


def test_a_call_cannot_end_twice():
    """A shell that reports twice has a bug, which must not become a metric."""
    call = begin(Target("t"))
    finish(call, Outcome.SUCCESS)
    with pytest.raises(RuntimeError, match="is over"):
        finish(call, Outcome.SUCCESS)
    call.abandon()


def test_parameters_are_obeyed_at_once_and_older_ones_refused():
    """K2, A3: revision 7 after 8 is a stale answer."""
    target = Target("t")
    single = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1))
    assert target.apply_params(single, 8)
    assert not target.apply_params(DEFAULT_PARAMS, 7)
    assert not target.apply_params(DEFAULT_PARAMS, 8)
    assert (target.revision, target.max_attempts) == (8, 1)


def test_new_window_lengths_begin_new_windows_and_others_are_kept():
    """What was counted over 30 s cannot be read as 10; what is unchanged must not be forgotten."""
    target = Target("t")
    for _ in range(2):
        finish(begin(target, idempotent=False), Outcome.TIMEOUT)
    target.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(base_ms=50)), 1)
    assert target.shed_ratio(0.0) == pytest.approx(2 / 3)
    target.apply_params(DEFAULT_PARAMS._replace(throttle=ThrottleParams(window_s=10.0)), 2)
    assert target.shed_ratio(0.0) == 0.0
    target.apply_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(window_s=20.0)), 3)
    finish(begin(target), Outcome.SUCCESS)
    assert target.shed_ratio(0.0) == 0.0


def test_draws_are_needed_only_in_trouble():
    """A healthy call must not pay for randomness."""
    target = Target("t")
    assert not target.needs_draw
    for _ in range(2):
        finish(begin(target, idempotent=False), Outcome.TIMEOUT)
    assert target.needs_draw


WILD = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**12), 10**12)
WILD_PARAMS = st.builds(
    TargetParams,
    retry=st.builds(RetryParams, *[WILD] * 7),
    throttle=st.builds(ThrottleParams, *[WILD] * 3),
    breaker=st.builds(BreakerParams, *[WILD] * 8),
    bulkhead=st.builds(BulkheadParams, WILD),
)


@given(params=WILD_PARAMS)
def test_whatever_is_received_is_clipped(params):
    """K10: a retry storm by configuration ends at the client."""
    target = Target("t")
    target.apply_params(params, 1)
    for section, fields in BOUNDS.items():
        for field, (low, high) in fields.items():
            assert low <= getattr(getattr(target.params, section), field) <= high


@given(
    params=WILD_PARAMS,
    idempotent=st.booleans(),
    deadline_s=st.none() | st.floats(0.0, 30.0),
    attempts=st.lists(
        st.tuples(
            st.sampled_from(list(Outcome)),
            st.floats(0.0, 5.0),
            st.floats(0.0, 1.0, exclude_max=True),
            st.none() | st.floats(),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_attempts_keep_ladder_budget_and_deadline(params, idempotent, deadline_s, attempts):
    """K9 over arbitrary parameters, outcomes, durations and demands."""
    target = Target("t")
    target.apply_params(params, 1)
    credit = target.budget_tokens
    now_s, calls, retries, call = 0.0, 0, 0, None
    for outcome, took_s, draw, after_s in attempts:
        if call is None:
            call = target.begin(now_s, 0.99, deadline_s=deadline_s, idempotent=idempotent)
            if isinstance(call, Rejected):
                return
            calls += 1
        timeout_s = call.timeout_s(now_s)
        assert timeout_s >= 0.0
        assert deadline_s is None or now_s + timeout_s <= max(deadline_s, now_s) + 1e-9
        now_s += took_s
        wait_s = call.finish(outcome, now_s=now_s, draw=draw, latency_ms=1.0, retry_after_s=after_s)
        if wait_s is None:
            call = None
            continue
        retries += 1
        now_s += wait_s
        assert idempotent
        assert 2 <= call.attempt <= target.max_attempts <= 4
        assert outcome in FAILURES
        assert deadline_s is None or now_s < deadline_s
    assert retries <= max(credit, 1.0) + target.budget_ratio * calls + 1e-6
