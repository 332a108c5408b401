"""The wheel, alone: built, installed into an empty environment, used from an empty folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

SMOKE = """
import json, sys
import flyball
from flyball_controller.core import initial_state, step
from flyball_controller.core.model import Observation
from flyball_controller.policy_file import load_policy
from flyball_handlers import alarm, stream, tick, override
policy = load_policy("two-loop").default
state, decision = step(initial_state(policy), Observation("t", 0.0, 60.0, 80.0, 600, 400, 0, 0, 600), policy)
assert decision.applied.budget_ratio == 0.0, decision
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"numpy", "pandas", "pydantic", "yaml", "click", "rich", "moto"}, loaded
print("ok", flyball.__version__)
"""


def run(*command: str, cwd: Path, timeout_s: int = 300) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release would build it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """An environment that holds the wheel and what it declares, nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    python = folder / "venv" / "bin" / "python"
    limits = ["-c", str(ROOT / "constraints.txt")]
    uv = ROOT / ".tools" / "bin" / "uv"
    if uv.exists():
        run(str(uv), "venv", "--python", sys.executable, str(folder / "venv"), cwd=folder)
        run(str(uv), "pip", "install", "--python", str(python), str(wheel), *limits, cwd=folder)
    else:
        run(sys.executable, "-m", "venv", str(folder / "venv"), cwd=folder)
        run(str(python), "-m", "pip", "install", str(wheel), *limits, cwd=folder)
    return folder


def test_the_wheel_holds_the_packages_and_their_data_only(wheel):
    """Presets are data that Lambda needs; tests and tools are not."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"flyball", "flyball_controller", "flyball_handlers", "flyball_analytics", "flyball_local"}
    assert "flyball_controller/presets/two-loop.json" in names
    assert "flyball/py.typed" in names


def test_core_client_and_handlers_work_from_the_wheel_alone(clean):
    """With the declared dependencies only, and nothing of the sources in reach."""
    output = run(str(clean / "venv" / "bin" / "python"), "-I", "-c", SMOKE, cwd=clean)
    assert output.startswith("ok 0.")


def test_the_command_replays_a_file_from_the_wheel_alone(clean):
    """The first thing that a new user tries."""
    rows = "".join(f"2026-01-05T00:{m:02d}:00Z,600,{560 if 30 <= m < 40 else 1}\n" for m in range(60))
    (clean / "payments.csv").write_text("timestamp,requests,errors\n" + rows)
    output = run(str(clean / "venv" / "bin" / "flyball"), "replay", "payments.csv", cwd=clean)
    assert "circuit closed -> open" in output
