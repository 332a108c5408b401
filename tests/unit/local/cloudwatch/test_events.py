"""Alarm events: every shape against the recorded samples beside the handlers' tests.

Fidelity: the samples in tests/events follow AWS's documentation and recordings;
here the builders must have the same members and value types for the same kind of
alarm, and differ in content only.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flyball_local.cloudwatch import AlarmState, CloudWatchService, StateView, Transition, events, metric_key
from flyball_local.cloudwatch.alarmspec import AlarmView
from flyball_local.cloudwatch.stamps import millis

from .conftest import T0

SAMPLES = Path(__file__).parents[3] / "events"
ACCOUNT, REGION = "123456789012", "eu-west-1"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def transition(
    params: dict[str, Any], *, data: str | None = '{"version":"1.0"}', old_data: str | None = None
) -> Transition:
    name = params.get("AlarmName", "an alarm")
    view = AlarmView(
        name, f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}", ACCOUNT, REGION, params, T0 - 86_400.0
    )
    old = StateView(
        AlarmState.INSUFFICIENT_DATA, "Unchecked: Initial alarm creation", old_data, T0 - 86_400.0
    )
    return Transition(view, old, StateView(AlarmState.ALARM, "why", data, T0 + 0.989), ("arn:aws:sns:x",))


METRIC: dict[str, Any] = {
    "AlarmName": "errors",
    "AlarmDescription": "First attempts fail",
    "Namespace": "flyball",
    "MetricName": "first_attempt_failures",
    "Dimensions": [{"Name": "target", "Value": "payments"}],
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "DatapointsToAlarm": 1,
    "Threshold": 100,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "missing",
    "AlarmActions": [f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"],
}


def stat(name: str, *, id: str) -> dict[str, Any]:  # noqa: A002
    metric = {
        "Namespace": "flyball",
        "MetricName": name,
        "Dimensions": [{"Name": "target", "Value": "checkout"}],
    }
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False}


MATH: dict[str, Any] = {
    "AlarmName": "share",
    "AlarmDescription": "Share of failures",
    "Metrics": [
        {"Id": "e1", "Expression": "m1/m2", "Label": "failed share", "ReturnData": True},
        stat("first_attempt_failures", id="m1"),
        stat("requests", id="m2"),
    ],
    "EvaluationPeriods": 1,
    "Threshold": 0.08,
    "ComparisonOperator": "GreaterThanThreshold",
}
ANOMALY: dict[str, Any] = {
    "AlarmName": "band",
    "AlarmDescription": "p99 outside its band",
    "Metrics": [
        stat("latency", id="m1") | {"ReturnData": True},
        {"Id": "ad1", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)", "Label": "latency (expected)"},
    ],
    "EvaluationPeriods": 1,
    "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
    "ThresholdMetricId": "ad1",
}
COMPOSITE: dict[str, Any] = {
    "AlarmName": "path",
    "AlarmRule": "ALARM(a) OR ALARM(b)",
    "ActionsSuppressor": "maintenance",
    "ActionsSuppressorWaitPeriod": 120,
    "ActionsSuppressorExtensionPeriod": 180,
}
INSIGHTS: dict[str, Any] = {
    "AlarmName": "failing",
    "AlarmDescription": "Targets with many failures",
    "Metrics": [{"Id": "m1", "Expression": "SELECT SUM(m) FROM n GROUP BY target", "Period": 60}],
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
CAUSE = {"arn": "arn:a", "state": {"value": "ALARM", "timestamp": "2026-11-23T12:00:00.000+0000"}}
TRIGGERING = json.dumps({"triggeringAlarms": [CAUSE]})


def members(value: Any, path: str = "") -> set[tuple[str, str]]:
    """Return every path in an event with the type found there; positions in lists are not told apart."""
    if isinstance(value, dict):
        return {(path, "dict")}.union(*(members(v, f"{path}.{k}") for k, v in value.items()))
    if isinstance(value, list):
        return {(path, "list")}.union(*(members(v, f"{path}[]") for v in value))
    kind = (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )
    return {(path, kind)}


def test_a_metric_alarms_event_has_the_recorded_members() -> None:
    """EventBridge, single metric."""
    built = events.eventbridge_event(transition(METRIC, old_data="{}"))
    assert members(built) == members(sample("eventbridge_metric"))


def test_a_muted_alarms_event_has_the_recorded_members() -> None:
    """The state changes and the event is sent; only actions are muted."""
    recorded = sample("eventbridge_metric_muted")
    built = events.eventbridge_event(transition(METRIC, old_data="{}"), mute=recorded["detail"]["muteDetail"])
    assert members(built["detail"]["muteDetail"]) == members(recorded["detail"]["muteDetail"])


def test_a_math_alarms_event_has_the_recorded_members() -> None:
    """Previous state without reason data, as right after creation."""
    assert members(events.eventbridge_event(transition(MATH))) == members(sample("eventbridge_metric_math"))


def test_an_anomaly_alarms_event_has_the_recorded_members() -> None:
    """Both metrics are returned; there is no threshold."""
    built = events.eventbridge_event(transition(ANOMALY, old_data="{}"))
    assert members(built) == members(sample("eventbridge_anomaly"))
    assert [m["returnData"] for m in built["detail"]["configuration"]["metrics"]] == [True, True]


def test_a_composite_alarms_event_has_the_recorded_members() -> None:
    """A rule instead of metrics, and why actions are held back."""
    built = events.eventbridge_event(transition(COMPOSITE, old_data=TRIGGERING), suppressed_by="WaitPeriod")
    assert members(built) == members(sample("eventbridge_composite"))


def test_a_contributors_event_has_the_recorded_members() -> None:
    """Another detail type, no previous state."""
    built = events.contributor_event(transition(INSIGHTS, data=None), {"target": "search"})
    assert members(built) == members(sample("eventbridge_contributor"))
    other = events.contributor_event(transition(INSIGHTS, data=None), {"target": "stock"})
    ids = [e["detail"]["alarmContributor"]["id"] for e in (built, other)]
    assert ids[0] != ids[1]


def test_a_state_set_by_hand_has_no_reason_data() -> None:
    """SetAlarmState without StateReasonData."""
    built = events.eventbridge_event(transition(METRIC, data=None))
    assert "reasonData" not in built["detail"]["state"]


def test_a_direct_action_has_the_recorded_members() -> None:
    """alarmData, and milliseconds in `time`."""
    built = events.lambda_action_event(transition(METRIC | {"Unit": "Count"}, data=None, old_data="{}"))
    assert members(built) == members(sample("action_metric"))
    plain = {"AlarmName": "path", "AlarmRule": "ALARM(a)"}
    composite = events.lambda_action_event(transition(plain, data=TRIGGERING))
    absent = {(".alarmData.configuration.actionsSuppressor", "NoneType")}  # null there, left out here
    assert members(composite) == members(sample("action_composite")) - absent


def sns_text(event: Any) -> Any:
    return json.loads(event["Records"][0]["Sns"]["Message"])


@pytest.mark.parametrize(
    ("params", "name"), [(METRIC, "sns_metric"), (MATH, "sns_metric_math"), (COMPOSITE, "sns_composite")]
)
def test_an_sns_delivery_has_the_recorded_members(params: dict[str, Any], name: str) -> None:
    """Outside and inside of the JSON text; descriptions and a flag of newer messages may differ."""
    data = TRIGGERING if "AlarmRule" in params else "{}"
    built = events.records_event(events.sns_record(transition(params, data=data)))
    recorded = sample(name)
    assert members(built) == members(recorded)
    loose = (".AlarmDescription", ".ActionExecutedAfterMuteWindow", ".OKActions[]", ".AlarmActions[]")

    def told(event: Any) -> set[str]:
        return {path for path, _ in members(sns_text(event)) if path not in loose}

    assert told(built) == told(recorded)


def test_sns_writes_some_things_its_own_way() -> None:
    """The traps of this shape, each by value."""
    message = events.sns_message(transition(METRIC))
    assert message["Region"] == "EU (Ireland)"
    assert message["Trigger"]["Statistic"] == "SUM"
    assert message["Trigger"]["Dimensions"] == [{"name": "target", "value": "payments"}]
    assert (message["Trigger"]["Unit"], message["Trigger"]["Threshold"]) == (None, 100.0)
    assert message["StateChangeTime"] == "2026-11-23T12:00:00.989+0000"
    percentile = events.sns_message(
        transition(
            {k: v for k, v in METRIC.items() if k not in {"Statistic", "TreatMissingData"}}
            | {"ExtendedStatistic": "p99"}
        )
    )["Trigger"]
    assert (percentile["StatisticType"], percentile["ExtendedStatistic"]) == ("ExtendedStatistic", "p99")
    assert percentile["TreatMissingData"] == ""
    assert "Statistic" not in percentile


def test_a_composite_set_by_hand_has_no_triggering_children() -> None:
    """Nothing but the rule is known then."""
    assert events.sns_message(transition(COMPOSITE, data=None))["TriggeringChildren"] == []


def test_an_unknown_region_is_shown_by_its_code() -> None:
    """Newer regions than this botocore."""
    assert events.region_name("xx-nowhere-1") == "xx-nowhere-1"


def test_sqs_deliveries_have_the_recorded_members() -> None:
    """EventBridge in SQS and SNS in SQS; SNS spells its URL members in capitals there."""
    made = transition(METRIC, old_data="{}")
    for record, name in (
        (events.eventbridge_in_sqs_record(made), "sqs_eventbridge"),
        (events.sns_in_sqs_record(made), "sqs_sns"),
    ):
        recorded = sample(name)
        assert members(events.records_event(record)) == members(recorded)
        inside = [members(json.loads(r["body"])) for r in (record, recorded["Records"][0])]
        assert inside[0] == inside[1]
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()


def test_a_redelivery_changes_the_receipt_and_not_the_message() -> None:
    """SQS: same message id, higher receive count."""
    first, second = (events.eventbridge_in_sqs_record(transition(METRIC), receives=n) for n in (1, 2))
    assert first["messageId"] == second["messageId"]
    assert first["receiptHandle"] != second["receiptHandle"]
    assert [r["attributes"]["ApproximateReceiveCount"] for r in (first, second)] == ["1", "2"]
    poison = events.sqs_record("{not json", account=ACCOUNT, region=REGION, sent_s=T0)
    assert poison["body"] == "{not json"


def test_a_republished_event_has_another_id_and_nothing_else() -> None:
    """Deduplicate by alarm, timestamp and value, not by id."""
    made = transition(METRIC)
    first, again, second = (events.eventbridge_event(made, delivery=n) for n in (0, 0, 1))
    assert first == again
    assert first["id"] != second["id"]
    assert uuid.UUID(first["id"])
    assert {**first, "id": ""} == {**second, "id": ""}


def test_an_expressions_own_period_and_a_static_band_are_told(cloudwatch: CloudWatchService) -> None:
    """An anomaly alarm has no threshold in SNS either; a message without one must be readable."""
    trigger = events.sns_message(transition(ANOMALY))["Trigger"]
    assert "Threshold" not in trigger
    assert [q["Id"] for q in trigger["Metrics"]] == ["m1", "ad1"]


def test_times_have_each_shapes_own_format() -> None:
    """Seconds and Z outside, milliseconds and an offset without colon inside."""
    built = events.eventbridge_event(transition(METRIC))
    assert built["time"] == "2026-11-23T12:00:00Z"
    assert built["detail"]["state"]["timestamp"] == "2026-11-23T12:00:00.989+0000"
    assert (
        millis(datetime.fromisoformat(built["detail"]["state"]["timestamp"]).timestamp()) == T0 * 1000 + 989
    )
    assert events.sns_record(transition(METRIC))["Sns"]["Timestamp"] == "2026-11-23T12:00:00.989Z"


def test_an_evaluated_alarms_event_carries_its_evidence(cloudwatch: CloudWatchService) -> None:
    """From points to event without a hand in between."""
    cloudwatch.handle("PutMetricAlarm", METRIC)
    key = metric_key("flyball", "first_attempt_failures", {"target": "payments"})
    cloudwatch.store.put(key, 412.0, at_s=T0, now_s=T0)
    cloudwatch.clock.advance(60)
    (made,) = cloudwatch.evaluate()
    detail = events.eventbridge_event(made)["detail"]
    assert detail["state"]["reason"] == (
        "Threshold Crossed: 1 out of the last 1 datapoints [412.0 (23/11/26 12:00:00)] was greater than the "
        "threshold (100.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    recorded = set(json.loads(sample("eventbridge_metric")["detail"]["state"]["reasonData"]))
    assert recorded <= set(json.loads(detail["state"]["reasonData"]))
    assert "reasonData" not in detail["previousState"]
