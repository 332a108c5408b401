"""Definitions of metric and composite alarms: from request to record, refusing what cannot be kept.

A definition is the whole request: PutMetricAlarm replaces everything, so nothing
of an earlier one survives. Features this emulator lacks (anomaly bands, PromQL,
warm-up, action suppressors, tag propagation) are refused, never ignored.

Source: botocore service model "cloudwatch", PutMetricAlarm and PutCompositeAlarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flyball.hints import did_you_mean
from flyball_local.cloudwatch.buckets import percent_of
from flyball_local.cloudwatch.judgement import COMPARISONS, Missing
from flyball_local.cloudwatch.points import DAY_S, HOUR_S, MINUTE_S
from flyball_local.cloudwatch.query import MathQuery, MetricQuery, Query, invalid, parse_queries
from flyball_local.cloudwatch.rules import Rule, parse_rule

Wire = Mapping[str, Any]

ALARM_PERIODS_S = (10, 20, 30)
_LACKING = (
    "ThresholdMetricId", "EvaluationWindow", "WarmUpConfiguration", "EvaluationCriteria",
    "EvaluationInterval", "ActionConfiguration", "ActionsSuppressor", "ActionsSuppressorWaitPeriod",
    "ActionsSuppressorExtensionPeriod",
)  # fmt: skip
_PLAIN = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit")


class AlarmView(NamedTuple):
    """What events and descriptions need to know of an alarm; `params` is the request that defined it."""

    name: str
    arn: str
    account: str
    region: str
    params: Wire
    updated_s: float

    @property
    def actions_enabled(self) -> bool:
        """Whether state changes act; events are sent either way."""
        return bool(self.params.get("ActionsEnabled", True))


class MetricSpec(NamedTuple):
    """How a metric alarm is evaluated."""

    queries: tuple[Query, ...]
    watched: Query  # the one whose points are compared
    period_s: int
    periods: int
    to_alarm: int
    threshold: float
    comparison: str
    missing: Missing
    skip_low_samples: bool
    m_of_n: bool  # DatapointsToAlarm was given: reasons are worded differently

    @property
    def percent(self) -> float | None:
        """NN if the watched statistic is a percentile."""
        return percent_of(self.watched.stat) if isinstance(self.watched, MetricQuery) else None


class CompositeSpec(NamedTuple):
    """How a composite alarm is evaluated."""

    rule: Rule


Spec = MetricSpec | CompositeSpec


def composite_spec(params: Wire) -> CompositeSpec:
    """Return the evaluation of a PutCompositeAlarm request; raises CloudWatchError (ValidationError)."""
    _refuse_lacking(params)
    return CompositeSpec(parse_rule(params["AlarmRule"]))


def metric_spec(params: Wire) -> MetricSpec:
    """Return the evaluation of a PutMetricAlarm request; raises CloudWatchError (ValidationError)."""
    _refuse_lacking(params)
    comparison = _choice(params, "ComparisonOperator", COMPARISONS)
    if "Threshold" not in params:
        raise invalid("Threshold is missing")
    if "EvaluationPeriods" not in params:
        raise invalid("EvaluationPeriods is missing")
    periods = params["EvaluationPeriods"]
    to_alarm = params.get("DatapointsToAlarm", periods)
    if to_alarm > periods:
        raise invalid(f"DatapointsToAlarm={to_alarm} must not exceed EvaluationPeriods={periods}")
    queries, watched, period_s = _metrics(params) if "Metrics" in params else _plain_metric(params)
    _check_span(period_s, periods)
    missing = Missing(_choice(params, "TreatMissingData", [m.value for m in Missing], "missing"))
    if any(isinstance(q, MetricQuery) and q.key.namespace == "AWS/DynamoDB" for q in queries):
        missing = Missing.IGNORE  # documented at TreatMissingData: whatever the alarm says
    low = _choice(params, "EvaluateLowSampleCountPercentile", ["evaluate", "ignore"], "evaluate")
    return MetricSpec(
        tuple(queries),
        watched,
        period_s,
        periods,
        to_alarm,
        params["Threshold"],
        comparison,
        missing,
        low == "ignore",
        "DatapointsToAlarm" in params,
    )


def _refuse_lacking(params: Wire) -> None:
    for field in _LACKING:
        if field in params:
            raise invalid(f"{field} is not offered by this emulator; leave it out")


def _choice(params: Wire, field: str, allowed: Any, default: str | None = None) -> str:
    value = params.get(field, default)
    if value is None:
        raise invalid(f"{field} is missing")
    if value not in allowed:
        raise invalid(f"{field}={value!r} must be one of {', '.join(allowed)}{did_you_mean(value, allowed)}")
    return str(value)


def _check_span(period_s: int, periods: int) -> None:
    if period_s not in ALARM_PERIODS_S and period_s % MINUTE_S != 0:
        raise invalid(f"Period={period_s} must be 10, 20, 30 or a multiple of 60 seconds")
    longest_s = DAY_S if period_s < HOUR_S else 7 * DAY_S
    if period_s * periods > longest_s:
        raise invalid(
            f"Period x EvaluationPeriods is {period_s * periods} s; at most {longest_s} s "
            "(one day, or seven for periods of an hour and more)"
        )


def _plain_metric(params: Wire) -> tuple[list[Query], Query, int]:
    for field in ("MetricName", "Namespace", "Period"):
        if field not in params:
            raise invalid(f"{field} is missing (or give Metrics)")
    if ("Statistic" in params) == ("ExtendedStatistic" in params):
        raise invalid("exactly one of Statistic and ExtendedStatistic must be given")
    metric = {k: params[k] for k in ("Namespace", "MetricName", "Dimensions") if k in params}
    stat: dict[str, Any] = {
        "Metric": metric,
        "Period": params["Period"],
        "Stat": params.get("Statistic") or params["ExtendedStatistic"],
    }
    if "Unit" in params:
        stat["Unit"] = params["Unit"]
    queries = parse_queries([{"Id": "m1", "MetricStat": stat}])
    return queries, queries[0], params["Period"]


def _metrics(params: Wire) -> tuple[list[Query], Query, int]:
    clash = [f for f in _PLAIN if f in params]
    if clash:
        raise invalid(f"Metrics cannot stand together with {', '.join(clash)}")
    queries = parse_queries(params["Metrics"])
    wanted = [q for q in queries if q.wanted]
    if len(wanted) != 1:
        raise invalid(f"exactly one member of Metrics must have ReturnData true, not {len(wanted)}")
    periods = {q.period_s for q in queries if isinstance(q, MetricQuery)}
    if len(periods) != 1:
        raise invalid("all metrics of an alarm must have one and the same Period")
    if isinstance(wanted[0], MathQuery) and not (
        wanted[0].expression.reads or wanted[0].expression.reads_metrics
    ):
        raise invalid(f"expression {wanted[0].text!r} reads no metric")
    return queries, wanted[0], periods.pop()
