"""Writes OpenTelemetry 1.0 metric messages byte by byte, right or with faults drawn at random.

A writer of our own, because a library's would refuse to write most of what an
attacker can send. Field numbers: opentelemetry-proto, metrics.proto and common.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

from flyball_controller.aws.otel import Summary


class _Writer:
    """Writes fields; with a random source, some of them wrongly."""

    def __init__(self, rng: Random | None) -> None:
        self._rng = rng

    def varint(self, value: int) -> bytes:
        """An unsigned varint."""
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        return bytes(out)

    def field(self, number: int, kind: int, body: bytes) -> bytes:
        """One field with its tag, and its length if it has one."""
        rng = self._rng
        if rng is not None and rng.random() < 0.03:
            return self._fault(rng, number, kind, body)
        head = self.varint(number << 3 | kind)
        return head + (self.varint(len(body)) if kind == 2 else b"") + body

    def _fault(self, rng: Random, number: int, kind: int, body: bytes) -> bytes:
        fault = rng.randrange(9)
        if fault == 0:  # a length that lies
            size = max(0, len(body) + rng.choice((-1, 1, 7, 2**20, 2**40, 2**63)))
            return self.varint(number << 3 | 2) + self.varint(size) + body
        if fault == 1:  # another type
            return self.varint(number << 3 | rng.randrange(8)) + body
        if fault == 2:  # another field
            return self.varint(rng.choice((0, 1, 2, 3, 15, 16, 2**29 - 1, 2**40)) << 3 | kind) + body
        if fault == 3:  # left out
            return b""
        if fault == 4:  # twice
            return 2 * (
                self.varint(number << 3 | kind) + (self.varint(len(body)) if kind == 2 else b"") + body
            )
        if fault == 5:  # not the shortest varint, or one without end
            return (
                self.varint(number << 3 | kind)
                + rng.choice((b"\x80\x00", b"\x80" * 9 + b"\x01", b"\xff" * 12))
                + body
            )
        if fault == 6:  # an unknown field before it
            return self.varint(99 << 3) + self.varint(rng.getrandbits(64)) + self.field(number, kind, body)
        if fault == 7:  # text that is no UTF-8
            return self.field(number, kind, body[:2] + b"\xff\xfe" + body[2:] if kind == 2 else body)
        return (
            self.varint(number << 3 | kind)
            + (self.varint(len(body)) if kind == 2 else b"")
            + body[: len(body) // 2]
        )

    def text(self, number: int, value: str) -> bytes:
        """A string."""
        return self.field(number, 2, value.encode("utf-8", "surrogatepass"))

    def double(self, number: int, value: float) -> bytes:
        """A double."""
        return self.field(number, 1, struct.pack("<d", value))

    def attribute(self, number: int, key: str, value: bytes) -> bytes:
        """A KeyValue whose AnyValue is already written."""
        return self.field(number, 2, self.text(1, key) + self.field(2, 2, value))

    def point(self, one: Summary) -> bytes:
        """A SummaryDataPoint."""
        inner = b"".join(self.attribute(1, key, self.text(1, value)) for key, value in one.dimensions)
        return b"".join(
            (
                self.attribute(7, "Namespace", self.text(1, one.namespace)),
                self.attribute(7, "MetricName", self.text(1, one.metric)),
                self.attribute(7, "Dimensions", self.field(6, 2, inner)),
                self.field(2, 1, struct.pack("<Q", one.start_ns)),
                self.field(3, 1, struct.pack("<Q", one.end_ns)),
                self.double(5, one.total),
                *(self.field(6, 2, self.double(1, q) + self.double(2, v)) for q, v in one.quantiles),
            )
        )

    def request(self, one: Summary) -> bytes:
        """An ExportMetricsServiceRequest with one point."""
        resource = self.attribute(1, "cloud.account.id", self.text(1, one.account)) + self.attribute(
            1, "cloud.region", self.text(1, one.region)
        )
        metric = self.text(1, one.metric) + self.field(11, 2, self.field(1, 2, self.point(one)))
        return self.field(1, 2, self.field(1, 2, resource) + self.field(2, 2, self.field(2, 2, metric)))


def message(points: Sequence[Summary]) -> bytes:
    """Return a record that holds one message per point.

    >>> message([])
    b''
    """
    return _framed(points, _Writer(None), None)


def draw_message(rng: Random, points: Sequence[Summary]) -> bytes:
    """Return the same with faults at every level."""
    return _framed(points, _Writer(rng), rng)


def _framed(points: Sequence[Summary], writer: _Writer, rng: Random | None) -> bytes:
    out = b""
    for one in points:
        body = writer.request(one)
        size = len(body)
        if rng is not None and rng.random() < 0.05:
            size = rng.choice((0, 1, max(0, size - 1), size + 1, 2**31, 2**63))
        out += writer.varint(size) + body
    return out
