"""The environment's own breaker: what opens it, how it probes, how it closes. Seen through Target."""

from __future__ import annotations

from flyball.call import Call, Outcome, Rejected, RejectReason, Target
from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, TargetParams

# 10 calls in 30 s with half of them failing open it for 20 s; 2 good probes close it.
PARAMS = DEFAULT_PARAMS._replace(
    breaker=BreakerParams(failure_ratio=0.5, min_calls=10, open_s=20.0, probe_ratio=0.1, close_after=2)
)


def make(params: TargetParams = PARAMS) -> Target:
    return Target("t", params=params)


def one(target: Target, outcome: Outcome, now_s: float = 0.0, draw: float = 0.0) -> Call | Rejected:
    """One call that ends with its first attempt."""
    call = target.begin(now_s, draw)
    if isinstance(call, Call):
        assert call.finish(outcome, now_s=now_s, draw=draw, latency_ms=1.0) is None
    return call


def tripped(now_s: float = 0.0) -> Target:
    target = make()
    for _ in range(10):
        one(target, Outcome.ERROR_FAST, now_s)
    assert target.state(now_s) == CircuitState.OPEN
    return target


def test_nothing_opens_below_the_least_number_of_calls():
    """C8: nine failures of nine are not ten calls."""
    target = make()
    for _ in range(9):
        one(target, Outcome.ERROR_FAST)
    assert target.state(0.0) == CircuitState.CLOSED


def test_half_of_the_calls_failing_opens_it():
    """Five good, five failed: 5 of 10 is at the ratio, and at counts as over."""
    target = make()
    for _ in range(5):
        one(target, Outcome.SUCCESS)
    for _ in range(4):
        one(target, Outcome.ERROR_FAST)
    assert target.state(0.0) == CircuitState.CLOSED
    one(target, Outcome.ERROR_FAST)
    assert target.state(0.0) == CircuitState.OPEN


def test_partial_timeouts_are_left_to_the_throttle():
    """Opening on time-outs would turn a slow target into a dead one; shedding is graded."""
    target = make()
    for _ in range(10):
        one(target, Outcome.SUCCESS, draw=0.99)
        for _ in range(9):
            one(target, Outcome.TIMEOUT, draw=0.99)
    assert target.state(0.0) == CircuitState.CLOSED


def test_a_black_hole_opens_it():
    """Ten time-outs and nothing else in the window: nothing comes back at all."""
    target = make()
    for _ in range(10):
        one(target, Outcome.TIMEOUT, draw=0.99)
    assert target.state(0.0) == CircuitState.OPEN


def test_throttles_and_the_callers_own_faults_do_not_open_it():
    """Both are answers: the target is alive."""
    target = make()
    for outcome in (Outcome.THROTTLE, Outcome.PERMANENT, Outcome.IGNORED):
        for _ in range(20):
            one(target, outcome)
    assert target.state(0.0) == CircuitState.CLOSED


def test_an_open_breaker_rejects_and_says_for_how_long():
    """20 s from the trip at a draw of 0; asked after 5 s, 15 are left."""
    target = tripped()
    rejected = one(target, Outcome.SUCCESS, now_s=5.0)
    assert rejected == Rejected(RejectReason.CIRCUIT_OPEN, 15.0)


def test_environments_that_tripped_together_do_not_probe_together():
    """Up to a fifth longer: at a draw of one half, 22 s instead of 20."""
    target = make()
    for _ in range(10):
        one(target, Outcome.ERROR_FAST, draw=0.5)
    assert target.state(21.9) == CircuitState.OPEN
    assert target.state(22.0) == CircuitState.HALF_OPEN


def test_the_first_call_after_the_pause_is_a_probe_and_the_second_is_not():
    """At a draw over the probe ratio nothing else passes until open_s is over again."""
    target = tripped()
    assert isinstance(one(target, Outcome.SUCCESS, 20.0, draw=0.99), Call)
    assert isinstance(one(target, Outcome.SUCCESS, 20.0, draw=0.99), Rejected)
    assert isinstance(one(target, Outcome.SUCCESS, 39.9, draw=0.99), Rejected)
    assert isinstance(one(target, Outcome.SUCCESS, 40.0, draw=0.99), Call)


def test_enough_good_probes_close_it_and_old_failures_are_forgotten():
    """Two good ones; then a single failure must not open it again."""
    target = tripped()
    one(target, Outcome.SUCCESS, 20.0)
    assert target.state(20.0) == CircuitState.HALF_OPEN
    one(target, Outcome.SUCCESS, 20.0)
    assert target.state(20.0) == CircuitState.CLOSED
    one(target, Outcome.ERROR_FAST, 20.0)
    assert target.state(20.0) == CircuitState.CLOSED


def test_one_failed_probe_opens_it_again():
    """And the good one before it counts no more."""
    target = tripped()
    one(target, Outcome.SUCCESS, 20.0)
    one(target, Outcome.ERROR_FAST, 20.0)
    assert target.state(39.9) == CircuitState.OPEN
    one(target, Outcome.SUCCESS, 40.0)
    assert target.state(40.0) == CircuitState.HALF_OPEN


def test_a_throttled_probe_has_failed():
    """A target that says "too many" is not to get all the traffic back."""
    target = tripped()
    one(target, Outcome.THROTTLE, 20.0)
    assert target.state(20.0) == CircuitState.OPEN


def test_a_neutral_probe_gives_its_slot_back_and_teaches_nothing():
    """Wrong arguments say nothing about the target's health."""
    target = tripped()
    for _ in range(10):
        assert isinstance(one(target, Outcome.PERMANENT, 20.0), Call)
    assert target.state(20.0) == CircuitState.HALF_OPEN


def test_probes_in_flight_are_bounded_and_abandoned_ones_free_their_slots():
    """K7: two can close it, so a third in flight could teach nothing."""
    target = tripped()
    probes = [target.begin(20.0, 0.0), target.begin(20.0, 0.0)]
    assert all(isinstance(probe, Call) for probe in probes)
    assert isinstance(target.begin(20.0, 0.0), Rejected)
    for probe in probes:
        probe.abandon()
        probe.abandon()  # a second time is harmless
    under_way = [target.begin(20.0, 0.0), target.begin(20.0, 0.0)]
    assert all(isinstance(probe, Call) for probe in under_way)
    assert isinstance(target.begin(20.0, 0.0), Rejected)


def test_lost_probes_lose_their_slots_when_the_lease_ends():
    """K7: a task that dies without a word must not wedge the gate for ever."""
    target = tripped()
    _hanging, lost = target.begin(20.0, 0.0), target.begin(20.0, 0.0)
    assert isinstance(target.begin(80.0, 0.0), Rejected)
    assert isinstance(target.begin(80.1, 0.0), Call)
    lost.finish(Outcome.ERROR_FAST, now_s=81.0, draw=0.0, latency_ms=61_000.0)
    assert target.state(81.0) == CircuitState.HALF_OPEN, "a superseded probe's result is no news"


def test_a_call_that_began_before_the_trip_does_not_disturb_the_probing():
    """Its result is about the time before."""
    target = make()
    old = target.begin(0.0, 0.0)
    for _ in range(10):
        one(target, Outcome.ERROR_FAST)
    old.finish(Outcome.ERROR_FAST, now_s=20.5, draw=0.0, latency_ms=20_500.0)
    assert target.state(20.5) == CircuitState.HALF_OPEN
