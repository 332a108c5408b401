"""The promise on false opens: how rarely normal service would show evidence like this.

A *false open* is an open circuit while the target's conditional mean failure
ratio was normal all along: at or under `Trips.normal`. The policy states how
many of them it tolerates per service-year. Confidence bounds cannot keep such a
promise: each look is one more chance to be wrong. This detector can.

It carries one number with a unit, the *rarity* r, in seconds. Each whole window
multiplies it by an e-value (a number >= 0 whose mean, given the past, is at most
1 while the target is normal) after adding the window's length:

    r <- (r + period_s) x e        open only if r >= a service-year / tolerated rate

While the target is normal, r grows by at most the time that passes, on average.
An open spends `needed_s` of it and sets it to 0; so over any span T the expected
number of false opens is at most T / needed_s, at every moment, whatever the
windows' lengths (Shiryaev-Roberts form of an e-detector).

Two e-values, by policy:

* ANY: 1 - STAKE + STAKE x ratio / normal, a bet on the window's failure ratio.
  Only its mean matters, so failures may come in bursts of any size within the
  window. Its price: an outage needs log(needed) / log(1 / normal) windows.
* INDEPENDENT: the likelihood ratio of the counts, to the power 1 / dispersion,
  for four sizes of trouble. Exact if each attempt is normal given the ones
  before it, or if attempts fail in groups no larger than the dispersion.

Sources: Shin, Ramdas and Rinaldo, E-detectors (arXiv 2203.03532); Waudby-Smith
and Ramdas, Estimating means of bounded random variables by betting, JRSS-B 86
(2024); Pollak (1985) for the Shiryaev-Roberts procedure. Proofs, figures and
limits: docs/theory/thresholds.md. Knows nothing of circuits or times.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from flyball_controller.core.policy import Policy, Promise

SERVICE_YEAR_S = 31_557_600.0  # 365.25 days of watching one target
# The share that is bet. All of it would be ruined by one window without a failure; nine tenths give up
# 3 % of a window's evidence in an outage and get over a good window in one bad one.
STAKE = 0.9
# Sizes of trouble, as shares of the way from normal to "all fail": the delay is at
# most a quarter longer than knowing the true size would give (benchmarks/bench_promise.py).
TROUBLES = (0.05, 0.15, 0.4, 0.9)
NORMAL_MAX = 0.99
QUANTUM = 256  # powers are taken in 1/256, by eight square roots
_BIG = 18446744073709551616.0  # 2^64: products are kept near 1 by this scale, so that nothing overflows


class Rarity(NamedTuple):
    """Memory of the detector, in seconds: one number for either e-value, 0 where it is not asked for."""

    any_s: float = 0.0
    independent_s: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # by size of trouble

    @property
    def seconds(self) -> float:
        """How long normal service has to run, on average, to show such evidence once."""
        first, second, third, fourth = self.independent_s
        return self.any_s + (first + second + third + fourth) / 4.0


NO_RARITY = Rarity()


def needed_s(policy: Policy) -> float:
    """Return how rare the evidence for an open must be, in seconds; 0 if nothing is promised.

    >>> needed_s(Policy(false_opens_per_year=2.0)) / 86_400.0
    182.625
    """
    if policy.promise == Promise.NONE:
        return 0.0
    return SERVICE_YEAR_S / policy.false_opens_per_year


def next_rarity(
    rarity: Rarity,
    *,
    failures: int,
    requests: int,
    period_s: float,
    normal: float,
    dispersion: float,
    policy: Policy,
) -> Rarity:
    """Return the rarity after one whole window.

    Args:
        rarity: Before it.
        failures: Failed first attempts, 0 <= failures <= requests.
        requests: First attempts; a window without any changes nothing.
        period_s: Length of the window, > 0.
        normal: Mean failure ratio up to which service is normal, in (0, 1], known before the window.
        dispersion: Variance over that of independent failures, >= 1, known before the window.
        policy: What is promised.

    Much more than is needed is not remembered: the evidence of trouble that opened
    nothing then fades with the first normal windows.

    >>> start = Rarity()
    >>> after = next_rarity(start, failures=40, requests=40, period_s=60.0, normal=0.03,
    ...                     dispersion=1.0, policy=Policy())
    >>> round(after.any_s)
    1806
    """
    if policy.promise == Promise.NONE:
        return NO_RARITY
    if requests <= 0:
        return rarity
    cap_s = needed_s(policy)
    if policy.promise == Promise.ANY:
        value = bet(failures / requests, normal)
        grown_s = (rarity.any_s + period_s) * value
        return Rarity(grown_s if grown_s < cap_s else cap_s)
    if normal > NORMAL_MAX:
        return NO_RARITY  # hardly anything can be worse than normal
    share = int(QUANTUM / dispersion)
    cap_s *= len(TROUBLES)  # one of the sizes alone must be able to carry the mean
    first, second, third, fourth = (
        multiplied(
            before_s + period_s,
            likelihood_ratio(
                failures, requests, normal=normal, trouble=normal + size * (1.0 - normal), share=share
            ),
            cap_s,
        )
        for before_s, size in zip(rarity.independent_s, TROUBLES, strict=True)
    )
    return Rarity(0.0, (first, second, third, fourth))


def bet(ratio: float, normal: float) -> float:
    """Return the e-value of a window's failure ratio: its mean is at most 1 if the ratio's is `normal`.

    >>> round(bet(1.0, 0.03), 1), round(bet(0.03, 0.03), 9), round(bet(0.0, 0.03), 9)
    (30.1, 1.0, 0.1)
    """
    return 1.0 - STAKE + STAKE * ratio / normal


def likelihood_ratio(
    failures: int, requests: int, normal: float, trouble: float, share: int
) -> tuple[float, int]:
    """Return ((t/p)^e ((1-t)/(1-p))^(n-e))^(share/256) as a pair (x, k): x times 2^(64 k).

    With p = `normal` < t = `trouble` < 1, e = `failures`, n = `requests` and
    1 <= share <= 256. Only products and square roots: the last bit is the same
    on every platform, and no count overflows.

    >>> value, scale = likelihood_ratio(3, 4, normal=0.1, trouble=0.5, share=256)
    >>> round(value, 4), scale  # 5^3 x (0.5 / 0.9)
    (69.4444, 0)
    """
    failed, failed_scale = _power(_root(trouble / normal, share), failures)
    passed, passed_scale = _power(_root((1.0 - trouble) / (1.0 - normal), share), requests - failures)
    value, carry = _scaled(failed * passed)
    return value, failed_scale + passed_scale + carry


def _root(base: float, share: int) -> float:
    """Return base^(share/256): square roots give the halves, quarters, eighths of the exponent."""
    if share >= QUANTUM:
        return base
    result = 1.0
    bit = QUANTUM
    while share > 0:
        base = sqrt(base)
        bit //= 2
        if share >= bit:
            result *= base
            share -= bit
    return result


def _power(base: float, exponent: int) -> tuple[float, int]:
    """Return base^exponent as (x, k), x times 2^(64 k), by repeated squaring."""
    result, result_scale = 1.0, 0
    square, square_scale = base, 0
    while exponent > 0:
        if exponent & 1:
            result, carry = _scaled(result * square)
            result_scale += square_scale + carry
        exponent >>= 1
        square, carry = _scaled(square * square)
        square_scale = 2 * square_scale + carry
    return result, result_scale


def _scaled(value: float) -> tuple[float, int]:
    """Return value as (x, k) with x in [2^-64, 2^64]; scaling by powers of two is exact."""
    scale = 0
    while value > _BIG:
        value /= _BIG
        scale += 1
    while value < 1.0 / _BIG:
        value *= _BIG
        scale -= 1
    return value, scale


def multiplied(seconds: float, factor: tuple[float, int], cap_s: float) -> float:
    """Return seconds x factor, at most `cap_s`; what is too small to matter is 0."""
    value, scale = factor
    product = seconds * value
    while scale > 0 and 0.0 < product < cap_s:
        product *= _BIG
        scale -= 1
    while scale < 0 and product > 0.0:
        product = product / _BIG if product > 1.0 / _BIG else 0.0
        scale += 1
    return product if product < cap_s else cap_s
