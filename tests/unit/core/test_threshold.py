"""Trip and reset levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.core.policy import Policy
from flyball_controller.core.threshold import trip_level, trips_for


def level(**change: float) -> float:
    """A trip level with plain defaults."""
    values = {
        "floor": 0.05, "adaptive": True, "multiple": 2.0, "spread_k": 3.0, "ceiling": 0.95,
        "expected": 0.01, "spread": 0.0, "confidence": 1.0, **change,
    }  # fmt: skip
    return trip_level(**values)  # type: ignore[arg-type]


def test_a_multiple_of_almost_nothing_is_lifted_to_the_floor():
    """2 x 0.01 % would trip on three errors."""
    assert level(expected=0.0001) == 0.05


def test_the_multiple_rules_over_a_high_baseline():
    """2 x 20 %."""
    assert level(expected=0.2) == pytest.approx(0.4)


def test_the_half_more_rule_is_the_same_formula():
    """'50 % over normal' is multiple 1.5: 1.5 x 30 %."""
    assert level(multiple=1.5, expected=0.3) == pytest.approx(0.45)


def test_a_wide_spread_rules_over_a_small_multiple():
    """4 % + 3 x 3 % = 13 %, over 2 x 4 %."""
    assert level(expected=0.04, spread=0.03) == pytest.approx(0.13)


def test_no_threshold_rises_above_its_ceiling():
    """A target that learned 60 % must still be able to trip."""
    assert level(expected=0.6) == 0.95


def test_a_fixed_threshold_ignores_the_baseline():
    """Fixed is the same form without its second half."""
    assert level(adaptive=False, expected=0.4) == 0.05


def test_a_young_baseline_widens_its_multiple():
    """No history: 2 x 2 x 10 %; full: 2 x 10 %."""
    assert level(expected=0.1, confidence=0.0) == pytest.approx(0.4)
    assert level(expected=0.1, confidence=1.0) == pytest.approx(0.2)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_reset_lies_under_trip_or_within_the_absolute_point(expected, spread, confidence):
    """Without a gap between trip and reset the circuit would chatter."""
    policy = Policy()
    trips = trips_for(policy, expected=expected, spread=spread, confidence=confidence)
    assert policy.retry_floor <= trips.retry <= policy.trip_ceiling
    assert trips.reset_point <= max(trips.retry, policy.reset_point, (trips.retry + expected) / 2)


def test_a_season_of_timeouts_raises_the_timeout_trip_too():
    """A batch whose failures are time-outs is as known as one whose failures are fast: 3 x 5 %."""
    assert trips_for(Policy(), expected=0.05, spread=0.0, confidence=1.0).timeout == pytest.approx(0.15)
    assert trips_for(Policy(), expected=0.01, spread=0.0, confidence=1.0).timeout == 0.10
