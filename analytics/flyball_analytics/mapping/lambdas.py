"""Reads what AWS knows of Lambda functions: configuration, triggers, dead letters, concurrency, traffic.

Only describing calls are made. One that is refused costs its fields and is told,
not the whole draft. What nobody can read from AWS (criticality, owner, whether a
call may be made twice) is no concern of this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flyball_analytics.integrations import NONE
from flyball_analytics.mapping.asking import DAYS, Asker
from flyball_analytics.mapping.found import FoundFunction
from flyball_controller.aws.errors import aws_call

DAYS_PER_MONTH = 730.0 / 24.0
ASYNC_RETRIES = 2  # Lambda's own, unless set otherwise
TRIGGERS = {"sqs": "queue", "kinesis": "stream", "dynamodb": "stream", "kafka": "stream"}
# Who may invoke it, by its resource policy: these wait for the answer, the others hand over an event.
WAITING = (
    "apigateway",
    "elasticloadbalancing",
    "lex",
    "cognito-idp",
    "alexa-appkit",
    "edgelambda",
    "vpc-lattice",
)
HANDING = ("events", "s3", "sns", "logs", "ses", "iot", "config", "cloudformation", "codecommit", "scheduler")


class AwsReaders(NamedTuple):
    """boto3 clients, typed loosely as their replies are."""

    functions: Any
    queues: Any
    metrics: Any


def new_client(service: str, *, region: str | None, endpoint_url: str | None) -> Any:
    """Return a client that retries throttles: the control plane allows few calls a second."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=2.0,
        read_timeout=10.0,
        retries={"mode": "standard", "total_max_attempts": 5},
        user_agent_extra="flyball",
    )
    session: Any = boto3.session.Session()
    return session.client(service, region_name=region, endpoint_url=endpoint_url, config=config)


def readers(*, region: str | None, endpoint_url: str | None) -> AwsReaders:
    """Return the clients that functions are read with."""
    return AwsReaders(
        *(
            new_client(service, region=region, endpoint_url=endpoint_url)
            for service in ("lambda", "sqs", "cloudwatch")
        )
    )


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
        self._asker = Asker()
        self._unknown = self._asker.unknown
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

    def _ask(self, what: str, operation: str, action: str) -> dict[str, Any] | None:
        """Ask Lambda about the function."""
        call = getattr(self._aws.functions, operation)
        return self._asker.ask(what, call, f"lambda:{action}", FunctionName=self._name)

    def _concurrency(self) -> None:
        reply = self._ask("reserved_concurrency", "get_function_concurrency", "GetFunctionConcurrency")
        if reply is not None:
            self._fields["reserved_concurrency"] = reply.get("ReservedConcurrentExecutions", NONE)

    def _provisioned(self) -> None:
        reply = self._ask(
            "provisioned_concurrency",
            "list_provisioned_concurrency_configs",
            "ListProvisionedConcurrencyConfigs",
        )
        if reply is not None:
            configs = reply.get("ProvisionedConcurrencyConfigs", ())
            self._fields["provisioned_concurrency"] = sum(
                int(item.get("RequestedProvisionedConcurrentExecutions", 0)) for item in configs
            )

    def _triggers(self) -> None:
        """Tell queue and stream by event source; else by who may invoke it, and asynchronous settings."""
        reply = self._ask("trigger", "list_event_source_mappings", "ListEventSourceMappings")
        sources = (reply or {}).get("EventSourceMappings", ())
        if sources:
            self._event_source(sources[0])
            if len(sources) > 1:
                self._unknown.append(f"trigger: {len(sources)} event sources; the first is taken")
            return
        settings = self._ask(
            "platform_retries", "get_function_event_invoke_config", "GetFunctionEventInvokeConfig"
        )
        invoker = self._invoker()
        if settings and invoker != "http":
            self._fields["trigger"] = "async"
            self._fields["platform_retries"] = settings.get("MaximumRetryAttempts", ASYNC_RETRIES)
            failures = settings.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            self._fields["dead_letter"] = self._dead_letter or bool(failures)
        elif self._dead_letter and invoker != "http":
            self._fields["trigger"], self._fields["dead_letter"] = "async", True
        elif invoker:
            self._fields["trigger"] = invoker
            if invoker == "async" and settings is not None:
                self._fields["platform_retries"] = ASYNC_RETRIES
                self._fields["dead_letter"] = False
        else:
            self._unknown.append(
                "trigger: no event source, no asynchronous settings, no policy that tells; http or async?"
            )

    def _invoker(self) -> str:
        """Return http or async by the services that its resource policy lets in; "" if that tells nothing."""
        reply = self._ask("trigger", "get_policy", "GetPolicy")
        services = set(_services(str((reply or {}).get("Policy", "{}"))))
        waiting, handing = services & set(WAITING), services & set(HANDING)
        if waiting and handing:
            both = ", ".join(sorted(waiting | handing))
            self._unknown.append(f"trigger: its policy lets in {both}; http is taken")
        if waiting or handing:
            return "http" if waiting else "async"
        address = self._ask("trigger", "get_function_url_config", "GetFunctionUrlConfig")
        return "http" if (address or {}).get("FunctionUrl") else ""

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
        address = self._asker.ask(
            "dead_letter",
            self._aws.queues.get_queue_url,
            "sqs:GetQueueUrl",
            QueueName=queue,
            QueueOwnerAWSAccountId=account,
        )
        if not address:
            return
        attributes = self._asker.ask(
            "dead_letter",
            self._aws.queues.get_queue_attributes,
            "sqs:GetQueueAttributes",
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
        function = [{"Name": "FunctionName", "Value": self._name}]
        invoked, took = (
            self._asker.daily(
                self._aws.metrics,
                metric.lower(),
                now_s=self._now_s,
                statistics=statistics,
                Namespace="AWS/Lambda",
                MetricName=metric,
                Dimensions=function,
            )
            for metric, statistics in (("Invocations", ("Sum",)), ("Duration", ("Sum", "SampleCount")))
        )
        invocations = sum(day["Sum"] for day in invoked or ())
        if invocations:
            self._fields["requests_per_month"] = round(invocations / DAYS * DAYS_PER_MONTH)
        elif invoked is not None:
            self._unknown.append(f"requests_per_month: no invocations recorded in {DAYS} days")
        count = sum(day["SampleCount"] for day in took or ())
        if count:
            self._fields["duration_ms"] = round(sum(day["Sum"] for day in took or ()) / count, 1)


def _services(policy: str) -> Iterator[str]:
    """Yield the services that a resource policy lets in, without their domain.

    >>> list(_services('{"Statement": [{"Principal": {"Service": "sns.amazonaws.com"}}]}'))
    ['sns']
    """
    try:
        statements = json.loads(policy).get("Statement", [])
    except (ValueError, AttributeError):
        return
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal") if isinstance(statement, dict) else None
        services = principal.get("Service", ()) if isinstance(principal, dict) else ()
        for service in [services] if isinstance(services, str) else services:
            yield str(service).partition(".")[0]
