"""The frame of the command line: lazy, helpful, one paragraph per failure."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli, group
from flyball_analytics.cli.errors import MEANINGS, ExitCode, failure_of
from flyball_analytics.cli.group import FlyballGroup
from flyball_analytics.wording import WORDS
from flyball_controller.core.errors import CheckpointError, PolicyError
from flyball_controller.core.model import Reason
from flyball_controller.core.policy import Policy
from flyball_controller.ports import PortError

BUILT_IN = ["explain", "redrive", "replay", "validate"]


def run(*arguments: str):
    """Run the command line in this process."""
    return CliRunner().invoke(cli, list(arguments))


def loaded_by(module: str, *suspects: str) -> str:
    """Import a module in a fresh process; return which of the suspects came with it."""
    path = [p for p in sys.path if p]
    code = (
        f"import sys; sys.path[:0]={path!r}; import {module}; "
        f"print([m for m in {suspects!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_command_line_loads_click_and_nothing_heavy() -> None:
    """`flyball --help` must be instant: each command pays for itself."""
    heavy = ("numpy", "pandas", "rich", "boto3", "pydantic", "yaml", "flyball_controller")
    assert loaded_by("flyball_analytics.cli", *heavy) == "[]"


def test_replaying_needs_no_data_science_library() -> None:
    """The base installation replays; numpy and pandas belong to an extra."""
    assert loaded_by("flyball_analytics.cli.replay", "numpy", "pandas", "boto3", "moto") == "[]"


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_command_has_help_with_an_example_and_says_what_it_changes(name: str) -> None:
    """House rule: what happens, what is read, what is changed, show me."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert f"example: flyball {name}" in command.help
    assert "nothing is changed" in command.help.replace("\n", " ") or "written" in command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts} has no help"


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_listed_help_is_the_commands_own(name: str) -> None:
    """The list is written without importing the command: the two must not drift apart."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.short_help == cli._lazy[name][1]


def test_the_console_script_runs_the_group() -> None:
    """What `[project.scripts]` names: a process of its own, its name in the usage line."""
    path = [p for p in sys.path if p]
    call = "import flyball_analytics.cli as c; sys.argv=['x', 'explain', 'no']; c.main()"
    code = f"import sys; sys.path[:0]={path!r}; {call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('flyball: there is no reason or exit code "no"')


def test_help_lists_every_command_and_the_exit_codes(monkeypatch) -> None:
    """The first page a user sees."""
    monkeypatch.setattr(group, "entry_points", lambda group: [])
    result = run("--help")
    assert result.exit_code == 0
    for word in [*BUILT_IN, "Exit codes", "example: flyball replay"]:
        assert word in result.output


def test_the_version_can_be_asked_for() -> None:
    """For bug reports."""
    result = run("--version")
    assert (result.exit_code, result.output.startswith("flyball ")) == (0, True)


def test_an_unknown_command_gets_a_guess(monkeypatch) -> None:
    """Exit code 2 and the nearest name."""
    monkeypatch.setattr(group, "entry_points", lambda group: [])
    result = run("repaly")
    assert result.exit_code == 2
    assert "did you mean 'replay'" in result.stderr


def group_with(monkeypatch, **points: str) -> FlyballGroup:
    """A group with plugins that exist nowhere else."""
    found = [EntryPoint(name, value, group.PLUGIN_GROUP) for name, value in points.items()]
    monkeypatch.setattr(group, "entry_points", lambda group: found)
    return FlyballGroup(
        name="flyball", commands_lazy={"explain": ("flyball_analytics.cli.explain:explain", "x")}
    )


def test_another_package_adds_commands(monkeypatch) -> None:
    """The demo registers itself; it is no built-in."""
    plugged = group_with(monkeypatch, why="flyball_analytics.cli.explain:explain")
    assert plugged.list_commands(click.Context(plugged)) == ["explain", "why"]
    result = CliRunner().invoke(plugged, ["why", "DEAD_END"])
    assert result.exit_code == 2
    assert "there is no reason" in result.stderr


def test_a_plugin_cannot_replace_a_built_in_command(monkeypatch) -> None:
    """Installing a package must not change what `explain` does."""
    plugged = group_with(monkeypatch, explain="nowhere:nothing")
    assert CliRunner().invoke(plugged, ["explain", "HEALTHY"]).exit_code == 0


def test_a_plugin_that_cannot_be_loaded_names_what_is_missing(monkeypatch) -> None:
    """And never breaks the help of the others."""
    plugged = group_with(monkeypatch, demo="no_such_package:demo")
    result = CliRunner().invoke(plugged, ["demo"])
    assert result.exit_code == 2
    assert "needs the Python package 'no_such_package'" in result.stderr
    assert "pip install 'flyball[local]'" in result.stderr
    listed = CliRunner().invoke(plugged, ["--help"])
    assert listed.exit_code == 0
    assert "cannot be loaded" in listed.output


def test_a_plugin_that_is_no_command_is_our_bug(monkeypatch) -> None:
    """A wrong entry point is found at once."""
    result = CliRunner().invoke(group_with(monkeypatch, odd="json:dumps"), ["odd"])
    assert result.exit_code == 70
    assert "not a click command" in result.stderr


def failing(monkeypatch, error: Exception) -> FlyballGroup:
    """A group whose only command fails."""
    plugged = group_with(monkeypatch)

    @plugged.command("fail")
    def fail() -> None:
        raise error

    plugged._lazy["fail"] = (f"{__name__}:fail", "x")
    monkeypatch.setattr(FlyballGroup, "get_command", click.Group.get_command)
    return plugged


def test_a_failure_is_one_paragraph_and_a_traceback_only_on_request(monkeypatch) -> None:
    """Users get a sentence, maintainers get the stack."""
    plugged = failing(monkeypatch, ZeroDivisionError("by zero"))
    result = CliRunner().invoke(plugged, ["fail"])
    assert result.exit_code == 70
    assert result.stderr.startswith("flyball: internal error, ZeroDivisionError: by zero; this is a defect")
    assert "Traceback" not in result.stderr
    debugged = CliRunner().invoke(plugged, ["--debug", "fail"])
    assert debugged.exit_code == 70
    assert "Traceback" in debugged.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PolicyError("a.yaml:3: bad", field="x"), ExitCode.INVALID, "a.yaml:3: bad"),
        (CheckpointError("no state"), ExitCode.INVALID, "no state"),
        (
            PortError("denied", backend="DynamoDB", retryable=False),
            ExitCode.BACKEND,
            "DynamoDB failed: denied",
        ),
        (PortError("slow", backend="AppConfig", retryable=True), ExitCode.BACKEND, "may work later"),
        (FileNotFoundError(2, "No such file", "x.bin"), ExitCode.INVALID, "x.bin: No such file"),
        (OSError("odd"), ExitCode.INVALID, "odd"),
        (RuntimeError("x"), ExitCode.BUG, "defect in flyball"),
    ],
)
def test_each_failure_has_its_exit_code(error: Exception, code: ExitCode, words: str) -> None:
    """Scripts decide on codes, never on text."""
    failure = failure_of(error)
    assert failure.exit_code == code
    assert words in failure.message


def test_explain_lists_everything_and_explains_by_name_and_number() -> None:
    """Every reason of a journal can be looked up."""
    listed = run("explain")
    assert all(reason.name in listed.output for reason in Reason)
    by_name, by_number = run("explain", "error-rate-over-trip"), run("explain", "10")
    assert by_name.output == by_number.output
    assert WORDS[Reason.ERROR_RATE_OVER_TRIP].meaning in by_name.output


def test_explain_knows_the_exit_codes() -> None:
    """They are the other codes a user meets."""
    assert set(MEANINGS) == set(ExitCode)
    result = run("explain", "exit-4")
    assert "INCONCLUSIVE" in result.output
    assert run("explain", "exit-9").exit_code == 2


def test_explain_guesses() -> None:
    """A typo costs no search."""
    result = run("explain", "HEALTY")
    assert result.exit_code == 2
    assert "did you mean 'HEALTHY'" in result.stderr


def test_validate_shows_what_a_policy_sets(write, tmp_path) -> None:
    """Differences from the shipped defaults, by target."""
    policy = write(
        "p.yaml",
        "version: 1",
        "mode: shadow",
        "defaults: {retry_floor: 0.1}",
        "targets: {pay: {open_floor: 0.55}}",
    )
    result = run("validate", str(policy))
    assert result.exit_code == 0
    assert f"defaults: mode active -> shadow; retry_floor {Policy().retry_floor:g} -> 0.1" in result.output
    assert f"pay: open_floor {Policy().open_floor:g} -> 0.55" in result.output
    assert "as shipped" in run("validate", "two-loop").output


def test_validate_compiles_what_lambda_loads(write, tmp_path) -> None:
    """The compiled file is the same policy, byte for byte the same each time."""
    policy = write("p.yaml", "version: 1", "defaults: {retry_floor: 0.1}")
    out = tmp_path / "p.json"
    assert run("validate", str(policy), "--compile", str(out)).exit_code == 0
    once = run("validate", str(policy), "--format", "json").output
    again = run("validate", str(out), "--format", "json").output
    assert once == again
    assert '"retry_floor":0.1' in once


def test_validate_refuses_with_the_place(write) -> None:
    """Exit code 2, file and line, a guess."""
    result = run("validate", str(write("p.yaml", "version: 1", "defaults:", "  retry_flor: 0.1")))
    assert result.exit_code == 2
    assert "p.yaml:3" in result.stderr
    assert "retry_floor" in result.stderr
    assert "Traceback" not in result.stderr
