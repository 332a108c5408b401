"""Whether the deployed stack does what the embedded one does: rounds, alarms, overrides, permissions."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aws.account import Account, Finding, eventually, refusal
from flyball.outcome import Counters
from flyball.telemetry import counts_of
from flyball_controller.aws.metric_map import client_metrics
from flyball_controller.aws.settings import service_name

MINUTE_S = 60.0


def write_minute(account: Account, target: str, *, requests: int, failures: int) -> None:
    """Write what the clients of a target would have written in this minute."""
    counters = Counters()
    counters.requests, counters.timeouts = requests, failures
    where = client_metrics(target)
    account.client("cloudwatch").put_metric_data(
        Namespace=where.namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in where.dimensions],
                "Timestamp": dt.datetime.fromtimestamp(account.now_s(), tz=dt.UTC),
                "Value": float(value),
                "Unit": "Count",
            }
            for name, value in counts_of(counters).items()
        ],
    )


def circuit_of(account: Account, target: str) -> dict[str, Any] | None:
    """Return the circuit item of a target."""
    key = {"target": {"S": target}, "function": {"S": "*"}}
    reply = account.client("dynamodb").get_item(
        TableName=account.outputs["CircuitsTableName"], Key=key, ConsistentRead=True
    )
    item: dict[str, Any] | None = reply.get("Item")
    return item


def incident_reaches_the_clients(account: Account, target: str) -> Finding:
    """From metrics to the circuit item and the document: ticks, alarms, tables, AppConfig, permissions."""
    began_s = account.now_s()
    for _ in range(3):
        write_minute(account, target, requests=600, failures=0)
        account.pause(MINUTE_S)
    failing_s = account.now_s()
    item = circuit_of(account, target)
    restricted = item is not None and item.get("budget_ratio") == {"N": "0"}
    assert not restricted, f"{target} is still restricted by an earlier run: try again in half an hour"
    for _ in range(8):
        write_minute(account, target, requests=600, failures=590)
        account.pause(MINUTE_S)
        item = circuit_of(account, target)
        # An item may be left of an earlier check: what counts is that retries are off.
        if item is not None and item["budget_ratio"] == {"N": "0"}:
            break
    assert item is not None, f"no circuit item of {target} after eight failing minutes"
    assert item["budget_ratio"] == {"N": "0"}, item
    assert float(item["stamp"]["N"]) >= failing_s - MINUTE_S, f"left of an earlier incident: {item}"
    lag_s = account.now_s() - failing_s
    facts = {
        "reason": item["reason"]["S"],
        "failing_for_s": round(lag_s),
        "took_s": round(account.now_s() - began_s),
    }
    return Finding("", f"retries off {lag_s:.0f} s after the first failing minute began", facts)


def alarm_wakes_the_controller(account: Account, target: str, *, named: bool) -> Finding:
    """An alarm named flyball/TARGET/..., or over a client's metric, passes the rule's `$or` and the queue."""
    client = account.client("cloudwatch")
    where = client_metrics(target)
    name = f"flyball/{target}/lab" if named else f"{account.stack}-lab-by-metric"
    metric: dict[str, Any] = {"Namespace": "flyball/lab", "MetricName": "nothing"}
    if not named:
        dimensions = [{"Name": key, "Value": value} for key, value in where.dimensions]
        metric = {"Namespace": where.namespace, "MetricName": "timeouts", "Dimensions": dimensions}
    began_s = account.now_s()
    client.put_metric_alarm(
        AlarmName=name,
        **metric,
        Statistic="Sum",
        Period=86_400,
        EvaluationPeriods=1,
        Threshold=1e12,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    try:
        client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a check of flyball")
        account.pause(5.0)
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a check of flyball")

        def look() -> bool | None:
            """the controller's metric wake_ups"""
            return count_of(account, "wake_ups", since_s=began_s) > 0.0 or None

        eventually(account, look, within_s=300.0, every_s=15.0)
    finally:
        client.delete_alarms(AlarmNames=[name])
    way = "its name" if named else "its metric's namespace"
    return Finding("", f"woken by {way}", {"alarm": name, "within_s": round(account.now_s() - began_s)})


def count_of(account: Account, metric: str, *, since_s: float) -> float:
    """Return the sum of one of the controller's own metrics since a time."""
    dimension = {"Name": "service", "Value": service_name(account.prefix)}
    spec = {"Namespace": "flyball/controller", "MetricName": metric, "Dimensions": [dimension]}
    reply = account.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": spec, "Period": 60, "Stat": "Sum"}}],
        StartTime=dt.datetime.fromtimestamp(since_s // MINUTE_S * MINUTE_S, tz=dt.UTC),
        EndTime=dt.datetime.fromtimestamp(account.now_s() + MINUTE_S, tz=dt.UTC),
    )
    (result,) = reply["MetricDataResults"]
    return float(sum(result["Values"]))


def override_is_in_force(account: Account, target: str) -> Finding:
    """What an operator is told is what clients read."""
    wish = {"target": target, "by": "pytest", "why": "a check of flyball"}
    began_s = account.now_s()
    answer = account.invoke(f"{account.prefix}-override", {**wish, "action": "open", "for_s": 120})
    took_s = account.now_s() - began_s
    try:
        assert answer["effective"] is True, answer
        item = circuit_of(account, target)
        assert item is not None, "no circuit item"
        assert item["state"] == {"S": "forced_open"}, item
    finally:
        account.invoke(f"{account.prefix}-override", {**wish, "action": "release"})
    return Finding("", f"in force after {took_s:.1f} s", {"took_s": round(took_s, 2)})


def validators_refuse_a_bad_document(account: Account) -> Finding:
    """AppConfig calls the Lambda validator without a source in its permission, and obeys both validators."""
    application, environment, profile, strategy = account.outputs["AppConfigIds"].split("/")
    client = account.client("appconfig")
    document = {"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", "targets": {}}
    twice = json.dumps(document)[:-1] + ', "revision": 2}'  # the schema cannot see it, the function does
    where = {"ApplicationId": application, "ConfigurationProfileId": profile}
    number = client.create_hosted_configuration_version(
        **where, Content=twice.encode(), ContentType="application/json"
    )["VersionNumber"]
    try:
        code, text = refusal(
            account,
            lambda: client.start_deployment(
                **where,
                EnvironmentId=environment,
                ConfigurationVersion=str(number),
                DeploymentStrategyId=strategy,
            ),
        )
    finally:
        account.discard("appconfig", "delete_hosted_configuration_version", **where, VersionNumber=number)
    assert code == "BadRequestException", f"{code or 'accepted'}: {text}"
    return Finding("", f"refused: {code}", {"text": text})


def circuits_are_read_by_arn(account: Account, target: str) -> Finding:
    """Functions in other accounts know the table by its ARN: the reply must be by it too."""
    arn = account.outputs["CircuitsTableArn"]
    reply = account.client("dynamodb").batch_get_item(
        RequestItems={arn: {"Keys": [{"target": {"S": target}, "function": {"S": "*"}}]}}
    )
    named = sorted(reply["Responses"]) or sorted(reply.get("UnprocessedKeys", {}))
    assert set(named) <= {arn}, f"the reply is by {named}: the client would see no circuits"
    return Finding("", "the reply is by the ARN", {"named": named})


Asked = tuple[str, str, str]  # function, action, resource
DENIED = (
    ("dynamodb:DeleteItem", "table", "circuits"),
    ("dynamodb:Query", "table", "journal"),
    ("dynamodb:PutItem", "table", "customers"),
)


def iam_decides_as_the_emulator(account: Account, asked: Iterable[Asked]) -> Finding:
    """Put every call that handlers make on the embedded account to IAM's simulator, with the real roles.

    Args:
        account: The account.
        asked: What was allowed there, with ARNs of this account.
    """
    iam, functions = account.client("iam"), account.client("lambda")
    by_function: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for function, action, resource in asked:
        by_function[function][action].add(resource)
    wrong = []
    judged = 0
    for function, actions in sorted(by_function.items()):
        role = functions.get_function_configuration(FunctionName=function)["Role"]
        for action, resources in sorted(actions.items()):
            decisions = simulated(iam, role, action, sorted(resources))
            judged += len(decisions)
            wrong += [f"{function}: {action} on {r}: {d}" for r, d in decisions.items() if d != "allowed"]
        for action, kind, name in DENIED:
            resource = f"arn:aws:dynamodb:{account.region}:{account.account}:{kind}/{account.prefix}-{name}"
            decisions = simulated(iam, role, action, [resource])
            judged += len(decisions)
            wrong += [f"{function}: {action} on {r}: allowed" for r, d in decisions.items() if d == "allowed"]
    assert judged, "nothing was put to IAM"
    assert not wrong, "\n".join(wrong)
    return Finding("", f"{judged} decisions as expected", {"judged": judged})


def simulated(iam: Any, role: str, action: str, resources: list[str]) -> dict[str, str]:
    """Return IAM's decision for each resource."""
    reply = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=[action], ResourceArns=resources)
    return {result["EvalResourceName"]: result["EvalDecision"] for result in reply["EvaluationResults"]}


def controller_is_calm(account: Account) -> Finding:
    """No alarm on the controller rings, but that it sees no traffic: last of all, after everything above."""
    reply = account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{account.prefix}-controller-")
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in reply["MetricAlarms"]}
    assert states, "there are no alarms on the controller"
    ringing = sorted(
        name for name, value in states.items() if value == "ALARM" and not name.endswith("-blind")
    )
    assert not ringing, ringing
    return Finding("", f"{len(states)} alarms, none rings", states)


def metrics_of_a_linked_account(account: Account, other: str, target: str) -> Finding:
    """Ask for a metric of another account, and of one that shares nothing."""
    where = client_metrics(target, accounts=(other,))
    codes = {}
    for asked in (other, "000000000000"):
        (name, value), *_ = where.dimensions
        metric = {
            "Namespace": where.namespace,
            "MetricName": "requests",
            "Dimensions": [{"Name": name, "Value": value}],
        }
        query = {"Id": "m", "AccountId": asked, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}

        def ask(query: dict[str, Any] = query, asked: str = asked) -> None:
            reply = account.client("cloudwatch").get_metric_data(
                MetricDataQueries=[query],
                StartTime=dt.datetime.fromtimestamp(account.now_s() - 3_600.0, tz=dt.UTC),
                EndTime=dt.datetime.fromtimestamp(account.now_s(), tz=dt.UTC),
            )
            codes[asked] = reply["MetricDataResults"][0]["StatusCode"]

        code, _ = refusal(account, ask)
        codes.setdefault(asked, code)
    assert codes[other] == "Complete", codes
    assert codes["000000000000"] != "Complete", (
        "an account that shares nothing must not look like one without data"
    )
    return Finding("", "a linked account is read, another is not", codes)
