"""Asks AWS's own maps and alarms, after the functions are known; the order says who is believed first.

The client's metrics count every guarded call; Application Signals and X-Ray see
what is instrumented or traced. Every source can be refused or left out without
harm to the others; `ACTIONS` is what all of `flyball map --aws` needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from flyball_analytics.mapping.alarms import from_alarms, from_monitors
from flyball_analytics.mapping.appsignals import LIST_DEPENDENCIES, LIST_SERVICES, from_application_signals
from flyball_analytics.mapping.clientmetrics import from_clients
from flyball_analytics.mapping.found import FoundFunction, FoundSource
from flyball_analytics.mapping.servicegraph import ACTION as SERVICE_GRAPH
from flyball_analytics.mapping.servicegraph import from_xray
from flyball_controller.bounded import number

# By the word that leaves a source out; in the order in which their figures are believed.
SOURCES = {
    "clients": "metrics of flyball's own clients",
    "application-signals": "Application Signals",
    "xray": "X-Ray",
    "alarms": "CloudWatch alarms",
    "monitors": "AppConfig monitors (rollback_alarms)",
}
ACTIONS = (
    "appconfig:ListApplications",
    "appconfig:ListEnvironments",
    LIST_DEPENDENCIES,
    LIST_SERVICES,
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListMetrics",
    "lambda:GetFunctionConcurrency",
    "lambda:GetFunctionConfiguration",
    "lambda:GetFunctionEventInvokeConfig",
    "lambda:GetFunctionUrlConfig",
    "lambda:GetPolicy",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "lambda:ListProvisionedConcurrencyConfigs",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    SERVICE_GRAPH,
)

NewClient = Callable[[str], Any]


def read_sources(
    client: NewClient,
    functions: Collection[FoundFunction],
    *,
    targets: Collection[str],
    left_out: Collection[str],
    now_s: float,
) -> Iterator[FoundSource]:
    """Yield what each source shows, best first.

    Args:
        client: Makes a boto3 client of a service.
        functions: What Lambda told.
        targets: Names of targets that the source code shows; alarms are put to them too.
        left_out: Words of `SOURCES` that are not to be asked.
        now_s: Epoch seconds.
    """
    names = [function.name for function in functions]
    known = set(targets)
    traffic = {function.name: _monthly(function.fields) for function in functions}
    asked: Mapping[str, Callable[[], FoundSource]] = {
        "clients": lambda: from_clients(client("cloudwatch"), functions=traffic, now_s=now_s),
        "application-signals": lambda: from_application_signals(
            client("application-signals"), client("cloudwatch"), functions=names, now_s=now_s
        ),
        "xray": lambda: from_xray(client("xray"), functions=names, now_s=now_s),
        "alarms": lambda: from_alarms(client("cloudwatch"), targets=sorted(known), functions=names),
        "monitors": lambda: from_monitors(client("appconfig")),
    }
    for word in SOURCES:
        if word in left_out:
            continue
        found = asked[word]()
        known |= set(found.targets)
        yield found


def _monthly(fields: Mapping[str, object]) -> float | None:
    value = fields.get("requests_per_month")
    return number(value)
