"""Journals read back: one decision found, its state recovered, every record computed again.

A journal is JSON lines (plain or gzip), one record per decision, as `flyball replay
--format json` writes them or as they were exported; the journal table gives the same
records. A record of production carries the state before it and is recomputed from
nothing but itself and the policy. A record of a replay carries hashes only: it is
recomputed from the records before it, as long as their hashes form a chain.

Production journals only what is news, and fleet rules and operators' holds enter a
state between two records; so a gap between two records is normal there and no fault.
Knows records and the step; never a file that is no journal, nor how it is shown.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

from flyball.contract import CircuitState
from flyball_analytics.problems import SeriesError
from flyball_analytics.replay import Mismatch, first_difference
from flyball_controller.codec import (
    canonical_json,
    decode_state,
    encode_state,
    journal_record,
    observation_from_json,
    short_hash,
)
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Decision, Evidence, Mode, Observation, Reason, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, initial_state
from flyball_controller.core.step import step

# What a production round adds to a record: why it ran. No decision depends on it.
_ADDED = ("trigger", "trigger_detail")
_HASHES = frozenset({"state", "state_before", "state_after"})
# A record with its state has under 8 kB. Packed zeros of a few kilobytes are a line of gigabytes.
LINE_BYTES_MAX = 1 << 20
JOURNAL_SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")


class JournalReader(Protocol):
    """What is read of a journal table."""

    def read(self, target: str, *, since_s: float, until_s: float) -> Iterator[dict[str, object]]:
        """Yield the target's records with since_s <= at_s < until_s, oldest first."""


class Entry(NamedTuple):
    """One record and its place, e.g. `journal.jsonl:12`."""

    place: str
    record: dict[str, Any]

    @property
    def target(self) -> str:
        """Whose record it is."""
        return str(self.record.get("target", ""))

    @property
    def is_decision(self) -> bool:
        """Whether it holds a decision; a reset of a damaged state, say, is an event without one."""
        return isinstance(self.record.get("observation"), Mapping)


class Redone(NamedTuple):
    """One record computed again: the state before and after, the decision, and its own record."""

    before: State
    after: State
    seen: Observation
    decision: Decision
    record: dict[str, object]


class Check(NamedTuple):
    """What recomputing a journal came to.

    `events` hold no decision; `unchained` cannot be recomputed, because they carry no
    state and what came before is not in the journal. `first` is the first mismatch.
    """

    records: int
    reproduced: int
    mismatched: int
    events: int
    unchained: int
    targets: int
    first: tuple[Entry, Mismatch] | None


def is_journal_name(path: Path) -> bool:
    """Return whether a file is read as a journal, by its name."""
    return path.name.endswith(JOURNAL_SUFFIXES)


def read_journal(path: Path) -> Iterator[Entry]:
    """Yield the records of a file of JSON lines, oldest first as they stand; blank lines are skipped.

    Raises:
        SeriesError: If it cannot be read, or a line is no JSON object; names the line.
    """
    line = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for line, data in enumerate(iter(partial(file.readline, LINE_BYTES_MAX + 1), b""), start=1):
                if len(data) > LINE_BYTES_MAX:
                    raise SeriesError(
                        f"is longer than {LINE_BYTES_MAX} bytes: is it a journal?", path=str(path), line=line
                    )
                if not data.strip():
                    continue
                yield Entry(f"{path}:{line}", _record(data, path, line))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise SeriesError(f"cannot be read: {reason}", path=str(path), line=line + 1) from error


def _record(data: bytes, path: Path, line: int) -> dict[str, Any]:
    """Return the object in a line."""
    try:
        record = json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise SeriesError(f"is no JSON: {error}", path=str(path), line=line) from error
    if not isinstance(record, dict):
        raise SeriesError(
            f"is a JSON {type(record).__name__}, not an object: "
            "a journal holds one record per line, as flyball replay --format json writes them",
            path=str(path),
            line=line,
        )
    return record


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    """A float as JSON can write it again: 1e999, say, is infinite, and no record of ours."""
    value = float(digits)
    if not isfinite(value):
        raise ValueError(f"{digits[:40]} is too large")
    return value


def entries_of_table(
    journal: JournalReader, target: str, *, since_s: float, until_s: float, table: str
) -> Iterator[Entry]:
    """Yield the records of one target in a journal table, oldest first.

    Raises:
        PortError: If the table cannot be read.
    """
    for number, record in enumerate(journal.read(target, since_s=since_s, until_s=until_s), start=1):
        yield Entry(f"table {table}, {target}, record {number}", dict(record))


def decision_of(entry: Entry) -> Decision:
    """Return the decision in a record.

    Raises:
        CheckpointError: If the record holds none, or a field cannot be read; names the place.
    """
    record = entry.record
    try:
        return Decision(
            float(record["at_s"]),
            str(record["target"]),
            Regime[record["regime"]],
            setpoint_of(record["proposed"]),
            setpoint_of(record["applied"]),
            tuple(
                Evidence(Reason[e["reason"]], e["measured"], e["threshold"], e["n"], e["confidence"])
                for e in record["evidence"]
            ),
            str(record["policy_hash"]),
            int(record["sequence"]),
            float(record["valid_until_s"]),
            bool(record["changed"]),
            bool(record["urgent"]),
            int(record["error_count"]),
            float(record.get("stamp_s", -1.0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            f"{entry.place}: is no decision record ({type(error).__name__}: {error})"
        ) from error


def setpoint_of(plain: Mapping[str, Any]) -> Setpoint:
    """Return the setpoint of a record."""
    return Setpoint(**{**plain, "circuit": CircuitState[plain["circuit"]]})


def state_of(entry: Entry) -> State | None:
    """Return the state before a record that carries it, None if it carries none.

    Raises:
        CheckpointError: If what it carries is no state; names the place.
    """
    text = entry.record.get("state")
    if text is None:
        return None
    try:
        return decode_state(base64.b64decode(str(text), validate=True))
    except (ValueError, CheckpointError) as error:  # binascii.Error is one; text that is not ASCII another
        raise CheckpointError(f"{entry.place}: the state in the record is damaged: {error}") from error


def redo(entry: Entry, before: State, policy: Policy) -> Redone:
    """Return the record computed again from its observation, a state and a policy.

    Raises:
        CheckpointError: If the record holds no observation.
    """
    plain = entry.record.get("observation")
    if not isinstance(plain, Mapping):
        raise CheckpointError(f"{entry.place}: holds no observation: it cannot be recomputed")
    try:
        seen = observation_from_json(plain)
    except CheckpointError as error:
        raise CheckpointError(f"{entry.place}: {error}") from error
    after, decision = step(before, seen, policy)
    record = journal_record(
        decision,
        seen,
        encode_state(before),
        encode_state(after),
        shadow=policy.mode == Mode.SHADOW,
        with_state="state" in entry.record,
    )
    record.update({key: entry.record[key] for key in _ADDED if key in entry.record})
    return Redone(before, after, seen, decision, record)


class Chain:
    """The states of many targets, as far as the records seen so far give them."""

    def __init__(self, policy_for: Callable[[str], Policy] | None) -> None:
        """Start with nothing seen; a target's first state is that of one never seen before.

        Without policies only the states in the records themselves are known.
        """
        self._policy_for = policy_for
        self._states: dict[str, State] = {}

    def before(self, entry: Entry) -> State | None:
        """Return the state before a record: its own, else the one that the chain leads to; None if neither.

        Raises:
            CheckpointError: If the record's own state is damaged.
        """
        own = state_of(entry)
        if own is not None:
            return own
        state = self._states.get(entry.target)
        if state is None:
            if self._policy_for is None:
                return None
            state = initial_state(self._policy_for(entry.target))
        return state if short_hash(encode_state(state)) == entry.record.get("state_before") else None

    def after(self, target: str, state: State) -> None:
        """Take the state that a record led to."""
        self._states[target] = state

    def advance(self, entry: Entry, before: State) -> None:
        """Step over a record, if the policy is known and it carries no state of its own."""
        if self._policy_for is not None and "state" not in entry.record:
            self.after(entry.target, redo(entry, before, self._policy_for(entry.target)).after)


def check_journal(entries: Iterable[Entry], policy_for: Callable[[str], Policy]) -> Check:
    """Recompute every decision from its inputs and compare the bytes.

    Args:
        entries: The journal; each target's records oldest first.
        policy_for: The policy that was in force, by target.

    Raises:
        CheckpointError: If a record's own state or observation is damaged; names the place.
    """
    chain = Chain(policy_for)
    counts: Counter[str] = Counter()
    targets: set[str] = set()
    first: tuple[Entry, Mismatch] | None = None
    for number, entry in enumerate(entries):
        counts["records"] += 1
        targets.add(entry.target)
        if not entry.is_decision:
            counts["events"] += 1
            continue
        before = chain.before(entry)
        if before is None:
            counts["unchained"] += 1
            continue
        again = redo(entry, before, policy_for(entry.target))
        if canonical_json(entry.record) == canonical_json(again.record):
            counts["reproduced"] += 1
            chain.after(entry.target, again.after)
            continue
        counts["mismatched"] += 1
        first = first or (entry, difference_of(number, entry, again.record))
    return Check(
        counts["records"],
        counts["reproduced"],
        counts["mismatched"],
        counts["events"],
        counts["unchained"],
        len(targets),
        first,
    )


def difference_of(number: int, entry: Entry, again: Mapping[str, object]) -> Mismatch:
    """Return the first field that differs from a recomputed record and tells a reader most.

    Another policy differs in everything, and is named before the rest; hashes of states
    differ wherever anything does, and come last.
    """
    recorded, computed = entry.record.get("policy_hash"), again["policy_hash"]
    if recorded != computed:
        return Mismatch(number, "policy_hash", recorded, computed)
    mine, theirs = (
        {key: value for key, value in record.items() if key not in _HASHES}
        for record in (entry.record, again)
    )
    if canonical_json(mine) != canonical_json(theirs):
        return first_difference(number, mine, theirs)
    return first_difference(number, entry.record, again)
