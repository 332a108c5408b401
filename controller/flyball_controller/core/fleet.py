"""What only the whole fleet can see: too many open circuits, and failures that come together.

One record for the fleet, stepped with each batch of decisions; its verdict
enters the targets' states before their next step. Pure, like the rest.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball.records import CircuitState
from flyball_controller.core.model import Decision
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import NEVER, State


class FleetState(NamedTuple):
    """Memory of the fleet: who is open, who tightened recently."""

    open_targets: tuple[str, ...] = ()  # sorted
    tightened: tuple[tuple[str, float], ...] = ()  # (target, time), oldest first
    frozen_until_s: float = NEVER


def fleet_step(
    fleet: FleetState, decisions: tuple[Decision, ...], policy: Policy, *, at_s: float
) -> FleetState:
    """Return the fleet's memory after a batch of decisions.

    Several targets tightening within `correlated_s` are one platform event, not
    several accidents: loosening is then frozen for two such spans, so that
    restored retries do not line up against whatever they share.
    """
    open_targets = set(fleet.open_targets)
    recent = {target: when for target, when in fleet.tightened if at_s - when <= policy.correlated_s}
    for decision in decisions:
        if decision.applied.circuit in (CircuitState.OPEN, CircuitState.HALF_OPEN):
            open_targets.add(decision.target)
        else:
            open_targets.discard(decision.target)
        if decision.changed and decision.urgent:
            recent[decision.target] = decision.at_s
    frozen_until_s = fleet.frozen_until_s
    if len(recent) >= policy.correlated_min and any(d.changed and d.urgent for d in decisions):
        frozen_until_s = at_s + 2.0 * policy.correlated_s
    tightened = tuple(sorted(recent.items(), key=lambda item: (item[1], item[0])))
    return FleetState(tuple(sorted(open_targets)), tightened, frozen_until_s)


def apply_fleet(state: State, fleet: FleetState, policy: Policy, *, target: str, fleet_size: int) -> State:
    """Return the state with the fleet's verdict: may this target open, may it loosen.

    The share is of the fleet's size; one open circuit is always allowed, or a
    fleet of three could never open any.
    """
    others = len(fleet.open_targets) - (1 if target in fleet.open_targets else 0)
    allowed = others == 0 or others + 1 <= policy.open_share_max * fleet_size
    if state.open_allowed == allowed and state.loosen_frozen_until_s == fleet.frozen_until_s:
        return state
    return state._replace(open_allowed=allowed, loosen_frozen_until_s=fleet.frozen_until_s)
