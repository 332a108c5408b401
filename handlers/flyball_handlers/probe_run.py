"""When checks are due, and how many run at once: a hanging target delays no other.

A minute has two slots, at its beginning and its middle. Checks every 30 s run in
both; all others begin with a minute of their own, spread over their interval by
name, so that 500 checks every five minutes are 100 a minute. Within a slot a
random delay keeps the checks of many installations from falling together.

Each check has a thread of its own, at most `width` at a time. Sockets give up at
the check's deadline by themselves; what cannot be told to (the system's
resolver, a user's callable) is given up on: its thread is left behind, its place
is free again, and its target is not asked anew while it hangs. So threads are
bounded by the number of targets, whatever they do.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

from flyball_controller.probes import SLOT_S, Check
from flyball_handlers.checks import Outcome
from flyball_handlers.checks_net import Monotonic

WIDTH = 64  # threads of one probe function; they wait, mostly
JITTER_S = 2.0
GRACE_S = 0.5  # after its deadline a check may still say what it found
SLOT_BUDGET_S = 24.0  # of the slot's 30 s: the rest is for reading the policy and writing results


class Due(NamedTuple):
    """A check and how long after the beginning of its slot it starts."""

    check: Check
    delay_s: float


def phase_of(target: str, count: int) -> int:
    """Return a target's place, 0 to count - 1, among the minutes of its interval.

    >>> phase_of("payments-api", 1), 0 <= phase_of("payments-api", 5) < 5
    (0, True)
    """
    return int.from_bytes(blake2b(target.encode(), digest_size=4, person=b"phase").digest(), "big") % count


def due(checks: Iterable[Check], slot: int, *, draw: Callable[[], float]) -> list[Due]:
    """Return the checks of a slot, in the order of their start.

    Args:
        checks: All of the policy.
        slot: Number of the half minute since the epoch.
        draw: Gives numbers in [0, 1).
    """
    minute, middle = divmod(slot, 2)
    found = []
    for check in checks:
        minutes = check.every_s // 60
        if check.every_s == SLOT_S or (
            not middle and (minute + phase_of(check.target, minutes)) % minutes == 0
        ):
            found.append(Due(check, draw() * JITTER_S))
    return sorted(found, key=lambda item: item.delay_s)


class _Running(NamedTuple):
    check: Check
    thread: threading.Thread
    started_s: float
    overdue_s: float


class Runner:
    """Runs the checks of one slot after the other. `hanging` counts the threads left behind.

    Args:
        ask: Makes one check; see `checks.Checker.run`.
        clock: Monotonic time.
        width: How many checks run at once.
    """

    def __init__(self, ask: Callable[[Check], Outcome], *, clock: Monotonic, width: int = WIDTH) -> None:
        self._ask = ask
        self._clock = clock
        self._width = width
        self._left: dict[str, threading.Thread] = {}

    @property
    def hanging(self) -> int:
        """How many checks that were given up on have not ended."""
        self._left = {target: thread for target, thread in self._left.items() if thread.is_alive()}
        return len(self._left)

    def run(self, slot: Sequence[Due], *, budget_s: float = SLOT_BUDGET_S) -> dict[str, Outcome]:
        """Return one outcome per check; what could not begin within the budget is "not-reached".

        Args:
            slot: In the order of their start.
            budget_s: No check begins later than this after now.
        """
        began_s = self._clock()
        waiting = list(reversed(slot))
        running: dict[str, _Running] = {}
        done: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        outcomes: dict[str, Outcome] = {}
        while waiting or running:
            now_s = self._clock()
            if now_s - began_s >= budget_s:
                outcomes.update((item.check.target, _NOT_REACHED) for item in waiting)
                waiting.clear()
            while waiting and len(running) < self._width and now_s - began_s >= waiting[-1].delay_s:
                self._start(waiting.pop().check, running, done, outcomes)
            moments = [item.overdue_s for item in running.values()]
            if waiting:
                moments.append(began_s + budget_s)
                if len(running) < self._width:
                    moments.append(began_s + waiting[-1].delay_s)
            if not moments:
                continue
            try:
                target, outcome = done.get(timeout=max(0.001, min(moments) - self._clock()))
            except queue.Empty:
                self._give_up(running, outcomes)
                continue
            if running.pop(target, None) is not None:
                outcomes[target] = outcome
        return outcomes

    def _start(
        self,
        check: Check,
        running: dict[str, _Running],
        done: queue.SimpleQueue[tuple[str, Outcome]],
        outcomes: dict[str, Outcome],
    ) -> None:
        left = self._left.get(check.target)
        if left is not None and left.is_alive():
            outcomes[check.target] = Outcome(False, "still-hanging", check.timeout_s * 1_000.0)
            return
        self._left.pop(check.target, None)

        def ask() -> None:
            outcome = Outcome(False, "raised", 0.0)
            with suppress(BaseException):  # SystemExit too: it would end the thread without a word
                outcome = self._ask(check)
            done.put((check.target, outcome))

        thread = threading.Thread(target=ask, name=f"check {check.target}", daemon=True)
        started_s = self._clock()
        running[check.target] = _Running(check, thread, started_s, started_s + check.timeout_s + GRACE_S)
        thread.start()

    def _give_up(self, running: dict[str, _Running], outcomes: dict[str, Outcome]) -> None:
        now_s = self._clock()
        for target, item in list(running.items()):
            if now_s >= item.overdue_s:
                del running[target]
                self._left[target] = item.thread
                outcomes[target] = Outcome(False, "timeout", (now_s - item.started_s) * 1_000.0)


_NOT_REACHED = Outcome(False, "not-reached", 0.0, broken=True)
