"""Joins the resources of a stack: rules to their targets, queues to functions, metrics to Firehose.

Each join asks first whether it is permitted, as AWS would when the first message
comes: a rule without permission to invoke its function looks fine in a template
and delivers nothing. Here it does not deploy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flyball_local.cloudwatch import metric_key
from flyball_local.cloudwatch.streams import MetricStream, StreamOrigin, firehose_event, json_record
from flyball_local.delivery import EVENTBRIDGE, RetryPolicy
from flyball_local.eventbus import Target
from flyball_local.functions import LambdaFunction
from flyball_local.queues import Queue
from flyball_local.template.errors import TemplateError
from flyball_local.template.functions import Host
from flyball_local.template.policies import Request
from flyball_local.template.resources import role_statements

if TYPE_CHECKING:
    from flyball_local.template.stack import Stack

EVENTS = "events.amazonaws.com"
POLL_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
STREAM_EVERY_S = 60.0


def connect(stack: Stack) -> None:
    """Join everything that was made.

    Raises:
        TemplateError: A join without permission.
    """
    for properties in stack.of_type("AWS::Lambda::Function").values():
        stack.function(stack.place.arn("lambda", f"function:{properties['FunctionName']}"))
    for logical, properties in stack.of_type("AWS::Events::Rule").items():
        _rule(stack, logical, properties)
    for logical, properties in stack.of_type("AWS::Scheduler::Schedule").items():
        _schedule(stack, logical, properties)
    for logical, properties in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        _mapping(stack, logical, properties)
    for logical, properties in stack.of_type("AWS::CloudWatch::MetricStream").items():
        _stream(stack, logical, properties)


def register(stack: Stack, arn: str, retries: tuple[int, float]) -> LambdaFunction:
    """Return the function of an ARN, registered on the bus with its real handler."""
    properties = stack.by_arn("AWS::Lambda::Function", arn)
    name = properties["FunctionName"]
    role = role_statements(stack, properties["Role"])
    group = properties["LoggingConfig"]["LogGroup"]
    host = stack.hosts[name] = Host(
        stack.aws,
        name,
        properties["Handler"],
        {key: str(value) for key, value in properties.get("Environment", {}).get("Variables", {}).items()},
        role=role,
        log_group=stack.place.arn("logs", f"log-group:{group}:*"),
        place=stack.place,
        ledger=stack.ledger,
        write=stack.take_line,
    )
    dlq: Queue | None = None
    if "DeadLetterConfig" in properties:
        dlq = stack.queues[properties["DeadLetterConfig"]["TargetArn"]]
        if not stack.ledger.ask(name, Request("sqs:SendMessage", dlq.arn), role):
            raise TemplateError("its role may not send to its dead-letter queue", where=name)
    max_retries, age_s = retries
    return stack.aws.bus.function(name, host, max_retries=max_retries, max_event_age_s=age_s, dlq=dlq)


def publish_queue_metrics(stack: Stack) -> None:
    """Put what SQS puts each minute: how many messages wait, and for how long."""
    now_s = stack.aws.clock.now_s()
    for queue in stack.queues.values():
        visible = [message for message in queue.messages if message.visible_at_s <= now_s]
        oldest_s = max((now_s - message.sent_s for message in queue.messages), default=0.0)
        for metric, value in (
            ("ApproximateNumberOfMessagesVisible", float(len(visible))),
            ("ApproximateAgeOfOldestMessage", oldest_s),
        ):
            key = metric_key("AWS/SQS", metric, {"QueueName": queue.name})
            stack.aws.cloudwatch.store.put(key, value, at_s=now_s, now_s=now_s)


def _rule(stack: Stack, logical: str, properties: Mapping[str, Any]) -> None:
    name = properties["Name"]
    arn = stack.place.arn("events", f"rule/{name}")
    targets = [_target(stack, logical, arn, target) for target in properties["Targets"]]
    if properties.get("State", "ENABLED") != "ENABLED":
        return
    if "ScheduleExpression" in properties:
        stack.aws.bus.schedule(name, properties["ScheduleExpression"], *targets)
    else:
        stack.aws.bus.rule(name, properties["EventPattern"], *targets)


def _schedule(stack: Stack, logical: str, properties: Mapping[str, Any]) -> None:
    """EventBridge Scheduler acts under a role of its own instead of the receivers' permissions.

    What its Input says between <> is not filled in: handlers must know that text as no time.
    """
    target = properties["Target"]
    dlq = stack.queues[target["DeadLetterConfig"]["Arn"]]
    role = role_statements(stack, target["RoleArn"])
    who = target["RoleArn"].rpartition("/")[2]
    for action, resource in (("lambda:InvokeFunction", target["Arn"]), ("sqs:SendMessage", dlq.arn)):
        if not stack.ledger.ask(who, Request(action, resource), role):
            raise TemplateError(f"the schedule's role lacks {action} on {resource}", where=logical)
    retry = target["RetryPolicy"]
    policy = RetryPolicy(
        int(retry["MaximumRetryAttempts"]),
        float(retry["MaximumEventAgeInSeconds"]),
        EVENTBRIDGE.base_s,
        EVENTBRIDGE.cap_s,
    )
    payload = json.loads(target["Input"])
    function = Target(stack.function(target["Arn"]), dlq, policy)
    stack.aws.bus.schedule(properties["Name"], properties["ScheduleExpression"], function, payload=payload)


def _target(stack: Stack, logical: str, rule_arn: str, target: Mapping[str, Any]) -> Target:
    arn, dlq = target["Arn"], None
    if "DeadLetterConfig" in target:
        dlq = stack.queues[target["DeadLetterConfig"]["Arn"]]
        if not stack.may_send(EVENTS, dlq.arn, rule_arn):
            raise TemplateError(f"the rule may not send to {dlq.arn}", where=logical)
    retry = target.get("RetryPolicy", {})
    policy = RetryPolicy(
        int(retry.get("MaximumRetryAttempts", EVENTBRIDGE.max_retries)),
        float(retry.get("MaximumEventAgeInSeconds", EVENTBRIDGE.max_age_s)),
        EVENTBRIDGE.base_s,
        EVENTBRIDGE.cap_s,
    )
    if arn in stack.queues:
        if not stack.may_send(EVENTS, arn, rule_arn):
            raise TemplateError(f"the rule may not send to {arn}", where=logical)
        return Target(stack.queues[arn], dlq, policy)
    if not stack.may_invoke(EVENTS, arn, rule_arn):
        raise TemplateError(f"the rule may not invoke {arn}", where=logical)
    return Target(stack.function(arn), dlq, policy, _shape(logical, target))


def _shape(logical: str, target: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str] | None:
    """Return the target's input transformer: paths to members of the event, put into a template."""
    transformer = target.get("InputTransformer")
    if transformer is None:
        return None
    paths, template = transformer["InputPathsMap"], transformer["InputTemplate"]
    if not all(path.startswith("$.") and path[2:].isidentifier() for path in paths.values()):
        raise TemplateError(f"{paths}: only members of the event are emulated", where=logical)

    def shape(event: Mapping[str, Any]) -> str:
        return re.sub(r"<(\w+)>", lambda name: json.dumps(event[paths[name[1]][2:]]), template)

    return shape


def _mapping(stack: Stack, logical: str, properties: Mapping[str, Any]) -> None:
    queue = stack.queues[properties["EventSourceArn"]]
    name = properties["FunctionName"]
    if name.startswith("arn:"):  # of an alias: the same code and role
        name = name.split(":")[6]
    function = stack.by_arn("AWS::Lambda::Function", stack.place.arn("lambda", f"function:{name}"))
    role = role_statements(stack, function["Role"])
    for action in POLL_ACTIONS:
        if not stack.ledger.ask(name, Request(action, queue.arn), role):
            raise TemplateError(f"the function's role lacks {action}", where=logical)
    queue.feed(
        stack.function(stack.place.arn("lambda", f"function:{name}")),
        batch_size=int(properties.get("BatchSize", 10)),
        partial="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
    )


def _stream(stack: Stack, logical: str, properties: Mapping[str, Any]) -> None:
    """Metric stream -> Firehose -> transformation function, once a minute."""
    delivery = stack.by_arn("AWS::KinesisFirehose::DeliveryStream", properties["FirehoseArn"])
    destination = delivery["ExtendedS3DestinationConfiguration"]
    processor = destination["ProcessingConfiguration"]["Processors"][0]
    parameters = {p["ParameterName"]: p["ParameterValue"] for p in processor["Parameters"]}
    arn = parameters["LambdaArn"]
    bucket = destination["BucketARN"] + "/" + destination["Prefix"]
    asked = (
        (properties["RoleArn"], "firehose:PutRecordBatch", properties["FirehoseArn"]),
        (destination["RoleARN"], "lambda:InvokeFunction", arn),
        (destination["RoleARN"], "s3:PutObject", bucket + "1"),
    )
    for role_arn, action, resource in asked:
        who = role_arn.rpartition("/")[2]
        if not stack.ledger.ask(who, Request(action, resource), role_statements(stack, role_arn)):
            raise TemplateError(f"{who} lacks {action} on {resource}", where=logical)
    namespaces = {entry["Namespace"] for entry in properties["IncludeFilters"]}
    extra = [s for c in properties.get("StatisticsConfigurations", []) for s in c["AdditionalStatistics"]]
    stream = MetricStream(
        stack.aws.cloudwatch.store, wanted=lambda key: key.namespace in namespaces, percentiles=extra
    )
    origin = StreamOrigin(properties["Name"], stack.place.account, stack.place.region)
    clock = stack.aws.clock

    def carry() -> None:
        points = stream.flush(now_s=clock.now_s())
        if points:
            event = firehose_event([json_record(points, origin)], origin=origin, arrived_s=clock.now_s())
            answer = stack.function(arn).invoke(event)
            kept = [(r["recordId"], r["result"], r["data"]) for r in answer["records"]]
            sent = [(r["recordId"], "Ok", r["data"]) for r in event["records"]]
            if kept != sent:
                raise TemplateError("the function did not give every record back unchanged", where=logical)
        clock.call_at(clock.now_s() + STREAM_EVERY_S, carry)

    clock.call_at(clock.now_s() + STREAM_EVERY_S, carry)
