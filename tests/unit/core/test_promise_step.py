"""The promise inside the decision step: which windows count, once each, and when it starts anew."""

from __future__ import annotations

import pytest

from core_runs import T0, calm, run, window
from flyball.contract import CircuitState
from flyball_controller.core import step
from flyball_controller.core.model import Hold, HoldKind, Mode, Observation, Quality, Reason
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.promise import NO_RARITY, next_rarity
from flyball_controller.core.state import State

BAD = {"requests": 60, "fast": 60}


def bad(minute: int) -> Observation:
    """A window in which everything fails."""
    return window(minute, **BAD)


def after_calm(*incident: Observation, policy: Policy | None = None) -> State:
    """The state after ten healthy hours and these windows."""
    return run([*calm(0, 600), *incident], policy)[0]


def test_a_window_counts_once():
    """Repeated, late and impossible ones leave the evidence as it was."""
    once = after_calm(bad(600))
    assert once.rarity.seconds > 1_000.0
    broken = bad(601)._replace(errors_fast=-1)
    again = run([bad(600), bad(599), broken], state=once)[0]
    assert again.rarity == once.rarity


def test_a_partial_window_is_judged_by_what_was_proven_before_and_counts_when_it_is_whole():
    """Two looks at one window would be two chances to be wrong."""
    three = after_calm(bad(600), bad(601), bad(602))
    partial = bad(603)._replace(quality=Quality.PARTIAL)
    looked, decision = step(three, partial, Policy())
    assert looked.rarity == three.rarity
    assert decision.applied.circuit == CircuitState.CLOSED
    _, decision = step(looked, bad(603), Policy())
    assert decision.applied.circuit == CircuitState.OPEN


def test_missing_and_empty_windows_leave_the_evidence():
    """Missing is not zero, and a gap in the metrics is no recovery."""
    three = after_calm(bad(600), bad(601), bad(602))
    at_s = T0 + 60.0 * 604
    missing = Observation("t", at_s, 60.0, at_s, quality=Quality.MISSING)
    silent = run([missing, window(604, requests=0)], state=three)[0]
    assert silent.rarity == three.rarity
    decision = step(silent, bad(605), Policy())[1]
    assert decision.applied.circuit == CircuitState.OPEN


def test_an_open_spends_its_evidence_and_the_gate_adds_none():
    """The next open needs its own: a detector that kept it was open 12 % of healthy time."""
    incident = [bad(600 + i) for i in range(4)]
    opened = after_calm(*incident)
    assert opened.law.applied.circuit == CircuitState.OPEN
    assert opened.rarity == NO_RARITY
    still = run([bad(604 + i) for i in range(10)], state=opened)[0]
    assert still.rarity == NO_RARITY


def test_an_operators_hold_keeps_it_closed_and_the_evidence_waits():
    """Frozen for an hour: the wish stays, and is granted by the first window after it."""
    state = after_calm()
    state = state._replace(hold=Hold(HoldKind.FREEZE, T0 + 60.0 * 606, "ana", "watching"))
    held, decisions = run([bad(600 + i) for i in range(5)], state=state)
    assert {d.applied.circuit for d in decisions} == {CircuitState.CLOSED}
    assert held.rarity.seconds >= Policy().false_opens_per_year * 31_557_600.0
    decisions = run([bad(605 + i) for i in range(3)], state=held)[1]
    assert decisions[-1].applied.circuit == CircuitState.OPEN


def test_an_accepted_new_normal_is_a_new_question():
    """A day at 40 %: what spoke against the old normal says nothing about the new one."""
    policy = Policy(relearn_s=7_200.0)
    state = after_calm(policy=policy)
    seen = []
    for i in range(200):
        state, decision = step(state, window(600 + i, fast=240), policy)
        seen.append((any(e.reason == Reason.NEW_NORMAL_ACCEPTED for e in decision.evidence), state.rarity))
    accepted = next(i for i, (new, _) in enumerate(seen) if new)
    assert seen[accepted - 1][1].seconds > 0.0
    assert seen[accepted][1] == NO_RARITY


def test_what_is_normal_follows_the_season():
    """Half an hourly batch of 30 % failures is normal at its minutes: 3 x the three quarters known of it."""
    past = [window(i, fast=180 if i % 60 < 3 else 1) for i in range(1_440)]
    state = run(past)[0]
    inside = step(state, window(1_440, fast=180), Policy())[0]
    outside = step(state, window(1_450, fast=180), Policy())[0]
    assert inside.rarity.seconds < 60.0 < 500.0 < outside.rarity.seconds


@pytest.mark.parametrize("promise", list(Promise))
def test_the_law_is_fed_what_the_detector_says(promise):
    """Beside the law the state is the detector's own memory, window by window."""
    policy = Policy(promise=promise, normal_multiple=1.0, open_floor=0.94, open_per_min_min=1_000.0)
    state = run(calm(0, 600), policy)[0]
    expected = state.rarity
    for minute in range(600, 620):
        seen = window(minute, fast=400 if minute % 3 else 1)
        expected = next_rarity(
            expected,
            failures=seen.failures,
            requests=seen.requests,
            period_s=60.0,
            normal=0.03,
            dispersion=state.baseline.dispersion,
            policy=policy,
        )
        state = step(state, seen, policy)[0]
        assert state.rarity == expected


def test_switched_off_nothing_is_collected():
    """Mode off judges nothing."""
    state = after_calm()
    assert run([bad(600)], Policy(mode=Mode.OFF), state)[0].rarity == state.rarity
