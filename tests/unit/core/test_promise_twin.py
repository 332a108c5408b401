"""The twin of benchmarks/bench_promise.py is the kernel's detector, or its service-years prove nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.promise import NO_RARITY, needed_s, next_rarity

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def twin():
    """The benchmark's modules; they import each other by name."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import promise_traffic
        import promise_twin
    finally:
        sys.path.remove(str(BENCHMARKS))
    return promise_traffic, promise_twin


@pytest.mark.parametrize(("promise", "dispersion"), [(Promise.ANY, 1.0), (Promise.INDEPENDENT, 3.7)])
@pytest.mark.parametrize("number", [0, 2, 5, 8, 12])
def test_the_twin_is_the_kernel_window_by_window(twin, number, promise, dispersion):
    """On several laws of traffic and an outage: the same rarities, resets and alarms."""
    traffic, twins = twin
    policy = Policy(promise=promise)
    source = traffic.Source(traffic.laws()[number], services=3, seed=number)
    detector = twins.Detector(source, promise, dispersion=dispersion)
    drawn = source.draw(250)
    drawn[200:] = len(source.failures) - 1 if source.requests[-1] else int(np.argmax(source.failures))
    rarity_s = detector.start(3)
    kernel = [NO_RARITY] * 3
    alarms = 0
    for outcomes in drawn:
        rarity_s = detector.next(rarity_s, outcomes)
        for i, outcome in enumerate(outcomes):
            kernel[i] = next_rarity(
                kernel[i],
                failures=int(source.failures[outcome]),
                requests=int(source.requests[outcome]),
                period_s=60.0,
                normal=float(source.normal[outcome]),
                dispersion=dispersion,
                policy=policy,
            )
            own = (kernel[i].any_s,) if promise == Promise.ANY else kernel[i].independent_s
            exact = promise == Promise.ANY  # one product per window: not even the last bit may differ
            assert rarity_s[:, i] == (pytest.approx(own, rel=1e-13, abs=1e-15) if not exact else own)
            if kernel[i].seconds >= needed_s(policy):
                assert rarity_s[:, i].mean() >= detector.needed_s
                rarity_s[:, i], kernel[i] = 0.0, NO_RARITY
                alarms += 1
    assert alarms > 0


def test_the_laws_are_normal_in_every_state(twin):
    """The promise is about traffic whose mean, given the past, is normal: the tables must say so."""
    traffic, _ = twin
    for law in traffic.laws():
        for state, normal in zip(law.states, law.normal, strict=True):
            total = sum(p for _, _, p in state)
            mean = sum(p * e / n for e, n, p in state if n)
            assert total == pytest.approx(1.0, abs=1e-6)
            assert mean <= (0.04 if law.learned else normal) + 1e-9


def test_outcomes_are_drawn_with_their_probabilities(twin):
    """Walker's tables: 200,000 draws of a bursty window, mean 1 %, and none of them beyond its table."""
    traffic, _ = twin
    source = traffic.Source(traffic.laws()[4], services=1_000, seed=1)
    drawn = source.draw(200)
    ratios = source.failures[drawn] / source.requests[drawn]
    assert ratios.mean() == pytest.approx(0.01, rel=0.03)
    # The variance of a beta-binomial is 1 + 499 x 0.1 = 50.9 times the binomial one.
    assert ratios.var() == pytest.approx(0.01 * 0.99 / 500 * 50.9, rel=0.1)
