"""`--engine`: whether quiet windows run interpreted or compiled; the results are the same bytes.

What decides is how many windows will be replayed in all, so they are counted before anything is
read: a history's manifest says it, in a CSV file the lines are counted. Many short histories are as
much work as a long one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from flyball_analytics.companions import target_of
from flyball_analytics.fastreplay import COMPILE_FROM, Engine
from flyball_analytics.series import HISTORY_MANIFEST

F = TypeVar("F", bound=Callable[..., Any])
BLOCK_BYTES = 1 << 20


def engine_option(function: F) -> F:
    """Add --engine to a command."""
    return click.option(
        "--engine",
        type=click.Choice([engine.value for engine in Engine]),
        default=Engine.AUTO.value,
        show_default=True,
        callback=lambda _context, _option, word: Engine(word),
        help=f"How quiet windows run; auto compiles from {COMPILE_FROM:,} on. Changes no result.",
    )(function)


def windows_in(paths: Sequence[Path]) -> int:
    """Return about how many windows lie in some CSV files and folders of targets; 0 for what cannot be read.

    Whether it can be read, and why not, is for whoever reads it.
    """
    known: dict[Path, dict[str, int]] = {}
    return sum(_rows(path, known) for path in paths)


def _rows(path: Path, known: dict[Path, dict[str, int]]) -> int:
    try:
        if path.is_dir():
            if path.parent not in known:
                manifest = json.loads((path.parent / HISTORY_MANIFEST).read_bytes())
                known[path.parent] = {str(name): int(rows) for name, rows in manifest["targets"].items()}
            return known[path.parent].get(target_of(path), 0)
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0


def chosen(engine: Engine, windows: int) -> Engine:
    """Return what replays so many windows, never AUTO; compiled is announced on stderr.

    >>> chosen(Engine.AUTO, 1_000)
    <Engine.INTERPRETED: 'interpreted'>
    """
    if engine is Engine.INTERPRETED or (engine is Engine.AUTO and windows < COMPILE_FROM):
        return Engine.INTERPRETED
    why = f"about {windows:,} windows" if engine is Engine.AUTO else "as asked"
    click.echo(f"compiled replay ({why}); --engine interpreted gives the same result", err=True)
    return Engine.COMPILED
