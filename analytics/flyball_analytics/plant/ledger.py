"""What became of every request, kept by *arrival* time, and the measures of control quality on it.

Goodput is counted by when a request arrived, not by when it ended: otherwise a
policy that lets requests linger would look better during an incident and worse
after it (docs/theory/control.md, "Metrics of control quality").

Two grains: minutes for sums over a day, steps of ten seconds for recovery time
and false-open time, kept only where the plant ran call by call.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_analytics.plant.faults import STEP_S
from flyball_analytics.plant.traffic import MINUTE_S

RECOVERED_RATIO = 0.98  # success share that counts as back (control 3: 60 s mean >= 98 %)
RECOVERED_OVER_S = 60.0
RECOVERED_MIN_REQUESTS = 12  # at 3 requests/min one minute proves nothing: look over at least so many


class Tally:
    """Requests that arrived in one interval, by what became of them."""

    __slots__ = ("arrived", "attempts", "failed", "ok", "rejected", "sick", "wasted")

    def __init__(self) -> None:
        self.arrived = 0
        self.ok = 0
        self.failed = 0
        self.rejected = 0  # refused by the client before any attempt (circuit or throttle)
        self.attempts = 0
        self.wasted = 0  # attempts of requests that failed after all
        self.sick = False  # a fault acted, or the queue held more than a time-out's worth of work

    def add(self, other: Tally) -> None:
        """Add another tally's counts to this one."""
        self.arrived += other.arrived
        self.ok += other.ok
        self.failed += other.failed
        self.rejected += other.rejected
        self.attempts += other.attempts
        self.wasted += other.wasted
        self.sick = self.sick or other.sick

    @property
    def open(self) -> int:
        """Requests whose end is not known yet."""
        return self.arrived - self.ok - self.failed - self.rejected


class Window(NamedTuple):
    """Sums over one stretch of time."""

    arrived: int
    ok: int
    failed: int
    rejected: int
    attempts: int

    @property
    def goodput_ratio(self) -> float:
        """Successful share of what arrived; 1.0 if nothing did (nobody was let down)."""
        return self.ok / self.arrived if self.arrived else 1.0


class Ledger:
    """All tallies of one service in one world."""

    def __init__(self) -> None:
        self.minutes: dict[int, Tally] = {}
        self.steps: dict[int, Tally] = {}

    def step(self, at_s: float) -> Tally:
        """Return the ten-second tally for requests that arrive now."""
        key = int(at_s // STEP_S)
        found = self.steps.get(key)
        if found is None:
            found = self.steps[key] = Tally()
        return found

    def minute(self, at_s: float) -> Tally:
        """Return the tally of a minute that is counted, not simulated."""
        key = int(at_s // MINUTE_S)
        found = self.minutes.get(key)
        if found is None:
            found = self.minutes[key] = Tally()
        return found

    def window(self, start_s: float, end_s: float) -> Window:
        """Return the sums over arrivals in [start_s, end_s), on the minute grid for counted minutes."""
        total = Tally()
        first, last = int(start_s // STEP_S), int(end_s // STEP_S)
        for key in range(first, last):
            found = self.steps.get(key)
            if found is not None:
                total.add(found)
        for key in range(int(start_s // MINUTE_S), int(end_s // MINUTE_S)):
            counted = self.minutes.get(key)
            if counted is not None:
                total.add(counted)
        return Window(total.arrived, total.ok, total.failed, total.rejected, total.attempts)

    def recovered_after_s(self, end_s: float, *, limit_s: float) -> float | None:
        """Return how long after `end_s` the service was back, or None if not within `limit_s`.

        Back: from that step on, the success share over the next 60 s (and at
        least 12 requests) is >= 98 %. A service that never got worse is back
        after 0 s. Only simulated steps count; requests still open count as not
        successful.
        """
        first = int(end_s // STEP_S)
        for key in range(first, int(limit_s // STEP_S)):
            if self._good_from(key):
                return (key - first) * STEP_S
        return None

    def _good_from(self, first: int) -> bool:
        arrived = ok = 0
        key, needed = first, int(RECOVERED_OVER_S // STEP_S)
        while key - first < needed or arrived < RECOVERED_MIN_REQUESTS:
            found = self.steps.get(key)
            if found is None:
                break  # the plant stopped simulating: judge by what there is
            arrived += found.arrived
            ok += found.ok
            key += 1
        return arrived > 0 and ok >= RECOVERED_RATIO * arrived

    def false_open_min(self, start_s: float, end_s: float) -> float:
        """Return the minutes of traffic that was refused while the service was fine.

        Each healthy step counts its refused share: refusing half the requests
        for two healthy minutes is one false-open minute.
        """
        total_s = 0.0
        for key in range(int(start_s // STEP_S), int(end_s // STEP_S)):
            found = self.steps.get(key)
            if found is not None and found.arrived and not found.sick:
                total_s += STEP_S * found.rejected / found.arrived
        return total_s / MINUTE_S
