"""Composite alarms: rules, following children, dependencies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball_local.cloudwatch import AlarmState, CloudWatchService, Transition
from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.rules import CHILDREN_MAX, DEPTH_MAX, alarm_name, parse_rule
from flyball_local.virtualclock import VirtualClock

STATES = {"a": AlarmState.ALARM, "b": AlarmState.OK, "c d": AlarmState.INSUFFICIENT_DATA}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("TRUE", True),
        ("FALSE", False),
        ("ALARM(a)", True),
        ("ALARM(b)", False),
        ('INSUFFICIENT_DATA("c d")', True),
        ("ALARM(arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a)", True),
        ("NOT ALARM(a)", False),
        ("NOT NOT ALARM(a)", True),
        ("ALARM(a) AND OK(b)", True),
        ("ALARM(a) AND NOT OK(b)", False),
        ("ALARM(b) AND ALARM(b) OR ALARM(a)", True),  # AND binds tighter
        ("ALARM(b) AND (ALARM(b) OR ALARM(a))", False),
        ("not alarm(b) and ok( b )", True),
        ("(((ALARM(a))))", True),
    ],
)
def test_rules_combine_states(text: str, holds: bool) -> None:
    """Worked by hand on a = ALARM, b = OK, c d = INSUFFICIENT_DATA."""
    assert parse_rule(text).holds(STATES.__getitem__) is holds


@pytest.mark.parametrize(
    "text",
    [
        "ALARM",
        "ALARM(",
        "ALARM()",
        "ALARM(a",
        "ALARM(a) ALARM(b)",
        "ALARM(a) AND",
        "OR ALARM(a)",
        "(ALARM(a)",
        "XOR(a)",
        "AT_LEAST(1, ALARM, (a, b))",
        "NOT",
        '"',
        " ",
        "(" * (DEPTH_MAX + 1) + "TRUE" + ")" * (DEPTH_MAX + 1),
        "(" * 10_000,
        " OR ".join(f"ALARM(a{i})" for i in range(CHILDREN_MAX + 1)),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Also hostile nesting."""
    with pytest.raises(CloudWatchError) as caught:
        parse_rule(text)
    assert caught.value.code == "ValidationError"


def test_an_alarm_is_named_by_name_or_arn() -> None:
    """A name that merely begins with arn stays a name."""
    assert alarm_name("arn:aws:cloudwatch:eu-west-1:1:alarm:x:y") == "x:y"
    assert alarm_name("arn:odd") == "arn:odd"


def child(client: Any, name: str) -> None:
    client.put_metric_alarm(
        AlarmName=name,
        Namespace="shop",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )


def turn(client: Any, name: str, value: str) -> None:
    client.set_alarm_state(AlarmName=name, StateValue=value, StateReason="by hand")


@pytest.fixture
def heard(cloudwatch: CloudWatchService) -> list[Transition]:
    made: list[Transition] = []
    cloudwatch.on_transition(made.append)
    return made


@pytest.fixture
def both(client: Any, cloudwatch: CloudWatchService, heard: list[Transition]) -> Any:
    """Children one and two, composite "both" over them, evaluated to OK."""
    for name in ("one", "two"):
        child(client, name)
    client.put_composite_alarm(
        AlarmName="both", AlarmRule="ALARM(one) AND ALARM(two)", AlarmActions=["arn:aws:sns:eu-west-1:1:t"]
    )
    assert cloudwatch.alarm_state("both") == "INSUFFICIENT_DATA"
    cloudwatch.evaluate()
    assert heard[-1].new.reason == (
        "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:both was created and its alarm rule evaluates to OK"
    )
    heard.clear()
    return client


def test_a_composite_follows_its_children_at_once(both: Any, heard: list[Transition]) -> None:
    """No evaluation in between; the child's transition comes first."""
    turn(both, "one", "ALARM")
    turn(both, "two", "ALARM")
    turn(both, "one", "OK")
    assert [(t.alarm.name, t.new.value.value) for t in heard] == [
        ("one", "ALARM"),
        ("two", "ALARM"),
        ("both", "ALARM"),
        ("one", "OK"),
        ("both", "OK"),
    ]
    alarmed = heard[2]
    assert alarmed.actions == ("arn:aws:sns:eu-west-1:1:t",)
    assert alarmed.new.reason == (
        "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:two transitioned to ALARM "
        "at Monday 23 November, 2026 12:00:00 UTC"
    )
    assert json.loads(alarmed.new.reason_data or "") == {
        "triggeringAlarms": [
            {
                "arn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:two",
                "state": {"value": "ALARM", "timestamp": "2026-11-23T12:00:00.000+0000"},
            }
        ]
    }


def test_a_composite_set_by_hand_stays_until_a_child_changes(
    both: Any, cloudwatch: CloudWatchService, clock: VirtualClock
) -> None:
    """Unlike a metric alarm, no evaluation brings it back."""
    turn(both, "both", "ALARM")
    clock.advance(600)
    cloudwatch.evaluate()
    assert cloudwatch.alarm_state("both") == "ALARM"
    turn(both, "one", "ALARM")
    assert cloudwatch.alarm_state("both") == "OK"


def test_a_new_composite_set_by_hand_is_not_evaluated_over(
    client: Any, cloudwatch: CloudWatchService
) -> None:
    """Also before its first evaluation."""
    child(client, "one")
    client.put_composite_alarm(AlarmName="new", AlarmRule="ALARM(one)")
    turn(client, "new", "ALARM")
    cloudwatch.evaluate()
    assert cloudwatch.alarm_state("new") == "ALARM"


def test_an_update_re_evaluates_the_rule(
    both: Any, cloudwatch: CloudWatchService, heard: list[Transition]
) -> None:
    """TRUE is there for testing actions."""
    both.put_composite_alarm(AlarmName="both", AlarmRule="TRUE OR ALARM(one)")
    cloudwatch.evaluate()
    assert (heard[-1].new.value, heard[-1].new.reason.split(" was ")[1]) == (
        AlarmState.ALARM,
        "updated and its alarm rule evaluates to ALARM",
    )


def test_composites_of_composites_follow_too(both: Any, cloudwatch: CloudWatchService) -> None:
    """Depth does not matter."""
    both.put_composite_alarm(AlarmName="upper", AlarmRule='NOT OK("both")')
    cloudwatch.evaluate()
    assert cloudwatch.alarm_state("upper") == "OK"
    turn(both, "one", "ALARM")
    turn(both, "two", "ALARM")
    assert cloudwatch.alarm_state("upper") == "ALARM"


def test_many_triggering_alarms_fit_the_bound(
    client: Any, cloudwatch: CloudWatchService, heard: list[Transition]
) -> None:
    """4,000 characters of reason data."""
    for number in range(60):
        child(client, f"child {number}")
    rule = " OR ".join(f'ALARM("child {n}")' for n in range(60))
    client.put_composite_alarm(AlarmName="any", AlarmRule=rule)
    cloudwatch.evaluate()
    text = heard[-1].new.reason_data or ""
    assert len(text) <= 4_000
    assert len(json.loads(text)["triggeringAlarms"]) > 10


@pytest.mark.parametrize(
    ("name", "rule", "says"),
    [
        ("new", "ALARM(absent)", "absent"),
        ("both", "ALARM(both)", "itself"),
        ("both", "OK(upper)", "itself"),
        ("one", "TRUE", "other kind"),
        ("new", "AT_LEAST(1, ALARM, (one))", "unexpected"),
    ],
)
def test_rules_over_nothing_or_in_circles_are_refused(
    both: Any, cloudwatch: CloudWatchService, name: str, rule: str, says: str
) -> None:
    """A circle would never settle."""
    both.put_composite_alarm(AlarmName="upper", AlarmRule="OK(both)")
    with pytest.raises(ClientError, match=says):
        both.put_composite_alarm(AlarmName=name, AlarmRule=rule)


def test_a_suppressor_is_refused_and_not_ignored(client: Any) -> None:
    """This emulator cannot hold actions back."""
    with pytest.raises(ClientError, match="ActionsSuppressor"):
        client.put_composite_alarm(AlarmName="x", AlarmRule="TRUE", ActionsSuppressor="y")


def test_a_child_in_use_cannot_be_deleted(both: Any) -> None:
    """Unless its composite goes with it; two composites never go in one call."""
    with pytest.raises(both.exceptions.ResourceConflict, match="both"):
        both.delete_alarms(AlarmNames=["one"])
    both.put_composite_alarm(AlarmName="other", AlarmRule="FALSE")
    with pytest.raises(ClientError, match="at most one composite"):
        both.delete_alarms(AlarmNames=["both", "other"])
    both.delete_alarms(AlarmNames=["both", "one"])
    assert [a["AlarmName"] for a in both.describe_alarms()["MetricAlarms"]] == ["two"]


def names(answer: dict[str, Any]) -> list[str]:
    return [a["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for a in answer[kind]]


def test_composites_are_listed_only_when_asked_for(both: Any) -> None:
    """The documented default that surprises."""
    assert names(both.describe_alarms()) == ["one", "two"]
    assert names(both.describe_alarms(AlarmTypes=["CompositeAlarm"])) == ["both"]
    (shown,) = both.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert shown["AlarmRule"] == "ALARM(one) AND ALARM(two)"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"AlarmNames": ["two", "absent"]}, ["two"]),
        ({"AlarmNamePrefix": "t"}, ["two"]),
        ({"StateValue": "ALARM"}, ["one"]),
        ({"StateValue": "OK", "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}, ["both"]),
        ({"ActionPrefix": "arn:aws:sns", "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}, ["both"]),
        ({"AlarmTypes": ["LogAlarm"]}, []),
    ],
)
def test_descriptions_are_filtered(both: Any, params: dict[str, Any], expected: list[str]) -> None:
    """Each filter alone and with types."""
    turn(both, "one", "ALARM")
    assert names(both.describe_alarms(**params)) == expected


def test_descriptions_come_in_pages(both: Any) -> None:
    """Follow NextToken or miss alarms."""
    types = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 2}
    first = both.describe_alarms(**types)
    second = both.describe_alarms(**types, NextToken=first["NextToken"])
    assert sorted(names(first)) == ["both", "one"]
    assert names(second) == ["two"]
    assert "NextToken" not in second
    for token in ("x", "Zm9vOjE="):
        with pytest.raises(both.exceptions.InvalidNextToken):
            both.describe_alarms(NextToken=token)


@pytest.mark.parametrize(
    "params", [{"ChildrenOfAlarmName": "x"}, {"AlarmNames": ["a"], "AlarmNamePrefix": "a"}]
)
def test_filters_that_cannot_be_kept_are_refused(client: Any, params: dict[str, Any]) -> None:
    """Never an unfiltered list instead."""
    with pytest.raises(ClientError) as caught:
        client.describe_alarms(**params)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
