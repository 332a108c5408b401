"""The words of control quality: every measure with its unit, which way is better, and what it means.

Only words: `flyball_analytics.closedloop_measures` computes them. Definitions
follow docs/theory/control.md, "Metrics of control quality".
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Better(IntEnum):
    """Which values one wishes for."""

    LOW = 0
    HIGH = 1


class Measure(NamedTuple):
    """One measure. `needs_incident`: it has no meaning in a scenario without incident."""

    unit: str
    better: Better
    meaning: str
    needs_incident: bool = False


_LOW, _HIGH = Better.LOW, Better.HIGH

MEASURES: dict[str, Measure] = {
    "goodput_ratio": Measure("ratio", _HIGH, "requests that succeeded, of all that arrived"),
    "goodput_in_ratio": Measure("ratio", _HIGH, "the same, of those that arrived during incidents", True),
    "goodput_after_ratio": Measure("ratio", _HIGH, "the same, in the ten minutes after", True),
    "recovered": Measure("yes/no", _HIGH, "whether it came back after every incident", True),
    "recovery_s": Measure("s", _LOW, "longest time from an incident's end to 60 s at 98 % success", True),
    "lost_min": Measure("min", _LOW, "unsuccessful requests, in minutes of mean traffic"),
    "amplification": Measure("ratio", _LOW, "attempts per request that arrived"),
    "amplification_peak": Measure("ratio", _LOW, "the same, highest over 10 s"),
    "wasted_ratio": Measure("ratio", _LOW, "attempts of requests that failed in the end, of all attempts"),
    "rejected_ratio": Measure("ratio", _LOW, "requests that clients refused to make, of all that arrived"),
    "false_open_min": Measure("min", _LOW, "traffic refused while the target was well"),
    "detect_s": Measure("s", _LOW, "longest time from an incident's start until it was named", True),
    "effective_s": Measure("s", _LOW, "longest time until a client obeyed the first change", True),
    "restore_s": Measure("s", _LOW, "longest time from an incident's end to nominal settings", True),
    "flaps": Measure("count", _LOW, "tightenings within ten minutes of a loosening"),
    "changes": Measure("count", _LOW, "setpoints that the controller changed"),
    "config_changes_per_h": Measure("count/h", _LOW, "configurations deployed in the busiest hour"),
    "false_actions": Measure("count", _LOW, "setpoints changed where no incident called for it"),
    "environments_peak": Measure("count", _LOW, "most execution environments at once"),
}
