"""`flyball replay --resume`: a run that is killed anywhere continues, and nobody can tell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.cli import resume as module
from flyball_analytics.cli.resume import Segment
from flyball_analytics.series import read_csv
from flyball_controller.policy_set import load_preset

START_S = 1_700_049_600


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, ["replay", *(str(a) for a in arguments)])


@pytest.fixture(autouse=True)
def often(monkeypatch) -> None:
    """A checkpoint after every seventh step."""
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 7)


@pytest.fixture
def pay(tmp_path: Path) -> Path:
    """Sixty minutes with an outage and a gap of four minutes."""
    minutes = [m for m in range(60) if not 30 <= m < 34]
    lines = [f"{START_S + 60 * m},600,{600 if 10 <= m < 16 else 1}" for m in minutes]
    path = tmp_path / "pay.csv"
    path.write_text("\n".join(["timestamp,requests,errors", *lines]) + "\n")
    return path


def killed_after(steps: int, pay: Path, folder: Path) -> Path:
    """A copy of the folder as a kill leaves it: taken from under the running replay."""
    policy = load_preset("two-loop").for_target("pay")
    snapshot = folder.parent / f"killed-{steps}"
    running = Segment(folder, 0, read_csv(pay), policy, None).steps()
    for _ in range(steps):
        next(running)
    shutil.copytree(folder, snapshot)
    return snapshot


@pytest.mark.parametrize("steps", [1, 7, 8, 20, 40, 59])
def test_a_killed_run_continues_to_the_same_bytes_and_the_same_totals(pay, tmp_path, steps) -> None:
    """Before the first checkpoint, on one, after one, in the outage, after the gap, near the end."""
    whole = run(pay, "--journal", tmp_path / "whole.jsonl")
    snapshot = killed_after(steps, pay, tmp_path / "progress")
    resumed = run(pay, "--journal", tmp_path / "joined.jsonl", "--resume", snapshot)
    assert resumed.exit_code == 0, resumed.stderr
    assert (tmp_path / "joined.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert resumed.stdout == whole.stdout


def test_what_was_written_after_the_last_checkpoint_is_made_again(pay, tmp_path) -> None:
    """A half-written line, as a full disk or a kill leaves it, never reaches the journal."""
    snapshot = killed_after(9, pay, tmp_path / "progress")
    part = next(snapshot.glob("*.jsonl"))
    with part.open("ab") as file:
        file.write(b'{"half":')
    run(pay, "--journal", tmp_path / "whole.jsonl")
    assert run(pay, "--journal", tmp_path / "joined.jsonl", "--resume", snapshot).exit_code == 0
    assert (tmp_path / "joined.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_an_interrupted_run_keeps_what_it_made(pay, tmp_path) -> None:
    """Ctrl-C is not a kill: the checkpoint is written on the way out."""
    segment = Segment(tmp_path / "p", 0, read_csv(pay), load_preset("two-loop").for_target("pay"), None)
    running = segment.steps()
    for _ in range(10):
        next(running)
    running.close()
    assert json.loads(next((tmp_path / "p").glob("*.progress.json")).read_bytes())["steps"] == 10


def test_a_finished_run_is_not_run_again_and_gives_the_same(pay, tmp_path, monkeypatch) -> None:
    """Second call: everything is read back; journal on stdout and last state come out the same."""
    first = run(pay, "--resume", tmp_path / "p", "--format", "json", "--state-out", tmp_path / "a")
    monkeypatch.setattr("flyball_analytics.replay.step", None)  # whoever steps now fails
    second = run(pay, "--resume", tmp_path / "p", "--format", "json", "--state-out", tmp_path / "b")
    assert second.exit_code == 0, second.output
    assert second.stdout_bytes == first.stdout_bytes
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_stdout_and_file_hold_the_same_journal(pay, tmp_path) -> None:
    """With and without a folder."""
    plain = run(pay, "--format", "json", "--journal", tmp_path / "a.jsonl")
    resumed = run(pay, "--format", "json", "--journal", tmp_path / "b.jsonl", "--resume", tmp_path / "p")
    assert plain.stdout_bytes == (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert resumed.stdout_bytes == plain.stdout_bytes


def test_progress_of_another_policy_or_history_is_refused(pay, tmp_path) -> None:
    """Half of one replay and half of another would look like a whole."""
    killed_after(9, pay, tmp_path / "p")
    other = run(pay, "--policy", "adaptive", "--resume", tmp_path / "p")
    assert (other.exit_code, "belongs to a replay of another history, policy" in other.stderr) == (2, True)
    pay.write_text(pay.read_text().replace(f"{START_S},600,1", f"{START_S},600,2"))
    assert run(pay, "--resume", tmp_path / "p").exit_code == 2


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: next(folder.glob("*.progress.json")).write_text("{"), "is damaged"),
        (lambda folder: next(folder.glob("*.jsonl")).write_text(""), "has 0 bytes, its progress says"),
        (lambda folder: next(folder.glob("*.jsonl")).unlink(), "has 0 bytes, its progress says"),
    ],
)
def test_damaged_progress_is_named_and_never_guessed(pay, tmp_path, damage, words) -> None:
    """Exit code 2, and what to delete."""
    snapshot = killed_after(9, pay, tmp_path / "p")
    damage(snapshot)
    result = run(pay, "--resume", snapshot)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_a_damaged_record_is_named_with_its_line(pay, tmp_path) -> None:
    """Totals are made from the records: an unreadable one must not count as nothing."""
    snapshot = killed_after(9, pay, tmp_path / "p")
    part = next(snapshot.glob("*.jsonl"))
    part.write_bytes(b"x" + part.read_bytes()[1:])
    result = run(pay, "--resume", snapshot)
    assert (result.exit_code, f"{part}:1: is damaged" in result.stderr) == (2, True)


def test_a_journal_that_cannot_be_finished_leaves_the_old_one(pay, tmp_path) -> None:
    """Whole or not at all."""
    old = tmp_path / "j.jsonl"
    old.write_text("old\n")
    bad = tmp_path / "bad.csv"
    bad.write_text("timestamp,requests,errors\n")
    assert run(pay, bad, "--journal", old).exit_code == 2
    assert old.read_text() == "old\n"
    assert not list(tmp_path.glob(".*.part"))
