"""`flyball compare` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.compare_text import NAMES, value_text

HEAD = "timestamp,requests,errors"
START_S = 1_700_049_600
OUTAGES = range(100, 800, 100)


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, ["compare", *(str(a) for a in arguments)])


@pytest.fixture
def pay(tmp_path: Path) -> Path:
    """Eight hundred minutes with seven outages of ten minutes."""
    bad = {minute for first in OUTAGES for minute in range(first, first + 10)}
    lines = [f"{START_S + 60 * m},600,{570 if m in bad else 0}" for m in range(800)]
    path = tmp_path / "pay.csv"
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The seven outages."""
    incidents = [
        {"start": str(START_S + 60 * first), "end": str(START_S + 60 * (first + 9))} for first in OUTAGES
    ]
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"series": {"pay.csv": {"incidents": incidents}}}))
    return path


def test_a_policy_that_answers_is_better_than_one_that_waits(pay, labels, tmp_path) -> None:
    """A policy that needs 10,000 requests to judge never sees an outage of 6,000; the other misses none.

    That half a day is less than a week keeps the verdict over all measures open.
    """
    deaf = tmp_path / "deaf.yaml"
    deaf.write_text("version: 1\npreset: fixed\ndefaults: {min_requests: 10000}\n")
    result = run(pay, "--labels", labels, "--policy", deaf, "--policy", "fixed", "--format", "json")
    found = json.loads(result.stdout)
    by_name = {one["measure"]: one for one in found["measures"]}
    assert (found["schema"], found["baseline"], found["candidate"]) == (1, str(deaf), "fixed")
    assert by_name["missed_ratio"]["baseline"] == 1.0
    assert by_name["missed_ratio"]["candidate"] == 0.0
    assert by_name["missed_ratio"]["verdict"] == "better"
    assert by_name["delay_s"]["baseline"] == 600.0
    assert by_name["delay_s"]["candidate"] < 180.0
    assert by_name["restricted_ratio"]["why"] == "under a week of healthy time"
    assert (found["verdict"], result.exit_code) == ("inconclusive", 4)
    assert "no verdict on fixed" in result.stderr
    assert [one["target"] for one in found["services"]] == ["pay"]


def test_text_has_the_verdict_first_and_says_what_is_not_known(pay, labels) -> None:
    """Who reads one line must have read the answer."""
    result = run(pay, "--labels", labels, "--policy", "fixed", "--policy", "two-loop")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("two-loop against fixed: inconclusive.")
    assert "healthy time restricted (under a week of healthy time)" in lines[0]
    assert not any(line.startswith("not known:") for line in lines), (
        "what the sentence says is not said twice"
    )
    assert any(line.startswith("detection delay") for line in lines)
    assert "paired bootstrap" in result.stdout


def test_markdown_is_a_table_for_a_pull_request(pay, labels) -> None:
    """Bold verdict, one row per measure."""
    result = run(pay, "--labels", labels, "--policy", "two-loop", "--format", "markdown")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("**two-loop against fixed: ")
    assert lines[2].startswith("| measure | baseline | candidate |")
    assert sum(line.startswith("| ") for line in lines) == 2 + 6


def test_a_broken_limit_ends_with_1_and_is_named(pay, labels) -> None:
    """What a build server needs: a bound of the user's own, before any verdict."""
    result = run(pay, "--labels", labels, "--policy", "fixed", "--policy", "two-loop", "--limit", "delay_s=1")
    assert result.exit_code == 1
    assert "limit broken by two-loop: delay_s" in result.stderr
    assert "1 s BROKEN" in result.stdout


def test_a_kept_limit_is_shown(pay, labels) -> None:
    """So that a reader sees that it was asked."""
    result = run(
        pay, "--labels", labels, "--policy", "fixed", "--policy", "two-loop", "--limit", "delay_s=900"
    )
    assert "15 min kept" in result.stdout
    assert result.exit_code == 4


def fleet(tmp_path: Path) -> tuple[Path, Path]:
    """Eight services with hourly windows over nine days and an outage of three hours each."""
    series = {}
    folder = tmp_path / "fleet"
    folder.mkdir()
    for n in range(8):
        lines = [f"{START_S + 3600 * h},6000,{5700 if 200 <= h < 203 else 0}" for h in range(220)]
        (folder / f"s{n}.csv").write_text("\n".join([HEAD, *lines]) + "\n")
        incident = {"start": str(START_S + 3600 * 200), "end": str(START_S + 3600 * 202)}
        series[f"s{n}.csv"] = {"incidents": [incident]}
    labels = tmp_path / "fleet.json"
    labels.write_text(json.dumps({"series": series}))
    return folder, labels


def test_a_fleet_gets_a_verdict_and_a_table_of_its_services(tmp_path) -> None:
    """Eight services that all miss: worse; only --fail-if-worse makes that a failure."""
    folder, labels = fleet(tmp_path)
    off = tmp_path / "off.yaml"
    off.write_text("version: 1\npreset: fixed\nmode: 'off'\n")
    arguments = (folder, "--labels", labels, "--policy", "fixed", "--policy", off)
    margins = ("--margin", "restricted_ratio=1", "--margin", "false_open_min_per_week=10000",
               "--margin", "changes_per_h=1")  # fmt: skip
    result = run(*arguments, *margins)
    assert result.exit_code == 0, result.stderr
    first = result.stdout.splitlines()[0]
    assert first.startswith(f"{off} against fixed: worse. Missed incidents +100 %")
    assert "8 services" in first
    assert sum(line.startswith("s") and "inconclusive" in line for line in result.stdout.splitlines()) == 8
    strict = run(*arguments, *margins, "--fail-if-worse", "--format", "markdown")
    assert strict.exit_code == 1
    assert "| service | verdict | missed |" in strict.stdout


def test_detectors_compete_where_detectors_can(pay, labels) -> None:
    """A rule on the plain ratio beside the production step."""
    result = run(pay, "--labels", labels, "--policy", "fixed", "--rule", "ewma-3sd", "--format", "json")
    found = json.loads(result.stdout)
    assert found["candidate"] == "ewma-3sd"
    assert [one["measure"] for one in found["measures"]] == [
        "missed_ratio", "delay_s", "false_alarms_per_week",
    ]  # fmt: skip


def test_without_labels_figures_are_shown_and_no_verdict(pay) -> None:
    """More or less of anything is neither good nor bad."""
    result = run(pay, "--policy", "fixed", "--policy", "adaptive")
    assert result.exit_code == 4
    assert "No labels: without them" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--policy", "fixed"), "fixed alone cannot be compared"),
        (("--rule", "nonsense", "--policy", "fixed"), "nonsense"),
        (("--policy", "two-loop", "--limit", "delay=3"), "did you mean"),
        (("--policy", "two-loop", "--margin", "delay_s=-3"), "at least 0"),
        (("--policy", "two-loop", "--margin", "delay_s=x"), "at least 0"),
        (
            (
                "--policy",
                "two-lop",
            ),
            "did you mean 'two-loop'",
        ),
    ],
)
def test_what_cannot_be_compared_is_the_users_to_mend(pay, arguments, words) -> None:
    """Exit code 2, and what to write instead."""
    result = run(pay, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_values_without_counts_cannot_be_replayed(tmp_path) -> None:
    """The production step judges counts; a latency has none."""
    path = tmp_path / "x.csv"
    path.write_text("timestamp,value\n" + "".join(f"{START_S + 60 * m},{m}\n" for m in range(5)))
    result = run(path, "--policy", "two-loop")
    assert (result.exit_code, "has values and no counts" in result.stderr) == (2, True)


def test_labels_of_other_histories_are_refused(pay, tmp_path) -> None:
    """Comparing unlabelled by accident would look like a verdict."""
    other = tmp_path / "other.json"
    other.write_text('{"series": {"else.csv": {"incidents": []}}}')
    result = run(pay, "--labels", other, "--policy", "two-loop")
    assert (result.exit_code, "other.json: no labels for the 1 history given" in result.stderr) == (2, True)


def test_values_read_as_people_say_them() -> None:
    """A sign where it is a difference, a unit everywhere, `-` for what is not known."""
    assert value_text("restricted_ratio", 0.0015, signed=True) == "+0.15 %"
    assert value_text("changes_per_h", 0.0) == "0"
    assert value_text("delay_s", None) == "-"
    assert set(NAMES) >= {"lost_ratio", "delay_s"}
