"""Expectations against results: which runs are needed, which bounds are kept, and what was never reached.

A bound must hold for every seed. Where it speaks of another algorithm, both are
compared on the same seed. Verdicts are ordered by file, algorithm and seed,
whatever order the runs came in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.algorithms import POLICY, algorithm_names, is_algorithm
from flyball_analytics.arrivals import EXACT, ModelError
from flyball_analytics.branches import Branch, all_branches
from flyball_analytics.closedloop import Result
from flyball_analytics.closedloop_control import Reached
from flyball_analytics.scenarios import Bound, Scenario, ScenarioError, load_scenario
from flyball_analytics.scenarios.expect import holds, limit_of
from flyball_analytics.suite import Job
from flyball_controller.core.model import Reason, Regime

SUFFIXES = (".yaml", ".yml")
Results = Mapping[tuple[str, str, int], Result]  # by file, algorithm and seed


class Verdict(NamedTuple):
    """One bound on one seed. `limit` is the number that `value` was compared with."""

    scenario: str
    file: str
    algorithm: str
    bound: Bound
    seed: int
    value: float
    limit: float
    kept: bool


class Coverage(NamedTuple):
    """What of the law the runs never reached, of how much there is."""

    regimes: tuple[str, ...]
    regimes_all: int
    reasons: tuple[str, ...]
    reasons_all: int
    branches: tuple[Branch, ...]
    branches_all: int


def scenario_files(paths: Iterable[Path]) -> list[Path]:
    """Return the scenario files of files and folders, each once, folders in order of names.

    Raises:
        ScenarioError: A path does not exist, or a folder holds no scenario.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES)
            if not inside:
                raise ScenarioError("is a folder without any .yaml file", where=str(path))
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def load_known(path: Path) -> Scenario:
    """Return the scenario in a file; algorithm names are those that exist.

    Raises:
        ScenarioError: With file:line.
    """
    return load_scenario(path, known=is_algorithm, names=algorithm_names())


def expected_jobs(
    scenarios: Sequence[Scenario], *, fast: bool, policy: str = POLICY, model: ModelError = EXACT
) -> list[Job]:
    """Return the runs that the expectations speak of; `fast`: marked scenarios only, on their first seed."""
    jobs = []
    for scenario in scenarios:
        if fast and not scenario.fast:
            continue
        names = dict.fromkeys(expected.algorithm for expected in scenario.expectations)
        bounds = [bound for expected in scenario.expectations for bound in expected.bounds]
        names.update(dict.fromkeys(bound.relative_to for bound in bounds if bound.relative_to))
        seeds = scenario.seeds[:1] if fast else scenario.seeds
        jobs += [
            Job(scenario, name, seed, policy=policy, model=model, traced=True)
            for seed in seeds
            for name in names
        ]
    return jobs


def verdicts(jobs: Sequence[Job], results: Mapping[int, Result]) -> list[Verdict]:
    """Return a verdict for every bound and seed; `results` by number of the job."""
    by_run = {
        (job.scenario.file, job.algorithm, job.seed): results[number] for number, job in enumerate(jobs)
    }
    found = []
    for job in jobs:
        for expected in job.scenario.expectations:
            if expected.algorithm == job.algorithm:
                found += [_verdict(job, bound, by_run) for bound in expected.bounds]
    return sorted(found, key=lambda v: (v.file, v.algorithm, v.bound.line, v.bound.measure, v.seed))


def _verdict(job: Job, bound: Bound, by_run: Results) -> Verdict:
    value = by_run[job.scenario.file, job.algorithm, job.seed].measures[bound.measure]
    others = {}
    if bound.relative_to:
        other = by_run[job.scenario.file, bound.relative_to, job.seed]
        others[bound.relative_to] = other.measures[bound.measure]
    return Verdict(
        scenario=job.scenario.name,
        file=job.scenario.file,
        algorithm=job.algorithm,
        bound=bound,
        seed=job.seed,
        value=value,
        limit=limit_of(bound, others=others),
        kept=holds(bound, value, others=others),
    )


def coverage(results: Iterable[Result]) -> Coverage:
    """Return what the runs never reached of regimes, reasons and branches of the law."""
    reached = Reached()
    for result in results:
        reached = reached.union(result.reached)
    branches = all_branches()
    return Coverage(
        regimes=tuple(regime.name for regime in Regime if regime.name not in reached.regimes),
        regimes_all=len(Regime),
        reasons=tuple(reason.name for reason in Reason if reason.name not in reached.reasons),
        reasons_all=len(Reason),
        branches=tuple(branch for branch in branches if branch.key not in reached.branches),
        branches_all=len(branches),
    )


def distance(verdict: Verdict) -> float:
    """Return how far a value is beyond its limit; infinite if it can never be reached."""
    if math.isinf(verdict.value) or math.isinf(verdict.limit):
        return math.inf
    return abs(verdict.value - verdict.limit)
