"""How far the demo is, on stderr: a bar on a terminal, four plain lines elsewhere.

Nothing of it goes to stdout, where the same seed must print the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext

from rich.console import Console
from rich.progress import Progress

LINES = 4  # without a terminal: enough to see that it moves, few enough for a log
UPDATE_EVERY_MIN = 15  # simulated minutes between two moves of the bar


def follow(minutes: Iterable[int], *, total: int, terminal: bool | None = None) -> None:
    """Consume the minutes of a run and tell on stderr how far it is.

    Args:
        minutes: Numbers from 0, each yielded when that minute is over.
        total: How many there will be, >= 1.
        terminal: Whether stderr is one; None looks.
    """
    shown = sys.stderr.isatty() if terminal is None else terminal
    bar = Progress(console=Console(stderr=True), transient=True) if shown else None
    with bar if bar is not None else nullcontext():
        task = bar.add_task("simulating", total=total) if bar is not None else None
        for number in minutes:
            done = number + 1
            if bar is not None and task is not None:
                if done % UPDATE_EVERY_MIN == 0:
                    bar.update(task, completed=done)
            elif done * LINES % total < LINES:
                print(f"flyball demo: {done / 60:g} h of {total / 60:g} h simulated", file=sys.stderr)  # noqa: T201
