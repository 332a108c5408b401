"""The circuit's states and every way between them: a literal table, total over (state, event).

Everything that decides which state follows which is in this file; nothing else
sets a circuit. The diagram in docs/reference/circuit.md is drawn from the table.
Dwell is not here: the law asks `may_move` before it names an event.
"""

from __future__ import annotations

from enum import IntEnum

from flyball.records import CircuitState


class CircuitEvent(IntEnum):
    """What can happen to a circuit. Automation: TRIP, SHED, PROBE, RESET. Operator: the rest."""

    TRIP = 0  # cut traffic, leave probes
    SHED = 1  # let a share through: a lasting capacity deficit
    PROBE = 2  # try more traffic
    RESET = 3  # normal again
    FORCE_OPEN = 4
    FORCE_CLOSED = 5
    RELEASE = 6  # operator hold ended: automation starts from closed


_C, _H, _O = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN
_FO, _FC = CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED
_E = CircuitEvent

TRANSITIONS: dict[tuple[CircuitState, CircuitEvent], CircuitState] = {
    (_C, _E.TRIP): _O,
    (_C, _E.SHED): _H,
    (_C, _E.PROBE): _C,
    (_C, _E.RESET): _C,
    (_C, _E.FORCE_OPEN): _FO,
    (_C, _E.FORCE_CLOSED): _FC,
    (_C, _E.RELEASE): _C,
    (_H, _E.TRIP): _O,
    (_H, _E.SHED): _H,
    (_H, _E.PROBE): _H,
    (_H, _E.RESET): _C,
    (_H, _E.FORCE_OPEN): _FO,
    (_H, _E.FORCE_CLOSED): _FC,
    (_H, _E.RELEASE): _H,
    (_O, _E.TRIP): _O,
    (_O, _E.SHED): _H,
    (_O, _E.PROBE): _H,
    (_O, _E.RESET): _H,  # never from open to closed at once: the half-open step is the proof
    (_O, _E.FORCE_OPEN): _FO,
    (_O, _E.FORCE_CLOSED): _FC,
    (_O, _E.RELEASE): _O,
    # Operators win over automation until their hold is released or expires.
    (_FO, _E.TRIP): _FO,
    (_FO, _E.SHED): _FO,
    (_FO, _E.PROBE): _FO,
    (_FO, _E.RESET): _FO,
    (_FO, _E.FORCE_OPEN): _FO,
    (_FO, _E.FORCE_CLOSED): _FC,
    (_FO, _E.RELEASE): _H,  # a forced-open target may still be dead: come back through probes
    (_FC, _E.TRIP): _FC,
    (_FC, _E.SHED): _FC,
    (_FC, _E.PROBE): _FC,
    (_FC, _E.RESET): _FC,
    (_FC, _E.FORCE_OPEN): _FO,
    (_FC, _E.FORCE_CLOSED): _FC,
    (_FC, _E.RELEASE): _C,
}


def next_circuit(state: CircuitState, event: CircuitEvent) -> CircuitState:
    """Return the state that follows.

    >>> next_circuit(CircuitState.OPEN, CircuitEvent.RESET).name
    'HALF_OPEN'
    """
    return TRANSITIONS[state, event]


def may_move(*, since_s: float, at_s: float, dwell_s: float) -> bool:
    """Return whether automation has stayed long enough in a state entered at `since_s` (-1 = never moved)."""
    return since_s < 0.0 or at_s - since_s >= dwell_s
