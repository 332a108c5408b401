"""`flyball score`: how well decisions fit labelled incidents, ours or any other detector's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from flyball_analytics.cli.engine import chosen, engine_option, windows_in
from flyball_analytics.cli.errors import InconclusiveError
from flyball_analytics.cli.histories import label_file, labels_of, load_metrics, metric_files, none_labelled
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.row_options import row_options
from flyball_analytics.clock import SystemClock
from flyball_analytics.csvfile import read_table
from flyball_analytics.detectors import OURS, UnknownDetector, detector_names, new_detector
from flyball_analytics.fastreplay import Engine
from flyball_analytics.judged import Judged, judge, judge_all, judged_json
from flyball_analytics.labels import Labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.results import (
    Result,
    is_journal,
    result_column,
    result_of_replay,
    result_of_rows,
    result_of_table,
    results_of_journal,
)
from flyball_analytics.thresholds.firings import run_detector
from flyball_analytics.thresholds.metric import METRICS, Metric
from flyball_analytics.thresholds.rules import ADAPTIVE
from flyball_controller.codec import canonical_json
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet


class Request(NamedTuple):
    """The options of one call."""

    labels: Mapping[str, Labels]
    label_path: Path
    policies: PolicySet
    rules: tuple[str, ...]
    names: tuple[str, ...]
    target: str | None
    columns: Mapping[str, str]
    period_s: float | None
    delay_s: float
    threshold: float | None
    engine: Engine  # never AUTO


@click.command(short_help="Score decisions against labelled incidents: delay, misses, false alarms.")
@click.argument(
    "files", nargs=-1, required=True, metavar="HISTORY|RESULTS...", type=click.Path(path_type=Path)
)
@click.option(
    "--labels", required=True, type=click.Path(path_type=Path), help="JSON file, the true incidents."
)
@click.option("--policy", default="two-loop", show_default=True, help="A preset or a policy file.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    help="Which rule to run over a history: flyball or a detector by name; may be repeated; `all`.",
)
@click.option("--metric", "names", multiple=True, type=click.Choice(METRICS), help="Only this metric.")
@click.option("--threshold", type=float, help="A row of a table of scores fires from here on; default 1.")
@row_options
@engine_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def score(
    files: tuple[Path, ...],
    labels: Path,
    policy: str,
    rules: tuple[str, ...],
    names: tuple[str, ...],
    threshold: float | None,
    target: str | None,
    columns: tuple[tuple[str, str], ...],
    period_s: float | None,
    delay_s: float | None,
    engine: Engine,
    form: str,
) -> None:
    """Score decisions against labelled incidents: delay, misses, false alarms.

    HISTORY is what `flyball replay` reads, or values with a timestamp; rules are run
    over it here. RESULTS is a journal (`flyball replay --format json`), or a CSV table
    with a timestamp and a `firing` or `anomaly_score` column from any other detector.

    Prints for every series and for all together: incidents seen and answered, missed,
    median delay, false alarms a week with a 95 % interval, healthy time falsely
    restricted, and NAB's published score beside what chance gets. Nothing is changed.

    \b
    example: flyball score history/ --labels labels.json
    example: flyball score latency.csv --labels labels.json --rule level-profile --rule ewma-3sd
    example: flyball score journal.jsonl --labels labels.json --format json
    """
    paths = metric_files(files, target)
    request = Request(
        label_file(labels),
        labels,
        load_policy(policy),
        _rules(rules),
        names,
        target,
        dict(columns),
        period_s,
        delay_s or 0.0,
        threshold,
        chosen(engine, 0 if _rules_only(rules) else windows_in([p for p in paths if not is_journal(p)])),
    )
    by_rule: dict[str, list[tuple[Result, Judged]]] = {}
    unlabelled = 0
    for result in with_progress(
        _results(paths, files, request),
        total=len(paths) * len(request.rules or "1"),
        label="score",
        check_every=1,
    ):
        truth = labels_of(request.labels, Path(result.path), result.target, file=labels)
        if truth is None:
            unlabelled += 1
            continue
        by_rule.setdefault(result.rule, []).append((result, judge(result, truth)))
    if not by_rule:
        raise none_labelled(labels, unlabelled)
    _show(by_rule, form)


def _rules(rules: Sequence[str]) -> tuple[str, ...]:
    """Return the rules to run, each once; empty: ours for the kind of metric."""
    wanted: list[str] = []
    for rule in rules:
        if rule not in (ADAPTIVE, "all"):
            try:
                new_detector(rule, rows=1)
            except UnknownDetector as error:
                raise click.BadParameter(f"{error}, {ADAPTIVE}, all", param_hint="--rule") from error
        wanted += (ADAPTIVE, *detector_names()) if rule == "all" else (rule,)
    return tuple(dict.fromkeys(wanted))


def _rules_only(rules: Sequence[str]) -> bool:
    """Return whether only detectors are named, so that no policy is replayed."""
    return bool(rules) and not {ADAPTIVE, "all"} & set(rules)


def _results(paths: Sequence[Path], given: Sequence[Path], request: Request) -> Iterator[Result]:
    """Yield a result per series and rule, in the order of the files."""
    for path in paths:
        if is_journal(path):
            yield from results_of_journal(path, request.policies.for_target)
        elif not path.is_dir() and result_column(read_table(path).header) is not None:
            yield result_of_table(
                path,
                target=request.target or path.stem,
                threshold=request.threshold,
                period_s=request.period_s,
            )
        else:
            yield from _run(path, given, request, alone=len(paths) == 1)


def _run(path: Path, given: Sequence[Path], request: Request, *, alone: bool) -> Iterator[Result]:
    """Yield what the rules say about the metrics of one file."""
    try:
        metrics = load_metrics(
            [path],
            named=given,
            target=request.target,
            columns=request.columns,
            period_s=request.period_s,
            delay_s=request.delay_s,
            now_s=SystemClock().now_s(),
        )[path]
    except SeriesError as error:
        if path in given or alone:
            raise
        click.echo(f"skipped {error}", err=True)
        return
    # The labels of a file are about its first metric: errors where there are counts.
    wanted = [metric for metric in metrics if metric.name in request.names] if request.names else metrics[:1]
    for metric in wanted:
        for rule in request.rules or (ADAPTIVE if metric.series is not None else OURS,):
            result = _judge_rule(metric, rule, request)
            if result is not None:
                yield result


def _judge_rule(metric: Metric, rule: str, request: Request) -> Result | None:
    """Return what one rule says about one metric; None for the production step where there are no counts."""
    if rule == ADAPTIVE:
        if metric.series is None:
            return None
        policy = request.policies.for_target(metric.target)
        return result_of_replay(metric.series, policy, rule=rule, engine=request.engine)
    rows = run_detector(metric, new_detector(rule, rows=len(metric.points)))
    return result_of_rows(rows, target=metric.target, rule=rule, path=metric.path)


def _show(by_rule: Mapping[str, list[tuple[Result, Judged]]], form: str) -> None:
    """Write every series, then each rule's total; end with 4 if no row could be scored."""
    from flyball_analytics.judged_text import judged_table

    rows: list[Judged] = []
    totals: list[Judged] = []
    for pairs in by_rule.values():
        rows += [judged for _, judged in pairs]
        totals.append(judge_all([result for result, _ in pairs], [judged for _, judged in pairs]))
    if form == "json":
        for one in (*rows, *totals):
            click.echo(canonical_json(judged_json(one)).decode())
    else:
        click.echo(judged_table(rows, totals))
    if all(one.score.rows == 0 for one in totals):
        raise InconclusiveError("no row can be scored: all lie in probation or ignored stretches")
