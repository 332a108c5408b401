"""What one value of a metric is held against, and when a detector of values fires."""

from __future__ import annotations

import math

import pytest

from band_runs import MINUTE_S, SETTINGS, T0, calm, level_of, play
from flyball_controller.core.band import bounds, step
from flyball_controller.core.band_settings import RATIO, BandSettings
from flyball_controller.core.band_state import BandState, Normal, Note, Point, Seasons
from flyball_controller.core.profile import Profile


def _settled(level_root: float, spread: float = 0.0, *, rows: int = 10**9, **kw: object) -> BandState:
    """A state with a known normal; so many rows that nothing is widened."""
    return BandState(at_s=T0, accepted=rows, now=Normal(level_root, spread, rows), **kw)


def _upper(state: BandState, settings: BandSettings = SETTINGS) -> float:
    return bounds(state, Point(T0 + MINUTE_S, MINUTE_S, 0.0), settings)[1]


def test_the_band_is_the_highest_of_its_bounds():
    """Root level 2 (value 4): 2.5 spreads of 0.4 give 3; the multiple gives 2 sqrt(1.5) = 2.449."""
    assert _upper(_settled(2.0, 0.4)) == pytest.approx(3.0)
    assert _upper(_settled(2.0, 0.01)) == pytest.approx(2.449, abs=0.001)


@pytest.mark.parametrize(
    ("settings", "root"),
    [
        (BandSettings(floor=25.0), 5.0),
        (BandSettings(excess=12.0), 4.0),  # 4 + 12 = 16
        (BandSettings(floor=25.0, ceiling=9.0), 3.0),
        (BandSettings(low=-11.0, floor=25.0), 6.0),  # measured from the low end
        (BandSettings(low=30.0, floor=25.0), 2.449),  # a floor under the range means nothing
    ],
)
def test_floor_excess_and_ceiling_have_the_metrics_unit(settings, root):
    """All of them must be exceeded, and the ceiling ends every argument."""
    assert _upper(_settled(2.0, 0.01), settings) == pytest.approx(root, abs=0.001)


def test_a_young_band_is_wider():
    """After 7 rows k is widened by 1 + 4 / 8: 2 + 2.5 x 1.5 x 0.4 = 3.5."""
    assert _upper(_settled(2.0, 0.4, rows=7)) == pytest.approx(3.5)


def test_a_constant_is_not_infinitely_sure_and_a_count_has_its_grain():
    """Half a root of the smallest step: step 16 gives 2 + 2.5 x 0.5 x 4 = 7."""
    assert _upper(_settled(2.0, step_min=16.0)) == pytest.approx(7.0)


def test_the_third_lonely_peak_raises_the_band():
    """Two odd spikes prove nothing; the third highest, and 15 % more, is normal: 2 + 1.15 x 3 = 5.45."""
    assert _upper(_settled(2.0, 0.4, peaks=(9.0, 8.0, 3.0))) == pytest.approx(5.45)
    assert _upper(_settled(2.0, 0.4, peaks=(9.0, 8.0, 0.0))) == pytest.approx(3.0)


def test_a_known_season_raises_expectation_and_band():
    """Season root 4, spread about it 0.2: 4 + 3.5 x 0.2 = 4.7 > 4 sqrt(1.3) = 4.561."""
    visits = (4.0, 4.0, 4.0) * 60
    state = _settled(2.0, 0.4, seasons=Seasons(hourly=Profile(visits), spread=0.2))
    expected, upper = bounds(state, Point(T0 + MINUTE_S, MINUTE_S, 0.0), SETTINGS)
    assert expected == 4.0
    assert upper == pytest.approx(4.7)
    narrow = state._replace(seasons=state.seasons._replace(spread=0.01))
    assert _upper(narrow) == pytest.approx(4.561, abs=0.001)
    # The metric's resolution counts here too: 4 + 3.5 x 0.5 x 2 = 7.5; without history the plain spread.
    assert _upper(state._replace(step_min=4.0)) == pytest.approx(7.5)
    assert _upper(state._replace(seasons=state.seasons._replace(spread=-1.0))) == pytest.approx(5.4)


def test_two_of_three_minutes_open_and_one_calm_minute_closes():
    """A single bad minute is not an alarm, and an alarm is not kept up for its own sake."""
    ran = play([*calm(120), 0.9, 0.2, 0.9, 0.9, 0.2, 0.2])
    assert ran.firing == [122, 123]


def test_a_five_minute_row_is_its_own_vote():
    """Persistence is counted in time: 5 min of `for` would miss every 3-minute fault."""
    assert play([*calm(120), 0.9, 0.2], period_s=300.0).firing == [120]


def test_votes_across_a_gap_are_not_neighbours():
    """Two bad minutes an hour apart are two lonely ones; two minutes apart still count."""
    state = play(calm(120)).state
    for gap, firing in ((60, False), (2, True)):
        after, _ = step(state, Point(T0 + 120 * MINUTE_S, MINUTE_S, 0.9), SETTINGS)
        _, said = step(after, Point(T0 + (120 + gap) * MINUTE_S, MINUTE_S, 0.9), SETTINGS)
        assert said.over
        assert said.firing is firing


def test_nothing_fires_while_too_little_is_known():
    """Eleven rows are no history: level and band are unknown, not zero."""
    ran = play([0.2] * 11 + [50.0])
    assert ran.firing == []
    assert (ran.verdicts[11].ready, ran.verdicts[11].level, ran.verdicts[11].upper) == (False, -1.0, -1.0)
    assert ran.verdicts[11].note is Note.LEARNING


def test_a_start_inside_an_incident_is_not_normal():
    """Half of the first twelve minutes are ten times too slow; the next, half as bad, is seen."""
    ran = play([0.2, 0.22, 0.18, *[2.0] * 6, 0.2, 0.21, 0.19, *calm(28), *[1.0] * 3])
    assert level_of(ran.state) == pytest.approx(0.2, rel=0.15)
    assert ran.openings == [41]


def test_confidence_grows_with_rows():
    """1 where the band is only one per cent wider than it will ever be: 400 rows."""
    verdicts = play(calm(500)).verdicts
    assert verdicts[200].confidence == pytest.approx(0.5)
    assert verdicts[499].confidence == 1.0
    assert play(calm(1), settings=BandSettings(young_rows=0.0)).verdicts[0].confidence == 1.0


@pytest.mark.parametrize(
    ("point", "note"),
    [
        (Point(T0 + 119 * MINUTE_S, MINUTE_S, 0.9), Note.DUPLICATE),
        (Point(T0 + 3 * MINUTE_S, MINUTE_S, 0.9), Note.LATE),
        (Point(T0 + 120 * MINUTE_S, MINUTE_S, math.nan), Note.MISSING),
        (Point(T0 + 120 * MINUTE_S, MINUTE_S, math.inf), Note.INVALID),
        (Point(T0 + 120 * MINUTE_S, 0.0, 0.2), Note.INVALID),
        (Point(T0 + 120 * MINUTE_S, math.nan, 0.2), Note.INVALID),
        (Point(math.nan, MINUTE_S, 0.2), Note.INVALID),
    ],
)
def test_a_point_that_cannot_be_used_is_named_and_changes_nothing(point, note):
    """Order and once-only are what make a replay equal; silence must not end an alarm."""
    state = play([*calm(118), 0.9, 0.9]).state
    after, said = step(state, point, SETTINGS)
    assert after == state
    assert (said.note, said.firing, said.over) == (note, True, False)


def test_a_missing_first_point_is_no_history():
    """Nothing is known, and nothing is said about a level."""
    state, said = step(BandState(), Point(T0, MINUTE_S, math.nan), SETTINGS)
    assert state == BandState()
    assert (said.note, said.ready, said.upper) == (Note.MISSING, False, -1.0)


def test_values_are_clamped_to_the_range():
    """A ratio of 3 is a ratio of 1, a negative latency is none."""
    state = play([-5.0] * 12, settings=RATIO).state
    assert state.now.level == 0.0
    _, said = step(state, Point(T0 + 12 * MINUTE_S, MINUTE_S, 3.0), RATIO)
    after, _ = step(state, Point(T0 + 12 * MINUTE_S, MINUTE_S, 1.0), RATIO)
    assert said.upper == pytest.approx(0.05)
    assert after.last == 1.0


def test_a_ratio_of_four_per_cent_never_opens_and_one_of_twenty_does():
    """The floor of ratios: no breaker has business under 5 %."""
    quiet = [0.0] * 60
    assert play([*quiet, *[0.04] * 5], settings=RATIO).firing == []
    assert play([*quiet, *[0.2] * 3], settings=RATIO).openings == [61]
