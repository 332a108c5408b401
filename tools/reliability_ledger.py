"""What long runs of the simulation came to, kept in a file: one JSON line per finished batch of seeds.

A release asks for a million schedules, which no machine does in one go. So each
batch is written down when it is finished, with the digest of the sources that it
ran (tools/reliability_sources.py) and the commit that they were of, and a
later run goes on where the file ends. Files of several machines are joined by
`cat`; seeds that stand in two lines count once. Nothing here runs anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1


class LedgerError(ValueError):
    """A file that is no ledger; the message says which line and why."""


class Sum(NamedTuple):
    """What some seeds came to."""

    schedules: int
    rounds: int
    calls: int
    simulated_s: float
    quiet_max: int
    cpu_s: float
    reached: Counter[str]  # schedules that went each rare way
    table: Counter[tuple[str, str]]  # (fault, outcome)
    failures: list[tuple[int, str]]


class Batch(NamedTuple):
    """One line: the seeds `first` to `last`, what they came to, and of which sources that is evidence."""

    first: int
    last: int
    commit: str  # "+" at its end: with changes to these sources that were not committed
    total: Sum
    sources: str = ""  # digest of what ran; lines of before it was written have none


def added(sums: Sequence[Sum]) -> Sum:
    """Return the sum of sums."""
    reached: Counter[str] = Counter()
    table: Counter[tuple[str, str]] = Counter()
    for one in sums:
        reached.update(one.reached)
        table.update(one.table)
    return Sum(
        sum(one.schedules for one in sums),
        sum(one.rounds for one in sums),
        sum(one.calls for one in sums),
        sum(one.simulated_s for one in sums),
        max((one.quiet_max for one in sums), default=0),
        sum(one.cpu_s for one in sums),
        reached,
        table,
        [failure for one in sums for failure in one.failures],
    )


def encode(batch: Batch) -> str:
    """Return the line of a batch, without its end."""
    total = batch.total
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "first": batch.first,
        "last": batch.last,
        "commit": batch.commit,
        "sources": batch.sources,
        **total._asdict(),
        "cpu_s": round(total.cpu_s, 3),
        "table": [[fault, outcome, count] for (fault, outcome), count in sorted(total.table.items())],
    }
    return json.dumps(fields, sort_keys=True)


def decode(line: str, *, where: str) -> Batch:
    """Return the batch of a line.

    Raises:
        LedgerError: It is none; `where` stands in the message.
    """
    try:
        plain = json.loads(line)
        if plain["schema"] != SCHEMA:
            raise ValueError(f"schema {plain['schema']!r} is not {SCHEMA}")
        total = Sum(
            *(plain[name] for name in ("schedules", "rounds", "calls", "simulated_s", "quiet_max", "cpu_s")),
            Counter(plain["reached"]),
            Counter({(fault, outcome): count for fault, outcome, count in plain["table"]}),
            [(seed, what) for seed, what in plain["failures"]],
        )
        batch = Batch(
            plain["first"], plain["last"], str(plain["commit"]), total, str(plain.get("sources", ""))
        )
        if total.schedules != batch.last - batch.first + 1:
            raise ValueError(f"{total.schedules} schedules are not seeds {batch.first} to {batch.last}")
    except (ValueError, TypeError, KeyError) as error:
        raise LedgerError(f"{where}: is no batch of a ledger: {error!r}") from error
    return batch


def read(path: Path) -> list[Batch]:
    """Return the batches in a file, [] if there is none yet; one whose seeds stand there already is left out.

    A last line without its end is what a killed run leaves: it does not count.

    Raises:
        LedgerError: Another line cannot be read.
    """
    if not path.exists():
        return []
    return once(read_all(path))


def read_all(path: Path) -> list[Batch]:
    """Return the batch of every line of a file, the half line of a killed run left out.

    Raises:
        LedgerError: A line cannot be read, or the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path}: cannot be read as a ledger: {error}") from error
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    return [decode(line, where=f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def once(batches: Sequence[Batch]) -> list[Batch]:
    """Return the batches of which no seed stands in one before."""
    kept, seen = [], set()
    for batch in batches:
        seeds = range(batch.first, batch.last + 1)
        if seen.isdisjoint(seeds):
            kept.append(batch)
        seen.update(seeds)
    return kept


def append(path: Path, batch: Batch) -> None:
    """Write one line at the end; a half line that a killed run left is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_bytes()[-1:] if path.exists() else b""
    if text not in (b"", b"\n"):
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole[: whole.rfind("\n") + 1], encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write(encode(batch) + "\n")


def missing(batches: Sequence[Batch], *, first: int, size: int) -> Iterator[range]:
    """Yield the ranges of `size` seeds from `first` on that no batch touches yet; without end.

    >>> ranges = missing([], first=100, size=50)
    >>> next(ranges), next(ranges)
    (range(100, 150), range(150, 200))
    """
    done = {seed for batch in batches for seed in range(batch.first, batch.last + 1)}
    at = first
    while True:
        if done.isdisjoint(range(at, at + size)):
            yield range(at, at + size)
        at += size
