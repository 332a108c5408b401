"""Embedded metric format: what is extracted, what is counted as a fault, what is no metric at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_local.cloudwatch import CloudWatchService, metric_key
from flyball_local.cloudwatch.emf import EmfReader, EmfReport
from flyball_local.cloudwatch.store import MetricStore
from flyball_local.virtualclock import VirtualClock

from .conftest import T0

DIRECTIVE: dict[str, Any] = {
    "Namespace": "flyball",
    "Dimensions": [["target", "function"], ["target"]],
    "Metrics": [{"Name": "requests", "Unit": "Count"}, {"Name": "latency", "Unit": "Milliseconds"}],
}
DOCUMENT: dict[str, Any] = {
    "_aws": {"Timestamp": T0 * 1000, "CloudWatchMetrics": [DIRECTIVE]},
    "target": "payments",
    "function": "checkout",
    "requests": 3,
    "latency": [10.0, 20.5, 10.0],
    "note": "ignored",
}


def line(directive: dict[str, Any] | None = None, aws: dict[str, Any] | None = None, **members: Any) -> str:
    """The document with changes; None removes a member."""
    changed = {k: v for k, v in (DIRECTIVE | (directive or {})).items() if v is not None}
    meta = {"Timestamp": T0 * 1000, "CloudWatchMetrics": [changed], **(aws or {})}
    return json.dumps({k: v for k, v in (DOCUMENT | {"_aws": meta} | members).items() if v is not None})


def facts(store: MetricStore, name: str, **dimensions: str) -> list[Any]:
    key = metric_key("flyball", name, dimensions)
    found = store.windows(key, start_s=T0, end_s=T0 + 60, period_s=60, now_s=T0 + 60)
    return [v for _, b in found for v in (b.count, b.total, b.percentile(50))]


@pytest.fixture
def store() -> MetricStore:
    return MetricStore()


def test_every_metric_lands_in_every_dimension_set(cloudwatch: CloudWatchService) -> None:
    """Two sets, two metrics: four series, and the roll-up is no sum of the others but its own series."""
    report = cloudwatch.ingest_emf(json.dumps(DOCUMENT))
    assert report == EmfReport(4, ())
    for dimensions in ({"target": "payments", "function": "checkout"}, {"target": "payments"}):
        assert facts(cloudwatch.store, "requests", **dimensions) == [1.0, 3.0, 3.0]
        assert facts(cloudwatch.store, "latency", **dimensions) == [3.0, 40.5, 10.0]
    (unit,) = {u for units in cloudwatch.store._series.values() for u in units if u != "Count"}
    assert unit == "Milliseconds"


def test_no_dimension_set_means_one_series_without_dimensions(store: MetricStore) -> None:
    """Both spellings."""
    reader = EmfReader(store)
    for dimensions in (None, [], [[]]):
        assert reader.ingest(line({"Dimensions": dimensions}), now_s=T0).points == 2
    assert facts(store, "requests") == [3.0, 9.0, 3.0]


def test_high_resolution_is_kept(store: MetricStore) -> None:
    """StorageResolution 1 gives sub-minute points."""
    metrics = [{"Name": "requests", "StorageResolution": 1}]
    EmfReader(store).ingest(line({"Metrics": metrics}, {"Timestamp": T0 * 1000 + 12_345}), now_s=T0 + 13)
    key = metric_key("flyball", "requests", {"target": "payments"})
    found = store.windows(key, start_s=T0, end_s=T0 + 60, period_s=10, now_s=T0 + 60)
    assert [at_s for at_s, _ in found] == [T0 + 10]


@pytest.mark.parametrize(
    "text", ["START RequestId: 1", "{}", "[]", '{"level": "INFO"}', "", "null", b"\xff\xfe", "5"]
)
def test_an_ordinary_log_line_is_no_fault(store: MetricStore, text: str | bytes) -> None:
    """Most lines of a log are not metrics."""
    assert EmfReader(store).ingest(text, now_s=T0) == EmfReport(0, ())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"_aws": {', "json"),
        ("[" * 100_000, "json"),
        ('{"_aws": 5}', "aws"),
        (line(aws={"Timestamp": "now"}), "timestamp"),
        (line(aws={"Timestamp": True}), "timestamp"),
        (line(aws={"Timestamp": 1.5}), "timestamp"),
        (line(aws={"CloudWatchMetrics": {}}), "directives"),
        (line(aws={"CloudWatchMetrics": [5]}), "directives"),
        (line({"Namespace": ""}), "namespace"),
        (line({"Namespace": None}), "namespace"),
        (line({"Namespace": "AWS/Lambda"}), "namespace"),
        (line({"Dimensions": ["target"]}), "dimensions"),
        (line({"Dimensions": [["absent"]]}), "dimensions"),
        (line({"Dimensions": [[5]]}), "dimensions"),
        (line({"Dimensions": [["target"] * 31]}), "dimensions"),
        (line(target=5), "dimensions"),
        (line(target=""), "dimensions"),
        (line({"Metrics": None}), "metrics"),
        (line({"Metrics": [{}]}), "metrics"),
        (line({"Metrics": ["requests"]}), "metrics"),
        (line({"Metrics": [{"Name": "requests"}] * 101}), "metrics"),
        (line({"Metrics": [{"Name": "requests", "StorageResolution": 5}]}), "metrics"),
        (line({"Metrics": [{"Name": "requests", "Unit": "Requests"}]}), "unit"),
        (line(note="x" * 1_048_576), "too_long"),
    ],
)
def test_a_malformed_document_is_counted_and_nothing_of_it_is_stored(
    store: MetricStore, text: str, code: str
) -> None:
    """Never raised: a log line is a stranger's data."""
    reader = EmfReader(store)
    report = reader.ingest(text, now_s=T0)
    assert (report.points, [p.code for p in report.problems]) == (0, [code])
    assert report.problems[0].detail
    assert (reader.lines, reader.points, reader.problems) == (1, 0, {code: 1})
    assert store.revision == 0


@pytest.mark.parametrize("value", ["3", True, None, [], [1.0, "x"], {"a": 1}, [1.0] * 101])
def test_a_metric_without_numbers_is_left_out_and_the_others_stay(store: MetricStore, value: Any) -> None:
    """One bad member must not silence the rest."""
    report = EmfReader(store).ingest(line(latency=value), now_s=T0)
    assert (report.points, [p.code for p in report.problems]) == (2, ["value"])


def test_what_the_store_refuses_is_reported(store: MetricStore) -> None:
    """A client clock two weeks behind, and a number JSON can say but CloudWatch cannot store."""
    old = EmfReader(store).ingest(line(aws={"Timestamp": (T0 - 15 * 86_400) * 1000}), now_s=T0)
    assert (old.points, [p.code for p in old.problems]) == (0, ["refused", "refused"])
    infinite = EmfReader(store).ingest(line().replace('"requests": 3', '"requests": 1e999'), now_s=T0)
    assert (infinite.points, [p.code for p in infinite.problems]) == (2, ["refused"])


def test_delivery_is_at_least_once_if_asked() -> None:
    """A share of lines counts twice: sums double, which a consumer of sums must survive."""
    cloudwatch = CloudWatchService(VirtualClock(float(T0)), duplicate_emf_ratio=1.0)
    assert cloudwatch.ingest_emf(json.dumps(DOCUMENT)).points == 8
    assert facts(cloudwatch.store, "requests", target="payments") == [2.0, 6.0, 3.0]
    some = CloudWatchService(VirtualClock(float(T0)), seed=3, duplicate_emf_ratio=0.5)
    points = [some.ingest_emf(json.dumps(DOCUMENT)).points for _ in range(40)]
    assert set(points) == {4, 8}
    again = CloudWatchService(VirtualClock(float(T0)), seed=3, duplicate_emf_ratio=0.5)
    assert points == [again.ingest_emf(json.dumps(DOCUMENT)).points for _ in range(40)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["_aws", "Timestamp", "CloudWatchMetrics", "Namespace", "Dimensions", "Metrics", "Name", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.one_of(st.text(), st.binary(), JSON.map(lambda v: json.dumps({"_aws": v, "a": v}))))
def test_no_line_whatever_raises(text: str | bytes) -> None:
    """Law: counted and reported, never raised."""
    report = EmfReader(MetricStore()).ingest(text, now_s=T0)
    assert report.points == 0 or not report.problems
