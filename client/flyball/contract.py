"""The wire contract between controller and clients: what is published, in which units, inside which bounds.

Three rules hold for everything in it.
1. Numbers are clipped here, by the reader, whatever the writer promised (K10).
2. Decoding is total: any bytes give a value or a ContractError that names the
   field, never another exception, and never an OPEN circuit (K4, A1, A3).
3. Nothing here knows a clock, a store or AWS; times are epoch seconds.

Words: docs/glossary.md. The same records are the controller's output, so the
two sides cannot drift apart. This module is the public address of `records`,
`document`, `document_schema` and `circuit_item`.
"""

from __future__ import annotations

from flyball.circuit_item import decode_circuit, encode_circuit
from flyball.document import decode_document, encode_document
from flyball.document_schema import document_schema
from flyball.errors import ContractError
from flyball.records import (
    BOUNDS,
    CHOICES,
    DEFAULT_PARAMS,
    DOCUMENT_BYTES_MAX,
    FLEET,
    INTEGER_FIELDS,
    SCHEMA_VERSION,
    BreakerParams,
    BulkheadParams,
    Circuit,
    CircuitState,
    Document,
    Jitter,
    RetryParams,
    TargetParams,
    ThrottleParams,
    clip,
    clip_circuit,
    clip_params,
)

__all__ = [
    "BOUNDS",
    "CHOICES",
    "DEFAULT_PARAMS",
    "DOCUMENT_BYTES_MAX",
    "FLEET",
    "INTEGER_FIELDS",
    "SCHEMA_VERSION",
    "BreakerParams",
    "BulkheadParams",
    "Circuit",
    "CircuitState",
    "ContractError",
    "Document",
    "Jitter",
    "RetryParams",
    "TargetParams",
    "ThrottleParams",
    "clip",
    "clip_circuit",
    "clip_params",
    "decode_circuit",
    "decode_document",
    "document_schema",
    "encode_circuit",
    "encode_document",
]
