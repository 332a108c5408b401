"""A machine that knows no AWS region: the user's to mend, and told so, by every command that asks AWS."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli

COMMANDS = (
    "status",
    "watch",
    "shadow --since 7d",
    "plan policy.yaml",
    "rollback --dry-run",
    "dashboard payments",
    "kill-switch on --for 1h --reason x",
    "why payments@412 --table t",
)


@pytest.fixture(autouse=True)
def _without_region(monkeypatch, tmp_path):
    """No variable and no file names one."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text("version: 1\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_region_is_told_with_its_remedy(command):
    """It was called a defect of ours, which sends people to the wrong place at night."""
    result = CliRunner().invoke(cli, command.split())
    assert result.exit_code == 2, result.output
    assert "You must specify a region; name a region (--region or AWS_REGION)" in result.stderr
    assert "defect" not in result.stderr


def test_a_function_that_cannot_be_called_is_a_backend_with_the_same_advice():
    """The override function is called by a client that the adapters guard: its failure is a backend's."""
    result = CliRunner().invoke(cli, ["circuit", "open", "payments", "--for", "15m", "--reason", "x"])
    assert result.exit_code == 5
    assert "check region, credentials" in result.stderr


def test_a_profile_that_does_not_exist_is_told_too(monkeypatch):
    """The other thing that stops a client from being made."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    result = CliRunner().invoke(cli, ["status"])
    assert result.exit_code == 2
    assert "nobody" in result.stderr
