"""The fast replay against the plain one: equal decisions, equal state bytes, wherever it is cut.

Here the quiet path runs uncompiled, on arrays, through the same functions; that compiling
changes no bit is for test_fastreplay_compiled.py.
"""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_runs import T0, calm, window
from drawn_histories import draw, flat, series_of, with_failures
from fast_runs import HISTORIES, nasty
from flyball_analytics import fastreplay_loop
from flyball_analytics.fastreplay import Engine, Outcome, Quiet, run, run_with
from flyball_analytics.fastreplay_columns import History, history_of
from flyball_analytics.replay import replay, replay_series
from flyball_controller.codec import decode_state, encode_state
from flyball_controller.core import State, initial_state
from flyball_controller.core.model import Hold, HoldKind, Mode, Observation, Quality, Reason, Regime
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.core.state import nominal_setpoint
from strategies import POLICIES, streams, wild_observations


def plain(history: History, policy: Policy, start: State | None = None) -> Outcome:
    """The interpreted outcome."""
    return run(history, policy, start=start, engine=Engine.INTERPRETED)


def fast(history: History, policy: Policy, start: State | None = None) -> Outcome:
    """The outcome over arrays, uncompiled."""
    return run_with(fastreplay_loop.advance, history, policy, start or initial_state(policy))


def assert_equal(one: Outcome, other: Outcome) -> None:
    """Equal in everything but the engine; states are compared as bytes."""
    assert one.state_bytes == other.state_bytes
    assert repr(one._replace(state=None, engine=None)) == repr(other._replace(state=None, engine=None))


@settings(max_examples=30)
@given(stream=streams(), policy=POLICIES, looks=st.sampled_from([None, 60.0]))
def test_any_stream_gives_the_decisions_and_the_state_of_the_plain_replay(stream, policy, looks):
    """One differing bit and a tuned policy would not be the one that runs."""
    history = history_of(stream, looks_s=looks)
    assert_equal(fast(history, policy), plain(history, policy))


@settings(max_examples=40)
@given(stream=st.lists(wild_observations(), max_size=12), policy=POLICIES)
def test_no_number_at_all_breaks_it(stream, policy):
    """Histories hold what was recorded: not-a-numbers, counts beyond 2^64, times before 1970."""
    history = history_of(stream, looks_s=None)
    assert_equal(fast(history, policy), plain(history, policy))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("promise", [Promise.ANY, Promise.INDEPENDENT])
def test_services_with_incidents_gaps_and_late_rows_agree(seed, promise):
    """Hours close, seasons are learned, circuits open and close, and both sides stay equal."""
    policy = HISTORIES[seed % len(HISTORIES)]._replace(promise=promise)
    history = history_of(nasty(random.Random(seed), 220), looks_s=60.0)
    assert_equal(fast(history, policy), plain(history, policy))


@settings(max_examples=20)
@given(stream=streams(max_size=40), policy=POLICIES, data=st.data())
def test_a_cut_anywhere_changes_nothing(stream, policy, data):
    """A sweep may stop and go on from bytes, in the other engine."""
    cut = data.draw(st.integers(0, len(stream)), label="cut")
    whole = fast(history_of(stream, looks_s=None), policy)
    first = fast(history_of(stream[:cut], looks_s=None), policy)
    second = plain(history_of(stream[cut:], looks_s=None), policy, decode_state(first.state_bytes))
    assert second.state_bytes == whole.state_bytes
    assert first.steps + second.steps == whole.steps
    assert [n.decision for n in (*first.noted, *second.noted)] == [n.decision for n in whole.noted]


def test_what_is_noted_is_what_the_plain_replay_says_at_those_steps():
    """Readers take the rest for quiet: it must be."""
    series = series_of(with_failures(draw(300, ratio=flat(0.01)), T0_DRAWN + 6_000, T0_DRAWN + 9_000, 0.7))
    policy = Policy()
    steps = list(replay_series(series, policy=policy))
    outcome = fast(history_of(series.observations, looks_s=60.0), policy)
    noted = {note.observation: note for note in outcome.noted}
    assert noted
    for step in steps:
        if step.observation in noted:
            note = noted.pop(step.observation)
            assert (note.decision, note.before, note.look) == (step.decision, step.before, step.look)
        else:
            assert step.decision.regime == Regime.NOMINAL
            assert not step.decision.changed
    assert noted == {}
    assert outcome.steps == len(steps)
    assert outcome.state_bytes == steps[-1].state_after


T0_DRAWN = draw(1, ratio=flat(0.0))[0].start_s


def test_quiet_windows_are_counted_by_what_they_show():
    """2 windows of 5 requests say nothing, the third one makes it 15; 3 % of failures is between."""
    quiet = [window(minute, requests=5) for minute in range(3)]
    between = [window(minute, requests=600, fast=25) for minute in range(3, 5)]
    outcome = fast(history_of([*quiet, *between], looks_s=None), Policy())
    assert outcome.quiet == Quiet(clean=0, between=3, data_low=2)
    assert outcome.quiet.windows == outcome.steps == 5
    assert outcome.noted == ()


def test_a_look_is_noted_with_the_row_that_ends_the_gap():
    """Two minutes are missing before row 2: two looks, then the row itself, which is quiet."""
    history = history_of([window(0), window(1), window(4)], looks_s=60.0)
    outcome = fast(history, Policy())
    assert [(n.row, n.look, n.decision.at_s - T0) for n in outcome.noted] == [
        (2, True, 200.0),
        (2, True, 260.0),
    ]
    assert outcome.quiet.windows == 3


@pytest.mark.parametrize("kind", [HoldKind.FREEZE, HoldKind.FORCE_OPEN, HoldKind.RELEASE])
def test_an_operators_hold_is_obeyed_until_it_ends(kind):
    """Quiet or not, a held target goes through the guardrails; after the hold it may be quiet again."""
    policy = Policy()
    state = initial_state(policy)._replace(hold=Hold(kind, T0 + 1_000.0, "a", "b"))
    history = history_of(calm(0, 40), looks_s=None)
    outcome = fast(history, policy, state)
    assert_equal(outcome, plain(history, policy, state))
    held = [n for n in outcome.noted if n.decision.evidence[-1].reason == Reason.OPERATOR_HOLD]
    assert bool(held) == (kind != HoldKind.RELEASE)


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_agrees(mode):
    """Shadow adds a note to each decision; off is never quiet: it learns nothing."""
    policy = Policy(mode=mode)
    history = history_of(calm(0, 30, fast=1), looks_s=None)
    off = mode == Mode.OFF
    assert_equal(
        run(history, policy, engine=Engine.COMPILED) if off else fast(history, policy), plain(history, policy)
    )
    assert (plain(history, policy).quiet.windows == 0) == off


def test_the_ladder_is_quiet_only_under_its_own_thresholds():
    """At 25 % it has fewer attempts, at 4 % nothing happens: both laws must see their own levels."""
    policy = Policy(law=Law.LADDER, retry_floor=0.2, open_floor=0.5, retry_adaptive=False)
    mild = history_of(calm(0, 50, fast=24), looks_s=None)
    harsh = history_of([*calm(0, 50), *calm(50, 20, fast=180)], looks_s=None)
    assert fast(mild, policy).quiet.windows == 50
    assert len(fast(harsh, policy).noted) >= 20
    for history in (mild, harsh):
        assert_equal(fast(history, policy), plain(history, policy))


def test_a_target_that_flickers_is_not_thrown_between_both_forms():
    """Every other window is partial: laying the state out each time would cost more than it saves."""
    stream = [w._replace(quality=Quality.PARTIAL) if i % 2 else w for i, w in enumerate(calm(0, 300))]
    calls = []

    def counted(*args: object) -> int:
        calls.append(args[1])
        return fastreplay_loop.advance(*args)

    history = history_of(stream, looks_s=None)
    assert_equal(run_with(counted, history, Policy(), initial_state(Policy())), plain(history, Policy()))
    assert len(calls) <= 3


def test_a_state_that_no_array_can_hold_is_stepped_as_it_is():
    """Counts near 2^53 would round when pooled: such windows are left to the step until they are gone."""
    huge = [window(minute, requests=2**52) for minute in range(3)]
    history = history_of([*huge, *calm(3, 30)], looks_s=None)
    assert set(history.odd) == {0, 1, 2}
    assert_equal(fast(history, Policy()), plain(history, Policy()))


def test_hour_and_week_profiles_are_carried_over_weeks():
    """Hourly rows over five weeks: every slot of the week is visited, the visits' count included."""
    stream = draw(900, ratio=lambda at_s: 0.002 + 0.2 * (at_s // 3600.0 % 24 == 3), period_s=3_600.0)
    history = history_of(stream, looks_s=None)
    start = initial_state(Policy())
    visited = start.baseline._replace(hour_visits=(254,) * 168)
    for state in (start, start._replace(baseline=visited)):
        assert_equal(fast(history, Policy(), state), plain(history, Policy(), state))


def test_a_day_without_rows_renews_the_season_of_the_same_hour():
    """Two half hours each day at three: the hour that closes is a day of the season that is running."""
    stream = [
        window(0, requests=400, fast=(day * 7) % 23)._replace(
            start_s=T0 + 86_400.0 * day + 1_800.0 * half,
            period_s=1_800.0,
            arrived_s=T0 + 86_400.0 * day + 1_800.0 * half + 1_820.0,
        )
        for day in range(40)
        for half in range(2)
    ]
    history = history_of(stream, looks_s=None)
    outcome = fast(history, Policy())
    assert outcome.quiet.windows > 60
    assert_equal(outcome, plain(history, Policy()))


def test_the_plain_replay_of_observations_is_matched_without_looks():
    """`replay` takes rows only; columns without looks do the same."""
    stream = [*calm(0, 20), *calm(40, 20, fast=300), *calm(60, 20)]
    steps = list(replay(stream, policy=Policy()))
    outcome = fast(history_of(stream, looks_s=None), Policy())
    assert outcome.steps == len(steps)
    assert outcome.state_bytes == steps[-1].state_after
    assert [n.decision for n in outcome.noted if n.decision.changed] == [
        s.decision for s in steps if s.decision.changed
    ]


def test_an_outcome_continues_from_bytes_or_from_a_state():
    """A checkpoint is bytes; a caller that just replayed has the state."""
    first = run(history_of(calm(0, 10), looks_s=None), Policy(), engine=Engine.INTERPRETED)
    rest = history_of(calm(10, 10), looks_s=None)
    by_bytes = run(rest, Policy(), start=encode_state(first.state), engine=Engine.INTERPRETED)
    by_state = run(rest, Policy(), start=first.state, engine=Engine.INTERPRETED)
    assert by_bytes == by_state
    assert by_bytes.state.law.applied == nominal_setpoint(Policy())


def test_a_series_is_replayed_with_looks():
    """The same steps as `replay_series`, in both forms."""
    stream: list[Observation] = [*calm(0, 20), *calm(25, 5)]
    series = series_of(stream)
    steps = list(replay_series(series, policy=Policy()))
    assert all(b.observation.arrived_s > a.observation.arrived_s for a, b in pairwise(steps))
    interpreted = run(series, Policy())
    assert interpreted.engine is Engine.INTERPRETED
    assert interpreted.steps == len(steps) == 30
    compiled = run_with(fastreplay_loop.advance, series, Policy(), initial_state(Policy()))
    assert_equal(compiled, interpreted)
