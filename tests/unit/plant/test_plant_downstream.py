"""The queue: first in, first out, nothing withdrawn, capacity changes replan what waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.plant.downstream import Downstream


def test_work_waits_for_the_first_free_server() -> None:
    """Two servers, three pieces of 1 s: the third starts when the first ends."""
    downstream = Downstream(servers=2, queue_max=5)
    jobs = [downstream.offer(0.0, 1.0, n) for n in range(3)]
    assert [job.done_s for job in jobs if job is not None] == [1.0, 1.0, 2.0]
    assert downstream.waiting(0.5) == 1
    assert downstream.waiting(1.0) == 0
    assert downstream.backlog_s(0.5) == 0.5


def test_a_full_queue_drops_what_comes() -> None:
    """One in service and one waiting fill a queue of one."""
    downstream = Downstream(servers=1, queue_max=1)
    assert downstream.offer(0.0, 1.0, None) is not None
    assert downstream.offer(0.0, 1.0, None) is not None
    assert downstream.offer(0.0, 1.0, None) is None
    assert downstream.offer(1.0, 1.0, None) is not None


def test_a_queue_of_zero_still_serves_on_a_free_server() -> None:
    """A bound on waiting is none on service."""
    downstream = Downstream(servers=1, queue_max=0)
    assert downstream.offer(0.0, 1.0, None) is not None
    assert downstream.offer(0.5, 1.0, None) is None
    assert downstream.offer(1.0, 1.0, None) is not None


def test_lost_servers_finish_what_they_hold_and_take_no_more() -> None:
    """Four run until 1.0 .. 4.0; one server is left: it is free when fewer than one runs, at 4.0."""
    downstream = Downstream(servers=4, queue_max=9)
    for seconds in (1.0, 2.0, 3.0, 4.0):
        downstream.offer(0.0, seconds, None)
    waiting = downstream.offer(0.0, 1.0, None)
    assert waiting is not None
    assert waiting.start_s == 1.0
    assert downstream.configure(0.5, servers_ratio=0.25, slow_factor=1.0) == [waiting]
    assert (waiting.start_s, waiting.done_s) == (4.0, 5.0)


def test_slower_servers_stretch_only_what_has_not_begun() -> None:
    """A factor of 3 makes 1 s of waiting work last 3 s."""
    downstream = Downstream(servers=1, queue_max=9)
    first, second = downstream.offer(0.0, 1.0, None), downstream.offer(0.0, 1.0, None)
    downstream.configure(0.5, servers_ratio=1.0, slow_factor=3.0)
    assert first is not None
    assert second is not None
    assert (first.done_s, second.done_s) == (1.0, 4.0)


def test_without_servers_nothing_is_done_until_some_return() -> None:
    """All capacity gone: what waits has no end, and gets one when a server is back."""
    downstream = Downstream(servers=2, queue_max=9)
    downstream.configure(0.0, servers_ratio=0.0, slow_factor=1.0)
    job = downstream.offer(1.0, 1.0, None)
    assert job is not None
    assert job.done_s == float("inf")
    assert downstream.backlog_s(1.0) == float("inf")
    assert downstream.configure(5.0, servers_ratio=1.0, slow_factor=1.0) == [job]
    assert (job.start_s, job.done_s) == (5.0, 6.0)


def test_an_unchanged_capacity_replans_nothing() -> None:
    """The plant asks at every step; only a change may cost."""
    downstream = Downstream(servers=2, queue_max=9)
    downstream.offer(0.0, 5.0, None)
    assert downstream.configure(1.0, servers_ratio=1.0, slow_factor=1.0) == []


def test_clearing_empties_queue_and_servers() -> None:
    """After an operator's restart the next request is served at once."""
    downstream = Downstream(servers=1, queue_max=9)
    for _ in range(5):
        downstream.offer(0.0, 10.0, None)
    downstream.clear(3.0)
    job = downstream.offer(3.0, 1.0, None)
    assert job is not None
    assert job.done_s == 4.0


@pytest.mark.parametrize(("servers", "queue_max"), [(0, 1), (1, -1)])
def test_impossible_sizes_are_refused(servers: int, queue_max: int) -> None:
    """Both values are named."""
    with pytest.raises(ValueError, match="servers="):
        Downstream(servers=servers, queue_max=queue_max)


@given(
    gaps=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60),
    works=st.lists(st.floats(0.01, 2.0), min_size=60, max_size=60),
    change=st.integers(0, 59),
    servers_ratio=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_starts_never_overtake_and_no_server_does_two_things(
    gaps: list[float], works: list[float], change: int, servers_ratio: float
) -> None:
    """First in, first out, at most `servers` at once: whatever the capacity does in between."""
    downstream = Downstream(servers=4, queue_max=1_000)
    now_s, jobs = 0.0, []
    for n, gap in enumerate(gaps):
        now_s += gap
        if n == change:
            downstream.configure(now_s, servers_ratio=servers_ratio, slow_factor=1.5)
        job = downstream.offer(now_s, works[n], None)
        assert job is not None
        jobs.append(job)
    starts = [job.start_s for job in jobs]
    assert starts == sorted(starts)
    for job in jobs:
        running = sum(other.start_s <= job.start_s < other.done_s for other in jobs)
        assert running <= 4


def test_replanning_keeps_the_length_of_the_queue() -> None:
    """One in service and two waiting are still two waiting, and the bound of three still holds."""
    downstream = Downstream(servers=1, queue_max=3)
    for _ in range(3):
        downstream.offer(0.0, 10.0, None)
    downstream.configure(1.0, servers_ratio=1.0, slow_factor=2.0)
    assert downstream.waiting(1.0) == 2
    assert downstream.offer(1.0, 1.0, None) is not None
    assert downstream.offer(1.0, 1.0, None) is None
