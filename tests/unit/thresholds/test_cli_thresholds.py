"""`flyball thresholds` and `flyball score` as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drawn_histories import DAY_S, HOUR_S, T0, draw, flat, with_failures
from flyball_analytics.cli import cli
from flyball_analytics.moments import utc

Write = Callable[..., Path]
SPAN = (T0 + 5 * DAY_S, T0 + 5 * DAY_S + 7_200.0)


def run(*arguments: object) -> Result:
    """Run flyball in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def pay(write: Write) -> Path:
    """Nine days of hours with three bad ones."""
    history = draw(9 * 24, ratio=flat(0.002), period_s=HOUR_S, per_window=5_000.0)
    rows = (
        f"{utc(o.start_s)},{o.requests},{o.failures}"
        for o in with_failures(history, SPAN[0], SPAN[1] + 1, 0.3)
    )
    return write("pay.csv", "timestamp,requests,errors", *rows)


@pytest.fixture
def labels(write: Write) -> Path:
    """The three bad hours."""
    entry = {"incidents": [{"start": utc(SPAN[0]), "end": utc(SPAN[1])}]}
    return write("labels.json", json.dumps({"series": {"pay.csv": entry}}))


def values(write: Write, name: str, hours: int = 240) -> Path:
    """A value per hour, ten times as high once."""
    rows = (f"{utc(T0 + HOUR_S * i)},{1_000 if i == 200 else 100}" for i in range(hours))
    return write(name, "timestamp,value", *rows)


def test_one_history_gets_its_baseline_rules_and_advice(pay: Path, labels: Path) -> None:
    """And a line on what to try next."""
    result = run("thresholds", pay, "--labels", labels, "--no-curve")
    assert result.exit_code == 0
    assert "pay · error ratio" in result.stdout
    assert "EWMA + 3 sigma" in result.stdout
    assert "stay fixed: 1" in result.stdout
    assert f"replay {pay} --policy two-loop --summary" in result.stdout


def test_json_is_one_object_per_metric_and_nothing_else(pay: Path, write: Write) -> None:
    """A folder: the counted file and the value file, sorted; what is no history is named on stderr."""
    values(write, "queue.csv")
    write("notes.csv", "who,what", "me,this")
    result = run("thresholds", pay.parent, "--no-curve", "--format", "json")
    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["target"], one["metric"], one["schema"]) for one in found] == [
        ("pay", "error ratio", 1),
        ("queue", "value", 1),
    ]
    assert "skipped" in result.stderr
    assert "notes.csv" in result.stderr


def test_a_fixed_level_of_ones_own_is_judged(write: Write) -> None:
    """500 is crossed once; 5,000 never."""
    path = values(write, "queue.csv")
    for level, firings in ((500, 1), (5_000, 0)):
        out = run("thresholds", path, "--fixed", level, "--no-curve", "--format", "json").stdout
        assert len(json.loads(out)["rules"][0]["firings"]) == firings


def test_too_little_history_ends_with_4_and_says_what_is_missing(write: Write) -> None:
    """Nothing could be said about anything: inconclusive, not wrong."""
    result = run("thresholds", values(write, "queue.csv", hours=48))
    assert result.exit_code == 4
    assert "not enough data for the metric: " in result.stderr
    assert "5 d more are needed" in result.stderr


def test_the_picture_is_written_whole(pay: Path, tmp_path: Path) -> None:
    """SVG or PNG by the file's name."""
    picture = tmp_path / "t.svg"
    result = run("thresholds", pay, "--no-curve", "--plot", picture)
    assert result.exit_code == 0
    assert picture.read_bytes().startswith(b"<?xml")
    assert f"written {picture}" in result.stderr


def test_wrong_options_are_refused_before_anything_is_run(pay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of another form, a missing package, a metric that is not there, a folder without files."""
    assert "must end with .svg or .png" in run("thresholds", pay, "--plot", "t.pdf").stderr
    assert "has the metric latency p99" in run("thresholds", pay, "--metric", "latency p99").stderr
    empty = pay.parent / "empty"
    empty.mkdir()
    assert "holds no CSV file" in run("thresholds", empty).stderr
    monkeypatch.setattr("flyball_analytics.cli.thresholds.find_spec", lambda name: None)
    result = run("thresholds", pay, "--plot", "t.svg")
    assert result.exit_code == 2
    assert "pip install 'flyball[plot]'" in result.stderr


def test_a_named_file_that_is_no_history_is_an_error(write: Write) -> None:
    """In a folder where nothing is one, too."""
    path = write("sub/notes.csv", "who,what", "me,this")
    other = write("sub/more.csv", "who,what", "me,this")
    assert run("thresholds", path).exit_code == 2
    result = run("thresholds", path.parent)
    assert result.exit_code == 2
    assert "none of the files is a metric history" in result.stderr
    assert other.exists()


def test_a_history_is_scored_by_ours_or_by_any_rule(pay: Path, labels: Path) -> None:
    """Default: the production step on counts; `all` runs every detector; a wrong name is told."""
    result = run("score", pay, "--labels", labels)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[2].split()[:4] == ["pay", "flyball", "1/1", "0/1"]
    every = run("score", pay, "--labels", labels, "--rule", "all", "--format", "json")
    rules = [json.loads(line)["rule"] for line in every.stdout.splitlines()]
    assert {"flyball", "level-profile", "ewma-3sd", "random"} <= set(rules)
    assert len(rules) == 2 * len(set(rules))  # every series, then every rule's total
    wrong = run("score", pay, "--labels", labels, "--rule", "ewma")
    assert wrong.exit_code == 2
    assert "did you mean 'ewma-3sd'" in wrong.stderr


def test_a_value_file_is_scored_by_the_band(write: Write) -> None:
    """Labels by folder and file name; the production step has nothing to say about values."""
    path = values(write, "lake/queue.csv")
    at = utc(T0 + 200 * HOUR_S)
    labels = write(
        "l.json", json.dumps({"series": {"lake/queue.csv": {"incidents": [{"start": at, "end": at}]}}})
    )
    result = run("score", path.parent.parent / "lake", "--labels", labels, "--metric", "value")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[2].split()[:3] == ["queue", "level-profile", "1/1"]
    none = run("score", path, "--labels", labels, "--rule", "flyball")
    assert none.exit_code == 2


def test_a_journal_is_scored_by_the_labels_of_its_targets_file(
    pay: Path, labels: Path, tmp_path: Path
) -> None:
    """A journal names targets; the labels name the file that they came from."""
    journal = tmp_path / "journal.jsonl"
    journal.write_text(run("replay", pay, "--format", "json").stdout)
    scored = [
        json.loads(run("score", path, "--labels", labels, "--format", "json").stdout.splitlines()[0])
        for path in (journal, pay)
    ]
    assert scored[0]["rule"] == "journal"
    assert scored[0]["score"] == scored[1]["score"]
    assert scored[0]["nab"] == scored[1]["nab"]


def test_a_table_of_another_detector_is_scored(write: Write, labels: Path) -> None:
    """Named as the labelled series."""
    rows = (f"{utc(T0 + HOUR_S * i)},{0.9 if i == 121 else 0.1}" for i in range(216))
    path = write("other.csv", "timestamp,anomaly_score", *rows)
    out = run(
        "score", path, "--labels", labels, "--target", "pay", "--threshold", "0.5", "--format", "json"
    ).stdout
    one = json.loads(out.splitlines()[0])
    assert (one["score"]["recognised"], one["score"]["missed"], one["score"]["recognised_rows_median"]) == (
        1,
        0,
        1,
    )
    assert one["nab"]["tuned_threshold"] == 0.9


def test_series_without_labels_are_named_and_all_without_is_an_error(pay: Path, write: Write) -> None:
    """Nothing is scored against no truth."""
    other = write("l.json", json.dumps({"series": {"other.csv": {"incidents": []}}}))
    result = run("score", pay, "--labels", other)
    assert result.exit_code == 2
    assert 'no labels for "pay.csv"' in result.stderr
    assert "no labels for the 1 history given" in result.stderr


def test_a_series_that_is_all_probation_is_inconclusive(pay: Path, write: Write) -> None:
    """No row can be scored: exit code 4."""
    labels = write("l.json", json.dumps({"series": {"pay": {"incidents": [], "probation": 1_000}}}))
    result = run("score", pay, "--labels", labels)
    assert result.exit_code == 4
    assert "no row can be scored" in result.stderr


def test_files_that_are_no_history_are_skipped_in_a_folder_and_refused_by_name(
    pay: Path, labels: Path, write: Write
) -> None:
    """As in `flyball replay`."""
    notes = write("notes.csv", "who,what", "me,this")
    result = run("score", pay.parent, "--labels", labels)
    assert result.exit_code == 0
    assert "skipped" in result.stderr
    assert run("score", notes, "--labels", labels).exit_code == 2


def test_a_history_of_parquet_files_is_read_by_target(tmp_path: Path) -> None:
    """What `flyball synth` and `flyball ingest` write: every target, or the one that is named."""
    history = tmp_path / "fleet"
    made = run("synth", "-o", history, "--services", 2, "--days", 1, "--period", "300s", "--seed", 7)
    assert made.exit_code == 0, made.output
    both = run("thresholds", history, "--no-curve", "--metric", "error ratio", "--format", "json")
    assert len(both.stdout.splitlines()) == 2
    one = run("thresholds", history, "--target", "payments", "--no-curve", "--format", "json")
    assert {json.loads(line)["target"] for line in one.stdout.splitlines()} == {"payments"}
    assert "leave out --column" in run("thresholds", history, "--column", "value=x").stderr
    scored = run("score", history, "--labels", history / "labels.json")
    assert scored.exit_code == 0
    assert "payments" in scored.stdout


def test_an_answer_before_the_first_bad_window_is_early(write: Write) -> None:
    """Labels leave room for it: decided an hour before the first bad window."""
    at_s = T0 + 100 * HOUR_S
    entry = {"start": utc(at_s), "end": utc(at_s), "from": utc(at_s - 2 * HOUR_S)}
    labels = write(
        "l.json",
        json.dumps({"series": {"t": {"incidents": [entry], "windows": [[entry["from"], entry["end"]]]}}}),
    )
    rows = (f"{utc(T0 + HOUR_S * i)},{int(i == 98)}" for i in range(216))
    out = run("score", write("t.csv", "timestamp,firing", *rows), "--labels", labels).stdout
    assert out.splitlines()[2].split()[:5] == ["t", "firing", "1/1", "-", "-1"]


@pytest.mark.parametrize("level", ["5", "-1", "nan"])
def test_a_fixed_level_that_no_error_ratio_can_have_is_refused(tmp_path, level) -> None:
    """5 was taken for 500 %, and the fixed threshold never fired."""
    path = tmp_path / "pay.csv"
    path.write_text("timestamp,requests,errors\n1700049600,9,0\n1700049660,9,0\n")
    result = run("thresholds", path, "--fixed", level)
    assert result.exit_code == 2
    assert "it is a share from 0 to 1, 0.05 for 5 %" in result.stderr
