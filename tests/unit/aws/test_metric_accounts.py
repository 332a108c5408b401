"""One target whose clients run in several accounts, read from the account that monitors them."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from flyball_controller.aws.cloudwatch import QUERIES_MAX, CloudWatchSensor
from flyball_controller.aws.metric_map import client_metrics, lambda_metrics, put_together
from flyball_controller.ports import PortError
from flyball_handlers import wiring
from flyball_local.cloudwatch import CloudWatchService
from flyball_local.virtualclock import VirtualClock

NOW, MINUTE = 1_700_000_000.0, 1_699_999_980.0
ONE, TWO = "111111111111", "222222222222"
SHAPE = boto3.client("cloudwatch", region_name="eu-west-1").meta.service_model.operation_model(
    "GetMetricData"
)


class Monitoring:
    """A monitoring account: `values[account][metric]` in every minute, nothing where there is none."""

    def __init__(self, values: dict[str, dict[str, float]]) -> None:
        self.values = values
        self.status: dict[str, str] = {}  # by account
        self.requests: list[dict[str, Any]] = []

    def get_metric_data(self, **arguments: Any) -> dict[str, Any]:
        """Answer one minute, the last one asked for."""
        report = ParamValidator().validate(arguments, SHAPE.input_shape)
        assert not report.has_errors(), report.generate_report()
        assert len(arguments["MetricDataQueries"]) <= QUERIES_MAX
        self.requests.append(arguments)
        stamp = dt.datetime.fromtimestamp(MINUTE - 60.0, tz=dt.UTC)
        results = []
        for query in arguments["MetricDataQueries"]:
            account = query.get("AccountId", "")
            stat = query["MetricStat"]
            name = stat["Metric"]["MetricName"] + ("" if stat["Stat"] == "Sum" else f"/{stat['Stat']}")
            value = self.values.get(account, {}).get(name)
            results.append(
                {
                    "Id": query["Id"],
                    "Timestamps": [stamp] if value is not None else [],
                    "Values": [value] if value is not None else [],
                    "StatusCode": self.status.get(account, "Complete"),
                }
            )
        return {"MetricDataResults": results}


def read(metrics: Monitoring, *accounts: str, targets: tuple[str, ...] = ("payments",)) -> Any:
    """The newest minute of the targets."""
    sensor = CloudWatchSensor(metrics, accounts=accounts)
    return sensor.read(targets, since_s=dict.fromkeys(targets, MINUTE - 120.0), now_s=NOW)


def test_counts_of_the_accounts_add_up_and_the_slower_quantile_stands():
    """70 + 30 requests, 7 + 0 time-outs; the p99 of both together lies between 80 and 900 ms."""
    metrics = Monitoring(
        {
            ONE: {"requests": 70.0, "timeouts": 7.0, "latency/p50": 20.0, "latency/p99": 900.0},
            TWO: {"requests": 30.0, "timeouts": 0.0, "latency/p50": 30.0, "latency/p99": 80.0},
        }
    )
    (seen,) = read(metrics, ONE, TWO)["payments"]
    assert (seen.requests, seen.timeouts) == (100, 7)
    assert (seen.latency_ms_p50, seen.latency_ms_p99) == (30.0, 900.0)
    (request,) = metrics.requests
    assert {query["AccountId"] for query in request["MetricDataQueries"]} == {ONE, TWO}


def test_an_account_without_traffic_takes_nothing_away():
    """Silence in one account is no silence of the target."""
    (seen,) = read(Monitoring({TWO: {"requests": 30.0, "timeouts": 3.0}}), ONE, TWO)["payments"]
    assert (seen.requests, seen.timeouts) == (30, 3)
    assert read(Monitoring({}), ONE, TWO)["payments"] == ()


@pytest.mark.parametrize("status", ["Forbidden", "InternalError"])
def test_an_account_that_cannot_be_read_leaves_the_target_out(status):
    """Half of the failures over half of the requests is another ratio; the next tick reads it again."""
    metrics = Monitoring({ONE: {"requests": 70.0}, TWO: {"requests": 30.0}})
    metrics.status[TWO] = status
    with pytest.raises(PortError, match="could not answer for payments"):
        read(metrics, ONE, TWO)


def test_a_fleet_in_three_accounts_keeps_the_limit_of_a_call():
    """20 targets x 10 metrics x 3 accounts are 600 queries: two calls, and every sum is whole."""
    accounts = (ONE, TWO, "333333333333")
    metrics = Monitoring({account: {"requests": 10.0} for account in accounts})
    targets = tuple(f"target-{number}" for number in range(20))
    found = read(metrics, *accounts, targets=targets)
    assert [len(request["MetricDataQueries"]) for request in metrics.requests] == [500, 100]
    assert {seen.requests for windows in found.values() for seen in windows} == {30}


def test_without_accounts_no_account_is_named():
    """An account that monitors nobody refuses the member."""
    metrics = Monitoring({"": {"requests": 5.0}})
    (seen,) = read(metrics)["payments"]
    assert seen.requests == 5
    assert all("AccountId" not in query for query in metrics.requests[0]["MetricDataQueries"])


@pytest.mark.parametrize(
    ("function", "account", "name"),
    [
        ("mailer", "", "mailer"),
        (f"{TWO}:function:mailer", TWO, "mailer"),
        (f"arn:aws:lambda:eu-west-1:{TWO}:function:mailer", TWO, "mailer"),
        (f"arn:aws-cn:lambda:cn-north-1:{TWO}:function:mailer", TWO, "mailer"),
        (f"{TWO}:mailer", "", f"{TWO}:mailer"),  # no form of Lambda's; a name that does not exist
    ],
)
def test_a_function_of_another_account_is_named_as_lambda_names_it(function, account, name):
    """FLYBALL_FUNCTION_TARGETS holds such names."""
    found = lambda_metrics(function)
    assert (found.accounts, found.dimensions) == ((account,), (("FunctionName", name),))


@pytest.mark.parametrize(
    ("stat", "one", "other", "together"),
    [("Sum", 1.0, 2.0, 3.0), ("p50", 1.0, 2.0, 2.0), ("p99", 2.0, 1.0, 2.0)],
)
def test_two_values_of_a_window_become_one(stat, one, other, together):
    """Whatever their order."""
    assert put_together(stat, one, other) == put_together(stat, other, one) == together


@pytest.mark.parametrize("stat", ["Sum", "p99"])
def test_what_is_no_number_is_not_hidden_by_one_that_is(stat):
    """It makes the window unsound, as it does in one account."""
    assert math.isnan(put_together(stat, math.nan, 1.0))
    assert math.isnan(put_together(stat, 1.0, math.nan))


def test_the_setting_reaches_the_sensor():
    """From the template's parameter to the query."""
    environ = {"FLYBALL_REGION": "eu-west-1", "FLYBALL_METRIC_ACCOUNTS": f"{ONE},{TWO}"}
    sensor = wiring.build(environ).ports.sensor
    assert isinstance(sensor, CloudWatchSensor)
    assert sensor._map("payments") == client_metrics("payments", accounts=(ONE, TWO))


def test_the_emulator_does_not_answer_for_an_account_that_it_has_not():
    """Its own metrics in another's name would prove what is not so."""
    service = CloudWatchService(VirtualClock(NOW))
    client = boto3.client(
        "cloudwatch", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    service.attach(client)
    with pytest.raises(client.exceptions.ClientError, match="AccountId of Id 'm0' is not emulated"):
        CloudWatchSensor(client, accounts=[ONE])._client.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "m0",
                    "AccountId": ONE,
                    "MetricStat": {
                        "Metric": {"Namespace": "flyball", "MetricName": "requests"},
                        "Period": 60,
                        "Stat": "Sum",
                    },
                }
            ],
            StartTime=dt.datetime.fromtimestamp(NOW - 60, tz=dt.UTC),
            EndTime=dt.datetime.fromtimestamp(NOW, tz=dt.UTC),
        )
