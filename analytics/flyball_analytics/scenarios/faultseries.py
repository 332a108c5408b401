"""From series of levels to the plant's faults.

People think of a target's capacity as what is left of it and of slowness as a
factor; the plant thinks of sizes of faults. This table is the translation. A
ramp becomes one fault per step of the plant's clock, at the level of the step's
middle, so that it may begin and end anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flyball_analytics.plant import Fault, FaultKind
from flyball_analytics.plant.faults import STEP_S, check_fault
from flyball_analytics.scenarios.notation import Piece, Quantity


class FaultSpec(NamedTuple):
    """How one kind of series is read: its quantity, its harmless level, and the size of the fault."""

    kind: FaultKind
    quantity: Quantity
    neutral: float
    size: Callable[[float], float]


def _same(level: float) -> float:
    return level


FAULT_SERIES: dict[str, FaultSpec] = {
    # share of attempts that fail fast, after the work was done
    "errors": FaultSpec(FaultKind.ERRORS, Quantity.SHARE, 0.0, _same),
    # share of attempts refused at once
    "refused": FaultSpec(FaultKind.OUTAGE, Quantity.SHARE, 0.0, _same),
    # share of attempts that never get an answer
    "silent": FaultSpec(FaultKind.BLACK_HOLE, Quantity.SHARE, 0.0, _same),
    # share of requests that fail however often they are tried
    "poison": FaultSpec(FaultKind.POISON, Quantity.SHARE, 0.0, _same),
    # share of the servers that is left
    "capacity": FaultSpec(FaultKind.CAPACITY_LOSS, Quantity.SHARE, 1.0, lambda left: 1.0 - left),
    # how many times longer one unit of work takes
    "slow": FaultSpec(FaultKind.SLOWDOWN, Quantity.FACTOR, 1.0, lambda factor: factor - 1.0),
    # added to every answer, without using capacity
    "latency": FaultSpec(FaultKind.LATENCY, Quantity.DELAY, 0.0, _same),
    # attempts per second that are let through
    "throttle": FaultSpec(FaultKind.THROTTLE, Quantity.LIMIT, float("inf"), _same),
}


def faults_of(spec: FaultSpec, pieces: tuple[Piece, ...]) -> list[Fault]:
    """Return the faults of a series; levels that change nothing make none.

    Raises:
        ValueError: A level that the plant cannot simulate.

    >>> faults_of(FAULT_SERIES["capacity"], (Piece(0.0, 600.0, 1.0, 1.0), Piece(600.0, 840.0, 0.25, 0.25)))
    [Fault(kind=<FaultKind.CAPACITY_LOSS: 0>, start_s=600.0, end_s=840.0, size=0.75, ramp_s=0.0)]
    """
    found = []
    for start_s, end_s, level in _steps(pieces):
        if level != spec.neutral:
            fault = Fault(spec.kind, start_s, end_s, spec.size(level))
            check_fault(fault)
            found.append(fault)
    return found


def _steps(pieces: tuple[Piece, ...]) -> list[tuple[float, float, float]]:
    steps = []
    for piece in pieces:
        if piece.first == piece.last:
            steps.append((piece.start_s, piece.end_s, piece.first))
            continue
        count = round((piece.end_s - piece.start_s) / STEP_S)
        for number in range(count):
            at_s = piece.start_s + number * STEP_S
            steps.append((at_s, at_s + STEP_S, piece.at(at_s + STEP_S / 2.0)))
    return steps
