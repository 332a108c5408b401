"""The detector of flyball_controller.core.promise for many services at once, and what others would do.

The e-values of every outcome are taken from the kernel's own functions, once,
into tables; what is repeated here is only the recursion, and a test compares it
with the kernel, window by window. Thousands of service-years fit into minutes.

The references see the same windows. Those with a level know the true normal one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flyball_controller.core.evidence import wilson_bounds
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.promise import QUANTUM, TROUBLES, bet, likelihood_ratio, needed_s
from promise_traffic import NORMAL, Floats, Ints, Law, Source

MINUTE_S = 60.0
FORGET = 1.0 / (1.0 + MINUTE_S * math.log(2.0) / 43_200.0)  # of the learned level, as the baseline's
JOINED = 30  # minutes: alarms of a reference within this are one
POLICY = Policy()


class Tally(NamedTuple):
    """Events over a span of service."""

    events: int
    years: float


class Detector:
    """`next_rarity` for (services,), one promise; alarms reset it, or opens, as in the kernel."""

    def __init__(self, source: Source, promise: Promise, *, dispersion: float = 1.0) -> None:
        self.needed_s = needed_s(POLICY._replace(promise=promise))
        self.learned = source.law.learned and promise == Promise.ANY
        pairs = list(
            zip(source.failures.astype(int), source.requests.astype(int), source.normal, strict=True)
        )
        if promise == Promise.ANY:
            values = [[bet(e / n, p) if n else 1.0] for e, n, p in pairs]
        else:
            share = int(QUANTUM / dispersion)
            values = [[_ratio(e, n, p, size, share) if n else 1.0 for size in TROUBLES] for e, n, p in pairs]
        self._values: Floats = np.array(values).T.copy()  # (sizes, outcomes)
        self._added_s: Floats = np.where(source.requests > 0, MINUTE_S, 0.0)
        self._cap_s = self.needed_s * len(self._values)

    def start(self, services: int) -> Floats:
        """Return no evidence, (sizes, services)."""
        return np.zeros((len(self._values), services))

    def next(self, rarity_s: Floats, outcomes: Ints, values: Floats | None = None) -> Floats:
        """Return the rarity after one window of each service; `values`: of a bet at a learned level."""
        factor = self._values[:, outcomes] if values is None else values
        grown = (rarity_s + self._added_s[outcomes]) * factor
        return np.minimum(grown, self._cap_s, out=grown)


def _ratio(failures: int, requests: int, normal: float, size: float, share: int) -> float:
    value, scale = likelihood_ratio(
        failures, requests, normal=normal, trouble=normal + size * (1.0 - normal), share=share
    )
    return min(value * 2.0 ** (64 * scale), 1e300) if scale < 16 else 1e300


def opens_of(source: Source) -> NDArray[np.bool_]:
    """Return which outcomes the law would open for on their bound alone; too few requests count as yes."""
    verdicts = []
    for e, n in zip(source.failures, source.requests, strict=True):
        low, _ = wilson_bounds(e, n, z=POLICY.z_open)
        enough = low > POLICY.open_floor and e >= POLICY.open_bad_share * n
        verdicts.append(bool(n and (n < POLICY.min_requests or enough)))
    return np.array(verdicts)


def watch(law: Law, *, years: float, services: int, seed: int, promise: Promise) -> tuple[Tally, Tally]:
    """Return (times the evidence alone was rare enough, opens) of healthy service under a promise."""
    source = Source(law, services=services, seed=seed)
    detector = Detector(source, promise, dispersion=min(25.0, 1.0 + (law.requests - 1.0) * law.rho))
    opening = opens_of(source)
    alone, gated = detector.start(services), detector.start(services)
    level = _Level(services)
    alarms = opens = 0
    windows = max(1, round(years * POLICY_YEAR / services))
    for block in _blocks(windows):
        drawn = source.draw(block)
        for outcomes in drawn:
            values = None
            if detector.learned:
                values = level.bets(source.failures[outcomes], source.requests[outcomes])
            alone = detector.next(alone, outcomes, values)
            rare = alone.mean(axis=0) >= detector.needed_s
            if rare.any():
                alarms += int(rare.sum())
                alone[:, rare] = 0.0
            gated = detector.next(gated, outcomes, values)
            rare = gated.mean(axis=0) >= detector.needed_s
            if rare.any():
                rare &= opening[outcomes]
                opens += int(rare.sum())
                gated[:, rare] = 0.0
    span = windows * services / POLICY_YEAR
    return Tally(alarms, span), Tally(opens, span)


POLICY_YEAR = 31_557_600.0 / MINUTE_S


class _Level:
    """A level learned as the baseline's sums are, without its clips; normal is three times it."""

    def __init__(self, services: int) -> None:
        self._failures = np.zeros(services)
        self._requests = np.zeros(services)

    def bets(self, failures: Floats, requests: Floats) -> Floats:
        """Return the bets on these windows, (1, services), then learn them."""
        known = np.maximum(self._requests, 1.0)
        normal = np.maximum(NORMAL, POLICY.normal_multiple * self._failures / known)
        values = bet(failures / requests, normal)  # type: ignore[arg-type]  # the same arithmetic on arrays
        self._failures = self._failures * FORGET + failures
        self._requests = self._requests * FORGET + requests
        return np.asarray(values)[None, :]


def _blocks(windows: int) -> list[int]:
    return [256] * (windows // 256) + ([windows % 256] if windows % 256 else [])


# --- references --------------------------------------------------------------------------


def references(law: Law, *, years: float, services: int, seed: int) -> dict[str, Tally]:
    """Return how often the usual detectors would have fired on the same kind of windows."""
    source = Source(law, services=services, seed=seed)
    windows = max(120, round(years * POLICY_YEAR / services))
    pool = min(15, max(1, math.ceil(POLICY.min_requests / law.requests)))
    state = _References(source, services, pool)
    for block in _blocks(windows):
        for outcomes in source.draw(block):
            state.see(outcomes)
    span = windows * services / POLICY_YEAR
    return {name: Tally(count, span) for name, count in state.fired.items()}


class _References:
    """The usual detectors, side by side."""

    def __init__(self, source: Source, services: int, pool: int) -> None:
        self._failures, self._requests = source.failures, source.requests
        self._llr = np.array(
            [
                e * math.log(0.4 / p) + (n - e) * math.log(0.6 / (1.0 - p))
                for e, n, p in zip(source.failures, source.requests, source.normal, strict=True)
            ]
        )
        self._limit = math.log(POLICY_YEAR)
        self._recent = np.zeros((2, max(pool, 5), services))
        self._pool = pool
        self._mean = np.full(services, 0.01)
        self._cusum = np.zeros(services)
        self._sprt = np.zeros(services)
        self._since: dict[str, Ints] = {}
        self.fired: dict[str, int] = {}
        self._minute = 0

    def see(self, outcomes: Ints) -> None:
        """Judge one window of each service."""
        e, n = self._failures[outcomes], self._requests[outcomes]
        self._minute += 1
        self._recent = np.roll(self._recent, 1, axis=1)
        self._recent[:, 0] = e, n
        errors, requests = self._recent[:, : self._pool].sum(axis=1)
        low = _wilson_low(errors, requests, POLICY.z_open)
        enough = (requests >= POLICY.min_requests) & (errors >= POLICY.min_errors)
        dead = errors >= POLICY.open_bad_share * requests
        self._count("bound over 60 % (no promise)", enough & dead & (low > POLICY.open_floor))
        self._count("bound over normal", enough & (low > NORMAL))
        llr = self._llr[outcomes]
        self._cusum = np.maximum(self._cusum, 0.0) + llr
        self._count("CUSUM", self._cusum >= self._limit)
        self._cusum[self._cusum >= self._limit] = 0.0
        self._sprt += llr
        self._count("SPRT", self._sprt >= self._limit)
        self._sprt[(self._sprt >= self._limit) | (self._sprt <= -self._limit)] = 0.0
        errors, requests = self._recent[:, :5].sum(axis=1)
        self._count("> 50 % of >= 10", (requests >= 10) & (errors > 0.5 * requests))
        ratio = np.divide(e, n, out=self._mean.copy(), where=n > 0)
        self._count("> 2x mean of 1 h", (ratio > 2.0 * self._mean) & (n > 0))
        self._mean += (ratio - self._mean) / 60.0

    def _count(self, name: str, fires: NDArray[np.bool_]) -> None:
        since = self._since.setdefault(name, np.full(len(fires), -JOINED))
        fresh = fires & (self._minute - since >= JOINED)
        since[fires] = self._minute
        self.fired[name] = self.fired.get(name, 0) + int(fresh.sum())


def _wilson_low(errors: Floats, requests: Floats, z: float) -> Floats:
    n = np.maximum(requests, 1.0)
    ratio = errors / n
    half = z * np.sqrt(ratio * (1.0 - ratio) / n + z * z / (4.0 * n * n))
    return np.asarray((ratio + z * z / (2.0 * n) - half) / (1.0 + z * z / n))
