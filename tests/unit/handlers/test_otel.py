"""The wire reader for OpenTelemetry metric streams, against the official encoder."""

from __future__ import annotations

import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from flyball_controller.aws.otel import Summary, read_messages
from flyball_handlers.events import Expected
from flyball_handlers.streams import read_stream

from .conftest import ACCOUNT, NOON_S, REGION

MINUTE_S = NOON_S - 60.0  # 11:59, the minute of the points


@pytest.fixture
def expected(expected: Expected) -> Expected:
    """Half a minute after the minute ended."""
    return expected._replace(now_s=NOON_S + 30.0)


ROLL_UP = Summary(ACCOUNT, REGION, "flyball", "requests", (("target", "stock"),), 0, 0, 5.0, ())


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def encode(points: list[Summary]) -> bytes:
    """Encode points with opentelemetry-proto, one message each, with fields we do not read in between."""
    out = b""
    for p in points:
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        for key, value in (("cloud.account.id", p.account), ("cloud.region", p.region)):
            resource.resource.attributes.add(key=key).value.string_value = value
        resource.resource.attributes.add(key="n").value.int_value = 5
        resource.resource.dropped_attributes_count = 3
        resource.schema_url = "s"
        metric = resource.scope_metrics.add().metrics.add(name="n", unit="{Count}", description="d")
        dp = metric.summary.data_points.add(
            start_time_unix_nano=p.start_ns, time_unix_nano=p.end_ns, count=9, sum=p.total, flags=1
        )
        for q, v in p.quantiles:
            dp.quantile_values.add(quantile=q, value=v)
        dp.attributes.add(key="Namespace").value.string_value = p.namespace
        dp.attributes.add(key="MetricName").value.string_value = p.metric
        listed = dp.attributes.add(key="Dimensions").value.kvlist_value
        for name, value in p.dimensions:
            listed.values.add(key=name).value.string_value = value
        dp.attributes.add(key="b").value.bool_value = True
        raw = request.SerializeToString()
        out += varint(len(raw)) + raw
    return out


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FINITE = st.floats(allow_nan=False)
SUMMARIES = st.builds(
    Summary,
    account=TEXT,
    region=TEXT,
    namespace=TEXT,
    metric=TEXT,
    dimensions=st.dictionaries(TEXT, TEXT, max_size=3).map(lambda d: tuple(d.items())),
    start_ns=st.integers(0, 2**64 - 1),
    end_ns=st.integers(0, 2**64 - 1),
    total=FINITE,
    quantiles=st.lists(st.tuples(st.floats(0, 1), FINITE), max_size=3).map(tuple),
)


@given(points=st.lists(SUMMARIES, max_size=4))
def test_the_wire_reader_reads_what_the_official_encoder_writes(points: list[Summary]) -> None:
    """Our reader replaces a two-megabyte library; it must agree with it on every field that it reads."""
    assert read_messages(encode(points)) == (points, 0)


@given(points=st.lists(SUMMARIES, min_size=1, max_size=3), data=st.data())
def test_a_message_cut_anywhere_gives_the_points_before_it(
    points: list[Summary], data: st.DataObject
) -> None:
    """E2: whole messages before the damage count."""
    whole = encode(points)
    cut = data.draw(st.integers(0, len(whole) - 1))
    found, damaged = read_messages(whole[:cut])
    assert found == points[: len(found)]
    boundaries = {len(encode(points[:n])) for n in range(len(points) + 1)}
    assert damaged == (cut not in boundaries)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80" * 11,  # a varint longer than ten bytes
        b"\x80",  # a varint cut off
        b"\x02\x0b\x00",  # a group, which protobuf no longer has
        b"\x02\x0a\x05",  # a field longer than its message
        b"\xff\xff\xff\xff\x0f",  # four gigabytes announced
        b"\x02\x0d\x00",  # a 32-bit field cut off
    ],
    ids=range(6),
)
def test_damaged_bytes_are_counted_once(raw: bytes) -> None:
    """Nothing is allocated by a length field, nothing is read past the end."""
    assert read_messages(raw) == ([], 1)


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    """A newer exporter may add fields; readers of protobuf must step over them."""
    known = encode([Summary("1", "r", "flyball", "requests", (("target", "a"),), 1, 2, 3.0, ())])
    unknown = b"\x78\x01" + b"\x79" + b"\x00" * 8 + b"\x7a\x01x" + b"\x7d" + b"\x00" * 4
    size = known[0] & 0x7F | known[1] << 7 if known[0] & 0x80 else known[0]
    body = known[-size:] + unknown
    points, damaged = read_messages(varint(len(body)) + body)
    assert (len(points), damaged) == (1, 0)


def test_a_start_time_left_out_is_the_minute_before_the_end(expected: Expected) -> None:
    """The specification allows 0 for unknown."""
    start_ns, end_ns = int(MINUTE_S * 1e9), int(NOON_S * 1e9)
    latency = ROLL_UP._replace(metric="latency", start_ns=start_ns, quantiles=((0.5, 3.0), (0.99, math.inf)))
    raw = encode([ROLL_UP._replace(end_ns=end_ns), latency])
    seen = read_stream([{"data": base64.b64encode(raw).decode()}], expected)
    (stock,) = seen.observations["stock"]
    assert (stock.start_s, stock.requests) == (MINUTE_S, 5)
    assert (stock.latency_ms_p50, stock.latency_ms_p99) == (3.0, -1.0)


def test_a_sum_that_is_not_a_number_is_ignored(expected: Expected) -> None:
    """NaN compares with nothing: the larger of two points would depend on their order."""
    nan = ROLL_UP._replace(start_ns=int(MINUTE_S * 1e9), total=math.nan)
    seen = read_stream([{"data": base64.b64encode(encode([nan])).decode()}], expected)
    assert (seen.points, seen.ignored, seen.woken) == (1, 1, ())


def test_a_damaged_telemetry_record_is_counted_as_such(expected: Expected) -> None:
    """A stream in another output format (0.7, text) must not pass for silence."""
    for raw in (b"\x05abc", struct.pack("<d", 1.0), b"hello"):
        seen = read_stream([{"data": base64.b64encode(raw).decode()}], expected)
        assert seen.damaged == 1
