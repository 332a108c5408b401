"""Blocks merge without losing a row, and a history on disk survives being killed at any moment."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_analytics.ingest import block as blocks
from flyball_analytics.ingest import store
from flyball_analytics.ingest.block import MEASURED_BIT, block_of, merge, observations_of
from flyball_analytics.ingest.findings import LISTED_MAX, FindingKind, Findings
from flyball_analytics.ingest.history import open_history, read_target
from flyball_analytics.ingest.manifest import Covered, cover, read_manifest, uncovered
from flyball_analytics.ingest.parquet import from_bytes, to_bytes
from flyball_analytics.ingest.store import HistoryWriter, Rule, open_writer
from flyball_analytics.problems import SeriesError
from flyball_controller.core.model import Observation, Quality
from strategies import T0, windows


def window(index: int, requests: int = 10, **fields: object) -> Observation:
    start_s = T0 + 60.0 * index
    return Observation("t", start_s, 60.0, start_s + 80.0, requests)._replace(**fields)


def fill(folder: Path, *batches: list[Observation], target: str = "t", rule: Rule = Rule()) -> None:  # noqa: B008
    with open_writer(folder) as writer:
        source, findings = writer.source("test", "flyball test", {})
        for batch in batches:
            writer.add(target, block_of(batch), rule, findings)
            writer.commit(source, findings)


@given(st.lists(st.integers(0, 5), max_size=6).flatmap(lambda ns: st.tuples(*(windows(n) for n in ns))))
@settings(max_examples=25)
def test_observations_survive_blocks_and_parquet_unchanged(seen):
    """A replay of the history must decide what a replay of its source decides."""
    kept = observations_of("t", from_bytes(to_bytes(block_of(seen), target="t"), path="x"))
    assert kept == tuple(seen)
    assert all(
        type(value) is type(before)
        for o, b in zip(kept, seen, strict=True)
        for value, before in zip(o, b, strict=True)
    )


@given(st.lists(st.integers(0, 4), max_size=6), st.lists(st.integers(0, 4), max_size=6))
def test_merging_twice_is_merging_once(old, new):
    """A chunk that is read again after a crash must not change anything."""
    first = merge(
        block_of([window(i) for i in old]), block_of([window(i, 7) for i in new]), larger_stands=False
    )
    again = merge(first.block, block_of([window(i, 7) for i in new]), larger_stands=False)
    assert not again.changed
    assert (again.repeated, again.revisions) == (len(new), ())
    assert blocks.length(first.block) == sum(max(old.count(i), new.count(i)) for i in range(5))


def test_a_revised_window_is_replaced_and_told():
    """Old and new numbers stand side by side in the report."""
    old = block_of([window(0), window(1, 10, errors_fast=2)])
    merged = merge(old, block_of([window(1, 12, errors_fast=5)]), larger_stands=False)
    assert merged.revisions == (blocks.Revision(blocks.to_us(T0 + 60), 10, 12, 2, 5),)
    assert merged.block["requests"].tolist() == [10, 12]


def test_a_minute_that_comes_in_pieces_is_whole_when_all_are_there():
    """Requests in one file and failures in the next are one window, complete with the second."""
    bits = MEASURED_BIT["requests"], MEASURED_BIT["errors_fast"]
    expected = bits[0] | bits[1]
    first = block_of([window(0, 10, quality=Quality.PARTIAL)], measured=[bits[0]])
    second = block_of([window(0, 0, errors_fast=4, quality=Quality.INVALID)], measured=[bits[1]])
    for a, b in ((first, second), (second, first)):
        (row,) = observations_of("t", merge(a, b, larger_stands=True, expected=expected).block)
        assert (row.requests, row.errors_fast, row.quality) == (10, 4, Quality.OK)


def test_an_impossible_raw_value_stays_impossible():
    """A negative count does not become sound because another point came."""
    bad = block_of([window(0)], measured=[blocks.IMPOSSIBLE | MEASURED_BIT["requests"]])
    merged = merge(bad, block_of([window(0, 12)]), larger_stands=True, expected=MEASURED_BIT["requests"])
    assert merged.block["quality"].tolist() == [int(Quality.INVALID)]


def test_equal_rows_give_equal_bytes_and_say_their_units():
    """Digests mean nothing otherwise."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = to_bytes(block_of([window(0)]), target="t")
    assert data == to_bytes(block_of([window(0)]), target="t")
    schema = pq.ParquetFile(pa.BufferReader(data)).schema_arrow
    assert schema.field("latency_p99_ms").metadata[b"unit"] == b"ms"
    assert str(schema.field("start").type) == "timestamp[us, tz=UTC]"


def test_a_history_is_partitioned_by_target_and_date(tmp_path):
    """Names that are no file names are quoted."""
    fill(tmp_path / "h", [window(0), window(60 * 24 * 40)], target="pay/eu")
    found = sorted(str(p.parent.relative_to(tmp_path / "h")) for p in (tmp_path / "h").rglob("*.parquet"))
    assert found == ["target=pay%2Feu/date=2023-11", "target=pay%2Feu/date=2023-12"]
    with open_writer(tmp_path / "d", partition="day") as writer:
        source, findings = writer.source("test", "c", {})
        writer.add("t", block_of([window(0), window(60 * 24)]), Rule(), findings)
        writer.commit(source, findings)
    assert [part.date for part in writer.manifest.parts] == ["2023-11-14", "2023-11-15"]
    with (
        pytest.raises(SeriesError, match="partitioned by day"),
        open_writer(tmp_path / "d", partition="month"),
    ):
        pass


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_between_any_two_writes_leaves_a_whole_history(tmp_path, monkeypatch, writes):
    """Manifest and parts never disagree, and the next run ends where an undisturbed one does."""
    batches = [[window(i) for i in range(3)], [window(2, 99), window(3)]]
    fill(tmp_path / "calm", *batches)
    fill(tmp_path / "h", batches[0])
    real, count = store.write_whole, 0

    def write_whole(path, data):
        nonlocal count
        count += 1
        if count > writes:
            raise Killed
        real(path, data)

    monkeypatch.setattr(store, "write_whole", write_whole)
    try:
        fill(tmp_path / "h", *batches)
    except Killed:
        assert [d for d in open_history(tmp_path / "h").verify() if "manifest" not in d.what] == []
    monkeypatch.setattr(store, "write_whole", real)
    fill(tmp_path / "h", *batches)
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "h").rglob("*.parquet")}
    calm = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "calm").rglob("*.parquet")
    }
    assert files == calm
    assert list(open_history(tmp_path / "h").verify()) == []


def test_verify_finds_what_was_changed_removed_and_added(tmp_path):
    """Each kind of damage is told with its remedy."""
    fill(tmp_path, [window(0)], [window(60 * 24 * 40)])
    one, two = sorted(tmp_path.rglob("*.parquet"))
    one.write_bytes(one.read_bytes()[:-1])
    two.rename(two.with_name("other.parquet"))
    (tmp_path / read_manifest(tmp_path).report).unlink()
    whats = [damage.what for damage in open_history(tmp_path).verify()]
    assert len(whats) == 4
    assert sum("cannot be read" in what for what in whats) == 2
    assert whats[0].startswith("SHA-256 is")
    assert whats[-1] == "is not in the manifest"
    with pytest.raises(SeriesError, match="is not a Parquet file"):
        open_history(tmp_path).block("t")
    one.unlink()
    with pytest.raises(SeriesError, match="ingest verify"):
        open_history(tmp_path).block("t")


def test_only_one_writer_at_a_time_and_no_foreign_folder(tmp_path):
    """Two writers would overwrite each other's manifest."""
    with (
        open_writer(tmp_path / "h"),
        pytest.raises(SeriesError, match="another ingest"),
        open_writer(tmp_path / "h"),
    ):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(SeriesError, match="holds other files"), open_writer(tmp_path / "mine"):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not JSON"), ("[]", "must be 'flyball.history/1'"), ('{"schema": "x/9"}', "schema="),
     ('{"schema": "flyball.history/1"}', "is damaged")],
)  # fmt: skip
def test_a_manifest_that_cannot_be_used_says_why(tmp_path, content, message):
    """Never a traceback for a file that a user may have edited."""
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(SeriesError, match=message):
        open_history(tmp_path)
    with pytest.raises(SeriesError, match="flyball ingest"):
        open_history(tmp_path / "nowhere")


def test_reading_names_targets_and_columns_that_do_not_exist(tmp_path):
    """With the nearest one that does."""
    fill(tmp_path, [window(0)], target="payments")
    history = open_history(tmp_path)
    with pytest.raises(SeriesError, match="did you mean 'payments'"):
        history.block("paymets")
    with pytest.raises(SeriesError, match="did you mean 'requests'"):
        history.block("payments", ["reqests"])
    assert list(history.block("payments", ["requests"])) == ["requests"]
    assert set(history.block("payments", ["arrived", "start"])) == {"arrived_us", "start_us"}


def test_a_part_of_another_form_is_refused(tmp_path):
    """A column of another type would be read as other numbers."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"start": pa.array([1.5])}), sink)
    with pytest.raises(SeriesError, match="column 'start' is double"):
        from_bytes(sink.getvalue(), path="x", columns=["start"])


def test_a_frame_has_utc_times_and_the_order_of_targets(tmp_path):
    """pandas out: what a notebook starts from."""
    fill(tmp_path, [window(1), window(0)], target="b")
    fill(tmp_path, [window(0)], target="a")
    frame = open_history(tmp_path).frame()
    assert frame["target"].tolist() == ["a", "b", "b"]
    assert str(frame["start"].dtype) == "datetime64[us, UTC]"
    assert frame["start"].iloc[0].timestamp() == T0
    assert open_history(tmp_path).frame([]).empty


def test_a_series_comes_in_order_of_arrival_with_gaps_by_the_length_of_each_window(tmp_path):
    """An hour after an hour is no gap; a window that came late stands where it came."""
    hours = [window(60 * i, period_s=3_600.0, arrived_s=T0 + 3_600.0 * (i + 1)) for i in range(3)]
    late = window(200, arrived_s=T0 + 60.0 * 400)
    fill(tmp_path, [*hours, *(window(180 + i) for i in (0, 1, 2, 9)), late])
    series = read_target(tmp_path / "target=t")
    assert series.observations[-1].start_s == late.start_s
    assert [gap.windows for gap in series.gaps] == [6, 10]
    assert series.period_s == 60.0
    assert "windows of 60 s, 3600 s" in series.notes
    again = read_target(tmp_path / "target=t", delay_s=5.0)
    assert again.observations[-1].arrived_s == late.start_s + 65.0


def test_stretches_join_and_leave_holes():
    """What is covered decides what is paid for again."""
    spans = cover(cover([], Covered(0.0, 60.0, 60.0)), Covered(120.0, 180.0, 60.0))
    assert cover(spans, Covered(60.0, 120.0, 60.0)) == [Covered(0.0, 180.0, 60.0)]
    assert uncovered(spans, -60.0, 240.0) == [(-60.0, 0.0), (60.0, 120.0), (180.0, 240.0)]
    assert uncovered(spans, 10.0, 50.0) == []


def test_findings_are_all_counted_and_listed_up_to_a_bound():
    """A stream that repeats every point must not fill the memory; the count stays true."""
    found = Findings()
    for _ in range(LISTED_MAX + 5):
        found.add(FindingKind.POISON, "x" * 1_000)
    assert found.counts[FindingKind.POISON] == LISTED_MAX + 5
    assert len(found.listed) == LISTED_MAX
    assert len(found.listed[0].detail) < 500
    found.forget(FindingKind.POISON)
    assert found.plain_counts() == {}


def test_an_interrupted_source_keeps_its_findings(tmp_path):
    """What the first half found belongs into the report of the whole."""
    with open_writer(tmp_path) as writer:
        source, findings = writer.source("test", "c", {"a": 1})
        findings.add(FindingKind.POISON, "a:1: x", target="t", at_s=T0)
        findings.count(FindingKind.FOREIGN, 3)
        writer.commit(source, findings)
    with open_writer(tmp_path) as writer:
        assert isinstance(writer, HistoryWriter)
        source, findings = writer.source("test", "c", {"a": 1})
        assert findings.plain_counts() == {"poison": 1, "foreign": 3}
        assert [f.detail for f in findings.listed] == ["a:1: x"]
        assert writer.source("test", "c", {"a": 2})[0] is not source
        assert blocks.length(writer.read("nobody")) == 0
    assert json.loads((tmp_path / "manifest.json").read_text())["sources"][0]["findings"]["poison"] == 1
    assert [f.at_s for f in open_history(tmp_path).findings()] == [T0]
    assert np.array_equal(blocks.empty()["start_us"], [])
