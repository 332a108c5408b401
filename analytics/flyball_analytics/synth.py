"""Labelled synthetic fleets: metric histories with known incidents, for trying policies without waiting.

Every target has its own traffic (daily and weekly season, some an hourly batch),
noise (over-dispersed counts, clumped errors), retries and latency, and incidents of
several kinds whose times are known exactly. Equal arguments give equal numbers (one
PCG64 stream per target, named by seed and target: adding a target changes no other).

What it is not: a closed loop. The traffic does not react to retries or circuits;
that is what `flyball simulate` is for. Labels follow labels.py. Needs the extra `sim`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flyball_analytics.moments import parse_moment, utc
from flyball_analytics.synth_incidents import (
    Floats,
    Incident,
    IncidentKind,
    place_incidents,
    shares_of,
)

if TYPE_CHECKING:
    import pandas as pd

DAY_S = 86_400.0
HOUR_S = 3_600.0
MINUTE_S = 60.0
START = "2026-01-05T00:00:00Z"  # a Monday: whole weeks are easy to read
# Incidents keep out of the first stretch, in which a controller learns what is normal.
PROBATION_DAYS = 2.0
PROBATION_SHARE_MAX = 0.5  # of a short history
APART_S = 2.0 * HOUR_S
ATTEMPTS_MAX = 3  # of the synthetic clients: a first attempt and two retries
NAMES = ("payments", "orders", "search", "profile", "mail", "stock", "price", "auth", "cart", "media", "ship",
         "tax")  # fmt: skip


class Profile(NamedTuple):
    """What is normal for one synthetic target. Rates are per minute, ratios 0..1, latency in milliseconds."""

    name: str
    mean_per_min: float
    swing_ratio: float  # daily amplitude as a share of the mean
    peak_hour: float
    weekend_ratio: float  # traffic of Saturday and Sunday beside that of a weekday
    batch_factor: float  # traffic of the hourly batch beside the rest; 1 = no batch
    batch_minutes: int
    burst: float  # variance over mean of the requests in a window, beyond Poisson's 1
    error_ratio: float
    clump: float  # intra-class correlation of errors within a window, 0 = independent
    latency_ms: float
    tail: float  # p99 over p50


class Fleet(NamedTuple):
    """A synthetic history with its truth.

    `history`: one row per target and window, ordered by target and start; columns
    as in docs/reference/history.md. `incidents`: target, kind, start, end (start of
    the last bad window), severity. `profiles`: what was normal.
    """

    history: pd.DataFrame
    incidents: pd.DataFrame
    profiles: tuple[Profile, ...]
    probation: int  # windows at the beginning without incidents

    def labels(self) -> dict[str, object]:
        """Return the incidents in the format that `flyball replay --labels` reads, by target."""
        rows = self.history.groupby("target", sort=True).size()
        series: dict[str, object] = {}
        for target, count in rows.items():
            mine = self.incidents[self.incidents["target"] == target]
            series[str(target)] = {
                "incidents": [
                    {"start": utc(start.timestamp()), "end": utc(end.timestamp()), "fault": str(kind)}
                    for start, end, kind in zip(mine["start"], mine["end"], mine["kind"], strict=True)
                ],
                "probation": self.probation,
                "rows": int(count),
            }
        return {"dataset": "flyball synth", "version": 1, "series": series}

    def labels_json(self) -> bytes:
        """Return the labels as the bytes of a labels file."""
        return (json.dumps(self.labels(), indent=1, sort_keys=True) + "\n").encode()


def fleet(
    services: int | Sequence[str] = 12,
    days: float = 14.0,
    seed: int = 0,
    *,
    start: str | float = START,
    period_s: float = MINUTE_S,
    incidents_per_week: float = 1.0,
    kinds: Sequence[str] = tuple(IncidentKind),
    gaps_per_week: float = 0.5,
    delay_s: float = 20.0,
) -> Fleet:
    """Return a labelled synthetic fleet as pandas frames.

    Args:
        services: How many targets, or their names.
        days: Length of the history, > 0.
        seed: Names the random streams.
        start: First window: epoch seconds or ISO 8601.
        period_s: Length of a window, seconds, > 0; a divisor of an hour.
        incidents_per_week: Expected incidents per target and week, >= 0.
        kinds: Which kinds of incident may happen, by name (see IncidentKind).
        gaps_per_week: Expected stretches without any row per target and week, >= 0.
        delay_s: How long after its end a window could be read, >= 0.

    Raises:
        ValueError: If an argument is outside its range.

    >>> f = fleet(services=["payments"], days=1, seed=7)
    >>> len(f.history) > 1_400, sorted(f.labels()["series"])
    (True, ['payments'])
    """
    names = _names(services)
    if not days > 0.0 or not period_s > 0.0 or HOUR_S % period_s:
        raise ValueError(
            f"days={days!r} and period_s={period_s!r} must be > 0, and the period divide an hour"
        )
    if min(incidents_per_week, gaps_per_week, delay_s) < 0.0:
        raise ValueError("incidents_per_week, gaps_per_week and delay_s must be at least 0")
    start_s = parse_moment(start) if isinstance(start, str) else float(start)
    windows = max(1, round(days * DAY_S / period_s))
    probation = round(min(PROBATION_DAYS * DAY_S, PROBATION_SHARE_MAX * windows * period_s) / period_s)
    incidents = place_incidents(
        partial(_rng, seed),
        names,
        start_s=start_s + probation * period_s,
        end_s=start_s + windows * period_s,
        period_s=period_s,
        per_week=incidents_per_week,
        kinds=tuple(IncidentKind(kind) for kind in kinds),
        apart_s=APART_S,
    )
    profiles = tuple(profile_of(name, seed) for name in names)
    starts_s = start_s + period_s * np.arange(windows, dtype=np.float64)
    gaps = gaps_per_week * windows * period_s / (7.0 * DAY_S)
    frames = [
        _history(profile, incidents, starts_s, period_s, seed=seed, gaps=gaps, delay_s=delay_s)
        for profile in profiles
    ]
    return _joined(frames, incidents, profiles, probation)


def profile_of(name: str, seed: int) -> Profile:
    """Return what is normal for a target; the same for the same name and seed, whatever else there is.

    >>> profile_of("payments", 1) == profile_of("payments", 1)
    True
    """
    rng = _rng(seed, "profile", name)
    batch = rng.random() < 0.4
    return Profile(
        name=name,
        mean_per_min=float(np.exp(rng.uniform(np.log(40.0), np.log(6_000.0)))),
        swing_ratio=float(rng.uniform(0.15, 0.75)),
        peak_hour=float(rng.uniform(9.0, 21.0)),
        weekend_ratio=float(rng.uniform(0.35, 1.1)),
        batch_factor=float(rng.uniform(2.0, 6.0)) if batch else 1.0,
        batch_minutes=int(rng.integers(2, 9)) if batch else 0,
        burst=float(rng.uniform(1.2, 6.0)),
        error_ratio=float(np.exp(rng.uniform(np.log(2e-4), np.log(6e-3)))),
        clump=float(rng.uniform(0.0, 0.01)),
        latency_ms=float(np.exp(rng.uniform(np.log(8.0), np.log(300.0)))),
        tail=float(rng.uniform(2.5, 8.0)),
    )


def _names(services: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(services, int):
        if services < 1:
            raise ValueError(f"services={services!r} must be at least 1")
        return tuple(NAMES[i] if i < len(NAMES) else f"service-{i + 1:04d}" for i in range(services))
    names = tuple(services)
    if not names or len(set(names)) != len(names) or not all(names):
        raise ValueError(f"services={services!r} must be distinct, non-empty names")
    return names


def _rng(seed: int, *name: str) -> np.random.Generator:
    """Return the stream of one purpose; a name is folded in by CRC so that every process agrees."""
    words = [seed & 0xFFFF_FFFF, (seed >> 32) & 0xFFFF_FFFF, *(zlib.crc32(part.encode()) for part in name)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def _rate(profile: Profile, starts_s: Floats, period_s: float) -> Floats:
    """Return the expected requests of every window."""
    middle_s = starts_s + period_s / 2.0
    angle = 2.0 * np.pi * (middle_s / HOUR_S - profile.peak_hour) / 24.0
    rate = profile.mean_per_min * (1.0 + profile.swing_ratio * np.cos(angle))
    weekday = (np.floor(middle_s / DAY_S) + 3.0) % 7.0  # the epoch was a Thursday; Monday is 0
    rate = np.where(weekday >= 5.0, rate * profile.weekend_ratio, rate)
    if profile.batch_minutes:
        rate = np.where(
            (middle_s / MINUTE_S) % 60.0 < profile.batch_minutes, rate * profile.batch_factor, rate
        )
    return np.asarray(rate * period_s / MINUTE_S, dtype=np.float64)


def _history(
    profile: Profile,
    incidents: Sequence[Incident],
    starts_s: Floats,
    period_s: float,
    *,
    seed: int,
    gaps: float,
    delay_s: float,
) -> dict[str, object]:
    """Return the columns of one target's history; windows without requests and gaps have no row."""
    rng = _rng(seed, "history", profile.name)
    n = len(starts_s)
    mean = _rate(profile, starts_s, period_s)
    scale = max(profile.burst - 1.0, 1e-9)  # gamma-mixed Poisson: variance = burst x mean
    requests = rng.poisson(rng.gamma(mean / scale, scale))
    fast = _clumped(rng, profile, n)
    timeouts, throttles, slower = np.zeros(n), np.zeros(n), np.ones(n)
    for incident in (i for i in incidents if i.target == profile.name):
        a = round((incident.start_s - starts_s[0]) / period_s)
        b = round((incident.end_s - starts_s[0]) / period_s) + 1
        shares = shares_of(incident.kind, incident.severity, b - a)
        fast[a:b] = np.maximum(fast[a:b], shares.fast)
        timeouts[a:b], throttles[a:b], slower[a:b] = shares.timeouts, shares.throttles, shares.latency_factor
    counts = _outcomes(rng, requests, fast, timeouts, throttles)
    load = mean / max(float(mean.mean()), 1e-9)
    p50 = profile.latency_ms * (0.85 + 0.15 * load) * np.exp(rng.normal(0.0, 0.05, n)) * np.sqrt(slower)
    p99 = p50 * profile.tail * np.exp(np.abs(rng.normal(0.0, 0.15, n))) * np.sqrt(slower)
    kept = requests > 0
    for _ in range(int(rng.poisson(gaps))):
        first = int(rng.integers(n))
        kept[first : first + int(rng.integers(2, 31))] = False
    columns: dict[str, object] = {
        "target": np.full(int(kept.sum()), profile.name, dtype=object),
        "start_s": starts_s[kept],
        "period_s": np.full(int(kept.sum()), period_s),
        "arrived_s": starts_s[kept] + period_s + delay_s,
    }
    columns.update({name: values[kept] for name, values in counts.items()})
    columns["latency_p50_ms"] = np.round(p50[kept], 3)
    columns["latency_p99_ms"] = np.round(p99[kept], 3)
    return columns


def _clumped(rng: np.random.Generator, profile: Profile, n: int) -> Floats:
    """Return the normal share of fast errors per window: beta-distributed with the profile's correlation."""
    if profile.clump <= 0.0:
        return np.full(n, profile.error_ratio)
    weight = 1.0 / profile.clump - 1.0
    return rng.beta(profile.error_ratio * weight, (1.0 - profile.error_ratio) * weight, n)


def _outcomes(
    rng: np.random.Generator,
    requests: np.typing.NDArray[np.int64],
    fast: Floats,
    timeouts: Floats,
    throttles: Floats,
) -> dict[str, np.typing.NDArray[np.int64]]:
    """Return how the first attempts of every window ended, and what the retries came to."""
    timed_out = rng.binomial(requests, timeouts)
    throttled = rng.binomial(
        requests - timed_out, np.clip(throttles / np.maximum(1.0 - timeouts, 1e-9), 0.0, 1.0)
    )
    left = requests - timed_out - throttled
    failed_fast = rng.binomial(left, np.clip(fast, 0.0, 1.0))
    failures = timed_out + throttled + failed_fast
    again = np.clip(fast + timeouts + throttles, 0.0, 1.0)  # a retry meets the same target
    attempts, failing = requests.copy(), failures
    for _ in range(ATTEMPTS_MAX - 1):
        attempts = attempts + failing
        failing = rng.binomial(failing, again)
    return {
        "requests": requests,
        "timeouts": timed_out,
        "errors_fast": failed_fast,
        "throttles": throttled,
        "attempts": attempts,
        "request_failures": failing,
        "short_circuited": np.zeros_like(requests),
        "errors_permanent": np.zeros_like(requests),
    }


def _joined(
    frames: Sequence[dict[str, object]],
    incidents: Sequence[Incident],
    profiles: tuple[Profile, ...],
    probation: int,
) -> Fleet:
    """Return the frames as one history, times as UTC timestamps."""
    import pandas as pd

    history = pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)
    for column, name in (("start_s", "start"), ("arrived_s", "arrived")):
        history[column] = pd.to_datetime((history[column] * 1e6).round().astype("int64"), unit="us", utc=True)
        history = history.rename(columns={column: name})
    history["quality"] = np.zeros(len(history), dtype=np.int8)
    history = history.sort_values(["target", "start"], kind="stable", ignore_index=True)
    truth = pd.DataFrame(
        {
            "target": pd.Series([i.target for i in incidents], dtype="object"),
            "kind": pd.Series([i.kind.value for i in incidents], dtype="object"),
            "start": pd.to_datetime([int(i.start_s * 1e6) for i in incidents], unit="us", utc=True),
            "end": pd.to_datetime([int(i.end_s * 1e6) for i in incidents], unit="us", utc=True),
            "severity": pd.Series([i.severity for i in incidents], dtype="float64"),
        }
    )
    return Fleet(history, truth, profiles, probation)
