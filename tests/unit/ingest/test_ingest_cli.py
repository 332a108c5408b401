"""`flyball ingest` and `flyball synth` as a user runs them, up to the replay."""

from __future__ import annotations

import builtins
import gzip
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli, ingest_stream
from flyball_analytics.cli import synth as synth_command
from flyball_analytics.ingest import csvsource
from flyball_analytics.ingest.csvsource import CsvOptions
from flyball_analytics.ingest.history import open_history
from flyball_analytics.ingest.store import open_writer
from flyball_analytics.labels import read_labels
from flyball_analytics.problems import SeriesError
from flyball_analytics.series import read_series
from flyball_analytics.synth import fleet, profile_of
from flyball_analytics.synth_incidents import IncidentKind, shares_of
from unit.ingest.streamlines import minute_lines, text

CSV = """timestamp,requests,errors,throttles,arrived
2026-01-05T00:00:00Z,100,1,0,2026-01-05T00:01:20Z
2026-01-05T00:01:00Z,110,0,0,2026-01-05T00:02:20Z
2026-01-05T00:02:00Z,90,95,0,2026-01-05T00:03:20Z
bad,1,1,1,
2026-01-05T00:04:00Z,90,5,1,2026-01-05T00:05:20Z
2026-01-05T00:03:00Z,90,5,1,2026-01-05T00:05:40Z
2026-01-05T00:09:00Z,90,5,1,2026-01-05T00:10:20Z
2026-02-05T00:09:00Z,90,5,1,2026-02-05T00:10:20Z
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words: object):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_a_replay_of_the_history_is_the_replay_of_the_file():
    """Byte for byte: order, arrival, flags and gaps are kept."""
    Path("pay.csv").write_text(CSV)
    done = run("ingest", "csv", "pay.csv", "-o", "h", "--format", "json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["findings"] == {"gap": 2, "late": 1, "poison": 1, "problem": 2}
    assert (
        run("replay", "h", "--format", "json").stdout == run("replay", "pay.csv", "--format", "json").stdout
    )
    again = json.loads(run("ingest", "csv", "pay.csv", "-o", "h", "--format", "json").stdout)
    assert (again["unchanged_files"], again["findings"]) == (1, document["findings"])


def test_files_of_many_targets_and_foreign_columns_are_read_by_a_mapping():
    """Anything that has a time, requests and failures."""
    rows = [f"{svc};2026-01-05 00:0{m}:00;{m + 5};1" for svc in ("a", "b") for m in range(3)]
    Path("x").mkdir()
    Path("x/export.csv").write_text("\n".join(["svc;when;hits;fails", *rows]) + "\n")
    Path("map.yaml").write_text(
        "columns: {target: svc, timestamp: when, requests: hits, errors: fails}\nperiod: 60s\ndelay: 90s\n"
    )
    dry = run("ingest", "csv", "x", "--map", "map.yaml", "-o", "h", "--dry-run")
    assert dry.stdout.count("3 rows, period 60 s") == 2
    assert not Path("h").exists()
    assert run("ingest", "csv", "x", "--map", "map.yaml", "-o", "h").exit_code == 0
    history = open_history("h")
    assert history.targets() == ("a", "b")
    seen = history.series("b").observations
    assert [(o.requests, o.errors_fast, o.arrived_s - o.start_s) for o in seen] == [
        (5, 1, 150.0),
        (6, 1, 150.0),
        (7, 1, 150.0),
    ]
    Path("y").mkdir()
    assert "holds no CSV file" in run("ingest", "csv", "y", "-o", "h").stderr
    Path("blank.csv").write_text("target,timestamp,requests,errors\n,2026-01-05,1,1\n")
    with pytest.raises(SeriesError, match="blank in every row"):
        list(csvsource.read_all(Path("blank.csv"), CsvOptions({})))


def test_a_metric_stream_goes_to_a_replay(monkeypatch):
    """Files in, decisions out; the second run reads nothing."""
    body = text(
        [one for m in range(60) for one in minute_lines(m, requests=500.0, timeouts=400.0 * (m > 30))]
    )
    Path("in").mkdir()
    Path("in/a.gz").write_bytes(gzip.compress(body))
    assert "bytes" in run("ingest", "metric-stream", "in", "-o", "h", "--dry-run").stdout
    first = json.loads(run("ingest", "metric-stream", "in", "in/a.gz", "-o", "h", "--format", "json").stdout)
    assert (first["files"], first["targets"], first["points"]) == (1, {"pay": 60}, 540)
    replayed = run("replay", "h", "--labels", "none.json")
    assert replayed.exit_code == 2
    replayed = run("replay", "h/target=pay")
    assert "saturated" in replayed.stdout
    again = json.loads(run("ingest", "metric-stream", "in", "-o", "h", "--format", "json").stdout)
    assert (again["unchanged_files"], again["points"]) == (1, 540)
    assert "no file and no s3://" in run("ingest", "metric-stream", "http://x", "-o", "h").stderr
    Path("map.yaml").write_text("targets: {x: {lambda: f}}")
    assert run("ingest", "metric-stream", "in", "--map", "map.yaml", "-o", "h2").exit_code == 0

    class Client:
        def list_objects_v2(self, **_: object) -> dict[str, object]:
            return {"Contents": []}

    monkeypatch.setattr(ingest_stream, "_s3", lambda region: Client())
    assert "there is no object" in run("ingest", "metric-stream", "s3://b/p", "-o", "h").stderr


def test_objects_are_priced_before_the_first_is_read(monkeypatch):
    """1,001 objects of 2 MB: 0.0004 for reads, 0.00001 for two pages, 2.002 GB at 0.09."""

    class Client:
        read = 0

        def list_objects_v2(self, **_: object) -> dict[str, object]:
            return {"Contents": [{"Key": f"k{n:04d}", "Size": 2_000_000, "ETag": "e"} for n in range(1_001)]}

        def get_object(self, **_: object) -> dict[str, object]:
            self.read += 1
            return {"Body": io.BytesIO(text(minute_lines(0, requests=5.0)))}

    client = Client()
    monkeypatch.setattr(ingest_stream, "_s3", lambda region: client)
    shown = json.loads(
        run("ingest", "metric-stream", "s3://b", "-o", "h", "--dry-run", "--format", "json").stdout
    )
    assert (shown["usd_requests"], shown["usd_transfer_max"]) == (0.00041, 0.18018)
    assert len(shown["files"]) == 1_001
    refused = run("ingest", "metric-stream", "s3://b", "-o", "h", "--max-cost", "0.18")
    assert (refused.exit_code, client.read) == (1, 0)
    assert "1001 objects, 2.002 GB: about $0.0004 for requests, up to $0.1802 more" in refused.stderr
    read = run("ingest", "metric-stream", "s3://b", "-o", "h", "--max-cost", "0.19")
    assert (read.exit_code, client.read) == (0, 1_001)
    assert "1001 objects" in read.stderr
    again = run("ingest", "metric-stream", "s3://b", "-o", "h", "--max-cost", "0")
    assert (again.exit_code, client.read) == (0, 1_001), "what was read before costs nothing"
    assert "objects" not in again.stderr


def test_options_that_a_history_has_no_use_for_are_refused():
    """Silence would look like obedience."""
    Path("pay.csv").write_text(CSV)
    run("ingest", "csv", "pay.csv", "-o", "h")
    refused = run("replay", "h", "--period", "60s")
    assert refused.exit_code == 2
    assert "leave out --column and --period" in refused.stderr
    assert run("replay", "h", "--target", "pay", "--delay", "10s", "--summary").exit_code == 0
    with pytest.raises(SeriesError):
        read_series(Path("h/target=pay"), columns={"requests": "x"})


def test_damage_ends_with_one_and_names_the_file():
    """A script must notice."""
    Path("pay.csv").write_text(CSV)
    run("ingest", "csv", "pay.csv", "-o", "h")
    assert "0 not as the manifest says" in run("ingest", "verify", "h").stdout
    part = next(Path("h").rglob("*.parquet"))
    part.write_bytes(b"x")
    found = run("ingest", "verify", "h")
    assert found.exit_code == 1
    assert part.name in found.stdout
    document = json.loads(run("ingest", "verify", "h", "--format", "json").stdout)
    assert document["damages"][0]["path"].endswith(part.name)
    assert run("replay", "h").exit_code == 2
    assert run("ingest", "verify", "nowhere").exit_code == 2


def test_a_missing_extra_is_named(monkeypatch):
    """The base install has neither numpy nor pyarrow."""
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("flyball_analytics.ingest.history") or name == "flyball_analytics.synth":
            raise ImportError("no", name="numpy")
        return real(name, *rest, **more)

    Path("h").mkdir()
    Path("h/manifest.json").write_text("{}")
    monkeypatch.setattr(builtins, "__import__", without)
    for words in (("synth", "-o", "x"), ("ingest", "verify", "h"), ("replay", "h"), ("replay", "h/target=x")):
        Path("h/target=x").mkdir(exist_ok=True)
        failed = run(*words)
        assert failed.exit_code == 2, words
        assert "flyball[sim]" in failed.stderr
    with pytest.raises(SeriesError, match="sim"):
        read_series(Path("h/target=x"))


def test_a_synthetic_fleet_goes_to_a_scored_replay():
    """Labels and history fit each other, and every policy is judged on known incidents."""
    made = run(
        "synth",
        "-o",
        "fleet",
        "--services",
        "3",
        "--days",
        "3",
        "--seed",
        "5",
        "--incidents",
        "9",
        "--format",
        "json",
    )
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert document["targets"] == ["payments", "orders", "search"]
    assert sum(document["incidents"].values()) > 0
    run("synth", "-o", "again", "--services", "3", "--days", "3", "--seed", "5", "--incidents", "9")
    for path in Path("fleet").rglob("*"):
        if path.is_file() and path.name != ".lock":
            assert path.read_bytes() == (Path("again") / path.relative_to("fleet")).read_bytes()
    assert run("ingest", "verify", "fleet").exit_code == 0
    scored = run(
        "replay",
        "fleet",
        "--target",
        "search",
        "--labels",
        "fleet/labels.json",
        "--to",
        "2026-01-05T03:00",
        "--summary",
    )
    assert scored.exit_code == 0, scored.output
    refused = run("synth", "-o", "fleet")
    assert refused.exit_code == 2
    assert "name a new folder" in refused.stderr
    labels = read_labels("fleet/labels.json")
    assert sum(len(entry.incidents) for entry in labels.values()) == sum(document["incidents"].values())
    rows = open_history("fleet").manifest.targets()
    assert {name: entry.rows for name, entry in labels.items()} == rows


def test_wrong_arguments_of_synth_are_usage_errors():
    """With the words that exist."""
    assert "did you mean 'outage'" in run("synth", "-o", "x", "--kinds", "outge").stderr
    assert run("synth", "-o", "x", "--period", "7s").exit_code == 2
    assert tuple(kind.value for kind in IncidentKind) == synth_command.KINDS


def test_adding_a_target_changes_no_other_and_seeds_differ():
    """Streams are named by seed and target, so that fleets of different size can be compared."""
    small, large = (
        fleet(["a", "b"], 3, 1, incidents_per_week=5.0),
        fleet(["b", "a", "c"], 3, 1, incidents_per_week=5.0),
    )
    same = large.history[large.history["target"] != "c"].reset_index(drop=True)
    assert same.equals(small.history)
    assert not fleet(["a"], 3, 2).history["requests"].equals(fleet(["a"], 3, 1).history["requests"])
    assert len(fleet(14, 0.1).profiles) == 14
    assert fleet(["a"], 0.1, kinds=["zone"]).incidents.empty
    assert profile_of("a", 1) in small.profiles


def test_incidents_show_in_the_windows_that_the_labels_name():
    """A label that does not fit the data would teach the wrong thing."""
    made = fleet(6, 7, 3, incidents_per_week=6.0, gaps_per_week=0.0)
    history, kinds = made.history, set()
    for target, kind, start, end in made.incidents[["target", "kind", "start", "end"]].itertuples(
        index=False
    ):
        mine = history[
            (history["target"] == target) & (history["start"] >= start) & (history["start"] <= end)
        ]
        failed = mine[["timeouts", "errors_fast", "throttles"]].sum().sum() / mine["requests"].sum()
        normal = next(p.error_ratio for p in made.profiles if p.name == target)
        assert failed > 2.0 * normal, (target, kind)
        kinds.add(kind)
        assert start >= history["start"].min() + (history["start"].max() - history["start"].min()) / 4
    assert len(kinds) >= 5
    assert (history["timeouts"] + history["errors_fast"] + history["throttles"] <= history["requests"]).all()
    assert (history["request_failures"] <= history["requests"]).all()
    assert (history["attempts"] >= history["requests"]).all()


@pytest.mark.parametrize(
    "wrong", [{"services": 0}, {"services": ["a", "a"]}, {"days": 0}, {"delay_s": -1.0}, {"kinds": ["x"]}]
)
def test_arguments_outside_their_range_are_refused(wrong):
    """Before any number is drawn."""
    with pytest.raises(ValueError):
        fleet(**{"services": 1, "days": 1, **wrong})


@pytest.mark.parametrize("kind", list(IncidentKind))
def test_every_kind_has_its_shape(kind):
    """Shares are shares, and together at most all calls."""
    for severity in (0.0, 1.0):
        shares = shares_of(kind, severity, 30)
        assert ((shares.fast + shares.timeouts + shares.throttles) <= 1.0).all()
        assert (shares.fast + shares.timeouts + shares.throttles).max() > 0.02
        assert (shares.latency_factor >= 1.0).all()
    for severity, windows in ((1.5, 3), (0.5, 0)):
        with pytest.raises(ValueError):
            shares_of(kind, severity, windows)


def test_a_changed_csv_file_is_merged_and_said():
    """Corrections of an export reach the history."""
    Path("pay.csv").write_text(CSV)
    run("ingest", "csv", "pay.csv", "-o", "h")
    Path("pay.csv").write_text(CSV.replace("00:01:00Z,110,0", "00:01:00Z,120,0"))
    document = json.loads(run("ingest", "csv", "pay.csv", "-o", "h", "--format", "json").stdout)
    assert document["findings"]["revised"] == 1
    with open_writer(Path("h")) as writer:
        assert len(writer.manifest.sources) == 1
