"""What a wish may become, and what happens when the guardrail itself is at fault."""

from __future__ import annotations

import math

import pytest

from flyball.contract import CircuitState
from flyball_controller.core.guardrails import clip, guard, hold_is_active, inside, tightens
from flyball_controller.core.model import Hold, HoldKind, Reason
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import NO_HOLD, nominal_setpoint

POLICY = Policy()
NOMINAL = nominal_setpoint(POLICY)


def test_a_wish_inside_everything_passes_unchanged():
    """Guardrails want nothing."""
    guarded = guard(NOMINAL, NOMINAL, NO_HOLD, POLICY, 0.0)
    assert guarded.setpoint == NOMINAL
    assert guarded.evidence == ()


def test_attempts_rise_one_step_at_a_time_and_say_so():
    """Whatever is wished."""
    low = NOMINAL._replace(max_attempts=1)
    guarded = guard(NOMINAL, low, NO_HOLD, POLICY, 0.0)
    assert guarded.setpoint.max_attempts == 2
    assert guarded.evidence[0].reason == Reason.SLEW_LIMITED


def test_attempts_fall_at_once():
    """Tightening is never slowed."""
    wish = NOMINAL._replace(max_attempts=1)
    assert guard(wish, NOMINAL, NO_HOLD, POLICY, 0.0).setpoint.max_attempts == 1


def test_a_wish_out_of_bounds_is_clipped_and_says_so():
    """Budget 99 becomes 3, probe share 0 becomes 1 %."""
    wish = NOMINAL._replace(budget_ratio=99.0, probe_ratio=0.0, throttle_base_ms=0, close_after=0)
    guarded = guard(wish, NOMINAL, NO_HOLD, POLICY, 0.0)
    assert guarded.setpoint == NOMINAL._replace(
        budget_ratio=3.0, probe_ratio=0.01, throttle_base_ms=1, close_after=1
    )
    assert guarded.evidence[0].reason == Reason.CLAMPED_TO_BOUND


def test_a_number_that_is_no_number_leaves_the_last_applied_setpoint():
    """The guardrail cannot repair NaN: it fails static, not open."""
    guarded = guard(
        NOMINAL._replace(budget_ratio=math.nan), NOMINAL._replace(budget_ratio=0.1), NO_HOLD, POLICY, 0.0
    )
    assert guarded.setpoint.budget_ratio == 0.1
    assert guarded.evidence[-1].reason == Reason.GUARDRAIL_FAILED
    assert not inside(NOMINAL._replace(probe_ratio=math.nan), POLICY)


@pytest.mark.parametrize(
    ("kind", "circuit"),
    [(HoldKind.FORCE_OPEN, CircuitState.FORCED_OPEN), (HoldKind.FORCE_CLOSED, CircuitState.FORCED_CLOSED)],
)
def test_a_hold_replaces_the_wish_until_it_expires(kind, circuit):
    """An operator wins; time ends it."""
    hold = Hold(kind, 100.0, "ana", "test")
    wish = NOMINAL._replace(budget_ratio=0.0)
    held = guard(wish, NOMINAL, hold, POLICY, 99.0)
    assert held.setpoint.circuit == circuit
    assert held.setpoint.budget_ratio == NOMINAL.budget_ratio
    after = guard(wish, held.setpoint, hold, POLICY, 100.0)
    assert after.evidence[0].reason == Reason.OPERATOR_HOLD_EXPIRED
    assert after.setpoint.circuit in (CircuitState.HALF_OPEN, CircuitState.CLOSED)


def test_release_ends_a_hold_at_once():
    """Kept in the store so that a late duplicate of the hold cannot come back."""
    assert not hold_is_active(Hold(HoldKind.RELEASE, 1e9, "ana", ""), 0.0)
    assert not hold_is_active(NO_HOLD, 0.0)


def test_a_policy_that_shrank_clips_what_is_applied():
    """Nominal attempts lowered from 4 to 2 while 4 are applied."""
    assert clip(NOMINAL, Policy(attempts_nominal=2)).max_attempts == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"max_attempts": 2}, True),
        ({"budget_ratio": 0.0}, True),
        ({"budget_ratio": 3.0}, False),
        ({"circuit": CircuitState.HALF_OPEN}, True),
        ({"circuit": CircuitState.OPEN}, True),
        ({"circuit": CircuitState.FORCED_CLOSED}, False),
        ({"throttle_base_ms": 4_000}, True),
    ],
)
def test_what_counts_as_tightening(change, expected):
    """Tightening is urgent and never waits for the fleet; everything else does."""
    assert tightens(NOMINAL._replace(**change), NOMINAL, NOMINAL) is expected


def test_a_smaller_share_of_a_half_open_circuit_is_tightening():
    """0.5 to 0.2; and back to nominal from a raised budget is not."""
    half = NOMINAL._replace(circuit=CircuitState.HALF_OPEN, probe_ratio=0.5)
    assert tightens(half._replace(probe_ratio=0.2), half, NOMINAL)
    assert not tightens(half, half._replace(probe_ratio=0.2), NOMINAL)
    assert not tightens(NOMINAL, NOMINAL._replace(budget_ratio=3.0), NOMINAL)
