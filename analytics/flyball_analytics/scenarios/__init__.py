"""Scenarios: closed-loop experiments as files, with expectations that can fail.

notation     "0 x10m, 0.3 x20m": series of levels
node         YAML values that know their line
faultseries  series to the plant's faults
measures     the words of control quality
expect       bounds on measures
model        the records
parse        a file to a Scenario
"""

from flyball_analytics.scenarios.model import Bound, Caller, Expectation, Incident, Scenario
from flyball_analytics.scenarios.node import ScenarioError
from flyball_analytics.scenarios.parse import load_scenario, parse_scenario

__all__ = [
    "Bound",
    "Caller",
    "Expectation",
    "Incident",
    "Scenario",
    "ScenarioError",
    "load_scenario",
    "parse_scenario",
]
