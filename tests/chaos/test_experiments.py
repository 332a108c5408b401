"""The shipped experiments: each holds, each can fail, and the same seed says the same."""

from __future__ import annotations

from functools import cache

import pytest

from chaos.protections import LOST, RECOVERY
from flyball_controller.policy_set import load_preset
from flyball_local.chaos.experiment import Result, Verdict, run
from flyball_local.chaos.experiments import EXPERIMENTS
from flyball_local.chaos.measures import Phase
from flyball_local.chaos.report import results_json

SEED = 1


def tried(name: str, seed: int = SEED) -> Result:
    """Run an experiment under the shipped policy."""
    return run(EXPERIMENTS[name], policies=load_preset("two-loop"), policy="two-loop", seed=seed)


sound = cache(tried)  # for tests that take no protection away


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_hypothesis_holds(name):
    """The promise of the name, measured: steady before, within its bounds during, recovered after."""
    result = sound(name)
    assert result.verdict is Verdict.HELD, result.reasons


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_without_its_protection_the_hypothesis_is_broken(name):
    """A verdict that cannot be no is worth nothing; the measure that was meant to notice does."""
    lost = LOST[name]
    with lost.without():
        result = tried(name)
    assert result.verdict is Verdict.BROKEN, lost.what
    broken = {finding.bound.measure for finding in result.findings if not finding.kept}
    if lost.noticed_by == RECOVERY:
        allowed_s = result.experiment.recovers_within_s
        assert result.recovered_s is None or result.recovered_s > allowed_s
    else:
        assert lost.noticed_by in broken


def test_every_experiment_has_a_protection_to_lose():
    """A new experiment must show that it can fail."""
    assert set(LOST) == set(EXPERIMENTS)


def test_the_same_seed_says_the_same_and_another_one_draws_anew():
    """A verdict that cannot be repeated cannot be looked into."""
    once, again = sound("throttle-named"), tried("throttle-named")
    assert results_json([once]) == results_json([again])
    other = tried("throttle-named", SEED + 1)
    assert other.phases[Phase.DURING]["struck"] != once.phases[Phase.DURING]["struck"]


def test_a_throttled_target_is_waited_for_longer_than_a_failing_one():
    """The story behind it: clients that retried a 429 like any error made it worse."""
    throttled = sound("throttle-storm").phases[Phase.DURING]["throttle_wait_s"]
    failing = sound("partial-errors").phases[Phase.DURING]["error_wait_s"]
    assert throttled is not None
    assert failing is not None
    assert throttled > 5.0 * failing
