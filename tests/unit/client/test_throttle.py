"""Graded shedding: in proportion to time-outs, capped, and silent on noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Call, Counters, Outcome, Target
from flyball.records import DEFAULT_PARAMS
from flyball.throttle import is_calm, shed_ratio


@pytest.mark.parametrize(
    ("calls", "timeouts", "shed", "expected"),
    [
        (100, 20, 0, 0.0),  # 80 good x 1.5 = 120 >= 100 offered
        (20, 10, 0, 5 / 21),  # 20 - 15 over 21
        (29, 29, 0, 0.8),  # 29 / 30, capped
        (20, 10, 10, 15 / 31),  # what was refused was offered: 30 - 15 over 31
        (20, 2, 40, 33 / 61),  # recovering: 60 - 27 over 61
    ],
)
def test_the_ratio_is_the_excess_over_what_came_back(calls, timeouts, shed, expected):
    """Worked by hand from (n - 1.5 good) / (n + 1), n = all that were offered."""
    ratio = shed_ratio(calls=calls, timeouts=timeouts, shed=shed, k=1.5, cap_ratio=0.8)
    assert ratio == pytest.approx(expected)


def test_one_timeout_after_a_quiet_hour_sheds_nothing():
    """By the bare formula it would refuse every second call of a function that is called once a minute."""
    assert shed_ratio(calls=1, timeouts=1, shed=0, k=1.5, cap_ratio=0.8) == 0.0


@given(
    calls=st.integers(0, 10_000),
    shed=st.integers(0, 10_000),
    share=st.floats(0.0, 1.0),
    k=st.floats(1.0, 10.0),
    cap=st.floats(0.0, 0.9),
)
def test_the_ratio_is_a_probability_under_the_cap(calls, shed, share, k, cap):
    """Something always passes, so that recovery is seen."""
    ratio = shed_ratio(calls=calls, timeouts=int(calls * share), shed=shed, k=k, cap_ratio=cap)
    assert 0.0 <= ratio <= cap


@given(calls=st.integers(2, 1_000), timeouts=st.integers(1, 999))
def test_one_more_timeout_never_sheds_less(calls, timeouts):
    """C12 in the small: worse news, no less protection."""
    timeouts = min(timeouts, calls - 1)
    before, after = (
        shed_ratio(calls=calls, timeouts=count, shed=0, k=1.5, cap_ratio=0.8)
        for count in (timeouts, timeouts + 1)
    )
    assert after >= before


@pytest.mark.parametrize(
    ("good", "answers_ms", "calm"),
    [
        (12, [240.0, 1_000.0, 260.0], True),
        (4, [240.0, 1_000.0, 260.0], True),
        (3, [240.0, 1_000.0, 260.0], False),  # fewer answers than time-outs
        (12, [499.0, 500.0], True),  # 499.5 on average, under 500
        (12, [500.0, 500.0], False),
        (12, [240.0, 900.0], False),  # a queue delays everybody: 570 on average
        (12, [1_000.0, 1_000.0], False),  # time-outs are no answers
        (12, [], False),  # nothing is known
    ],
)
def test_calm_is_most_calls_answered_within_half_of_the_time_out(good, answers_ms, calm):
    """Before a queue lets the first call time out, the others have waited nearly as long."""
    assert is_calm(timeouts=4, good=good, answers_ms=answers_ms, timeout_ms=1_000.0) == calm


def _lived(outcomes: str, good_ms: float, *, flush: bool = False) -> Target:
    """A target after one call a second without retries, `.` good and `x` timed out."""
    target = Target("t", params=DEFAULT_PARAMS._replace(retry=DEFAULT_PARAMS.retry._replace(fast_cost=0.2)))
    for second, outcome in enumerate(outcomes):
        call = target.begin(float(second), 0.999)
        assert isinstance(call, Call)
        late = outcome == "x"
        call.finish(
            Outcome.TIMEOUT if late else Outcome.SUCCESS,
            now_s=float(second),
            draw=0.5,
            latency_ms=1_000.0 if late else good_ms,
        )
        if flush:
            target.counters = Counters()
    return target


# 18 of 42 time out: (42 - 1.5 x 24) / 43.
SILENT = "xxx...." * 6


@pytest.mark.parametrize("flush", [False, True])
def test_a_node_that_swallows_its_calls_is_no_reason_to_shed(flush):
    """Three of seven nodes are silent, the others quick. Shedding would refuse calls that go well.

    A function whose metrics leave after each call must know it as well.
    """
    assert _lived(SILENT, 240.0, flush=flush).shed_ratio(42.0) == 0.0
    assert _lived(SILENT, 740.0, flush=flush).shed_ratio(42.0) == pytest.approx(6 / 43)


def test_as_soon_as_nothing_comes_back_the_calm_is_over():
    """Four time-outs after the last answer: 22 of 46, (46 - 1.5 x 24) / 47."""
    assert _lived(SILENT + "xxxx", 240.0).shed_ratio(46.0) == pytest.approx(10 / 47)


@pytest.mark.parametrize(("good_ms", "cost"), [(240.0, 0.2), (740.0, 1.0)])
def test_a_retry_after_a_lost_call_costs_as_little_as_after_a_fast_error(good_ms, cost):
    """The lost call held no server. With a queue behind it, it is work that nobody wants, and costs all."""
    target = _lived(SILENT, good_ms)
    before = target.budget_tokens
    call = target.begin(42.0, 0.999, idempotent=True)
    assert isinstance(call, Call)
    assert call.finish(Outcome.TIMEOUT, now_s=43.0, draw=0.5, latency_ms=1_000.0) is not None
    assert before == 3.0  # the bucket was full, so the call itself has earned nothing
    assert target.budget_tokens == pytest.approx(3.0 - cost)
