"""The manifest of a history: what is in it, where it came from, and digests to prove it.

`manifest.json` is replaced as a whole, after the files that it names are on disk;
a run that is killed therefore leaves the old manifest with its old files, and the
next run continues from there. It holds no time of day and no machine name: equal
inputs give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from flyball_analytics.ingest.parquet import MEANINGS, SCHEMA_NAME
from flyball_analytics.problems import SeriesError

FILE_NAME = "manifest.json"
FILE_BYTES_MAX = 1 << 28


class Part(NamedTuple):
    """One Parquet file: rows of one target whose windows start on one date."""

    path: str  # below the history
    target: str
    date: str
    rows: int
    size: int  # bytes
    sha256: str


class Covered(NamedTuple):
    """A stretch of time that a source has answered for, at one period; `end_s` exclusive."""

    start_s: float
    end_s: float
    period_s: float


class Input(NamedTuple):
    """One file that was read; `sha256` of its bytes as stored (compressed)."""

    name: str
    size: int
    sha256: str


@dataclass(slots=True)
class Source:
    """One command and what it has read so far."""

    kind: str
    command: str
    request: dict[str, Any]  # what makes two runs the same source
    covered: dict[str, list[Covered]] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    points: int = 0
    complete: bool = False
    counts: dict[str, int] = field(default_factory=dict)  # findings

    def key(self) -> str:
        """Return the identity of the source."""
        return json.dumps([self.kind, self.request], sort_keys=True)


@dataclass(slots=True)
class Manifest:
    """All of `manifest.json`."""

    partition: str
    parts: list[Part] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    report: str = ""  # file name of the data-quality report
    report_sha256: str = ""

    def to_bytes(self) -> bytes:
        """Return the file."""
        document = {
            "schema": SCHEMA_NAME,
            "partition": self.partition,
            "columns": [
                {"name": name, "unit": unit, "meaning": meaning} for name, (unit, meaning) in MEANINGS.items()
            ],
            "targets": self.targets(),
            "parts": [part._asdict() for part in sorted(self.parts)],
            "sources": [_source_json(source) for source in self.sources],
            "report": {"file": self.report, "sha256": self.report_sha256},
        }
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(
            "utf-8", "replace"
        )

    def targets(self) -> dict[str, int]:
        """Return the number of rows per target."""
        rows: dict[str, int] = {}
        for part in sorted(self.parts):
            rows[part.target] = rows.get(part.target, 0) + part.rows
        return rows


def _source_json(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "command": source.command,
        "request": source.request,
        "covered": {target: [list(c) for c in spans] for target, spans in sorted(source.covered.items())},
        "inputs": [i._asdict() for i in source.inputs],
        "points": source.points,
        "complete": source.complete,
        "findings": source.counts,
    }


def is_history(folder: Path) -> bool:
    """Return whether a folder holds a manifest."""
    return (folder / FILE_NAME).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a history.

    Raises:
        SeriesError: If there is none, or it is damaged or of another version.
    """
    path = folder / FILE_NAME
    try:
        data = path.read_bytes() if path.stat().st_size <= FILE_BYTES_MAX else b""
        document = json.loads(data)
    except OSError as error:
        raise SeriesError(
            f"cannot be read: {error.strerror or error}; a history is a folder that `flyball ingest` wrote",
            path=str(path),
        ) from error
    except (ValueError, RecursionError) as error:
        raise SeriesError(f"is not JSON: {error}; restore it or ingest again", path=str(path)) from error
    found = document.get("schema") if isinstance(document, Mapping) else None
    if found != SCHEMA_NAME:
        raise SeriesError(f"schema={found!r} must be {SCHEMA_NAME!r}: ingest again", path=str(path))
    try:
        return _manifest(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SeriesError(
            f"is damaged ({type(error).__name__}: {error}): restore it or ingest again", path=str(path)
        ) from error


def _inside(path: object) -> str:
    """Return the path of a file of the history; a history from elsewhere must not name, or delete, others."""
    if not isinstance(path, str) or path != PurePosixPath(path).as_posix() or "\0" in path:
        raise ValueError(f"path {path!r} is none")
    if path != "." and (PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts):
        raise ValueError(f"path {path!r} leads out of the history")
    return path


def _manifest(document: Mapping[str, Any]) -> Manifest:
    for part in document["parts"]:
        _inside(part["path"])
    report = document["report"]["file"]
    return Manifest(
        partition=str(document["partition"]),
        parts=[Part(**part) for part in document["parts"]],
        sources=[
            Source(
                kind=str(s["kind"]),
                command=str(s["command"]),
                request=dict(s["request"]),
                covered={t: [Covered(*span) for span in spans] for t, spans in s["covered"].items()},
                inputs=[Input(**i) for i in s["inputs"]],
                points=int(s["points"]),
                complete=bool(s["complete"]),
                counts=dict(s["findings"]),
            )
            for s in document["sources"]
        ],
        report=_inside(report) if report else "",
        report_sha256=str(document["report"]["sha256"]),
    )


def cover(spans: list[Covered], new: Covered) -> list[Covered]:
    """Return the stretches with one more, neighbours of one period joined, oldest first.

    >>> cover([Covered(0.0, 60.0, 60.0)], Covered(60.0, 120.0, 60.0))
    [Covered(start_s=0.0, end_s=120.0, period_s=60.0)]
    """
    result: list[Covered] = []
    for span in sorted([*spans, new]):
        last = result[-1] if result else None
        if last is not None and last.period_s == span.period_s and span.start_s <= last.end_s:
            result[-1] = last._replace(end_s=max(last.end_s, span.end_s))
        else:
            result.append(span)
    return result


def uncovered(spans: list[Covered], start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Return the parts of [start_s, end_s) that no stretch covers, oldest first.

    >>> uncovered([Covered(60.0, 120.0, 60.0)], 0.0, 180.0)
    [(0.0, 60.0), (120.0, 180.0)]
    """
    missing = []
    at_s = start_s
    for span in sorted(spans):
        if span.start_s >= end_s:
            break
        if span.start_s > at_s:
            missing.append((at_s, span.start_s))
        at_s = max(at_s, span.end_s)
    if at_s < end_s:
        missing.append((at_s, end_s))
    return missing
