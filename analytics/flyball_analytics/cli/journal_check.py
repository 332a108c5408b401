"""`flyball replay --journal-check`: every decision of a journal computed again, byte for byte."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from flyball_analytics.cli.errors import ExitCode, InconclusiveError
from flyball_analytics.cli.program import program_name
from flyball_analytics.clock import SystemClock
from flyball_analytics.counts import counted
from flyball_analytics.journalfile import (
    Check,
    Entry,
    check_journal,
    entries_of_table,
    read_journal,
)
from flyball_analytics.whyfind import preset_in_force
from flyball_controller.codec import canonical_json
from flyball_controller.policy_set import PolicySet

SCHEMA = 1
SHOWN_MAX = 400  # of a value that differs


class Place(NamedTuple):
    """Where a journal lies: files, or one target's part of a table, over a span of time."""

    files: Sequence[Path]
    table: str | None
    region: str | None
    target: str | None
    from_s: float | None
    to_s: float | None


def check_places(place: Place, policies: PolicySet, *, given: bool, form: str) -> ExitCode:
    """Check each journal, write what it came to, and return how the command ends.

    Args:
        place: Where the journals are.
        policies: What was in force.
        given: Whether the user named it; if not, the preset whose identity the records carry is taken.
        form: `text` or `json`.

    Raises:
        InconclusiveError: If nothing differs, but a part cannot be recomputed.
    """
    failed = 0
    unchained: list[str] = []
    for name, entries in _journals(place):
        head: list[Entry] = []
        for entry in entries:
            head.append(entry)
            if entry.is_decision:
                break
        used = policies
        if not given and head and head[-1].is_decision:
            used = preset_in_force(head[-1]) or policies
        check = check_journal(_again(head, entries), used.for_target)
        click.echo(
            canonical_json(_json(name, used, check)).decode() if form == "json" else _text(name, used, check)
        )
        failed += check.first is not None
        if check.unchained or not check.records:
            unchained.append(name)
    if failed:
        return ExitCode.CHECK_FAILED
    if unchained:
        raise InconclusiveError(
            f"{', '.join(unchained)}: not all can be recomputed: records without a state need all that came "
            "before them; a journal of production carries states"
        )
    return ExitCode.OK


def _again(head: Sequence[Entry], rest: Iterator[Entry]) -> Iterator[Entry]:
    yield from head
    yield from rest


def _journals(place: Place) -> Iterator[tuple[str, Iterator[Entry]]]:
    """Yield name and records of each journal."""
    since_s = place.from_s if place.from_s is not None else 0.0
    until_s = place.to_s if place.to_s is not None else SystemClock().now_s() + 1.0
    if place.table is not None:
        from flyball_controller.aws.clients import Clients
        from flyball_controller.aws.journal import DynamoJournal

        if place.target is None:
            raise click.UsageError("--table needs --target: records are stored by target")
        journal = DynamoJournal(Clients(region=place.region).dynamodb, table=place.table)
        name = f"table {place.table}, {place.target}"
        yield (
            name,
            entries_of_table(journal, place.target, since_s=since_s, until_s=until_s, table=place.table),
        )
    for path in place.files:
        yield str(path), (entry for entry in read_journal(path) if place.target in (None, entry.target))


def _text(name: str, policies: PolicySet, check: Check) -> str:
    decisions = check.records - check.events
    what = f"{counted(decisions, 'decision')} on {counted(check.targets, 'target')}"
    lines = [
        f"{name}: {what}, policy {policies.name}",
        f"  reproduced  {check.reproduced:,} byte for byte",
    ]
    if check.mismatched:
        lines.append(f"  differ      {check.mismatched}")
    if check.unchained:
        lines.append(f"  unknown     {check.unchained}: no state in the record, and none leads to it")
    if check.events:
        lines.append(f"  events      {check.events} without a decision")
    if check.first is not None:
        entry, found = check.first
        lines += [
            f"  first       {entry.place}, {entry.target}@{entry.record.get('sequence')}, {found.field}:",
            f"    recorded    {_shown(found.recorded)}",
            f"    recomputed  {_shown(found.recomputed)}",
        ]
        if found.field == "policy_hash":
            lines.append("  decided under another policy: give the file that was in force with --policy")
        else:
            wanted = shlex.quote(f"{entry.target}@{entry.record.get('sequence')}")
            where = entry.place.rpartition(":")[0]
            source = (
                f"--table {name.split()[1].rstrip(',')}" if name.startswith("table ") else shlex.quote(where)
            )
            lines.append(f"next: {program_name()} why {wanted} {source} --reproduce")
    return "\n".join(lines)


def _shown(value: object) -> str:
    text = canonical_json(value).decode()
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}… ({len(text)} characters)"


def _json(name: str, policies: PolicySet, check: Check) -> dict[str, object]:
    first = None
    if check.first is not None:
        entry, found = check.first
        first = {
            "place": entry.place,
            "target": entry.target,
            "sequence": entry.record.get("sequence"),
            "field": found.field,
            "recorded": found.recorded,
            "recomputed": found.recomputed,
        }
    return {
        "schema": SCHEMA,
        "journal": name,
        "policy": policies.name,
        "decisions": check.records - check.events,
        "reproduced": check.reproduced,
        "mismatched": check.mismatched,
        "unchained": check.unchained,
        "events": check.events,
        "first_mismatch": first,
    }
