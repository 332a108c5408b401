"""The NAB score: numbers worked by hand from the published formula."""

from __future__ import annotations

import pytest

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.nab import (
    NabSeries,
    nab_random,
    nab_score,
    nab_windows,
    probation_rows,
    sigmoid,
)

ROWS = 20  # probation: 3 rows
WINDOW = (10, 14)


def fired(*rows: int, windows: tuple[tuple[int, int], ...] = (WINDOW,)) -> NabSeries:
    """A file of twenty rows that fires in these."""
    return NabSeries(tuple(1.0 if row in rows else 0.0 for row in range(ROWS)), windows)


def score(*rows: int) -> float:
    """Its score at its own threshold."""
    found = nab_score([fired(*rows)], threshold=1.0)
    assert found is not None
    return found.score


def test_silence_is_zero_and_the_first_row_of_the_window_is_a_hundred() -> None:
    """The two ends of the scale."""
    assert score() == 0.0
    assert score(10) == pytest.approx(100.0)


def test_a_late_detection_is_worth_less() -> None:
    """Row 14 is at y = -1/5: s = 0.462117, over 0.986614 = 0.468387; (0.468387 + 1) / 2."""
    assert score(14) == pytest.approx(73.4194, abs=1e-3)


def test_only_the_best_row_of_a_window_counts() -> None:
    """More firing inside the window neither helps nor hurts."""
    assert score(10, 11, 12, 13, 14) == pytest.approx(100.0)


def test_a_row_before_any_window_costs_eleven_hundredths() -> None:
    """-1.11 in all: 100 (-1.11 + 1) / 2."""
    assert score(5) == pytest.approx(-5.5)


def test_a_row_past_the_window_costs_by_its_distance() -> None:
    """Row 16 is 2 of 4 rows past: s(0.5) = -0.848284, times 0.11; with the window caught, 95.3344."""
    assert score(10, 16) == pytest.approx(95.3344, abs=1e-3)


def test_rows_in_probation_count_nothing() -> None:
    """The first 15 % of a file are for learning."""
    assert score(0, 1, 2) == 0.0
    assert (probation_rows(20), probation_rows(100_000)) == (3, 750)


def test_far_past_a_window_a_row_costs_all_of_it() -> None:
    """Beyond three widths the curve is cut, as published."""
    assert sigmoid(3.01) == -1.0
    assert sigmoid(3.0) > -1.0


def test_the_threshold_is_tuned_on_the_labels_unless_one_is_given() -> None:
    """NAB picks the threshold that pleases it best: here the one that leaves row 5 out."""
    scores = [0.0] * ROWS
    scores[5], scores[10] = 0.5, 0.9
    series = NabSeries(tuple(scores), (WINDOW,))
    tuned = nab_score([series])
    given = nab_score([series], threshold=0.4)
    assert tuned is not None
    assert given is not None
    assert (tuned.score, tuned.threshold) == (pytest.approx(100.0), 0.9)
    assert given.score == pytest.approx(94.5)


def test_windows_of_several_files_are_one_score() -> None:
    """Perfect in one file and silent in the other is half of the way."""
    both = nab_score([fired(10), fired()], threshold=1.0)
    assert both is not None
    assert both.score == pytest.approx(50.0)
    assert (both.windows, both.detected) == (2, 1)


def test_a_window_that_ends_in_probation_does_not_exist() -> None:
    """Nobody could be asked for it."""
    assert nab_score([fired(windows=((0, 2),))]) is None
    assert nab_score([fired(windows=())]) is None


def test_chance_gets_a_score_too() -> None:
    """Why a random row stands beside every score; equal seeds give equal rows."""
    series = [NabSeries((0.0,) * 400, ((100, 119), (300, 319)))]
    by_lot = nab_random(series)
    assert by_lot is not None
    assert by_lot == nab_random(series)
    assert 0.0 < by_lot.score < 90.0
    assert nab_random([fired(windows=())]) is None


def test_windows_are_a_tenth_of_the_file_shared_by_its_incidents() -> None:
    """100 rows, one incident at rows 50 to 54: five rows each side of row 52."""
    starts = [60.0 * row for row in range(100)]
    one = Labels((Incident(3_000.0, 3_240.0, 3_000.0, 3_240.0),))
    assert nab_windows(starts, one) == ((47, 57),)


def test_windows_that_touch_are_one() -> None:
    """As NAB merges them: rows 50 and 53 with two rows to each side."""
    starts = [60.0 * row for row in range(100)]
    close = Labels(tuple(Incident(60.0 * r, 60.0 * r, 60.0 * r, 60.0 * r) for r in (50, 53)))
    assert nab_windows(starts, close) == ((48, 55),)


def test_stated_windows_win_and_outside_ones_are_dropped() -> None:
    """The published windows are the benchmark; an incident outside the history has none."""
    starts = [60.0 * row for row in range(10)]
    stated = Labels((), windows=((120.0, 300.0), (9_000.0, 9_060.0)))
    assert nab_windows(starts, stated) == ((2, 5),)
    assert nab_windows(starts, Labels(())) == ()
    assert nab_windows(starts, Labels((Incident(9e5, 9e5, 9e5, 9e5),))) == ()
