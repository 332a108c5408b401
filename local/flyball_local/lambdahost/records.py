"""What crosses between the Lambda host and its callers, and the error forms Lambda uses."""

from __future__ import annotations

from typing import Any, NamedTuple


class LambdaHostError(RuntimeError):
    """The host itself cannot work (no bootstrap installed, environment closed): not a handler's failure."""


class InvokeResult(NamedTuple):
    """One invocation. `payload` is the handler's JSON answer, or Lambda's error record if `error` is set.

    `cold` says whether an environment had to start for it, `duration_s` covers
    the start; `logs` are the lines written during start and invocation.
    """

    payload: Any
    error: str | None  # "Unhandled", as in the X-Amz-Function-Error header
    request_id: str
    environment: int
    cold: bool
    duration_s: float
    logs: tuple[str, ...]


def error_record(error_type: str, message: str, request_id: str) -> dict[str, Any]:
    """Return Lambda's error payload for failures the runtime could not report itself."""
    return {"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {message}"}
