"""What to read is found in CloudWatch itself: every page, no parts of others, nothing that is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from click.testing import CliRunner

from flyball_analytics.cli import cli, ingest_cloudwatch
from flyball_analytics.ingest.find import find, patterns
from flyball_analytics.problems import SeriesError
from flyball_controller.aws.metric_map import AwsMetricMap, client_metrics, lambda_metrics
from flyball_controller.ports import PortError
from flyball_local.cloudwatch import metric_key
from flyball_local.embedded import EmbeddedAws
from flyball_local.virtualclock import VirtualClock

NOW_S = 1_767_604_800.0  # 2026-01-05T09:20:00Z
DAY_S = 86_400.0
SHOP = AwsMetricMap(
    "Shop", (("stage", "prod"), ("service", "*")), requests=("Requests",), errors_fast=("Errors",)
)


class Time:
    """A clock that only moves when somebody sleeps."""

    at_s = NOW_S

    def now_s(self) -> float:
        return self.at_s

    def steady_s(self) -> float:
        return self.at_s


def put(aws: EmbeddedAws, namespace: str, metric: str, *, ago_s: float = 600.0, **dimensions: str) -> None:
    at_s = NOW_S - ago_s
    key = metric_key(namespace, metric, dimensions)
    aws.cloudwatch.store.put(key, 5.0, at_s=at_s, now_s=at_s + 120.0, unit="Count")


@pytest.fixture
def aws():
    """Three targets with clients, one of them silent for weeks; two functions; a shop of its own."""
    with EmbeddedAws(VirtualClock(NOW_S)) as account:
        for target in ("pay", "payroll", "mail"):
            put(account, "flyball", "requests", target=target)
            put(account, "flyball", "requests", target=target, function="checkout")
        put(account, "flyball", "requests", target="asleep", ago_s=15 * DAY_S)
        put(account, "AWS/Lambda", "Invocations", FunctionName="shop-a")
        put(account, "AWS/Lambda", "Invocations", FunctionName="shop-a", Resource="shop-a:live")
        put(account, "AWS/Lambda", "Invocations", FunctionName="shop-b", Resource="shop-b:live")
        put(account, "AWS/Lambda", "Invocations", FunctionName="other")
        put(account, "Shop", "Requests", stage="prod", service="quotes")
        put(account, "Shop", "Requests", stage="test", service="quotes")
        yield account


def test_a_star_stands_for_every_target_with_a_client(aws) -> None:
    """Series per function are parts of the same target; who has been silent for two weeks is not listed."""
    found = find({"*": client_metrics("*")}, aws.client("cloudwatch"))
    assert list(found.maps) == ["mail", "pay", "payroll"]
    assert found.maps["pay"] == client_metrics("pay")
    assert (found.calls, found.names) == (1, ("mail", "pay", "payroll"))


def test_a_part_of_a_name_is_enough_and_functions_are_found_alike(aws) -> None:
    """`pay*` and `shop-*`; a version's own series is no function."""
    found = find(
        {"pay*": client_metrics("pay*"), "shop-*": lambda_metrics("shop-*")}, aws.client("cloudwatch")
    )
    assert found.maps == {
        "pay": client_metrics("pay"),
        "payroll": client_metrics("payroll"),
        "shop-a": lambda_metrics("shop-a"),
    }
    assert found.calls == 2


def test_of_other_metrics_one_dimension_may_be_open_and_the_others_filter(aws) -> None:
    """The name of the target says what becomes of the value."""
    found = find({"shop-*": SHOP}, aws.client("cloudwatch"))
    assert found.maps == {"shop-quotes": SHOP._replace(dimensions=(("stage", "prod"), ("service", "quotes")))}


def test_who_is_named_is_not_found_once_more(aws) -> None:
    """A target with metrics of its own keeps them."""
    mine = lambda_metrics("mail-fn")
    found = find({"mail": mine, "*": client_metrics("*")}, aws.client("cloudwatch"))
    assert found.maps["mail"] == mine
    assert found.names == ("pay", "payroll")
    assert list(patterns({"mail": mine, "*": client_metrics("*")})) == ["*"]


def test_all_pages_are_read(aws) -> None:
    """CloudWatch lists 500 metrics at once: 1,203 of them are three calls."""
    for number in range(1_200):
        put(aws, "flyball", "requests", target=f"t{number:04d}")
    found = find({"*": client_metrics("*")}, aws.client("cloudwatch"))
    # 1,200 and three rolled up, and three per function, which are listed and left out.
    assert (len(found.maps), found.calls) == (1_203, 3)


@pytest.mark.parametrize(
    ("key", "one", "message"),
    [
        ("shop", SHOP, "its name needs a"),
        ("a*", lambda_metrics("a"), "exactly one dimension"),
        ("a*", SHOP._replace(dimensions=(("a", "*"), ("b", "x*"))), "has 2"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told(aws, key: str, one: AwsMetricMap, message: str) -> None:
    """Before anything is asked for."""
    with pytest.raises(SeriesError, match=message):
        find({key: one}, aws.client("cloudwatch"))


def test_two_patterns_may_not_find_one_target_with_other_metrics(aws) -> None:
    """Which of them would be read is not for us to guess."""
    put(aws, "AWS/Lambda", "Invocations", FunctionName="pay")
    both = {"*": client_metrics("*"), "p*": lambda_metrics("p*")}
    with pytest.raises(SeriesError, match="found twice, by AWS/Lambda and flyball"):
        find(both, aws.client("cloudwatch"))


def test_a_missing_permission_is_named_with_the_way_around() -> None:
    """Naming the targets needs no ListMetrics."""

    class Denied:
        def list_metrics(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListMetrics")

    with pytest.raises(PortError, match=r"\(AccessDenied\): allow cloudwatch:ListMetrics, or name"):
        find({"*": client_metrics("*")}, Denied())


def test_missing_credentials_are_not_called_a_missing_permission() -> None:
    """The remedy is another one."""

    class Nobody:
        def list_metrics(self, **_: Any) -> dict[str, Any]:
            raise NoCredentialsError

    with pytest.raises(PortError, match=r"Unable to locate credentials.*: look at the credentials"):
        find({"*": client_metrics("*")}, Nobody())


@pytest.fixture
def flyball(aws, tmp_path, monkeypatch):
    """Run the command against the embedded account at its own time."""
    monkeypatch.setattr(ingest_cloudwatch, "SystemClock", Time)
    monkeypatch.setattr(ingest_cloudwatch, "_client", lambda region: aws.client("cloudwatch"))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli, ["ingest", "cloudwatch", *words, "-o", "h"])


def test_a_dry_run_shows_what_was_found_and_what_it_would_cost(flyball, tmp_path) -> None:
    """Three targets of ten metrics; the list costs a thousandth of a cent and says what it leaves out."""
    dry = flyball("--target", "*", "--days", "1", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "targets: mail, pay, payroll\n" in dry.stdout
    assert "30 metrics requested: about $0.0003" in dry.stdout
    assert "found 3 targets by 1 call of ListMetrics (about $0.00001): mail, pay, payroll" in dry.stderr
    assert "without data in the last 14 days is not listed" in dry.stderr
    assert not (tmp_path / "h").exists()
    plain = flyball("--target", "*", "--days", "1", "--dry-run", "--format", "json")
    assert json.loads(plain.stdout)["targets"] == ["mail", "pay", "payroll"]


def test_what_is_found_later_joins_the_same_source_and_nothing_is_paid_twice(flyball, aws, tmp_path) -> None:
    """Next week's new target is read from the beginning, the others go on."""
    words = ("--target", "*", "--days", "1", "--yes", "--format", "json")
    first = flyball(*words)
    assert first.exit_code == 0, first.output
    put(aws, "flyball", "requests", target="new")
    again = json.loads(flyball(*words).stdout)
    assert sorted(again["targets"]) == ["mail", "new", "pay", "payroll"]
    assert len(json.loads((tmp_path / "h" / "manifest.json").read_text())["sources"]) == 1
    # One call for the newcomer's day, one for the last hours of the others: 10 + 30 metrics.
    assert again["metrics_requested"] == 40


def test_nothing_found_is_no_history(flyball) -> None:
    """An empty folder would look like a quiet service."""
    nothing = flyball("--target", "nobody*", "--days", "1", "--yes")
    assert nothing.exit_code == 4
    assert "nothing fits the pattern" in nothing.stderr
