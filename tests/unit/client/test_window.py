"""The rolling window: what is inside, what has left, and what a broken clock does to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyball.window import BUCKETS, Window


def put(window: Window, now_s: float, *, timeout: bool = False, failure: bool = False) -> None:
    if now_s >= window.until_s:
        window.advance(now_s)
    window.calls_now += 1
    if timeout:
        window.note_timeout()
    if failure:
        window.note_failure()


def test_a_count_leaves_after_the_window_and_not_before():
    """30 s in ten slices of 3 s: what came at 0 is in at 29.9 and out at 30."""
    window = Window(30.0)
    put(window, 0.0, timeout=True)
    window.advance(29.9)
    assert (window.calls, window.timeouts) == (1, 1)
    window.advance(30.0)
    assert (window.calls, window.timeouts) == (0, 0)


def test_slices_leave_one_by_one():
    """One call per slice: after two more slices than fit, the oldest three are gone."""
    window = Window(10.0)
    for second in range(10):
        put(window, float(second), failure=True)
    assert (window.calls, window.failures) == (10, 10)
    window.advance(12.0)
    assert (window.calls, window.failures) == (7, 7)


def test_a_long_silence_empties_the_window():
    """After an hour nothing is known any more."""
    window = Window(10.0)
    put(window, 0.0, timeout=True)
    window.note_shed()
    window.advance(3_600.0)
    assert (window.calls, window.timeouts, window.shed) == (0, 0, 0)


def test_a_clock_a_little_back_changes_nothing():
    """Clocks are adjusted by milliseconds all the time."""
    window = Window(10.0)
    put(window, 100.0)
    window.advance(99.0)
    assert window.calls == 1


def test_a_clock_far_back_clears_the_counts():
    """Otherwise the window would stand still for the hour that the clock went back."""
    window = Window(10.0)
    put(window, 5_000.0, timeout=True)
    window.advance(1_000.0)
    assert (window.calls, window.timeouts) == (0, 0)
    put(window, 1_000.0)
    window.advance(1_011.0)
    assert window.calls == 0


def test_clear_forgets_everything():
    """After a recovery old failures say nothing."""
    window = Window(10.0)
    put(window, 0.0, timeout=True, failure=True)
    window.clear()
    assert (window.calls, window.timeouts, window.failures) == (0, 0, 0)


@given(gaps=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=80))
def test_the_window_is_exact_to_one_slice(gaps):
    """All that is younger than the window less one slice counts; nothing older than the window does."""
    window = Window(10.0)
    slice_s = 10.0 / BUCKETS
    now, times = 0.0, []
    for gap in gaps:
        now += gap
        times.append(now)
        put(window, now, timeout=True)
        surely = sum(1 for time in times if now - time < 10.0 - slice_s - 1e-6)
        perhaps = sum(1 for time in times if now - time <= 10.0 + 1e-6)
        assert surely <= window.calls <= perhaps
        assert window.timeouts == window.calls
