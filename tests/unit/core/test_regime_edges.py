"""Where one regime ends and the next begins: each test of `classify` at its very edge.

The bound of z = 0 is the plain ratio, so that edges are exact: 16 of 64 is 0.25 to the last bit.
"""

from __future__ import annotations

import pytest

from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Pool
from flyball_controller.core.model import Evidence, Observation, Reason, Regime
from flyball_controller.core.policy import Policy
from flyball_controller.core.regime import Verdict, classify
from flyball_controller.core.threshold import Trips

PLAIN = Policy(z_act=0.0)
TRIPS = Trips(retry=0.25, open=0.75, timeout=0.125, reset=0.5, reset_point=0.125, normal=0.03)
BASE = Baseline(latency_ms=200.0, typical_ms=100.0)


def pool(
    requests: int = 64,
    timeouts: int = 0,
    fast: int = 0,
    throttles: int = 0,
    *,
    failed: int = -1,
    short: int = 0,
    span_s: float = 60.0,
) -> Pool:
    """Counts of one pool; lost requests not measured unless said."""
    return Pool(span_s, requests, timeouts, fast, throttles, 0, failed, short)


def judged(
    counts: Pool,
    *,
    clean: Pool | None = None,
    p50: float = -1.0,
    p99: float = -1.0,
    trips: Trips = TRIPS,
    base: Baseline = BASE,
    policy: Policy = PLAIN,
) -> Verdict:
    """The verdict with a trust of one half."""
    seen = Observation("t", 0.0, 60.0, 80.0, latency_ms_p50=p50, latency_ms_p99=p99)
    return classify(counts, counts if clean is None else clean, seen, trips, base, policy, 0.5)


def bad(regime: Regime, reason: Reason, measured: float, threshold: float, n: int = 64) -> Verdict:
    """A verdict of trouble with its one piece of evidence."""
    return Verdict(regime, False, (Evidence(reason, measured, threshold, n, 0.5),))


def fine(reason: Reason, measured: float, threshold: float, n: int = 64, *, clean: bool = False) -> Verdict:
    """A verdict without a regime."""
    return Verdict(None, clean, (Evidence(reason, measured, threshold, n, 0.5),))


def test_twelve_requests_with_three_failures_are_enough_and_eleven_are_not():
    """`min_requests` and `min_errors` are themselves enough."""
    broken = bad(Regime.BROKEN, Reason.ERROR_RATE_OVER_BASELINE, 4 / 12, 0.25, 12)
    assert judged(pool(12, fast=4)) == broken
    assert judged(pool(11, fast=11)) == fine(Reason.NOT_ENOUGH_DATA, 11.0, 12.0, 11)
    few = Trips(0.2, 0.75, 0.125, 0.5, 0.125, 0.03)
    assert judged(pool(12, fast=3), trips=few).regime is Regime.BROKEN
    assert judged(pool(12, fast=2), trips=few._replace(retry=0.1)).regime is None


def test_the_wider_pool_says_clean_whatever_the_pool_to_act_on_says():
    """Two failures of eleven are too few to act on; four hundred requests may still show health."""
    assert judged(pool(11, fast=2), clean=pool(400)) == fine(
        Reason.NOT_ENOUGH_DATA, 11.0, 12.0, 11, clean=True
    )
    assert judged(pool(), clean=pool(64, fast=20)) == fine(Reason.BETWEEN_TRIP_AND_RESET, 0.0, 0.25)


def test_clean_is_up_to_the_reset_point_and_not_over_it():
    """8 of 64 is an eighth: rounding must not turn an exact tie; 9 are over it."""
    assert judged(pool(fast=8)) == fine(Reason.ERROR_RATE_UNDER_RESET, 0.125, 0.125, clean=True)
    assert judged(pool(fast=9)) == fine(Reason.BETWEEN_TRIP_AND_RESET, 9 / 64, 0.25)


def test_a_long_pool_under_half_the_trip_is_clean_without_a_bound():
    """0.8 x 900 s = 720 s; a reset of 0 no bound can be under."""
    never = TRIPS._replace(reset=0.0)
    assert judged(pool(fast=2, span_s=720.0), trips=never).clean is True
    assert judged(pool(fast=2, span_s=719.0), trips=never).clean is False
    assert judged(pool(0, span_s=900.0)).clean is False


@pytest.mark.parametrize("kind", ["fast", "timeouts"])
def test_bursts_widen_the_bound_of_either_kind(kind):
    """40 of 400, z = 2: the lower bound is 0.074, at four times the variance 0.055; the trip 0.06."""
    trips = Trips(0.06, 0.9, 0.06, 0.0, 0.0, 0.03)
    policy = Policy(z_act=2.0)
    counts = pool(400, **{kind: 40})
    assert judged(counts, trips=trips, policy=policy).regime is not None
    assert judged(counts, trips=trips, policy=policy, base=BASE._replace(dispersion=4.0)).regime is None


def test_timeouts_at_their_trip_are_not_over_it():
    """8 of 64 is 0.125."""
    assert judged(pool(timeouts=8)).regime is None
    over = bad(Regime.SATURATED, Reason.TIMEOUTS_OVER_TRIP, 9 / 64, 0.125)
    assert judged(pool(timeouts=9)) == over


@pytest.mark.parametrize(
    ("counts", "p50", "typical", "silent"),
    [
        (pool(timeouts=16), 149.0, 100.0, True),
        (pool(timeouts=16), 150.0, 100.0, False),  # 1.5 x 100 is no longer "as ever"
        (pool(timeouts=16), 0.0, 100.0, True),  # 0 is a measured value
        (pool(timeouts=16), -1.0, 100.0, False),  # not measured
        (pool(timeouts=16), -0.5, 100.0, False),
        (pool(timeouts=16), 1.0, 1.0, True),
        (pool(timeouts=16), 0.0, 0.0, False),  # nothing is known of what is usual
        (pool(timeouts=31), 100.0, 100.0, True),
        (pool(timeouts=32), 100.0, 100.0, False),  # half of the calls: the median proves nothing
        (pool(63, timeouts=16, short=21), 100.0, 100.0, True),  # 21 of 84 is a quarter
        (pool(63, timeouts=16, short=22), 100.0, 100.0, False),  # clients shed: that is why it is quick
    ],
)
def test_silence_beside_quick_answers_is_partial_failure(counts, p50, typical, silent):
    """A queue delays everybody; a dead node only those who call it."""
    verdict = judged(counts, p50=p50, base=BASE._replace(typical_ms=typical))
    if silent:
        assert verdict == bad(
            Regime.BROKEN, Reason.SILENCE_AT_NORMAL_LATENCY, p50, 1.5 * typical, counts.requests
        )
    else:
        ratio = counts.timeouts / counts.requests
        assert verdict == bad(Regime.SATURATED, Reason.TIMEOUTS_OVER_TRIP, ratio, 0.125, counts.requests)


@pytest.mark.parametrize(
    ("counts", "repaired"),
    [
        (pool(timeouts=16, failed=3), True),
        (pool(timeouts=16, failed=4), False),  # a quarter of them is lost
        (pool(timeouts=16, failed=0), True),
        (pool(timeouts=16, failed=-1), False),  # not measured
        (pool(timeouts=16, failed=3, short=7), True),
        (pool(timeouts=16, failed=3, short=8), False),  # half as many are refused as time out
        (pool(timeouts=31, failed=3), True),
        (pool(timeouts=32, failed=3), False),  # half of what is offered
        (pool(timeouts=32, failed=3, short=1), True),
    ],
)
def test_time_outs_that_retries_repair_at_every_edge(counts, repaired):
    """In a full queue the next attempt times out like the first."""
    verdict = judged(counts)
    if repaired:
        assert verdict == fine(Reason.RETRIES_REPAIR, counts.request_failures / 64, counts.timeouts / 256)
    else:
        assert verdict == bad(Regime.SATURATED, Reason.TIMEOUTS_OVER_TRIP, counts.timeouts / 64, 0.125)


@pytest.mark.parametrize(
    ("p99", "latency", "slow"),
    [
        (601.0, 200.0, True),
        (600.0, 200.0, False),  # three times is not over three times
        (4.0, 1.0, True),
        (4.0, 0.0, False),  # nothing is known of what is usual
        (-1.0, 200.0, False),
        (0.0, -1.0, False),
    ],
)
def test_failures_at_an_odd_latency_are_saturation(p99, latency, slow):
    """Eight time-outs are at their trip, sixteen failures over it, and the rest is slow."""
    verdict = judged(pool(timeouts=8, fast=8), p99=p99, base=BASE._replace(latency_ms=latency))
    if slow:
        assert verdict == bad(Regime.SATURATED, Reason.LATENCY_OVER_BASELINE, p99, 3.0 * latency)
    else:
        assert verdict == fine(Reason.BETWEEN_TRIP_AND_RESET, 0.25, 0.25)


def test_slow_failures_that_retries_repair_are_no_saturation_either():
    """1 of 8 time-outs is lost: under a quarter."""
    verdict = judged(pool(timeouts=8, fast=8, failed=1), p99=601.0)
    assert verdict == fine(Reason.RETRIES_REPAIR, 1 / 64, 8 / 256)


def test_slow_failures_without_one_time_out_are_partial_failure():
    """A target that answers errors slowly has no full queue that somebody gave up on."""
    assert judged(pool(fast=20), p99=601.0).regime is Regime.BROKEN
    assert judged(pool(fast=19, timeouts=1), p99=601.0).regime is Regime.SATURATED


def test_slow_failures_count_over_the_time_out_trip_only():
    """20 of 64 is 0.3125: at that trip it is not over it, but over the 0.25 of retries."""
    at = TRIPS._replace(timeout=0.3125)
    assert judged(pool(fast=19, timeouts=1), p99=601.0, trips=at).regime is Regime.BROKEN


def test_throttles_dominate_over_half_of_the_failures():
    """Half of them is not over half; and a slow throttled target is still throttled."""
    assert judged(pool(throttles=10, fast=10)).regime is Regime.BROKEN
    eleven = bad(Regime.THROTTLED, Reason.THROTTLES_DOMINATE, 11 / 20, 0.5)
    assert judged(pool(throttles=11, fast=9)) == eleven
    assert judged(pool(throttles=11, fast=8, timeouts=1), p99=601.0) == eleven


def test_throttles_at_their_trip_are_not_over_it():
    """20 of 64 is 0.3125."""
    assert judged(pool(throttles=20), policy=PLAIN._replace(throttle_trip=0.3125)).regime is Regime.BROKEN
    assert judged(pool(throttles=20), policy=PLAIN._replace(throttle_trip=0.31)).regime is Regime.THROTTLED


def test_nearly_all_fail_at_nine_of_ten_and_over_the_open_trip():
    """36 of 40 is nine tenths; a trip of 0.875 is under it, one of 0.9 is not."""
    dead = bad(Regime.DEAD, Reason.NEARLY_ALL_FAIL, 0.9, 0.75, 40)
    assert judged(pool(40, fast=36)) == dead
    assert judged(pool(40, fast=35)).regime is Regime.BROKEN
    assert judged(pool(40, fast=36), trips=TRIPS._replace(open=0.9)).regime is Regime.BROKEN


def test_death_needs_half_of_the_failures_to_be_fast():
    """All 16 fail; with 8 time-outs the half is fast, with 9 it is not (and their own trip is high here)."""
    trips = TRIPS._replace(timeout=0.9)
    assert judged(pool(16, timeouts=8, fast=8), trips=trips).regime is Regime.DEAD
    assert judged(pool(16, timeouts=9, fast=7), trips=trips).regime is Regime.BROKEN


@pytest.mark.parametrize(
    ("floor", "adaptive", "reason"),
    [
        (0.03, True, Reason.ERROR_RATE_OVER_BASELINE),
        (0.25, True, Reason.ERROR_RATE_OVER_TRIP),  # the trip is the floor: the baseline had no say
        (0.03, False, Reason.ERROR_RATE_OVER_TRIP),
    ],
)
def test_partial_failure_names_what_set_its_trip(floor, adaptive, reason):
    """17 of 64 is over a quarter, 16 is not."""
    policy = PLAIN._replace(retry_floor=floor, retry_adaptive=adaptive)
    assert judged(pool(fast=17), policy=policy) == bad(Regime.BROKEN, reason, 17 / 64, 0.25)
    assert judged(pool(fast=16), policy=policy).regime is None
