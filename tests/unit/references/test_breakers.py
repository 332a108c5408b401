"""Breakers: what opens each, for how long, and what closes it, by its defaults."""

from __future__ import annotations

import pytest

from flyball.outcome import Outcome, Rejected, RejectReason
from flyball_analytics.references.base import ReferenceTarget
from flyball_analytics.references.breakers import (
    Breaker,
    ConsecutiveBreaker,
    CountWindowBreaker,
    FailureAccrual,
    finagle_accrual,
    powertools_breaker,
    resilience4j_breaker,
)
from unit.references.support import ERROR, OK, THROTTLE, TIMEOUT, begun, end, one, refused

OPEN = RejectReason.CIRCUIT_OPEN


def alone(breaker: Breaker) -> ReferenceTarget:
    """Return a client without retries behind this breaker: one attempt, one outcome."""
    return ReferenceTarget(breaker, attempts=1)


def each(target: ReferenceTarget, outcomes: str, at_s: float = 0.0) -> None:
    """Make one call per letter: g = good, b = bad."""
    for letter in outcomes:
        one(target, OK if letter == "g" else ERROR, at_s)


def test_resilience4j_opens_at_half_for_a_minute_once_enough_calls_were_seen() -> None:
    """Ten calls, five bad: 50 % is enough, and not a call earlier."""
    target = alone(CountWindowBreaker(min_calls=10))
    each(target, "bbbbbgggg")
    each(target, "g")
    assert refused(target, 59.9) is OPEN
    begun(target, 60.0)


def test_resilience4j_as_shipped_needs_a_hundred_calls() -> None:
    """99 failures in a row do nothing; the hundredth opens."""
    target = alone(CountWindowBreaker())
    each(target, "b" * 99)
    each(target, "b")
    assert refused(target) is OPEN


def test_resilience4js_window_holds_the_last_hundred_calls() -> None:
    """49 bad, pushed out by 100 good: 49 more are 49 of 100 and not 98; the fiftieth opens."""
    target = alone(CountWindowBreaker())
    each(target, "b" * 49 + "g" * 100 + "b" * 49)
    each(target, "b")
    assert refused(target) is OPEN


@pytest.mark.parametrize(("probes", "closes"), [("bbbbgggggg", True), ("bbbbbggggg", False)])
def test_resilience4j_decides_by_ten_permitted_calls(probes: str, closes: bool) -> None:
    """Four bad of ten close, five open for another minute."""
    target = alone(CountWindowBreaker(min_calls=10))
    each(target, "b" * 10)
    each(target, probes, 60.0)
    if closes:
        begun(target, 60.0)
    else:
        assert refused(target, 119.9) is OPEN
        begun(target, 120.0)


def test_resilience4j_permits_no_eleventh_call_while_ten_are_undecided() -> None:
    """Nine ended and one under way are ten."""
    target = alone(CountWindowBreaker(min_calls=10))
    each(target, "b" * 10)
    each(target, "g" * 9, 60.0)
    held = begun(target, 60.0)
    assert refused(target, 60.0) is OPEN
    end(held, OK, 60.5)
    begun(target, 60.5)


def test_powertools_opens_after_five_in_a_row_for_thirty_seconds() -> None:
    """A success in between begins anew."""
    target = alone(ConsecutiveBreaker())
    each(target, "bbbbgbbbb")
    each(target, "b")
    assert refused(target, 29.9) is OPEN
    begun(target, 30.0)


def test_powertools_closes_after_three_good_probes_one_at_a_time() -> None:
    """While one probes, others are refused; three in a row close."""
    target = alone(ConsecutiveBreaker())
    each(target, "bbbbb")
    probe = begun(target, 30.0)
    assert refused(target, 30.0) is OPEN
    end(probe, OK, 30.0)
    each(target, "gg", 30.0)
    begun(target, 30.0)
    begun(target, 30.0)


def test_powertools_opens_again_at_the_first_bad_probe() -> None:
    """Two good and one bad are another thirty seconds."""
    target = alone(ConsecutiveBreaker())
    each(target, "bbbbb")
    each(target, "ggb", 30.0)
    assert refused(target, 59.9) is OPEN


def test_finagle_dies_after_five_in_a_row_for_twice_as_long_each_time() -> None:
    """Equal jitter, draw's low bits 0: half of 5 s, of 10 s, of 20 s."""
    target = alone(FailureAccrual())
    each(target, "bbbbb")
    assert refused(target, 2.4) is OPEN
    each(target, "b", 2.5)
    assert refused(target, 7.4) is OPEN
    each(target, "b", 7.5)
    assert refused(target, 17.4) is OPEN
    begun(target, 17.5)


def test_finagle_is_dead_for_half_to_all_of_the_interval_and_never_over_300_s() -> None:
    """5 * 2^7 = 640 s is cut to 300 s."""
    accrual = FailureAccrual()
    assert (accrual.dead_s(0.0), accrual.dead_s(0.5)) == (2.5, 3.75)
    target = alone(accrual)
    each(target, "bbbbb")
    for n in range(1, 8):
        each(target, "b", n * 1_000.0)
    assert accrual.dead_s(1.0) == 300.0


def test_a_good_probe_revives_finagle_and_forgets_the_doubling() -> None:
    """After revival it takes five failures again, and 2.5 s."""
    target = alone(FailureAccrual())
    each(target, "bbbbb")
    each(target, "b", 2.5)
    each(target, "g", 10.0)
    each(target, "bbbb", 10.0)
    each(target, "b", 10.0)
    assert refused(target, 12.4) is OPEN
    begun(target, 12.5)


def test_finagle_dies_by_its_success_rate_once_half_a_minute_and_five_requests_are_seen() -> None:
    """Good until 30 s; a failure 10 s after the last success: rate exp(-10/30) = 0.717 < 0.8."""
    target = alone(FailureAccrual())
    for at_s in (0.0, 10.0, 20.0, 25.0, 29.0, 30.0):
        one(target, OK, at_s)
    one(target, ERROR, 36.0)  # exp(-6/30) = 0.819
    begun(target, 36.0).abandon()
    one(target, ERROR, 40.0)  # 0.819 * exp(-4/30) = 0.717
    assert refused(target, 41.0) is OPEN


def test_finagles_success_rate_says_nothing_of_a_young_or_quiet_client() -> None:
    """Before 30 s, or with fewer than five requests in them, two failures are noise."""
    young, quiet = alone(FailureAccrual()), alone(FailureAccrual())
    for at_s in (0.0, 1.0, 2.0, 3.0, 4.0):
        one(young, OK, at_s)
    one(young, ERROR, 25.0)
    begun(young, 25.0)
    for at_s in (0.0, 50.0):
        one(quiet, OK, at_s)
    one(quiet, ERROR, 70.0)
    begun(quiet, 70.0)


def test_a_retry_that_meets_an_open_breaker_ends_the_call() -> None:
    """Five failures: one call of four attempts, and the first of the next opens: no second attempt."""
    target = powertools_breaker()
    assert one(target, TIMEOUT) == 4
    assert one(target, TIMEOUT) == 1
    assert target.counters.request_failures == 2
    assert refused(target) is OPEN


@pytest.mark.parametrize("make", [powertools_breaker, finagle_accrual, resilience4j_breaker])
def test_an_abandoned_probe_gives_its_permit_back(make: type) -> None:
    """Otherwise one interrupted call would keep the breaker open for ever."""
    target = make()
    while not isinstance(call := target.begin(0.0, 0.9, idempotent=True), Rejected):
        end(call, THROTTLE)
    for _ in range(30):
        begun(target, 400.0).abandon()
    begun(target, 400.0)


@pytest.mark.parametrize("outcome", [Outcome.PERMANENT, Outcome.IGNORED])
def test_the_callers_own_errors_are_no_news(outcome: Outcome) -> None:
    """They neither open a breaker nor end a run of failures, and free their permit."""
    target = alone(ConsecutiveBreaker())
    for _ in range(9):
        one(target, outcome)
    each(target, "bbbb")
    one(target, outcome)
    each(target, "b")
    assert refused(target) is OPEN
    one(target, outcome, 30.0)
    begun(target, 30.0)


def test_an_outcome_of_before_the_opening_changes_nothing_after_it() -> None:
    """A slow call from the closed time must not close what opened meanwhile."""
    target = alone(ConsecutiveBreaker())
    slow = [begun(target) for _ in range(3)]
    each(target, "bbbbb")
    probe = begun(target, 30.0)
    for call in slow:
        end(call, OK, 30.0)
    assert refused(target, 30.0) is OPEN
    end(probe, ERROR, 30.0)
    assert refused(target, 59.9) is OPEN


def test_the_common_form_leaves_counting_to_the_algorithm() -> None:
    """It cannot be used alone."""
    with pytest.raises(NotImplementedError):
        Breaker().forget()
    with pytest.raises(NotImplementedError):
        Breaker().learn(good=True, now_s=0.0, draw=0.0)
