"""Objectives, front, choice, effects, patch and picture, by hand-worked numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.shards_figures import Part
from flyball_analytics.sweep import Candidate, Measured, Poison, Tally, candidate_at
from flyball_analytics.sweep_objectives import (
    DAY_S,
    DEFAULTS,
    WEEK_S,
    Objective,
    Prices,
    Scored,
    choose,
    front,
    score_all,
    value_of,
)
from flyball_analytics.sweep_outcome import Ask, Outcome, outcome_json, outcome_of
from flyball_analytics.sweep_patch import evidence, patch_text, verdict
from flyball_analytics.sweep_plot import draw_front
from flyball_analytics.sweep_sensitivity import effects, spearman
from flyball_analytics.sweep_text import outcome_text
from flyball_controller.core.errors import PolicyError
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import PolicySet, load_preset

FIXED = load_preset("fixed")
# Two weeks, one of them healthy, with 28 changes, an hour refused, two hours restricted, three incidents.
PART = Part(2 * WEEK_S, WEEK_S, 28, 4, 3_600.0, 7_200.0, 1, (60.0, 120.0, 600.0))


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (Objective.DELAY_S, 260.0),  # (60 + 120 + 600) / 3
        (Objective.FALSE_OPEN_MIN, 60.0),  # an hour in one healthy week
        (Objective.RESTRICTED_MIN, 120.0),
        (Objective.CHANGES, 2.0),  # 28 in 14 days
        (Objective.LOST_MIN, 7.5),
    ],
)
def test_each_objective_is_a_rate_of_its_own_time(objective, value):
    """Changes count over all recorded time, what is false over healthy time alone."""
    assert value_of(objective, PART, lost_min=7.5) == value


def test_the_cost_is_received_configurations_and_refused_traffic():
    """2 a day x 30.4167 days x 10 environments x 0.0008 USD, and 60 min a week x 4.3452 weeks x 0.5 USD."""
    cost = value_of(Objective.COST_USD, PART, prices=Prices(10, 0.5))
    assert cost == pytest.approx(0.486667 + 130.357, rel=1e-4)


def test_what_a_history_does_not_show_is_no_zero():
    """No incident is not a delay of nothing, and no healthy time is not a week without mistakes."""
    assert value_of(Objective.DELAY_S, PART._replace(delays_s=())) is None
    for objective in (Objective.CHANGES, Objective.FALSE_OPEN_MIN, Objective.COST_USD):
        assert value_of(objective, Part()) is None
    assert value_of(Objective.LOST_MIN, PART) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=30))
def test_nobody_beats_the_front_and_everybody_else_is_beaten(points):
    """By definition; of equal points the first stands for all."""
    members = front(points)

    def at_most(a: int, b: int) -> bool:
        return all(x <= y for x, y in zip(points[a], points[b], strict=True))

    for place in range(len(points)):
        if place in members:
            assert not any(other != place and at_most(other, place) for other in members)
        else:
            assert any(at_most(member, place) for member in members)


def scored(number: int, **fit: float) -> Scored:
    """Return a candidate of the front with these objectives."""
    candidate = Candidate(number, {"open_floor": 0.3} if number else {}, FIXED)
    return Scored(Measured(candidate, Part(), Part(), None), fit, {}, front=True)


def test_those_that_are_nowhere_worse_than_the_policy_in_force_go_first():
    """Number 2 is the best compromise of all, and makes false opens; number 1 makes nothing worse."""
    base = scored(0, delay_s=100.0, false_open_min=1.0)._replace(front=False)
    safe = scored(1, delay_s=90.0, false_open_min=1.0)
    bold = scored(2, delay_s=10.0, false_open_min=1.1)
    assert choose([base, bold, safe]).number == 1
    # Without a safe one: scaled to 0..1, 2 is at worst 0.1 and 3 at worst 1.
    other = scored(3, delay_s=100.0, false_open_min=0.0)
    base = base._replace(front=True, fit={"delay_s": 50.0, "false_open_min": 1.1})
    worst = scored(4, delay_s=60.0, false_open_min=0.05)
    rows = [base, scored(2, delay_s=0.0, false_open_min=1.2), other, worst]
    assert choose([base._replace(front=False), *rows[1:]]).number == 4


def test_equal_candidates_are_decided_by_the_fewest_changed_fields():
    """A smaller change is easier to argue for; the policy in force changes nothing at all."""
    assert choose([scored(0, delay_s=1.0), scored(1, delay_s=1.0)]).number == 0


# --- effects ----------------------------------------------------------------------------


def test_rank_correlation_by_hand():
    """Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 x 2 / (4 x 15) = 0.8."""
    assert spearman([1.0, 2.0, 3.0, 4.0], [10.0, 30.0, 20.0, 40.0]) == pytest.approx(0.8)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == -1.0
    # Ties: ranks 1.5 1.5 3 against 1 2 3; covariance 1.5, variances 1.5 and 2.
    assert spearman([5.0, 5.0, 9.0], [1.0, 2.0, 3.0]) == pytest.approx(1.5 / (1.5 * 2.0) ** 0.5)


def test_a_main_effect_is_the_distance_of_the_means():
    """open_floor moves the delay from 15 to 35; law moves it from 20 to 30; both are listed, larger first."""
    points = [{"open_floor": f, "law": law} for f in (0.3, 0.6) for law in ("ladder", "two_loop")]
    values = [{"delay_s": 10.0}, {"delay_s": 20.0}, {"delay_s": 30.0}, {"delay_s": 40.0}]
    first, second = effects(points, values, ["law", "open_floor"])
    assert (first.field, first.low, first.high, first.at_low, first.at_high) == (
        "open_floor",
        15.0,
        35.0,
        0.3,
        0.6,
    )
    assert first.rank == pytest.approx(0.8944, rel=1e-3)  # ties: 2 / sqrt(1 x 5)
    assert (second.field, second.size, second.rank) == ("law", 10.0, None)


def test_many_values_are_cut_into_quarters():
    """A mean over one point each would be that point's luck; the middle of each quarter names it."""
    points = [{"z_act": float(n)} for n in range(16)]
    (one,) = effects(points, [{"changes": float(n // 4)} for n in range(16)], ["z_act"])
    assert (one.low, one.high, one.at_low, one.at_high) == (0.0, 3.0, 2.0, 14.0)


def test_three_points_show_no_effect():
    """Anything could be read into them."""
    assert effects([{"z_act": 1.0}] * 3, [{"changes": 1.0}] * 3, ["z_act"]) == []


# --- the outcome ------------------------------------------------------------------------


def part(delay_s: float, refused_s: float, changes: int) -> Part:
    """Return a week with one incident."""
    return Part(WEEK_S, WEEK_S - DAY_S, changes, 0, refused_s, 0.0, 0, (delay_s,))


@pytest.fixture
def outcome() -> Outcome:
    """Five candidates: 1 and 3 are better than the policy in force in one way each, 2 is worse, 4 is lost."""
    figures = [(120.0, 60.0, 7), (60.0, 60.0, 7), (200.0, 90.0, 14), (120.0, 0.0, 7)]
    held = [(100.0, 0.0, 7), (70.0, 0.0, 7), (100.0, 0.0, 7), (100.0, 30.0, 7)]
    floors = (0.6, 0.3, 0.4, 0.45)
    measured = []
    for number, (fit, late, floor) in enumerate(zip(figures, held, floors, strict=True)):
        point = {"open_floor": floor, "z_act": 2.33} if number else {}
        candidate = candidate_at(FIXED, number, point)
        measured.append(Measured(candidate, part(*fit), part(*late), None))
    return outcome_of(
        FIXED,
        Tally(measured, ("cart",), (4,)),
        Ask(DEFAULTS, Prices(), "the last day"),
        fields=["open_floor", "z_act"],
        poison=[Poison("ab" * 16, "cart", "OSError: disk full")],
        refused=["no policy"] * 3,
    )


def test_the_text_says_what_was_chosen_and_what_was_held_against_it(outcome):
    """Number 1: delay 120 -> 60 s on the fitted history, 100 -> 70 s on the other, nothing worse."""
    assert outcome.chosen.number == 1
    assert outcome.changed["open_floor"] == 0.3
    text = outcome_text(outcome)
    assert "4 policies tried, 2 on the front; 1 incidents fitted on, 1 held out (the last day)" in text
    assert "The held-out history agrees: better in detection delay, worse in none." in text
    assert "1 min > 1.2 min" in text
    assert "3 points of the space are no policies: no policy" in text
    assert "cart (shard abababababab): OSError: disk full" in text
    assert "histories left out for all candidates: cart" in text
    assert "candidates dropped: 4" in text


def test_a_choice_that_the_held_out_history_does_not_bear_out_is_said_to_be_one(outcome):
    """Number 3 never refuses healthy traffic where it was fitted, and does where it was not."""
    third = outcome.rows[3]
    assert verdict(outcome.base, third).startswith(
        "The held-out history disagrees: worse in false-open minutes. Do not apply"
    )
    assert "better in" in verdict(outcome.base, third._replace(held={**third.held, "delay_s": 1.0}))
    assert "best of many" in verdict(outcome.base, third._replace(held={}))
    assert "shows no difference" in verdict(outcome.base, third._replace(held=outcome.base.held))
    assert "keep the one in force" in verdict(outcome.base, outcome.base)


def test_the_patch_is_a_policy_file_with_the_changed_fields_and_the_evidence(outcome):
    """z_act has the preset's own value in every point: it did not change and is not written."""
    lines = evidence(outcome.base, outcome.chosen, tried=4, left_out=["cart"])
    text = patch_text("fixed", outcome.changed, lines)
    assert "# Chosen among 4 policies" in text
    assert "#   detection delay: 120 -> 60 s" in text
    assert "#   detection delay: 100 -> 70 s" in text
    assert "# Left out, because they could not be run: cart." in text
    read = parse_policy(text.encode(), where="patch.yaml")
    assert read.default == outcome.chosen.measured.candidate.policies.default
    assert "nothing to judge by" in "\n".join(
        evidence(outcome.base, outcome.chosen._replace(held={}), tried=4, left_out=[])
    )


def test_the_patch_of_a_file_keeps_its_targets_and_its_other_defaults(tmp_path):
    """The whole file is written: a policy file cannot refer to another one."""
    source = tmp_path / "now.yaml"
    source.write_text(
        "version: 1\npreset: fixed\ndefaults: {z_act: 2.5}\ntargets: {pay: {open_floor: 0.8}}\n"
    )
    text = patch_text(str(source), {"open_floor": 0.3}, ["why"])
    read = parse_policy(text.encode(), where="patch.yaml")
    assert (read.default.z_act, read.default.open_floor) == (2.5, 0.3)
    assert read.targets["pay"].open_floor == 0.8
    with pytest.raises(PolicyError, match="compiled"):
        patch_text("now.json", {}, [])


def test_another_candidate_can_be_taken(outcome):
    """The convention is a convention."""
    tally = Tally([row.measured for row in outcome.rows], (), ())
    ask = outcome.ask._replace(choose=3)
    assert outcome_of(FIXED, tally, ask, fields=[]).chosen.number == 3
    with pytest.raises(PolicyError, match="there is no candidate 9: they are 0 to 3"):
        outcome_of(FIXED, tally, ask._replace(choose=9), fields=[])


def test_an_objective_that_the_history_cannot_show_is_named_and_left_out():
    """Without incidents there is no delay; the front is taken over the rest."""
    measured = [
        Measured(
            Candidate(n, {}, PolicySet(FIXED.default, {}, "")),
            part(1.0, n, 1)._replace(delays_s=()),
            Part(),
            None,
        )
        for n in range(2)
    ]
    rows, absent = score_all(measured, DEFAULTS, Prices())
    assert absent == ["delay_s"]
    assert [row.front for row in rows] == [True, False]
    nothing = outcome_of(
        FIXED,
        Tally([m._replace(fit=Part()) for m in measured], (), ()),
        Ask(DEFAULTS, Prices(), "nothing"),
        fields=[],
    )
    assert (
        "not shown by this history (no labelled incident): delay_s, false_open_min, changes"
        in outcome_text(nothing)
    )


def test_the_plain_values_have_every_candidate(outcome):
    """What the report and other tools read."""
    plain = outcome_json(outcome)
    assert plain["schema"] == 1
    assert [row["number"] for row in plain["candidates"]] == [0, 1, 2, 3]
    assert (plain["front"], plain["chosen"]) == ([1, 3], 1)
    assert plain["refused"] == {"points": 3, "reasons": ["no policy"]}


@pytest.mark.parametrize("objectives", [DEFAULTS[:2], (Objective.CHANGES,)])
def test_the_front_is_drawn_the_same_each_time(outcome, objectives):
    """Pairs of objectives, or one against the number of the candidate."""
    tally = Tally([row.measured for row in outcome.rows], (), ())
    shown = outcome_of(FIXED, tally, Ask(objectives, Prices(), "nothing"), fields=[])
    drawn = draw_front(shown, form="svg")
    assert drawn == draw_front(shown, form="svg")
    assert b"chosen, held-out history" in drawn


def test_the_text_says_what_matters_and_what_changes_nothing():
    """The floor moves the delay from 60 to 120 s, the flag moves nothing."""
    measured = [Measured(Candidate(0, {}, FIXED), part(90.0, 0.0, 7), Part(), None)]
    for number, (floor, flag) in enumerate([(0.3, True), (0.3, False), (0.5, True), (0.5, False)], start=1):
        candidate = Candidate(number, {"open_floor": floor, "retry_adaptive": flag}, FIXED)
        measured.append(Measured(candidate, part(60.0 if floor < 0.4 else 120.0, 0.0, 7), Part(), None))
    found = outcome_of(
        FIXED, Tally(measured, (), ()), Ask(DEFAULTS[:1], Prices(), "nothing"),
        fields=["open_floor", "retry_adaptive"],
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in outcome_text(found).splitlines()]
    assert "detection delay open_floor +1.00 1 min at 0.3 2 min at 0.5" in lines
    assert "detection delay retry_adaptive +0.00 changes nothing" in lines
    assert "open_floor=0.3 retry_adaptive=true" in "\n".join(lines)


def test_a_long_front_is_thinned_in_the_text_and_says_so():
    """Thirty rows are not read; the chosen one is always among them."""
    measured = [
        Measured(
            Candidate(n, {"open_floor": 0.3 + n / 100}, FIXED), part(100.0 - n, float(n), 7), Part(), None
        )
        for n in range(30)
    ]
    measured[0] = Measured(Candidate(0, {}, FIXED), part(200.0, 100.0, 7), Part(), None)
    ask = Ask(DEFAULTS, Prices(), "nothing", choose=17)
    text = outcome_text(outcome_of(FIXED, Tally(measured, (), ()), ask, fields=[]))
    assert "more in --format json" in text
    assert "17*" in text
