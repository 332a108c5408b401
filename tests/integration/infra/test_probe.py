"""The probe as the template installs it: schedule, role, records, alarms (fidelity: emulator)."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from flyball_controller.aws.dynamodb import DynamoCheckpoints
from flyball_controller.check_book import decode_results, key_of
from flyball_local.template import TemplateError
from integration.infra_world import DOWN, TARGET, WELL, World, expanded, probing


def found(world: World, target: str) -> list[bool]:
    """What is recorded of a target's checks."""
    store = DynamoCheckpoints(world.aws.client("dynamodb"), table="flyball-state")
    return [result.good for result in decode_results(store.load([key_of(target)])[key_of(target)].data)]


def test_every_minute_the_targets_of_the_policy_are_checked():
    """Schedule, role of the schedule, function, role of the function, table: all of the chain."""
    world = World(**probing(f"{TARGET}: {WELL}", f"search: {DOWN}"))
    world.minutes(6)  # the first one ends before the stack is a minute old
    assert world.invocations("ProbeFunction") == 5
    assert found(world, TARGET) == [True] * 5
    assert found(world, "search") == [False] * 5
    assert world.stack.ledger.denied() == set()
    assert world.stack.host("ProbeFunction").errors == 0


def test_without_checks_in_the_policy_the_probe_has_nothing_to_do():
    """Switched on first, policy later."""
    world = World(EnableProbe="true")
    world.minutes(8)
    assert world.stack.host("ProbeFunction").errors == 0
    names = ("probe-silent", "probe-failing", "probe-broken")
    assert {world.alarm(f"controller-{name}") for name in names} == {"OK"}


def test_the_probe_s_own_success_is_watched():
    """Most checks failing at once is the probe's network as often as the targets."""
    half = World(**probing(f"{TARGET}: {WELL}", f"search: {DOWN}"))
    half.minutes(8)
    assert half.alarm("controller-probe-failing") == "OK"
    most = World(**probing(f"{TARGET}: {WELL}", f"search: {DOWN}", f"mail: {DOWN}"))
    most.minutes(8)
    assert most.alarm("controller-probe-failing") == "ALARM"
    assert most.alarm("controller-probe-broken") == "OK"


def test_a_check_that_cannot_be_made_is_an_alarm_of_its_own():
    """Loopback is where the function's own secrets are served: refused, recorded nowhere, told."""
    own = "{kind: http, url: 'http://127.0.0.1:2773/secret', critical: true}"
    world = World(**probing(f"{TARGET}: {own}"))
    world.minutes(4)
    assert world.alarm("controller-probe-broken") == "ALARM"
    assert found(world, TARGET) == []


def test_a_probe_that_is_not_called_any_more_is_an_alarm_and_nothing_else():
    """Its death must be seen, and must not matter."""
    template = expanded()
    template["Resources"]["ProbeSchedule"]["Properties"]["ScheduleExpression"] = "rate(1 day)"
    world = World(template, **probing(f"{TARGET}: {WELL}"))
    world.minutes(7)
    assert world.alarm("controller-probe-silent") == "ALARM"
    assert world.stack.host("TickFunction").errors == 0
    assert world.circuit() is None


@pytest.mark.parametrize(
    ("table", "key"),
    [("flyball-circuits", "target"), ("flyball-state", "key"), ("flyball-holds", "target")],
)
def test_the_probe_cannot_write_circuits_states_or_holds(table, key):
    """A function that talks to strangers must not be able to stop traffic."""
    world = World(**probing(f"{TARGET}: {WELL}"))
    client = world.stack.host("ProbeFunction").clients().dynamodb
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_item(TableName=table, Item={key: {"S": TARGET}, "function": {"S": "*"}})
    with pytest.raises(ClientError, match="AccessDenied"):
        client.batch_get_item(RequestItems={table: {"Keys": [{key: {"S": TARGET}}]}})


def test_a_schedule_whose_role_may_not_invoke_does_not_deploy():
    """On AWS it would deploy, and never call."""
    template = expanded()
    role = template["Resources"]["ProbeScheduleRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    role["Statement"] = role["Statement"][1:]
    with pytest.raises(TemplateError, match="the schedule's role lacks lambda:InvokeFunction"):
        World(template, **probing(f"{TARGET}: {WELL}"))


def test_subnets_and_security_groups_are_set_together_and_reach_the_function():
    """Half of them is a function that cannot start."""
    with pytest.raises(TemplateError, match="ProbeSecurityGroups must say"):
        World(EnableProbe="true", ProbeSubnets="subnet-1,subnet-2")
    world = World(EnableProbe="true", ProbeSubnets="subnet-1,subnet-2", ProbeSecurityGroups="sg-1")
    assert world.stack.properties["ProbeFunction"]["VpcConfig"] == {
        "SubnetIds": ["subnet-1", "subnet-2"],
        "SecurityGroupIds": ["sg-1"],
    }
