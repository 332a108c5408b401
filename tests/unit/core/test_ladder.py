"""The ladder law: the practice that most teams know, step by step, with its presets."""

from __future__ import annotations

import pytest

from core_runs import calm, changes, run, window
from flyball.contract import CircuitState
from flyball_controller.core.model import Reason, Regime
from flyball_controller.policy_set import load_preset

LADDER = load_preset("ladder").default
FIXED = load_preset("fixed").default
ADAPTIVE = load_preset("adaptive").default


def _after_a_day(incident, policy):
    state, decisions = run(calm(0, 600, fast=1), policy)
    assert not changes(decisions)
    return run(incident, policy, state)


def test_over_twenty_percent_three_retries_become_one():
    """The rule as it is usually told: 25 % of requests fail, 4 attempts become 2."""
    _, decisions = _after_a_day([window(600, fast=150)], LADDER)
    assert (decisions[0].applied.max_attempts, decisions[0].applied.circuit) == (2, CircuitState.CLOSED)
    assert decisions[0].evidence[0].reason == Reason.ERROR_RATE_OVER_TRIP
    assert decisions[0].evidence[0].measured == 0.25


def test_exactly_at_the_threshold_nothing_happens():
    """Over means over: 20.0 % is not."""
    _, decisions = _after_a_day([window(600, fast=120)], LADDER)
    assert not changes(decisions)


def test_retries_come_back_one_by_one_as_it_normalises():
    """2, 3, 4 attempts, each after its own hold."""
    _, decisions = _after_a_day([window(600, fast=150), *calm(601, 20)], LADDER)
    assert [d.applied.max_attempts for d in changes(decisions)] == [2, 3, 4]
    restored = [d.evidence[-2].reason for d in changes(decisions)[1:]]
    assert Reason.STEP_RESTORED in restored
    assert decisions[-1].regime == Regime.NOMINAL


def test_over_the_opening_threshold_the_circuit_opens_and_retries_fall():
    """Half of the requests fail, over 30 %: both rungs at once."""
    _, decisions = _after_a_day([window(600, fast=300)], LADDER)
    applied = decisions[0].applied
    assert (applied.circuit, applied.max_attempts, applied.probe_ratio) == (CircuitState.OPEN, 2, 0.1)
    assert decisions[0].regime == Regime.DEAD


def test_an_opened_circuit_closes_through_half_open():
    """Never from open to closed at once."""
    _, decisions = _after_a_day([window(600, fast=300), *calm(601, 25)], LADDER)
    circuits = [d.applied.circuit for d in changes(decisions)]
    assert circuits[:3] == [CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]


def test_little_traffic_is_never_opened():
    """Five requests a minute cannot tell when it is back."""
    state, _ = run(calm(0, 600, requests=5), LADDER)
    _, decisions = run([window(600 + i, requests=5, fast=5) for i in range(10)], LADDER, state)
    assert all(d.applied.circuit == CircuitState.CLOSED for d in decisions)
    assert decisions[-1].applied.max_attempts == 2
    assert decisions[-1].regime == Regime.BROKEN


def test_between_trip_and_reset_everything_stays():
    """15 % after a cut: neither over 20 % nor clean."""
    _, decisions = _after_a_day(
        [window(600, fast=150), *(window(601 + i, fast=90) for i in range(20))], LADDER
    )
    assert [d.applied.max_attempts for d in changes(decisions)] == [2]


@pytest.mark.parametrize("policy", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_the_other_ladder_presets_ask_for_evidence(policy):
    """Three failures of twelve are 25 %, and prove nothing at 99 %."""
    state, _ = run(calm(0, 600, requests=12), policy)
    _, decisions = run([window(600, requests=12, fast=3)], policy, state)
    assert not changes(decisions)


def test_the_adaptive_preset_knows_a_bad_hour_and_the_fixed_one_does_not():
    """25 % failures in minutes 0-2 of every hour: one preset learns, the other cuts each time."""
    stream = [window(i, fast=150 if i % 60 < 3 else 1) for i in range(60 * 24)]
    state, _ = run(stream, ADAPTIVE)
    _, known = run([window(1440 + i, fast=150) for i in range(3)], ADAPTIVE, state)
    assert not changes(known)
    state, _ = run(stream, FIXED)
    _, unknown = run([window(1440 + i, fast=150) for i in range(3)], FIXED, state)
    assert changes(unknown)
