"""`flyball ingest metric-stream`: files that a CloudWatch metric stream has left on disk or in S3."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.ingest_common import (
    SCHEMA,
    TooDearError,
    add_gaps,
    common,
    needs_sim,
    summary,
    told,
)
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import span
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball_analytics.ingest.blobs import Blob
    from flyball_controller.aws.metric_map import AwsMetricMap

S3 = "s3://"
KEYS_PER_PAGE = 1_000


class Options(NamedTuple):
    """The options of one call."""

    files: tuple[str, ...]
    mapping: Path | None
    functions: bool
    namespace: str
    accounts: tuple[str, ...]
    regions: tuple[str, ...]
    delay_s: float
    aws_region: str | None
    max_cost: float | None
    out: Path
    partition: str | None
    dry_run: bool
    form: str


@click.command("metric-stream")
@click.argument("files", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--map", "mapping", type=click.Path(path_type=Path), help="YAML: metrics of targets without the client."
)
@click.option(
    "--lambda", "functions", is_flag=True, help="Take every Lambda function in the stream as a target."
)
@click.option("--namespace", default="flyball", show_default=True, help="Of the client's metrics.")
@click.option("--account", "accounts", multiple=True, help="Only points of this account.")
@click.option("--region", "regions", multiple=True, help="Only points of this region.")
@click.option(
    "--delay", "delay_s", type=span, default="20s", show_default=True, help="From window end to arrival."
)
@click.option("--aws-region", help="Region of the bucket; default: boto3's own configuration.")
@click.option(
    "--max-cost",
    type=click.FloatRange(0.0),
    help="US dollars; what may cost more is not begun.",
)
@common
def stream_command(**options: Any) -> None:
    """Read files of a CloudWatch metric stream: JSON lines or OpenTelemetry 1.0, gzip or not.

    A PATH is a file, a folder (all files below it) or s3://bucket/prefix. Targets name
    themselves by the client's metrics; others come by --lambda or --map. Lines that
    cannot be read are listed in the report and cost only themselves. Files that were
    read before and have not changed are not read again. Objects cost money, and more
    if they leave AWS; the estimate is shown before the first is read.

    \b
    example: flyball ingest metric-stream stream/ -o history/
    example: flyball ingest metric-stream s3://metrics/flyball/2026/ --lambda -o history/
    """
    _run(Options(**options))


def _run(options: Options) -> None:
    with needs_sim():
        from flyball_analytics.ingest.routes import Router
        from flyball_analytics.ingest.store import open_writer
        from flyball_analytics.ingest.stream import StreamIngest
    maps = _maps(options.mapping)
    blobs = _blobs(options)
    if options.dry_run:
        _show(blobs, options.form)
        return
    request: dict[str, object] = {
        "maps": {target: [list(s) for s in sorted(m.sources())] for target, m in sorted(maps.items())},
        "lambda": options.functions,
        "namespace": options.namespace,
        "accounts": sorted(options.accounts),
        "regions": sorted(options.regions),
        "delay_s": options.delay_s,
    }
    command = f"flyball ingest metric-stream {' '.join(shlex.quote(f) for f in options.files)}"
    router = Router(
        maps,
        namespace=options.namespace,
        lambda_targets=options.functions,
        accounts=frozenset(options.accounts),
        regions=frozenset(options.regions),
    )
    with open_writer(options.out, partition=options.partition) as writer:
        source = writer.source("metric-stream", command, request)
        run = StreamIngest(writer, source, router, delay_s=options.delay_s)
        _refuse_too_dear(price_of(run.unread(blobs)), options.max_cost)
        unchanged = 0
        for step in with_progress(run.run(blobs), total=len(blobs), label="metric-stream", check_every=1):
            unchanged += step.known
        if unchanged < len(blobs):
            add_gaps(writer, *source)
        summary(writer, *source, options.form, {"files": len(blobs), "unchanged_files": unchanged})


class Estimate(NamedTuple):
    """What reading objects costs, in US dollars: their requests, and at most for what leaves AWS."""

    objects: int
    size: int  # bytes
    requests_usd: float
    transfer_usd: float

    def __str__(self) -> str:
        from flyball_analytics.prices import AS_OF, REGION

        return (
            f"{self.objects} objects, {self.size / 1e9:.3f} GB: about ${self.requests_usd:.4f} for requests, "
            f"up to ${self.transfer_usd:.4f} more if they leave AWS (list price of {REGION}, {AS_OF[:7]})"
        )


def price_of(blobs: Sequence[Blob]) -> Estimate:
    """Return what it costs to read those of the files that are objects in S3, the listing included."""
    from flyball_analytics.prices import prices

    price = prices()
    sizes = [blob.size for blob in blobs if blob.name.startswith(S3)]
    pages = -(-len(sizes) // KEYS_PER_PAGE)
    return Estimate(
        len(sizes),
        sum(sizes),
        len(sizes) * price["s3_read"] + pages * price["s3_list"],
        sum(sizes) / 1e9 * price["transfer_gb"],
    )


def _refuse_too_dear(estimate: Estimate, usd_max: float | None) -> None:
    """Say what the objects cost, and go on only if that is allowed."""
    if not estimate.objects:
        return
    usd = estimate.requests_usd + estimate.transfer_usd
    if usd_max is not None and usd > usd_max:
        raise TooDearError(
            f"{estimate}, together more than --max-cost {usd_max:g}: name a longer prefix, or run it in AWS"
        )
    told(str(estimate))


def _show(blobs: Sequence[Blob], form: str) -> None:
    """Say what would be read and what it costs, as if nothing had been read before."""
    from flyball_analytics.prices import AS_OF

    estimate = price_of(blobs)
    if form == "json":
        document = {
            "schema": SCHEMA,
            "files": [{"name": blob.name, "bytes": blob.size} for blob in blobs],
            "usd_requests": round(estimate.requests_usd, 6),
            "usd_transfer_max": round(estimate.transfer_usd, 6),
            "prices_as_of": AS_OF[:7],
        }
        click.echo(canonical_json(document).decode())
        return
    for blob in blobs:
        click.echo(f"{blob.name}: {blob.size} bytes")
    if estimate.objects:
        click.echo(str(estimate))


def _maps(mapping: Path | None) -> dict[str, AwsMetricMap]:
    from flyball_analytics.ingest.find import patterns
    from flyball_analytics.ingest.mapping import read_metric_maps

    maps = read_metric_maps(mapping) if mapping is not None else {}
    if starred := sorted(patterns(maps)):
        raise InvalidError(
            f"{mapping}: {starred[0]!r}: a * finds targets in CloudWatch alone; name the targets of a stream"
        )
    return maps


def _blobs(options: Options) -> list[Blob]:
    """Return the files in the order of the command line; one that is named twice is read once."""
    from flyball_analytics.ingest.blobs import local_blobs, s3_blobs

    found: dict[str, Blob] = {}
    client: Any = None
    for text in options.files:
        if text.startswith(S3):
            client = client or _s3(options.aws_region)
            more = s3_blobs(text, client)
        elif "://" in text:
            raise InvalidError(f"{text}: is no file and no s3:// address")
        else:
            more = local_blobs(Path(text))
        for blob in more:
            found.setdefault(blob.name, blob)
    return list(found.values())


def _s3(region: str | None) -> Any:
    import boto3

    return boto3.session.Session().client("s3", region_name=region)
