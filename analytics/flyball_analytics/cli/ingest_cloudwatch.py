"""`flyball ingest cloudwatch`: GetMetricData over the past, with its price before it starts."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flyball_analytics.cli.errors import InconclusiveError, InvalidError
from flyball_analytics.cli.ingest_common import (
    SCHEMA,
    TooDearError,
    add_gaps,
    common,
    needs_sim,
    summary,
    time_range,
    told,
)
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment, span
from flyball_analytics.clock import SystemClock
from flyball_analytics.counts import counted
from flyball_analytics.moments import utc
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball_analytics.ingest.cloudwatch import Plan
    from flyball_analytics.ingest.find import Found
    from flyball_controller.aws.metric_map import AwsMetricMap

PERIODS_S = (1, 5, 10, 30, 60, 300, 3_600)
NAMES_SHOWN = 20
DAYS = 15.0  # how long CloudWatch keeps minutes


class Options(NamedTuple):
    """The options of one call."""

    targets: tuple[str, ...]
    functions: tuple[str, ...]
    mapping: Path | None
    namespace: str
    days: float | None
    from_s: float | None
    to_s: float | None
    period_s: str
    delay_s: float
    rate: float
    region: str | None
    yes: bool
    max_cost: float | None
    out: Path
    partition: str | None
    dry_run: bool
    form: str


@click.command("cloudwatch")
@click.option(
    "--target", "targets", multiple=True, help="A target whose clients publish metrics; 'pay*': all that fit."
)
@click.option(
    "--lambda",
    "functions",
    multiple=True,
    metavar="FUNCTION[=TARGET]",
    help="A Lambda function's own metrics; 'shop-*': all that fit.",
)
@click.option("--map", "mapping", type=click.Path(path_type=Path), help="YAML: metrics of any other target.")
@click.option("--namespace", default="flyball", show_default=True, help="Of the client's metrics.")
@click.option("--days", type=click.FloatRange(0.01, 455.0), help=f"How far back; default: {DAYS:g}.")
@click.option("--from", "from_s", type=moment, help="First window; instead of --days.")
@click.option("--to", "to_s", type=moment, help="End; default: now.")
@click.option(
    "--period",
    "period_s",
    type=click.Choice([str(p) for p in PERIODS_S]),
    default="60",
    show_default=True,
    help="Finest period in seconds; older ranges come as fine as they are kept.",
)
@click.option(
    "--delay", "delay_s", type=span, default="20s", show_default=True, help="From window end to arrival."
)
@click.option(
    "--rate", type=click.FloatRange(0.1), default=100.0, show_default=True, help="Metrics per second."
)
@click.option("--region", help="AWS region; default: boto3's own configuration.")
@click.option("--yes", is_flag=True, help="Do not ask before paying.")
@click.option(
    "--max-cost", type=click.FloatRange(0.0), help="US dollars; do not ask below, do not start above."
)
@common
def cloudwatch_command(**options: Any) -> None:
    """Read past windows from CloudWatch with GetMetricData.

    Minutes are kept for 15 days, five minutes for 63, hours for 455, and seconds (of
    high-resolution metrics, with --period 1) for 3 hours: each part of the range is read
    at the finest period that is left. GetMetricData costs money; the estimate is shown
    first. An interrupted run continues with the same command; a complete one is
    extended. Needs cloudwatch:GetMetricData; changes nothing in AWS.

    A * in a name (quote it) or in a dimension of --map finds targets by ListMetrics, also in
    a --dry-run. Only what had data in the last two weeks is listed; name older targets.
    Needs cloudwatch:ListMetrics.

    \b
    example: flyball ingest cloudwatch --target '*' --dry-run -o history/
    example: flyball ingest cloudwatch --target payments --target orders --days 30 -o history/
    example: flyball ingest cloudwatch --lambda checkout --from 2026-01-05 --max-cost 0.50 -o history/
    """
    _run(Options(**options), SystemClock())


def _run(options: Options, clock: SystemClock) -> None:
    with needs_sim():
        from flyball_analytics.ingest import cloudwatch
        from flyball_analytics.ingest.find import find, patterns
        from flyball_analytics.ingest.manifest import is_history, read_manifest
        from flyball_analytics.ingest.pace import Bucket
        from flyball_analytics.ingest.store import open_writer
    asked = _maps(options)
    now_s = clock.now_s()
    period_s = int(options.period_s)
    from_s, to_s = time_range(options, days=DAYS, now_s=now_s)
    request: dict[str, object] = {
        # As asked for: what a pattern finds next week belongs to the same source.
        "maps": {target: [list(s) for s in sorted(m.sources())] for target, m in sorted(asked.items())},
        "delay_s": options.delay_s,
    }
    command = f"flyball ingest cloudwatch {_words(options)}"

    def paced() -> cloudwatch.PacedClient:
        return cloudwatch.PacedClient(
            _client(options.region),
            bucket=Bucket(options.rate, max(500.0, options.rate), clock.steady_s, time.sleep),
            sleep=time.sleep,
            draws=Random(),
            told=told,
            usd_max=options.max_cost if options.max_cost is not None else math.inf,
        )

    maps = _found(find(asked, paced()), options) if patterns(asked) else asked

    def plan_for(source: Any) -> Plan:
        covered = cloudwatch.reopened(source.covered) if source.complete else source.covered
        return cloudwatch.plan(maps, covered, from_s=from_s, to_s=to_s, now_s=now_s, period_s=period_s)

    if options.dry_run:
        from flyball_analytics.ingest.manifest import Source

        fresh = Source("cloudwatch", command, dict(request))
        known = read_manifest(options.out).sources if is_history(options.out) else []
        planned = plan_for(next((s for s in known if s.key() == fresh.key()), fresh))
        _show(planned, options, stdout=True)
        return
    with open_writer(options.out, partition=options.partition) as writer:
        source, findings = writer.source("cloudwatch", command, request)
        planned = plan_for(source)
        _show(planned, options, stdout=False)
        _consent(planned.usd, options)
        client = paced()
        chunks = cloudwatch.run(
            writer, (source, findings), maps, client, planned, now_s=now_s, delay_s=options.delay_s
        )
        try:
            for _ in with_progress(chunks, total=len(planned.chunks), label="cloudwatch", check_every=1):
                pass
        except cloudwatch.CostError as error:
            raise TooDearError(str(error)) from error
        add_gaps(writer, source, findings)
        extra: dict[str, object] = {"metrics_requested": client.asked}
        summary(writer, source, findings, options.form, extra)


def _maps(options: Options) -> Mapping[str, AwsMetricMap]:
    from flyball_analytics.ingest.mapping import read_metric_maps
    from flyball_controller.aws.metric_map import client_metrics, lambda_metrics

    maps = {t: client_metrics(t, namespace=options.namespace) for t in options.targets}
    for text in options.functions:
        function, _, target = text.partition("=")
        if (target or function) in maps:
            raise InvalidError(
                f"--lambda {text}: target {target or function!r} is named twice; give it another name"
            )
        maps[target or function] = lambda_metrics(function)
    if options.mapping is not None:
        for target, metric_map in read_metric_maps(options.mapping).items():
            if target in maps:
                raise InvalidError(f"{options.mapping}: target {target!r} is named on the command line, too")
            maps[target] = metric_map
    if not maps:
        raise click.UsageError("whose metrics? give --target, --lambda or --map")
    return maps


def _found(found: Found, options: Options) -> Mapping[str, AwsMetricMap]:
    """Say what ListMetrics found; end with 4 if that is nothing and no target is named."""
    from flyball_analytics.ingest.find import LISTED_DAYS
    from flyball_analytics.prices import PRICES

    usd = found.calls * PRICES["metric_listing"].usd
    names = ", ".join(found.names[:NAMES_SHOWN])
    more = f" and {len(found.names) - NAMES_SHOWN} more" if len(found.names) > NAMES_SHOWN else ""
    many = counted(len(found.names), "target")
    told(
        f"found {many} by {counted(found.calls, 'call')} of ListMetrics (about "
        f"${usd:.5f}){': ' if names else ''}{names}{more}; a target without data in the last {LISTED_DAYS} "
        "days is not listed: name it"
    )
    if not found.maps:
        raise InconclusiveError(
            f"nothing fits the pattern in region {options.region or 'of your configuration'}: look at the "
            "namespace, or name the targets"
        )
    return found.maps


def _words(options: Options) -> str:
    """Return the options that say what is read, for the manifest."""
    words = [*(f"--target {shlex.quote(t)}" for t in options.targets)]
    words += [f"--lambda {shlex.quote(f)}" for f in options.functions]
    words += [f"--map {shlex.quote(str(options.mapping))}"] if options.mapping is not None else []
    words += [f"--namespace {shlex.quote(options.namespace)}"] if options.namespace != "flyball" else []
    words += [f"--from {utc(options.from_s)}"] if options.from_s is not None else []
    words += [f"--days {options.days:g}"] if options.days is not None else []
    words += [f"--to {utc(options.to_s)}"] if options.to_s is not None else []
    return " ".join([*words, f"--period {options.period_s}"])


def _show(planned: Plan, options: Options, *, stdout: bool) -> None:
    """Say what would be asked for and what it costs."""
    from flyball_analytics.prices import AS_OF, REGION

    if options.form == "json" and stdout:
        document = {
            "schema": SCHEMA,
            "calls": len(planned.chunks),
            "metrics": planned.metrics,
            "usd": round(planned.usd, 6),
            "prices_as_of": AS_OF[:7],
            "targets": sorted({target for chunk in planned.chunks for target in chunk.targets}),
            "spans": [
                {"period_s": c.span.period_s, "from": utc(c.span.start_s), "to": utc(c.span.end_s),
                 "targets": list(c.targets)}
                for c in planned.chunks
            ],
        }  # fmt: skip
        click.echo(canonical_json(document).decode())
        return
    spans: dict[int, tuple[float, float]] = {}
    for chunk in planned.chunks:
        a, b = spans.get(chunk.span.period_s, (math.inf, -math.inf))
        spans[chunk.span.period_s] = (min(a, chunk.span.start_s), max(b, chunk.span.end_s))
    if stdout:
        targets = sorted({target for chunk in planned.chunks for target in chunk.targets})
        click.echo(f"targets: {', '.join(targets) or 'nothing is missing'}")
    for period_s, (a, b) in sorted(spans.items()):
        click.echo(f"{utc(a)} to {utc(b)} at {period_s} s", err=not stdout)
    click.echo(
        f"{len(planned.chunks)} calls, {planned.metrics} metrics requested: about ${planned.usd:.4f} "
        f"(list price of {REGION}, {AS_OF[:7]})",
        err=not stdout,
    )


def _consent(usd: float, options: Options) -> None:
    """Go on only if the user agrees to the price."""
    if options.max_cost is not None and usd > options.max_cost:
        raise TooDearError(
            f"about ${usd:.4f}, more than --max-cost {options.max_cost:g}: ask for fewer days or targets"
        )
    if usd == 0.0 or options.yes or options.max_cost is not None:
        return
    if not sys.stdin.isatty():
        raise InvalidError(f"about ${usd:.4f}: give --yes or --max-cost, as nobody can be asked here")
    if not click.confirm("Read it?", err=True):
        raise TooDearError("not read, as you said; nothing was asked for")


def _client(region: str | None) -> Any:
    from flyball_controller.aws.clients import Clients

    return Clients(region=region).cloudwatch
