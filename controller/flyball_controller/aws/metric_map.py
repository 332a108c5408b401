"""Which CloudWatch metrics stand for which field of an observation.

A map is data, not code: for each field the metrics whose raw sums are added. Two
makers are given: the client's own metrics, which split failures by class and
count first attempts, and the metrics that an AWS service emits by itself, for a
fleet that does not (yet) run the client. Only raw statistics are asked for: all
arithmetic is ours, so that recorded and live data are treated alike.

Sources: Amazon CloudWatch user guide, "GetMetricData"; AWS Lambda developer
guide, "Types of metrics" (throttled invocations count neither as Invocations nor
as Errors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_FUNCTION_ARN = re.compile(r"(?:arn:[a-z-]+:lambda:[a-z0-9-]+:)?([0-9]{12}):function:([A-Za-z0-9_-]{1,64})")
NO_LATENCY = ""
P50 = "p50"
P99 = "p99"
SUM = "Sum"


class Source(NamedTuple):
    """One metric with one statistic: what a single query of GetMetricData asks for."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str
    account: str = ""  # whose metric, seen from a monitoring account; "" = the account that is asked


class AwsMetricMap(NamedTuple):
    """The metrics of one target.

    Each count is the sum of the named metrics; () = this source does not measure
    it. `requests` is the measure of presence: a window in which neither it nor
    `short_circuited` has a value is no observation, and a window that has one
    reads every other absent metric as 0. That holds only for sources that emit
    failures as 0 or not at all while they emit requests, as the makers below do.
    """

    namespace: str
    dimensions: tuple[tuple[str, str], ...]
    requests: tuple[str, ...]
    timeouts: tuple[str, ...] = ()
    errors_fast: tuple[str, ...] = ()
    throttles: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    request_failures: tuple[str, ...] = ()
    short_circuited: tuple[str, ...] = ()
    errors_permanent: tuple[str, ...] = ()
    latency: str = NO_LATENCY
    latency_ms_per_unit: float = 1.0  # 1000 for a metric in seconds, 0.001 for microseconds
    accounts: tuple[str, ...] = ("",)  # where the same metrics are; their values are put together

    def counts(self) -> Mapping[str, tuple[str, ...]]:
        """Return the metric names of every count that is measured, by field of Observation."""
        return {field: names for field in COUNT_FIELDS if (names := getattr(self, field))}

    def sources(self) -> Iterator[Source]:
        """Yield every query that this target needs, each once."""
        for account in self.accounts:
            for metric in dict.fromkeys(name for names in self.counts().values() for name in names):
                yield Source(self.namespace, metric, self.dimensions, SUM, account)
            if self.latency != NO_LATENCY:
                for stat in (P50, P99):
                    yield Source(self.namespace, self.latency, self.dimensions, stat, account)


# Fields of Observation that are sums of metrics; `request_failures` is -1 if not measured.
COUNT_FIELDS = (
    "requests",
    "timeouts",
    "errors_fast",
    "throttles",
    "attempts",
    "request_failures",
    "short_circuited",
    "errors_permanent",
)


def put_together(stat: str, one: float, other: float) -> float:
    """Return one value for two of the same window, from two accounts.

    Sums add up. A quantile of both together lies between those of the parts and
    cannot be had from them: the larger is taken, which errs towards slow. What is
    no number stays none.

    >>> put_together("Sum", 2.0, 3.0), put_together("p99", 80.0, 95.0)
    (5.0, 95.0)
    """
    if stat == SUM or not (one == one and other == other):  # NaN is not equal to itself
        return one + other
    return max(one, other)


def client_metrics(
    target: str, *, namespace: str = "flyball", accounts: tuple[str, ...] = ("",)
) -> AwsMetricMap:
    """Return the map of the client's metrics, rolled up over all functions (dimension set {target}).

    The client emits every counter whenever it emits `requests`, zeros included.

    Args:
        target: Whose.
        namespace: Of the metrics.
        accounts: Where clients run; ("",) = in the account that is asked.

    >>> client_metrics("payments").dimensions
    (('target', 'payments'),)
    """
    return AwsMetricMap(
        namespace,
        (("target", target),),
        requests=("requests",),
        timeouts=("timeouts",),
        errors_fast=("errors_fast",),
        throttles=("throttles",),
        attempts=("attempts",),
        request_failures=("request_failures",),
        short_circuited=("short_circuited",),
        errors_permanent=("errors_permanent",),
        latency="latency",
        accounts=accounts,
    )


def lambda_metrics(function: str) -> AwsMetricMap:
    """Return the map of a Lambda function watched by its own metrics (namespace AWS/Lambda).

    Args:
        function: Its name, in the account that is asked; of another account its ARN, or the
            part of it that Lambda accepts too, ACCOUNT:function:NAME.

    Invocations and Throttles together are the requests. Time-outs of the function
    are inside Errors and count as fast errors: the service does not tell them
    apart. Retries of callers are inside Invocations and cannot be told apart
    either, so a map like this overstates the error rate while callers retry.

    >>> lambda_metrics("210987654321:function:mailer").accounts
    ('210987654321',)
    """
    elsewhere = _FUNCTION_ARN.fullmatch(function)
    account, function_name = (elsewhere[1], elsewhere[2]) if elsewhere else ("", function)
    return AwsMetricMap(
        namespace="AWS/Lambda",
        dimensions=(("FunctionName", function_name),),
        requests=("Invocations", "Throttles"),
        errors_fast=("Errors",),
        throttles=("Throttles",),
        latency="Duration",
        accounts=(account,),
    )
