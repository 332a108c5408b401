"""`flyball replay`: recorded metrics through the production step."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from flyball_analytics import render
from flyball_analytics.cli.errors import InconclusiveError, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.program import program_name
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment, pair, span
from flyball_analytics.clock import SystemClock
from flyball_analytics.columns import resolve_columns
from flyball_analytics.companions import target_of
from flyball_analytics.csvfile import read_table
from flyball_analytics.labels import Labels, LabelsError, labels_for, read_labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.replay import Replayed, replay_series
from flyball_analytics.score import join_scores, score_steps
from flyball_analytics.series import Series, read_csv, series_files
from flyball_analytics.tally import Tally
from flyball_controller.codec import canonical_json
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PRESETS, PolicySet

OPEN_LOOP = (
    "A replay is open loop: what was recorded does not react to the decisions. It shows when and why flyball "
    "would have acted, not what the traffic would then have done."
)


class Request(NamedTuple):
    """The options of one call."""

    policy_name: str
    policies: PolicySet
    form: str
    target: str | None
    labels: Mapping[Path, Labels]
    brief: bool
    columns: Mapping[str, str]
    period_s: float | None
    delay_s: float
    from_s: float | None
    to_s: float | None
    now_s: float
    companions: bool
    state_in: Path | None
    state_out: Path | None


@click.command(short_help="Run the controller over recorded metrics, exactly as it would have run live.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--policy", default="two-loop", show_default=True, help="A preset or a policy file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: the journal, one record per line; with --summary one object per file.",
)
@click.option("--target", help="Name of the target, or whose rows to take if there is a target column.")
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option("--summary", "brief", is_flag=True, help="One line per file instead of every decision.")
@click.option("--column", "columns", type=pair, multiple=True, help="Which column carries a field.")
@click.option("--period", "period_s", type=span, help="Length of a window; default: the commonest distance.")
@click.option("--delay", "delay_s", type=span, help="How long after its end a window could be read.")
@click.option("--from", "from_s", type=moment, help="Leave out windows that start before.")
@click.option("--to", "to_s", type=moment, help="Leave out windows that start at or after.")
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
@click.option("--no-latency", is_flag=True, help="Leave out latency files that stand beside the file.")
@click.option("--state-in", type=click.Path(path_type=Path), help="Continue from a stored state.")
@click.option("--state-out", type=click.Path(path_type=Path), help="Store the last state.")
def replay(
    files: tuple[Path, ...],
    policy: str,
    form: str,
    target: str | None,
    labels: Path | None,
    brief: bool,
    columns: tuple[tuple[str, str], ...],
    period_s: float | None,
    delay_s: float | None,
    from_s: float | None,
    to_s: float | None,
    now_s: float | None,
    no_latency: bool,
    state_in: Path | None,
    state_out: Path | None,
) -> None:
    """Run the controller over recorded metrics, exactly as it would have run live.

    Reads CSV files (or every CSV file of a folder), each the history of one target:
    timestamp, requests and errors, or timestamp, value (error ratio) and requests;
    further columns for timeouts, throttles, attempts, latency_p50_ms, latency_p99_ms.
    Times without a zone are UTC. Rows are taken in the order in which they arrived;
    what is impossible is counted with its place and never acted upon.

    Writes the decisions that changed something, with reasons, and what they came to.
    No AWS credentials are used and nothing is changed but the file of --state-out.

    \b
    example: flyball replay payments.csv
    example: flyball replay history/ --policy strict.yaml --labels labels.json --summary
    example: flyball replay payments.csv --format json > journal.jsonl
    """
    paths, given = _expand(files)
    if len(paths) > 1 and (target or state_in or state_out):
        raise click.UsageError("--target, --state-in and --state-out need exactly one file")
    paths = _usable(paths, given, dict(columns))
    request = Request(
        policy,
        load_policy(policy),
        form,
        target,
        _labels(paths, labels, target),
        brief,
        dict(columns),
        period_s,
        delay_s or 0.0,
        from_s,
        to_s,
        now_s if now_s is not None else SystemClock().now_s(),
        not no_latency,
        state_in,
        state_out,
    )
    runs = [_run(path, request) for path in paths]
    _finish(runs, request, paths=files)


def _expand(files: Sequence[Path]) -> tuple[list[Path], set[Path]]:
    """Return the files to read, folders opened, and which of them were named one by one."""
    paths: list[Path] = []
    given: set[Path] = set()
    for path in files:
        if path.is_dir():
            inside = series_files(path)
            if not inside:
                raise InvalidError(f"{path}: the folder holds no CSV file")
            paths.extend(inside)
        else:
            paths.append(path)
            given.add(path)
    return paths, given


def _usable(paths: Sequence[Path], given: set[Path], columns: Mapping[str, str]) -> list[Path]:
    """Return the files whose header is usable; one that was named must be, before anything is written."""
    usable = []
    for path in paths:
        try:
            table = read_table(path)
            resolve_columns(table.header, path=str(path), line=table.header_line, mapping=columns)
        except SeriesError as error:
            if path in given or len(paths) == 1:
                raise
            click.echo(f"skipped {error}", err=True)
            continue
        usable.append(path)
    if not usable:
        raise InvalidError("none of the files is a metric history (see the lines above)")
    return usable


def _labels(paths: Sequence[Path], file: Path | None, target: str | None) -> dict[Path, Labels]:
    """Return the labels of each file; a file without any is replayed unscored, all without is an error."""
    if file is None:
        return {}
    known = read_labels(file)
    found: dict[Path, Labels] = {}
    failure: LabelsError | None = None
    for path in paths:
        try:
            found[path] = labels_for(
                known, file_name=path.name, target=target or target_of(path), path=str(file)
            )
        except LabelsError as error:
            failure = failure or error
            click.echo(f"not scored: {error}", err=True)
    if not found and failure is not None:
        raise failure
    return found


def _run(path: Path, request: Request) -> render.Run:
    """Replay one file; writes its journal or its text as it goes."""
    series = read_csv(
        path,
        target=request.target,
        columns=request.columns,
        period_s=request.period_s,
        delay_s=request.delay_s,
        now_s=request.now_s,
        companions=request.companions,
    )
    labels = request.labels.get(path)
    if labels is not None and labels.rows not in (0, series.rows):
        click.echo(
            f"{path}: {series.rows} rows, but {labels.rows} were labelled: the labels may be of other data",
            err=True,
        )
    if request.from_s is not None or request.to_s is not None:
        series = series.between(request.from_s or 0.0, request.to_s or float("inf"))
    policy = request.policies.for_target(series.target)
    start = request.state_in.read_bytes() if request.state_in is not None else None
    tally = Tally(policy, keep_steps=labels is not None)
    journal = request.form == "json" and not request.brief
    out = sys.stdout.buffer  # UTF-8 whatever the terminal speaks: a journal is compared byte for byte
    for replayed in _steps(series, request, start):
        tally.add(replayed)
        if journal:
            out.write(canonical_json(replayed.record()) + b"\n")
    out.flush()
    score = score_steps(tally.steps_by_window(), labels) if labels is not None else None
    run = render.Run(series, request.policy_name, policy.digest, tally, score)
    if request.form == "text" and not request.brief:
        click.echo(render.header(series, policy_name=request.policy_name, policy_hash=policy.digest))
        click.echo(f"\n{render.decisions(tally.changes, width=_width())}\n")
        click.echo(render.closing(run) + "\n")
    if request.state_out is not None and tally.state is not None:
        write_whole(request.state_out, tally.state)
    return run


def _steps(series: Series, request: Request, start: bytes | None) -> Iterator[Replayed]:
    policy = request.policies.for_target(series.target)
    return with_progress(
        replay_series(series, policy=policy, start=start),
        total=len(series.observations),
        label=series.target,
    )


def _width() -> int:
    """Return the width of the terminal, or a fixed one where there is none, so that output is stable."""
    return max(100, shutil.get_terminal_size().columns) if sys.stdout.isatty() else render.WIDTH


def _finish(runs: Sequence[render.Run], request: Request, *, paths: Sequence[Path]) -> None:
    """Write what all files come to, then what to try next; end with 4 if nothing could be judged."""
    scores = [run.score for run in runs if run.score is not None]
    total = join_scores(scores) if scores else None
    if request.form == "json" and request.brief:
        for run in runs:
            click.echo(canonical_json(render.run_json(run)).decode())
        if total is not None:
            click.echo(canonical_json({"target": "*", "score": render.score_json(total)}).decode())
    elif request.form == "text" and (request.brief or (len(runs) > 1 and total is not None)):
        click.echo(render.summary(runs, total, width=_width()) + "\n")
    if not any(run.tally.usable for run in runs):
        raise InconclusiveError(
            f"no row carries evidence ({sum(run.series.rows for run in runs)} read): nothing can be judged; "
            "see the problems above, or give more history",
        )
    if request.form == "text":
        click.echo(OPEN_LOOP)
        for command in next_commands(runs, request.policy_name, paths):
            click.echo(f"next: {command}")


def next_commands(runs: Sequence[render.Run], policy_name: str, paths: Sequence[Path]) -> list[str]:
    """Return what is worth trying next: another preset over the files, the commonest reason to act."""
    files = " ".join(shlex.quote(str(path)) for path in paths)
    other = next(preset for preset in ("adaptive", *PRESETS) if preset != policy_name)
    program = program_name()
    commands = [f"{program} replay {files} --policy {other} --summary"]
    acts = [c for run in runs for c in run.tally.changes if c.evidence and (c.tightened or c.widened)]
    counts = Counter(change.evidence[0].reason for change in acts)
    if counts:
        commonest = min(counts, key=lambda reason: (-counts[reason], reason))
        commands.append(f"{program} explain {commonest.name}")
    return commands
