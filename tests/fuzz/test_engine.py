"""The loop itself: repeatable, learning, shrinking; and its long runs, which a ledger keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from fuzz.doors import _seeds, all_doors, learned
from fuzz.engine import Door, require, run_batch
from fuzz.mutate import mutate_bytes, one_of
from fuzz.shrink import shrink
from tool_modules import tool_module


def test_a_batch_is_the_same_inputs_again() -> None:
    """A failure of last night must be found again this morning, by its seed."""
    first, second = (run_batch(all_doors()["circuit-item"], 3, 400) for _ in range(2))
    assert first.words == second.words
    assert first.learned == second.learned
    assert run_batch(all_doors()["circuit-item"], 4, 400).learned != first.learned


def deep(data: bytes) -> str:
    """A parser with its bug behind four checks, each of which says how far it came."""
    for length, wanted in enumerate(b"ABCD"):
        if data[length : length + 1] != bytes((wanted,)):
            return f"{length} right"
    require(False, "never", "reached")
    return ""


def letters(rng: Random, pool: Sequence[bytes]) -> bytes:
    """One input with one letter set."""
    data = bytearray(one_of(rng, pool))
    data[rng.randrange(4)] = rng.randrange(256)
    return bytes(data)


def test_what_came_further_is_built_upon() -> None:
    """Four letters by chance are one in four thousand million; step by step they are a few thousand."""
    found = run_batch(Door("deep", lambda: (b"....",), letters, deep), 0, 30_000)
    assert [failure.law for failure in found.failures] == ["never"]
    assert len(found.learned) >= 3


def test_a_failing_input_is_made_small() -> None:
    """Nobody reads a document of 60 KB to find the byte that matters."""
    assert shrink(b"some text! and more", lambda data: b"!" in data) == b"!"
    tree = {"a": [1, {"b": "x!y"}], "c": 2}
    assert shrink(tree, lambda case: "!" in str(case)) == "!"


def test_an_input_that_fails_no_more_is_kept_whole() -> None:
    """A failure that depends on chance must not be shrunk to something else."""
    assert shrink(b"abc", lambda data: False) == b"abc"


@pytest.fixture
def tool() -> ModuleType:
    """Return tools/fuzz.py."""
    return tool_module("fuzz")


def test_a_run_goes_on_where_its_ledger_ends(tool: ModuleType, tmp_path: Path, capsys) -> None:
    """Ten million inputs are gathered over days; a kill in the middle of a line costs that line."""
    ledger = tmp_path / "ledger.jsonl"
    run = ["run", "--inputs", "60", "--door", "letters", "--ledger", str(ledger)]
    assert tool.main(run) == 0
    with ledger.open("a") as file:
        file.write('{"schema": 1, "door": "lett')
    ledger.write_text(ledger.read_text() + "\n")
    assert tool.main(run) == 0
    found = list(tool.entries(ledger))
    assert [(e["seed"], e["inputs"], e["failures"]) for e in found] == [(0, 60, []), (1, 60, [])]
    assert "60 inputs, 0 failures" in capsys.readouterr().out
    assert tool.main(["report", str(ledger)]) == 0
    assert "| letters | 120 |" in capsys.readouterr().out


def test_a_failure_is_told_with_its_input_and_fails_the_run(
    tool: ModuleType, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger holds the bytes, so that the bug can be mended elsewhere."""

    def check(data: bytes) -> str:
        require(b"K" not in data, "no K", data)
        return "good"

    def flip(rng: Random, pool: Sequence[bytes]) -> bytes:
        return mutate_bytes(rng, one_of(rng, pool))

    broken = Door("letters", lambda: (b"aKc",), flip, check)
    monkeypatch.setattr("fuzz.doors.all_doors", lambda: {"letters": broken})
    ledger = tmp_path / "ledger.jsonl"
    assert tool.main(["run", "--inputs", "10", "--door", "letters", "--ledger", str(ledger)]) == 1
    assert "no K" in capsys.readouterr().out
    (entry,) = map(json.loads, ledger.read_text().splitlines())
    assert entry["failures"][0]["input"] == "Sw=="
    assert tool.main(["report", str(ledger)]) == 1


def test_memory_that_grows_from_turn_to_turn_fails_the_run(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """A leak of the C library or of an extension shows in no object of Python."""
    sizes = iter([50.0 * n for n in range(1_000)])
    monkeypatch.setattr(tool, "resident_mb", lambda: next(sizes))
    monkeypatch.setattr(tool, "TURN", 20)
    assert tool.main(["run", "--inputs", "80", "--door", "circuit-item"]) == 1
    assert "memory grew" in capsys.readouterr().out


def test_a_door_that_is_none_is_refused(tool: ModuleType, capsys) -> None:
    """With the names of those that are."""
    with pytest.raises(SystemExit):
        tool.main(["run", "--door", "leters"])
    assert "circuit-item" in capsys.readouterr().err


def test_what_was_learned_is_kept_and_begun_with(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run starts where this one came to; and learns nothing twice."""
    door = Door("letters", lambda: (b"....",), letters, lambda data: str(sum(65 <= b < 70 for b in data)))
    monkeypatch.setattr("fuzz.doors.LEARNED", tmp_path)
    monkeypatch.setattr(
        "fuzz.doors.all_doors", lambda: {"letters": door._replace(seeds=lambda: _seeds(door))}
    )
    assert tool.main(["keep", "--inputs", "500"]) == 0
    kept = learned("letters")
    assert sorted(map(door.check, kept)) == ["1", "2", "3", "4"][: len(kept)]
    assert len(kept) >= 2
    assert tool.main(["keep", "--inputs", "500"]) == 0
    words = list(map(door.check, learned("letters")))
    assert len(words) == len(set(words))
