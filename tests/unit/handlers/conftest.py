"""Recorded payloads and the deployment they were recorded for."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyball_controller.aws.settings import Settings
from flyball_controller.codec import decode_state
from flyball_controller.core.model import Observation
from flyball_controller.core.state import State
from flyball_controller.fakes import (
    ManualClock,
    MemoryCheckpoints,
    MemoryCircuits,
    MemoryHolds,
    MemoryJournal,
    MemoryPublisher,
    ScriptedSensor,
)
from flyball_controller.loop import Ports
from flyball_controller.policy_file import load_policy
from flyball_handlers.events import Expected
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.wiring import Runtime, set_runtime, use_runtime

EVENTS = Path(__file__).parents[2] / "events"
NOON_S = 1_795_435_200.0  # 2026-11-23T12:00:00Z, when every recorded alarm changed its state
ACCOUNT, REGION = "123456789012", "eu-west-1"


@pytest.fixture
def sample() -> Callable[[str], object]:
    """Return a reader of tests/events by name."""

    def read(name: str) -> object:
        return json.loads((EVENTS / f"{name}.json").read_text())

    return read


@pytest.fixture
def expected() -> Expected:
    """What the deployment of the samples knows about itself, five seconds after noon."""
    return Expected(
        now_s=NOON_S + 5.0,
        targets=frozenset({"payments-api", "checkout", "stock", "search", "mail"}),
        alarm_targets={"legacy-mail-5xx": ("mail",)},
        accounts=frozenset({ACCOUNT}),
        regions=frozenset({REGION}),
    )


class World:
    """A runtime on fakes, with names for what tests look at."""

    def __init__(self) -> None:
        self.checkpoints = MemoryCheckpoints()
        self.circuits = MemoryCircuits()
        self.holds = MemoryHolds()
        self.publisher = MemoryPublisher()
        self.journal = MemoryJournal()
        self.sensor = ScriptedSensor()
        self.clock = ManualClock(NOON_S + 5.0)
        self.output = io.StringIO()
        self.runtime = Runtime(
            settings=Settings(targets=("payments-api", "checkout", "stock", "search", "mail")),
            origins=Origins(
                alarm_targets={"legacy-mail-5xx": ("mail",)},
                function_targets={"mail-sender": ("mail",)},
                accounts=frozenset({ACCOUNT}),
                regions=frozenset({REGION}),
            ),
            ports=Ports(
                self.sensor, self.checkpoints, self.circuits, self.holds, self.publisher, self.journal
            ),
            policies=load_policy("two-loop"),
            clock=self.clock,
            telemetry=Telemetry(stream=self.output, service=f"test-{uuid.uuid4().hex}"),
        )

    def use(self, **changes: Any) -> None:
        """Change parts of the runtime that is in place."""
        self.runtime = replace(self.runtime, **changes)
        set_runtime(self.runtime)

    def at(self, now_s: float) -> None:
        """Set the clock, backwards too."""
        self.clock.advance(now_s - self.clock.now_s())

    def lines(self) -> list[dict[str, Any]]:
        """Everything written so far; fails if a line is no JSON object."""
        lines = [json.loads(line, parse_constant=_refuse) for line in self.output.getvalue().splitlines()]
        assert all(isinstance(line, dict) for line in lines)
        return lines

    def states(self) -> dict[str, State]:
        """The stored states by target."""
        return {
            key: decode_state(item.data)
            for key, item in self.checkpoints.items.items()
            if not key.startswith("#")
        }


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


@pytest.fixture
def world() -> Iterator[World]:
    """A runtime on fakes, in place while the test runs."""
    built = World()
    with use_runtime(built.runtime):
        yield built


@pytest.fixture
def make_world() -> Callable[[], World]:
    """For tests that need several worlds, one after the other."""
    return World


def window(
    target: str, minute: int, *, requests: int, timeouts: int = 0, errors_fast: int = 0, lag_s: float = 80.0
) -> Observation:
    """Return the window that starts `minute` minutes before (negative) or after noon."""
    start_s = NOON_S + 60.0 * minute
    return Observation(
        target,
        start_s,
        60.0,
        start_s + lag_s,
        requests=requests,
        timeouts=timeouts,
        errors_fast=errors_fast,
        attempts=requests,
    )
