"""Writes a history: blocks of rows in, Parquet parts and a manifest out, safe to kill at any moment.

A part's name is the digest of its bytes. A commit writes new parts beside the old
ones, then replaces the manifest, then removes what the manifest no longer names:
whenever the power goes, the manifest names files that exist and are whole. Only
one writer may be at work on a history; a second one is refused.

Never knows where rows come from.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from flyball_analytics.cli.files import write_whole
from flyball_analytics.companions import HISTORY_PREFIX
from flyball_analytics.ingest import block as blocks
from flyball_analytics.ingest.block import Array, Block, Merged
from flyball_analytics.ingest.findings import Finding, FindingKind, Findings
from flyball_analytics.ingest.manifest import FILE_NAME, Manifest, Part, Source, is_history, read_manifest
from flyball_analytics.ingest.parquet import from_bytes, to_bytes
from flyball_analytics.moments import parse_moment
from flyball_analytics.problems import SeriesError

LOCK_NAME = ".lock"
PARTITIONS = {"month": "M", "day": "D"}  # as NumPy names them
# A day of minutes is about 20 kB: a hundred thousand such files are slower than their content.
PARTITION = "month"


class Rule(NamedTuple):
    """How rows of one source are merged with what is there; see block.merge."""

    larger_stands: bool = False
    count_repeated: bool = False  # False: reading a window again is the source's way, not a finding
    expected: Mapping[str, int] = {}  # target -> bits of a complete window


class HistoryWriter:
    """One history that is being written. Use `open_writer`."""

    def __init__(self, folder: Path, manifest: Manifest, listed: list[tuple[str, Finding]]) -> None:
        self.folder = folder
        self.manifest = manifest
        self._listed = listed  # findings with the key of their source
        self._parts = {(part.target, part.date): part for part in manifest.parts}
        self._pending: set[str] = set()

    def source(self, kind: str, command: str, request: Mapping[str, object]) -> tuple[Source, Findings]:
        """Return the source of a command, new or as an earlier run left it, with its findings."""
        wanted = Source(kind, command, dict(request))
        for known in self.manifest.sources:
            if known.key() == wanted.key():
                findings = Findings()
                mine = [f for key, f in self._listed if key == known.key()]
                findings.restore(known.counts, mine)
                return known, findings
        self.manifest.sources.append(wanted)
        return wanted, Findings()

    def add(self, target: str, block: Block, rule: Rule, findings: Findings) -> int:
        """Merge rows of one target into its parts; return how many rows are new or changed.

        The files are written at once, the manifest by `commit`.
        """
        changed = 0
        for date, rows in self._by_date(block):
            part = self._parts.get((target, date))
            old = self._read(part) if part is not None else blocks.empty()
            expected = rule.expected.get(target, 0)
            merged = blocks.merge(old, rows, larger_stands=rule.larger_stands, expected=expected)
            _report(merged, target, findings, rule)
            if merged.changed:
                self._parts[target, date] = self._write(target, date, merged.block)
                changed += blocks.length(rows) - merged.repeated
        return changed

    def read(self, target: str) -> Block:
        """Return all rows of a target, those added but not yet committed included."""
        parts = [part for (name, _), part in sorted(self._parts.items()) if name == target]
        return blocks.joined([self._read(part) for part in parts])

    def commit(self, source: Source, findings: Findings) -> None:
        """Make everything added so far durable."""
        source.counts = findings.plain_counts()
        key = source.key()
        self._listed = [(k, f) for k, f in self._listed if k != key] + [(key, f) for f in findings.listed]
        before = {part.path for part in self.manifest.parts} | {self.manifest.report} | self._pending
        self.manifest.parts = [self._parts[key] for key in sorted(self._parts)]
        report = b"".join(
            json.dumps({**finding.to_json(), "source": self._number(k)}, ensure_ascii=False).encode(
                "utf-8", "replace"
            )
            + b"\n"
            for k, finding in self._listed
        )
        self.manifest.report_sha256 = hashlib.sha256(report).hexdigest()
        self.manifest.report = f"quality-{self.manifest.report_sha256[:16]}.jsonl"
        write_whole(self.folder / self.manifest.report, report)
        write_whole(self.folder / FILE_NAME, self.manifest.to_bytes())
        self._pending.clear()
        kept = {part.path for part in self.manifest.parts} | {self.manifest.report}
        for path in before - kept - {""}:
            (self.folder / path).unlink(missing_ok=True)

    def _number(self, key: str) -> int:
        return next(i for i, source in enumerate(self.manifest.sources) if source.key() == key)

    def _by_date(self, block: Block) -> Iterator[tuple[str, Block]]:
        """Yield the rows of each date, oldest date first, their order kept."""
        if not blocks.length(block):
            return
        unit = PARTITIONS[self.manifest.partition]
        dates: Array = block["start_us"].astype("datetime64[us]").astype(f"datetime64[{unit}]")
        for date in np.unique(dates):
            yield str(date), blocks.take(block, dates == date)

    def _read(self, part: Part) -> Block:
        return from_bytes((self.folder / part.path).read_bytes(), path=str(self.folder / part.path))

    def _write(self, target: str, date: str, block: Block) -> Part:
        data = to_bytes(block, target=target)
        digest = hashlib.sha256(data).hexdigest()
        folder = self.folder / target_folder(target) / f"date={date}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{digest[:16]}.parquet"
        write_whole(path, data)
        name = str(path.relative_to(self.folder))
        self._pending.add(name)
        return Part(name, target, date, blocks.length(block), len(data), digest)


def target_folder(target: str) -> str:
    """Return the name of a target's folder, safe on every file system.

    >>> target_folder("pay/eu:1")
    'target=pay%2Feu%3A1'
    """
    return f"{HISTORY_PREFIX}{quote(target, safe='')}"


@contextmanager
def open_writer(folder: Path, *, partition: str | None = None) -> Iterator[HistoryWriter]:
    """Open a history for writing, or begin one; remove what a killed run left behind.

    Args:
        folder: Created if it is missing.
        partition: "month" or "day"; None: as it is, month for a new one.

    Raises:
        SeriesError: If another writer is at work, the folder holds something else, or
            the history is partitioned otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not is_history(folder) and any(not _ours(p) for p in folder.iterdir()):
        raise SeriesError(
            "holds other files: name a new or an empty folder for the history", path=str(folder)
        )
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SeriesError(
                "another ingest is writing to this history: wait for it", path=str(folder)
            ) from error
        manifest = read_manifest(folder) if is_history(folder) else Manifest(partition or PARTITION)
        if partition is not None and partition != manifest.partition:
            raise SeriesError(
                f"partition={partition!r}, but the history is partitioned by {manifest.partition}: "
                "use that, or a new folder",
                path=str(folder),
            )
        sweep(folder, manifest)
        yield HistoryWriter(folder, manifest, read_report(folder, manifest))
    finally:
        os.close(handle)


def _ours(path: Path) -> bool:
    """Return whether a first run that was killed can have left this."""
    return path.name.startswith(("target=", "quality-", "."))


def orphans(folder: Path, manifest: Manifest) -> list[Path]:
    """Return files of ours that the manifest does not name: what a killed run left behind."""
    named = {part.path for part in manifest.parts} | {manifest.report, FILE_NAME}
    found = [p for p in folder.glob("target=*/date=*/*") if str(p.relative_to(folder)) not in named]
    found += [p for p in folder.glob("target=*/date=*/.*") if p not in found]
    found += [p for p in folder.glob("quality-*.jsonl") if p.name not in named]
    found += [*folder.glob(f".{FILE_NAME}.*"), *folder.glob(".quality-*")]
    return sorted(found)


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what a killed run left behind."""
    for path in orphans(folder, manifest):
        path.unlink(missing_ok=True)


def read_report(folder: Path, manifest: Manifest) -> list[tuple[str, Finding]]:
    """Return the listed findings with the key of their source; none if the report is gone."""
    if not manifest.report or not (folder / manifest.report).is_file():
        return []
    keys = [source.key() for source in manifest.sources]
    found = []
    for line in (folder / manifest.report).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        at_s = parse_moment(entry["at"]) if entry["at"] is not None else -1.0
        finding = Finding(FindingKind(entry["kind"]), entry["target"], at_s, entry["detail"])
        found.append((keys[entry["source"]], finding))
    return found


def _report(merged: Merged, target: str, findings: Findings, rule: Rule) -> None:
    """Add what a merge found."""
    if rule.count_repeated:
        findings.count(FindingKind.DUPLICATE, merged.repeated)
    for r in merged.revisions:
        findings.add(
            FindingKind.REVISED,
            f"requests {r.requests_before} -> {r.requests_after}, "
            f"failures {r.failures_before} -> {r.failures_after}",
            target=target,
            at_s=r.start_us / blocks.US_PER_S,
        )
