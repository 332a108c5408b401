"""What the clients' own metrics and the account's alarms tell: from moto, and from the SDK's stubs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flyball.telemetry import COUNT_METRICS, LATENCY
from flyball_analytics.mapping.alarms import from_alarms, from_monitors
from flyball_analytics.mapping.clientmetrics import from_clients
from unit.mapping.stubs import NOW, NOW_S, REGION, days, no_other_account, stubbed


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    """The SDK may look nowhere else."""
    no_other_account(monkeypatch)


@pytest.fixture
def metrics():
    """CloudWatch with two guarded targets, one of them used by a function of the map."""
    with mock_aws():
        client = boto3.client("cloudwatch", REGION)
        for day, requests, failures, latency in (
            (1, 1_000, 10, 80.0),
            (2, 1_000, 600, 9_000.0),
            (3, 500, 10, 90.0),
        ):
            for dimensions in (("target",), ("target", "function")):
                put(client, "requests", float(requests), day, dimensions)
                put(client, "first_attempt_failures", float(failures), day, dimensions)
                put(client, LATENCY, latency, day, dimensions)
        put(client, "requests", 1.0, 1, ("target", "function"), function="elsewhere")
        yield client


def put(
    client: Any, name: str, value: float, day: int, dimensions: tuple[str, ...], function: str = "checkout"
) -> None:
    assert name in (*COUNT_METRICS, LATENCY)
    values = {"target": "payments-api", "function": function}
    client.put_metric_data(
        Namespace="flyball",
        MetricData=[
            {
                "MetricName": name,
                "Value": value,
                "Timestamp": NOW - timedelta(days=day, seconds=-60),
                "Dimensions": [{"Name": size, "Value": values[size]} for size in dimensions],
            }
        ],
    )


def test_the_clients_own_metrics_tell_the_normal_day(metrics):
    """Shares of 1 %, 60 % and 2 %: the day of the outage does not make 2 % into 21 %."""
    found = from_clients(
        metrics, functions={"checkout": 2_500.0 / 14 * 730 / 24, "mailer": None}, now_s=NOW_S
    )
    assert found.calls == {("checkout", "payments-api"): {"calls_per_request": 1.0}}
    assert found.targets["payments-api"]["error_ratio"] == 0.02
    assert "flyball's clients: have sent nothing from mailer" in found.unknown
    silent = from_clients(metrics, functions={"checkout": None}, now_s=NOW_S)
    assert silent.calls == {("checkout", "payments-api"): {}}


LATENCIES = (("02", 80.0), ("03", 9_000.0), ("04", 90.0))


def test_latencies_of_clients_are_the_median_of_their_days():
    """CloudWatch keeps percentiles where moto has none, so they come from stubs."""
    pair = {"Namespace": "flyball", "MetricName": "requests"}
    sizes = [{"Name": "target", "Value": "pay"}, {"Name": "function", "Value": "f"}]
    client = stubbed(
        "cloudwatch",
        ("list_metrics", {"Metrics": [{**pair, "Dimensions": sizes}]}),
        ("get_metric_statistics", days(("04", {"Sum": 10.0}))),
        ("get_metric_statistics", days(("04", {"Sum": 10.0}))),
        ("get_metric_statistics", days(("04", {"Sum": 1.0}))),
        (
            "get_metric_statistics",
            days(
                *((day, {"p50": p, "p99": 4 * p}) for day, p in (("02", 80.0), ("03", 9_000.0), ("04", 90.0)))
            ),
        ),
    )
    found = from_clients(client, functions={"f": 1e9}, now_s=NOW_S)
    assert found.targets == {"pay": {"error_ratio": 0.1, "latency_ms": 90.0, "latency_p99_ms": 360.0}}
    assert found.calls == {("f", "pay"): {}}  # under a thousandth of a call a request is no figure


def alarm(name: str, space: str, **sizes: str) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "Namespace": space,
        "Dimensions": [{"Name": key, "Value": value} for key, value in sizes.items()],
    }


def test_alarms_are_put_to_what_they_watch():
    """By the client's metric, a service's, a remote service's, and through composites; the rest is named."""
    inside = alarm("", "flyball", target="payments-api")
    metric = {"Namespace": "flyball", "Dimensions": inside["Dimensions"]}
    plain = [
        alarm("pay-errors", "flyball", target="payments-api"),
        alarm("table-throttles", "AWS/DynamoDB", TableName="orders"),
        alarm("remote-slow", "ApplicationSignals", RemoteService="crm.example"),
        alarm("checkout-errors", "AWS/Lambda", FunctionName="checkout"),
        alarm("disk", "Custom", Host="a"),
        alarm("controller-age", "flyball", Function="tick"),
        {
            "AlarmName": "math",
            "Metrics": [{"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}],
        },
    ]
    rule = 'ALARM("pay-errors") OR (ALARM(checkout-errors) AND NOT OK("gone"))'
    circle = [{"AlarmName": "a", "AlarmRule": "ALARM(b)"}, {"AlarmName": "b", "AlarmRule": "ALARM(a)"}]
    client = stubbed(
        "cloudwatch",
        ("describe_alarms", {"MetricAlarms": plain}),
        ("describe_alarms", {"CompositeAlarms": [{"AlarmName": "shop", "AlarmRule": rule}, *circle]}),
    )
    targets = ["payments-api", "dynamodb", "crm.example", "quiet"]
    found = from_alarms(client, targets=targets, functions=["checkout", "mailer"])
    assert found.targets == {
        "payments-api": {"alarms": ["math", "pay-errors", "shop"]},
        "dynamodb": {"alarms": ["table-throttles"]},
        "crm.example": {"alarms": ["remote-slow"]},
    }
    assert found.unknown == (
        "CloudWatch alarms: what these are about: a, b, disk (write alarms: yourself)",
        "CloudWatch alarms: none watches mailer",
    )


def test_monitors_of_every_environment_roll_back():
    """Their names are those of alarms, whatever the ARN's account."""
    arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm"
    client = stubbed(
        "appconfig",
        ("list_applications", {"Items": [{"Id": "abcdef1", "Name": "flyball"}]}),
        (
            "list_environments",
            {
                "Items": [
                    {"Monitors": [{"AlarmArn": f"{arn}:shop"}, {"AlarmArn": f"{arn}:own"}]},
                    {"Id": "abcdef2"},
                ]
            },
        ),
    )
    assert from_monitors(client).rollback_alarms == ("own", "shop")
