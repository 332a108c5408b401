"""Which observations may count: each number at its last possible value and at the first impossible one."""

from __future__ import annotations

import math

import pytest

from flyball.contract import CircuitState
from flyball_controller.core import initial_state
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.inspect import is_finite, past_invalid, problem_of
from flyball_controller.core.model import Evidence, Observation, Quality, Reason, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import LawState, State, nominal_setpoint

POLICY = Policy()
NOMINAL = nominal_setpoint(POLICY)


def note(reason: Reason, measured: float, threshold: float, n: int = 0) -> Evidence:
    """Evidence of what was wrong with an observation."""
    return Evidence(reason, measured, threshold, n, 1.0)


SEEN = Observation("t", 1_000.0, 60.0, 1_080.0, 10, 1, 2, 3, 16, 4, 5, 6, 7.0, 8.0)
STATE = State(LawState(Regime.NOMINAL, NOMINAL), stamp_s=940.0, seen_s=1_020.0)
INVALID = note(Reason.OBSERVATION_INVALID, 0.0, 0.0)
TOP = 9_007_199_254_740_992


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"start_s": 1_082.0, "arrived_s": 1_080.0},  # two seconds of skew
        {"start_s": 1e11, "arrived_s": 1e11},
        {"period_s": 86_400.0},
        {"period_s": 0.001},
        {"requests": 6},
        {"requests": TOP, "attempts": TOP, "short_circuited": TOP, "errors_permanent": TOP},
        {"requests": TOP, "timeouts": TOP - 5},
        {"requests": TOP, "errors_fast": TOP - 4},
        {"requests": TOP, "throttles": TOP - 3},
        {"attempts": 0, "short_circuited": 0, "errors_permanent": 0},
        {"timeouts": 0, "errors_fast": 0, "throttles": 0},
        {"request_failures": -1},
        {"request_failures": 10},
        {"latency_ms_p50": -1.0, "latency_ms_p99": -1.0},
        {"latency_ms_p50": 0.0, "latency_ms_p99": 0.0},
        {"latency_ms_p50": 1.7976931348623157e308, "latency_ms_p99": 1.7976931348623157e308},
        {"quality": Quality.PARTIAL},
    ],
)
def test_what_is_possible_counts(change):
    """Up to each bound, the bound included."""
    assert problem_of(STATE, SEEN._replace(**change)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"quality": Quality.INVALID},
        {"start_s": math.nan},
        {"start_s": -0.001},
        {"start_s": 1_082.001},
        {"start_s": 1.001e11, "arrived_s": 1e11},
        {"arrived_s": math.inf},
        {"arrived_s": 1.001e11},
        {"period_s": 0.0},
        {"period_s": 5e-324},  # 200 requests in it are infinitely many a second
        {"period_s": 0.000_999},
        {"period_s": math.nan},
        {"period_s": 86_400.1},
        {"requests": 5},
        {"requests": TOP + 1},
        {"requests": -1, "timeouts": 0, "errors_fast": 0, "throttles": 0, "request_failures": -1},
        {"timeouts": -1},
        {"errors_fast": -1},
        {"throttles": -1},
        {"attempts": -1},
        {"attempts": TOP + 1},
        {"short_circuited": -1},
        {"short_circuited": TOP + 1},
        {"errors_permanent": -1},
        {"errors_permanent": TOP + 1},
        {"request_failures": -2},
        {"request_failures": 11},
        {"latency_ms_p50": -0.5},
        {"latency_ms_p99": -0.5},
        {"latency_ms_p50": math.nan},
        {"latency_ms_p99": math.inf},
    ],
)
def test_what_is_impossible_is_named_and_never_counts(change):
    """Each number by itself."""
    assert problem_of(STATE, SEEN._replace(**change)) == INVALID


def test_an_arrival_before_the_epoch_is_impossible():
    """Also of a look that found nothing, whose other numbers are not looked at."""
    early = SEEN._replace(start_s=0.0, arrived_s=-0.5)
    assert problem_of(STATE._replace(stamp_s=-1.0, seen_s=-1.0), early) == INVALID
    missing = SEEN._replace(quality=Quality.MISSING, requests=-5, period_s=0.0)
    assert problem_of(STATE, missing) is None
    assert problem_of(STATE, missing._replace(start_s=math.nan)) == INVALID
    assert problem_of(STATE, missing._replace(period_s=math.nan)) == INVALID


def test_the_epoch_itself_is_a_time():
    """0 is a value."""
    fresh = STATE._replace(stamp_s=-1.0, seen_s=-1.0)
    assert problem_of(fresh, SEEN._replace(start_s=0.0)) is None
    assert problem_of(fresh, SEEN._replace(start_s=0.0, arrived_s=0.0, period_s=1.0)) is None


@pytest.mark.parametrize(
    ("change", "late"),
    [
        ({"start_s": 940.0}, (940.0, 940.0, 10)),  # the stamp itself has been seen
        ({"start_s": 940.1}, None),
        ({"quality": Quality.MISSING, "arrived_s": 1_020.0}, (1_020.0, 1_020.0, 0)),
        ({"quality": Quality.MISSING, "arrived_s": 1_020.1}, None),
        ({"quality": Quality.MISSING, "start_s": 900.0}, None),
        ({"quality": Quality.PROBED, "arrived_s": 1_019.9}, (1_019.9, 1_020.0, 10)),
        ({"quality": Quality.PROBED, "arrived_s": 1_020.0}, None),
        ({"quality": Quality.PROBED, "start_s": 900.0}, None),
    ],
)
def test_late_and_repeated_ones_are_named_with_both_times(change, late):
    """Windows by their start, looks by their time; checks may come with a look of the same second."""
    problem = problem_of(STATE, SEEN._replace(**change))
    assert problem == (None if late is None else note(Reason.OBSERVATION_LATE, *late))


@pytest.mark.parametrize(
    ("start_s", "arrived_s", "moves"),
    [
        (1_000.0, 1_080.0, True),
        (1_080.0, 1_080.0, True),
        (1_081.0, 1_080.0, False),  # from the future: what comes next would be late
        (940.0, 1_080.0, False),
        (1e11, 1e11, True),
        (1_000.0, 1.001e11, False),
        (math.nan, 1_080.0, False),
        (1_000.0, math.nan, False),
    ],
)
def test_an_impossible_window_is_put_behind_once(start_s, arrived_s, moves):
    """Only its stamp moves, if its times are possible."""
    after = past_invalid(STATE, SEEN._replace(start_s=start_s, arrived_s=arrived_s))
    assert after == (STATE._replace(stamp_s=start_s, sequence=1) if moves else STATE)


def test_the_largest_numbers_are_finite():
    """And infinity is not."""
    largest = 1.7976931348623157e308
    assert [is_finite(x) for x in (largest, -largest, math.inf, -math.inf, math.nan)] == [True] * 2 + [
        False
    ] * 3


def test_a_target_never_seen_before_is_nominal():
    """With nothing learned and nothing remembered."""
    assert initial_state(POLICY) == State(
        LawState(Regime.NOMINAL, Setpoint(4, 0.2, 1_000, CircuitState.CLOSED, 1.0, 3))
    )
    assert initial_state(POLICY).baseline == Baseline()
