"""The one clock of this package: everything else takes the time as an argument."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time for "is this timestamp in the future?", steady time for progress."""

    def now_s(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def steady_s(self) -> float:
        """Return seconds that never run backward; only differences mean something."""
        return time.monotonic()
