"""Laws of the value detector that hold for any numbers."""

from __future__ import annotations

import ast
import math

from hypothesis import given
from hypothesis import strategies as st

from band_runs import SETTINGS, T0, calm, level_of, play
from flyball_controller.core.band import step
from flyball_controller.core.band_settings import RATIO, BandSettings
from flyball_controller.core.band_state import BandState, BandVerdict, Normal, Note, Point, Seasons
from flyball_controller.core.profile import Profile
from strategies import WILD_FLOATS

PERIODS = st.sampled_from([10.0, 60.0, 300.0, 3600.0])
KINDS = st.sampled_from([SETTINGS, RATIO, BandSettings(weekly=True, low=-5.0, excess=0.1)])
CALM = play(calm(200)).state
VALUES = st.lists(
    st.one_of(st.floats(0.0, 2.0), st.floats(0.1, 0.2), st.sampled_from([0.0, math.nan, 5.0, 1e9])),
    max_size=40,
)


def restored(state: BandState) -> BandState:
    """The state after a trip through text: what a checkpoint may keep is numbers, nothing else."""

    def plain(value: object) -> object:
        return tuple(plain(v) for v in value) if isinstance(value, tuple) else value

    def seasons(fields: tuple) -> Seasons:
        *profiles, spread = fields
        return Seasons(*(Profile(*p) for p in profiles), spread)

    fields = dict(zip(BandState._fields, ast.literal_eval(repr(plain(state))), strict=True))
    for name in ("now", "before"):
        fields[name] = Normal(*fields[name])
    for name in ("seasons", "seasons_before"):
        fields[name] = seasons(fields[name])
    return BandState(**fields)


@st.composite
def points(draw: st.DrawFn) -> list[Point]:
    """Points of one metric with gaps, repeats, late ones and changing intervals."""
    at_s = T0
    found = []
    for value in draw(VALUES):
        period_s = draw(PERIODS)
        at_s += draw(st.sampled_from([1.0, 1.0, 1.0, 1.0, 3.0, 40.0, 0.0, -2.0])) * period_s
        found.append(Point(at_s, period_s, value))
    return found


def _judged(stream: list[Point], kind: BandSettings, state: BandState) -> tuple[BandState, list[BandVerdict]]:
    verdicts = []
    for point in stream:
        state, verdict = step(state, point, kind)
        verdicts.append(verdict)
    return state, verdicts


@given(points(), KINDS, st.data())
def test_a_restart_anywhere_changes_no_bit(stream, kind, data):
    """Replay is live: a checkpoint between any two points carries it all."""
    cut = data.draw(st.integers(0, len(stream)), label="cut")
    whole, verdicts = _judged(stream, kind, BandState())
    half, before = _judged(stream[:cut], kind, BandState())
    rest, after = _judged(stream[cut:], kind, restored(half))
    assert before + after == verdicts
    assert repr(rest) == repr(whole)


@given(points(), KINDS)
def test_points_that_are_not_accepted_leave_no_trace(stream, kind):
    """Late, duplicate, missing and invalid points may as well never have come."""
    whole, verdicts = _judged(stream, kind, BandState())
    refused = (Note.LATE, Note.DUPLICATE, Note.MISSING, Note.INVALID)
    kept = [p for p, v in zip(stream, verdicts, strict=True) if v.note not in refused]
    again, judged = _judged(kept, kind, BandState())
    assert repr(again) == repr(whole)
    assert judged == [v for v in verdicts if v.note not in refused]


@given(st.lists(st.tuples(WILD_FLOATS, WILD_FLOATS, WILD_FLOATS), max_size=20), KINDS)
def test_any_numbers_are_accepted_and_the_state_stays_finite(stream, kind):
    """A broken metric must not stop the loop, nor poison what is known."""
    state = play(calm(14, level=0.5), settings=kind).state
    for at_s, period_s, value in stream:
        state, verdict = step(state, Point(at_s, period_s, value), kind)
        assert not math.isnan(verdict.upper)
        assert math.isfinite(state.now.level)
        assert math.isfinite(state.now.spread)
        assert 0.0 <= verdict.confidence <= 1.0


@given(points(), st.sampled_from([0.25, 4.0, 1024.0]))
def test_a_change_of_unit_changes_no_decision(stream, factor):
    """Seconds or milliseconds: the same alarms. Powers of four, because their roots are exact."""
    _, verdicts = _judged(stream, SETTINGS, BandState())
    _, scaled = _judged([p._replace(value=p.value * factor) for p in stream], SETTINGS, BandState())
    assert [(v.firing, v.over, v.note) for v in scaled] == [(v.firing, v.over, v.note) for v in verdicts]


@given(st.floats(0.0, 1e300))
def test_one_row_moves_the_level_by_a_bounded_amount(value):
    """Whatever it holds: at most 3 spreads times its share; after 200 minutes that is under 0.5 %."""
    after = play([value], first=200, state=CALM).state
    assert abs(level_of(after) - level_of(CALM)) < 0.005 * level_of(CALM)


@given(points(), KINDS)
def test_nothing_fires_at_or_under_the_floor_or_before_it_is_ready(stream, kind):
    """And an alarm that begins is over its band."""
    state, was = BandState(), False
    for point in stream:
        state, said = step(state, point, kind)
        if said.firing and not was:
            assert said.ready
            assert said.over
            assert point.value > said.upper * (1.0 - 1e-9)
            assert point.value > kind.floor
        was = said.firing
