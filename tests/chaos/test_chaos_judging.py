"""Verdicts on figures written by hand: what is kept, what is broken, and when nothing can be said."""

from __future__ import annotations

import pytest

from flyball.outcome import Outcome
from flyball_local.chaos.experiment import Bound, Experiment, Verdict, judge
from flyball_local.chaos.fleet import CallRecord
from flyball_local.chaos.measures import MEASURES, Phase, Stretch, measured, recovered_after_s
from flyball_local.chaos.report import shown

CALM = {**dict.fromkeys(MEASURES), "calls": 600.0, "goodput_ratio": 1.0}
HURT = {**CALM, "struck": 5.0, "attempts_per_call": 1.2}
WELL = Bound("attempts_per_call", Phase.DURING, high=1.25, why="a promise")
TRIED = Experiment("name", "It holds.", (), (WELL,), recovers_within_s=60.0)


def verdict(experiment=TRIED, recovered_s=0.0, before=CALM, during=HURT):
    """Judge these figures."""
    phases = {Phase.BEFORE: before, Phase.DURING: during, Phase.LATE: during, Phase.AFTER: CALM}
    return judge(experiment, phases, recovered_s, seed=1, policy="two-loop")


def test_bounds_kept_and_recovery_in_time_hold():
    """A bound is kept at its end too."""
    assert verdict(recovered_s=60.0).verdict is Verdict.HELD
    assert verdict(during={**HURT, "attempts_per_call": 1.25}).verdict is Verdict.HELD


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"during": {**HURT, "attempts_per_call": 1.3}}, "attempts_per_call during: 1.3, at most 1.25"),
        ({"during": {**HURT, "attempts_per_call": None}}, "nothing was seen"),
        ({"recovered_s": 90.0}, "recovered after 90 s, 60 s were allowed"),
        ({"recovered_s": None}, "did not recover"),
    ],
)
def test_one_promise_that_is_not_kept_breaks_it(changes, reason):
    """And it says which, by how much, and what was promised."""
    result = verdict(**changes)
    assert result.verdict is Verdict.BROKEN
    assert reason in " ".join(result.reasons)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"before": {**CALM, "calls": 499.0}}, "a steady state needs 500"),
        ({"before": {**CALM, "goodput_ratio": 0.98}}, "no steady state"),
        ({"during": {**HURT, "struck": 0.0}}, "nothing met the fault"),
    ],
)
def test_without_a_steady_state_or_a_fault_nothing_can_be_said(changes, reason):
    """Neither good nor bad: whoever reads `held` must be able to rely on it."""
    result = verdict(**changes, recovered_s=None)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert reason in " ".join(result.reasons)


CALLS = (
    CallRecord(0.0, 0.02, True, False, 1, ()),
    CallRecord(1.0, 0.40, True, False, 3, ((Outcome.THROTTLE, 1.0), (Outcome.ERROR_FAST, 0.2)), "", 1),
    CallRecord(2.0, 0.0, False, True, 0, (), "", 1),
    CallRecord(3.0, 1.0, False, False, 2, ((Outcome.THROTTLE, 3.0),), "ValueError: no", 1),
)


def test_measures_are_of_the_calls_that_came():
    """Four calls, six attempts; the numbers are counted by hand."""
    found = measured(Stretch(60.0, CALLS, [12, 6], 2, 1, 5, 3, 4))
    expected = {
        "calls": 4.0,
        "goodput_ratio": 0.5,
        "refused_ratio": 0.25,
        "attempts_per_call": 1.5,
        "most_attempts": 3.0,
        "longest_s": 1.0,
        "p99_s": 1.0,
        "throttle_wait_s": 2.0,
        "shortest_throttle_wait_s": 1.0,
        "error_wait_s": 0.2,
        "reads_per_min": 12.0,
        "fewest_reads_per_min": 6.0,
        "reads_failed": 2.0,
        "defects": 1.0,
        "struck": 5.0,
        "started": 1.0,
        "rounds": 3.0,
        "under_open": 4.0,
    }
    assert found == expected


def test_what_was_not_seen_is_none_and_no_zero():
    """A share of no calls is no share; a phase without length has no rates."""
    found = measured(Stretch(0.0, (), [], 0, 0, 0, 0, 0))
    assert found["goodput_ratio"] is None
    assert found["throttle_wait_s"] is None
    assert found["reads_per_min"] is None
    assert found["fewest_reads_per_min"] is None
    assert found["longest_s"] is found["p99_s"] is None
    assert found["calls"] == 0.0


def test_recovery_is_for_good_or_none():
    """Well, ill, well: recovered when it is well the second time; a piece without calls is not well."""
    calls = [CallRecord(float(s), 0.0, not 30 <= s < 60, False, 1, ()) for s in range(120)]
    assert recovered_after_s(calls, since_s=0.0, until_s=120.0) == 60.0
    assert recovered_after_s(calls[:90], since_s=0.0, until_s=120.0) is None
    assert recovered_after_s(calls, since_s=60.0, until_s=120.0) == 0.0
    assert recovered_after_s([], since_s=0.0, until_s=120.0) is None


def test_numbers_are_shown_short():
    """A column is nine characters wide."""
    assert [shown(value) for value in (None, 0.0, 12.0, 0.123456)] == ["-", "0", "12", "0.123"]
