"""Reads CloudWatch metric streams in the OpenTelemetry 1.0 format, without a protobuf library.

A Firehose record holds one or more ExportMetricsServiceRequest messages, each
after its length as an unsigned varint. We need a dozen fields of them, at fixed
paths; the generated classes would add two megabytes to the Lambda bundle. So
this file walks the wire format itself and skips everything it does not know,
as protobuf readers must. It is tested against opentelemetry-proto's encoder.

Total: a truncated or hostile message yields the points before the damage and one
`damaged` count. Nothing recurses and nothing is allocated by a length field, so
work and memory are linear in the input.

Sources: Protocol Buffers, "Encoding"; opentelemetry-proto metrics.proto (field
numbers); Amazon CloudWatch User Guide, "OpenTelemetry 1.0.0 format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

VARINT_BYTES_MAX = 10  # ten times seven bits hold 64

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_DOUBLE = struct.Struct("<d")
_UINT64 = struct.Struct("<Q")


class Summary(NamedTuple):
    """One data point as it stands in the message; times in nanoseconds, quantiles as (quantile, value)."""

    account: str
    region: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    start_ns: int
    end_ns: int
    total: float
    quantiles: tuple[tuple[float, float], ...]


class WireError(ValueError):
    """The bytes are not a message. `read_messages` never raises it."""


class _Field(NamedTuple):
    """One field on the wire: its number, a scalar, or the bounds of its bytes."""

    number: int
    kind: int
    scalar: int
    start: int
    end: int


def read_messages(data: bytes) -> tuple[list[Summary], int]:
    """Return the summary points of every message in a record, and how many messages were damaged (0 or 1).

    After damage the boundaries of what follows are unknown, so reading stops there.

    >>> read_messages(b""), read_messages(b"\\x05ab")
    (([], 0), ([], 1))
    """
    points: list[Summary] = []
    at = 0
    try:
        while at < len(data):
            at, end = message_end(data, at)
            if end > len(data):
                raise WireError("message longer than the record")
            for request in _each(data, at, end, 1):  # resource_metrics
                points.extend(_resource_metrics(data, request))
            at = end
    except WireError:
        return points, 1
    return points, 0


def message_end(data: bytes, at: int) -> tuple[int, int]:
    """Return where the message whose length stands at `at` begins, and where it ends (perhaps past the data).

    Raises:
        WireError: If no whole length stands there.
    """
    size, begin = _varint(data, at, len(data))
    return begin, begin + size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return an unsigned 64-bit varint and where it ends."""
    value = 0
    for shift in range(VARINT_BYTES_MAX):
        if at >= end:
            raise WireError("varint cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise WireError("varint longer than ten bytes")


def _fields(data: bytes, at: int, end: int) -> Iterator[_Field]:
    """Yield the fields of one message in order; raise WireError where the bytes stop making sense."""
    while at < end:
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            scalar, at = _varint(data, at, end)
            yield _Field(number, kind, scalar, at, at)
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if kind == _LENGTH:
            size, at = _varint(data, at, end)
        if size < 0:  # groups (3, 4) were removed from protobuf before OpenTelemetry existed
            raise WireError(f"wire type {kind}")
        if size > end - at:
            raise WireError("field longer than its message")
        yield _Field(number, kind, 0, at, at + size)
        at += size


def _each(data: bytes, at: int, end: int, number: int) -> Iterator[_Field]:
    """Yield the embedded messages with one field number."""
    return (f for f in _fields(data, at, end) if f.number == number and f.kind == _LENGTH)


def _string(data: bytes, field: _Field) -> str:
    return data[field.start : field.end].decode("utf-8", "replace")


def _resource_metrics(data: bytes, field: _Field) -> list[Summary]:
    """ResourceMetrics: resource = 1 (attributes = 1), scope_metrics = 2 (metrics = 2)."""
    account = region = ""
    scopes = []
    for part in _fields(data, field.start, field.end):
        if part.kind != _LENGTH:
            continue
        if part.number == 1:
            attributes, _ = _attributes(data, part, 1)
            account = attributes.get("cloud.account.id", account)
            region = attributes.get("cloud.region", region)
        elif part.number == 2:
            scopes.append(part)
    return [
        _point(data, point, account, region)
        for scope in scopes
        for metric in _each(data, scope.start, scope.end, 2)
        for summary in _each(data, metric.start, metric.end, 11)
        for point in _each(data, summary.start, summary.end, 1)
    ]


def _point(data: bytes, field: _Field, account: str, region: str) -> Summary:
    """SummaryDataPoint: times = 2, 3; sum = 5; quantiles = 6; attributes = 7."""
    scalars: dict[int, int] = {}
    total = 0.0
    quantiles = []
    for part in _fields(data, field.start, field.end):
        if part.kind == _FIXED64 and part.number in (2, 3):
            scalars[part.number] = _UINT64.unpack_from(data, part.start)[0]
        elif part.kind == _FIXED64 and part.number == 5:
            total = _DOUBLE.unpack_from(data, part.start)[0]
        elif part.kind == _LENGTH and part.number == 6:
            pair = {
                f.number: float(_DOUBLE.unpack_from(data, f.start)[0])
                for f in _fields(data, part.start, part.end)
                if f.kind == _FIXED64
            }
            quantiles.append((pair.get(1, 0.0), pair.get(2, 0.0)))
    attributes, dimensions = _attributes(data, field, 7)
    return Summary(
        account=account,
        region=region,
        namespace=attributes.get("Namespace", ""),
        metric=attributes.get("MetricName", ""),
        dimensions=tuple(dimensions.items()),
        start_ns=scalars.get(2, 0),
        end_ns=scalars.get(3, 0),
        total=total,
        quantiles=tuple(quantiles),
    )


def _attributes(data: bytes, field: _Field, number: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return the string attributes of a message, and those inside its `Dimensions` list.

    KeyValue: key = 1, value = 2; AnyValue: string = 1, kvlist = 6; KeyValueList: values = 1.
    """
    found: dict[str, str] = {}
    dimensions: dict[str, str] = {}
    for pair in _each(data, field.start, field.end, number):
        key, value = _key_value(data, pair)
        if value is None:
            continue
        if value.number == 1:
            found[key] = _string(data, value)
        elif value.number == 6 and key == "Dimensions":
            for inner in _each(data, value.start, value.end, 1):
                name, setting = _key_value(data, inner)
                if setting is not None and setting.number == 1:
                    dimensions[name] = _string(data, setting)
    return found, dimensions


def _key_value(data: bytes, pair: _Field) -> tuple[str, _Field | None]:
    """Return the key and the string or list inside the value, None for values of other types."""
    key, value = "", None
    for part in _fields(data, pair.start, pair.end):
        if part.kind != _LENGTH:
            continue
        if part.number == 1:
            key = _string(data, part)
        elif part.number == 2:
            for inner in _fields(data, part.start, part.end):
                if inner.kind == _LENGTH and inner.number in (1, 6):
                    value = inner
    return key, value
