"""The value detector where no recorded stream leads: ties, overlapping windows, ages of silence."""

from __future__ import annotations

from math import sqrt

import pytest

from band_runs import MINUTE_S, SETTINGS, T0
from flyball_controller.core.band import bounds, step
from flyball_controller.core.band_learn import (
    usual_spread,
    votes_needed,
)
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import BandState, Normal, Note, Point, Seasons
from flyball_controller.core.profile import Profile

NEXT = Point(T0 + MINUTE_S, MINUTE_S, 4.0)


def settled(level: float = 2.0, spread: float = 0.4, **memory: object) -> BandState:
    """A state with a known normal; so many rows that nothing is widened."""
    return BandState(at_s=T0, accepted=9, now=Normal(level, spread, 10**9), **memory)  # type: ignore[arg-type]


def upper(state: BandState, settings: BandSettings = SETTINGS) -> float:
    """From where a value is over, as a root."""
    return bounds(state, NEXT, settings)[1]


# --- which points count ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "note"),
    [
        (Point(1e18, 60.0, 1.0), Note.INVALID),
        (Point(-1e18, 60.0, 1.0), Note.INVALID),
        (Point(9e17, 60.0, 1.0), Note.LEARNING),
        (Point(-9e17, 60.0, 1.0), Note.LEARNING),
        (Point(0.0, 60.0, 1.0), Note.LEARNING),  # the epoch is a time, and nothing was before it
        (Point(-60.0, 60.0, 1.0), Note.LEARNING),
        (Point(T0, 0.0, 1.0), Note.INVALID),
        (Point(T0, 0.5, 1.0), Note.LEARNING),
        (Point(T0, 1e18, 1.0), Note.INVALID),
        (Point(T0, 60.0, 1e308), Note.INVALID),
        (Point(T0, 60.0, -1e308), Note.INVALID),
        (Point(T0, 60.0, 9e307), Note.LEARNING),
        (Point(T0, 60.0, -9e307), Note.LEARNING),
    ],
)
def test_the_first_point_at_the_edges_of_what_is_possible(point, note):
    """Each number by itself."""
    assert step(BandState(), point, SETTINGS)[1].note is note


# --- votes and time ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "votes"),
    [(0.4, 0b11), (0.5, 0b11), (1.0, 0b11), (1.6, 0b101), (2.0, 0b101), (5.0, 0b1), (4.0, 0b10001)],
)
def test_votes_stand_as_far_apart_as_their_rows(gap, votes):
    """Five rows vote; overlapping windows are neighbours, not one."""
    settings = BandSettings(vote_s=300.0)
    point = Point(T0 + gap * MINUTE_S, MINUTE_S, 100.0)
    assert step(settled(votes=0b1), point, settings)[0].votes == votes


def test_ages_of_silence_cost_nothing():
    """A gap of 10^15 rows shifts all votes out, and makes no number of as many bits."""
    after, _ = step(settled(votes=0b1), Point(1e17, MINUTE_S, 100.0), SETTINGS)
    assert after.votes == 0b1


def test_overlapping_windows_count_as_a_whole_window():
    """Half a minute after the last one, and a minute after it, the same is learned."""
    early, _ = step(settled(rows := 2.0), Point(T0 + 30.0, MINUTE_S, 4.5), SETTINGS)
    later, _ = step(settled(rows), Point(T0 + 60.0, MINUTE_S, 4.5), SETTINGS)
    assert early.now == later.now
    assert early.now.level > 2.0


def test_it_ends_exactly_where_it_is_reset():
    """With a share of 0 at the expectation itself."""
    settings = BandSettings(reset_share=0.0)
    state = settled(firing=True, votes=0b11)
    assert not step(state, NEXT, settings)[1].firing
    assert step(state, NEXT._replace(value=4.1), settings)[1].firing


@pytest.mark.parametrize(("out_s", "left_s"), [(240.5, 0.5), (240.0, 0.0), (100.0, 0.0), (1_000.0, 760.0)])
def test_time_out_of_band_is_forgotten_four_times_as_fast(out_s, left_s):
    """And never below nothing."""
    assert step(settled(out_s=out_s), NEXT, SETTINGS)[0].out_s == left_s


@pytest.mark.parametrize(("young_rows", "confidence"), [(0.5, 0.4), (1.0, 0.2), (4.0, 0.05), (0.0, 1.0)])
def test_confidence_after_twenty_rows(young_rows, confidence):
    """20 x 1 % of what widens."""
    state = settled()._replace(now=Normal(2.0, 0.4, 20))
    said = step(state, NEXT, BandSettings(young_rows=young_rows))[1]
    assert said.confidence == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("period_s", "votes"),
    [(180.0, (1, 1)), (90.0, (2, 2)), (45.0, (4, 3)), (5.625, (32, 22)), (5.0, (32, 22)), (181.0, (1, 1))],
)
def test_two_thirds_of_the_rows_of_the_span_vote(period_s, votes):
    """Of three minutes, up to 32 rows."""
    assert votes_needed(period_s, SETTINGS) == votes


# --- the band ----------------------------------------------------------------------------


def test_a_spread_is_at_least_a_share_of_the_level():
    """2 % of a root of 2: 2 + 2.5 x 0.04; the multiple is off."""
    assert upper(settled(2.0, 0.01), BandSettings(ratio=1.0)) == pytest.approx(2.1)
    assert usual_spread(Normal(2.0, 0.01, 9), SETTINGS, 0.0) == pytest.approx(0.04)
    assert usual_spread(Normal(2.0, 0.01, 9), SETTINGS, 0.5) == 0.5
    assert usual_spread(Normal(2.0, 0.7, 9), SETTINGS, 0.5) == 0.7


def test_a_season_without_any_spread_is_believed():
    """0 is a spread: the multiple of the season alone, 4 x sqrt(1.3)."""
    visits = (4.0, 4.0, 4.0) * 60
    state = settled(seasons=Seasons(hourly=Profile(visits), spread=0.0))
    assert upper(state) == pytest.approx(4.0 * sqrt(1.3))
    wide = state._replace(seasons=state.seasons._replace(spread=9.0))
    assert upper(wide) == pytest.approx(5.4)  # never wider than the plain spread: 4 + 3.5 x 0.4
