"""`flyball report`: a history and the policies over it as one HTML file."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from flyball_analytics.algorithms import FLYBALL
from flyball_analytics.cli.closed_loop import ClosedLoop, History, closed_loop_of, closed_loop_options, live
from flyball_analytics.cli.compare import measure_values
from flyball_analytics.cli.engine import chosen, engine_option, windows_in
from flyball_analytics.cli.errors import InconclusiveError, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.histories import label_file, labels_of, metric_files, none_labelled
from flyball_analytics.cli.program import program_name
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.row_options import row_options
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.compare import Lost, Rules, compare
from flyball_analytics.compare_figures import Figures, acted_windows, figures_of
from flyball_analytics.counts import counted
from flyball_analytics.fastreplay import Engine
from flyball_analytics.labels import Labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.report.model import Closed, Input, Manifest, Report, build, input_of
from flyball_analytics.report.page import DRAWN, render
from flyball_analytics.report.shortlist import Shortlist
from flyball_analytics.report.summary import summary
from flyball_analytics.report.sweeps import histories_in, is_run, outcome_in, point_name, sweep_of
from flyball_analytics.report.watch import Watched, glance, watch
from flyball_analytics.series import HISTORY_MANIFEST, Series, read_series
from flyball_analytics.sweep import candidate_at
from flyball_analytics.sweep_store import SUMMARY
from flyball_analytics.whatif import lost_of
from flyball_analytics.whatif_saved import kept_of
from flyball_controller.codec import canonical_json
from flyball_controller.core.model import Quality
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet

POLICIES = ("fixed", "two-loop")  # nobody named any: what learns nothing, beside the default
UNSAID = ("form", "out", "engine", "jobs")  # they change nothing on the page, or are said last
LABELS_NAME = "labels.json"  # synthetic histories bring their truth along


class Named(NamedTuple):
    """A policy set under the name that it was given by."""

    name: str
    policies: PolicySet


class Options(NamedTuple):
    """What was written on the command line; `now_s` is filled in where it was not."""

    out: Path
    policies: tuple[str, ...]
    labels: Path | None
    margins: tuple[str, ...]
    limits: tuple[str, ...]
    title: str
    drawn: int
    target: str | None
    columns: tuple[tuple[str, str], ...]
    period_s: float | None
    delay_s: float | None
    engine: Engine
    now_s: float | None
    form: str


class How(NamedTuple):
    """What replays the quiet windows (never AUTO), how many services are drawn, and the closed loop."""

    engine: Engine
    drawn: int
    loop: ClosedLoop | None


@click.command(short_help="Write one HTML page about a history: verdict, incidents, every decision with why.")
@click.argument(
    "files", nargs=-1, required=True, metavar="HISTORY|RUN_DIR...", type=click.Path(path_type=Path)
)
@click.option("--out", "-o", default="report.html", show_default=True, type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="A preset or a policy file. First the baseline, second what is drawn; default: fixed, two-loop.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option("--margin", "margins", multiple=True, metavar="MEASURE=VALUE", help="As in flyball compare.")
@click.option("--limit", "limits", multiple=True, metavar="MEASURE=VALUE", help="As in flyball compare.")
@click.option("--title", default="flyball report", show_default=True, help="Head of the page.")
@click.option(
    "--drawn", default=DRAWN, show_default=True, type=click.IntRange(0), help="Services drawn in full."
)
@row_options
@engine_option
@closed_loop_options
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def report(files: tuple[Path, ...], **given: Any) -> None:
    """Write one HTML page about a history: verdict, incidents, every decision with why.

    HISTORY is what `flyball replay` reads; RUN_DIR is the folder of `flyball sweep --out`:
    its front is shown, and alone it gives the histories and the policies, too. The page
    opens from disk and asks no network for anything. It holds the verdict on the
    candidate policy against the baseline, each labelled incident, the costliest decisions
    with why, retries and refused load with intervals, the services (those that need a
    look are drawn in full), the quality of the data, and the command to make it again.
    One --policy alone is drawn and compared with nothing. With --closed-loop the incidents are
    lived through again: how many requests each policy loses, as a range over what no
    recording shows.

    A labels.json inside a history is used, and named on stderr, where --labels is not
    given. No AWS credentials are used; only the page is written.

    \b
    example: flyball synth --out history --services 12 --days 14 && flyball report history
    example: flyball report payments.csv --policy now.yaml --policy new.yaml --labels labels.json -o new.html
    example: flyball report run/    # after flyball sweep history/ ... --out run/
    """
    loop = closed_loop_of(given, beside=())
    _report(files, Options(**given), loop)


def _report(files: Sequence[Path], asked: Options, loop: ClosedLoop | None) -> None:
    """Read, replay, compare, and write the page."""
    if asked.now_s is None:
        asked = asked._replace(now_s=SystemClock().now_s())
    rules = Rules(measure_values(asked.margins, "--margin"), measure_values(asked.limits, "--limit"))
    runs, histories = [path for path in files if is_run(path)], [path for path in files if not is_run(path)]
    if len(runs) > 1:
        raise click.UsageError("give one run directory of a sweep: a page has one Pareto front")
    outcome = outcome_in(runs[0]) if runs else None
    named = _named(asked.policies, outcome)
    if loop is not None and (outcome is not None or len(named) < 2):
        # A candidate of a sweep has no file that another process could read.
        raise click.UsageError("--closed-loop needs two policies and no run of a sweep: give --policy twice")
    truth = asked.labels if asked.labels is not None else _companion(histories)
    paths = metric_files(histories, asked.target) if histories else []
    sources = _sources(paths, histories, asked, truth) if histories else histories_in(runs[0])
    how = How(chosen(asked.engine, len(named) * windows_in(paths)), asked.drawn, loop)
    services, columns_of, lived = _watched(sources, named, how, total=len(paths))
    closed, lost = _closed(lived, named, loop)
    read = [*paths, *([truth] if truth is not None else []), *(run / SUMMARY for run in runs)]
    made = build(
        services,
        _manifest(read, named),
        comparisons=[
            compare(columns_of[0], other, rules, lost=of)
            for other, of in zip(columns_of[1:], lost, strict=True)
        ],
        closed=closed,
        sweep=sweep_of(outcome) if outcome is not None else None,
        title=asked.title,
    )
    page = render(made, drawn=asked.drawn)
    write_whole(asked.out, page)
    _tell(made, asked.out, len(page), asked.form)


def _named(policies: Sequence[str], outcome: Mapping[str, Any] | None) -> list[Named]:
    """Return the baseline and the candidates: those named, those of a sweep, or the defaults."""
    if policies or outcome is None:
        return [Named(name, load_policy(name)) for name in dict.fromkeys(policies or POLICIES)]
    base = load_policy(str(outcome["policy"]))
    named = [Named(str(outcome["policy"]), base)]
    if outcome["chosen"]:
        number = int(outcome["chosen"])
        point = next(one["point"] for one in outcome["candidates"] if one["number"] == number)
        named.append(Named(point_name(number), candidate_at(base, number, point).policies))
    return named


def _companion(files: Sequence[Path]) -> Path | None:
    """Return the labels that lie in the one history that was given, and say so."""
    if len(files) != 1 or not (files[0] / LABELS_NAME).is_file():
        return None
    click.echo(f"labels from {files[0] / LABELS_NAME}; --labels names others", err=True)
    return files[0] / LABELS_NAME


def _sources(
    paths: Sequence[Path], given: Sequence[Path], asked: Options, truth: Path | None
) -> Iterator[tuple[Series, Labels | None]]:
    """Yield the histories with their labels; what cannot be used is named on stderr."""
    known = label_file(truth)
    read = labelled = 0
    for path in paths:
        series = _read(path, asked, must=path in given or len(paths) == 1)
        if series is None:
            continue
        labels = None if truth is None else labels_of(known, path, series.target, file=truth)
        read += 1
        if truth is None or labels is not None:  # a comparison needs the same truth everywhere
            labelled += 1
            yield series, labels
    if read and not labelled and truth is not None:
        raise none_labelled(truth, read)


def _watched(
    sources: Iterable[tuple[Series, Labels | None]], named: Sequence[Named], how: How, *, total: int
) -> tuple[list[Watched], list[list[Figures]], list[History]]:
    """Return the services under the drawn policy, per policy the figures, and what the closed loop needs."""
    drawn = named[1] if len(named) > 1 else named[0]
    services: list[Watched] = []
    figures: list[list[Figures]] = [[] for _ in named]
    lived: list[History] = []
    close = Shortlist(how.drawn)
    for series, labels in with_progress(sources, total=total, label="report", check_every=1):
        policy = drawn.policies.for_target(series.target)
        if how.engine is Engine.COMPILED:
            one = glance(series, policy, name=drawn.name, labels=labels, engine=how.engine)
            close.add(len(services), one, series, labels)
        else:
            one = watch(series, policy, name=drawn.name, labels=labels)
        services.append(one)
        if how.loop is not None:
            lived.append(History(series, labels, policy))
        for column, each in zip(figures, named, strict=True):
            column.append(one.figures if each is drawn else _figures(series, each, labels, how.engine))
    if not services:
        raise InconclusiveError(
            "no history has a window with requests (see the lines above): nothing can be reported"
        )
    again = close.kept()
    for place, series, labels in with_progress(again, total=len(again), label="close up", check_every=1):
        policy = drawn.policies.for_target(series.target)
        services[place] = watch(series, policy, name=drawn.name, labels=labels)
    return services, figures, lived


def _closed(
    lived: Sequence[History], named: Sequence[Named], loop: ClosedLoop | None
) -> tuple[Closed | None, list[Lost | None]]:
    """Return the incidents lived through again, and per candidate the requests lost, for its comparison."""
    if loop is None:
        return None, [None for _ in named[1:]]
    base, *others = (f"{FLYBALL}:{one.name}" for one in named)
    try:
        done, outcomes = live(lived, (base, *others, *loop.beside), loop)
    except InconclusiveError as error:  # the rest of the page is worth having
        click.echo(f"closed loop left out: {error}", err=True)
        return None, [None for _ in others]
    kept = [kept_of(outcomes, base, other) for other in (*others, *loop.beside)]
    return Closed(tuple(done), tuple(kept)), [lost_of(outcomes, base, other) for other in others]


def _read(path: Path, asked: Options, *, must: bool) -> Series | None:
    """Return a history; None, with a line on stderr, for one that was not named and cannot be used."""
    try:
        series = read_series(
            path,
            target=asked.target,
            columns=dict(asked.columns),
            period_s=asked.period_s,
            delay_s=asked.delay_s,
            now_s=asked.now_s,
        )
    except SeriesError as error:
        if must:
            raise
        click.echo(f"skipped {error}", err=True)
        return None
    if not any(o.quality != Quality.INVALID and o.requests > 0 for o in series.observations):
        click.echo(f"skipped {path}: no window with requests", err=True)
        return None
    return series


def _figures(series: Series, named: Named, labels: Labels | None, engine: Engine) -> Figures:
    windows = acted_windows(series, named.policies.for_target(series.target), engine=engine)
    return figures_of(windows, labels, target=series.target, contender=named.name, acts=True)


def _manifest(paths: Sequence[Path], named: Sequence[Named]) -> Manifest:
    from importlib.metadata import version

    context = click.get_current_context()
    words = [program_name(), "report", *_words(context)]
    return Manifest(
        shlex.join(words),
        version("flyball"),
        tuple(dict.fromkeys(_input(path) for path in paths)),
        tuple((one.name, one.policies.default.digest) for one in named),
    )


def _words(context: click.Context) -> Iterator[str]:
    """Yield the options as they were given: defaults are part of the version."""
    for parameter in context.command.params:
        if parameter.param_type_name != "option":
            continue
        source = context.get_parameter_source(parameter.name)
        if source is not click.core.ParameterSource.COMMANDLINE or parameter.name in UNSAID:
            continue
        value = context.params[parameter.name]
        if value is True:
            yield parameter.opts[0]
            continue
        for each in value if parameter.multiple else [value]:
            yield from (parameter.opts[0], "=".join(each) if isinstance(each, tuple) else f"{each}")
    yield from (str(path) for path in context.params["files"])
    yield from ("--out", str(context.params["out"]))


def _input(path: Path) -> Input:
    """Return a file with its digest; of a target's folder the manifest of the whole history stands for it."""
    file = path
    if path.is_dir():
        file = next(
            (p / HISTORY_MANIFEST for p in (path, path.parent) if (p / HISTORY_MANIFEST).is_file()), path
        )
    if file.is_dir():
        raise InvalidError(f"{path}: the folder has no {HISTORY_MANIFEST}")
    return input_of(file)


def _tell(made: Report, out: Path, size: int, form: str) -> None:
    if form == "json":
        click.echo(canonical_json({**summary(made), "file": str(out), "bytes": size}).decode())
        return
    for sentence in made.sentences:
        click.echo(sentence)
    count = len(made.services)
    many = counted(count, "service")
    click.echo(f"\n{out}: {size / 1e6:.2f} MB, {many}; open it in a browser")
