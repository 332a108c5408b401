"""The law of checks: a row of good ones loosens what was dead, one step at a time, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_runs import T0, calm, changes, run, window
from flyball.records import CircuitState
from flyball_controller.core import State, initial_state, step
from flyball_controller.core.guardrails import tightens
from flyball_controller.core.model import Hold, HoldKind, Mode, Observation, Quality, Reason, Regime
from flyball_controller.core.policy import Law, Policy
from flyball_controller.core.state import nominal_setpoint
from strategies import streams

POLICY = Policy()
DEAD_FROM = 60


def dead(minutes: int = 4, *, policy: Policy = POLICY, requests: int = 600) -> State:
    """An hour of calm, then nothing but fast errors until the circuit is open."""
    outage = [
        window(DEAD_FROM + m, requests=requests, fast=requests, failed=requests) for m in range(minutes)
    ]
    state, _ = run([*calm(0, DEAD_FROM, requests=requests), *outage], policy)
    return state


def row(
    state: State, *, after_s: float = 130.0, checks: int = 3, every_s: float = 30.0, bad: int = 0
) -> Observation:
    """Checks in a row of which the last begins 1 s before now; now is `after_s` after the last change."""
    now_s = state.law.changed_s + after_s
    period_s = (checks - 1) * every_s + 1.0
    return Observation(
        "t", now_s - period_s, period_s, now_s, checks, errors_fast=bad, quality=Quality.PROBED
    )


def test_three_good_checks_half_open_a_dead_target() -> None:
    """It answers again: twice the probe share may find out how well."""
    state = dead()
    assert state.law.applied.circuit is CircuitState.OPEN
    after, decision = step(state, row(state), POLICY)
    assert decision.changed
    assert not decision.urgent
    assert after.law.applied == state.law.applied._replace(circuit=CircuitState.HALF_OPEN, probe_ratio=0.2)
    assert decision.regime is Regime.RECOVERING
    assert [(e.reason, e.measured, e.threshold) for e in decision.evidence] == [
        (Reason.CHECKS_SUCCEEDED, 3.0, 3.0)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"checks": 2},
        {"bad": 1},
        {"checks": 6},  # the row began before the circuit was opened
        {"after_s": 110.0},  # dwell
    ],
    ids=["two checks", "a bad one among them", "older than the change", "before the dwell is over"],
)
def test_less_than_a_full_fresh_row_of_good_checks_does_nothing(change: dict[str, float]) -> None:
    """A single good answer is luck; an old one is history."""
    state = dead()
    _, decision = step(state, row(state, **{"after_s": 130.0, **change}), POLICY)  # type: ignore[arg-type]
    assert not decision.changed


def test_a_row_that_ended_long_ago_does_nothing() -> None:
    """A probe that died after three good checks proves nothing about now."""
    state = dead()
    seen = row(state, after_s=200.0)
    late = seen._replace(arrived_s=seen.arrived_s + POLICY.act_within_s + 1.0)
    assert not step(state, late, POLICY)[1].changed
    assert step(state, seen, POLICY)[1].changed


def test_relapses_ask_for_longer_rows() -> None:
    """A target that answers health checks and fails under load must not oscillate at their pace."""
    state = dead()
    law = state.law._replace(hold_factor=4)
    again = state._replace(law=law)
    assert not step(again, row(again, after_s=900.0, checks=11), POLICY)[1].changed
    assert step(again, row(again, after_s=900.0, checks=12), POLICY)[1].changed


def test_clients_whose_calls_still_fail_outweigh_good_checks() -> None:
    """A health page that answers while everything else fails is an old story."""
    opened = dead()
    first = int((opened.law.changed_s - T0) // 60.0) + 1
    for fast, moves in ((11, False), (1, True)):
        windows = [window(first + m, requests=12, fast=fast, short=540) for m in range(2)]
        state, decisions = run(windows, POLICY, opened)
        assert changes(decisions) == []
        since_s = windows[-1].arrived_s - opened.law.changed_s
        seen = row(state, after_s=since_s, checks=int(since_s // 30.0))
        assert step(state, seen, POLICY)[1].changed is moves


def half_open(*, requests: int = 600) -> State:
    """Dead, then half-opened by checks."""
    state = dead(requests=requests)
    return step(state, row(state), POLICY)[0]


def test_where_nobody_calls_checks_close_the_circuit_and_restore_the_budget() -> None:
    """A target without traffic would stay restricted until the first customers of the morning pay for it."""
    state = half_open()
    assert not step(state, row(state, after_s=100.0), POLICY)[1].changed  # dwell
    state, decision = step(state, row(state, after_s=200.0), POLICY)
    assert decision.applied.circuit is CircuitState.CLOSED
    assert decision.applied.budget_ratio == 0.0
    state, decision = step(state, row(state, after_s=200.0), POLICY)
    assert decision.applied == nominal_setpoint(POLICY)
    assert decision.regime is Regime.NOMINAL


def test_checks_leave_a_busy_half_open_target_to_its_clients() -> None:
    """One good page does not prove that it carries its load; the next window will."""
    state = half_open()
    start = round((state.law.changed_s - T0) / 60.0) + 1
    seen = window(start, requests=120, fast=6, short=480)
    state, _ = run([seen], POLICY, state)
    assert state.law.applied.circuit is CircuitState.HALF_OPEN
    since_s = seen.arrived_s + 40.0 - state.law.changed_s
    assert not step(state, row(state, after_s=since_s), POLICY)[1].changed


def test_a_busy_target_s_first_window_is_waited_for() -> None:
    """Data came a moment ago: that no window lies in the ring yet does not make it quiet."""
    state = half_open()
    fresh = state._replace(data_s=state.law.changed_s + 130.0 - 40.0)
    assert not step(fresh, row(fresh, after_s=130.0), POLICY)[1].changed
    silent = state._replace(data_s=state.law.changed_s - 600.0)
    assert step(silent, row(silent, after_s=130.0), POLICY)[1].changed


def test_a_quiet_target_that_never_opened_gets_its_budget_back() -> None:
    """Under ten requests a minute nothing opens, and clean windows take a quarter of an hour to add up."""
    outage = [window(DEAD_FROM + m, requests=4, fast=4, failed=4) for m in range(8)]
    state, _ = run([*calm(0, DEAD_FROM, requests=4), *outage])
    assert (state.law.applied.circuit, state.law.applied.budget_ratio) == (CircuitState.CLOSED, 0.0)
    after_s = outage[-1].arrived_s + 100.0 - state.law.changed_s
    assert state.law.hold_factor == 2  # the budget had been raised for it, in vain
    state, decision = step(state, row(state, after_s=after_s, checks=6), POLICY)
    assert decision.applied == nominal_setpoint(POLICY)


def test_checks_say_nothing_about_a_target_that_was_never_dead() -> None:
    """A saturated target answers a health page as it answers everything: late, but it answers."""
    storm = [window(DEAD_FROM + m, timeouts=400) for m in range(4)]
    state, _ = run([*calm(0, DEAD_FROM), *storm])
    assert (state.law.regime, state.law.applied.budget_ratio) == (Regime.SATURATED, 0.0)
    quiet = state._replace(data_s=0.0, ring=())
    for regime in (Regime.SATURATED, Regime.THROTTLED, Regime.BROKEN, Regime.RECOVERING, Regime.BLIND):
        one = quiet._replace(law=quiet.law._replace(regime=regime))
        assert not step(one, row(one, after_s=600.0, checks=9), POLICY)[1].changed, regime


def test_checks_say_nothing_about_a_target_that_sheds() -> None:
    """Its circuit is half-open for lack of capacity, which no single call can prove to be back."""
    state = half_open()
    shed = state._replace(
        law=state.law._replace(applied=state.law.applied._replace(close_after=POLICY.close_after_shed)),
        data_s=0.0,
    )
    assert not step(shed, row(shed, after_s=600.0, checks=9), POLICY)[1].changed


def test_operators_correlated_failures_and_the_mode_outrank_checks() -> None:
    """Whoever froze a target knows something that a health page does not."""
    state = dead()
    seen = row(state, after_s=200.0)
    held = state._replace(hold=Hold(HoldKind.FREEZE, seen.arrived_s + 60.0, "nora", "drill"))
    assert not step(held, seen, POLICY)[1].changed
    frozen = state._replace(loosen_frozen_until_s=seen.arrived_s + 1.0)
    assert not step(frozen, seen, POLICY)[1].changed
    off = step(state, seen, POLICY._replace(mode=Mode.OFF))[1]
    assert [e.reason for e in off.evidence] == [Reason.MODE_OFF]
    forced = state._replace(law=state.law._replace(
        applied=state.law.applied._replace(circuit=CircuitState.FORCED_OPEN)
    ), hold=Hold(HoldKind.FORCE_OPEN, seen.arrived_s + 60.0, "nora", "drill"))  # fmt: skip
    assert step(forced, seen, POLICY)[1].applied.circuit is CircuitState.FORCED_OPEN


def test_a_forced_circuit_whose_hold_stands_in_doubt_is_not_closed_by_checks() -> None:
    """The guardrail releases it, half-open; checks come after."""
    state = dead()
    applied = state.law.applied._replace(circuit=CircuitState.FORCED_OPEN)
    forced = state._replace(law=state.law._replace(applied=applied), data_s=0.0)
    assert step(forced, row(forced, after_s=600.0), POLICY)[1].applied.circuit is CircuitState.HALF_OPEN


def test_the_ladder_climbs_its_rungs_one_by_one() -> None:
    """The law's own step limit holds for checks too."""
    policy = Policy(law=Law.LADDER, attempts_min=1)
    nominal = nominal_setpoint(policy)
    state = initial_state(policy)
    low = nominal._replace(max_attempts=1)
    state = state._replace(law=state.law._replace(applied=low, regime=Regime.DEAD, changed_s=T0), seen_s=T0)
    for attempts in (2, 3, 4):
        state, decision = step(state, row(state, after_s=200.0), policy)
        assert decision.applied.max_attempts == attempts
        state = state._replace(law=state.law._replace(regime=Regime.DEAD))
    assert state.law.applied == nominal


def test_a_decision_by_checks_renews_the_circuit_of_a_blind_target() -> None:
    """Without clients' data nothing is renewed; but this decision has evidence of its own."""
    state = dead()
    silent = Observation("t", 0.0, 60.0, state.seen_s + 900.0, quality=Quality.MISSING)
    blind, decision = step(state, silent._replace(start_s=silent.arrived_s), POLICY)
    assert decision.regime is Regime.BLIND
    assert blind.valid_until_s == state.valid_until_s
    seen = row(blind, after_s=blind.seen_s + 10.0 - blind.law.changed_s)
    after, decision = step(blind, seen, POLICY)
    assert decision.changed
    assert after.valid_until_s == seen.arrived_s + POLICY.valid_for_s


@st.composite
def rows(draw: st.DrawFn, before: State) -> Observation:
    """Any row of checks at any time around a state."""
    now_s = max(before.seen_s, T0) + draw(st.floats(-100.0, 2_000.0))
    period_s = draw(st.floats(0.5, 3_000.0))
    checks = draw(st.integers(0, 40))
    bad = draw(st.integers(0, checks))
    return Observation(
        "t", max(0.0, now_s - period_s), period_s, now_s, checks, errors_fast=bad, quality=Quality.PROBED
    )


@settings(max_examples=150, deadline=None)
@given(stream=streams(), law=st.sampled_from(Law), data=st.data())
def test_checks_alone_never_tighten_never_open_and_never_teach(
    stream: list[Observation], law: Law, data: st.DataObject
) -> None:
    """Whatever a target went through and whatever checks find: from there on they can only loosen."""
    policy = Policy(law=law)
    state, _ = run(stream, policy)
    nominal = nominal_setpoint(policy)
    for _ in range(data.draw(st.integers(1, 8))):
        seen = data.draw(rows(state))
        before = state.law.applied
        after, decision = step(state, seen, policy)
        assert not tightens(decision.applied, before, nominal)
        assert not decision.urgent
        assert (after.baseline, after.stamp_s, after.data_s) == (state.baseline, state.stamp_s, state.data_s)
        if seen.failures:
            assert decision.applied == before
        state = after


@settings(max_examples=60, deadline=None)
@given(bad=st.integers(1, 30), count=st.integers(1, 50), law=st.sampled_from(Law))
def test_a_target_that_only_checks_call_dead_stays_as_it_is(bad: int, count: int, law: Law) -> None:
    """Never alone for opening: the first law of checks."""
    policy = Policy(law=law)
    state, _ = run(calm(0, 3), policy)
    for number in range(count):
        now_s = state.seen_s + 30.0
        seen = Observation("t", now_s - 1.0, 1.0, now_s, bad, errors_fast=bad, quality=Quality.PROBED)
        state, decision = step(state, seen, policy)
        assert decision.applied == nominal_setpoint(policy), number
