"""Windows that are kept up to date say what a fresh computation would."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.detectors.windows import Rolling, SortedWindow

SERIES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 2.0])), min_size=1, max_size=50)


@given(SERIES, st.integers(1, 20))
def test_a_rolling_window_equals_its_definition(values, span):
    """Sums that are added to and taken from must not drift away from the values."""
    window = Rolling(float(span))
    for at, value in enumerate(values):
        window.add(float(at), value)
    last = values[-span:]
    scale = max(1.0, *(abs(v) for v in values))
    assert len(window) == len(last)
    assert window.mean == pytest.approx(statistics.fmean(last), abs=1e-9 * scale)
    assert window.sd == pytest.approx(statistics.pstdev(last), abs=1e-5 * scale)


@given(SERIES, st.integers(1, 20))
def test_a_sorted_window_equals_its_definition(values, span):
    """Lower medians of the values and of their distances from it."""
    window = SortedWindow(float(span))
    for at, value in enumerate(values):
        window.add(float(at), value)
    last = values[-span:]
    median = statistics.median_low(last)
    assert len(window) == len(last)
    assert window.median == median
    assert window.mad == statistics.median_low([abs(v - median) for v in last])


def test_empty_windows_know_nothing():
    """NaN is no level that anything could be over."""
    rolling, ordered = Rolling(1.0), SortedWindow(1.0)
    assert all(math.isnan(v) for v in (rolling.mean, rolling.sd, ordered.median, ordered.mad))


def test_large_values_keep_their_spread():
    """Squares of 10^9 would drown a spread of 1: differences from a value of the series are summed."""
    window = Rolling(10.0)
    for at in range(10):
        window.add(float(at), 1e9 + at % 2)
    assert window.sd == pytest.approx(0.5)
