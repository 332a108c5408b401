"""Counts have the mean and the spread they claim, and streams depend on their names alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.plant.draws import binomial, poisson, stream


@pytest.mark.parametrize("mean", [0.5, 3.0, 11.9, 12.1, 60.0, 720.0])
def test_poisson_counts_have_mean_and_variance_equal(mean: float) -> None:
    """A wrong rejection bound shows in the variance first; both methods and the seam between them."""
    rng = stream("poisson", mean)
    n = 4_000
    counts = [poisson(mean, rng) for _ in range(n)]
    average = sum(counts) / n
    variance = sum((c - average) ** 2 for c in counts) / (n - 1)
    assert abs(average - mean) < 4.0 * math.sqrt(mean / n)
    # The variance of a sample variance of Poisson counts is (mean + 2 mean^2) / n.
    assert abs(variance - mean) < 4.0 * math.sqrt((mean + 2.0 * mean * mean) / n)


def test_binomial_counts_have_their_mean_and_variance() -> None:
    """n p = 30 and n p (1 - p) = 27 for n = 300, p = 0.1."""
    rng = stream("binomial")
    counts = [binomial(300, 0.1, rng) for _ in range(4_000)]
    average = sum(counts) / len(counts)
    variance = sum((c - average) ** 2 for c in counts) / (len(counts) - 1)
    assert abs(average - 30.0) < 4.0 * math.sqrt(27.0 / 4_000)
    assert abs(variance - 27.0) < 27.0 * 4.0 * math.sqrt(2.0 / 4_000)


@given(n=st.integers(0, 500), p=st.floats(0.0, 1.0), seed=st.integers())
def test_a_binomial_count_stays_inside_its_trials(n: int, p: float, seed: int) -> None:
    """More failures than requests would be an impossible observation."""
    assert 0 <= binomial(n, p, stream(seed)) <= n


def test_streams_of_different_names_differ_and_equal_names_agree() -> None:
    """Common random numbers between worlds hang on this."""
    assert stream(1, "a", 2).random() == stream(1, "a", 2).random()
    assert len({stream(1, "a", n).random() for n in range(100)}) == 100


@pytest.mark.parametrize("mean", [-1.0, math.nan, math.inf])
def test_a_mean_that_is_no_rate_is_refused(mean: float) -> None:
    """NaN would loop for ever in the rejection."""
    with pytest.raises(ValueError, match="finite number"):
        poisson(mean, stream(0))


@pytest.mark.parametrize(("n", "p"), [(-1, 0.5), (3, -0.1), (3, 1.1), (3, math.nan)])
def test_impossible_trials_are_refused(n: int, p: float) -> None:
    """The message names both values."""
    with pytest.raises(ValueError, match="must be >= 0"):
        binomial(n, p, stream(0))
