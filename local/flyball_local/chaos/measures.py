"""What an experiment measures: one number per name and phase, from the calls of that phase and from counters.

All times are of the virtual clock. A measure of what did not happen is None,
never 0: a bound on it is then not kept, so that no check passes for want of data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from flyball.outcome import Outcome
from flyball_local.chaos.fleet import CallRecord

MINUTE_S = 60.0
LATE_S = 60.0  # the last minute of the fault: what has settled by then
BIN_S = 30.0  # recovery is looked at in pieces of this length
BUSY_SHARE = 0.1  # of the calls: who makes fewer has no reason to read each 5 s
WELL_RATIO = 0.99  # a piece is well if so many of its calls are answered


class Phase(StrEnum):
    """When."""

    BEFORE = "before"
    DURING = "during"
    LATE = "late"  # the last minute of `during`
    AFTER = "after"


class Stretch(NamedTuple):
    """One phase: its length, its calls, and what was counted meanwhile."""

    seconds: float
    calls: Sequence[CallRecord]
    reads: Sequence[int]  # of the circuit table, by environment
    reads_failed: int
    started: int  # environments that are new in it
    struck: int
    rounds: int
    under_open: int  # calls that came while the controller held the circuit open


def measured(stretch: Stretch) -> dict[str, float | None]:
    """Return every measure of a phase."""
    return {name: measure(stretch) for name, (measure, _) in MEASURES.items()}


def recovered_after_s(calls: Sequence[CallRecord], *, since_s: float, until_s: float) -> float | None:
    """Return the seconds from `since_s` until calls are answered again for good, None if they never are.

    Looked at in whole pieces of BIN_S up to `until_s`; a piece without calls is not well.

    >>> calls = [CallRecord(float(s), 0.0, s >= 40, False, 1, ()) for s in range(120)]
    >>> recovered_after_s(calls, since_s=0.0, until_s=120.0)
    60.0
    """
    pieces = int((until_s - since_s) / BIN_S)
    answered, came = [0] * pieces, [0] * pieces
    for call in calls:
        piece = int((call.at_s - since_s) // BIN_S)
        if 0 <= piece < pieces:
            came[piece] += 1
            answered[piece] += call.ok
    well_from = pieces
    while well_from and came[well_from - 1] and answered[well_from - 1] >= WELL_RATIO * came[well_from - 1]:
        well_from -= 1
    return None if well_from == pieces else well_from * BIN_S


def _share(count: Callable[[CallRecord], float]) -> Callable[[Stretch], float | None]:
    return lambda stretch: sum(map(count, stretch.calls)) / len(stretch.calls) if stretch.calls else None


def _mean_wait(*outcomes: Outcome) -> Callable[[Stretch], float | None]:
    def mean(stretch: Stretch) -> float | None:
        waits = [wait_s for call in stretch.calls for outcome, wait_s in call.waits if outcome in outcomes]
        return sum(waits) / len(waits) if waits else None

    return mean


def _longest(stretch: Stretch) -> float | None:
    return max((call.took_s for call in stretch.calls), default=None)


def _p99(stretch: Stretch) -> float | None:
    took = sorted(call.took_s for call in stretch.calls)
    return took[min(len(took) - 1, len(took) * 99 // 100)] if took else None


def _most_attempts(stretch: Stretch) -> float | None:
    return max((float(call.attempts) for call in stretch.calls), default=None)


def _shortest_throttle_wait(stretch: Stretch) -> float | None:
    waits = [pause for call in stretch.calls for pause in call.waits]
    return min((wait_s for outcome, wait_s in waits if outcome == Outcome.THROTTLE), default=None)


def _reads_per_min(stretch: Stretch) -> float | None:
    reads = max(stretch.reads, default=0)
    return reads * MINUTE_S / stretch.seconds if stretch.seconds else None


def _fewest_reads_per_min(stretch: Stretch) -> float | None:
    calls = Counter(call.environment for call in stretch.calls)
    busy = [number for number, count in calls.items() if count >= BUSY_SHARE * len(stretch.calls)]
    reads = min((stretch.reads[number] for number in busy), default=None)
    return None if reads is None else reads * MINUTE_S / stretch.seconds


MEASURES: dict[str, tuple[Callable[[Stretch], float | None], str]] = {
    "calls": (lambda stretch: float(len(stretch.calls)), "calls that came"),
    "goodput_ratio": (_share(lambda call: call.ok), "share of calls that were answered"),
    "refused_ratio": (_share(lambda call: call.refused), "share of calls that flyball did not make"),
    "attempts_per_call": (_share(lambda call: call.attempts), "load on the target, per call that came"),
    "most_attempts": (_most_attempts, "attempts of the call that made most"),
    "longest_s": (_longest, "longest call, seconds"),
    "p99_s": (_p99, "99th percentile of how long calls took, seconds"),
    "throttle_wait_s": (_mean_wait(Outcome.THROTTLE), "mean pause after a 429, seconds"),
    "shortest_throttle_wait_s": (_shortest_throttle_wait, "shortest pause after a 429, seconds"),
    "error_wait_s": (
        _mean_wait(Outcome.ERROR_FAST, Outcome.TIMEOUT),
        "mean pause after any other failure, seconds",
    ),
    "reads_per_min": (
        _reads_per_min,
        "reads of the circuit table per minute, of the environment that made most",
    ),
    "fewest_reads_per_min": (
        _fewest_reads_per_min,
        "the same, of whoever made fewest, among those with a tenth of the calls",
    ),
    "reads_failed": (lambda stretch: float(stretch.reads_failed), "reads of the circuit table that failed"),
    "defects": (
        lambda stretch: float(sum(bool(call.defect) for call in stretch.calls)),
        "calls that raised what nobody should see",
    ),
    "struck": (lambda stretch: float(stretch.struck), "how often something met the fault"),
    "started": (lambda stretch: float(stretch.started), "environments started"),
    "under_open": (
        lambda stretch: float(stretch.under_open),
        "calls that came while the controller held the circuit open",
    ),
    "rounds": (lambda stretch: float(stretch.rounds), "rounds of the controller"),
}
