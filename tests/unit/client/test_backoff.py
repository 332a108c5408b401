"""The wait before a retry: jitter over a doubling range, and obedience to Retry-After within reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.backoff import RETRY_AFTER_MAX_S, delay_s


@pytest.mark.parametrize(("retry", "expected_s"), [(1, 0.05), (2, 0.1), (3, 0.2)])
def test_the_range_doubles_with_each_retry(retry, expected_s):
    """Half of 100, 200 and 400 ms at a draw of one half."""
    assert delay_s(retry, base_ms=100, cap_ms=2_000, draw=0.5) == pytest.approx(expected_s)


def test_the_cap_ends_the_doubling():
    """1,000 ms doubled twice is 4 s, but 2 s is the most."""
    assert delay_s(3, base_ms=1_000, cap_ms=2_000, draw=0.5) == 1.0


def test_a_longer_base_for_throttles_is_not_cut_off_by_the_cap():
    """The controller's answer to a 429 is a longer base; the cap of ordinary waits must not undo it."""
    assert delay_s(1, base_ms=4_000, cap_ms=2_000, draw=0.5) == 2.0


def test_what_the_target_asks_for_is_waited_in_full_with_jitter_on_top():
    """All who were told "2 seconds" must not return together."""
    assert delay_s(1, base_ms=100, cap_ms=2_000, draw=0.5, retry_after_s=2.0) == 2.05


def test_a_target_that_asks_for_too_long_is_not_waited_for():
    """A function is paid by the millisecond; whoever needs 21 s is asked again by the next invocation."""
    assert delay_s(1, base_ms=100, cap_ms=2_000, draw=0.5, retry_after_s=RETRY_AFTER_MAX_S + 1) is None


@pytest.mark.parametrize("nonsense", [-5.0, 0.0, float("nan")])
def test_a_nonsensical_demand_is_no_demand(nonsense):
    """Headers are input from outside."""
    assert delay_s(1, base_ms=100, cap_ms=2_000, draw=0.5, retry_after_s=nonsense) == 0.05


@given(
    retry=st.integers(1, 3),
    base=st.integers(1, 60_000),
    cap=st.integers(1, 60_000),
    draw=st.floats(0.0, 1.0, exclude_max=True),
    after=st.none() | st.floats(),
)
def test_a_wait_is_bounded_whatever_comes(retry, base, cap, draw, after):
    """Full jitter from zero; never beyond cap, base, and what may be asked for."""
    wait = delay_s(retry, base_ms=base, cap_ms=cap, draw=draw, retry_after_s=after)
    assert wait is None or 0.0 <= wait <= max(base, cap) / 1_000 + RETRY_AFTER_MAX_S
