"""One numbered environment: starts its sandbox when needed, runs one invocation at a time, starts anew.

Here lies what Lambda does around the bootstrap: the init phase with its own
time-out and its second chance inside the first invocation, the function's
time-out, the words for a process that died, and the freeze after each answer.

Source: AWS Lambda developer guide, "Understanding the execution environment
lifecycle" and "Python function errors". Error types as the service logs them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from flyball_local.lambdahost.records import InvokeResult, LambdaHostError, error_record
from flyball_local.lambdahost.runtimeapi import Report, ReportKind, Work
from flyball_local.lambdahost.sandbox import Sandbox
from flyball_local.lambdahost.variables import FunctionSettings
from flyball_local.wallclock import WallClock

# The bootstrap asks for its next invocation at once after answering; later than this it is given up.
SETTLE_S = 2.0


class Environment:
    """A place for one process at a time. `invoke` from one thread at a time, `close` from any."""

    def __init__(
        self,
        number: int,
        settings: FunctionSettings,
        clock: WallClock,
        on_log: Callable[[str], object] | None,
    ) -> None:
        self.number = number
        self._settings = settings
        self._clock = clock
        self._on_log = on_log
        self._sandbox: Sandbox | None = None
        self._lock = Lock()
        self._closed = False
        self._lines: list[str] = []

    @property
    def pid(self) -> int | None:
        """Process id, None if no process runs."""
        sandbox = self._sandbox
        return sandbox.pid if sandbox is not None and sandbox.alive else None

    def invoke(self, payload: bytes) -> InvokeResult:
        """Run one invocation and return its answer or error record; nothing a handler does raises here."""
        started_s = self._clock.elapsed_s()
        request_id = str(uuid.uuid4())
        self._lines = []
        if self.pid is None:
            self._discard()
        cold = self._sandbox is None
        failure = self._start(request_id) if cold else None
        if failure is None:
            answer, failed = self._exchange(request_id, payload)
        else:
            answer, failed = failure, True
        self._read_output()
        return InvokeResult(
            answer,
            "Unhandled" if failed else None,
            request_id,
            self.number,
            cold,
            self._clock.elapsed_s() - started_s,
            tuple(self._lines),
        )

    def close(self) -> None:
        """Kill the process; an invocation that is running ends with an exit error."""
        with self._lock:
            self._closed = True
            sandbox = self._sandbox
        if sandbox is not None:
            sandbox.close()

    def _start(self, request_id: str) -> dict[str, Any] | None:
        """Run the init phase; return why it failed, None if the process waits for work."""
        # An init that takes too long is repeated within the invocation, under the function's time-out.
        for limit_s in (self._settings.init_timeout_s, self._settings.timeout_s):
            with self._lock:
                if self._closed:
                    raise LambdaHostError("the host was closed")
                self._sandbox = Sandbox(self._settings, self.number, self._clock)
            report = self._sandbox.hear(self._clock.elapsed_s() + limit_s)
            if report is not None and report.kind is ReportKind.NEXT:
                return None
            record = None if report is None else self._init_failure(report, request_id)
            self._discard()
            if record is not None:
                return record
        return self._timed_out(request_id)

    def _init_failure(self, report: Report, request_id: str) -> dict[str, Any]:
        if report.kind is ReportKind.INIT_ERROR:
            return dict(json.loads(report.body))
        return self._died(request_id)

    def _exchange(self, request_id: str, payload: bytes) -> tuple[Any, bool]:
        """Hand over one invocation; return the payload and whether it failed."""
        sandbox = self._running()
        timeout_s = self._settings.timeout_s
        deadline_ms = int((self._clock.now_s() + timeout_s) * 1000)
        sandbox.hand(Work(request_id, payload, deadline_ms, self._settings.arn))
        until_s = self._clock.elapsed_s() + timeout_s
        while (report := sandbox.hear(until_s)) is not None:
            if report.kind is ReportKind.EXIT:
                record = self._died(request_id)
                self._discard()
                return record, True
            if report.request_id == request_id:
                self._settle(sandbox)
                return json.loads(report.body), report.kind is ReportKind.ERROR
        self._discard()
        return self._timed_out(request_id), True

    def _settle(self, sandbox: Sandbox) -> None:
        """Freeze the process where it waits for work; give it up if it never gets there."""
        report = sandbox.hear(self._clock.elapsed_s() + SETTLE_S)
        if report is not None and report.kind is ReportKind.NEXT:
            sandbox.freeze()
        else:
            self._discard()

    def _running(self) -> Sandbox:
        if self._sandbox is None:
            raise LambdaHostError("no process runs in this environment")
        return self._sandbox

    def _discard(self) -> None:
        self._read_output()
        with self._lock:
            sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def _read_output(self) -> None:
        if self._sandbox is not None:
            self._take(self._sandbox.new_output())

    def _take(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._lines.append(line)
            if self._on_log is not None:
                self._on_log(line)

    def _died(self, request_id: str) -> dict[str, Any]:
        return error_record(
            "Runtime.ExitError",
            f"Runtime exited with error: {self._running().exit_status}",
            request_id,
        )

    def _timed_out(self, request_id: str) -> dict[str, Any]:
        return error_record(
            "Sandbox.Timedout", f"Task timed out after {self._settings.timeout_s:.2f} seconds", request_id
        )
