"""What the step leaves out for speed changes nothing: each shortcut beside its plain form."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.records import CircuitState
from flyball_controller.core.baseline import HOURS, QUANTA, UNVISITED, Baseline
from flyball_controller.core.baseline import hour_expectation as hour_of
from flyball_controller.core.baseline import minute_expectation as minute_of
from flyball_controller.core.evidence import Pool, Window, pool_windows
from flyball_controller.core.guardrails import Guarded, clip, guard, inside
from flyball_controller.core.kernel import slot_of
from flyball_controller.core.kernel_bounds import wilson_bounds
from flyball_controller.core.model import Observation, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import NO_HOLD, nominal_setpoint
from flyball_controller.core.step import _window
from unit.core.plain_seasons import hour_quanta, minute_quanta

COUNTS = st.integers(0, 30)
WINDOWS = st.builds(
    Window,
    st.just(0.0),
    st.sampled_from([60.0, 300.0]),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.integers(-1, 30),
    COUNTS,
)
RINGS = st.lists(WINDOWS, max_size=6).map(
    lambda ring: tuple(one._replace(start_s=300.0 * i) for i, one in enumerate(ring))
)


def pooled(ring: tuple[Window, ...], enough: int, since_s: float, span_s_max: float) -> Pool:
    """The plain form: one window after the other, newest first."""
    sums = [0.0, 0, 0, 0, 0, 0, 0, 0]
    measured = True
    for one in reversed(ring):
        if one.start_s < since_s or sums[1] >= enough or sums[0] + one.period_s > span_s_max:
            break
        sums = [a + b for a, b in zip(sums, one[1:], strict=True)]
        measured = measured and one.request_failures >= 0
    return Pool(*sums[:6], sums[6] if measured else -1, sums[7])


@given(
    RINGS, st.integers(0, 60), st.sampled_from([-1.0, 300.0, 900.0]), st.sampled_from([59.0, 400.0, 900.0])
)
def test_a_pool_is_the_sum_over_its_windows(ring, enough, since_s, span_s_max):
    """One window is its own pool; none is an empty one."""
    assert pool_windows(ring, enough, since_s, span_s_max) == pooled(ring, enough, since_s, span_s_max)


@given(RINGS, st.integers(0, 60), st.integers(0, 60), st.sampled_from([-1.0, 300.0]))
def test_only_a_pool_that_ended_for_having_enough_can_be_wider(ring, enough, more, since_s):
    """The step asks for the wider pool in that case alone."""
    keep = enough + more
    pool = pool_windows(ring, enough, since_s, 900.0)
    if not enough <= pool.requests < keep:
        assert pool_windows(ring, keep, since_s, 900.0) == pool


def test_a_window_is_cut_out_of_its_observation_by_name():
    """Fields are taken by place; a new one in between must not shift them."""
    seen = Observation("t", *range(1, 15))
    window = _window(seen)
    assert window == Window(*(getattr(seen, name) for name in Window._fields))
    assert pool_windows((window,), 1, -1.0, 900.0)._asdict() == {
        "span_s": seen.period_s,
        **{name: getattr(seen, name) for name in Pool._fields[1:]},
    }


NUMBERS = st.sampled_from([-1.0, 0.0, 0.005, 0.05, 0.1, 0.2, 1.0, 2.0, 3.0, 4.0, math.nan, math.inf])
SETPOINTS = st.builds(
    Setpoint,
    st.integers(-1, 6),
    NUMBERS,
    st.sampled_from([-1, 0, 1, 1_000, 4_000, 10**9]),
    st.sampled_from([*CircuitState, -1, 5]),
    NUMBERS,
    st.sampled_from([-1, 0, 1, 3, 20, 10**9]),
)


@given(SETPOINTS, st.integers(1, 4), st.floats(0.0, 3.0))
def test_a_setpoint_that_passes_unlooked_at_is_one_that_clipping_would_leave(wish, attempts, budget):
    """The guardrail's short way and its long way let the same setpoints pass."""
    policy = Policy(attempts_nominal=attempts, budget_nominal=budget, attempts_step=9)
    applied = nominal_setpoint(policy)
    held = guard(wish, applied, NO_HOLD, policy, 0.0)
    if clip(wish, policy) == wish and inside(wish, policy):
        assert held == Guarded(wish, ())
    else:
        assert held.evidence != ()


VISITS = st.one_of(st.integers(0, 4), st.just(UNVISITED))
MINUTE_VISITS = st.lists(VISITS, min_size=180, max_size=180).map(tuple)
HOUR_VISITS = st.lists(st.integers(0, 3), min_size=HOURS, max_size=HOURS).map(tuple)


@settings(max_examples=40)
@given(MINUTE_VISITS, st.floats(0.0, 1e6))
def test_the_season_of_a_minute_is_that_of_the_plain_form(profile, at_s):
    """Also where the hour turns, and where minutes are unknown."""
    assert minute_of(Baseline(minute=profile), at_s) == minute_quanta(profile, at_s) / QUANTA


@settings(max_examples=40)
@given(HOUR_VISITS, HOUR_VISITS, HOUR_VISITS, st.floats(0.0, 1e6), st.integers(2, 4))
def test_the_season_of_an_hour_is_that_of_the_plain_form(newest, before, visits, at_s, visits_min):
    """With no day known, some, and all."""
    base = Baseline(hour=newest, hour_before=before, hour_visits=visits)
    hour = slot_of(at_s, 3_600.0) % HOURS
    expected = hour_quanta(newest, before, visits, hour, visits_min)
    assert hour_of(base, at_s, visits_min) == expected / QUANTA


@given(st.integers(1, 10_000), st.floats(0.0, 5.0), st.floats(1.0, 25.0))
def test_the_lower_bound_of_no_time_outs_is_nothing(requests, z, dispersion):
    """So it need not be worked out where nothing timed out."""
    assert wilson_bounds(0, requests, z, dispersion)[0] == 0.0
