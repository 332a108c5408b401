"""ListMetrics as the service lists: by exact filters, page by page, and only what lives."""

from __future__ import annotations

import pytest

from flyball_local.cloudwatch import CloudWatchService, metric_key
from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.virtualclock import VirtualClock

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0


@pytest.fixture
def service() -> CloudWatchService:
    """Two series of one metric, one with a dimension more, and one that has been silent for 15 days."""
    made = CloudWatchService(VirtualClock(NOW_S))
    for name, dimensions, ago_s in (
        ("requests", {"target": "pay"}, 600.0),
        ("requests", {"target": "pay", "function": "f"}, 5 * 3_600.0),
        ("requests", {"target": "old"}, 15 * DAY_S),
        ("errors", {"target": "pay"}, 600.0),
    ):
        at_s = NOW_S - ago_s
        made.store.put(metric_key("shop", name, dimensions), 1.0, at_s=at_s, now_s=at_s + 60.0, unit="Count")
    return made


def listed(service: CloudWatchService, **params: object) -> list[tuple[str, dict[str, str]]]:
    answer = service.handle("ListMetrics", params)
    return [(m["MetricName"], {d["Name"]: d["Value"] for d in m["Dimensions"]}) for m in answer["Metrics"]]


def test_what_is_silent_for_two_weeks_is_not_listed(service) -> None:
    """Who looks for targets must know it; the points themselves can still be read."""
    assert ("requests", {"target": "old"}) not in listed(service)
    assert len(listed(service)) == 3


def test_filters_are_exact_but_a_series_may_have_further_dimensions(service) -> None:
    """By name alone, by value, by both; another namespace has nothing."""
    by_name = listed(service, MetricName="requests", Dimensions=[{"Name": "target"}])
    assert by_name == [
        ("requests", {"function": "f", "target": "pay"}),
        ("requests", {"target": "pay"}),
    ]
    assert listed(service, Dimensions=[{"Name": "function", "Value": "f"}]) == by_name[:1]
    assert listed(service, Dimensions=[{"Name": "function", "Value": "g"}]) == []
    assert listed(service, Namespace="Shop") == []


def test_the_last_three_hours_may_be_asked_for(service) -> None:
    """The series that was quiet for five hours is left out."""
    assert len(listed(service, RecentlyActive="PT3H")) == 2


def test_pages_hold_500_and_a_token_belongs_to_its_listing(service) -> None:
    """501 more series: a second page with the rest, and no third."""
    for number in range(501):
        key = metric_key("big", "m", {"n": f"{number:03d}"})
        service.store.put(key, 1.0, at_s=NOW_S - 120.0, now_s=NOW_S, unit="Count")
    first = service.handle("ListMetrics", {"Namespace": "big"})
    assert len(first["Metrics"]) == 500
    second = service.handle("ListMetrics", {"Namespace": "big", "NextToken": first["NextToken"]})
    assert [m["Dimensions"][0]["Value"] for m in second["Metrics"]] == ["500"]
    assert "NextToken" not in second
    for token in ("x", "0", "501"):
        with pytest.raises(CloudWatchError, match="InvalidParameterValue"):
            service.handle("ListMetrics", {"Namespace": "big", "NextToken": token})
