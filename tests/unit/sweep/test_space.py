"""What a search may try: every value is one that a policy may have, and every point is drawn as promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.scenarios.node import ScenarioError
from flyball_analytics.space import (
    FIELDS,
    POINTS_MAX,
    Parameter,
    Space,
    SpaceError,
    grid_option,
    policy_at,
    read_space,
)
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.policy import Law, Policy

TEXT = b"""\
version: 1
description: what we argue about
parameters:
  open_floor: [0.4, 0.6]
  min_requests: {from: 10, to: 1000, steps: 3, scale: log}
  retry_floor: {from: 0.02, to: 0.04, steps: 2}
"""


def space(text: str) -> Space:
    """Return the space of some parameters."""
    return read_space(f"version: 1\nparameters:\n{text}".encode(), file="space.yaml")


def test_a_grid_holds_every_combination_with_the_last_field_fastest():
    """2 x 3 x 2 points; on a log scale 100 lies in the middle of 10 and 1000."""
    points = list(read_space(TEXT, file="space.yaml").grid())
    assert len(points) == 12
    assert points[0] == {"open_floor": 0.4, "min_requests": 10, "retry_floor": 0.02}
    assert points[1] == {"open_floor": 0.4, "min_requests": 10, "retry_floor": 0.04}
    assert points[2]["min_requests"] == 100
    assert points[11] == {"open_floor": 0.6, "min_requests": 1000, "retry_floor": 0.04}


def test_a_whole_field_gets_whole_numbers_each_once():
    """1 to 3 in five steps are 1, 1.5, 2, 2.5, 3: rounded half up, and each value once."""
    (one,) = space("  hold_periods: {from: 1, to: 3, steps: 5}\n").parameters
    assert one.grid() == (1, 2, 3)


def test_one_step_is_the_middle_of_a_range():
    """It must not be an end: nobody chose that end."""
    (one,) = space("  open_floor: {from: 0.2, to: 0.6, steps: 1}\n").parameters
    assert one.grid() == (0.4,)


@given(count=st.integers(1, 60), seed=st.integers(0, 10))
def test_a_latin_hypercube_has_one_point_in_every_part_of_every_range(count, seed):
    """That is what makes few points cover each field alone as well as a grid would."""
    both = Space((Parameter("open_floor", low=0.1, high=0.9), Parameter("z_act", low=1.0, high=3.0)))
    points = list(both.latin(count, seed=seed))
    assert len(points) == count
    for one in both.parameters:
        width = (one.high - one.low) / count
        parts = sorted((float(point[one.field]) - one.low) / width for point in points)
        for number, part in enumerate(parts):
            # Values have four digits: at most 5e-4 of the larger bound beside the part they were drawn from.
            slack = 5e-4 * one.high / width
            assert number - slack <= part <= number + 1 + slack


def test_a_further_field_leaves_the_draws_of_the_others_as_they_were():
    """So that a widened search finds its old results again."""
    one = Parameter("open_floor", low=0.1, high=0.9)
    alone = [point["open_floor"] for point in Space((one,)).latin(9, seed=3)]
    other = Parameter("z_act", (1.0, 2.0))
    beside = [point["open_floor"] for point in Space((other, one)).latin(9, seed=3)]
    assert alone == beside
    assert alone != [point["open_floor"] for point in Space((one,)).latin(9, seed=4)]


@given(share=st.floats(0.0, 1.0))
def test_no_draw_leaves_its_range(share):
    """Rounding to four digits must not lift a value over its bound."""
    assert (
        0.05123456 <= float(Parameter("open_floor", low=0.05123456, high=0.61234567).at(share)) <= 0.61234567
    )
    assert Parameter("open_floor", (0.4, 0.5)).at(share) in (0.4, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  open_flor: [0.4]\n", "space.yaml:3: unknown field 'open_flor'; did you mean 'open_floor'?"),
        ("  open_floor: [4]\n", "space.yaml:3: open_floor=4 must be from 0.05 to 1"),
        ("  min_requests: [1.5]\n", "space.yaml:3: min_requests=1.5 must be a whole number"),
        ("  law: [two_lop]\n", "space.yaml:3: law='two_lop' must be one of ladder, two_loop"),
        ("  open_floor: []\n", "space.yaml:3: open_floor: the list of values is empty"),
        ("  open_floor: {from: 0.3}\n", "3: open_floor needs to: write {from: A, to: B} or [A, B]"),
        ("  open_floor: {from: 0.3, to: 0.3}\n", "3: parameters.open_floor.to: must be over from=0.3"),
        ("  open_floor: {from: 0.3, to: 3}\n", "must be a number from 0.05 to 1, not 3"),
        ("  z_act: {from: 0, to: 3, scale: log}\n", "0 must be over 0 on a log scale"),
        ("  z_act: {from: 1, to: 3, scale: lin}\n", "'lin' must be linear or log"),
        ("  z_act: {from: 1, to: 3, step: 3}\n", "unknown key 'step'; did you mean 'steps'?"),
        ("  law: {from: 1, to: 3}\n", "space.yaml:3: law has no range: list its values"),
        ("  {}\n", "space.yaml:2: parameters is empty: name a field"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_space_is_named_with_its_line(text, said):
    """A misspelt field would otherwise be searched in vain."""
    with pytest.raises(ScenarioError) as caught:
        space(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"parameters: {}\n", "version=None must be 1"),
        (b"version: 2\n", "version=2 must be 1"),
        (b"version: 1\n", "needs parameters"),
        (b"- 1\n", "must be a mapping that begins with 'version:'"),
        (b"version: 1\nparametres: {}\n", "did you mean 'parameters'?"),
    ],
)
def test_a_file_that_is_no_space_says_what_one_begins_with(data, said):
    """The reader is shared with scenarios, whose words would mislead here."""
    with pytest.raises(ScenarioError) as caught:
        read_space(data, file="space.yaml")
    assert said in str(caught.value)


def test_a_grid_option_reads_numbers_flags_and_words():
    """As YAML would read them in a policy file."""
    found = grid_option(["open_floor=0.4, 0.5", "retry_adaptive=true,false", "law=ladder", "hold_max=8,8"])
    assert [one.values for one in found.parameters] == [(0.4, 0.5), (True, False), ("ladder",), (8,)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["open_floor"], "'open_floor' is no FIELD=A,B,C"),
        (["open_flor=1"], "did you mean 'open_floor'?"),
        (["hold_max=8", "hold_max=9"], "hold_max stands twice"),
        (["retry_adaptive=1"], "retry_adaptive=1 must be true or false"),
    ],
)
def test_a_wrong_grid_option_says_what_is_wrong(texts, said):
    """Before a run of an hour."""
    with pytest.raises(SpaceError) as caught:
        grid_option(texts)
    assert said in str(caught.value)


def test_a_grid_over_a_range_without_steps_offers_both_ways_out():
    """The number of steps is the user's to say."""
    with pytest.raises(SpaceError) as caught:
        list(space("  open_floor: {from: 0.3, to: 0.6}\n").grid())
    assert "steps: 5}, or draw points with --lhs N" in str(caught.value)


def test_a_grid_that_would_never_end_is_refused():
    """1000 x 1000 points are more than POINTS_MAX."""
    wide = space("  open_floor: {from: 0.3, to: 0.9, steps: 1000}\n  z_act: {from: 1, to: 3, steps: 1000}\n")
    with pytest.raises(SpaceError) as caught:
        list(wide.grid())
    assert str(POINTS_MAX) in str(caught.value)
    with pytest.raises(SpaceError):
        list(wide.latin(POINTS_MAX + 1, seed=0))


def test_a_point_that_breaks_a_rule_between_fields_is_no_policy():
    """retry_floor over open_floor: what acts on retries must come before what cuts traffic."""
    with pytest.raises(PolicyError) as caught:
        policy_at(Policy(), {"retry_floor": 0.7})
    assert caught.value.field == "retry_floor"
    good = policy_at(Policy(), {"law": "ladder", "open_floor": 0.5})
    assert (good.law, good.open_floor) == (Law.LADDER, 0.5)
    assert good.digest != Policy().digest


def test_every_field_of_a_policy_may_vary():
    """A field that is added to Policy can be searched without a line here."""
    assert set(FIELDS) == set(Policy._fields) - {"digest"}
