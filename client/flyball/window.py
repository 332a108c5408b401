"""Counts of the last seconds, in buckets, at the cost of one addition per call.

The total of a window of W seconds is kept in BUCKETS slices; a slice is dropped
as a whole, so the window is between W and W - W/BUCKETS seconds long. The
current slice is a plain attribute that the hot path increments; everything else
happens at most once per slice, or when something failed, and therefore can
afford a lock: a count that was subtracted twice would be wrong for ever.

Time is an argument. A clock that went back more than a window clears the counts:
nothing can be said about them any more.
"""

from __future__ import annotations

from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Ten slices: the length is exact to 10 %, as in Linkerd's breaker.
BUCKETS = 10
_NOTHING = ((0, 0, 0, 0, 0),) * BUCKETS  # shared by all windows that have no past
_NO_FAILURES = (0, 0, 0, 0)  # shared by all slices in which none happened


class Window:
    """Rolling counts of first attempts: all, hard failures, time-outs, slow ones, and calls that were shed.

    Hot path: `if now_s >= w.until_s: w.advance(now_s)` and then `w.calls_now += 1`.

    >>> w = Window(30.0)
    >>> w.advance(0.0)
    >>> w.calls_now += 1; w.note_timeout()
    >>> w.advance(29.0); (w.calls, w.timeouts)
    (1, 1)
    >>> w.advance(33.0); (w.calls, w.timeouts)
    (0, 0)
    """

    __slots__ = (
        "_lock",
        "_now",
        "_past",
        "_slice_s",
        "_slot",
        "calls_now",
        "failures",
        "shed",
        "slow",
        "timeouts",
        "until_s",
    )

    def __init__(self, window_s: float, lock: RLock | None = None) -> None:
        self._lock = RLock() if lock is None else lock
        self._slice_s = window_s / BUCKETS
        self.until_s = -1e300  # end of the current slice; the first call always advances
        self._clear()

    def _clear(self) -> None:
        self.calls_now = 0  # first attempts in the current slice
        self.failures = 0  # hard failures in the window
        self.timeouts = 0
        self.shed = 0
        self.slow = 0  # whatever else they were
        # Failures, time-outs, shed, slow of the current slice.
        self._now: tuple[int, ...] = _NO_FAILURES
        self._past: Sequence[tuple[int, int, int, int, int]] = _NOTHING
        self._slot = 0

    def renew(self, lock: RLock) -> None:
        """Use another lock: a fork may have copied the old one while a thread of the parent held it."""
        self._lock = lock

    @property
    def window_s(self) -> float:
        """Length of the window in seconds."""
        return self._slice_s * BUCKETS

    @property
    def calls(self) -> int:
        """First attempts in the window that ended."""
        return self.calls_now + sum(entry[0] for entry in self._past)

    def note_failure(self) -> None:
        """Count a hard failure in the current slice."""
        with self._lock:
            self.failures += 1
            self._count(0)

    def note_timeout(self) -> None:
        """Count a time-out in the current slice."""
        with self._lock:
            self.timeouts += 1
            self._count(1)

    def note_shed(self) -> None:
        """Count a call that was refused to let the target catch up."""
        with self._lock:
            self.shed += 1
            self._count(2)

    def note_slow(self) -> None:
        """Count an answer that came too late, or not at all; beside what else it counts as."""
        with self._lock:
            self.slow += 1
            self._count(3)

    def _count(self, kind: int) -> None:
        counts = list(self._now)
        counts[kind] += 1
        self._now = tuple(counts)

    def advance(self, now_s: float) -> None:
        """Move the window so that it ends in the slice of `now_s`."""
        with self._lock:
            self._advance(now_s)

    def _advance(self, now_s: float) -> None:
        behind = now_s - self.until_s
        if behind < 0.0:
            if behind < -self.window_s:
                self._clear()
                self.until_s = now_s + self._slice_s
            return
        steps = int(behind / self._slice_s) + 1 if behind < self.window_s else BUCKETS
        if steps >= BUCKETS:
            self._clear()
            self.until_s = now_s + self._slice_s
            return
        for _ in range(steps):
            self._close_slice()
        self.until_s += steps * self._slice_s

    def _close_slice(self) -> None:
        failures, timeouts, shed, slow = self._now
        past = self._past
        if not isinstance(past, list):
            past = self._past = list(past)
        past[self._slot] = (self.calls_now, failures, timeouts, shed, slow)
        self._slot = (self._slot + 1) % BUCKETS
        self.calls_now = 0
        self._now = _NO_FAILURES
        _, failures, timeouts, shed, slow = past[self._slot]
        past[self._slot] = _NOTHING[0]
        self.failures -= failures
        self.timeouts -= timeouts
        self.shed -= shed
        self.slow -= slow

    def clear(self) -> None:
        """Forget everything: what was counted before says nothing about now."""
        with self._lock:
            self._clear()
