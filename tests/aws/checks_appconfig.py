"""What AppConfig does where its documents are silent (points a, b, c, d and i). Each in a lab of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws.account import Account, Finding, Lab, eventually, lab, new_version, reaches, refusal, start, state
from flyball_controller.aws.appconfig_api import CONFLICT

ENDED = ("COMPLETE", "ROLLED_BACK", "REVERTED")
ROLLBACK = ("ROLLING_BACK", "ROLLED_BACK")


@contextmanager
def alarm(account: Account, state_value: str) -> Iterator[str]:
    """Yield the ARN of an alarm in a state; it watches a metric that nobody writes."""
    client = account.client("cloudwatch")
    name = f"{account.stack}-lab-alarm"
    client.put_metric_alarm(
        AlarmName=name,
        Namespace="flyball/lab",
        MetricName="nothing",
        Statistic="Sum",
        Period=86_400,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="missing" if state_value == "INSUFFICIENT_DATA" else "ignore",
    )
    client.set_alarm_state(AlarmName=name, StateValue=state_value, StateReason="a check of flyball")
    try:
        yield f"arn:aws:cloudwatch:{account.region}:{account.account}:alarm:{name}"
    finally:
        client.delete_alarms(AlarmNames=[name])


@contextmanager
def alarm_role(account: Account) -> Iterator[str]:
    """Yield a role with which AppConfig may look at alarms."""
    client, name = account.client("iam"), f"{account.stack}-lab-appconfig"
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "appconfig.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    look = {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"}
    arn: str = client.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    client.put_role_policy(
        RoleName=name,
        PolicyName="look",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [look]}),
    )
    account.pause(15.0)  # a new role is not known everywhere at once
    try:
        yield arn
    finally:
        account.discard("iam", "delete_role_policy", RoleName=name, PolicyName="look")
        account.discard("iam", "delete_role", RoleName=name)


def deployment_under_an_alarm(account: Account, state_value: str) -> Finding:
    """Say what becomes of a deployment whose environment's alarm rings, or has no data, before it starts.

    flyball's environment has no monitors for this reason; the emulator assumes that it is rolled back.
    """
    with alarm_role(account) as role, alarm(account, state_value) as arn:
        monitors = [{"AlarmArn": arn, "AlarmRoleArn": role}]
        with lab(account, monitors=monitors) as at:
            version = new_version(account, at, {"a": 1})
            number = 0

            def go() -> None:
                nonlocal number
                number = start(account, at, version, strategy="slow")

            code, _ = refusal(account, go)
            if code:
                return Finding("a", f"refused: {code}", {"alarm": state_value, "code": code})
            ended = reaches(account, at, number, *ENDED, within_s=600.0)
    assert ended in ENDED
    return Finding("a", f"accepted, then {ended}", {"alarm": state_value, "state": ended})


def seconds_to_complete(account: Account) -> Finding:
    """Say how long an at-once deployment takes to COMPLETE, and to a reader that polls.

    The publisher calls a deployment of more than two minutes stuck.
    """
    data = account.client("appconfigdata")
    with lab(account) as at:
        first, second = (new_version(account, at, {"a": n}) for n in (1, 2))
        reaches(account, at, start(account, at, first), "COMPLETE", within_s=120.0)
        reply = data.get_latest_configuration(ConfigurationToken=session(account, at))
        assert reply["Configuration"].read() == b'{"a": 1}'
        began_s = account.now_s()
        number = start(account, at, second)
        reaches(account, at, number, "COMPLETE", within_s=120.0)
        complete_s = account.now_s() - began_s
        seen_s = None
        while seen_s is None:
            account.pause(15.0)  # a reader may not poll more often
            reply = data.get_latest_configuration(ConfigurationToken=reply["NextPollConfigurationToken"])
            seen_s = account.now_s() - began_s if reply["Configuration"].read() else None
            assert account.now_s() - began_s < 180.0, "no reader saw the document within three minutes"
    assert complete_s < 120.0
    facts = {"complete_s": round(complete_s, 1), "seen_s": round(seen_s, 1)}
    return Finding("b", f"complete after {complete_s:.0f} s, read after {seen_s:.0f} s", facts)


def session(account: Account, at: Lab) -> str:
    """Open a reader's session; return its token."""
    reply = account.client("appconfigdata").start_configuration_session(
        ApplicationIdentifier=at.application,
        EnvironmentIdentifier=at.environment,
        ConfigurationProfileIdentifier=at.profile,
        RequiredMinimumPollIntervalInSeconds=15,
    )
    return str(reply["InitialConfigurationToken"])


def conflict_while_deploying_and_baking(account: Account) -> Finding:
    """Say how a second deployment is refused in both states of the first, and whether the texts differ."""
    said: dict[str, tuple[str, str]] = {}
    with lab(account) as at:
        first, second = (new_version(account, at, {"a": n}) for n in (1, 2))
        number = start(account, at, first, strategy="slow")
        for phase in ("DEPLOYING", "BAKING"):
            reaches(account, at, number, phase, within_s=150.0)
            said[phase] = refusal(account, lambda: start(account, at, second))
        stop = {"ApplicationId": at.application, "EnvironmentId": at.environment, "DeploymentNumber": number}
        account.client("appconfig").stop_deployment(**stop)
        reaches(account, at, number, *ENDED, within_s=300.0)
    codes = {code for code, _ in said.values()}
    assert codes == {CONFLICT}, said
    same = len({text for _, text in said.values()}) == 1
    texts = {phase: text for phase, (_, text) in said.items()}
    return Finding("c", f"{CONFLICT} in both, the text {'is the same' if same else 'differs'}", texts)


def token_used_twice(account: Account) -> Finding:
    """Say whether a reader may repeat a poll whose answer it lost. The client opens a new session then."""
    data = account.client("appconfigdata")
    with lab(account) as at:
        number = start(account, at, new_version(account, at, {"a": 1}))
        reaches(account, at, number, "COMPLETE", within_s=120.0)
        token = session(account, at)
        data.get_latest_configuration(ConfigurationToken=token)
        code, text = refusal(account, lambda: data.get_latest_configuration(ConfigurationToken=token))
        fresh = data.get_latest_configuration(ConfigurationToken=session(account, at))
    assert fresh["Configuration"].read() == b'{"a": 1}', "a new session must get everything"
    return Finding("d", f"refused: {code}" if code else "tolerated", {"code": code, "text": text})


def mismatch_of_the_latest_number(account: Account) -> Finding:
    """Say how a deployment over an older one than the latest is refused: the publisher's lock rests on it."""
    with lab(account) as at:
        versions = [new_version(account, at, {"a": n}) for n in (1, 2, 3)]
        numbers: list[Any] = []
        for version in versions[:2]:
            numbers.append(start(account, at, version))
            reaches(account, at, numbers[-1], "COMPLETE", within_s=120.0)
        code, text = refusal(
            account, lambda: start(account, at, versions[2], LatestDeploymentNumber=numbers[0])
        )
        assert code, "a deployment over an older number than the latest must be refused"
        third = start(account, at, versions[2], LatestDeploymentNumber=numbers[1])
        assert state(account, at, third) in ("DEPLOYING", "BAKING", "COMPLETE", "VALIDATING")
        eventually(account, lambda: state(account, at, third) in ENDED or None, within_s=120.0)
    assert code == CONFLICT, (
        f"{code}: {text}; the publisher takes {CONFLICT} for a lost race, and no other code"
    )
    return Finding("i", code, {"code": code, "text": text})
