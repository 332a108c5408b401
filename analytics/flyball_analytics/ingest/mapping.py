"""Mapping files (YAML): which metrics, queries or columns stand for which field of a history.

Three small formats, one per source; errors name file, line, field and what would be
right. Reference: docs/reference/history.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.columns import FAILURE_FIELDS, Field
from flyball_analytics.problems import SeriesError
from flyball_analytics.scenarios.node import Node, read_node
from flyball_controller.aws.metric_map import (
    COUNT_FIELDS,
    NO_LATENCY,
    AwsMetricMap,
    client_metrics,
    lambda_metrics,
)

_MS_PER_UNIT = {"us": 0.001, "ms": 1.0, "s": 1_000.0}


def _root(path: Path) -> Node:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SeriesError(f"cannot be read: {error.strerror or error}", path=str(path)) from error
    return read_node(data, file=str(path))


# --- CloudWatch ---------------------------------------------------------------------------


def read_metric_maps(path: Path) -> dict[str, AwsMetricMap]:
    """Return the metric map of every target in a file for CloudWatch or metric streams.

        targets:
          payments: {client: true}
          checkout: {lambda: checkout-prod}
          quotes:
            namespace: Shop
            dimensions: {service: quotes}
            requests: [Requests]
            errors_fast: [Errors]
            latency: Latency
            latency_unit: s

    Raises:
        SeriesError: If the file cannot be read.
        ScenarioError: If an entry cannot be used; names file and line.
    """
    root = _root(path).mapping(("targets",))
    if "targets" not in root:
        raise SeriesError("needs `targets:`, a mapping of target to its metrics", path=str(path))
    return {target: _metric_map(target, node) for target, node in root["targets"].mapping().items()}


def _metric_map(target: str, node: Node) -> AwsMetricMap:
    known = ("client", "lambda", "namespace", "dimensions", *COUNT_FIELDS, "latency", "latency_unit")
    entry = node.mapping(known)
    if "lambda" in entry:
        _alone(entry, "lambda")
        return lambda_metrics(entry["lambda"].text())
    if "client" in entry:
        entry["client"].flag()
        _alone(entry, "client", "namespace")
        space = entry["namespace"].text() if "namespace" in entry else "flyball"
        return client_metrics(target, namespace=space)
    for needed in ("namespace", "requests"):
        if needed not in entry:
            node.fail(f"needs {needed!r}, or lambda: FUNCTION, or client: true")
    counts = {field: entry[field].texts() for field in COUNT_FIELDS if field in entry}
    if not any(field in counts for field in ("timeouts", "errors_fast", "throttles")):
        node.fail("needs a metric of failures: errors_fast, timeouts or throttles")
    dims = entry["dimensions"].mapping() if "dimensions" in entry else {}
    unit = entry["latency_unit"].text() if "latency_unit" in entry else "ms"
    if unit not in _MS_PER_UNIT:
        entry["latency_unit"].fail(f"must be one of {', '.join(_MS_PER_UNIT)}")
    return AwsMetricMap(
        namespace=entry["namespace"].text(),
        dimensions=tuple((name, value.text()) for name, value in dims.items()),
        latency=entry["latency"].text() if "latency" in entry else NO_LATENCY,
        latency_ms_per_unit=_MS_PER_UNIT[unit],
        **counts,
    )


def _alone(entry: Mapping[str, Node], *allowed: str) -> None:
    for name, node in entry.items():
        if name not in allowed:
            node.fail(f"has no meaning beside {allowed[0]!r}: leave one out")


# --- Prometheus ---------------------------------------------------------------------------


class SampleKind(StrEnum):
    """What the samples of a query are."""

    COUNTER = "counter"  # only grows; what it grew in a step counts, resets included
    RATE = "rate"  # per second; times the step
    COUNT = "count"  # of the step that ends at the sample, e.g. increase(...[step])
    GAUGE = "gauge"  # latencies: the value itself


class Query(NamedTuple):
    """One PromQL query for one field."""

    field: Field
    query: str
    kind: SampleKind


class PrometheusMap(NamedTuple):
    """Which queries make a history; `label` names the target, or `target` is the only one."""

    queries: tuple[Query, ...]
    step_s: float
    label: str
    target: str


_PROMETHEUS_FIELDS = tuple(
    field for field in Field if field not in (Field.TIMESTAMP, Field.ARRIVED, Field.TARGET)
)
_LATENCIES = (Field.LATENCY_P50_MS, Field.LATENCY_P99_MS, Field.LATENCY_P50_S, Field.LATENCY_P99_S)


def read_prometheus_map(path: Path) -> PrometheusMap:
    """Return the queries of a mapping file for Prometheus.

        step: 60s
        target_label: service
        fields:
          requests: {query: http_requests_total, as: counter}
          errors: {query: 'http_requests_total{code=~"5.."}', as: counter}
          latency_p99_s: {query: 'histogram_quantile(0.99, ...)', as: gauge}

    Raises:
        SeriesError: If the file cannot be read.
        ScenarioError: If an entry cannot be used; names file and line.
    """
    root_node = _root(path)
    root = root_node.mapping(("step", "target_label", "target", "fields"))
    if ("target_label" in root) == ("target" in root):
        root_node.fail("needs exactly one of target_label (a label of the series) and target (a name)")
    if "fields" not in root:
        root_node.fail("needs `fields:`, a mapping of field to query")
    known = {field.value: field for field in _PROMETHEUS_FIELDS}
    queries = tuple(_query(known[name], node) for name, node in root["fields"].mapping(known).items())
    found = {query.field for query in queries}
    if Field.REQUESTS not in found or not found & set(FAILURE_FIELDS):
        root["fields"].fail(f"needs requests and one of {', '.join(f.value for f in FAILURE_FIELDS)}")
    step_s = root["step"].span_s() if "step" in root else 60.0
    return PrometheusMap(
        queries,
        step_s,
        root["target_label"].text() if "target_label" in root else "",
        root["target"].text() if "target" in root else "",
    )


def _query(field: Field, node: Node) -> Query:
    entry = node.mapping(("query", "as"))
    if "query" not in entry:
        node.fail("needs `query:`, PromQL")
    whole = field in _LATENCIES or field in (Field.ERROR_RATIO, Field.ERROR_PERCENT)
    kinds = (SampleKind.GAUGE,) if whole else (SampleKind.COUNTER, SampleKind.RATE, SampleKind.COUNT)
    if "as" not in entry:
        if whole:
            return Query(field, entry["query"].text(), SampleKind.GAUGE)
        node.fail(f"needs `as:`, one of {', '.join(kinds)}: a rate taken for a count is wrong by a factor")
    word = entry["as"].text()
    if word not in kinds:
        entry["as"].fail(f"must be one of {', '.join(kinds)}")
    return Query(field, entry["query"].text(), SampleKind(word))


# --- CSV ----------------------------------------------------------------------------------


class CsvMap(NamedTuple):
    """How foreign CSV files are to be read."""

    columns: Mapping[str, str]
    target: str
    period_s: float | None
    delay_s: float


def read_csv_map(path: Path) -> CsvMap:
    """Return a mapping file for CSV.

        columns: {timestamp: when, requests: hits, errors: fails}
        target: payments       # default: the file's name, or the column of `columns: {target: ...}`
        period: 60s
        delay: 20s

    Raises:
        SeriesError: If the file cannot be read.
        ScenarioError: If an entry cannot be used; names file and line.
    """
    root = _root(path).mapping(("columns", "target", "period", "delay"))
    fields = tuple(field.value for field in Field)
    columns = root["columns"].mapping(fields) if "columns" in root else {}
    return CsvMap(
        {name: node.text() for name, node in columns.items()},
        root["target"].text() if "target" in root else "",
        root["period"].span_s() if "period" in root else None,
        root["delay"].span_s() if "delay" in root else 0.0,
    )
