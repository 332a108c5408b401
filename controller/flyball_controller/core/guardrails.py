"""What a wish may become: bounds, step limits, operator holds, mode. Nothing here wants anything.

Order: operator first (a hold replaces the wish), then slew, then bounds. If the
result still lies outside the bounds, the guardrail itself is at fault and the
last applied setpoint stands (fail static, never fail open to the raw wish).
"""

from __future__ import annotations

from typing import NamedTuple

from flyball.records import BOUNDS, CircuitState
from flyball_controller.core.circuit import CircuitEvent, next_circuit
from flyball_controller.core.model import Evidence, Hold, HoldKind, Reason, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.retry_law import BUDGET_FULL, BUDGET_RAISED, BUDGET_THROTTLED

# As numbers: to ask the enum itself runs Python code, and 3.11 warns about a number that it does not have.
_CIRCUITS = frozenset(CircuitState)
_BUDGETS_OF_THE_LAW = (BUDGET_THROTTLED, BUDGET_RAISED, BUDGET_FULL)


class Guarded(NamedTuple):
    """The setpoint that may be applied, and which guardrails shaped it."""

    setpoint: Setpoint
    evidence: tuple[Evidence, ...]


def hold_is_active(hold: Hold, at_s: float) -> bool:
    """Return whether an operator's override is in force; every one expires."""
    return hold.kind in (HoldKind.FREEZE, HoldKind.FORCE_OPEN, HoldKind.FORCE_CLOSED) and at_s < hold.until_s


def guard(wish: Setpoint, applied: Setpoint, hold: Hold, policy: Policy, at_s: float) -> Guarded:
    """Return the nearest setpoint to `wish` that the guardrails allow after `applied`."""
    notes: list[Evidence] = []
    target = wish
    if hold_is_active(hold, at_s):
        target = _held(applied, hold)
        notes.append(Evidence(Reason.OPERATOR_HOLD, hold.until_s - at_s, 0.0, 0, 1.0))
    elif applied.circuit in (CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED):
        circuit = next_circuit(applied.circuit, CircuitEvent.RELEASE)
        ratio = policy.probe_ratio_min if circuit == CircuitState.HALF_OPEN else 1.0
        target = wish._replace(circuit=circuit, probe_ratio=ratio)
        notes.append(Evidence(Reason.OPERATOR_HOLD_EXPIRED, at_s - hold.until_s, 0.0, 0, 1.0))
    limit = applied.max_attempts + policy.attempts_step
    if target.max_attempts > limit:
        notes.append(Evidence(Reason.SLEW_LIMITED, float(target.max_attempts), float(limit), 0, 1.0))
        target = target._replace(max_attempts=limit)
    clipped = clip(target, policy)
    if clipped != target:
        wanted, bound = float(target.max_attempts), float(clipped.max_attempts)
        if wanted == bound:
            wanted, bound = target.budget_ratio, clipped.budget_ratio
        notes.append(Evidence(Reason.CLAMPED_TO_BOUND, wanted, bound, 0, 1.0))
    if not inside(clipped, policy):
        notes.append(Evidence(Reason.GUARDRAIL_FAILED, 0.0, 0.0, 0, 1.0))
        clipped = applied
    return Guarded(clipped, tuple(notes))


def _held(applied: Setpoint, hold: Hold) -> Setpoint:
    if hold.kind == HoldKind.FORCE_OPEN:
        return applied._replace(
            circuit=next_circuit(applied.circuit, CircuitEvent.FORCE_OPEN), probe_ratio=0.01
        )
    if hold.kind == HoldKind.FORCE_CLOSED:
        return applied._replace(
            circuit=next_circuit(applied.circuit, CircuitEvent.FORCE_CLOSED), probe_ratio=1.0
        )
    return applied


def _bounded(value: float, low: float, high: float) -> float:
    """Return the value inside its bounds; NaN stays NaN, for `inside` to refuse."""
    if value < low:
        return low
    return high if value > high else value


def clip(setpoint: Setpoint, policy: Policy) -> Setpoint:
    """Return the setpoint inside the contract's bounds and the policy's.

    A budget above nominal is either one that the law raised, and stays, or the nominal
    value of an earlier policy: a lowered one binds at once, off nominal too.
    """
    retry = BOUNDS["retry"]
    breaker = BOUNDS["breaker"]
    attempts = int(_bounded(setpoint.max_attempts, 1, policy.attempts_nominal))
    budget = _bounded(setpoint.budget_ratio, *retry["budget_ratio"])
    if budget > policy.budget_nominal and budget not in _BUDGETS_OF_THE_LAW:
        budget = policy.budget_nominal
    base = int(_bounded(setpoint.throttle_base_ms, *retry["throttle_base_ms"]))
    probe = _bounded(setpoint.probe_ratio, *breaker["probe_ratio"])
    close_after = int(_bounded(setpoint.close_after, *breaker["close_after"]))
    return Setpoint(attempts, budget, base, setpoint.circuit, probe, close_after)


def inside(setpoint: Setpoint, policy: Policy) -> bool:
    """Return whether every field is a number inside its bounds (NaN is not)."""
    return (
        1 <= setpoint.max_attempts <= policy.attempts_nominal
        and BOUNDS["retry"]["budget_ratio"][0] <= setpoint.budget_ratio <= BOUNDS["retry"]["budget_ratio"][1]
        and BOUNDS["breaker"]["probe_ratio"][0] <= setpoint.probe_ratio <= BOUNDS["breaker"]["probe_ratio"][1]
        and setpoint.circuit in _CIRCUITS
    )


def tightens(after: Setpoint, before: Setpoint, nominal: Setpoint) -> bool:
    """Return whether `after` protects the target more than `before`: urgent, and never delayed by the fleet.

    Returning a raised budget to nominal is not tightening: nothing is wrong then.
    """
    lower_budget = after.budget_ratio < before.budget_ratio and after.budget_ratio < nominal.budget_ratio
    return (
        after.max_attempts < before.max_attempts
        or lower_budget
        or _severity(after.circuit) > _severity(before.circuit)
        or (
            after.circuit == before.circuit == CircuitState.HALF_OPEN
            and after.probe_ratio < before.probe_ratio
        )
        or (after.throttle_base_ms > before.throttle_base_ms)
    )


def _severity(circuit: CircuitState) -> int:
    if circuit in (CircuitState.OPEN, CircuitState.FORCED_OPEN):
        return 2
    return 1 if circuit == CircuitState.HALF_OPEN else 0
