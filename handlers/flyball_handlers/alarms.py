"""One alarm payload, in any of its three dialects, turned into wake-ups or one rejection.

The dialects (samples of each in tests/events): an EventBridge event with
`detail`, the payload of an alarm's direct Lambda action with `alarmData`, and
the notification text that CloudWatch sends through SNS. Each is first brought
into `_Facts`; the rest is common.

`read_alarm` is total (E1). It never trusts a field it can take from the alarm's
ARN: account, region and name come from there (SNS, for one, sends a display
name as region), and are compared with what the deployment expects (T1, T7).

Sources: Amazon CloudWatch User Guide, "Alarm events and EventBridge",
"Invoke a Lambda function from an alarm"; recorded SNS notifications.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flyball_controller.bounded import (
    Undecodable,
    child,
    decode_json,
    instant_s,
    members,
    number,
    numbers,
    shown,
    text,
)
from flyball_handlers import targets
from flyball_handlers.events import (
    AGE_S_MAX,
    SKEW_S_MAX,
    AlarmKind,
    AlarmState,
    Code,
    Expected,
    Outcome,
    ReasonValues,
    Rejected,
    Wake,
)

STATE_CHANGE = "CloudWatch Alarm State Change"
CONTRIBUTOR_CHANGE = "CloudWatch Alarm Contributor State Change"
# These follow from writes, perhaps our own (a threshold, a deployment): obeying them would be a loop (A6).
OWN_DETAIL_TYPES = frozenset({"CloudWatch Alarm Configuration Change"})
OWN_SOURCES = frozenset({"aws.appconfig"})

REASON_CHARS_MAX = 1_023  # CloudWatch's own limit
POINTS_MAX = 20  # enough for an audit line; an alarm evaluates at most a few dozen points
REASON_DATA_CHARS_MAX = 16_384  # CloudWatch's own limit is 4,000 characters

_ARN = re.compile(r"arn:aws[a-z-]*:cloudwatch:([a-z0-9-]{1,32}):([0-9]{1,12}):alarm:(.{1,255})", re.DOTALL)


class _Facts(NamedTuple):
    """An alarm before validation, in one dialect-free form; every field is still whatever was sent."""

    source: str
    arn: object
    arn_field: str
    state: object
    state_field: str
    at: object
    at_field: str
    previous: object
    reason: object
    reason_data: object
    configuration: object
    rule: object
    children: list[object]  # ARNs of the alarms that triggered a composite one
    contributor: object
    muted: bool
    suppressed: bool


def read_alarm(payload: object, expected: Expected, *, via: str = "") -> tuple[Outcome, ...]:
    """Return one Wake per target the alarm is about, or exactly one Rejected; never raises, never empty.

    `via` is the path of envelopes already removed, e.g. `sqs/sns/`.
    """
    if child(payload, "detail-type") is not None or child(payload, "detail") is not None:
        own = _own_event(payload)
        if own is not None:
            return (own,)
        facts = _from_eventbridge(payload, via)
    elif child(payload, "alarmData") is not None:
        facts = _from_action(payload, via)
    elif child(payload, "NewStateValue") is not None:
        facts = _from_notification(payload, via)
    else:
        return (_unknown_shape(payload),)
    return _judge(facts, expected)


def _own_event(event: object) -> Rejected | None:
    """Reject what follows from writes (A6), what is not CloudWatch's, and what is no state change."""
    source, detail_type = child(event, "source"), child(event, "detail-type")
    if (isinstance(source, str) and source in OWN_SOURCES) or (
        isinstance(detail_type, str) and detail_type in OWN_DETAIL_TYPES
    ):
        return Rejected(
            Code.OWN_EVENT, "detail-type", shown(detail_type), "nothing to do: it follows from a write"
        )
    if detail_type not in (STATE_CHANGE, CONTRIBUTOR_CHANGE):
        remedy = (
            f"send only {STATE_CHANGE!r} and {CONTRIBUTOR_CHANGE!r} here; schedules go to the tick handler"
        )
        return Rejected(Code.UNKNOWN_SHAPE, "detail-type", shown(detail_type), remedy)
    if source != "aws.cloudwatch":
        return Rejected(
            Code.FOREIGN_SOURCE, "source", shown(source), "only aws.cloudwatch may report alarm states"
        )
    return None


def _unknown_shape(payload: object) -> Rejected:
    keys = ", ".join(sorted(_key(k) for k in list(payload)[:8])) if isinstance(payload, dict) else ""
    found = f"an object with {keys}" if keys else shown(payload)
    remedy = "expected an EventBridge alarm event, an alarm's Lambda action, or its SNS notification"
    return Rejected(Code.UNKNOWN_SHAPE, "event", found, remedy)


def _key(key: object) -> str:
    """A key as a message may show it."""
    cut = text(key, 30) or ""
    return cut if cut.isprintable() else ascii(cut)


def _from_eventbridge(event: object, via: str) -> _Facts:
    detail = child(event, "detail")
    resources = members(child(event, "resources"), 1)
    return _modern(detail, f"{via}eventbridge", resources[0] if resources else None, "resources[0]", "detail")


def _from_action(event: object, via: str) -> _Facts:
    return _modern(
        child(event, "alarmData"), f"{via}action", child(event, "alarmArn"), "alarmArn", "alarmData"
    )


def _modern(body: object, source: str, arn: object, arn_field: str, at: str) -> _Facts:
    """The form that `detail` and `alarmData` share."""
    reason_data = decode_json(child(body, "state", "reasonData"), chars_max=REASON_DATA_CHARS_MAX)
    if isinstance(reason_data, Undecodable):  # absent, or not worth losing a wake-up for
        reason_data = None
    triggering = members(child(reason_data, "triggeringAlarms"), targets.CHILDREN_MAX)
    return _Facts(
        source=source,
        arn=arn,
        arn_field=arn_field,
        state=child(body, "state", "value"),
        state_field=f"{at}.state.value",
        at=child(body, "state", "timestamp"),
        at_field=f"{at}.state.timestamp",
        previous=child(body, "previousState", "value"),
        reason=child(body, "state", "reason"),
        reason_data=reason_data,
        configuration=child(body, "configuration"),
        rule=child(body, "configuration", "alarmRule"),
        children=[child(c, "arn") for c in triggering],
        contributor=child(body, "alarmContributor"),
        muted=isinstance(child(body, "muteDetail"), dict),
        suppressed=child(body, "state", "actionsSuppressedBy") is not None,
    )


def _from_notification(message: object, via: str) -> _Facts:
    return _Facts(
        source=f"{via}notification",
        arn=child(message, "AlarmArn"),
        arn_field="AlarmArn",
        state=child(message, "NewStateValue"),
        state_field="NewStateValue",
        at=child(message, "StateChangeTime"),
        at_field="StateChangeTime",
        previous=child(message, "OldStateValue"),
        reason=child(message, "NewStateReason"),
        reason_data=None,  # SNS carries none
        configuration=child(message, "Trigger"),
        rule=child(message, "AlarmRule"),
        children=[
            child(c, "Arn") for c in members(child(message, "TriggeringChildren"), targets.CHILDREN_MAX)
        ],
        contributor=None,
        muted=False,
        suppressed=False,
    )


def _judge(facts: _Facts, expected: Expected) -> tuple[Outcome, ...]:
    """Validate in the order cheap to expensive: identity, origin, state, age, target."""
    arn = text(facts.arn, targets.ARN_CHARS_MAX)
    match = _ARN.fullmatch(arn) if arn is not None and arn == facts.arn else None
    if arn is None or match is None:
        return (
            _bad(
                facts.arn_field,
                facts.arn,
                "send the alarm's ARN, arn:aws:cloudwatch:<region>:<account>:alarm:<name>",
            ),
        )
    foreign = _foreign(match.group(1), match.group(2), facts.arn_field, expected)
    if foreign is not None:
        return (foreign,)
    state = _state(facts.state)
    if state is None:
        return (_bad(facts.state_field, facts.state, "send OK, ALARM or INSUFFICIENT_DATA"),)
    at_s = instant_s(facts.at)
    if at_s is None:
        return (_bad(facts.at_field, facts.at, "send a time with zone, e.g. 2019-10-02T17:04:40.989+0000"),)
    untimely = _untimely(at_s, facts, expected.now_s)
    if untimely is not None:
        return (untimely,)
    found = _targets(arn, facts, expected)
    if isinstance(found, Rejected):
        return (found,)
    first = Wake(
        target=found[0],
        source=facts.source,
        kind=_kind(facts),
        alarm_arn=arn,
        state=state,
        previous=_state(facts.previous),
        at_s=at_s,
        reason=text(facts.reason, REASON_CHARS_MAX) or "",
        reason_values=_reason_values(facts.reason_data),
        muted=facts.muted,
        suppressed=facts.suppressed,
        contributor=text(child(facts.contributor, "id"), 1024) or "",
    )
    return tuple(first._replace(target=target) for target in found)


def _bad(field: str, value: object, remedy: str) -> Rejected:
    return Rejected(Code.BAD_FIELD, field, shown(value), remedy)


def _state(value: object) -> AlarmState | None:
    return AlarmState(value) if isinstance(value, str) and value in AlarmState.__members__ else None


def _foreign(region: str, account: str, field: str, expected: Expected) -> Rejected | None:
    if expected.accounts and account not in expected.accounts:
        remedy = "add the account to the settings if its alarms are meant to steer this controller"
        return Rejected(Code.FOREIGN_ACCOUNT, field, f"of account {account}", remedy)
    if expected.regions and region not in expected.regions:
        remedy = "add the region to the settings if its alarms are meant to steer this controller"
        return Rejected(Code.FOREIGN_REGION, field, f"of region {region}", remedy)
    return None


def _untimely(at_s: float, facts: _Facts, now_s: float) -> Rejected | None:
    """E3: what is too old or not yet possible may be recorded, and changes nothing."""
    age_s = now_s - at_s
    if age_s > AGE_S_MAX:
        remedy = f"nothing to do: older than {AGE_S_MAX:.0f} s, recorded only"
        return Rejected(Code.TOO_OLD, facts.at_field, f"{shown(facts.at)}, {age_s:.0f} s ago", remedy)
    if age_s < -SKEW_S_MAX:
        remedy = f"compare the clocks: at most {SKEW_S_MAX:.0f} s ahead is accepted"
        return Rejected(Code.FROM_THE_FUTURE, facts.at_field, f"{shown(facts.at)}, in {-age_s:.0f} s", remedy)
    return None


def _targets(arn: str, facts: _Facts, expected: Expected) -> tuple[str, ...] | Rejected:
    mapping, known = expected.alarm_targets, expected.targets
    candidates = targets.by_dimension(
        facts.configuration, child(facts.contributor, "attributes"), expected.namespace
    ) or targets.by_mapping(arn, mapping)
    if not candidates and facts.rule is not None:
        children = [c for c in (text(c, targets.ARN_CHARS_MAX) for c in facts.children) if c is not None]
        candidates = targets.by_children(children, mapping)
        candidates = candidates or targets.by_children(targets.rule_names(facts.rule), mapping)
    candidates = candidates or targets.by_convention(targets.name_in(arn))
    usable = targets.usable(candidates, known)
    if usable:
        return usable
    name = shown(candidates[0]) if candidates else f"not named by alarm {shown(targets.name_in(arn))}"
    remedy = (
        "watch a metric with a `target` dimension, name the alarm flyball/<target>/..., "
        "or map it in FLYBALL_ALARM_TARGETS"
    )
    if candidates:
        remedy = "add the target to the policy, or correct the alarm's dimension, name or mapping"
    return Rejected(Code.UNKNOWN_TARGET, "target", name, remedy)


def _kind(facts: _Facts) -> AlarmKind:
    if facts.rule is not None:
        return AlarmKind.COMPOSITE
    if isinstance(facts.contributor, dict):
        return AlarmKind.CONTRIBUTOR
    configuration = facts.configuration
    entries = members(child(configuration, "metrics"), targets.METRICS_MAX) or members(
        child(configuration, "Metrics"), targets.METRICS_MAX
    )
    formulas = [f for e in entries if isinstance(f := child(e, "expression") or child(e, "Expression"), str)]
    if any("ANOMALY_DETECTION_BAND" in f[:2048] for f in formulas):
        return AlarmKind.ANOMALY
    if formulas:
        return AlarmKind.MATH
    if entries or isinstance(child(configuration, "MetricName"), str):
        return AlarmKind.METRIC
    return AlarmKind.LOG if child(configuration, "logGroupIdentifiers") is not None else AlarmKind.OTHER


def _reason_values(data: object) -> ReasonValues:
    return ReasonValues(
        points=numbers(child(data, "recentDatapoints"), POINTS_MAX),
        threshold=number(child(data, "threshold")),
        lower=numbers(child(data, "recentLowerThresholds"), POINTS_MAX),
        upper=numbers(child(data, "recentUpperThresholds"), POINTS_MAX),
        period_s=number(child(data, "period")),
    )
