"""How high a value usually gets at this minute, quarter hour or hour of the week: periodic profiles.

One profile is a ring of slots over a period; each slot keeps the highest value
of each of its last three visits and answers with their median. So a batch that
comes every period is known after three visits, one incident teaches nothing,
and a batch that moved away is forgotten after two.

The median of three and the highest of a visit (not its mean) are chosen
together: a three-minute job inside a quarter hour must be seen as it is, and a
single odd visit must not. A profile knows neither levels nor bands; whether a
visit may be learned is decided in band.py. Times are epoch seconds; slots are
cut in UTC, so a job that follows local time moves by an hour twice a year and
is learned anew in three visits.
"""

from __future__ import annotations

from typing import NamedTuple

VISITS = 3  # per slot: the fewest of which a median ignores one outlier
UNVISITED = -1.0


class Cycle(NamedTuple):
    """The grid of a profile: `slots` of `slot_s` seconds; windows over `period_s_max` are too coarse."""

    slots: int
    slot_s: float
    period_s_max: float

    @property
    def length_s(self) -> float:
        """Time after which the same slot comes again."""
        return self.slots * self.slot_s


HOURLY = Cycle(60, 60.0, 300.0)  # minutes of the hour: hourly batches
DAILY = Cycle(96, 900.0, 10_800.0)  # quarter hours of the day: nightly jobs, the day's shape
WEEKLY = Cycle(168, 3_600.0, 21_600.0)  # hours of the week: weekly jobs


class Profile(NamedTuple):
    """The visits of every slot, newest first, and the visit that is still running.

    A visit is entered when it is over: what happens now is never held against itself.
    """

    visits: tuple[float, ...] = ()  # slots x 3; empty until the first visit is over
    running: int = -1  # absolute number of its first slot; -1 = none
    covered: int = 0  # slots that it covers
    highest: float = UNVISITED


def expectation(profile: Profile, cycle: Cycle, at_s: float, period_s: float) -> float:
    """Return how high a window that starts at `at_s` usually gets; -1 while that is unknown.

    The slots that the window covers are widened by one each side: batches jitter.
    A slot counts from its third visit on.

    >>> p = Profile()
    >>> for hour in range(4):
    ...     p = visit(visit(p, HOURLY, 3600.0 * hour, 60.0, 5.0), HOURLY, 3600.0 * hour + 60.0, 60.0, 1.0)
    >>> expectation(p, HOURLY, 14400.0, 60.0), expectation(p, HOURLY, 14400.0 + 600.0, 60.0)
    (5.0, -1.0)
    """
    visits = profile.visits
    if not visits or period_s > cycle.period_s_max:
        return UNVISITED
    first = int(at_s // cycle.slot_s)
    best = UNVISITED
    for slot in range(first - 1, first + covered_slots(cycle, period_s) + 1):
        at = (slot % cycle.slots) * VISITS
        c = visits[at + 2]
        if c >= 0.0:
            a = visits[at]
            b = visits[at + 1]
            if a > b:
                a, b = b, a
            middle = a if c <= a else (b if c >= b else c)
            if middle > best:
                best = middle
    return best


def visit(profile: Profile, cycle: Cycle, at_s: float, period_s: float, value: float) -> Profile:
    """Return the profile after one window with `value` >= 0.

    Windows shorter than a slot are gathered into one visit; longer ones are a visit
    to each slot they cover, as many as they are long, also if they do not begin with one.
    """
    if period_s > cycle.period_s_max:
        return profile
    first = int(at_s // cycle.slot_s)
    if first == profile.running:
        if value <= profile.highest:
            return profile
        return Profile(profile.visits, first, profile.covered, value)
    visits = profile.visits or (UNVISITED,) * (cycle.slots * VISITS)
    if profile.running >= 0:
        for slot in range(profile.running, profile.running + profile.covered):
            visits = _push(visits, slot % cycle.slots, profile.highest)
    return Profile(visits, first, covered_slots(cycle, period_s), value)


def covered_slots(cycle: Cycle, period_s: float) -> int:
    """Return how many slots a window of this length covers, at least 1."""
    count = int(period_s / cycle.slot_s + 0.5)
    return count if count > 1 else 1


def _push(visits: tuple[float, ...], slot: int, value: float) -> tuple[float, ...]:
    at = slot * VISITS
    return (*visits[:at], value, visits[at], visits[at + 1], *visits[at + VISITS :])
