"""The probe function's part of the composition root: what makes checks, once per container.

Beside wiring.py the only module of this package that reads the environment: the
secrets of headers (PROBE_*), at each check, so that a rotated one is used at once.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from flyball_controller.aws.clients import Clients
from flyball_controller.aws.clock import SystemClock
from flyball_handlers.checks import Checker
from flyball_handlers.checks_aws import AwsChecks
from flyball_handlers.checks_net import Dialer, Monotonic
from flyball_handlers.probe_run import Runner
from flyball_handlers.wiring import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """What the probe handler works with beside the runtime.

    `pause` waits for the second slot of a minute; None: the clock is not the
    machine's, and cannot be waited for (an embedded run has first slots only).
    """

    runner: Runner
    clock: Monotonic
    draw: Callable[[], float]
    pause: Callable[[float], object] | None


_current: tuple[Runtime, Prober] | None = None


def prober(runtime: Runtime) -> Prober:
    """Return this container's prober; hanging checks of earlier minutes are remembered in it."""
    global _current  # noqa: PLW0603 - one per container is the point
    if _current is None or _current[0].clock is not runtime.clock or _current[0].settings != runtime.settings:
        _current = (runtime, build(runtime))
    return _current[1]


def build(runtime: Runtime) -> Prober:
    """Return a prober for a runtime: the machine's sockets, clock and random numbers."""
    make = runtime.checking or Clients(region=runtime.settings.region).checking
    checker = Checker(
        dialer=Dialer(),
        aws=AwsChecks(make),
        clock=time.monotonic,
        environ=os.environ,
        modules=runtime.settings.probe_modules,
    )
    own_clock = isinstance(runtime.clock, SystemClock)
    return Prober(
        runner=Runner(checker.run, clock=time.monotonic),
        clock=time.monotonic,
        draw=random.random if own_clock else _no_jitter,
        pause=time.sleep if own_clock else None,
    )


def _no_jitter() -> float:
    """Return the draw of a run whose clock does not move while a check is waited for."""
    return 0.0


def set_prober(runtime: Runtime, replacement: Prober) -> None:
    """Put a prober in place for a runtime: a test's, or an embedded run's."""
    global _current  # noqa: PLW0603 - one per container is the point
    _current = (runtime, replacement)
