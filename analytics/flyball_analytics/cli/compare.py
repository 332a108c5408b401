"""`flyball compare`: policies and rules side by side over the same history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from flyball.hints import did_you_mean
from flyball_analytics.algorithms import FLYBALL
from flyball_analytics.cli.closed_loop import (
    ClosedLoop,
    History,
    closed_loop_of,
    closed_loop_options,
    live,
    show_lived,
)
from flyball_analytics.cli.engine import chosen, engine_option
from flyball_analytics.cli.errors import ExitCode, InconclusiveError, InvalidError
from flyball_analytics.cli.histories import label_file, labels_of, load_metrics, metric_files, none_labelled
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.row_options import row_options
from flyball_analytics.cli.types import moment
from flyball_analytics.clock import SystemClock
from flyball_analytics.compare import (
    CLOSED_MEASURES,
    MEASURES,
    Comparison,
    Rules,
    Verdict,
    compare,
    compare_lost,
)
from flyball_analytics.compare_figures import Figures, acted_windows, figures_of, figures_of_steps
from flyball_analytics.compare_text import NOTE, comparison_json, comparison_markdown, comparison_text
from flyball_analytics.detectors import UnknownDetector, new_detector
from flyball_analytics.fastreplay import Engine
from flyball_analytics.labels import Labels
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_analytics.thresholds.firings import run_detector, steps_of
from flyball_analytics.thresholds.metric import Metric
from flyball_analytics.whatif import lost_of
from flyball_controller.codec import canonical_json
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet

BASELINE = "fixed"  # where one policy is given alone: the preset that learns nothing
Done = tuple[Comparison, list[Comparison]]


class Contender(NamedTuple):
    """A policy set, or (None) a detector of this name."""

    name: str
    policies: PolicySet | None


class Options(NamedTuple):
    """What was written on the command line."""

    policies: tuple[str, ...]
    rules: tuple[str, ...]
    labels: Path | None
    margins: tuple[str, ...]
    limits: tuple[str, ...]
    fail_if_worse: bool
    target: str | None
    columns: tuple[tuple[str, str], ...]
    period_s: float | None
    delay_s: float | None
    now_s: float | None
    engine: Engine
    form: str


class Loaded(NamedTuple):
    """One history with what is known about it."""

    metric: Metric
    path: Path


@click.command("compare", short_help="Say which policy would have been better over a history, and how sure.")
@click.argument("files", nargs=-1, required=True, metavar="HISTORY...", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="A preset or a policy file; may be repeated. The first is the baseline; default: fixed.",
)
@click.option("--rule", "rules", multiple=True, help="A detector, as in flyball score; may be repeated.")
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option("--margin", "margins", multiple=True, metavar="MEASURE=VALUE", help="What does not matter yet.")
@click.option("--limit", "limits", multiple=True, metavar="MEASURE=VALUE", help="Most a candidate may have.")
@click.option("--fail-if-worse", is_flag=True, help="End with 1 if a candidate is worse or mixed.")
@row_options
@click.option("--now", "now_s", type=moment, help="What counts as now; later rows are impossible.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
@engine_option
@closed_loop_options
@click.pass_context
def compare_command(context: click.Context, /, files: tuple[Path, ...], **given: Any) -> None:
    """Say which policy would have been better over a history, and how sure.

    HISTORY is what `flyball replay` reads. Every contender runs over the same rows; the
    first --policy is the baseline, each other one is compared with it, service by service
    and over all: missed incidents, detection delay, false alarms, healthy traffic
    refused, healthy time restricted, changes. Each difference has a 95 % interval and a
    margin below which it does not matter. Better means better in one measure and, so far
    as the data can say, worse in none. Too little data is said, and ends with 4.

    No AWS credentials are used and nothing is changed. The comparison is open loop: what
    was recorded does not react. With --closed-loop the incidents are lived through again,
    too, and the requests lost in them are one more measure; --beside adds references.

    \b
    example: flyball compare history/ --labels labels.json --policy fixed --policy adaptive
    example: flyball compare history/ --labels labels.json --policy now.yaml --policy new.yaml --fail-if-worse
    example: flyball compare pay.csv --labels labels.json --policy two-loop --limit delay_s=180
    """
    closed = closed_loop_of(given, beside=())
    options = Options(**given)
    contenders = _contenders(
        options.policies, options.rules, alone=closed is not None and closed.beside != ()
    )
    wanted = Rules(measure_values(options.margins, "--margin"), measure_values(options.limits, "--limit"))
    loaded = load_metrics(
        metric_files(files, options.target),
        named=files,
        target=options.target,
        columns=dict(options.columns),
        period_s=options.period_s,
        delay_s=options.delay_s or 0.0,
        now_s=options.now_s if options.now_s is not None else SystemClock().now_s(),
    )
    kept = _labelled([Loaded(metrics[0], path) for path, metrics in loaded.items()], options.labels)
    figures = _figures(kept, contenders, options.engine)
    if closed is None:
        done = [compare(figures[0], other, wanted) for other in figures[1:]]
    else:
        done = _closed(kept, contenders, figures, closed, wanted, form=options.form)
    _show(done, options.form)
    _finish(context, done, fail_if_worse=options.fail_if_worse)


def _closed(
    kept: Sequence[tuple[Loaded, Labels | None]],
    contenders: Sequence[Contender],
    figures: Sequence[Sequence[Figures]],
    closed: ClosedLoop,
    rules: Rules,
    *,
    form: str,
) -> list[Done]:
    """Return the comparisons with the requests that were lost when the incidents were lived through again."""
    base = contenders[0]
    if base.policies is None:
        raise click.UsageError("--closed-loop needs a --policy as the baseline: a detector acts on nothing")
    policies = base.policies
    histories = [History(_series(one), truth, policies.for_target(one.metric.target)) for one, truth in kept]
    names = [f"{FLYBALL}:{one.name}" for one in contenders if one.policies is not None]
    lived, outcomes = live(histories, (*names, *closed.beside), closed)
    if form == "text":
        show_lived(lived, form=form)
        click.echo()
    done = []
    for contender, found in zip(contenders[1:], figures[1:], strict=True):
        acts = contender.policies is not None
        lost = lost_of(outcomes, names[0], f"{FLYBALL}:{contender.name}") if acts else None
        done.append(compare(figures[0], found, rules, lost=lost))
    targets = [one.metric.target for one, _ in kept]
    return done + [
        compare_lost(targets, base.name, name, lost_of(outcomes, names[0], name), rules)
        for name in closed.beside
    ]


def _contenders(policies: Sequence[str], rules: Sequence[str], *, alone: bool) -> list[Contender]:
    """Return who is compared, the baseline first; what does not exist is the user's mistake.

    `alone`: one policy is enough, because it is compared with references.
    """
    enough = len(policies) + len(rules) > 1 or (alone and policies)
    names = list(dict.fromkeys(policies if enough else (BASELINE, *policies)))
    found = [Contender(name, load_policy(name)) for name in names]
    for rule in dict.fromkeys(rules):
        try:
            new_detector(rule, rows=1)
        except UnknownDetector as error:
            raise click.BadParameter(str(error), param_hint="--rule") from error
        found.append(Contender(rule, None))
    if len(found) < 2 and not alone:
        raise click.UsageError(f"{found[0].name} alone cannot be compared: give another --policy or a --rule")
    return found


def measure_values(pairs: Sequence[str], option: str) -> dict[str, float]:
    """Return the values of MEASURE=VALUE pairs."""
    known = (*MEASURES, *CLOSED_MEASURES)
    found: dict[str, float] = {}
    for text in pairs:
        name, equals, number = text.partition("=")
        if not equals or name not in known:
            hint = did_you_mean(name, known)
            raise click.BadParameter(
                f"{text!r} is no MEASURE=VALUE{hint}; measures are {', '.join(known)}", param_hint=option
            )
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0.0 <= value < float("inf"):
            raise click.BadParameter(f"{text}: the value must be a number, at least 0", param_hint=option)
        found[name] = value
    return found


def _labelled(histories: Sequence[Loaded], labels: Path | None) -> list[tuple[Loaded, Labels | None]]:
    """Return the histories with their labels; with a labels file those without labels are left out."""
    known = label_file(labels)
    if labels is None:
        return [(one, None) for one in histories]
    found = [(one, labels_of(known, one.path, one.metric.target, file=labels)) for one in histories]
    kept = [pair for pair in found if pair[1] is not None]
    if not kept:
        raise none_labelled(labels, len(histories))
    return [*kept]


def _figures(
    kept: Sequence[tuple[Loaded, Labels | None]], contenders: Sequence[Contender], engine: Engine
) -> list[list[Figures]]:
    """Return the figures of every contender, target by target."""
    jobs = [(contender, one, truth) for contender in contenders for one, truth in kept]
    windows = sum(len(one.metric.points) for contender, one, _ in jobs if contender.policies is not None)
    engine = chosen(engine, windows)
    made = [
        _figures_of(contender, one, truth, engine)
        for contender, one, truth in with_progress(jobs, total=len(jobs), label="compare", check_every=1)
    ]
    each = len(kept)
    return [made[place : place + each] for place in range(0, len(made), each)]


def _figures_of(contender: Contender, one: Loaded, truth: Labels | None, engine: Engine) -> Figures:
    target, name = one.metric.target, contender.name
    if contender.policies is None:
        return figures_of_steps(_fired(one.metric, name), truth, target=target, contender=name)
    windows = acted_windows(_series(one), contender.policies.for_target(target), engine=engine)
    return figures_of(windows, truth, target=target, contender=name, acts=True)


def _series(one: Loaded) -> Series:
    """Return the counts behind a metric; the production step judges counts, never plain values."""
    if one.metric.series is None:
        raise InvalidError(
            f"{one.path}: has values and no counts, which a policy needs; compare detectors with --rule alone"
        )
    return one.metric.series


def _fired(metric: Metric, rule: str) -> list[Step]:
    return steps_of(run_detector(metric, new_detector(rule, rows=len(metric.points))))


def _show(done: Sequence[Done], form: str) -> None:
    """Write every candidate's comparison."""
    if form == "json":
        for total, services in done:
            click.echo(canonical_json(comparison_json(total, services)).decode())
        return
    write = comparison_markdown if form == "markdown" else comparison_text
    for total, services in done:
        click.echo(write(total, services) + "\n")
    if form == "text":
        click.echo(NOTE)


def _finish(context: click.Context, done: Sequence[Done], *, fail_if_worse: bool) -> None:
    """End with 1 where a limit is broken or a forbidden verdict fell, with 4 where none could be given."""
    totals = [total for total, _ in done]
    broken = [f"{t.other}: {m.measure}" for t in totals for m in t.measures if not m.kept]
    if broken:
        click.echo(f"limit broken by {'; '.join(broken)}", err=True)
    worse = [t for t in totals if t.verdict in (Verdict.WORSE, Verdict.MIXED)]
    if broken or (fail_if_worse and worse):
        context.exit(ExitCode.CHECK_FAILED)
    unsure = [t.other for t in totals if t.verdict is Verdict.INCONCLUSIVE]
    if unsure:
        raise InconclusiveError(
            f"no verdict on {', '.join(unsure)}: give more history, more labelled incidents"
        )
