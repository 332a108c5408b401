"""ListMetrics of the embedded CloudWatch: which series have had data in the last two weeks.

Filters are those of the service: namespace and name exactly, dimensions by name, with a
value or without; a series may have further dimensions. 500 metrics a page.

Source: botocore service model "cloudwatch", ListMetrics and its shapes. That a new metric may take
15 minutes to be listed is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyball_local.cloudwatch.errors import CloudWatchError
from flyball_local.cloudwatch.points import DAY_S, MetricKey
from flyball_local.cloudwatch.store import MetricStore

PAGE = 500
LISTED_S = 14 * DAY_S
ACTIVE_S = 3 * 3_600  # PT3H


def list_metrics(params: Mapping[str, Any], store: MetricStore, *, now_s: float) -> dict[str, Any]:
    """Return one page of the series that fit.

    Raises:
        CloudWatchError: InvalidParameterValue for a token of another listing.
    """
    since_s = now_s - (ACTIVE_S if params.get("RecentlyActive") else LISTED_S)
    fitting = sorted(
        key for key in store.keys(now_s=now_s) if _fits(key, params) and store.newest_s(key) >= since_s
    )
    skip = _offset(params.get("NextToken"), len(fitting))
    page = fitting[skip : skip + PAGE]
    answer: dict[str, Any] = {"Metrics": [_metric(key) for key in page]}
    if skip + PAGE < len(fitting):
        answer["NextToken"] = str(skip + PAGE)
    return answer


def _fits(key: MetricKey, params: Mapping[str, Any]) -> bool:
    dims = dict(key.dimensions)
    return (
        params.get("Namespace") in (None, key.namespace)
        and params.get("MetricName") in (None, key.name)
        and all(
            d["Name"] in dims and d.get("Value") in (None, dims[d["Name"]])
            for d in params.get("Dimensions", ())
        )
    )


def _metric(key: MetricKey) -> dict[str, Any]:
    return {
        "Namespace": key.namespace,
        "MetricName": key.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in key.dimensions],
    }


def _offset(token: str | None, count: int) -> int:
    if token is None:
        return 0
    if not token.isdigit() or not 0 < int(token) < count:
        raise CloudWatchError("InvalidParameterValue", "NextToken is not one of this listing")
    return int(token)
