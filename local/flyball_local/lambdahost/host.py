"""The host: keeps up to E environments of one function and invokes them as Lambda's front end would.

Each environment is a real process with its own module state, caches and
connections; concurrency above E is throttled. The init phase, time-outs,
crashes and handler errors come back as Lambda's error records, never as
exceptions: to a caller of Lambda they are results.

Time is real here (another process cannot share a virtual clock); handlers take
the time they decide on from their events.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from threading import Lock
from types import TracebackType
from typing import Self

from flyball_local.functions import ThrottledError
from flyball_local.lambdahost.environment import Environment
from flyball_local.lambdahost.records import InvokeResult, LambdaHostError
from flyball_local.lambdahost.variables import FunctionSettings, check_settings
from flyball_local.wallclock import WallClock

BOOTSTRAP = "awslambdaric"


class LambdaHost:
    """Environments of one function. A context manager: processes and ports end with it.

    >>> with LambdaHost(FunctionSettings("app.handler"), environments=2) as host:
    ...     host.pids()
    {}
    """

    def __init__(
        self,
        settings: FunctionSettings,
        *,
        environments: int = 1,
        on_log: Callable[[str], object] | None = None,
        clock: WallClock | None = None,
    ) -> None:
        """Prepare a function; its first process starts with the first invocation.

        Args:
            settings: The function.
            environments: Most concurrent environments, at least 1.
            on_log: Called with every line the handler writes (metrics in embedded format come this way).
            clock: Real time, for deadlines.

        Raises:
            ValueError: If a setting is out of range.
            LambdaHostError: If the Lambda bootstrap is not installed.
        """
        check_settings(settings)
        if environments < 1:
            raise ValueError(f"environments={environments} must be at least 1")
        if find_spec(BOOTSTRAP) is None:
            raise LambdaHostError(f"the Lambda bootstrap is missing: install flyball[local] ({BOOTSTRAP})")
        self._settings = settings
        self._environments = [
            Environment(number, settings, clock or WallClock(), on_log) for number in range(environments)
        ]
        self._idle = self._environments[::-1]  # a stack: the environment used last is used first
        self._lock = Lock()
        self._closed = False
        self._finalizer = weakref.finalize(self, _close_all, self._environments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill all processes and free all ports. May be called again, and happens by itself at exit."""
        with self._lock:
            self._closed = True
        self._finalizer()

    def pids(self) -> dict[int, int]:
        """Return the process id of each environment that has a process."""
        return {one.number: one.pid for one in self._environments if one.pid is not None}

    def invoke(self, event: object, *, environment: int | None = None) -> InvokeResult:
        """Invoke the function with an event and return its answer or error record.

        Args:
            event: Anything JSON can carry.
            environment: Number of the environment to use; None: the one used last among the idle ones.

        Raises:
            ThrottledError: If no environment, or not the wished one, is idle.
            LambdaHostError: If the host is closed.
        """
        payload = json.dumps(event).encode()
        claimed = self._claim(environment)
        try:
            return claimed.invoke(payload)
        finally:
            with self._lock:
                self._idle.append(claimed)

    def _claim(self, number: int | None) -> Environment:
        with self._lock:
            if self._closed:
                raise LambdaHostError("the host is closed")
            for environment in reversed(self._idle):
                if number is None or environment.number == number:
                    self._idle.remove(environment)
                    return environment
        raise ThrottledError(f"{self._settings.name}: no idle environment (429)")


def _close_all(environments: list[Environment]) -> None:
    for environment in environments:
        environment.close()
