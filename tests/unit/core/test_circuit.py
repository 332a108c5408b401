"""The transition table: total, and operators win."""

from __future__ import annotations

import itertools

import pytest

from flyball.contract import CircuitState
from flyball_controller.core.circuit import TRANSITIONS, CircuitEvent, may_move, next_circuit

AUTOMATION = (CircuitEvent.TRIP, CircuitEvent.SHED, CircuitEvent.PROBE, CircuitEvent.RESET)


def test_every_state_knows_every_event():
    """A missing pair would be a crash in the middle of an incident."""
    assert set(TRANSITIONS) == set(itertools.product(CircuitState, CircuitEvent))


@pytest.mark.parametrize("event", AUTOMATION)
@pytest.mark.parametrize("state", [CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED])
def test_automation_never_moves_what_an_operator_holds(state, event):
    """Until the hold is released or expires."""
    assert next_circuit(state, event) == state


def test_open_never_closes_at_once():
    """The half-open step is the proof that it is well again."""
    assert next_circuit(CircuitState.OPEN, CircuitEvent.RESET) == CircuitState.HALF_OPEN


def test_release_of_a_forced_open_circuit_goes_through_probes():
    """It may still be dead."""
    assert next_circuit(CircuitState.FORCED_OPEN, CircuitEvent.RELEASE) == CircuitState.HALF_OPEN


@pytest.mark.parametrize("state", CircuitState)
def test_operators_reach_their_state_from_anywhere(state):
    """Force open, force closed: two emergency brakes that always work."""
    assert next_circuit(state, CircuitEvent.FORCE_OPEN) == CircuitState.FORCED_OPEN
    assert next_circuit(state, CircuitEvent.FORCE_CLOSED) == CircuitState.FORCED_CLOSED


def test_dwell_is_measured_from_the_transition():
    """Not from the last observation: a silent target must be able to move on."""
    assert not may_move(since_s=100.0, at_s=219.9, dwell_s=120.0)
    assert may_move(since_s=100.0, at_s=220.0, dwell_s=120.0)
    assert may_move(since_s=-1.0, at_s=0.0, dwell_s=120.0)
    assert not may_move(since_s=0.0, at_s=1.0, dwell_s=120.0)  # 0 is a time; only -1 is never
