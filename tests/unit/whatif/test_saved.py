"""How many requests fewer: world by world, worst and best services at once; worked by hand."""

from __future__ import annotations

import pytest

from flyball_analytics.labels import Incident
from flyball_analytics.whatif import Cause, Outcome, World
from flyball_analytics.whatif_saved import LIMITS, Kept, fewer_words, kept_json, kept_of, kept_sentence

FIRST, SECOND = Incident(0.0, 60.0, 0.0, 60.0), Incident(9_000.0, 9_060.0, 9_000.0, 9_060.0)
TIGHT, WIDE = World(1.1, Cause.CAPACITY), World(4.0, Cause.CAPACITY)
SILENT = World(1.1, Cause.SILENCE)
BASE, OTHER = "flyball:fixed", "flyball:two-loop"


def runs(target: str, incident: Incident, world: World, base: float, other: float, seed: int = 0):
    """Both algorithms in one world; a thousand requests arrive."""
    return [
        Outcome(target, incident, name, world, seed, 1_000.0, lost, 1_500.0)
        for name, lost in ((BASE, base), (OTHER, other))
    ]


def test_the_range_is_over_differences_not_over_losses() -> None:
    """Losses 100 to 500 and 80 to 480 overlap, and yet 20 fewer are lost in every world."""
    kept = kept_of([*runs("a", FIRST, TIGHT, 500, 480), *runs("a", FIRST, WIDE, 100, 80)], BASE, OTHER)
    assert (kept.base, kept.other) == ("fixed", "two-loop")
    assert (kept.base_low, kept.base_high, kept.other_low, kept.other_high) == (100, 500, 80, 480)
    assert (kept.low, kept.mean, kept.high) == (20, 20, 20)
    assert (kept.services, kept.incidents, kept.arrived) == (1, 1, 1_000)


def test_a_service_has_one_capacity_in_all_its_incidents() -> None:
    """Tight: 100 fewer, then 50 more, together 50. Wide: 10 and 10. Never 100 + 10 or 10 - 50."""
    outcomes = [
        *runs("a", FIRST, TIGHT, 300, 200), *runs("a", SECOND, TIGHT, 100, 150),
        *runs("a", FIRST, WIDE, 50, 40), *runs("a", SECOND, WIDE, 50, 40),
    ]  # fmt: skip
    kept = kept_of(outcomes, BASE, OTHER)
    assert (kept.low, kept.mean, kept.high) == (20, 35, 50)
    assert kept.arrived == 2_000


def test_services_are_at_their_worst_and_at_their_best_at_once() -> None:
    """Nothing ties the capacities of two services: 10 + 5 to 30 + 40."""
    outcomes = [
        *runs("a", FIRST, TIGHT, 100, 70), *runs("a", FIRST, WIDE, 100, 90),
        *runs("b", FIRST, TIGHT, 100, 95), *runs("b", FIRST, WIDE, 100, 60),
    ]  # fmt: skip
    kept = kept_of(outcomes, BASE, OTHER)
    assert (kept.low, kept.high, kept.services, kept.incidents) == (15, 70, 2, 2)


def test_an_incident_without_timeouts_has_one_cause_and_counts_in_the_other_worlds_too() -> None:
    """The second incident was lived through with lost capacity alone: 5 fewer whatever a time-out was."""
    outcomes = [
        *runs("a", FIRST, TIGHT, 100, 60), *runs("a", FIRST, SILENT, 100, 110),
        *runs("a", SECOND, TIGHT, 50, 45),
    ]  # fmt: skip
    kept = kept_of(outcomes, BASE, OTHER)
    assert (kept.low, kept.high) == (-5, 45)


def test_seeds_are_averaged_not_taken_for_worlds() -> None:
    """Chance is no ignorance: 10 and 30 fewer are 20."""
    outcomes = [*runs("a", FIRST, TIGHT, 100, 90), *runs("a", FIRST, TIGHT, 100, 70, seed=1)]
    kept = kept_of(outcomes, BASE, OTHER)
    assert (kept.low, kept.high, kept.arrived) == (20, 20, 1_000)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (3.0, 1_200.0, "3 to 1,200 fewer with b"),
        (-7.0, -2.0, "2 to 7 more with b"),
        (-7.0, 2.0, "from 7 more to 2 fewer with b, which of them depends on what no recording shows"),
        (-0.2, 0.3, "as many with both"),
        (-4.0, 0.0, "0 to 4 more with b"),
    ],
)
def test_both_ends_are_told_and_which_way_they_point(low: float, high: float, words: str) -> None:
    """A range across zero must not read as a gain."""
    kept = Kept("a", "b", 1, 2, 100.0, 1.0, 9.0, 1.0, 8.0, low, 0.0, high)
    assert fewer_words(kept) == words
    assert words in kept_sentence(kept)


def test_programs_get_the_limits_with_the_numbers() -> None:
    """A number that leaves its conditions behind is another number."""
    plain = kept_json(Kept("a", "b", 1, 2, 100.0, 1.0, 9.0, 1.0, 8.0, 1.0, 2.0, 3.0))
    assert plain["fewer_lost"] == [1.0, 3.0]
    assert plain["limits"] == LIMITS
    assert "no recording shows" in LIMITS
