"""Whoever runs the shards, the bytes are the same; and what kills a worker kills nothing else."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from flyball_analytics.executors import Done, ExecutorError, Task, new_executor, perform
from flyball_analytics.executors.dask import DaskExecutor
from flyball_analytics.executors.processes import ProcessExecutor, _work
from flyball_analytics.shards import Kind, Shard, fields_of, run_shard, shard_key
from flyball_analytics.shards_input import Packed, pack_series
from flyball_analytics.sweep_store import Store
from flyball_controller.core.policy import Policy
from sweep_runs import history, labels

FLOORS = (0.3, 0.4, 0.5, 0.6, 0.7)


class Deadly(str):
    """A text that ends the process in which it is unpickled, as a crash in compiled code would."""

    __slots__ = ()

    def __reduce__(self):
        return os._exit, (9,)


@pytest.fixture(scope="module")
def packed_pay() -> Packed:
    """A small history."""
    return pack_series(history(minutes=130))


@pytest.fixture
def tasks(tmp_path: Path, packed_pay: Packed) -> list[Task]:
    """Five shards in a folder."""
    store = Store(tmp_path)
    store.add_input(packed_pay)
    found = []
    for floor in FLOORS:
        fields = (fields_of(Policy(open_floor=floor)),)
        data = Shard(Kind.HISTORY, packed_pay.digest, "pay", fields, labels()).encode()
        found.append(Task(store.add_shard(data), data, str(tmp_path)))
    return found


def results(executor, tasks) -> dict[str, bytes | None]:
    """Return the results of tasks by key."""
    with executor:
        return {done.key: done.result for done in executor.run(tasks)}


@pytest.mark.parametrize("workers", [3])
def test_processes_give_the_bytes_of_this_process(tasks, workers):
    """More workers than shards included; the order does not matter, the bytes do."""
    inline = results(new_executor("inline"), tasks)
    assert len(inline) == len(FLOORS)
    assert None not in inline.values()
    assert results(new_executor(f"processes:{workers}"), tasks) == inline


def test_a_dask_cluster_gives_the_bytes_of_this_process(tasks):
    """The cluster lives in this process, for speed; test_kill.py has one of real processes."""
    inline = results(new_executor("inline"), tasks)
    assert results(DaskExecutor.local(2, processes=False), tasks) == inline


def test_a_running_cluster_is_reached_by_its_address_and_is_sent_the_inputs(tasks, packed_pay):
    """Its workers may not see this machine's files: the folder of these tasks does not exist."""
    import distributed

    inline = results(new_executor("inline"), tasks)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp"
    ) as cluster:
        executor = new_executor(cluster.scheduler_address)
        assert executor.ships
        sent = [task._replace(folder="/nowhere", content=packed_pay.data) for task in tasks]
        assert results(executor, sent) == inline


def test_a_dask_shard_that_fails_is_an_error_and_the_others_are_done(tasks):
    """Its own retries are not used: ours are the same for all executors."""
    broken = tasks[0]._replace(shard=b"no shard")
    with DaskExecutor.local(1, processes=False) as executor:
        done = {one.key: one for one in executor.run([broken, *tasks[1:]])}
    assert done[broken.key].result is None
    assert done[broken.key].error.startswith("ShardError: is no shard")
    assert sum(one.result is not None for one in done.values()) == len(tasks) - 1


@pytest.mark.parametrize("text", ["inline", "processes:1"])
def test_a_shard_that_fails_is_an_error_and_the_others_are_done(tasks, text):
    """A poison shard is listed, not fatal."""
    broken = tasks[2]._replace(shard=b"no shard")
    with new_executor(text) as executor:
        done = {one.key: one for one in executor.run([*tasks[:2], broken, *tasks[3:]])}
    assert done[broken.key].error.startswith("ShardError: is no shard")
    assert sum(one.result is not None for one in done.values()) == len(tasks) - 1


def test_a_worker_that_dies_is_replaced_and_charges_its_own_shard_alone(tasks):
    """With one worker, everything after the deadly shard is run by its successor."""
    deadly = tasks[1]._replace(folder=Deadly())
    with ProcessExecutor(1) as executor:
        done = list(executor.run([tasks[0], deadly, *tasks[2:]]))
    assert [one.key for one in done] == [task.key for task in tasks]
    assert done[1] == Done(deadly.key, None, "WorkerDied: its worker process ended with code 9")
    assert all(
        one.result == perform(task).result for one, task in zip(done, tasks, strict=True) if one.result
    )
    assert sum(one.result is None for one in done) == 1


def test_every_worker_may_die_and_the_rest_is_still_done(tasks):
    """Two workers, two deadly shards at once: both are replaced."""
    deadly = [task._replace(folder=Deadly()) for task in tasks[:2]]
    with ProcessExecutor(2) as executor:
        done = {one.key: one for one in executor.run([*deadly, *tasks[2:]])}
    assert sorted(key for key, one in done.items() if one.result is None) == sorted(t.key for t in deadly)
    assert len(done) == len(tasks)


def test_an_executor_can_be_run_again(tasks):
    """A second round, for what failed in the first, meets idle workers."""
    with ProcessExecutor(2) as executor:
        first = {done.key: done.result for done in executor.run(tasks)}
        again = {done.key: done.result for done in executor.run(tasks[:1])}
    assert again[tasks[0].key] == first[tasks[0].key]


@pytest.mark.parametrize("text", ["inline", "processes:2"])
def test_tasks_are_drawn_no_faster_than_they_are_run(tasks, text):
    """Inputs that are carried with their tasks must not pile up in memory."""
    drawn = 0

    def counted() -> Iterator[Task]:
        nonlocal drawn
        for task in tasks:
            drawn += 1
            yield task

    with new_executor(text) as executor:
        for settled, _ in enumerate(executor.run(counted()), start=1):
            assert drawn <= settled + 2  # at most one per worker is under way


def test_a_run_that_is_given_up_leaves_nothing_to_the_next(tasks):
    """A result of the first would be taken for one of the second."""
    with ProcessExecutor(2) as executor:
        given_up = executor.run(tasks[:4])
        next(given_up)
        given_up.close()
        assert [done.key for done in executor.run(tasks[4:])] == [tasks[4].key]


def test_leaving_the_block_ends_the_workers(tasks):
    """Also in the middle of the work, e.g. at a key press."""
    executor = ProcessExecutor(2)
    with executor:
        running = executor.run(tasks)
        next(running)
        processes = [member.process for member in executor._members.values()]
        assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proceses", "did you mean 'processes'?"),
        ("processes:0", "N must be 1 to 1024"),
        ("processes:many", "N must be 1 to 1024"),
        ("inline:2", "inline has none"),
        ("ray", "known are inline, processes[:N], dask[:N]"),
    ],
)
def test_an_executor_that_does_not_exist_is_named_with_those_that_do(text, said):
    """Before anything is read."""
    with pytest.raises(ExecutorError) as caught:
        new_executor(text)
    assert said in str(caught.value)
    assert not caught.value.lost


def test_a_scheduler_that_does_not_answer_is_a_lost_backend(monkeypatch):
    """Port 9 of this machine discards, where anything listens there at all."""
    monkeypatch.setattr("flyball_analytics.executors.dask.CONNECT_S", 0.2)
    with pytest.raises(ExecutorError) as caught:
        new_executor("tcp://127.0.0.1:9")
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in str(caught.value)
    assert caught.value.lost


def test_without_dask_the_extra_is_named(monkeypatch):
    """The other executors need nothing."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExecutorError, match=r"flyball\[cluster\]"):
        new_executor("dask:2")


def test_a_cluster_that_is_lost_in_the_middle_is_no_fault_of_a_shard(tasks):
    """Its shards are not poison: the run ends, what is done is kept, and the next run goes on."""
    executor = DaskExecutor.local(1, processes=False)
    with executor:
        cancelled = SimpleNamespace(key=f"shard-{tasks[0].key}-0", status="cancelled")
        with pytest.raises(ExecutorError, match="what is done is kept") as caught:
            executor._done(cancelled)
    assert caught.value.lost


def test_a_shard_that_dask_gives_up_is_an_error(tasks):
    """After it has taken several workers with it, Dask raises in its place."""
    with DaskExecutor.local(1, processes=False) as executor:
        future = executor._client.submit(divmod, 1, 0, key=f"shard-{tasks[0].key}-x", pure=False)
        future.exception()
        assert executor._done(future).error.startswith("ZeroDivisionError")


def test_a_worker_ends_when_its_pipe_is_closed(tasks):
    """A parent that is gone needs no further signal; here the worker's loop runs in this process."""
    ours, theirs = multiprocessing.Pipe()
    ours.send(tasks[0])
    ours.close()
    _work(theirs)
    assert theirs.closed is False


def test_no_workers_are_a_mistake_of_the_caller():
    """Zero workers would wait for ever."""
    with pytest.raises(ValueError, match="workers=0"):
        ProcessExecutor(0)


def test_a_task_reads_its_input_from_the_folder_or_carries_it(tasks, packed_pay):
    """Both ways lead to the same bytes."""
    one = tasks[0]
    carried = one._replace(folder="/nowhere", content=packed_pay.data)
    assert perform(one).result == perform(carried).result == run_shard(one.shard, packed_pay.data)
    missing = perform(one._replace(folder="/nowhere"))
    assert missing.error.startswith("FileNotFoundError")
    assert shard_key(one.shard) == one.key
