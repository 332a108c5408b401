"""The workflow for GitHub gives strangers nothing: no rights, no secrets, no code from elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[Any, Any]:
    return dict(yaml.safe_load(request.param.read_text()))


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_is_a_workflow() -> None:
    """An empty folder would pass every other test."""
    assert FILES


def test_no_step_runs_code_of_a_third_party(workflow: dict[Any, Any]) -> None:
    """An action is fetched at every run, by a name that its owner can move."""
    assert not [step for step in steps(workflow) if "uses" in step]
    tools = [step["run"] for step in steps(workflow) if "uvx" in step["run"]]
    assert all("==" in line.split("uvx ")[1].split()[0] for line in tools), "a tool without its version"


def test_it_has_no_rights_and_no_secrets(workflow: dict[Any, Any]) -> None:
    """A pull request of a stranger runs here: with a token it could write."""
    assert workflow["permissions"] == {}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert "secrets." not in str(workflow)
    assert "pull_request_target" not in workflow[True]  # YAML 1.1 reads `on` as true


def test_no_step_puts_text_of_others_into_a_script(workflow: dict[Any, Any]) -> None:
    """A branch's name in `${{ }}` inside of a script is a script."""
    assert not [step["run"] for step in steps(workflow) if "${{" in step["run"]]


def test_the_first_step_fetches_the_commit_that_is_to_be_tested(
    workflow: dict[Any, Any], tmp_path: Path
) -> None:
    """Tried on a repository of two commits: the older one is asked for, and it is what lies there."""

    def git(*words: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
        done = subprocess.run(["git", *who, *words], cwd=there, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    there, here = tmp_path / "flyball" / "flyball", tmp_path / "here"
    there.mkdir(parents=True)
    here.mkdir()
    git("init", "-q", ".")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    for text in ("old", "new"):
        (there / "file").write_text(text)
        git("add", "file")
        git("commit", "-qm", text)
    variables = {
        "GITHUB_SERVER_URL": f"file://{tmp_path}",
        "GITHUB_REPOSITORY": "flyball/flyball",
        "GITHUB_SHA": git("rev-parse", "HEAD~1"),
        **workflow["env"],
    }
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", steps(workflow)[0]["run"]],
        cwd=here, env={**os.environ, **variables}, check=True, timeout=60,
    )  # fmt: skip
    assert (here / "file").read_text() == "old"


def test_it_runs_what_every_other_ci_runs(workflow: dict[Any, Any]) -> None:
    """One script decides what green means."""
    assert any(step["run"] == "bash .ci/run" for step in steps(workflow))
    assert (ROOT / ".ci" / "run").exists()
