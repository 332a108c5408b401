"""Definitions of metric alarms over boto3: refused, replaced, deleted. Fidelity: emulator, contract."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball_local.cloudwatch import CloudWatchError, CloudWatchService

from .conftest import definition, math_definition, states, step


def test_reason_data_set_by_hand_must_be_json(client: Any) -> None:
    """Auto Scaling and handlers parse it."""
    client.put_metric_alarm(**definition())
    with pytest.raises(client.exceptions.InvalidFormatFault):
        client.set_alarm_state(
            AlarmName="errors high", StateValue="OK", StateReason="r", StateReasonData="{no"
        )


def test_an_update_replaces_everything_and_keeps_the_state(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """PutMetricAlarm with fewer members clears the others; that is how thresholds lose their actions."""
    client.put_metric_alarm(**definition(AlarmDescription="first"))
    step(cloudwatch, 9.0)
    client.put_metric_alarm(**definition(Threshold=20.0, AlarmActions=None))
    (shown,) = client.describe_alarms()["MetricAlarms"]
    assert (shown["StateValue"], shown["Threshold"], shown["AlarmActions"]) == ("ALARM", 20.0, [])
    assert "AlarmDescription" not in shown
    assert states(cloudwatch.evaluate()) == ["OK"]  # re-evaluated at once on its new threshold


def test_disabled_actions_silence_actions_and_not_events(client: Any, cloudwatch: CloudWatchService) -> None:
    """EventBridge hears of every change."""
    client.put_metric_alarm(**definition())
    client.disable_alarm_actions(AlarmNames=["errors high"])
    assert [t.actions for t in step(cloudwatch, 9.0)] == [()]
    assert client.describe_alarms()["MetricAlarms"][0]["ActionsEnabled"] is False
    client.enable_alarm_actions(AlarmNames=["errors high"])
    assert [len(t.actions) for t in step(cloudwatch, 0.0, 9.0)] == [0, 1]


def test_a_callers_later_changes_do_not_reach_the_definition(cloudwatch: CloudWatchService) -> None:
    """In process nothing is serialised: the service must take its own copy."""
    params = definition()
    cloudwatch.handle("PutMetricAlarm", params)
    params["AlarmActions"].append("arn:aws:sns:eu-west-1:123456789012:other")
    shown = cloudwatch.handle("DescribeAlarms", {})["MetricAlarms"][0]
    assert len(shown["AlarmActions"]) == 1
    shown["AlarmActions"].clear()
    assert len(cloudwatch.handle("DescribeAlarms", {})["MetricAlarms"][0]["AlarmActions"]) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"Threshold": None}, "Threshold"),
        ({"ComparisonOperator": None}, "ComparisonOperator"),
        ({"EvaluationPeriods": None}, "EvaluationPeriods"),
        ({"Period": None}, "Period"),
        ({"Statistic": None}, "Statistic"),
        ({"ExtendedStatistic": "p99"}, "Statistic"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm=2"),
        ({"Period": 45}, "Period=45"),
        ({"Period": 5}, "Period=5"),
        ({"EvaluationPeriods": 1_441}, "86400"),
        ({"Period": 3_600, "EvaluationPeriods": 169}, "604800"),
        ({"TreatMissingData": "nonBreaching"}, "did you mean 'notBreaching'"),
        ({"TreatMissingData": "zzz"}, "must be one of"),
        ({"EvaluateLowSampleCountPercentile": "maybe"}, "evaluate"),
        ({"Statistic": None, "ExtendedStatistic": "tm90"}, "tm90"),
        ({"ComparisonOperator": "LessThanLowerThreshold"}, "LessThanLowerThreshold"),
        ({"ThresholdMetricId": "ad1"}, "ThresholdMetricId"),
        ({"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 5}}, "WarmUpConfiguration"),
        ({"Metrics": [{"Id": "m1", "Expression": "1"}]}, "Namespace"),
    ],
)
def test_a_definition_that_cannot_be_kept_is_refused(client: Any, changes: dict[str, Any], says: str) -> None:
    """Refused, never half-obeyed."""
    with pytest.raises(ClientError) as caught:
        client.put_metric_alarm(**definition(**changes))
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert says in caught.value.response["Error"]["Message"]
    assert client.describe_alarms()["MetricAlarms"] == []


def test_metrics_of_an_alarm_must_fit_together(client: Any) -> None:
    """One result, one period, at least one metric."""
    two = math_definition("e / r")
    two["Metrics"][1]["ReturnData"] = True
    mixed = math_definition("e / r")
    mixed["Metrics"][2]["MetricStat"]["Period"] = 300
    for params, says in (
        (two, "exactly one"),
        (mixed, "same Period"),
        (math_definition("1 + 1"), "no metric"),
    ):
        with pytest.raises(ClientError, match=says):
            client.put_metric_alarm(**params)


def test_names_beyond_the_model_are_refused(unchecked: Any) -> None:
    """Lengths and enums: the service validates them, botocore does not."""
    with pytest.raises(ClientError) as caught:
        unchecked.put_metric_alarm(**definition(AlarmName="x" * 256))
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="StateValue"):
        unchecked.set_alarm_state(AlarmName="a", StateValue="Alarm", StateReason="r")


def test_an_unknown_alarm_is_not_found(cloudwatch: CloudWatchService) -> None:
    """By code."""
    with pytest.raises(CloudWatchError) as caught:
        cloudwatch.alarm_state("absent")
    assert caught.value.code == "ResourceNotFound"


def test_deleting_forgets_known_names_and_passes_over_others(client: Any) -> None:
    """Documented: alarms with correct names are deleted even if others are wrong."""
    client.put_metric_alarm(**definition())
    client.delete_alarms(AlarmNames=["errors high", "absent"])
    assert client.describe_alarms()["MetricAlarms"] == []
