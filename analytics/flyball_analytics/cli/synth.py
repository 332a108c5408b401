"""`flyball synth`: labelled synthetic fleets to try policies on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import click

from flyball.hints import did_you_mean
from flyball_analytics.cli.ingest_common import needs_sim
from flyball_analytics.cli.program import program_name
from flyball_analytics.cli.types import moment, span
from flyball_analytics.counts import counted
from flyball_analytics.moments import utc
from flyball_controller.codec import canonical_json

SCHEMA = 1
# As in synth_incidents.py; a test holds them together. Numpy is not imported for --help.
KINDS = ("outage", "partial", "ramp", "timeouts", "throttling", "deploy", "zone")
START = "2026-01-05T00:00:00Z"


class Options(NamedTuple):
    """The options of one call."""

    out: Path
    services: int
    days: float
    seed: int
    start: float
    period_s: float
    incidents: float
    kinds: tuple[str, ...]
    gaps: float
    delay_s: float
    form: str


def kinds(text: str) -> tuple[str, ...]:
    """Return the kinds in a comma-separated list."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        if word not in KINDS:
            raise click.BadParameter(
                f'"{word}" is no kind of incident{did_you_mean(word, KINDS)}; kinds are {", ".join(KINDS)}'
            )
    return words


@click.command(short_help="Make a labelled synthetic history of a fleet.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="New folder for the history."
)
@click.option("--services", type=click.IntRange(1, 100_000), default=12, show_default=True)
@click.option("--days", type=click.FloatRange(0.01, 3_660.0), default=14.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds make equal fleets.")
@click.option("--start", type=moment, default=START, show_default=True, help="First window.")
@click.option("--period", "period_s", type=span, default="60s", show_default=True, help="Length of a window.")
@click.option(
    "--incidents", type=click.FloatRange(0.0), default=1.0, show_default=True, help="Per target and week."
)
@click.option("--kinds", type=kinds, default=",".join(KINDS), help="Which incidents, comma-separated.")
@click.option(
    "--gaps", type=click.FloatRange(0.0), default=0.5, show_default=True, help="Per target and week."
)
@click.option(
    "--delay", "delay_s", type=span, default="20s", show_default=True, help="From window end to arrival."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def synth(**options: Any) -> None:
    """Make a labelled synthetic history of a fleet.

    Every target has its own daily and weekly season, some an hourly batch, noise,
    retries, and incidents of several kinds whose times are known. Writes Parquet files,
    a manifest and labels.json into a new folder, and nothing else. The traffic does not
    react to decisions: for that, see flyball simulate. Needs the extra sim.

    \b
    example: flyball synth -o fleet/ --services 12 --days 14 --seed 7
    example: flyball replay fleet/ --labels fleet/labels.json --summary
    """
    _run(Options(**options))


def _run(options: Options) -> None:
    with needs_sim():
        from flyball_analytics.synth import fleet
        from flyball_analytics.synth_history import write_fleet
    try:
        made = fleet(
            options.services,
            options.days,
            options.seed,
            start=options.start,
            period_s=options.period_s,
            incidents_per_week=options.incidents,
            kinds=options.kinds,
            gaps_per_week=options.gaps,
            delay_s=options.delay_s,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    out = options.out
    labels = write_fleet(made, out, command=_words(options))
    if options.form == "json":
        counts = {str(kind): int(n) for kind, n in made.incidents["kind"].value_counts().items()}
        document = {
            "schema": SCHEMA,
            "history": str(out),
            "labels": str(labels),
            "rows": len(made.history),
            "targets": [profile.name for profile in made.profiles],
            "incidents": counts,
        }
        click.echo(canonical_json(document).decode())
        return
    click.echo(
        f"{out}: {counted(len(made.profiles), 'target')}, {counted(len(made.history), 'window')}, "
        f"{counted(len(made.incidents), 'incident')} "
        f"in {labels}"
    )
    folder = shlex.quote(str(out))
    click.echo(f"next: {program_name()} replay {folder} --labels {shlex.quote(str(labels))} --summary")


def _words(options: Options) -> str:
    """Return the command that makes the same fleet again, for the manifest."""
    return (
        f"flyball synth --services {options.services} --days {options.days:g} --seed {options.seed} "
        f"--start {utc(options.start)} --period {options.period_s:g}s --incidents {options.incidents:g} "
        f"--kinds {','.join(options.kinds)} --gaps {options.gaps:g} --delay {options.delay_s:g}s"
    )
