"""Stay fixed or move to adaptive: "start fixed, move where frequent false positives are measured".

The burden of proof is with moving. A fixed threshold has frequent false firings if its
history proves, with 95 % confidence, more than one a week (exact Poisson bound: four in
one week, five in two). Adaptive is then recommended if it halves them and misses no
incident that fixed sees. Below a week of healthy time nothing is said.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from flyball_analytics.counts import counted
from flyball_analytics.moments import span_words
from flyball_analytics.score_interval import rate_per_week_min
from flyball_analytics.thresholds.metric import Metric
from flyball_analytics.thresholds.rules import RuleResult
from flyball_analytics.thresholds.tradeoff import FREQUENT_PER_WEEK, Cell, TradeOff
from flyball_controller.core.policy import Policy

WEEK_S = 604_800.0
COVERAGE_MIN = 0.5
ROWS_MIN = 30
HALF = 0.5


class Advice(StrEnum):
    """The three answers."""

    STAY = "stay fixed"
    MOVE = "move to adaptive"
    UNKNOWN = "not enough data"


class Recommendation(NamedTuple):
    """An answer, why, what is missing for a better one, and the setting to choose if adaptive."""

    advice: Advice
    because: str
    missing: tuple[str, ...]
    choice: Cell | None


def missing_data(metric: Metric, policy: Policy, healthy_s: float) -> tuple[str, ...]:
    """Return, in words with numbers, what the history lacks before anything can be said; empty if nothing.

    Args:
        metric: The history.
        policy: How many requests it needs to judge, pooled over how long.
        healthy_s: Time outside incidents, probation and ignored stretches.
    """
    found = []
    values = [point.value for point in metric.points if not math.isnan(point.value)]
    if len(values) < ROWS_MIN:
        found.append(f"{counted(len(values), 'window')} with a value: {ROWS_MIN} are the least")
    if healthy_s < WEEK_S:
        found.append(
            f"{span_words(healthy_s)} of healthy history: 7 d are the least, "
            f"{span_words(WEEK_S - healthy_s)} more are needed"
        )
    covered = len(values) * metric.period_s
    if metric.span_s > 0.0 and covered < COVERAGE_MIN * metric.span_s:
        found.append(f"only {100.0 * covered / metric.span_s:.0f} % of the windows have a value")
    if metric.series is not None and metric.span_s > 0.0:
        pool_s = max(policy.pool_s_max, metric.period_s)
        pooled = sum(o.requests for o in metric.series.observations) / metric.span_s * pool_s
        if pooled < policy.min_requests:
            found.append(
                f"{pooled:.1f} requests in {span_words(pool_s)}: {policy.min_requests} are needed to judge"
            )
    return tuple(found)


def recommend(
    metric: Metric,
    policy: Policy,
    fixed: RuleResult,
    adaptive: RuleResult,
    curve: TradeOff | None,
    *,
    labelled: bool,
) -> Recommendation:
    """Return what to do about one metric's threshold.

    Args:
        metric: The history.
        policy: The policy that was asked about.
        fixed: What a threshold that never moves did.
        adaptive: What ours did.
        curve: The trade-off over multiples and half-lives, if it was made.
        labelled: Whether incidents are known; if not, every firing counts as false.
    """
    missing = missing_data(metric, policy, fixed.score.healthy_s)
    if missing:
        return Recommendation(Advice.UNKNOWN, "; ".join(missing), missing, None)
    weeks = fixed.score.healthy_weeks
    false, less = fixed.score.false_alarms, adaptive.score.false_alarms
    proven = rate_per_week_min(false, weeks) or 0.0
    measured = f"fixed fires falsely {false} times in {weeks:.1f} weeks ({false / weeks:.3g} a week)"
    if not labelled:
        measured = f"fixed fires {false} times in {weeks:.1f} weeks ({false / weeks:.3g} a week)"
    choice = curve.best if curve is not None else None
    if proven <= FREQUENT_PER_WEEK:
        because = f"{measured}; that is not proven to be more than {FREQUENT_PER_WEEK:g} a week"
        return Recommendation(Advice.STAY, because, (), None)
    if less > HALF * false:
        because = f"{measured}, but adaptive fires {less} times: less than half is gained"
        return Recommendation(Advice.STAY, because, (), None)
    missed = _missed(fixed, adaptive, curve)
    if missed:
        return Recommendation(Advice.STAY, f"{measured}, adaptive {less}, but {missed}", (), choice)
    asked = bool(fixed.score.incidents) or curve is not None
    seen = "and misses nothing that fixed sees" if asked else "and what it would miss was not asked"
    because = f"{measured}, adaptive {less}, {seen}"
    if fixed.recurring:
        because += f"; {fixed.recurring} of its firings come at the same time again and again"
    unsure = () if labelled else ("labels of true incidents (--labels): unlabelled firings count as false",)
    return Recommendation(Advice.MOVE, because, unsure, choice)


def _missed(fixed: RuleResult, adaptive: RuleResult, curve: TradeOff | None) -> str:
    """Return what adaptive would miss of what fixed sees, in words; empty if nothing.

    A metric without incidents of its own is asked about the faults set in, labels or not: a
    threshold that is quiet because it is deaf has missed nothing where there was nothing to see.
    """
    if fixed.score.incidents:
        if adaptive.score.recognised < fixed.score.recognised:
            return f"it sees {adaptive.score.recognised} incidents where fixed sees {fixed.score.recognised}"
        return ""
    if curve is not None and curve.best.caught < curve.fixed.caught:
        return f"it sees {curve.best.caught} of the faults set in where fixed sees {curve.fixed.caught}"
    return ""
