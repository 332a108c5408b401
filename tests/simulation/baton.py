"""Threads that take turns: exactly one runs, and it stops before every call to the outside world.

The product's code is synchronous, so two rounds can only be interleaved call by
call if each has its own thread. A baton makes that deterministic: whoever has
it runs until its allowance of calls is used up, and then gives it back to the
scheduler, in the same place in every run. Nothing here knows what the threads
do, nor any clock.

A crash is a `CrashError` raised where the thread stands: no effect of a later call
happens. It is a BaseException, as a dying process asks no `except Exception`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class CrashError(BaseException):
    """The process died between two calls."""


class Turn:
    """One job on its way: how many calls it may still make before it must stop, and how it ended."""

    __slots__ = ("_back", "_go", "allowance", "done", "dying", "error", "job")

    def __init__(self, job: Callable[[], object]) -> None:
        self.job = job
        self.allowance = 0
        self.dying = False
        self.done = False
        self.error: BaseException | None = None
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()

    def run(self, before_the_end: Callable[[], object]) -> None:
        """Do the job (in the worker's thread), once it is resumed; `before_the_end` while no other runs."""
        self._go.acquire()
        try:
            if self.dying:
                raise CrashError
            self.job()
        except BaseException as error:
            self.error = error
        self.done = True
        before_the_end()
        self._back.release()

    def gate(self) -> None:
        """Stop here unless another call is allowed (in the worker's thread).

        Raises:
            CrashError: The scheduler let the process die.
        """
        while self.allowance <= 0:
            self._back.release()
            self._go.acquire()
            if self.dying:
                raise CrashError
        self.allowance -= 1

    def resume(self, calls: int) -> None:
        """Let it make `calls` calls; returns when it stands before the next one, or is over."""
        self.allowance = calls
        self._go.release()
        self._back.acquire()

    def crash(self) -> None:
        """Let it die where it stands."""
        if not self.done:
            self.dying = True
            self._go.release()
            self._back.acquire()


class Pool:
    """Threads that are used again: starting one for every round would cost more than the round."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def prepare(self, job: Callable[[], object]) -> Turn:
        """Return the turn of `job`, in a thread of its own; it begins when it is resumed."""
        turn = Turn(job)
        worker = self._idle.pop() if self._idle else _Worker(self._idle)
        worker.take(turn)
        return turn


class _Worker:
    """One thread that waits for turns."""

    def __init__(self, idle: list[_Worker]) -> None:
        self._idle = idle
        self._turn: Turn | None = None
        self._called = threading.Lock()
        self._called.acquire()
        threading.Thread(target=self._work, daemon=True, name="simulated process").start()

    def take(self, turn: Turn) -> None:
        """Give it something to do."""
        self._turn = turn
        self._called.release()

    def _work(self) -> None:
        while True:
            self._called.acquire()
            turn = self._turn
            assert turn is not None
            turn.run(lambda: self._idle.append(self))  # whoever takes it at once waits at `_called`


POOL = Pool()
