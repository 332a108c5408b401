"""Files of a metric stream become the windows that production would have seen, whatever is wrong."""

from __future__ import annotations

import gzip
import io
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_analytics.ingest import blobs, cells, cells_kernel, stream
from flyball_analytics.ingest.blobs import Reading, local_blobs, s3_blobs
from flyball_analytics.ingest.block import observations_of
from flyball_analytics.ingest.cells import Cells, Minutes, rows_of
from flyball_analytics.ingest.history import open_history
from flyball_analytics.ingest.routes import Router
from flyball_analytics.ingest.scan import ParserReader, Registry
from flyball_analytics.ingest.store import open_writer
from flyball_analytics.ingest.stream import StreamIngest
from flyball_analytics.problems import SeriesError
from flyball_controller.aws.metric_map import client_metrics, lambda_metrics
from flyball_controller.aws.metric_windows import Span, observations
from flyball_controller.core.model import Quality
from flyball_local.cloudwatch import MetricKey
from flyball_local.cloudwatch.streams import StreamPoint, otel_record
from unit.ingest.streamlines import COUNTS, MONDAY_MS, line, minute_lines, text

MONDAY_S = MONDAY_MS / 1000.0
VALUES = st.one_of(
    st.just(math.nan),
    st.integers(0, 50).map(float),
    st.sampled_from([-1.0, 2.5, 0.5, 1e300, math.inf, 2.0**54]),
)


@given(st.data(), st.sampled_from([client_metrics("t"), lambda_metrics("t")]))
@settings(max_examples=150, deadline=None)
def test_rows_follow_the_arithmetic_of_the_sensor(data, metric_map):
    """Recorded and live data must be treated alike: the sensor's own code is the reference."""
    sources = list(metric_map.sources())
    values = np.array([[data.draw(VALUES) for _ in sources] for _ in range(3)])
    found = Minutes("t", np.array([10, 11, 12]), values, np.zeros((3, 3), np.int32))
    block, _ = rows_of(found, metric_map, delay_s=20.0)
    series = {
        (s.metric, s.stat): {60.0 * (10 + row): v for row, v in enumerate(values[:, i]) if not math.isnan(v)}
        for i, s in enumerate(sources)
    }
    wanted = []
    for start_s in (600.0, 660.0, 720.0):
        there = all(start_s in series[s.metric, s.stat] for s in sources if s.stat == "Sum")
        one = {key: {at: v for at, v in points.items() if at == start_s} for key, points in series.items()}
        span = Span(60, start_s, start_s + 60.0)
        wanted += observations("t", metric_map, one, span, now_s=1e6, arrival_lag_s=20.0, partial=not there)
    assert list(observations_of("t", block)) == wanted


@pytest.mark.parametrize("fast", [True, False], ids=["compiled", "plain"])
def test_cells_grow_and_count_what_is_late_repeated_and_revised(monkeypatch, fast):
    """Of repeated points the larger stands, and none is dropped in silence."""
    if not fast:
        monkeypatch.setattr(cells_kernel, "add_points_fast", cells_kernel.add_points)
    monkeypatch.setattr(cells, "_ROOM", 2)
    registry = Registry()
    held = Cells(registry, Router({}))
    lines = [line("requests", 5.0, minute=m) for m in range(7)]
    lines += [
        line("requests", 5.0, minute=3),
        line("requests", 9.0, minute=6),
        line("requests", 4.0, minute=6),
    ]
    lines += [line("requests", 1.0, minute=0, timestamp=7), line("cpu", 1.0)]
    wrong = held.add(ParserReader(registry).read(text(lines), 1, pytest.fail))
    assert (wrong, held.foreign, len(held)) == ([10], 1, 7)
    (found,) = held.drain()
    assert found.values[:, 0].tolist() == [5.0] * 6 + [9.0]
    assert found.counters.tolist()[3] == [1, 1, 0]  # late, repeated, revised
    assert found.counters.tolist()[6] == [0, 0, 2]
    assert len(held) == 0


def ingest(folder: Path, *paths: Path, router: Router | None = None, **options: int):
    """Run over local files; return the history and the counts of findings."""
    with open_writer(folder) as writer:
        source, findings = writer.source("metric-stream", "c", {})
        run = StreamIngest(writer, (source, findings), router or Router({}), delay_s=20.0, **options)
        steps = list(run.run([blob for path in paths for blob in local_blobs(path)]))
    return open_history(folder), findings.plain_counts(), steps


def test_a_stream_becomes_windows_in_order_of_arrival(tmp_path):
    """Every count in its field, latencies in milliseconds, complete minutes OK."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        text([one for m in (1, 0, 2) for one in minute_lines(m, requests=10.0 + m, throttles=2.0)])
    )
    history, counts, _ = ingest(tmp_path / "h", path)
    seen = history.series("pay").observations
    assert [o.requests for o in seen] == [10, 11, 12]
    assert all(b.arrived_s - a.arrived_s == 60.0 for a, b in pairwise(seen))
    assert seen[0]._replace(start_s=0.0, arrived_s=0.0) == seen[0]._replace(
        start_s=0.0, arrived_s=0.0, throttles=2, latency_ms_p50=3.25, latency_ms_p99=8.123456789012345,
        quality=Quality.OK,
    )  # fmt: skip
    assert seen[0].start_s + 80.0 == seen[0].arrived_s
    assert counts == {"late": 9}


def test_poison_is_listed_with_its_line_and_its_neighbours_are_kept(tmp_path):
    """One bad line in a million must not cost the million."""
    good = minute_lines(0, requests=3.0)
    bad = ["{broken", '{"namespace":"flyball"}', line("requests", 1.0, timestamp=MONDAY_MS * 1_000)]
    (tmp_path / "a.jsonl").write_bytes(text([good[0], *bad, *good[1:]]) + b"\xff\xfe\n")
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "a.jsonl")
    assert counts == {"poison": 4}
    details = [f.detail for f in history.findings()]
    assert "a.jsonl:2: " in details[0]
    assert "a.jsonl:3: " in details[1]
    assert "a.jsonl:13: " in details[2]
    assert "timestamps are in milliseconds" in details[3]
    assert history.series("pay").observations[0].requests == 3


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_truncated_gzip_gives_what_it_holds(tmp_path, cut):
    """Firehose died in the middle: the minutes before are as good as ever."""
    body = text([one for m in range(300) for one in minute_lines(m, requests=float(m))])
    packed = gzip.compress(body)
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) * (100 - cut) // 100])
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "a.gz")
    assert counts["poison"] in (1, 2)  # cut off, and perhaps half a line
    assert any("cut off" in f.detail for f in history.findings())
    assert 0 < history.manifest.targets()["pay"] <= 300


def test_gzip_may_be_joined_padded_or_damaged(tmp_path):
    """Concatenated members are one file; a flipped byte is told."""
    one, two = text(minute_lines(0, requests=1.0)), text(minute_lines(1, requests=2.0))
    (tmp_path / "two.gz").write_bytes(gzip.compress(one) + gzip.compress(two) + b"\0\0")
    damaged = bytearray(gzip.compress(one))
    damaged[-5] ^= 1
    (tmp_path / "zbad.gz").write_bytes(bytes(damaged))
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "two.gz", tmp_path / "zbad.gz")
    assert history.manifest.targets() == {"pay": 2}
    assert counts["poison"] == 1
    assert "gzip is damaged" in next(f.detail for f in history.findings() if f.kind == "poison")


def test_a_decompression_bomb_is_given_up(tmp_path, monkeypatch):
    """A small file must not cost hours: no metric stream shrinks a thousandfold."""
    monkeypatch.setattr(blobs, "RATIO_FREE_BYTES", 1 << 16)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\n" * (1 << 22)))
    _, counts, _ = ingest(tmp_path / "h", tmp_path / "a.gz")
    assert counts == {"poison": 1}


def test_a_file_without_line_ends_is_bounded(tmp_path, monkeypatch):
    """A picture given by mistake must not be read into memory."""
    monkeypatch.setattr(blobs, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blobs, "READ_BYTES", 64)
    (tmp_path / "a").write_bytes(b"x" * 4_000)
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "a")
    assert counts == {"poison": 1}
    assert "no line end" in history.findings()[0].detail
    monkeypatch.setattr(blobs, "BLOCK_BYTES", 512)
    body = text([one for m in range(5) for one in minute_lines(m, requests=float(m))])
    (tmp_path / "b").write_bytes(body)
    reading = Reading(local_blobs(tmp_path / "b")[0])
    assert b"".join(reading.blocks(reading.plain())) == body


def summaries(minutes: range) -> list[StreamPoint]:
    return [
        StreamPoint(MetricKey("flyball", name, (("target", "pay"),)), "Count", int(MONDAY_S) + 60 * m, 3.0,
                    float(m + 1) if name == "requests" else 0.0, 0.0, 1.0, ())
        for m in minutes
        for name in COUNTS
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_opentelemetry_gives_the_same_windows(tmp_path, monkeypatch, pack):
    """Both formats of a stream hold the same points; messages are cut wherever reading stops."""
    monkeypatch.setattr(blobs, "READ_BYTES", 100)
    (tmp_path / "a.otel").write_bytes(
        pack(otel_record(summaries(range(3))) + otel_record(summaries(range(3, 5))))
    )
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "a.otel")
    assert [o.requests for o in history.series("pay").observations] == [1, 2, 3, 4, 5]
    assert counts == {}


def test_damaged_messages_cost_themselves(tmp_path, monkeypatch):
    """What stood before the damage is kept; an impossible time and an endless message are told."""
    old = [point._replace(at_s=60) for point in summaries(range(1))]
    body = otel_record(old) + otel_record(summaries(range(2)))
    (tmp_path / "a.otel").write_bytes(body + b"\x7f\x0a\x01")
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "a.otel")
    assert history.manifest.targets() == {"pay": 2}
    assert counts == {"poison": 1 + len(COUNTS)}
    monkeypatch.setattr(stream, "MESSAGE_BYTES_MAX", 10)
    _, counts, _ = ingest(tmp_path / "h2", tmp_path / "a.otel")
    assert counts["poison"] >= 1


def test_a_file_is_read_once_and_again_if_it_changes(tmp_path):
    """The second run costs a look at the directory; a changed file is merged, and said."""
    path = tmp_path / "in" / "a.jsonl"
    path.parent.mkdir()
    path.write_bytes(text(minute_lines(0, requests=5.0)))
    ingest(tmp_path / "h", path)
    before = {p: p.read_bytes() for p in (tmp_path / "h").rglob("*.parquet")}
    _, _, steps = ingest(tmp_path / "h", path.parent)
    assert [step.known for step in steps] == [True]
    assert {p: p.read_bytes() for p in (tmp_path / "h").rglob("*.parquet")} == before
    path.write_bytes(text([*minute_lines(0, requests=7.0), *minute_lines(1, requests=1.0)]))
    history, counts, steps = ingest(tmp_path / "h", path)
    assert [step.known for step in steps] == [False]
    assert [o.requests for o in history.series("pay").observations] == [7, 1]
    assert counts == {"revised": 1}
    (tmp_path / "h" / stream.INPUTS_NAME).write_text("{")  # a damaged cache is no more than none
    _, counts, steps = ingest(tmp_path / "h", path)
    assert [step.known for step in steps] == [False]
    assert counts["duplicate"] == 2


def test_a_minute_cut_between_two_files_is_whole_with_both_in_any_order(tmp_path):
    """Firehose cuts where its buffer is full."""
    lines = minute_lines(0, requests=10.0, errors_fast=3.0)
    for order in ((0, 1), (1, 0)):
        halves = [lines[:4], lines[4:]]
        folder = tmp_path / f"h{order[0]}"
        for number in order:
            path = tmp_path / f"{order[0]}-{number}.jsonl"
            path.write_bytes(text(halves[number]))
            history, _, _ = ingest(folder, path, cells_max=0)
        (seen,) = history.series("pay").observations
        assert (seen.requests, seen.errors_fast, seen.quality) == (10, 3, Quality.OK)


def test_foreign_points_and_second_origins_are_counted(tmp_path):
    """Two accounts with one target's name would be added up to nonsense."""
    lines = [
        *minute_lines(0, requests=1.0),
        line("requests", 50.0, region="us-east-1"),
        line("x", 1.0, namespace="EC2"),
    ]
    lines += [line("latency", 1.0, minute=5, value={"sum": 1.0, "p50": 2.0})]
    (tmp_path / "a").write_bytes(text(lines))
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "a")
    assert counts == {"stranger": 1, "foreign": 2, "incomplete": 1}
    assert [o.requests for o in history.series("pay").observations] == [1]
    history, _, _ = ingest(
        tmp_path / "us", tmp_path / "a", router=Router({}, regions=frozenset({"us-east-1"}))
    )
    assert [o.requests for o in history.series("pay").observations] == [50]
    history, _, _ = ingest(tmp_path / "no", tmp_path / "a", router=Router({}, accounts=frozenset({"1"})))
    assert history.targets() == ()


def test_lambda_functions_are_targets_when_asked_for_or_mapped(tmp_path):
    """For a fleet that does not run the client."""

    def point(metric: str, total: float, function: str) -> str:
        return line(metric, total, namespace="AWS/Lambda", dimensions={"FunctionName": function})

    names = ("Invocations", "Errors", "Throttles")
    lines = [point(m, t, f) for f in ("pay-fn", "other") for m, t in zip(names, (9.0, 2.0, 1.0), strict=True)]
    (tmp_path / "a").write_bytes(text([*lines, line("requests", 1.0, target="x" * 300)]))
    history, _, _ = ingest(tmp_path / "all", tmp_path / "a", router=Router({}, lambda_targets=True))
    assert history.targets() == ("other", "pay-fn")
    (seen,) = history.series("other").observations
    assert (seen.requests, seen.errors_fast, seen.throttles, seen.quality) == (10, 2, 1, Quality.OK)
    history, _, _ = ingest(tmp_path / "one", tmp_path / "a", router=Router({"pay": lambda_metrics("pay-fn")}))
    assert history.targets() == ("pay",)


class Bucket:
    """S3 as far as we use it: two pages of keys."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects

    def list_objects_v2(self, **arguments: object) -> dict[str, object]:
        keys = sorted(key for key in self._objects if key.startswith(str(arguments["Prefix"])))
        keys = keys[1:] if "ContinuationToken" in arguments else keys[:1]
        contents = [{"Key": k, "Size": len(self._objects[k]), "ETag": "e"} for k in keys]
        more = "ContinuationToken" not in arguments
        return {"Contents": contents, "IsTruncated": more, **({"NextContinuationToken": "t"} if more else {})}

    def get_object(self, **arguments: object) -> dict[str, object]:
        return {"Body": io.BytesIO(self._objects[str(arguments["Key"])])}


def test_objects_of_a_bucket_are_read_over_all_pages(tmp_path):
    """A year of a stream is half a million keys, a thousand per page."""
    bucket = Bucket({f"p/{m}": text(minute_lines(m, requests=1.0)) for m in range(3)} | {"q": b""})
    with open_writer(tmp_path) as writer:
        source = writer.source("metric-stream", "c", {})
        list(StreamIngest(writer, source, Router({}), delay_s=0.0).run(s3_blobs("s3://b/p/", bucket)))
    assert open_history(tmp_path).manifest.targets() == {"pay": 3}
    for url, message in (("s3:///p", "no address"), ("s3://b/none", "no object")):
        with pytest.raises(SeriesError, match=message):
            s3_blobs(url, bucket)


def test_missing_files_and_empty_folders_are_named(tmp_path):
    """With what would help."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").write_text("x")
    for path, message in ((tmp_path / "empty", "holds no file"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(SeriesError, match=message):
            local_blobs(path)
    (tmp_path / "nothing").write_bytes(b"")
    history, counts, _ = ingest(tmp_path / "h", tmp_path / "nothing")
    assert (history.targets(), counts) == ((), {})
    assert json.loads((tmp_path / "h" / "manifest.json").read_text())["sources"][0]["complete"]
