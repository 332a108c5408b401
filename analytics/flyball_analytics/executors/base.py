"""What all executors share: the task, its outcome, and the one function that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from flyball_analytics.shards import decode, run_shard

INPUTS = "inputs"
INPUT_SUFFIX = ".bin"


class ExecutorError(RuntimeError):
    """An executor that cannot be had, or was lost with everything in it; `lost` says which."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class Task(NamedTuple):
    """One shard to run. `content` is its packed input; None: it lies in the folder, under its digest."""

    key: str
    shard: bytes
    folder: str
    content: bytes | None = None


class Done(NamedTuple):
    """What became of a task: the bytes of its result, or None and the error."""

    key: str
    result: bytes | None
    error: str = ""


class Executor(Protocol):
    """Runs tasks; a context manager that leaves no process behind."""

    @property
    def ships(self) -> bool:
        """Whether tasks must carry their input, because workers may not see this machine's files."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Yield what became of every task, in any order.

        Draws from `tasks` no faster than it runs them, so that inputs that are carried
        do not pile up.

        Raises:
            ExecutorError: If all workers are lost for good.
        """

    def __enter__(self) -> Executor:
        """Return the executor."""

    def __exit__(self, *_: object) -> None:
        """End the workers."""


def perform(task: Task) -> Done:
    """Return what became of a task, run here. Whatever a shard raises is its error and nobody else's."""
    try:
        content = task.content
        if content is None:
            digest = decode(task.shard).input
            content = (Path(task.folder) / INPUTS / f"{digest}{INPUT_SUFFIX}").read_bytes()
        return Done(task.key, run_shard(task.shard, content))
    except Exception as error:  # noqa: BLE001 - a poison shard is listed, not fatal
        return Done(task.key, None, f"{type(error).__name__}: {error}")
