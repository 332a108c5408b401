"""Samples of one period: statistics, percentiles, merging."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_local.cloudwatch.buckets import Bucket, merged, percent_of, statistic

# Multiples of 1/8: sums are exact in any order, so laws can be held to equality.
VALUES = st.integers(-8_000, 8_000).map(lambda n: n / 8)
SAMPLES = st.lists(st.tuples(VALUES, st.integers(1, 50).map(float)), min_size=1, max_size=40)


def bucket_of(samples: list[tuple[float, float]]) -> Bucket:
    bucket = Bucket()
    for value, count in samples:
        bucket.add(value, count)
    return bucket


def facts(bucket: Bucket) -> list[float | None]:
    names = ("Sum", "SampleCount", "Minimum", "Maximum", "p0", "p10", "p50", "p99.9", "p100")
    return [statistic(name)(bucket) for name in names]  # type: ignore[misc]


def test_percentiles_are_the_smallest_value_with_enough_samples_below() -> None:
    """Worked by hand: ten samples 1, 2, 2, 3, 3, 3, 4, 4, 4, 4; p30 is the third, p31 the fourth."""
    bucket = bucket_of([(4.0, 4), (2.0, 2), (1.0, 1), (3.0, 3)])
    assert [bucket.percentile(p) for p in (0, 10, 11, 30, 31, 60, 61, 100)] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_equal_samples_need_no_map_and_answer_every_percentile() -> None:
    """The common bucket holds one value; it must stay small and still know its percentiles."""
    bucket = bucket_of([(7.0, 3), (7.0, 2)])
    assert bucket.values is None
    assert facts(bucket) == [35.0, 5.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]


def test_a_statistic_set_loses_percentiles_and_nothing_else() -> None:
    """CloudWatch cannot know the values behind an aggregate; an invented p99 would be a lie."""
    bucket = bucket_of([(1.0, 1)])
    bucket.add_set(4, 10.0, 1.0, 4.0)
    bucket.add(2.0, 1)
    assert facts(bucket) == [13.0, 6.0, 1.0, 4.0, None, None, None, None, None]


@pytest.mark.parametrize(("count", "total", "low", "high"), [(1, 5.0, 5.0, 5.0), (4, 20.0, 5.0, 5.0)])
def test_a_statistic_set_of_equal_samples_keeps_percentiles(
    count: float, total: float, low: float, high: float
) -> None:
    """The two exceptions the API documents: one sample, or minimum = maximum = average."""
    bucket = Bucket()
    bucket.add_set(count, total, low, high)
    assert bucket.percentile(99) == 5.0


def test_merging_a_hidden_bucket_hides_the_whole() -> None:
    """An hour with one aggregated minute has no honest percentile either."""
    hidden = Bucket()
    hidden.add_set(2, 3.0, 1.0, 2.0)
    whole = merged([bucket_of([(1.0, 1), (9.0, 1)]), hidden])
    assert facts(whole)[:5] == [13.0, 4.0, 1.0, 9.0, None]
    assert merged([hidden, bucket_of([(1.0, 1)])]).percentile(50) is None


def test_equal_buckets_merge_without_a_map() -> None:
    """An idle hour stays small."""
    whole = merged([bucket_of([(7.0, 1)]), bucket_of([(7.0, 2)])])
    assert (whole.values, whole.count, whole.percentile(50)) == (None, 3.0, 7.0)


def test_p100_is_the_maximum_even_if_counts_do_not_add_up_exactly() -> None:
    """0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1 in floating point."""
    assert bucket_of([(3.0, 0.1), (2.0, 0.2), (1.0, 0.3)]).percentile(100) == 3.0


def test_an_empty_bucket_changes_nothing_and_knows_nothing() -> None:
    """Merging what is empty is no sample."""
    whole = merged([bucket_of([(3.0, 2)]), Bucket()])
    assert facts(whole)[:4] == [6.0, 2.0, 3.0, 3.0]
    assert Bucket().percentile(50) is None


@pytest.mark.parametrize("name", ["p", "p101", "pp9", "tm99", "average", "p-1", "p99.", "iqm", ""])
def test_a_statistic_outside_the_offer_is_none(name: str) -> None:
    """Refused upstream by name; a silent None result would look like missing data."""
    assert statistic(name) is None
    assert percent_of(name) is None


def test_the_percent_of_a_statistic_is_read_from_its_name() -> None:
    """Streams and low-sample rules need the number."""
    assert (percent_of("p99.9"), percent_of("Sum")) == (99.9, None)


@given(SAMPLES, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_lie_between_the_extremes_and_rise(
    samples: list[tuple[float, float]], one: float, other: float
) -> None:
    """Law of any percentile: observed, bounded, monotone in p."""
    bucket = bucket_of(samples)
    low, high = bucket.percentile(min(one, other)), bucket.percentile(max(one, other))
    assert low is not None
    assert high is not None
    assert bucket.minimum <= low <= high <= bucket.maximum
    assert {low, high} <= {value for value, _ in samples}


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_merging_equals_adding_everything_to_one(groups: list[list[tuple[float, float]]]) -> None:
    """Coarser periods must say what the finer ones said."""
    whole = merged([bucket_of(group) for group in groups])
    assert facts(whole) == facts(bucket_of([sample for group in groups for sample in group]))
