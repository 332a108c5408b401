"""Least privilege: what handlers ask for while they work, held to the template's roles (fidelity: emulator).

The resources that an action needs are those of the Service Authorization
Reference; that real IAM decides alike is not proved here.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball.appconfigdata import AppConfigDataDocuments
from flyball.aws import DynamoCircuits
from flyball_local.template.functions import Grant
from flyball_local.template.policies import Request, Statement, allowed, statements
from flyball_local.template.requests import requests_of
from flyball_local.template.resources import role_statements
from integration.infra_world import TARGET, WELL, World, expanded, probing

ONLY = {"EnableTick": "false", "EnableAlarmEvents": "false", "EnableOverride": "false"}
FUNCTIONS = (
    *("TickFunction", "AlarmFunction", "StreamFunction", "OverrideFunction"),  # one run each
    *("ValidatorFunction", "ProbeFunction"),  # in the run of the last
)
# Allowed, and asked for by none of the runs below: (action, end of the resource) -> why it must stay.
UNUSED = {
    (
        "dynamodb:GetItem",
        "table/flyball-state",
    ): "after a lost condition, if the item vanished before the reply",
    ("dynamodb:GetItem", "table/flyball-circuits"): "the same",
    ("dynamodb:GetItem", "table/flyball-holds"): "the same",
    (
        "appconfig:GetDeployment",
        "deployment/",
    ): "if ListDeployments does not name the profile (a young member)",
    ("appconfig:GetDeployment", "environment/"): "the same",
    ("appconfig:GetDeployment", "application/"): "the same",
}


def prune_soon(world: World) -> None:
    """Give the profile so many versions that the next deployment deletes some."""
    application, _, profile, _ = world.stack.outputs["AppConfigIds"].split("/")
    client = world.stack.client("appconfig")
    for number in range(25):
        content = b'{"schema":1,"revision":%d,"generated_at":"","policy_hash":"","targets":{}}' % number
        client.create_hosted_configuration_version(
            ApplicationId=application,
            ConfigurationProfileId=profile,
            Content=content,
            ContentType="application/json",
        )


def incident(world: World) -> None:
    """Quiet, trouble, quiet again: states, circuits, journal and document all change."""
    if "AppConfigIds" in world.stack.outputs:
        prune_soon(world)
    world.minutes(2)
    world.minutes(4, failures=590)
    world.minutes(4)


@cache
def runs() -> tuple[World, ...]:
    """One incident for each way of waking the controller, alone; made once."""
    tick = World(**{**ONLY, "EnableTick": "true"})
    alarm = World(**{**ONLY, "EnableAlarmEvents": "true"})
    stream = World(**ONLY, EnableMetricStream="true")
    override = World(**{**ONLY, "EnableOverride": "true"}, **probing(f"{TARGET}: {WELL}"))
    for world in (tick, alarm, stream):
        incident(world)
    prune_soon(override)
    override.minutes(2)
    function = override.stack.function(override.stack.place.arn("lambda", "function:flyball-override"))
    for action in ("open", "release"):
        wish = {"action": action, "target": TARGET, "by": "nora", "why": "drill"}
        function.invoke(wish if action == "release" else {**wish, "for_s": 600})
        override.minutes(2)
    return tick, alarm, stream, override


def asked() -> Counter[Grant]:
    """Everything that was asked for in all runs."""
    return sum((world.stack.ledger.asked for world in runs()), Counter())


def test_every_call_is_allowed():
    """A missing permission shows in an incident, when it is needed."""
    assert [grant for grant in asked() if not grant.granted] == []
    for world, function in zip(runs(), FUNCTIONS, strict=False):
        host = world.stack.host(function)
        assert host.invocations > 0, function
        assert host.errors == 0, function
        assert host.runtime.telemetry.totals["backend_errors"] == 0, function


@pytest.mark.parametrize("function", FUNCTIONS[:4])
def test_every_way_of_waking_up_does_all_of_a_round(function):
    """Otherwise the comparison below would prove less than it says."""
    world = runs()[FUNCTIONS.index(function)]
    name = world.stack.made(function).ref
    actions = {grant.action for grant in world.stack.ledger.asked if grant.function == name}
    assert {
        "cloudwatch:GetMetricData",
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:PutItem",
        "appconfig:StartDeployment",
        "appconfig:DeleteHostedConfigurationVersion",
    } <= actions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_allowed_action_is_used_or_has_a_reason(function):
    """What no run needs, an intruder would."""
    world = runs()[min(FUNCTIONS.index(function), 3)]
    name = world.stack.made(function).ref
    used = [grant for grant in world.stack.ledger.asked if grant.function == name]
    role = world.stack.properties[function]["Role"]
    spare = [
        (action, resource)
        for statement in role_statements(world.stack, role)
        for action in statement.actions
        for resource in statement.resources
        if not any(
            grant.action == action and allowed(Request(action, grant.resource), [only(action, resource)])
            for grant in used
        )
    ]
    unexplained = [
        (action, resource)
        for action, resource in spare
        if not any(action == known and end in resource for known, end in UNUSED)
        and not irrelevant(action, resource)
    ]
    assert unexplained == []


def only(action: str, resource: str) -> Statement:
    """A statement that allows one action on one resource."""
    return Statement("", True, (action,), (resource,), (), ())


def irrelevant(action: str, resource: str) -> bool:
    """Whether IAM does not look at this kind of resource for this action.

    A statement lists actions and resources; the product of both is not what it means.
    """
    known = {
        "appconfig:ListDeployments": ("application/", "environment/"),
        "appconfig:StartDeployment": (
            "application/",
            "environment/",
            "configurationprofile/",
            "deploymentstrategy/",
        ),
        "appconfig:GetDeployment": ("application/", "environment/", "deployment/"),
        "appconfig:ListHostedConfigurationVersions": ("application/", "configurationprofile/"),
        "appconfig:CreateHostedConfigurationVersion": ("application/", "configurationprofile/"),
    }
    if action not in known:
        return False
    kind = resource.rstrip("*").rstrip("/").split("/")
    named = kind[-1] if resource.endswith("/*") else kind[-2].rpartition(":")[2]
    return f"{named}/" not in known[action]


def test_the_list_of_reasons_holds_nothing_that_is_used():
    """A reason outlives its cause unless somebody looks."""
    for action, end in UNUSED:
        assert not any(grant.action == action and end in grant.resource for grant in asked()), (action, end)


def test_breakers_of_powertools_need_two_actions_on_their_table_alone():
    """The table belongs to others; without the parameter there is no access at all."""
    world = World(
        **ONLY | {"EnableOverride": "true"},
        PowertoolsTable="breakers",
        PowertoolsCircuits='{"pay": "payments"}',
    )
    world.stack.client("dynamodb").create_table(
        TableName="breakers",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    function = world.stack.function(world.stack.place.arn("lambda", "function:flyball-override"))
    function.invoke({"action": "open", "target": TARGET, "by": "nora", "why": "drill", "for_s": 600})
    used = {g.action for g in world.stack.ledger.asked if g.resource.endswith("table/breakers")}
    assert used == {"dynamodb:GetItem", "dynamodb:PutItem"}
    assert world.stack.ledger.denied() == set()


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("dynamodb", "delete_item", {"TableName": "flyball-circuits", "Key": {"target": {"S": "a"}}}),
        ("dynamodb", "query", {"TableName": "flyball-journal", "KeyConditionExpression": "a = b"}),
        ("dynamodb", "put_item", {"TableName": "flyball-holds", "Item": {"target": {"S": "a"}}}),
        ("dynamodb", "put_item", {"TableName": "customers", "Item": {"id": {"S": "a"}}}),
        (
            "appconfig",
            "start_deployment",
            {
                "ApplicationId": "other12",
                "EnvironmentId": "env1234",
                "ConfigurationProfileId": "prof123",
                "DeploymentStrategyId": "strat12",
                "ConfigurationVersion": "1",
            },
        ),
    ],
    ids=["delete a circuit", "read the journal", "write a hold", "a foreign table", "a foreign application"],
)
def test_an_action_outside_the_role_is_denied(service, operation, arguments):
    """The enforcement that the other tests rest on, seen at work."""
    world = World()
    client = getattr(world.stack.host("TickFunction").clients(), service)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        getattr(client, operation)(**arguments)


def test_a_role_that_lost_a_permission_is_noticed_and_the_rest_goes_on():
    """The handler says so, its alarm fires, decisions are still made and journalled."""
    template = expanded()
    policy = template["Resources"]["RoundPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    write = next(s for s in policy if s.get("Sid") == "SaveStatesWriteCircuits")
    write["Resource"] = write["Resource"][:1]  # states may be saved, circuits not written
    world = World(template, EnableAlarmEvents="false")
    world.minutes(2)
    world.minutes(8, failures=590)
    assert {grant.resource.rpartition("/")[2] for grant in world.stack.ledger.denied()} == {
        "flyball-circuits"
    }
    assert world.circuit() is None
    assert world.stack.host("TickFunction").runtime.telemetry.totals["changes"] > 0
    assert world.alarm("controller-backends") == "ALARM"


class Watched:
    """A client whose calls are held to a policy."""

    def __init__(self, world: World, service: str, policy: list[Statement]) -> None:
        self.client = world.aws.client(service)
        self.asked: list[Request] = []

        def before(params: dict[str, Any], model: Any, **_: object) -> None:
            if model.name == "GetLatestConfiguration":  # its token names what the session was opened for
                return
            for request in requests_of(service, model.name, params, world.stack.place):
                self.asked.append(request)
                assert allowed(request, policy), request

        self.client.meta.events.register_first(f"before-parameter-build.{service}", before)


def policy_of(world: World, logical: str) -> list[Statement]:
    """The statements of a managed policy."""
    return statements(world.stack.properties[logical]["PolicyDocument"], logical)


def test_the_client_policy_is_what_the_client_needs():
    """Attached to every function of the fleet, it must be the smallest there is."""
    world = World(EnableAlarmEvents="false")
    world.minutes(2)
    policy = policy_of(world, "ClientPolicy")
    circuits = Watched(world, "dynamodb", policy)
    document = Watched(world, "appconfigdata", policy)
    variables = dict(pair.split("=", 1) for pair in world.stack.outputs["ClientVariables"].split())
    DynamoCircuits(table=variables["FLYBALL_CIRCUITS_TABLE"], client=circuits.client).read([TARGET], "shop")
    read = AppConfigDataDocuments(*variables["FLYBALL_APPCONFIG"].split("/"), client=document.client).read()
    assert read is not None
    assert TARGET in read.targets
    assert {r.action for r in (*circuits.asked, *document.asked)} == {
        "dynamodb:BatchGetItem",
        "appconfig:StartConfigurationSession",
    }


def test_the_kill_switch_policy_writes_the_kill_switch_and_no_circuit():
    """Whoever may stop everything must not be able to stop one thing quietly."""
    world = World()
    policy = policy_of(world, "KillSwitchPolicy")

    def may_put(target: str) -> bool:
        item = {"target": {"S": target}, "function": {"S": "*"}}
        params = {"TableName": "flyball-circuits", "Item": item}
        return all(allowed(r, policy) for r in requests_of("dynamodb", "PutItem", params, world.stack.place))

    assert may_put("*")
    assert not may_put(TARGET)
