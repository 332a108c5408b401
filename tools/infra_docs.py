"""Write what the installation has of generated parts: the schema in the template, and the IAM reference.

The schema in infra/template.yaml is made from the client's own bounds; the
tables in docs/reference/iam.md are made from the template. A test says when to
run this again. A permission on every resource needs a reason, which stands here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flyball.document_schema import document_schema
from flyball_local.template.expand import read_template

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
PAGE = ROOT / "docs" / "reference" / "iam.md"
SCHEMA_AFTER = "        - Type: JSON_SCHEMA\n"
SCHEMA_BEFORE = "        - Type: LAMBDA\n"
LINE_MAX = 100

# (action, resource) -> why it cannot be narrower.
WIDE = {
    (
        "cloudwatch:GetMetricData",
        "*",
    ): "CloudWatch has no resource for metric data and no condition for reading",
    ("xray", "*"): "X-Ray has no resource for sending",
    ("appconfig", "deployment/*"): "deployments are numbered as they are made; below one environment",
    (
        "appconfig",
        "hostedconfigurationversion/*",
    ): "versions are numbered as they are made; below one profile",
    ("logs", ":*"): "the streams of one log group; Lambda names them",
    ("s3", "metrics/*"): "Firehose names the objects",
    ("s3", "failed/*"): "Firehose names the objects",
}
ANY_SOURCE = "anything: AWS documents no source for this call, and the function reads nothing"
ROLES = {
    "TickRole": "Function `tick`: one round over all targets, every minute.",
    "AlarmRole": "Function `alarm`: a round for the targets that alarms are about.",
    "OverrideRole": "Function `override`: stores a hold, then runs a round for its target.",
    "ValidatorRole": "Function `validator`: judges a document; calls nothing.",
    "ProbeRole": "Function `probe`: checks targets and keeps its own records; cannot touch a circuit.",
    "ProbeScheduleRole": "EventBridge Scheduler, to wake `probe` every minute.",
    "StreamRole": "Function `stream`: a round for the targets whose metrics passed by.",
    "MetricStreamRole": "CloudWatch, to send metric updates to Firehose.",
    "DeliveryRole": "Firehose, to transform and store them.",
    "ClientRole": "The AppConfig Agent of functions in the accounts of `ClientAccounts`.",
}
POLICIES = {
    "ClientPolicy": "Your own functions that run the client.",
    "OperatorPolicy": "People who hold, open, close and release targets.",
    "ApplyPolicy": "People who put policies in force (with AppConfig also `PublishPolicy`).",
    "KillSwitchPolicy": "The few people who may put the whole fleet on its compiled-in defaults.",
}


def schema_lines(schema: Mapping[str, Any], indent: str = " ") -> list[str]:
    """Return a JSON object as lines of at most LINE_MAX characters where that can be."""
    lines = []
    for number, (key, value) in enumerate(schema.items()):
        comma = "," if number + 1 < len(schema) else ""
        whole = f"{indent}{json.dumps(key)}: {json.dumps(value)}{comma}"
        if len(whole) <= LINE_MAX or not isinstance(value, dict):
            lines.append(whole)
        else:
            inner = schema_lines(value, indent + " ")
            lines += [f"{indent}{json.dumps(key)}: {{", *inner, f"{indent}}}{comma}"]
    return lines


def with_schema(template: str) -> str:
    """Return the template with the present schema in it."""
    before, rest = template.split(SCHEMA_AFTER)
    _, after = rest.split(SCHEMA_BEFORE)
    body = "".join(f"            {line}\n" for line in ["{", *schema_lines(document_schema()), "}"])
    note = "          # Made by tools/infra_docs.py from the client's own bounds; a test compares.\n"
    return f"{before}{SCHEMA_AFTER}{note}          Content: |\n{body}{SCHEMA_BEFORE}{after}"


def page(template: Mapping[str, Any]) -> str:
    """Return docs/reference/iam.md with its tables made anew."""
    text = PAGE.read_text()
    for name, body in (
        ("roles", roles(template)),
        ("policies", policies(template)),
        ("senders", senders(template)),
    ):
        mark = f"<!-- generated: {name} -->"
        head, rest = text.split(mark)
        _, tail = rest.split("<!-- end -->", 1)
        text = f"{head}{mark}\n{body}\n<!-- end -->{tail}"
    return text


def roles(template: Mapping[str, Any]) -> str:
    """Return one table per role."""
    resources = template["Resources"]
    found = [name for name, resource in resources.items() if resource["Type"] == "AWS::IAM::Role"]
    if sorted(found) != sorted(ROLES):
        raise SystemExit(f"infra_docs: say what these roles are for: {set(found) ^ set(ROLES)}")
    return "\n\n".join(
        f"### {name}\n\n{ROLES[name]}\n\n{_table(_of_role(resources, name))}" for name in found
    )


def policies(template: Mapping[str, Any]) -> str:
    """Return one table per managed policy that is meant for others."""
    resources = template["Resources"]
    return "\n\n".join(
        f"### {name}\n\n{meant}\n\n{_table(_statements(resources[name]['Properties']['PolicyDocument'], ''))}"
        for name, meant in POLICIES.items()
    )


def senders(template: Mapping[str, Any]) -> str:
    """Return who may call functions and send to queues: the permissions on the receiving side."""
    rows = []
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Permission":
            rows.append(
                [
                    properties["Principal"],
                    _text(properties["FunctionName"]),
                    _text(properties.get("SourceArn", ANY_SOURCE)),
                ]
            )
        if resource["Type"] == "AWS::SQS::QueuePolicy":
            for statement in properties["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow":
                    sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
                    rows.append(
                        [
                            statement["Principal"]["Service"],
                            _text(statement["Resource"]),
                            ", ".join(_text(s) for s in sources),
                        ]
                    )
    lines = ["| service | may reach | on behalf of |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _of_role(resources: Mapping[str, Any], name: str) -> Iterator[list[str]]:
    properties = resources[name]["Properties"]
    for reference in properties.get("ManagedPolicyArns", []):
        policy = _text(reference)
        if policy not in resources:
            yield ["-", "as you decide", "as you decide", f"your policy, named by the parameter {policy}"]
            continue
        yield from _statements(resources[policy]["Properties"]["PolicyDocument"], policy)
    for policy in properties["Policies"]:
        yield from _statements(policy["PolicyDocument"], "")


def _statements(document: Mapping[str, Any], origin: str) -> Iterator[list[str]]:
    for raw in document["Statement"]:
        condition, statement = "", raw
        if "Fn::If" in raw:
            condition, statement, _ = raw["Fn::If"]
            condition = f" (only if {condition})"
        actions = _list(statement["Action"])
        resources = [_text(resource) for resource in _list(statement["Resource"])]
        wide = {why for action in actions for resource in resources if (why := _why_wide(action, resource))}
        notes = [origin and f"from {origin}", "; ".join(sorted(wide)), _conditions(statement)]
        yield [
            f"{statement.get('Sid', '-')}{condition}",
            ", ".join(f"`{action}`" for action in actions),
            ", ".join(resources),
            "; ".join(filter(None, notes)),
        ]


def _why_wide(action: str, resource: str) -> str:
    """Return why a wildcard is unavoidable; "" if there is none."""
    if "*" in action:
        raise SystemExit(f"infra_docs: {action}: name the actions")
    if "*" not in resource:
        return ""
    service = action.split(":")[0]
    for (wanted, ending), why in WIDE.items():
        if wanted in (action, service) and resource.endswith(ending):
            return why
    raise SystemExit(f"infra_docs: {action} on {resource}: narrow it, or say in WIDE why that cannot be")


def _conditions(statement: Mapping[str, Any]) -> str:
    tests = statement.get("Condition", {})
    return "; ".join(f"{op} {key} = {value}" for op, keys in tests.items() for key, value in keys.items())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(node: Any) -> str:
    """Return a resource as a reader knows it: its logical id, or the end of its ARN."""
    if isinstance(node, str):
        return node
    ((function, argument),) = node.items()
    if function == "Fn::GetAtt":
        return f"{argument[0]}:*" if argument[0].endswith("Logs") else str(argument[0])
    if function == "Fn::If":
        return _text(argument[1])
    if function == "Fn::Sub":
        end = re.sub(r"^arn:.*\$\{AWS::AccountId\}:", "", argument)
        return re.sub(r"\$\{(\w+)(\.Arn)?\}", r"\1", "/".join(end.split("/")[-2:]))
    return str(argument)


def _table(rows: Iterator[list[str]]) -> str:
    lines = ["| statement | actions | resources | notes |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Write both."""
    TEMPLATE.write_text(with_schema(TEMPLATE.read_text()))
    PAGE.write_text(page(read_template(TEMPLATE)))


if __name__ == "__main__":
    main()
