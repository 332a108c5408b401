"""The README's examples run, and print what it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from flyball_analytics.cli import cli

README = Path(__file__).resolve().parents[2] / "README.md"


def block(mark: str) -> str:
    """The fenced block after an example's mark."""
    after = README.read_text().split(f"<!-- example: {mark} -->", 1)[1]
    fence = after.split("```", 2)[1]
    return fence.split("\n", 1)[1]


def test_the_client_example_runs():
    """Copied from the README as a user would."""
    done = subprocess.run(
        [sys.executable, "-c", block("client")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'order': 'o-1', 'price': 42}\n"


def test_the_replay_example_prints_its_line(tmp_path, monkeypatch):
    """The decision that the README shows is the one that is made."""
    rows = "".join(f"2026-01-05T00:{m:02d}:00Z,600,{560 if 30 <= m < 40 else 1}\n" for m in range(60))
    (tmp_path / "payments.csv").write_text("timestamp,requests,errors\n" + rows)
    monkeypatch.chdir(tmp_path)
    shown = block("replay").splitlines()
    result = CliRunner().invoke(cli, shown[0].removeprefix("$ flyball ").split(), catch_exceptions=False)
    assert shown[1] in result.output
    assert shown[-1] in result.output
