"""What a release needs behind it: schedules of its own sources, every rare way, no broken law."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simulation.rare import RARE
from tool_modules import tool_module

TOOL = Path(__file__).resolve().parents[2] / "tools" / "reliability.py"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, on the commit "aaa" without changes, whose sources are "111"."""
    module = tool_module("reliability")
    monkeypatch.setattr(module, "_commit", lambda: "aaa")
    monkeypatch.setattr(module, "_sources", lambda: "111")
    return module


def write(
    tool: Any,
    path: Path,
    first: int,
    *,
    commit: str = "aaa",
    sources: str = "111",
    failures: tuple[tuple[int, str], ...] = (),
    without: str = "",
    seeds: int = 400,
) -> None:
    """Append one batch in which each schedule went every rare way but one."""
    reached = Counter({way: seeds for way in RARE if way != without})
    total = tool.Sum(seeds, 9, 9, 9.0, 7, 0.25, reached, Counter({("crash", "crashed"): 9}), list(failures))
    tool.append(path, tool.Batch(first, first + seeds - 1, commit, total, sources))


def gate(tool: Any, *ledgers: Path, schedules: int = 800) -> int:
    """Ask for a release of so many schedules."""
    named = [word for ledger in ledgers for word in ("--ledger", str(ledger))]
    return tool.main(["release", "--schedules", str(schedules), *named])  # type: ignore[no-any-return]


def test_a_commit_with_all_its_schedules_may_be_released(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Two machines' files, joined: 400 seeds each, every rare way gone, no law broken."""
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    write(tool, one, 0)
    write(tool, other, 500_000)
    assert gate(tool, one, other) == 0
    assert "commit aaa, sources 111: 800 of 800 schedules, 0 with a broken law" in capsys.readouterr().out


def test_a_million_is_asked_for(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Unless somebody says otherwise; what is missing is told as a command."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0)
    assert tool.main(["release", "--ledger", str(path)]) == 4
    told = capsys.readouterr().out
    assert "400 of 1000000 schedules" in told
    assert f"simulate --ledger {path} --schedules 999600" in told
    assert "rare way 'lost race decided again': 400 of 2500 schedules" in told


def test_a_commit_of_the_same_sources_keeps_what_stands(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A word in the documentation is no reason to run a million schedules again; whose they are is told."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0, commit="bbb")
    write(tool, path, 400)
    assert gate(tool, path) == 0
    assert "run on commits: aaa, bbb" in capsys.readouterr().out


def test_schedules_of_other_sources_or_of_uncommitted_ones_do_not_count(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """They ran other code."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0)
    write(tool, path, 400, sources="222")
    write(tool, path, 800, commit="aaa+")
    assert gate(tool, path) == 4
    told = capsys.readouterr().out
    assert "commit aaa, sources 111: 400 of 800" in told
    assert "800 schedules of other sources or of some that were not committed do not count" in told


def test_a_line_of_before_sources_were_noted_does_not_count(tool: Any, tmp_path: Path):
    """Nobody can tell what it ran, though it names this very commit."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0, sources="")
    path.write_text(path.read_text().replace('"sources": "", ', ""))
    assert [batch.sources for batch in tool.read(path)] == [""]
    assert gate(tool, path, schedules=400) == 4


def test_a_seed_counts_for_these_sources_though_others_ran_it_before(tool: Any, tmp_path: Path):
    """Seeds are run again for each release; those of the last one must not hide them."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0, commit="bbb", sources="222", failures=((7, "P1: of old"),))
    write(tool, path, 0)
    write(tool, path, 400)
    assert gate(tool, path) == 0


def test_the_same_seeds_in_two_files_count_once(tool: Any, tmp_path: Path):
    """A copy of a file is no evidence."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0)
    assert gate(tool, path, path) == 4


@pytest.mark.parametrize("first", [400, 0], ids=["its own seeds", "seeds that stand already"])
def test_a_broken_law_forbids_a_release(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], first: int
):
    """However many schedules there are: even where the seeds were run before, and did not fail then."""
    path = tmp_path / "ledger.jsonl"
    for seeds in (0, 400):
        write(tool, path, seeds, failures=((401, "P1: twice"),) if seeds == first else ())
    write(tool, path, first, failures=((403, "K2: back"),))
    assert gate(tool, path) == 1
    told = capsys.readouterr().out
    assert "seed 403: K2: back" in told
    assert "no release" in told


def test_a_law_broken_before_these_sources_were_committed_forbids_a_release(tool: Any, tmp_path: Path):
    """What ran is the same, byte for byte; only what would speak for it must be committed."""
    path = tmp_path / "ledger.jsonl"
    for first in (0, 400):
        write(tool, path, first)
    assert gate(tool, path) == 0
    write(tool, path, 800, commit="bbb+", failures=((801, "P1: twice"),))
    assert gate(tool, path) == 1


def test_a_rare_way_that_is_short_forbids_a_release(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A million schedules that never did the rare thing say nothing of it: two of 800 must."""
    path = tmp_path / "ledger.jsonl"
    for first in (0, 400):
        write(tool, path, first, without="opened")
    assert gate(tool, path) == 4
    told = capsys.readouterr().out
    assert "rare way 'opened': 0 of 2 schedules" in told
    assert told.count("rare way") == 1


def test_a_tree_with_changes_is_no_release(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Nobody knows what ran: the next change has the same mark."""
    monkeypatch.setattr(tool, "_commit", lambda: "aaa+")
    path = tmp_path / "ledger.jsonl"
    for first in (0, 400):
        write(tool, path, first, commit="aaa+")
    assert gate(tool, path) == 4
    assert "commit or undo the changes" in capsys.readouterr().out


def test_a_ledger_that_is_not_there_is_an_error(
    tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A name that was mistyped must not look like a run that has not begun."""
    assert gate(tool, tmp_path / "none") == 2
    assert "none: cannot be read as a ledger" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        tool.main(["release"])
    assert usage.value.code == 2


def test_a_reader_that_has_seen_enough_gets_no_traceback(tool: Any, tmp_path: Path):
    """`--report FILE | head` ends as other programs do, and not with a broken law's exit code."""
    path = tmp_path / "ledger.jsonl"
    write(tool, path, 0)
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, TOOL, "--report", path],
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")
