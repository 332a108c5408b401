"""`flyball sweep` and `flyball tune` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.sweep_store import Store, read_summary
from flyball_controller.policy_file import load_policy
from sweep_runs import csv_text, history, labels, labels_text

BAD = (range(100, 115), range(200, 210))
# Whoever answers sooner changes more: over these two, 12 requests are better in both.
JUST = ("--objective", "delay_s", "--objective", "false_open_min")
SCENARIO = """\
description: Ten minutes without capacity
duration: 15m
seeds: [1]
services:
  api: {load: "4/s x15m", rho: 0.5, faults: {capacity: "1 x5m, 0.1 x5m"}}
incidents:
  - {label: outage, from: 5m, to: 10m}
"""


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Two services with two outages each, and their labels."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    entries = {}
    for name in ("pay", "cart"):
        (folder / f"{name}.csv").write_text(csv_text(history(name, minutes=260, bad=BAD)))
        entries |= json.loads(labels_text(f"{name}.csv", labels(*BAD)))["series"]
    (tmp_path / "labels.json").write_text(json.dumps({"series": entries}))
    return folder


@pytest.fixture
def base(fleet: Path, tmp_path: Path) -> list[object]:
    """The arguments of a search from a policy that needs far more requests than a minute has."""
    (tmp_path / "deaf.yaml").write_text("version: 1\npreset: fixed\ndefaults: {min_requests: 5000}\n")
    return [fleet, "--policy", tmp_path / "deaf.yaml", "--labels", tmp_path / "labels.json"]


def test_a_better_policy_is_found_and_written_as_a_patch(base, tmp_path):
    """The policy in force waits for 5,000 requests; with 12 it sees an outage in its first minute."""
    out, patch, plot = tmp_path / "run", tmp_path / "new.yaml", tmp_path / "front.svg"
    result = run(
        "sweep", *base, "--grid", "min_requests=12,10000", "--holdout", "services:0.5", "--out", out,
        "--patch", patch, "--plot", plot, "--format", "json", *JUST,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == read_summary(out)
    assert found["schema"] == 1
    assert found["changed"] == {"min_requests": 12}
    by_number = {row["number"]: row for row in found["candidates"]}
    assert by_number[found["chosen"]]["fit"]["delay_s"] == 60.0
    assert by_number[0]["fit"]["delay_s"] > 60.0
    assert "The held-out history agrees" in found["verdict"]
    assert load_policy(str(patch)).default.min_requests == 12
    assert plot.read_bytes().startswith(b"<?xml")


def test_the_text_is_read_without_the_data(base):
    """A verdict first, then the table; nothing is written without --out."""
    result = run("sweep", *base, "--grid", "min_requests=12,100", "--holdout", "none", *JUST)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 policies tried")
    assert "Nothing was held out" in result.stdout
    assert "Pareto front" in result.stdout


@pytest.mark.parametrize("command", ["sweep", "tune"])
def test_a_finished_run_gives_the_same_bytes_again_without_running_anything(base, tmp_path, command):
    """Also with another executor: its results are those that lie there."""
    (tmp_path / "space.yaml").write_text(
        "version: 1\nparameters:\n  min_requests: {from: 10, to: 9000, steps: 4, scale: log}\n"
        "  open_floor: [0.3, 0.5]\n"
    )
    more = ["--space", tmp_path / "space.yaml", "--out", tmp_path / "run", "--format", "json"]
    more += ["--trials", 14, "--batch", 5] if command == "tune" else ["--lhs", 10]
    first = run(command, *base, *more)
    assert first.exit_code == 0, first.output
    journal = (tmp_path / "run" / "journal.jsonl").read_bytes()
    again = run(command, *base, *more, "--executor", "processes:2")
    assert again.stdout == first.stdout
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == journal
    fields = {field for row in json.loads(first.stdout)["candidates"] for field in row["point"]}
    assert fields == {"min_requests", "open_floor"}


def test_more_trials_continue_a_study(base, tmp_path):
    """Five, then seven: the first five are those of before."""
    more = ["--grid", "min_requests=10,20,40,80,160", "--out", tmp_path / "run", "--format", "json"]
    five = json.loads(run("tune", *base, *more, "--trials", 5).stdout)["candidates"]
    seven = json.loads(run("tune", *base, *more, "--trials", 7).stdout)["candidates"]
    assert [row["point"] for row in seven[:6]] == [row["point"] for row in five]
    assert len(seven) == 8


def test_the_study_of_other_histories_is_not_continued(base, tmp_path):
    """A new folder is asked for."""
    more = ["--grid", "min_requests=10,20", "--out", tmp_path / "run", "--trials", 1]
    assert run("tune", *base, *more).exit_code == 0
    result = run("tune", *base, *more, "--seed", 5)
    assert result.exit_code == 2
    assert "holds the study of another search" in result.stderr


def test_points_that_break_a_rule_end_their_trial(base, tmp_path):
    """retry_floor over open_floor is no policy; it is counted and the search goes on."""
    result = run(
        "tune", *base, "--grid", "open_floor=0.2", "--grid", "retry_floor=0.01,0.9", "--trials", 8,
        "--format", "json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["refused"]["points"] > 0
    assert len(found["candidates"]) + found["refused"]["points"] == 9


def test_the_plan_is_written_and_nothing_is_run(base, tmp_path):
    """Then it can be copied to where the processors are, and finished here afterwards."""
    out = tmp_path / "run"
    more = ["--grid", "min_requests=12,100", "--out", out]
    result = run("sweep", *base, *more, "--plan-only")
    assert result.exit_code == 0
    assert result.stdout == f"3 policies, 2 sources: 4 shards, 4 not yet done, in {out}\n"
    items = json.loads((out / "items.json").read_text())
    assert len(items) == 4
    assert not list((out / "results").iterdir())
    assert {item["key"] for item in items} == {path.stem for path in (out / "shards").iterdir()}
    assert run("sweep", *base, *more).exit_code == 0
    assert all(Store(out).has_result(item["key"]) for item in items)


def test_the_closed_loop_tells_how_much_traffic_is_lost(base, tmp_path):
    """With a scenario the objective is taken in by itself."""
    scenario = tmp_path / "outage.yaml"
    scenario.write_text(SCENARIO)
    result = run("sweep", *base, "--grid", "min_requests=12", "--scenario", scenario, "--format", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["objectives"] == ["delay_s", "false_open_min", "changes", "lost_min"]
    assert all(row["fit"]["lost_min"] > 0.0 for row in found["candidates"])
    assert all("lost_min" not in row["held"] for row in found["candidates"])


def test_without_labels_only_what_is_false_can_be_compared(fleet):
    """The delay is named as not shown; that is no failure."""
    result = run("sweep", fleet, "--policy", "fixed", "--grid", "open_floor=0.3,0.4")
    assert result.exit_code == 0, result.output
    assert "not shown by this history (no labelled incident): delay_s" in result.stdout


def test_labels_that_lie_in_the_held_out_part_alone_are_inconclusive(base, tmp_path):
    """A policy would be chosen for making few changes, and nothing else."""
    only = labels_text("pay.csv", labels(*BAD))
    (tmp_path / "labels.json").write_text(only.replace("17000", "18000"))
    result = run("sweep", *base, "--grid", "min_requests=12", "--holdout", "none")
    assert result.exit_code == 4
    assert "no labelled incident" in result.stderr
    tuned = run("tune", *base, "--grid", "min_requests=12", "--trials", 1, "--holdout", "none")
    assert tuned.exit_code == 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "say what may vary: --space FILE, or --grid FIELD=A,B,C"),
        (["--grid", "min_request=1"], "did you mean 'min_requests'?"),
        (
            ["--grid", "min_requests=5000"],
            "no other policy: every point is the policy in force",
        ),
        (["--grid", "retry_floor=0.9"], "retry_floor must not exceed open_floor"),
        (["--grid", "z_act=1", "--holdout", "weeks"], "must be services:R, days:R, auto or none"),
        (["--grid", "z_act=1", "--executor", "proceses"], "did you mean 'processes'?"),
        (["--grid", "z_act=1", "--objective", "lost_min"], "name one with --scenario FILE"),
        (["--grid", "z_act=1", "--plan-only"], "name it with --out"),
        (["--grid", "z_act=1", "--plot", "x.pdf"], "must end with .svg or .png"),
        (["--grid", "z_act=1", "--choose", "9"], "there is no candidate 9: they are 0 to 1"),
        (["--space", "missing.yaml"], "missing.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(base, more, said):
    """And never a traceback."""
    result = run("sweep", *base, *more)
    assert result.exit_code == 2, result.output
    assert said in result.stderr


def test_delays_without_incidents_are_asked_for_in_vain(fleet):
    """Before anything is run."""
    result = run("sweep", fleet, "--grid", "z_act=1", "--objective", "delay_s")
    assert result.exit_code == 2
    assert "delay_s needs the true incidents: give --labels FILE" in result.stderr


def test_a_file_in_the_folder_that_is_no_history_is_skipped_by_name(base, fleet):
    """The other histories are searched."""
    (fleet / "notes.csv").write_text("a,b\n1,2\n")
    result = run("sweep", *base, "--grid", "min_requests=12")
    assert result.exit_code == 0
    assert "skipped" in result.stderr
    assert "notes.csv" in result.stderr


def test_histories_that_nobody_labelled_are_no_histories_to_fit_to(base, tmp_path):
    """The file of labels names others."""
    (tmp_path / "labels.json").write_text('{"series": {"other.csv": {"incidents": []}}}')
    result = run("sweep", *base, "--grid", "min_requests=12")
    assert result.exit_code == 2
    assert "none of the files is a metric history with labels in" in result.stderr


def test_a_history_that_cannot_be_read_is_the_user_s(tmp_path):
    """A named file is not skipped."""
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert run("sweep", tmp_path / "x.csv", "--grid", "z_act=1").exit_code == 2


def test_a_lost_cluster_is_a_backend_error(base, monkeypatch):
    """Trying again may help; what is done is kept."""
    monkeypatch.setattr("flyball_analytics.executors.dask.CONNECT_S", 0.2)
    result = run("sweep", *base, "--grid", "min_requests=12", "--executor", "tcp://127.0.0.1:9")
    assert result.exit_code == 5
    assert "no Dask scheduler answers" in result.stderr


def test_a_damaged_input_is_listed_and_the_rest_is_compared(base, tmp_path):
    """One service's input is broken on disk: it is left out, with the reason, and the run ends well."""
    out = tmp_path / "run"
    more = ["--grid", "min_requests=12", "--out", out, "--holdout", "none"]
    assert run("sweep", *base, *more, "--plan-only").exit_code == 0
    first = min((out / "inputs").iterdir())
    first.write_bytes(b"damaged")
    result = run("sweep", *base, *more)
    assert result.exit_code == 0, result.output
    assert "InputError: input" in result.stderr
    assert "histories left out for all candidates" in result.stdout
    for path in (out / "inputs").iterdir():
        path.write_bytes(b"damaged")
    for path in (out / "results").iterdir():
        path.unlink()
    nothing = run("sweep", *base, *more)
    assert nothing.exit_code == 4
    assert "no objective can be shown" in nothing.stderr
