"""The demo's page: both worlds, the day as recorded, and a recording that every other command reads."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.labels import read_labels
from flyball_analytics.series import read_csv
from flyball_controller.policy_set import load_preset
from flyball_local.demo.command import demo
from flyball_local.demo.page import both_worlds, write_page
from flyball_local.demo.report import DemoResult
from flyball_local.demo.runner import run_demo
from flyball_local.demo.scenario import scenario

POLICIES = load_preset("two-loop")
SMALL = scenario(hours=2, only=("search-index", "mail-gateway"))


@pytest.fixture(scope="module")
def result() -> DemoResult:
    """Two hours of two services, recorded."""
    return run_demo(SMALL, policies=POLICIES, seed=3, record=True)


@pytest.fixture(scope="module")
def page(result: DemoResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, with its recording beside it."""
    path = tmp_path_factory.mktemp("demo") / "day.html"
    write_page(result, policies=POLICIES, path=path)
    return path


def test_the_page_begins_with_the_verdict_and_both_worlds(result: DemoResult, page: Path) -> None:
    """One row per incident; the figures are those of the table on the terminal."""
    text = page.read_text()
    assert "successful requests per incident minute than three static retries" in text
    assert '<h2 id="worlds">With flyball and without</h2>' in text
    table = both_worlds(result)
    assert [row[0] for row in table.rows] == [incident.service for incident in SMALL.incidents]
    assert [row[2] for row in table.rows] == [f"{one.lost:,}" for one in result.flyball.incidents]
    assert all(len(row) == len(table.heads) for row in table.rows)
    assert "http://" not in text.replace("http://www.w3.org", ""), "nothing is loaded from anywhere"


def test_the_page_shows_the_decisions_that_the_controller_took(result: DemoResult, page: Path) -> None:
    """A replay of what CloudWatch recorded comes to what the journal holds: the page is no other story."""
    data = json.loads(
        page.read_text().split('id="report-data">')[1].split("</script>")[0].replace("\\u003c", "<")
    )
    taken = Counter(action.target for action in result.actions)
    assert sum(taken.values()) >= 3
    assert {one["target"]: one["changes"] for one in data["services"] if one["changes"]} == dict(taken)


def test_the_recording_is_read_back_as_it_was_seen(result: DemoResult, page: Path) -> None:
    """Every window of both days, number by number; the day of learning is not scored."""
    folder = page.with_name("day-data")
    for target, seen in result.recorded:
        assert read_csv(folder / f"{target}.csv").observations == seen
    truth = read_labels(folder / "labels.json")
    assert len(truth["search-index.csv"].incidents) == 1
    assert truth["mail-gateway.csv"].incidents == ()
    ((begin_s, end_s),) = truth["search-index.csv"].ignore
    assert (end_s - begin_s + 60.0, end_s + 60.0) == (86_400.0, SMALL.start_s)


def test_other_commands_take_the_recording(page: Path) -> None:
    """`flyball replay demo-data --labels ...` is the next thing that a reader tries."""
    folder = page.with_name("day-data")
    done = CliRunner().invoke(
        cli, ["replay", str(folder), "--labels", str(folder / "labels.json"), "--summary"]
    )
    assert done.exit_code == 0, done.output
    assert "1 incident: 1 recognised" in done.stdout


def test_equal_days_give_equal_pages(result: DemoResult, page: Path) -> None:
    """Nothing of the clock or the machine is in it."""
    before = page.read_bytes()
    write_page(result, policies=POLICIES, path=page)
    assert page.read_bytes() == before


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_tells_where_the_page_is(
    result: DemoResult, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stdout under the table; with JSON on stderr, because stdout is the document."""
    seen = {}

    def run(_scenario: object, **options: object) -> DemoResult:
        seen.update(options)
        return result

    monkeypatch.setattr("flyball_local.demo.runner.run_demo", run)
    path = tmp_path / "new" / "day.html"
    done = CliRunner().invoke(demo, ["--hours", "2", "--report", str(path), "--format", form])
    assert done.exit_code == 0, done.output
    assert seen["record"] is True
    told = done.stderr if form == "json" else done.stdout
    assert f"{path}: the day as a page" in told
    assert path.stat().st_size > 50_000
    if form == "json":
        json.loads(done.stdout)
