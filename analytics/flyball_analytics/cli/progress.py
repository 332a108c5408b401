"""Progress on stderr: only on a terminal, and only when it takes long enough to wonder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from flyball_analytics.clock import SystemClock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")
SHOW_AFTER_S = 2.0
# Asking the clock costs about as much as a hundredth of a step; every 256th item is often enough.
CHECK_EVERY = 256


def with_progress(
    items: Iterable[T],
    *,
    total: int,
    label: str,
    clock: SystemClock | None = None,
    terminal: bool | None = None,
    check_every: int = CHECK_EVERY,
) -> Iterator[T]:
    """Yield the items; after SHOW_AFTER_S draw a bar on stderr if that is a terminal.

    `check_every`: how many items pass between two looks at the clock; 1 for slow ones.
    """
    shown = sys.stderr.isatty() if terminal is None else terminal
    if not shown:
        yield from items
        return
    clock = clock or SystemClock()
    began_s = clock.steady_s()
    bar: Progress | None = None
    task: TaskID | None = None
    try:
        for number, item in enumerate(items):
            if number % check_every == 0:
                if bar is None and clock.steady_s() - began_s > SHOW_AFTER_S:
                    bar, task = _open(label, total)
                if bar is not None and task is not None:
                    bar.update(task, completed=number)
            yield item
    finally:
        if bar is not None:
            bar.stop()


def _open(label: str, total: int) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(file=sys.stderr, force_terminal=True), transient=True)
    task = bar.add_task(label, total=total)
    bar.start()
    return bar, task
