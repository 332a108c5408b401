"""`flyball replay`: recorded metrics through the production step."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import click
from click.core import ParameterSource

from flyball_analytics import render
from flyball_analytics.algorithms import FLYBALL
from flyball_analytics.cli.closed_loop import (
    BESIDE,
    ClosedLoop,
    History,
    closed_loop_of,
    closed_loop_options,
    live,
    show_lived,
)
from flyball_analytics.cli.engine import chosen, engine_option, windows_in
from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.files import write_whole, writing_whole
from flyball_analytics.cli.histories import none_labelled, tell_unlabelled
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.replay_end import finish, terminal_width
from flyball_analytics.cli.resume import Segment
from flyball_analytics.cli.row_options import row_options
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.columns import resolve_columns
from flyball_analytics.companions import target_of
from flyball_analytics.counts import counted
from flyball_analytics.csvfile import read_table
from flyball_analytics.fastreplay import Engine, run
from flyball_analytics.labels import Labels, LabelsError, labels_for, read_labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.replay import Replayed, replay_series
from flyball_analytics.score import score_steps
from flyball_analytics.series import Series, read_series, series_files
from flyball_analytics.tally import Tally
from flyball_controller.codec import canonical_json
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet


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
    delay_s: float | None
    from_s: float | None
    to_s: float | None
    now_s: float
    companions: bool
    state_in: Path | None
    state_out: Path | None
    resume: Path | None
    engine: Engine  # never AUTO
    sinks: tuple[IO[bytes], ...]  # where the journal goes


class Options(NamedTuple):
    """What was written on the command line."""

    policy: str
    form: str
    target: str | None
    labels: Path | None
    brief: bool
    columns: tuple[tuple[str, str], ...]
    period_s: float | None
    delay_s: float | None
    from_s: float | None
    to_s: float | None
    now_s: float | None
    no_latency: bool
    state_in: Path | None
    state_out: Path | None
    journal: Path | None
    resume: Path | None
    journal_check: bool
    table: str | None
    region: str | None
    engine: Engine
    closed_loop: ClosedLoop | None


@click.command(short_help="Run the controller over recorded metrics, exactly as it would have run live.")
@click.argument("files", nargs=-1, metavar="HISTORY...", type=click.Path(path_type=Path))
@click.option("--policy", default="two-loop", show_default=True, help="A preset or a policy file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: the journal, one record per line; with --summary one object per file.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option("--summary", "brief", is_flag=True, help="One line per file instead of every decision.")
@row_options
@click.option("--from", "from_s", type=moment, help="Leave out windows that start before.")
@click.option("--to", "to_s", type=moment, help="Leave out windows that start at or after.")
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
@click.option("--no-latency", is_flag=True, help="Leave out latency files that stand beside the file.")
@click.option("--state-in", type=click.Path(path_type=Path), help="Continue from a stored state.")
@click.option("--state-out", type=click.Path(path_type=Path), help="Store the last state.")
@click.option("--journal", type=click.Path(path_type=Path), help="Write the journal to this file.")
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep progress in this folder: a killed run continues with the same command.",
)
@click.option("--journal-check", is_flag=True, help="HISTORY are journals: compute each decision again.")
@click.option("--table", metavar="NAME", help="With --journal-check: a DynamoDB journal table.")
@click.option("--region", help="AWS region of the table; default: boto3's own configuration.")
@engine_option
@closed_loop_options
@click.pass_context
def replay(context: click.Context, /, files: tuple[Path, ...], **given: Any) -> None:
    """Run the controller over recorded metrics, exactly as it would have run live.

    Reads histories of `flyball ingest`, or CSV files (or every CSV file of a folder),
    each the history of one target: timestamp, requests and errors, or timestamp, value
    (error ratio) and requests; further columns for timeouts, throttles, attempts,
    latency_p50_ms, latency_p99_ms.
    Times without a zone are UTC. Rows are taken in the order in which they arrived;
    what is impossible is counted with its place and never acted upon.

    Writes the decisions that changed something, with reasons, and what they came to.
    No AWS credentials are used (but for --table), and nothing is changed but the files
    of --state-out, --journal and --resume.

    Long histories run compiled, unless a journal is written, which needs every state.

    With --closed-loop, lives the incidents through again: recorded first attempts meet the
    real client and the production round in a model of the target, beside references, over
    a range of what no recording shows (docs/how-to/what-if.md).

    With --journal-check, computes the decisions of a journal again from their inputs and
    compares them byte for byte; ends with 1 at a difference, and shows the first.

    \b
    example: flyball replay payments.csv
    example: flyball replay history/ --policy strict.yaml --labels labels.json --summary
    example: flyball replay history/ --journal journal.jsonl --resume progress/
    example: flyball replay history/ --labels labels.json --summary --closed-loop
    example: flyball replay --journal-check journal.jsonl
    """
    closed_loop = closed_loop_of(given, beside=BESIDE)
    options = Options(**given, closed_loop=closed_loop)
    if closed_loop is not None and options.form == "json" and not options.brief:
        raise click.UsageError("--closed-loop with --format json needs --summary: stdout is the journal")
    if options.journal_check:
        named = context.get_parameter_source("policy") is ParameterSource.COMMANDLINE
        context.exit(_check(files, options, named=named))
    if not files:
        raise click.UsageError("Missing argument 'HISTORY...'")
    if options.table is not None:
        raise click.UsageError("--table needs --journal-check")
    with writing_whole(options.journal) as file:
        _replay(files, options, file)


def _replay(files: tuple[Path, ...], options: Options, file: IO[bytes] | None) -> None:
    """Replay every history; `file` takes the journal too."""
    target, columns = options.target, dict(options.columns)
    paths, named = _expand(files, target)
    if len(paths) > 1 and (target or options.state_in or options.state_out):
        raise click.UsageError("--target, --state-in and --state-out need exactly one file")
    paths = _usable(paths, named, columns)
    to_stdout = options.form == "json" and not options.brief
    # UTF-8 whatever the terminal speaks: a journal is compared byte for byte.
    sinks = (*((sys.stdout.buffer,) if to_stdout else ()), *((file,) if file is not None else ()))
    request = Request(
        options.policy,
        load_policy(options.policy),
        options.form,
        target,
        _labels(paths, options.labels, target),
        options.brief,
        columns,
        options.period_s,
        options.delay_s,
        options.from_s,
        options.to_s,
        options.now_s if options.now_s is not None else SystemClock().now_s(),
        not options.no_latency,
        options.state_in,
        options.state_out,
        options.resume,
        _engine(options, paths, journal=bool(sinks)),
        sinks,
    )
    done = dict(_runs(paths, named, request))
    runs = list(done.values())
    finish(runs, request.policy_name, form=request.form, brief=request.brief, paths=files)
    if options.closed_loop is not None:
        histories = [
            History(run.series, request.labels.get(path), request.policies.for_target(run.series.target))
            for path, run in done.items()
        ]
        names = (f"{FLYBALL}:{options.policy}", *options.closed_loop.beside)
        show_lived(live(histories, names, options.closed_loop)[0], form=options.form)


def _runs(paths: Sequence[Path], named: set[Path], request: Request) -> Iterator[tuple[Path, render.Run]]:
    """Yield every history replayed; a file of a folder that turns out to be none is skipped, with a line."""
    for number, path in enumerate(_bar(paths, request.engine)):
        try:
            yield path, _run(path, request, number)
        except SeriesError as error:
            # A damaged part of a history is no stranger in a folder: it stops everything.
            if path in named or len(paths) == 1 or path.is_dir():
                raise
            click.echo(f"skipped {error}", err=True)


def _engine(options: Options, paths: Sequence[Path], *, journal: bool) -> Engine:
    """Return what replays the quiet windows: a journal needs the state behind every single one."""
    if not journal and options.resume is None:
        return chosen(options.engine, windows_in(paths))
    if options.engine is Engine.COMPILED:
        raise click.UsageError(
            "--engine compiled writes no journal: leave out --journal and --resume, give --summary with json"
        )
    return Engine.INTERPRETED


def _bar(paths: Sequence[Path], engine: Engine) -> Iterable[Path]:
    """Return the paths, with progress over whole histories where one takes no time to speak of."""
    if engine is Engine.INTERPRETED:
        return paths
    return with_progress(paths, total=len(paths), label="replay", check_every=1)


def _check(files: tuple[Path, ...], options: Options, *, named: bool) -> int:
    """Check journals instead of replaying histories; return how the command ends."""
    from flyball_analytics.cli.journal_check import Place, check_places

    if not files and options.table is None:
        raise click.UsageError("--journal-check needs journal files or --table")
    place = Place(files, options.table, options.region, options.target, options.from_s, options.to_s)
    return check_places(place, load_policy(options.policy), given=named, form=options.form)


def _expand(files: Sequence[Path], target: str | None) -> tuple[list[Path], set[Path]]:
    """Return the files to read, folders opened, and which of them were named one by one.

    Of a history `target` chooses one folder; in CSV files it is looked for later.
    """
    paths: list[Path] = []
    given: set[Path] = set()
    for path in files:
        if path.is_dir():
            inside = series_files(path)
            if not inside:
                raise InvalidError(f"{path}: the folder holds no CSV file and is no history")
            inside = [p for p in inside if not p.is_dir() or target in (None, target_of(p))] or inside
            paths.extend(inside)
        else:
            paths.append(path)
            given.add(path)
    return paths, given


def _usable(paths: Sequence[Path], given: set[Path], columns: Mapping[str, str]) -> list[Path]:
    """Return the files whose header is usable; one that was named must be, before anything is written."""
    usable = []
    for path in paths:
        if path.is_dir():  # a target of a history: its columns are fixed
            usable.append(path)
            continue
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
            tell_unlabelled(str(error))
    if not found and failure is not None:
        raise failure if len(paths) == 1 else none_labelled(file, len(paths))
    return found


def _run(path: Path, request: Request, number: int) -> render.Run:
    """Replay one file; writes its journal or its text as it goes."""
    series = read_series(
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
            f"{path}: {counted(series.rows, 'row')}, but {labels.rows:,} were labelled: "
            "the labels may be of other data",
            err=True,
        )
    if request.from_s is not None or request.to_s is not None:
        series = series.between(request.from_s or 0.0, request.to_s or float("inf"))
    policy = request.policies.for_target(series.target)
    start = request.state_in.read_bytes() if request.state_in is not None else None
    tally = Tally(policy, keep_steps=labels is not None)
    if request.engine is Engine.COMPILED:
        tally.take(series, run(series, policy, start=start, engine=request.engine))
    else:
        for replayed in _steps(series, request, start, number):
            tally.add(replayed)
    score = score_steps(tally.steps_by_window(), labels) if labels is not None else None
    done = render.Run(series, request.policy_name, policy.digest, tally, score)
    if request.form == "text" and not request.brief:
        click.echo(render.header(series, policy_name=request.policy_name, policy_hash=policy.digest))
        click.echo(f"\n{render.decisions(tally.changes, width=terminal_width())}\n")
        click.echo(render.closing(done) + "\n")
    if request.state_out is not None and tally.state is not None:
        write_whole(request.state_out, tally.state)
    return done


def _steps(series: Series, request: Request, start: bytes | None, number: int) -> Iterator[Replayed]:
    """Yield the steps, with progress, and write the journal."""
    policy = request.policies.for_target(series.target)
    total, label = len(series.observations), series.target
    if request.resume is not None:
        segment = Segment(request.resume, number, series, policy, start)
        yield from with_progress(segment.steps(), total=total, label=label)
        for sink in request.sinks:
            segment.copy_to(sink)
    else:
        for replayed in with_progress(
            replay_series(series, policy=policy, start=start), total=total, label=label
        ):
            line = canonical_json(replayed.record()) + b"\n" if request.sinks else b""
            for sink in request.sinks:
                sink.write(line)
            yield replayed
    for sink in request.sinks:
        sink.flush()
