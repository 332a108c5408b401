"""What a value detector learns of one row, at the edges: clips, lonely peaks, new normals, profiles."""

from __future__ import annotations

from math import sqrt

import pytest

from band_runs import MINUTE_S, SETTINGS, T0
from flyball_controller.core.band_learn import (
    change_normal,
    learn,
    learn_season,
    note_excursion,
    start,
    visit_seasons,
)
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import BandState, Normal, Note, Point, Seasons
from flyball_controller.core.profile import DAILY, HOURLY, UNVISITED, Profile, expectation, visit

NEXT = Point(T0 + MINUTE_S, MINUTE_S, 4.0)


def settled(level: float = 2.0, spread: float = 0.4, **memory: object) -> BandState:
    """A state with a known normal; so many rows that nothing is widened."""
    return BandState(at_s=T0, accepted=9, now=Normal(level, spread, 10**9), **memory)  # type: ignore[arg-type]


# --- the first normal --------------------------------------------------------------------


def _started(count: int) -> Normal:
    settings = BandSettings(ready_rows=count)
    first: tuple[float, ...] = ()
    for root in range(count):
        now, first = start(first, float(root), settings)
    assert first == ()
    return now


def test_while_rows_are_gathered_the_first_one_is_the_level():
    """Without a spread; the rows are kept."""
    assert start((3.0,), 5.0, SETTINGS) == (Normal(3.0, 0.0, 2), (3.0, 5.0))


@pytest.mark.parametrize(
    ("count", "level", "spread"),
    [
        # Level: the row at 34 %; spread: the lesser of 1.48 x the median deviation and 1.5 x the lower tail.
        (4, 1.0, 1.4826022185056018),  # deviations 0 1 1 2; tail 1.5
        (21, 6.0, 6.0),  # tail 1.5 x (6 - 2)
        (51, 17.0, 18.0),  # 1.48 x 13 = 19.3; tail 1.5 x (17 - 5)
    ],
)
def test_the_first_normal_of_evenly_spread_rows(count, level, spread):
    """0, 1, 2, ..."""
    assert _started(count) == Normal(level, spread, count)


# --- learning ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("half_life_s", "rows", "period_s", "half_life"),
    [(43_200.0, 24.0, 60.0, 43_200.0), (600.0, 24.0, 60.0, 1_440.0)],
)
def test_old_rows_are_forgotten_by_time_or_by_rows(half_life_s, rows, period_s, half_life):
    """The longer of both; of a very old baseline nothing else counts."""
    settings = BandSettings(half_life_s=half_life_s, half_life_rows=rows)
    share = 0.6931471805599453 * period_s / half_life
    now = learn(Normal(1.0, 0.1, 10**12), 1.1, period_s, period_s, settings, over=False, least=0.0)
    assert now.level == pytest.approx(1.0 + 0.1 * share / (1.0 + share), rel=1e-12)


def test_a_level_falls_freely_for_twenty_rows_and_not_for_twenty_one():
    """1 - 2/22 x 1, then 2/23 x the clip of 0.3."""
    fall = [
        learn(Normal(1.0, 0.1, n), 0.0, 60.0, 60.0, SETTINGS, over=False, least=0.0).level for n in (20, 21)
    ]
    assert fall == pytest.approx([1.0 - 2.0 / 22.0, 1.0 - 2.0 / 23.0 * 0.3])


def _hourly(root: float, spread: float) -> Seasons:
    return Seasons(hourly=Profile((root, root, root) * 60), spread=spread)


@pytest.mark.parametrize(
    ("spread", "root", "over", "after"),
    [
        (0.2, 4.1, False, 0.1),
        (0.2, 3.9, False, 0.1),  # under the season as well
        (0.0, 4.1, False, 0.1),
        (-1.0, 4.1, False, 0.1),  # unknown: begins with the plain spread
        (0.2, 9.0, False, 1.2),  # at most three plain spreads
        (0.2, 4.1, True, 0.1),
    ],
)
def test_the_spread_about_a_season_moves_by_one_row(spread, root, over, after):
    """Towards 1.25 x the deviation, by the weight of a row; a fifth of it while over."""
    state = settled(seasons=_hourly(4.0, spread))
    moved = learn_season(state, NEXT, root, 60.0, SETTINGS, over=over).spread
    share = 0.6931471805599453 * 60.0 / 43_200.0
    rate = share / (1.0 + share) * (0.2 if over else 1.0)
    old = 0.4 if spread < 0.0 else spread
    assert moved == pytest.approx(old + rate * (1.2533141373155001 * after - old), rel=1e-9)


def test_where_no_season_is_known_none_is_learned():
    """The seasons come back as they are."""
    seasons = Seasons(spread=0.3)
    assert learn_season(settled(seasons=seasons), NEXT, 9.0, 60.0, SETTINGS, over=False) is seasons


def test_a_season_of_nothing_is_a_season():
    """Every minute of the hour shows 0."""
    state = settled(seasons=_hourly(0.0, 0.3))
    assert learn_season(state, NEXT, 0.0, 60.0, SETTINGS, over=False).spread < 0.3


# --- excursions --------------------------------------------------------------------------

READY = BandState(at_s=T0, accepted=99, now=Normal(2.0, 0.4, 99), last=4.0, step_min=0.5, step_next=0.5)


def noted(
    state: BandState, root: float, settings: BandSettings = SETTINGS, elapsed_s: float = 60.0
) -> BandState:
    """The state after one row."""
    return note_excursion(state, NEXT, settings, root, root * root, elapsed_s)


def test_an_excursion_begins_over_the_band_and_keeps_its_highest():
    """2 + 2.5 x 0.4 = 3 is not over it."""
    assert noted(READY, 3.0).run_rows == 0
    first = noted(READY, 3.5)
    assert (first.run_rows, first.run_peak) == (1, 1.5)
    assert noted(first, 3.2).run_peak == 1.5
    assert (noted(first, 4.0).run_rows, noted(first, 4.0).run_peak) == (2, 2.0)


@pytest.mark.parametrize(
    ("settings", "root"),
    [
        (BandSettings(ratio=4.0), 4.0),
        (BandSettings(floor=16.0), 4.0),
        (BandSettings(floor=12.0, low=-4.0), 4.0),
    ],
)
def test_an_excursion_is_over_multiple_and_floor_too(settings, root):
    """The root of 4 x 4, of 16, of 12 over -4: at it is not over it."""
    assert noted(READY, root, settings).run_rows == 0
    assert noted(READY, root + 0.01, settings).run_rows == 1


def test_a_floor_under_the_range_is_none():
    """25 under a range from 30."""
    assert noted(READY, 3.5, BandSettings(floor=25.0, low=30.0)).run_rows == 1


def test_too_few_rows_know_no_excursion():
    """Twelve are enough."""
    for rows, known in ((11, 0), (12, 1)):
        assert noted(READY._replace(now=Normal(2.0, 0.4, rows)), 9.0).run_rows == known


@pytest.mark.parametrize(
    ("peak", "peaks"),
    [
        (6.0, (6.0, 5.0, 3.0)),
        (5.0, (5.0, 5.0, 3.0)),
        (4.0, (5.0, 4.0, 3.0)),
        (3.0, (5.0, 3.0, 3.0)),
        (2.0, (5.0, 3.0, 2.0)),
        (1.0, (5.0, 3.0, 1.0)),
        (0.5, (5.0, 3.0, 1.0)),
    ],
)
def test_a_lonely_peak_takes_its_place_by_height(peak, peaks):
    """Of three; nothing fades in no time."""
    state = READY._replace(peaks=(5.0, 3.0, 1.0), run_rows=1, run_peak=peak)
    after = noted(state, 2.0, elapsed_s=0.0)
    assert (after.peaks, after.run_rows, after.run_peak) == (peaks, 0, 0.0)


@pytest.mark.parametrize(
    ("rows", "period_s", "lonely"),
    [
        (2, 60.0, True),
        (3, 60.0, False),
        (2, 300.0, True),
        (2, 300.1, False),
        (12, 10.0, True),
        (13, 10.0, False),
    ],
)
def test_an_excursion_is_lonely_by_rows_and_time(rows, period_s, lonely):
    """Two rows or the rows of the vote, and ten minutes."""
    state = READY._replace(run_rows=rows, run_peak=1.5)
    after = note_excursion(state, NEXT._replace(period_s=period_s), SETTINGS, 2.0, 4.0, 0.0)
    assert (after.peaks == (1.5, 0.0, 0.0)) is lonely


def test_peaks_fade_with_their_half_life():
    """ln 2 of a week, to first order."""
    after = noted(READY._replace(peaks=(5.0, 3.0, 1.0)), 2.0, elapsed_s=604_800.0)
    fade = 1.0 / (1.0 + 0.6931471805599453)
    assert after.peaks == pytest.approx((5.0 * fade, 3.0 * fade, fade))
    assert noted(READY._replace(peaks=(5.0, 3.0, 1.0)), 9.0, elapsed_s=604_800.0).peaks == pytest.approx(
        (5.0 * fade, 3.0 * fade, fade)
    )


@pytest.mark.parametrize(
    ("last", "before", "value", "after"),
    [
        (4.0, 0.5, 4.25, 0.25),
        (4.0, 0.5, 3.75, 0.25),
        (4.0, 0.5, 5.0, 0.5),
        (4.0, 0.5, 4.0, 0.5),
        (4.0, 0.0, 6.0, 2.0),  # none seen yet
        (0.0, 0.5, 0.25, 0.25),  # 0 is a value
        (-1.0, 0.5, 0.25, 0.5),  # no value before
    ],
)
def test_the_resolution_is_the_smallest_change_ever_seen(last, before, value, after):
    """Either way; equal values are none."""
    state = READY._replace(last=last, step_next=before, step_min=before)
    moved = note_excursion(state, NEXT, SETTINGS, sqrt(value), value, 60.0)
    assert (moved.step_next, moved.step_min) == (after, after)


def test_the_resolution_seen_in_an_excursion_waits_for_its_end():
    """It must not widen the band that it is judged by."""
    out = note_excursion(READY._replace(last=81.25), NEXT, SETTINGS, 9.0, 81.0, 60.0)
    assert (out.step_next, out.step_min) == (0.25, 0.5)


# --- seasons and new normals -------------------------------------------------------------


@pytest.mark.parametrize(
    ("out_s", "out", "visited"),
    [
        (3_599.0, True, (True, True, True)),
        (3_600.0, True, (False, True, True)),
        (7_199.0, True, (False, True, True)),
        (7_200.0, True, (False, False, False)),
        (7_200.0, False, (True, True, True)),
    ],
)
def test_an_excursion_visits_each_profile_for_its_time(out_s, out, visited):
    """An hour the minutes, two hours the day and the week."""
    seasons = visit_seasons(READY._replace(out_s=out_s), NEXT, 2.0, BandSettings(weekly=True), out=out)
    assert tuple(profile.running >= 0 for profile in seasons[:3]) == visited
    assert visit_seasons(READY, NEXT, 2.0, SETTINGS, out=out).weekly == Profile()
    quick = BandSettings(season_stop_s=0.5)
    assert visit_seasons(READY, NEXT, 2.0, quick, out=False).daily.running >= 0


OLD = Normal(1.0, 0.1, 50)


def test_a_day_out_of_band_is_the_new_normal():
    """The old one is kept aside; everything else begins anew."""
    state = READY._replace(
        out_s=86_400.0, firing=True, votes=3, run_rows=4, run_peak=2.0, peaks=(3.0, 2.0, 1.0), back_rows=2,
        before_s=9.0, seasons=_hourly(4.0, 0.2), first=(1.0,),
    )  # fmt: skip
    after, note = change_normal(state, 2.0, 60.0, SETTINGS, Note.JUDGED)
    assert note is Note.RELEARNED
    assert after == READY._replace(
        before=READY.now,
        seasons_before=state.seasons,
        seasons=state.seasons,
        now=Normal(),
        peaks=(0.0, 0.0, 0.0),
    )
    assert change_normal(state._replace(out_s=86_399.0), 2.0, 60.0, SETTINGS, Note.JUDGED)[1] is Note.JUDGED


def test_three_rows_inside_the_old_band_bring_it_back():
    """1 + 2.5 x 0.1 = 1.25 is inside; its resolution is gone for this."""
    kept = _hourly(4.0, 0.2)
    state = READY._replace(
        before=OLD, seasons_before=kept, before_s=9.0, back_rows=2, firing=True, votes=3, out_s=5.0,
        step_min=0.0, first=(1.0,),
    )  # fmt: skip
    after, note = change_normal(state, 1.25, 60.0, SETTINGS, Note.JUDGED)
    assert note is Note.RESTORED
    assert after == READY._replace(now=OLD, seasons=kept, step_min=0.0)
    waits, note = change_normal(state._replace(back_rows=1), 1.25, 60.0, SETTINGS, Note.JUDGED)
    assert (waits.back_rows, waits.before_s, note) == (2, 69.0, Note.JUDGED)
    out, note = change_normal(state, 1.26, 60.0, SETTINGS, Note.JUDGED)
    assert (out.back_rows, out.before_s, note) == (0, 69.0, Note.JUDGED)


@pytest.mark.parametrize(("before_s", "kept"), [(604_739.0, True), (604_740.0, False)])
def test_the_old_normal_is_forgotten_when_its_week_is_over(before_s, kept):
    """With the row that completes it."""
    state = READY._replace(before=OLD, seasons_before=_hourly(4.0, 0.2), before_s=before_s)
    after, note = change_normal(state, 9.0, 60.0, SETTINGS, Note.LEARNING)
    assert note is Note.LEARNING
    assert after == (state._replace(before_s=before_s + 60.0) if kept else READY)


# --- profiles ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "visits", [(1.0, 2.0, 3.0), (3.0, 1.0, 2.0), (2.0, 3.0, 1.0), (2.0, 1.0, 3.0), (2.0, 2.0, 9.0)]
)
def test_a_slot_answers_with_the_middle_of_its_visits(visits):
    """In any order."""
    profile = Profile((*visits, *(UNVISITED,) * 177))
    assert expectation(profile, HOURLY, 0.0, 60.0) == 2.0


def test_the_highest_of_all_covered_slots_counts():
    """A window of five minutes, and one more each side; a slot of nothing is known, too."""
    slots = [UNVISITED] * 180
    slots[3 * 10 : 3 * 13] = [1.0] * 3 + [5.0] * 3 + [0.0] * 3
    profile = Profile(tuple(slots))
    assert expectation(profile, HOURLY, 600.0, 60.0) == 5.0
    assert expectation(profile, HOURLY, 780.0, 60.0) == 0.0
    assert expectation(profile, HOURLY, 300.0, 300.0) == 1.0  # minutes 5 to 9, and 10 beside them
    assert expectation(profile, HOURLY, 300.0, 300.1) == UNVISITED
    assert expectation(Profile(), HOURLY, 0.0, 60.0) == UNVISITED


def test_a_visit_is_entered_when_the_next_begins():
    """With the highest of its values; covered slots by rounding, at least one."""
    running = visit(
        visit(visit(Profile(), DAILY, 900.0, 60.0, 0.0), DAILY, 960.0, 60.0, 3.0), DAILY, 1_020.0, 60.0, 1.0
    )
    assert running == Profile((UNVISITED,) * 288, 1, 1, 3.0)
    entered = visit(running, DAILY, 1_800.0, 1_350.0, 2.0)
    assert entered.visits[:6] == (UNVISITED, UNVISITED, UNVISITED, 3.0, UNVISITED, UNVISITED)
    assert entered[1:] == (2, 2, 2.0)
    twice = visit(entered, DAILY, 86_400.0 + 900.0, 449.0, 7.0)
    assert twice.visits[6:12] == (2.0, UNVISITED, UNVISITED) * 2
    assert twice[1:] == (97, 1, 7.0)
    again = visit(twice, DAILY, 86_400.0 + 1_800.0, 60.0, 0.0)
    assert again.visits[3:6] == (7.0, 3.0, UNVISITED)


def test_the_first_slot_of_all_is_a_slot():
    """Number 0 runs like any other; windows as long as the cycle allows count."""
    zero = visit(Profile(), HOURLY, 0.0, 300.0, 4.0)
    assert zero == Profile((UNVISITED,) * 180, 0, 5, 4.0)
    assert visit(zero, HOURLY, 300.0, 300.0, 1.0).visits[:15:3] == (4.0,) * 5
    assert visit(zero, HOURLY, 300.0, 300.1, 1.0) is zero
    assert HOURLY.length_s == 3_600.0


def test_slots_before_the_epoch_are_cut_like_all_others():
    """-30 s lies in minute -1, whose neighbours are -2 and 0; -90 s lies in minute -2."""
    slots = [UNVISITED] * 180
    slots[3:6] = [5.0] * 3
    assert expectation(Profile(tuple(slots)), HOURLY, -30.0, 60.0) == UNVISITED
    assert expectation(Profile(tuple(slots)), HOURLY, 30.0, 60.0) == 5.0
    assert visit(Profile(), HOURLY, -90.0, 60.0, 1.0).running == -2
