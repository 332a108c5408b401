"""Examples of the how-to pages run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.judge import load_known
from flyball_analytics.space import read_space

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?ms)^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^ *```")
PYTHON = ("how-to/chaos.md", "reference/history.md")  # the first block; client.md has a test of its own


def block(page: str, mark: str) -> str:
    """The fenced block after an example's mark."""
    return page.split(f"<!-- example: {mark} -->\n", 1)[1].split("```", 2)[1].split("\n", 1)[1]


def test_the_powertools_example_runs_and_prints_the_compiled_in_values(root):
    """18 failures in a row (0.9 x 20), 30 s, 3 good probes; no AWS is asked for that."""
    page = (root / "docs" / "how-to" / "powertools.md").read_text()
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", block(page, "live-config")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **keys, "AWS_DEFAULT_REGION": "eu-west-1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "18 30 3\n"
    assert f"prints `{done.stdout.strip()}`" in page


def fences(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, indented ones too."""
    return [
        dedent(found["body"]) for found in FENCE.finditer(page.read_text()) if found["language"] == language
    ]


WHOLE = [
    pytest.param(page, text, id=f"{page.name}-{number}")
    for page in PAGES
    if page.name != "tutorial.md"  # it shows a mistake on purpose, and has a test of its own
    for number, text in enumerate(fences(page, "yaml"))
    if text.startswith(("version: 1", "description:"))
]


def test_the_pages_show_whole_files():
    """Else the next test would try nothing."""
    assert {page.values[0].name for page in WHOLE} >= {"README.md", "modes.md", "probes.md", "scenarios.md"}


@pytest.mark.parametrize(("page", "text"), WHOLE)
def test_a_file_that_a_page_shows_is_valid(page, text, tmp_path):
    """People copy it as it stands: policies and maps are validated, scenarios and spaces read."""
    file = tmp_path / "shown.yaml"
    file.write_text(text)
    if text.startswith("description:"):
        assert load_known(file).incidents
    elif "parameters:" in text:
        assert read_space(text.encode(), file=page.name)
    else:
        result = CliRunner().invoke(cli, ["validate", str(file)])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_example_runs(name, tmp_path):
    """In an empty folder, beside a history if it opens one."""
    made = CliRunner().invoke(
        cli, ["synth", "-o", str(tmp_path / "history"), "--services", "1", "--days", "1", "--seed", "7"]
    )
    assert made.exit_code == 0, made.output
    text = fences(ROOT / "docs" / name, "python")[0]
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
