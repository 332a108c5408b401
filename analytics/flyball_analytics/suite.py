"""Many closed-loop runs: jobs over processes, with the same results for any number of them.

A run is a pure function of its job, so only the order of completion depends on
the machine; whoever needs an order sorts by the job's number. Plain pipes and
no pool: pools need named semaphores, which not every container has.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from flyball_analytics.algorithms import POLICY, algorithm
from flyball_analytics.arrivals import EXACT, ModelError
from flyball_analytics.closedloop import Result, run
from flyball_analytics.scenarios.model import Scenario


class Job(NamedTuple):
    """One run to make."""

    scenario: Scenario
    algorithm: str
    seed: int
    policy: str = POLICY
    model: ModelError = EXACT
    traced: bool = False
    sampled: bool = False

    def run(self) -> Result:
        """Return what it comes to."""
        return run(
            self.scenario,
            algorithm(self.algorithm, self.policy),
            seed=self.seed,
            model=self.model,
            traced=self.traced,
            sampled=self.sampled,
        )


class WorkerError(RuntimeError):
    """A run failed in another process; the message holds its traceback."""


def run_jobs(jobs: Sequence[Job], *, workers: int) -> Iterator[tuple[int, Result]]:
    """Yield number and result of each job as it is done, in any order.

    Args:
        jobs: What to run.
        workers: Processes; 1 runs everything in this one, in order.

    Raises:
        AlgorithmError, PolicyError: Before anything runs.
        WorkerError: A run failed.
    """
    for name, policy in sorted({(job.algorithm, job.policy) for job in jobs}):
        algorithm(name, policy)  # what cannot be made must not cost a minute first
    if workers <= 1 or len(jobs) < 2:
        for number, job in enumerate(jobs):
            yield number, job.run()
        return
    with _Team(min(workers, len(jobs))) as team:
        yield from team.run(jobs)


class _Team:
    """Worker processes with one pipe each; ended when the block is left, also by an error."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._members: dict[Connection, BaseProcess] = {}

    def __enter__(self) -> _Team:
        context = multiprocessing.get_context("spawn")
        for _ in range(self._size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._members[ours] = process
        return self

    def __exit__(self, *_: object) -> None:
        for connection, process in self._members.items():
            connection.close()
            if process.is_alive():
                process.terminate()
            process.join()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        """Hand out the jobs one by one and yield what comes back."""
        waiting = iter(enumerate(jobs))
        busy: set[Connection] = set()
        for connection in self._members:
            if _hand_out(connection, waiting):
                busy.add(connection)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)  # noqa: S101 - only pipes are waited for
                number, result, failure = self._receive(ready)
                if result is None:
                    raise WorkerError(f"run {number} failed in its process:\n{failure}")
                yield number, result
                if not _hand_out(ready, waiting):
                    busy.discard(ready)

    def _receive(self, connection: Connection) -> tuple[int, Result | None, str]:
        try:
            number, result, failure = connection.recv()
        except EOFError as error:
            process = self._members[connection]
            process.join()
            raise WorkerError(f"a worker process ended with code {process.exitcode}") from error
        return number, result, failure


def _hand_out(connection: Connection, waiting: Iterator[tuple[int, Job]]) -> bool:
    """Give a worker its next job; False if there is none left."""
    following = next(waiting, None)
    if following is None:
        return False
    connection.send(following)
    return True


def _work(connection: Connection) -> None:
    """Run jobs until the pipe is closed."""
    while True:
        try:
            number, job = connection.recv()
        except EOFError:
            return
        try:
            answer = (number, job.run(), "")
        except Exception:  # noqa: BLE001 - whatever it was, the parent shows it
            answer = (number, None, traceback.format_exc())
        connection.send(answer)
