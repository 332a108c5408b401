"""DescribeAlarms of the embedded CloudWatch: filters, order, pages.

Only metric alarms are listed unless AlarmTypes asks for composite ones: the
documented default that surprises. The dependency filters (ChildrenOfAlarmName,
ParentsOfAlarmName) are refused; this emulator lacks them.

Source: botocore service model "cloudwatch", DescribeAlarms.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from flyball_local.cloudwatch.alarms import Alarm
from flyball_local.cloudwatch.alarmspec import CompositeSpec
from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.query import invalid

RECORDS_MAX = 100

Wire = Mapping[str, Any]
Instant = Callable[[float], datetime]

# Members of a request that describe nothing: kept in the definition, not shown.
_HIDDEN = frozenset({"Tags"})
_ACTION_LISTS = ("OKActions", "AlarmActions", "InsufficientDataActions")


def describe_alarms(params: Wire, alarms: Sequence[Alarm], instant: Instant) -> dict[str, Any]:
    """Answer DescribeAlarms over `alarms`, which are in order of name; raises CloudWatchError."""
    for field in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
        if field in params:
            raise invalid(f"{field} is not offered by this emulator; leave it out")
    if "AlarmNames" in params and "AlarmNamePrefix" in params:
        raise invalid("AlarmNames and AlarmNamePrefix cannot stand together")
    types = params.get("AlarmTypes") or ["MetricAlarm"]
    kept = [a for a in alarms if _kind(a) in types and _matches(a, params)]
    skip = _offset(params["NextToken"]) if params.get("NextToken") else 0
    limit = params.get("MaxRecords", RECORDS_MAX)
    page = kept[skip : skip + limit]
    answer: dict[str, Any] = {
        "MetricAlarms": [_shown(a, instant) for a in page if _kind(a) == "MetricAlarm"],
        "CompositeAlarms": [_shown(a, instant) for a in page if _kind(a) == "CompositeAlarm"],
    }
    if skip + limit < len(kept):
        answer["NextToken"] = base64.urlsafe_b64encode(f"alarms:{skip + limit}".encode()).decode()
    return answer


def _kind(alarm: Alarm) -> str:
    return "CompositeAlarm" if isinstance(alarm.spec, CompositeSpec) else "MetricAlarm"


def _matches(alarm: Alarm, params: Wire) -> bool:
    name = alarm.view.name
    if "AlarmNames" in params and name not in params["AlarmNames"]:
        return False
    if not name.startswith(params.get("AlarmNamePrefix", "")):
        return False
    if "StateValue" in params and alarm.state.value.value != params["StateValue"]:
        return False
    prefix = params.get("ActionPrefix")
    return prefix is None or any(
        a.startswith(prefix) for f in _ACTION_LISTS for a in alarm.view.params.get(f, ())
    )


def _offset(token: str) -> int:
    try:
        kind, number = base64.urlsafe_b64decode(token.encode()).decode().split(":")
        if kind != "alarms":
            raise ValueError(kind)
        return int(number)
    except ValueError as error:
        raise CloudWatchError("InvalidNextToken", "NextToken is not one of this service") from error


def _shown(alarm: Alarm, instant: Instant) -> dict[str, Any]:
    view, state = alarm.view, alarm.state
    shown: dict[str, Any] = {f: [] for f in _ACTION_LISTS} | {"ActionsEnabled": True}
    shown |= {k: v for k, v in view.params.items() if k not in _HIDDEN}
    shown |= {
        "AlarmArn": view.arn,
        "AlarmConfigurationUpdatedTimestamp": instant(view.updated_s),
        "StateValue": state.value.value,
        "StateReason": state.reason,
        "StateUpdatedTimestamp": instant(state.at_s),
        "StateTransitionedTimestamp": instant(alarm.changed_s),
    }
    if not isinstance(alarm.spec, CompositeSpec) and "Metrics" not in view.params:
        shown.setdefault("Dimensions", [])
    if state.reason_data is not None:
        shown["StateReasonData"] = state.reason_data
    if alarm.evaluation_state is not None:
        shown["EvaluationState"] = alarm.evaluation_state
    return shown
