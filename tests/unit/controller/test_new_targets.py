"""Many targets that are new at once: a round reads a few histories, and comes to its end."""

from __future__ import annotations

from collections.abc import Sequence

from core_runs import T0, calm, window
from flyball.contract import CircuitState
from flyball_controller.codec import decode_state
from flyball_controller.core.model import Observation
from flyball_controller.fakes import ScriptedSensor, memory_ports
from flyball_controller.loop import HISTORIES_MAX, Ports, Remembered, RunReport, Trigger, run_once
from flyball_controller.policy_set import load_preset
from flyball_controller.ports import PortError

DOZEN = tuple(f"s{number:02d}" for number in range(12))
POLICIES = load_preset("two-loop")


class Sensor(ScriptedSensor):
    """Tells whose history was asked for; `broken` answers none, for good or for now."""

    def __init__(self, windows: Sequence[Observation], past: Sequence[Observation]) -> None:
        super().__init__(windows, past)
        self.asked: list[str] = []
        self.broken: dict[str, bool] = {}  # whether it may go through later

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return the past, or fail."""
        self.asked.append(target)
        if target in self.broken:
            raise PortError("no history", backend="sensor", retryable=self.broken[target])
        return super().history(target, until_s=until_s, days=days)


def fleet(*, fast: int = 0, minutes: int = 20) -> Ports:
    """A dozen targets with an hour of past, all healthy or failing from minute 0 on."""
    past = [seen._replace(target=name) for name in DOZEN for seen in calm(-60, 60)]
    live = [window(m, fast=fast)._replace(target=name) for name in DOZEN for m in range(minutes)]
    return memory_ports()._replace(sensor=Sensor([*past, *live], past))


def first_to_ask(minute: int) -> str:
    """The target whose turn comes first in the round of this minute."""
    return DOZEN[int((T0 + 60.0 * minute + 80.0) // 60.0) % len(DOZEN)]


def look(ports: Ports, minute: int, cache: dict[str, Remembered] | None = None) -> RunReport:
    """One round over all."""
    return run_once(
        DOZEN, ports=ports, policies=POLICIES, now_s=T0 + 60.0 * minute + 80.0,
        trigger=Trigger("tick", "test"), cache=cache,
    )  # fmt: skip


def test_a_new_fleet_learns_its_past_a_few_targets_a_round_and_each_one_once():
    """All in the first round took minutes: the tick was ended before it had saved anything, for ever."""
    ports, cache = fleet(), {}
    for minute in range(4):
        asked_before = len(ports.sensor.asked)
        report = look(ports, minute, cache)
        assert {decision.target for decision in report.decisions} == set(DOZEN)
        assert len(ports.sensor.asked) - asked_before <= HISTORIES_MAX
    assert sorted(ports.sensor.asked) == list(DOZEN)
    learned = [decode_state(ports.checkpoints.items[name].data).baseline.requests_ew for name in DOZEN]
    assert min(learned) > 10_000.0  # of an hour of 600 a minute


def test_who_waits_for_its_turn_is_not_saved_and_not_kept():
    """A saved state is never given its past any more."""
    ports, cache = fleet(), {}
    look(ports, 0, cache)
    assert len(ports.checkpoints.items) == len(cache) == HISTORIES_MAX
    assert set(cache) == set(ports.sensor.asked)


def test_the_same_without_a_cache():
    """Each round of a process that knows nothing is a first one."""
    ports = fleet()
    for minute in range(3):
        look(ports, minute)
    assert sorted(ports.sensor.asked) == list(DOZEN)
    assert set(DOZEN) <= set(ports.checkpoints.items)


def test_an_outage_does_not_wait_for_anybodys_turn():
    """Protection counts more than sharpness: who is off nominal is saved at once, and goes on from there."""
    ports, cache = fleet(fast=590), {}
    for minute in range(5):
        report = look(ports, minute, cache)
    assert {decision.applied.budget_ratio for decision in report.decisions} == {0.0}
    assert set(DOZEN) <= set(ports.checkpoints.items)
    assert len(ports.sensor.asked) == HISTORIES_MAX
    assert any(circuit.state == CircuitState.OPEN for circuit in ports.circuits.items.values())


def test_a_history_that_could_not_be_read_is_asked_for_again():
    """One throttled call, and a target never knew its two weeks."""
    ports, cache = fleet(), {}
    unlucky = first_to_ask(0)
    ports.sensor.broken = {unlucky: True}
    report = look(ports, 0, cache)
    assert report.retry
    ports.sensor.broken.clear()
    for minute in range(1, 4):
        look(ports, minute, cache)
    assert ports.sensor.asked.count(unlucky) == 2
    assert unlucky in ports.checkpoints.items


def test_one_without_answer_does_not_keep_the_others_waiting():
    """After a failure nobody else is asked in that round; another one is the first in the next."""
    ports, cache = fleet(), {}
    ports.sensor.broken = {"s00": True}
    for minute in range(12):
        look(ports, minute, cache)
    assert set(cache) == {*DOZEN} - {"s00"}
    down = fleet()
    down.sensor.broken = dict.fromkeys(DOZEN, True)
    look(down, 0)
    assert down.sensor.asked == [first_to_ask(0)]


def test_a_history_that_will_never_be_read_is_done_without():
    """Not allowed to read it: live windows are all there is, and they are kept."""
    ports, cache = fleet(), {}
    ports.sensor.broken = {"s00": False}
    for minute in range(12):
        look(ports, minute, cache)
    assert ports.sensor.asked.count("s00") == 1
    assert "s00" in ports.checkpoints.items


def test_a_fleet_of_damaged_states_is_reset_one_after_the_other_and_told_once_each():
    """Code that was rolled back reads none of the newer states: the same flood of histories."""
    ports, cache = fleet(), {}
    for name in DOZEN:
        ports.checkpoints.save(name, b"newer", expected_version=0, write_id="x", stamp_s=0.0, now_s=T0)
    for minute in range(4):
        look(ports, minute, cache)
    told = [r["target"] for r in ports.journal.records if r.get("event") == "CHECKPOINT_RESET"]
    assert sorted(told) == sorted(ports.sensor.asked) == list(DOZEN)


def test_impossible_windows_of_one_that_waits_are_not_told_again_and_again():
    """It is as new in each round, so that it meets the last quarter of an hour each time."""
    ports, cache = fleet(), {}
    sensor = ports.sensor
    sensor.windows = [seen._replace(errors_fast=700) for seen in sensor.windows]
    for minute in range(4):
        look(ports, minute, cache)
        for name in set(DOZEN) - set(cache):
            assert not any(record["target"] == name for record in ports.journal.records)
    assert {record["target"] for record in ports.journal.records} == set(DOZEN)
