"""Reads what AWS knows of Lambda functions: configuration, triggers, dead letters, concurrency, traffic.

Only describing calls are made. One that is refused costs its fields and is told,
not the whole draft. What nobody can read from AWS (criticality, owner, whether a
call may be made twice) is no concern of this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from flyball_analytics.integrations import NONE
from flyball_analytics.mapping.found import FoundFunction
from flyball_controller.aws.errors import aws_call, error_code

DAYS = 14  # of traffic: two weeks hold every weekday twice
DAYS_PER_MONTH = 730.0 / 24.0
ASYNC_RETRIES = 2  # Lambda's own, unless set otherwise
TRIGGERS = {"sqs": "queue", "kinesis": "stream", "dynamodb": "stream", "kafka": "stream"}
ABSENT = "ResourceNotFoundException"


class AwsReaders(NamedTuple):
    """boto3 clients, typed loosely as their replies are."""

    functions: Any
    queues: Any
    metrics: Any


def readers(*, region: str | None, endpoint_url: str | None) -> AwsReaders:
    """Return clients that retry throttles: the control plane allows few calls a second."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=2.0,
        read_timeout=10.0,
        retries={"mode": "standard", "total_max_attempts": 5},
        user_agent_extra="flyball",
    )
    session: Any = boto3.session.Session()
    made = [
        session.client(service, region_name=region, endpoint_url=endpoint_url, config=config)
        for service in ("lambda", "sqs", "cloudwatch")
    ]
    return AwsReaders(*made)


def list_functions(aws: AwsReaders, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the configurations of the named functions, or of all.

    Raises:
        PortError: Lambda could not be asked, or a named function is missing.
    """
    with aws_call("lambda", "ListFunctions"):
        if names:
            return [aws.functions.get_function_configuration(FunctionName=name) for name in names]
        pages = aws.functions.get_paginator("list_functions").paginate()
        return [item for page in pages for item in page.get("Functions", ())]


def read_functions(
    aws: AwsReaders, configurations: Sequence[dict[str, Any]], *, now_s: float
) -> Iterator[FoundFunction]:
    """Yield what AWS knows of each function; what could not be read is in its `unknown`."""
    for configuration in configurations:
        yield _Reading(aws, configuration, now_s).result()


class _Reading:
    """One function's answers, one call after the other."""

    def __init__(self, aws: AwsReaders, configuration: dict[str, Any], now_s: float) -> None:
        self._aws = aws
        self._name = str(configuration["FunctionName"])
        self._now_s = now_s
        self._unknown: list[str] = []
        self._fields: dict[str, object] = {
            "timeout_s": configuration.get("Timeout"),
            "memory_mb": configuration.get("MemorySize"),
        }
        self._dead_letter = bool(configuration.get("DeadLetterConfig", {}).get("TargetArn"))

    def result(self) -> FoundFunction:
        """Ask everything and return it."""
        self._concurrency()
        self._provisioned()
        self._triggers()
        self._traffic()
        known = {key: value for key, value in self._fields.items() if value is not None}
        return FoundFunction(self._name, known, tuple(self._unknown))

    def _ask(self, what: str, call: Callable[..., Any], **arguments: object) -> dict[str, Any] | None:
        """Return a reply, {} if the thing does not exist, None (and a note) if it could not be read."""
        try:
            reply: dict[str, Any] = call(**arguments)
        except ClientError as error:
            if error_code(error) == ABSENT:
                return {}
            self._unknown.append(f"{what}: {error_code(error) or 'refused'}")
            return None
        except BotoCoreError as error:
            self._unknown.append(f"{what}: {type(error).__name__}")
            return None
        return reply

    def _concurrency(self) -> None:
        reply = self._ask(
            "reserved_concurrency", self._aws.functions.get_function_concurrency, FunctionName=self._name
        )
        if reply is not None:
            self._fields["reserved_concurrency"] = reply.get("ReservedConcurrentExecutions", NONE)

    def _provisioned(self) -> None:
        reply = self._ask(
            "provisioned_concurrency",
            self._aws.functions.list_provisioned_concurrency_configs,
            FunctionName=self._name,
        )
        if reply is not None:
            configs = reply.get("ProvisionedConcurrencyConfigs", ())
            self._fields["provisioned_concurrency"] = sum(
                int(item.get("RequestedProvisionedConcurrentExecutions", 0)) for item in configs
            )

    def _triggers(self) -> None:
        """Tell queue and stream by event source; else asynchronous settings, where somebody made them."""
        reply = self._ask("trigger", self._aws.functions.list_event_source_mappings, FunctionName=self._name)
        sources = (reply or {}).get("EventSourceMappings", ())
        if sources:
            self._event_source(sources[0])
            if len(sources) > 1:
                self._unknown.append(f"trigger: {len(sources)} event sources; the first is taken")
            return
        settings = self._ask(
            "platform_retries", self._aws.functions.get_function_event_invoke_config, FunctionName=self._name
        )
        if settings:
            self._fields["trigger"] = "async"
            self._fields["platform_retries"] = settings.get("MaximumRetryAttempts", ASYNC_RETRIES)
            failures = settings.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            self._fields["dead_letter"] = self._dead_letter or bool(failures)
        elif self._dead_letter:
            self._fields["trigger"], self._fields["dead_letter"] = "async", True
        else:
            self._unknown.append("trigger: no event source and no asynchronous settings; http or async?")

    def _event_source(self, source: dict[str, Any]) -> None:
        arn = str(source.get("EventSourceArn", ""))
        service = arn.split(":")[2] if arn.count(":") >= 5 else ""
        self._fields["trigger"] = TRIGGERS.get(service, "stream")
        if service != "sqs":
            retries = source.get("MaximumRetryAttempts")
            if isinstance(retries, int) and retries >= 0:
                self._fields["platform_retries"] = retries
            failures = source.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            self._fields["dead_letter"] = bool(failures)
            return
        _, _, _, _, account, queue = arn.split(":", 5)
        address = self._ask(
            "dead_letter", self._aws.queues.get_queue_url, QueueName=queue, QueueOwnerAWSAccountId=account
        )
        if not address:
            return
        attributes = self._ask(
            "dead_letter",
            self._aws.queues.get_queue_attributes,
            QueueUrl=address["QueueUrl"],
            AttributeNames=["RedrivePolicy"],
        )
        if attributes is None:
            return
        redrive = json.loads(attributes.get("Attributes", {}).get("RedrivePolicy", "{}"))
        self._fields["dead_letter"] = bool(redrive.get("deadLetterTargetArn"))
        if redrive.get("maxReceiveCount"):
            self._fields["platform_retries"] = max(0, int(redrive["maxReceiveCount"]) - 1)

    def _traffic(self) -> None:
        """Read invocations and mean duration of the last two weeks."""
        end = datetime.fromtimestamp(self._now_s, tz=UTC)
        totals = {}
        for metric, statistic in (("Invocations", "Sum"), ("Duration", "Average")):
            reply = self._ask(
                metric.lower(),
                self._aws.metrics.get_metric_statistics,
                Namespace="AWS/Lambda",
                MetricName=metric,
                Dimensions=[{"Name": "FunctionName", "Value": self._name}],
                StartTime=end - timedelta(days=DAYS),
                EndTime=end,
                Period=DAYS * 86_400,
                Statistics=[statistic],
            )
            points = (reply or {}).get("Datapoints", ())
            # The period may be cut at midnight, so two points can come; each is as long as the other says.
            totals[metric] = [float(point[statistic]) for point in points]
        if totals["Invocations"]:
            self._fields["requests_per_month"] = round(sum(totals["Invocations"]) / DAYS * DAYS_PER_MONTH)
        else:
            self._unknown.append(f"requests_per_month: no invocations recorded in {DAYS} days")
        if totals["Duration"]:
            self._fields["duration_ms"] = round(max(totals["Duration"]), 1)
