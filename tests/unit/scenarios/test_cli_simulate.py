"""`flyball simulate` as a user runs it: a table, what was done, a picture."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flyball_analytics.cli import cli

TEXT = """\
description: Capacity loss of two targets, one call slower for a while
duration: 14m
seeds: [5]
services:
  api: &one {load: "10/s x14m", rho: 0.6, faults: {capacity: "1 x3m, 0.2 x4m"}}
  mail: *one
incidents:
  - {label: loss, from: 3m, to: 7m}
  - {label: slower, from: 9m, to: 10m, harmless: true}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a scenario file."""
    file = tmp_path / "loss.yaml"
    file.write_text(TEXT)
    return file


def run(*arguments: object) -> Result:
    """Run flyball simulate in this process."""
    return CliRunner().invoke(cli, ["simulate", *(str(a) for a in arguments), "--jobs", "1"])


def test_the_table_has_units_and_the_law_beside_the_usual_practice(path) -> None:
    """One screen: what it cost, against what, and what was done."""
    result = run(path)
    assert result.exit_code == 0, result.output
    head, table, done = result.stdout.split("\n\n")
    assert "2 services over 14 min, seed 5, metrics every 1 min, 20 s late" in head
    assert "03:00-07:00 loss" in head
    assert "09:00-10:00 slower, harmless" in head
    assert table.splitlines()[0].split() == [
        "measure",
        "unit",
        "flyball",
        "flyball-static",
        "static-3",
        "none",
    ]
    (recovery,) = [line for line in table.splitlines() if line.startswith("recovery_s")]
    assert recovery.split()[4] == "never"
    assert "lost_min over the best" in table
    assert done.startswith("what flyball did:\n  04:2")
    assert "retry budget 0.2 -> 0" in done


def test_one_algorithm_needs_no_comparison_and_a_policy_is_obeyed(path) -> None:
    """`flyball:NAME` beside `--policy`: two laws in one table."""
    result = run(path, "--algorithm", "flyball:ladder", "--model", "capacity_factor=0.9", "--seed", "2")
    assert result.exit_code == 0
    assert "seed 2" in result.stdout
    assert "varied: capacity_factor=0.9" in result.stdout
    assert "over the best" not in result.stdout
    assert run(path, "--algorithm", "flyball", "--policy", "ladder", "--format", "json").exit_code == 0


def test_json_has_measures_without_infinities_and_every_action(path) -> None:
    """One object per algorithm; never is a word."""
    result = run(path, "--format", "json", "--algorithm", "flyball", "--algorithm", "static-3")
    mine, static = (json.loads(line) for line in result.stdout.splitlines())
    assert static["measures"]["recovery_s"] == "never"
    assert static["measures"]["detect_s"] is None
    assert mine["actions"][0]["after"]["budget_ratio"] == 0.0
    assert mine["actions"][0]["tightens"] is True


def test_an_algorithm_that_does_not_exist_is_a_usage_error(path) -> None:
    """With the nearest name."""
    result = run(path, "--algorithm", "static3")
    assert result.exit_code == 2
    assert "did you mean 'static-3'" in result.stderr


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_plot_is_written_and_equal_runs_give_equal_files(path, tmp_path, suffix: str) -> None:
    """A picture in a report must not change with the clock."""
    pytest.importorskip("matplotlib")
    first, again = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    for out in (first, again):
        result = run(path, "--plot", out, "--algorithm", "flyball", "--algorithm", "ladder-rule")
        assert result.exit_code == 0, result.output
        assert f"written {out}" in result.stderr
    data = first.read_bytes()
    assert data == again.read_bytes()
    assert data.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg":
        for words in (b"goodput", b"latency", b"half-open", b"retries allowed", b"ladder-rule"):
            assert words in data


def test_a_missing_library_is_named_before_anything_runs(path, tmp_path, monkeypatch) -> None:
    """Minutes of simulation for a picture that cannot be drawn would be wasted."""
    found = sys.modules["importlib.util"].find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "matplotlib" else found(name, package)

    monkeypatch.setattr("flyball_analytics.cli.simulate.find_spec", without)
    result = run(path, "--plot", tmp_path / "a.svg")
    assert result.exit_code == 2
    assert "pip install 'flyball[plot]'" in result.stderr


def test_what_cannot_be_plotted_is_refused(path, tmp_path) -> None:
    """Another suffix, and months that were only counted."""
    assert "end with .svg or .png" in run(path, "--plot", tmp_path / "a.pdf").stderr
    counted = tmp_path / "month.yaml"
    counted.write_text(
        'description: d\nduration: 1d\ncounted: true\nservices: {a: {load: "1/s x1d", rho: 0.5}}\n'
    )
    result = run(counted, "--plot", tmp_path / "a.svg")
    assert result.exit_code == 2
    assert "counted" in result.stderr
    assert run(counted, "--algorithm", "flyball").exit_code == 0
