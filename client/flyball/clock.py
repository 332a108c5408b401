"""The one place of the client that reads clocks and draws random numbers.

Two clocks, because in Lambda neither is enough: an environment is frozen between
invocations, and a monotonic clock may stand still meanwhile, while wall time can
be set back. Whoever asks for freshness asks both (K6).
"""

from __future__ import annotations

import os
import time

from flyball.named import Protocol


class Clock(Protocol):
    """What the shells need to know of the world's time."""

    def wall_s(self) -> float:
        """Return epoch seconds."""

    def monotonic_s(self) -> float:
        """Return seconds since some moment; never goes back, may stand still while frozen."""

    def draw(self) -> float:
        """Return a number uniform in [0, 1)."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The process's own clocks."""

    __slots__ = ()

    wall_s = staticmethod(time.time)
    monotonic_s = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def draw(self) -> float:
        """Return a number uniform in [0, 1), from the kernel.

        Not from a generator seeded at import: environments restored from one
        snapshot would share its state and draw the same jitter, all at once.
        """
        return (int.from_bytes(os.urandom(7), "big") >> 3) * 2.0**-53


def asyncio_sleep(seconds: float) -> object:
    """Return what waits so long when it is awaited; for other loops, replace `Runtime.async_sleep`."""
    # By name: `import asyncio` would cost every synchronous function a tenth of a second.
    from importlib import import_module

    return import_module("asyncio").sleep(seconds)


_fits: Clock = SystemClock()
