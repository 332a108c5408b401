"""PutMetricData of the embedded CloudWatch: all of a request is stored, or nothing.

Checks what AWS checks and botocore's validation does not: which of Value,
Values and StatisticValues may stand together, sizes, the reserved AWS/
namespaces, units, resolution. Values and times are the store's to judge.

Source: botocore service model "cloudwatch", PutMetricData and MetricDatum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flyball_local.cloudwatch.buckets import StatisticSet
from flyball_local.cloudwatch.errors import CloudWatchError, PointError
from flyball_local.cloudwatch.points import (
    MINUTE_S,
    NO_UNIT,
    MetricKey,
    checked_samples,
    checked_set,
    checked_time,
    metric_key,
)
from flyball_local.cloudwatch.store import MetricStore

DATA_MAX = 1_000
VALUES_MAX = 150
DIMENSIONS_MAX = 30

UNITS = frozenset(
    ["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", NO_UNIT]
    + [
        f"{scale}{base}{rate}"
        for scale, base in [("", "Bytes"), ("", "Bits")]
        + [(s, b) for s in ("Kilo", "Mega", "Giga", "Tera") for b in ("bytes", "bits")]
        for rate in ("", "/Second")
    ]
)

Wire = Mapping[str, Any]


class _Point(NamedTuple):
    """One datum, checked, ready to be stored."""

    key: MetricKey
    at_s: float
    unit: str
    resolution_s: int
    samples: tuple[tuple[float, float], ...]
    aggregate: StatisticSet | None


def put_metric_data(params: Wire, store: MetricStore, *, now_s: float) -> int:
    """Store a request's data and return how many it held; raises CloudWatchError and stores nothing.

    Args:
        params: Request members; times already epoch seconds.
        now_s: Used where a datum has no Timestamp, and to judge those that have.
    """
    namespace = params["Namespace"]
    if namespace.startswith(("AWS/", ":")):
        raise CloudWatchError(
            "InvalidParameterValue",
            f"Namespace={namespace!r} must not begin with 'AWS/' or ':'; those belong to AWS services",
        )
    data = list(params.get("MetricData", ()))
    for group in params.get("EntityMetricData", ()):
        data.extend(group.get("MetricData", ()))
    if not data:
        raise CloudWatchError("MissingParameter", "MetricData must hold at least one datum")
    if len(data) > DATA_MAX:
        raise CloudWatchError(
            "InvalidParameterValue", f"MetricData holds {len(data)} data; at most {DATA_MAX}"
        )
    # Every point is judged before the first is stored: a bad one among many leaves no trace.
    points = []
    for number, datum in enumerate(data, start=1):
        try:
            points.append(_checked(namespace, datum, now_s))
        except PointError as error:
            raise CloudWatchError("InvalidParameterValue", f"MetricData.member.{number}: {error}") from error
    for point in points:
        _put(store, point, now_s)
    return len(points)


def _checked(namespace: str, datum: Wire, now_s: float) -> _Point:
    name = datum["MetricName"]
    dimensions = [(d["Name"], d["Value"]) for d in datum.get("Dimensions", ())]
    _check_dimensions(name, dimensions)
    unit = datum.get("Unit", NO_UNIT)
    if unit not in UNITS:
        raise CloudWatchError("InvalidParameterValue", f"Unit={unit!r} of {name!r} is not a standard unit")
    resolution_s = datum.get("StorageResolution", MINUTE_S)
    if resolution_s not in (1, MINUTE_S):
        raise CloudWatchError(
            "InvalidParameterValue", f"StorageResolution={resolution_s!r} of {name!r} must be 1 or 60"
        )
    samples, aggregate = _content(name, datum)
    return _Point(
        metric_key(namespace, name, dimensions),
        checked_time(datum.get("Timestamp", now_s), now_s),
        unit,
        resolution_s,
        samples,
        aggregate,
    )


def _check_dimensions(name: str, dimensions: Sequence[tuple[str, str]]) -> None:
    if len(dimensions) > DIMENSIONS_MAX:
        raise CloudWatchError(
            "InvalidParameterValue", f"{name!r} has {len(dimensions)} dimensions; at most {DIMENSIONS_MAX}"
        )
    if len({n for n, _ in dimensions}) < len(dimensions):
        raise CloudWatchError("InvalidParameterValue", f"a dimension of {name!r} is named twice")
    for dimension, value in dimensions:
        if dimension.startswith(":") or not dimension.strip() or not value.strip():
            raise CloudWatchError(
                "InvalidParameterValue",
                f"dimension {dimension!r}={value!r} of {name!r} is blank, or its name begins with ':'",
            )


def _content(name: str, datum: Wire) -> tuple[tuple[tuple[float, float], ...], StatisticSet | None]:
    given = [f for f in ("Value", "Values", "StatisticValues") if f in datum]
    if not given:
        raise CloudWatchError("MissingParameter", f"{name!r} must have Value, Values or StatisticValues")
    if len(given) > 1:
        raise CloudWatchError(
            "InvalidParameterCombination", f"{name!r} has {' and '.join(given)}; give one of them"
        )
    if "Value" in datum:
        return checked_samples([(datum["Value"], 1.0)]), None
    if "StatisticValues" in datum:
        told = datum["StatisticValues"]
        numbers = (float(told[f]) for f in ("SampleCount", "Sum", "Minimum", "Maximum"))
        return (), checked_set(StatisticSet(*numbers))
    values = datum["Values"]
    counts = datum.get("Counts", [1.0] * len(values))
    if len(values) > VALUES_MAX:
        raise CloudWatchError(
            "InvalidParameterValue", f"Values of {name!r} holds {len(values)}; at most {VALUES_MAX}"
        )
    if len(counts) != len(values):
        raise CloudWatchError(
            "InvalidParameterValue",
            f"Counts of {name!r} holds {len(counts)} and Values {len(values)}; they must be equally long",
        )
    return checked_samples(zip(values, counts, strict=True)), None


def _put(store: MetricStore, point: _Point, now_s: float) -> None:
    if point.aggregate is not None:
        store.put_set(
            point.key,
            point.aggregate,
            at_s=point.at_s,
            now_s=now_s,
            unit=point.unit,
            resolution_s=point.resolution_s,
        )
        return
    store.put_samples(
        point.key,
        point.samples,
        at_s=point.at_s,
        now_s=now_s,
        unit=point.unit,
        resolution_s=point.resolution_s,
    )
