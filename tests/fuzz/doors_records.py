"""Doors of recordings: journals, packed files, and what a Prometheus server replies."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from random import Random

from flyball_analytics.columns import Field
from flyball_analytics.ingest.blobs import BLOCK_BYTES, Blob, Reading
from flyball_analytics.ingest.findings import Findings
from flyball_analytics.ingest.manifest import Source
from flyball_analytics.ingest.mapping import PrometheusMap, Query, SampleKind
from flyball_analytics.ingest.pace import Bucket
from flyball_analytics.ingest.prometheus import PrometheusIngest, Window
from flyball_analytics.journalfile import Entry, check_journal, decision_of, read_journal
from flyball_analytics.problems import SeriesError
from flyball_controller.codec import encode_state, journal_record
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Observation
from flyball_controller.core.state import initial_state
from flyball_controller.core.step import step
from flyball_controller.ports import PortError
from fuzz.doors_client import mutate_json
from fuzz.doors_files import as_file
from fuzz.doors_state import NOON_S, POLICY
from fuzz.engine import Door, require, told
from fuzz.mutate import mutate_bytes, one_of

# --- journals, gzip ----------------------------------------------------------------------------


@cache
def _records() -> tuple[dict[str, object], ...]:
    """A journal of five decisions, the last two with their state."""
    state = initial_state(POLICY)
    found = []
    for minute in range(5):
        at_s = NOON_S + 60.0 * minute
        seen = Observation("stock", at_s, 60.0, at_s + 80.0, 200, errors_fast=100, attempts=260)
        after, decision = step(state, seen, POLICY)
        found.append(
            journal_record(decision, seen, encode_state(state), encode_state(after), with_state=minute > 2)
        )
        state = after
    return tuple(found)


@cache
def journal_seeds() -> tuple[bytes, ...]:
    """Journals, plain."""
    lines = [json.dumps(record).encode() + b"\n" for record in _records()]
    return b"".join(lines), lines[0], lines[4], b"\n" + lines[1]


def mutate_journal(rng: Random, pool: Sequence[bytes]) -> bytes:
    """A record changed as a tree; or lines; now and then packed, whole or damaged."""
    data = one_of(rng, pool)
    if data[:2] != b"\x1f\x8b":
        data = mutate_json(rng, [line for line in data.split(b"\n") if line] or [b"{}"])
        if rng.random() < 0.5:
            data = rng.choice(journal_seeds()) + data
        if rng.random() < 0.8:
            return data
        data = gzip.compress(data, 1, mtime=0)
    return data if rng.random() < 0.4 else mutate_bytes(rng, data, data)


def check_journal_file(data: bytes) -> str:
    """A journal: decisions, events, or damage told with its line; what stood before it is kept."""
    packed = data[:2] == b"\x1f\x8b"
    entries: list[Entry] = []
    word = ""
    with as_file(data, ".jsonl.gz" if packed else ".jsonl") as path:
        try:
            entries.extend(read_journal(path))
        except SeriesError as error:
            word = told(error) + str(error).split(":", 2)[-1][:16]
    if data.startswith(journal_seeds()[0]):
        require(len(entries) >= len(_records()), "E2 good neighbours kept", len(entries))
    for entry in entries:
        try:
            decision_of(entry)
        except CheckpointError as error:
            told(error)
            word += "damaged"
    try:
        check = check_journal(entries, lambda _: POLICY)
        found = (check.reproduced, check.mismatched, check.events, check.unchained)
        word += ",".join(str(min(n, 6)) for n in found)
    except CheckpointError as error:
        word += told(error)
    return word


@cache
def gzip_seeds() -> tuple[bytes, ...]:
    """Packed and plain files, joined, padded."""
    plain = journal_seeds()[0]
    packed = gzip.compress(plain, 6, mtime=0)
    raw = zlib.compressobj(9, zlib.DEFLATED, 31)
    return (
        packed,
        plain,
        packed + packed,
        packed + b"\0" * 20,
        raw.compress(b"0" * 500_000) + raw.flush(),
        packed[:100],
    )


def check_gzip(data: bytes) -> str:
    """A file as blocks: bounded pieces, nothing lost of a good file, damage told."""

    def chunks() -> Iterator[bytes]:
        yield from (data[i : i + 512] for i in range(0, len(data), 512))

    reading = Reading(Blob("b", "", len(data), chunks))
    pieces = list(islice(reading.plain(), 100_000))
    require(all(len(piece) <= BLOCK_BYTES for piece in pieces), "bounded")
    plain = b"".join(pieces)
    if data[:2] != b"\x1f\x8b":
        require(plain == data and reading.error is None, "read(write(x)) == x")
    elif reading.error is None:
        require(reading.size == len(data), "read to its end", reading.size)
    again = b"".join(Reading(Blob("b", "", 0, chunks)).blocks(iter(pieces)))
    require(again == plain, "blocks lose nothing", len(again))
    return reading.error.what.split(":")[-1][:40] if reading.error else f"good, {data[:1].hex()}"


# --- Prometheus -------------------------------------------------------------------------------

QUERIES = (
    Query(Field.REQUESTS, "r", SampleKind.COUNTER),
    Query(Field.ERRORS, "e", SampleKind.RATE),
    Query(Field.LATENCY_P99_MS, "l", SampleKind.GAUGE),
)


class _Writer:
    """Takes the place of a history: keeps nothing."""

    def add(self, *_: object) -> int:
        return 0

    def commit(self, *_: object) -> None:
        return None


@cache
def reply_seeds() -> tuple[bytes, ...]:
    """Replies of a server: a matrix of two series, an empty one, an error."""
    values = [[NOON_S + 60.0 * i, str(100 + 5 * i)] for i in range(6)]
    series = [{"metric": {"target": name}, "values": values} for name in ("stock", "mail")]
    good = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    empty = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    error = {"status": "error", "errorType": "bad_data", "error": "parse error"}
    return tuple(json.dumps(one).encode() for one in (good, empty, error))


def check_reply(data: bytes) -> str:
    """A reply of a Prometheus server: rows, findings, or an error that names the query."""
    source, findings = Source("prometheus", "c", {}), Findings()
    mapping = PrometheusMap(queries=QUERIES, step_s=60.0, label="target", target="")
    ingest = PrometheusIngest(
        _Writer(),  # type: ignore[arg-type]
        (source, findings),
        mapping,
        lambda path, parameters: data,
        delay_s=20.0,
        bucket=Bucket(1e9, 1e9, lambda: 0.0, lambda s: None),
        sleep=lambda s: None,
        told=lambda text: None,
    )
    try:
        list(ingest.run([Window(NOON_S, NOON_S + 600.0)]))
    except PortError as error:
        return told(error) + str(error).partition("(")[2][:16]
    return f"good, {min(source.points, 40) // 8}, {sorted(findings.plain_counts())[:3]}"


def doors() -> tuple[Door, ...]:
    """Return the doors of this file."""

    def damage(rng: Random, pool: Sequence[bytes]) -> bytes:
        return mutate_bytes(rng, one_of(rng, pool), one_of(rng, pool))

    return (
        Door("journal", journal_seeds, mutate_journal, check_journal_file),
        Door("gzip", gzip_seeds, damage, check_gzip),
        Door("prometheus", reply_seeds, mutate_json, check_reply),
    )
