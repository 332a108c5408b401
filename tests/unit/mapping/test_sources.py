"""Maps and alarms of AWS as sources: from the SDK's own stubs, which check every parameter and reply."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ParamValidationError
from botocore.stub import Stubber

from flyball_analytics.cli.map import LEAVE_OUT
from flyball_analytics.mapping import sources
from flyball_analytics.mapping.alarms import from_alarms, from_monitors
from flyball_analytics.mapping.appsignals import from_application_signals
from flyball_analytics.mapping.asking import Asker
from flyball_analytics.mapping.clientmetrics import from_clients
from flyball_analytics.mapping.found import FoundFunction, FoundSource
from flyball_analytics.mapping.servicegraph import from_xray
from flyball_analytics.mapping.targetnames import target_of
from unit.mapping.stubs import NOW, NOW_S, REGION, days, no_other_account, stubbed

DOCS = Path(__file__).resolve().parents[3] / "docs/how-to/map.md"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    """The SDK may look nowhere else."""
    no_other_account(monkeypatch)


def edge(
    to: int, *, ok: int, faults: int = 0, throttles: int = 0, others: int = 0, **more: object
) -> dict[str, Any]:
    total = ok + faults + throttles + others
    return {
        "ReferenceId": to,
        "SummaryStatistics": {
            "OkCount": ok,
            "FaultStatistics": {"TotalCount": faults},
            "ErrorStatistics": {"ThrottleCount": throttles, "TotalCount": throttles + others},
            "TotalCount": total,
        },
        **more,
    }


HISTOGRAM = [{"Value": 0.1, "Count": 97}, {"Value": 0.4, "Count": 2}, {"Value": 2.0, "Count": 1}]
GRAPH = {
    "Services": [
        {
            "ReferenceId": 0,
            "Name": "checkout",
            "Type": "AWS::Lambda::Function",
            "SummaryStatistics": {"TotalCount": 50},
            "Edges": [
                edge(1, ok=95, faults=2, throttles=1, others=2, ResponseTimeHistogram=HISTOGRAM),
                edge(2, ok=3),
                edge(3, ok=9, EdgeType="link"),
                edge(4, ok=1),
                edge(9, ok=1),
                edge(6, ok=2),
            ],
        },
        {"ReferenceId": 1, "Name": "pay.example", "Type": "remote"},
        {"ReferenceId": 2, "Name": "orders", "Type": "AWS::DynamoDB::Table"},
        {"ReferenceId": 3, "Name": "later", "Type": "AWS::Lambda::Function", "Edges": [edge(1, ok=1)]},
        {"ReferenceId": 4, "Name": "a name", "Type": "remote"},
        {"ReferenceId": 5, "Name": "you", "Type": "client", "Edges": [edge(0, ok=50)]},
        {"ReferenceId": 6, "Name": "carts", "Type": "AWS::DynamoDB::Table"},
    ]
}
EMPTY: dict[str, Any] = {"Services": []}


def test_the_service_graph_shows_calls_latencies_and_failures():
    """100 calls of 50 requests: 2 each; 2 faults and 1 throttle of 100 failed, 2 were the caller's fault."""
    client = stubbed("xray", *(("get_service_graph", reply) for reply in (GRAPH, EMPTY, EMPTY, EMPTY)))
    found = from_xray(client, functions=["checkout", "mailer"], now_s=NOW_S)
    assert found.calls["checkout", "pay.example"] == {"calls_per_request": 2.0}
    assert found.targets["pay.example"] == {
        "kind": "api",
        "latency_ms": 100.0,
        "latency_p99_ms": 400.0,  # 97 + 2 of 100 are no slower
        "error_ratio": 0.03,
    }
    assert found.targets["dynamodb"] == {"kind": "database"}  # five calls make no median
    assert set(found.calls) == {("checkout", "pay.example"), ("checkout", "dynamodb")}
    assert "X-Ray: no traces of mailer in 24 h (tracing off, or no traffic)" in found.unknown
    assert "X-Ray: 'a name' cannot be the name of a target" in found.unknown
    assert any("dynamodb stands for carts, orders" in text for text in found.unknown)


def test_windows_of_six_hours_are_added_up():
    """X-Ray answers for six hours at most; a nightly job is in one of four."""
    client = stubbed("xray", *(("get_service_graph", reply) for reply in (GRAPH, GRAPH, EMPTY, EMPTY)))
    found = from_xray(client, functions=["checkout"], now_s=NOW_S)
    assert found.calls["checkout", "pay.example"] == {"calls_per_request": 2.0}
    assert found.targets["pay.example"]["error_ratio"] == 0.03
    asked: list[dict[str, Any]] = []
    client = boto3.client("xray", region_name=REGION)
    client.meta.events.register(
        "provide-client-params.xray.GetServiceGraph", lambda params, **_: asked.append(params)
    )
    with Stubber(client) as stub:
        for _ in range(4):
            stub.add_response("get_service_graph", EMPTY)
        from_xray(client, functions=["checkout"], now_s=NOW_S)
    assert [(NOW - call["StartTime"]).total_seconds() / 3_600 for call in asked] == [6, 12, 18, 24]
    assert all(call["EndTime"] - call["StartTime"] == timedelta(hours=6) for call in asked)


def test_few_traces_make_no_figures():
    """A median of three is a guess."""
    thin = {
        "Services": [{**GRAPH["Services"][0], "SummaryStatistics": {"TotalCount": 3}}, *GRAPH["Services"][1:]]
    }
    client = stubbed("xray", *(("get_service_graph", reply) for reply in (thin, EMPTY, EMPTY, EMPTY)))
    assert from_xray(client, functions=["checkout"], now_s=NOW_S).calls["checkout", "pay.example"] == {}


SERVICE = {"Type": "Service", "Name": "checkout", "Environment": "lambda:default"}


def reference(name: str) -> dict[str, Any]:
    return {
        "Namespace": "ApplicationSignals",
        "MetricType": name.upper(),
        "MetricName": name,
        "Dimensions": [{"Name": "RemoteService", "Value": "pay.example"}],
    }


def dependency(keys: dict[str, str], operation: str = "POST /pay", *names: str) -> dict[str, Any]:
    return {
        "OperationName": "handler",
        "DependencyKeyAttributes": keys,
        "DependencyOperationName": operation,
        "MetricReferences": [reference(name) for name in names],
    }


def test_application_signals_shows_dependencies_and_the_metrics_behind_them():
    """Of two operations the one used most tells the latency, the slowest the 99th percentile."""
    services = [
        {"KeyAttributes": keys, "MetricReferences": []}
        for keys in (SERVICE, {**SERVICE, "Name": "other"}, {"Type": "Resource", "Name": "checkout"})
    ]
    remote = {"Type": "RemoteService", "Name": "pay.example", "Environment": "x"}
    listed = [
        dependency(remote, "GET /pay", "Latency", "Fault"),
        dependency(remote, "POST /pay", "Latency"),
        dependency({"Type": "AWS::Resource", "ResourceType": "AWS::DynamoDB::Table", "Identifier": "orders"}),
        dependency({"Type": "AWS::Service", "Name": "AWS::SQS"}),
        dependency({"Type": "AWS::Service", "Name": "S3"}),
        dependency({"Type": "RemoteService", "Name": "no name"}),
    ]
    client = stubbed(
        "application-signals",
        ("list_services", {"StartTime": NOW, "EndTime": NOW, "ServiceSummaries": services}),
        ("list_service_dependencies", {"StartTime": NOW, "EndTime": NOW, "ServiceDependencies": listed}),
    )
    metrics = stubbed(
        "cloudwatch",
        (
            "get_metric_statistics",
            days(
                ("02", {"SampleCount": 100.0, "p50": 80.0, "p99": 300.0}),
                ("03", {"SampleCount": 100.0, "p50": 90.0, "p99": 9_000.0}),
                ("04", {"SampleCount": 100.0, "p50": 100.0, "p99": 400.0}),
            ),
        ),
        ("get_metric_statistics", days(("02", {"Sum": 4.0}), ("03", {"Sum": 2.0}))),
        ("get_metric_statistics", days(("04", {"SampleCount": 100.0, "p50": 20.0, "p99": 700.0}))),
    )
    found = from_application_signals(client, metrics, functions=["checkout", "mailer"], now_s=NOW_S)
    assert found.targets == {
        # 6 faults of 400 calls; medians of days: 90 and 400 ms; the other operation's 700 is the worst.
        "pay.example": {"kind": "api", "latency_ms": 90.0, "latency_p99_ms": 700.0, "error_ratio": 0.015},
        "dynamodb": {"kind": "database"},
        "sqs": {"kind": "queue"},
        "s3": {"kind": "storage"},
    }
    assert set(found.calls) == {("checkout", name) for name in found.targets}
    assert "Application Signals: does not know mailer (not instrumented, or no traffic)" in found.unknown
    assert "Application Signals: 'no name' cannot be the name of a target" in found.unknown


@pytest.mark.parametrize(
    ("read", "needs"),
    [
        (
            lambda: from_xray(stubbed("xray", denied="get_service_graph"), functions=["f"], now_s=NOW_S),
            "X-Ray: AccessDeniedException (needs xray:GetServiceGraph)",
        ),
        (
            lambda: from_application_signals(
                stubbed("application-signals", denied="list_services"), None, functions=["f"], now_s=NOW_S
            ),
            "Application Signals: AccessDeniedException (needs application-signals:ListServices)",
        ),
        (
            lambda: from_clients(stubbed("cloudwatch", denied="list_metrics"), functions={}, now_s=NOW_S),
            "flyball's clients: AccessDeniedException (needs cloudwatch:ListMetrics)",
        ),
        (
            lambda: from_alarms(stubbed("cloudwatch", denied="describe_alarms"), targets=[], functions=["f"]),
            "CloudWatch alarms: AccessDeniedException (needs cloudwatch:DescribeAlarms)",
        ),
        (
            lambda: from_monitors(stubbed("appconfig", denied="list_applications")),
            "AppConfig monitors: AccessDeniedException (needs appconfig:ListApplications)",
        ),
    ],
)
def test_a_refusal_is_a_note_with_the_action_that_it_needs(read, needs):
    """A team without the permission gets the rest of its map, and a line for its administrator."""
    found: FoundSource = read()
    assert found.unknown == (needs,)
    assert (dict(found.calls), dict(found.targets)) == ({}, {})


def test_a_parameter_that_the_sdk_refuses_is_our_defect_and_no_note():
    """A note would hide it for ever."""
    client = boto3.client("appconfig", region_name=REGION)
    with pytest.raises(ParamValidationError):
        Asker().pages("x", client, "list_environments", "Items", "a", ApplicationId=7)
    with pytest.raises(ParamValidationError):
        Asker().ask("x", client.get_application, "a", ApplicationId=7)


def test_a_service_that_cannot_be_reached_is_a_note():
    """A region without Application Signals has no such host."""
    client = boto3.client("appconfig", region_name=REGION, endpoint_url="http://127.0.0.1:9")
    found = from_monitors(client)
    assert found.unknown == ("AppConfig monitors: EndpointConnectionError",)


def test_a_listing_without_end_is_cut_and_told():
    """Two hundred pages are twenty thousand services."""

    class Endless:
        def get_paginator(self, operation):
            return self

        def paginate(self):
            while True:
                yield {"Items": [operation_page]}

    operation_page = 1
    asker = Asker()
    assert len(asker.pages("x", Endless(), "list", "Items", "a") or ()) == 200
    assert asker.unknown == ["x: more than 200 pages; the rest was not read"]


def test_sources_are_asked_in_the_order_of_belief_and_those_left_out_are_not():
    """Alarms come after those that name targets: they are put to them."""
    asked: list[str] = []

    def client(service: str) -> Any:
        asked.append(service)
        return stubbed(service, denied="list_applications" if service == "appconfig" else "describe_alarms")

    found = [FoundFunction("f", {"requests_per_month": 10})]
    left_out = ("clients", "application-signals", "xray")
    told = list(sources.read_sources(client, found, targets=["a"], left_out=left_out, now_s=NOW_S))
    assert [one.name for one in told] == ["CloudWatch alarms", "AppConfig monitors"]
    assert asked == ["cloudwatch", "appconfig"]
    assert tuple(sources.SOURCES) == LEAVE_OUT


def test_the_docs_list_every_action_that_is_needed_and_no_other():
    """A policy copied from the page must do, and give nothing away."""
    blocks = DOCS.read_text().split("```json")[1:]
    (policy,) = (json.loads(block.partition("```")[0]) for block in blocks)
    (statement,) = policy["Statement"]
    assert statement["Action"] == list(sources.ACTIONS)


def test_the_actions_are_operations_of_the_sdk():
    """A misspelt action grants nothing, silently."""
    for action in sources.ACTIONS:
        service, _, operation = action.partition(":")
        model = boto3.client(service, region_name=REGION).meta.service_model
        assert operation in model.operation_names, action


@pytest.mark.parametrize(
    ("kind", "name", "target"),
    [
        ("AWS::Lambda::Function", "mailer", ("mailer", "function")),
        ("AWS::SQS::Queue", "https://sqs.eu-west-1.amazonaws.com/1/q", ("sqs", "queue")),
        ("AWS::RDS::DBInstance", "shop", ("rds", "database")),
        ("AWS::Bedrock", "Bedrock", ("bedrock", "api")),
        ("Database::SQL", "shop@db.example", ("shop@db.example", "database")),
        ("remote", "api.example:8080", ("api.example:8080", "api")),
        ("remote", "", None),
        ("client", "you", None),
    ],
)
def test_a_dependency_is_named_as_the_source_code_names_it(kind, name, target):
    """Otherwise code and traces would make two targets of one."""
    assert target_of(kind, name) == target


def test_dependencies_without_figures_and_beyond_the_limit_keep_their_calls(monkeypatch):
    """A fleet with more metrics than are read loses latencies, not its map."""
    monkeypatch.setattr("flyball_analytics.mapping.appsignals.METRICS_MAX", 2)
    remote = {"Type": "RemoteService", "Environment": "x"}
    listed = [dependency({**remote, "Name": name}, "GET", "Latency", "Fault") for name in ("a", "b")]
    client = stubbed(
        "application-signals",
        (
            "list_services",
            {
                "StartTime": NOW,
                "EndTime": NOW,
                "ServiceSummaries": [{"KeyAttributes": SERVICE, "MetricReferences": []}],
            },
        ),
        ("list_service_dependencies", {"StartTime": NOW, "EndTime": NOW, "ServiceDependencies": listed}),
    )
    metrics = stubbed("cloudwatch", ("get_metric_statistics", days()), ("get_metric_statistics", days()))
    found = from_application_signals(client, metrics, functions=["checkout"], now_s=NOW_S)
    assert found.targets == {"a": {"kind": "api"}, "b": {"kind": "api"}}
    assert "Application Signals: latencies beyond the first 2 metrics were not read" in found.unknown


def test_an_emulator_that_answers_something_else_is_a_note():
    """moto and others know part of AWS only."""

    class Odd:
        def get_paginator(self, operation):
            return self

        def paginate(self):
            return [("404", "not a reply")]

    asker = Asker()
    assert asker.pages("x", Odd(), "list", "Items", "a") is None
    assert asker.unknown == ["x: an answer that cannot be read"]
