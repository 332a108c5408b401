"""The controller's one clock: everything else is told what time it is.

A single place that reads the machine's time keeps the rest replayable: the loop
takes `now_s` once per run and hands it down. Nothing here smooths or corrects
the clock; evidence is ordered by the source's stamps, never by this one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyball_controller.ports import Clock


class SystemClock:
    """Wall time of the machine, in epoch seconds."""

    def now_s(self) -> float:
        """Return epoch seconds (UTC); may step when the machine's clock is corrected."""
        return time.time()


if TYPE_CHECKING:
    _fits: type[Clock] = SystemClock
