"""Embedded metric format: log lines to points of the store.

A log line is a stranger's data: whatever is wrong with it is counted and
reported, never raised, as CloudWatch Logs does (which keeps the line and extracts
nothing). A line that is no metric document at all is no fault. Delivery from
logs to metrics is at least once, so a reader may be told to take lines twice.

Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flyball_local.cloudwatch.errors import PointError
from flyball_local.cloudwatch.points import MINUTE_S, NO_UNIT, MetricKey
from flyball_local.cloudwatch.publish import DIMENSIONS_MAX, UNITS
from flyball_local.cloudwatch.store import MetricStore

METRICS_MAX = 100
VALUES_MAX = 100
LINE_BYTES_MAX = 1_048_576


class Problem(NamedTuple):
    """What is wrong with a line. `code` is stable and counted, `detail` is for people."""

    code: str
    detail: str


class EmfReport(NamedTuple):
    """What became of one line: points stored (each metric in each dimension set is one), and problems."""

    points: int
    problems: tuple[Problem, ...]


class _LineError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(code, detail)


class _Metric(NamedTuple):
    name: str
    unit: str
    resolution_s: int


class EmfReader:
    """Feeds lines into a store and keeps count.

    Args:
        store: Where points go.
        twice: Asked once per line that holds metrics; True delivers it a second time.

    Attributes:
        lines, points: How many came and were stored.
        problems: How often each problem code was met.
    """

    def __init__(self, store: MetricStore, *, twice: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._twice = twice
        self.lines = 0
        self.points = 0
        self.problems: Counter[str] = Counter()

    def ingest(self, line: str | bytes, *, now_s: float) -> EmfReport:
        """Take one log line; never raises for its content."""
        self.lines += 1
        try:
            document = _document(line)
            report = self._extract(document, now_s) if document is not None else EmfReport(0, ())
            if report.points and self._twice():
                report = report._replace(points=report.points + self._extract(document or {}, now_s).points)
        except _LineError as fault:
            report = EmfReport(0, (fault.problem,))
        self.points += report.points
        self.problems.update(problem.code for problem in report.problems)
        return report

    def _extract(self, document: Mapping[str, Any], now_s: float) -> EmfReport:
        meta = document["_aws"]
        stamp = meta.get("Timestamp")
        if isinstance(stamp, bool) or not isinstance(stamp, int):
            raise _LineError("timestamp", f"_aws.Timestamp={stamp!r} must be whole epoch milliseconds")
        directives = meta.get("CloudWatchMetrics")
        if not isinstance(directives, list):
            raise _LineError("directives", "_aws.CloudWatchMetrics must be a list")
        plans = [_plan(directive, document) for directive in directives]  # all, before anything is stored
        points, problems = 0, []
        for namespace, sets, metrics in plans:
            for metric in metrics:
                try:
                    samples = _samples(document, metric.name)
                    for dimensions in sets:
                        self._store.put_samples(
                            MetricKey(namespace, metric.name, dimensions),
                            samples,
                            at_s=stamp / 1000,
                            now_s=now_s,
                            unit=metric.unit,
                            resolution_s=metric.resolution_s,
                        )
                        points += 1
                except _LineError as fault:
                    problems.append(fault.problem)
                except PointError as fault:
                    problems.append(Problem("refused", f"{metric.name}: {fault}"))
        return EmfReport(points, tuple(problems))


def _document(line: str | bytes) -> dict[str, Any] | None:
    """Return the metric document in a line, None if it is an ordinary log line."""
    if len(line) > LINE_BYTES_MAX:
        raise _LineError("too_long", f"the line has {len(line)} bytes; at most {LINE_BYTES_MAX}")
    try:
        document = json.loads(line)
    except RecursionError:
        raise _LineError("json", "the line is nested too deeply") from None
    except ValueError as error:
        text = line if isinstance(line, str) else line.decode("utf-8", "replace")
        if '"_aws"' not in text:
            return None
        raise _LineError("json", f"the line mentions _aws but is not JSON: {error}") from error
    if not isinstance(document, dict) or "_aws" not in document:
        return None
    if not isinstance(document["_aws"], dict):
        raise _LineError("aws", "_aws must be an object")
    return document


_Plan = tuple[str, list[tuple[tuple[str, str], ...]], list[_Metric]]


def _plan(directive: object, document: Mapping[str, Any]) -> _Plan:
    """Return namespace, dimension sets with their values, and metrics of one directive."""
    if not isinstance(directive, dict):
        raise _LineError("directives", "a member of _aws.CloudWatchMetrics is not an object")
    namespace = directive.get("Namespace")
    if not isinstance(namespace, str) or not namespace or namespace.startswith("AWS/"):
        raise _LineError(
            "namespace", f"Namespace={namespace!r} must be a text, not empty, not beginning with AWS/"
        )
    sets = directive.get("Dimensions", [])
    metrics = directive.get("Metrics")
    if not isinstance(sets, list) or not all(isinstance(s, list) for s in sets):
        raise _LineError("dimensions", "Dimensions must be a list of lists of names")
    if not isinstance(metrics, list) or len(metrics) > METRICS_MAX:
        raise _LineError("metrics", f"Metrics must be a list of at most {METRICS_MAX}")
    # No dimension set at all means one series without dimensions.
    return namespace, [_dimensions(s, document) for s in sets or [[]]], [_metric(m) for m in metrics]


def _dimensions(names: Sequence[object], document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return one dimension set as a series is known by it: names and values, sorted."""
    if len(names) > DIMENSIONS_MAX:
        raise _LineError("dimensions", f"a dimension set has {len(names)} names; at most {DIMENSIONS_MAX}")
    pairs: dict[str, str] = {}
    for name in names:
        value = document.get(name) if isinstance(name, str) else None
        if not isinstance(name, str) or not isinstance(value, str) or not value:
            raise _LineError("dimensions", f"dimension {name!r} has no text value in the document")
        pairs[name] = value
    return tuple(sorted(pairs.items()))


def _metric(definition: object) -> _Metric:
    if (
        not isinstance(definition, dict)
        or not isinstance(definition.get("Name"), str)
        or not definition["Name"]
    ):
        raise _LineError("metrics", "a metric definition has no Name")
    unit = definition.get("Unit", NO_UNIT)
    resolution_s = definition.get("StorageResolution", MINUTE_S)
    if unit not in UNITS:
        raise _LineError("unit", f"Unit={unit!r} of {definition['Name']!r} is not a standard unit")
    if resolution_s not in (1, MINUTE_S):
        raise _LineError("metrics", f"StorageResolution={resolution_s!r} must be 1 or 60")
    return _Metric(definition["Name"], unit, resolution_s)


def _samples(document: Mapping[str, Any], name: str) -> list[tuple[float, float]]:
    """Return (value, 1) pairs of a metric's target member: a number, or a list of up to 100 numbers."""
    target = document.get(name)
    values: list[Any] = target if isinstance(target, list) else [target]
    if len(values) > VALUES_MAX:
        raise _LineError("value", f"{name!r} has {len(values)} values; at most {VALUES_MAX}")
    if not values or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise _LineError("value", f"{name!r} must be a number or a list of numbers in the document")
    return [(float(v), 1.0) for v in values]
