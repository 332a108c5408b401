"""The Lambda Runtime API for one process: hands it invocations and hears what became of them.

The process asks for `invocation/next` and is kept waiting until there is one;
it answers with `response` or `error`, or reports `init/error`. Everything it
says becomes a `Report` in a queue that the sandbox reads; what it is told is
put in another. One API per process: a new process must never meet the waiting
request of its dead predecessor.

Source: AWS Lambda developer guide, "Using the Lambda runtime API" (2018-06-01).
"""

from __future__ import annotations

import re
from enum import Enum
from queue import SimpleQueue
from typing import NamedTuple

from flyball_local.loopback import HOST, HttpReply, HttpRequest, LoopbackServer

PREFIX = "/2018-06-01/runtime"
OUTCOME = re.compile(rf"{PREFIX}/invocation/([^/]+)/(response|error)")
ACCEPTED = HttpReply(202, b'{"status":"OK"}', {"Content-Type": "application/json"})


class Work(NamedTuple):
    """One invocation for the process."""

    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str


class ReportKind(Enum):
    """What a process says, or what is said of it."""

    NEXT = "next"
    RESPONSE = "response"
    ERROR = "error"
    INIT_ERROR = "init_error"
    EXIT = "exit"


class Report(NamedTuple):
    """One message; `body` is JSON text, `request_id` is empty where no invocation is meant."""

    kind: ReportKind
    request_id: str = ""
    body: bytes = b""


class RuntimeApi:
    """Serves one process on loopback."""

    def __init__(self) -> None:
        self.reports: SimpleQueue[Report] = SimpleQueue()
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._server = LoopbackServer(self._respond)

    @property
    def address(self) -> str:
        """Value for AWS_LAMBDA_RUNTIME_API."""
        return f"{HOST}:{self._server.port}"

    def open(self) -> None:
        """Start listening."""
        self._server.__enter__()

    def hand(self, work: Work) -> None:
        """Answer the waiting `next` with this invocation."""
        self._work.put(work)

    def close(self) -> None:
        """Release the waiting request, if any, and stop listening."""
        self._work.put(None)
        self._server.close()

    def _respond(self, request: HttpRequest) -> HttpReply | None:
        if request.method == "GET" and request.path == f"{PREFIX}/invocation/next":
            return self._next()
        if request.method == "POST":
            if request.path == f"{PREFIX}/init/error":
                self.reports.put(Report(ReportKind.INIT_ERROR, "", request.body))
                return ACCEPTED
            outcome = OUTCOME.fullmatch(request.path)
            if outcome is not None:
                self.reports.put(Report(ReportKind(outcome[2]), outcome[1], request.body))
                return ACCEPTED
        return HttpReply(404, b'{"errorMessage":"not part of the emulated runtime API"}')

    def _next(self) -> HttpReply | None:
        self.reports.put(Report(ReportKind.NEXT))
        work = self._work.get()
        if work is None:
            return None
        return HttpReply(
            200,
            work.payload,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": work.request_id,
                "Lambda-Runtime-Deadline-Ms": str(work.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": work.function_arn,
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
            },
        )
