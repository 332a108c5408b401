"""`flyball cost`: what flyball itself costs in a month, and what it has to save."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from flyball.hints import did_you_mean
from flyball_analytics.algorithms import FLYBALL
from flyball_analytics.cli.closed_loop import ClosedLoop, History, closed_loop_of, closed_loop_options, live
from flyball_analytics.cli.engine import chosen, engine_option, windows_in
from flyball_analytics.cli.errors import InconclusiveError
from flyball_analytics.cli.histories import label_file, labels_of, metric_files
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.clock import SystemClock
from flyball_analytics.compare_figures import Figures, acted_windows, figures_of
from flyball_analytics.cost import Calls, Fleet, Stakes, bill
from flyball_analytics.cost_replay import Counted, counted
from flyball_analytics.cost_text import bill_json, bill_markdown, bill_text
from flyball_analytics.fastreplay import Engine
from flyball_analytics.prices import PRICES, prices
from flyball_analytics.report.watch import Watched, glance
from flyball_analytics.series import read_series
from flyball_analytics.whatif_saved import kept_of
from flyball_controller.codec import canonical_json
from flyball_controller.core.model import Quality
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet


class Options(NamedTuple):
    """What was written on the command line."""

    policy: str
    targets: int | None
    requests_per_month: float | None
    functions: float
    accounts: int
    environments: float
    cold_starts: float
    changes_per_h: float | None
    stream: bool
    retries_ratio: float | None
    call_ms: float
    memory_mb: float
    usd_per_call: float
    usd_per_lost_request: float | None
    usd_per_outage_h: float | None
    labels: Path | None
    baseline: str
    engine: Engine
    changed: tuple[str, ...]
    form: str


class Two(NamedTuple):
    """The policy in question and what there is now, by name."""

    policy: str
    policies: PolicySet
    baseline: str
    others: PolicySet


AMOUNT, COUNT = click.FloatRange(min=0.0), click.IntRange(min=1)


@click.command(short_help="Say what flyball itself costs in a month, and what it has to save.")
@click.argument("files", nargs=-1, metavar="[HISTORY...]", type=click.Path(path_type=Path))
@click.option("--policy", default="two-loop", show_default=True, help="A preset or a policy file.")
@click.option("--targets", type=COUNT, help="How many targets; default: those of HISTORY.")
@click.option("--requests-per-month", type=AMOUNT, help="To all targets; default: counted in HISTORY.")
@click.option("--functions", default=3.0, show_default=True, type=AMOUNT, help="Callers of each target.")
@click.option("--accounts", default=1, show_default=True, type=COUNT, help="One controller reads so many.")
@click.option("--environments", default=0.0, show_default=True, type=AMOUNT, help="Warm ones, on average.")
@click.option("--cold-starts", default=0.0, show_default=True, type=AMOUNT, help="A day, of all callers.")
@click.option("--changes-per-h", type=AMOUNT, help="Deployments; default: counted in HISTORY, else 0.25.")
@click.option("--stream", is_flag=True, help="Metrics come by a metric stream, too.")
@click.option(
    "--retries-ratio", type=AMOUNT, help="Retries per request; default: counted in HISTORY, else 0."
)
@click.option("--call-ms", default=200.0, show_default=True, type=AMOUNT, help="How long one attempt takes.")
@click.option("--memory-mb", default=512.0, show_default=True, type=AMOUNT, help="Of the calling function.")
@click.option("--usd-per-call", default=0.0, show_default=True, type=AMOUNT, help="What the target charges.")
@click.option("--usd-per-lost-request", type=AMOUNT, help="What a request that fails for good costs.")
@click.option("--usd-per-outage-h", type=AMOUNT, help="What an hour of outage costs.")
@click.option("--labels", type=click.Path(path_type=Path), help="JSON file with the true incidents.")
@click.option("--baseline", default="fixed", show_default=True, help="What you have now: preset or file.")
@engine_option
@closed_loop_options
@click.option("--price", "changed", multiple=True, metavar="NAME=USD", help="Replace a price.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
def cost(files: tuple[Path, ...], **given: Any) -> None:
    """Say what flyball itself costs in a month, and what it has to save.

    Every line has its arithmetic. With a HISTORY, targets, requests, retries and changes
    are counted in a replay of --policy; with --labels also how much earlier it answers than
    --baseline. With --closed-loop the incidents are lived through again: how many requests
    fewer are lost, what that is worth, and from which price of one on flyball pays, each as
    a range over what no recording shows. What you state wins over what is counted. No AWS
    credentials are used and nothing is changed.

    \b
    example: flyball cost --targets 20 --requests-per-month 3e8 --environments 100
    example: flyball cost history/ --labels history/labels.json --environments 100 --usd-per-outage-h 5000
    example: flyball cost history/ --labels history/labels.json --closed-loop --usd-per-lost-request 0.05
    """
    closed = closed_loop_of(given, beside=())
    _cost(files, Options(**given), closed)


def _cost(files: Sequence[Path], asked: Options, closed: ClosedLoop | None) -> None:
    """Count or take what was stated, and write the bill."""
    if not files and asked.targets is None:
        raise click.UsageError("give --targets, or a HISTORY in which they are counted")
    if closed is not None and (closed.beside or not files):
        raise click.UsageError("--closed-loop needs a HISTORY, and compares --policy with --baseline alone")
    policies = load_policy(asked.policy)
    price = prices(_prices(asked.changed))
    callers = (asked.functions, asked.environments, asked.cold_starts)
    fleet = Fleet(asked.targets or 0, 0.0, *callers, stream=asked.stream, accounts=asked.accounts)
    found = Counted(fleet, Calls(0.0, asked.call_ms, asked.memory_mb, asked.usd_per_call), None)
    if files:
        two = Two(asked.policy, policies, asked.baseline, load_policy(asked.baseline))
        found = _counted(files, two, asked.labels, found, asked.engine, closed)
    fleet = found.fleet._replace(
        targets=asked.targets or found.fleet.targets,
        requests=_stated(asked.requests_per_month, found.fleet.requests),
        changes_per_h=_stated(asked.changes_per_h, found.fleet.changes_per_h),
    )
    calls = found.calls._replace(retries_ratio=_stated(asked.retries_ratio, found.calls.retries_ratio))
    stakes = Stakes(asked.usd_per_lost_request, asked.usd_per_outage_h)
    made = bill(fleet, policies.default, price, calls=calls, stakes=stakes, saved=found.saved)
    if asked.form == "json":
        plain = bill_json(made, fleet=fleet, calls=calls, stakes=stakes, saved=found.saved, price=price)
        click.echo(canonical_json(plain).decode())
        return
    write = bill_markdown if asked.form == "markdown" else bill_text
    click.echo(write(made, saved=found.saved, stakes=stakes))


def _stated(stated: float | None, found: float) -> float:
    return found if stated is None else stated


def _prices(changed: Sequence[str]) -> dict[str, float]:
    """Return the prices of NAME=USD pairs."""
    found: dict[str, float] = {}
    for text in changed:
        name, equals, number = text.partition("=")
        if not equals or name not in PRICES:
            hint = did_you_mean(name, PRICES)
            raise click.BadParameter(
                f"{text!r} is no NAME=USD{hint}; prices are {', '.join(PRICES)}", param_hint="--price"
            )
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0.0 <= value < float("inf"):
            raise click.BadParameter(f"{text}: USD must be a number, at least 0", param_hint="--price")
        found[name] = value
    return found


def _counted(
    files: Sequence[Path],
    two: Two,
    labels: Path | None,
    stated: Counted,
    engine: Engine,
    closed: ClosedLoop | None,
) -> Counted:
    """Return what a replay of the histories counts, and what living through the incidents adds."""
    known = label_file(labels)
    services: list[Watched] = []
    others: list[Figures] = []
    lived: list[History] = []
    paths = metric_files(files)
    runs_by = chosen(engine, 2 * windows_in(paths))
    for path in with_progress(paths, total=len(paths), label="cost", check_every=1):
        series = read_series(path, now_s=SystemClock().now_s())
        if not any(o.quality != Quality.INVALID and o.requests > 0 for o in series.observations):
            click.echo(f"skipped {path}: no window with requests", err=True)
            continue
        truth = None if labels is None else labels_of(known, path, series.target, file=labels)
        mine = two.policies.for_target(series.target)
        services.append(glance(series, mine, name=two.policy, labels=truth, engine=runs_by))
        windows = acted_windows(series, two.others.for_target(series.target), engine=runs_by)
        others.append(figures_of(windows, truth, target=series.target, contender=two.baseline, acts=True))
        if closed is not None and (labels is None or truth is not None):
            lived.append(History(series, truth, mine))
    if not services:
        raise InconclusiveError("no history has a window with requests: nothing can be counted")
    kept = None
    if closed is not None:
        names = f"{FLYBALL}:{two.baseline}", f"{FLYBALL}:{two.policy}"
        try:
            kept = kept_of(live(lived, names, closed)[1], *names)
        except InconclusiveError as error:  # the bill itself is known
            click.echo(f"closed loop left out: {error}", err=True)
    return counted(services, others, two.policies.default, fleet=stated.fleet, calls=stated.calls, kept=kept)
