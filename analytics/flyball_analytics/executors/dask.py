"""Runs shards on a Dask cluster: one of this machine, or a running one by the address of its scheduler.

Only `Client.submit` and `as_completed` are used; everything that a cluster is bought or
configured with stays outside. Dask hands the shards of a lost worker to another one and
gives a shard up after it has taken several workers with it: that is its error here.
A running cluster needs the same flyball installed (a shard checks it), and is sent each
input with its shard, because its workers may not see this machine's files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from flyball_analytics.executors.base import Done, ExecutorError, Task, perform

CONNECT_S = 10.0
# A worker that is handed its next shard when it has ended one is never idle; more than that waits in memory.
QUEUED_PER_WORKER = 2


class DaskExecutor:
    """A Dask client, and the cluster if it is ours."""

    def __init__(self, client: Any, cluster: Any | None, *, ships: bool) -> None:
        """Take a connected client; `cluster` is closed with it."""
        self._client = client
        self._cluster = cluster
        self._ships = ships

    @property
    def ships(self) -> bool:
        """Whether tasks must carry their input."""
        return self._ships

    @classmethod
    def local(cls, workers: int, *, processes: bool = True) -> DaskExecutor:
        """Return a cluster on this machine, one thread per worker; `processes` False keeps it in this one."""
        distributed = _distributed()
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=":0",  # any free port: another cluster may be running
        )
        return cls(distributed.Client(cluster), cluster, ships=False)

    @classmethod
    def at_address(cls, address: str) -> DaskExecutor:
        """Return a client of a running scheduler.

        Raises:
            ExecutorError: If none answers there.
        """
        distributed = _distributed()
        try:
            client = distributed.Client(address, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise ExecutorError(f"no Dask scheduler answers at {address}: {error}", lost=True) from error
        return cls(client, None, ships=True)

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Yield what became of every task, as they end."""
        distributed = _distributed()
        waiting = iter(tasks)
        room = QUEUED_PER_WORKER * max(1, len(self._client.scheduler_info().get("workers", {})))
        pending = [self._submit(task) for task in itertools.islice(waiting, room)]
        completed = distributed.as_completed(pending)
        for future in completed:
            yield self._done(future)
            following = next(waiting, None)
            if following is not None:
                completed.add(self._submit(following))

    def _submit(self, task: Task) -> Any:
        # Not pure: what failed is run again under the same key only because we ask for it.
        return self._client.submit(perform, task, pure=False, key=f"shard-{task.key}-{next(_NUMBER)}")

    def _done(self, future: Any) -> Done:
        """Return what became of one future."""
        key = str(future.key).split("-")[1]
        if future.status == "finished":
            done = future.result()
            assert isinstance(done, Done)  # noqa: S101 - what `perform` returns
            return done
        if future.status == "cancelled":
            raise ExecutorError("the Dask scheduler was lost; what is done is kept: run again", lost=True)
        error = future.exception()
        return Done(key, None, f"{type(error).__name__}: {error}")

    def __enter__(self) -> DaskExecutor:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect; end the cluster if it is ours."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


_NUMBER = itertools.count()  # Dask forgets a key only when nobody holds it; a retry needs a new one


def _distributed() -> Any:
    """Import Dask, or say what to install."""
    try:
        import distributed
    except ImportError as error:
        raise ExecutorError(
            f"this executor needs the Python package {error.name!r}: pip install 'flyball[cluster]'"
        ) from error
    return distributed
