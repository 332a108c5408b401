"""`--closed-loop` of `flyball replay` and `flyball compare`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from core_runs import T0
from flyball_analytics.cli import cli

QUICK = ("--closed-loop", "--capacity", "2", "--jobs", "1")


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture
def pay(tmp_path: Path) -> Path:
    """Two hours at one request a second; for four minutes 40 % of the calls time out."""
    head = "timestamp,requests,errors,timeouts,attempts,latency_p50_ms,latency_p99_ms"
    lines = [
        f"{T0 + 60 * m:.0f},60,{24 if 90 <= m < 94 else 0},{24 if 90 <= m < 94 else 0},60,210,400"
        for m in range(120)
    ]
    path = tmp_path / "pay.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The four minutes."""
    incident = {"start": str(int(T0) + 5_400), "end": str(int(T0) + 5_580), "fault": "slow disk"}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"series": {"pay.csv": {"incidents": [incident]}}}))
    return path


def test_a_replay_lives_the_incident_through_again_and_says_what_it_cannot_know(pay, labels) -> None:
    """Every algorithm with its range, the margin against storms, and the limits of all this."""
    result = run("replay", pay, "--labels", labels, "--summary", *QUICK)
    assert result.exit_code == 0, result.stderr
    for words in [
        # Work of 200 ms in the median, sigma ln(400 / 210) / 2.326 = 0.277: 208 ms in the mean.
        "pay: 1 incident labelled, capacity 4.81/s (proven peak 1/s), time-outs as lost capacity or silent",
        "2023-11-14T23:30:00Z, 4 min, slow disk",
        "a storm feeds itself over 0.25 with 3 retries",
        "flyball:two-loop  loses ",
        "static-3          loses ",
        "flyball-static    loses ",
        "what a recording cannot show",
    ]:
        assert words in result.stdout, words


def test_json_has_the_range_of_every_algorithm(pay, labels) -> None:
    """One object per service after the summary; equal calls give equal bytes, for any number of processes."""
    arguments = ("replay", pay, "--labels", labels, "--summary", "--format", "json", *QUICK[:-1])
    first = run(*arguments, 1, "--beside", "none")
    found = json.loads(first.stdout.splitlines()[-1])
    assert (found["schema"], found["target"], found["labelled"]) == (1, "pay", True)
    (incident,) = found["incidents"]
    assert [one["algorithm"] for one in incident["algorithms"]] == ["flyball:two-loop", "none"]
    for one in incident["algorithms"]:
        assert 0.0 < one["lost_low"] <= one["lost_mean"] <= one["lost_high"] <= one["requests"]
    assert run(*arguments, 2, "--beside", "none").stdout == first.stdout


def test_without_labels_the_policy_names_the_incidents(pay) -> None:
    """And that it did is said."""
    result = run("replay", pay, "--summary", *QUICK, "--beside", "none")
    assert "pay: 1 incident named by the replay" in result.stdout
    assert "2023-11-14T23:30:00Z" in result.stdout
    assert "named by the policy" in result.stdout


def test_counts_of_attempts_are_turned_into_first_attempts(pay, labels) -> None:
    """0.4 fail: 60 attempts are 60 / 1.624 requests of clients with three retries; fewer arrive."""
    arguments = (
        "replay",
        pay,
        "--labels",
        labels,
        "--summary",
        "--format",
        "json",
        *QUICK,
        "--beside",
        "none",
    )
    as_requests = json.loads(run(*arguments).stdout.splitlines()[-1])
    as_attempts = json.loads(run(*arguments, "--counts", "attempts").stdout.splitlines()[-1])
    count = [one["incidents"][0]["algorithms"][0]["requests"] for one in (as_attempts, as_requests)]
    assert count[0] < count[1]
    assert as_attempts["incidents"][0]["recorded_lost"] is None


def test_a_quiet_or_short_history_has_nothing_to_live_through(tmp_path, pay) -> None:
    """Exit code 4: no incident, or no hour of health to know what is normal."""
    lines = pay.read_text().splitlines()
    calm = tmp_path / "calm.csv"
    calm.write_text("\n".join(lines[:80]) + "\n")
    result = run("replay", calm, "--summary", *QUICK)
    assert (result.exit_code, "no incident to live through" in result.stderr) == (4, True)
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines[:30]) + "\n")
    result = run("replay", short, "--summary", *QUICK)
    assert (result.exit_code, "left out short: 29 healthy windows" in result.stderr) == (4, True)


def test_services_without_incident_are_named_beside_those_that_had_one(tmp_path, pay) -> None:
    """Silence about them would look like a mistake."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    lines = pay.read_text().splitlines()
    (folder / "calm.csv").write_text("\n".join(lines[:80]) + "\n")
    (folder / "pay.csv").write_text(pay.read_text())
    result = run("replay", folder, "--summary", *QUICK, "--beside", "none")
    assert "calm: no incident to live through again" in result.stdout


def test_a_comparison_counts_the_requests_that_were_lost(pay, labels) -> None:
    """One incident gives no verdict, and that is said; references are compared by lost requests alone."""
    result = run(
        "compare", pay, "--labels", labels, "--policy", "two-loop", *QUICK, "--beside", "static-3",
        "--rule", "ewma-3sd", "--format", "json",
    )  # fmt: skip
    rule, static = (json.loads(line) for line in result.stdout.splitlines())
    assert result.exit_code == 4
    assert (rule["candidate"], static["candidate"]) == ("ewma-3sd", "static-3")
    assert [m["measure"] for m in rule["measures"]] == ["missed_ratio", "delay_s", "false_alarms_per_week"]
    assert [m["measure"] for m in static["measures"]] == ["lost_ratio"]
    assert static["measures"][0]["candidate"] > 0.0
    assert static["verdict"] == "inconclusive"


def test_two_policies_are_compared_in_both_loops(pay, labels) -> None:
    """The text shows the runs first, then the verdict with one more row."""
    result = run("compare", pay, "--labels", labels, "--policy", "two-loop", "--policy", "fixed", *QUICK)
    assert "flyball:fixed" in result.stdout
    assert "lost requests (closed loop)" in result.stdout
    assert "what a recording cannot show" in result.stdout


def test_worlds_that_disagree_give_no_verdict() -> None:
    """Better in one, worse in another, by more than the margin: it depends on what no recording shows."""
    from flyball_analytics.compare import ALL, Lost, Pair, Rules, Verdict, compare_lost

    pairs = {"t": [Pair(50.0, 1_000.0, 10.0, 1_000.0)] * 8}
    sure, _ = compare_lost(["t"], "a", "b", Lost(pairs, {ALL: (-0.05, -0.03)}), Rules())
    assert sure.verdict is Verdict.BETTER
    unsure, (single,) = compare_lost(["t"], "a", "b", Lost(pairs, {ALL: (-0.09, 0.01)}), Rules())
    assert unsure.verdict is Verdict.INCONCLUSIVE
    assert "it depends on what no recording shows, -9 % to +1 %" in unsure.why
    assert single.verdict is Verdict.BETTER


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay", "--beside", "none"), "need --closed-loop"),
        (("replay", "--capacity", "2"), "need --closed-loop"),
        (("replay", "--closed-loop", "--beside", "static-33"), "static-3"),
        (("replay", "--closed-loop", "--format", "json"), "needs --summary"),
        (
            ("compare", "--closed-loop", "--rule", "ewma-3sd", "--rule", "fixed"),
            "needs a --policy",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(pay, arguments, words) -> None:
    """Exit code 2, before anything is simulated."""
    result = run(arguments[0], pay, *arguments[1:])
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr
