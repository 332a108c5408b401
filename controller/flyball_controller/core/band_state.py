"""What a value detector sees, remembers and says: records of plain numbers, no rules.

Roots are square roots of values above the low end of the metric's range
(core/band.py says why); a state can be packed, hashed and replayed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from flyball_controller.core.profile import Profile

UNKNOWN = -1.0
NO_PEAKS = (0.0, 0.0, 0.0)


class Note(IntEnum):
    """What happened to a point, or to the baseline because of it."""

    JUDGED = 0
    LEARNING = 1  # accepted, but there are too few rows to fire yet
    MISSING = 2  # no value (NaN): time passes, nothing is learned, a firing stays
    INVALID = 3  # impossible time, period or an infinite value: ignored
    LATE = 4  # older than the newest accepted point: ignored, order is what makes a replay equal
    DUPLICATE = 5  # same start as the newest accepted point: ignored, also if revised
    RELEARNED = 6  # out of band for too long: taken as the new normal
    RESTORED = 7  # back in the old band soon after relearning: the old normal again


class Point(NamedTuple):
    """One window of a metric."""

    at_s: float  # start, epoch seconds
    period_s: float  # > 0
    value: float  # NaN = missing


class Normal(NamedTuple):
    """What is normal, as square roots: level and spread (a standard deviation), and the rows behind."""

    level: float = 0.0
    spread: float = 0.0
    rows: int = 0


class Seasons(NamedTuple):
    """What time brings, as square roots."""

    hourly: Profile = Profile()
    daily: Profile = Profile()
    weekly: Profile = Profile()
    spread: float = UNKNOWN  # of rows about what the season brings; a standard deviation


class BandState(NamedTuple):
    """Everything remembered about one metric: plain numbers, 4 kB as doubles, 8 after a relearning."""

    at_s: float = 0.0  # newest accepted start; means nothing while `accepted` is 0
    accepted: int = 0
    now: Normal = Normal()
    first: tuple[float, ...] = ()  # roots of the first rows, until there are enough for a start
    before: Normal = Normal()  # the normal before the last relearning; rows 0 = none
    seasons_before: Seasons = Seasons()
    before_s: float = 0.0  # time since then
    back_rows: int = 0  # rows in a line inside the old band
    votes: int = 0  # newest rows over the band, one bit each
    firing: bool = False
    out_s: float = 0.0  # time out of band
    run_rows: int = 0  # the running excursion
    run_peak: float = 0.0
    peaks: tuple[float, float, float] = NO_PEAKS  # short excursions over the level, highest first
    last: float = UNKNOWN  # newest value, above the range's low end
    step_min: float = 0.0  # smallest change ever seen outside of excursions; 0 = none
    step_next: float = 0.0  # the same, with the running excursion
    seasons: Seasons = Seasons()


class BandVerdict(NamedTuple):
    """What is said about one point; `level` and `upper` in the metric's unit, -1 while unknown."""

    firing: bool
    over: bool
    level: float  # what was expected: the level, or what the season raises it to
    upper: float  # over from here
    ready: bool
    confidence: float  # 0..1: share of the row count at which the band is only 1 % wider than for ever
    note: Note
