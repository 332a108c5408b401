"""What Lambda, alarms and the AppConfig Agent do (points f, g and h). Functions are made and taken back."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aws.account import Account, Finding, eventually, refusal
from flyball_controller.bounded import instant_s

RUNTIME = "python3.13"
ROUNDS = 5
WAYS = {"rule", "action"}
TELL = """
import json, time
def handler(event, context):
    way = "rule" if "detail" in event else "action"
    state = event["detail"]["state"] if way == "rule" else event["alarmData"]["state"]
    print(json.dumps({"lab": way, "at_s": time.time(), "changed": state["timestamp"]}))
"""
ASK_THE_AGENT = """
import time, urllib.error, urllib.request
URL = "http://localhost:2772/applications/none/environments/none/configurations/none"
def handler(event, context):
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(URL, timeout=20) as reply:
            status, body = reply.status, reply.read(200).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read(200).decode("utf-8", "replace")
    except OSError as error:
        status, body = 0, type(error).__name__
    return {"status": status, "body": body, "seconds": time.perf_counter() - began}
"""
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}
APPCONFIG = {
    "Effect": "Allow",
    "Action": ["appconfig:StartConfigurationSession", "appconfig:GetLatestConfiguration"],
    "Resource": "*",
}


def zipped(source: str) -> bytes:
    """Return a bundle of one module `lab`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("lab.py", source)
    return packed.getvalue()


@contextmanager
def lab_function(
    account: Account,
    source: str,
    *,
    layers: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    statements: Sequence[Mapping[str, object]] = (),
) -> Iterator[tuple[str, str]]:
    """Yield name and ARN of a function that is ready; take it, its role and its log back after it."""
    name = f"{account.stack}-lab"
    iam, client = account.client("iam"), account.client("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy([trust]))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="lab", PolicyDocument=policy([LOGS, *statements]))
    account.pause(15.0)  # a new role cannot be assumed at once
    try:
        arn: str = client.create_function(
            FunctionName=name,
            Role=role,
            Runtime=RUNTIME,
            Handler="lab.handler",
            Code={"ZipFile": zipped(source)},
            Timeout=30,
            Layers=list(layers),
            Environment={"Variables": dict(variables or {})},
        )["FunctionArn"]

        def ready() -> bool | None:
            """the function's state"""
            return client.get_function_configuration(FunctionName=name)["State"] == "Active" or None

        eventually(account, ready, within_s=120.0)
        yield name, arn
    finally:
        account.discard("lambda", "delete_function", FunctionName=name)
        account.discard("logs", "delete_log_group", logGroupName=f"/aws/lambda/{name}")
        account.discard("iam", "delete_role_policy", RoleName=name, PolicyName="lab")
        account.discard("iam", "delete_role", RoleName=name)


def policy(statements: Sequence[Mapping[str, object]]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def latency_of_rule_and_action(account: Account) -> Finding:
    """Say how long an alarm's change takes to a function: by a rule, and by the alarm's own action."""
    name = f"{account.stack}-lab"
    events, cloudwatch = account.client("events"), account.client("cloudwatch")
    with lab_function(account, TELL) as (function, arn):
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],  # its making and taking back are events too
            "detail": {"alarmName": [name]},
        }
        rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        for sid, service, source in (
            ("rule", "events.amazonaws.com", rule),
            ("action", "lambda.alarms.cloudwatch.amazonaws.com", None),
        ):
            account.client("lambda").add_permission(
                FunctionName=function,
                StatementId=sid,
                Action="lambda:InvokeFunction",
                Principal=service,
                SourceAccount=account.account,
                **({"SourceArn": source} if source else {}),
            )
        events.put_targets(Rule=name, Targets=[{"Id": "lab", "Arn": arn}])
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmActions=[arn],
            Namespace="flyball/lab",
            MetricName="nothing",
            Statistic="Sum",
            Period=86_400,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
        try:
            began_s = account.now_s()
            for _ in range(ROUNDS):
                for value in ("OK", "ALARM"):
                    cloudwatch.set_alarm_state(
                        AlarmName=name, StateValue=value, StateReason="a check of flyball"
                    )
                    account.pause(10.0)
            said = eventually(account, lambda: told(account, function, began_s), within_s=300.0, every_s=15.0)
        finally:
            cloudwatch.delete_alarms(AlarmNames=[name])
            account.discard("events", "remove_targets", Rule=name, Ids=["lab"])
            account.discard("events", "delete_rule", Name=name)
    medians = {way: sorted(delays)[len(delays) // 2] for way, delays in said.items()}
    # A minute is the tick's own pace: an alarm that takes longer is of no use.
    assert medians["rule"] < 60.0, medians
    words = ", ".join(f"{way} {seconds:.1f} s" for way, seconds in sorted(medians.items()))
    return Finding("f", f"median of {ROUNDS}: {words}", said)


def told(account: Account, function: str, since_s: float) -> dict[str, list[float]] | None:
    """Return the delays by way, seconds, once both ways have told of every change to ALARM."""
    reply = account.client("logs").filter_log_events(
        logGroupName=f"/aws/lambda/{function}", startTime=int(since_s * 1_000), filterPattern='"lab"'
    )
    found: dict[str, list[float]] = {}
    for event in reply["events"]:
        line = json.loads(event["message"])
        changed_s = instant_s(line["changed"])
        assert changed_s is not None, line
        found.setdefault(line["lab"], []).append(line["at_s"] - changed_s)
    return found if set(found) == WAYS and all(len(delays) >= ROUNDS for delays in found.values()) else None


def agent_without_appconfig(account: Account, layer: str) -> Finding:
    """Say what the AppConfig Agent answers a first request while AppConfig cannot be reached.

    The client takes anything but 200 for a failure, and gives up after half a second.
    """
    nowhere = {"AWS_APPCONFIG_EXTENSION_PROXY_URL": "http://192.0.2.1:9"}  # of TEST-NET-1: nobody answers
    with lab_function(account, ASK_THE_AGENT, layers=[layer], variables=nowhere, statements=[APPCONFIG]) as (
        name,
        _,
    ):
        said: dict[str, Any] = account.invoke(name, {})
    assert said["status"] != 200, f"the agent calls something a configuration: {said}"
    return Finding("g", f"status {said['status']} after {said['seconds']:.1f} s", said)


def runtime_is_offered(account: Account, runtime: str) -> Finding:
    """Say whether a runtime exists in this region. Nothing is made: the role does not exist."""
    client = account.client("lambda")

    def make() -> None:
        client.create_function(
            FunctionName=f"{account.stack}-lab-runtime",
            Role=f"arn:aws:iam::{account.account}:role/{account.stack}-lab-does-not-exist",
            Runtime=runtime,
            Handler="lab.handler",
            Code={"ZipFile": zipped("")},
        )

    code, text = refusal(account, make)
    assert code, "a function without a role must not be made"
    offered = runtime not in text
    return Finding("h", f"{runtime}: {'offered' if offered else 'not offered'}", {"code": code, "text": text})
