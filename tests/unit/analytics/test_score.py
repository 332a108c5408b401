"""Figures against labels, worked by hand on rows one minute apart."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.labels import Incident, Labels
from flyball_analytics.score import (
    Score,
    Step,
    join_scores,
    median,
    rate_per_week,
    rate_per_week_max,
    score_steps,
)

MINUTE_S = 60.0


def steps(pattern: str) -> list[Step]:
    """One letter a minute: . nothing, T tightens, O opens, W raises retries, r restricted, s seen only."""
    result = []
    for minute, letter in enumerate(pattern):
        start_s = minute * MINUTE_S
        result.append(
            Step(
                start_s,
                start_s + MINUTE_S,
                MINUTE_S,
                letter in "TO",
                letter == "W",
                letter == "O",
                letter in "TOr",
                letter in "TOWs",
            )
        )
    return result


def incident(start: int, end: int, *, before: int = 0, after: int = 0) -> Incident:
    """An incident over minutes, both ends included, with margins."""
    return Incident(*(m * MINUTE_S for m in (start, end, start - before, end + after)))


def test_an_action_inside_catches_the_incident_and_its_delay_includes_the_window() -> None:
    """Bad from minute 3; tightened on minute 4, decided at its end: 1 row and 120 s late."""
    score = score_steps(steps("....T..."), Labels((incident(3, 5),)))
    (one,) = score.incidents
    assert (one.acted_rows, one.acted_s, one.opened_rows, one.opened_s) == (1, 120.0, None, None)
    assert (score.caught, score.opened, score.recall, score.false_actions) == (1, 0, 1.0, 0)


def test_an_opening_is_an_action_and_counted_on_its_own() -> None:
    """Tightened at once, opened two rows later."""
    (one,) = score_steps(steps("...TrO"), Labels((incident(3, 5),))).incidents
    assert (one.acted_rows, one.opened_rows, one.opened_s) == (0, 2, 180.0)


def test_raising_retries_is_an_answer_but_not_a_restriction() -> None:
    """The right move for partial failure is more retries."""
    score = score_steps(steps("...W.."), Labels((incident(3, 5),)))
    assert (score.caught, score.false_restricted_s, score.tail_restricted_s) == (1, 0.0, 0.0)


def test_an_incident_can_be_recognised_without_an_action() -> None:
    """The budget in force may be the right answer: seen on the second bad row, nothing to change."""
    score = score_steps(steps("....ss."), Labels((incident(3, 5),)))
    (one,) = score.incidents
    assert (one.recognised_rows, one.recognised_s, one.acted_rows) == (1, 120.0, None)
    assert (score.recognised, score.caught, score.false_alarms) == (1, 0, 0)


def test_a_false_alarm_is_counted_once_however_long_it_lasts() -> None:
    """Two alarms of two minutes and of one are two alarms; the second half of an incident's is none."""
    score = score_steps(steps(".ss.s.sss"), Labels((incident(6, 7),)))
    assert (score.false_alarms, score.false_actions, score.recognised) == (2, 0, 1)


def test_an_early_answer_within_the_margin_counts_with_no_rows_of_delay() -> None:
    """`from` lies before `start` so that a first sign may be acted upon."""
    (one,) = score_steps(steps("..T..."), Labels((incident(3, 5, before=1),))).incidents
    assert (one.acted_rows, one.acted_s) == (0, 0.0)


def test_an_answer_after_the_incident_catches_nothing_and_is_false() -> None:
    """Too late is a miss and a false action."""
    score = score_steps(steps("......T"), Labels((incident(3, 5),)))
    assert (score.caught, score.false_actions, score.recall) == (0, 1, 0.0)


def test_being_restricted_already_is_said_and_not_counted_as_an_answer() -> None:
    """A controller that always restricts must not score a full recall."""
    (one,) = score_steps(steps("Trrrrr"), Labels((incident(3, 5),))).incidents
    assert (one.acted_rows, one.restricted_before) == (None, True)


def test_false_actions_opens_and_restricted_time_are_counted_in_healthy_rows() -> None:
    """Minutes 1 (opens), 2 and 3 are restricted without cause: 3 of 6 healthy minutes."""
    score = score_steps(steps(".Orr.."), Labels(()))
    assert (score.false_actions, score.false_opens) == (1, 1)
    assert (score.healthy_s, score.false_restricted_s, score.false_restricted_ratio) == (360.0, 180.0, 0.5)
    assert score.recall is None


def test_the_tail_after_an_incident_is_not_called_false() -> None:
    """Restoring takes its hold; that time is told apart from trouble without cause."""
    score = score_steps(steps("..Trrr.."), Labels((incident(2, 3),)))
    assert (score.false_restricted_s, score.tail_restricted_s, score.healthy_s) == (0.0, 120.0, 360.0)


def test_tightening_again_in_a_tail_is_a_false_action_but_stays_a_tail() -> None:
    """The second move has no incident, the restriction had."""
    score = score_steps(steps("..TrTr"), Labels((incident(2, 3),)))
    assert (score.false_actions, score.false_restricted_s, score.tail_restricted_s) == (1, 0.0, 120.0)


def test_a_false_restriction_becomes_explained_when_an_incident_tightens_it() -> None:
    """Minute 0 and 1 false; tightened in the incident at 2; minute 3 is its tail."""
    score = score_steps(steps("TrTr"), Labels((incident(2, 2),)))
    assert (score.false_restricted_s, score.tail_restricted_s) == (120.0, 60.0)


def test_ignored_stretches_say_nothing_either_way_and_explain_their_tail() -> None:
    """A fault that the series does not show: neither a miss nor false."""
    score = score_steps(steps(".Trr.."), Labels((), ignore=((60.0, 120.0),)))
    assert (score.rows, score.healthy_s, score.false_actions) == (4, 240.0, 0)
    assert (score.tail_restricted_s, score.false_restricted_s) == (60.0, 0.0)


def test_probation_is_not_scored_but_does_not_excuse_what_it_leaves_behind() -> None:
    """Learning time is free; a restriction carried out of it is still false."""
    score = score_steps(steps(".Trr.."), Labels((), probation=2))
    assert (score.rows, score.false_actions, score.false_restricted_s) == (4, 0, 120.0)


def test_an_incident_in_probation_is_missed_and_its_rows_are_not_healthy() -> None:
    """Nothing may be claimed for rows that are not scored."""
    score = score_steps(steps(".T...."), Labels((incident(1, 2),), probation=3))
    assert (score.caught, score.healthy_s) == (0, 180.0)


def test_joined_scores_are_sums() -> None:
    """Averages of rates over series of different length mislead."""
    one = score_steps(steps("...T.."), Labels((incident(3, 4),)))
    two = score_steps(steps("O....."), Labels(()))
    both = join_scores([one, two])
    assert (len(both.incidents), both.caught, both.false_opens, both.rows) == (1, 1, 1, 12)
    assert both.healthy_s == 240.0 + 360.0


def test_nothing_at_all_gives_no_ratio_and_no_rate() -> None:
    """0 of 0 is not 0 %."""
    empty = score_steps([], Labels(()))
    assert (empty.recall, empty.false_restricted_ratio, rate_per_week_max(0, empty.healthy_weeks)) == (
        None,
        None,
        None,
    )


def test_a_rate_needs_a_week() -> None:
    """One event in an hour is 168 a week: luck, not a rate."""
    assert rate_per_week(1, 0.99) is None
    assert rate_per_week(3, 2.0) == 1.5


@pytest.mark.parametrize(("count", "most"), [(0, 2.9957), (1, 4.7439), (4, 9.1535), (10, 16.9622)])
def test_the_upper_bound_of_a_rate_is_the_published_one(count: int, most: float) -> None:
    """One-sided 95 % Poisson bounds as tabled (Garwood 1936)."""
    assert rate_per_week_max(count, 1.0) == pytest.approx(most, abs=2e-4)
    assert rate_per_week_max(count, 4.0) == pytest.approx(most / 4.0, abs=1e-4)


def test_the_upper_bound_holds_for_many_events() -> None:
    """No overflow, and near the normal approximation k + 1.645 sqrt(k)."""
    most = rate_per_week_max(2_000, 1.0)
    assert most is not None
    assert most == pytest.approx(2_000 + 1.645 * math.sqrt(2_000), rel=0.002)


def test_the_median_leaves_out_what_is_not_there() -> None:
    """A miss has no delay."""
    assert median([None, 4, 1, 3]) == 3
    assert median([]) is None


@given(st.text(alphabet=".TOWrs", max_size=40), st.integers(0, 20), st.integers(0, 40), st.integers(0, 10))
def test_every_healthy_second_is_false_tail_or_free(
    pattern: str, start: int, probation: int, length: int
) -> None:
    """No time is counted twice and none is lost, whatever the decisions."""
    labels = Labels((incident(start, start + length),), probation=probation)
    score: Score = score_steps(steps(pattern), labels)
    assert 0.0 <= score.false_restricted_s + score.tail_restricted_s <= score.healthy_s
    inside = sum(labels.incident_at(m * MINUTE_S) is not None for m in range(probation, len(pattern)))
    assert score.healthy_s == (max(len(pattern) - probation, 0) - inside) * MINUTE_S
    assert score.false_opens <= score.false_actions
    assert score.caught <= score.recognised
