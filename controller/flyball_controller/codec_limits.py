"""What a step can have produced, generously: numbers beyond it are no state, whatever their checksum.

A checksum tells accidents. Who writes into the table on purpose has one that fits, and some
numbers would make the law divide by zero, or would be applied as they stand by a window that
decides nothing. The tuples are those of the codec's structures, in their order.
"""

from __future__ import annotations

from flyball.contract import BOUNDS
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.evidence import Window
from flyball_controller.core.inspect import COUNT_MAX, PERIOD_MAX_S, PERIOD_MIN_S, TIME_MAX_S

_APPLIED = (  # what a setpoint holds beside its circuit, in the order of _LAW
    ("retry", "max_attempts"), ("retry", "budget_ratio"), ("retry", "throttle_base_ms"),
    ("breaker", "probe_ratio"), ("breaker", "close_after"),
)  # fmt: skip
COUNTER_MAX = 2**31  # windows in a row: four thousand years of minutes
SUM_MAX = 1e24  # a month's exponential sum of 2^53 requests a minute is under 1e21
MOMENT_MAX_S = 2.0 * TIME_MAX_S  # a hold's or a circuit's end lies after the newest possible window


def refuse_impossible(
    law: tuple[float, ...],
    times: tuple[float, ...],
    base: tuple[float, ...],
    rarity: tuple[float, ...],
    ring: tuple[Window, ...],
) -> None:
    """Refuse numbers that no step can have produced; the law's arithmetic would fail on some of them.

    The checksum tells accidents; this tells what somebody wrote on purpose (K4, C3).
    """
    if not all(-1.0 <= moment <= MOMENT_MAX_S for moment in (*law[7:11], *times[:4], times[6])):
        raise CheckpointError(f"checkpoint holds a time that is not in [-1, {MOMENT_MAX_S:g}]")
    if not all(-1 <= whole <= COUNT_MAX for whole in (times[4], base[10], base[15])):
        raise CheckpointError(f"checkpoint holds a count that is not in [-1, {COUNT_MAX}]")
    if not all(-1.0 <= number <= SUM_MAX for number in (*base, *rarity)):
        raise CheckpointError(f"checkpoint holds a number that is not in [-1, {SUM_MAX:g}]")
    for value, (section, field) in zip((*law[1:4], *law[5:7]), _APPLIED, strict=True):
        low, high = BOUNDS[section][field]
        if not low <= value <= high:
            raise CheckpointError(f"checkpoint: {field}={value:g} is not in [{low:g}, {high:g}]")
    if max(law[11:15]) > COUNTER_MAX:
        raise CheckpointError(f"checkpoint counts to {max(law[11:15])}; at most {COUNTER_MAX} is possible")
    ratios = (base[2] / 2.0, *base[8:10], *base[13:15])  # the first is a spread, which is under 1.3
    if base[3] < 1.0 or not all(0.0 <= ratio <= 1.0 for ratio in ratios):
        raise CheckpointError(f"checkpoint: dispersion {base[3]:g} must be >= 1, ratios {ratios} 0 to 1")
    for failures, requests in (base[0:2], base[11:13], base[16:18]):
        if not 0.0 <= failures <= requests * (1.0 + 1e-6):  # each sum has its own rounding
            raise CheckpointError(f"checkpoint holds {failures:g} failures in {requests:g} requests")
    for window in ring:
        possible = PERIOD_MIN_S <= window.period_s <= PERIOD_MAX_S
        if not (possible and all(-1 <= n <= COUNT_MAX for n in window)):
            raise CheckpointError("checkpoint holds a window that no observation gives")
