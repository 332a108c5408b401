"""The dependency: a few servers behind one first-in-first-out queue that keeps serving abandoned work.

That last property is what makes retry storms metastable: a caller that timed
out has left, but its request still waits in the queue and still costs a server
its full service time, so a full queue stays full of work that nobody wants
(Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021).

Because the queue is first in, first out and work is never withdrawn, the moment
a piece of work will be done is known when it is offered. The plant therefore
needs one event per attempt instead of three; only a change of capacity replans
what still waits. A full queue drops silently, as a full listen backlog does:
the caller sees a time-out, not an error.

Nothing here knows callers, retries or faults: `configure` says how many servers
work and how slowly.
"""

from __future__ import annotations

import heapq
from collections import deque


class Job:
    """One piece of work: how much of it there is, and when it starts and ends by the present plan."""

    __slots__ = ("done_s", "owner", "start_s", "work_s")

    def __init__(self, work_s: float, owner: object) -> None:
        self.work_s = work_s
        self.owner = owner
        self.start_s = 0.0
        self.done_s = 0.0


class Downstream:
    """`servers` parallel servers; at most `queue_max` pieces of work wait."""

    def __init__(self, *, servers: int, queue_max: int) -> None:
        if servers < 1 or queue_max < 0:
            raise ValueError(f"servers={servers!r} must be >= 1 and queue_max={queue_max!r} >= 0")
        self._servers_full = servers
        self._servers = servers
        self._slow_factor = 1.0
        self._queue_max = queue_max
        self._free_s = [0.0] * servers  # heap: when each server is next free
        self._waiting: deque[Job] = deque()  # planned, not started, oldest first
        self._running: list[Job] = []
        self.work_done_s = 0.0  # server seconds spent or planned, also on abandoned work

    def offer(self, now_s: float, work_s: float, owner: object) -> Job | None:
        """Return the planned job, or None if the queue is full and the work was dropped."""
        self._begin_due(now_s)
        if len(self._waiting) >= self._queue_max and (not self._free_s or self._free_s[0] > now_s):
            return None
        job = Job(work_s, owner)
        self._plan(job, now_s)
        return job

    def waiting(self, now_s: float) -> int:
        """Return how many pieces of work wait for a server."""
        self._begin_due(now_s)
        return len(self._waiting)

    def backlog_s(self, now_s: float) -> float:
        """Return how long work offered now would wait before a server takes it, in seconds."""
        if not self._free_s:
            return float("inf")
        return max(0.0, self._free_s[0] - now_s)

    def configure(self, now_s: float, *, servers_ratio: float, slow_factor: float) -> list[Job]:
        """Change the capacity from now on; return the waiting jobs, whose planned times have changed.

        Work already in a server keeps its speed. With no server left nothing
        that waits is ever done (its times are infinite) until capacity returns.
        """
        servers = round(self._servers_full * servers_ratio)
        if servers == self._servers and slow_factor == self._slow_factor:
            return []
        self._begin_due(now_s)
        self._servers, self._slow_factor = servers, slow_factor
        busy = sorted(job.done_s for job in self._running if job.done_s > now_s)
        # Servers that vanish finish what they hold: a remaining one is free only
        # when fewer jobs run than servers remain.
        free = busy[len(busy) - servers :] if len(busy) > servers else busy + [now_s] * (servers - len(busy))
        self._free_s = free if servers > 0 else []
        heapq.heapify(self._free_s)
        replanned = list(self._waiting)
        self._waiting.clear()
        for job in replanned:
            self.work_done_s -= job.done_s - job.start_s if job.done_s != float("inf") else 0.0
            self._plan(job, now_s)
        return replanned

    def clear(self, now_s: float) -> None:
        """Throw away everything that waits or runs, as an operator's restart does."""
        self._waiting.clear()
        self._running.clear()
        self._free_s = [now_s] * self._servers

    def _plan(self, job: Job, now_s: float) -> None:
        if not self._free_s:
            job.start_s = job.done_s = float("inf")
            self._waiting.append(job)
            return
        job.start_s = max(now_s, self._free_s[0])
        job.done_s = job.start_s + job.work_s * self._slow_factor
        self.work_done_s += job.done_s - job.start_s
        heapq.heapreplace(self._free_s, job.done_s)
        if job.start_s > now_s:
            self._waiting.append(job)
        else:
            self._run(job, now_s)

    def _begin_due(self, now_s: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0].start_s <= now_s:
            self._run(waiting.popleft(), now_s)

    def _run(self, job: Job, now_s: float) -> None:
        self._running.append(job)
        if len(self._running) > 8 * self._servers_full:
            self._running = [held for held in self._running if held.done_s > now_s]
