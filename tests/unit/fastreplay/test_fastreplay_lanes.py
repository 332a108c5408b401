"""Numbers that are one per policy: each lane is computed as alone, and every choice is one for all."""

from __future__ import annotations

import math
from operator import add, eq, ge, gt, le, lt, mul, ne, sub, truediv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.fastreplay_lanes import Lanes, PartedError, joined, parts, same, whole
from flyball_controller.core import initial_state
from flyball_controller.core.evidence import Window
from flyball_controller.core.policy import Policy

NUMBERS = st.one_of(st.floats(1e-6, 1e6), st.integers(1, 1_000), st.sampled_from([-0.0, 0.0, 1.0, math.inf]))
LANES = st.lists(NUMBERS, min_size=2, max_size=5)


def apart(values: list[float]) -> Lanes:
    """Lanes of these numbers."""
    return Lanes(values)


@pytest.mark.parametrize("work", [add, sub, mul, truediv])
@given(values=LANES, other=st.floats(0.5, 100.0))
def test_arithmetic_is_that_of_each_lane_alone(work, values, other):
    """In either order, with a number and with lanes: the very operation, so the very bits."""
    lanes = apart(values)
    assert repr(work(lanes, other)) == repr(joined([work(value, other) for value in values]))
    others = [other + place for place in range(len(values))]
    assert repr(work(lanes, apart(others))) == repr(joined(list(map(work, values, others))))
    if 0 not in values or work is not truediv:
        assert repr(work(other, lanes)) == repr(joined([work(other, value) for value in values]))


@pytest.mark.parametrize("work", [lt, le, gt, ge, eq, ne])
@given(values=LANES, other=NUMBERS)
def test_a_comparison_is_one_answer_or_none(work, values, other):
    """A branch that one lane takes and another does not would make one of them another policy's."""
    lanes, others = apart(values), [other + place for place in range(len(values))]
    for asked, found in (
        (lambda: work(lanes, other), [work(value, other) for value in values]),
        (lambda: work(other, lanes), [work(other, value) for value in values]),
        (lambda: work(lanes, apart(others)), list(map(work, values, others))),
    ):
        if len(set(found)) == 1:
            assert asked() is found[0]
        else:
            with pytest.raises(PartedError) as parted:
                asked()
            assert list(parted.value.found) == found


def test_truth_and_whole_numbers_are_one_for_all_and_a_root_never_is():
    """They are what a law may do with a number besides arithmetic."""
    assert bool(apart([1.0, 2.0])) is True
    assert bool(apart([False, 0])) is False
    assert int(apart([2.1, 2.9])) == 2
    for asked in (lambda: bool(apart([True, False])), lambda: int(apart([1.9, 2.0]))):
        with pytest.raises(PartedError):
            asked()
    with pytest.raises(PartedError) as parted:
        math.sqrt(apart([4.0, 9.0]))
    assert parted.value.found == (4.0, 9.0)


def test_lanes_can_be_no_key():
    """A dictionary would look for the hash before it compares, and find nothing."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(apart([1.0, 2.0]))
    assert repr(apart([1.0, 2.0])) == "Lanes(1.0, 2.0)"


@pytest.mark.parametrize(
    ("values", "is_one"),
    [
        ([0.5, 0.5], True),
        ([0.0, 0.0], True),
        ([0.0, -0.0], False),
        ([1, 1.0], False),
        ([True, 1], False),
        ([math.nan, float("nan")], False),
        ([0.5, 0.5000000000000001], False),
    ],
)
def test_lanes_are_one_number_only_where_every_bit_agrees(values, is_one):
    """What is equal but not the same leads to other bits later."""
    assert (type(joined(values)) is not Lanes) == is_one


def test_parts_keep_the_order_of_the_lanes():
    """Lanes of the same answer go together; so do numbers of the same bits."""
    assert parts([True, False, True]) == [[0, 2], [1]]
    assert parts([2.0, 1.0, -0.0, 0.0, 1.0]) == [[0], [1, 4], [2], [3]]


def states():
    """A state with lanes in each place that a law writes."""
    lanes = apart([1.0, 2.0])
    state = initial_state(Policy())
    law = state.law
    yield state._replace(valid_until_s=lanes)
    yield state._replace(law=law._replace(clean_count=lanes))
    yield state._replace(law=law._replace(applied=law.applied._replace(close_after=lanes)))
    yield state._replace(baseline=state.baseline._replace(spread=lanes))
    yield state._replace(baseline=state.baseline._replace(third_requests=lanes))
    yield state._replace(rarity=state.rarity._replace(any_s=lanes))
    yield state._replace(rarity=state.rarity._replace(independent_s=(0.0, 0.0, lanes, 0.0)))
    yield state._replace(ring=(Window(0.0, 60.0, 1, 0, 0, 0, 1, 0, 0)._replace(requests=lanes),))


@pytest.mark.parametrize("state", list(states()), ids=range(8))
def test_a_state_that_is_not_the_same_for_all_is_refused(state):
    """Two targets in one record would be learned as one."""
    with pytest.raises(PartedError) as parted:
        whole(state)
    assert parted.value.found == (1.0, 2.0)


def test_states_are_the_same_only_to_the_sign_of_a_zero():
    """A sign of zero is lost in no comparison, and shows where it is divided by."""
    state = initial_state(Policy())
    other = state._replace(baseline=state.baseline._replace(spread=-0.0))
    assert state == other
    assert not same(state, other)
    assert same(state, state._replace())
    assert not same(state, state._replace(sequence=1))


def test_a_state_without_lanes_is_whole():
    """And is the same object: nothing is copied."""
    state = initial_state(Policy())
    assert whole(state) is state
