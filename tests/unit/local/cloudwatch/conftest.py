"""One embedded CloudWatch per test, and a boto3 client in front of it that checks every shape."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from flyball_local.cloudwatch import CloudWatchService, Transition, metric_key
from flyball_local.contractcheck import attach
from flyball_local.virtualclock import VirtualClock

T0 = 1_795_435_200  # 2026-11-23T12:00:00Z


def make_client(**more: Any) -> Any:
    """Return a CloudWatch client that reads no configuration of the machine's."""
    return boto3.Session().client(
        "cloudwatch",
        region_name="eu-west-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example",
        **more,
    )


def at(seconds: float) -> datetime:
    """Return T0 + seconds as boto3 wants times."""
    return datetime.fromtimestamp(T0 + seconds, tz=UTC)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(float(T0))


@pytest.fixture
def cloudwatch(clock: VirtualClock) -> CloudWatchService:
    return CloudWatchService(clock, region="eu-west-1")


@pytest.fixture(scope="session")
def bare() -> Any:
    """One client for all tests (making one takes longer than most tests); nothing answers it yet."""
    return make_client()


@pytest.fixture
def unchecked(bare: Any, cloudwatch: CloudWatchService) -> Iterator[Any]:
    """A client without the strict check: for requests that are wrong on purpose."""
    attachment = cloudwatch.attach(bare)
    yield bare
    attachment.detach()


@pytest.fixture
def client(unchecked: Any) -> Iterator[Any]:
    """A client whose requests and answers must both fit botocore's model, patterns and enums included."""
    check = attach(unchecked)
    yield unchecked
    check.detach()


KEY = metric_key("shop", "errors", {"target": "a"})


def definition(**changes: Any) -> dict[str, Any]:
    """A 1-of-1 alarm over errors > 5; None removes a member."""
    base: dict[str, Any] = {
        "AlarmName": "errors high",
        "Namespace": "shop",
        "MetricName": "errors",
        "Dimensions": [{"Name": "target", "Value": "a"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:alarms"],
    }
    return {k: v for k, v in (base | changes).items() if v is not None}


def step(
    cloudwatch: CloudWatchService, *values: float | None, period: int = 60, **more: int
) -> list[Transition]:
    """Let one period pass per value, report it at the period's end (None: nothing), evaluate each time."""
    made = []
    for value in values:
        start = cloudwatch.clock.now_s()
        cloudwatch.clock.advance(period)
        if value is not None:
            cloudwatch.store.put(KEY, value, at_s=start, now_s=start + period, **more)
        made += cloudwatch.evaluate()
    return made


def states(made: list[Transition]) -> list[str]:
    return [t.new.value.value for t in made]


def math_definition(expression: str, **changes: Any) -> dict[str, Any]:
    def metric(name: str) -> dict[str, Any]:
        return {
            "Metric": {
                "Namespace": "shop",
                "MetricName": name,
                "Dimensions": [{"Name": "target", "Value": "a"}],
            },
            "Period": 60,
            "Stat": "Sum",
        }

    return definition(
        MetricName=None,
        Namespace=None,
        Dimensions=None,
        Statistic=None,
        Period=None,
        Metrics=[
            {"Id": "share", "Expression": expression, "Label": "share"},
            {"Id": "e", "MetricStat": metric("errors"), "ReturnData": False},
            {"Id": "r", "MetricStat": metric("requests"), "ReturnData": False},
        ],
        **changes,
    )
