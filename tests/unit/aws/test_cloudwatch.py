"""The sensor asks within the service's limits, follows every page, and never reads silence as health."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import ANY, Stubber
from botocore.validate import ParamValidator

from flyball_controller.aws.cloudwatch import PAGES_MAX, POINTS_MAX, QUERIES_MAX, CloudWatchSensor
from flyball_controller.aws.metric_map import lambda_metrics
from flyball_controller.core.model import Quality
from flyball_controller.ports import PortError

NOW = 1_700_000_000.0  # a minute boundary plus 20 s: 1,699,999,980 is whole minutes
MINUTE = 1_699_999_980.0
DAY = 86_400
SHAPE = boto3.client("cloudwatch", region_name="eu-west-1").meta.service_model.operation_model(
    "GetMetricData"
)

# (namespace, metric, dimensions, stat, start, period) -> value, None = absent
Metric = Callable[[str, str, str, float, int], float | None]


class Metrics:
    """A GetMetricData whose values are a function of metric, target and time; pages hold `page` points.

    Requests are checked against the service model, and against the limits that the model does not state.
    """

    def __init__(self, value: Metric, *, page: int = POINTS_MAX) -> None:
        self._value = value
        self._page = page
        self.requests: list[dict[str, Any]] = []
        self.status: dict[str, str] = {}  # metric name -> final status
        self.drop: set[str] = set()  # metrics that get no result at all

    def get_metric_data(self, **arguments: Any) -> dict[str, Any]:
        """Answer as the service does: oldest first, a token while there is more."""
        report = ParamValidator().validate(arguments, SHAPE.input_shape)
        assert not report.has_errors(), report.generate_report()
        self.requests.append(arguments)
        queries = arguments["MetricDataQueries"]
        assert len(queries) <= QUERIES_MAX
        start_s, end_s = arguments["StartTime"].timestamp(), arguments["EndTime"].timestamp()
        points: list[tuple[str, float, float]] = []
        for query in queries:
            stat = query["MetricStat"]
            (dimension,) = stat["Metric"]["Dimensions"]
            period = stat["Period"]
            assert start_s % period == 0
            assert (end_s - start_s) / period * len(queries) <= POINTS_MAX
            at_s = start_s
            while at_s < end_s:
                value = self._value(
                    stat["Metric"]["MetricName"], stat["Stat"], dimension["Value"], at_s, period
                )
                if value is not None:
                    points.append((query["Id"], at_s, value))
                at_s += period
        first = int(arguments.get("NextToken", "0"))
        more = first + self._page < len(points)
        shown = points[first : first + self._page]
        results = []
        for query in queries:
            metric = query["MetricStat"]["Metric"]["MetricName"]
            if metric in self.drop:
                continue
            mine = [(at, value) for name, at, value in shown if name == query["Id"]]
            final = self.status.get(metric, "Complete")
            results.append(
                {
                    "Id": query["Id"],
                    "Timestamps": [dt.datetime.fromtimestamp(at, tz=dt.UTC) for at, _ in mine],
                    "Values": [value for _, value in mine],
                    "StatusCode": "PartialData" if more else final,
                }
            )
        reply: dict[str, Any] = {"MetricDataResults": results}
        return reply | ({"NextToken": str(first + self._page)} if more else {})


def steady(metric: str, stat: str, target: str, at_s: float, period_s: int) -> float | None:
    """One request a second, one in ten timed out; nothing else happens, as the client emits it."""
    del target, at_s
    if metric == "latency":
        return {"p50": 20.0, "p99": 200.0}[stat]
    return {"requests": period_s, "attempts": period_s, "timeouts": period_s / 10}.get(metric, 0.0)


def test_the_newest_complete_minutes_are_read_oldest_first():
    """Now is 20 s past the minute and the lag 20 s: the minute that just ended is complete."""
    sensor = CloudWatchSensor(Metrics(steady))
    found = sensor.read(["payments"], since_s={"payments": MINUTE - 240}, now_s=NOW)["payments"]
    assert [seen.start_s for seen in found] == [MINUTE - 180, MINUTE - 120, MINUTE - 60]
    assert [(s.requests, s.timeouts, s.latency_ms_p50, s.latency_ms_p99) for s in found] == [
        (60, 6, 20.0, 200.0)
    ] * 3
    assert {(s.arrived_s, s.period_s, s.quality) for s in found} == {(NOW, 60.0, Quality.OK)}


def test_one_second_before_the_lag_is_over_the_newest_minute_is_left():
    """Its late values would be lost: each window is read once."""
    sensor = CloudWatchSensor(Metrics(steady))
    found = sensor.read(["payments"], since_s={"payments": MINUTE - 180}, now_s=NOW - 1)["payments"]
    assert [seen.start_s for seen in found] == [MINUTE - 120]


def test_nothing_new_costs_no_call():
    """GetMetricData is billed per metric asked for."""
    metrics = Metrics(steady)
    sensor = CloudWatchSensor(metrics)
    assert sensor.read(["payments"], since_s={"payments": MINUTE - 60}, now_s=NOW) == {"payments": ()}
    assert sensor.read([], since_s={}, now_s=NOW) == {}
    assert metrics.requests == []


def test_targets_seen_at_different_times_share_a_call_and_get_only_what_is_new():
    """`since_s` is exclusive, per target; a target never seen gets the whole look-back."""
    metrics = Metrics(steady)
    found = CloudWatchSensor(metrics, lookback_s=600.0).read(
        ["a", "b", "c"], since_s={"a": MINUTE - 120, "b": MINUTE - 60}, now_s=NOW
    )
    assert {target: len(seen) for target, seen in found.items()} == {"a": 1, "b": 0, "c": 9}
    assert len(metrics.requests) == 1
    assert len(metrics.requests[0]["MetricDataQueries"]) == 20  # ten for a, ten for c


def _points(metrics: Metrics) -> float:
    """How many values were asked for: queries times periods, over all calls."""
    return sum(
        len(r["MetricDataQueries"]) * (r["EndTime"] - r["StartTime"]).total_seconds() / 60
        for r in metrics.requests
    )


def test_a_target_that_has_been_silent_for_long_makes_nobody_else_send_old_minutes():
    """One misspelt name used to make a thousand targets repeat three hours in every tick."""
    metrics = Metrics(steady)
    targets = [f"t{i:02d}" for i in range(49)]
    since_s = dict.fromkeys(targets, MINUTE - 120)  # one minute is new
    sensor = CloudWatchSensor(metrics)
    found = sensor.read([*targets, "gone"], since_s={**since_s, "gone": MINUTE - 9_000}, now_s=NOW)
    assert {len(found[t]) for t in targets} == {1}
    assert len(found["gone"]) == 149  # from 148 minutes before the newest complete one
    assert _points(metrics) == 49 * 10 * 1 + 10 * 149


class FailsSome(Metrics):
    """Times out whenever a named target is asked for."""

    def __init__(self, *targets: str) -> None:
        super().__init__(steady)
        self._targets = set(targets)
        self.failed = 0

    def get_metric_data(self, **arguments: Any) -> dict[str, Any]:
        """Answer, or not."""
        asked = {q["MetricStat"]["Metric"]["Dimensions"][0]["Value"] for q in arguments["MetricDataQueries"]}
        if asked & self._targets:
            self.failed += 1
            raise ReadTimeoutError(endpoint_url="https://monitoring")
        return super().get_metric_data(**arguments)


def test_a_call_that_fails_leaves_out_its_own_targets_and_no_others():
    """Fifty targets share a call: the other fifty must not be blind because of them."""
    metrics = FailsSome("t003")
    targets = [f"t{i:03d}" for i in range(100)]
    found = CloudWatchSensor(metrics).read(targets, since_s=dict.fromkeys(targets, MINUTE - 120), now_s=NOW)
    assert sorted(found) == targets[50:]


def test_a_service_that_is_down_is_not_asked_forty_times():
    """Each failing call may take its whole time-out: the tick has a minute."""
    targets = [f"t{i:03d}" for i in range(500)]
    metrics = FailsSome(*targets[:450])  # nine of ten calls
    found = CloudWatchSensor(metrics).read(
        [*targets[450:], *targets[:450]], since_s=dict.fromkeys(targets, MINUTE - 120), now_s=NOW
    )
    assert sorted(found) == targets[450:]
    assert metrics.failed == 2


def test_a_silent_minute_is_absent():
    """C7: missing is not zero."""

    def gap(metric: str, stat: str, target: str, at_s: float, period_s: int) -> float | None:
        return None if at_s == MINUTE - 120 else steady(metric, stat, target, at_s, period_s)

    found = CloudWatchSensor(Metrics(gap)).read(["a"], since_s={"a": MINUTE - 240}, now_s=NOW)["a"]
    assert [seen.start_s for seen in found] == [MINUTE - 180, MINUTE - 60]


def test_six_hundred_queries_go_in_calls_of_five_hundred():
    """The limit of one call; a target's metrics may lie in two calls."""
    metrics = Metrics(steady)
    targets = [f"t{i}" for i in range(60)]
    found = CloudWatchSensor(metrics, lookback_s=300.0).read(targets, since_s={}, now_s=NOW)
    assert [len(request["MetricDataQueries"]) for request in metrics.requests] == [500, 100]
    assert {len(seen) for seen in found.values()} == {4}
    assert {seen.requests for observed in found.values() for seen in observed} == {60}


def test_every_page_is_followed_and_partial_data_becomes_complete():
    """A page of seven points cuts through every series."""
    metrics = Metrics(steady, page=7)
    paged = CloudWatchSensor(metrics).read(["a"], since_s={"a": MINUTE - 600}, now_s=NOW)
    assert len(metrics.requests) == 13  # nine windows, ten series, seven a page
    assert paged == CloudWatchSensor(Metrics(steady)).read(["a"], since_s={"a": MINUTE - 600}, now_s=NOW)
    assert {seen.quality for seen in paged["a"]} == {Quality.OK}


def test_data_that_stays_partial_is_marked():
    """Counts may still rise: they may tighten, never loosen or teach."""
    metrics = Metrics(steady)
    metrics.status["timeouts"] = "PartialData"
    found = CloudWatchSensor(metrics).read(["a"], since_s={"a": MINUTE - 120}, now_s=NOW)
    assert [seen.quality for seen in found["a"]] == [Quality.PARTIAL]


@pytest.mark.parametrize("how", ["InternalError", "Forbidden", "dropped"])
def test_an_unanswered_query_leaves_its_target_out(how: str):
    """A lost error count would read as a healthy target; the other targets are not held up."""
    metrics = Metrics(steady)
    if how == "dropped":
        metrics.drop.add("Errors")
    else:
        metrics.status["Errors"] = how
    sensor = CloudWatchSensor(metrics, maps={"fn": lambda_metrics("checkout")})
    found = sensor.read(["fn", "a"], since_s={"fn": MINUTE - 120, "a": MINUTE - 120}, now_s=NOW)
    assert list(found) == ["a"]
    with pytest.raises(PortError) as caught:
        sensor.read(["fn"], since_s={}, now_s=NOW)
    assert caught.value.retryable
    with pytest.raises(PortError):
        sensor.history("fn", until_s=NOW, days=1)


def test_endless_pages_are_cut_off():
    """A token that never ends would use up the invocation."""
    metrics = Metrics(steady, page=0)
    with pytest.raises(PortError, match="fewer targets"):
        CloudWatchSensor(metrics).read(["a"], since_s={"a": MINUTE - 120}, now_s=NOW)
    assert len(metrics.requests) == PAGES_MAX


def test_a_failing_call_is_a_port_error():
    """The loop goes on with what it knows; the cause is kept."""

    class Silent:
        def get_metric_data(self, **_: object) -> dict[str, Any]:
            raise ReadTimeoutError(endpoint_url="https://aws.invalid")

    with pytest.raises(PortError) as caught:
        CloudWatchSensor(Silent()).read(["a"], since_s={}, now_s=NOW)
    assert (caught.value.backend, caught.value.retryable) == ("cloudwatch", True)


def test_a_hundred_days_of_history_use_three_periods_within_the_limits_of_a_call():
    """37 days by the hour, 48 by five minutes, 15 by the minute; each arrives the lag after its end."""
    metrics = Metrics(steady)
    found = CloudWatchSensor(metrics).history("a", until_s=NOW, days=100)
    lengths = Counter(seen.period_s for seen in found)
    assert set(lengths) == {3600.0, 300.0, 60.0}
    assert [seen.start_s for seen in found] == sorted({seen.start_s for seen in found})
    assert sum(seen.period_s for seen in found) == pytest.approx(100 * DAY, abs=3_600)
    assert all(seen.requests == seen.period_s for seen in found)
    assert all(seen.arrived_s == seen.start_s + seen.period_s + 20.0 for seen in found)
    assert found[-1].start_s + found[-1].period_s <= NOW


def test_history_is_cut_to_what_can_be_retained_at_all():
    """455 days less the hour that rounding may take: 454 days from midnight and 22 h. None gives a day."""
    sensor = CloudWatchSensor(Metrics(steady), period_s=3600)
    assert len(sensor.history("a", until_s=NOW, days=10_000)) == 454 * 24 + 22
    assert len(sensor.history("a", until_s=NOW, days=0)) == 23


def test_the_request_and_the_reply_are_those_of_the_service_model():
    """The fake above is ours: here botocore checks both sides of one call."""
    client = boto3.client("cloudwatch", region_name="eu-west-1")
    at = dt.datetime.fromtimestamp(MINUTE - 60, tz=dt.UTC)
    with Stubber(client) as stub:
        values = {"m0": 90.0, "m1": 10.0, "m2": 9.0, "m3": 30.0, "m4": 300.0}
        stub.add_response(
            "get_metric_data",
            {
                "MetricDataResults": [
                    {
                        "Id": name,
                        "Label": "x",
                        "Timestamps": [at],
                        "Values": [value],
                        "StatusCode": "Complete",
                    }
                    for name, value in values.items()
                ]
            },
            {
                "MetricDataQueries": ANY,
                "StartTime": at,
                "EndTime": at + dt.timedelta(minutes=1),
                "ScanBy": "TimestampAscending",
            },
        )
        sensor = CloudWatchSensor(client, maps={"fn": lambda_metrics("checkout")})
        (seen,) = sensor.read(["fn"], since_s={"fn": MINUTE - 120}, now_s=NOW)["fn"]
    assert (seen.requests, seen.errors_fast, seen.throttles, seen.latency_ms_p99) == (100, 9, 10, 300.0)
