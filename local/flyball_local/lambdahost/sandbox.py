"""One execution environment: a process that runs the real bootstrap, stopped whenever it has nothing to do.

Lambda freezes an environment once the runtime asks for its next invocation:
timers stand still, background threads do not run, connections grow old. Here
the same moment is marked by SIGSTOP, and SIGCONT precedes the next invocation.

The process leads a group of its own, so that what it starts dies with it. It
stays in our session on purpose: if we die without a word, the kernel finds an
orphaned group with stopped members and sends it SIGHUP and SIGCONT (POSIX
"exit"), so not even a killed test run leaves a frozen process behind.

Its output goes to an unnamed file, not to a pipe: it can never block on a
reader, and after `next` everything written is there to be read.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from queue import Empty
from threading import Thread

from flyball_local.lambdahost.runtimeapi import Report, ReportKind, RuntimeApi, Work
from flyball_local.lambdahost.variables import FunctionSettings, process_variables
from flyball_local.wallclock import WallClock


class Sandbox:
    """A running process with its Runtime API. Use it from one thread at a time; `close` from any."""

    def __init__(self, settings: FunctionSettings, environment: int, clock: WallClock) -> None:
        """Start the process; `wait_ready` tells when its init phase is over."""
        self._clock = clock
        self._api = RuntimeApi()
        self._api.open()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._read_to = 0
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, fixed arguments
                [sys.executable, "-m", "awslambdaric", settings.handler],
                env=process_variables(settings, self._api.address, environment),
                cwd=settings.task_root,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except BaseException:
            self._api.close()
            self._output.close()
            raise
        self._watch = Thread(target=self._await_exit, name=f"sandbox-{self._process.pid}", daemon=True)
        self._watch.start()

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        return self._process.poll() is None

    @property
    def exit_status(self) -> str:
        """How it ended, in Lambda's words, e.g. "exit status 1"."""
        code = self._process.returncode
        return (
            f"signal: {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"exit status {code}"
        )

    def hear(self, until_s: float) -> Report | None:
        """Return the next thing the process says, or that it ended; None at `until_s` (elapsed clock)."""
        try:
            return self._api.reports.get(timeout=max(0.0, until_s - self._clock.elapsed_s()))
        except Empty:
            return None

    def hand(self, work: Work) -> None:
        """Thaw the process and give it an invocation."""
        self._signal(signal.SIGCONT)
        self._api.hand(work)

    def freeze(self) -> None:
        """Stop the process where it waits for its next invocation."""
        self._signal(signal.SIGSTOP)

    def new_output(self) -> tuple[str, ...]:
        """Return the lines written since the last call."""
        if self._output.closed:
            return ()
        size = os.fstat(self._output.fileno()).st_size
        data = os.pread(self._output.fileno(), size - self._read_to, self._read_to)
        self._read_to += len(data)
        return tuple(data.decode(errors="replace").splitlines())

    def close(self) -> None:
        """Kill the whole group, wait for the process, free the port and the file. May be called again."""
        self._signal(signal.SIGKILL)
        self._watch.join()
        self._api.close()
        self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _await_exit(self) -> None:
        self._process.wait()
        self._api.reports.put(Report(ReportKind.EXIT))
