"""Guardrails, holds and the fleet, each comparison at its edge."""

from __future__ import annotations

import math

import pytest

from flyball.contract import CircuitState
from flyball_controller.core import initial_state
from flyball_controller.core.fleet import FleetState, apply_fleet, fleet_step
from flyball_controller.core.guardrails import Guarded, clip, guard, hold_is_active, inside, tightens
from flyball_controller.core.model import (
    Decision,
    Evidence,
    Hold,
    HoldKind,
    Reason,
    Regime,
    Setpoint,
)
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import NO_HOLD, nominal_setpoint

POLICY = Policy()
NOMINAL = nominal_setpoint(POLICY)
OPEN, HALF = CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED
WISH = Setpoint(3, 0.1, 2_000, OPEN, 0.3, 5)


def note(reason: Reason, measured: float, threshold: float, n: int = 0) -> Evidence:
    """Evidence of a guardrail: it needs no history."""
    return Evidence(reason, measured, threshold, n, 1.0)


# --- holds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "active"),
    [
        (HoldKind.NONE, False),
        (HoldKind.FREEZE, True),
        (HoldKind.FORCE_OPEN, True),
        (HoldKind.FORCE_CLOSED, True),
        (HoldKind.RELEASE, False),
    ],
)
def test_which_holds_are_in_force_and_until_when(kind, active):
    """At its last second it is over."""
    hold = Hold(kind, 100.0, "ana", "")
    assert hold_is_active(hold, 99.9) is active
    assert hold_is_active(hold, 100.0) is False


@pytest.mark.parametrize(
    ("kind", "circuit", "probe"),
    [
        (HoldKind.FREEZE, HALF, 0.4),
        (HoldKind.FORCE_OPEN, FORCED_OPEN, 0.01),
        (HoldKind.FORCE_CLOSED, FORCED_CLOSED, 1.0),
    ],
)
def test_a_hold_moves_the_circuit_and_nothing_else(kind, circuit, probe):
    """And says for how long."""
    applied = WISH._replace(circuit=HALF, probe_ratio=0.4)
    guarded = guard(NOMINAL, applied, Hold(kind, 100.0, "ana", ""), POLICY, 70.0)
    held = applied._replace(circuit=circuit, probe_ratio=probe)
    assert guarded == Guarded(held, (note(Reason.OPERATOR_HOLD, 30.0, 0.0),))


@pytest.mark.parametrize(
    ("applied", "circuit", "probe"), [(FORCED_OPEN, HALF, 0.1), (FORCED_CLOSED, CircuitState.CLOSED, 1.0)]
)
def test_after_a_hold_the_law_has_its_wish_but_not_its_circuit(applied, circuit, probe):
    """A target that was held open comes back through probes."""
    guarded = guard(
        WISH, NOMINAL._replace(circuit=applied), Hold(HoldKind.FREEZE, 60.0, "", ""), POLICY, 70.0
    )
    released = WISH._replace(circuit=circuit, probe_ratio=probe)
    assert guarded == Guarded(released, (note(Reason.OPERATOR_HOLD_EXPIRED, 10.0, 0.0),))


# --- bounds ------------------------------------------------------------------------------


def test_attempts_rise_by_their_step_and_not_more():
    """1 + 1 = 2 is wished and passes; 3 becomes 2 and says so."""
    low = NOMINAL._replace(max_attempts=1)
    assert guard(NOMINAL._replace(max_attempts=2), low, NO_HOLD, POLICY, 0.0).evidence == ()
    guarded = guard(NOMINAL._replace(max_attempts=3), low, NO_HOLD, POLICY, 0.0)
    two = NOMINAL._replace(max_attempts=2)
    assert guarded == Guarded(two, (note(Reason.SLEW_LIMITED, 3.0, 2.0),))


def test_too_many_attempts_are_clamped_to_the_policys():
    """Five are within the step, four are nominal."""
    guarded = guard(NOMINAL._replace(max_attempts=5), NOMINAL, NO_HOLD, POLICY, 0.0)
    assert guarded == Guarded(NOMINAL, (note(Reason.CLAMPED_TO_BOUND, 5.0, 4.0),))


def test_what_no_bound_can_mend_leaves_what_is_applied():
    """NaN is not equal to itself, so it counts as clamped first."""
    guarded = guard(NOMINAL._replace(budget_ratio=math.nan), WISH, NO_HOLD, POLICY, 0.0)
    assert guarded.setpoint == WISH
    assert guarded.evidence[-1] == note(Reason.GUARDRAIL_FAILED, 0.0, 0.0)


LOWEST = Setpoint(1, 0.0, 1, OPEN, 0.01, 1)
HIGHEST = Setpoint(4, 3.0, 60_000, OPEN, 1.0, 100)


@pytest.mark.parametrize("edge", [LOWEST, HIGHEST])
def test_the_bounds_themselves_are_inside(edge):
    """And pass unchanged."""
    assert clip(edge, POLICY) == edge
    assert inside(edge, POLICY)


@pytest.mark.parametrize("edge", [LOWEST, HIGHEST])
@pytest.mark.parametrize(
    "field", ["max_attempts", "budget_ratio", "throttle_base_ms", "probe_ratio", "close_after"]
)
def test_what_lies_beyond_a_bound_becomes_the_bound(edge, field):
    """Each field by itself."""
    value = getattr(edge, field)
    out = value - 0.001 if edge is LOWEST and isinstance(value, float) else value + 0.001
    if isinstance(value, int):
        out = value - 1 if edge is LOWEST else value + 1
    assert clip(edge._replace(**{field: out}), POLICY) == edge


@pytest.mark.parametrize(
    "change",
    [
        {"max_attempts": 0},
        {"max_attempts": 5},
        {"budget_ratio": -0.001},
        {"budget_ratio": 3.001},
        {"budget_ratio": math.nan},
        {"probe_ratio": 0.009},
        {"probe_ratio": 1.001},
    ],
)
def test_outside_is_outside_whatever_else_is_well(change):
    """One field is enough."""
    assert not inside(NOMINAL._replace(**change), POLICY)


# --- what is urgent ----------------------------------------------------------------------

CALM = Setpoint(3, 0.1, 2_000, HALF, 0.5, 3)


@pytest.mark.parametrize(
    ("change", "tighter"),
    [
        ({}, False),
        ({"max_attempts": 2}, True),
        ({"max_attempts": 4}, False),
        ({"budget_ratio": 0.05}, True),
        ({"budget_ratio": 0.15}, False),
        ({"throttle_base_ms": 2_001}, True),
        ({"throttle_base_ms": 1_999}, False),
        ({"probe_ratio": 0.4}, True),
        ({"probe_ratio": 0.6}, False),
        ({"circuit": OPEN}, True),
        ({"circuit": OPEN, "probe_ratio": 0.6}, True),
        ({"circuit": FORCED_OPEN}, True),
        ({"circuit": CircuitState.CLOSED, "probe_ratio": 0.1}, False),
        ({"circuit": FORCED_CLOSED}, False),
        ({"close_after": 20}, False),
    ],
)
def test_each_field_tightens_in_its_own_direction(change, tighter):
    """From a half-open circuit with half of its traffic."""
    assert tightens(CALM._replace(**change), CALM, NOMINAL) is tighter


@pytest.mark.parametrize(
    ("before", "after", "tighter"),
    [(3.0, 0.2, False), (3.0, 0.19, True), (0.2, 0.19, True), (0.19, 0.19, False), (3.0, 1.0, False)],
)
def test_a_budget_tightens_only_below_nominal(before, after, tighter):
    """What was raised and falls back is no alarm."""
    assert (
        tightens(NOMINAL._replace(budget_ratio=after), NOMINAL._replace(budget_ratio=before), NOMINAL)
        is tighter
    )


@pytest.mark.parametrize(
    ("before", "after", "tighter"),
    [
        (OPEN, FORCED_OPEN, False),
        (FORCED_OPEN, OPEN, False),
        (CircuitState.CLOSED, HALF, True),
        (FORCED_CLOSED, HALF, True),
        (FORCED_CLOSED, CircuitState.CLOSED, False),
        (CircuitState.CLOSED, FORCED_CLOSED, False),
        (HALF, FORCED_OPEN, True),
    ],
)
def test_forced_circuits_are_as_severe_as_what_they_force(before, after, tighter):
    """Open is open, whoever opened it."""
    assert tightens(NOMINAL._replace(circuit=after), NOMINAL._replace(circuit=before), NOMINAL) is tighter


def test_a_smaller_share_counts_in_a_half_open_circuit_only():
    """An open one's share is its probes."""
    opened = NOMINAL._replace(circuit=OPEN, probe_ratio=0.2)
    assert not tightens(opened._replace(probe_ratio=0.1), opened, NOMINAL)


# --- the fleet ---------------------------------------------------------------------------


def decided(
    target: str,
    at_s: float,
    circuit: CircuitState = CircuitState.CLOSED,
    *,
    changed: bool = True,
    urgent: bool = True,
) -> Decision:
    """A decision as the fleet reads it."""
    applied = NOMINAL._replace(circuit=circuit)
    return Decision(at_s, target, Regime.DEAD, applied, applied, (), "", 1, at_s, changed, urgent, 0, at_s)


def test_the_fleet_knows_who_is_open_in_order():
    """Half-open is open; forced ones are the operator's, and closed ones leave."""
    fleet = FleetState(("c", "d"))
    batch = (
        decided("d", 9.0),
        decided("b", 9.0, HALF),
        decided("a", 9.0, OPEN),
        decided("e", 9.0, FORCED_OPEN),
    )
    assert fleet_step(fleet, batch, POLICY, at_s=10.0).open_targets == ("a", "b", "c")


def test_the_fleet_remembers_who_tightened_within_the_span():
    """120 s old is still within; only urgent changes count; oldest first, then by name."""
    fleet = FleetState((), (("old", 79.0), ("edge", 80.0)))
    batch = (
        decided("z", 199.0),
        decided("m", 200.0),
        decided("b", 199.0),
        decided("calm", 200.0, urgent=False),
        decided("same", 200.0, changed=False),
    )
    after = fleet_step(fleet, batch, POLICY, at_s=200.0)
    assert after.tightened == (("edge", 80.0), ("b", 199.0), ("z", 199.0), ("m", 200.0))
    assert after.frozen_until_s == 440.0


@pytest.mark.parametrize(
    ("names", "change", "frozen"),
    [
        (("a", "b"), {}, 240.0 + 100.0),  # with `c` of before they are three
        (("a",), {}, -1.0),
        (("a", "b"), {"urgent": False}, -1.0),
        (("a", "b"), {"changed": False}, -1.0),
    ],
)
def test_three_that_tighten_together_freeze_loosening_for_two_spans(names, change, frozen):
    """`correlated_min` itself is enough."""
    batch = tuple(decided(name, 100.0, **change) for name in names)
    assert fleet_step(FleetState((), (("c", 90.0),)), batch, POLICY, at_s=100.0).frozen_until_s == frozen


def test_a_freeze_is_not_renewed_by_looking():
    """Three of before, and nobody tightens now; nor is an old freeze forgotten."""
    three = FleetState((), (("a", 90.0), ("b", 90.0), ("c", 90.0)), 300.0)
    for quiet in ((), (decided("d", 100.0, urgent=False),), (decided("d", 100.0, changed=False),)):
        assert fleet_step(three, quiet, POLICY, at_s=100.0).frozen_until_s == 300.0


@pytest.mark.parametrize(
    ("open_targets", "size", "allowed"),
    [
        ((), 1, True),
        (("t",), 1, True),  # itself is no other
        (("a",), 3, False),  # 2 of 3, over 0.3
        (("a", "b"), 10, True),  # 3 of 10 is 0.3
        (("a", "b", "t"), 10, True),
        (("a", "b", "c"), 10, False),
        (("a", "b", "c", "t"), 10, False),
    ],
)
def test_at_most_a_share_of_the_fleet_is_open_but_one_always_may(open_targets, size, allowed):
    """Counted without the target that asks."""
    state = apply_fleet(initial_state(POLICY), FleetState(open_targets), POLICY, target="t", fleet_size=size)
    assert state.open_allowed is allowed


def test_the_fleets_verdict_enters_the_state_whole():
    """Either half alone is news; no news leaves the very same state."""
    state = initial_state(POLICY)
    frozen = apply_fleet(state, FleetState((), (), 500.0), POLICY, target="t", fleet_size=9)
    assert frozen == state._replace(loosen_frozen_until_s=500.0)
    both = apply_fleet(state, FleetState(("a", "b", "c"), (), 500.0), POLICY, target="t", fleet_size=9)
    assert both == state._replace(open_allowed=False, loosen_frozen_until_s=500.0)
    shut = apply_fleet(state, FleetState(("a", "b", "c")), POLICY, target="t", fleet_size=9)
    assert shut == state._replace(open_allowed=False)
    assert apply_fleet(state, FleetState(), POLICY, target="t", fleet_size=9) is state


@pytest.mark.parametrize("circuit", [-1, 5, 2.5, math.nan])
def test_a_number_that_is_no_circuit_is_outside(circuit):
    """Without a warning, which is an error here: Python 3.11 warns of `5 in CircuitState`."""
    assert not inside(NOMINAL._replace(circuit=circuit), POLICY)
    assert inside(NOMINAL._replace(circuit=4), POLICY)


@pytest.mark.parametrize(
    ("applied", "nominal", "left"),
    [
        (0.2, 0.05, 0.05),
        (0.05, 0.2, 0.05),
        (0.1, 0.05, 0.05),  # what throttling left: no more than in health
        (0.1, 0.1, 0.1),
        (1.0, 0.05, 1.0),
        (3.0, 0.05, 3.0),
        (2.0, 1.5, 1.5),
    ],
)
def test_a_lowered_nominal_budget_binds_at_once_and_what_the_law_raised_it_to_stays(applied, nominal, left):
    """A plan publishes the lower value; were the old one kept off nominal, the next round would undo it."""
    policy = Policy(budget_nominal=nominal)
    wish = NOMINAL._replace(budget_ratio=applied, throttle_base_ms=4_000)
    guarded = guard(wish, wish, NO_HOLD, policy, 1.0)
    assert guarded.setpoint == wish._replace(budget_ratio=left)
    notes = () if left == applied else (note(Reason.CLAMPED_TO_BOUND, applied, left),)
    assert guarded.evidence == notes
