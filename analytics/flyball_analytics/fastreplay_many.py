"""Fast replays of many histories, in one process or several.

A shard is one history: it is loaded where it is replayed, and only what `keep` makes of
its outcome comes back, so memory is that of one shard per process however long the
list. Results come in the order of the names and do not depend on the number of
processes. Knows nothing of files or policies' origins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from flyball_analytics.fastreplay import Engine, Outcome, run
from flyball_analytics.fastreplay_columns import History
from flyball_analytics.series import Series
from flyball_controller.core.policy import Policy

Kept = TypeVar("Kept")


def run_many(
    names: Sequence[str],
    load: Callable[[str], Series | History],
    policy: Policy,
    *,
    keep: Callable[[Outcome], Kept],
    processes: int = 1,
    engine: Engine = Engine.AUTO,
) -> Iterator[Kept]:
    """Yield, by name in the order given, what `keep` makes of the outcome of each history.

    Args:
        names: Of the shards.
        load: Returns the history of a name; with processes it must be picklable (a function
            of a module), as must `keep` and what it returns.
        policy: From `PolicySet.for_target`.
        keep: Called where the replay ran.
        processes: 1 runs here; more are worth it from some seconds of work on.
        engine: As in `run`.
    """
    work = partial(_one, load=load, policy=policy, keep=keep, engine=engine)
    if processes <= 1:
        yield from map(work, names)
        return
    # Not forked: a process with a running thread pool must not be copied.
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(work, names)


def _one(
    name: str,
    *,
    load: Callable[[str], Series | History],
    policy: Policy,
    keep: Callable[[Outcome], Kept],
    engine: Engine,
) -> Kept:
    return keep(run(load(name), policy, engine=engine))
