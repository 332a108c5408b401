"""How many retries partial failure asks for, what they cost, and when it is clear that they do not help.

If attempts fail independently with ratio e, a request of k attempts needs
e + e^2 + ... + e^(k-1) more of them and fails with e^k. More failed requests than that,
although the retries were allowed and made, contradict independence: a dead
shard, a poison message, a bad deploy. Knows no circuits and no budgets in force but the
one it is asked about.
"""

from __future__ import annotations

from flyball_controller.core.model import Regime
from flyball_controller.core.moment import Moment
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import LawState

COVERED = 1.25  # a budget this much over the demand for retries needs no raising
RETRIED = 0.9  # of the retries that independence asks for: with fewer, requests fail for want of them
USELESS_FACTOR = 2.5  # request failures over 2.5 e^4 + 5 % contradict independent failures
USELESS_MARGIN = 0.05


def extra_attempts(now: Moment) -> float:
    """Return the attempts per request that three retries of independent failures would add: e + e^2 + e^3."""
    return _extra(now.pool.failures / now.pool.requests)


def _extra(ratio: float) -> float:
    return ratio + ratio * ratio + ratio * ratio * ratio


def budget_demand(now: Moment, policy: Policy, *, lost_is_cheap: bool = False) -> float:
    """Return what those attempts cost, in budget per request: fast errors cost less.

    So do time-outs (`lost_is_cheap`) where each client sees for itself that no queue is behind them.
    """
    pool = now.pool
    failures = pool.failures
    cheap = pool.errors_fast + (pool.timeouts if lost_is_cheap else 0)
    share = cheap / failures
    return _extra(failures / pool.requests) * (share * policy.fast_cost + 1.0 - share)


def retries_useless(law: LawState, now: Moment, policy: Policy, ratio: float) -> bool:
    """Return whether more requests fail than independence leaves, though the budget covers the demand."""
    pool = now.pool
    return (
        now.settled
        and law.regime == Regime.BROKEN  # the window in which it began mixes two ratios
        and pool.request_failures >= 0
        and pool.request_failures > useless_limit(ratio) * pool.requests
        and law.applied.budget_ratio >= COVERED * budget_demand(now, policy)
        and were_retried(law, now)
    )


def were_retried(law: LawState, now: Moment) -> bool:
    """Return whether clients made the retries that independence asks for: those not made prove nothing.

    A budget that covers them on average does not in every environment, nor in every second.
    """
    pool = now.pool
    if pool.attempts <= 0:
        return True  # not measured
    failures, requests = pool.failures, pool.requests
    failing = float(failures)
    asked = 0.0
    for _ in range(law.applied.max_attempts - 1):
        asked += failing
        failing = failing * failures / requests
    return pool.attempts - requests >= RETRIED * asked


def useless_limit(ratio: float) -> float:
    """Return the share of requests that may fail, with margin, if three retries fail independently."""
    return USELESS_FACTOR * ratio * ratio * ratio * ratio + USELESS_MARGIN
