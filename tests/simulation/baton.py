"""Jobs that take turns: exactly one runs, and it stops before every call to the outside world.

The product's code is synchronous, so two rounds can only be interleaved call by
call if each has a stack of its own. Here each has a greenlet: it runs until its
allowance of calls is used up, and then gives back to the scheduler, in the same
place in every run. All of it is one thread, so no lock of the product may be held
across a call to the outside world; none is. Nothing here knows what the jobs do,
nor any clock.

A crash is a `CrashError` raised where the job stands: no effect of a later call
happens. It is a BaseException, as a dying process asks no `except Exception`.
"""

from __future__ import annotations

from collections.abc import Callable

from greenlet import greenlet


class CrashError(BaseException):
    """The process died between two calls."""


class Turn:
    """One job on its way: how many calls it may still make before it must stop, and how it ended."""

    __slots__ = ("_stack", "allowance", "done", "error", "job")

    def __init__(self, job: Callable[[], object]) -> None:
        self.job = job
        self.allowance = 0
        self.done = False
        self.error: BaseException | None = None
        self._stack = greenlet(self._run)

    def _run(self, crash: BaseException | None) -> None:
        try:
            if crash is not None:
                raise crash
            self.job()
        except BaseException as error:
            self.error = error
        self.done = True

    def gate(self) -> None:
        """Stop here unless another call is allowed (in the job).

        Raises:
            CrashError: The scheduler let the process die.
        """
        while self.allowance <= 0:
            parent = self._stack.parent
            assert parent is not None
            crash = parent.switch()
            if crash is not None:
                raise crash
        self.allowance -= 1

    def resume(self, calls: int) -> None:
        """Let it make `calls` calls; returns when it stands before the next one, or is over."""
        self.allowance = calls
        self._stack.switch(None)

    def crash(self) -> None:
        """Let it die where it stands."""
        if not self.done:
            self._stack.switch(CrashError())
