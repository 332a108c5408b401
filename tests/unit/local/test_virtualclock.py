"""The clock every emulator shares: order, exactness, and what callbacks may do."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_local.virtualclock import ClockError, VirtualClock


def test_callbacks_run_in_time_order_at_exactly_their_time():
    """An alarm period and a deployment step must interleave the same way in every run."""
    clock = VirtualClock(1000.0)
    seen = []
    clock.call_at(1003.0, lambda: seen.append(("late", clock.now_s())))
    clock.call_at(1001.5, lambda: seen.append(("early", clock.now_s())))
    clock.advance(10.0)
    assert seen == [("early", 1001.5), ("late", 1003.0)]
    assert clock.now_s() == 1010.0


def test_callbacks_of_one_instant_run_in_the_order_they_were_scheduled():
    """Ties are common (whole minutes); an arbitrary order would make runs differ."""
    clock = VirtualClock(0.0)
    seen = []
    for name in "abcde":
        clock.call_at(60.0, lambda name=name: seen.append(name))
    clock.advance(60.0)
    assert seen == list("abcde")


def test_a_callback_may_schedule_another_for_the_same_advance():
    """Periodic work reschedules itself; a day must pass in one advance."""
    clock = VirtualClock(0.0)
    ticks = []

    def tick():
        ticks.append(clock.now_s())
        clock.call_at(clock.now_s() + 60.0, tick)

    clock.call_at(60.0, tick)
    clock.advance(180.0)
    assert ticks == [60.0, 120.0, 180.0]
    assert clock.next_call_s() == 240.0


def test_a_callback_that_sleeps_moves_the_time_of_everybody():
    """A handler that backs off inside an event takes time in the one world there is."""
    clock = VirtualClock(0.0)
    seen = []
    clock.call_at(1.0, lambda: clock.sleep(5.0))
    clock.call_at(3.0, lambda: seen.append(clock.now_s()))
    clock.advance(2.0)
    assert seen == [3.0]
    assert clock.now_s() == 6.0


def test_an_overdue_callback_runs_at_the_next_advance_and_time_does_not_go_back():
    """Scheduling in the past happens (a delay of minus nothing) and must not rewind the world."""
    clock = VirtualClock(100.0)
    seen = []
    clock.call_at(50.0, lambda: seen.append(clock.now_s()))
    clock.advance(0.0)
    assert seen == [100.0]


def test_a_cancelled_callback_never_runs_and_is_not_announced():
    """A stopped deployment leaves its later steps behind."""
    clock = VirtualClock(0.0)
    seen = []
    call = clock.call_at(1.0, lambda: seen.append("no"))
    assert call.pending
    call.cancel()
    call.cancel()
    assert not call.pending
    assert clock.next_call_s() is None
    clock.advance(2.0)
    assert seen == []


def test_a_callback_that_raises_stops_time_there_and_is_not_repeated():
    """A fault must surface at its time; the rest of the world can still be carried on."""
    clock = VirtualClock(0.0)
    seen = []
    clock.call_at(1.0, lambda: 1 / 0)
    clock.call_at(2.0, lambda: seen.append("later"))
    with pytest.raises(ZeroDivisionError):
        clock.advance(5.0)
    assert clock.now_s() == 1.0
    clock.advance(5.0)
    assert seen == ["later"]
    assert clock.now_s() == 6.0


@pytest.mark.parametrize("dt_s", [-1.0, math.nan, math.inf])
def test_time_never_goes_back_nor_becomes_no_number(dt_s):
    """The value is in the error, so that the caller's arithmetic can be found."""
    clock = VirtualClock(0.0)
    with pytest.raises(ClockError) as caught:
        clock.advance(dt_s)
    assert repr(caught.value.value_s) == repr(dt_s)
    assert clock.now_s() == 0.0


def test_moving_to_an_earlier_time_is_refused():
    """advance_to is the same promise in absolute words."""
    clock = VirtualClock(10.0)
    with pytest.raises(ClockError):
        clock.advance_to(9.0)
    with pytest.raises(ClockError):
        VirtualClock(math.nan)


def test_callbacks_may_take_locks_that_schedulers_hold():
    """Servers schedule under their own lock while another thread advances: no deadlock."""
    clock = VirtualClock(0.0)
    lock = threading.Lock()
    done = threading.Event()

    def under_lock():
        with lock:
            done.set()

    clock.call_at(1.0, under_lock)
    with lock:
        mover = threading.Thread(target=clock.advance, args=(2.0,))
        mover.start()
        clock.call_at(1.5, lambda: None)
    mover.join(timeout=5.0)
    assert done.is_set()


@given(st.lists(st.integers(0, 50), max_size=30), st.lists(st.integers(0, 20), max_size=10))
def test_how_an_advance_is_cut_changes_nothing(times, cuts):
    """Law: one long advance and many short ones run the same callbacks at the same times."""

    def run(steps):
        clock = VirtualClock(0.0)
        seen = []
        for number, at_s in enumerate(times):
            clock.call_at(float(at_s), lambda n=number: seen.append((n, clock.now_s())))
        for step in steps:
            clock.advance(float(step))
        return seen, clock.now_s()

    assert run([*cuts, 50]) == run([sum(cuts) + 50])
