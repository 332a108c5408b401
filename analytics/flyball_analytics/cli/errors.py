"""Exit codes, and which failure ends with which.

0 ok · 1 check failed · 2 usage or invalid file · 3 changes pending ·
4 inconclusive · 5 backend error · 70 our own bug · 130 interrupted ·
141 output closed.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import IO, Any

import click

from flyball_analytics.codes import ErrorCode


class ExitCode(IntEnum):
    """What a script may rely on."""

    OK = 0
    CHECK_FAILED = 1
    INVALID = 2
    PENDING = 3
    INCONCLUSIVE = 4
    BACKEND = 5
    BUG = 70  # EX_SOFTWARE of sysexits.h: never the user's fault
    INTERRUPTED = 130  # 128 + SIGINT, as shells say it
    PIPE_CLOSED = 141  # 128 + SIGPIPE: `flyball ... | head` has not failed a check


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Everything was done, or there was nothing to do.",
    ExitCode.CHECK_FAILED: "A check that you asked for failed: a test, a regression, a budget.",
    ExitCode.INVALID: "The command line or a file is wrong; the message says where and what to do.",
    ExitCode.PENDING: "Changes are planned and not applied (plan --exit-code).",
    ExitCode.INCONCLUSIVE: "There is not enough data to answer; more history or traffic is needed.",
    ExitCode.BACKEND: "AWS or another backend failed; try again, or check credentials and limits.",
    ExitCode.BUG: "A defect in flyball. Run again with --debug and report what it prints.",
    ExitCode.INTERRUPTED: "Ctrl-C, or no answer to a question. Files that were written are whole.",
    ExitCode.PIPE_CLOSED: "Who read the output went away before its end, as head does.",
}


class FlyballError(click.ClickException):
    """An error as one paragraph on stderr; each kind has its exit code, and a code to be explained by."""

    exit_code = ExitCode.BUG
    usual = ErrorCode.DEFECT

    def __init__(self, message: str, *, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.code = self.usual if code is None else code

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the paragraph, with the code of what has none of its own."""
        text = self.format_message()
        if not text.endswith("]") or text.rpartition("[")[2].rstrip("]") not in set(ErrorCode):
            text = f"{text} [{self.code}]"
        click.echo(f"flyball: {text}", file=file, err=file is None)


class InvalidError(FlyballError):
    """The command line or a file is wrong: the user can mend it."""

    exit_code = ExitCode.INVALID
    usual = ErrorCode.INVALID


class InconclusiveError(FlyballError):
    """There is not enough data to answer."""

    exit_code = ExitCode.INCONCLUSIVE
    usual = ErrorCode.INCONCLUSIVE


class BackendError(FlyballError):
    """AWS or another backend failed."""

    exit_code = ExitCode.BACKEND
    usual = ErrorCode.BACKEND


class InterruptedRunError(FlyballError):
    """The user stopped the command."""

    exit_code = ExitCode.INTERRUPTED
    usual = ErrorCode.INTERRUPTED

    def __init__(self) -> None:
        super().__init__(
            "interrupted: files that were written are whole; what keeps its progress in a folder "
            "(ingest, replay --resume, sweep and tune --out) goes on with the same command"
        )


def failure_of(error: Exception) -> FlyballError:
    """Return the paragraph for an error: files are the user's, backends fail, the rest is our bug."""
    from flyball_controller.ports import PortError

    code = code_of(error)
    if isinstance(error, PortError):
        again = "; the same call may work later" if error.retryable else ""
        return BackendError(f"{error.backend} failed: {error}{again}")
    if _is_of_the_sdk(error):
        return InvalidError(
            f"AWS cannot be asked from here: {str(error).rstrip('.')}; "
            "name a region (--region or AWS_REGION) and credentials (AWS_PROFILE)"
        )
    if code is ErrorCode.DEFECT:
        return FlyballError(
            f"internal error, {type(error).__name__}: {error}; this is a defect in flyball: "
            "run again with `flyball --debug ...` and report what it prints",
        )
    if isinstance(error, OSError):
        # What has no name was open already: the output that was redirected, or a file being written.
        name = error.filename or "the output, or a file of this command, cannot be written"
        return InvalidError(f"{name}: {error.strerror or error}", code=code)
    return InvalidError(error.coded() if _is_map_error(error) else str(error), code=code)  # type: ignore[attr-defined]


def _is_of_the_sdk(error: Exception) -> bool:
    """Return whether no client could be made: what fails in a call is a PortError by then."""
    exceptions = sys.modules.get("botocore.exceptions")
    return exceptions is not None and isinstance(error, exceptions.BotoCoreError)


def code_of(error: Exception) -> ErrorCode:
    """Return the code of an error that a command did not catch; what is no known error is our defect."""
    # Imported here: this runs once, at the end, and the frame must stay light.
    from flyball_analytics.labels import LabelsError
    from flyball_analytics.moments import MomentError
    from flyball_analytics.problems import MissingPackageError, SeriesError
    from flyball_analytics.scenarios.node import ScenarioError
    from flyball_controller.core.errors import CheckpointError, PolicyError
    from flyball_controller.ports import PortError

    if isinstance(error, PolicyError):
        return ErrorCode(error.code)
    if _is_map_error(error):
        return ErrorCode.INVALID  # each of its lines has a code
    kinds: tuple[tuple[type[Exception], ErrorCode], ...] = (
        (MissingPackageError, ErrorCode.MISSING_PACKAGE),  # before its parent
        (SeriesError, ErrorCode.HISTORY),
        (LabelsError, ErrorCode.LABELS),
        (MomentError, ErrorCode.MOMENT),
        (CheckpointError, ErrorCode.CHECKPOINT),
        (ScenarioError, ErrorCode.SCENARIO),
        (PortError, ErrorCode.BACKEND),
        (OSError, ErrorCode.FILE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), ErrorCode.DEFECT)


def _is_map_error(error: Exception) -> bool:
    """Return whether an integration map is wrong; its module (and pydantic) is not imported to ask."""
    module = sys.modules.get("flyball_analytics.integrations_file")
    return module is not None and isinstance(error, module.IntegrationsError)
