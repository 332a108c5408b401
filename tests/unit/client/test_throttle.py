"""Graded shedding: in proportion to time-outs, capped, and silent on noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.throttle import shed_ratio


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
