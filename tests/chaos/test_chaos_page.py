"""docs/how-to/chaos.md: its example runs, and its tables name what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from chaos.fis import experiments
from flyball_local.chaos.experiments import EXPERIMENTS

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "chaos.md").read_text()


def test_the_example_of_the_injector_runs():
    """Copied from the page as a user would."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_experiment_and_every_template_stands_in_its_table():
    """And nothing that does not exist."""
    first = re.findall(r"^\| `([A-Za-z-]+)` \|", PAGE, re.MULTILINE)
    assert first == [*EXPERIMENTS, *experiments()]
    for template in experiments():
        (row,) = re.findall(rf"^\| `{template}` \|.*$", PAGE, re.MULTILINE)
        twins = set(re.findall(r"`([a-z-]+)`", row))
        assert twins == {name for name, one in EXPERIMENTS.items() if one.managed == template}
