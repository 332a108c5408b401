"""Which target an alarm is about.

Looked for in this order, and the first place that names a target decides:
1. the `target` dimension of the alarm's own metrics (client metrics carry it),
   or the contributor's attribute of that name (a query grouped by target);
2. the operator's mapping from alarm name or ARN (FLYBALL_ALARM_TARGETS);
3. for composite alarms, the children that triggered, else those its rule names;
4. the naming convention `flyball/<target>/...`.

An alarm over several targets names several. Nothing is guessed from free text:
descriptions and reasons are for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from flyball.names import is_target_name
from flyball_controller.aws.stream_points import dimensions
from flyball_controller.bounded import child, members, text

METRICS_MAX = 100  # CloudWatch allows 10 per alarm, Metrics Insights 500 series but one query
CHILDREN_MAX = 100  # CloudWatch's own limit of alarms in one rule
RULE_CHARS_MAX = 10_240  # CloudWatch's own limit
NAME_CHARS_MAX = 255  # CloudWatch's own limit for alarm names
ARN_CHARS_MAX = 1_600  # CloudWatch's own limit for ARNs it accepts
TARGETS_MAX = 50  # one event wakes no more; the scheduled tick looks at all of them anyway

_RULE_TERM = re.compile(
    r"""\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"([^"]{1,1600})"|'([^']{1,1600})'|([^\s()"']{1,1600}))\s*\)"""
)
_CONVENTION = re.compile(r"flyball/([^/]+)/.")


def metrics(configuration: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (namespace, dimensions) of every metric an alarm watches, in both dialects."""
    for entry in members(child(configuration, "metrics"), METRICS_MAX):
        metric = child(entry, "metricStat", "metric")
        yield text(child(metric, "namespace"), 255) or "", dimensions(child(metric, "dimensions"))
    for entry in members(child(configuration, "Metrics"), METRICS_MAX):
        metric = child(entry, "MetricStat", "Metric")
        yield text(child(metric, "Namespace"), 255) or "", dimensions(child(metric, "Dimensions"))
    if isinstance(child(configuration, "MetricName"), str):
        yield (
            text(child(configuration, "Namespace"), 255) or "",
            dimensions(child(configuration, "Dimensions")),
        )


def by_dimension(configuration: object, attributes: object, namespace: str) -> list[str]:
    """Return the targets named by the contributor's attribute and by dimensions in our namespace."""
    found = [
        dims["target"] for space, dims in metrics(configuration) if space == namespace and "target" in dims
    ]
    attribute = text(child(attributes, "target"), 1024)
    return [*([attribute] if attribute is not None else []), *found]


def by_mapping(arn: str, mapping: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what the operator's mapping says about an alarm, by ARN first, then by name."""
    return list(mapping.get(arn) or mapping.get(name_in(arn)) or ())


def by_convention(name: str) -> list[str]:
    """Return the target in an alarm name of the form `flyball/<target>/...`.

    >>> by_convention("flyball/payments-api/error-rate"), by_convention("flyball/payments-api")
    (['payments-api'], [])
    """
    match = _CONVENTION.match(name)
    return [match.group(1)] if match else []


def rule_names(rule: object) -> list[str]:
    """Return the alarm names and ARNs that a composite alarm's rule mentions, in order.

    >>> rule_names('ALARM("flyball/a/errors") OR (OK(b) AND NOT ALARM(arn:aws:cloudwatch:r:1:alarm:c))')
    ['flyball/a/errors', 'b', 'arn:aws:cloudwatch:r:1:alarm:c']
    """
    found = _RULE_TERM.finditer(text(rule, RULE_CHARS_MAX) or "")
    return [m.group(1) or m.group(2) or m.group(3) for m in found][:CHILDREN_MAX]


def by_children(children: Iterable[str], mapping: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the targets of a composite alarm's children, given as ARNs or names."""
    return [t for alarm in children for t in by_mapping(alarm, mapping) or by_convention(name_in(alarm))]


def name_in(arn: str) -> str:
    """Return the alarm name in an ARN; anything else is taken as the name itself.

    >>> name_in("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a:b"), name_in("flyball/a/x")
    ('a:b', 'flyball/a/x')
    """
    parts = arn.split(":", 6)
    return parts[6] if len(parts) == 7 and parts[0] == "arn" else arn


def usable(candidates: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    """Return the distinct candidates that are known targets; well-formed ones if none are known."""
    distinct = dict.fromkeys(c for c in candidates if (c in known if known else is_target_name(c)))
    return tuple(distinct)[:TARGETS_MAX]
