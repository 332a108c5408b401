"""What goes wrong with a target: faults with a start, an end and a size, and the conditions they add up to.

A fault acts on the downstream (fewer or slower servers, errors, silence,
refusals), never on the client: what the client makes of it is the real client
code's business. `size` means, per kind:

    CAPACITY_LOSS  share of the servers lost, (0, 1)
    SLOWDOWN       how much longer one unit of work takes: 1.0 doubles it
    ERRORS         share of attempts that fail fast after the work was done
    OUTAGE         share of attempts refused at once (connection refused, 503)
    BLACK_HOLE     share of attempts that never get an answer
    THROTTLE       attempts per second that are let through; the rest get a 429
    POISON         share of *requests* that fail however often they are tried
    LATENCY        seconds added to every answer, without using capacity

Times lie on the grid of STEP_S, on which the plant looks at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

STEP_S = 10.0  # conditions change on this grid; a ramp climbs in steps of it


class FaultKind(IntEnum):
    """What a fault does to the downstream; see the table above."""

    CAPACITY_LOSS = 0
    SLOWDOWN = 1
    ERRORS = 2
    OUTAGE = 3
    BLACK_HOLE = 4
    THROTTLE = 5
    POISON = 6
    LATENCY = 7


# Kinds whose size is a probability or a share, hence at most 1.
_SHARES = frozenset(
    {FaultKind.CAPACITY_LOSS, FaultKind.ERRORS, FaultKind.OUTAGE, FaultKind.BLACK_HOLE, FaultKind.POISON}
)


class Fault(NamedTuple):
    """One fault over [start_s, end_s); with `ramp_s` > 0 its size climbs from 0 over that time."""

    kind: FaultKind
    start_s: float
    end_s: float
    size: float
    ramp_s: float = 0.0

    def level(self, at_s: float) -> float:
        """Return how much of `size` acts at this time, in [0, 1].

        >>> Fault(FaultKind.SLOWDOWN, 0.0, 100.0, 1.0, ramp_s=50.0).level(20.0)
        0.4
        """
        if not self.start_s <= at_s < self.end_s:
            return 0.0
        if self.ramp_s <= 0.0:
            return 1.0
        return min(1.0, (at_s - self.start_s) / self.ramp_s)


class Conditions(NamedTuple):
    """The state of the downstream at one moment; the defaults are health."""

    servers_ratio: float = 1.0
    slow_factor: float = 1.0
    error_ratio: float = 0.0
    outage_ratio: float = 0.0
    black_hole_ratio: float = 0.0
    throttle_per_s: float = 0.0  # 0 = no limit
    poison_ratio: float = 0.0
    latency_s: float = 0.0

    @property
    def harmful(self) -> bool:
        """Whether requests can fail by it: added latency alone slows them and fails none."""
        return self._replace(latency_s=0.0) != HEALTHY


HEALTHY = Conditions()


def check_fault(fault: Fault) -> None:
    """Raise ValueError, naming the field, if a fault cannot be simulated."""
    if fault.end_s <= fault.start_s:
        raise ValueError(f"end_s={fault.end_s!r} must be after start_s={fault.start_s!r}")
    for name, value in (("start_s", fault.start_s), ("end_s", fault.end_s)):
        if value % STEP_S != 0.0:
            raise ValueError(f"{name}={value!r} must be a multiple of {STEP_S:g} s, the plant's step")
    if fault.size <= 0.0 or (fault.kind in _SHARES and fault.size > 1.0):
        bound = "(0, 1]" if fault.kind in _SHARES else "(0, inf)"
        raise ValueError(f"size={fault.size!r} of a {fault.kind.name} fault must lie in {bound}")


def conditions_at(faults: Sequence[Fault], at_s: float) -> Conditions:
    """Return what all faults together make of the downstream at this time.

    Shares of one kind add up and stop at 1; slowdowns and latencies add; the
    lowest of several throttle limits holds.
    """
    total = dict.fromkeys(FaultKind, 0.0)
    throttle_per_s = 0.0
    for fault in faults:
        level = fault.level(at_s)
        if level <= 0.0:
            continue
        if fault.kind is FaultKind.THROTTLE:
            throttle_per_s = fault.size if throttle_per_s <= 0.0 else min(throttle_per_s, fault.size)
        else:
            total[fault.kind] += level * fault.size
    if throttle_per_s <= 0.0 and not any(total.values()):
        return HEALTHY
    return Conditions(
        servers_ratio=max(0.0, 1.0 - total[FaultKind.CAPACITY_LOSS]),
        slow_factor=1.0 + total[FaultKind.SLOWDOWN],
        error_ratio=min(1.0, total[FaultKind.ERRORS]),
        outage_ratio=min(1.0, total[FaultKind.OUTAGE]),
        black_hole_ratio=min(1.0, total[FaultKind.BLACK_HOLE]),
        throttle_per_s=throttle_per_s,
        poison_ratio=min(1.0, total[FaultKind.POISON]),
        latency_s=total[FaultKind.LATENCY],
    )
