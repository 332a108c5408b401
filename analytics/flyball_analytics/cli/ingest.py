"""`flyball ingest`: metric history from elsewhere into one directory of Parquet files."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from flyball_analytics.cli.errors import ExitCode, InvalidError
from flyball_analytics.cli.ingest_cloudwatch import cloudwatch_command
from flyball_analytics.cli.ingest_common import SCHEMA, add_gaps, common, needs_sim, summary
from flyball_analytics.cli.ingest_prometheus import prometheus_command
from flyball_analytics.cli.ingest_stream import stream_command
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment, pair, span
from flyball_analytics.clock import SystemClock
from flyball_analytics.counts import counted
from flyball_controller.codec import canonical_json


@click.group(short_help="Read metric history from CloudWatch, streams, Prometheus or CSV.")
def ingest() -> None:
    """Read metric history from CloudWatch, metric-stream files, Prometheus or CSV.

    Writes a HISTORY: Parquet files by target and date, a manifest with SHA-256 digests,
    and a data-quality report of gaps, late, duplicate and revised points. Nothing is
    dropped in silence. The same command again continues a run that was interrupted, and
    adds what is new to one that was complete. Needs the extra sim.

    \b
    example: flyball ingest cloudwatch --target payments --days 30 -o history/
    example: flyball replay history/
    """


@ingest.command("csv")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True)
)
@click.option(
    "--map", "mapping", type=click.Path(path_type=Path), help="YAML: columns, target, period, delay."
)
@click.option("--column", "columns", type=pair, multiple=True, help="Which column carries a field.")
@click.option("--target", default="", help="Name of the target, or whose rows to take.")
@click.option("--period", "period_s", type=span, help="Length of a window; default: the commonest distance.")
@click.option("--delay", "delay_s", type=span, help="From the end of a window until it could be read.")
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
@common
def csv_command(
    files: tuple[Path, ...],
    mapping: Path | None,
    columns: tuple[tuple[str, str], ...],
    target: str,
    period_s: float | None,
    delay_s: float | None,
    now_s: float | None,
    out: Path,
    partition: str | None,
    dry_run: bool,
    form: str,
) -> None:
    """Read the CSV files that flyball replay reads, or others by a mapping file.

    Rows keep their order and their flags, so a replay of the history decides what a
    replay of the file decides. Writes HISTORY only.

    \b
    example: flyball ingest csv payments.csv -o history/
    example: flyball ingest csv export.csv --map columns.yaml -o history/
    """
    with needs_sim():
        from flyball_analytics.ingest import csvsource
        from flyball_analytics.ingest.mapping import CsvMap, read_csv_map
        from flyball_analytics.ingest.store import open_writer
    given = read_csv_map(mapping) if mapping is not None else CsvMap({}, "", None, 0.0)
    options = csvsource.CsvOptions(
        {**given.columns, **dict(columns)},
        target or given.target,
        period_s if period_s is not None else given.period_s,
        delay_s if delay_s is not None else given.delay_s,
        now_s if now_s is not None else SystemClock().now_s(),
    )
    paths = [p for path in files for p in _csv_files(path)]
    if dry_run:
        for path in paths:
            for series in csvsource.read_all(path, options):
                click.echo(
                    f"{path}: {series.target}, {counted(series.rows, 'row')}, period {series.period_s:g} s"
                )
        return
    request: dict[str, object] = {"columns": dict(options.columns), "target": options.target}
    command = f"flyball ingest csv {' '.join(shlex.quote(str(f)) for f in files)}"
    with open_writer(out, partition=partition) as writer:
        source = writer.source("csv", command, request)
        unchanged = 0
        steps = csvsource.run(writer, source, paths, options)
        for _, rows in with_progress(steps, total=len(paths), label="csv", check_every=1):
            unchanged += rows < 0
        add_gaps(writer, *source)
        summary(writer, *source, form, {"unchanged_files": unchanged})


def _csv_files(path: Path) -> list[Path]:
    from flyball_analytics.series import series_files

    if not path.is_dir():
        return [path]
    found = [p for p in series_files(path) if not p.is_dir()]
    if not found:
        raise InvalidError(f"{path}: the folder holds no CSV file")
    return found


@ingest.command("verify")
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_context
def verify_command(context: click.Context, history: Path, form: str) -> None:
    """Compare the files of a history with the digests in its manifest.

    Reads only. Ends with 1 if a file is missing, has changed or is unknown.

    \b
    example: flyball ingest verify history/
    """
    with needs_sim():
        from flyball_analytics.ingest.history import open_history
    opened = open_history(history)
    damages = list(opened.verify())
    files = len(opened.manifest.parts)
    if form == "json":
        document = {
            "schema": SCHEMA,
            "history": str(history),
            "files": files,
            "damages": [damage._asdict() for damage in damages],
        }
        click.echo(canonical_json(document).decode())
    else:
        for damage in damages:
            click.echo(f"{history / damage.path}: {damage.what}; {damage.remedy}")
        click.echo(f"{history}: {counted(files, 'file')}, {len(damages)} not as the manifest says")
    if damages:
        context.exit(ExitCode.CHECK_FAILED)


ingest.add_command(cloudwatch_command, "cloudwatch")
ingest.add_command(prometheus_command, "prometheus")
ingest.add_command(stream_command, "metric-stream")
