"""Requests lost in a closed loop, where they are read: on the page, in the bill, in the comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from core_runs import T0
from flyball_analytics.cli import cli
from flyball_analytics.cost import DAYS

QUICK = ("--closed-loop", "--capacity", "1.1", "--capacity", "6", "--jobs", "1")


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def pay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours at one request a second; for four minutes 40 % of the calls time out. Labels beside it."""
    folder = tmp_path_factory.mktemp("lost")
    head = "timestamp,requests,errors,timeouts,attempts,latency_p50_ms,latency_p99_ms"
    lines = [
        f"{T0 + 60 * m:.0f},60,{24 if 90 <= m < 94 else 0},{24 if 90 <= m < 94 else 0},60,210,400"
        for m in range(120)
    ]
    (folder / "pay.csv").write_text("\n".join([head, *lines]) + "\n")
    incident = {"start": str(int(T0) + 5_400), "end": str(int(T0) + 5_580), "fault": "slow disk"}
    (folder / "labels.json").write_text(json.dumps({"series": {"pay.csv": {"incidents": [incident]}}}))
    (folder / "calm.json").write_text(json.dumps({"series": {"pay.csv": {"incidents": []}}}))
    return folder


def test_a_report_tells_the_range_at_its_head_and_shows_every_incident(pay: Path, tmp_path: Path) -> None:
    """The sentence, the table with recorded losses beside, the limits; and the figures for programs."""
    out = tmp_path / "page.html"
    done = run(
        "report", pay / "pay.csv", "--labels", pay / "labels.json", "-o", out, *QUICK, "--format", "json"
    )
    assert done.exit_code == 0, done.stderr
    plain = json.loads(done.stdout)
    (kept,) = plain["closed_loop"]["kept"]
    assert (kept["baseline"], kept["candidate"], kept["incidents"]) == ("fixed", "two-loop", 1)
    assert kept["fewer_lost"][0] <= kept["fewer_lost_mean"] <= kept["fewer_lost"][1]
    (comparison,) = plain["comparisons"]
    lost = next(m for m in comparison["measures"] if m["measure"] == "lost_ratio")
    # Fewer lost of the requests that arrived, from the other side: the same worlds, as shares.
    ends = [-end / kept["requests"] for end in reversed(kept["fewer_lost"])]
    assert lost["worlds"] == pytest.approx(ends)
    page = out.read_text()
    for words in (
        "Lived through again, 1 incident of 1 service: two-loop loses ",
        '<h2 id="lost">Requests lost, lived through again</h2>',
        "every service at its worst or at its best at once",
        "over what no recording shows",
        "--closed-loop --capacity 1.1 --capacity 6.0",
    ):
        assert words in page, words
    assert "--jobs" not in page, "how many processes ran changes nothing on it"


def test_a_bill_gets_what_the_kept_requests_are_worth(pay: Path) -> None:
    """Two hours scaled to a month; the break-even is the bill over the requests kept."""
    words = (
        "cost",
        pay / "pay.csv",
        "--labels",
        pay / "labels.json",
        "--usd-per-lost-request",
        "0.5",
        *QUICK,
    )
    plain = json.loads(run(*words, "--format", "json").stdout)
    low, high = plain["replay"]["kept"]
    assert low <= high
    well = plain["replay"]["refused_well"]
    assert plain["avoided_usd"] == pytest.approx([0.5 * (low - well), 0.5 * (high - well)])
    worth = plain["break_even"]["usd_per_lost_request"]
    assert worth[0] == pytest.approx(plain["total_usd"] / high)
    report = run("report", pay / "pay.csv", "--labels", pay / "labels.json", "-o", pay / "p", *QUICK,
                 "--format", "json")  # fmt: skip
    fewer = json.loads(report.stdout)["closed_loop"]["kept"][0]["fewer_lost"]
    assert [low, high] == pytest.approx([end * DAYS * 12.0 for end in fewer]), "one loop, wherever it is read"
    assert "Lived through again" in run(*words).stdout


def test_a_comparison_shows_the_range_beside_the_interval(pay: Path) -> None:
    """Six incidents narrow the interval; nothing narrows the range."""
    done = run("compare", pay / "pay.csv", "--labels", pay / "labels.json", "--policy", "two-loop", *QUICK)
    assert "Range: lost requests (closed loop), " in done.stdout
    assert "over what no recording shows (capacity, cause of time-outs)" in done.stdout


def test_without_an_incident_the_page_and_the_bill_are_still_made(pay: Path, tmp_path: Path) -> None:
    """What cannot be lived through is said on stderr."""
    for words in (("report", "-o", tmp_path / "p.html"), ("cost",)):
        done = run(words[0], pay / "pay.csv", "--labels", pay / "calm.json", *words[1:], *QUICK)
        assert done.exit_code == 0, done.stderr
        assert "closed loop left out: no incident to live through again" in done.stderr
    assert "Requests lost" not in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("report", "--policy", "fixed", *QUICK), "needs two policies"),
        (("cost", *QUICK, "--beside", "static-3"), "compares --policy with --baseline alone"),
        (("cost", "--capacity", "2"), "need --closed-loop"),
    ],
)
def test_a_closed_loop_that_cannot_be_is_refused_before_anything_runs(pay: Path, words, message) -> None:
    """Told with what to give instead."""
    done = run(words[0], pay / "pay.csv", *words[1:])
    assert done.exit_code == 2
    assert message in done.stderr
