"""The project's own scenarios: complete, valid, and their fast part kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.judge import load_known, scenario_files
from flyball_analytics.plant import FaultKind

FOLDER = Path(__file__).resolve().parents[3] / "scenarios"
SCENARIOS = [load_known(file) for file in scenario_files([FOLDER])]


def test_the_suite_is_large_enough_to_be_hard_to_tune_for() -> None:
    """A controller that wins on few kinds of trouble loses on the next."""
    assert len(SCENARIOS) >= 18
    assert sum(bool(scenario.harmful) for scenario in SCENARIOS) >= 16
    assert sum(not scenario.harmful for scenario in SCENARIOS) >= 4


def test_every_kind_of_fault_occurs() -> None:
    """What the plant can do and no scenario does is not tested."""
    found = {fault.kind for s in SCENARIOS for caller in s.callers for fault in caller.faults}
    assert found == set(FaultKind)
    assert any(len(scenario.targets) > 3 for scenario in SCENARIOS)
    assert any(len(scenario.targets) < len(scenario.callers) for scenario in SCENARIOS)
    assert any(scenario.blind for scenario in SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_expects_something_of_flyball(scenario) -> None:
    """A scenario without a bound proves nothing, and one without an incident must expect no change."""
    (mine,) = [expected for expected in scenario.expectations if expected.algorithm == "flyball"]
    measures = {bound.measure for bound in mine.bounds}
    assert measures >= ({"recovered", "lost_min", "flaps"} if scenario.harmful else {"changes"})


def test_the_fast_part_is_kept() -> None:
    """The law as it is, on one seed of each fast scenario; `make scenarios` runs all."""
    result = CliRunner().invoke(cli, ["test", str(FOLDER), "--fast", "--jobs", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "BROKEN" not in result.output
