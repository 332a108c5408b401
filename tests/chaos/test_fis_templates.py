"""The experiments for FIS: what the service accepts, who may do what, and what ends them early."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import Any

import pytest

from chaos.fis import TEMPLATE, experiments, problems, resolved
from flyball_local.chaos.experiments import EXPERIMENTS
from integration.infra_world import expanded

FOUND = experiments()


@pytest.mark.parametrize("name", FOUND)
def test_fis_would_take_it(name):
    """Held to the service model, and to the reference of its actions."""
    assert problems(FOUND[name]) == []


def broken(change: Any) -> list[str]:
    """What is found in an experiment after a change of it."""
    properties = copy.deepcopy(FOUND["TargetThrottles"])
    change(properties)
    return problems(properties)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.pop("RoleArn"),
        lambda one: one.pop("StopConditions"),
        lambda one: one["StopConditions"].clear(),
        lambda one: one["Actions"]["Fault"].update(ActionId="aws:lambda:invocation-throttle"),
        lambda one: one["Actions"]["Fault"]["Parameters"].update(invocationPercentage="0"),
        lambda one: one["Actions"]["Fault"]["Parameters"].update(statusCode="4290"),
        lambda one: one["Actions"]["Fault"]["Parameters"].update(delay="1"),
        lambda one: one["Actions"]["Fault"]["Parameters"].pop("contentTypeHeader"),
        lambda one: one["Actions"]["Fault"]["Parameters"].update(preventExecution=True),
        lambda one: one["Actions"]["Fault"].pop("Targets"),
        lambda one: one["Actions"]["Fault"].update(StartAfter=["Stead"]),
        lambda one: one["Targets"]["Functions"].update(ResourceType="aws:ec2:subnet"),
        lambda one: one["Targets"]["Functions"].update(ResourceArns=[]),
        lambda one: one["Actions"]["Steady"].update(Targets={"Functions": "Functions"}),
    ],
)
def test_the_check_finds_what_fis_would_refuse(change):
    """A check that never fails is none."""
    assert broken(change)


def test_cfn_lint_finds_nothing():
    """Types, references, regions: what CloudFormation itself would refuse."""
    lint = "from cfnlint.runner import main; main()"
    command = [sys.executable, "-c", lint, "-r", "eu-west-1", "--", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", FOUND)
def test_a_steady_state_is_asserted_before_the_fault_and_after_it(name):
    """An experiment in a fleet that is ill already shows nothing; one without an end proves nothing."""
    actions = FOUND[name]["Actions"]
    order = [("Steady", None), ("Fault", "Steady"), ("Settle", "Fault"), ("Recovered", "Settle")]
    assert {step: one.get("StartAfter") for step, one in actions.items()} == {
        step: [after] if after else None for step, after in order
    }
    assert actions["Steady"]["Parameters"] == actions["Recovered"]["Parameters"]
    assert actions["Steady"]["Parameters"]["alarmStates"] == "OK"


def alarms() -> set[str]:
    """Names of the alarms of the installation, with the default prefix."""
    resources = expanded()["Resources"].values()
    texts = [r["Properties"]["AlarmName"] for r in resources if r["Type"] == "AWS::CloudWatch::Alarm"]
    return {text["Fn::Sub"].replace("${Prefix}", "flyball") for text in texts}


def names(arns: list[str]) -> set[str]:
    """Names of alarms by their ARNs."""
    return {arn.partition(":alarm:")[2] for arn in arns}


@pytest.mark.parametrize("name", FOUND)
def test_every_alarm_is_one_that_the_installation_makes(name):
    """FIS accepts any ARN, and an alarm that does not exist never stops anything."""
    one = FOUND[name]
    stops = names([stop["Value"] for stop in one["StopConditions"]])
    assert names(one["Actions"]["Steady"]["Parameters"]["alarmArns"].split(",")) <= alarms()
    assert stops - {"checkout-works"} <= alarms()
    assert "checkout-works" in stops  # the user's own


def test_what_must_happen_stops_nothing_and_what_must_not_does():
    """A target that fails wakes the controller; a controller that fails must be felt by no caller."""
    for name, one in FOUND.items():
        stops = names([stop["Value"] for stop in one["StopConditions"]]) - {"checkout-works"}
        expected = (
            {"flyball-controller-errors", "flyball-controller-backends"}
            if name.startswith("Target")
            else {"flyball-client-failures", "flyball-client-refusals"}
        )
        assert stops == expected, name


def test_no_experiment_reaches_further_than_its_role_and_no_role_further_than_its_victims():
    """The blast radius is in the permissions, not in the good intentions of who starts it."""
    resources = resolved()
    victims = {
        "TargetRole": ["function:payments"],
        "ControllerRole": ["function:flyball-tick", "function:flyball-alarm"],
    }
    for role, expected in victims.items():
        (statement,) = resources[role]["Policies"][0]["PolicyDocument"]["Statement"]
        listed = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        assert [arn.split(":", 5)[5] for arn in listed] == expected
        assert statement["Action"] == "lambda:GetFunction"
    for name, one in FOUND.items():
        role = (
            "TargetRole"
            if name.startswith("Target")
            else "NetworkRole"
            if "Store" in name
            else "ControllerRole"
        )
        assert one["RoleArn"].endswith(f":{role}"), name


# Calls that know no resource: they only look, or set up the delivery of the experiment's own log.
ANYWHERE = {
    "ec2:DescribeManagedPrefixLists",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "logs:CreateLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:PutResourcePolicy",
    "tag:GetResources",
}


def statements() -> list[dict[str, Any]]:
    """Every statement of every policy."""
    found = []
    for one in resolved().values():
        documents = [one["PolicyDocument"]] if "PolicyDocument" in one else []
        documents += [policy["PolicyDocument"] for policy in one.get("Policies", ())]
        found += [statement for document in documents for statement in document["Statement"]]
    return found


def listed(value: Any) -> list[Any]:
    """A list of one or several."""
    return value if isinstance(value, list) else [value]


def test_nothing_is_allowed_everywhere_but_looking():
    """No wildcard in an action; a star as resource only where the call knows none."""
    for statement in statements():
        actions = listed(statement["Action"])
        assert not [action for action in actions if "*" in action], statement["Sid"]
        if "*" in listed(statement["Resource"]):
            assert set(actions) <= ANYWHERE, statement["Sid"]


def test_only_network_lists_that_fis_made_are_changed():
    """An experiment must not edit the rules of somebody's network; it swaps its own in, and out again."""
    changing = {"ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAcl", "ec2:CreateTags"}
    for statement in statements():
        if changing & set(listed(statement["Action"])):
            assert "managedByFIS" in str(statement["Condition"]), statement["Sid"]
    (swap,) = [s for s in statements() if "ec2:ReplaceNetworkAclAssociation" in listed(s["Action"])]
    assert [arn.rpartition(":")[2] for arn in swap["Resource"]] == [
        "subnet/subnet-0a",
        "subnet/subnet-0b",
        "network-acl/*",
    ]


def test_only_fis_of_this_account_may_take_the_roles():
    """Without the conditions FIS of any account could be made to (confused deputy)."""
    roles = [one for one in resolved().values() if one["Type"] == "AWS::IAM::Role"]
    assert len(roles) == 3
    for role in roles:
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "fis.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
        assert statement["Condition"]["ArnLike"]["aws:SourceArn"].endswith(":123456789012:experiment/*")


def test_without_a_target_or_subnets_their_experiments_do_not_exist():
    """A template that aims at nothing would be an invitation to aim at everything."""
    assert set(experiments(TargetFunctionArn="", SubnetArns="")) == {"ControllerErrors", "ControllerDelay"}


def test_twins_name_each_other():
    """Whoever starts one on AWS finds what was tried before, and the other way round."""
    managed = {one.managed for one in EXPERIMENTS.values() if one.managed}
    assert managed <= set(FOUND)
    for name, one in FOUND.items():
        said = re.findall(r"[a-z]+(?:-[a-z]+)*", one["Description"].partition("Local twin")[2])
        twins = {twin for twin in said if twin in EXPERIMENTS}
        assert twins == {twin for twin, local in EXPERIMENTS.items() if local.managed == name}
        assert twins or "Checked by tests/chaos" in one["Description"], name
