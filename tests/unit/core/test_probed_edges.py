"""Rows of good checks at the edges of every condition, asked directly."""

from __future__ import annotations

import pytest

from flyball.contract import CircuitState
from flyball_controller.core.evidence import Window
from flyball_controller.core.model import Evidence, Observation, Quality, Reason, Regime
from flyball_controller.core.moment import Wish
from flyball_controller.core.policy import Policy
from flyball_controller.core.probed import wish_probed
from flyball_controller.core.state import LawState, State, nominal_setpoint

POLICY = Policy()
NOMINAL = nominal_setpoint(POLICY)
DEAD = NOMINAL._replace(budget_ratio=0.0)
OPEN = DEAD._replace(circuit=CircuitState.OPEN, probe_ratio=0.1)
HALF = DEAD._replace(circuit=CircuitState.HALF_OPEN, probe_ratio=0.2)
AT_S = 1_000.0
ROW = Observation("t", AT_S - 61.0, 61.0, AT_S, 3, quality=Quality.PROBED)


def state(applied=OPEN, regime: Regime = Regime.DEAD, *windows: Window, **memory: object) -> State:
    """A dead target whose circuit moved 200 s ago."""
    law = LawState(regime, applied, changed_s=800.0, circuit_since_s=800.0, bad_count=2, clean_count=3)
    known = {name: memory.pop(name) for name in list(memory) if name in State._fields}
    return State(law._replace(**memory), ring=windows)._replace(**known)  # type: ignore[arg-type]


def shown(
    start_s: float, requests: int, failures: int = 0, *, short: int = 0, period_s: float = 60.0
) -> Window:
    """A window of clients' calls."""
    return Window(start_s, period_s, requests, 0, failures, 0, 0, -1, short)


def moved(before: State, row: Observation = ROW, policy: Policy = POLICY) -> bool:
    """Whether the row moves the setpoint."""
    return wish_probed(before, row, policy).setpoint != before.law.applied


def test_a_row_that_says_nothing_leaves_everything():
    """Two of three."""
    before = state(useless=True)
    quiet = Evidence(Reason.NOTHING_NEW, 2.0, 3.0, 2, 1.0)
    assert wish_probed(before, ROW._replace(requests=2), POLICY) == Wish(
        OPEN, Regime.DEAD, (quiet,), 2, 3, True
    )


def test_a_row_of_good_checks_moves_one_step():
    """Open, half-open, closed, nominal."""
    good = (Evidence(Reason.CHECKS_SUCCEEDED, 3.0, 3.0, 3, 1.0),)
    half = wish_probed(state(useless=True), ROW, POLICY)
    assert half == Wish(HALF, Regime.RECOVERING, good, 0, 0, True)
    closed = wish_probed(state(HALF, Regime.RECOVERING), ROW, POLICY)
    assert closed == Wish(DEAD, Regime.RECOVERING, good, 0, 0, False)
    nominal = wish_probed(state(DEAD, Regime.RECOVERING), ROW, POLICY)
    assert nominal == Wish(NOMINAL, Regime.NOMINAL, good, 0, 0, False)


def test_attempts_return_by_their_step():
    """Of the policy: one, or two at once."""
    low = DEAD._replace(max_attempts=1)
    for step, attempts in ((1, 2), (2, 3)):
        wish = wish_probed(state(low), ROW, POLICY._replace(attempts_step=step))
        assert wish.setpoint == low._replace(max_attempts=attempts)


def test_relapses_ask_for_rows_as_many_times_as_long():
    """3 x 2 checks."""
    before = state(hold_factor=2)
    assert not moved(before, ROW._replace(requests=5))
    wish = wish_probed(before, ROW._replace(requests=6), POLICY)
    assert wish.evidence[0] == Evidence(Reason.CHECKS_SUCCEEDED, 6.0, 6.0, 6, 1.0)


@pytest.mark.parametrize(
    ("row", "moves"),
    [
        (ROW, True),
        (ROW._replace(errors_fast=1), False),
        (ROW._replace(timeouts=1), False),
        (ROW._replace(start_s=800.0, period_s=200.0), True),  # with the change itself
        (ROW._replace(start_s=799.0, period_s=201.0), False),
        (ROW._replace(start_s=800.0, period_s=1.0, arrived_s=1_101.0), True),  # 300 s old
        (ROW._replace(start_s=800.0, period_s=1.0, arrived_s=1_101.5), False),
    ],
)
def test_a_row_is_good_whole_fresh_and_after_the_change(row, moves):
    """Each condition alone forbids."""
    assert moved(state(), row) is moves


@pytest.mark.parametrize(("until_s", "moves"), [(1_000.0, True), (1_000.5, False)])
def test_a_frozen_fleet_waits_to_its_last_second(until_s, moves):
    """Then it may loosen."""
    assert moved(state(loosen_frozen_until_s=until_s)) is moves


@pytest.mark.parametrize(
    ("failures", "start_s", "moves"),
    [(15, 940.0, True), (16, 940.0, False), (16, 938.0, True), (16, 939.0, False)],
)
def test_clients_calls_since_the_row_began_outweigh_it(failures, start_s, moves):
    """15 of 100 is the reset of 0.15, and not over it; the row began at 939 s."""
    assert moved(state(OPEN, Regime.DEAD, shown(start_s, 100, failures))) is moves


@pytest.mark.parametrize("applied", [OPEN, HALF])
@pytest.mark.parametrize(("since_s", "moves"), [(880.0, True), (881.0, False), (-1.0, True)])
def test_a_gate_keeps_its_dwell_for_checks_too(applied, since_s, moves):
    """120 s."""
    assert moved(state(applied, Regime.RECOVERING, circuit_since_s=since_s)) is moves


@pytest.mark.parametrize(
    ("before", "after"), [(0.1, 0.2), (0.12, 0.2), (0.13, 0.3), (0.44, 0.9), (0.45, 0.9), (0.6, 0.9)]
)
def test_twice_the_probe_share_to_a_tenth_up_to_nine(before, after):
    """Never all at once."""
    wish = wish_probed(state(OPEN._replace(probe_ratio=before)), ROW, POLICY)
    assert wish.setpoint == HALF._replace(probe_ratio=after)


@pytest.mark.parametrize("applied", [HALF, DEAD])
@pytest.mark.parametrize(("changed_s", "moves"), [(925.0, True), (925.5, False)])
def test_after_the_first_step_a_change_must_have_settled(applied, changed_s, moves):
    """75 s; the row began with it."""
    row = ROW._replace(start_s=930.0, period_s=70.0)
    before = state(applied, Regime.DEAD, changed_s=changed_s, circuit_since_s=changed_s - 200.0)
    assert moved(before, row) is moves


def test_the_first_step_needs_no_settled_change():
    """A circuit that opened long ago, with a new budget 70 s ago."""
    row = ROW._replace(start_s=940.0, period_s=60.0)
    assert moved(state(OPEN, Regime.DEAD, changed_s=930.0), row)


@pytest.mark.parametrize(
    ("windows", "memory", "moves"),
    [
        # Ten calls a minute are judged by themselves; refused ones count.
        ((shown(900.0, 10),), {}, False),
        ((shown(900.0, 9),), {}, True),
        ((shown(900.0, 9, short=1),), {}, False),
        ((shown(880.0, 10, period_s=61.0),), {}, True),
        ((shown(900.0, 10, period_s=0.5),), {"data_s": -1.0}, False),
        # Windows of before the change show another setting: then silence decides.
        ((shown(700.0, 600),), {"data_s": 880.0}, False),
        ((shown(700.0, 600),), {"data_s": 879.0}, True),
        ((shown(700.0, 600, period_s=10.0),), {"data_s": 980.0}, False),
        ((shown(700.0, 600, period_s=10.0),), {"data_s": 979.0}, True),
        ((shown(600.0, 600, period_s=10.0), shown(700.0, 600)), {"data_s": 900.0}, False),
        ((), {"data_s": 880.0}, False),
        ((), {"data_s": 879.0}, True),
        ((), {"data_s": -1.0}, True),
    ],
)
@pytest.mark.parametrize("applied", [HALF, DEAD])
def test_who_sends_enough_to_be_judged_by_is_judged_by_that(applied, windows, memory, moves):
    """Two periods without a window are silence."""
    assert moved(state(applied, Regime.DEAD, *windows, **memory)) is moves


def test_the_epoch_is_no_silence():
    """Data of time 0, looked at two minutes later and a second after that."""
    early = {"changed_s": 0.0, "circuit_since_s": 0.0, "data_s": 0.0}
    row = ROW._replace(start_s=60.0, period_s=60.0, arrived_s=120.0)
    assert not moved(state(HALF, Regime.DEAD, **early), row)
    assert moved(state(HALF, Regime.DEAD, **early), row._replace(arrived_s=121.0))


@pytest.mark.parametrize(
    ("applied", "regime", "memory", "moves"),
    [
        (OPEN, Regime.DEAD, {}, True),
        (OPEN, Regime.BLIND, {}, True),
        (OPEN._replace(close_after=20), Regime.DEAD, {}, False),  # shed
        (HALF, Regime.SATURATED, {}, False),
        (DEAD, Regime.DEAD, {}, True),
        (DEAD, Regime.DEAD, {"circuit_since_s": -1.0}, True),
        (DEAD, Regime.RECOVERING, {}, True),  # just closed by us
        (DEAD, Regime.BLIND, {}, True),
        (DEAD, Regime.BROKEN, {}, False),
        (DEAD, Regime.RECOVERING, {"circuit_since_s": 700.0}, False),  # something else changed since
        (DEAD, Regime.RECOVERING, {"circuit_since_s": -1.0, "changed_s": -1.0}, False),
        (DEAD._replace(close_after=20), Regime.RECOVERING, {}, False),
        (DEAD, Regime.SATURATED, {}, False),
        (DEAD._replace(circuit=CircuitState.FORCED_OPEN), Regime.DEAD, {}, False),
        (DEAD._replace(circuit=CircuitState.FORCED_CLOSED), Regime.DEAD, {}, False),
    ],
)
def test_only_what_was_dead_is_brought_back_by_checks(applied, regime, memory, moves):
    """What answered all the time, or is held, is no business of theirs."""
    assert moved(state(applied, regime, **memory)) is moves


def test_a_circuit_closed_at_the_epoch_was_just_closed():
    """0 is a time."""
    row = ROW._replace(start_s=939.0)
    assert moved(state(DEAD, Regime.RECOVERING, changed_s=0.0, circuit_since_s=0.0), row)
    assert moved(state(DEAD, Regime.RECOVERING, changed_s=0.5, circuit_since_s=0.5), row)
