"""Blocks as Parquet files: the explicit schema, its units, and bytes that depend on the rows alone.

Columns that a person meets are named as in CSV histories (columns.py); times are
UTC timestamps in microseconds. The target stands in the path and in the file's
metadata, not in a column: a column of one value would only be in the way.

Needs pyarrow (extra `sim`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flyball_analytics.ingest.block import DTYPES, Block
from flyball_analytics.problems import SeriesError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_NAME = "flyball.history/1"
# Column -> (unit, what it means). Order of the file.
MEANINGS: dict[str, tuple[str, str]] = {
    "start": ("UTC", "start of the window"),
    "period_s": ("s", "length of the window"),
    "arrived": ("UTC", "when a controller could first have read it"),
    "requests": ("1", "first attempts"),
    "timeouts": ("1", "first attempts that timed out"),
    "errors_fast": ("1", "first attempts that failed otherwise"),
    "throttles": ("1", "first attempts that were throttled"),
    "attempts": ("1", "first attempts and retries; 0 with requests > 0: not measured"),
    "request_failures": ("1", "requests that failed after all attempts; -1: not measured"),
    "short_circuited": ("1", "calls that an open circuit refused"),
    "errors_permanent": ("1", "calls that failed by the caller's own fault"),
    "latency_p50_ms": ("ms", "median latency of first attempts; -1: not measured"),
    "latency_p99_ms": ("ms", "99th percentile of the same; -1: not measured"),
    "quality": ("1", "0 ok, 1 partial (a lower bound), 2 missing, 3 invalid (never acted upon)"),
    "measured": ("1", "bit set: which of the ten values before `quality`, in order, the source gave"),
}
_MOMENTS = {"start": "start_us", "arrived": "arrived_us"}
# zstd's own default; higher levels cost more than the disk they save.
COMPRESSION_LEVEL = 3


def schema() -> pa.Schema:
    """Return the Arrow schema, with unit and meaning of every column in its metadata."""
    import pyarrow as pa

    fields = []
    for name, (unit, meaning) in MEANINGS.items():
        kind: pa.DataType
        if name in _MOMENTS:
            kind = pa.timestamp("us", tz="UTC")
        else:
            kind = pa.from_numpy_dtype(np.dtype(DTYPES[name]))
        fields.append(pa.field(name, kind, nullable=False, metadata={"unit": unit, "meaning": meaning}))
    return pa.schema(fields, metadata={"flyball": SCHEMA_NAME})


def to_bytes(block: Block, *, target: str) -> bytes:
    """Return a Parquet file of the rows; equal rows give equal bytes (with one version of pyarrow)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = schema().with_metadata({"flyball": SCHEMA_NAME, "target": target})
    arrays = []
    for field in wanted:
        values = pa.array(block[_MOMENTS.get(field.name, field.name)])
        arrays.append(values.cast(field.type) if field.name in _MOMENTS else values)
    table = pa.Table.from_arrays(arrays, schema=wanted)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=COMPRESSION_LEVEL)
    return sink.getvalue()


def from_bytes(data: bytes, *, path: str, columns: Sequence[str] | None = None) -> Block:
    """Return the rows of a Parquet file of ours.

    Args:
        data: The file.
        path: Named in errors.
        columns: Names as in the file; None: all.

    Raises:
        SeriesError: If it is no Parquet, or lacks a column or has another type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = schema()
    names = list(columns) if columns is not None else known.names
    try:
        # No threads: parts are small, and pyarrow's pool may abort a process that ends at once (seen in
        # 1 of 40 short commands, "terminate called without an active exception").
        table = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns=names, use_threads=False)
        found = table.schema
    except (pa.ArrowException, OSError) as error:
        raise SeriesError(
            f"is not a Parquet file: {str(error).splitlines()[0]}; restore it or ingest again", path=path
        ) from error
    block: Block = {}
    for name in names:
        if name not in found.names or found.field(name).type != known.field(name).type:
            what = str(found.field(name).type) if name in found.names else "absent"
            raise SeriesError(
                f"column {name!r} is {what}, must be {known.field(name).type}: this is no {SCHEMA_NAME} "
                "part; ingest again",
                path=path,
            )
        column = table.column(name)
        if name in _MOMENTS:
            column = column.cast(pa.int64())
        block[_MOMENTS.get(name, name)] = column.to_numpy()
    return block
