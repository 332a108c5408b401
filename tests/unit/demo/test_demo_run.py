"""The demo end to end, shortened: real handlers, embedded AWS, both worlds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_controller.policy_set import load_preset
from flyball_handlers import wiring
from flyball_local.demo import static
from flyball_local.demo.command import demo
from flyball_local.demo.progress import follow
from flyball_local.demo.report import DemoResult, render_json, render_text
from flyball_local.demo.runner import run_demo
from flyball_local.demo.scenario import Scenario, scenario

SHORT = scenario(hours=2, only=("payments-api", "pricing-api", "report-export"))
TINY = scenario(hours=2, only=("license-check",))
HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
    "AWS_ACCESS_KEY_ID": "AKIAHOSTILE",
    "AWS_SECRET_ACCESS_KEY": "hostile",
    "AWS_REGION": "nowhere-1",
    "AWS_DEFAULT_REGION": "nowhere-2",
    "AWS_ENDPOINT_URL": "http://198.51.100.7:9",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://198.51.100.7:9",
    "AWS_MAX_ATTEMPTS": "not a number",
    "HTTPS_PROXY": "http://198.51.100.7:9",
    "HTTP_PROXY": "http://198.51.100.7:9",
    "FLYBALL_NO_SUCH_VARIABLE": "1",
}


@pytest.fixture
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing connect or resolve: the demo needs no socket at all in this process."""

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError(f"the demo opened a socket: {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def short() -> DemoResult:
    """Return the short demo's result, every AWS call held to the service model."""
    return run_demo(SHORT, policies=load_preset("two-loop"), seed=5, checked=True)


def test_flyball_ends_the_storm_that_static_retries_keep_alive(short: DemoResult) -> None:
    """The reason for the whole thing, through real handlers."""
    mine, other = short.flyball.incidents[0], short.static.incidents[0]
    assert mine.recovered_after_s is not None
    assert mine.goodput_after_ratio > 0.95
    assert other.recovered_after_s is None
    assert other.goodput_after_ratio < 0.05
    assert other.attempts_per_request > 3.5


def test_the_controller_finds_the_storm_in_the_first_bad_minute(short: DemoResult) -> None:
    """60 s until the minute has ended, 25 s until it is evaluated; then it acts within the minute."""
    control = short.incident_control[0]
    assert control.detected_after_s is not None
    assert control.acted_after_s is not None
    assert 80.0 <= control.detected_after_s <= 150.0
    assert control.detected_after_s <= control.acted_after_s <= 240.0
    assert control.action
    assert 1 <= control.deployments <= 6


def test_the_hourly_batch_provokes_nothing(short: DemoResult) -> None:
    """Four times the traffic and 5 % errors, every hour: the past knows it."""
    batch = short.quiet_control[2]
    assert batch.service == "report-export"
    assert (batch.actions, batch.deployments) == (0, 0)


def test_every_request_of_both_worlds_is_accounted_for_and_both_got_the_same(short: DemoResult) -> None:
    """Conservation, and common random numbers."""
    for mine, other in zip(short.flyball.services, short.static.services, strict=True):
        assert mine.arrived == mine.ok + mine.failed + mine.rejected
        assert other.arrived == other.ok + other.failed + other.rejected
        assert mine.arrived == other.arrived
    assert all(service.rejected == 0 for service in short.static.services)


def test_the_machinery_ran_and_did_not_fail(short: DemoResult) -> None:
    """One tick a minute (the last is still on its way), alarms in both directions, no error."""
    machine = short.machinery
    assert 119 <= machine.ticks <= 130
    assert machine.alarm_events >= 3 + 4
    assert machine.handler_errors == 0
    assert machine.decisions == len(short.actions) > 0
    assert machine.deployments >= 2


def test_only_what_is_near_an_incident_is_simulated(short: DemoResult) -> None:
    """The rest is counted; the batch service never needs simulation."""
    assert [s.simulated_minutes > 0 for s in short.flyball.services] == [True, True, False]
    assert all(s.simulated_minutes < 120 for s in short.flyball.services)


def test_the_same_seed_gives_the_same_bytes_in_a_hostile_environment(
    short: DemoResult, monkeypatch: pytest.MonkeyPatch, no_socket: None
) -> None:
    """Nobody's AWS settings, proxies or variables may reach a simulation, nor may it reach anybody."""
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    again = run_demo(SHORT, policies=load_preset("two-loop"), seed=5)
    assert render_text(again) == render_text(short)
    assert render_json(again) == render_json(short)


def test_another_seed_is_another_day() -> None:
    """In both worlds, which still see the same day."""
    one, other = (static.run_static(TINY, seed=seed) for seed in (5, 6))
    assert one.services[0].arrived != other.services[0].arrived
    assert run_demo(TINY, policies=load_preset("ladder"), seed=6).static == other


def test_the_handlers_runtime_is_put_back(short: DemoResult) -> None:
    """A demo inside a process that also serves events must not leave its controller behind."""
    assert short.machinery.ticks > 0
    assert wiring._current is None


AUDITED = """
import os, runpy, sys
read = set()
class Audited(type(os.environ)):
    def __getitem__(self, key):
        read.add(key)
        return super().__getitem__(key)
    def __contains__(self, key):
        read.add(key)
        return super().__contains__(key)
known = os.environ
os.environ = Audited(known._data, known.encodekey, known.decodekey, known.encodevalue, known.decodevalue)
from flyball_controller.policy_set import load_preset
from flyball_local.demo.control import ControlledWorld
from flyball_local.demo.scenario import scenario
world = ControlledWorld(scenario(hours=2, only=("payments-api",)), policies=load_preset("two-loop"), seed=1)
for number in world.minutes():
    if number == 15:
        break
print(*sorted(key for key in read if str(key).startswith(("AWS", "FLYBALL"))))
"""
# Read by Powertools at import and by its Logger: how a Lambda function starts and logs, never where AWS is.
LAMBDA_RUNTIME = {"AWS_EXECUTION_ENV", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_LEVEL"}


def test_no_variable_that_leads_to_an_account_is_ever_read() -> None:
    """Not even looked at: an environment that records its readers."""
    roots = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", AUDITED],
        env={**os.environ, "PYTHONPATH": roots},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(done.stdout.split()) <= LAMBDA_RUNTIME


def test_the_command_prints_json_on_stdout_and_progress_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """stdout is the result and nothing else."""
    monkeypatch.setattr("flyball_local.demo.scenario.scenario", _tiny)
    found = CliRunner().invoke(demo, ["--hours", "2", "--seed", "3", "--format", "json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["seed"] == 3
    assert found.stderr.count("simulated") == 4


def test_the_command_prints_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is the default, and a preset is chosen by name."""
    monkeypatch.setattr("flyball_local.demo.scenario.scenario", _tiny)
    found = CliRunner().invoke(demo, ["--hours", "2", "--policy", "fixed"])
    assert found.exit_code == 0, found.output
    assert "policy fixed" in found.stdout
    assert "1 license-check: outage at 3 requests/min" in found.stdout


def _tiny(*, hours: int) -> Scenario:
    """Return a world that costs a second: the command is tested here, not the world."""
    return scenario(hours=hours, only=("license-check",))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hours", "1"], "2<=x<=24"),
        (["--policy", "ladde"], "ladder"),
        (["--policy", "/nonexistent/policy.yaml"], "policy.yaml"),
        (["--format", "xml"], "'text', 'json'"),
    ],
)
def test_a_wrong_command_line_ends_with_two_and_says_why(arguments: list[str], said: str) -> None:
    """Before anything is simulated."""
    found = CliRunner().invoke(demo, arguments)
    assert found.exit_code == 2
    assert said in found.output


def test_a_dead_other_process_is_an_error_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not a wait for ever."""
    monkeypatch.setattr(static, "_work", os._exit)
    with (
        static.static_arm(SHORT, seed=1) as wait,
        pytest.raises(RuntimeError, match=r"ended with code [1-9]"),
    ):
        wait()


def test_leaving_early_ends_the_other_process() -> None:
    """Ctrl-C must not leave a process behind."""
    with static.static_arm(scenario(), seed=1) as wait:
        assert callable(wait)
    import multiprocessing

    assert multiprocessing.active_children() == []


def test_progress_on_a_terminal_is_a_bar_and_leaves_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """And nothing at all goes to stdout."""
    follow(iter(range(30)), total=30, terminal=True)
    follow(iter(range(8)), total=8, terminal=False)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("simulated") == 4


def test_nothing_of_the_machine_is_in_the_source_tree_of_the_demo() -> None:
    """Paths and clocks of the machine would make the output differ."""
    folder = Path(static.__file__).parent
    for file in sorted(folder.glob("*.py")):
        assert "time.time" not in file.read_text(), file
