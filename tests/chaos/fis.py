"""The stack of FIS experiments, resolved as CloudFormation would, and held to what FIS accepts.

Form: botocore's service model of `CreateExperimentTemplate`. What the model
leaves open (which actions there are, their parameters and targets, which service
sees what) is written down here from the FIS user guide, "AWS FIS actions
reference" and "Quotas": five target ARNs, five alarms per assertion, five stop
conditions.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
from botocore.validate import ParamValidator

from flyball_local.template.expand import read_template
from flyball_local.template.intrinsics import Intrinsics, Made

TEMPLATE = Path(__file__).resolve().parents[2] / "infra" / "chaos" / "template.yaml"
KIND = "AWS::FIS::ExperimentTemplate"
ACCOUNT, REGION = "123456789012", "eu-west-1"
PARAMETERS = {
    "TargetFunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payments",
    "SubnetArns": ",".join(f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-0{x}" for x in "ab"),
    "StopAlarmArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:checkout-works",
    "ConfigBucket": "chaos-faults",
}
STEPS_MAX = 5
ARNS_MAX = 5


class Action(NamedTuple):
    """An action of FIS: the patterns of its parameters, its optional ones, and what it is done to."""

    parameters: dict[str, str]
    target: tuple[str, str] | None = None  # key in the action, resource type
    optional: frozenset[str] = frozenset()


_MINUTES = r"PT\d{1,3}M"
_PERCENT = r"[1-9]\d?|100"
_FUNCTIONS = ("Functions", "aws:lambda:function")
ACTIONS = {
    "aws:lambda:invocation-add-delay": Action(
        {"duration": _MINUTES, "invocationPercentage": _PERCENT, "startupDelayMilliseconds": r"\d{1,6}"},
        _FUNCTIONS,
        frozenset({"invocationPercentage", "startupDelayMilliseconds"}),
    ),
    "aws:lambda:invocation-error": Action(
        {"duration": _MINUTES, "invocationPercentage": _PERCENT, "preventExecution": "true|false"},
        _FUNCTIONS,
        frozenset({"invocationPercentage"}),
    ),
    "aws:lambda:invocation-http-integration-response": Action(
        {
            "duration": _MINUTES,
            "invocationPercentage": _PERCENT,
            "preventExecution": "true|false",
            "statusCode": r"[1-5]\d\d",
            "contentTypeHeader": r"[a-z]+/[a-z.+-]+",
        },
        _FUNCTIONS,
        frozenset({"invocationPercentage"}),
    ),
    "aws:network:disrupt-connectivity": Action(
        {"duration": _MINUTES, "scope": "all|availability-zone|dynamodb|intra-vpc|s3|vpc"},
        ("Subnets", "aws:ec2:subnet"),
    ),
    "aws:cloudwatch:assert-alarm-state": Action(
        {
            "alarmArns": rf"(arn:aws:cloudwatch:[^,:]+:\d{{12}}:alarm:[^,]+,?){{1,{ARNS_MAX}}}",
            "alarmStates": r"((OK|ALARM|INSUFFICIENT_DATA),?)+",
        }
    ),
    "aws:fis:wait": Action({"duration": _MINUTES}),
}


@cache
def raw() -> dict[str, Any]:
    """The template as it is written."""
    return read_template(TEMPLATE)


def resolved(**parameters: str) -> dict[str, dict[str, Any]]:
    """Properties of every resource that these parameters make, functions carried out."""
    template = raw()

    def made(logical: str) -> Made:
        arn = f"arn:aws:any:{REGION}:{ACCOUNT}:{logical}"
        return Made(arn, {"Arn": arn})

    lists = [name for name, one in template["Parameters"].items() if one["Type"] == "CommaDelimitedList"]
    pseudo = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
    functions = Intrinsics(_lists_read(template, lists), {**PARAMETERS, **parameters}, pseudo, made)
    return {
        name: {"Type": resource["Type"], **functions.value(resource["Properties"], name)}
        for name, resource in _lists_read(template, lists)["Resources"].items()
        if functions.exists(name)
    }


def _lists_read(node: Any, lists: list[str]) -> Any:
    """References to list parameters as the lists that CloudFormation makes of them."""
    if isinstance(node, dict):
        if node.get("Ref") in lists:
            return {"Fn::Split": [",", {"Ref": node["Ref"]}]}
        return {key: _lists_read(value, lists) for key, value in node.items()}
    return [_lists_read(one, lists) for one in node] if isinstance(node, list) else node


def experiments(**parameters: str) -> dict[str, dict[str, Any]]:
    """The experiment templates, by logical id."""
    return {name: one for name, one in resolved(**parameters).items() if one["Type"] == KIND}


def request(properties: dict[str, Any]) -> dict[str, Any]:
    """The same as `CreateExperimentTemplate` takes it: names of members begin with small letters."""
    kept = {"Parameters", "Tags"}  # maps of the user's, whose keys are no members

    def small(node: Any, *, members: bool = True) -> Any:
        if isinstance(node, list):
            return [small(one) for one in node]
        if not isinstance(node, dict):
            return node
        return {
            (key[0].lower() + key[1:] if members else key): value
            if key in kept
            else small(value, members=not (members and key in ("Targets", "Actions")))
            for key, value in node.items()
        }

    plain = {key: value for key, value in properties.items() if key != "Type"}
    return {"clientToken": "once", **small(plain)}


def problems(properties: dict[str, Any]) -> list[str]:
    """What FIS would refuse, or an experiment of ours must not lack; empty = nothing."""
    sent = request(properties)
    model = (
        botocore.session.get_session().get_service_model("fis").operation_model("CreateExperimentTemplate")
    )
    report = ParamValidator().validate(sent, model.input_shape)
    found = [report.generate_report()] if report.has_errors() else []
    if found:
        return found
    for name, action in sent["actions"].items():
        found += _action_problems(name, action, sent)
    stops = sent["stopConditions"]
    if not 1 <= len(stops) <= STEPS_MAX or any(one["source"] != "aws:cloudwatch:alarm" for one in stops):
        found.append("there must be one to five alarms that stop it")
    for name, target in sent.get("targets", {}).items():
        if not 1 <= len(target.get("resourceArns", ())) <= ARNS_MAX:
            found.append(f"{name}: between one and five ARNs")
    return found


def _action_problems(name: str, action: dict[str, Any], sent: dict[str, Any]) -> list[str]:
    known = ACTIONS.get(action["actionId"])
    if known is None:
        return [f"{name}: FIS has no action {action['actionId']}"]
    given = action.get("parameters", {})
    found = [f"{name}: {key} is not a parameter" for key in given if key not in known.parameters]
    found += [
        f"{name}: {key} is missing"
        for key in known.parameters
        if key not in given and key not in known.optional
    ]
    found += [
        f"{name}: {key}={value}"
        for key, value in given.items()
        if key in known.parameters and not re.fullmatch(known.parameters[key], value)
    ]
    targets = action.get("targets", {})
    if known.target is None:
        found += [f"{name}: has no targets"] if targets else []
    elif set(targets) != {known.target[0]}:
        found.append(f"{name}: its targets are its {known.target[0]}")
    else:
        target = sent["targets"].get(targets[known.target[0]])
        if target is None or target["resourceType"] != known.target[1]:
            found.append(f"{name}: {known.target[0]} must be a {known.target[1]}")
    found += [
        f"{name}: starts after {one}" for one in action.get("startAfter", ()) if one not in sent["actions"]
    ]
    return found
