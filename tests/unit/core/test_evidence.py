"""Bounds and pooling: the numbers that decisions compare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.core.evidence import RING_LENGTH_MAX, Window, pool_windows, push_window, wilson_bounds


def _window(start: int, requests: int, failures: int = 0, *, request_failures: int = 0) -> Window:
    return Window(60.0 * start, 60.0, requests, 0, failures, 0, requests, request_failures, 0)


def test_wilson_bounds_match_a_worked_example():
    """10 of 100, z = 2: (0.1 + 0.02)/1.04 = 0.115385 -/+ 2/1.04 * sqrt(0.0009 + 0.0001) = 0.060813."""
    low, high = wilson_bounds(10, 100, z=2.0)
    assert low == pytest.approx(0.054572, abs=1e-6)
    assert high == pytest.approx(0.176198, abs=1e-6)


def test_z_zero_gives_the_raw_ratio():
    """The ladder preset compares raw ratios: the same formula must serve it."""
    assert wilson_bounds(3, 12, z=0.0) == (0.25, 0.25)


def test_silence_proves_nothing():
    """Without requests every ratio is possible (C7)."""
    assert wilson_bounds(0, 0, z=2.33) == (0.0, 1.0)


def test_dispersion_widens_the_bounds_as_a_smaller_sample_would():
    """Four times the variance is a quarter of the sample."""
    assert wilson_bounds(40, 400, z=2.0, dispersion=4.0) == pytest.approx(wilson_bounds(10, 100, z=2.0))


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 6), st.floats(1, 25))
def test_bounds_enclose_the_ratio_and_stay_ratios(requests, share, z, dispersion):
    """A bound outside [0, 1] or on the wrong side would invert decisions."""
    failures = int(requests * share)
    low, high = wilson_bounds(failures, requests, z=z, dispersion=dispersion)
    assert 0.0 <= low <= failures / requests + 1e-12
    assert failures / requests - 1e-12 <= high <= 1.0


def test_a_busy_target_is_judged_by_its_newest_window_alone():
    """Older windows would only delay the verdict."""
    ring = (_window(0, 600, 600), _window(1, 600, 0))
    assert pool_windows(ring, enough=12, since_s=-1.0, span_s_max=900.0).failures == 0


def test_a_quiet_target_is_pooled_until_there_is_enough():
    """Three requests a minute: four windows make twelve."""
    ring = tuple(_window(i, 3, 1) for i in range(10))
    pool = pool_windows(ring, enough=12, since_s=-1.0, span_s_max=900.0)
    assert (pool.requests, pool.failures, pool.span_s) == (12, 4, 240.0)


def test_windows_before_the_last_change_are_never_mixed_in():
    """They show another setting."""
    ring = tuple(_window(i, 3, 1) for i in range(10))
    assert pool_windows(ring, enough=12, since_s=60.0 * 8, span_s_max=900.0).requests == 6


def test_one_window_without_request_failures_makes_the_sum_unknown():
    """A sum over part of the windows would look better than the truth."""
    ring = (_window(0, 3, request_failures=-1), _window(1, 3, request_failures=2))
    assert pool_windows(ring, enough=12, since_s=-1.0, span_s_max=900.0).request_failures == -1


def test_the_ring_forgets_what_can_never_be_pooled_again():
    """The state must stay small: one window at high traffic, fifteen at low."""
    ring: tuple[Window, ...] = ()
    for i in range(50):
        ring = push_window(ring, _window(i, 600), keep_requests=40, span_s_max=900.0)
    assert len(ring) == 1
    ring = ()
    for i in range(50):
        ring = push_window(ring, _window(i, 1), keep_requests=40, span_s_max=900.0)
    assert len(ring) == RING_LENGTH_MAX
    assert ring[-1].start_s == 60.0 * 49
