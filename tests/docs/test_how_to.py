"""Examples of the how-to pages run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys


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
