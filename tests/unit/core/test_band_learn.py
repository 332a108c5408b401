"""How far one row moves what is remembered, by hand."""

from __future__ import annotations

import pytest

from band_runs import MINUTE_S, SETTINGS, T0, calm, level_of, play
from flyball_controller.core.band import step
from flyball_controller.core.band_learn import learn, start
from flyball_controller.core.band_settings import RATIO
from flyball_controller.core.band_state import Normal, Point


def test_the_first_normal_comes_from_the_lower_third():
    """Roots 1..12: the fourth is the level; spread is the smaller of 1.48 x 3 and 1.5 x (4 - 2)."""
    now, first = Normal(), ()
    for root in (7.0, 1.0, 12.0, 3.0, 9.0, 2.0, 11.0, 4.0, 10.0, 5.0, 8.0, 6.0):
        now, first = start(first, root, SETTINGS)
    assert now == Normal(4.0, 3.0, 12)
    assert first == ()


def test_without_a_lower_tail_the_median_deviation_counts():
    """Ten equal rows and two high ones: no lower tail to measure, and a median deviation of 0."""
    first: tuple[float, ...] = ()
    for root in (*[2.0] * 6, 3.0, 3.0, 3.0, 3.0, 5.0, 5.0):
        now, first = start(first, root, SETTINGS)
    assert now.level == 2.0
    assert now.spread == 0.0


def _learned(root: float, *, over: bool = False, rows: int = 98) -> Normal:
    return learn(Normal(1.0, 0.1, rows), root, MINUTE_S, MINUTE_S, SETTINGS, over=over, least=0.0)


def test_a_young_row_weighs_two_of_all():
    """98 rows behind: 2 / 100; 0.1 over moves the level by 0.002, the spread by 0.02 (0.1253 - 0.1)."""
    now = _learned(1.1)
    assert now.level == pytest.approx(1.002)
    assert now.spread == pytest.approx(0.1 + 0.02 * 0.02533, abs=1e-6)
    assert now.rows == 99


def test_a_row_counts_at_most_three_spreads_either_way():
    """0.02 x 0.3, whatever the row holds; so does the spread."""
    assert _learned(9.0).level == pytest.approx(1.006)
    assert _learned(0.0).level == pytest.approx(0.994)
    assert _learned(9.0).spread == _learned(1.3).spread
    assert _learned(0.0).spread == pytest.approx(_learned(0.7).spread)


def test_a_very_young_level_falls_freely():
    """It may have begun inside an incident: 2 / 22 of the whole fall."""
    assert _learned(0.0, rows=20).level == pytest.approx(1.0 - 2.0 / 22.0)


def test_a_row_over_the_band_is_learned_at_a_fifth():
    """0.2 x 0.02 x 0.3."""
    assert _learned(9.0, over=True).level == pytest.approx(1.0012)


def test_nothing_is_learned_while_firing():
    """Not even slowly: an incident of any length leaves level and spread as they were."""
    opened = play([*calm(600), 1.0, 1.0]).state
    assert opened.firing
    assert play([1.0] * 600, first=602, state=opened).state.now == opened.now


def test_a_row_after_a_gap_is_still_one_row():
    """It counts like ten at most, or a weekend without traffic would end in one odd Monday row."""
    state = play(calm(1500)).state
    levels = [
        step(state, Point(T0 + (1500 + gap) * MINUTE_S, MINUTE_S, 0.23), SETTINGS)[0].now.level
        for gap in (0, 9, 10_000)
    ]
    assert levels[1] == levels[2]
    assert levels[1] - state.now.level > 1.5 * (levels[0] - state.now.level)


def test_the_spread_about_the_season_is_moved_by_a_bounded_amount():
    """One wild row, in an hour that is known, must not blow up the band of every hour."""
    state = play(calm(600)).state
    wild = play([1e9], first=600, state=state).state
    assert wild.seasons.spread == pytest.approx(state.seasons.spread, rel=0.02)


def test_ratios_under_the_floor_are_learned():
    """What may not open is no excursion: 1 to 2 % becomes the level of what began without errors."""
    state = play([*[0.0] * 60, *[0.01, 0.02] * 600], settings=RATIO).state
    assert level_of(state) == pytest.approx(0.0125, abs=0.005)


def test_a_quarter_of_an_hour_over_the_band_is_no_lonely_peak():
    """Longer than ten minutes is an incident, however often it comes."""
    values = calm(96)
    values[40] = values[60] = values[80] = 2.0
    assert play(values, period_s=900.0).state.peaks == (0.0, 0.0, 0.0)
    assert play(values, period_s=300.0).state.peaks[2] > 0.5


def test_an_outage_enters_the_day_for_two_hours_only():
    """Five hours out: seven quarter hours are entered, the eighth still runs, the rest are yesterday's."""
    outage = play([1.0] * 60, first=288, period_s=300.0, state=play(calm(288), period_s=300.0).state).state
    newest = outage.seasons.daily.visits[::3]
    at = int(T0 // 900.0)
    entered = [newest[(at + i) % 96] == 1.0 for i in range(20)]
    assert entered == [True] * 7 + [False] * 13
