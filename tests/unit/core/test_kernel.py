"""The kernel's shortcuts against the plain forms they stand for: equal, not nearly equal."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flyball_analytics.fastreplay_learning import counted_median
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.kernel import (
    UNVISITED,
    confidence_of,
    learning_rate,
    lower_median,
    median3,
    minutes_covered,
    proven_peak,
    slot_of,
    top_ratio,
)
from flyball_controller.core.kernel_bounds import (
    is_calm,
    is_clean,
    is_surely_under,
    upper_is_under,
    upper_side,
    wilson_bounds,
)
from flyball_controller.core.policy import Policy

COUNTS = st.one_of(st.integers(1, 60), st.integers(1, 10**6), st.integers(1, 2**48))
RATIOS = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 0.03, 0.15, 1.0, 1.5]))
Z = st.sampled_from([0.0, 1e-9, 0.5, 2.33, 3.09, 6.0])
DISPERSION = st.one_of(st.just(1.0), st.floats(1.0, 25.0))


@st.composite
def bound_cases(draw: st.DrawFn) -> tuple[int, int, float, float, float]:
    """Counts and a limit; often the limit is the bound itself, or a step beside it: there shortcuts err."""
    requests = draw(COUNTS)
    failures = draw(st.integers(0, requests))
    z, dispersion = draw(Z), draw(DISPERSION)
    low, high = wilson_bounds(failures, requests, z, dispersion)
    near = draw(st.sampled_from([low, high, failures / requests]))
    limit = draw(
        st.one_of(RATIOS, st.just(near), st.just(near * (1.0 + 2.0**-52)), st.just(near * 0.999_999))
    )
    return failures, requests, limit, z, dispersion


@settings(max_examples=400)
@given(case=bound_cases())
def test_a_bound_that_is_surely_under_is_under(case):
    """A replay that takes trouble for calm would skip a decision."""
    failures, requests, limit, z, dispersion = case
    low, _ = wilson_bounds(failures, requests, z, dispersion)
    if is_surely_under(failures, requests, limit, z, dispersion):
        assert low <= limit


@settings(max_examples=400)
@given(case=bound_cases())
def test_comparing_the_upper_bound_needs_no_bound(case):
    """The polynomial decides as the computed bound does, also where they touch."""
    failures, requests, limit, z, dispersion = case
    _, high = wilson_bounds(failures, requests, z, dispersion)
    assert upper_is_under(failures, requests, limit, z, dispersion) == (high < limit)


@settings(max_examples=400)
@given(case=bound_cases())
def test_a_sure_side_is_the_side_of_the_bound(case):
    """Replays take the sign for the answer; 0 leaves it to the bound."""
    failures, requests, limit, z, dispersion = case
    side = upper_side(failures, requests, limit, z, dispersion)
    _, high = wilson_bounds(failures, requests, z=z, dispersion=dispersion)
    assert side in (-1.0, 0.0, 1.0)
    if side < 0.0:
        assert high < limit
    if side > 0.0:
        assert high >= limit


def test_the_shortcuts_are_taken_at_all():
    """Far from the limit no root is needed: 3 of 1,000 is under 3 %, 300 of 1,000 is not."""
    assert is_surely_under(3, 1_000, 0.03, 2.33, 1.0)
    assert upper_is_under(0, 600, 0.15, 2.33, 1.0)
    assert not upper_is_under(140, 1_000, 0.15, 2.33, 1.0)
    assert [upper_side(failures, 1_000, 0.15, 2.33, 1.0) for failures in (0, 140, 160)] == [-1.0, 1.0, 0.0]
    assert not is_surely_under(300, 1_000, 0.03, 2.33, 1.0)


def test_clean_is_a_bound_or_a_whole_span():
    """40 requests without a failure are clean by the bound, 12 only after 12 of 15 minutes."""
    policy = Policy()
    assert is_clean(0, 40, 60.0, 0.15, 0.04, 1.0, policy)
    assert not is_clean(0, 12, 60.0, 0.15, 0.04, 1.0, policy)
    assert is_clean(0, 12, 720.0, 0.15, 0.04, 1.0, policy)
    assert not is_clean(0, 0, 720.0, 0.15, 0.04, 1.0, policy)
    assert not is_clean(5, 100, 720.0, 0.15, 0.04, 1.0, policy)


def test_calm_needs_few_failures_or_a_low_bound():
    """2 failures are never trouble; 30 % of 600 are; 5 % time-outs under 10 % are not."""
    policy = Policy()
    assert is_calm(2, 2, 12, 0.03, 0.10, 1.0, policy)
    assert is_calm(11, 11, 11, 0.03, 0.10, 1.0, policy)  # 11 requests are not enough to say anything
    assert not is_calm(180, 0, 600, 0.03, 0.10, 1.0, policy)
    assert is_calm(24, 24, 600, 0.08, 0.10, 1.0, policy)
    assert is_calm(22, 0, 600, 0.03, 0.10, 1.0, policy)  # 3.7 %: its lower bound is 2.3 %
    assert is_calm(4, 4, 50, 0.08, 0.0801, 1.0, policy)


@given(at_s=st.one_of(st.floats(-1e6, 1e11), st.integers(-(10**6), 10**9).map(float)))
@example(at_s=5e-324)
@example(at_s=-5e-324)
@example(at_s=59.99999999999999)
@example(at_s=99_999_999_960.0)
def test_a_slot_is_the_exact_floor(at_s):
    """A window one slot off would teach the wrong hour."""
    for length_s in (60.0, 900.0, 1_200.0, 3_600.0):
        assert slot_of(at_s, length_s) == int(at_s // length_s)


@given(
    values=st.lists(st.one_of(st.integers(0, 65_534), st.integers(250, 290)), min_size=1, max_size=60),
    unknown=st.integers(0, 3),
    near=st.one_of(st.integers(0, 65_534), st.integers(240, 300)),
)
def test_counting_finds_the_median_that_sorting_finds(values, unknown, near):
    """The compiled form counts, from any guess, the interpreted one sorts the known ones."""
    assert counted_median([UNVISITED] * unknown + values, 1, near) == lower_median(sorted(values))


def test_too_few_known_values_have_no_counted_median():
    """Two hours say nothing of a day; three are enough."""
    assert counted_median([7, UNVISITED, 3], 3, 0) == -1
    assert counted_median([7, UNVISITED, 3, 5], 3, 0) == 5


@given(values=st.tuples(*[st.integers(0, 65_535)] * 3))
def test_the_middle_of_three_is_the_middle(values):
    """Also of equal ones."""
    assert median3(*values) == sorted(values)[1]


@given(keep=st.floats(0.5, 1.0), learned_s=st.floats(0.0, 1e9), period_s=st.floats(0.1, 86_400.0))
def test_the_rate_of_learning_is_the_greater_of_two(keep, learned_s, period_s):
    """Forgetting rules old baselines, the plain mean young ones."""
    plain = period_s / (learned_s + period_s)
    assert learning_rate(keep, learned_s, period_s) == max(1.0 - keep, plain)


@pytest.mark.parametrize(("learned_s", "trust"), [(0.0, 0.0), (43_200.0, 0.5), (86_400.0, 1.0), (1e9, 1.0)])
def test_confidence_grows_to_one(learned_s, trust):
    """Half a day of history is half of the day that is asked for."""
    assert confidence_of(learned_s, 86_400.0) == trust


@settings(max_examples=300)
@given(
    requests=COUNTS,
    share=RATIOS,
    spread=st.floats(0.0, 0.5),
    dispersion=DISPERSION,
    chronic=st.floats(0.0, 1.0),
    level=st.floats(0.0, 1.0),
    learned_s=st.sampled_from([0.0, 1_740.0, 1_800.0, 1e6]),
)
def test_a_window_inside_the_band_teaches_itself(
    requests, share, spread, dispersion, chronic, level, learned_s
):
    """The shortcuts of the clip leave its law alone: min(ratio, top), with the top written out in full."""
    policy = Policy()
    failures = int(share * requests) if share < 1.0 else requests
    ratio = failures / requests
    base = Baseline(spread=spread, dispersion=dispersion, chronic=chronic, learned_s=learned_s)
    floor = min(max(level, 1.0 / requests), 1.0)
    sd = max(sqrt(dispersion * floor * (1.0 - floor) / requests), spread)
    cap = max(2.0 * chronic, policy.retry_floor)
    top = level + policy.winsor_k * sd
    if top > cap or learned_s < 1_800.0:
        top = cap
    assert top_ratio(base, level, ratio, requests, policy) == min(ratio, max(top, 2.0 / requests))


@settings(max_examples=300)
@given(case=bound_cases(), peak=RATIOS)
def test_a_peak_rises_to_the_bound_that_exceeds_it(case, peak):
    """Nothing but a proof raises the mark of an hour."""
    failures, requests, _, _, dispersion = case
    low, _ = wilson_bounds(failures, requests, 2.33, dispersion)
    expected = max(peak, low) if failures >= 3 else peak
    assert proven_peak(peak, failures, requests, dispersion, Policy()) == expected


@pytest.mark.parametrize(
    ("start_s", "period_s", "covered"),
    [(120.0, 60.0, (2, 1)), (130.0, 60.0, (2, 1)), (120.0, 300.0, (2, 5)), (120.0, 301.0, (2, 0)),
     (120.0, 20.0, (2, 1)), (140.0, 20.0, (2, 0)), (139.0, 20.0, (2, 1))],
)  # fmt: skip
def test_a_window_visits_the_minutes_it_covers(start_s, period_s, covered):
    """Six windows of ten seconds are one visit of their minute, not six."""
    assert minutes_covered(start_s, period_s) == covered
