"""Reads X-Ray's service graph: which traced function calls what, how fast, how often in vain.

Only sampled traces of the last day are there, and only of functions that trace:
what is not in the graph may still be called. Latencies are those of the caller's
side. Errors of the caller's making (4xx but throttles) are not counted as failures.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flyball_analytics.mapping.asking import Asker
from flyball_analytics.mapping.found import FoundSource, few
from flyball_analytics.mapping.targetnames import FUNCTION_TYPES, target_of

NAME = "X-Ray"
ACTION = "xray:GetServiceGraph"
WINDOW_H = 6  # the longest that one call may span
WINDOWS = 4  # a day: daily jobs are in it
CALLS_MIN = 30  # fewer make no median and no share


class _Edge:
    """What was summed up over windows for one function and target."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.total = 0
        self.failed = 0
        self.times: Counter[float] = Counter()


class _Graph(NamedTuple):
    edges: dict[tuple[str, str], _Edge]
    requests: Counter[str]
    resources: dict[str, set[str]]  # of a target: what it stands for
    skipped: set[str]


def from_xray(client: Any, *, functions: list[str], now_s: float) -> FoundSource:
    """Return what the traces of the last day show of the calls of functions.

    Args:
        client: boto3's `xray`.
        functions: The functions that the map is about.
        now_s: The end of the day, epoch seconds.
    """
    asker, graph = Asker(), _Graph({}, Counter(), {}, set())
    end = datetime.fromtimestamp(now_s, tz=UTC)
    for number in range(WINDOWS):
        until = end - timedelta(hours=WINDOW_H * number)
        services = asker.pages(
            NAME,
            client,
            "get_service_graph",
            "Services",
            ACTION,
            StartTime=until - timedelta(hours=WINDOW_H),
            EndTime=until,
        )
        if services is None:  # refused once, refused four times
            return FoundSource(NAME, {}, {}, tuple(asker.unknown))
        _add(graph, services, frozenset(functions))
    unknown = list(asker.unknown)
    unseen = [name for name in functions if not graph.requests[name]]
    if unseen:
        unknown.append(
            f"{NAME}: no traces of {few(unseen)} in {WINDOW_H * WINDOWS} h (tracing off, or no traffic)"
        )
    unknown += [f"{NAME}: {text} cannot be the name of a target" for text in sorted(graph.skipped)]
    unknown += [
        f"{NAME}: {target} stands for {few(sorted(names))}; write targets of their own for those that "
        "need a circuit each"
        for target, names in graph.resources.items()
        if len(names) > 1
    ]
    return FoundSource(NAME, _calls(graph), _targets(graph), tuple(unknown))


def _add(graph: _Graph, services: list[dict[str, Any]], wanted: frozenset[str]) -> None:
    """Add the services of one window."""
    by_id = {service["ReferenceId"]: service for service in services if "ReferenceId" in service}
    for service in services:
        name = str(service.get("Name", ""))
        if service.get("Type") not in FUNCTION_TYPES or name not in wanted:
            continue
        graph.requests[name] += int(service.get("SummaryStatistics", {}).get("TotalCount", 0))
        for edge in service.get("Edges", ()):
            called = by_id.get(edge.get("ReferenceId"))
            if called is None or edge.get("EdgeType") == "link":  # a link is a message, not a call
                continue
            called_type, called_name = str(called.get("Type", "remote")), str(called.get("Name", ""))
            found = target_of(called_type, called_name)
            if found is None:
                graph.skipped.add(repr(called_name))
                continue
            target, kind = found
            if target != called_name:
                graph.resources.setdefault(target, set()).add(called_name)
            _count(graph.edges.setdefault((name, target), _Edge(kind)), edge)


def _count(summed: _Edge, edge: dict[str, Any]) -> None:
    counts = edge.get("SummaryStatistics", {})
    summed.total += int(counts.get("TotalCount", 0))
    summed.failed += int(counts.get("FaultStatistics", {}).get("TotalCount", 0))
    summed.failed += int(counts.get("ErrorStatistics", {}).get("ThrottleCount", 0))
    for entry in edge.get("ResponseTimeHistogram", ()):
        summed.times[float(entry.get("Value", 0.0))] += int(entry.get("Count", 0))


def _calls(graph: _Graph) -> dict[tuple[str, str], dict[str, object]]:
    found: dict[tuple[str, str], dict[str, object]] = {}
    for (function, target), edge in graph.edges.items():
        requests = graph.requests[function]
        ratio = round(edge.total / requests, 3) if requests >= CALLS_MIN else 0.0
        found[function, target] = {"calls_per_request": ratio} if ratio > 0.0 else {}
    return found


def _targets(graph: _Graph) -> dict[str, dict[str, object]]:
    """Return the fields of targets, over all functions that call them."""
    found: dict[str, dict[str, object]] = {}
    for target in dict.fromkeys(target for _, target in graph.edges):
        edges = [edge for (_, called), edge in graph.edges.items() if called == target]
        total, times = sum(edge.total for edge in edges), Counter[float]()
        for edge in edges:
            times.update(edge.times)
        fields: dict[str, object] = {"kind": edges[0].kind}
        if times.total() >= CALLS_MIN:
            for field, share in (("latency_ms", 0.5), ("latency_p99_ms", 0.99)):
                value_ms = round(1_000.0 * _quantile(times, share), 1)
                if value_ms > 0.0:
                    fields[field] = value_ms
        if total >= CALLS_MIN:
            fields["error_ratio"] = round(sum(edge.failed for edge in edges) / total, 5)
        found[target] = fields
    return found


def _quantile(times: Counter[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed.

    >>> _quantile(Counter({0.1: 98, 0.5: 1, 2.0: 1}), 0.99)
    0.5
    """
    needed, passed = share * times.total(), 0
    for value in sorted(times):
        passed += times[value]
        if passed >= needed:
            return value
    return 0.0
