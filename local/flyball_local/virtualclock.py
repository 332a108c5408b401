"""A clock that moves only when told to, shared by every emulator and the demo.

All parts of one simulated world hold the same VirtualClock, so that an alarm
period, a deployment step and a client's poll happen in one order, which is the
same in every run. Nothing here sleeps, and nothing here reads the machine's
time.

Theory: a discrete-event queue. Callbacks run in order of time and, at one
time, in order of scheduling; while one runs, `now_s()` is exactly the time it
was scheduled for. A callback may schedule others, also for the same instant,
and may itself sleep: the world has one time line, so everybody's clock moves.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable


class ClockError(ValueError):
    """Time was asked to go back or to become no number; `value_s` is what was asked."""

    def __init__(self, message: str, *, value_s: float) -> None:
        super().__init__(message)
        self.value_s = value_s


class Call:
    """A scheduled callback: `at_s` (epoch seconds), and whether it is still to come."""

    __slots__ = ("_fn", "at_s")

    def __init__(self, at_s: float, fn: Callable[[], object]) -> None:
        self.at_s = at_s
        self._fn: Callable[[], object] | None = fn

    @property
    def pending(self) -> bool:
        """True until the callback has run or was cancelled."""
        return self._fn is not None

    def cancel(self) -> None:
        """Forget the callback; cancelling twice, or after it ran, does nothing."""
        self._fn = None

    def run(self) -> None:
        """Run the callback if it is still pending; it will not run again, also if it raises."""
        fn, self._fn = self._fn, None
        if fn is not None:
            fn()


class VirtualClock:
    """Epoch seconds that rise only through `advance`, `advance_to` and `sleep`.

    Safe to read and to schedule on from other threads (servers do); the clock's
    lock is never held while a callback runs, so callbacks may take locks.

    Args:
        start_s: First time shown, epoch seconds, finite.

    >>> clock = VirtualClock(100.0)
    >>> _ = clock.call_at(102.0, lambda: print("at", clock.now_s()))
    >>> clock.advance(5.0)
    at 102.0
    >>> clock.now_s()
    105.0
    """

    def __init__(self, start_s: float) -> None:
        self._now_s = _finite("start_s", start_s)
        self._heap: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def now_s(self) -> float:
        """Return the present time, epoch seconds."""
        return self._now_s

    def call_at(self, at_s: float, fn: Callable[[], object]) -> Call:
        """Schedule `fn` for `at_s` (epoch seconds) and return a handle that can cancel it.

        A time already past is not an error: the callback is overdue and runs at
        the next advance, at the then present time (time never goes back).
        """
        call = Call(_finite("at_s", at_s), fn)
        with self._lock:
            heapq.heappush(self._heap, (at_s, next(self._order), call))
        return call

    def next_call_s(self) -> float | None:
        """Return the time of the earliest pending callback, None if there is none."""
        with self._lock:
            self._drop_cancelled()
            return self._heap[0][0] if self._heap else None

    def advance(self, dt_s: float) -> None:
        """Move time on by `dt_s` seconds (>= 0) and run what falls due, in order.

        Raises:
            ClockError: If `dt_s` is negative or not finite.
            Whatever a callback raises: time then stands at that callback, the
            later ones stay scheduled.
        """
        if _finite("dt_s", dt_s) < 0.0:
            raise ClockError(f"dt_s={dt_s!r} is negative: virtual time never goes back", value_s=dt_s)
        self.advance_to(self._now_s + dt_s)

    def advance_to(self, at_s: float) -> None:
        """Move time to `at_s` (epoch seconds, not before now) and run what falls due, in order."""
        if _finite("at_s", at_s) < self._now_s:
            raise ClockError(
                f"at_s={at_s!r} lies before now={self._now_s!r}: virtual time never goes back", value_s=at_s
            )
        while (call := self._take_due(at_s)) is not None:
            call.run()
        # A callback that slept may already have carried time further.
        self._now_s = max(self._now_s, at_s)

    sleep = advance  # the name adapters expect; nobody waits

    def _take_due(self, until_s: float) -> Call | None:
        with self._lock:
            self._drop_cancelled()
            if not self._heap or self._heap[0][0] > until_s:
                return None
            due_s, _, call = heapq.heappop(self._heap)
            self._now_s = max(self._now_s, due_s)
            return call

    def _drop_cancelled(self) -> None:
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)


def _finite(name: str, value_s: float) -> float:
    if not math.isfinite(value_s):
        raise ClockError(f"{name}={value_s!r} must be a finite number of seconds", value_s=value_s)
    return value_s
