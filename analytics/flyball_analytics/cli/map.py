"""`flyball map`: draft an integration map from source code and AWS."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.codes import ErrorCode
from flyball_analytics.counts import counted

if TYPE_CHECKING:
    from flyball_analytics.mapping.draft import Draft
    from flyball_analytics.mapping.found import FoundFunction, FoundSource
    from flyball_analytics.mapping.sourcescan import Seen

# The words of mapping.sources.SOURCES, here so that --help imports no SDK; a test compares them.
LEAVE_OUT = ("clients", "application-signals", "xray", "alarms", "monitors")


@click.command("map", short_help="Draft an integration map from source code and AWS.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Python source of one function; its name is the folder's unless given. May be repeated.",
)
@click.option(
    "--sources",
    "parents",
    multiple=True,
    metavar="FOLDER",
    help="A folder whose folders are the sources of one function each. May be repeated.",
)
@click.option("--aws", "ask_aws", is_flag=True, help="Ask AWS for configuration, traffic, calls and alarms.")
@click.option("--function", "names", multiple=True, metavar="NAME", help="With --aws: only this function.")
@click.option(
    "--without",
    "left_out",
    multiple=True,
    type=click.Choice(LEAVE_OUT),
    help="With --aws: do not ask this source. May be repeated.",
)
@click.option("--region", help="AWS region; default: boto3's own configuration.")
@click.option("--endpoint-url", metavar="URL", help="Where AWS is emulated; default: AWS itself.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the draft there.")
@click.option("--force", is_flag=True, help="Let --out replace a file.")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--now", "now_s", type=moment, hidden=True, help="Take this for the time (rehearsals).")
def map_command(
    sources: tuple[str, ...],
    parents: tuple[str, ...],
    ask_aws: bool,
    names: tuple[str, ...],
    left_out: tuple[str, ...],
    region: str | None,
    endpoint_url: str | None,
    out: Path | None,
    force: bool,
    form: str,
    now_s: float | None,
) -> None:
    """Draft an integration map from source code and AWS.

    The source is read as text, never run: calls of boto3, requests and httpx with
    their time-outs and retries. --aws asks Lambda, SQS, CloudWatch, X-Ray, Application
    Signals and AppConfig, and only reads; what is refused is named in the draft with
    the IAM action that it needs. The draft says what could not be known; you fill it
    in. Only the file of --out is written. docs/how-to/map.md

    \b
    example: flyball map --sources src --aws --out integrations.yaml
    example: flyball map --source checkout=src/checkout --aws --without xray
    example: flyball map --source src/checkout --source src/mailer
    """
    from flyball_analytics.mapping.draft import draft_of, draft_text

    if not sources and not parents and not ask_aws:
        raise click.UsageError("there is nothing to draft from: give --source FOLDER, or --aws, or both")
    for given, option in ((names, "--function"), (left_out, "--without")):
        if given and not ask_aws:
            raise click.UsageError(f"{option} chooses what AWS is asked for: give --aws too")
    if out is not None and out.exists() and not force:
        raise InvalidError(f"{out} exists; choose another name or give --force", code=ErrorCode.FILE_EXISTS)
    calls, skipped = _scanned({**_named(sources), **_below(parents)})
    found, told, not_asked = (
        _from_aws(
            names,
            left_out,
            calls,
            now_s=now_s if now_s is not None else SystemClock().now_s(),
            where=(region, endpoint_url),
        )
        if ask_aws
        else ([], [], ["AWS (--aws)"])
    )
    draft = draft_of(found, calls, skipped, told, not_asked)
    text = draft_text(draft)  # checked, whatever the form
    if form == "json":
        text = _json(draft)
    if out is None:
        click.echo(text, nl=False)
        return
    write_whole(out, text.encode())
    click.echo(f"written {out}: {len(draft.unknown)} things could not be known", err=True)


def _json(draft: Draft) -> str:
    from flyball_controller.codec import canonical_json

    origins = {".".join(path): source for path, source in draft.origins.items()}
    plain = {"schema": 1, "map": draft.plain, "unknown": list(draft.unknown), "origins": origins}
    return canonical_json(plain).decode() + "\n"


def _scanned(folders: dict[str, Path]) -> tuple[dict[str, tuple[Seen, ...]], list[str]]:
    """Return the calls in the source of each function, and what could not be read."""
    from flyball_analytics.mapping.sourcescan import scan_source

    calls: dict[str, tuple[Seen, ...]] = {}
    skipped: list[str] = []
    files = 0
    for name, folder in with_progress(folders.items(), total=len(folders), label="sources", check_every=1):
        scan = scan_source(folder)
        calls[name] = scan.calls
        skipped += scan.skipped
        files += scan.files
    if folders:
        count = sum(len(found) for found in calls.values())
        click.echo(
            f"source: {counted(count, 'call')} in {counted(files, 'file')} of "
            f"{counted(len(folders), 'function')}",
            err=True,
        )
    return calls, skipped


def _from_aws(
    names: tuple[str, ...],
    left_out: tuple[str, ...],
    calls: dict[str, tuple[Seen, ...]],
    *,
    now_s: float,
    where: tuple[str | None, str | None],
) -> tuple[list[FoundFunction], list[FoundSource], list[str]]:
    """Ask AWS for the named functions, or all, then its maps and alarms; with bars."""
    from flyball_analytics.mapping.lambdas import list_functions, new_client, read_functions, readers
    from flyball_analytics.mapping.sources import SOURCES, read_sources

    region, endpoint_url = where
    aws = readers(region=region, endpoint_url=endpoint_url)
    listed = list_functions(aws, names)
    reading = read_functions(aws, listed, now_s=now_s)
    found = list(with_progress(reading, total=len(listed), label="functions", check_every=1))
    client = cache(partial(new_client, region=region, endpoint_url=endpoint_url))
    targets = {seen.target for group in calls.values() for seen in group}
    asking = read_sources(client, found, targets=targets, left_out=left_out, now_s=now_s)
    told = list(with_progress(asking, total=len(SOURCES), label="maps and alarms", check_every=1))
    return found, told, [SOURCES[word] for word in left_out]


def _below(parents: tuple[str, ...]) -> dict[str, Path]:
    """Return every folder in the given folders by its name."""
    named: dict[str, Path] = {}
    for parent in parents:
        if not Path(parent).is_dir():
            raise click.BadParameter(f"{parent!r} is no folder", param_hint="--sources")
        for folder in sorted(Path(parent).iterdir()):
            if folder.is_dir() and not folder.name.startswith((".", "__")):
                if folder.name in named:
                    raise click.BadParameter(
                        f"{folder.name!r} is in two of the folders: name one with --source NAME=FOLDER",
                        param_hint="--sources",
                    )
                named[folder.name] = folder
    if parents and not named:
        raise click.BadParameter(f"there is no folder in {', '.join(parents)}", param_hint="--sources")
    return named


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
