"""Metric streams: JSON and OpenTelemetry records, late data, Firehose requests."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from flyball_local.cloudwatch import MetricStore, metric_key
from flyball_local.cloudwatch.streams import (
    MetricStream,
    StreamOrigin,
    StreamPoint,
    firehose_event,
    json_record,
    otel_record,
    varint,
)

from .conftest import T0

KEY = metric_key("flyball", "latency", {"target": "a", "function": "f"})
ORIGIN = StreamOrigin("flyball", "123456789012", "eu-west-1")


def point(at_s: int = T0, **changes: Any) -> StreamPoint:
    base = StreamPoint(KEY, "Milliseconds", at_s, 3.0, 60.0, 10.0, 30.0, (("p50", 20.0), ("p99", 30.0)))
    return base._replace(**changes)


def test_a_completed_minute_is_streamed_once_with_its_statistics() -> None:
    """Worked by hand; the running minute waits."""
    store = MetricStore()
    stream = MetricStream(store, percentiles=("p50", "p99"))
    for value, second in ((10.0, 0), (20.0, 1), (30.0, 59), (99.0, 60)):
        store.put(KEY, value, at_s=T0 + second, now_s=T0 + second, unit="Milliseconds")
    assert stream.flush(now_s=T0 + 59) == []
    assert stream.flush(now_s=T0 + 70) == [point()]
    assert stream.flush(now_s=T0 + 70) == []


def test_a_late_point_streams_its_minute_again() -> None:
    """An update with new totals, not an increment: consumers must replace, not add."""
    store = MetricStore()
    stream = MetricStream(store)
    store.put(KEY, 1.0, at_s=T0, now_s=T0)
    (first,) = stream.flush(now_s=T0 + 60)
    store.put(KEY, 2.0, at_s=T0 + 5, now_s=T0 + 300)
    (second,) = stream.flush(now_s=T0 + 300)
    assert (first.at_s, first.total) == (T0, 1.0)
    assert (second.at_s, second.total, second.samples) == (T0, 3.0, 2.0)


def test_a_stream_begins_empty_skips_the_unwanted_and_the_old() -> None:
    """No back-fill; a filter; nothing older than two days."""
    store = MetricStore()
    store.put(KEY, 1.0, at_s=T0 - 60, now_s=T0)
    stream = MetricStream(store, wanted=lambda key: key.name == "latency")
    other = metric_key("flyball", "requests", {})
    store.put(other, 1.0, at_s=T0, now_s=T0)
    store.put(KEY, 1.0, at_s=T0 - 3 * 86_400, now_s=T0)
    assert stream.flush(now_s=T0 + 60) == []


def test_a_hidden_percentile_is_left_out() -> None:
    """A statistic set has none; the basic statistics stay."""
    from flyball_local.cloudwatch.buckets import StatisticSet

    store = MetricStore()
    stream = MetricStream(store, percentiles=("p50",))
    store.put_set(KEY, StatisticSet(2.0, 3.0, 1.0, 2.0), at_s=T0, now_s=T0)
    (found,) = stream.flush(now_s=T0 + 60)
    assert found.percentiles == ()
    with pytest.raises(ValueError, match="Sum"):
        MetricStream(store, percentiles=("Sum",))


def test_a_lagging_store_streams_when_points_become_visible() -> None:
    """The stream sees what readers see."""
    store = MetricStore(lag_s=120.0)
    stream = MetricStream(store)
    store.put(KEY, 1.0, at_s=T0, now_s=T0 + 1)
    assert stream.flush(now_s=T0 + 120) == []
    assert len(stream.flush(now_s=T0 + 121)) == 1


def test_json_objects_are_separated_by_newlines() -> None:
    """One record, several objects; a parser of one JSON per record fails."""
    record = json_record([point(), point(T0 + 60, percentiles=())], ORIGIN)
    first, second, rest = record.split(b"\n")
    assert rest == b""
    assert json.loads(first) == {
        "metric_stream_name": "flyball",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "namespace": "flyball",
        "metric_name": "latency",
        "dimensions": {"target": "a", "function": "f"},
        "timestamp": T0 * 1000,
        "value": {"max": 30.0, "min": 10.0, "sum": 60.0, "count": 3.0, "p50": 20.0, "p99": 30.0},
        "unit": "Milliseconds",
    }
    assert set(json.loads(second)["value"]) == {"max", "min", "sum", "count"}


def test_json_has_the_members_of_the_recorded_sample() -> None:
    """Against the sample beside the handlers' tests."""
    path = Path(__file__).parents[3] / "events" / "firehose_json.json"
    recorded = json.loads(path.read_text())
    line = json.loads(base64.b64decode(recorded["records"][0]["data"]).split(b"\n")[0])
    ours = json.loads(json_record([point(percentiles=())], ORIGIN))
    assert (set(ours), set(ours["value"])) == (set(line), set(line["value"]))
    event = firehose_event([b"x"], origin=ORIGIN, arrived_s=T0)
    assert set(event) == set(recorded)
    assert set(event["records"][0]) == set(recorded["records"][0])


def messages(record: bytes) -> list[Any]:
    """Split a record the way the guide says: a varint length before each message."""
    found = []
    while record:
        size = shift = 0
        while True:
            byte, record = record[0], record[1:]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(ExportMetricsServiceRequest.FromString(record[:size]))
        record = record[size:]
    return found


def test_opentelemetry_records_hold_length_prefixed_messages() -> None:
    """Three points, two per message: two messages in one record."""
    first, second = messages(otel_record([point(), point(T0 + 60), point(T0 + 120)], ORIGIN, per_message=2))
    (resource,) = first.resource_metrics
    attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert attributes == {
        "cloud.provider": "aws",
        "cloud.account.id": "123456789012",
        "cloud.region": "eu-west-1",
        "aws.exporter.arn": "arn:aws:cloudwatch:eu-west-1:123456789012:metric-stream/flyball",
    }
    one, two = resource.scope_metrics[0].metrics
    (data,) = one.summary.data_points
    assert (one.name, one.unit, two.summary.data_points[0].sum) == (
        "amazonaws.com/flyball/latency",
        "ms",
        60.0,
    )
    assert (data.count, data.sum) == (3, 60.0)
    assert (data.start_time_unix_nano, data.time_unix_nano) == (T0 * 10**9, (T0 + 60) * 10**9)
    quantiles = [(q.quantile, q.value) for q in data.quantile_values]
    assert quantiles == [(0.0, 10.0), (0.5, 20.0), (0.99, 30.0), (1.0, 30.0)]
    plain = {a.key: a.value.string_value for a in data.attributes if a.key != "Dimensions"}
    assert plain == {"Namespace": "flyball", "MetricName": "latency"}
    (dimensions,) = [a.value.kvlist_value for a in data.attributes if a.key == "Dimensions"]
    assert {v.key: v.value.string_value for v in dimensions.values} == {"target": "a", "function": "f"}
    assert len(second.resource_metrics[0].scope_metrics[0].metrics) == 1


def test_a_message_must_hold_a_point() -> None:
    """And no points make an empty record."""
    assert otel_record([]) == b""
    with pytest.raises(ValueError, match="per_message"):
        otel_record([point()], per_message=0)


@given(st.integers(0, 2**32 - 1))
def test_varints_are_those_of_protobuf(number: int) -> None:
    """protobuf's own encoder is the oracle: field 1 as varint after its tag byte."""
    from google.protobuf.wrappers_pb2 import UInt64Value

    encoded = UInt64Value(value=number).SerializeToString()
    assert varint(number) == (encoded[1:] if number else b"\0")


def test_a_firehose_request_wraps_records_with_unique_ids() -> None:
    """Every recordId must be answered, so every one must be its own."""
    event = firehose_event([b"one", b"two"], origin=ORIGIN, arrived_s=T0 + 0.5, invocation="9")
    assert event["deliveryStreamArn"] == "arn:aws:firehose:eu-west-1:123456789012:deliverystream/flyball"
    assert [r["recordId"] for r in event["records"]] == ["9-1", "9-2"]
    assert [base64.b64decode(r["data"]) for r in event["records"]] == [b"one", b"two"]
    assert event["records"][0]["approximateArrivalTimestamp"] == T0 * 1000 + 500
