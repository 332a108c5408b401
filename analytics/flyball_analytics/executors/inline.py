"""Runs every shard in this process, one after the other: the default, and the reference of all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flyball_analytics.executors.base import Done, Task, perform


class InlineExecutor:
    """No worker but this process."""

    ships = False

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Yield what became of every task, in order."""
        for task in tasks:
            yield perform(task)

    def __enter__(self) -> InlineExecutor:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""
