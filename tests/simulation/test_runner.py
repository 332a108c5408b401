"""The runner of the long runs: what it prints is enough to run a failure again, and its exit code says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from model.rules import MUTANTS
from simulation.bugs_of_change import BUGS
from simulation.rare import RARE
from simulation.schedule import draw
from tool_modules import tool_module

TOOL = Path(__file__).resolve().parents[2] / "tools" / "reliability.py"


@pytest.fixture
def tool() -> Any:
    """The script as a module."""
    return tool_module("reliability")


@pytest.mark.filterwarnings("ignore")
def test_a_batch_adds_up(tool: Any):
    """The table of a long run is the sum of its seeds."""
    both = tool.added([tool.run_batch([0]), tool.run_batch([1])])
    together = tool.run_batch([0, 1])
    assert both._replace(cpu_s=0.0) == together._replace(cpu_s=0.0)
    assert together.schedules == 2
    assert together.failures == []


@pytest.mark.filterwarnings("ignore")
def test_a_schedule_is_replayed_from_its_text(tool: Any, capsys: pytest.CaptureFixture[str]):
    """Exit code 0 and a recovery; 1 and the law if the code is wrong."""
    text = draw(0).tell()
    assert tool.main(["replay", text]) == 0
    assert "0 broken laws; recovered after" in capsys.readouterr().out
    with next(bug for bug in BUGS if bug.name == "circuit ahead of its state").plant():
        assert tool.main(["replay", text]) == 1
    assert "E5" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_a_failing_seed_is_printed_with_its_smallest_schedule(tool: Any, capsys: pytest.CaptureFixture[str]):
    """A reader gets the law, the seed and a text for `replay`."""
    with next(bug for bug in BUGS if bug.name == "circuit ahead of its state").plant():
        ((seed, what),) = tool.run_batch([0]).failures
        tool._print_failure(seed, what)
        printed = capsys.readouterr().out
        assert tool.main(["replay", printed.split("smallest: ")[1].strip()]) == 1
    assert printed.startswith("\nseed 0: E5")


def test_ways_not_gone_often_enough_fail_the_run(tool: Any, capsys: pytest.CaptureFixture[str]):
    """A fault that never did what it is for tests nothing."""
    empty = tool.run_batch([])
    assert tool._print_reached(empty, 1) == list(RARE)
    assert "not gone in 1 schedules: lost race decided again" in capsys.readouterr().out
    assert tool._print_reached(empty, 0) == []


@pytest.mark.filterwarnings("ignore")
def test_a_long_run_is_resumed_and_told_from_its_ledger(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """A million schedules are gathered over days; what was finished is neither lost nor run again."""
    monkeypatch.setattr(tool.multiprocessing, "get_context", lambda _: _Here())
    ledger = tmp_path / "ledger.jsonl"
    asked = ["simulate", "--schedules", "2", "--first", "40", "--least", "0", "--ledger", str(ledger)]
    assert tool.main(asked) == 0
    assert tool.main(asked) == 0
    assert [(one.first, one.last) for one in tool.read(ledger)] == [(40, 41), (42, 43)]
    capsys.readouterr()
    assert tool.main(["--report", str(ledger)]) == 0
    told = capsys.readouterr().out
    assert "4 schedules: 0 with a broken law" in told
    assert "| fault | outcome | count |" in told
    assert tool.main([*asked, "--minutes", "-1"]) == 0  # the time is up before the first batch
    assert len(tool.read(ledger)) == 2


@pytest.mark.filterwarnings("ignore")
def test_a_batch_whose_sources_changed_meanwhile_is_not_logged(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Nobody knows which of both it ran: the run ends, and says why."""
    monkeypatch.setattr(tool.multiprocessing, "get_context", lambda _: _Here())
    written = iter([((1, 1),), ((1, 1),), ((2, 1),)])
    monkeypatch.setattr(tool, "_stamps", lambda: next(written))
    ledger = tmp_path / "ledger.jsonl"
    # The first batch is logged with the digest of now, the second is not.
    monkeypatch.setattr(tool, "BATCH", 1)
    asked = ["simulate", "--schedules", "2", "--first", "40", "--least", "0", "--ledger", str(ledger)]
    assert tool.main(asked) == 2
    assert "the sources changed while they ran" in capsys.readouterr().err
    assert [(one.first, one.sources) for one in tool.read(ledger)] == [(40, tool._sources())]


def test_the_sources_are_looked_at_as_they_are_now(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file that is written anew, or is gone, has another stamp."""
    path = tmp_path / "one.py"
    path.write_text("A = 1\n")
    monkeypatch.setattr(tool, "_files", lambda: (path,))
    stamps = tool._stamps()
    tool._check_stamps(stamps)
    path.write_text("A = 10\n")
    with pytest.raises(tool.LedgerError, match="begin again"):
        tool._check_stamps(stamps)
    path.unlink()
    assert tool._stamps() == ((0, -1),)


def test_a_report_of_nothing_is_inconclusive_and_of_a_bad_file_an_error(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Neither is a table of noughts."""
    assert tool.main(["--report", str(tmp_path / "none")]) == 4
    bad = tmp_path / "bad"
    bad.write_text("nonsense\n")
    assert tool.main(["--report", str(bad)]) == 2
    assert f"{bad}:1: is no batch" in capsys.readouterr().err
    assert tool.main([]) == 2


class _Here:
    """A pool of no process: batches run where they are asked for."""

    def Pool(self, workers: int) -> _Here:
        """As multiprocessing."""
        return self

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def imap_unordered(self, work: Any, batches: Any) -> Any:
        """One after the other."""
        return map(work, batches)


def test_the_documentation_lists_every_planted_bug_and_what_catches_it():
    """A reader must see what the harness can see; a bug that nobody names is one that nobody tries."""
    text = (TOOL.parents[1] / "docs" / "reference" / "reliability.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| ([^|]+) \| ([A-Za-z0-9]+) \| [^|]+ \|$", text, re.MULTILINE))
    assert {bug.name for bug in BUGS} <= set(listed)
    assert all(listed[bug.name] in bug.laws for bug in BUGS)
    models = dict(re.findall(r"^\| ([^|]+) \| ([A-Z][0-9]) \| \d+ \| \d+ \|$", text, re.MULTILINE))
    assert {name: set(laws.split()) & {models.get(name)} for name, laws in MUTANTS.items()} == {
        name: {models.get(name)} for name in MUTANTS
    }
