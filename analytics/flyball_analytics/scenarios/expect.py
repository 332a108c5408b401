"""Expectations: bounds on measures, per algorithm, and whether a run keeps them.

    flyball:  {recovery_s: "<= 60", flaps: "<= 1", lost_min: "<= flyball-static + 0.5"}
    static-3: {recovered: never}

A bound is an operator and a number (`%` allowed), or an operator and the name of
another algorithm with an optional difference; a plain number means equality.
`recovered` takes `always` or `never`, `recovery_s` also `never`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping

from flyball.hints import did_you_mean
from flyball_analytics.scenarios.measures import MEASURES
from flyball_analytics.scenarios.model import Bound, Expectation
from flyball_analytics.scenarios.node import Node

_BOUND = re.compile(r"(<=|>=|==|<|>)?\s*(.+)")
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(%?)")
# Names have dashes: a sign is one only after a space.
_RELATIVE = re.compile(r"([A-Za-z][\w:./-]*)(?:\s+([+-])\s*(\d+(?:\.\d+)?))?")
_HOW = "write it like '<= 60', '>= 90%', or '<= flyball-static + 0.5'"
# Sums of ratios and minutes are compared as people read them.
TOLERANCE = 1e-9

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda value, bound: value <= bound + TOLERANCE,
    "<": lambda value, bound: value < bound,
    ">=": lambda value, bound: value >= bound - TOLERANCE,
    ">": lambda value, bound: value > bound,
    "==": lambda value, bound: value == bound or abs(value - bound) <= TOLERANCE,
}


def parse_expectations(
    node: Node, *, known: Callable[[str], bool], names: Collection[str], incident: bool
) -> tuple[Expectation, ...]:
    """Return the expectations of a scenario.

    Args:
        node: The `expect` mapping: algorithm -> measure -> bound.
        known: Whether an algorithm of this name exists.
        names: What is offered if it does not.
        incident: Whether the scenario has one; measures that need it are refused otherwise.

    Raises:
        ScenarioError: With file:line.
    """
    found = []
    for name, entry in node.mapping().items():
        if not known(name):
            entry.fail(f"unknown algorithm {name!r}{did_you_mean(name, names, listing='known are')}")
        bounds: list[Bound] = []
        for measure, value in entry.mapping(MEASURES).items():
            if MEASURES[measure].needs_incident and not incident:
                value.fail(f"{measure} has no meaning without an incident; remove it or add `incidents`")
            texts = value.value if isinstance(value.value, list) else [value]
            bounds += [_bound(measure, part, known, names) for part in texts]
        found.append(Expectation(name, tuple(bounds)))
    return tuple(found)


def _bound(measure: str, node: Node, known: Callable[[str], bool], names: Collection[str]) -> Bound:
    if isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
        node.fail(f"is no bound; {_HOW}")
    text = str(node.value).strip()
    if measure == "recovered":
        if text not in ("always", "never"):
            node.fail(f"{text!r} must be always or never")
        return Bound(measure, "==", 1.0 if text == "always" else 0.0, "", node.line)
    if text == "never" and measure == "recovery_s":
        return Bound(measure, "==", math.inf, "", node.line)
    match = _BOUND.fullmatch(text)
    operator, rest = (match[1] or "==", match[2].strip()) if match else ("", "")
    number = _NUMBER.fullmatch(rest)
    if number is not None:
        value = float(number[1]) / (100.0 if number[2] else 1.0)
        return Bound(measure, operator, value, "", node.line)
    relative = _RELATIVE.fullmatch(rest)
    if relative is None:
        node.fail(f"{text!r} is no bound; {_HOW}")
    if not known(relative[1]):
        node.fail(f"unknown algorithm {relative[1]!r}{did_you_mean(relative[1], names, listing='known are')}")
    difference = float(relative[3] or 0.0) * (-1.0 if relative[2] == "-" else 1.0)
    return Bound(measure, operator, difference, relative[1], node.line)


def holds(bound: Bound, value: float, *, others: Mapping[str, float]) -> bool:
    """Return whether a measured value keeps a bound; `others`: the same measure by algorithm.

    A value that could not be measured (NaN) keeps no bound.

    >>> holds(Bound("lost_min", "<=", 0.5, "static-1", 1), 3.4, others={"static-1": 3.0})
    True
    """
    return _COMPARE[bound.op](value, limit_of(bound, others=others))


def limit_of(bound: Bound, *, others: Mapping[str, float]) -> float:
    """Return the number that a value is compared with."""
    return bound.number if not bound.relative_to else others[bound.relative_to] + bound.number


def bound_words(bound: Bound) -> str:
    """Return a bound as it is written.

    >>> bound_words(Bound("recovery_s", "<=", 60.0, "", 1))
    '<= 60'
    """
    if bound.measure == "recovered":
        return "always" if bound.number else "never"
    if math.isinf(bound.number):
        return "never"
    if not bound.relative_to:
        return f"{bound.op} {bound.number:g}"
    sign = "-" if bound.number < 0.0 else "+"
    difference = f" {sign} {abs(bound.number):g}" if bound.number else ""
    return f"{bound.op} {bound.relative_to}{difference}"
