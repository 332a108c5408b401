"""Algorithms by name: flyball with any policy, flyball's client alone, and the references.

    flyball              the policy that the command was given, by default the preset two-loop
    flyball:NAME         a preset or a policy file
    flyball-static       the client with its compiled-in parameters; no controller
    static-3, sre, ...   flyball_analytics.references

An algorithm is named in scenario files and sent to other processes by its name;
what it consists of is made where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from flyball.call import Target
from flyball.hints import did_you_mean
from flyball_analytics.references.registry import REFERENCES, MinuteController, plant_targets
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PRESETS, PolicySet

POLICY = "two-loop"
FLYBALL = "flyball"
STATIC = "flyball-static"


class AlgorithmError(ValueError):
    """There is no algorithm of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no algorithm {name!r}{did_you_mean(name, algorithm_names(), listing='known are')}"
        )
        self.name = name


class Algorithm(NamedTuple):
    """Clients, and the policies of their controller; None = nobody steers them."""

    name: str
    title: str
    new_target: Callable[[str, str], Target]  # (target, function) -> the client of a new environment
    policies: PolicySet | None
    rule: Callable[[], MinuteController] | None = None  # outer loop of a reference


def algorithm_names() -> tuple[str, ...]:
    """Return every name that needs no file."""
    return (FLYBALL, *(f"{FLYBALL}:{preset}" for preset in PRESETS), *reference_names())


def reference_names() -> tuple[str, ...]:
    """Return the names of the algorithms that flyball is compared with, its client alone among them."""
    return tuple(name for name in REFERENCES if name != FLYBALL)


def is_algorithm(name: str) -> bool:
    """Return whether a name could be an algorithm; a policy file is looked at when it is used."""
    return name in algorithm_names() or (name.startswith(f"{FLYBALL}:") and len(name) > len(FLYBALL) + 1)


@lru_cache(maxsize=64)
def algorithm(name: str, policy: str = POLICY) -> Algorithm:
    """Return the algorithm of a name; `policy` is what plain `flyball` obeys.

    Raises:
        AlgorithmError: There is none of this name.
        PolicyError: Its policy is no preset and no valid file.
    """
    if name == FLYBALL:
        return Algorithm(name, f"flyball, policy {policy}", _client, load_policy(policy))
    if name == STATIC:
        return Algorithm(name, "flyball's client alone, compiled-in parameters", _client, None)
    if name.startswith(f"{FLYBALL}:"):
        chosen = name.partition(":")[2]
        return Algorithm(name, f"flyball, policy {chosen}", _client, load_policy(chosen))
    if name not in reference_names():
        raise AlgorithmError(name)
    chosen_reference = REFERENCES[name]
    maker = plant_targets(chosen_reference)
    return Algorithm(
        name, chosen_reference.title, lambda target, function: maker(), None, chosen_reference.controller
    )


def _client(target: str, function: str) -> Target:
    return Target(target, function=function)
