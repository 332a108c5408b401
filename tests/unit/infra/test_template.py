"""What the template must hold whatever it does: encryption, recovery, dead letters, retention, no open door.

Checked on the expanded template. A resource that is an exception stands in a
table with its reason; an exception that is none any more fails too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from flyball.document_schema import document_schema
from flyball_controller.aws.clients import CLOUDWATCH_LIMITS, DYNAMODB_LIMITS, LAMBDA_LIMITS
from flyball_controller.aws.cloudwatch import FAILED_CALLS_MAX
from flyball_controller.aws.metric_map import SUM, client_metrics
from flyball_local.template.expand import read_template
from integration.infra_world import TEMPLATE, expanded

RESOURCES: dict[str, dict[str, Any]] = expanded()["Resources"]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of all resources of a type."""
    return {name: r.get("Properties", {}) for name, r in RESOURCES.items() if r["Type"] == kind}


def documents() -> dict[str, dict[str, Any]]:
    """Every policy document, by where it stands; conditional statements included."""
    found = {name: p["PolicyDocument"] for name, p in of_type("AWS::IAM::ManagedPolicy").items()}
    for name, role in of_type("AWS::IAM::Role").items():
        found |= {f"{name}/{p['PolicyName']}": p["PolicyDocument"] for p in role["Policies"]}
        found[f"{name}/assume"] = role["AssumeRolePolicyDocument"]
    for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
        found |= {name: p["PolicyDocument"] for name, p in of_type(kind).items()}
    return found


def statements() -> list[tuple[str, dict[str, Any]]]:
    """Every statement with where it stands."""
    return [
        (where, raw["Fn::If"][1] if "Fn::If" in raw else raw)
        for where, document in documents().items()
        for raw in document["Statement"]
    ]


def listed(value: Any) -> list[Any]:
    """A list of one or several."""
    return value if isinstance(value, list) else [value]


def test_tables_are_on_demand_encrypted_recoverable_and_clean_up_after_themselves():
    """Capacity that is planned is wrong during an incident; a deleted state must be recoverable."""
    tables = of_type("AWS::DynamoDB::Table")
    assert len(tables) == 4
    # AWS's own key encrypts it then; the account's could not be used from another account.
    elsewhere = {"Fn::If": ["ClientsElsewhere", False, True]}
    for name, table in tables.items():
        assert table["BillingMode"] == "PAY_PER_REQUEST", name
        assert table["SSESpecification"] == {"SSEEnabled": elsewhere if name == "CircuitsTable" else True}, (
            name
        )
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}, name


def test_the_journal_outlives_the_stack():
    """It is the record of what was done to production."""
    assert RESOURCES["JournalTable"]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES["JournalTable"]["UpdateReplacePolicy"] == "Retain"


def test_queues_are_encrypted_and_take_nothing_without_tls():
    """Alarms name targets."""
    queues = of_type("AWS::SQS::Queue")
    protected = set()
    for policy in of_type("AWS::SQS::QueuePolicy").values():
        denies = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert [s["Condition"] for s in denies] == [{"Bool": {"aws:SecureTransport": "false"}}]
        protected |= {reference["Ref"] for reference in policy["Queues"]}
    assert protected == set(queues)
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


NO_DEAD_LETTERS = {
    "AlarmFunction": "SQS calls it; the queue has a dead-letter queue",
    "ValidatorFunction": "AppConfig calls it and waits for the answer",
    "StreamFunction": "Firehose calls it, tries again, and keeps what failed in the bucket",
}


def test_nothing_that_fails_is_lost_in_silence():
    """Every asynchronous way ends in a dead-letter queue, and every such queue has an alarm."""
    without = {name for name, f in of_type("AWS::Lambda::Function").items() if "DeadLetterConfig" not in f}
    assert without == set(NO_DEAD_LETTERS)
    for name, rule in of_type("AWS::Events::Rule").items():
        targets = [raw["Fn::If"][1] if "Fn::If" in raw else raw for raw in rule["Targets"]]
        assert all("DeadLetterConfig" in target and "RetryPolicy" in target for target in targets), name
    queues = of_type("AWS::SQS::Queue")
    dead = {
        q["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for q in queues.values()
        if "RedrivePolicy" in q
    }
    dead |= {f["DeadLetterConfig"]["TargetArn"]["Fn::GetAtt"][0]
             for f in of_type("AWS::Lambda::Function").values() if "DeadLetterConfig" in f}  # fmt: skip
    watched = {
        a["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for a in of_type("AWS::CloudWatch::Alarm").values()
        if a.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    }
    assert dead == watched


def test_a_queue_hides_a_message_six_times_as_long_as_its_function_may_run():
    """Lambda's advice; a shorter time hands the same alarm out twice."""
    assert RESOURCES["AlarmQueue"]["Properties"]["VisibilityTimeout"] == 6 * 60
    assert RESOURCES["AlarmFunction"]["Properties"]["Timeout"] == 60


ROUND_S = 15.0  # a fleet's round without its metrics: states and holds read, circuits and journal written


def test_a_round_outlives_metrics_that_do_not_answer():
    """Two calls without an answer took 61 s, and Lambda ended the tick at 60: no circuit was renewed,
    no hold obeyed. The operator's command waits for a round of one target, which makes one call."""
    call_s = CLOUDWATCH_LIMITS.attempts * (CLOUDWATCH_LIMITS.connect_s + CLOUDWATCH_LIMITS.read_s)
    for name in ("TickFunction", "AlarmFunction", "StreamFunction", "OverrideFunction"):
        timeout_s = RESOURCES[name]["Properties"]["Timeout"]
        assert FAILED_CALLS_MAX * call_s + ROUND_S <= timeout_s, name
    store_s = DYNAMODB_LIMITS.attempts * (DYNAMODB_LIMITS.connect_s + DYNAMODB_LIMITS.read_s)
    assert call_s + store_s < LAMBDA_LIMITS.read_s


def test_every_function_has_its_own_role_and_its_own_log_that_ends():
    """A shared role is as wide as its widest user; a log without end is a bill."""
    functions = of_type("AWS::Lambda::Function")
    roles = [f["Role"]["Fn::GetAtt"][0] for f in functions.values()]
    groups = [f["LoggingConfig"]["LogGroup"]["Ref"] for f in functions.values()]
    assert len(set(roles)) == len(set(groups)) == len(functions) == 6
    assert all(
        group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        for group in of_type("AWS::Logs::LogGroup").values()
    )
    for name, function in functions.items():
        role = next(p for p in of_type("AWS::IAM::Role")[function["Role"]["Fn::GetAtt"][0]]["Policies"])
        log = next(s for s in role["PolicyDocument"]["Statement"] if s["Sid"] == "WriteOwnLog")
        assert log["Resource"] == {"Fn::GetAtt": [function["LoggingConfig"]["LogGroup"]["Ref"], "Arn"]}, name


WIDE_RESOURCES = {
    ("RoundPolicy", "cloudwatch:GetMetricData"): "CloudWatch has no resource for metric data",
    ("RoundPolicy", "xray:PutTraceSegments"): "X-Ray has no resource for what it is sent",
    ("RoundPolicy", "xray:PutTelemetryRecords"): "the same",
    ("ProbeRole/probe", "xray:PutTraceSegments"): "the same",
    ("ProbeRole/probe", "xray:PutTelemetryRecords"): "the same",
}


def test_no_statement_is_wider_than_its_reason():
    """A wildcard stays for ever once it is in."""
    wide = set()
    for where, statement in statements():
        assert "NotAction" not in statement, where
        assert "NotResource" not in statement, where
        if statement["Effect"] == "Deny":
            continue
        for action in listed(statement["Action"]):
            assert "*" not in action, (where, action)
            if "*" in [r for r in listed(statement.get("Resource", [])) if isinstance(r, str)]:
                wide.add((where, action))
    assert wide == set(WIDE_RESOURCES)


UNSCOPED = {"ValidatorPermission": "AWS documents no source for AppConfig's call; the function reads nothing"}


def test_other_accounts_read_circuits_and_document_if_they_are_named_and_nothing_else():
    """One action on one table, and a role that holds what clients of this account hold."""
    (given,) = [p for p in of_type("AWS::DynamoDB::Table").values() if "ResourcePolicy" in p]
    condition, policy, none = given["ResourcePolicy"]["Fn::If"]
    assert (condition, none) == ("ClientsElsewhere", {"Ref": "AWS::NoValue"})
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "dynamodb:BatchGetItem"
    assert statement["Resource"]["Fn::Sub"].endswith(":table/${Prefix}-circuits")
    named = {"AWS": {"Fn::Split": [",", {"Ref": "ClientAccounts"}]}}
    assert statement["Principal"] == named
    assert RESOURCES["ClientRole"]["Condition"] == "ClientsElsewhere"
    role = RESOURCES["ClientRole"]["Properties"]
    assert [s["Principal"] for s in role["AssumeRolePolicyDocument"]["Statement"]] == [named]
    assert role["ManagedPolicyArns"] == [{"Ref": "ClientPolicy"}]
    assert role["Policies"] == []


def test_nobody_outside_the_account_is_let_in():
    """A principal * without an account, or a service without a source, is the confused deputy's door."""
    for where, statement in statements():
        principal = statement.get("Principal")
        if statement["Effect"] == "Allow" and principal is not None and where != "ClientRole/assume":
            assert set(principal) == {"Service"}, where
            assert "*" not in listed(principal["Service"]), where
    unscoped = set()
    for name, permission in of_type("AWS::Lambda::Permission").items():
        assert permission["Action"] == "lambda:InvokeFunction", name
        if "SourceArn" in permission:
            assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}, name
        else:
            unscoped.add(name)
    assert unscoped == set(UNSCOPED)
    for name, policy in of_type("AWS::SQS::QueuePolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert "aws:SourceArn" in statement["Condition"]["ArnEquals"], name
    (bucket,) = of_type("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_patterns_name_account_region_source_and_kind():
    """A broad pattern is paid for by the event."""
    patterns = [r["EventPattern"] for r in of_type("AWS::Events::Rule").values() if "EventPattern" in r]
    assert len(patterns) == 2
    for pattern in patterns:
        assert pattern["account"] == [{"Ref": "AWS::AccountId"}]
        assert pattern["region"] == [{"Ref": "AWS::Region"}]
        assert pattern["source"] == ["aws.cloudwatch"]
        kinds = [part["detail-type"] for part in pattern.get("$or", [pattern])]
        assert all(kinds)


def test_the_metric_stream_carries_the_statistics_that_the_controller_reads():
    """Without the percentiles latencies would be missing from streamed windows, and only there."""
    (stream,) = of_type("AWS::CloudWatch::MetricStream").values()
    (extra,) = stream["StatisticsConfigurations"]
    wanted = {(source.metric, source.stat) for source in client_metrics("t").sources() if source.stat != SUM}
    (metric,) = extra["IncludeMetrics"]
    assert {(metric["MetricName"], stat) for stat in extra["AdditionalStatistics"]} == wanted


def test_deployments_do_not_wait_and_no_alarm_undoes_them():
    """A deployment made because an alarm fired must not be rolled back by that alarm."""
    strategy = of_type("AWS::AppConfig::DeploymentStrategy")["AtOnceStrategy"]
    times = [strategy[k] for k in ("DeploymentDurationInMinutes", "FinalBakeTimeInMinutes", "GrowthFactor")]
    assert times == [0, 0, 100]
    assert "Monitors" not in of_type("AWS::AppConfig::Environment")["ConfigEnvironment"]


def test_the_schema_in_the_template_is_the_client_s():
    """After a change of bounds: python tools/infra_docs.py."""
    validators = of_type("AWS::AppConfig::ConfigurationProfile")["ConfigProfile"]["Validators"]
    schema = json.loads(validators[0]["Content"])
    assert schema == document_schema(), "run: .venv/bin/python tools/infra_docs.py"
    assert len(validators[0]["Content"]) < 32_768  # AppConfig's limit


def test_every_role_accepts_a_permissions_boundary():
    """Accounts that demand one refuse the stack otherwise."""
    boundary = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    assert all(role["PermissionsBoundary"] == boundary for role in of_type("AWS::IAM::Role").values())


def test_every_parameter_explains_itself_and_has_a_default_and_a_place():
    """`sam deploy --guided` asks for each of them."""
    template = read_template(TEMPLATE)
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    placed = [name for group in groups for name in group["Parameters"]]
    assert sorted(placed) == sorted(template["Parameters"])
    for name, parameter in template["Parameters"].items():
        assert "Default" in parameter, name
        assert parameter["Description"], name


def test_alarms_on_the_controller_watch_metrics_that_it_emits():
    """An alarm on a misspelt metric is green for ever."""
    from pathlib import Path

    import flyball_handlers

    code = "".join(p.read_text() for p in Path(flyball_handlers.__file__).parent.glob("*.py"))
    own = [
        a for a in of_type("AWS::CloudWatch::Alarm").values() if a.get("Namespace") == "flyball/controller"
    ]
    assert len(own) >= 4
    for alarm in own:
        name = alarm["MetricName"]
        written = (
            "configuration_{report.published.status.code}" if name == "configuration_failed" else f'"{name}"'
        )
        assert written in code, name


def test_accounts_share_metrics_of_named_namespaces_and_nothing_else():
    """A link without a filter shares every metric; a sink without a condition takes logs and traces too."""
    folder = TEMPLATE.parent / "accounts"
    (link,) = read_template(folder / "source.yaml")["Resources"].values()
    (sink,) = read_template(folder / "monitoring.yaml")["Resources"].values()
    assert link["Properties"]["ResourceTypes"] == ["AWS::CloudWatch::Metric"]
    filters = link["Properties"]["LinkConfiguration"]["MetricConfiguration"]["Filter"]["Fn::If"][1:]
    assert [text["Fn::Sub"].partition(" ")[0] for text in filters] == ["Namespace", "Namespace"]
    (statement,) = sink["Properties"]["Policy"]["Statement"]
    assert statement["Action"] == ["oam:CreateLink", "oam:UpdateLink"]
    assert statement["Principal"] == {"AWS": {"Ref": "SourceAccounts"}}
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {"oam:ResourceTypes": ["AWS::CloudWatch::Metric"]},
        "Null": {"oam:ResourceTypes": "false"},
    }


def test_every_policy_for_others_is_an_output():
    """What somebody is told to attach must be found without digging in the console."""
    outputs = {str(value["Value"].get("Ref")) for value in expanded()["Outputs"].values()}
    for_functions = {"RoundPolicy"}  # of our own roles only
    assert set(of_type("AWS::IAM::ManagedPolicy")) - for_functions <= outputs


@pytest.mark.slow
def test_cfn_lint_finds_nothing():
    """Types, references, regions: what CloudFormation itself would refuse, in all templates."""
    accounts = [str(path) for path in sorted((TEMPLATE.parent / "accounts").glob("*.yaml"))]
    assert len(accounts) == 2
    lint = "from cfnlint.runner import main; main()"
    others = [*accounts, str(TEMPLATE.parent / "sweep.yaml")]  # that of infra/chaos: tests/chaos
    command = [sys.executable, "-c", lint, "-r", "eu-west-1", "--", str(TEMPLATE), *others]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")
