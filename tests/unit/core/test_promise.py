"""The promise on false opens: e-values whose mean is at most 1, and what the detector remembers."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.core.policy import Policy, Promise
from flyball_controller.core.promise import (
    NO_RARITY,
    TROUBLES,
    Rarity,
    bet,
    likelihood_ratio,
    needed_s,
    next_rarity,
)

ANY = Policy()
INDEPENDENT = Policy(promise=Promise.INDEPENDENT)
RATIOS = st.floats(0.0, 1.0)
WEIGHTS = st.integers(1, 1_000)


def after(rarity: Rarity, failures: int, requests: int, policy: Policy = ANY, **change: float) -> Rarity:
    """The rarity after one minute; normal is 3 %."""
    values = {"period_s": 60.0, "normal": 0.03, "dispersion": 1.0, **change}
    return next_rarity(rarity, failures=failures, requests=requests, policy=policy, **values)


def ratio_of(failures: int, requests: int, *, normal: float, trouble: float, share: int = 256) -> float:
    """The likelihood ratio as one number."""
    value, scale = likelihood_ratio(failures, requests, normal=normal, trouble=trouble, share=share)
    return value * 2.0 ** (64 * scale)


# --- the bet on a window's ratio ---------------------------------------------------------


@given(st.lists(st.tuples(RATIOS, WEIGHTS), min_size=1, max_size=30), st.floats(0.0, 1.0))
def test_no_law_of_the_ratio_with_a_normal_mean_makes_the_bet_pay(law, slack):
    """Bursts of any size and shape: only the mean of the window decides."""
    total = sum(weight for _, weight in law)
    mean = sum(ratio * weight for ratio, weight in law) / total
    normal = max(mean + slack * (1.0 - mean), 0.005)
    assert sum(bet(ratio, normal) * weight for ratio, weight in law) / total <= 1.0 + 1e-9


def test_a_dead_window_is_worth_thirty_and_a_good_one_a_tenth():
    """0.1 + 0.9 / 0.03 = 30.1; and one bad window more than makes up for a good one: 30.1 x 0.1 = 3."""
    assert bet(1.0, 0.03) == pytest.approx(30.1)
    assert bet(0.0, 0.03) == pytest.approx(0.1)


def test_four_dead_minutes_are_rarer_than_a_year_and_three_are_not():
    """60 s x (30.1^4 + 30.1^3 + 30.1^2 + 30.1) = 1.6 years; three make 19.6 days."""
    rarity = NO_RARITY
    seconds = []
    for _ in range(4):
        rarity = after(rarity, 50, 50, Policy(false_opens_per_year=0.01))
        seconds.append(rarity.seconds)
    assert seconds[2] / 86_400.0 == pytest.approx(19.59, abs=0.01)
    assert seconds[3] / 31_557_600.0 == pytest.approx(1.614, abs=0.001)


def test_on_average_normal_service_gains_no_more_than_the_time_that_passes():
    """Every run of ten windows that fail wholly with probability p, weighted: the opens spend at most T."""
    policy = Policy(false_opens_per_year=1_000.0)  # one in 31,558 s of service: small enough to happen here
    normal, minutes = 0.3, 10
    spent_s = left_s = 0.0
    for fates in product((0, 1), repeat=minutes):
        weight = normal ** sum(fates) * (1.0 - normal) ** (minutes - sum(fates))
        rarity = NO_RARITY
        for failed in fates:
            rarity = after(rarity, 20 * failed, 20, policy, normal=normal)
            if rarity.seconds >= needed_s(policy):
                spent_s += weight * needed_s(policy)
                rarity = NO_RARITY
        left_s += weight * rarity.seconds
    assert spent_s > 0.0
    assert spent_s + left_s <= 60.0 * minutes * (1.0 + 1e-12)


# --- the likelihood ratio of counts ------------------------------------------------------


@pytest.mark.parametrize("trouble", [0.08, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("truth", [0.0, 0.01, 0.05])
def test_no_binomial_at_or_under_normal_makes_the_ratio_pay(trouble, truth):
    """All outcomes of eight attempts, weighted by what they would be."""
    mean = sum(
        math.comb(8, e) * truth**e * (1.0 - truth) ** (8 - e) * ratio_of(e, 8, normal=0.05, trouble=trouble)
        for e in range(9)
    )
    assert mean <= 1.0 + 1e-12


@pytest.mark.parametrize("group", [2, 3, 8])
def test_groups_no_larger_than_the_dispersion_do_not_make_it_pay(group):
    """Attempts that fail together: the power 1/dispersion counts a group as one. A larger one would pay."""
    share = int(256 / group)

    def mean(size: int) -> float:
        return sum(
            math.comb(4, e)
            * 0.05**e
            * 0.95 ** (4 - e)
            * ratio_of(size * e, size * 4, normal=0.05, trouble=0.5, share=share)
            for e in range(5)
        )

    assert mean(group) <= 1.0 + 1e-12
    assert mean(2 * group) > 1.0


@given(
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.floats(0.005, 0.95),
    st.sampled_from(TROUBLES),
    st.integers(1, 256),
)
def test_products_and_roots_make_the_same_power_as_logarithms(failures, passed, normal, size, share):
    """The core may not use logarithms; counts of a billion must not overflow."""
    trouble = normal + size * (1.0 - normal)
    value, scale = likelihood_ratio(failures, failures + passed, normal=normal, trouble=trouble, share=share)
    won = share / 256.0 * failures * math.log(trouble / normal)
    lost = share / 256.0 * passed * (math.log1p(-trouble) - math.log1p(-normal))
    assert math.log(value) + scale * 64.0 * math.log(2.0) == pytest.approx(
        won + lost, abs=1e-6 + 1e-9 * (won - lost)
    )


def test_six_hundred_failures_open_at_once_and_are_capped():
    """(0.903 / 0.03)^590 has 870 digits; more than is needed is not remembered."""
    rarity = after(NO_RARITY, 590, 600, INDEPENDENT)
    assert needed_s(INDEPENDENT) <= rarity.seconds <= 4.0 * needed_s(INDEPENDENT)
    assert rarity.any_s == 0.0


def test_hours_of_good_service_leave_no_debt():
    """The evidence falls to nothing, never below: an outage after a quiet year is seen as fast."""
    rarity = NO_RARITY
    for _ in range(600):
        rarity = after(rarity, 0, 5_000, INDEPENDENT)
    assert 0.0 <= rarity.seconds < 1e-10
    assert after(rarity, 12, 12, INDEPENDENT).seconds >= needed_s(INDEPENDENT)


def test_one_size_of_trouble_alone_can_prove_it():
    """A tenth of 20,000 attempts fail: 8 and 17 % fit, 42 and 90 % do not and must not hold it back."""
    rarity = after(NO_RARITY, 2_000, 20_000, INDEPENDENT)
    assert rarity.independent_s[3] == 0.0
    assert rarity.seconds >= needed_s(INDEPENDENT)


def test_a_wide_dispersion_weakens_the_counts():
    """Nine of nine in one group of nine is one failure: 60 s x the mean of 2.6, 5.85, 13.93, 30.1."""
    rarity = after(NO_RARITY, 9, 9, INDEPENDENT, dispersion=9.0)
    assert rarity.seconds == pytest.approx(60.0 * 13.1, rel=0.05)


# --- what is remembered ------------------------------------------------------------------


@pytest.mark.parametrize("policy", [ANY, INDEPENDENT])
def test_a_window_without_requests_changes_nothing(policy):
    """Silence is evidence of nothing, and no time under watch."""
    rarity = after(NO_RARITY, 9, 12, policy)
    assert after(rarity, 0, 0, policy) == rarity


def test_without_a_promise_nothing_is_remembered_and_nothing_needed():
    """The literal rules."""
    policy = Policy(promise=Promise.NONE)
    assert after(Rarity(7.0), 9, 9, policy) == NO_RARITY
    assert needed_s(policy) == 0.0


def test_another_kind_of_promise_begins_afresh():
    """Evidence that is valid for independent failures is not for bursts."""
    counted = after(NO_RARITY, 9, 9, INDEPENDENT)
    assert after(counted, 9, 9, ANY) == after(NO_RARITY, 9, 9, ANY)
    assert after(Rarity(7.0), 9, 9, INDEPENDENT) == after(NO_RARITY, 9, 9, INDEPENDENT)


def test_where_almost_everything_is_normal_counts_prove_nothing():
    """A target that fails all day: no size of trouble lies above it."""
    assert after(NO_RARITY, 9, 9, INDEPENDENT, normal=0.995) == NO_RARITY


@given(
    st.floats(1e-300, 86_400.0),
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.floats(0.005, 1.0),
    st.floats(1.0, 25.0),
    st.sampled_from([ANY, INDEPENDENT]),
)
def test_any_counts_give_a_finite_rarity_within_the_cap(period_s, one, other, normal, dispersion, policy):
    """What a checkpoint can hold."""
    rarity = Rarity(5.0, (0.0, 1e-300, 5.0, 1e7)) if policy is INDEPENDENT else Rarity(5.0)
    failures, requests = sorted((one, other))
    result = after(
        rarity, failures, requests, policy, period_s=period_s, normal=normal, dispersion=dispersion
    )
    assert all(0.0 <= value <= 4.0 * needed_s(policy) for value in (result.any_s, *result.independent_s))


def test_ten_second_windows_are_held_to_the_same_rate():
    """The unit is time: a window six times shorter starts from a sixth, not from the same."""
    assert after(NO_RARITY, 1, 1, period_s=10.0).seconds == pytest.approx(301.0)
    assert after(NO_RARITY, 1, 1, period_s=60.0).seconds == pytest.approx(1_806.0)
