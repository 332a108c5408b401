"""The package's one look at the machine's time, for what must not be virtual: deadlines of real processes."""

from __future__ import annotations

import time


class WallClock:
    """Real time; fits `flyball_controller.ports.Clock`."""

    def now_s(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def elapsed_s(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return time.monotonic()
