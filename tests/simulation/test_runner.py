"""The runner of the long runs: what it prints is enough to run a failure again, and its exit code says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from simulation.bugs import BUGS
from simulation.rare import RARE
from simulation.schedule import draw

TOOL = Path(__file__).resolve().parents[2] / "tools" / "reliability.py"


@pytest.fixture
def tool() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("reliability_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_a_batch_adds_up(tool: Any):
    """The table of a long run is the sum of its seeds."""
    both = tool._added([tool.run_batch([0]), tool.run_batch([1])])
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
