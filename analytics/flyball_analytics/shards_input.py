"""What a shard reads: one series packed by columns, named by the digest of its content.

Whoever has the bytes can run the shard: another process, another machine, a Lambda
function. Standard library only, so that a worker needs neither pandas nor pyarrow. The
digest is taken before compression: two versions of zlib may pack the same rows
differently, and must still find the same results.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from flyball_analytics.series import Series
from flyball_controller.codec import canonical_json
from flyball_controller.core.model import Observation, Quality

SCHEMA = 1
_FIELDS = tuple(name for name in Observation._fields if name != "target")
FLOAT_FIELDS = ("start_s", "period_s", "arrived_s", "latency_ms_p50", "latency_ms_p99")
_EXPANDED_MAX = 2**32  # of one series: 35 million rows; more is no packed series


class InputError(ValueError):
    """Bytes that are no packed input, or not the one that was asked for."""


class Packed(NamedTuple):
    """An input with its name."""

    digest: str
    data: bytes


def pack_series(series: Series) -> Packed:
    """Return the rows of a series as bytes; equal rows give equal digests, wherever they were read."""
    columns = []
    for name in _FIELDS:
        kind = "d" if name in FLOAT_FIELDS else "q"
        column = array(kind, (getattr(seen, name) for seen in series.observations))
        if sys.byteorder == "big":
            column.byteswap()
        columns.append(column.tobytes())
    header = canonical_json(
        {
            "schema": SCHEMA,
            "target": series.target,
            "period_s": series.period_s,
            "rows": len(series.observations),
        }
    )
    return packed(b"".join((header, b"\n", *columns)))


def packed(content: bytes) -> Packed:
    """Return any content under the digest of its bytes."""
    return Packed(sha256(content).hexdigest()[:32], zlib.compress(content, 6))


def unpack(data: bytes, *, digest: str) -> bytes:
    """Return the content of an input.

    Raises:
        InputError: If the bytes are damaged, or are another input.
    """
    try:
        inflate = zlib.decompressobj()
        content = inflate.decompress(data, _EXPANDED_MAX)
    except zlib.error as error:
        raise InputError(f"input {digest}: is damaged: {error}") from error
    found = sha256(content).hexdigest()[:32]
    if found != digest:
        raise InputError(f"input {digest}: its bytes are those of {found}; write the run's inputs again")
    return content


class Columns(NamedTuple):
    """A packed series: each column is 8 bytes a row, little-endian, by the names of `Observation`."""

    target: str
    period_s: float
    rows: int
    bytes_of: Mapping[str, bytes]


def columns_in(content: bytes) -> Columns:
    """Return the columns in the content of an input.

    Raises:
        InputError: If it is no packed series of this version.
    """
    head, _, body = content.partition(b"\n")
    try:
        header = json.loads(head)
        rows, target, period_s = int(header["rows"]), str(header["target"]), float(header["period_s"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"is no packed series: {error}") from error
    if header["schema"] != SCHEMA or len(body) != 8 * rows * len(_FIELDS):
        raise InputError(f"is no packed series of version {SCHEMA} with {rows} rows")
    size = 8 * rows
    found = {name: body[size * place : size * (place + 1)] for place, name in enumerate(_FIELDS)}
    return Columns(target, period_s, rows, found)


def series_of(columns: Columns) -> Series:
    """Return the series in the columns of an input."""
    values: list[array[float] | array[int]] = []
    for name, data in columns.bytes_of.items():
        column: array[float] | array[int] = array("d") if name in FLOAT_FIELDS else array("q")
        column.frombytes(data)
        if sys.byteorder == "big":
            column.byteswap()
        values.append(column)
    kinds = [Quality(number) for number in range(len(Quality))]
    observations = tuple(
        Observation._make((columns.target, *row[:-1], kinds[int(row[-1])]))
        for row in zip(*values, strict=True)
    )
    return Series(
        target=columns.target,
        path="",
        period_s=columns.period_s,
        observations=observations,
        rows=columns.rows,
        gaps=(),
        problems=(),
        problem_counts={},
        unused=(),
        notes=(),
    )
