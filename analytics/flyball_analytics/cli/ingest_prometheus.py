"""`flyball ingest prometheus`: range queries of a Prometheus server."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from flyball_analytics.cli.ingest_common import add_gaps, common, needs_sim, summary, time_range, told
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import moment, span
from flyball_analytics.clock import SystemClock
from flyball_analytics.moments import utc

TOKEN_VARIABLE = "FLYBALL_PROMETHEUS_TOKEN"  # noqa: S105 - the variable's name, not a token
DAYS = 15.0  # how long Prometheus keeps samples unless told otherwise


class Options(NamedTuple):
    """The options of one call."""

    url: str
    mapping: Path
    days: float | None
    from_s: float | None
    to_s: float | None
    delay_s: float
    rate: float
    out: Path
    partition: str | None
    dry_run: bool
    form: str


@click.command("prometheus")
@click.argument("url")
@click.option(
    "--map", "mapping", type=click.Path(path_type=Path), required=True, help="YAML: field to query."
)
@click.option("--days", type=click.FloatRange(0.01, 3_660.0), help=f"How far back; default: {DAYS:g}.")
@click.option("--from", "from_s", type=moment, help="First step; instead of --days.")
@click.option("--to", "to_s", type=moment, help="End; default: now.")
@click.option(
    "--delay", "delay_s", type=span, default="20s", show_default=True, help="From step end to arrival."
)
@click.option(
    "--rate", type=click.FloatRange(0.01), default=5.0, show_default=True, help="Queries per second."
)
@common
def prometheus_command(**options: Any) -> None:
    """Read range queries from the Prometheus server at URL.

    The mapping says which query stands for which field and whether it is a counter, a
    rate or a count; resets of counters are handled. Ranges are cut to 11,000 points per
    series. An interrupted run continues with the same command. A bearer token is taken
    from the environment variable FLYBALL_PROMETHEUS_TOKEN. Reads only.

    \b
    example: flyball ingest prometheus http://localhost:9090 --map prom.yaml --days 7 -o history/
    """
    _run(Options(**options), SystemClock())


def _run(options: Options, clock: SystemClock) -> None:
    with needs_sim():
        from flyball_analytics.ingest import prometheus
        from flyball_analytics.ingest.mapping import read_prometheus_map
        from flyball_analytics.ingest.pace import Bucket
        from flyball_analytics.ingest.store import open_writer
    mapping = read_prometheus_map(options.mapping)
    fetch = prometheus.http_fetch(options.url, token=os.environ.get(TOKEN_VARIABLE, ""))
    now_s = clock.now_s()
    from_s, to_s = time_range(options, days=DAYS, now_s=now_s)
    if options.dry_run:
        fresh = prometheus.windows([], from_s=from_s, to_s=to_s, step_s=mapping.step_s)
        queries = len(fresh) * len(mapping.queries)
        click.echo(f"{utc(from_s)} to {utc(to_s)} in steps of {mapping.step_s:g} s: {queries} range queries")
        return
    request: dict[str, object] = {
        "url": options.url,
        "queries": [list(query) for query in mapping.queries],
        "step_s": mapping.step_s,
        "target": mapping.label or mapping.target,
    }
    command = (
        f"flyball ingest prometheus {shlex.quote(options.url)} --map {shlex.quote(str(options.mapping))}"
    )
    with open_writer(options.out, partition=options.partition) as writer:
        source = writer.source("prometheus", command, request)
        covered = source[0].covered.get(prometheus.COVERED_KEY, [])
        planned = prometheus.windows(covered, from_s=from_s, to_s=to_s, step_s=mapping.step_s)
        run = prometheus.PrometheusIngest(
            writer,
            source,
            mapping,
            fetch,
            delay_s=options.delay_s,
            bucket=Bucket(options.rate, max(1.0, options.rate), clock.steady_s, time.sleep),
            sleep=time.sleep,
            told=told,
        )
        for _ in with_progress(run.run(planned), total=len(planned), label="prometheus", check_every=1):
            pass
        add_gaps(writer, *source)
        summary(writer, *source, options.form, {"queries": len(planned) * len(mapping.queries)})
