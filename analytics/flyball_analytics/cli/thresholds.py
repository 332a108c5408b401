"""`flyball thresholds`: what is normal, where thresholds stand, and whether adaptive ones are worth it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click

from flyball_analytics.cli.errors import InconclusiveError, InvalidError
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.histories import label_file, labels_of, load_metrics, metric_files, none_labelled
from flyball_analytics.cli.program import program_name
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.row_options import row_options
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.codes import ErrorCode
from flyball_analytics.labels import Labels
from flyball_analytics.thresholds.analysis import RUNS, Analysis, analyse_by_run, anything_said
from flyball_analytics.thresholds.metric import ERRORS, METRICS, Metric
from flyball_controller.codec import canonical_json
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet

PLOT_SUFFIXES = (".svg", ".png")
PLOTTED_MAX = 4  # metrics in one picture


class Request(NamedTuple):
    """The options that concern the analysis."""

    policy_name: str
    policies: PolicySet
    fixed: float | None
    curve: bool
    form: str


@click.command(short_help="Show what is normal, where rules would have fired, and fixed or adaptive.")
@click.argument("history", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--policy", default="two-loop", show_default=True, help="A preset or a policy file.")
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option("--metric", "names", multiple=True, type=click.Choice(METRICS), help="Only this metric.")
@click.option("--fixed", type=float, help="Level of the fixed threshold, in the metric's unit (ratio, ms).")
@click.option("--no-curve", is_flag=True, help="Leave out the trade-off of multiples and half-lives.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: FILE.svg or FILE.png."
)
@row_options
@click.option("--from", "from_s", type=moment, help="Leave out windows that start before.")
@click.option("--to", "to_s", type=moment, help="Leave out windows that start at or after.")
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
def thresholds(
    history: tuple[Path, ...],
    policy: str,
    labels: Path | None,
    names: tuple[str, ...],
    fixed: float | None,
    no_curve: bool,
    form: str,
    plot: Path | None,
    target: str | None,
    columns: tuple[tuple[str, str], ...],
    period_s: float | None,
    delay_s: float | None,
    from_s: float | None,
    to_s: float | None,
    now_s: float | None,
) -> None:
    """Show what is normal, where rules would have fired, and fixed or adaptive.

    HISTORY is a CSV file, or a folder of them, as `flyball replay` reads it; a file
    with the columns timestamp and value is one metric by itself. For every target
    and metric: the baseline with its seasons, trip and reset now, when a fixed
    threshold, 2 x a rolling mean, EWMA + 3 sigma, a CloudWatch-like band and flyball
    would have fired, and whether to stay fixed or to move to adaptive, with the
    trade-off behind it. Says what is missing where the history is too short.
    Nothing is changed; only the file of --plot is written. docs/how-to/thresholds.md

    \b
    example: flyball thresholds payments.csv
    example: flyball thresholds history/ --labels labels.json --plot thresholds.png
    example: flyball thresholds latency.csv --fixed 800 --no-curve --format json
    """
    if plot is not None:
        _check_plot(plot)
    paths = metric_files(history, target)
    known = label_file(labels)
    request = Request(policy, load_policy(policy), fixed, not no_curve, form)
    loaded = load_metrics(
        paths,
        named=history,
        target=target,
        columns=dict(columns),
        period_s=period_s,
        delay_s=delay_s or 0.0,
        now_s=now_s if now_s is not None else SystemClock().now_s(),
    )
    truth = _truth(loaded, known, target, labels)
    wanted = [
        (path, metric.between(from_s or 0.0, to_s if to_s is not None else float("inf")))
        for path, metrics in loaded.items()
        for metric in metrics
        if not names or metric.name in names
    ]
    _check_level(fixed, [metric for _, metric in wanted])
    if not wanted:
        raise InvalidError(f"none of the files has the metric {' or '.join(names)}; leave out --metric")
    analyses = list(_analyses(wanted, truth, request))
    if plot is not None:
        _draw(plot, analyses)
    _finish(analyses, history, request)


def _truth(
    paths: Collection[Path], known: Mapping[str, Labels], target: str | None, file: Path | None
) -> dict[Path, Labels | None]:
    """Return the labels of every history; none of them having any means that the file is of other data."""
    if file is None:
        return {}
    truth = {path: labels_of(known, path, target, file=file) for path in paths}
    if all(one is None for one in truth.values()):
        raise none_labelled(file, len(truth))
    return truth


def _check_level(fixed: float | None, metrics: Sequence[Metric]) -> None:
    """Refuse a fixed level that no error ratio can have: 5 is easily written for 5 %."""
    if fixed is not None and not 0.0 <= fixed <= 1.0 and any(metric.name == ERRORS for metric in metrics):
        raise click.BadParameter(
            f"{fixed:g}: of an error ratio it is a share from 0 to 1, 0.05 for 5 %; "
            "--metric chooses another metric",
            param_hint="--fixed",
        )


def _check_plot(plot: Path) -> None:
    """Refuse what could not be drawn, before minutes are spent."""
    if plot.suffix not in PLOT_SUFFIXES:
        raise click.BadParameter(f"{plot} must end with .svg or .png", param_hint="--plot")
    if find_spec("matplotlib") is None:
        raise InvalidError(
            "--plot needs the Python package 'matplotlib', which is not installed; "
            "install it with pip install 'flyball[plot]'",
            code=ErrorCode.MISSING_PACKAGE,
        )


def _analyses(
    wanted: list[tuple[Path, Metric]], truth: Mapping[Path, Labels | None], request: Request
) -> Iterator[Analysis]:
    """Yield the analyses, each written as soon as it is done."""
    from flyball_analytics.thresholds.plain import analysis_json
    from flyball_analytics.thresholds.text import analysis_text

    for analysis in with_progress(
        _by_run(wanted, truth, request), total=RUNS * len(wanted), label="thresholds", check_every=1
    ):
        if analysis is None:
            continue
        policy = request.policies.for_target(analysis.metric.target)
        if request.form == "json":
            plain = analysis_json(analysis, policy_name=request.policy_name, policy_hash=policy.digest)
            click.echo(canonical_json(plain).decode())
        else:
            click.echo(analysis_text(analysis) + "\n")
        yield analysis


def _by_run(
    wanted: list[tuple[Path, Metric]], truth: Mapping[Path, Labels | None], request: Request
) -> Iterator[Analysis | None]:
    """Yield None after every run, and each analysis when it is done."""
    names = {metric.name for _, metric in wanted}
    for path, metric in wanted:
        # A level in the unit of one metric says nothing about the others.
        fixed = request.fixed if len(names) == 1 or metric.name == ERRORS else None
        policy = request.policies.for_target(metric.target)
        yield from analyse_by_run(metric, policy, labels=truth.get(path), fixed=fixed, curve=request.curve)


def _draw(plot: Path, analyses: list[Analysis]) -> None:
    from flyball_analytics.thresholds.picture import draw

    chosen = [a for a in analyses if a.metric.points][:PLOTTED_MAX]
    write_whole(plot, draw(chosen, form=plot.suffix[1:]))
    left = len(analyses) - len(chosen)
    click.echo(f"written {plot}" + (f" ({left} more metrics are not in it)" if left else ""), err=True)


def _finish(analyses: list[Analysis], history: tuple[Path, ...], request: Request) -> None:
    """Count the answers and say what to try next; end with 4 if nothing could be said."""
    if not any(anything_said(analysis) for analysis in analyses):
        missing = next(a.recommendation.because for a in analyses)
        which = "the metric:" if len(analyses) == 1 else f"any of {len(analyses)} metrics; the first:"
        raise InconclusiveError(f"not enough data for {which} {missing}")
    if request.form != "text":
        return
    counts: dict[str, int] = {}
    for analysis in analyses:
        answer = analysis.recommendation.advice.value
        counts[answer] = counts.get(answer, 0) + 1
    click.echo("; ".join(f"{answer}: {count}" for answer, count in sorted(counts.items())))
    files = " ".join(shlex.quote(str(path)) for path in history)
    click.echo(f"next: {program_name()} replay {files} --policy {request.policy_name} --summary")
