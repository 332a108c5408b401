"""What retries cost and when they prove nothing, at the edges of each comparison."""

from __future__ import annotations

import pytest

from flyball_controller.core.baseline import Baseline
from flyball_controller.core.demand import budget_demand, extra_attempts, retries_useless, were_retried
from flyball_controller.core.evidence import Pool
from flyball_controller.core.model import Observation, Regime, Setpoint
from flyball_controller.core.moment import Moment
from flyball_controller.core.policy import Policy
from flyball_controller.core.regime import Verdict
from flyball_controller.core.state import LawState, nominal_setpoint
from flyball_controller.core.threshold import Trips

NOMINAL = nominal_setpoint(Policy())
DEAR = Policy(fast_cost=1.0)  # a retry costs as much as any other attempt


def moment(counts: Pool, *, settled: bool = True) -> Moment:
    """What a law looks at, with these counts."""
    trips = Trips(0.03, 0.6, 0.1, 0.15, 0.04, 0.03)
    seen = Observation("t", 0.0, 60.0, 80.0)
    verdict = Verdict(None, False, ())
    return Moment(
        80.0, seen, verdict, counts, trips, Baseline(), settled, 1.0, True, False, 0.0, 0.0, counts, NOMINAL
    )


def law(regime: Regime = Regime.BROKEN, applied: Setpoint = NOMINAL, **change: float) -> LawState:
    """Memory of a law with one setpoint in force."""
    return LawState(regime, applied._replace(**change))


def counted(requests: int, fast: int = 0, timeouts: int = 0, *, attempts: int = 0, failed: int = -1) -> Pool:
    """Counts of one minute."""
    return Pool(60.0, requests, timeouts, fast, 0, attempts, failed, 0)


def test_half_of_the_calls_failing_asks_for_seven_eighths_of_an_attempt_more():
    """0.5 + 0.25 + 0.125; fast ones cost a third, time-outs all unless somebody sees that they are cheap."""
    now = moment(counted(40, fast=10, timeouts=10))
    assert extra_attempts(now) == 0.875
    assert budget_demand(now, Policy()) == pytest.approx(0.875 * (0.5 * 0.33 + 0.5))
    assert budget_demand(now, Policy(), lost_is_cheap=True) == pytest.approx(0.875 * 0.33)
    assert budget_demand(moment(counted(40, timeouts=20)), Policy()) == 0.875


def test_retries_are_useless_from_one_request_over_the_limit():
    """A ratio of 0 leaves the margin: 5 % of 20 requests is one; one is not over it, two are."""
    generous = law(budget_ratio=3.0)
    one, two = (moment(counted(20, fast=10, failed=failed)) for failed in (1, 2))
    assert not retries_useless(generous, one, DEAR, 0.0)
    assert retries_useless(generous, two, DEAR, 0.0)


def test_a_budget_exactly_at_the_cover_covers():
    """1.25 x 0.875 = 1.09375, all of it exact in binary."""
    now = moment(counted(40, fast=20, failed=40))
    assert retries_useless(law(budget_ratio=1.09375), now, DEAR, 0.5)
    assert not retries_useless(law(budget_ratio=1.09374), now, DEAR, 0.5)


@pytest.mark.parametrize("regime", [regime for regime in Regime if regime != Regime.BROKEN])
def test_the_first_window_of_partial_failure_is_never_proof(regime):
    """It mixes two ratios."""
    now = moment(counted(40, fast=20, failed=40))
    assert not retries_useless(law(regime, budget_ratio=3.0), now, DEAR, 0.5)


def test_unsettled_or_unmeasured_windows_are_no_proof():
    """Either alone is enough to wait."""
    generous = law(budget_ratio=3.0)
    assert not retries_useless(generous, moment(counted(40, fast=20, failed=40), settled=False), DEAR, 0.5)
    assert not retries_useless(generous, moment(counted(40, fast=20, failed=-1)), DEAR, 0.5)


def test_retries_that_were_not_made_leave_the_question_open():
    """20 of 40 failed, four attempts: 31.5 of 35 retries are enough to judge by."""
    generous = law(budget_ratio=3.0)
    assert not retries_useless(generous, moment(counted(40, fast=20, failed=40, attempts=71)), DEAR, 0.5)
    assert retries_useless(generous, moment(counted(40, fast=20, failed=40, attempts=72)), DEAR, 0.5)


@pytest.mark.parametrize(
    ("attempts", "retried"),
    [(0, True), (1, False), (48, False), (49, True), (50, True)],
)
def test_nine_tenths_of_the_retries_asked_for_are_enough(attempts, retried):
    """Two attempts allowed, 10 of 40 failed: 10 retries are asked for, 9 will do; 0 is not measured."""
    assert were_retried(law(max_attempts=2), moment(counted(40, fast=10, attempts=attempts))) is retried


def test_each_further_attempt_asks_for_its_share():
    """20 of 40 failed, four attempts: 20 + 10 + 5 = 35 retries, of which 31.5 are nine tenths."""
    four = law(max_attempts=4)
    assert not were_retried(four, moment(counted(40, fast=20, attempts=71)))
    assert were_retried(four, moment(counted(40, fast=20, attempts=72)))
