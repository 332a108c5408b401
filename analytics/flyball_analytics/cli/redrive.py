"""`flyball redrive`: dead letters submitted again, slowly."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import click

from flyball.clock import SystemClock
from flyball_analytics.cli.errors import BackendError, ExitCode, InvalidError
from flyball_analytics.cli.types import span
from flyball_analytics.letterboxes import (
    LAMBDA_LIMITS,
    SQS_LIMITS,
    DestinationError,
    Lines,
    Queue,
    make_client,
    to_callable,
    to_lambda,
)
from flyball_analytics.redrive import (
    REMAINING,
    Gate,
    Outcome,
    Pace,
    Plan,
    Result,
    Source,
    redrive,
)
from flyball_controller.codec import canonical_json


class Options(NamedTuple):
    """The options of one call."""

    source: str
    function: str | None
    call: str | None
    apply: bool
    rate: float
    jitter: float
    seed: int | None
    limit: int | None
    older_than_s: float | None
    circuits: str | None
    region: str | None
    form: str
    exit_code: bool


@click.command("redrive", short_help="Submit dead letters again, slowly, and only where circuits are closed.")
@click.argument("source")
@click.option("--lambda", "function", metavar="NAME", help="Invoke this function, asynchronously.")
@click.option("--call", metavar="MODULE:FUNCTION", help="Call this Python function with each payload.")
@click.option("--apply", is_flag=True, help="Do it; without, only say what would be done.")
@click.option(
    "--rate", type=click.FloatRange(0.001), default=1.0, show_default=True, help="Letters per second."
)
@click.option(
    "--jitter",
    type=click.FloatRange(0.0, 10.0),
    default=0.5,
    show_default=True,
    help="How much longer a pause may be, as a share of it.",
)
@click.option("--seed", type=int, help="Draw the same pauses as another run with this seed.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many letters were submitted.")
@click.option("--older-than", "older_than_s", type=span, help="Only letters at least this old, e.g. 1h.")
@click.option(
    "--circuits", metavar="TABLE", help="DynamoDB table; spare targets whose circuit is not closed."
)
@click.option("--region", help="AWS region; default: boto3's own configuration.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="json: a line per letter."
)
@click.option("--exit-code", is_flag=True, help="End with 3 if letters remain that could be sent later.")
@click.pass_context
def redrive_command(context: click.Context, /, **options: Any) -> None:
    """Submit dead letters again, slowly, and only where circuits are closed.

    SOURCE is the URL of an SQS queue or a file of JSON lines, as flyball.deadletter
    writes them. Each payload goes to a Lambda function (--lambda) or to a Python
    function (--call), at most --rate per second. Payloads are never printed.

    Without --apply nothing is changed, except that SQS hides messages while they
    are read, and counts it. With --apply a letter is deleted from the queue, or
    written to FILE.done, after it was taken, and only then: interrupt and repeat
    as you like. A crash may submit one letter twice, so the receiver must be
    idempotent. Letters without a whole payload, and those whose circuit is open or
    half-open, are left.

    \b
    example: flyball redrive dead.jsonl --call payments.orders:charge
    example: flyball redrive https://sqs.eu-west-1.amazonaws.com/123456789012/dead --lambda pay
    example: flyball redrive dead.jsonl --lambda pay --apply --rate 5 --circuits flyball-circuits
    """
    chosen = Options(**options)
    if (chosen.function is None) == (chosen.call is None):
        raise click.UsageError("give exactly one of --lambda and --call: where should the letters go?")
    counts = _run(chosen, SystemClock())
    remaining = sum(counts[outcome] for outcome in REMAINING)
    if counts[Outcome.FAILED]:
        raise BackendError(f"{counts[Outcome.FAILED]} letters were not taken and remain; see the lines above")
    if counts[Outcome.UNUSABLE]:
        raise InvalidError(
            f"{counts[Outcome.UNUSABLE]} letters cannot be redriven and remain; mend or remove them by hand"
        )
    if chosen.exit_code and remaining:
        context.exit(ExitCode.PENDING)


def _run(options: Options, clock: SystemClock) -> Counter[Outcome]:
    """Redrive and write; what failed for good leaves after the summary."""
    submit = _destination(options)
    gate = None
    if options.circuits is not None:
        from flyball.aws import TIMEOUT_S, DynamoCircuits
        from flyball_controller.aws.clients import CallLimits

        limits = CallLimits(
            connect_s=10 * TIMEOUT_S, read_s=10 * TIMEOUT_S, attempts=3
        )  # nobody waits for it
        client = make_client("dynamodb", limits, region=options.region)
        gate = Gate(DynamoCircuits(table=options.circuits, client=client), clock)
    draws = Random(options.seed)  # None: from the system
    pace = Pace(options.rate, options.jitter, draws, clock.sleep)
    plan = Plan(options.apply, clock.wall_s(), options.older_than_s or 0.0, options.limit)
    counts: Counter[Outcome] = Counter()
    source = _source(options)
    try:
        for result in redrive(source, submit, plan=plan, pace=pace, gate=gate):
            counts[result.outcome] += 1
            _write(result, options.form)
    finally:
        source.close()
        _summarise(counts, options)
    return counts


def _destination(options: Options) -> Any:
    if options.function is not None:
        return to_lambda(make_client("lambda", LAMBDA_LIMITS, region=options.region), options.function)
    assert options.call is not None  # noqa: S101 - one of the two was asked for
    if "" not in sys.path:
        sys.path.insert(0, "")  # the user's own modules, as with `python -m`
    try:
        return to_callable(options.call)
    except DestinationError as error:
        raise InvalidError(f"--call: {error}") from error


def _source(options: Options) -> Source:
    if "://" in options.source:
        client = make_client("sqs", SQS_LIMITS, region=options.region)
        seconds = (1.0 + options.jitter) / options.rate if options.apply else 1.0
        return Queue(client, options.source, seconds_per_letter=seconds)
    try:
        return Lines(Path(options.source), apply=options.apply)
    except BlockingIOError as error:
        raise InvalidError(f"{options.source}: another redrive is at work on this file") from error


def _write(result: Result, form: str) -> None:
    slip, letter = result.slip, result.slip.letter
    if form == "json":
        record = {
            "place": slip.place,
            "outcome": result.outcome,
            "detail": result.detail,
            "target": None if letter is None else letter.target,
            "function": None if letter is None else letter.function,
            "error": None if letter is None else letter.error,
            "first_failed_at": None if letter is None else letter.first_failed_at,
        }
        click.echo(canonical_json(record).decode())
        return
    about = "" if letter is None else f"  {letter.target}  {letter.error}"
    detail = f": {result.detail}" if result.detail else ""
    click.echo(f"{result.outcome}{detail}  {slip.place}{about}")


def _summarise(counts: Counter[Outcome], options: Options) -> None:
    if options.form == "json":
        summary = {outcome.name: counts[outcome] for outcome in Outcome}
        click.echo(canonical_json({"applied": options.apply, "summary": summary}).decode())
        return
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    click.echo(f"{words or 'no letters'}")
    if counts[Outcome.WOULD_SEND]:
        where = f"--call {options.call}" if options.function is None else f"--lambda {options.function}"
        click.echo("nothing was sent: this was a dry run")
        click.echo(f"next: flyball redrive {shlex.quote(options.source)} {where} --apply")
