"""The data points of a CloudWatch metric stream, read from JSON lines or OpenTelemetry 1.0 messages.

One common record, `Point`, for both formats. Knows neither targets nor windows,
and not how the bytes came (Firehose records, files of a bucket): handlers read
live batches with it, `flyball ingest` reads years of them.

Total (E1): damaged lines and messages are reported with their place, their
neighbours are kept, and no input raises.

Sources: Amazon CloudWatch User Guide, "JSON format" and "OpenTelemetry 1.0.0
format" of metric streams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from flyball_controller.aws.metric_map import P50, P99
from flyball_controller.aws.otel import Summary, read_messages
from flyball_controller.bounded import Undecodable, child, decode_json, members, number, shown, text

PERIOD_S = 60  # CloudWatch streams one point per metric and minute
LINE_CHARS_MAX = 65_536  # a point with 30 dimensions of full length
DIMENSIONS_MAX = 30  # CloudWatch's own limit per metric


class Point(NamedTuple):
    """One data point of one metric, common form of both formats; `quantiles` by CloudWatch's names (p99)."""

    account: str
    region: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    start_s: float
    total: float
    quantiles: Mapping[str, float]


class Damage(NamedTuple):
    """A line or message that could not be read: line (1 = first, 0 = binary), what came, what is allowed."""

    line: int
    value: str
    bound: str
    undecodable: Undecodable | None = None


Reject = Callable[[Damage], object]


def points_in(data: bytes, reject: Reject) -> Iterator[Point]:
    """Yield the points in the bytes of a record or file, in either format; damage goes to `reject`.

    >>> list(points_in(b"", print)), [p.metric for p in points_in(b"not json", lambda damage: None)]
    ([], [])
    """
    # An OpenTelemetry record starts with a length and the byte 0x0a, so it can never start like this.
    if is_json(data):
        for line, raw in enumerate(data.split(b"\n"), start=1):
            point = point_in_line(raw, line, reject)
            if point is not None:
                yield point
        return
    yield from otel_points(data, reject)


def is_json(data: bytes) -> bool:
    """Return whether bytes hold JSON lines and not OpenTelemetry messages.

    >>> is_json(b' {"a": 1}'), is_json(bytes([12, 10]))
    (True, False)
    """
    return data.lstrip(b" \t\r\n").startswith(b'{"')


def otel_points(data: bytes, reject: Reject) -> Iterator[Point]:
    """Yield the points of length-delimited OpenTelemetry messages."""
    summaries, damaged = read_messages(data)
    if damaged:
        remedy = "send metric streams as JSON or OpenTelemetry 1.0"
        reject(Damage(0, f"{len(data)} bytes, damaged", remedy))
    for summary in summaries:
        yield _from_summary(summary)


def point_in_line(raw: bytes, line: int, reject: Reject) -> Point | None:
    """Return the point of one JSON line; None for a blank line, or a damaged one, which is rejected."""
    written = raw.decode("utf-8", "replace")
    if not written.strip():
        return None
    decoded = decode_json(written, chars_max=LINE_CHARS_MAX)
    if isinstance(decoded, Undecodable):
        reject(Damage(line, decoded.shown, decoded.bound, decoded))
        return None
    point = _from_json(decoded)
    if point is None:
        remedy = "a point needs namespace, metric_name, timestamp (ms) and value.sum"
        reject(Damage(line, shown(written), remedy))
    return point


def dimensions(value: object) -> dict[str, str]:
    """Return a metric's dimensions from either form: a map, or a list of {name, value}.

    >>> dimensions({"target": "a"}) == dimensions([{"name": "target", "value": "a"}])
    True
    """
    pairs: Iterable[tuple[object, object]]
    if isinstance(value, dict):
        pairs = list(value.items())[:DIMENSIONS_MAX]
    else:
        entries = members(value, DIMENSIONS_MAX)
        pairs = [
            (child(e, "name") or child(e, "Name"), child(e, "value") or child(e, "Value")) for e in entries
        ]
    found = {}
    for key, worth in pairs:
        name, setting = text(key, 255), text(worth, 1024)
        if name is not None and setting is not None:
            found[name] = setting
    return found


def _from_json(line: object) -> Point | None:
    namespace, metric = text(child(line, "namespace"), 255), text(child(line, "metric_name"), 255)
    timestamp_ms, total = number(child(line, "timestamp")), number(child(line, "value", "sum"))
    if namespace is None or metric is None or timestamp_ms is None or total is None:
        return None
    values = child(line, "value")
    quantiles = {stat: found for stat in (P50, P99) if (found := number(child(values, stat))) is not None}
    return Point(
        account=text(child(line, "account_id"), 32) or "",
        region=text(child(line, "region"), 32) or "",
        namespace=namespace,
        metric=metric,
        dimensions=dimensions(child(line, "dimensions")),
        start_s=timestamp_ms / 1000.0,
        total=total,
        quantiles=quantiles,
    )


def _from_summary(summary: Summary) -> Point:
    """OpenTelemetry stamps both ends of the minute; a missing start is the minute before the end."""
    start_s = summary.start_ns / 1e9 if summary.start_ns else summary.end_ns / 1e9 - PERIOD_S
    named = {f"p{quantile * 100.0:g}": value for quantile, value in summary.quantiles if math.isfinite(value)}
    return Point(
        account=summary.account,
        region=summary.region,
        namespace=summary.namespace,
        metric=summary.metric,
        dimensions=dict(summary.dimensions),
        start_s=start_s,
        total=summary.total,
        quantiles={stat: named[stat] for stat in (P50, P99) if stat in named},
    )
