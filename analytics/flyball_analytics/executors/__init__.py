"""Who runs shards: this process, processes, or a Dask cluster, behind one small protocol.

    with new_executor("processes:4") as executor:
        for done in executor.run(tasks):
            ...

An executor hands out tasks and yields what became of each, in any order. It never
retries and never gives up: a shard that fails, or takes its worker with it, comes back
as an error, and the others are run. Trying again is for sweep.py, which is the same for
all. Nothing here knows what a shard computes.
"""

from __future__ import annotations

from flyball.hints import did_you_mean
from flyball_analytics.executors.base import Done, Executor, ExecutorError, Task, perform
from flyball_analytics.executors.inline import InlineExecutor

NAMES = ("inline", "processes", "dask")

__all__ = ["NAMES", "Done", "Executor", "ExecutorError", "Task", "new_executor", "perform"]


def new_executor(text: str, *, cores: int = 1) -> Executor:
    """Return the executor of a name: inline, processes[:N], dask[:N], or the address of a Dask scheduler.

    Args:
        text: E.g. `processes:4` or `tcp://scheduler:8786`.
        cores: How many workers where no N is given, at least 1.

    Raises:
        ExecutorError: If there is none of this name, or what it needs is not installed or not there.
    """
    if "://" in text:
        from flyball_analytics.executors.dask import DaskExecutor

        return DaskExecutor.at_address(text)
    name, _, number = text.partition(":")
    if name not in NAMES:
        raise ExecutorError(
            f"there is no executor {text!r}{did_you_mean(name, NAMES)}; known are inline, processes[:N], "
            "dask[:N] and the address of a Dask scheduler like tcp://host:8786"
        )
    if number and (name == "inline" or not number.isdecimal() or not 1 <= int(number) <= 1_024):
        raise ExecutorError(f"executor {text!r}: N must be 1 to 1024 workers, and inline has none")
    workers = int(number) if number else cores
    if name == "inline":
        return InlineExecutor()
    if name == "processes":
        from flyball_analytics.executors.processes import ProcessExecutor

        return ProcessExecutor(workers)
    from flyball_analytics.executors.dask import DaskExecutor

    return DaskExecutor.local(workers)
