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

from collections.abc import Iterator, Mapping
from typing import NamedTuple

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

    def counts(self) -> Mapping[str, tuple[str, ...]]:
        """Return the metric names of every count that is measured, by field of Observation."""
        return {field: names for field in COUNT_FIELDS if (names := getattr(self, field))}

    def sources(self) -> Iterator[Source]:
        """Yield every query that this target needs, each once."""
        for metric in dict.fromkeys(name for names in self.counts().values() for name in names):
            yield Source(self.namespace, metric, self.dimensions, SUM)
        if self.latency != NO_LATENCY:
            for stat in (P50, P99):
                yield Source(self.namespace, self.latency, self.dimensions, stat)


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


def client_metrics(target: str, *, namespace: str = "flyball") -> AwsMetricMap:
    """Return the map of the client's metrics, rolled up over all functions (dimension set {target}).

    The client emits every counter whenever it emits `requests`, zeros included.

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
    )


def lambda_metrics(function_name: str) -> AwsMetricMap:
    """Return the map of a Lambda function watched by its own metrics (namespace AWS/Lambda).

    Invocations and Throttles together are the requests. Time-outs of the function
    are inside Errors and count as fast errors: the service does not tell them
    apart. Retries of callers are inside Invocations and cannot be told apart
    either, so a map like this overstates the error rate while callers retry.
    """
    return AwsMetricMap(
        namespace="AWS/Lambda",
        dimensions=(("FunctionName", function_name),),
        requests=("Invocations", "Throttles"),
        errors_fast=("Errors",),
        throttles=("Throttles",),
        latency="Duration",
    )
