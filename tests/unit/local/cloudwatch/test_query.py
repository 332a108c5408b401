"""GetMetricData through boto3: order, gaps, limits, pages, maths. Fidelity: emulator, botocore contract."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball_local.cloudwatch import CloudWatchService, metric_key
from flyball_local.virtualclock import VirtualClock

from .conftest import T0, at

DAY_S = 86_400


def put(cloudwatch: CloudWatchService, name: str, minute: int, value: float, **dimensions: str) -> None:
    now_s = cloudwatch.clock.now_s()
    key = metric_key("flyball", name, dimensions or {"target": "a"})
    cloudwatch.store.put(key, value, at_s=T0 + 60 * minute, now_s=now_s, unit="Count")


def query(name: str, *, stat: str = "Sum", period: int = 60, id: str = "q1", **more: Any) -> dict[str, Any]:  # noqa: A002
    metric = {
        "Namespace": "flyball",
        "MetricName": name,
        "Dimensions": [{"Name": "target", "Value": more.pop("target", "a")}],
    }
    unit = {"Unit": more.pop("unit")} if "unit" in more else {}
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat, **unit}, **more}


def ask(
    client: Any, *queries: dict[str, Any], start: float = 0, end: float = 600, **more: Any
) -> dict[str, Any]:
    answer: dict[str, Any] = client.get_metric_data(
        MetricDataQueries=list(queries), StartTime=at(start), EndTime=at(end), **more
    )
    return answer


def refused(client: Any, *queries: dict[str, Any], **more: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        ask(client, *queries, **more)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_newest_points_come_first_and_gaps_stay_gaps(client: Any, cloudwatch: CloudWatchService) -> None:
    """The default order is descending; reading it as ascending reverses time."""
    for minute, value in ((0, 1.0), (2, 3.0), (3, 4.0)):
        put(cloudwatch, "requests", minute, value)
    (result,) = ask(client, query("requests"))["MetricDataResults"]
    assert result["Timestamps"] == [at(180), at(120), at(0)]
    assert result["Values"] == [4.0, 3.0, 1.0]
    assert (result["Id"], result["Label"], result["StatusCode"]) == ("q1", "requests", "Complete")
    (result,) = ask(client, query("requests"), ScanBy="TimestampAscending")["MetricDataResults"]
    assert result["Values"] == [1.0, 3.0, 4.0]


def test_every_statistic_is_answered(client: Any, cloudwatch: CloudWatchService) -> None:
    """Percentiles above all, which the usual emulator cannot do."""
    for value in (1.0, 2.0, 2.0, 7.0):
        put(cloudwatch, "latency", 0, value)
    stats = ["Sum", "SampleCount", "Average", "Minimum", "Maximum", "p50", "p99", "p99.9"]
    queries = [query("latency", stat=s, id=f"q{i}", Label=s) for i, s in enumerate(stats)]
    answer = ask(client, *queries)["MetricDataResults"]
    found = {r["Label"]: r["Values"] for r in answer}
    assert found == {
        "Sum": [12.0],
        "SampleCount": [4.0],
        "Average": [3.0],
        "Minimum": [1.0],
        "Maximum": [7.0],
        "p50": [2.0],
        "p99": [7.0],
        "p99.9": [7.0],
    }


def test_a_query_sees_its_own_series_only(client: Any, cloudwatch: CloudWatchService) -> None:
    """Other dimensions, and a subset of the dimensions, are other series."""
    put(cloudwatch, "requests", 0, 1.0, target="a", function="f")
    put(cloudwatch, "requests", 0, 2.0, target="b")
    answers = ask(client, query("requests"), query("requests", id="q2", target="b"))["MetricDataResults"]
    assert [r["Values"] for r in answers] == [[], [2.0]]


def test_a_unit_narrows_the_query(client: Any, cloudwatch: CloudWatchService) -> None:
    """Null for a unit that was never used."""
    put(cloudwatch, "requests", 0, 1.0)
    answers = ask(client, query("requests", unit="Count"), query("requests", id="q2", unit="Percent"))
    assert [r["Values"] for r in answers["MetricDataResults"]] == [[1.0], []]


def test_the_start_is_rounded_down_to_the_minute(client: Any, cloudwatch: CloudWatchService) -> None:
    """12:00:34 means from 12:00:00 on."""
    put(cloudwatch, "requests", 0, 1.0)
    (result,) = ask(client, query("requests"), start=34)["MetricDataResults"]
    assert result["Timestamps"] == [at(0)]


@pytest.mark.parametrize(("age_days", "grain_s"), [(1, 60), (20, 300), (70, 3600)])
def test_the_start_is_rounded_by_age(
    client: Any, cloudwatch: CloudWatchService, clock: VirtualClock, age_days: int, grain_s: int
) -> None:
    """Past 15 days to five minutes, past 63 days to the hour."""
    put(cloudwatch, "requests", 0, 1.0)
    clock.advance(age_days * DAY_S)
    (result,) = ask(client, query("requests", period=3600), start=grain_s - 1, end=7200)["MetricDataResults"]
    assert result["Timestamps"] == [at(0)]
    (result,) = ask(client, query("requests", period=3600), start=grain_s, end=7200)["MetricDataResults"]
    assert result["Timestamps"] == []


def test_short_periods_round_the_start_to_themselves(client: Any, cloudwatch: CloudWatchService) -> None:
    """A 10-second query from :25 on begins at :20."""
    key = metric_key("flyball", "requests", {"target": "a"})
    for second in (0, 21, 39, 40):
        cloudwatch.store.put(key, 1.0, at_s=T0 + second, now_s=T0 + 60, resolution_s=1)
    (result,) = ask(client, query("requests", period=10), start=25, end=40)["MetricDataResults"]
    assert result["Timestamps"] == [at(30), at(20)]


def test_a_percentile_that_is_not_known_is_absent(client: Any, cloudwatch: CloudWatchService) -> None:
    """A minute of statistic sets has sums and no p99."""
    client.put_metric_data(
        Namespace="flyball",
        MetricData=[
            {
                "MetricName": "latency",
                "Dimensions": [{"Name": "target", "Value": "a"}],
                "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2},
            }
        ],
    )
    answers = ask(client, query("latency", stat="p99"), query("latency", id="q2"))["MetricDataResults"]
    assert [r["Values"] for r in answers] == [[], [3.0]]


def test_weeks_of_history_need_a_coarse_period(
    client: Any, cloudwatch: CloudWatchService, clock: VirtualClock
) -> None:
    """Asking one-minute points of 20 days ago gives nothing, and no error."""
    put(cloudwatch, "requests", 0, 1.0)
    clock.advance(20 * DAY_S)
    answers = ask(client, query("requests"), query("requests", id="q2", period=300))["MetricDataResults"]
    assert [r["Values"] for r in answers] == [[], [1.0]]


@pytest.mark.parametrize("period", [7, 61, 90, 59])
def test_odd_periods_are_refused(client: Any, period: int) -> None:
    """1, 5, 10, 20, 30 and multiples of 60 only."""
    code, message = refused(client, query("requests", period=period))
    assert code == "ValidationError"
    assert f"Period={period}" in message


def test_more_than_500_queries_are_refused(client: Any) -> None:
    """The documented limit of one call; a fleet of 50 targets with 12 metrics passes it."""
    queries = [query("requests", id=f"q{i}") for i in range(501)]
    assert refused(client, *queries)[0] == "ValidationError"
    assert len(ask(client, *queries[:500])["MetricDataResults"]) == 500


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        ([query("a"), query("b")], "used twice"),
        ([query("a", id="Q")], "lower-case"),
        ([query("a", stat="tm99")], "tm99"),
        ([{"Id": "q1"}], "either MetricStat or Expression"),
        ([{**query("a"), "Expression": "q1"}], "either MetricStat or Expression"),
        ([query("a", ReturnData=False)], "ReturnData"),
        ([query("a"), {"Id": "e1", "Expression": "q1 / zz"}], "zz"),
        ([query("a"), {"Id": "e1", "Expression": "RATE(q1)"}], "RATE"),
        ([query("a"), {"Id": "e1", "Expression": "SUM(q1) + 1"}], "SUM of a series"),
        ([{"Id": "e1", "Expression": "e2"}, {"Id": "e2", "Expression": "e1"}], "circle"),
        ([query("a"), {"Id": "e1", "Expression": "q1", "Period": 7}], "Period=7"),
        (
            [{"Id": "q1", "MetricStat": {"Metric": {"MetricName": "a"}, "Period": 60, "Stat": "Sum"}}],
            "Namespace",
        ),
    ],
)
def test_faulty_queries_are_refused_and_named(client: Any, queries: list[dict[str, Any]], says: str) -> None:
    """The message must lead to the query."""
    code, message = refused(client, *queries)
    assert code == "ValidationError"
    assert says in message


def test_an_empty_range_is_refused(client: Any) -> None:
    """StartTime must be less than EndTime."""
    assert refused(client, query("a"), start=60, end=60)[0] == "ValidationError"


def test_an_unknown_order_is_refused(unchecked: Any) -> None:
    """botocore does not check enums, the service does."""
    assert "ScanBy" in refused(unchecked, query("a"), ScanBy="Newest")[1]


def test_expressions_are_answered(client: Any, cloudwatch: CloudWatchService) -> None:
    """Error share in percent; a minute without requests has no share; inputs are not returned."""
    for minute, (failures, requests) in enumerate([(1.0, 4.0), (0.0, 0.0), (3.0, 4.0)]):
        put(cloudwatch, "failures", minute, failures)
        put(cloudwatch, "requests", minute, requests)
    answer = ask(
        client,
        {"Id": "share", "Expression": "100 * f / r", "Label": "share"},
        {"Id": "both", "Expression": "SUM(METRICS())"},
        {"Id": "twice", "Expression": "both * 2"},
        query("failures", id="f", ReturnData=False),
        query("requests", id="r", ReturnData=False),
    )["MetricDataResults"]
    assert {r["Id"]: r["Values"] for r in answer} == {
        "share": [75.0, 25.0],
        "both": [7.0, 0.0, 5.0],
        "twice": [14.0, 0.0, 10.0],
    }
    assert [r["Label"] for r in answer] == ["share", "both", "twice"]


def test_fill_needs_a_metric_that_was_ever_reported(client: Any, cloudwatch: CloudWatchService) -> None:
    """FILL makes zeros of gaps, not of a misspelt name."""
    put(cloudwatch, "failures", 0, 1.0)
    answer = ask(
        client,
        {"Id": "e1", "Expression": "FILL(f, 0)"},
        {"Id": "e2", "Expression": "FILL(g, 0)"},
        query("failures", id="f", ReturnData=False),
        query("failurez", id="g", ReturnData=False),
        end=180,
    )["MetricDataResults"]
    assert [r["Values"] for r in answer] == [[0.0, 0.0, 1.0], []]


def pages(client: Any, *queries: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    found = [ask(client, *queries, **more)]
    while "NextToken" in found[-1]:
        found.append(ask(client, *queries, NextToken=found[-1]["NextToken"], **more))
    return found


@pytest.mark.parametrize("order", ["TimestampDescending", "TimestampAscending"])
def test_pages_together_hold_every_point_once(client: Any, cloudwatch: CloudWatchService, order: str) -> None:
    """PartialData without following NextToken is silent loss."""
    for minute in range(5):
        put(cloudwatch, "requests", minute, float(minute))
        put(cloudwatch, "failures", minute, 10.0 + minute)
    queries = [query("requests"), query("failures", id="q2")]
    found = pages(client, *queries, MaxDatapoints=3, ScanBy=order)
    assert len(found) == 4
    merged: dict[str, list[float]] = {"q1": [], "q2": []}
    for page in found:
        assert sum(len(r["Values"]) for r in page["MetricDataResults"]) <= 3
        for result in page["MetricDataResults"]:
            merged[result["Id"]] += result["Values"]
    whole = ask(client, *queries, ScanBy=order)["MetricDataResults"]
    assert merged == {r["Id"]: r["Values"] for r in whole}
    statuses = [[r["StatusCode"] for r in page["MetricDataResults"]] for page in found]
    assert statuses[0] == ["PartialData", "PartialData"]
    assert statuses[1] == ["Complete", "PartialData"]
    assert statuses[3] == ["Complete", "Complete"]


def test_an_exactly_full_page_is_complete(client: Any, cloudwatch: CloudWatchService) -> None:
    """No token that leads to an empty page."""
    for minute in range(3):
        put(cloudwatch, "requests", minute, 1.0)
    (page,) = pages(client, query("requests"), MaxDatapoints=3)
    assert page["MetricDataResults"][0]["StatusCode"] == "Complete"


def test_a_cut_answer_with_expressions_has_no_token(client: Any, cloudwatch: CloudWatchService) -> None:
    """Documented: NextToken is not returned when the request holds an expression."""
    for minute in range(4):
        put(cloudwatch, "requests", minute, 1.0)
    answer = ask(client, query("requests"), {"Id": "e1", "Expression": "q1 * 2"}, MaxDatapoints=3)
    assert "NextToken" not in answer
    assert [r["StatusCode"] for r in answer["MetricDataResults"]] == ["PartialData", "PartialData"]


def test_the_default_page_holds_100_800_points(client: Any, cloudwatch: CloudWatchService) -> None:
    """Seven weeks of minutes in one query would pass it; here a hundred queries of one series do."""
    now_s = cloudwatch.clock.now_s()
    key = metric_key("flyball", "requests", {"target": "a"})
    for minute in range(1_009):
        cloudwatch.store.put(key, 1.0, at_s=T0 - 60 * minute, now_s=now_s)
    queries = [query("requests", id=f"q{i}") for i in range(100)]
    first, second = pages(client, *queries, start=-60 * 1_009, end=60)
    assert sum(len(r["Values"]) for r in first["MetricDataResults"]) == 100_800
    assert sum(len(r["Values"]) for r in second["MetricDataResults"]) == 100


@pytest.mark.parametrize("token", ["nonsense", "MzpiYWQ=", "!!", "LTE6eA=="])
def test_a_foreign_token_is_refused(client: Any, token: str) -> None:
    """Also one that decodes but belongs to another request."""
    assert refused(client, query("requests"), NextToken=token)[0] == "InvalidNextToken"
