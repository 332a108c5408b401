"""Real processes, really killed: nothing that was done is lost, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flyball_analytics.executors.dask import DaskExecutor
from flyball_analytics.executors.processes import ProcessExecutor
from flyball_analytics.sweep import Search, candidates_at, drive
from flyball_analytics.sweep_store import Store
from flyball_controller.policy_set import load_preset
from sweep_runs import csv_text, history, labels, labels_text

POINTS = [{"open_floor": round(0.2 + n / 100, 2)} for n in range(24)]
PATIENCE = 12_000  # looks, ten milliseconds apart


def wait_until(reached) -> None:
    """Look until something is so."""
    for _ in range(PATIENCE):
        if reached():
            return
        time.sleep(0.01)
    pytest.fail("it never came to that")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def running(pid: int) -> bool:
    """Return whether a process is there and no corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_a_run_that_is_killed_goes_on_where_it_was_and_leaves_no_process(tmp_path):
    """SIGKILL in the middle of the shards, with two workers; then the same command again."""
    (tmp_path / "pay.csv").write_text(csv_text(history(minutes=400)))
    (tmp_path / "labels.json").write_text(labels_text("pay.csv", labels()))
    floors = ",".join(str(point["open_floor"]) for point in POINTS)
    command = [
        sys.executable, "-c", "from flyball_analytics.cli import main; main()", "sweep", "pay.csv",
        "--policy", "fixed", "--labels", "labels.json", "--grid", f"open_floor={floors}",
        "--executor", "processes:2", "--batch", "1", "--format", "json", "--holdout", "none", "--out",
    ]  # fmt: skip
    here = ["inline" if word == "processes:2" else word for word in command]
    whole = subprocess.run([*here, "whole"], cwd=tmp_path, capture_output=True, check=True)
    results = tmp_path / "killed" / "results"
    with subprocess.Popen(
        [*command, "killed"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        wait_until(lambda: results.is_dir() and any(results.glob("*.json")))
        workers = children(first.pid)
        first.send_signal(signal.SIGKILL)
    assert len(workers) >= 2
    wait_until(lambda: not any(running(pid) for pid in workers))
    done = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 0 < len(done) < len(POINTS)
    again = subprocess.run([*command, "killed"], cwd=tmp_path, capture_output=True, check=True)
    assert again.stdout == whole.stdout
    assert {name: (results / name).stat().st_mtime_ns for name in done} == done
    assert not list(results.glob(".*"))  # no half-written file is left


def test_workers_that_are_killed_from_outside_cost_an_attempt_and_no_result(tmp_path):
    """E.g. by the system, which is out of memory: the shard is run again by a new worker."""
    search = Search(Store(tmp_path), batch=1)
    search.add_history(history(minutes=300), labels())
    candidates, _ = candidates_at(load_preset("fixed"), iter(POINTS[:6]))
    keys = search.add_candidates(candidates)
    errors: dict[str, str] = {}
    killed = []
    with ProcessExecutor(2) as executor:
        for number, _ in enumerate(drive(keys, search.store, executor, now_s=lambda: 0.0, errors=errors)):
            if number < 2:
                busy = next(m.process for m in executor._members.values() if m.key)
                killed.append(busy.pid)
                os.kill(busy.pid, signal.SIGKILL)
    assert errors == {}
    assert len(set(killed)) == 2
    assert all(search.store.has_result(key) for key in keys)
    assert search.measured().dropped == ()


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_loses_nothing(tmp_path):
    """A cluster of two processes, one of which is killed after the first result."""
    search = Search(Store(tmp_path), batch=1)
    search.add_history(history(minutes=300), labels())
    candidates, _ = candidates_at(load_preset("fixed"), iter(POINTS[:10]))
    keys = search.add_candidates(candidates)
    errors: dict[str, str] = {}
    with DaskExecutor.local(2) as executor:
        for number, _ in enumerate(drive(keys, search.store, executor, now_s=lambda: 0.0, errors=errors)):
            if number == 0:
                pids = executor._client.run(os.getpid)
                os.kill(next(iter(pids.values())), signal.SIGKILL)
    assert errors == {}
    assert all(search.store.has_result(key) for key in keys)
