"""What each resource type becomes on the embedded AWS, and what it is known by (Ref and GetAtt).

A maker gets the resolved properties and answers with a `Made`. Types that only
join others (rules, permissions, mappings, streams) are made here too, so that
they can be referred to, and joined in connections.py once everything stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flyball_local.template.errors import TemplateError
from flyball_local.template.insights import InsightsAlarm, is_insights
from flyball_local.template.intrinsics import Made
from flyball_local.template.policies import Statement, statements

if TYPE_CHECKING:
    from flyball_local.template.stack import Stack

Properties = Mapping[str, Any]
Maker = Callable[["Stack", str, Properties], Made]
_TABLE_MEMBERS = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema")
_INTEGERS = ("EvaluationPeriods", "DatapointsToAlarm", "Period")


def make(stack: Stack, logical: str, kind: str, properties: Properties) -> Made:
    """Make one resource.

    Raises:
        TemplateError: The type is not emulated, or a property is.
    """
    maker = _MAKERS.get(kind)
    if maker is None:
        raise TemplateError(f"{kind} is not emulated", where=logical)
    return maker(stack, logical, properties)


def role_statements(stack: Stack, role_arn: str) -> list[Statement]:
    """Return every statement of a role: its own policies' and its managed policies'.

    A policy that a parameter names is of elsewhere; what it allows is not known, so it allows nothing here.
    """
    role = stack.by_arn("AWS::IAM::Role", role_arn)
    documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    documents += [
        stack.by_arn("AWS::IAM::ManagedPolicy", arn)["PolicyDocument"]
        for arn in role.get("ManagedPolicyArns", [])
        if arn not in stack.given
    ]
    return [statement for document in documents for statement in statements(document, role_arn)]


def _named(service: str, form: str, member: str) -> Maker:
    """Return the maker of a type that is a name and an ARN, and nothing that runs."""

    def maker(stack: Stack, logical: str, properties: Properties) -> Made:
        name = str(properties.get(member, f"{stack.name}-{logical}"))
        return Made(name, {"Arn": stack.place.arn(service, form.format(name))})

    return maker


def _arn_is_ref(service: str, form: str) -> Maker:
    def maker(stack: Stack, logical: str, properties: Properties) -> Made:
        # IAM is not regional.
        arn = f"arn:aws:{service}::{stack.place.account}:" + form.format(f"{stack.name}-{logical}")
        return Made(arn, {"Arn": arn})

    return maker


def _nothing(stack: Stack, logical: str, properties: Properties) -> Made:
    return Made(f"{stack.name}-{logical}", {})


def _table(stack: Stack, logical: str, properties: Properties) -> Made:
    client, name = stack.client("dynamodb"), properties["TableName"]
    client.create_table(**{member: properties[member] for member in _TABLE_MEMBERS})
    ttl = properties["TimeToLiveSpecification"]
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    client.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
    )
    keys = (key["AttributeName"] for key in properties["KeySchema"] if key["KeyType"] == "HASH")
    stack.table_keys[name] = next(keys)
    return Made(name, {"Arn": stack.place.arn("dynamodb", f"table/{name}")})


def _queue(stack: Stack, logical: str, properties: Properties) -> Made:
    name = properties["QueueName"]
    redrive = properties.get("RedrivePolicy")
    dlq = None if redrive is None else stack.queues[redrive["deadLetterTargetArn"]]
    queue = stack.aws.bus.queue(
        name,
        visibility_timeout_s=float(properties.get("VisibilityTimeout", 30)),
        max_receive_count=None if redrive is None else int(redrive["maxReceiveCount"]),
        dlq=dlq,
    )
    stack.queues[queue.arn] = queue
    address = f"https://sqs.{stack.place.region}.amazonaws.com/{stack.place.account}/{name}"
    return Made(address, {"Arn": queue.arn, "QueueName": name})


def _log_group(stack: Stack, logical: str, properties: Properties) -> Made:
    name = properties["LogGroupName"]
    return Made(name, {"Arn": stack.place.arn("logs", f"log-group:{name}:*")})


def _bucket(stack: Stack, logical: str, properties: Properties) -> Made:
    name = f"{stack.name}-{logical.lower()}"
    return Made(name, {"Arn": f"arn:aws:s3:::{name}"})


def _managed_policy(stack: Stack, logical: str, properties: Properties) -> Made:
    statements(properties["PolicyDocument"], logical)  # what is not understood is refused now
    return _arn_is_ref("iam", "policy/{}")(stack, logical, properties)


def _permission(stack: Stack, logical: str, properties: Properties) -> Made:
    stack.permissions.append(dict(properties))
    return _nothing(stack, logical, properties)


def _version(stack: Stack, logical: str, properties: Properties) -> Made:
    """A published version: of what the function is now, as there is one deployment in a run."""
    return Made(f"{_function_arn(stack, properties)}:1", {"Version": "1"})


def _alias(stack: Stack, logical: str, properties: Properties) -> Made:
    return Made(f"{_function_arn(stack, properties)}:{properties['Name']}", {})


def _function_arn(stack: Stack, properties: Properties) -> str:
    return stack.place.arn("lambda", f"function:{properties['FunctionName']}")


def _appconfig(operation: str, *members: str) -> Maker:
    """Return the maker of an AppConfig resource that is known by the id it is given."""

    def maker(stack: Stack, logical: str, properties: Properties) -> Made:
        arguments = {member: properties[member] for member in members if member in properties}
        for whole in ("DeploymentDurationInMinutes", "FinalBakeTimeInMinutes"):
            if whole in arguments:
                arguments[whole] = int(arguments[whole])
        if "GrowthFactor" in arguments:
            arguments["GrowthFactor"] = float(arguments["GrowthFactor"])
        reply = getattr(stack.client("appconfig"), operation)(**arguments)
        ref = next(str(reply[key]) for key in ("Id", "VersionNumber", "DeploymentNumber") if key in reply)
        return Made(ref, {})

    return maker


def _alarm(stack: Stack, logical: str, properties: Properties) -> Made:
    params = {name: _number(name, value) for name, value in properties.items()}
    if "Metrics" in params:
        params["Metrics"] = [_query(entry) for entry in params["Metrics"]]
    if is_insights(params):
        place = stack.place
        stack.insights.append(InsightsAlarm(stack.aws.cloudwatch, params, place.region, place.account))
    else:
        stack.client("cloudwatch").put_metric_alarm(**params)
    arn = stack.place.arn("cloudwatch", f"alarm:{params['AlarmName']}")
    return Made(params["AlarmName"], {"Arn": arn})


def _number(name: str, value: Any) -> Any:
    if name in _INTEGERS:
        return int(value)
    return float(value) if name == "Threshold" else value


def _query(entry: Properties) -> dict[str, Any]:
    query = {name: _number(name, value) for name, value in entry.items()}
    if "MetricStat" in query:
        query["MetricStat"] = {name: _number(name, v) for name, v in query["MetricStat"].items()}
    return query


def _dashboard(stack: Stack, logical: str, properties: Properties) -> Made:
    try:
        stack.dashboards[logical] = json.loads(properties["DashboardBody"])
    except ValueError as error:
        raise TemplateError(f"DashboardBody is no JSON: {error}", where=logical) from error
    return Made(properties["DashboardName"], {})


_MAKERS: Mapping[str, Maker] = {
    "AWS::DynamoDB::Table": _table,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _nothing,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Logs::LogStream": _named("logs", "log-stream:{}", "LogStreamName"),
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::IAM::Role": _arn_is_ref("iam", "role/{}"),
    "AWS::Lambda::Function": _named("lambda", "function:{}", "FunctionName"),
    "AWS::Lambda::Permission": _permission,
    "AWS::Lambda::Version": _version,
    "AWS::Lambda::Alias": _alias,
    "AWS::Lambda::EventInvokeConfig": _nothing,
    "AWS::Lambda::EventSourceMapping": _nothing,
    "AWS::Events::Rule": _named("events", "rule/{}", "Name"),
    "AWS::Scheduler::Schedule": _named("scheduler", "schedule/default/{}", "Name"),
    "AWS::AppConfig::Application": _appconfig("create_application", "Name", "Description"),
    "AWS::AppConfig::Environment": _appconfig("create_environment", "ApplicationId", "Name", "Description"),
    "AWS::AppConfig::ConfigurationProfile": _appconfig(
        "create_configuration_profile", "ApplicationId", "Name", "LocationUri", "Type", "Validators"
    ),
    "AWS::AppConfig::DeploymentStrategy": _appconfig(
        "create_deployment_strategy",
        *("Name", "DeploymentDurationInMinutes", "FinalBakeTimeInMinutes", "GrowthFactor", "ReplicateTo"),
    ),
    "AWS::AppConfig::HostedConfigurationVersion": _appconfig(
        "create_hosted_configuration_version",
        *("ApplicationId", "ConfigurationProfileId", "Content", "ContentType", "Description"),
    ),
    "AWS::AppConfig::Deployment": _appconfig(
        "start_deployment",
        *("ApplicationId", "EnvironmentId", "ConfigurationProfileId", "ConfigurationVersion"),
        *("DeploymentStrategyId", "Description"),
    ),
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::CloudWatch::MetricStream": _named("cloudwatch", "metric-stream/{}", "Name"),
    "AWS::KinesisFirehose::DeliveryStream": _named("firehose", "deliverystream/{}", "DeliveryStreamName"),
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _nothing,
}
