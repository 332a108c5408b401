"""Reads CloudWatch Application Signals: what the functions depend on, and the metrics of that.

Only functions that are instrumented for it are there. Latency and faults come from
the metrics that the dependencies refer to; where a function uses several operations
of a target, its latency is that of the one used most, its 99th percentile the worst.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flyball_analytics.mapping.asking import Asker, typical
from flyball_analytics.mapping.found import FoundSource, few
from flyball_analytics.mapping.targetnames import target_of

NAME = "Application Signals"
LIST_SERVICES = "application-signals:ListServices"
LIST_DEPENDENCIES = "application-signals:ListServiceDependencies"
HOURS = 24
METRICS_MAX = 400  # calls for metrics; a fleet with more keeps latencies of the first ones


class _Use(NamedTuple):
    """One operation of one target, over two weeks."""

    calls: float
    latency_ms: float | None
    p99_ms: float | None
    faults: float


def from_application_signals(client: Any, metrics: Any, *, functions: list[str], now_s: float) -> FoundSource:
    """Return what Application Signals knows of the dependencies of functions.

    Args:
        client: boto3's `application-signals`.
        metrics: boto3's `cloudwatch`.
        functions: The functions that the map is about.
        now_s: The end of the time that is looked at, epoch seconds.
    """
    asker = Asker()
    end = datetime.fromtimestamp(now_s, tz=UTC)
    span = {"StartTime": end - timedelta(hours=HOURS), "EndTime": end}
    services = asker.pages(NAME, client, "list_services", "ServiceSummaries", LIST_SERVICES, **span)
    if services is None:
        return FoundSource(NAME, {}, {}, tuple(asker.unknown))
    ours = {
        str(keys.get("Name")): dict(keys)
        for keys in (service.get("KeyAttributes", {}) for service in services)
        if keys.get("Type") == "Service" and keys.get("Name") in functions
    }
    calls: dict[tuple[str, str], dict[str, object]] = {}
    kinds: dict[str, str] = {}
    references: dict[str, list[dict[str, Any]]] = {}
    for name, keys in ours.items():
        listed = asker.pages(
            f"{NAME}, {name}",
            client,
            "list_service_dependencies",
            "ServiceDependencies",
            LIST_DEPENDENCIES,
            KeyAttributes=keys,
            **span,
        )
        for dependency in listed or ():
            found = _target(dependency.get("DependencyKeyAttributes", {}), asker)
            if found is not None:
                target, kind = found
                calls[name, target] = {}
                kinds[target] = kind
                references.setdefault(target, []).append(dependency)
    targets: dict[str, dict[str, object]] = {}
    asked = 0
    for target, kind in kinds.items():
        measured, used = _measured(asker, metrics, references[target], now_s, METRICS_MAX - asked)
        asked += used
        targets[target] = {"kind": kind, **measured}
    if asked >= METRICS_MAX:
        asker.unknown.append(f"{NAME}: latencies beyond the first {METRICS_MAX} metrics were not read")
    unseen = [name for name in functions if name not in ours]
    if unseen:
        asker.unknown.append(f"{NAME}: does not know {few(unseen)} (not instrumented, or no traffic)")
    return FoundSource(NAME, calls, targets, tuple(dict.fromkeys(asker.unknown)))


def _target(keys: dict[str, str], asker: Asker) -> tuple[str, str] | None:
    """Return the target of a dependency and its kind."""
    kind, name = keys.get("Type", ""), keys.get("Name", "")
    if kind in ("Resource", "AWS::Resource"):
        kind, name = keys.get("ResourceType", ""), keys.get("Identifier", "")
    elif kind == "AWS::Service":  # its name is the type: AWS::DynamoDB
        kind = name if name.startswith("AWS::") else f"AWS::{name}"
    found = target_of(kind, name)
    if found is None:
        asker.unknown.append(f"{NAME}: {name!r} cannot be the name of a target")
    return found


def _measured(
    asker: Asker, metrics: Any, dependencies: list[dict[str, Any]], now_s: float, left: int
) -> tuple[dict[str, object], int]:
    """Return latency and failures of one target, and how many metrics were asked for."""
    uses, asked = [], 0
    for dependency in dependencies:
        named = {ref.get("MetricName"): ref for ref in dependency.get("MetricReferences", ())}
        latency, fault = named.get("Latency"), named.get("Fault")
        if latency is None or asked + 2 > left:
            continue
        asked += 2
        wanted = ("SampleCount", "p50", "p99")
        days = asker.daily(metrics, NAME, now_s=now_s, statistics=wanted, **_metric(latency)) or []
        broken = (
            asker.daily(metrics, NAME, now_s=now_s, statistics=("Sum",), **_metric(fault)) or []
            if fault is not None
            else []
        )
        uses.append(
            _Use(
                sum(day.get("SampleCount", 0.0) for day in days),
                typical([day["p50"] for day in days if "p50" in day]),
                typical([day["p99"] for day in days if "p99" in day]),
                sum(day.get("Sum", 0.0) for day in broken),
            )
        )
    total = sum(use.calls for use in uses)
    if total <= 0.0:
        return {}, asked
    fields: dict[str, object] = {
        "error_ratio": round(min(1.0, sum(use.faults for use in uses) / total), 5),
        "latency_ms": max(uses, key=lambda use: use.calls).latency_ms,
        "latency_p99_ms": max((use.p99_ms for use in uses if use.p99_ms is not None), default=None),
    }
    return {name: value for name, value in fields.items() if value or name == "error_ratio"}, asked


def _metric(reference: dict[str, Any]) -> dict[str, object]:
    return {
        "Namespace": reference["Namespace"],
        "MetricName": reference["MetricName"],
        "Dimensions": [{"Name": d["Name"], "Value": d["Value"]} for d in reference.get("Dimensions", ())],
    }
