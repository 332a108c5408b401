"""The loop of a redrive and its gate: submit, then remove; slowly; never into an open circuit."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import FLEET, Circuit, CircuitState
from flyball.errors import SourceError
from flyball.letter import encode_letter
from flyball_analytics.letterboxes import read_slip
from flyball_analytics.redrive import FAILURES_MAX, Gate, Outcome, redrive
from flyball_controller.ports import PortError
from unit.analytics.letters import NOW_S, Office, Tray, letter, outcomes, pace, plan, run


def test_a_letter_is_removed_after_it_was_taken_and_only_then():
    """At least once: the order of the two effects is the promise."""
    tray, office = Tray(letter(1), letter(2), letter(3)), Office(None, OSError("down"))
    assert outcomes(run(tray, office)) == ["SENT", "FAILED", "SENT"]
    assert (office.taken, tray.removed) == ([1, 3], ["#1", "#3"])


def test_a_dry_run_decides_the_same_and_does_nothing():
    """What would be sent, without a wait."""
    tray, office, waits = Tray(letter(1), None, letter(2)), Office(), []
    assert outcomes(run(tray, office, waits=waits, apply=False)) == ["WOULD_SEND", "UNUSABLE", "WOULD_SEND"]
    assert (office.taken, tray.removed, waits) == ([], [], [])


@pytest.mark.parametrize("apply", [True, False])
def test_the_limit_counts_letters_that_go(apply):
    """Not those that are looked at."""
    tray = Tray(None, letter(1), letter(2, first_failed_at=NOW_S), letter(3), letter(4))
    results = run(tray, Office(), apply=apply, limit=2, older_than_s=60.0)
    assert [result.slip.place for result in results] == ["#1", "#2", "#3", "#4"]


def test_only_old_enough_letters_go():
    """Exactly as old as asked is old enough."""
    ages = [59.9, 60.0, 61.0, -5.0]
    tray = Tray(*(letter(n, first_failed_at=NOW_S - age) for n, age in enumerate(ages)))
    assert outcomes(run(tray, Office(), older_than_s=60.0)) == ["YOUNG", "SENT", "SENT", "YOUNG"]


def test_a_letter_without_a_whole_payload_stays():
    """Half a payload must never be redriven; the reason is said."""
    tray, office = Tray(letter(1, payload=None, problem="payload: no JSON"), None), Office()
    assert [result.detail for result in run(tray, office)] == ["payload: no JSON", "torn"]
    assert (office.taken, tray.removed) == ([], [])


def test_the_pauses_keep_the_rate_and_follow_the_seed():
    """At most 10 a second: 0.1 s and up to half as much again, none before the first."""
    draws = []
    for seed in (1, 1, 2):
        waits: list[float] = []
        paced = pace(waits, rate=10.0, jitter=0.5, seed=seed)
        results = list(redrive(Tray(*map(letter, range(20))), Office(), plan=plan(), pace=paced))
        assert len(results) == 20
        assert len(waits) == 19
        assert all(0.1 <= wait <= 0.15 for wait in waits)
        draws.append(waits)
    assert draws[0] == draws[1] != draws[2]


def test_a_failure_is_paced_as_well():
    """A destination that fails is not hammered."""
    waits: list[float] = []
    run(Tray(letter(1), letter(2), letter(3)), Office(OSError(), OSError()), waits=waits)
    assert waits == pytest.approx([0.1, 0.1])


def test_five_failures_in_a_row_are_the_destinations():
    """The rest of the backlog stays where it is."""
    tray = Tray(*map(letter, range(20)))
    office = Office(OSError(), None, *[OSError("down") for _ in range(FAILURES_MAX)])
    seen: list[Any] = []
    with pytest.raises(PortError, match="OSError: down") as caught:
        seen.extend(redrive(tray, office, plan=plan(), pace=pace([])))
    assert outcomes(seen) == ["FAILED", "SENT", *["FAILED"] * FAILURES_MAX]
    assert caught.value.retryable


def test_a_wrong_name_or_a_missing_permission_stops_at_once():
    """It will not be better for the next letter."""
    tray, office = (
        Tray(letter(1), letter(2)),
        Office(PortError("no such function", backend="l", retryable=False)),
    )
    with pytest.raises(PortError):
        run(tray, office)
    assert tray.removed == []
    office = Office(PortError("throttled", backend="l", retryable=True))
    assert outcomes(run(tray, office)) == ["FAILED", "SENT"]


def test_a_letter_that_was_taken_and_not_removed_is_named_before_the_end():
    """Somebody has to remove it by hand, or it goes twice."""
    tray = Tray(letter(1), letter(2))
    seen: list[Any] = []
    tray.error = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        seen.extend(redrive(tray, Office(), plan=plan(), pace=pace([])))
    assert [(result.outcome.name, result.detail[:11]) for result in seen] == [("SENT", "not removed")]


def test_an_interruption_leaves_the_letter():
    """Control-C while a payload is under way."""
    tray = Tray(letter(1))
    with pytest.raises(KeyboardInterrupt):
        run(tray, Office(KeyboardInterrupt()))
    assert tray.removed == []


@given(script=st.lists(st.booleans(), max_size=12), limit=st.none() | st.integers(1, 5))
def test_repeated_until_nothing_is_left_every_letter_goes_exactly_once(script, limit):
    """Whatever fails in between; five in a row end a run, and the next goes on."""
    waiting, taken = {f"#{n}": letter(n) for n in range(8)}, []
    failures = [OSError() if fails else None for fails in script]
    for _ in range(40):
        tray, office = Tray(), Office(*failures)
        tray.slips_left = [read_slip(place, encode_letter(one)) for place, one in waiting.items()]
        with suppress(PortError):
            run(tray, office, limit=limit)
        taken += office.taken
        failures = office.script
        for place in tray.removed:
            del waiting[place]
    assert sorted(taken) == list(range(8))
    assert waiting == {}


# --- the gate ---------------------------------------------------------------------------


def item(state: CircuitState, **fields: Any) -> Circuit:
    known = Circuit("payments", FLEET, state, NOW_S, 9, 0.1, 1, "w", NOW_S, NOW_S + 90.0, "")
    return known._replace(**fields)


class Table:
    """A circuit source that says what it is told, and how often it was asked."""

    def __init__(self, *circuits: Circuit, error: Exception | None = None) -> None:
        self.circuits = list(circuits)
        self.error = error
        self.asked: list[Any] = []

    def read(self, targets: Any, function: str) -> list[Circuit]:
        self.asked.append((list(targets), function))
        if self.error is not None:
            raise self.error
        return self.circuits


class Clock:
    """Wall time by hand."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def wall_s(self) -> float:
        return self.now_s


@pytest.mark.parametrize("state", list(CircuitState))
def test_letters_go_only_where_a_client_would_call(state):
    """Open, half-open and forced open are spared."""
    tray, gate = Tray(letter(1)), Gate(Table(item(state)), Clock())
    spared = state.name in ("OPEN", "HALF_OPEN", "FORCED_OPEN")
    (result,) = run(tray, Office(), gate=gate)
    assert (result.outcome, result.detail) == (
        (Outcome.OPEN, state.name.lower()) if spared else (Outcome.SENT, "")
    )


def test_the_gate_sees_what_a_client_sees():
    """The function's own item before the fleet's, old news as none, the kill switch over all."""
    clock = Clock()
    opened = item(CircuitState.OPEN)
    own = item(CircuitState.CLOSED, function="pay")
    switch = item(CircuitState.FORCED_CLOSED, target=FLEET)
    old = opened._replace(valid_until=NOW_S - 301.0)
    assert Gate(Table(opened, own), clock).state("payments", "pay") == CircuitState.CLOSED
    assert Gate(Table(opened, switch), clock).state("payments", "pay") == CircuitState.FORCED_CLOSED
    assert Gate(Table(old), clock).state("payments", "pay") == CircuitState.CLOSED
    assert (
        Gate(Table(old._replace(valid_until=NOW_S - 1)), clock).state("payments", "pay").name == "HALF_OPEN"
    )


def test_the_gate_reads_once_per_age_and_target():
    """Neither per letter nor only at the beginning: the redrive itself may open the circuit."""
    clock, table = Clock(), Table()
    gate = Gate(table, clock)
    for _ in range(3):
        gate.state("payments", "pay")
        gate.state("stock", "pay")
    assert table.asked == [(["payments"], "pay"), (["stock"], "pay")]
    clock.now_s += 5.0
    table.circuits = [item(CircuitState.OPEN)]
    assert gate.state("payments", "pay") == CircuitState.OPEN


def test_without_the_circuits_nothing_is_sent():
    """A tool that is in no hurry fails closed."""
    gate = Gate(Table(error=SourceError("down", source="dynamodb")), Clock())
    tray = Tray(letter(1))
    with pytest.raises(PortError, match="down"):
        run(tray, Office(), gate=gate)
    assert tray.removed == []


def test_a_letter_without_a_target_has_no_circuit():
    """Written by somebody else's hand; DynamoDB refuses empty keys."""
    table = Table()
    run(Tray(letter(1, target="")), Office(), gate=Gate(table, Clock()))
    assert table.asked == []
