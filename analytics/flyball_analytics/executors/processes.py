"""Runs shards in worker processes of this machine, one pipe each.

Plain pipes and no pool, for two reasons. When a process of a pool dies, all that the
pool had accepted fails with it, and nobody knows whose fault it was; here the pipe that
breaks names the shard that was being run, a new process takes the place, and no other
shard is charged. And pools need named semaphores, which not every container has.

A worker whose parent is gone finds its pipe closed and ends: nothing is left behind,
whatever killed the parent.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from flyball_analytics.executors.base import Done, Task, perform


class _Member(NamedTuple):
    process: BaseProcess
    key: str = ""  # of the task that it runs; empty: none


class ProcessExecutor:
    """A fixed number of processes; one that dies is replaced."""

    ships = False

    def __init__(self, workers: int) -> None:
        """Take the number of processes; they start with the first run."""
        if workers < 1:
            raise ValueError(f"workers={workers!r} must be at least 1")
        self._workers = workers
        self._members: dict[Connection, _Member] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Yield what became of every task, as they end."""
        waiting = iter(tasks)
        try:
            for _ in range(self._workers):
                following = next(waiting, None)
                if following is None:
                    break
                self._hand_out(self._start(), following)
            while busy := [ours for ours, member in self._members.items() if member.key]:
                for ready in wait(busy):
                    assert isinstance(ready, Connection)  # noqa: S101 - only pipes are waited for
                    done, alive = self._receive(ready)
                    yield done
                    following = next(waiting, None)
                    if following is not None:
                        self._hand_out(alive if alive is not None else self._start(), following)
        finally:
            # Whoever stops in the middle must not be given these results by the next run.
            self._end([ours for ours, member in self._members.items() if member.key])

    def _start(self) -> Connection:
        """Return the pipe of an idle worker, a new one if there is none."""
        for ours, member in self._members.items():
            if not member.key:
                return ours
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._members[ours] = _Member(process)
        return ours

    def _hand_out(self, ours: Connection, task: Task) -> None:
        """Give a worker its next task; one that is dead already is found when its answer is read."""
        self._members[ours] = self._members[ours]._replace(key=task.key)
        try:
            ours.send(task)
        except OSError:
            return  # the closed pipe is ready to be read at once, and says so

    def _receive(self, ours: Connection) -> tuple[Done, Connection | None]:
        """Return what became of a worker's task, and its pipe if it lives."""
        member = self._members[ours]
        try:
            done = ours.recv()
        except (EOFError, OSError):
            member.process.join()
            del self._members[ours]
            ours.close()
            error = f"WorkerDied: its worker process ended with code {member.process.exitcode}"
            return Done(member.key, None, error), None
        assert isinstance(done, Done)  # noqa: S101 - our own worker's answer
        self._members[ours] = member._replace(key="")
        return done, ours

    def __enter__(self) -> ProcessExecutor:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, also in the middle of a shard."""
        self._end(list(self._members))

    def _end(self, pipes: list[Connection]) -> None:
        for ours in pipes:
            member = self._members.pop(ours)
            ours.close()
            if member.process.is_alive():
                member.process.terminate()
            member.process.join()


def _work(theirs: Connection) -> None:
    """Run tasks until the pipe is closed or the parent says to stop."""
    try:
        while True:
            theirs.send(perform(theirs.recv()))
    except (EOFError, OSError, KeyboardInterrupt):
        return
