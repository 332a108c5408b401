"""Metric alarms over boto3: evaluation and transitions. Fidelity: emulator, botocore contract."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_local.cloudwatch import AlarmState, CloudWatchService, Transition
from flyball_local.virtualclock import VirtualClock

from .conftest import KEY, T0, definition, math_definition, states, step


def test_a_new_alarm_knows_nothing_and_then_decides(client: Any, cloudwatch: CloudWatchService) -> None:
    """Creation sets INSUFFICIENT_DATA; the first evaluation sets the state the data call for."""
    client.put_metric_alarm(**definition())
    assert cloudwatch.alarm_state("errors high") == "INSUFFICIENT_DATA"
    made = step(cloudwatch, 1.0, 1.0, 9.0, 9.0, 2.0)
    assert states(made) == ["OK", "ALARM", "OK"]
    assert [t.old.value.value for t in made] == ["INSUFFICIENT_DATA", "OK", "ALARM"]
    assert made[1].actions == ("arn:aws:sns:eu-west-1:123456789012:alarms",)
    assert made[2].actions == ()


def test_an_alarm_says_why_in_cloudwatchs_words(client: Any, cloudwatch: CloudWatchService) -> None:
    """People read the reason, handlers parse its data; worked by hand for 12:01."""
    client.put_metric_alarm(**definition(Unit="Count"))
    (made,) = step(cloudwatch, 9.0, unit="Count")  # type: ignore[arg-type]
    assert made.new.reason == (
        "Threshold Crossed: 1 datapoint [9.0 (23/11/26 12:00:00)] was greater than the threshold (5.0)."
    )
    assert json.loads(made.new.reason_data or "") == {
        "version": "1.0",
        "queryDate": "2026-11-23T12:01:00.000+0000",
        "startDate": "2026-11-23T12:00:00.000+0000",
        "unit": "Count",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [9.0],
        "threshold": 5.0,
        "evaluatedDatapoints": [
            {"timestamp": "2026-11-23T12:00:00.000+0000", "sampleCount": 1.0, "value": 9.0}
        ],
    }


def test_m_of_n_is_worded_with_both_numbers(client: Any, cloudwatch: CloudWatchService) -> None:
    """The wording AWS uses when DatapointsToAlarm is given: 2 to alarm, 3 - 2 + 1 = 2 to recover."""
    client.put_metric_alarm(**definition(EvaluationPeriods=3, DatapointsToAlarm=2))
    made = step(cloudwatch, 0.0, 9.0, 8.0, 1.0, 2.0)
    assert states(made) == ["OK", "ALARM", "OK"]
    assert made[1].new.reason == (
        "Threshold Crossed: 2 out of the last 3 datapoints "
        "[9.0 (23/11/26 12:01:00), 8.0 (23/11/26 12:02:00)] were greater than the threshold (5.0) "
        "(minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert "not greater than the threshold (5.0) (minimum 2 datapoints for ALARM -> OK" in made[2].new.reason


@pytest.mark.parametrize(
    ("treat", "state", "reason"),
    [
        ("missing", "INSUFFICIENT_DATA", "Insufficient Data: 1 datapoint was unknown."),
        (
            "breaching",
            "ALARM",
            "Threshold Crossed: no datapoints were received for 1 period "  # noqa: ISC004 - one reason
            "and 1 missing datapoint was treated as [Breaching].",
        ),
    ],
)
def test_silence_is_treated_as_the_alarm_says_once_the_range_is_empty(
    client: Any, cloudwatch: CloudWatchService, treat: str, state: str, reason: str
) -> None:
    """One of one looks back three periods: the third silent minute is the first without a real point."""
    client.put_metric_alarm(**definition(TreatMissingData=treat))
    assert states(step(cloudwatch, 0.0, None, None)) == ["OK"]
    (made,) = step(cloudwatch, None)
    assert (made.new.value.value, made.new.reason) == (state, reason)
    assert "startDate" not in json.loads(made.new.reason_data or "")


def test_silence_is_good_or_changes_nothing_if_the_alarm_says_so(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """notBreaching ends an alarm, ignore keeps it."""
    client.put_metric_alarm(**definition(TreatMissingData="notBreaching"))
    client.put_metric_alarm(**definition(TreatMissingData="ignore", AlarmName="kept"))
    step(cloudwatch, 9.0, None, None)
    assert states(step(cloudwatch, None)) == ["OK"]
    assert cloudwatch.alarm_state("kept") == "ALARM"


def test_a_dynamodb_metric_always_ignores_missing_data(client: Any, cloudwatch: CloudWatchService) -> None:
    """Documented exception, whatever TreatMissingData says."""
    client.put_metric_alarm(**definition(Namespace="AWS/DynamoDB", TreatMissingData="breaching"))
    assert step(cloudwatch, None, None, None, None) == []


@pytest.mark.parametrize(
    ("operator", "breaching", "good"),
    [
        ("GreaterThanThreshold", 5.5, 5.0),
        ("GreaterThanOrEqualToThreshold", 5.0, 4.5),
        ("LessThanThreshold", 4.5, 5.0),
        ("LessThanOrEqualToThreshold", 5.0, 5.5),
    ],
)
def test_every_comparison_has_its_side_of_equality(
    client: Any, cloudwatch: CloudWatchService, operator: str, breaching: float, good: float
) -> None:
    """On the threshold itself the operators differ."""
    client.put_metric_alarm(**definition(ComparisonOperator=operator))
    assert states(step(cloudwatch, breaching, good)) == ["ALARM", "OK"]


def test_alarms_are_evaluated_each_minute_even_for_longer_periods(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """A 5-minute alarm slides by the minute: the sum passes 5 in the third minute, not at the fifth."""
    client.put_metric_alarm(**definition(Period=300, TreatMissingData="notBreaching"))
    made = step(cloudwatch, 2.0, 2.0, 2.0)
    assert states(made) == ["OK", "ALARM"]
    assert made[1].new.at_s == T0 + 180
    assert states(step(cloudwatch, 0.0, 0.0, 0.0)) == ["OK"]  # the first minute left the window


def test_short_periods_are_evaluated_every_ten_seconds(client: Any, cloudwatch: CloudWatchService) -> None:
    """High-resolution alarms react within ten seconds."""
    client.put_metric_alarm(**definition(Period=10))
    made = step(cloudwatch, 1.0, 9.0, 1.0, period=10, resolution_s=1)
    assert states(made) == ["OK", "ALARM", "OK"]
    assert [t.new.at_s - T0 for t in made] == [10, 20, 30]


def test_an_alarm_is_evaluated_once_per_interval(
    client: Any, cloudwatch: CloudWatchService, clock: VirtualClock
) -> None:
    """Asking more often does not make CloudWatch faster."""
    client.put_metric_alarm(**definition(TreatMissingData="notBreaching"))
    assert states(cloudwatch.evaluate()) == ["OK"]
    cloudwatch.store.put(KEY, 9.0, at_s=T0 - 60, now_s=T0)
    clock.advance(59)
    assert cloudwatch.evaluate() == []
    clock.advance(1)
    assert states(cloudwatch.evaluate()) == ["ALARM"]


def test_a_state_set_by_hand_holds_until_the_next_evaluation(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """And is announced like any other, without reason data."""
    client.put_metric_alarm(**definition())
    step(cloudwatch, 1.0)
    heard: list[Transition] = []
    cloudwatch.on_transition(heard.append)
    client.set_alarm_state(AlarmName="errors high", StateValue="ALARM", StateReason="drill")
    assert cloudwatch.evaluate() == []
    assert cloudwatch.alarm_state("errors high") == "ALARM"
    assert (states(heard), heard[0].new.reason, heard[0].new.reason_data) == (["ALARM"], "drill", None)
    assert states(step(cloudwatch, 1.0)) == ["OK"]


def test_setting_the_present_state_is_no_transition(client: Any, cloudwatch: CloudWatchService) -> None:
    """Only changes act; the reason and its time are updated all the same."""
    client.put_metric_alarm(**definition())
    step(cloudwatch, 1.0)
    heard: list[Transition] = []
    cloudwatch.on_transition(heard.append)
    client.set_alarm_state(
        AlarmName="errors high", StateValue="OK", StateReason="checked", StateReasonData='{"by": "ops"}'
    )
    (shown,) = client.describe_alarms()["MetricAlarms"]
    assert heard == []
    assert (shown["StateReason"], shown["StateReasonData"]) == ("checked", '{"by": "ops"}')
    assert shown["StateUpdatedTimestamp"] > shown["StateTransitionedTimestamp"]


def test_an_alarm_on_an_expression_has_no_statistic(client: Any, cloudwatch: CloudWatchService) -> None:
    """10 errors in 40 requests are 25 percent, over 20."""
    client.put_metric_alarm(**math_definition("100 * e / r", Threshold=20.0))
    cloudwatch.store.put(KEY._replace(name="requests"), 40.0, at_s=T0, now_s=T0)
    (made,) = step(cloudwatch, 10.0)
    data = json.loads(made.new.reason_data or "")
    assert (made.new.value, data["recentDatapoints"], "statistic" in data) == (
        AlarmState.ALARM,
        [25.0],
        False,
    )
    assert data["evaluatedDatapoints"] == [{"timestamp": "2026-11-23T12:00:00.000+0000", "value": 25.0}]


def test_an_expression_that_has_no_value_keeps_the_state_and_shows_it(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """Such an alarm must not be taken for healthy."""
    client.put_metric_alarm(**math_definition("e - SUM(r)"))
    assert step(cloudwatch, 9.0) == []
    (shown,) = client.describe_alarms()["MetricAlarms"]
    assert shown["EvaluationState"] == "EVALUATION_ERROR"
    cloudwatch.store.put(KEY._replace(name="requests"), 1.0, at_s=T0 + 60, now_s=T0 + 60)
    assert states(step(cloudwatch, 9.0)) == ["ALARM"]


def test_percentiles_of_few_samples_can_be_ignored(client: Any, cloudwatch: CloudWatchService) -> None:
    """p90 needs 10 / 0.1 = 100 samples."""
    extended = {"Statistic": None, "ExtendedStatistic": "p90"}
    client.put_metric_alarm(**definition(**extended, EvaluateLowSampleCountPercentile="ignore"))
    client.put_metric_alarm(**definition(**extended, AlarmName="evaluates"))
    made = step(cloudwatch, 9.0)
    assert [t.alarm.name for t in made] == ["evaluates"]
    now = cloudwatch.clock.now_s()
    cloudwatch.store.put(KEY, 9.0, count=99, at_s=now, now_s=now)
    assert [t.alarm.name for t in step(cloudwatch, 9.0)] == ["errors high"]


def test_the_clock_can_drive_the_evaluation(
    client: Any, cloudwatch: CloudWatchService, clock: VirtualClock
) -> None:
    """For worlds in which nobody calls evaluate: each minute, and every ten seconds for short periods."""
    heard: list[float] = []
    cloudwatch.on_transition(lambda t: heard.append(t.new.at_s - T0))
    cloudwatch.evaluate_on_clock()
    clock.advance(61)
    client.put_metric_alarm(**definition(TreatMissingData="notBreaching"))
    clock.advance(59)
    client.put_metric_alarm(**definition(AlarmName="short", Period=10, TreatMissingData="notBreaching"))
    clock.advance(60)
    cloudwatch.store.put(KEY, 9.0, at_s=T0 + 181, now_s=T0 + 181, resolution_s=1)
    clock.advance(12)
    assert heard == [120, 180, 190]
    cloudwatch.stop_evaluating()
    cloudwatch.stop_evaluating()
    clock.advance(600)
    assert len(heard) == 3
    assert clock.next_call_s() is None


def test_the_reason_data_fit_their_bound_however_long_the_range(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """4,000 characters: the oldest evaluated points are left out first, then the oldest values."""
    client.put_metric_alarm(**definition(EvaluationPeriods=1_000, DatapointsToAlarm=1))
    now = cloudwatch.clock.now_s()
    for minute in range(1_000):
        cloudwatch.store.put(KEY, 9.123456789, at_s=now - 60 - 60 * minute, now_s=now)
    (made,) = step(cloudwatch, 9.0)
    text = made.new.reason_data or ""
    assert len(text) <= 4_000
    assert json.loads(text)["recentDatapoints"][-1] == 9.0
    assert len(made.new.reason) <= 1_023


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(st.none(), st.sampled_from([0.0, 9.0]), st.sampled_from(["OK", "ALARM"])), max_size=25
    ),
    st.integers(1, 3).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
    st.sampled_from(["missing", "ignore", "breaching", "notBreaching"]),
)
def test_no_transition_repeats_a_state_and_their_times_rise(
    events: list[float | str | None], mn: tuple[int, int], treat: str
) -> None:
    """Law: consumers order and deduplicate by timestamp, and act on changes only."""
    cloudwatch = CloudWatchService(VirtualClock(float(T0)))
    cloudwatch.handle(
        "PutMetricAlarm",
        definition(DatapointsToAlarm=mn[0], EvaluationPeriods=mn[1], TreatMissingData=treat),
    )
    heard: list[Transition] = []
    cloudwatch.on_transition(heard.append)
    for event in events:
        if isinstance(event, str):
            by_hand = {"AlarmName": "errors high", "StateValue": event, "StateReason": "by hand"}
            cloudwatch.handle("SetAlarmState", by_hand)
        else:
            step(cloudwatch, event)
    before = AlarmState.INSUFFICIENT_DATA
    for made in heard:
        assert made.old.value is before is not made.new.value
        before = made.new.value
    times = [t.new.at_s for t in heard]
    assert all(b - a >= 0.000_9 for a, b in pairwise(times))
    assert cloudwatch.alarm_state("errors high") == before
