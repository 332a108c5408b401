"""`flyball ingest metric-stream`: files of a CloudWatch metric stream into a history.

JSON lines and OpenTelemetry 1.0 are told apart by their first bytes. Whatever cannot
be read is listed with file and line and costs only itself. A file that was read
before, and has not changed, is not read again; one that has changed is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.cli.files import write_whole
from flyball_analytics.counts import counted
from flyball_analytics.ingest import cells_kernel
from flyball_analytics.ingest.blobs import Blob, Reading
from flyball_analytics.ingest.cells import Cells, Minutes, expected_bits, rows_of
from flyball_analytics.ingest.findings import FindingKind, Findings
from flyball_analytics.ingest.manifest import Input, Source
from flyball_analytics.ingest.routes import Router
from flyball_analytics.ingest.scan import Batch, Registry, batch_of, make_reader
from flyball_analytics.ingest.store import HistoryWriter, Rule
from flyball_controller.aws.otel import WireError, message_end
from flyball_controller.aws.stream_points import Damage, is_json, otel_points

# Minutes held before they are written: about 400 MB.
CELLS_MAX = 1_000_000
MESSAGE_BYTES_MAX = 1 << 26
INPUTS_NAME = ".inputs.json"  # what tells that a file has not changed; no part of the history


class Progress(NamedTuple):
    """What came of one file."""

    name: str
    size: int
    points: int
    known: bool  # read before, unchanged


class StreamIngest:
    """One run over files of a metric stream.

    Args:
        writer: The history.
        source: Of this command, with its findings.
        router: Which points are whose.
        delay_s: How long after its end a minute could be read, >= 0.
    """

    def __init__(
        self,
        writer: HistoryWriter,
        source: tuple[Source, Findings],
        router: Router,
        *,
        delay_s: float,
        cells_max: int = CELLS_MAX,
    ) -> None:
        self._writer = writer
        self._source, self._findings = source
        self._marks = read_marks(writer.folder)
        self._known = {(i.name, i.sha256) for i in self._source.inputs}
        self._router = router
        self._delay_s = delay_s
        self._cells_max = cells_max
        self._registry = Registry()
        self._reader = make_reader(self._registry)
        self._cells = Cells(self._registry, router)
        self._points = 0
        self._foreign = 0

    def unread(self, blobs: Iterable[Blob]) -> list[Blob]:
        """Return the files that a run would read: those that are new, or have changed."""
        return [blob for blob in blobs if not self._is_known(blob)]

    def _is_known(self, blob: Blob) -> bool:
        """Return whether the history holds the file as it is now, from this source."""
        mark, sha256 = self._marks.get(blob.name, ("", ""))
        return mark == blob.mark and (blob.name, sha256) in self._known

    def run(self, blobs: Iterable[Blob]) -> Iterator[Progress]:
        """Read the files in order, yielding after each; the history is complete when this ends."""
        read: list[Input] = []
        fresh: dict[str, tuple[str, str]] = {}
        for blob in blobs:
            if self._is_known(blob):
                yield Progress(blob.name, blob.size, 0, True)
                continue
            before = self._points
            reading = Reading(blob)
            self._read(reading)
            read.append(Input(blob.name, reading.size, reading.sha256))
            fresh[blob.name] = (blob.mark, reading.sha256)
            if len(self._cells) > self._cells_max:
                self._flush(read)
                read = []
                write_marks(self._writer.folder, {**self._marks, **fresh})
            yield Progress(blob.name, reading.size, self._points - before, False)
        if read or not self._source.complete:
            self._source.complete = True
            self._flush(read)
            write_marks(self._writer.folder, {**self._marks, **fresh})

    def _read(self, reading: Reading) -> None:
        """Add the points of one file to the cells."""
        plain = reading.plain()
        first = next(plain, b"")
        pieces = chain([first], plain)
        if is_json(first) or not _looks_like_messages(first):
            line = 1
            for block in reading.blocks(pieces):
                self._add_lines(block, line, reading.blob.name)
                line += block.count(b"\n")
        else:
            self._read_messages(pieces, reading.blob.name)
        if reading.error is not None:
            error = reading.error
            self._findings.add(FindingKind.POISON, f"{reading.blob.name}: {error.what}; {error.remedy}")

    def _add_lines(self, block: bytes, line: int, name: str) -> None:
        damage: list[Damage] = []
        batch = self._reader.read(block, line, damage.append)
        for d in damage:
            self._findings.add(FindingKind.POISON, f"{name}:{d.line}: {d.value} must be {d.bound}")
        self._points += len(batch.series)
        self._reject_times(self._cells.add(batch), batch, name)

    def _read_messages(self, pieces: Iterator[bytes], name: str) -> None:
        damage: list[Damage] = []
        for data in _messages(pieces):
            points = list(otel_points(data, damage.append))
            self._points += len(points)
            batch = batch_of(points, self._registry)
            self._reject_times(self._cells.add(batch), batch, name)
        for d in damage:
            self._findings.add(FindingKind.POISON, f"{name}: {d.value}; {d.bound}")

    def _reject_times(self, numbers: Iterable[int], batch: Batch, name: str) -> None:
        for number in numbers:
            metric = self._registry.names[int(batch.series[number])].metric
            start_s = float(batch.values[number, 0])
            self._findings.add(
                FindingKind.POISON,
                f"{name}: time {start_s:.0f} s of {metric} must lie between the years 2000 and 2100; "
                "timestamps are in milliseconds",
            )

    def _flush(self, read: list[Input]) -> None:
        """Write the minutes held, and the manifest."""
        for found in self._cells.drain():
            self._write(found)
        names = {i.name for i in read}
        kept = [i for i in self._source.inputs if i.name not in names]
        self._source.inputs = sorted([*kept, *read])
        self._source.points += self._points
        self._points = 0
        self._findings.count(FindingKind.FOREIGN, self._cells.foreign - self._foreign)
        self._foreign = self._cells.foreign
        for target, origins in sorted(self._router.strangers.items()):
            own = ", ".join(f"{account}/{region}" for account, region in sorted(origins))
            self._findings.add(
                FindingKind.STRANGER,
                f"points from {own} besides those kept: choose with --account and --region",
                target=target,
            )
        self._router.strangers.clear()
        self._writer.commit(self._source, self._findings)

    def _write(self, found: Minutes) -> None:
        metric_map = self._router.maps[found.target]
        block, kept = rows_of(found, metric_map, delay_s=self._delay_s)
        self._report(found)
        for minute in found.minutes[~kept].tolist():
            self._findings.add(
                FindingKind.INCOMPLETE,
                "values but no requests: no row",
                target=found.target,
                at_s=minute * cells_kernel.MINUTE_S,
            )
        rule = Rule(
            larger_stands=True, count_repeated=True, expected={found.target: expected_bits(metric_map)}
        )
        self._writer.add(found.target, block, rule, self._findings)

    def _report(self, found: Minutes) -> None:
        kinds = (
            (cells_kernel.LATE, FindingKind.LATE, "after a younger minute"),
            (cells_kernel.REPEATED, FindingKind.DUPLICATE, "repeated"),
            (cells_kernel.REVISED, FindingKind.REVISED, "with another value; the larger stands"),
        )
        for column, kind, words in kinds:
            counts = found.counters[:, column]
            for row in counts.nonzero()[0].tolist():
                at_s = float(found.minutes[row]) * cells_kernel.MINUTE_S
                count = int(counts[row])
                self._findings.add(kind, f"{counted(count, 'point')} {words}", target=found.target, at_s=at_s)
                self._findings.count(kind, count - 1)


def _looks_like_messages(data: bytes) -> bool:
    """Return whether bytes begin with a length and the tag of the first field, as OpenTelemetry does."""
    try:
        at, _ = message_end(data, 0)
    except WireError:
        return False
    return data[at : at + 1] == b"\x0a"


def _messages(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield runs of whole messages with their lengths; what is left at the end is yielded, too."""
    held = b""
    for piece in pieces:
        held += piece
        at = 0
        while True:
            try:
                _, end = message_end(held, at)
            except WireError:
                break  # cut off here, or damaged: the next piece or the reader will tell
            if end > len(held) or end - at > MESSAGE_BYTES_MAX:
                break
            at = end
        if at:
            yield held[:at]
            held = held[at:]
        if len(held) > 2 * MESSAGE_BYTES_MAX:
            break
    if held:
        yield held


def read_marks(folder: Path) -> dict[str, tuple[str, str]]:
    """Return by file what told that it had not changed, and its digest; nothing if that is unknown."""
    try:
        found = json.loads((folder / INPUTS_NAME).read_bytes())
        return {str(name): (str(mark), str(sha256)) for name, (mark, sha256) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # a cache: without it files are read again, with the same result


def write_marks(folder: Path, marks: Mapping[str, tuple[str, str]]) -> None:
    """Remember what tells that files have not changed."""
    write_whole(folder / INPUTS_NAME, json.dumps(marks, sort_keys=True).encode())
