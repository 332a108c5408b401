"""The ledger of long runs: what was finished counts once, whatever was interrupted, joined or run again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tool_modules import tool_module


@pytest.fixture
def ledger() -> Any:
    """The script as a module."""
    return tool_module("reliability_ledger")


def batch(ledger: Any, first: int, *, commit: str = "abc", failures: tuple[tuple[int, str], ...] = ()) -> Any:
    """Ten seeds, of which all were opened and each met a fault."""
    table = Counter({("crash", "crashed"): 10})
    total = ledger.Sum(10, 30, 60, 600.0, 7, 0.25, Counter({"opened": 10}), table, list(failures))
    return ledger.Batch(first, first + 9, commit, total)


def test_what_is_written_is_read_back(ledger: Any, tmp_path: Path):
    """Line by line, in order, with every count."""
    path = tmp_path / "new" / "ledger.jsonl"
    batches = [batch(ledger, 0), batch(ledger, 10, commit="def+", failures=((12, "P1: twice"),))]
    for one in batches:
        ledger.append(path, one)
    assert ledger.read(path) == batches
    total = ledger.added([one.total for one in batches])
    assert (total.schedules, total.rounds, total.calls, total.quiet_max) == (20, 60, 120, 7)
    assert total.table == {("crash", "crashed"): 20}
    assert total.reached == {"opened": 20}
    assert total.failures == [(12, "P1: twice")]


def test_a_file_that_is_not_there_is_an_empty_ledger(ledger: Any, tmp_path: Path):
    """The first run begins one."""
    assert ledger.read(tmp_path / "none") == []
    assert ledger.added([]).schedules == 0


def test_seeds_that_stand_twice_count_once(ledger: Any, tmp_path: Path):
    """Files of two machines are joined by cat, and one of them may have been copied before."""
    path = tmp_path / "joined.jsonl"
    for first in (0, 10, 0, 5):
        ledger.append(path, batch(ledger, first))
    assert [one.first for one in ledger.read(path)] == [0, 10]


def test_a_run_goes_on_where_the_file_ends_and_fills_what_is_missing(ledger: Any, tmp_path: Path):
    """Batches end out of order; an interrupted run leaves a gap."""
    ranges = ledger.missing([batch(ledger, 0), batch(ledger, 20)], first=0, size=10)
    assert [next(ranges) for _ in range(3)] == [range(10, 20), range(30, 40), range(40, 50)]


def test_half_a_line_of_a_killed_run_does_not_count_and_is_no_error(ledger: Any, tmp_path: Path):
    """Its seeds are run again; the next line stands on its own."""
    path = tmp_path / "killed.jsonl"
    ledger.append(path, batch(ledger, 0))
    path.write_text(path.read_text() + ledger.encode(batch(ledger, 10))[:40])
    assert [one.first for one in ledger.read(path)] == [0]
    ledger.append(path, batch(ledger, 20))
    assert [one.first for one in ledger.read(path)] == [0, 20]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"schema": 2}', "schema 2 is not 1"),
        ('{"schema": 1}', "KeyError"),
    ],
)
def test_a_line_that_is_no_batch_is_named(ledger: Any, tmp_path: Path, line: str, why: str):
    """A million schedules must not be summed over lines that nobody can read."""
    path = tmp_path / "bad.jsonl"
    ledger.append(path, batch(ledger, 0))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ledger.LedgerError, match=why) as caught:
        ledger.read(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_a_line_whose_count_is_not_its_seeds_is_refused(ledger: Any, tmp_path: Path):
    """The count is what a release is judged by."""
    path = tmp_path / "bent.jsonl"
    one = batch(ledger, 0)
    ledger.append(path, one._replace(last=99))
    with pytest.raises(ledger.LedgerError, match="10 schedules are not seeds 0 to 99"):
        ledger.read(path)
