"""GetMetricData of the embedded CloudWatch: limits, rounding, maths, order and pages.

Answers are those a careful caller must cope with: periods without data are
absent, the newest come first unless asked otherwise, and a long answer stops in
the middle with PartialData and a NextToken. Refuses what AWS refuses (501
queries, Period 7, duplicate Ids), because an emulator that takes everything
proves nothing. The request has already passed botocore's own validation.

Source: botocore service model "cloudwatch", GetMetricData and its shapes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from flyball_local.cloudwatch import mathexpr
from flyball_local.cloudwatch.buckets import StatisticOf, statistic
from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.points import DAY_S, FIVE_MINUTES_S, HOUR_S, MINUTE_S, MetricKey, metric_key
from flyball_local.cloudwatch.store import MetricStore

QUERIES_MAX = 500
POINTS_MAX = 100_800
SUB_MINUTE_PERIODS_S = (1, 5, 10, 20, 30)
_ID = re.compile(r"[a-z][a-zA-Z0-9_]{0,254}\Z")

Wire = Mapping[str, Any]
Instant = Callable[[int], datetime]


class MetricQuery(NamedTuple):
    """A query for one statistic of one series."""

    id: str
    key: MetricKey
    statistic: StatisticOf
    stat: str
    period_s: int
    unit: str | None
    label: str
    wanted: bool


class MathQuery(NamedTuple):
    """A query for an expression over other queries' results."""

    id: str
    expression: mathexpr.Expression
    text: str
    label: str
    wanted: bool


Query = MetricQuery | MathQuery


def invalid(message: str) -> CloudWatchError:
    """Return the error for a request that breaks a rule of GetMetricData or of an alarm."""
    return CloudWatchError("ValidationError", message)


def checked_period(period_s: int, field: str = "Period") -> int:
    """Return a period CloudWatch offers; raise CloudWatchError otherwise."""
    if period_s in SUB_MINUTE_PERIODS_S or (period_s > 0 and period_s % MINUTE_S == 0):
        return period_s
    raise invalid(f"{field}={period_s!r} must be 1, 5, 10, 20, 30 or a multiple of 60 seconds")


def parse_queries(items: Sequence[Wire]) -> list[Query]:
    """Return the queries in order; raises CloudWatchError for what AWS refuses or this emulator lacks."""
    queries: list[Query] = []
    seen: set[str] = set()
    for item in items:
        query = _parse_query(item)
        if query.id in seen:
            raise invalid(
                f"MetricDataQueries: Id {query.id!r} is used twice; Ids must be unique in a request"
            )
        seen.add(query.id)
        queries.append(query)
    for query in queries:
        if isinstance(query, MathQuery) and (unknown := query.expression.reads - seen):
            names = ", ".join(sorted(unknown))
            raise invalid(f"expression {query.text!r} of Id {query.id!r} reads undefined Id(s): {names}")
    return queries


def _parse_query(item: Wire) -> Query:
    identifier = item["Id"]
    if not _ID.match(identifier):
        raise invalid(
            f"Id={identifier!r} must start with a lower-case letter and hold letters, digits or _ only"
        )
    if "AccountId" in item:  # answered from this account, it would look like the other's metrics
        raise invalid(f"AccountId of Id {identifier!r} is not emulated: there are no accounts to monitor")
    wanted = item.get("ReturnData", True)
    spec = item.get("MetricStat")
    text = item.get("Expression")
    if spec is not None and text is None:
        return _parse_metric(identifier, spec, item.get("Label"), wanted)
    if text is None or spec is not None:
        raise invalid(f"Id {identifier!r} must have either MetricStat or Expression, and not both")
    try:
        expression = mathexpr.parse(text)
    except mathexpr.MathError as error:
        raise invalid(f"expression {text!r} of Id {identifier!r}: {error}") from error
    if "Period" in item:
        checked_period(item["Period"])
    return MathQuery(identifier, expression, text, item.get("Label") or identifier, wanted)


def _parse_metric(identifier: str, spec: Wire, label: str | None, wanted: bool) -> MetricQuery:
    metric = spec["Metric"]
    for field in ("Namespace", "MetricName"):
        if field not in metric:
            raise invalid(f"MetricStat.Metric.{field} of Id {identifier!r} is missing")
    name = spec["Stat"]
    function = statistic(name)
    if function is None:
        raise invalid(
            f"Stat={name!r} of Id {identifier!r} is not offered by this emulator; "
            "it has Sum, SampleCount, Average, Minimum, Maximum and pNN"
        )
    dimensions = [(d["Name"], d["Value"]) for d in metric.get("Dimensions", ())]
    return MetricQuery(
        identifier,
        metric_key(metric["Namespace"], metric["MetricName"], dimensions),
        function,
        name,
        checked_period(spec["Period"]),
        spec.get("Unit"),
        label or metric["MetricName"],
        wanted,
    )


def rounded_start(start_s: float, period_s: int, now_s: float) -> int:
    """Return StartTime rounded down: to the period below one minute, else to 1, 5 or 60 minutes by age.

    >>> rounded_start(100_012.0, 60, 100_100.0)
    99960
    >>> rounded_start(100_017.0, 5, 100_100.0)
    100015
    """
    if period_s < MINUTE_S:
        grain = period_s
    else:
        age_s = now_s - start_s
        grain = MINUTE_S if age_s < 15 * DAY_S else FIVE_MINUTES_S if age_s <= 63 * DAY_S else HOUR_S
    return int(start_s // grain) * grain


def evaluate(
    queries: Sequence[Query], store: MetricStore, *, start_s: float, end_s: float, now_s: float
) -> dict[str, mathexpr.Series]:
    """Return the series of every query, by Id, points oldest first."""
    results: dict[str, mathexpr.Series] = {}
    metrics = []
    for query in queries:
        if isinstance(query, MetricQuery):
            metrics.append(query.id)
            first_s = rounded_start(start_s, query.period_s, now_s)
            points = store.read(
                query.key,
                statistic=query.statistic,
                start_s=first_s,
                end_s=end_s,
                period_s=query.period_s,
                now_s=now_s,
                unit=query.unit,
            )
            results[query.id] = mathexpr.Series(
                dict(zip(points.times_s, points.values, strict=True)),
                first_s,
                end_s,
                query.period_s,
                store.known(query.key),
            )
    _solve([q for q in queries if isinstance(q, MathQuery)], results, metrics)
    return results


def _solve(waiting: list[MathQuery], results: dict[str, mathexpr.Series], metrics: list[str]) -> None:
    """Evaluate expressions in the order of their dependencies."""
    scope = mathexpr.Scope(results, metrics)
    while waiting:
        ready = [q for q in waiting if q.expression.reads <= results.keys()]
        if not ready:
            raise invalid(f"expressions refer to each other in a circle: {', '.join(q.id for q in waiting)}")
        for query in ready:
            try:
                results[query.id] = query.expression.series(scope)
            except mathexpr.MathError as error:
                raise invalid(f"expression {query.text!r} of Id {query.id!r}: {error}") from error
        waiting = [q for q in waiting if q.id not in results]


def get_metric_data(params: Wire, store: MetricStore, *, now_s: float, instant: Instant) -> dict[str, Any]:
    """Answer GetMetricData.

    Args:
        params: Request members; times already epoch seconds.
        instant: Turns epoch seconds into the aware datetime to answer with.

    Raises:
        CloudWatchError: ValidationError or InvalidNextToken.
    """
    items = params["MetricDataQueries"]
    if len(items) > QUERIES_MAX:
        raise invalid(f"MetricDataQueries has {len(items)} members; at most {QUERIES_MAX} are allowed")
    start_s, end_s = params["StartTime"], params["EndTime"]
    if not start_s < end_s:
        raise invalid(f"StartTime ({start_s}) must be less than EndTime ({end_s})")
    queries = parse_queries(items)
    if not any(q.wanted for q in queries):
        raise invalid("at least one query must have ReturnData true")
    plain = all(isinstance(q, MetricQuery) for q in queries)
    ascending = params.get("ScanBy") == "TimestampAscending"
    wanted = [(q, p) for q, p in _answers(queries, plain, store, start_s, end_s, now_s) if q.wanted]
    limit = min(params.get("MaxDatapoints") or POINTS_MAX, POINTS_MAX)
    skip = _offset(params["NextToken"], _fingerprint(params)) if params.get("NextToken") else 0
    results, left = _page(wanted, skip, limit, ascending, instant)
    answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    # With an expression in the request AWS gives no NextToken: PartialData is then final.
    if left and plain:
        answer["NextToken"] = _token(skip + limit, _fingerprint(params))
    return answer


def _answers(
    queries: Sequence[Query], plain: bool, store: MetricStore, start_s: float, end_s: float, now_s: float
) -> Iterable[tuple[Query, tuple[list[int], list[float]]]]:
    if not plain:
        solved = evaluate(queries, store, start_s=start_s, end_s=end_s, now_s=now_s)
        return [(q, (list(solved[q.id].points), list(solved[q.id].points.values()))) for q in queries]
    return [
        (
            q,
            store.read(
                q.key,
                statistic=q.statistic,
                start_s=rounded_start(start_s, q.period_s, now_s),
                end_s=end_s,
                period_s=q.period_s,
                now_s=now_s,
                unit=q.unit,
            ),
        )
        for q in queries
        if isinstance(q, MetricQuery)
    ]


def _page(
    wanted: Sequence[tuple[Query, tuple[list[int], list[float]]]],
    skip: int,
    limit: int,
    ascending: bool,
    instant: Instant,
) -> tuple[list[dict[str, Any]], bool]:
    """Return one page of results and whether points are left; points are counted query by query."""
    results = []
    at = 0
    stop = skip + limit
    for query, (times, values) in wanted:
        first, last = max(skip - at, 0), min(max(stop - at, 0), len(times))
        complete = at + len(times) <= stop
        at += len(times)
        step = 1 if ascending else -1
        results.append(
            {
                "Id": query.id,
                "Label": query.label,
                "Timestamps": [instant(t) for t in times[::step][first:last]],
                "Values": values[::step][first:last],
                "StatusCode": "Complete" if complete else "PartialData",
            }
        )
    return results, at > stop


def _fingerprint(params: Wire) -> str:
    """Return a digest of what a NextToken belongs to: everything but the token itself."""
    rest = {k: v for k, v in params.items() if k not in {"NextToken", "MaxDatapoints"}}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _token(offset: int, fingerprint: str) -> str:
    return base64.urlsafe_b64encode(f"{offset}:{fingerprint}".encode()).decode()


def _offset(token: str, fingerprint: str) -> int:
    try:
        offset, belongs_to = base64.urlsafe_b64decode(token.encode()).decode().split(":")
        number = int(offset)
    except ValueError as error:
        raise CloudWatchError("InvalidNextToken", "NextToken is not one of this service") from error
    if belongs_to != fingerprint or number <= 0:
        raise CloudWatchError("InvalidNextToken", "NextToken belongs to a different request")
    return number
