"""Reads CloudWatch alarms, and which of them roll back AppConfig deployments.

An alarm is put to a target by what it watches: a metric of flyball's clients, of
an AWS service, of Application Signals, of a function that others call. Composite
alarms are about what their parts are about. What fits nowhere is told by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from flyball.telemetry import NAMESPACE
from flyball_analytics.mapping.asking import Asker
from flyball_analytics.mapping.found import FoundSource, few

NAME, MONITORS = "CloudWatch alarms", "AppConfig monitors"
PART = re.compile(r"(?:ALARM|OK|INSUFFICIENT_DATA)\(\s*[\"']?([^\"')]+?)[\"']?\s*\)")
DEPTH_MAX = 5  # composites of composites


def from_alarms(metrics: Any, *, targets: Collection[str], functions: Collection[str]) -> FoundSource:
    """Return the alarms of targets that are known already.

    Args:
        metrics: boto3's `cloudwatch`.
        targets: Names that other sources found.
        functions: The functions of the map.
    """
    asker = Asker()
    found: dict[str, list[str]] = {}
    watched: set[str] = set()
    unplaced = []
    plain = _all(asker, metrics, "MetricAlarms", "MetricAlarm")
    composite = _all(asker, metrics, "CompositeAlarms", "CompositeAlarm") if plain is not None else None
    by_name = {alarm["AlarmName"]: alarm for alarm in (*(plain or ()), *(composite or ()))}
    for name in by_name:
        about = set(_about(name, by_name))
        hit = [target for target in targets if target in about]
        watched |= about & set(functions)
        for target in hit:
            found.setdefault(target, []).append(name)
        if not hit and not about & set(functions) and NAMESPACE not in about:
            unplaced.append(name)
    unknown = list(asker.unknown)
    if plain is not None:
        if unplaced:
            unknown.append(
                f"{NAME}: what these are about: {few(sorted(unplaced), 10)} (write alarms: yourself)"
            )
        silent = [name for name in functions if name not in watched]
        if silent:
            unknown.append(f"{NAME}: none watches {few(silent)}")
    targets_found = {name: {"alarms": sorted(names)} for name, names in found.items()}
    return FoundSource(NAME, {}, targets_found, tuple(dict.fromkeys(unknown)))


def _all(asker: Asker, metrics: Any, key: str, kind: str) -> list[Any] | None:
    return asker.pages(NAME, metrics, "describe_alarms", key, "cloudwatch:DescribeAlarms", AlarmTypes=[kind])


def _about(name: str, by_name: Mapping[str, dict[str, Any]], depth: int = 0) -> Iterator[str]:
    """Yield what an alarm may be about: names of targets, services, functions, and our own namespace."""
    alarm = by_name.get(name)
    if alarm is None or depth > DEPTH_MAX:
        return
    for part in PART.findall(str(alarm.get("AlarmRule", ""))):
        yield from _about(part.rsplit(":alarm:", 1)[-1], by_name, depth + 1)
    stats = [query.get("MetricStat", {}).get("Metric", {}) for query in alarm.get("Metrics", ())]
    for metric in (alarm, *stats):
        space = str(metric.get("Namespace", ""))
        sizes = {d["Name"]: d["Value"] for d in metric.get("Dimensions", ())}
        if space == NAMESPACE:
            yield NAMESPACE
        elif space == "AWS/Lambda":
            yield str(sizes.get("FunctionName", ""))
        elif space.startswith("AWS/"):
            yield space.removeprefix("AWS/").lower()
        yield from (str(sizes[key]) for key in ("target", "RemoteService") if key in sizes)


def from_monitors(appconfig: Any) -> FoundSource:
    """Return the alarms that roll back AppConfig deployments of any environment.

    Args:
        appconfig: boto3's `appconfig`.
    """
    asker, names = Asker(), set[str]()
    action = "appconfig:ListApplications"
    for application in asker.pages(MONITORS, appconfig, "list_applications", "Items", action) or ():
        environments = asker.pages(
            MONITORS,
            appconfig,
            "list_environments",
            "Items",
            "appconfig:ListEnvironments",
            ApplicationId=application["Id"],
        )
        for environment in environments or ():
            for monitor in environment.get("Monitors", ()):
                names.add(str(monitor.get("AlarmArn", "")).rsplit(":alarm:", 1)[-1])
    alarms = tuple(sorted(names - {""}))
    return FoundSource(MONITORS, {}, {}, tuple(dict.fromkeys(asker.unknown)), alarms)
