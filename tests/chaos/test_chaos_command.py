"""`flyball chaos`: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flyball_analytics.cli import cli, group
from flyball_local.chaos.command import chaos
from flyball_local.chaos.experiments import EXPERIMENTS

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
POINTS = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["flyball.commands"]


def flyball(*arguments: str) -> Result:
    """Run `flyball chaos ...` with the errors of the real command line."""
    return CliRunner().invoke(cli, ["chaos", *arguments])


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Let the command be found whatever was installed before it was written."""
    point = EntryPoint("chaos", POINTS["chaos"], group.PLUGIN_GROUP)
    monkeypatch.setattr(group, "_plugins", lambda: {"chaos": point})


def test_it_is_a_command_of_flyball():
    """The entry point names what there is."""
    module, _, attribute = POINTS["chaos"].partition(":")
    assert getattr(import_module(module), attribute) is chaos


def test_list_says_what_each_is_for():
    """A hypothesis is what one decides by whether to run it."""
    text = flyball("list").output
    for name, one in EXPERIMENTS.items():
        assert name in text
        assert one.hypothesis in text
    plain = json.loads(flyball("list", "--format", "json").output)
    assert plain["schema"] == 1
    assert [one["name"] for one in plain["experiments"]] == list(EXPERIMENTS)
    assert plain["experiments"][0]["fis_template"] == "TargetThrottles"


def test_run_ends_well_if_all_promises_are_kept():
    """Names may be given twice; each is tried once."""
    done = flyball("run", "store-outage", "store-outage")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("store-outage: held  (policy two-loop, seed 1)")
    assert done.output.endswith("\n1 held\n")


def test_run_ends_with_one_if_a_promise_is_broken_and_says_which():
    """The literal ladder gives up retries where they would pay: somebody's policy, somebody's choice."""
    done = flyball("run", "partial-errors", "--policy", "ladder", "--format", "json")
    assert done.exit_code == 1
    plain = json.loads(done.output)
    (result,) = plain["results"]
    assert (plain["schema"], result["verdict"], result["policy"]) == (1, "broken", "ladder")
    lost = [one["bound"]["measure"] for one in result["findings"] if not one["kept"]]
    assert "goodput_ratio" in lost
    assert set(result["phases"]) == {"before", "during", "late", "after"}
    assert set(result["phases"]["during"]) == set(plain["measures"])
    assert "BROKEN" in flyball("run", "partial-errors", "--policy", "ladder").output


def test_run_ends_with_four_if_nothing_can_be_said(monkeypatch):
    """An experiment whose fault met nobody has shown nothing."""
    idle = EXPERIMENTS["store-outage"]._replace(steps=(EXPERIMENTS["document-garbage"].steps[0],), bounds=())
    idle = idle._replace(steps=(idle.steps[0]._replace(fault=_Nothing()),))
    monkeypatch.setitem(EXPERIMENTS, "store-outage", idle)
    done = flyball("run", "store-outage")
    assert done.exit_code == 4
    assert "nothing met the fault" in done.output


class _Nothing:
    """A fault that does nothing."""

    def begin(self, world: object) -> None:
        """Do nothing."""

    def end(self, world: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "outge"), "there is no experiment \"outge\"; did you mean 'outage'?"),
        (("run", "outage", "--policy", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_what_is_not_there_is_told_with_its_remedy(arguments, said):
    """Exit code 2, one paragraph, no traceback."""
    done = flyball(*arguments)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output
