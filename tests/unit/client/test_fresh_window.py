"""Until when nothing is due, in one window; and what a target does not weigh."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball import Runtime
from flyball.contract import DEFAULT_PARAMS, BreakerParams, Document, ThrottleParams
from flyball.environment import FLUSH_S
from flyball.guard import target
from flyball.outcome import Counters
from flyball.records import clip_params
from flyball.sources import CIRCUIT_AGE_S, STALE, StaticCircuits, StaticDocuments, cached_circuits
from flyball.window import Window
from unit.client.support import ManualClock, ScriptedReads, World

NEVER_FRESH = float("-inf")

# --- until when nothing is due (K6) ---------------------------------------------------


class Reads(NamedTuple):
    world: World
    source: ScriptedReads
    guarded: Callable[[], object]


def reading() -> Reads:
    source = ScriptedReads(())
    world = World(circuits=source)
    guarded = world.target().guard(world.function(*["answer"] * 99, took_s=0.0))
    guarded()
    guarded()
    assert source.reads == 1
    return Reads(world, source, guarded)


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s"),
    [(1.2 * CIRCUIT_AGE_S, 0.0), (0.0, 1.2 * CIRCUIT_AGE_S), (-1.0, 0.0), (-9_000.0, 1.0), (9_000.0, 0.0)],
)
def test_either_clock_ends_the_freshness(wall_s, monotonic_s):
    """A freeze in which one clock stood still, a step of the other, back and forth (K6)."""
    reads = reading()
    reads.world.clock.pass_s(monotonic_s)
    reads.world.clock.set_wall_s(1_000.0 + wall_s)
    reads.guarded()
    assert reads.source.reads == 2


MOVES = st.tuples(
    st.sampled_from([-90, -6, -1, 0, 1, 2, 5, 6, 11, 90]), st.sampled_from([0, 1, 2, 5, 6, 11]), st.booleans()
)


@given(st.lists(MOVES, max_size=30))
def test_the_one_window_says_what_each_of_them_says(moves):
    """Caches and flush asked one by one agree, whenever the window says that nothing is due (K6)."""
    clock, flushed = ManualClock(), False
    documents = StaticDocuments(Document(1, "", "", {}))
    shared = Runtime(clock=clock, write=lambda line: None, documents=documents, circuits=StaticCircuits(()))
    for wall_s, monotonic_s, flushes in moves:
        clock.pass_s(monotonic_s)
        clock.set_wall_s(clock.wall_s() + wall_s - monotonic_s)
        now_s, now_monotonic_s = clock.wall_s(), clock.monotonic_s()
        fresh = shared.fresh_from_s <= now_s < shared.fresh_until_s
        fresh = fresh and now_monotonic_s < shared.fresh_monotonic_s
        due = any(cached.due(now_s, now_monotonic_s) for cached in (shared._document, shared._circuits))
        flush_at_s = shared._flush_at_s
        due = due or flush_at_s is None or not flush_at_s - 2 * FLUSH_S <= now_s < flush_at_s
        assert fresh == (not due and not flushed)
        shared.see_to(now_s, now_monotonic_s)
        flushed = flushes
        if flushes:
            shared.flush()


def test_a_target_that_is_declared_later_is_read_at_the_next_call_of_any():
    """Its circuits were not among those that were read."""
    reads = reading()
    target("later", within=reads.world.runtime)
    reads.guarded()
    assert reads.source.reads == 2


def test_a_change_while_the_window_is_found_out_is_not_overlooked():
    """Another thread declares a target just then: what it expired stays expired."""
    world = World(circuits=ScriptedReads(()))
    cache = world.runtime._circuits
    answers = [cached_circuits(StaticCircuits(()), tuple, "").fresh(), (0.0, 5.0, 5.0)]
    assert answers[0] == STALE

    class Expiring:
        due, value = staticmethod(lambda *_: False), None
        fresh = staticmethod(answers.pop)

    world.runtime._circuits = Expiring()  # type: ignore[assignment]
    world.runtime.see_to(1.0, 1.0)
    assert world.runtime.fresh_until_s == NEVER_FRESH
    world.runtime._circuits = cache


def test_before_the_first_flush_is_planned_nothing_is_fresh():
    """A copy has not planned one yet."""
    assert Runtime()._window() == STALE


# --- what a target weighs -------------------------------------------------------------


def test_latencies_are_made_at_their_first_use():
    """Most of what an idle target would weigh; and no other name is made up."""
    counters = Counters()
    assert not hasattr(counters, "latency_ms")
    assert counters.empty
    counters.latencies_ms.append(1.0)
    assert list(counters.latencies_ms) == [1.0]
    assert not counters.empty


def test_parameters_that_need_no_clipping_are_shared():
    """Targets with the same parameters hold the same object, section by section."""
    assert clip_params(DEFAULT_PARAMS) is DEFAULT_PARAMS
    handed = DEFAULT_PARAMS._replace(throttle=ThrottleParams(k=99.0), breaker=BreakerParams(min_calls=7))
    clipped = clip_params(handed)
    assert clipped.throttle == ThrottleParams(k=10.0)
    assert clipped.breaker is handed.breaker
    assert clip_params(clipped) is clipped


def test_a_count_that_comes_as_a_real_number_is_not_shared_but_made_whole():
    """20.0 equals 20, and `range` takes only one of them."""
    params = clip_params(DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=20.0)))  # type: ignore[arg-type]
    assert params == DEFAULT_PARAMS
    assert isinstance(params.breaker.min_calls, int)


def test_windows_without_a_past_share_it():
    """And none writes into it."""
    first, second = Window(10.0), Window(10.0)
    assert first._past is second._past
    first.advance(0.0)
    first.calls_now += 1
    first.advance(5.0)
    assert (first.calls, second.calls) == (1, 0)
    assert first._past is not second._past
