"""The list of references: complete, one client per environment, helpful when asked for what is not there."""

from __future__ import annotations

import pytest

from flyball.call import Target
from flyball.contract import DEFAULT_PARAMS
from flyball_analytics.references import REFERENCES, reference
from flyball_analytics.references.registry import FLYBALL, FLYBALL_STATIC, HarnessBuilt, UnknownReference

NAMES = [name for name in REFERENCES if name != FLYBALL]


def test_every_algorithm_of_the_comparison_is_there() -> None:
    """Tables and scenario files name them; a name that vanishes is a change for users."""
    assert set(REFERENCES) == {
        "none", "static-1", "static-3", "ladder-rule", "aws-standard-old", "aws-standard-2026",
        "aws-adaptive", "sre-adaptive-throttling", "finagle-budget", "linkerd", "envoy-budget",
        "envoy-admission", "grpc-throttling", "resilience4j-breaker", "powertools-breaker",
        "finagle-accrual", "semian-adaptive", "flyball-static", "flyball",
    }  # fmt: skip
    assert all(name == found.name and found.title and found.source for name, found in REFERENCES.items())


@pytest.mark.parametrize("name", NAMES)
def test_every_environment_gets_a_client_of_its_own(name: str) -> None:
    """A shared instance would give each algorithm a view of the fleet that it does not have."""
    make = REFERENCES[name].new_target
    assert make() is not make()


def test_only_the_ladder_rule_has_an_outer_loop_and_each_run_its_own() -> None:
    """A controller remembers; two runs must not share it."""
    assert [name for name, found in REFERENCES.items() if found.controller] == ["ladder-rule"]
    make = REFERENCES["ladder-rule"].controller
    assert make is not None
    assert make() is not make()


def test_flyball_static_is_the_real_client_with_its_compiled_in_defaults() -> None:
    """What a user has when the controller never answers."""
    target = REFERENCES[FLYBALL_STATIC].new_target()
    assert isinstance(target, Target)
    assert target.params == DEFAULT_PARAMS


def test_flyball_without_its_harness_is_an_error_and_not_flyball_static() -> None:
    """Silently leaving out the controller would compare the wrong thing."""
    with pytest.raises(HarnessBuilt, match="flyball-static"):
        REFERENCES[FLYBALL].new_target()


def test_an_unknown_name_says_which_was_meant() -> None:
    """By distance; far from all, it lists them."""
    assert reference("none").name == "none"
    with pytest.raises(UnknownReference, match="did you mean 'static-3'") as found:
        reference("static3")
    assert found.value.name == "static3"
    with pytest.raises(UnknownReference, match="known are none, static-1") as found:
        reference("zzzz")
    assert "linkerd" in found.value.known
