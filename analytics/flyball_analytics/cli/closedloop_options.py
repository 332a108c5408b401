"""Options that closed-loop commands share: how the simulated world differs from the scenario."""

from __future__ import annotations

import os
from typing import Any

import click

from flyball.hints import did_you_mean
from flyball_analytics.arrivals import EXACT, ModelError

_FLAGS = {"true": True, "yes": True, "false": False, "no": False}
# Beyond these a simulation is a mistake or takes for ever.
_RANGES = {
    "capacity_factor": (0.05, 20.0),
    "timeout_factor": (0.05, 20.0),
    "fleet_factor": (0.05, 20.0),
    "burst": (1.0, 100.0),
    "rho": (0.01, 2.0),
    "period_s": (10.0, 900.0),
    "lag_s": (0.0, 900.0),
}

model_option = click.option(
    "--model",
    "model_pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Make the world differ from the scenario: capacity_factor, timeout_factor, fleet_factor, burst, "
    "reuse_random, rho, period_s, lag_s.",
)
policy_option = click.option(
    "--policy", default="two-loop", show_default=True, help="What `flyball` obeys: a preset or a policy file."
)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=cores,
    show_default="one per core",
    help="Processes; results are the same for any number.",
)


def model_of(pairs: tuple[str, ...]) -> ModelError:
    """Return the model error of KEY=VALUE pairs.

    Raises:
        click.BadParameter: An unknown key, or a value out of range.
    """
    model = EXACT
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or key not in ModelError._fields:
            hint = did_you_mean(key, ModelError._fields, listing="known are")
            raise click.BadParameter(f"{pair!r} is no KEY=VALUE of the model{hint}", param_hint="--model")
        if key == "reuse_random":
            model = model._replace(reuse_random=_flag(key, text))
        else:
            changes: dict[str, Any] = {key: _number(key, text)}
            model = model._replace(**changes)
    return model


def _flag(key: str, text: str) -> bool:
    if text not in _FLAGS:
        raise click.BadParameter(f"{key}={text} must be true or false", param_hint="--model")
    return _FLAGS[text]


def _number(key: str, text: str) -> float:
    low, high = _RANGES[key]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high or (key == "period_s" and value % 10.0):
        grid = ", a multiple of 10" if key == "period_s" else ""
        raise click.BadParameter(
            f"{key}={text} must be a number from {low:g} to {high:g}{grid}", param_hint="--model"
        )
    return value
