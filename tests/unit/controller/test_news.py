"""Which steps are worth a journal line: what lasts is told when it begins, once an hour, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from core_runs import T0, calm, window
from flyball_controller.core.model import Hold, HoldKind, Observation
from flyball_controller.fakes import memory_ports
from flyball_controller.loop import Remembered, Trigger, run_once
from flyball_controller.policy_set import load_preset

HOURS = 3  # each test begins at a full hour


class Fleet:
    """One target over in-memory ports, minute by minute."""

    def __init__(self, windows: list[Observation], past: list[Observation] | None = None) -> None:
        self.ports = memory_ports(windows, past or ())
        self.journal, self.holds = self.ports.journal, self.ports.holds
        self.cache: dict[str, Remembered] = {}

    def look(self, minute: float) -> None:
        """One round."""
        run_once(
            ["t"],
            ports=self.ports,
            policies=load_preset("two-loop"),
            now_s=T0 + 60.0 * minute + 80.0,
            trigger=Trigger("tick", "test"),
            cache=self.cache,
        )

    def told(self, reason: str = "") -> list[int]:
        """Minutes of the rounds whose record gives this reason; "" = of all records."""
        return [
            int((float(str(record["at_s"])) - T0 - 80.0) / 60.0)
            for record in self.journal.records
            if not reason or reason in reasons(record)
        ]


def reasons(record: dict[str, Any]) -> list[str]:
    """Names of a record's reasons."""
    return [one["reason"] for one in record["evidence"]]


def held(minute: float, kind: HoldKind = HoldKind.FREEZE) -> Hold:
    """A hold until the beginning of this minute's round."""
    return Hold(kind, T0 + 60.0 * minute + 80.0, "ana", "looking")


def test_a_freeze_is_told_when_it_begins_once_an_hour_and_when_it_ends():
    """A record holds a state of kilobytes: one a minute buried what happened under what did not."""
    fleet = Fleet(calm(0, 60 * HOURS), calm(-60, 60))
    fleet.look(0)
    fleet.holds.put("t", held(150), now_s=T0)
    for minute in range(1, 60 * HOURS):
        fleet.look(minute)
    # The rounds of minutes 59 and 119 are made at 60:20 and 120:20: the first of their hours.
    assert fleet.told("OPERATOR_HOLD") == [1, 59, 119]
    assert fleet.told() == [1, 59, 119, 150]


def test_a_forced_circuit_is_told_as_rarely():
    """It is published every minute all the same."""
    refused = [window(minute, requests=0, short=600) for minute in range(1, 40)]
    fleet = Fleet([window(0), *refused], calm(-60, 60))
    fleet.look(0)
    fleet.holds.put("t", held(30, HoldKind.FORCE_OPEN), now_s=T0)
    for minute in range(1, 30):
        fleet.look(minute)
    assert fleet.told() == [1]
    assert len(fleet.ports.circuits.writes) == 29
    fleet.look(30)
    assert fleet.told("OPERATOR_HOLD_EXPIRED") == [30]


def test_each_hold_is_told_and_so_is_a_release():
    """A second operator's hold, or its end by hand, is another fact."""
    fleet = Fleet(calm(0, 30), calm(-60, 60))
    holds = {2: held(50), 9: held(51), 14: Hold(HoldKind.NONE, 0.0, "", "")}
    for minute in range(20):
        if minute in holds:
            fleet.holds.put("t", holds[minute], now_s=T0)
        fleet.look(minute)
    assert fleet.told() == [2, 9, 14]
    assert fleet.told("OPERATOR_HOLD") == [2, 9]


def test_a_hold_is_told_even_if_the_window_beside_it_was_refused():
    """The first step of a round may be about an impossible window; it obeys nobody."""
    fleet = Fleet([window(0), window(1, fast=700)], calm(-60, 60))
    fleet.look(0)
    fleet.holds.put("t", held(50), now_s=T0)
    fleet.look(1)
    fleet.look(2)
    assert [reasons(record) for record in fleet.journal.records] == [
        ["OBSERVATION_INVALID"],
        ["OBSERVATION_MISSING", "OPERATOR_HOLD"],
    ]


@pytest.mark.parametrize("minutes", [1, 2])
def test_a_few_impossible_windows_are_all_told(minutes):
    """What does not last needs no summary."""
    fleet = Fleet([*calm(0, 5), *(window(5 + i, fast=700) for i in range(minutes)), *calm(5 + minutes, 5)])
    for minute in range(12):
        fleet.look(minute)
    assert fleet.told("OBSERVATION_INVALID") == [5, 6][:minutes]


def test_impossible_windows_that_last_are_told_at_first_once_an_hour_and_when_they_end():
    """A sensor that lies for a day wrote 1,440 states, all the same."""
    bad = [window(minute, fast=700) for minute in range(5, 150)]
    fleet = Fleet([*calm(0, 5), *bad, *calm(150, 10)], calm(-60, 60))
    for minute in range(160):
        fleet.look(minute)
    # Minutes 5 and 6: only the third can know that the second was no better than the first.
    assert fleet.told("OBSERVATION_INVALID") == [5, 6, 60, 120]
    assert fleet.told() == [5, 6, 60, 120, 150]


def test_a_target_that_never_had_a_possible_window_is_told_as_rarely():
    """Mapped to the wrong metrics from its first day on; history alone is no sign of that."""
    fleet = Fleet([window(minute, fast=700) for minute in range(90)], calm(-60, 60))
    for minute in range(90):
        fleet.look(minute)
    assert fleet.told("OBSERVATION_INVALID") == [0, 60]


def test_a_window_that_cannot_be_put_behind_is_told_each_time():
    """Its time lies in the future, so the state does not move past it: another fault, and no repetition."""
    bad = [window(minute, fast=700) for minute in range(5, 12)]
    fleet = Fleet([*calm(0, 5), *bad], calm(-60, 60))
    for minute in range(12):
        fleet.look(minute)
    before = len(fleet.journal.records)
    for minute in (12, 13):
        ahead = window(60)._replace(arrived_s=T0 + 60.0 * minute + 80.0)
        run_once(
            ["t"],
            ports=fleet.ports,
            policies=load_preset("two-loop"),
            now_s=T0 + 60.0 * minute + 80.0,
            trigger=Trigger("stream", "test"),
            given={"t": [ahead]},
            cache=fleet.cache,
        )
    assert len(fleet.journal.records) == before + 2
