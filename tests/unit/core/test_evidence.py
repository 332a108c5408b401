"""Bounds and pooling: the numbers that decisions compare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.core.evidence import (
    RING_LENGTH_MAX,
    Pool,
    Window,
    pool_windows,
    push_window,
    wilson_bounds,
)


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


def _full(start: int, scale: int = 1) -> Window:
    counts = (scale * n for n in (100, 1, 2, 3, 110, 4, 5))
    return Window(60.0 * start, 60.0, *counts)


def test_every_count_is_summed_by_itself():
    """Two windows of seven numbers."""
    pool = pool_windows((_full(0), _full(1, 10)), enough=1_100, since_s=-1.0, span_s_max=900.0)
    assert pool == Pool(120.0, 1_100, 11, 22, 33, 1_210, 44, 55)
    assert (pool.failures, _full(0).failures) == (66, 6)


def test_an_unmeasured_window_hides_the_sum_wherever_it_stands():
    """Newest, in the middle, oldest; none of it comes back with a measured one."""
    for at in range(3):
        ring = tuple(_full(i)._replace(request_failures=-1 if i == at else 4) for i in range(3))
        pool = pool_windows(ring, enough=300, since_s=-1.0, span_s_max=900.0)
        assert (pool.requests, pool.request_failures) == (300, -1)
    zeros = tuple(_full(i)._replace(request_failures=0) for i in range(3))
    assert pool_windows(zeros, enough=300, since_s=-1.0, span_s_max=900.0).request_failures == 0


@pytest.mark.parametrize(
    ("change", "pooled"),
    [
        ({"enough": 0}, 0),
        ({"enough": 100}, 1),
        ({"enough": 200}, 2),  # two hold 200
        ({"enough": 201}, 3),
        ({"since_s": 120.0}, 2),  # the window that began with the change shows it whole
        ({"since_s": 121.0}, 1),
        ({"since_s": 181.0}, 0),
        ({"span_s_max": 180.0}, 3),
        ({"span_s_max": 179.0}, 2),
        ({"span_s_max": 59.0}, 0),
    ],
)
def test_a_pool_ends_where_it_has_enough_or_may_not_go(change, pooled):
    """Of four windows of a minute and a hundred requests each."""
    limits = {"enough": 1_000, "since_s": -1.0, "span_s_max": 900.0, **change}
    ring = tuple(_full(i) for i in range(4))
    assert pool_windows(ring, **limits).requests == 100 * pooled


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"keep_requests": 300}, 3),
        ({"keep_requests": 301}, 4),
        ({"keep_requests": 100}, 1),
        ({"span_s_max": 180.0}, 3),
        ({"span_s_max": 179.0}, 2),
        ({"span_s_max": 30.0}, 1),  # the newest is always kept
    ],
)
def test_a_ring_keeps_what_can_still_be_pooled_in_order(change, kept):
    """The newest last."""
    limits = {"keep_requests": 1_000, "span_s_max": 900.0, **change}
    ring = push_window(tuple(_full(i) for i in range(4)), _full(4), **limits)
    assert ring == tuple(_full(i) for i in range(5 - kept, 5))


def test_a_ring_never_holds_more_than_its_length():
    """Fifteen, of which the fifteenth is the sixteenth newest no more."""
    ring = push_window(tuple(_full(i) for i in range(15)), _full(15), keep_requests=10**6, span_s_max=1e6)
    assert [window.start_s for window in ring] == [60.0 * i for i in range(1, 16)]
