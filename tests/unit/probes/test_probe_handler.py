"""The probe function from its event to its records, and from there to a round that closes a circuit."""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from flyball.contract import CircuitState
from flyball_controller.aws.clock import SystemClock
from flyball_controller.aws.settings import Settings
from flyball_controller.check_book import Result, decode_results, key_of, write_results
from flyball_controller.codec import decode_state, encode_state
from flyball_controller.core import initial_state
from flyball_controller.core.model import Regime
from flyball_controller.core.policy import Policy
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
from flyball_controller.ports import Checkpoint
from flyball_controller.probes import Check, check_from_fields
from flyball_handlers import probe, probe_wiring, tick
from flyball_handlers.checks import Outcome
from flyball_handlers.origins import Origins
from flyball_handlers.probe_run import Runner
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.wiring import Runtime, set_runtime, use_runtime

NOON_S = 1_795_435_200.0
TARGETS = ("ledger", "payments", "stock")


class World:
    """A runtime on fakes and a prober whose checks answer as the test says."""

    def __init__(self) -> None:
        self.answers: dict[str, Outcome] = {}
        self.asked: list[str] = []
        self.pauses: list[float] = []
        self.checkpoints = MemoryCheckpoints()
        self.circuits = MemoryCircuits()
        self.clock = ManualClock(NOON_S + 2.0)
        self.monotonic_s = 100.0
        self.output = io.StringIO()
        fields = {"kind": "tcp", "host": "secret.internal", "port": 1}
        probes = {
            "payments": check_from_fields("payments", {**fields, "every_s": 30}, at=str),
            "stock": check_from_fields("stock", {**fields, "critical": True}, at=str),
        }
        self.runtime = Runtime(
            settings=Settings(targets=TARGETS),
            origins=Origins(),
            ports=Ports(
                ScriptedSensor(),
                self.checkpoints,
                self.circuits,
                MemoryHolds(),
                MemoryPublisher(),
                MemoryJournal(),
            ),
            policies=load_policy("two-loop")._replace(probes=probes),
            clock=self.clock,
            telemetry=Telemetry(stream=self.output, service=f"test-{uuid.uuid4().hex}"),
        )
        self.prober = probe_wiring.Prober(
            runner=Runner(self.ask, clock=lambda: self.monotonic_s),
            clock=lambda: self.monotonic_s,
            draw=lambda: 0.0,
            pause=self.pause,
        )

    def ask(self, check: Check) -> Outcome:
        """Answer for a target."""
        self.asked.append(check.target)
        return self.answers.get(check.target, Outcome(True, "ok", 20.0))

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        self.monotonic_s += seconds

    def found(self, target: str) -> list[tuple[float, bool]]:
        """What is recorded of a target."""
        item = self.checkpoints.items.get(key_of(target), Checkpoint(0, b""))
        return [(result.at_s - NOON_S, result.good) for result in decode_results(item.data)]

    def lines(self) -> list[dict[str, Any]]:
        """Everything written."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]

    def metric(self, name: str) -> list[float]:
        """Values of a metric, in order."""
        return [value for line in self.lines() if "_aws" in line for value in line.get(name, [])]

    def minute(self, number: int = 0) -> dict[str, Any]:
        """Run the probe's minute."""
        self.clock.advance(NOON_S + 60.0 * number + 2.0 - self.clock.now_s())
        return probe.handler({"scheduled_time": "<aws.scheduler.scheduled-time>"})


@pytest.fixture
def world() -> Iterator[World]:
    """In place while the test runs."""
    built = World()
    with use_runtime(built.runtime):
        probe_wiring.set_prober(built.runtime, built.prober)
        yield built
        probe_wiring.set_prober(built.runtime, built.prober)


def test_a_minute_has_two_slots_and_each_result_bears_its_slot_s_time(world: World) -> None:
    """Half-minute checks in both, the others in the first."""
    assert world.minute() == {"checks": 3, "good": 3, "broken": 0}
    assert world.found("payments") == [(0.0, True), (30.0, True)]
    assert world.found("stock") == [(0.0, True)]
    assert world.pauses == [30.0]
    assert world.metric("checks") == [3.0]
    assert world.metric("checks_good") == [3.0]
    assert world.metric("checks_broken") == [0.0]


def test_results_are_metrics_of_each_target(world: World) -> None:
    """Success and latency, under the target's name."""
    world.answers["stock"] = Outcome(False, "timeout", 3_000.0)
    world.minute()
    told = {
        (line["target"], line["check_good"][0], line["check_latency"][0])
        for line in world.lines()
        if "check_good" in line
    }
    assert told == {("payments", 1.0, 20.0), ("stock", 0.0, 3_000.0)}


def test_what_is_logged_names_target_and_word_and_nothing_of_the_address(world: World) -> None:
    """Addresses and answers may hold secrets."""
    world.answers = {"stock": Outcome(False, "refused", 1.0), "payments": Outcome(False, "denied", 1.0, True)}
    world.minute()
    told = [(line["level"], line["facts"]["target"], line["facts"]["outcome"]) for line in world.lines()
            if line.get("message") == "check"]  # fmt: skip
    assert told == [
        ("WARNING", "payments", "denied"),
        ("INFO", "stock", "refused"),
        ("WARNING", "payments", "denied"),
    ]
    assert "secret" not in world.output.getvalue()


def test_a_broken_check_leaves_no_result(world: World) -> None:
    """It says nothing about its target, good or bad."""
    world.answers["stock"] = Outcome(False, "forbidden-address", 1.0, broken=True)
    assert world.minute()["broken"] == 1
    assert world.found("stock") == []
    assert world.metric("checks_broken") == [1.0]


def test_the_same_minute_twice_counts_once(world: World) -> None:
    """Schedules deliver at least once."""
    world.minute()
    world.monotonic_s += 30.0
    world.minute()
    assert world.found("payments") == [(0.0, True), (30.0, True)]


def test_a_minute_that_comes_late_is_left_to_the_next(world: World) -> None:
    """Its checks would be made now and recorded as then."""
    world.clock.advance(89.0)
    event = {"scheduled_time": "2026-11-23T12:00:00Z"}
    assert probe.handler(event) == {"checks": 0, "good": 0, "broken": 0}
    assert world.asked == []
    assert world.metric("checks_late") == [1.0]


def test_a_store_that_fails_costs_a_minute_s_results_and_says_so(world: World) -> None:
    """The next minute has its own; repeating the checks would only load the targets."""
    world.checkpoints.fail_next(1)
    assert world.minute()["checks"] == 3
    assert world.found("payments") == [(30.0, True)]
    assert world.metric("backend_errors") == [1.0]


def test_on_a_clock_that_cannot_be_waited_for_there_are_first_slots_only(world: World) -> None:
    """An embedded run's clock stands still while the handler runs."""
    probe_wiring.set_prober(world.runtime, replace(world.prober, pause=None))
    assert world.minute() == {"checks": 2, "good": 2, "broken": 0}


def test_the_prober_of_production_waits_on_the_machine_s_clock_and_is_made_once() -> None:
    """What hung in the last minute is remembered in it."""
    built = World()
    own = replace(built.runtime, clock=SystemClock())
    prober = probe_wiring.prober(own)
    assert probe_wiring.prober(own) is prober
    assert prober.pause is not None
    assert 0.0 <= prober.draw() < 1.0
    assert probe_wiring.prober(built.runtime).pause is None
    assert os.environ is not None


def open_since(world: World, at_s: float) -> None:
    """Store a state of `payments` that was dead, with an open circuit, and has no traffic since."""
    state = initial_state(Policy())
    applied = state.law.applied._replace(circuit=CircuitState.OPEN, probe_ratio=0.6, budget_ratio=0.0)
    law = state.law._replace(
        regime=Regime.DEAD, applied=applied, changed_s=at_s, circuit_since_s=at_s, off_since_s=at_s
    )
    state = state._replace(
        law=law, seen_s=at_s, data_s=at_s, stamp_s=at_s - 80.0, valid_until_s=at_s + 90.0, sequence=7
    )
    world.checkpoints.items["payments"] = Checkpoint(1, encode_state(state))


def rounds(world: World, minutes: int, *, probed: bool) -> list[str]:
    """The published circuit of `payments` after each minute's checks and tick."""
    states = []
    for number in range(minutes):
        if probed:
            world.minute(number)
        world.clock.advance(NOON_S + 60.0 * number + 40.0 - world.clock.now_s())
        tick.handler({})
        item = world.circuits.items.get(("payments", "*"))
        states.append("" if item is None else item.state.name)
    return states


def test_a_target_without_traffic_recovers_by_checks(world: World) -> None:
    """Checks at 12:00, 12:00:30, 12:01 ... : three in a row, then two minutes of dwell and settling each."""
    open_since(world, NOON_S - 60.0)
    states = rounds(world, 9, probed=True)
    # 12:01:40: three checks, 160 s after the open. Closed two minutes later, at 12:03:40; then nominal.
    assert states[:4] == ["OPEN", "HALF_OPEN", "HALF_OPEN", "CLOSED"]
    assert set(states[3:]) == {"CLOSED"}
    record = world.runtime.ports.journal.records[-1]  # type: ignore[attr-defined]
    assert [item["reason"] for item in record["evidence"]] == ["CHECKS_SUCCEEDED"]
    state = decode_state(world.checkpoints.items["payments"].data)
    assert (state.law.regime, state.law.applied.budget_ratio) == (Regime.NOMINAL, 0.2)


def test_checks_that_move_nothing_leave_no_trace(world: World) -> None:
    """The item that people read says why the circuit is open, not that checks had nothing to add."""
    open_since(world, NOON_S - 30.0)
    world.minute()
    world.clock.advance(NOON_S + 40.0 - world.clock.now_s())
    assert tick.handler({})["decisions"] == 3  # one per target
    assert world.circuits.items["payments", "*"].reason == "DEAD: OBSERVATION_MISSING"
    assert decode_state(world.checkpoints.items["payments"].data).sequence == 8


def test_without_checks_it_stays_as_it_is(world: World) -> None:
    """The same target, the same rounds, and nobody to call it: restricted until somebody does."""
    open_since(world, NOON_S - 60.0)
    assert set(rounds(world, 9, probed=False)) == {"OPEN"}


def test_a_dead_probe_changes_nothing_and_the_circuit_lapses_by_itself(world: World) -> None:
    """Two good checks and then silence: no step, and what is published runs out."""
    open_since(world, NOON_S - 60.0)
    for at_s in (-30.0, 0.0):
        good = {"payments": Result(NOON_S + at_s, 9.0, good=True)}
        write_results(world.checkpoints, good, slot_s=30.0, now_s=NOON_S)
    assert set(rounds(world, 20, probed=False)) == {"OPEN"}
    item = world.circuits.items["payments", "*"]
    assert item.valid_until < world.clock.now_s()  # blind for ten minutes: not renewed


def test_bad_checks_do_not_open_a_calm_target(world: World) -> None:
    """Never alone for opening."""
    world.answers = dict.fromkeys(("payments", "stock"), Outcome(False, "timeout", 3_000.0))
    rounds(world, 5, probed=True)
    assert world.found("payments")[-1][1] is False
    assert world.circuits.items == {}


def test_an_unreadable_record_is_reported_and_the_round_goes_on(world: World) -> None:
    """Checks are a help; rounds must not depend on them."""
    open_since(world, NOON_S - 60.0)

    class NoRecords(MemoryCheckpoints):
        def load(self, keys):  # type: ignore[no-untyped-def]
            if any(key.startswith("#probe/") for key in keys):
                self.fail_next(1)
            return super().load(keys)

    store = NoRecords()
    store.items = world.checkpoints.items
    set_runtime(replace(world.runtime, ports=world.runtime.ports._replace(checkpoints=store)))
    answer = tick.handler({})
    assert answer["decisions"] == 3
    assert answer["incomplete"] == []
    assert [
        line["facts"]["retryable"] for line in world.lines() if line.get("message") == "backend failed"
    ] == [False]
