"""Event patterns: which events a rule selects.

Expectations follow the EventBridge user guide's operator tables.
"""

from __future__ import annotations

from typing import Any

import pytest

from flyball_local.patterns import PatternError, check_pattern, matches
from unit.local.world import ALARM


@pytest.mark.parametrize(
    ("pattern", "event", "fits"),
    [
        ({"source": ["aws.cloudwatch"]}, ALARM, True),
        ({"source": ["aws.ec2", "aws.cloudwatch"]}, ALARM, True),
        ({"source": ["aws.ec2"]}, ALARM, False),
        ({"detail": {"state": {"value": ["ALARM"]}}}, ALARM, True),
        ({"detail": {"state": {"value": ["ALARM"]}, "alarmName": [{"prefix": "orders-"}]}}, ALARM, False),
        ({"detail": {"alarmName": [{"suffix": "-errors"}]}}, ALARM, True),
        ({"detail": {"alarmName": [{"equals-ignore-case": "PAYMENTS-errors"}]}}, ALARM, True),
        ({"detail": {"alarmName": [{"anything-but": ["payments-errors"]}]}}, ALARM, False),
        ({"detail": {"alarmName": [{"anything-but": "x"}]}}, ALARM, True),
        ({"detail": {"alarmName": [{"anything-but": {"prefix": "payments-"}}]}}, ALARM, False),
        ({"detail": {"muteDetail": [{"exists": False}]}}, ALARM, True),
        ({"detail": {"alarmName": [{"exists": True}]}}, ALARM, True),
        ({"detail": {"absent": {"deeper": [{"exists": False}]}}}, ALARM, True),
        ({"detail": {"absent": ["x"]}}, ALARM, False),
        ({"n": [{"numeric": [">=", 0, "<", 5]}]}, {"n": 5}, False),
        ({"n": [{"numeric": ["=", 5]}]}, {"n": 5.0}, True),
        ({"n": [{"numeric": ["<=", 5]}]}, {"n": "5"}, False),
        ({"n": [{"prefix": "5"}]}, {"n": 5}, False),
        ({"n": [1]}, {"n": True}, False),
        ({"n": [None]}, {"n": None}, True),
        ({"n": [None]}, {}, False),
        ({"resources": ["b"]}, {"resources": ["a", "b"]}, True),
        ({"list": {"name": ["x"]}}, {"list": [{"name": "y"}, {"name": "x"}]}, True),
        ({"$or": [{"source": ["aws.ec2"]}, {"detail-type": [{"prefix": "CloudWatch"}]}]}, ALARM, True),
        ({"$or": [{"source": ["aws.ec2"]}, {"source": ["aws.s3"]}]}, ALARM, False),
    ],
)
def test_a_pattern_selects_what_eventbridge_would(pattern: Any, event: Any, fits: bool):
    """A rule that matches too little loses alarms, one that matches too much loops."""
    check_pattern(pattern)
    assert matches(pattern, event) is fits


@pytest.mark.parametrize(
    ("pattern", "field"),
    [
        ({}, ""),
        ({"source": "aws.cloudwatch"}, "source"),
        ({"source": []}, "source"),
        ({"source": [["a"]]}, "source"),
        ({"detail": {"n": [{"nummeric": ["=", 1]}]}}, "detail.n"),
        ({"detail": {"n": [{"numeric": ["=", "1"]}]}}, "detail.n"),
        ({"detail": {"n": [{"numeric": [">", 1, "<"]}]}}, "detail.n"),
        ({"n": [{"exists": "yes"}]}, "n"),
        ({"n": [{"prefix": 1}]}, "n"),
        ({"n": [{"prefix": "a", "suffix": "b"}]}, "n"),
        ({"n": [{"cidr": "10.0.0.0/8"}]}, "n"),
        ({"n": [{"anything-but": {"prefx": "a"}}]}, "n"),
        ({"$or": [{"source": ["a"]}]}, "$or"),
        ({"$or": [{"source": ["a"]}, {"source": "b"}]}, "$or[1].source"),
    ],
)
def test_a_pattern_that_would_never_match_is_refused_with_its_field(pattern: Any, field: str):
    """A misspelt operator must fail when the rule is made, not drop events in an incident."""
    with pytest.raises(PatternError) as refused:
        check_pattern(pattern)
    assert refused.value.field == field
