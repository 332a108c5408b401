"""What goes wrong in a synthetic fleet, and what each kind does to a window's shares.

A kind is a shape over the incident's windows: which share of first attempts fails
fast, times out or is throttled, and by what factor latency grows. Shapes are
deliberately unlike each other (a step, a slope, a plateau that ends at a rollback),
because a detector that was tuned to one of them should be seen to miss the others.

Knows no traffic, no target and no clock. Needs numpy (extra `sim`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MINUTE_S = 60.0
# A call that times out took this much longer than a normal one at the 99th percentile.
TIMEOUT_LATENCY_FACTOR = 12.0
# Share of the fleet that a zone incident hits: one of three zones.
ZONE_SHARE = 1.0 / 3.0


class IncidentKind(StrEnum):
    """The closed set of what can happen to a synthetic target."""

    OUTAGE = "outage"  # nearly everything fails fast
    PARTIAL = "partial"  # a steady share fails fast: one bad host, one bad shard
    RAMP = "ramp"  # time-outs and latency grow slowly: a leak, a filling queue
    TIMEOUTS = "timeouts"  # a large share times out at once: saturation
    THROTTLING = "throttling"  # "too many requests"
    DEPLOY = "deploy"  # a small steady share of errors and slower answers, until the rollback
    ZONE = "zone"  # a partial failure of several targets in the same minutes


class Incident(NamedTuple):
    """One thing that goes wrong with one target; `end_s` is the start of its last bad window."""

    target: str
    kind: IncidentKind
    start_s: float
    end_s: float
    severity: float  # 0..1: how bad within its kind


class Shares(NamedTuple):
    """What an incident does to each of its windows, oldest first; all of one length (n,)."""

    fast: Floats  # share of first attempts that fail fast, 0..1
    timeouts: Floats
    throttles: Floats
    latency_factor: Floats  # >= 1


# Shortest and longest duration of each kind, minutes. Order of magnitude from public
# post-mortems: outages are noticed and mended in minutes, bad deploys are lived with longer.
DURATION_MIN: dict[IncidentKind, tuple[int, int]] = {
    IncidentKind.OUTAGE: (5, 45),
    IncidentKind.PARTIAL: (15, 120),
    IncidentKind.RAMP: (20, 90),
    IncidentKind.TIMEOUTS: (5, 60),
    IncidentKind.THROTTLING: (10, 90),
    IncidentKind.DEPLOY: (10, 90),
    IncidentKind.ZONE: (10, 60),
}


def shares_of(kind: IncidentKind, severity: float, windows: int) -> Shares:
    """Return what each window of an incident suffers.

    Args:
        kind: Which shape.
        severity: 0 (mildest of its kind) to 1.
        windows: How many windows it lasts, >= 1.

    Raises:
        ValueError: If the severity is outside 0..1 or there is no window.

    >>> shares_of(IncidentKind.OUTAGE, 1.0, 2).fast.tolist()
    [1.0, 1.0]
    >>> [round(x, 2) for x in shares_of(IncidentKind.RAMP, 1.0, 4).timeouts.tolist()]
    [0.15, 0.3, 0.45, 0.6]
    """
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity={severity!r} must lie in 0..1")
    if windows < 1:
        raise ValueError(f"windows={windows!r} must be at least 1")
    none, same = np.zeros(windows), np.ones(windows)
    slope = np.arange(1, windows + 1, dtype=np.float64) / windows
    if kind is IncidentKind.OUTAGE:
        return Shares(same * (0.85 + 0.15 * severity), none, none, same)
    if kind in (IncidentKind.PARTIAL, IncidentKind.ZONE):
        return Shares(same * (0.10 + 0.40 * severity), none, none, same)
    if kind is IncidentKind.RAMP:
        return Shares(none, slope * (0.20 + 0.40 * severity), none, 1.0 + slope * (2.0 + 6.0 * severity))
    if kind is IncidentKind.TIMEOUTS:
        share = same * (0.20 + 0.60 * severity)
        return Shares(none, share, none, 1.0 + share * TIMEOUT_LATENCY_FACTOR)
    if kind is IncidentKind.THROTTLING:
        return Shares(none, none, same * (0.15 + 0.55 * severity), same)
    return Shares(same * (0.03 + 0.17 * severity), none, none, same * (1.2 + 0.6 * severity))


def place_incidents(
    stream: Callable[..., np.random.Generator],
    targets: tuple[str, ...],
    *,
    start_s: float,
    end_s: float,
    period_s: float,
    per_week: float,
    kinds: tuple[IncidentKind, ...],
    apart_s: float,
) -> list[Incident]:
    """Return incidents of the targets in [start_s, end_s), by target and time, none overlapping.

    Args:
        stream: Gives the random stream of a purpose, named by words.
        targets: Whose.
        start_s: Epoch seconds; incidents begin at or after.
        end_s: Epoch seconds; incidents end before.
        period_s: Length of a window; incidents begin and end on windows.
        per_week: Expected incidents of one target per week, >= 0; zone incidents come on top
            at a quarter of that rate for the fleet, each hitting about a third of it.
        kinds: Which may happen.
        apart_s: Least time between two incidents of one target, so that each can be told apart.
    """
    weeks = max(0.0, end_s - start_s) / 604_800.0
    single = tuple(kind for kind in kinds if kind is not IncidentKind.ZONE)
    zone = stream("zone")
    zones = int(zone.poisson(per_week * weeks / 4.0)) if IncidentKind.ZONE in kinds else 0
    draw = _Draw(start_s, end_s, period_s)
    shared = [draw.one(zone, IncidentKind.ZONE) for _ in range(zones)]
    found: list[Incident] = []
    for target in targets:
        hit = stream("zone", target).random(zones) < ZONE_SHARE
        mine = [bout for bout, struck in zip(shared, hit, strict=True) if struck]
        rng = stream("incidents", target)
        if single:
            count = int(rng.poisson(per_week * weeks))
            mine += [draw.one(rng, single[int(rng.integers(len(single)))]) for _ in range(count)]
        taken: list[_Bout] = []
        for bout in mine:
            free = all(bout.begin_s >= t.end_s + apart_s or t.begin_s >= bout.end_s + apart_s for t in taken)
            if free and bout.end_s <= end_s:
                taken.append(bout)
                found.append(Incident(target, bout.kind, bout.begin_s, bout.end_s - period_s, bout.severity))
    return sorted(found)


class _Bout(NamedTuple):
    """An incident before it has a target; `end_s` is exclusive."""

    kind: IncidentKind
    begin_s: float
    end_s: float
    severity: float


class _Draw(NamedTuple):
    """Draws bouts on the grid of windows."""

    start_s: float
    end_s: float
    period_s: float

    def one(self, rng: np.random.Generator, kind: IncidentKind) -> _Bout:
        low, high = DURATION_MIN[kind]
        period_s = self.period_s
        span_s = max(period_s, round(rng.uniform(low, high) * MINUTE_S / period_s) * period_s)
        room_s = max(0.0, self.end_s - self.start_s - span_s)
        begin_s = self.start_s + period_s * round(rng.uniform(0.0, room_s) / period_s)
        return _Bout(kind, begin_s, begin_s + span_s, float(rng.uniform(0.1, 1.0)))
