"""Many histories: equal results in any number of processes, and the windows that scores are made of."""

from __future__ import annotations

import random

import pytest

from fast_runs import keep, load, nasty
from flyball_analytics.compare_figures import acted_windows
from flyball_analytics.fastreplay_many import run_many
from flyball_analytics.replay import replay_series, scoring_step
from flyball_analytics.series import Series
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

NAMES = ("1", "2", "3", "4")


def test_results_come_in_the_order_of_the_names():
    """A caller pairs them with its list."""
    found = list(run_many(NAMES, load, Policy(), keep=keep))
    assert found == [next(run_many([name], load, Policy(), keep=keep)) for name in NAMES]
    assert len(set(found)) == len(NAMES)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing():
    """A shard knows nothing of the others."""
    alone = list(run_many(NAMES, load, Policy(), keep=keep))
    assert list(run_many(NAMES, load, Policy(), keep=keep, processes=2)) == alone


@pytest.mark.parametrize("seed", range(6))
def test_scores_see_the_same_windows(seed):
    """Late and flagged rows, gaps and openings included."""
    rows = nasty(random.Random(seed), 200)
    series = Series("t", "t.csv", rows[0].period_s, tuple(rows), len(rows), (), (), {}, (), ())
    nominal = nominal_setpoint(Policy())
    wanted = [scoring_step(replayed, nominal) for replayed in replay_series(series, policy=Policy())]
    found = [window.step for window in acted_windows(series, Policy())]
    assert found == sorted((one for one in wanted if one is not None), key=lambda one: one.start_s)
