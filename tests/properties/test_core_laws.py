"""Laws of the decision step, by label (docs/reference/invariants.md)."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core_runs import T0, calm, run, window
from flyball.contract import BOUNDS, CircuitState
from flyball_controller.codec import STATE_BYTES_MAX, canonical_json, decode_state, encode_state
from flyball_controller.core import initial_state, step
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Hold, HoldKind, Mode, Observation, Quality, Reason, Regime
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.core.state import nominal_setpoint
from strategies import POLICIES, streams, wild_observations, windows


@given(streams(), POLICIES)
def test_c1_equal_inputs_give_equal_bytes(stream, policy):
    """Anything else could not be replayed."""
    first, decisions = run(stream, policy)
    second, again = run(stream, policy)
    assert encode_state(first) == encode_state(second)
    assert canonical_json(decisions) == canonical_json(again)


def test_c1_another_process_with_another_hash_seed_gives_the_same_bytes():
    """No dictionary or set order may leak into a decision."""
    code = (
        "import sys; sys.path[:0] = ['tests', 'client', 'controller']\n"
        "from core_runs import *\n"
        "from flyball_controller.codec import encode_state, short_hash\n"
        "s, d = run([*calm(0, 90, fast=2), *(window(90 + i, fast=200) for i in range(9)), *calm(99, 30)])\n"
        "print(short_hash(encode_state(s)), short_hash(repr(d).encode()))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1


@given(st.lists(wild_observations(), max_size=20), POLICIES)
def test_c3_any_numbers_give_a_decision_and_a_finite_state(stream, policy):
    """NaN, infinities, huge and negative counts: flagged, never raised, never stored."""
    state = initial_state(policy)
    for seen in stream:
        state, decision = step(state, seen, policy)
        assert decision.applied.circuit in CircuitState
        decode_state(encode_state(state))  # refuses numbers that are not finite


@given(
    windows(5), st.sampled_from(["requests", "timeouts", "start_s", "period_s", "latency_ms_p99", "attempts"])
)
def test_c3_one_impossible_field_makes_the_window_invalid(seen, field):
    """A negative count or a NaN must not be obeyed in part."""
    bad = seen._replace(**{field: -2 if field not in ("start_s", "period_s", "latency_ms_p99") else math.nan})
    state = initial_state(Policy())
    after, decision = step(state, bad._replace(quality=Quality.OK), Policy())
    assert decision.evidence[0].reason == Reason.OBSERVATION_INVALID
    assert after.law == state.law
    assert after.baseline == state.baseline


@settings(max_examples=150)
@given(streams(), POLICIES)
def test_c4_applied_parameters_stay_inside_bounds_and_step_limits(stream, policy):
    """Whatever is observed."""
    state = initial_state(policy)
    before = state.law.applied
    for seen in stream:
        state, decision = step(state, seen, policy)
        now = decision.applied
        assert 1 <= now.max_attempts <= policy.attempts_nominal
        assert now.max_attempts - before.max_attempts <= policy.attempts_step
        assert BOUNDS["retry"]["budget_ratio"][0] <= now.budget_ratio <= BOUNDS["retry"]["budget_ratio"][1]
        # Above nominal are the law's own budgets alone.
        assert now.budget_ratio <= policy.budget_nominal or now.budget_ratio in (0.1, 1.0, 3.0)
        assert policy.probe_ratio_min <= now.probe_ratio <= 1.0
        before = now


@given(streams(max_size=25), st.data())
def test_c5_late_and_repeated_evidence_changes_nothing(stream, data):
    """Events come twice and out of order: the state must be byte-identical after them."""
    policy = Policy()
    state, _ = run(stream, policy)
    accepted = [seen for seen in stream if seen.start_s <= state.stamp_s and seen.quality == Quality.OK]
    if not accepted:
        return
    old = data.draw(st.sampled_from(accepted))
    after, decision = step(state, old, policy)
    assert encode_state(after) == encode_state(state)
    assert decision.evidence[0].reason == Reason.OBSERVATION_LATE
    assert not decision.changed


@given(streams(max_size=40), POLICIES, st.data())
def test_a_restart_anywhere_changes_no_decision(stream, policy, data):
    """Lambda may be recycled between any two steps: the checkpoint carries it all."""
    cut = data.draw(st.integers(0, len(stream)), label="cut")
    whole, uninterrupted = run(stream, policy)
    state, before = run(stream[:cut], policy)
    resumed, after = run(stream[cut:], policy, decode_state(encode_state(state)))
    assert before + after == uninterrupted
    assert encode_state(resumed) == encode_state(whole)


@given(st.integers(1, 200), POLICIES)
def test_c7_silence_neither_opens_nor_closes(count, policy):
    """Missing is not zero."""
    state, _ = run(calm(0, 30), policy)
    state, _ = run([window(30 + i, fast=600) for i in range(3)], policy, state)
    circuit = state.law.applied
    for i in range(count):
        at_s = T0 + 60.0 * (33 + i) + 80.0
        quiet = Observation("t", at_s, 60.0, at_s, quality=Quality.MISSING)
        state, decision = step(state, quiet, policy)
        assert decision.applied == circuit


def test_c7_a_blind_target_says_so_and_is_no_longer_renewed():
    """An open circuit without data must run out at the clients, not be prolonged for ever."""
    state, _ = run(calm(0, 30))
    state, _ = run([window(30 + i, fast=600) for i in range(3)], state=state)
    seen_until = []
    for i in range(30):
        at_s = T0 + 60.0 * (33 + i) + 80.0
        state, decision = step(state, Observation("t", at_s, 60.0, at_s, quality=Quality.MISSING), Policy())
        seen_until.append(decision.valid_until_s)
    assert decision.regime == Regime.BLIND
    assert any(e.reason == Reason.BLIND_TOO_LONG for e in decision.evidence)
    assert seen_until[-1] == seen_until[-5]


@settings(max_examples=150)
@given(streams(), POLICIES, st.booleans(), st.sampled_from([(12, 3), (400, 3), (400, 300)]))
def test_c8_nothing_opens_without_requests_errors_and_an_absolute_floor(stream, policy, plain, least):
    """One error, or a ratio of almost nothing, never cuts traffic: also where no bound asks for more."""
    policy = policy._replace(min_requests=least[0], min_errors=least[1])
    if plain:
        policy = policy._replace(z_act=0.0, z_open=0.0, promise=Promise.NONE)
    state = initial_state(policy)
    for seen in stream:
        before = state.law.applied.circuit
        state, decision = step(state, seen, policy)
        opened = before == CircuitState.CLOSED and decision.applied.circuit != CircuitState.CLOSED
        if opened:
            assert decision.error_count >= policy.min_errors
            bar = min(policy.open_floor, policy.timeout_trip)
            assert max(e.measured for e in decision.evidence) >= bar
            assert max(e.n for e in decision.evidence) >= policy.min_requests


@settings(max_examples=60)
@given(streams(), POLICIES)
def test_c13_nothing_closed_is_cut_before_its_evidence_is_rare_enough(stream, policy):
    """The promise on false opens is kept wherever traffic can be cut: open or shed, by either law."""
    state = initial_state(policy)
    for seen in stream:
        before = state.law.applied.circuit
        state, decision = step(state, seen, policy)
        if before == CircuitState.CLOSED != decision.applied.circuit:
            proof = next(e for e in decision.evidence if e.reason == Reason.OPEN_PROVEN)
            assert proof.measured >= proof.threshold > 0.0
            assert state.rarity.seconds == 0.0


SWINGS = st.lists(st.tuples(st.sampled_from([0, 5, 300, 600]), st.integers(1, 12)), min_size=5, max_size=25)


@settings(max_examples=100)
@given(SWINGS, POLICIES, st.sampled_from([120.0, 600.0, 1_800.0]))
def test_c9_circuit_transitions_keep_their_dwell(swings, policy, dwell_s):
    """However failures swing, automation moves a circuit once per dwell at most, also if that is long."""
    policy = policy._replace(dwell_s=dwell_s)
    state, _ = run(calm(0, 60), policy)
    moved = []
    for i, count in enumerate(count for count, minutes in swings for _ in range(minutes)):
        before = state.law.applied.circuit
        state, decision = step(state, window(60 + i, fast=count), policy)
        if decision.applied.circuit != before:
            moved.append(decision.at_s)
    assert all(b - a >= policy.dwell_s for a, b in pairwise(moved))


# From any state, this many healthy one-minute windows bring everything back:
# 15 to fill a pooling span, 3 gate steps and a budget or 3 attempt steps of at
# most 3 windows settling + hold_periods x hold_max each.
RECOVERY_WINDOWS = 15 + 7 * (3 + 2 * 8)


@settings(max_examples=100)
@given(streams(), POLICIES)
def test_c10_from_any_state_healthy_windows_bring_nominal(stream, policy):
    """Liveness: no sequence of bad luck may leave a target restricted for ever."""
    state, _ = run(stream, policy)
    first = int((max(state.stamp_s, state.seen_s, T0) - T0) // 60.0) + 2
    state, decisions = run(calm(first, RECOVERY_WINDOWS), policy, state)
    assert decisions[-1].applied == nominal_setpoint(policy)
    assert decisions[-1].regime == Regime.NOMINAL


@given(streams(), POLICIES)
def test_c11_codec_round_trip_is_exact_and_small(stream, policy):
    """The checkpoint is the state."""
    state, _ = run(stream, policy)
    state = state._replace(hold=Hold(HoldKind.FREEZE, T0, "ops @ ☎", "why not"))
    data = encode_state(state)
    assert decode_state(data) == state
    assert len(data) <= STATE_BYTES_MAX


@given(st.binary(max_size=3_000))
@example(b"")
@example(b"fb\x01\x00\x00\x00\x00")
def test_c11_bytes_that_are_no_state_are_named_and_never_obeyed(data):
    """A corrupt item must not become an open circuit, nor a crash."""
    with pytest.raises(CheckpointError):
        decode_state(data)


@given(streams(max_size=10), st.data())
def test_c11_one_flipped_bit_is_noticed(stream, data):
    """Including in the numbers."""
    state, _ = run(stream)
    whole = bytearray(encode_state(state))
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[at // 8] ^= 1 << (at % 8)
    with pytest.raises(CheckpointError):
        decode_state(bytes(whole))


@given(st.integers(0, 600), st.integers(0, 600))
def test_c12_more_failures_are_never_answered_by_a_weaker_ladder(fewer, more):
    """The declared fragment: the ladder law after one window of fast failures."""
    policy = Policy(law=Law.LADDER, retry_adaptive=False, retry_floor=0.2, open_floor=0.5)
    fewer, more = sorted((fewer, more))
    state, _ = run(calm(0, 60), policy)
    _, mild = step(state, window(60, fast=fewer), policy)
    _, hard = step(state, window(60, fast=more), policy)
    assert hard.applied.max_attempts <= mild.applied.max_attempts
    assert hard.applied.circuit >= mild.applied.circuit


@given(streams(max_size=30))
def test_o3_shadow_decides_as_active_does(stream):
    """Shadow mode is a rehearsal: the same decisions, which the loop then does not act upon."""
    _, active = run(stream, Policy())
    _, shadow = run(stream, Policy(mode=Mode.SHADOW))
    assert [d.applied for d in active] == [d.applied for d in shadow]


def test_off_returns_everything_to_nominal():
    """Switching flyball off must not freeze a restriction in place."""
    state, _ = run([*calm(0, 60), window(60, timeouts=400)])
    assert state.law.applied.budget_ratio == 0.0
    _, decision = step(state, window(61), Policy(mode=Mode.OFF))
    assert decision.applied == nominal_setpoint(Policy())


def test_a_hold_wins_and_expires():
    """An operator forces a circuit open for ten minutes: it stays so, then comes back."""
    policy = Policy()
    state, _ = run(calm(0, 60))
    until_s = T0 + 60.0 * 70
    state = state._replace(hold=Hold(HoldKind.FORCE_OPEN, until_s, "ana", "maintenance"))
    state, held = run(calm(60, 8), policy, state)
    assert all(d.applied.circuit == CircuitState.FORCED_OPEN for d in held)
    state, after = run(calm(68, 40), policy, state)
    released = [d for d in after if any(e.reason == Reason.OPERATOR_HOLD_EXPIRED for e in d.evidence)]
    assert released[0].applied.circuit == CircuitState.HALF_OPEN
    assert after[-1].applied == nominal_setpoint(policy)


def test_a_freeze_keeps_what_is_applied():
    """No change in either direction until it expires."""
    state, _ = run([*calm(0, 60), window(60, timeouts=400)])
    frozen = state._replace(hold=Hold(HoldKind.FREEZE, T0 + 60.0 * 100, "ana", "watching"))
    _, decisions = run(calm(61, 30), Policy(), frozen)
    assert {d.applied.budget_ratio for d in decisions} == {0.0}


def test_a_partial_window_may_tighten_but_does_not_count():
    """The whole window is still to come: its stamp must not be used up."""
    state, _ = run(calm(0, 60))
    partial = window(60, timeouts=400)._replace(quality=Quality.PARTIAL)
    after, decision = step(state, partial, Policy())
    assert decision.changed
    assert decision.applied.budget_ratio == 0.0
    assert after.stamp_s == state.stamp_s
    healthy = window(60)._replace(quality=Quality.PARTIAL)
    after, decision = step(state, healthy, Policy())
    assert after.baseline == state.baseline
    assert not decision.changed


def test_windows_that_are_long_past_teach_but_do_not_act():
    """A controller that was away for an hour must not tighten for what happened then."""
    state, _ = run(calm(0, 60))
    late = window(60, timeouts=400)._replace(arrived_s=T0 + 60.0 * 120)
    after, decision = step(state, late, Policy())
    assert not decision.changed
    assert decision.evidence[0].reason == Reason.OBSERVATION_STALE
    assert after.stamp_s == late.start_s
    calm_and_late = window(60, fast=2)._replace(arrived_s=T0 + 60.0 * 120)
    after, _ = step(state, calm_and_late, Policy())
    assert after.baseline.learned_s == state.baseline.learned_s + 60.0
