"""The client that all references share: attempts, waits, deadlines, counts."""

from __future__ import annotations

import random

import pytest

from flyball.outcome import Outcome, RejectReason
from flyball_analytics.references.base import Backoff, Recent, ReferenceCall, ReferenceTarget, second_draw
from flyball_analytics.references.retries import no_retries, static_1, static_3
from unit.references.support import ERROR, OK, THROTTLE, TIMEOUT, begun, end, one


def test_waits_double_up_to_the_cap() -> None:
    """Full jitter, base 100 ms, cap 2 s: half of 0.1, 0.2, 1.6 and of the cap."""
    backoff = Backoff()
    assert [backoff.delay_s(n, ERROR, 0.5) for n in (1, 2, 5, 9)] == [0.05, 0.1, 0.8, 1.0]


def test_a_throttled_attempt_waits_from_its_own_base() -> None:
    """The AWS SDKs wait up to 1 s first after a throttle, 50 ms otherwise."""
    backoff = Backoff(base_s=0.05, throttle_base_s=1.0, cap_s=20.0)
    assert backoff.delay_s(1, THROTTLE, 0.5) == 0.5
    assert backoff.delay_s(1, TIMEOUT, 0.5) == 0.025


def test_a_demanded_wait_moves_the_drawn_one_by_at_most_the_allowance() -> None:
    """Drawn 0.05 s, allowance 5 s: less is ignored, 3 s honoured, 30 s becomes 5.05 s."""
    backoff = Backoff(retry_after_extra_s=5.0)
    waits = [backoff.delay_s(1, ERROR, 0.5, asked_s) for asked_s in (0.01, 3.0, 30.0)]
    assert waits == [0.05, 3.0, 5.05]
    assert Backoff().delay_s(1, ERROR, 0.5, 3.0) == 0.05


@pytest.mark.parametrize(("make", "attempts"), [(static_3, 4), (static_1, 2), (no_retries, 1)])
def test_a_static_client_makes_its_attempts_whatever_happens(make: type, attempts: int) -> None:
    """No limit: the thousandth failing call is repeated as often as the first."""
    target = make()
    assert {one(target, TIMEOUT) for _ in range(1_000)} == {attempts}


def test_counts_are_those_of_the_real_client() -> None:
    """Measures read both alike: classes count first attempts, failures count requests."""
    target = static_3()
    call = begun(target)
    for outcome in (TIMEOUT, ERROR):
        assert end(call, outcome) is not None
    assert end(call, OK) is None
    one(target, THROTTLE)
    assert end(begun(target), Outcome.PERMANENT) is None
    counters = target.counters
    assert (counters.requests, counters.retries) == (3, 2 + 3)
    assert (counters.timeouts, counters.throttles, counters.errors_fast) == (1, 1, 0)
    assert (counters.request_failures, counters.errors_permanent) == (1, 1)
    assert len(counters.latencies_ms) == 3 + 4 + 1


def test_what_is_not_idempotent_is_not_repeated() -> None:
    """The comparison must not win by retrying what the real client may not."""
    call = static_3().begin(0.0, 0.5)
    assert isinstance(call, ReferenceCall)
    assert end(call, TIMEOUT) is None


def test_a_deadline_limits_time_out_retry_and_entry() -> None:
    """0.4 s left: the attempt gets 0.4 s; a retry that would begin after it is not made."""
    target = static_3()
    call = target.begin(0.0, 0.5, deadline_s=0.4, idempotent=True)
    assert isinstance(call, ReferenceCall)
    assert call.timeout_s(0.0) == 0.4
    assert call.timeout_s(1.0) == 0.0
    assert end(call, ERROR, at_s=0.38) is None
    late = target.begin(0.4, 0.5, deadline_s=0.4)
    assert late == (RejectReason.DEADLINE, 0.0)
    assert target.counters.short_circuited == 1
    assert begun(target).timeout_s(0.0) == 1.0


def test_a_call_ends_once() -> None:
    """A second verdict would count a request twice."""
    call = begun(static_3())
    end(call, OK)
    with pytest.raises(RuntimeError, match="over"):
        end(call, OK)


def test_an_abandoned_call_counts_only_attempts_that_ended() -> None:
    """Nothing ended: nothing counted; one ended: one request without a verdict."""
    target = static_3()
    begun(target).abandon()
    assert target.counters.requests == 0
    call = begun(target)
    end(call, TIMEOUT)
    call.abandon()
    call.abandon()
    assert (target.counters.requests, target.counters.retries, target.counters.request_failures) == (1, 0, 0)


def test_no_attempts_is_refused() -> None:
    """The first attempt counts."""
    with pytest.raises(ValueError, match="attempts=0"):
        ReferenceTarget(attempts=0)


def test_a_window_forgets_whole_seconds() -> None:
    """Ten seconds back from 10.0 begin after second 0."""
    recent = Recent(10.0)
    recent.add(0.2, 1.0, 0.0)
    recent.add(0.9, 1.0, 1.0)
    recent.add(5.0, 1.0, 0.0)
    assert recent.sums(9.9) == (3.0, 1.0)
    assert recent.sums(10.0) == (1.0, 0.0)
    recent.clear()
    assert recent.sums(10.0) == (0.0, 0.0)


def test_the_second_draw_does_not_follow_the_first() -> None:
    """Otherwise retries that pass a chance of refusal would all wait long."""
    rng = random.Random(1)
    draws = [rng.random() for _ in range(20_000)]
    passed = [draw for draw in draws if second_draw(draw) >= 0.8]
    assert len(passed) == pytest.approx(4_000, rel=0.05)
    assert sum(passed) / len(passed) == pytest.approx(0.5, abs=0.02)
