"""What a wish may become: bounds, step limits, operator holds, mode. Nothing here wants anything.

Order: operator first (a hold replaces the wish), then slew, then bounds. If the
result still lies outside the bounds, the guardrail itself is at fault and the
last applied setpoint stands (fail static, never fail open to the raw wish).
"""

from __future__ import annotations

from typing import NamedTuple

from flyball.records import BOUNDS, FORCED, CircuitState
from flyball_controller.core.circuit import CircuitEvent, next_circuit
from flyball_controller.core.model import Evidence, Hold, HoldKind, Reason, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.retry_law import BUDGET_FULL, BUDGET_RAISED

# As numbers: to ask the enum itself runs Python code, and 3.11 warns about a number that it does not have.
_CIRCUITS = frozenset(CircuitState)
_HOLDING = frozenset({HoldKind.FREEZE, HoldKind.FORCE_OPEN, HoldKind.FORCE_CLOSED})
_HALF_OPEN = CircuitState.HALF_OPEN
_SEVERITY = {CircuitState.OPEN: 2, CircuitState.FORCED_OPEN: 2, CircuitState.HALF_OPEN: 1}
_BUDGET_MIN, _BUDGET_MAX = BOUNDS["retry"]["budget_ratio"]
_BASE_MS_MIN, _BASE_MS_MAX = BOUNDS["retry"]["throttle_base_ms"]
_PROBE_MIN, _PROBE_MAX = BOUNDS["breaker"]["probe_ratio"]
_CLOSE_AFTER_MIN, _CLOSE_AFTER_MAX = BOUNDS["breaker"]["close_after"]
_RAISED_BUDGETS = (BUDGET_RAISED, BUDGET_FULL)  # above nominal on purpose: failures that retries repair


class Guarded(NamedTuple):
    """The setpoint that may be applied, and which guardrails shaped it."""

    setpoint: Setpoint
    evidence: tuple[Evidence, ...]


def hold_is_active(hold: Hold, at_s: float) -> bool:
    """Return whether an operator's override is in force; every one expires."""
    return at_s < hold.until_s and hold.kind in _HOLDING


def guard(wish: Setpoint, applied: Setpoint, hold: Hold, policy: Policy, at_s: float) -> Guarded:
    """Return the nearest setpoint to `wish` that the guardrails allow after `applied`."""
    target = wish
    notes: tuple[Evidence, ...] = ()
    if hold_is_active(hold, at_s):
        target = _held(applied, hold)
        notes = (Evidence(Reason.OPERATOR_HOLD, hold.until_s - at_s, 0.0, 0, 1.0),)
    elif applied.circuit in FORCED:
        circuit = next_circuit(applied.circuit, CircuitEvent.RELEASE)
        ratio = policy.probe_ratio_min if circuit == CircuitState.HALF_OPEN else 1.0
        target = wish._replace(circuit=circuit, probe_ratio=ratio)
        notes = (Evidence(Reason.OPERATOR_HOLD_EXPIRED, at_s - hold.until_s, 0.0, 0, 1.0),)
    limit = applied.max_attempts + policy.attempts_step
    if target.max_attempts > limit:
        notes += (Evidence(Reason.SLEW_LIMITED, float(target.max_attempts), float(limit), 0, 1.0),)
        target = target._replace(max_attempts=limit)
    if _fits(target, policy):
        return Guarded(target, notes)
    clipped = clip(target, policy)
    if clipped != target:
        wanted, bound = float(target.max_attempts), float(clipped.max_attempts)
        if wanted == bound:
            wanted, bound = target.budget_ratio, clipped.budget_ratio
        notes += (Evidence(Reason.CLAMPED_TO_BOUND, wanted, bound, 0, 1.0),)
    if not inside(clipped, policy):
        notes += (Evidence(Reason.GUARDRAIL_FAILED, 0.0, 0.0, 0, 1.0),)
        clipped = applied
    return Guarded(clipped, notes)


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
    attempts = int(_bounded(setpoint.max_attempts, 1, policy.attempts_nominal))
    budget = _bounded(setpoint.budget_ratio, _BUDGET_MIN, _BUDGET_MAX)
    if budget > policy.budget_nominal and budget not in _RAISED_BUDGETS:
        budget = policy.budget_nominal
    base = int(_bounded(setpoint.throttle_base_ms, _BASE_MS_MIN, _BASE_MS_MAX))
    probe = _bounded(setpoint.probe_ratio, _PROBE_MIN, _PROBE_MAX)
    close_after = int(_bounded(setpoint.close_after, _CLOSE_AFTER_MIN, _CLOSE_AFTER_MAX))
    return Setpoint(attempts, budget, base, setpoint.circuit, probe, close_after)


def inside(setpoint: Setpoint, policy: Policy) -> bool:
    """Return whether every field is a number inside its bounds (NaN is not)."""
    return (
        1 <= setpoint.max_attempts <= policy.attempts_nominal
        and _BUDGET_MIN <= setpoint.budget_ratio <= _BUDGET_MAX
        and _PROBE_MIN <= setpoint.probe_ratio <= _PROBE_MAX
        and setpoint.circuit in _CIRCUITS
    )


def _fits(setpoint: Setpoint, policy: Policy) -> bool:
    """Return whether `clip` would change nothing and `inside` would agree: so it is in nearly every step."""
    attempts, budget, base_ms, circuit, probe, close_after = setpoint
    return (
        1 <= attempts <= policy.attempts_nominal
        and _BUDGET_MIN <= budget <= _BUDGET_MAX
        and (budget <= policy.budget_nominal or budget in _RAISED_BUDGETS)
        and _BASE_MS_MIN <= base_ms <= _BASE_MS_MAX
        and circuit in _CIRCUITS
        and _PROBE_MIN <= probe <= _PROBE_MAX
        and _CLOSE_AFTER_MIN <= close_after <= _CLOSE_AFTER_MAX
    )


def tightens(after: Setpoint, before: Setpoint, nominal: Setpoint) -> bool:
    """Return whether `after` protects the target more than `before`: urgent, and never delayed by the fleet.

    Returning a raised budget to nominal is not tightening: nothing is wrong then.
    """
    lower_budget = after.budget_ratio < before.budget_ratio and after.budget_ratio < nominal.budget_ratio
    return (
        after.max_attempts < before.max_attempts
        or lower_budget
        or _SEVERITY.get(after.circuit, 0) > _SEVERITY.get(before.circuit, 0)
        or (after.circuit == before.circuit == _HALF_OPEN and after.probe_ratio < before.probe_ratio)
        or (after.throttle_base_ms > before.throttle_base_ms)
    )
