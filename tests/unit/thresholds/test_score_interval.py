"""How sure a rate is: exact bounds and the bootstrap."""

from __future__ import annotations

import pytest

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.score import Step, score_steps
from flyball_analytics.score_interval import (
    Piece,
    bootstrap_rate,
    healthy_pieces,
    join_pieces,
    rate_per_week_min,
)

WEEK_S = 604_800.0


def step(start_s: float, *, troubled: bool) -> Step:
    """One hour that fires or not."""
    return Step(start_s, start_s + 3_600.0, 3_600.0, troubled, False, troubled, troubled, troubled)


def test_four_events_prove_more_than_one_a_week_and_three_do_not() -> None:
    """Exact Poisson: half the 5 % quantile of chi-square with 8 and with 6 degrees of freedom."""
    assert rate_per_week_min(4, 1.0) == pytest.approx(1.366, abs=1e-3)
    assert rate_per_week_min(3, 1.0) == pytest.approx(0.818, abs=1e-3)


def test_no_event_proves_no_rate_and_no_time_proves_nothing() -> None:
    """0 is a value; None is silence."""
    assert rate_per_week_min(0, 2.0) == 0.0
    assert rate_per_week_min(3, 0.0) is None


def test_the_bootstrap_interval_holds_the_rate_and_is_repeatable() -> None:
    """Ten weeks, half of them with two alarms: one a week, never below 0.2 or above 1.8."""
    pieces = [Piece(WEEK_S, 0), Piece(WEEK_S, 2)] * 5
    interval = bootstrap_rate(pieces)
    assert interval is not None
    assert 0.2 <= interval.low < 1.0 < interval.high <= 1.8
    assert interval == bootstrap_rate(pieces)


def test_bunched_alarms_are_less_sure_than_spread_ones() -> None:
    """The same rate from one bad week in ten says less than from ten equal weeks."""
    spread = bootstrap_rate([Piece(WEEK_S, 1)] * 10)
    bunched = bootstrap_rate([Piece(WEEK_S, 10)] + [Piece(WEEK_S, 0)] * 9)
    assert spread is not None
    assert bunched is not None
    assert bunched.high - bunched.low > spread.high - spread.low


def test_fewer_than_five_pieces_give_no_interval() -> None:
    """Drawing the same few again and again would claim to be sure."""
    assert bootstrap_rate([Piece(WEEK_S, 1)] * 4) is None
    assert bootstrap_rate([Piece(WEEK_S, 1)] * 4 + [Piece(0.0, 0)]) is None


def test_pieces_count_what_the_score_counts() -> None:
    """Probation, incidents and ignored stretches are left out; an alarm belongs to the day it begins in."""
    hours = [step(3_600.0 * h, troubled=h in (1, 5, 6, 30, 40, 50)) for h in range(72)]
    labels = Labels(
        (Incident(30 * 3_600.0, 31 * 3_600.0, 30 * 3_600.0, 31 * 3_600.0),),
        ignore=((40 * 3_600.0, 41 * 3_600.0),),
        probation=3,
    )
    pieces = healthy_pieces(hours, labels)
    score = score_steps(hours, labels)
    assert pieces == [Piece(21 * 3_600.0, 1), Piece(20 * 3_600.0, 0), Piece(24 * 3_600.0, 1)]
    assert join_pieces(pieces) == Piece(score.healthy_s, score.false_alarms)
