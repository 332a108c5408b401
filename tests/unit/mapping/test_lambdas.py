"""What AWS tells of functions: read through boto3 from moto's Lambda, SQS and CloudWatch.

moto has no provisioned concurrency: the draft's way of saying what could not be read is tested by it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.mapping.draft import draft_of, draft_text
from flyball_analytics.mapping.lambdas import AwsReaders, list_functions, read_functions, readers
from flyball_controller.ports import PortError
from unit.mapping.stubs import NOW_S, QUIET, REGION, account_of

ACCOUNT = "123456789012"


@pytest.fixture
def account(monkeypatch):
    """An account with three functions; the SDK may look nowhere else."""
    with account_of({"checkout": 3, "mailer": 30, "events": 10}, monkeypatch) as functions:
        yield functions


def read(*names: str):
    aws = readers(region=REGION, endpoint_url=None)
    found = read_functions(aws, list_functions(aws, names), now_s=NOW_S)
    return {item.name: item for item in found}


def test_configuration_triggers_dead_letters_and_traffic_are_read(account):
    """What a team would otherwise copy from the console, sixty times."""
    queues = boto3.client("sqs", REGION)
    dead = queues.create_queue(QueueName="dead")["QueueUrl"]
    assert dead
    redrive = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead", "maxReceiveCount": 3}
    queues.create_queue(QueueName="mail", Attributes={"RedrivePolicy": json.dumps(redrive)})
    account.create_event_source_mapping(
        FunctionName="mailer", EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:mail"
    )
    account.put_function_concurrency(FunctionName="mailer", ReservedConcurrentExecutions=5)
    account.put_function_event_invoke_config(FunctionName="events", MaximumRetryAttempts=1)
    boto3.client("cloudwatch", REGION).put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [{"Name": "FunctionName", "Value": "checkout"}],
                "Timestamp": datetime.fromtimestamp(NOW_S - 3_600.0, tz=UTC),
                "Value": value,
            }
            for metric, value in (("Invocations", 14_000.0), ("Duration", 250.0))
        ],
    )
    found = read()
    assert found["checkout"].fields == {
        "timeout_s": 3,
        "memory_mb": 512,
        "reserved_concurrency": "none",
        "requests_per_month": 30_417,  # 1,000 a day x 730 h / 24 h
        "duration_ms": 250.0,
    }
    mailer = found["mailer"].fields
    assert (mailer["trigger"], mailer["platform_retries"], mailer["dead_letter"]) == ("queue", 2, True)
    assert mailer["reserved_concurrency"] == 5
    events = found["events"].fields
    assert (events["trigger"], events["platform_retries"], events["dead_letter"]) == ("async", 1, False)
    assert any("provisioned_concurrency" in text for text in found["checkout"].unknown)
    assert any("http or async?" in text for text in found["checkout"].unknown)
    text = draft_text(draft_of(found.values(), {}))
    assert "reserved_concurrency: none" in text
    assert "# - which targets it calls: scan its source (--source NAME=FOLDER) (" in text


def test_only_the_named_functions_are_read_and_a_missing_one_is_an_error(account):
    """A misspelt name must not give an empty draft."""
    assert list(read("events")) == ["events"]
    with pytest.raises(PortError, match="ResourceNotFound"):
        read("evnts")


def test_the_command_reads_the_account(account, monkeypatch):
    """As a user runs it: source and AWS in one draft."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    result = CliRunner().invoke(cli, ["map", "--aws", *QUIET, "--function", "checkout", "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["map"]["functions"]["checkout"]["timeout_s"] == 3
    assert "not asked: X-Ray" in json.loads(result.stdout)["unknown"]
    missing = CliRunner().invoke(cli, ["map", "--aws", "--function", "chekout"])
    assert missing.exit_code == 5
    assert "ResourceNotFound" in missing.stderr


class Says:
    """A client that answers from a table of operations; what is not in it fails to connect."""

    def __init__(self, **answers):
        self._answers = answers

    def __getattr__(self, operation):
        def call(**arguments):
            if operation not in self._answers:
                raise EndpointConnectionError(endpoint_url="https://lambda.example")
            return self._answers[operation]

        return call


def reading(queues=None, **answers):
    aws = AwsReaders(Says(**answers), queues or Says(), Says())
    return next(read_functions(aws, [{"FunctionName": "f"}], now_s=NOW_S))


def test_a_stream_tells_its_own_retries_and_destination():
    """Minus one means until the records expire: that is no number."""
    source = {
        "EventSourceArn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s",
        "MaximumRetryAttempts": 4,
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:x"}},
    }
    found = reading(list_event_source_mappings={"EventSourceMappings": [source, source]})
    assert found.fields["trigger"] == "stream"
    assert (found.fields["platform_retries"], found.fields["dead_letter"]) == (4, True)
    assert "trigger: 2 event sources; the first is taken" in found.unknown
    endless = reading(
        list_event_source_mappings={"EventSourceMappings": [{**source, "MaximumRetryAttempts": -1}]}
    )
    assert "platform_retries" not in endless.fields
    kafka = reading(list_event_source_mappings={"EventSourceMappings": [{}]})
    assert kafka.fields["trigger"] == "stream"


def test_provisioned_concurrency_is_added_up_over_aliases():
    """Two aliases, 2 and 3 environments."""
    configs = [{"RequestedProvisionedConcurrentExecutions": n} for n in (2, 3)]
    found = reading(list_provisioned_concurrency_configs={"ProvisionedConcurrencyConfigs": configs})
    assert found.fields["provisioned_concurrency"] == 5


def test_a_queue_that_may_not_be_read_leaves_dead_letters_unknown():
    """Unknown is not false: false would be a hazard."""
    mapping = {"EventSourceMappings": [{"EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"}]}
    found = reading(list_event_source_mappings=mapping)
    assert "dead_letter" not in found.fields
    assert any(text.startswith("dead_letter: EndpointConnectionError") for text in found.unknown)
    half = reading(Says(get_queue_url={"QueueUrl": "u"}), list_event_source_mappings=mapping)
    assert "dead_letter" not in half.fields
    none = reading(
        Says(get_queue_url={"QueueUrl": "u"}, get_queue_attributes={}), list_event_source_mappings=mapping
    )
    assert none.fields["dead_letter"] is False


def test_a_functions_own_dead_letter_queue_shows_that_it_is_invoked_asynchronously():
    """Nothing else uses it."""
    aws = AwsReaders(Says(), Says(), Says())
    configuration = {"FunctionName": "f", "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:x"}}
    found = next(read_functions(aws, [configuration], now_s=NOW_S))
    assert (found.fields["trigger"], found.fields["dead_letter"]) == ("async", True)


def test_who_may_invoke_a_function_tells_whether_somebody_waits(account):
    """An API waits for the answer; S3 hands its event over, and Lambda repeats it twice."""
    for name, principal in (("checkout", "apigateway.amazonaws.com"), ("events", "s3.amazonaws.com")):
        account.add_permission(
            FunctionName=name, StatementId="s", Action="lambda:InvokeFunction", Principal=principal
        )
    found = read()
    assert found["checkout"].fields["trigger"] == "http"
    events = found["events"].fields
    assert (events["trigger"], events["platform_retries"], events["dead_letter"]) == ("async", 2, False)
    assert any("http or async?" in text for text in found["mailer"].unknown)


def test_a_policy_that_lets_in_both_kinds_and_a_url_are_told():
    """http is the careful answer: nobody repeats what an API calls."""
    both = {"Statement": [{"Principal": {"Service": ["sns.amazonaws.com", "apigateway.amazonaws.com"]}}]}
    found = reading(
        list_event_source_mappings={},
        get_policy={"Policy": json.dumps(both)},
        get_function_event_invoke_config={},
    )
    assert found.fields["trigger"] == "http"
    assert "trigger: its policy lets in apigateway, sns; http is taken" in found.unknown
    url = reading(list_event_source_mappings={}, get_function_url_config={"FunctionUrl": "https://x"})
    assert url.fields["trigger"] == "http"
    odd = reading(list_event_source_mappings={}, get_policy={"Policy": "[1]"})
    assert "trigger" not in odd.fields
    lone = {"Statement": {"Principal": "*"}}
    assert "trigger" not in reading(get_policy={"Policy": json.dumps(lone)}).fields


def test_days_are_weighed_by_their_invocations(account):
    """900 fast invocations and 100 slow ones take 190 ms on average, not 550."""
    metrics = boto3.client("cloudwatch", REGION)
    for days, count, took in ((1, 900, 100.0), (3, 100, 1_000.0)):
        at = datetime.fromtimestamp(NOW_S - days * 86_400.0, tz=UTC)
        statistics = {"SampleCount": count, "Sum": count * took, "Minimum": took, "Maximum": took}
        metrics.put_metric_data(
            Namespace="AWS/Lambda",
            MetricData=[
                {
                    "MetricName": "Duration",
                    "Dimensions": [{"Name": "FunctionName", "Value": "checkout"}],
                    "Timestamp": at,
                    "Values": [took],
                    "Counts": [float(count)],
                    "StatisticValues": statistics,
                }
            ],
        )
    assert read("checkout")["checkout"].fields["duration_ms"] == 190.0
