"""One decision explained: counterfactuals are found by the step itself, and are the nearest ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_runs import calm, run, window
from flyball.contract import CircuitState
from flyball_analytics.why import TRIED_ALL, commonest_class, why, with_failures
from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.state import initial_state
from flyball_controller.core.step import step
from flyball_controller.policy_set import load_preset

POLICY = load_preset("two-loop").default
LEARNED, _ = run(calm(-600, 600), POLICY)


def other(seen: Observation, failures: int) -> bool:
    """Whether so many failures lead to another setpoint than the window itself does."""
    there = step(LEARNED, with_failures(seen, failures), POLICY)[1].applied
    return there != step(LEARNED, seen, POLICY)[1].applied


@pytest.mark.parametrize(("timeouts", "nearest"), [(60, 78), (80, 77)])
def test_the_nearest_count_that_decides_otherwise_is_named(timeouts: int, nearest: int) -> None:
    """Of 600: 77 time-outs keep the retries, 78 stop them; nothing on the other side changes that."""
    seen = window(0, timeouts=timeouts)
    found = why(LEARNED, seen, POLICY)
    one, none = (found.more, found.fewer) if nearest > timeouts else (found.fewer, found.more)
    assert none is None
    assert one is not None
    assert one.exact
    assert one.failures == nearest == timeouts + one.change
    assert other(seen, nearest)
    assert not any(other(seen, n) for n in range(min(timeouts, nearest + 1), max(timeouts + 1, nearest)))


def test_the_decision_is_the_productions() -> None:
    """It is recomputed, not described."""
    seen = window(0, fast=600)
    assert why(LEARNED, seen, POLICY).decision == step(LEARNED, seen, POLICY)[1]


def test_a_healthy_window_could_only_have_been_worse() -> None:
    """No failure is the fewest there can be."""
    found = why(LEARNED, window(0), POLICY)
    assert found.fewer is None
    assert found.more is not None
    assert found.more.kind == "errors_fast"


def test_where_nothing_may_change_no_count_is_named() -> None:
    """A late window is not judged at all: 0 or 600 failures come to the same."""
    found = why(LEARNED, window(-3, fast=600), POLICY)
    assert (found.fewer, found.more, found.counted) == (None, None, True)


@pytest.mark.parametrize("quality", [Quality.MISSING, Quality.INVALID])
def test_a_window_without_counts_has_nothing_to_vary(quality) -> None:
    """And was held against nothing."""
    found = why(LEARNED, window(0)._replace(quality=quality), POLICY)
    assert (found.held, found.fewer, found.more, found.counted) == (None, None, None, False)


def test_what_it_was_held_against_is_the_baseline_of_then() -> None:
    """A target never seen: nothing expected, confidence 0, and the floors of the policy."""
    held = why(initial_state(POLICY), window(0, fast=600), POLICY).held
    assert (held.expected_ratio, held.confidence) == (0.0, 0.0)
    assert held.trips.open == POLICY.open_floor


def test_beyond_a_thousand_the_search_halves_and_says_about() -> None:
    """A hundred thousand requests: thousands of failures away, found within few hundred steps."""
    seen = window(0, requests=100_000)
    found = why(LEARNED, seen, POLICY).more
    assert found is not None
    assert found.change > TRIED_ALL
    assert not found.exact
    assert other(seen, found.failures)
    assert not other(seen, found.failures - 1)


def test_the_commonest_class_is_varied_and_given_up_first() -> None:
    """Four time-outs, one fast error, two throttles: the four go first, then the fast error."""
    seen = window(0, timeouts=4, fast=1, throttles=2, failed=6)
    assert commonest_class(seen) == "timeouts"
    three, five = with_failures(seen, 4), with_failures(seen, 2)
    assert (three.timeouts, three.errors_fast, three.throttles) == (1, 1, 2)
    assert (five.timeouts, five.errors_fast, five.throttles, five.request_failures) == (0, 0, 2, 2)
    assert with_failures(seen, 9).timeouts == 6


@given(timeouts=st.integers(0, 200), fast=st.integers(0, 200), throttles=st.integers(0, 200), data=st.data())
def test_any_count_can_be_asked_for(timeouts, fast, throttles, data) -> None:
    """Requests stay, the counts add up, and no class is negative."""
    seen = window(0, timeouts=timeouts, fast=fast, throttles=throttles)
    wanted = data.draw(st.integers(0, 600))
    made = with_failures(seen, wanted)
    assert made.failures == wanted
    assert min(made.timeouts, made.errors_fast, made.throttles) >= 0
    assert (made.requests, made.attempts) == (seen.requests, seen.attempts)


@settings(max_examples=25)
@given(requests=st.integers(1, 60), data=st.data())
def test_the_answer_is_that_of_trying_every_count(requests, data) -> None:
    """Brute force over all counts, as the oracle."""
    seen = window(0, requests=requests, fast=data.draw(st.integers(0, requests)))
    found = why(LEARNED, seen, POLICY)
    fewer = [n for n in range(seen.failures) if other(seen, n)]
    more = [n for n in range(seen.failures + 1, requests + 1) if other(seen, n)]
    assert (found.fewer.failures if found.fewer else None) == (max(fewer) if fewer else None)
    assert (found.more.failures if found.more else None) == (min(more) if more else None)


def test_enough_failures_open_the_circuit() -> None:
    """What an operator asks first: how far was this from cutting traffic?"""
    before, _ = run([window(minute, fast=590) for minute in range(3)], POLICY, LEARNED)
    found = why(before, window(3), POLICY)
    assert found.decision.applied.circuit is CircuitState.CLOSED
    assert found.more is not None
    assert found.more.decision.applied.circuit is CircuitState.OPEN
