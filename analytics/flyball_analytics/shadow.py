"""What the controller would have done to a target, from the journal of its decisions in shadow.

Production journals every change and the state before it. So the setpoints between
two changes are known, and with them for how long retries would have been restricted
and the circuit open. What clients would have gained by it is not in the journal:
`flyball simulate` and `flyball compare` answer that.

Pure: records are an argument.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_controller.codec import decode_state
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

SHADOW_SCHEMA = 1


class Step(NamedTuple):
    """One change that active would have published."""

    at_s: float
    decision: str  # target@sequence, for `flyball why`
    regime: str
    reason: str
    max_attempts: int
    budget_ratio: float
    circuit: str


class ShadowReport(NamedTuple):
    """One target over a span. Seconds are of the span."""

    target: str
    since_s: float
    until_s: float
    steps: tuple[Step, ...]
    tightened: int  # changes that took something away
    restricted_s: float  # with fewer retries than nominal, or a circuit not closed
    open_s: float  # with a circuit not closed
    acted: int  # changes that were published: the target was not in shadow then
    unreadable: int  # records that could not be understood


def shadow_report(
    records: Iterable[Mapping[str, object]], policy: Policy, *, target: str, since_s: float, until_s: float
) -> ShadowReport:
    """Return what active would have done to a target in a span.

    Args:
        records: The target's journal in the span, oldest first; events without decision are skipped.
        policy: In force; says what nominal is.
        target: Whose.
        since_s, until_s: The span, epoch seconds.
    """
    nominal = nominal_setpoint(policy)
    steps: list[Step] = []
    tightened = acted = unreadable = 0
    restricted_s = open_s = 0.0
    current, from_s = nominal, since_s
    for record in records:
        if record.get("changed") is not True:
            continue
        step, before = _step(record, target), _before(record)
        if step is None:
            unreadable += 1
            continue
        held = before if before is not None else current
        restricted_s += _length(_is_restricted(held, nominal), from_s, step.at_s)
        open_s += _length(held.circuit in _OPEN, from_s, step.at_s)
        current, from_s = _setpoint(step, held), step.at_s
        steps.append(step)
        tightened += record.get("urgent") is True
        acted += record.get("shadow") is not True
    restricted_s += _length(_is_restricted(current, nominal), from_s, until_s)
    open_s += _length(current.circuit in _OPEN, from_s, until_s)
    return ShadowReport(
        target, since_s, until_s, tuple(steps), tightened, restricted_s, open_s, acted, unreadable
    )


_OPEN = frozenset({CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.FORCED_OPEN})


def _is_restricted(setpoint: Setpoint, nominal: Setpoint) -> bool:
    """Whether clients get less than nominal; more, as under an earlier policy, is no restriction."""
    fewer = setpoint.max_attempts < nominal.max_attempts or setpoint.budget_ratio < nominal.budget_ratio
    return fewer or setpoint.circuit in _OPEN


def _length(counts: bool, from_s: float, to_s: float) -> float:
    return max(0.0, to_s - from_s) if counts else 0.0


def _step(record: Mapping[str, object], target: str) -> Step | None:
    """Return the change of a record, None if anything of it is missing."""
    try:
        applied, evidence = record["applied"], record["evidence"]
        assert isinstance(applied, Mapping)  # noqa: S101 - caught below, as everything odd is
        assert isinstance(evidence, list)  # noqa: S101 - the codec writes one
        return Step(
            at_s=float(str(record["at_s"])),
            decision=f"{target}@{record['sequence']}",
            regime=str(record["regime"]).lower(),
            reason=str(evidence[0]["reason"]) if evidence else "",
            max_attempts=int(applied["max_attempts"]),
            budget_ratio=float(applied["budget_ratio"]),
            circuit=CircuitState[str(applied["circuit"])].name.lower(),
        )
    except (KeyError, TypeError, ValueError, AssertionError):
        return None


def _before(record: Mapping[str, object]) -> Setpoint | None:
    """Return what was applied before a record, if it carries the state."""
    try:
        return decode_state(base64.b64decode(str(record["state"]), validate=True)).law.applied
    except (KeyError, binascii.Error, CheckpointError):
        return None


def _setpoint(step: Step, held: Setpoint) -> Setpoint:
    return held._replace(
        max_attempts=step.max_attempts,
        budget_ratio=step.budget_ratio,
        circuit=CircuitState[step.circuit.upper()],
    )
