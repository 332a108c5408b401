"""Many runs over processes: the same results for any number, and failures that are not lost."""

from __future__ import annotations

import pytest

from flyball_analytics.algorithms import AlgorithmError, algorithm, algorithm_names, is_algorithm
from flyball_analytics.arrivals import ModelError
from flyball_analytics.suite import Job, WorkerError, run_jobs
from flyball_controller.core.errors import PolicyError


def test_results_are_the_same_for_any_number_of_processes(make) -> None:
    """Only the order of completion may depend on the machine."""
    short = make(minutes=8)
    jobs = [
        Job(short, name, seed, traced=True) for seed in (1, 2) for name in ("flyball", "static-3", "none")
    ]
    alone, team = dict(run_jobs(jobs, workers=1)), dict(run_jobs(jobs, workers=2))
    assert sorted(alone) == sorted(team) == list(range(6))
    for number, result in alone.items():
        assert repr(result.measures) == repr(team[number].measures)
        assert result.actions == team[number].actions
        assert result.reached == team[number].reached


def test_an_algorithm_that_does_not_exist_costs_no_run(make) -> None:
    """Names are checked before the first process starts."""
    with pytest.raises(AlgorithmError, match="did you mean 'static-3'"):
        next(run_jobs([Job(make(), "flyball", 1), Job(make(), "static3", 1)], workers=2))
    with pytest.raises(PolicyError):
        next(run_jobs([Job(make(), "flyball", 1, policy="no-such-policy")], workers=1))


def test_a_run_that_fails_in_its_process_ends_the_suite_with_its_traceback(make) -> None:
    """A missing result would look like a scenario that was never asked for."""
    bad = Job(make(minutes=8), "none", 1, model=ModelError(period_s=15.0))
    with pytest.raises(WorkerError, match="multiple of 10 s"):
        dict(run_jobs([bad, bad], workers=2))


def test_every_listed_algorithm_can_be_made() -> None:
    """A name in the help that does not run is a trap."""
    for name in algorithm_names():
        assert is_algorithm(name)
        made = algorithm(name)
        assert made.new_target("api", "") is not made.new_target("api", "")
    assert is_algorithm("flyball:some/policy.yaml")
    assert not is_algorithm("flyball:")
