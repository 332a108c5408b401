"""Healthy traffic for bench_promise.py: laws of a window's failures whose conditional mean is normal.

A law has states (a regime, a level, a part of the hour); each state is a table
of outcomes (failures, requests) with their exact probabilities, drawn by
Walker's alias method: two look-ups per window, so that billions can be drawn.
In every state the mean failure ratio, given all the past, is at most `normal`;
within a window, failures may come in bursts (beta-binomial with correlation
`rho`; at `rho` = 1 all of a window's calls fail together or none does).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NORMAL = 0.03  # the policy's default floor
Outcomes = list[tuple[int, int, float]]  # failures, requests, probability


class Law(NamedTuple):
    """How healthy windows come about."""

    name: str
    states: tuple[Outcomes, ...]
    normal: tuple[float, ...]  # by state, as the baseline would know it
    requests: float  # per window, on average
    rho: float = 0.0
    stay: tuple[
        float, ...
    ] = ()  # Markov: probability to stay in a state; else a step up or down, if there is one
    batch: bool = False  # state 1 in minutes 0-2 of each hour
    learned: bool = False  # normal is three times a level that forgets with a half-life of 12 h
    edge: bool = False  # the mean is not under normal but at it: the worst that is promised for


def counts(requests: int, mean: float, rho: float = 0.0) -> Outcomes:
    """Return the outcomes of one window: binomial, or beta-binomial with correlation `rho`."""
    if rho >= 1.0:
        return [(0, requests, 1.0 - mean), (requests, requests, mean)]
    if rho == 0.0:
        weights = [
            _choose(requests, e) + e * math.log(mean) + (requests - e) * math.log1p(-mean)
            for e in range(requests + 1)
        ]
    else:
        a, b = mean * (1.0 / rho - 1.0), (1.0 - mean) * (1.0 / rho - 1.0)
        weights = [
            _choose(requests, e) + _log_beta(e + a, requests - e + b) - _log_beta(a, b)
            for e in range(requests + 1)
        ]
    return [(e, requests, math.exp(w)) for e, w in enumerate(weights)]


def sparse(per_window: float, mean: float) -> Outcomes:
    """Return the outcomes where requests come singly: a Poisson number of them, failing independently."""
    outcomes: Outcomes = []
    for n in range(12):
        arrive = math.exp(-per_window + n * math.log(per_window) - math.lgamma(n + 1))
        outcomes += [(e, m, arrive * p) for e, m, p in counts(n, mean)] if n else [(0, 0, arrive)]
    return outcomes


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _levels(low: float, high: float, count: int, rho: float) -> tuple[Outcomes, ...]:
    ratio = (high / low) ** (1.0 / (count - 1))
    return tuple(counts(50, low * ratio**i, rho) for i in range(count))


def laws() -> list[Law]:
    """Return all laws of healthy traffic."""
    one = (NORMAL,)
    return [
        Law("independent 1 %, 500/min", (counts(500, 0.01),), one, 500),
        Law("independent 1 %, 5/min", (counts(5, 0.01),), one, 5),
        Law("independent 1 %, 0.5/min", (sparse(0.5, 0.01),), one, 0.5),
        Law("bursty 1 %, rho 0.02, 500/min", (counts(500, 0.01, 0.02),), one, 500, 0.02),
        Law("bursty 1 %, rho 0.1, 500/min", (counts(500, 0.01, 0.1),), one, 500, 0.1),
        Law("bursty 1 %, rho 0.5, 50/min", (counts(50, 0.01, 0.5),), one, 50, 0.5),
        Law(
            "regimes 0.5 % / 3 % rho 0.5, 50/min",
            (counts(50, 0.005), counts(50, 0.03, 0.5)), one * 2, 50, 0.5, (0.99, 0.9),
        ),
        Law(
            "auto-correlated 0.1-3 %, rho 0.1, 50/min",
            _levels(0.001, 0.03, 16, 0.1), one * 16, 50, 0.1, (0.7,) * 16,
        ),
        Law(
            "hourly batch 0.5 % / 5 %, rho 0.02, 500/min",
            (counts(500, 0.005, 0.02), counts(500, 0.05, 0.02)), (NORMAL, 0.15), 500, 0.02, batch=True,
        ),
        Law(
            "drifting 0.2-4 %, rho 0.1, 50/min",
            _levels(0.002, 0.04, 16, 0.1), one * 16, 50, 0.1, (0.998,) * 16, learned=True,
        ),
        Law("edge: independent 3 %, 500/min", (counts(500, 0.03),), one, 500, edge=True),
        Law("edge: bursty 3 %, rho 0.1, 50/min", (counts(50, 0.03, 0.1),), one, 50, 0.1, edge=True),
        Law("edge: 3 % of the minutes fail wholly", (counts(50, 0.03, 1.0),), one, 50, 1.0, edge=True),
    ]  # fmt: skip


class Source:
    """Draws windows of a law for many services at once."""

    def __init__(self, law: Law, *, services: int, seed: int) -> None:
        self.law = law
        self._rng = np.random.default_rng(seed)
        self._services = services
        self._width = max(len(state) for state in law.states)
        tables = [_alias(state, self._width) for state in law.states]
        self._keep: Floats = np.concatenate([keep for keep, _ in tables])
        self._other: Ints = np.concatenate([other + i * self._width for i, (_, other) in enumerate(tables)])
        padded = [state + [(0, 0, 0.0)] * (self._width - len(state)) for state in law.states]
        self.failures: Floats = np.array([float(e) for state in padded for e, _, _ in state])
        self.requests: Floats = np.array([float(n) for state in padded for _, n, _ in state])
        self.normal: Floats = np.repeat(np.array(law.normal), self._width)
        self._state: Ints = self._rng.integers(0, len(law.states), services)
        self._minute = 0

    def draw(self, windows: int) -> Ints:
        """Return outcomes, (windows, services): indices into `failures`, `requests`, `normal`."""
        place = self._rng.random((windows, self._services)) * self._width
        column = place.astype(np.int64)
        place -= column
        column += self._states(windows) * self._width
        return np.where(place < self._keep[column], column, self._other[column])

    def _states(self, windows: int) -> Ints:
        law = self.law
        first = self._minute
        self._minute += windows
        if law.batch:
            return ((np.arange(first, first + windows) % 60) < 3).astype(np.int64)[:, None]
        if not law.stay:
            return np.zeros((1, 1), np.int64)
        chance = self._rng.random((windows, self._services))
        way = 2 * self._rng.integers(0, 2, (windows, self._services)) - 1
        stay, last = np.array(law.stay), len(law.states) - 1
        states = np.empty((windows, self._services), np.int64)
        for i in range(windows):
            self._state = np.clip(self._state + (chance[i] >= stay[self._state]) * way[i], 0, last)
            states[i] = self._state
        return states


def _alias(outcomes: Sequence[tuple[int, int, float]], width: int) -> tuple[Floats, Ints]:
    """Return Walker's table: in column i, outcome i with probability keep[i], else outcome other[i]."""
    scaled = [p * width for _, _, p in outcomes] + [0.0] * (width - len(outcomes))
    total = sum(scaled) / width
    scaled = [p / total for p in scaled]
    keep, other = np.ones(width), np.arange(width)
    small = [i for i, p in enumerate(scaled) if p < 1.0]
    large = [i for i, p in enumerate(scaled) if p >= 1.0]
    while small and large:
        low, high = small.pop(), large.pop()
        keep[low], other[low] = scaled[low], high
        scaled[high] -= 1.0 - scaled[low]
        (small if scaled[high] < 1.0 else large).append(high)
    return keep, other
