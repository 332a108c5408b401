"""Which targets have metrics: ListMetrics, for names and dimension values with a `*` in them.

A pattern is a metric map whose dimension value holds a `*`. Every series of its first metric that
has the map's dimensions, these and no others, and whose value fits, becomes a target. What is
listed is what had data in the last two weeks: that is CloudWatch's rule, and older targets must be named.
Source: botocore service model "cloudwatch", ListMetrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from flyball_analytics.problems import SeriesError
from flyball_controller.aws.errors import error_code
from flyball_controller.aws.metric_map import AwsMetricMap
from flyball_controller.ports import PortError

ANY = "*"
LISTED_DAYS = 14  # ListMetrics leaves out what has reported nothing for longer


class Lists(Protocol):
    """What is needed of CloudWatch."""

    def list_metrics(self, **arguments: Any) -> dict[str, Any]: ...


class Found(NamedTuple):
    """The maps, each pattern replaced by what fits it; in how many calls, and which targets are new so."""

    maps: dict[str, AwsMetricMap]
    calls: int
    names: tuple[str, ...]


def patterns(maps: Mapping[str, AwsMetricMap]) -> dict[str, AwsMetricMap]:
    """Return the maps that name no target but a pattern."""
    return {
        name: one
        for name, one in maps.items()
        if any(ANY in value for _, value in one.dimensions) or ANY in name
    }


def find(maps: Mapping[str, AwsMetricMap], client: Lists) -> Found:
    """Return the maps of named targets, and of those that fit a pattern; a named one wins over a found one.

    Args:
        maps: By target; in the key of a pattern `*` stands for what is found.
        client: Called once per pattern and page of 500 metrics.

    Raises:
        SeriesError: If a pattern cannot be used, or two patterns find the same target.
        PortError: If CloudWatch refuses.
    """
    starred = patterns(maps)
    named = {name: one for name, one in maps.items() if name not in starred}
    found: dict[str, AwsMetricMap] = {}
    calls = 0
    for key, one in starred.items():
        place = _place(key, one)
        for page in _pages(one, place, client):
            calls += 1
            for value in _values(page, one, place):
                name = value if key == one.dimensions[place][1] else key.replace(ANY, value, 1)
                dims = tuple((n, value if at == place else v) for at, (n, v) in enumerate(one.dimensions))
                made = one._replace(dimensions=dims)
                if found.get(name, made) != made:
                    raise SeriesError(
                        f"is found twice, by {one.namespace} and {found[name].namespace}: give one pattern "
                        "a name of its own, like shop-*",
                        path=name,
                    )
                found[name] = made
    new = {name: found[name] for name in sorted(found) if name not in named}
    return Found({**named, **new}, calls, tuple(new))


def _place(key: str, one: AwsMetricMap) -> int:
    """Return which dimension holds the `*`."""
    places = [at for at, (_, value) in enumerate(one.dimensions) if ANY in value]
    if len(places) != 1:
        raise SeriesError(f"needs exactly one dimension whose value holds a *; has {len(places)}", path=key)
    if ANY not in key:
        raise SeriesError("stands for many targets, so its name needs a *, too", path=key)
    return places[0]


def _pages(one: AwsMetricMap, place: int, client: Lists) -> Iterator[list[dict[str, Any]]]:
    """Yield the metrics that CloudWatch lists, page by page."""
    arguments: dict[str, Any] = {
        "Namespace": one.namespace,
        "MetricName": one.requests[0],
        "Dimensions": [
            {"Name": name} if at == place else {"Name": name, "Value": value}
            for at, (name, value) in enumerate(one.dimensions)
        ],
    }
    while True:
        try:
            answer = client.list_metrics(**arguments)
        except ClientError as error:
            raise PortError(
                f"ListMetrics in {one.namespace} failed ({error_code(error)}): allow cloudwatch:ListMetrics, "
                "or name the targets instead of a *",
                backend="cloudwatch",
                retryable=False,
            ) from error
        except BotoCoreError as error:
            raise PortError(
                f"ListMetrics in {one.namespace} failed ({error}): look at the credentials and the network",
                backend="cloudwatch",
                retryable=False,
            ) from error
        yield list(answer.get("Metrics", ()))
        if not answer.get("NextToken"):
            return
        arguments["NextToken"] = answer["NextToken"]


def _values(page: list[dict[str, Any]], one: AwsMetricMap, place: int) -> Iterator[str]:
    """Yield the values that fit; a series with further dimensions is a part of another one."""
    wanted = {name for name, _ in one.dimensions}
    name, pattern = one.dimensions[place]
    fits = re.compile(".*".join(re.escape(part) for part in pattern.split(ANY)), re.DOTALL)
    for metric in page:
        dims = {d["Name"]: d["Value"] for d in metric.get("Dimensions", ())}
        if set(dims) == wanted and fits.fullmatch(dims[name]):
            yield dims[name]
