"""The tutorial works: every file is saved, every command run, in order, in an empty folder."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from docs.pages import missing, steps
from flyball_analytics.cli import cli


def run(command: str, folder: Path) -> str:
    """Return what a command prints; flyball runs in this process, for speed."""
    program, *arguments = shlex.split(command)
    if program == "flyball":
        return CliRunner().invoke(cli, arguments, prog_name="flyball", env={"COLUMNS": "160"}).output
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_the_tutorial_runs_and_prints_what_it_shows(root, tmp_path, monkeypatch):
    """A newcomer's first ten minutes decide; a command that prints something else ends them."""
    monkeypatch.chdir(tmp_path)
    commands = 0
    for step in steps((root / "docs" / "tutorial.md").read_text()):
        if step.name:
            (tmp_path / step.name).write_text(step.text)
            continue
        commands += 1
        printed = run(step.command, tmp_path)
        line = missing(step.text, printed)
        assert not line, f"$ {step.command}\nshould print: {line}\nbut printed:\n{printed}"
    assert commands >= 10


@pytest.mark.parametrize(
    ("shown", "printed", "first_missing"),
    [
        ("a\nb\n", "a\nb\n", ""),
        ("a\n", "a  1\nb\n", ""),  # the beginning of a line is enough
        ("a   b\n", "a b\n", ""),
        ("a\nb\n", "a\nx\nb\n", "b"),  # a line in between that was not announced
        ("a\n...\nb\n", "a\nx\nb\n", ""),
        ("a\n...\nb\n", "b\na\n", "a"),  # order counts
        ("a\n", "", "a"),
    ],
)
def test_what_is_shown_is_held_against_what_is_printed(shown, printed, first_missing):
    """A check that cannot fail proves nothing."""
    assert missing(shown, printed) == first_missing


def test_files_commands_and_what_is_not_run_are_told_apart():
    """The page's own grammar."""
    saved = "<!-- file: a.py -->\n```python\nx\n```\n"
    left_out = "<!-- not run: why -->\n```console\n$ b\n```\n"
    page = f"{saved}{left_out}```console\n$ c\nd\n$ e\n```\n"
    assert [tuple(step) for step in steps(page)] == [("x\n", "a.py", ""), ("d\n", "", "c"), ("", "", "e")]
