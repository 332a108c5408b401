"""Everything a controller remembers of one target between two steps.

A restart at any point changes no decision: what is not here is not remembered.
`flyball_controller.codec` packs it into versioned bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball.records import CircuitState
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.evidence import Window
from flyball_controller.core.model import Hold, HoldKind, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.promise import NO_RARITY, Rarity

NEVER = -1.0
NO_HOLD = Hold(HoldKind.NONE, NEVER, "", "")


class LawState(NamedTuple):
    """Memory of the control law. Times are decision times; NEVER means it has not happened."""

    regime: Regime
    applied: Setpoint
    changed_s: float = NEVER
    loosened_s: float = NEVER
    circuit_since_s: float = NEVER
    off_since_s: float = NEVER  # since when the target has not been nominal
    bad_count: int = 0  # windows in a row that call for the next step of the same regime
    clean_count: int = 0  # settled clean windows in a row
    off_count: int = 0  # windows since it left nominal
    hold_factor: int = 1
    useless: bool = False  # latched: retries do not help until normal again


class State(NamedTuple):
    """Memory of one target."""

    law: LawState
    baseline: Baseline = Baseline()
    ring: tuple[Window, ...] = ()
    stamp_s: float = NEVER  # start of the newest accepted window: older evidence changes nothing (C5)
    seen_s: float = NEVER  # time of the newest decision
    data_s: float = NEVER  # arrival of the newest data
    valid_until_s: float = NEVER
    sequence: int = 0  # steps that changed the state
    hold: Hold = NO_HOLD
    open_allowed: bool = True  # fleet guardrail: too many targets are open already
    loosen_frozen_until_s: float = NEVER  # fleet guardrail: correlated failure
    rarity: Rarity = NO_RARITY  # evidence since the circuit was last anything but closed


def nominal_setpoint(policy: Policy) -> Setpoint:
    """Return what clients should do when all is well."""
    return Setpoint(
        policy.attempts_nominal,
        policy.budget_nominal,
        policy.throttle_base_ms_nominal,
        CircuitState.CLOSED,
        1.0,
        policy.close_after,
    )


def initial_state(policy: Policy) -> State:
    """Return the state of a target never seen before: nominal, nothing learned."""
    return State(LawState(Regime.NOMINAL, nominal_setpoint(policy)))
