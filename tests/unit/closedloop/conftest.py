"""Small scenarios for the closed-loop tests: short, busy, and over in a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flyball_analytics.algorithms import algorithm_names, is_algorithm
from flyball_analytics.scenarios import Scenario, parse_scenario

Make = Callable[..., Scenario]

TEMPLATE = """\
description: a test
duration: {minutes}m
seeds: [1]
lag: {lag}
services:
  api:
    load: "12/s x{minutes}m"
    rho: 0.6
    faults: {{{faults}}}
incidents:
  - {{label: trouble, from: 4m, to: {until}}}
expect: {{{expect}}}
"""


@pytest.fixture
def make() -> Make:
    """Return a maker of scenarios with one target at 60 % of its capacity."""

    def scenario(
        faults: str = 'capacity: "1 x4m, 0.25 x3m"',
        *,
        minutes: int = 14,
        until: str = "7m",
        lag: str = "20s",
        expect: str = "",
    ) -> Scenario:
        text = TEMPLATE.format(minutes=minutes, faults=faults, until=until, lag=lag, expect=expect)
        return parse_scenario(text.encode(), file="t/small.yaml", known=is_algorithm, names=algorithm_names())

    return scenario
