"""The template runner's own parts: functions, policies, permissions of calls, alarms over queries."""

from __future__ import annotations

from typing import Any

import pytest

from flyball_local.cloudwatch import CloudWatchService, metric_key
from flyball_local.embedded import EmbeddedAws
from flyball_local.template import Stack, TemplateError, expand
from flyball_local.template.insights import InsightsAlarm
from flyball_local.template.intrinsics import Intrinsics, Made
from flyball_local.template.policies import Request, allowed, statements
from flyball_local.template.requests import Place, requests_of
from flyball_local.virtualclock import VirtualClock

PLACE = Place("eu-west-1", "123456789012", {"circuits": "target"})
PSEUDO = {"AWS::Region": "eu-west-1"}


def intrinsics(**sections: Any) -> Intrinsics:
    """Functions over a small template with one queue `Q` and one switched-off queue `Off`."""
    template: dict[str, Any] = {
        "Resources": {"Q": {"Type": "T"}, "Off": {"Type": "T", "Condition": "Never"}},
        "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}, "Always": {"Fn::Not": [{"Condition": "Never"}]}},
        "Parameters": {"Name": {"Type": "String", "Default": "n"}},
        **sections,
    }
    return Intrinsics(template, {}, PSEUDO, lambda logical: Made(f"ref-{logical}", {"Arn": f"arn-{logical}"}))


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ({"Ref": "Q"}, "ref-Q"),
        ({"Ref": "Name"}, "n"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Fn::GetAtt": ["Q", "Arn"]}, "arn-Q"),
        ({"Fn::GetAtt": "Q.Arn"}, "arn-Q"),
        ({"Fn::Sub": "${Name}/${Q.Arn}/${AWS::Region}/${!kept}"}, "n/arn-Q/eu-west-1/${kept}"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Name"}]]}, "a-n"),
        ({"Fn::If": ["Always", 1, 2]}, 1),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
        ({"Ref": "Q", "Other": 1}, {"Ref": "Q", "Other": 1}),
    ],
)
def test_functions_give_what_cloudformation_gives(node, value):
    """Everything in the template passes through here."""
    assert intrinsics().value(node, "here") == value


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"Ref": "Qu"}, "here: nothing is called Qu; did you mean 'Q'?"),
        ({"Ref": "Off"}, "here: Off is switched off by its condition"),
        ({"Fn::GetAtt": ["Q", "Ar"]}, "here: Q has no Ar; did you mean 'Arn'?"),
        ({"Fn::Select": [0, []]}, "here: Fn::Select is not emulated"),
        ({"Fn::Sub": ["${a}", {"a": 1}]}, "here: only the short form"),
        ({"Fn::If": ["Nevr", 1, 2]}, "Nevr: unknown condition; did you mean 'Never'?"),
    ],
)
def test_what_cannot_be_resolved_is_an_error_with_its_place(node, words):
    """A silent empty text would run, and prove something else."""
    with pytest.raises(TemplateError, match=words.replace("?", r"\?").replace("(", r"\(")):
        intrinsics().value(node, "here")


def test_conditions_combine():
    """All four functions, and what is none of them."""
    never, always = {"Condition": "Never"}, {"Condition": "Always"}
    functions = intrinsics()
    assert functions.holds({"Fn::And": [always, always]}, "here")
    assert not functions.holds({"Fn::And": [always, never]}, "here")
    assert functions.holds({"Fn::Or": [never, always]}, "here")
    with pytest.raises(TemplateError, match="Fn::Xor is no condition function"):
        functions.holds({"Fn::Xor": [always]}, "here")
    with pytest.raises(TemplateError, match="'x' is no condition"):
        functions.holds("x", "here")


def test_a_parameter_without_default_needs_a_value():
    """CloudFormation asks for it."""
    with pytest.raises(TemplateError, match="Name: a parameter without default"):
        intrinsics(Parameters={"Name": {"Type": "String"}})


@pytest.mark.parametrize(
    ("document", "request_", "passes"),
    [
        ({"Effect": "Allow", "Action": "a:Get*", "Resource": "x/*"}, Request("a:GetIt", "x/1"), True),
        ({"Effect": "Allow", "Action": "a:Get?", "Resource": "x"}, Request("a:GetIt", "x"), False),
        ({"Effect": "Allow", "Action": ["a:A", "a:B"], "Resource": ["x", "y"]}, Request("a:B", "y"), True),
        ({"Effect": "Allow", "Action": "a:A", "Resource": "x"}, Request("a:A", "x/1"), False),
        ({"Effect": "Allow", "Action": "a:A", "Resource": "x.y"}, Request("a:A", "xzy"), False),
        (
            {"Effect": "Allow", "Action": "a:A", "Resource": "*", "Principal": {"Service": "s"}},
            Request("a:A", "x", principal="t"),
            False,
        ),
        (
            {"Effect": "Allow", "Action": "a:A", "Resource": "*", "Condition": {"StringEquals": {"k": "v"}}},
            Request("a:A", "x", {"k": ("v",)}),
            True,
        ),
        (
            {"Effect": "Allow", "Action": "a:A", "Resource": "*", "Condition": {"StringEquals": {"k": "v"}}},
            Request("a:A", "x"),
            False,
        ),
        (
            {"Effect": "Allow", "Action": "a:A", "Resource": "*", "Condition": {"ArnEquals": {"k": ["v*"]}}},
            Request("a:A", "x", {"k": ("v1",)}),
            True,
        ),
        (
            {"Effect": "Allow", "Action": "a:A", "Resource": "*",
             "Condition": {"ForAllValues:StringEquals": {"k": ["v"]}}},
            Request("a:A", "x", {"k": ("v", "w")}),
            False,
        ),
    ],
)  # fmt: skip
def test_a_statement_covers_what_iam_would_let_it_cover(document, request_, passes):
    """The judge of all other tests of permissions."""
    assert allowed(request_, statements({"Statement": [document]}, "doc")) is passes


def test_a_deny_wins():
    """Whatever else allows it."""
    both = {"Statement": [{"Effect": e, "Action": "a:A", "Resource": "*"} for e in ("Allow", "Deny")]}
    assert not allowed(Request("a:A", "x"), statements(both, "doc"))


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"NotAction": "a:B"}, "NotAction is not emulated"),
        ({"Condition": {"IpAddress": {}}}, "IpAddress is not"),
    ],
)
def test_an_element_that_is_not_understood_is_refused(extra, words):
    """Ignored, it would make a permission look wider or narrower than it is."""
    document = {"Statement": [{"Effect": "Allow", "Action": "a:A", "Resource": "*", **extra}]}
    with pytest.raises(TemplateError, match=words):
        statements(document, "doc")


def test_batch_calls_need_every_table_and_name_their_partitions():
    """One foreign table in a batch refuses all of it."""
    keys = [{"target": {"S": "a"}}, {"target": {"S": "*"}}]
    wish = {"circuits": {"Keys": keys}, "other": {"Keys": [{"id": {"S": "1"}}]}}
    reads = requests_of("dynamodb", "BatchGetItem", {"RequestItems": wish}, PLACE)
    assert [r.resource.rpartition("/")[2] for r in reads] == ["circuits", "other"]
    assert reads[0].context == {"dynamodb:LeadingKeys": ("a", "*")}
    writes = {"circuits": [{"DeleteRequest": {"Key": {"target": {"S": "b"}}}}]}
    (write,) = requests_of("dynamodb", "BatchWriteItem", {"RequestItems": writes}, PLACE)
    assert write.context == {"dynamodb:LeadingKeys": ("b",)}


@pytest.mark.parametrize(("service", "operation"), [("dynamodb", "DeleteTable"), ("s3", "GetObject")])
def test_a_call_that_nobody_thought_of_is_an_error(service, operation):
    """A new adapter must not slip past the roles."""
    with pytest.raises(TemplateError, match=f"no permission is known for {service}:{operation}"):
        requests_of(service, operation, {}, PLACE)


QUERY = 'SELECT SUM(timeouts) FROM SCHEMA("flyball", target) GROUP BY target'


def query_alarm(expression: str = QUERY) -> dict[str, Any]:
    """An alarm over a query."""
    return {
        "AlarmName": "flyball-client-timeouts",
        "Metrics": [{"Id": "q", "Expression": expression, "Period": 60, "ReturnData": True}],
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 5.0,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
    }


def test_each_target_of_a_query_alarm_has_a_state_of_its_own():
    """One bad target must not hide that a second went bad."""
    clock = VirtualClock(1_800_000_000.0)
    cloudwatch = CloudWatchService(clock, account="1", region="r")
    alarm = InsightsAlarm(cloudwatch, query_alarm(), "r", "1")
    seen = []
    for values in ({"a": 1.0, "b": 9.0}, {"a": 9.0, "b": 9.0}, {"a": 9.0, "b": 1.0}):
        for target, value in values.items():
            for dimensions in ({"target": target}, {"target": target, "function": "f"}, {"other": target}):
                key = metric_key("flyball", "timeouts", dimensions)
                cloudwatch.store.put(key, value, at_s=clock.now_s(), now_s=clock.now_s())
        clock.advance(60.0)
        for event in alarm.evaluate():
            detail = event["detail"]
            seen.append((detail["alarmContributor"]["attributes"]["target"], detail["state"]["value"]))
            assert detail["alarmName"] == "flyball-client-timeouts"
            assert event["resources"] == ["arn:aws:cloudwatch:r:1:alarm:flyball-client-timeouts"]
    assert seen == [("b", "ALARM"), ("a", "ALARM"), ("b", "OK")]


def test_a_query_of_another_form_is_refused():
    """Half understood, it would watch something else."""
    with pytest.raises(TemplateError, match="only SELECT SUM"):
        InsightsAlarm(CloudWatchService(VirtualClock(0.0)), query_alarm("SELECT MAX(x) FROM y"), "r", "1")


def test_resources_that_wait_for_each_other_are_named():
    """CloudFormation refuses a circle; so must the runner, instead of running for ever."""
    resources = {
        "A": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Of": {"Ref": "B"}}},
        "B": {"Type": "AWS::S3::BucketPolicy", "DependsOn": "A"},
    }
    with pytest.raises(TemplateError, match="A -> B -> A"):
        Stack(EmbeddedAws(), {"Resources": resources})


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"Type": "AWS::EC2::Instance"}, "X: AWS::EC2::Instance is not emulated"),
        (
            {
                "Type": "AWS::CloudWatch::Dashboard",
                "Properties": {"DashboardName": "d", "DashboardBody": "{"},
            },
            "X: DashboardBody is no JSON",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(resource, words):
    """A resource that is left out in silence is not proved."""
    with pytest.raises(TemplateError, match=words):
        Stack(EmbeddedAws(), {"Resources": {"X": resource}})


def test_a_resource_that_is_not_there_is_named():
    """By whoever looks for it."""
    with pytest.raises(TemplateError, match="there is no AWS::IAM::Role arn:x"):
        Stack(EmbeddedAws(), {"Resources": {}}).by_arn("AWS::IAM::Role", "arn:x")


def test_a_template_that_the_macro_refuses_is_named(tmp_path):
    """With the macro's own words."""
    path = tmp_path / "template.yaml"
    path.write_text(
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: a.zip, Hndler: x}\n"
    )
    with pytest.raises(TemplateError, match=r"template.yaml: .*F"):
        expand(path)
    path.write_text("Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: x}\n")
    with pytest.raises(TemplateError, match="F: CodeUri is None"):
        expand(path)
