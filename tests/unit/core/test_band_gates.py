"""What is promised of a value detector over hours and weeks: seasons, incidents, new normals."""

from __future__ import annotations

import pytest

from band_runs import SETTINGS, calm, level_of, play
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import Note


def _hourly_batch(hours: int, *, seed: int = 1) -> list[float]:
    """Calm minutes with a batch at five times the level in the minutes 10, 11 and 12 of each hour."""
    values = calm(60 * hours, seed=seed)
    return [5.0 * v if i % 60 in (10, 11, 12) else v for i, v in enumerate(values)]


def test_an_hourly_batch_is_known_after_three_visits():
    """Three minutes at five times the level: at most three alarms, then none for two days."""
    ran = play(_hourly_batch(51))
    assert len(ran.openings) <= 3
    assert [i for i in ran.firing if i >= 3 * 60] == []


def test_the_batchs_level_outside_its_window_opens_at_once():
    """What is normal at ten past is an incident at forty past: two minutes to see it."""
    values = _hourly_batch(30)
    for i in range(29 * 60 + 40, 29 * 60 + 45):
        values[i] = 1.0
    assert play(values).openings[-1] == 29 * 60 + 41


def test_a_batch_that_comes_a_minute_early_is_still_the_batch():
    """Timers jitter: slots are widened by one each side."""
    values = _hourly_batch(30)
    at = 29 * 60
    values[at + 9 : at + 13] = [1.0, 1.0, 1.0, 0.2]
    assert [i for i in play(values).openings if i >= at] == []


def test_a_nightly_job_is_known_after_three_nights():
    """Twenty minutes at four times the level at the same time each day; five-minute rows."""
    values = calm(288 * 8, seed=3)
    values = [4.0 * v if i % 288 in (36, 37, 38, 39) else v for i, v in enumerate(values)]
    openings = play(values, period_s=300.0).openings
    assert [i // 288 for i in openings if i % 288 in range(34, 42)] == [0, 1, 2]
    assert [i for i in openings if i >= 3 * 288] == []


def test_a_weekly_job_is_known_after_three_weeks_where_weeks_are_kept():
    """An hour at four times the level each Sunday; without the weekly profile every one opens."""
    values = calm(168 * 6, seed=4)
    values = [4.0 * v if i % 168 == 100 else v for i, v in enumerate(values)]
    kept = play(values, period_s=3600.0, settings=BandSettings(weekly=True)).openings
    assert [i // 168 for i in kept] == [0, 1, 2]
    assert [i // 168 for i in play(values, period_s=3600.0).openings] == [0, 1, 2, 3, 4, 5]


def test_a_two_hour_incident_moves_the_baseline_by_less_than_a_tenth():
    """And the same incident an hour later is seen again: nothing was learned from it."""
    day = calm(1440)
    before = play(day).state
    ran = play([*[1.0] * 120, *calm(60, seed=2), *[1.0] * 5], first=1440, state=before)
    assert level_of(ran.state) == pytest.approx(level_of(before), rel=0.1)
    assert ran.state.now.spread == pytest.approx(before.now.spread, rel=0.1)
    assert ran.openings == [1, 181]
    assert ran.verdicts[119].firing


def test_an_outage_of_three_hours_does_not_become_an_hourly_batch():
    """An excursion visits each minute of the hour at most once: the alarm stands to the end."""
    before = play(calm(600)).state
    ran = play([1.0] * 200, first=600, state=before)
    assert ran.firing == list(range(1, 200))


def test_a_step_is_accepted_within_a_day():
    """A level that stays is the new normal: one alarm, one note, then silence."""
    before = play(calm(1440)).state
    ran = play(calm(3 * 1440, level=0.8, seed=2), first=1440, state=before)
    notes = [i for i, v in enumerate(ran.verdicts) if v.note is Note.RELEARNED]
    assert ran.openings == [1]
    assert notes == [1440 - 1]
    assert [i for i in ran.firing if i >= 1440 - 1] == []
    assert level_of(ran.state) == pytest.approx(0.8, rel=0.1)


def test_the_old_normal_returns_with_the_values():
    """After an incident of a day and a half the next one of the same height must be seen."""
    before = play(calm(1440)).state
    long = play([0.8] * 2160, first=1440, state=before)
    back = play([*calm(30, seed=5), *[0.8] * 4], first=3600, state=long.state)
    assert [i for i, v in enumerate(back.verdicts) if v.note is Note.RESTORED] == [2]
    assert back.openings == [31]


def test_the_old_normal_is_forgotten_after_a_week():
    """What has been normal for a week is not given up for three quiet rows."""
    before = play(calm(200), period_s=3600.0).state
    after = play(calm(24 + 200, level=0.8), first=200, period_s=3600.0, state=before).state
    assert after.before.rows == 0
    assert level_of(after) == pytest.approx(0.8, rel=0.1)


def test_a_slow_ramp_is_not_learned_as_normal():
    """Three times the level within eight hours: seen before it has doubled twice."""
    day = calm(1440)
    ramp = [v * (1.0 + 2.0 * i / 480.0) for i, v in enumerate(calm(480, seed=6))]
    ran = play(ramp, first=1440, state=play(day).state)
    assert ran.firing
    assert ran.firing[0] < 360


def test_short_lonely_spikes_are_normal_when_they_have_come_three_times():
    """Ten per cent of the rows of a quiet function are cold starts: it opens a few times, then no more."""
    values = calm(288 * 4, seed=7)
    for i in range(40, len(values), 37):
        values[i] = 1.6
    ran = play(values, period_s=300.0)
    assert 1 <= len(ran.openings) <= 3
    longer = play([1.6] * 4, first=len(values), period_s=300.0, state=ran.state)
    assert longer.firing == []  # one value can not tell a long incident of a spike's height from spikes
    assert play([2.6] * 2, first=len(values), period_s=300.0, state=ran.state).firing == [0, 1]


def test_lonely_peaks_are_kept_by_height():
    """The three highest, whatever their order."""
    values = calm(60, spread=0.01)
    for i, spike in zip(range(60, 100, 10), (1.0, 3.0, 2.0, 1.5), strict=True):
        values += [spike, *calm(9, spread=0.01, seed=i)]
    peaks = play(values, period_s=300.0).state.peaks
    assert [round((p + 0.2**0.5) ** 2, 1) for p in peaks] == [3.0, 2.0, 1.5]


def test_a_count_that_is_mostly_zero_does_not_open_on_ones():
    """Counts per hour with Poisson noise: the smallest step tells their grain."""
    values = [float(i % 7 == 0) + float(i % 31 == 0) for i in range(1000)]
    assert len(play(values, period_s=3600.0).openings) <= 2


def test_years_of_hours_do_not_move_the_state():
    """Three years of the same day: same level, same band, same size."""
    day = calm(24, seed=8)
    ran = play(day * 365, period_s=3600.0)
    longer = play(day * 365 * 2, first=24 * 365, period_s=3600.0, state=ran.state)
    assert longer.state.now.level == pytest.approx(ran.state.now.level, rel=1e-6)
    assert longer.firing == []
    assert len(longer.state.seasons.daily.visits) == 288


def test_a_clock_change_costs_two_nights():
    """A nightly job in local time moves by an hour, twice a year."""
    values = calm(288 * 14, seed=9)
    for day in range(14):
        at = day * 288 + (36 if day < 7 else 48)
        values[at : at + 4] = [0.8] * 4
    days = [i // 288 for i in play(values, period_s=300.0, settings=SETTINGS).openings]
    assert [d for d in days if d not in (0, 1, 2)] == [7, 8]
