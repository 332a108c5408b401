"""The Lambda host leaves nothing behind: no process, no child, no port, however it ends.

Fidelity: emulator around AWS's own runtime interface client.
"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import flyball_local
from flyball_local.lambdahost import FunctionSettings, LambdaHost, LambdaHostError
from unit.local.processes import eventually, runs, state


def test_close_kills_frozen_processes_with_their_children_and_frees_the_ports(hosts: Any):
    """A test run must leave no stopped process and no listening port."""
    host = hosts("leave_child")
    child = host.invoke({}).payload
    pid = host.pids()[0]
    port = host._environments[0]._sandbox._api._server.port
    assert runs(pid)
    assert runs(child)
    host.close()
    host.close()
    assert eventually(lambda: not runs(pid) and not runs(child))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    with pytest.raises(LambdaHostError, match="closed"):
        host.invoke({})


def test_a_host_nobody_keeps_ends_its_processes(root: Path):
    """A fixture that forgot to close leaks until collection, not until the run ends."""
    pid = LambdaHost(FunctionSettings("app.echo", task_root=root)).invoke({}).payload["pid"]
    gc.collect()
    assert eventually(lambda: not runs(pid))


def test_closing_ends_a_running_invocation_with_an_exit_error(hosts: Any):
    """A caller in another thread gets a result, not a hang."""
    host = hosts("hang")
    host.invoke(0)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(host.invoke(30)))
    thread.start()
    assert eventually(lambda: not host._idle)
    time.sleep(0.05)
    host.close()
    thread.join(timeout=5)
    assert results[0].payload["errorType"] == "Runtime.ExitError"


FORGETFUL = """
import sys
from pathlib import Path
from flyball_local.lambdahost import FunctionSettings, LambdaHost
host = LambdaHost(FunctionSettings("app.echo", task_root=Path(sys.argv[1])))
print(host.invoke(1).payload["pid"], flush=True)
if sys.argv[2] == "raise":
    raise SystemExit("a test failed")
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["raise", "kill"])
def test_a_parent_that_fails_or_is_killed_leaves_no_process(root: Path, end: str):
    """Whoever forgets to close, or is shot, must not leave frozen processes on the machine."""
    source_roots = [str(Path(flyball_local.__file__).parents[1]), *sys.path]
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FORGETFUL), str(root), end],
        env={"PYTHONPATH": os.pathsep.join(p for p in source_roots if p), "PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if end == "kill":
            assert eventually(lambda: state(pid) == "T")
            parent.kill()
        parent.wait(timeout=10)
        assert eventually(lambda: not runs(pid))
    finally:
        parent.kill()
        parent.communicate()
