"""The arithmetic of roll-outs, as laws."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_local.appconfig.rollout import percentages, schedule

GROWTH = st.sampled_from(["LINEAR", "EXPONENTIAL"])
FACTOR = st.floats(1.0, 100.0)


@given(GROWTH, FACTOR)
def test_percentages_rise_to_exactly_one_hundred(growth, factor):
    """A roll-out that never ended, or took a version back, would be no roll-out."""
    steps = percentages(growth, factor)
    assert steps[-1] == 100.0
    assert all(a < b for a, b in pairwise(steps))
    assert len(steps) <= 100


@given(GROWTH, FACTOR, st.integers(1, 1440))
def test_every_step_lies_inside_the_duration(growth, factor, minutes):
    """The bake time starts at the end of the duration; no step may come later."""
    steps = schedule(growth, factor, duration_min=minutes, start_latency_s=0.0)
    assert steps[0].after_s > 0.0
    assert steps[-1].after_s < minutes * 60.0
    assert all(a.after_s < b.after_s for a, b in pairwise(steps))


@pytest.mark.parametrize("growth", ["LINEAR", "EXPONENTIAL"])
def test_without_duration_everybody_gets_it_at_once(growth):
    """The controller's own strategy, 0/0/100, and AllAtOnce."""
    [step] = schedule(growth, 20.0, duration_min=0, start_latency_s=1.5)
    assert step == (1.5, 100.0)
