"""`flyball ingest metric-stream`: files that a CloudWatch metric stream has left on disk or in S3."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.ingest_common import add_gaps, common, needs_sim, summary
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.cli.types import span

if TYPE_CHECKING:
    from flyball_analytics.ingest.blobs import Blob
    from flyball_controller.aws.metric_map import AwsMetricMap

S3 = "s3://"


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
@common
def stream_command(**options: Any) -> None:
    """Read files of a CloudWatch metric stream: JSON lines or OpenTelemetry 1.0, gzip or not.

    A PATH is a file, a folder (all files below it) or s3://bucket/prefix. Targets name
    themselves by the client's metrics; others come by --lambda or --map. Lines that
    cannot be read are listed in the report and cost only themselves. Files that were
    read before and have not changed are not read again.

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
        for blob in blobs:
            click.echo(f"{blob.name}: {blob.size} bytes")
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
        unchanged = 0
        for step in with_progress(run.run(blobs), total=len(blobs), label="metric-stream", check_every=1):
            unchanged += step.known
        if unchanged < len(blobs):
            add_gaps(writer, *source)
        summary(writer, *source, options.form, {"files": len(blobs), "unchanged_files": unchanged})


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
