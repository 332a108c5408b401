"""`flyball map`: draft an integration map from source code and AWS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock

if TYPE_CHECKING:
    from flyball_analytics.mapping.found import FoundFunction
    from flyball_analytics.mapping.sourcescan import Seen


@click.command("map", short_help="Draft an integration map from source code and AWS.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Python source of one function; its name is the folder's unless given. May be repeated.",
)
@click.option("--aws", "ask_aws", is_flag=True, help="Ask AWS for the functions' configuration and traffic.")
@click.option("--function", "names", multiple=True, metavar="NAME", help="With --aws: only this function.")
@click.option("--region", help="AWS region; default: boto3's own configuration.")
@click.option("--endpoint-url", metavar="URL", help="Where AWS is emulated; default: AWS itself.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the draft there.")
@click.option("--force", is_flag=True, help="Let --out replace a file.")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--now", "now_s", type=moment, hidden=True, help="Take this for the time (rehearsals).")
def map_command(
    sources: tuple[str, ...],
    ask_aws: bool,
    names: tuple[str, ...],
    region: str | None,
    endpoint_url: str | None,
    out: Path | None,
    force: bool,
    form: str,
    now_s: float | None,
) -> None:
    """Draft an integration map from source code and AWS.

    The source is read as text, never run: calls of boto3, requests and httpx with
    their time-outs and retries. --aws asks Lambda, SQS and CloudWatch, and only
    reads (lambda:List*, lambda:Get*, sqs:GetQueue*, cloudwatch:GetMetricStatistics).
    The draft says what could not be known; you fill it in. Only the file of --out
    is written. docs/how-to/assess.md

    \b
    example: flyball map --source checkout=src/checkout --aws --out integrations.yaml
    example: flyball map --source src/checkout --source src/mailer
    """
    from flyball_analytics.mapping.draft import draft_of, draft_text
    from flyball_analytics.mapping.sourcescan import scan_source

    if not sources and not ask_aws:
        raise click.UsageError("there is nothing to draft from: give --source FOLDER, or --aws, or both")
    if names and not ask_aws:
        raise click.UsageError("--function chooses among AWS's functions: give --aws too")
    if out is not None and out.exists() and not force:
        raise InvalidError(f"{out} exists; choose another name or give --force")
    calls: dict[str, tuple[Seen, ...]] = {}
    skipped: list[str] = []
    for name, folder in _named(sources).items():
        scan = scan_source(folder)
        calls[name] = scan.calls
        skipped += scan.skipped
        click.echo(f"{name}: {len(scan.calls)} calls in {scan.files} files", err=True)
    found = _from_aws(names, region, endpoint_url, now_s) if ask_aws else []
    draft = draft_of(found, calls, skipped)
    text = draft_text(draft)  # checked, whatever the form
    if form == "json":
        from flyball_controller.codec import canonical_json

        text = (
            canonical_json({"schema": 1, "map": draft.plain, "unknown": list(draft.unknown)}).decode() + "\n"
        )
    if out is None:
        click.echo(text, nl=False)
        return
    write_whole(out, text.encode())
    click.echo(f"written {out}: {len(draft.unknown)} things could not be known", err=True)


def _from_aws(
    names: tuple[str, ...], region: str | None, endpoint_url: str | None, now_s: float | None
) -> list[FoundFunction]:
    """Ask AWS for the named functions, or all, with a bar."""
    from flyball_analytics.mapping.lambdas import list_functions, read_functions, readers

    aws = readers(region=region, endpoint_url=endpoint_url)
    listed = list_functions(aws, names)
    reading = read_functions(aws, listed, now_s=now_s if now_s is not None else SystemClock().now_s())
    return list(with_progress(reading, total=len(listed), label="functions", check_every=1))


def _named(sources: tuple[str, ...]) -> dict[str, Path]:
    """Return the folder of each function by its name."""
    named: dict[str, Path] = {}
    for given in sources:
        name, equals, folder = given.partition("=")
        path = Path(folder if equals else given)
        if not equals:
            name = path.resolve().name.removesuffix(".py")
        if not name or (equals and not folder):
            raise click.BadParameter(f"{given!r} is not [NAME=]FOLDER", param_hint="--source")
        if name in named:
            raise click.BadParameter(
                f"{name!r} stands for two folders: name them with NAME=FOLDER", param_hint="--source"
            )
        named[name] = path
    return named
