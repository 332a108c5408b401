"""The words and the JSON behind a state: StateReason and StateReasonData as CloudWatch writes them.

People read the reason, handlers parse the data; both must look like the real
ones. `recentDatapoints` is oldest first, `evaluatedDatapoints` newest first.
An expression has no `statistic`.

Source: recorded alarm descriptions and events (Amazon EventBridge and CloudWatch
user guides, LocalStack snapshots against AWS); see the events module.
"""

from __future__ import annotations

import json
from typing import Any

from flyball_local.cloudwatch.alarmspec import MetricSpec
from flyball_local.cloudwatch.judgement import COMPARISONS, AlarmState, Missing, Slot, Verdict
from flyball_local.cloudwatch.query import MetricQuery
from flyball_local.cloudwatch.stamps import offset_stamp, reason_stamp

# Bound of StateReasonData in the service model.
REASON_DATA_MAX = 4_000
REASON_MAX = 1_023
# More than these never fit into REASON_DATA_MAX (at least 4 and 50 characters each).
RECENT_MAX = 1_000
EVALUATED_MAX = 80
INITIAL_REASON = "Unchecked: Initial alarm creation"

_TREATED = {Missing.BREACHING: "Breaching", Missing.NOT_BREACHING: "NonBreaching"}


def reason(spec: MetricSpec, verdict: Verdict, new: AlarmState) -> str:
    """Return the StateReason of a metric alarm's verdict."""
    if new is AlarmState.INSUFFICIENT_DATA:
        unknown = max(verdict.filled, 1)
        return f"Insufficient Data: {_count(unknown)} {_were(unknown)} unknown."
    parts = []
    if verdict.used:
        parts.append(_crossed(spec, verdict, new))
    else:
        parts.append(f"no datapoints were received for {_count(spec.periods, 'period')}")
    if verdict.filled and spec.missing in _TREATED:
        parts.append(
            f" and {verdict.filled} missing datapoint{'s' if verdict.filled > 1 else ''} "
            f"{_were(verdict.filled)} treated as [{_TREATED[spec.missing]}]"
        )
    ending = _minimum(spec, new) if spec.m_of_n and verdict.used else ""
    return f"Threshold Crossed: {''.join(parts)}{ending}."[:REASON_MAX]


def _count(number: int, noun: str = "datapoint") -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


def _were(number: int) -> str:
    return "were" if number > 1 else "was"


def _crossed(spec: MetricSpec, verdict: Verdict, new: AlarmState) -> str:
    """Word the points that speak for the new state: breaching ones for ALARM, the others for OK."""
    test, words = COMPARISONS[spec.comparison]
    speaking = [s for s in verdict.used if _breaches(s, test, spec.threshold) is (new is AlarmState.ALARM)]
    shown = speaking or list(verdict.used)
    listed = ", ".join(f"{s.value} ({reason_stamp(s.at_s)})" for s in shown)
    verb = _were(len(shown))
    head = f"{len(shown)} out of the last {spec.periods} datapoints" if spec.m_of_n else _count(len(shown))
    negation = "" if new is AlarmState.ALARM else "not "
    return f"{head} [{listed}] {verb} {negation}{words} the threshold ({float(spec.threshold)})"


def _minimum(spec: MetricSpec, new: AlarmState) -> str:
    """Word how many points the change takes: M to alarm, N - M + 1 to recover.

    AWS names the two opposite states here, also when coming from INSUFFICIENT_DATA.
    """
    needed = spec.to_alarm if new is AlarmState.ALARM else spec.periods - spec.to_alarm + 1
    other = AlarmState.OK if new is AlarmState.ALARM else AlarmState.ALARM
    return f" (minimum {_count(needed)} for {other.value} -> {new.value} transition)"


def _breaches(slot: Slot, test: Any, threshold: float) -> bool:
    return slot.value is not None and bool(test(slot.value, threshold))


def reason_data(spec: MetricSpec, verdict: Verdict, slots: list[Slot], now_s: float) -> str:
    """Return the StateReasonData of a metric alarm's verdict: a JSON text of at most 4,000 characters."""
    watched = spec.watched
    data: dict[str, Any] = {"version": "1.0", "queryDate": offset_stamp(now_s)}
    if verdict.used:
        data["startDate"] = offset_stamp(verdict.used[0].at_s)
    if isinstance(watched, MetricQuery):
        if watched.unit is not None:
            data["unit"] = watched.unit
        data["statistic"] = watched.stat
    data["period"] = spec.period_s
    data["recentDatapoints"] = [s.value for s in verdict.used[-RECENT_MAX:]]
    data["threshold"] = float(spec.threshold)
    evaluated = list(verdict.used) or slots[-spec.periods :]
    data["evaluatedDatapoints"] = [_evaluated(s) for s in reversed(evaluated[-EVALUATED_MAX:])]
    text = compact(data)
    while len(text) > REASON_DATA_MAX and data["evaluatedDatapoints"]:
        data["evaluatedDatapoints"].pop()
        text = compact(data)
    while len(text) > REASON_DATA_MAX:
        data["recentDatapoints"].pop(0)
        text = compact(data)
    return text


def _evaluated(slot: Slot) -> dict[str, Any]:
    stamp: dict[str, Any] = {"timestamp": offset_stamp(slot.at_s)}
    if slot.value is not None:
        stamp |= {"sampleCount": slot.samples, "value": slot.value} if slot.samples else {"value": slot.value}
    return stamp


def compact(data: object) -> str:
    """Return JSON without spaces, as CloudWatch writes it."""
    return json.dumps(data, separators=(",", ":"))
