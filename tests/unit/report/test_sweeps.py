"""A sweep's run directory as a report: alone, or beside the histories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.problems import SeriesError
from flyball_analytics.report.sweeps import _gaps, histories_in, is_run, outcome_in, sweep_of
from flyball_analytics.shards import Kind, Shard
from flyball_analytics.shards_input import pack_series
from flyball_analytics.sweep_store import Store
from report_world import labels, series


def candidate(number: int, **fit: float) -> dict[str, object]:
    """Return a candidate as an outcome has it; its floor is a tenth per number."""
    return {"number": number, "point": {"open_floor": number / 10.0} if number else {}, "fit": fit}


OUTCOME: dict[str, object] = {
    "schema": 1,
    "policy": "two-loop",
    "objectives": ["delay_s", "false_open_min", "new_one"],
    "holdout": "the last third",
    "verdict": "Better where it was fitted.",
    "chosen": 4,
    "candidates": [
        candidate(0, delay_s=120.0, false_open_min=1.0, new_one=1.0),
        candidate(4, delay_s=60.0, false_open_min=0.5, new_one=0.0),
        candidate(5, delay_s=60.0),
    ],
    "effects": [
        {"field": "open_floor", "objective": "delay_s", "rank": -0.8},
        {"field": "law", "objective": "delay_s", "rank": None},
    ],
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run directory over one history and one scenario."""
    store = Store(tmp_path / "run")
    digest = store.add_input(pack_series(series()))
    store.add_shard(Shard(Kind.HISTORY, digest, "payments", ({},), labels()).encode())
    store.add_shard(Shard(Kind.HISTORY, digest, "payments", ({"open_floor": 0.4},), labels()).encode())
    store.add_shard(Shard(Kind.SCENARIO, digest, "storm.yaml", ({},)).encode())
    store.write_summary(OUTCOME)
    return tmp_path / "run"


def test_the_outcome_becomes_a_front():
    """Candidates without all objectives have no place in it; words have no rank."""
    sweep = sweep_of(OUTCOME)
    assert sweep is not None
    assert sweep.objectives == (
        "detection delay, s",
        "false-open minutes, min of healthy traffic refused",
        "new_one",
    )
    assert [(point.name, point.values) for point in sweep.points] == [
        ("in force", (120.0, 1.0, 1.0)),
        ("candidate 4", (60.0, 0.5, 0.0)),
    ]
    assert [(effect.parameter, effect.objective) for effect in sweep.effects] == [
        ("open_floor", "detection delay")
    ]
    assert sweep.chosen == "candidate 4"
    assert sweep.note == "Held out: the last third. Better where it was fitted."
    assert sweep_of({**OUTCOME, "objectives": ["delay_s"]}) is None


def test_the_histories_come_back_with_their_labels(run):
    """Each once, whatever the number of shards over it."""
    found = list(histories_in(run))
    assert [(one.target, truth.incidents[0][:4]) for one, truth in found if truth] == [
        ("payments", labels().incidents[0][:4])
    ]
    assert found[0][0].observations == series().observations
    holed = series()._replace(
        observations=tuple(o for n, o in enumerate(series().observations) if n not in (7, 8))
    )
    assert [gap.windows for gap in _gaps(holed)] == [2]


def test_a_run_directory_alone_makes_a_report(run, tmp_path):
    """Baseline: the policy in force; candidate: what the sweep chose."""
    out = tmp_path / "report.html"
    result = CliRunner().invoke(cli, ["report", str(run), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("candidate 4 against two-loop: ")
    page = out.read_text()
    assert 'id="pareto"' in page
    assert "candidate 4 (chosen)" in page
    assert "sweep.json" in page


def test_beside_a_history_it_only_gives_the_front(run, tmp_path):
    """The policies named win; where nothing was better, the one in force is drawn alone."""
    file = tmp_path / "pay.csv"
    rows = [f"2026-01-05T00:{n:02d}:00Z,100,0" for n in range(60)]
    file.write_text("\n".join(["timestamp,requests,errors", *rows]) + "\n")
    Store(run).write_summary({**OUTCOME, "chosen": 0})
    arguments = ["report", str(file), str(run), "-o", str(tmp_path / "r.html"), "--format", "json"]
    plain = json.loads(CliRunner().invoke(cli, arguments).stdout)
    assert [one["target"] for one in plain["services"]] == ["pay"]
    assert plain["comparisons"] == []
    assert plain["pareto"] is not None
    named = CliRunner().invoke(cli, [*arguments, "--policy", "fixed", "--policy", "ladder"])
    assert json.loads(named.stdout)["comparisons"][0]["candidate"] == "ladder"


def test_what_is_no_run_directory_is_said_so(run):
    """Another version, a damaged file, a lost input, two of them: each names what to do."""
    assert is_run(run)
    assert not is_run(run.parent)
    with pytest.raises(SeriesError, match="no run directory"):
        outcome_in(run.parent)
    Store(run).write_summary({**OUTCOME, "schema": 2})
    with pytest.raises(SeriesError, match="run the sweep again"):
        outcome_in(run)
    for lost in (run / "inputs").iterdir():
        lost.unlink()
    with pytest.raises(SeriesError, match="input of payments"):
        list(histories_in(run))
    next((run / "shards").iterdir()).write_bytes(b"{}")
    with pytest.raises(SeriesError, match="name the histories beside"):
        list(histories_in(run))
    two = CliRunner().invoke(cli, ["report", str(run), str(run)])
    assert two.exit_code == 2
