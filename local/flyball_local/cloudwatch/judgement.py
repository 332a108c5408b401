"""What state an alarm's recent data points call for: M of N, missing data, the premature rule.

Pure: slots in, verdict out. An alarm looks at more periods than N (the
evaluation range), so that a gap can be bridged by an older real point:

1. With N or more real points in the range, the newest N decide; missing ones do
   not matter whatever the alarm's setting.
2. With fewer, the gaps are filled as often as needed to make N: as breaching, as
   not breaching, or not at all (missing, ignore).
3. Under "missing", one breaching point at least M periods old followed only by
   breaching or missing ones is enough (premature alarm): else a metric that dies
   after its first bad point would never alarm. Younger than that, nothing can be
   said yet. Under "ignore" both cases keep the state.

Where prose and tables of the page differ (row "0 - X - -" of 2 of 3), the tables
hold: a non-breaching point anywhere in the range rules the premature case out.
The page shows a range of N + 2 for N = 3 and leaves the general rule open; N + 2
is used throughout.

Source: Amazon CloudWatch User Guide, "Configuring how CloudWatch alarms treat
missing data" (alarms-and-missing-data.html, earlier AlarmThatSendsEmail.html).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

# Periods looked at beyond N; the documented example has 5 for N = 3.
RANGE_EXTRA = 2


class AlarmState(StrEnum):
    """The three states, with their names on the wire."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """How an alarm treats missing data, with the names on the wire."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


# Comparison by wire name: the test, and how a state reason words it.
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


class Slot(NamedTuple):
    """One period of the evaluation range; value None = no data."""

    at_s: int
    value: float | None
    samples: float = 0.0


class Verdict(NamedTuple):
    """What the data call for.

    `state` None = keep the present one. `used` are the real points that decided,
    oldest first; `filled` how many missing ones were made up for.
    """

    state: AlarmState | None
    used: tuple[Slot, ...]
    filled: int


def judge(
    slots: Sequence[Slot],
    *,
    breaches: Callable[[float], bool],
    periods: int,
    to_alarm: int,
    missing: Missing,
) -> Verdict:
    """Return the verdict on the evaluation range.

    Args:
        slots: The range, oldest first, `periods` + RANGE_EXTRA long.
        breaches: Whether a value is on the wrong side of the threshold.
        periods: N, >= 1.
        to_alarm: M, 1..N.
        missing: What stands in for absent points.

    >>> row = [Slot(i * 60, v) for i, v in enumerate([None, None, 9.0, None, None])]
    >>> judge(row, breaches=lambda v: v > 5, periods=3, to_alarm=3, missing=Missing.MISSING).state
    <AlarmState.ALARM: 'ALARM'>
    """
    real = [slot for slot in slots if slot.value is not None]
    used = tuple(real[-periods:])
    filled = periods - len(used)
    bad = sum(1 for slot in used if slot.value is not None and breaches(slot.value))
    if not filled:
        state: AlarmState | None = _enough(bad >= to_alarm)
    elif missing is Missing.BREACHING:
        state = _enough(bad + filled >= to_alarm)
    elif missing is Missing.NOT_BREACHING:
        state = _enough(bad >= to_alarm)
    elif bad >= to_alarm:
        state = AlarmState.ALARM
    elif bad < len(used):
        state = AlarmState.OK
    elif missing is Missing.IGNORE:
        state = None
    else:
        state = _premature(slots, to_alarm)
    return Verdict(state, used, filled)


def _enough(reached: bool) -> AlarmState:
    return AlarmState.ALARM if reached else AlarmState.OK


def _premature(slots: Sequence[Slot], to_alarm: int) -> AlarmState:
    """Judge a range without a single good point: old enough a breach alarms, otherwise nothing is known."""
    ages = [len(slots) - i for i, slot in enumerate(slots) if slot.value is not None]
    return AlarmState.ALARM if ages and ages[0] >= to_alarm else AlarmState.INSUFFICIENT_DATA


def too_few_samples(slots: Sequence[Slot], *, percent: float, periods: int) -> bool:
    """Return whether the newest `periods` slots hold too few samples for a percentile to mean anything.

    Fewer than 10 / (1 - p) for p >= 0.5, or 10 / p below. Source: CloudWatch User
    Guide, "Percentile-based alarms and low data samples".
    """
    # In percent and rounded: 1 - 0.9 is not 0.1, and 100 samples are enough for p90.
    tail_percent = round(100.0 - percent if percent >= 50.0 else percent, 9)
    return tail_percent <= 0.0 or sum(slot.samples for slot in slots[-periods:]) * tail_percent < 1_000.0
