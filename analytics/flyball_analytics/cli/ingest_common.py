"""What the sources of `flyball ingest` share: options, the summary, and the name of a missing extra."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from flyball_analytics.cli.errors import ExitCode, FlyballError, InvalidError
from flyball_analytics.cli.program import program_name
from flyball_analytics.codes import ErrorCode
from flyball_analytics.counts import counted
from flyball_analytics.moments import utc
from flyball_controller.codec import canonical_json
from flyball_controller.core.model import Quality

if TYPE_CHECKING:
    from flyball_analytics.ingest.findings import Findings
    from flyball_analytics.ingest.manifest import Source
    from flyball_analytics.ingest.store import HistoryWriter

SCHEMA = 1
F = TypeVar("F", bound=Callable[..., Any])


class TooDearError(FlyballError):
    """The estimate is above what the user allows."""

    exit_code = ExitCode.CHECK_FAILED
    usual = ErrorCode.TOO_DEAR


@contextmanager
def needs_sim() -> Iterator[None]:
    """Name the extra if a library of it is missing."""
    try:
        yield
    except ImportError as error:
        raise InvalidError(
            f"a history needs the Python package {error.name!r}, which is not installed: "
            "pip install 'flyball[sim]'",
            code=ErrorCode.MISSING_PACKAGE,
        ) from error


def common(function: F) -> F:
    """Add the options that every source has."""
    for option in (
        click.option("--format", "form", type=click.Choice(["text", "json"]), default="text"),
        click.option("--dry-run", is_flag=True, help="Say what would be read; write nothing."),
        click.option(
            "--partition", type=click.Choice(["month", "day"]), help="Of a new history; default: month."
        ),
        click.option(
            "-o",
            "--out",
            type=click.Path(path_type=Path),
            required=True,
            metavar="HISTORY",
            help="The folder.",
        ),
    ):
        function = option(function)
    return function


class Range(Protocol):
    """The options of a source that is read for a time."""

    @property
    def from_s(self) -> float | None: ...
    @property
    def to_s(self) -> float | None: ...
    @property
    def days(self) -> float | None: ...
    @property
    def delay_s(self) -> float: ...


def time_range(options: Range, *, days: float, now_s: float) -> tuple[float, float]:
    """Return where to begin and end: what was asked for, up to what has arrived by now.

    Raises:
        click.UsageError: --from and --days contradict, or nothing lies between begin and end.
    """
    to_s = min(now_s - options.delay_s, options.to_s if options.to_s is not None else now_s)
    if options.from_s is not None and options.days is not None:
        raise click.UsageError("give --from or --days, not both")
    from_s = options.from_s if options.from_s is not None else to_s - (options.days or days) * 86_400.0
    if from_s >= to_s:
        raise click.UsageError(f"--from {utc(from_s)} must be before the end {utc(to_s)}")
    return from_s, to_s


def told(sentence: str) -> None:
    """Say something about the run on stderr."""
    click.echo(sentence, err=True)


def summary(
    writer: HistoryWriter, source: Source, findings: Findings, form: str, extra: dict[str, object]
) -> None:
    """Write what the history now holds, what was found, and what to try next."""
    from flyball_analytics.ingest.findings import FindingKind
    from flyball_analytics.ingest.history import History, gaps_of

    history = History(writer.folder, writer.manifest)
    gaps, partial = {}, 0
    for target in history.targets():
        block = history.block(target, ["start", "period_s", "quality"])
        gaps[target] = gaps_of(block)
        partial += int((block["quality"] == int(Quality.PARTIAL)).sum())
    counts = {**findings.plain_counts(), FindingKind.GAP.value: sum(len(g) for g in gaps.values())}
    if form == "json":
        document = {
            "schema": SCHEMA,
            "history": str(writer.folder),
            "targets": writer.manifest.targets(),
            "rows": sum(writer.manifest.targets().values()),
            "points": source.points,
            "complete": source.complete,
            "partial": partial,
            "findings": counts,
            "report": str(writer.folder / writer.manifest.report),
            **extra,
        }
        click.echo(canonical_json(document).decode())
        return
    rows = writer.manifest.targets()
    click.echo(f"{writer.folder}: {counted(len(rows), 'target')}, {counted(sum(rows.values()), 'window')}")
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    click.echo(f"found: {words or 'nothing to report'}")
    if partial:
        # Nothing is wrong with them, and yet they teach nothing: if it is not said, nobody sees why.
        click.echo(
            f"partial: {partial} of {sum(rows.values())} windows lack a count that was asked for: they may "
            "tighten, but never teach what is normal, nor loosen"
        )
    for target in list(gaps)[:20]:
        if gaps[target]:
            longest = max(gaps[target], key=lambda gap: gap.windows)
            click.echo(
                f"  {target}: {counted(len(gaps[target]), 'gap')}, "
                f"the longest of {counted(longest.windows, 'window')}"
            )
    click.echo(f"report: {writer.folder / writer.manifest.report}")
    folder = shlex.quote(str(writer.folder))
    if rows:
        click.echo(f"next: {program_name()} replay {folder} --summary")


def add_gaps(writer: HistoryWriter, source: Source, findings: Findings) -> None:
    """List the gaps of the finished history in its report, and make it durable."""
    from flyball_analytics.ingest.findings import FindingKind
    from flyball_analytics.ingest.history import gaps_of

    findings.forget(FindingKind.GAP)
    for target in sorted(writer.manifest.targets()):
        for gap in gaps_of(writer.read(target)):
            findings.add(
                FindingKind.GAP,
                f"{counted(gap.windows, 'window')} missing after this one",
                target=target,
                at_s=gap.after_s,
            )
    writer.commit(source, findings)
