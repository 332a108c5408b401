"""The grid of bench_control.py: what was run is not run again, and two laws are never mixed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from flyball_analytics.arrivals import EXACT, ModelError
from flyball_analytics.judge import load_known
from flyball_analytics.suite import Job

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which is no part of a package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import control_grid

    monkeypatch.delitem(sys.modules, "control_grid")
    return control_grid


def _jobs(*names: str) -> list[tuple[str, Job]]:
    scenario = load_known(ROOT / "scenarios" / "low-traffic.yaml")
    return [("as described", Job(scenario, name, 1)) for name in names]


def test_a_second_call_makes_only_what_is_missing(grid, tmp_path):
    """A night's work that was interrupted goes on; a line that was cut off is made again."""
    file = tmp_path / "grid.jsonl"
    first = grid.run_grid(_jobs("none"), file, workers=1, code="a")
    marked = json.loads(file.read_text().splitlines()[1])
    marked[-1]["lost_min"] = -1.0  # no run gives this: whoever returns it has read it
    file.write_text(f'{{"code": "a"}}\n{json.dumps(marked)}\n["as described", "low-tra')
    both = grid.run_grid(_jobs("none", "flyball-static"), file, workers=1, code="a")
    assert [cell.algorithm for cell in both] == ["none", "flyball-static"]
    assert [values["lost_min"] == -1.0 for values in both.values()] == [True, False]
    assert grid.read_done(file, "a") == both
    assert [values["recovered"] for values in first.values()] == [1.0]


def test_a_file_of_other_code_is_refused(grid, tmp_path):
    """Half a table of yesterday's law is worse than none."""
    file = tmp_path / "grid.jsonl"
    file.write_text('{"code": "yesterday"}\n')
    with pytest.raises(SystemExit, match=r"grid.jsonl: made by code yesterday, this is today"):
        grid.run_grid(_jobs("none"), file, workers=1, code="today")


def test_a_world_that_cannot_be_is_left_out(grid):
    """Three requests a minute at rho 0.9: one server that takes 18 s, where every call times out."""
    low = load_known(ROOT / "scenarios" / "low-traffic.yaml")
    hard = load_known(ROOT / "scenarios" / "capacity-hard.yaml")
    assert [grid.possible(low, model) for model in (EXACT, ModelError(rho=0.9))] == [True, False]
    assert all(grid.possible(hard, model) for model in grid.GRID.values())


def test_the_excess_is_over_the_best_of_each_scenario(grid):
    """Means over two seeds: 3 and 1 in one scenario, 2 and 5 in the other; so 2 and 3 over the best."""
    lost = {("s", "x"): (2.0, 4.0), ("s", "y"): (1.0, 1.0), ("t", "x"): (2.0, 2.0), ("t", "y"): (4.0, 6.0)}
    done = {
        grid.Cell("m", scenario, algorithm, seed): {"lost_min": minutes}
        for (scenario, algorithm), both in lost.items()
        for seed, minutes in enumerate(both)
    }
    assert grid.excess_min(done, "m", ["x", "y"]) == {"x": 2.0, "y": 3.0}
