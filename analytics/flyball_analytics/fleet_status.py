"""What every target of an installation is doing now, from states, circuits, holds and the document.

A nominal state is saved rarely, so an old one is no news; one off nominal is
saved every round, and an old one means that no controller is at work. Those two
limits, and nothing else, make `stale`.

Reads only. Knows no output format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from flyball.contract import FLEET, Circuit, CircuitState
from flyball.errors import ContractError, SourceError
from flyball_controller.core.model import Hold, HoldKind
from flyball_controller.core.state import State
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import PortError

if TYPE_CHECKING:
    from flyball_analytics.installation import Installation
    from flyball_controller.aws.operator_publisher import Live

STATUS_SCHEMA = 1
TICK_S = 60.0
STALE_AFTER_TICKS = 3  # the controller's own alarm fires after as many


class TargetStatus(NamedTuple):
    """One target. Times are epoch seconds, ages seconds; None = there is none."""

    target: str
    stage: str  # "off", "shadow", "canary", "active"; "?" if the policy is not known
    canary: tuple[str, ...]
    regime: str  # "?" without a state
    circuit: str  # that clients obey now: published, not expired; else "closed"
    circuit_until_s: float | None
    circuit_why: str
    decided_circuit: str  # by the state; in shadow it is not published
    max_attempts: int | None
    budget_ratio: float | None
    changed_s: float | None
    decided_age_s: float | None  # since the newest decision that was saved
    data_age_s: float | None  # since data came last
    stale: bool  # no controller saved this state although it should have
    hold: str | None  # "freeze", "force_open", "force_closed"
    hold_until_s: float | None
    hold_by: str | None
    hold_why: str | None
    edited: bool  # somebody changed it in the document; the controller leaves it alone


class FleetStatus(NamedTuple):
    """The installation."""

    at_s: float
    policy: str  # name, "" if it is the controllers' own and not known
    policy_hash: str
    policy_number: int
    applied_by: str
    revision: int  # of the document; 0 = none
    in_flight: bool
    document_problem: str  # why the document could not be read; "" = it could, or there is none
    kill_switch_until_s: float | None  # None = off
    kill_switch_why: str
    targets: tuple[TargetStatus, ...]

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look: kill switch on, a stale state, or a circuit not closed."""
        return self.kill_switch_until_s is not None or any(
            row.stale or row.circuit not in ("closed", "forced_closed") for row in self.targets
        )


def fleet_status(installation: Installation, names: Sequence[str], *, now_s: float) -> FleetStatus:
    """Return the status of these targets, or of all that policy, settings and document name.

    Raises:
        PortError: A store failed. That AppConfig failed is said in the answer.
        PolicyError: The policy in force cannot be read.
    """
    live, problem = installation.seen(now_s=now_s)
    in_force = installation.in_force(live.document if live else None)
    known = in_force.policies
    chosen = sorted(set(names) or _all_names(installation, known, live))
    circuits = read_circuits(installation, chosen)
    holds = installation.holds.active(chosen) if chosen else {}
    states = installation.states(chosen)
    edited = live.edited if live else ()
    limit_s = installation.settings.checkpoint_every_s + STALE_AFTER_TICKS * TICK_S
    rows = [
        target_status(
            name,
            policies=known,
            state=states.get(name),
            circuit=circuits.get(name),
            hold=holds.get(name),
            edited=name in edited,
            nominal_limit_s=limit_s,
            now_s=now_s,
        )
        for name in chosen
    ]
    switch = circuits.get(FLEET)
    on = switch is not None and switch.state == CircuitState.FORCED_CLOSED and now_s < switch.valid_until
    return FleetStatus(
        at_s=now_s,
        policy=known.name if known else "",
        policy_hash=known.hash if known else "",
        policy_number=in_force.pointer.number,
        applied_by=in_force.pointer.by,
        revision=live.document.revision if live and live.document else 0,
        in_flight=live.in_flight if live else False,
        document_problem=problem,
        kill_switch_until_s=switch.valid_until if on and switch else None,
        kill_switch_why=switch.reason if on and switch else "",
        targets=tuple(rows),
    )


def _all_names(installation: Installation, known: PolicySet | None, live: Live | None) -> set[str]:
    names = {*installation.settings.targets, *(known.targets if known else ())}
    return names | set(live.document.targets if live and live.document else ())


def read_circuits(installation: Installation, names: Sequence[str]) -> dict[str, Circuit]:
    """Return the fleet's circuit of each target that has one, and the kill switch under "*".

    Raises:
        PortError: The table could not be read.
    """
    from flyball.aws import DynamoCircuits

    source = DynamoCircuits(
        table=installation.settings.circuits_table,
        client=installation.clients.dynamodb,
    )
    try:
        found = source.read(names, FLEET)
    except ContractError:
        return {}  # none can be understood: no client obeys any
    except SourceError as error:
        raise PortError(str(error), backend="dynamodb", retryable=True) from error
    return {circuit.target: circuit for circuit in found if circuit.function == FLEET}


def target_status(
    name: str,
    *,
    policies: PolicySet | None,
    state: State | None,
    circuit: Circuit | None,
    hold: Hold | None,
    edited: bool,
    nominal_limit_s: float,
    now_s: float,
) -> TargetStatus:
    """Return one target's row from what is stored about it.

    Args:
        name: The target.
        policies: In force, None if not known.
        state: Stored, None if there is none.
        circuit: The fleet's item, expired or not, None if there is none.
        hold: Stored, expired or not, None if there is none.
        edited: Whether somebody changed it in the document.
        nominal_limit_s: How old a nominal state may be.
        now_s: Epoch seconds.
    """
    obeyed = circuit if circuit is not None and now_s < circuit.valid_until else None
    held = hold if hold is not None and hold.kind not in ENDED and now_s < hold.until_s else None
    stage = policies.stage(name) if policies else "?"
    law = state.law if state else None
    age_s = now_s - state.seen_s if state and state.seen_s >= 0.0 else None
    off = law is not None and law.off_since_s >= 0.0
    limit_s = STALE_AFTER_TICKS * TICK_S if off else nominal_limit_s
    return TargetStatus(
        target=name,
        stage=stage,
        canary=policies.canary_functions(name) if policies else (),
        regime=law.regime.name.lower() if law else "?",
        circuit=(obeyed.state if obeyed else CircuitState.CLOSED).name.lower(),
        circuit_until_s=obeyed.valid_until if obeyed else None,
        circuit_why=obeyed.reason if obeyed else "",
        decided_circuit=law.applied.circuit.name.lower() if law else "?",
        max_attempts=law.applied.max_attempts if law else None,
        budget_ratio=law.applied.budget_ratio if law else None,
        changed_s=law.changed_s if law and law.changed_s >= 0.0 else None,
        decided_age_s=age_s,
        data_age_s=now_s - state.data_s if state and state.data_s >= 0.0 else None,
        stale=age_s is None or age_s > limit_s,
        hold=held.kind.name.lower() if held else None,
        hold_until_s=held.until_s if held else None,
        hold_by=held.by if held else None,
        hold_why=held.why if held else None,
        edited=edited,
    )


ENDED = frozenset({HoldKind.NONE, HoldKind.RELEASE})
