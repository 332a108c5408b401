"""What the fleet learns from one environment: a line of JSON per target and flush.

CloudWatch's embedded metric format: no network, no SDK, no agent; the log line
is the metric. One line per flush and target, more only if there are more
latencies than one document may hold. Lines come from json.dumps alone, so no
name can forge a field (O6), and carry nothing but counts, latencies and the two
dimensions.

Source: CloudWatch Embedded Metric Format Specification (at most 100 values per
metric and document).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from flyball.call import Target
from flyball.outcome import Counters

NAMESPACE = "flyball"
VALUES_MAX = 100  # per metric and document, by the specification
COUNT_METRICS = (
    "requests",
    "first_attempt_failures",
    "attempts",
    "retries",
    "timeouts",
    "throttles",
    "errors_fast",
    "errors_permanent",
    "request_failures",
    "short_circuited",
    "fallbacks",
)
LATENCY = "latency"


def counts_of(counters: Counters) -> dict[str, int]:
    """Return the counts by metric name, sums of others included; in the order of COUNT_METRICS."""
    return {
        "requests": counters.requests,
        "first_attempt_failures": counters.timeouts + counters.throttles + counters.errors_fast,
        "attempts": counters.requests + counters.retries,
        "retries": counters.retries,
        "timeouts": counters.timeouts,
        "throttles": counters.throttles,
        "errors_fast": counters.errors_fast,
        "errors_permanent": counters.errors_permanent,
        "request_failures": counters.request_failures,
        "short_circuited": counters.short_circuited,
        "fallbacks": counters.fallbacks,
    }


def emf_lines(counters: Counters, *, target: str, function: str, now_s: float) -> list[str]:
    """Return the EMF lines of what was counted; none if nothing happened.

    Zeros are written too: once a target is used, a missing count must mean that
    data is missing (C7). Latencies are rounded to a microsecond.

    Args:
        counters: The counts since the last flush; not changed.
        target: First dimension.
        function: Second dimension; empty leaves only the roll-up by target.
        now_s: Epoch seconds, the time stamp of the metrics.
    """
    if counters.empty:
        return []
    counts = counts_of(counters)
    # A copy: a call that looked before these were taken away may still add to them.
    latencies = [round(latency, 3) for latency in counters.latencies_ms.copy()]
    chunks = [latencies[i : i + VALUES_MAX] for i in range(0, len(latencies), VALUES_MAX)] or [[]]
    lines = [_line(counts, chunks[0], target, function, now_s)]
    lines += [_line({}, chunk, target, function, now_s) for chunk in chunks[1:]]
    return lines


def _line(counts: dict[str, int], latencies: list[float], target: str, function: str, now_s: float) -> str:
    metrics = [{"Name": name, "Unit": "Count"} for name in counts]
    values: dict[str, object] = dict(counts)
    if latencies:
        metrics.append({"Name": LATENCY, "Unit": "Milliseconds"})
        values[LATENCY] = latencies
    dimensions = [["target"]]
    values["target"] = target
    if function:
        dimensions.insert(0, ["target", "function"])
        values["function"] = function
    directive = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}
    aws = {"Timestamp": int(now_s * 1_000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": aws, **values}, separators=(",", ":"))


def flush(target: Target, now_s: float, write: Callable[[str], object]) -> int:
    """Write what `target` counted since the last flush, and begin anew. Returns the number of lines.

    The counters are swapped before anything is written: a failing `write` loses
    one flush and never counts anything twice.
    """
    counters = target.take_counters()
    lines = emf_lines(counters, target=target.name, function=target.function, now_s=now_s)
    for line in lines:
        write(line)
    return len(lines)
