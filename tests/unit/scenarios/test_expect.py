"""Expectations: bounds that can fail, absolute and against another algorithm."""

from __future__ import annotations

import math

import pytest

from flyball_analytics.algorithms import algorithm_names, is_algorithm
from flyball_analytics.scenarios.expect import bound_words, holds, limit_of, parse_expectations
from flyball_analytics.scenarios.model import Bound
from flyball_analytics.scenarios.node import read_node


def bounds(text: str) -> tuple[Bound, ...]:
    """Return the bounds on flyball."""
    node = read_node(f"flyball: {text}".encode(), file="e.yaml")
    (expected,) = parse_expectations(node, known=is_algorithm, names=algorithm_names(), incident=True)
    return expected.bounds


@pytest.mark.parametrize(
    ("text", "kept", "broken"),
    [
        ('{recovery_s: "<= 60"}', 60.0, 60.1),
        ('{recovery_s: "< 60"}', 59.9, 60.0),
        ('{goodput_ratio: ">= 90%"}', 0.9, 0.899),
        ('{goodput_ratio: "> 0.9"}', 0.901, 0.9),
        ("{flaps: 0}", 0.0, 1.0),
        ('{flaps: "== 2"}', 2.0, 3.0),
        ("{recovered: never}", 0.0, 1.0),
        ("{recovered: always}", 1.0, 0.0),
        ("{recovery_s: never}", math.inf, 60.0),
    ],
)
def test_a_bound_is_kept_on_its_side_and_broken_on_the_other(text: str, kept: float, broken: float) -> None:
    """Both sides, or the check could not fail."""
    (bound,) = bounds(text)
    assert holds(bound, kept, others={})
    assert not holds(bound, broken, others={})


def test_what_could_not_be_measured_keeps_no_bound() -> None:
    """Silence is not success."""
    assert not any(holds(bound, math.nan, others={}) for bound in bounds('{flaps: ["<= 1", ">= 0", "== 0"]}'))


def test_never_is_over_every_limit() -> None:
    """A run that stays down must break `<= 60`."""
    (bound,) = bounds('{recovery_s: "<= 60"}')
    assert not holds(bound, math.inf, others={})


@pytest.mark.parametrize(
    ("text", "limit"),
    [("<= static-3", 4.0), ("<= static-3 + 0.5", 4.5), ("<= static-3 - 1", 3.0), ("<= flyball:ladder", 7.0)],
)
def test_a_bound_may_name_another_algorithm(text: str, limit: float) -> None:
    """No worse than doing nothing is the first thing to ask of a controller."""
    (bound,) = bounds(f'{{lost_min: "{text}"}}')
    assert limit_of(bound, others={"static-3": 4.0, "flyball:ladder": 7.0}) == limit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{recovery_s: "<= 60"}', "<= 60"),
        ("{recovered: never}", "never"),
        ("{recovery_s: never}", "never"),
        ('{lost_min: "<= none - 0.5"}', "<= none - 0.5"),
        ('{lost_min: "<= none"}', "<= none"),
    ],
)
def test_a_bound_is_shown_as_it_was_written(text: str, words: str) -> None:
    """Whoever reads the failure must find it in the file."""
    assert bound_words(bounds(text)[0]) == words
