"""Two retry loops around one request multiply: 4 attempts of ours over 5 of the SDK are 20 requests.

botocore says in its answers how often it has repeated the request. If ours may
repeat it as well, that is told: once per target by a warning that points at the
line that made the request, and each time by an event. Loaded with the first
error that looks like botocore's, or with the first guard around a function that
a retry library has decorated already, which is told when it is decorated.

Source: botocore, ResponseMetadata.RetryAttempts; SRE book, "Addressing Cascading
Failures" (retry at one layer only).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType

from flyball.environment import Runtime
from flyball.errors import FlyballWarning
from flyball.wrap import Plan


def sdk_retries(error: BaseException) -> int:
    """Return how often the SDK had repeated the request behind `error`; 0 = not, or not known."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    retries = metadata.get("RetryAttempts") if isinstance(metadata, Mapping) else None
    return retries if isinstance(retries, int) and not isinstance(retries, bool) and retries > 0 else 0


def notice_decorated(shared: Runtime, target: str, function: object, library: str) -> None:
    """Tell that a guard that may repeat its function was put around the retry loop of `library`."""
    if (library != "flyball" or _repeats(function)) and shared.warn_once("decorated", target):
        name = getattr(function, "__qualname__", repr(function))
        _warn(
            f"{name} is repeated by {library} already, and a guard of {target!r} that may repeat it was put "
            "around: every outage meets a multiple of the requests. Take one of them away, or declare "
            "idempotent=False here",
            None,
        )


def _repeats(function: object) -> bool:
    """Whether a function of ours repeats what it decorates; a guard need not."""
    for plan in captured_by(function):
        if isinstance(plan, Plan):
            return plan.idempotent or plan.key is not None
    return True


def captured_by(function: object) -> Iterator[object]:
    """Yield what a function holds in its closure, and those it wraps; a guarded one holds its plan."""
    while function is not None:
        for cell in getattr(function, "__closure__", None) or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not filled yet
                continue
        function = getattr(function, "__wrapped__", None)


def notice(shared: Runtime, target: str, error: BaseException) -> None:
    """Tell of stacked retries if there are any behind `error`, an error of a call that may be repeated."""
    retries = sdk_retries(error)
    if not retries:
        return
    if shared.hooks is not None:
        from flyball.hooks import StackedRetries

        shared.hooks.emit(StackedRetries(target, retries))
    if shared.warn_once("stacked", target):
        _warn(
            f"the SDK repeated a request to {target!r} {retries} times within one attempt, and flyball "
            "repeats attempts: every outage meets a multiple of the requests. Leave it to one of them: "
            'Config(retries={"total_max_attempts": 1}) for the client, or idempotent=False for the target',
            error.__traceback__,
        )


def _warn(message: str, traceback: TracebackType | None) -> None:
    """Warn where the user's function made the request: at the first line of the traceback that is not ours.

    An error that was never raised has none: then where it was reported.
    """
    from warnings import warn_explicit

    while traceback is not None and _is_ours(traceback.tb_frame):
        traceback = traceback.tb_next
    if traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno
    else:
        frame = sys._getframe()
        while frame.f_back is not None and _is_ours(frame):
            frame = frame.f_back
        line = frame.f_lineno
    warn_explicit(
        message,
        FlyballWarning,
        filename=frame.f_code.co_filename,
        lineno=line,
        module=_module(frame),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_ours(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] == "flyball"
