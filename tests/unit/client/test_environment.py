"""The environment variables, the clock, and what an import costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import flyball
from flyball.agent import AgentDocuments
from flyball.aws import DynamoCircuits
from flyball.clock import SystemClock
from flyball.environment import Runtime, from_environment, write_to_stdout
from flyball.errors import SettingsError
from flyball.sources import EnvironmentDocuments

CLIENT = str(Path(flyball.__file__).parent.parent)


def test_nothing_configured_is_local_protection_only():
    """No store is asked that nobody named."""
    shared = from_environment({})
    assert (shared.function, shared.off, shared._circuits) == ("", False, None)


def test_each_variable_is_obeyed():
    """The list of the module docstring."""
    shared = from_environment(
        {
            "AWS_LAMBDA_FUNCTION_NAME": "pay",
            "FLYBALL_AGENT": "app/prod/flyball",
            "FLYBALL_CIRCUITS_TABLE": "circuits",
            "FLYBALL_OFF": "TRUE",
        }
    )
    assert (shared.function, shared.off) == ("pay", True)
    source = shared._circuits._read.__closure__
    assert any(isinstance(cell.cell_contents, DynamoCircuits) for cell in source)
    assert isinstance(shared._document._read.__self__, AgentDocuments)
    assert isinstance(from_environment({})._document._read.__self__, EnvironmentDocuments)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FLYBALL_AGENT", "app/prod"), ("FLYBALL_AGENT", "app//x"), ("FLYBALL_OFF", "maybe")],
)
def test_a_variable_that_cannot_be_obeyed_is_named(variable, value):
    """At the first declaration, in the deployment's own test, not in the incident."""
    with pytest.raises(SettingsError) as caught:
        from_environment({variable: value})
    assert caught.value.field == variable


def test_a_clock_that_went_back_does_not_stop_the_metrics():
    """Else the next line would come when the old hour is reached again."""
    lines = []

    class Clock(SystemClock):
        now_s = 10_000.0

        def wall_s(self) -> float:
            return self.now_s

    clock = Clock()
    shared = Runtime(clock=clock, write=lines.append)
    shared.target("t").counters.short_circuited += 1
    shared.flush_if_due(clock.now_s)
    clock.now_s = 6_400.0
    shared.flush_if_due(clock.now_s)
    assert len(lines) == 1


def test_a_line_is_written_in_one_piece(capsys):
    """Lambda's log driver takes it as one event."""
    write_to_stdout('{"a":1}')
    assert capsys.readouterr().out == '{"a":1}\n'


def test_the_system_clock_draws_in_the_unit_interval():
    """And not twice the same."""
    clock = SystemClock()
    draws = {clock.draw() for _ in range(1_000)}
    assert len(draws) > 990
    assert all(0.0 <= draw < 1.0 for draw in draws)
    assert abs(clock.wall_s() - clock.wall_s()) < 60.0


def modules_after(code: str) -> set[str]:
    """Modules that `code` loads in a fresh interpreter, beyond json."""
    script = (
        "import json, sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1])\n"
        f"{code}\n"
        "sys.stderr.write(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, CLIENT], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stderr))


def test_an_import_costs_a_cold_start_nothing():
    """At most 25 modules beyond json; lazy names make it two."""
    assert len(modules_after("import flyball")) <= 25


def test_the_first_guarded_call_loads_no_heavy_module():
    """Neither asyncio nor an HTTP client nor the SDK; at most 30 modules, our own included."""
    used = modules_after('import flyball\nflyball.target("t").guard(lambda: 1)()\nflyball.flush()')
    assert len(used) <= 30, sorted(used)
    heavy = {
        "asyncio",
        "boto3",
        "dataclasses",
        "http.client",
        "inspect",
        "logging",
        "random",
        "socket",
        "threading",
    }
    assert not used & heavy


def test_every_public_name_can_be_loaded():
    """Lazy names are promises until somebody calls them."""
    for name in flyball.__all__:
        assert getattr(flyball, name) is not None
    assert set(flyball.__all__) <= set(dir(flyball))
    with pytest.raises(AttributeError, match="nonsense"):
        flyball.nonsense  # noqa: B018
