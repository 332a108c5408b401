"""Slots, visits and what they let expect."""

from __future__ import annotations

from flyball_controller.core.profile import DAILY, HOURLY, Profile, expectation, visit


def _hours(values: list[float], *, minute: int = 5) -> Profile:
    """Visits at one minute of each hour, the last of them over."""
    profile = Profile()
    for hour, value in enumerate(values):
        profile = visit(profile, HOURLY, 3600.0 * hour + 60.0 * minute, 60.0, value)
    return visit(profile, HOURLY, 3600.0 * len(values) + 1800.0, 60.0, 0.0)


def test_a_slot_counts_from_its_third_visit_with_the_median():
    """One odd visit teaches nothing."""
    at_s = 36_000.0 + 300.0
    assert expectation(_hours([4.0, 9.0]), HOURLY, at_s, 60.0) == -1.0
    assert [
        expectation(_hours(v), HOURLY, at_s, 60.0)
        for v in ([4.0, 9.0, 5.0], [9.0, 5.0, 4.0], [5.0, 4.0, 9.0])
    ] == [5.0] * 3
    assert expectation(_hours([9.0, 9.0, 1.0, 1.0]), HOURLY, at_s, 60.0) == 1.0


def test_a_slot_is_widened_by_one_each_side():
    """Batches jitter by a minute, not by two."""
    profile = _hours([4.0] * 3)
    seen = [expectation(profile, HOURLY, 36_000.0 + 60.0 * m, 60.0) for m in range(3, 8)]
    assert seen == [-1.0, 4.0, 4.0, 4.0, -1.0]


def test_the_ring_joins_at_the_full_hour():
    """Minute 59 is the neighbour of minute 0."""
    assert expectation(_hours([4.0] * 3, minute=0), HOURLY, 36_000.0 + 59 * 60.0, 60.0) == 4.0


def test_short_windows_are_one_visit_with_their_highest_value():
    """A three-minute job inside a quarter hour is seen as it is, not thinned by the other twelve."""
    profile = Profile()
    for day in range(3):
        for minute in range(16):
            value = 5.0 if minute == 3 else 1.0
            profile = visit(profile, DAILY, 86_400.0 * day + 60.0 * minute, 60.0, value)
    assert profile.visits[:3] == (5.0, 5.0, 5.0)  # minute 15 of the last day ended the visit
    assert expectation(profile, DAILY, 3 * 86_400.0, 60.0) == 5.0


def test_a_long_window_visits_every_slot_it_covers_once():
    """Five minutes are five minutes, also if they do not begin at a full one."""
    profile = visit(visit(Profile(), HOURLY, 630.0, 300.0, 2.0), HOURLY, 930.0, 300.0, 3.0)
    assert [i // 3 for i, v in enumerate(profile.visits) if v >= 0.0] == [10, 11, 12, 13, 14]


def test_windows_too_coarse_for_a_cycle_say_nothing_about_it():
    """An hour says nothing about minutes."""
    assert visit(Profile(), HOURLY, 0.0, 3600.0, 2.0) == Profile()
    assert expectation(_hours([4.0] * 3), HOURLY, 300.0, 3600.0) == -1.0


def test_a_visit_counts_when_it_is_over():
    """The previous minute of an incident must not make its next one normal."""
    profile = visit(_hours([4.0, 4.0]), HOURLY, 2 * 3600.0 + 300.0, 60.0, 9.0)
    assert expectation(profile, HOURLY, 2 * 3600.0 + 360.0, 60.0) == -1.0
