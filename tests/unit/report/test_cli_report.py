"""`flyball report` as a user runs it: files in, one page out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.moments import utc
from report_world import OUTAGE, START_S

NOW = "2026-02-01T00:00:00Z"


def invoke(*arguments: str | Path):
    """Run a command; what is printed on stderr stays apart."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def write_csv(path: Path, *, windows: int = 240, outage: range = OUTAGE) -> Path:
    """Write a quiet recording with an outage."""
    rows = [
        f"{utc(START_S + 60.0 * n)},100,{100 if n in outage else 0},{100 if n in outage else 0},110"
        for n in range(windows)
    ]
    path.write_text("\n".join(["timestamp,requests,errors,timeouts,attempts", *rows]) + "\n")
    return path


def write_labels(path: Path, *names: str) -> Path:
    """Write the truth about recordings."""
    incident = {"start": utc(START_S + 60.0 * OUTAGE[0]), "end": utc(START_S + 60.0 * OUTAGE[-1])}
    path.write_text(json.dumps({"series": {n: {"incidents": [incident], "probation": 30} for n in names}}))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with two recordings, in which the command is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h").mkdir()
    write_csv(tmp_path / "h" / "payments.csv")
    write_csv(tmp_path / "h" / "orders.csv", outage=range(0))
    return tmp_path


def test_a_page_is_written_and_its_verdict_told(folder):
    """The sentences on the terminal are those on the page."""
    labels = write_labels(folder / "truth.json", "payments", "orders")
    limit = ["--limit", "delay_s=30", "--margin", "delay_s=10"]
    result = invoke("report", "h", "--labels", labels, "--now", NOW, "--title", "Shop", *limit)
    assert result.exit_code == 0, result.output
    page = Path("report.html").read_text()
    first = result.stdout.splitlines()[0]
    assert first.startswith("two-loop against fixed: ")
    assert first in page
    assert "<title>Shop</title>" in page
    assert "30 s BROKEN" in page, "both are told of the outage one window after it began"
    assert "2 services; open it in a browser" in result.stdout


def test_the_command_in_the_page_makes_the_same_page(folder):
    """A reader can check it: same files, same command, same bytes."""
    labels = write_labels(folder / "truth.json", "payments", "orders")
    arguments = [
        "report",
        "h/payments.csv",
        "--labels",
        str(labels),
        "--policy",
        "fixed",
        "--policy",
        "adaptive",
    ]
    result = invoke(*arguments, "--column", "errors=errors", "--now", NOW, "-o", "one.html")
    assert result.exit_code == 0, result.output
    page = Path("one.html").read_text()
    made = invoke(*_command(page)[1:-2], "--out", "two.html")
    assert made.exit_code == 0, made.output
    assert Path("two.html").read_text().replace("two.html", "one.html") == page


def _command(page: str) -> list[str]:
    import html
    import shlex

    return shlex.split(html.unescape(page.split('<pre tabindex="0"><code>')[1].split("</code>")[0]))


def test_one_policy_alone_is_drawn_and_compared_with_nothing(folder):
    """What did it do, is a question of its own."""
    result = invoke("report", "h/payments.csv", "--policy", "two-loop", "--now", NOW)
    assert result.exit_code == 0, result.output
    page = Path("report.html").read_text()
    assert 'id="compare"' not in page
    assert "Without labels nobody can say" in result.stdout


def test_json_carries_the_numbers_and_the_digest_of_what_was_read(folder):
    """A machine asks the same."""
    import hashlib

    result = invoke("report", "h/payments.csv", "--policy", "two-loop", "--now", NOW, "--format", "json")
    plain = json.loads(result.stdout)
    data = Path("h/payments.csv").read_bytes()
    assert plain["schema"] == 1
    assert plain["bytes"] == Path("report.html").stat().st_size
    assert plain["manifest"]["inputs"] == [
        {"name": "h/payments.csv", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    ]


def test_labels_of_a_history_are_used_and_named(folder):
    """Synthetic fleets bring their truth along; using it silently would be a surprise."""
    write_labels(folder / "h" / "labels.json", "payments", "orders")
    result = invoke("report", "h", "--now", NOW)
    assert result.exit_code == 0, result.output
    assert "labels from h/labels.json" in result.stderr


def test_a_parquet_history_is_told_by_its_manifest(folder):
    """The manifest has the digests of all parts, so its own says everything."""
    made = invoke("synth", "-o", "fleet", "--services", "2", "--days", "1", "--seed", "3", "--incidents", "7")
    assert made.exit_code == 0, made.output
    result = invoke("report", "fleet", "--policy", "fixed", "--format", "json")
    assert result.exit_code == 0, result.output
    inputs = [one["name"] for one in json.loads(result.stdout)["manifest"]["inputs"]]
    assert inputs == [os.path.join("fleet", "manifest.json"), os.path.join("fleet", "labels.json")]


def test_what_cannot_be_used_is_named_and_left_out(folder):
    """A folder may hold other things; a file that was named may not be one."""
    (folder / "h" / "notes.csv").write_text("a,b\n1,2\n")
    (folder / "h" / "idle.csv").write_text(
        "timestamp,requests,errors\n" + "".join(f"{utc(START_S + 60.0 * n)},0,0\n" for n in range(9))
    )
    labels = write_labels(folder / "truth.json", "payments")
    result = invoke("report", "h", "--labels", labels, "--now", NOW)
    assert result.exit_code == 0, result.output
    assert "skipped" in result.stderr
    assert "notes.csv" in result.stderr
    assert "no window with requests" in result.stderr
    assert "not labelled" in result.stderr
    assert "1 service;" in result.stdout
    named = invoke("report", "h/notes.csv", "--now", NOW)
    assert named.exit_code == 2


def test_nothing_to_report_is_inconclusive(folder):
    """No page is better than an empty one."""
    (folder / "idle.csv").write_text(
        "timestamp,requests,errors\n" + "".join(f"{utc(START_S + 60.0 * n)},0,0\n" for n in range(9))
    )
    result = invoke("report", "idle.csv", "--now", NOW)
    assert result.exit_code == 4
    assert not Path("report.html").exists()
