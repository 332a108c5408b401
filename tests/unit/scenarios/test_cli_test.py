"""`flyball test` as a user runs it: kept, broken, unreadable, and for machines."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from click.testing import CliRunner, Result

from flyball_analytics.cli import cli

TEXT = """\
description: An outage of four minutes
duration: 12m
seeds: [1, 2]
fast: {fast}
services:
  api: {{load: "10/s x12m", rho: 0.5, faults: {{refused: "0 x3m, 100% x4m"}}}}
incidents:
  - {{label: outage, from: 3m, to: 7m}}
expect:
  flyball: {expect}
"""
KEPT = '{recovered: always, flaps: "<= 1"}'
BROKEN = '{recovered: always, recovery_s: "<= 5", lost_min: "<= none - 3"}'


def run(*arguments: object) -> Result:
    """Run flyball test in this process."""
    return CliRunner().invoke(cli, ["test", *(str(a) for a in arguments), "--jobs", "1"])


@pytest.fixture
def write(tmp_path: Path):
    """Write a scenario and return its path."""

    def scenario(name: str, expect: str = KEPT, *, fast: str = "true") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(TEXT.format(expect=expect, fast=fast))
        return path

    return scenario


def test_kept_expectations_end_with_zero_and_tell_what_of_the_law_was_not_reached(write) -> None:
    """Success says how much it covers."""
    result = run(write("good"))
    assert result.exit_code == 0
    assert "good      ok         4   4      2" in result.stdout
    assert "4 of 4 expectations kept" in result.stdout
    assert "never " in result.stdout
    assert "THROTTLED" in result.stdout
    assert "retry_law.py:" in result.stdout
    assert result.stderr == ""


def test_a_broken_expectation_shows_bound_values_distance_and_command(write) -> None:
    """Everything needed to look at it oneself, without a search."""
    path = write("bad", BROKEN)
    result = run(path, "--model", "capacity_factor=2")
    assert result.exit_code == 1
    assert f"BROKEN {path}:10 flyball: recovery_s <= 5" in result.stdout
    assert "longest time from an incident's end to 60 s at 98 % success [s]" in result.stdout
    assert "broken  seed 1: " in result.stdout
    assert ", wanted <= 5, off by " in result.stdout
    assert "lost_min <= none - 3" in result.stdout
    command = f"flyball simulate {path} --algorithm flyball --seed 1 --model capacity_factor=2"
    assert command in result.stdout


def test_fast_runs_marked_scenarios_on_their_first_seed(write, tmp_path) -> None:
    """Seconds, for every commit."""
    write("quick")
    write("slow", BROKEN, fast="false")
    result = run(tmp_path, "--fast")
    assert result.exit_code == 0
    assert "quick     ok         2   2      1" in result.stdout
    assert "slow" not in result.stdout


def test_nothing_to_check_is_inconclusive(write) -> None:
    """No expectation is not a kept one."""
    result = run(write("slow", fast="false"), "--fast")
    assert result.exit_code == 4
    assert "nothing to check" in result.stderr


def test_every_unreadable_file_is_named_and_nothing_is_run(write, tmp_path) -> None:
    """Two mistakes are two lines, not two evenings."""
    (tmp_path / "a.yaml").write_text("description: x\nduratoin: 3m\n")
    (tmp_path / "b.yaml").write_text("- no\n")
    write("c")
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "a.yaml:2" in result.stderr
    assert "b.yaml:1" in result.stderr


def test_an_empty_folder_is_a_mistake(tmp_path) -> None:
    """A wrong path must not look like a passed suite."""
    assert run(tmp_path).exit_code == 2
    assert run(tmp_path / "none.yaml").exit_code == 2


def test_junit_has_a_case_per_bound_and_seed(write, tmp_path) -> None:
    """As continuous integration reads it."""
    out = tmp_path / "out.xml"
    result = run(write("bad", BROKEN), "--junit", out)
    assert result.exit_code == 1
    root = Xml.parse(out).getroot()  # noqa: S314 - our own file
    assert (root.get("tests"), root.find("testsuite").get("name")) == ("6", "bad")
    failures = root.findall(".//failure")
    assert len(failures) == int(root.get("failures")) > 0
    assert "wanted" in failures[0].get("message")


def test_json_is_one_verdict_a_line_and_the_coverage_at_last(write) -> None:
    """For programs: plain numbers, no infinities."""
    result = run(write("bad", BROKEN), "--format", "json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(line["measure"], line["seed"]) for line in lines[:-1]} == {
        (measure, seed) for measure in ("recovered", "recovery_s", "lost_min") for seed in (1, 2)
    }
    assert lines[0]["line"] == 10
    assert "THROTTLED" in lines[-1]["coverage"]["regimes_never"]


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("capacity=2", "did you mean 'capacity_factor'"),
        ("rho", "no KEY=VALUE"),
        ("rho=7", "from 0.01 to 2"),
        ("rho=x", "must be a number"),
        ("period_s=15", "multiple of 10"),
        ("reuse_random=perhaps", "true or false"),
    ],
)
def test_a_model_that_cannot_be_is_refused(write, pair: str, words: str) -> None:
    """Before anything runs."""
    result = run(write("good"), "--model", pair)
    assert result.exit_code == 2
    assert words in result.stderr
