"""The rules that are held beside each other, and what each would have said over one metric.

For an error ratio, "fixed" and "flyball" are the production step with and without its
learned half; the references see the plain ratio, as they would in a metric system.
For any other metric all of them are detectors on values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.detectors import DETECTORS, OURS, Detector, Verdict, new_detector
from flyball_analytics.labels import Labels
from flyball_analytics.score import Score, score_steps
from flyball_analytics.thresholds.firings import Firing, Row, firings_of, run_core, run_detector, steps_of
from flyball_analytics.thresholds.metric import Metric
from flyball_controller.codec import with_digest
from flyball_controller.core.policy import Policy

FIXED, ADAPTIVE = "fixed", "flyball"
REFERENCES = ("rolling-2x-1h", "rolling-2x-1d", "ewma-3sd", "cloudwatch-band")
# Column of a table: the registry's titles are sentences.
SHORT = {
    "rolling-2x-1h": "2 x mean of 1 h",
    "rolling-2x-1d": "2 x mean of 1 d",
    "ewma-3sd": "EWMA + 3 sigma",
    "cloudwatch-band": "CloudWatch-like band",
    FIXED: "fixed, mean + 3 sigma",
    OURS: "flyball band",
}
# Times of firings are binned: five minutes of the hour, hours of the day.
MINUTE_SLOT_S = 300.0
HOUR_S, DAY_S = 3_600.0, 86_400.0
RECURRING_MIN = 3
RECURRING_EXCESS = 3.0  # times what an even spread would put into one slot


class RuleResult(NamedTuple):
    """One rule over one metric.

    `score` counts every firing as false where there are no labels. `recurring` are the
    firings that share their minute of the hour, or their hour of the day, with others
    far more often than chance would have it: a batch, not an incident.
    """

    rule: str
    title: str
    rows: tuple[Row, ...]
    firings: tuple[Firing, ...]
    score: Score
    recurring: int
    ready_s: float | None


class FixedAt:
    """Fires above one level, for ever."""

    def __init__(self, upper: float) -> None:
        self._upper = upper

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value is above the level; NaN is not."""
        return Verdict(value > self._upper, None, self._upper, True)


def fixed_policy(policy: Policy, floor: float | None = None) -> Policy:
    """Return the policy with thresholds that never move: its floors alone, or `floor` for retries."""
    level = policy.retry_floor if floor is None else floor
    fixed = policy._replace(retry_adaptive=False, open_adaptive=False, retry_floor=level)
    return with_digest(fixed)


def adaptive_policy(
    policy: Policy, *, multiple: float | None = None, half_life_s: float | None = None
) -> Policy:
    """Return the policy with thresholds that follow the baseline, other multiples where given."""
    return with_digest(
        policy._replace(
            retry_adaptive=True,
            retry_multiple=policy.retry_multiple if multiple is None else multiple,
            half_life_s=policy.half_life_s if half_life_s is None else half_life_s,
        )
    )


def rule_names(metric: Metric) -> tuple[str, ...]:
    """Return the rules that are compared on this metric: fixed first, ours last."""
    ours = ADAPTIVE if metric.series is not None else OURS
    return (FIXED, *REFERENCES, ours)


def run_rule(
    metric: Metric, rule: str, policy: Policy, labels: Labels, *, fixed: float | None = None
) -> RuleResult:
    """Return when one rule would have fired, and how that fits the labels.

    Args:
        metric: The history.
        rule: `fixed`, `flyball` (counts only) or the name of a detector.
        policy: Multiples, floors and half-lives of the production step.
        labels: The incidents; empty: every firing counts as false.
        fixed: Level of the rule `fixed`, in the metric's unit; default: the policy's
            floor for error ratios, else what the detector `fixed` learns at the start.
    """
    if rule == FIXED and metric.series is not None:
        chosen = fixed_policy(policy, fixed)
        rows: Sequence[Row] = run_core(metric.series, chosen).rows
        title = f"fixed, {100.0 * chosen.retry_floor:.3g} %"
    elif rule == ADAPTIVE and metric.series is not None:
        chosen = adaptive_policy(policy)
        rows = run_core(metric.series, chosen).rows
        title = f"flyball, {chosen.retry_multiple:g} x baseline"
    else:
        detector, title = _detector(metric, rule, fixed)
        rows = run_detector(metric, detector)
    return result_of(rule, title, rows, labels)


def _detector(metric: Metric, rule: str, fixed: float | None) -> tuple[Detector, str]:
    if rule == FIXED and fixed is not None:
        return FixedAt(fixed), f"fixed, {fixed:g}"
    detector = new_detector(rule, rows=len(metric.points))
    return detector, SHORT.get(rule, DETECTORS[rule].title)


def result_of(rule: str, title: str, rows: Sequence[Row], labels: Labels) -> RuleResult:
    """Return the firings of rows that were run, and their score."""
    firings = firings_of(rows)
    ready_s = min((row.start_s for row in rows if row.ready), default=None)
    return RuleResult(
        rule,
        title,
        tuple(rows),
        tuple(firings),
        score_steps(steps_of(rows), labels),
        recurring(firings),
        ready_s,
    )


def recurring(firings: Sequence[Firing]) -> int:
    """Return how many firings come at the same minutes of the hour, or hours of the day, again and again.

    Three firings at least in one slot, and three times what an even spread would put there.
    """
    hourly = _crowded(
        [int(f.start_s % HOUR_S // MINUTE_SLOT_S) for f in firings], int(HOUR_S / MINUTE_SLOT_S)
    )
    daily = _crowded([int(f.start_s % DAY_S // HOUR_S) for f in firings], int(DAY_S / HOUR_S))
    return max(hourly, daily)


def _crowded(slots: Sequence[int], count: int) -> int:
    """Return how many fall into slots that hold far more than their share."""
    least = max(RECURRING_MIN, RECURRING_EXCESS * len(slots) / count)
    held = [slots.count(slot) for slot in set(slots)]
    return sum(number for number in held if number >= least)
