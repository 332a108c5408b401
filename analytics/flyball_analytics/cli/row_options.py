"""The options of every command that reads rows: which are meant, and what their columns are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from flyball_analytics.cli.types import pair, span

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--target", help="Name of the target, or whose rows to take if there is a target column."),
    click.option("--column", "columns", type=pair, multiple=True, help="Which column carries a field."),
    click.option(
        "--period", "period_s", type=span, help="Length of a window; default: the commonest distance."
    ),
    click.option("--delay", "delay_s", type=span, help="How long after its end a window could be read."),
)


def row_options(function: F) -> F:
    """Add --target, --column, --period and --delay to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
