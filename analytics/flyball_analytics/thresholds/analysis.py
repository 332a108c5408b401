"""Everything `flyball thresholds` says about one metric, as one record; and the same for a data frame."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

from flyball_analytics.labels import Labels
from flyball_analytics.thresholds.firings import run_core
from flyball_analytics.thresholds.metric import Metric
from flyball_analytics.thresholds.recommend import Advice, Recommendation, missing_data, recommend
from flyball_analytics.thresholds.rules import (
    ADAPTIVE,
    RuleResult,
    adaptive_policy,
    result_of,
    rule_names,
    run_rule,
)
from flyball_analytics.thresholds.season import Bands, bands_of
from flyball_analytics.thresholds.tradeoff import HALF_LIVES_S, MULTIPLES, TradeOff, trade_off
from flyball_controller.core.policy import Policy

NO_LABELS = Labels(())
# Runs of one analysis: the rules, the fixed threshold again, the grid.
RUNS = 6 + 1 + len(MULTIPLES) * len(HALF_LIVES_S)


class Analysis(NamedTuple):
    """One metric judged; `labels` None = no incidents are known, every firing counts as false."""

    metric: Metric
    labels: Labels | None
    bands: Bands | None
    results: tuple[RuleResult, ...]  # fixed first, ours last
    curve: TradeOff | None
    recommendation: Recommendation

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows; None where matplotlib is missing or nothing was read."""
        if find_spec("matplotlib") is None or not self.metric.points:
            return None
        from flyball_analytics.thresholds.picture import draw

        return draw([self], form="png")


def analyse(
    metric: Metric,
    policy: Policy,
    *,
    labels: Labels | None = None,
    fixed: float | None = None,
    curve: bool = True,
) -> Analysis:
    """Return baseline, bands, firings of every rule, trade-off and recommendation for one metric.

    Args:
        metric: The history.
        policy: Floors, multiples and half-lives of the production step.
        labels: The true incidents, if known.
        fixed: Level of the fixed threshold, in the metric's unit; default: see `run_rule`.
        curve: Whether to run the grid of multiples and half-lives (eighteen more runs).
    """
    runs = analyse_by_run(metric, policy, labels=labels, fixed=fixed, curve=curve)
    return next(item for item in runs if item is not None)


def analyse_by_run(
    metric: Metric,
    policy: Policy,
    *,
    labels: Labels | None = None,
    fixed: float | None = None,
    curve: bool = True,
) -> Iterator[Analysis | None]:
    """Yield None after every run, for progress, and the analysis at the end; arguments as in `analyse`."""
    truth = labels if labels is not None else NO_LABELS
    results = []
    bands = None
    for rule in rule_names(metric):
        if rule == ADAPTIVE and metric.series is not None:
            chosen = adaptive_policy(policy)
            run = run_core(metric.series, chosen)
            title = f"flyball, {chosen.retry_multiple:g} x baseline"
            results.append(result_of(rule, title, run.rows, truth))
            bands = bands_of(run.rows, run.state, chosen)
        else:
            results.append(run_rule(metric, rule, policy, truth, fixed=fixed))
        yield None
    if metric.series is None:
        bands = bands_of(results[-1].rows, None, policy)
    too_little = missing_data(metric, policy, results[0].score.healthy_s)
    grid = None
    if curve and not too_little:
        for item in trade_off(metric, policy, truth, fixed=fixed):
            grid = item if isinstance(item, TradeOff) else None
            yield None
    advice = recommend(metric, policy, results[0], results[-1], grid, labelled=labels is not None)
    yield Analysis(metric, labels, bands, tuple(results), grid, advice)


def anything_said(analysis: Analysis) -> bool:
    """Return whether the history was enough for an answer."""
    return analysis.recommendation.advice is not Advice.UNKNOWN
