"""An operator's lower nominal budget through whole runs: what protects a target never raises it."""

from __future__ import annotations

import pytest

from core_runs import calm, run, window
from flyball_controller.core.model import Regime
from flyball_controller.core.policy import Policy

RAISED = (1.0, 3.0)  # for failures that retries repair


@pytest.mark.parametrize("nominal", [0.0, 0.05, 0.1, 0.2])
def test_a_throttled_target_gets_a_tenth_or_less(nominal):
    """It says "too many requests": the least of both budgets, from the first such window to the last."""
    trouble = [window(minute, throttles=240) for minute in range(30, 40)]
    _, decisions = run([*calm(0, 30), *trouble], Policy(budget_nominal=nominal))
    throttled = [one for one in decisions if one.regime == Regime.THROTTLED]
    assert len(throttled) == 10
    assert {one.applied.budget_ratio for one in throttled} == {min(nominal, 0.1)}
    assert {one.applied.throttle_base_ms for one in throttled} == {4_000}


@pytest.mark.parametrize("nominal", [0.0, 0.05])
def test_a_nominal_budget_that_is_lowered_while_throttled_binds_at_once(nominal):
    """Also if the window still says throttled; the guardrail has nothing to add from then on."""
    state, before = run([*calm(0, 30), *(window(minute, throttles=240) for minute in range(30, 33))])
    assert before[-1].applied.budget_ratio == 0.1
    _, after = run(
        [window(33, throttles=240), window(34, throttles=240)], Policy(budget_nominal=nominal), state
    )
    assert [one.applied.budget_ratio for one in after] == [nominal, nominal]
    assert [one.proposed for one in after] == [one.applied for one in after]


def test_failures_that_retries_repair_raise_the_budget_whatever_is_nominal():
    """Meant so: nominal is for health. Who wants no retries sets `attempts_nominal` to 1, which binds."""
    trouble = [window(minute, fast=120, failed=0) for minute in range(30, 40)]
    _, decisions = run([*calm(0, 30), *trouble], Policy(budget_nominal=0.05))
    assert decisions[-1].regime == Regime.BROKEN
    assert decisions[-1].applied.budget_ratio in RAISED
    _, bound = run([*calm(0, 30), *trouble], Policy(budget_nominal=0.05, attempts_nominal=1))
    assert {one.applied.max_attempts for one in bound} == {1}
