"""Synthetic histories with a known truth: counts drawn from what is normal; equal seeds, equal counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flyball_analytics.series import Series
from flyball_controller.core.model import Observation

T0 = 1_767_571_200.0  # 2026-01-05T00:00:00Z, a Monday
MINUTE_S, HOUR_S, DAY_S, WEEK_S = 60.0, 3_600.0, 86_400.0, 604_800.0
DAY, WEEK = 1_440, 10_080  # in minutes

Shape = Callable[[np.ndarray], np.ndarray]


def flat(value: float) -> Shape:
    """The same at any time."""
    return lambda at_s: np.full(len(at_s), value)


def draw(
    windows: int,
    *,
    ratio: Shape,
    per_window: float | Shape = 600.0,
    period_s: float = MINUTE_S,
    start_s: float = T0,
    seed: int = 1,
    poisson: bool = True,
) -> list[Observation]:
    """Windows with Poisson requests and binomial failures, each seen 20 s after its end; fast errors only."""
    rng = np.random.default_rng(seed)
    at_s = start_s + period_s * np.arange(windows)
    mean = per_window(at_s) if callable(per_window) else np.full(windows, per_window)
    requests = rng.poisson(mean) if poisson else mean.astype(int)
    failures = rng.binomial(requests, np.clip(ratio(at_s), 0.0, 1.0))
    return [
        Observation("t", float(s), period_s, float(s) + period_s + 20.0, int(n), 0, int(k), 0, int(n + k))
        for s, n, k in zip(at_s, requests, failures, strict=True)
    ]


def series_of(observations: Sequence[Observation], *, target: str = "t") -> Series:
    """A history as `read_csv` would return it."""
    rows = tuple(observations)
    return Series(target, f"{target}.csv", rows[0].period_s, rows, len(rows), (), (), {}, (), ())


def with_failures(
    observations: Sequence[Observation], from_s: float, to_s: float, ratio: float
) -> list[Observation]:
    """The same history with at least this share of failures in the windows that start in [from_s, to_s)."""
    found = []
    for seen in observations:
        failed = seen.errors_fast
        if from_s <= seen.start_s < to_s:
            failed = max(failed, round(ratio * seen.requests))
        found.append(seen._replace(errors_fast=failed, attempts=seen.requests + failed))
    return found
