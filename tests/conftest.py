"""Settings for all tests: no AWS in reach; property tests judge results, not the speed of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# Time limits on examples fail on a busy machine and say nothing about the code.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# CI must be green or red for the code, not for the draw; new examples are searched for at every desk.
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, max_examples=60)
# tools/mutants.py asks only whether a test fails, five thousand times.
settings.register_profile(
    "mutants",
    parent=settings.get_profile("ci"),
    max_examples=25,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("FLYBALL_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "default"))


# Whole systems run for long: tracing doubles their time, and each part is covered by tests of its own.
UNTRACED = (
    "chaos/test_experiments.py",
    "chaos/test_rows_can_fail.py",
    "chaos/test_stability_",
    "docs/",
    "fuzz/",
    "model/",
    "simulation/",
    "unit/core/test_recorded_",
    "properties/test_core_laws.py",
    "unit/client/test_circuit_store.py",
    "unit/client/test_client_machine.py",
    "unit/fastreplay/test_fastreplay_compiled.py",
    "unit/notebooks/",
    "unit/plant/test_plant_world.py",
    "unit/probes/test_probed.py",
    "unit/scenarios/test_shipped_scenarios.py",
    "unit/soak/",
    "unit/thresholds/test_laws_in_histories.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests of whole systems out of the measurement of coverage."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).as_posix().startswith(UNTRACED):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the developer's shell knows of AWS stays outside."""
    for name in list(os.environ):
        if name.startswith("AWS_") and name != "AWS_CA_BUNDLE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
