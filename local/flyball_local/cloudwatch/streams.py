"""Metric streams: what changed in the store, as CloudWatch delivers it through Firehose.

One point is one minute of one series: count, sum, min, max and the extra
percentiles asked for. JSON output separates objects by newlines; OpenTelemetry
1.0 output is a run of length-prefixed ExportMetricsServiceRequest messages. A
Firehose record may hold several of either: a consumer that expects one per
record fails on AWS, hence also here. A minute that changes again (late data) is
delivered again with its new totals; minutes older than two days are not.

Source: Amazon CloudWatch User Guide, "Metric streams output formats: JSON",
"OpenTelemetry 1.0.0" and "Set up metric streams"; Amazon Data Firehose developer
guide, "Data transformation".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from flyball_local.cloudwatch.buckets import percent_of
from flyball_local.cloudwatch.points import DAY_S, MINUTE_S, MetricKey
from flyball_local.cloudwatch.stamps import millis
from flyball_local.cloudwatch.store import MetricStore

OLDEST_STREAMED_S = 2 * DAY_S


class StreamPoint(NamedTuple):
    """One minute of one series. `percentiles` pairs a statistic's name with its value."""

    key: MetricKey
    unit: str
    at_s: int
    samples: float
    total: float
    minimum: float
    maximum: float
    percentiles: tuple[tuple[str, float], ...]


class StreamOrigin(NamedTuple):
    """Which stream a point came from."""

    name: str = "flyball"
    account: str = "123456789012"
    region: str = "us-east-1"

    @property
    def arn(self) -> str:
        """ARN of the stream."""
        return f"arn:aws:cloudwatch:{self.region}:{self.account}:metric-stream/{self.name}"


DEFAULT_ORIGIN = StreamOrigin()


class MetricStream:
    """Collects what changed since the last flush.

    Args:
        store: Watched from now on; earlier points are not back-filled, as on AWS.
        wanted: Which series are streamed; all of them unless said otherwise.
        percentiles: Extra statistics, e.g. ("p50", "p99").
    """

    def __init__(
        self,
        store: MetricStore,
        *,
        wanted: Callable[[MetricKey], bool] = lambda _key: True,
        percentiles: Sequence[str] = (),
    ) -> None:
        for name in percentiles:
            if percent_of(name) is None:
                raise ValueError(
                    f"percentiles={name!r} must be pNN; a stream has count, sum, min and max anyway"
                )
        self._store = store
        self._feed = store.feed()
        self._wanted = wanted
        self._percentiles = tuple(percentiles)

    def flush(self, *, now_s: float) -> list[StreamPoint]:
        """Return the completed minutes that changed since the last flush, in order of first change."""
        self._store.settle(now_s)
        points = []
        for key, unit, at_s in self._feed.drain(before_s=now_s):
            if not self._wanted(key) or at_s < now_s - OLDEST_STREAMED_S:
                continue
            for _, bucket in self._store.windows(
                key, start_s=at_s, end_s=at_s + MINUTE_S, period_s=MINUTE_S, now_s=now_s, unit=unit
            ):
                found = [(name, bucket.percentile(percent_of(name) or 0.0)) for name in self._percentiles]
                extra = tuple((name, value) for name, value in found if value is not None)
                points.append(
                    StreamPoint(
                        key, unit, at_s, bucket.count, bucket.total, bucket.minimum, bucket.maximum, extra
                    )
                )
        return points


def json_record(points: Iterable[StreamPoint], origin: StreamOrigin = DEFAULT_ORIGIN) -> bytes:
    """Return the data of one Firehose record in JSON format: one object per point, each ended by a newline.

    >>> point = StreamPoint(MetricKey("n", "m", (("target", "a"),)), "Count", 60, 2.0, 5.0, 1.0, 4.0, ())
    >>> json.loads(json_record([point]))["value"]
    {'max': 4.0, 'min': 1.0, 'sum': 5.0, 'count': 2.0}
    """
    return b"".join(_json_line(point, origin) for point in points)


def _json_line(point: StreamPoint, origin: StreamOrigin) -> bytes:
    value = {"max": point.maximum, "min": point.minimum, "sum": point.total, "count": point.samples}
    line: dict[str, Any] = {
        "metric_stream_name": origin.name,
        "account_id": origin.account,
        "region": origin.region,
        "namespace": point.key.namespace,
        "metric_name": point.key.name,
        "dimensions": dict(point.key.dimensions),
        "timestamp": millis(point.at_s),
        "value": value | dict(point.percentiles),
        "unit": point.unit,
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def otel_record(
    points: Iterable[StreamPoint], origin: StreamOrigin = DEFAULT_ORIGIN, *, per_message: int = 100
) -> bytes:
    """Return the data of one Firehose record in OpenTelemetry 1.0 format.

    Args:
        per_message: Points per ExportMetricsServiceRequest, >= 1; a record holds as many as it takes.

    Raises:
        ImportError: opentelemetry-proto is not installed (extra "otel").
    """
    if per_message < 1:
        raise ValueError(f"per_message={per_message} must be at least 1")
    waiting = list(points)
    out = bytearray()
    for first in range(0, len(waiting), per_message):
        message = _otel_message(waiting[first : first + per_message], origin)
        out += varint(len(message)) + message
    return bytes(out)


def varint(number: int) -> bytes:
    """Return an unsigned base-128 varint, as protobuf delimits messages; `number` >= 0.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _otel_message(points: Sequence[StreamPoint], origin: StreamOrigin) -> bytes:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for key, text in (
        ("cloud.provider", "aws"),
        ("cloud.account.id", origin.account),
        ("cloud.region", origin.region),
        ("aws.exporter.arn", origin.arn),
    ):
        resource.resource.attributes.add(key=key).value.string_value = text
    scope = resource.scope_metrics.add()
    for point in points:
        metric = scope.metrics.add()
        metric.name = f"amazonaws.com/{point.key.namespace}/{point.key.name}"
        metric.unit = _OTEL_UNITS.get(point.unit, point.unit)
        data = metric.summary.data_points.add()
        data.start_time_unix_nano = point.at_s * 1_000_000_000
        data.time_unix_nano = (point.at_s + MINUTE_S) * 1_000_000_000
        data.count = round(point.samples)
        data.sum = point.total
        for name, text in (("Namespace", point.key.namespace), ("MetricName", point.key.name)):
            data.attributes.add(key=name).value.string_value = text
        dimensions = data.attributes.add(key="Dimensions").value.kvlist_value
        dimensions.SetInParent()  # present even if empty
        for name, text in point.key.dimensions:
            dimensions.values.add(key=name).value.string_value = text
        quantiles = [(0.0, point.minimum), (1.0, point.maximum)]
        quantiles += [((percent_of(n) or 0.0) / 100.0, v) for n, v in point.percentiles]
        for quantile, value in sorted(quantiles):
            data.quantile_values.add(quantile=quantile, value=value)
    return bytes(request.SerializeToString())


# Units that differ between CloudWatch and the OpenTelemetry output (UCUM codes).
_OTEL_UNITS = {
    "Seconds": "s",
    "Microseconds": "us",
    "Milliseconds": "ms",
    "Bytes": "By",
    "Bits": "bit",
    "Percent": "%",
    "Count": "{Count}",
    "None": "1",
}


def firehose_event(
    records: Sequence[bytes],
    *,
    origin: StreamOrigin = DEFAULT_ORIGIN,
    arrived_s: float,
    invocation: str = "1",
) -> dict[str, Any]:
    """Return the request a Firehose transformation function gets; record ids are unique within it."""
    stream = f"deliverystream/{origin.name}"
    return {
        "invocationId": invocation,
        "deliveryStreamArn": f"arn:aws:firehose:{origin.region}:{origin.account}:{stream}",
        "region": origin.region,
        "records": [
            {
                "recordId": f"{invocation}-{number}",
                "approximateArrivalTimestamp": millis(arrived_s),
                "data": base64.b64encode(data).decode(),
            }
            for number, data in enumerate(records, start=1)
        ],
    }
