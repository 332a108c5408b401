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


def test_every_level_of_a_known_target_by_hand():
    """8 % are normal, spread 1 %, full confidence; each level has another rule that wins.

    retry 3 x 8 % = 24 %; open: the floor; time-outs 24 %; reset 24 %; its point 12 %; normal 24 %.
    """
    trips = trips_for(Policy(), expected=0.08, spread=0.01, confidence=1.0)
    assert trips == pytest.approx((0.24, 0.6, 0.24, 0.24, 0.12, 0.24))


def test_every_level_of_a_target_that_fails_half_of_its_calls():
    """Retry stops at the ceiling of 95 %; its reset point lies half-way to normal: (0.95 + 0.5) / 2.

    Opening adapts: 2 x 50 % meets the ceiling too; the others have none: 3 x 50 %. Normal never exceeds open.
    """
    policy = Policy(open_adaptive=True)
    trips = trips_for(policy, expected=0.5, spread=0.0, confidence=1.0)
    assert trips == pytest.approx((0.95, 0.95, 1.5, 1.5, 0.725, 0.95))
    assert trips_for(Policy(), expected=0.5, spread=0.0, confidence=1.0).open == 0.6


def test_an_adaptive_open_trip_knows_multiple_spread_and_youth():
    """2 x 35 % = 70 %; 35 % + 3 x 15 % = 80 %; without history 2 x 2 x 20 % = 80 %."""
    policy = Policy(open_adaptive=True)
    assert trips_for(policy, expected=0.35, spread=0.0, confidence=1.0).open == pytest.approx(0.7)
    assert trips_for(policy, expected=0.35, spread=0.15, confidence=1.0).open == pytest.approx(0.8)
    assert trips_for(policy, expected=0.2, spread=0.0, confidence=0.0).open == pytest.approx(0.8)


def test_bursts_widen_retries_but_no_mean():
    """1 % + 3 x 50 %, up to 95 %, against normal = the larger of 3 % and 3 x 1 %."""
    trips = trips_for(Policy(), expected=0.01, spread=0.5, confidence=1.0)
    assert trips.retry == 0.95
    assert trips.normal == pytest.approx(0.03)


def test_a_young_mean_is_widened_too():
    """Normal: 3 x 2 x 5 % without history."""
    assert trips_for(Policy(), expected=0.05, spread=0.0, confidence=0.0).normal == pytest.approx(0.3)


def test_fixed_levels_ignore_what_is_normal():
    """The literal rules: 40 % normal raise neither retries nor time-outs nor the reset."""
    policy = Policy(retry_adaptive=False)
    trips = trips_for(policy, expected=0.4, spread=0.3, confidence=1.0)
    assert (trips.retry, trips.timeout, trips.reset) == (0.03, 0.1, 0.15)
    assert trips.reset_point == pytest.approx((0.03 + 0.4) / 2)


def test_a_reset_rises_with_its_multiple_of_normal():
    """3 x 10 % is over the floor of 15 %, 3 x 4 % is not."""
    assert trips_for(Policy(), expected=0.1, spread=0.0, confidence=1.0).reset == pytest.approx(0.3)
    assert trips_for(Policy(), expected=0.04, spread=0.0, confidence=1.0).reset == 0.15
