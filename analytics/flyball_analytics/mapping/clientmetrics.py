"""Reads the metrics of flyball's own clients: what guarded functions call, how fast, how often in vain.

The best source there is, for every guarded call is counted, none is sampled, and
targets have the names of their guards. What is not guarded yet is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyball.telemetry import LATENCY, NAMESPACE
from flyball_analytics.mapping.asking import DAYS, Asker, typical
from flyball_analytics.mapping.found import FoundSource, few

NAME = "flyball's clients"
DAYS_PER_MONTH = 730.0 / 24.0


def from_clients(metrics: Any, *, functions: Mapping[str, float | None], now_s: float) -> FoundSource:
    """Return what guarded calls measured in the last two weeks.

    Args:
        metrics: boto3's `cloudwatch`.
        functions: Invocations a month of the functions that the map is about; None: not known.
        now_s: The end of the two weeks, epoch seconds.
    """
    asker = Asker()
    listed = asker.pages(
        NAME,
        metrics,
        "list_metrics",
        "Metrics",
        "cloudwatch:ListMetrics",
        Namespace=NAMESPACE,
        MetricName="requests",
    )
    pairs: dict[tuple[str, str], dict[str, object]] = {}
    for metric in listed or ():
        sizes = {d["Name"]: d["Value"] for d in metric.get("Dimensions", ())}
        if set(sizes) == {"target", "function"} and sizes["function"] in functions:
            pair = sizes["function"], sizes["target"]
            pairs[pair] = _uses(asker, metrics, pair, functions[pair[0]], now_s)
    targets = {target: _measured(asker, metrics, target, now_s) for target in sorted({t for _, t in pairs})}
    unknown = list(dict.fromkeys(asker.unknown))
    unguarded = [name for name in functions if not any(name == caller for caller, _ in pairs)]
    if listed is not None and unguarded:
        unknown.append(f"{NAME}: have sent nothing from {few(unguarded)}")
    return FoundSource(NAME, pairs, targets, tuple(unknown))


def _uses(
    asker: Asker, metrics: Any, pair: tuple[str, str], monthly: float | None, now_s: float
) -> dict[str, object]:
    """Return how many requests one invocation makes."""
    sizes = [{"Name": "target", "Value": pair[1]}, {"Name": "function", "Value": pair[0]}]
    days = _daily(asker, metrics, "requests", sizes, ("Sum",), now_s)
    made = sum(day.get("Sum", 0.0) for day in days) / DAYS * DAYS_PER_MONTH
    if not monthly or made <= 0.0:
        return {}
    return {"calls_per_request": round(made / monthly, 3)} if made / monthly >= 0.001 else {}


def _measured(asker: Asker, metrics: Any, target: str, now_s: float) -> dict[str, object]:
    """Return latency and failed first attempts of a normal day."""
    sizes = [{"Name": "target", "Value": target}]
    requests = _daily(asker, metrics, "requests", sizes, ("Sum",), now_s)
    failures = _daily(asker, metrics, "first_attempt_failures", sizes, ("Sum",), now_s)
    latency = _daily(asker, metrics, LATENCY, sizes, ("p50", "p99"), now_s)
    shares = [
        min(1.0, bad["Sum"] / all_["Sum"])
        for all_, bad in zip(requests, failures, strict=False)
        if all_.get("Sum", 0.0) > 0.0 and "Sum" in bad
    ]
    found: dict[str, object] = {
        "error_ratio": typical(shares, 5) if len(requests) == len(failures) else None,
        "latency_ms": typical([day["p50"] for day in latency if day.get("p50", 0.0) > 0.0]),
        "latency_p99_ms": typical([day["p99"] for day in latency if day.get("p99", 0.0) > 0.0]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _daily(
    asker: Asker,
    metrics: Any,
    name: str,
    sizes: list[dict[str, str]],
    statistics: tuple[str, ...],
    now_s: float,
) -> list[dict[str, float]]:
    found = asker.daily(
        metrics,
        NAME,
        now_s=now_s,
        statistics=statistics,
        Namespace=NAMESPACE,
        MetricName=name,
        Dimensions=sizes,
    )
    return found or []
