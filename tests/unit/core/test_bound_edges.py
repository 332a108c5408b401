"""Bounds and the promise at their edges: where shortcuts end, which bit of a power counts, what is capped."""

from __future__ import annotations

from math import sqrt

import pytest

from flyball_controller.core.kernel_bounds import (
    is_calm,
    is_clean,
    is_surely_under,
    upper_is_under,
    wilson_bounds,
)
from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.promise import (
    NO_RARITY,
    Rarity,
    bet,
    likelihood_ratio,
    multiplied,
    needed_s,
    next_rarity,
)

PLAIN = Policy(z_act=0.0)
BIG = 2.0**64


# --- bounds ------------------------------------------------------------------------------


def test_nothing_failed_or_everything_failed_is_exact():
    """Rounding must not leave an ulp under 0 or over 1; z^2 / (n + z^2) = 4 / 44 for 40 at z = 2."""
    low, high = wilson_bounds(0, 40, 2.0)
    assert low == 0.0
    assert high == pytest.approx(4.0 / 44.0, rel=1e-12)
    low, high = wilson_bounds(40, 40, 2.0)
    assert low == pytest.approx(40.0 / 44.0, rel=1e-12)
    assert high == 1.0
    assert wilson_bounds(0, 7, 2.33)[0] == 0.0  # the plain form gives 3e-17,
    assert wilson_bounds(5, 5, 2.0)[1] == 1.0  # an ulp less,
    assert wilson_bounds(10**16 - 1, 10**16, 2.33)[1] == 1.0  # and an ulp more
    assert wilson_bounds(0, 0, 2.0) == (0.0, 1.0)
    assert wilson_bounds(40, 400, 2.0, 4.0) == pytest.approx((0.054572, 0.176198), abs=1e-6)
    assert wilson_bounds(0.5, 1, 0.0) == (0.5, 0.5)
    assert wilson_bounds(1, 2, 0.0) == (0.5, 0.5)
    assert wilson_bounds(1, 1, 0.0) == (1.0, 1.0)
    assert wilson_bounds(0.25, 0.5, 0.0) == (0.5, 0.5)


def test_both_bounds_of_one_half_by_hand():
    """2 of 4, z = 2: (0.5 + 0.5) / 2 -/+ 2 / 2 x sqrt(0.0625 + 0.0625 x 1)."""
    low, high = wilson_bounds(2, 4, 2.0)
    assert (low, high) == pytest.approx((0.5 - 0.125**0.5, 0.5 + 0.125**0.5), rel=1e-12)


@pytest.mark.parametrize(
    ("failures", "limit", "z", "dispersion", "sure"),
    [
        (24, 0.25, 0.0, 1.0, True),
        (25, 0.25, 0.0, 1.0, False),  # at the limit it is computed
        (26, 0.25, 0.0, 1.0, False),
        # (k - 25)^2 against z^2 x 0.25 x 0.75 x 100 = 75: 8^2 = 64 is under, 9^2 = 81 is not.
        (33, 0.25, 2.0, 1.0, True),
        (34, 0.25, 2.0, 1.0, False),
        # With four times the variance against 300: 17^2 = 289, 18^2 = 324.
        (42, 0.25, 2.0, 4.0, True),
        (43, 0.25, 2.0, 4.0, False),
        # At a limit of one half 100: 9^2 is under, 10^2 is the bound itself.
        (59, 0.5, 2.0, 1.0, True),
        (60, 0.5, 2.0, 1.0, False),
    ],
)
def test_what_is_surely_under_a_limit(failures, limit, z, dispersion, sure):
    """Of a hundred."""
    assert is_surely_under(failures, 100, limit, z, dispersion) is sure


@pytest.mark.parametrize(
    ("over", "z", "dispersion", "sure"),
    [
        (-1e-6, 0.0, 1.0, True),
        (-1e-8, 0.0, 1.0, False),  # within 1e-9 of each request
        # 1e-9 x 100 x (100 + 4) = 1.04e-5 under 75.
        (sqrt(75.0 - 1.1e-5), 2.0, 1.0, True),
        (sqrt(75.0 - 1e-5), 2.0, 1.0, False),
        # 1e-9 x 100 x (100 + 16) = 1.16e-5 under 300.
        (sqrt(300.0 - 1.2e-5), 2.0, 4.0, True),
        (sqrt(300.0 - 1.1e-5), 2.0, 4.0, False),
    ],
)
def test_what_is_nearer_than_the_margin_is_left_to_be_computed(over, z, dispersion, sure):
    """Rounding errs by a few 1e-16; the margin is a million times that."""
    assert is_surely_under(25.0 + over, 100, 0.25, z, dispersion) is sure


@pytest.mark.parametrize(
    ("failures", "z", "dispersion", "under"),
    [
        (24, 0.0, 1.0, True),
        (25, 0.0, 1.0, False),
        (26, 0.0, 1.0, False),
        (16, 2.0, 1.0, True),  # 9^2 = 81 over 75
        (17, 2.0, 1.0, False),
        (7, 2.0, 4.0, True),  # 18^2 = 324 over 300
        (8, 2.0, 4.0, False),
        (34, 2.0, 1.0, False),
        (100, 2.0, 1.0, False),
    ],
)
def test_what_is_under_a_limit_with_its_upper_bound(failures, z, dispersion, under):
    """A quarter, of a hundred."""
    assert upper_is_under(failures, 100, 0.25, z, dispersion) is under


@pytest.mark.parametrize(
    ("failures", "requests", "limit", "dispersion", "under"),
    [
        (40, 100, 0.5, 1.0, False),  # 10^2 = 4 x 100 / 4: the bound is 0.5
        (30, 100, 0.5, 4.0, False),
        (60, 300, 0.25, 1.0, True),  # and here, rounded, the number before 0.25
        (3_870, 8_100, 0.5, 4.0, True),
    ],
)
def test_where_bound_and_limit_touch_the_computed_bound_decides(failures, requests, limit, dispersion, under):
    """Down to its last bit, so that a replay decides as the step does."""
    assert upper_is_under(failures, requests, limit, 2.0, dispersion) is under
    assert (wilson_bounds(failures, requests, 2.0, dispersion)[1] < limit) is under


def test_a_bound_is_not_under_itself_where_bursts_outweigh_the_sample():
    """None of 8 at four times the variance: 16 / (8 + 16). The margin must not become negative there."""
    limit = wilson_bounds(0, 8, 2.0, 4.0)[1]
    assert limit == pytest.approx(2.0 / 3.0)
    assert not upper_is_under(0, 8, limit, 2.0, 4.0)


@pytest.mark.parametrize(("failures", "dispersion"), [(60, 1.0), (70, 4.0)])
def test_calm_where_bound_and_limit_touch(failures, dispersion):
    """The lower bound is 0.5 itself, of all failures and of the time-outs among them."""
    sure = Policy(z_act=2.0)
    assert is_calm(failures, failures, 100, 0.5, 0.5, dispersion, sure)
    assert not is_calm(failures + 1, failures + 1, 100, 0.5, 0.5, dispersion, sure)


def test_a_tie_at_the_reset_point_is_clean_while_a_float_can_tell():
    """1e-12 is allowed for rounding; from 16,384 failures on that is less than a float's step."""
    assert is_clean(4, 100, 60.0, 0.5, 0.04, 1.0, PLAIN)
    assert not is_clean(40_000, 1_000_000, 60.0, 0.5, 0.04, 1.0, PLAIN)


def test_everything_failed_is_under_no_limit_up_to_one():
    """And nothing but everything is over a limit beyond."""
    assert not upper_is_under(4, 4, 1.0, 0.0, 1.0)
    assert upper_is_under(4, 4, 1.5, 0.0, 1.0)
    assert upper_is_under(3, 4, 1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("failures", "requests", "span_s", "reset", "clean"),
    [
        (25, 100, 60.0, 0.5, True),  # at the point
        (26, 100, 60.0, 0.5, False),
        (10, 100, 60.0, 0.1, False),  # at the reset its bound is not under it
        (10, 100, 60.0, 0.101, True),
        (10, 100, 720.0, 0.0, True),
        (10, 100, 719.9, 0.0, False),
        (0, 1, 60.0, 0.5, True),
        (0, 0, 900.0, 0.5, False),
    ],
)
def test_clean_at_its_edges(failures, requests, span_s, reset, clean):
    """A point of a quarter; a whole span is 0.8 x 900 s."""
    assert is_clean(failures, requests, span_s, reset, 0.25, 1.0, PLAIN) is clean


def test_clean_looks_through_bursts():
    """16 of 100 under a quarter, z = 2: by 9^2 > 75, not by 9^2 > 300."""
    sure = Policy(z_act=2.0)
    assert is_clean(16, 100, 60.0, 0.25, 0.25, 1.0, sure)
    assert not is_clean(16, 100, 60.0, 0.25, 0.25, 4.0, sure)


@pytest.mark.parametrize(
    ("failures", "timeouts", "requests", "retry", "timeout", "calm"),
    [
        (11, 11, 11, 0.1, 0.1, True),  # too few requests
        (12, 12, 12, 0.1, 0.1, False),
        (2, 2, 12, 0.1, 0.1, True),  # too few failures
        (3, 3, 12, 0.1, 0.1, False),
        (25, 0, 100, 0.25, 0.5, True),  # at the trip of retries
        (26, 0, 100, 0.25, 0.5, False),
        (25, 25, 100, 0.5, 0.25, True),  # at the trip of time-outs
        (26, 26, 100, 0.5, 0.25, False),
        (26, 0, 100, 0.5, 0.25, False),  # over the lesser: let the regimes be told apart
        (20, 0, 100, 0.5, 0.25, True),
    ],
)
def test_calm_at_its_edges(failures, timeouts, requests, retry, timeout, calm):
    """z = 0: plain ratios."""
    assert is_calm(failures, timeouts, requests, retry, timeout, 1.0, PLAIN) is calm


def test_calm_looks_through_bursts():
    """34 of 100 over a quarter at z = 2: 9^2 is over 75, and under 300, four times as much."""
    sure = Policy(z_act=2.0)
    assert not is_calm(34, 0, 100, 0.25, 0.5, 1.0, sure)
    assert is_calm(34, 0, 100, 0.25, 0.5, 4.0, sure)
    assert not is_calm(34, 34, 100, 0.25, 0.25, 1.0, sure)


# --- the promise -------------------------------------------------------------------------


def test_what_is_needed_is_a_year_by_the_tolerated_rate():
    """Two a year: half a year; half of one: two."""
    assert needed_s(Policy(false_opens_per_year=2.0)) == 15_778_800.0
    assert needed_s(Policy(false_opens_per_year=0.5)) == 63_115_200.0
    assert needed_s(Policy(promise=Promise.NONE)) == 0.0


def test_the_seconds_of_a_rarity_are_the_one_or_the_mean_of_four():
    """Each of them."""
    assert Rarity(5.0).seconds == 5.0
    assert Rarity(0.0, (4.0, 8.0, 16.0, 32.0)).seconds == 15.0


def test_a_bet_by_hand():
    """1 - 0.9 + 0.9 x 0.5 / 0.25."""
    assert bet(0.5, 0.25) == pytest.approx(1.9)


def _after(rarity: Rarity, failures: int, requests: int, policy: Policy, **change: float) -> Rarity:
    values = {"period_s": 60.0, "normal": 0.25, "dispersion": 1.0, **change}
    return next_rarity(rarity, failures=failures, requests=requests, policy=policy, **values)


def test_the_bet_multiplies_what_was_and_the_time_that_passed():
    """(40 + 60) x 1.9; and the other number is not kept."""
    any_ = Policy(promise=Promise.ANY)
    assert _after(Rarity(40.0, (1.0, 1.0, 1.0, 1.0)), 2, 4, any_) == Rarity(pytest.approx(190.0))
    assert _after(Rarity(40.0), 1, 1, any_, normal=0.5) == Rarity(pytest.approx(190.0))
    assert _after(Rarity(40.0), 0, 0, any_) == Rarity(40.0)
    assert _after(Rarity(40.0), 1, 1, any_, normal=1.0).any_s == pytest.approx(100.0)


def test_no_more_is_remembered_than_is_needed():
    """By the mean of four one of them must be able to reach it alone."""
    often = Policy(promise=Promise.ANY, false_opens_per_year=31_557_600.0 / 100.0)
    assert _after(Rarity(90.0), 4, 4, often).any_s == 100.0
    counts = often._replace(promise=Promise.INDEPENDENT)
    full = _after(NO_RARITY, 600, 600, counts)
    assert full == Rarity(0.0, (400.0, 400.0, 400.0, 400.0))


def test_counts_weigh_four_sizes_of_trouble():
    """2 of 4 at a normal of 0.5, by size s: (t/p)^2 ((1-t)/(1-p))^2 with t = 0.5 + 0.5 s is (1 - s^2)^2."""
    after = _after(NO_RARITY, 2, 4, Policy(promise=Promise.INDEPENDENT), normal=0.5)
    sizes = (0.05, 0.15, 0.4, 0.9)
    assert after.any_s == 0.0
    assert after.independent_s == pytest.approx(tuple(60.0 * (1.0 - s * s) ** 2 for s in sizes), rel=1e-12)
    again = _after(Rarity(9.0, (4.0, 8.0, 16.0, 32.0)), 2, 4, Policy(promise=Promise.INDEPENDENT), normal=0.5)
    before = (4.0, 8.0, 16.0, 32.0)
    assert again.independent_s == pytest.approx(
        tuple((b + 60.0) * (1.0 - s * s) ** 2 for b, s in zip(before, sizes, strict=True)), rel=1e-12
    )


def test_a_dispersion_takes_its_root():
    """Of 4, the fourth root; of 3 the power 85/256; nearly everything normal leaves nothing."""
    counts = Policy(promise=Promise.INDEPENDENT)
    plain = _after(NO_RARITY, 2, 4, counts, normal=0.5).independent_s
    fourth = _after(NO_RARITY, 2, 4, counts, normal=0.5, dispersion=4.0).independent_s
    third = _after(NO_RARITY, 2, 4, counts, normal=0.5, dispersion=3.0).independent_s
    assert fourth == pytest.approx(tuple(60.0 * (x / 60.0) ** 0.25 for x in plain), rel=1e-12)
    assert third == pytest.approx(tuple(60.0 * (x / 60.0) ** (85.0 / 256.0) for x in plain), rel=1e-12)
    assert _after(Rarity(), 1, 1, counts, normal=0.99) != NO_RARITY
    assert _after(Rarity(), 1, 1, counts, normal=0.9901) == NO_RARITY


@pytest.mark.parametrize("share", [1, 2, 3, 64, 85, 128, 129, 255, 256])
def test_every_bit_of_the_power_counts(share):
    """(0.5 / 0.125)^(share / 256) for one failure, (0.5 / 0.875)^(share / 256) for one success."""
    failed = likelihood_ratio(1, 1, 0.125, 0.5, share)
    passed = likelihood_ratio(0, 1, 0.125, 0.5, share)
    assert failed == (pytest.approx(4.0 ** (share / 256.0), rel=1e-12), 0)
    assert passed == (pytest.approx((0.5 / 0.875) ** (share / 256.0), rel=1e-12), 0)


@pytest.mark.parametrize(
    ("failures", "value", "scale"),
    [
        (0, 1.0, 0),
        (1, 4.0, 0),
        (32, BIG, 0),
        (33, 4.0, 1),
        (64, BIG, 1),
        (65, 4.0, 2),
        (100, 256.0, 3),
        (128, BIG, 3),
        (192, BIG, 5),
    ],
)
def test_powers_of_four_are_exact_and_scaled_by_two_to_the_64(failures, value, scale):
    """2^64 itself needs no scale."""
    assert likelihood_ratio(failures, failures, 0.125, 0.5, 256) == (value, scale)


def test_a_base_beyond_every_scale_is_scaled_as_often_as_it_takes():
    """(2^199)^2 = 2^(14 + 6 x 64)."""
    assert likelihood_ratio(2, 2, 2.0**-200, 0.5, 256) == (2.0**14, 6)


@pytest.mark.parametrize(
    ("passed", "value", "scale"),
    [
        (1, 0.25, 0),
        (32, 1.0 / BIG, 0),
        (33, 0.25, -1),
        (64, 1.0 / BIG, -1),
        (65, 0.25, -2),
        (128, 1.0 / BIG, -3),
    ],
)
def test_powers_of_a_quarter_are_exact_and_scaled_too(passed, value, scale):
    """(1 - 0.75) / (1 - 0) with nothing normal is out of range; 0.8125 beside 0.25 is a quarter."""
    assert likelihood_ratio(0, passed, 0.25, 0.8125, 256) == (value, scale)


def test_failures_and_successes_are_multiplied_with_their_scales():
    """4^40 is 2^16 beyond one scale, and 4/7 of it; of 360 successes the power has a scale of its own."""
    value, scale = likelihood_ratio(40, 41, 0.125, 0.5, 256)
    assert (value, scale) == (pytest.approx(2.0**16 * 0.5 / 0.875, rel=1e-12), 1)
    value, scale = likelihood_ratio(40, 400, 0.125, 0.5, 256)
    assert value * BIG**scale == pytest.approx(2.0**80 * (0.5 / 0.875) ** 360, rel=1e-9)


@pytest.mark.parametrize(
    ("seconds", "factor", "result"),
    [
        (3.0, (2.0, 0), 6.0),
        (3.0, (50.0, 0), 100.0),
        (50.0, (2.0, 0), 100.0),
        (3.0, (2.0 / BIG, 1), 6.0),
        (3.0, (2.0 / BIG / BIG, 2), 6.0),
        (1.0, (2.0, 1), 100.0),
        (0.0, (2.0, 1), 0.0),
        (3.0, (2.0 * BIG, -1), 6.0),
        (3.0, (2.0 * BIG, -2), 6.0 / BIG),
        (3.0, (2.0, -1), 6.0 / BIG),
        (1.0, (0.5, -1), 0.5 / BIG),
        (1.5, (1.0 / BIG, -1), 1.5 / BIG / BIG),
        (1.0, (1.0 / BIG, -1), 0.0),  # 2^-64 is too small to be divided again
        (0.0, (2.0, -1), 0.0),
    ],
)
def test_a_scaled_factor_is_unwound_without_overflow(seconds, factor, result):
    """Up to a cap of 100; down to nothing."""
    assert multiplied(seconds, factor, 100.0) == result  # powers of two are exact
