"""Budgets: how many retries each grants, worked by hand from its formula and defaults."""

from __future__ import annotations

import pytest

from flyball.outcome import Outcome
from flyball_analytics.references.base import ReferenceTarget
from flyball_analytics.references.budgets import (
    RetryQuota,
    ShareBudget,
    TtlBudget,
    aws_standard_2026,
    aws_standard_old,
    envoy_budget,
    finagle_budget,
    grpc_throttling,
)
from unit.references.support import ERROR, OK, THROTTLE, TIMEOUT, begun, end, one


def retries(target: ReferenceTarget, outcome: Outcome, calls: int, at_s: float = 0.0) -> int:
    """Return how many retries so many calls that fail throughout get."""
    return sum(one(target, outcome, at_s) - 1 for _ in range(calls))


@pytest.mark.parametrize(
    ("outcome", "old", "new"),
    [
        (ERROR, 100, 35),  # 500 / 5, 500 / 14
        (TIMEOUT, 50, 35),  # 500 / 10, 500 / 14
        (THROTTLE, 100, 100),  # 500 / 5 in both
    ],
)
def test_an_aws_quota_of_500_pays_for_a_burst_and_then_for_none(outcome: Outcome, old: int, new: int) -> None:
    """The burst is per client: a fleet of 50 environments has 50 of them."""
    assert retries(aws_standard_old(), outcome, 300) == old
    assert retries(aws_standard_2026(), outcome, 300) == new


def test_an_aws_success_returns_one_token_and_a_saved_call_returns_its_cost() -> None:
    """35 retries of 14 leave 10: four successes make 14, one retry; if that succeeds the 14 are back."""
    target = aws_standard_2026()
    assert retries(target, ERROR, 300) == 35
    for _ in range(3):
        one(target, OK)
    assert retries(target, ERROR, 1) == 0
    one(target, OK)
    call = begun(target)
    assert end(call, ERROR) is not None
    assert end(call, OK) is None
    assert retries(target, ERROR, 1) == 1


def test_an_aws_quota_never_holds_more_than_500() -> None:
    """Savings of a quiet hour are not a storm's credit."""
    quota = RetryQuota(cost=14, cost_timeout=14, cost_throttle=5)
    target = ReferenceTarget(quota, attempts=3)
    for _ in range(100):
        one(target, OK)
    assert quota.tokens == 500


def test_aws_waits_one_second_first_before_2026_and_50_ms_since() -> None:
    """U(0, 1) of 1 s and 2 s; of 50 ms and 100 ms; of 1 s when throttled."""
    old, new, throttled = begun(aws_standard_old()), begun(aws_standard_2026()), begun(aws_standard_2026())
    assert [end(old, ERROR), end(old, ERROR), end(old, ERROR)] == [0.5, 1.0, None]
    assert [end(new, ERROR), end(new, ERROR), end(new, ERROR)] == [0.025, 0.05, None]
    assert end(throttled, THROTTLE) == 0.5


def test_finagle_grants_one_retry_for_five_requests_and_forgets_after_ten_seconds() -> None:
    """Ratio 0.2 without the reserve: the fifth request's deposit completes one retry."""
    target = finagle_budget(reserve_per_s=0.0)
    assert [one(target, ERROR) for _ in range(5)] == [1, 1, 1, 1, 2]
    assert [one(target, ERROR, 5.0) for _ in range(4)] == [1, 1, 1, 1]
    assert one(target, ERROR, 10.0) == 2  # the old five and their retry are forgotten: 5 * 0.2 = 1
    assert one(target, ERROR, 30.0) == 1


def test_finagles_reserve_alone_pays_for_a_hundred_retries_in_ten_seconds() -> None:
    """10 per second * 10 s: an environment with one call at a time never gets there."""
    budget = TtlBudget()
    target = ReferenceTarget(budget, attempts=1_000)
    assert one(target, ERROR) - 1 == 100  # the request itself deposited 0.2
    assert budget.balance(9.9) == pytest.approx(0.2)
    assert budget.balance(10.0) == pytest.approx(100.0)


def test_envoy_allows_three_concurrent_retries_or_a_fifth_of_what_is_active() -> None:
    """10 active: max(3, 2) = 3; 20 active: max(3, 4) = 4."""
    for active, limit in ((10, 3), (20, 4)):
        target = envoy_budget()
        calls = [begun(target) for _ in range(active)]
        granted = [end(call, ERROR) is not None for call in calls]
        assert granted == [True] * limit + [False] * (active - limit)


def test_envoys_place_is_free_again_when_the_retry_ended() -> None:
    """By success, by a failure that is final, and by abandonment."""
    target = envoy_budget()
    calls = [begun(target) for _ in range(6)]
    first, second, third, fourth, fifth, sixth = calls
    for call in (first, second, third):
        assert end(call, ERROR) is not None
    assert end(fourth, ERROR) is None
    assert end(first, OK) is None
    assert end(fifth, ERROR) is not None
    assert end(sixth, ERROR) is None
    second.abandon()
    assert end(begun(target), ERROR) is not None


def test_envoys_budget_never_binds_with_one_call_at_a_time() -> None:
    """Why it is three static retries in this fleet: its floor is above anything one call needs."""
    assert retries(envoy_budget(), ERROR, 500) == 1_500


def test_grpc_stops_below_half_of_ten_tokens_and_needs_ten_successes_per_failure() -> None:
    """10 -> 6 by one call of four failures; the next leaves 5: none. 20 successes: 7, and 6 is enough."""
    target = grpc_throttling()
    assert one(target, ERROR) == 4
    assert one(target, ERROR) == 1
    for _ in range(20):
        one(target, OK)
    call = begun(target)
    assert end(call, ERROR) is not None  # 7.0 - 1 = 6.0
    assert end(call, ERROR) is None  # 5.0
    assert one(target, Outcome.PERMANENT) == 1
    for _ in range(200):
        one(target, OK)
    assert [one(target, ERROR), one(target, ERROR)] == [4, 1]  # full again at 10, not at 25


def test_an_sre_client_repeats_its_first_failure_and_then_one_attempt_in_ten() -> None:
    """Retries / attempts < 10 %: 1 of 10 is not, 1 of 11 is."""
    target = ReferenceTarget(ShareBudget(), attempts=2)
    assert one(target, ERROR) == 2  # 0 of 1, then 1 of 2
    for _ in range(7):
        one(target, OK)
    assert one(target, ERROR) == 1  # 1 of 10
    assert one(target, ERROR) == 2  # 1 of 11
    assert one(target, ERROR, 125.0) == 2  # two minutes later all is forgotten
