"""`flyball why`: one decision in words, with what would have changed it and the inputs to reproduce it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from flyball_analytics.cli.errors import ExitCode, InconclusiveError, InvalidError
from flyball_analytics.cli.histories import metric_files
from flyball_analytics.cli.program import program_name
from flyball_analytics.cli.types import pair, span
from flyball_analytics.clock import SystemClock
from flyball_analytics.companions import target_of
from flyball_analytics.journalfile import (
    Entry,
    JournalReader,
    difference_of,
    entries_of_table,
    is_journal_name,
    read_journal,
    redo,
)
from flyball_analytics.series import read_series
from flyball_analytics.why import why
from flyball_analytics.why_text import Told, told_json, told_markdown, told_text
from flyball_analytics.whyfind import (
    DecisionError,
    DecisionId,
    Found,
    check_policy,
    find_in_history,
    find_in_journal,
    parse_decision_id,
    preset_in_force,
)
from flyball_controller.codec import canonical_json
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet

POLICY = "two-loop"  # of a history, which carries none
LOOK_BACK_S = 86_400.0  # how far before a named time the table is searched


class Options(NamedTuple):
    """The options of one call."""

    source: Path | None
    table: str | None
    region: str | None
    policy: str | None
    columns: dict[str, str]
    period_s: float | None
    delay_s: float | None


@click.command("why", short_help="Explain one decision, and what would have changed it.")
@click.argument("decision", metavar="DECISION")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--table", metavar="NAME", help="Look in this DynamoDB journal table instead of a file.")
@click.option("--region", help="AWS region of the table; default: boto3's own configuration.")
@click.option(
    "--policy", help="What was in force: a preset or a policy file; default: found by its identity."
)
@click.option("--reproduce", is_flag=True, help="Compute the decision again and compare the bytes.")
@click.option("--column", "columns", type=pair, multiple=True, help="Which column of a CSV carries a field.")
@click.option("--period", "period_s", type=span, help="Length of a window; default: the commonest distance.")
@click.option("--delay", "delay_s", type=span, help="How long after its end a window could be read.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
@click.pass_context
def why_command(
    context: click.Context,
    decision: str,
    source: Path | None,
    table: str | None,
    region: str | None,
    policy: str | None,
    reproduce: bool,
    columns: tuple[tuple[str, str], ...],
    period_s: float | None,
    delay_s: float | None,
    form: str,
) -> None:
    """Explain one decision, and what would have changed it.

    DECISION is target@sequence, as journals number them, or target@time: the decision
    in force at that time. SOURCE is a journal (JSON lines, may be gzip), or a history
    that `flyball replay` reads, which is replayed up to the decision; or give --table.

    Says what was done, every reason with its numbers, what the window showed, which
    levels it was held against, and how many failures fewer or more in it would have led
    elsewhere. --format json adds the state, from which anybody can compute it again;
    --reproduce does so, and ends with 1 if a byte differs. Nothing is changed.

    \b
    example: flyball why payments@412 journal.jsonl
    example: flyball why payments@2026-01-05T00:31:00Z payments.csv --policy adaptive
    example: flyball why payments@2026-01-05T00:31:00Z --table flyball-journal --reproduce
    """
    if (source is None) == (table is None):
        raise click.UsageError("give either a SOURCE file or --table: where is the decision?")
    try:
        wanted = parse_decision_id(decision)
    except DecisionError as error:
        raise click.BadParameter(str(error), param_hint="DECISION") from error
    options = Options(source, table, region, policy, dict(columns), period_s, delay_s)
    told = _told(wanted, options, reproduce=reproduce)
    if form == "json":
        click.echo(canonical_json(told_json(told)).decode())
    else:
        click.echo(told_markdown(told) if form == "markdown" else told_text(told))
    if told.reproduced is False:
        context.exit(ExitCode.CHECK_FAILED)


def _told(wanted: DecisionId, options: Options, *, reproduce: bool) -> Told:
    """Return the explanation; what cannot be found or recomputed is said."""
    try:
        found, policies = _find(wanted, options)
    except DecisionError as error:
        raise InvalidError(f"{options.source or options.table}: {error}") from error
    if policies is None:
        raise InconclusiveError(
            f"{found.entry.place}: was decided under policy {found.entry.record.get('policy_hash')}, "
            "which is no preset: give the policy file that was in force with --policy"
        )
    policy = policies.for_target(wanted.target)
    check_policy(found.entry, policy)
    if found.state is None:
        raise InconclusiveError(
            f"{found.entry.place}: the record carries no state and the records before it do not lead to one: "
            "give the whole journal, or one of production, which carries states"
        )
    again = redo(found.entry, found.state, policy)
    same = canonical_json(again.record) == canonical_json(found.entry.record)
    return Told(
        why=why(found.state, again.seen, policy),
        decision_id=found.decision_id,
        place=found.entry.place,
        policy_name=policies.name,
        note=found.note,
        again=_again(found, options),
        reproduced=same if reproduce else None,
        difference="" if same else _difference(found.entry, again.record),
    )


def _difference(entry: Entry, again: dict[str, object]) -> str:
    differs = difference_of(0, entry, again)
    return f"{differs.field} is {differs.recorded!r} in the record and {differs.recomputed!r} computed again"


def _again(found: Found, options: Options) -> str:
    """Return the command that reproduces the decision."""
    where = f"--table {shlex.quote(options.table)}" if options.table else shlex.quote(str(options.source))
    policy = f" --policy {shlex.quote(options.policy)}" if options.policy else ""
    return f"{program_name()} why {shlex.quote(found.decision_id)} {where}{policy} --reproduce"


def _find(wanted: DecisionId, options: Options) -> tuple[Found, PolicySet | None]:
    """Return the decision and the policies that were in force, None if nobody knows them."""
    given = load_policy(options.policy) if options.policy else None
    if options.table is not None:
        found = find_in_journal(_of_table(wanted, options), wanted, given)
        return found, given or preset_in_force(found.entry)
    assert options.source is not None  # noqa: S101 - one of the two was given
    if is_journal_name(options.source):
        found = find_in_journal(read_journal(options.source), wanted, given)
        return found, given or preset_in_force(found.entry)
    policies = given or load_policy(POLICY)
    path = _history(options.source, wanted)
    series = read_series(
        path,
        target=None if path.is_dir() else wanted.target,
        columns=options.columns,
        period_s=options.period_s,
        delay_s=options.delay_s,
        now_s=SystemClock().now_s(),
    )
    return find_in_history(series, wanted, policies.for_target(wanted.target)), policies


def _history(source: Path, wanted: DecisionId) -> Path:
    """Return the file or folder of the target in a history."""
    paths = metric_files([source], wanted.target)
    mine = [path for path in paths if target_of(path) == wanted.target]
    if not mine and len(paths) > 1:
        known = ", ".join(sorted(target_of(path) for path in paths)[:8])
        raise DecisionError(f"there is no history of {wanted.target!r}; targets here are {known}")
    return (mine or paths)[0]


def _of_table(wanted: DecisionId, options: Options) -> Iterator[Entry]:
    """Yield the target's records in the journal table."""
    from flyball_controller.aws.clients import Clients
    from flyball_controller.aws.journal import DynamoJournal

    assert options.table is not None  # noqa: S101 - asked for
    journal = DynamoJournal(Clients(region=options.region).dynamodb, table=options.table)
    yield from table_entries(journal, wanted, table=options.table, now_s=SystemClock().now_s())


def table_entries(journal: JournalReader, wanted: DecisionId, *, table: str, now_s: float) -> Iterator[Entry]:
    """Yield the records that may hold the wanted decision, oldest first.

    Of a named time they are those of the day before it; where there are none, all older ones.
    """
    until_s = now_s if wanted.at_s is None else wanted.at_s + 1.0
    spans = [(0.0, until_s)]
    if wanted.at_s is not None:
        spans = [(max(0.0, wanted.at_s - LOOK_BACK_S), until_s), (0.0, wanted.at_s - LOOK_BACK_S)]
    for since_s, end_s in spans:
        found = False
        for entry in entries_of_table(journal, wanted.target, since_s=since_s, until_s=end_s, table=table):
            found = True
            yield entry
        if found:
            return
