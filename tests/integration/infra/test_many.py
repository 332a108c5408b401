"""Several shards in one installation, several installations in one account (fidelity: emulator)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyball.aws import DynamoCircuits
from flyball_controller.loop import HISTORIES_MAX
from flyball_controller.shards import shard_of
from flyball_handlers import tick
from flyball_local.template import Stack, TemplateError
from integration.infra_world import TARGET, World, expanded

FLEET = [f"target-{number}" for number in range(40)]


def states(world: World) -> set[str]:
    """Targets that somebody looked at."""
    items = world.aws.client("dynamodb").scan(TableName="flyball-state")["Items"]
    return {item["key"]["S"] for item in items if not item["key"]["S"].startswith("#")}


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 5])
def test_every_shard_has_a_tick_of_its_own_and_together_they_look_at_all_targets(shards, monkeypatch):
    """One rule, one function; a shard without a tick would be a part of the fleet without a controller."""
    events: list[dict[str, Any]] = []
    handler = tick.handler
    monkeypatch.setattr(tick, "handler", lambda event, context: (events.append(event), handler(event))[1])
    world = World(Shards=str(shards), Targets=",".join(FLEET), EnableAlarmEvents="false")
    world.minutes(2)
    assert len(events) == shards
    assert {event.get("shard", "1/1") for event in events} == {f"{k + 1}/{shards}" for k in range(shards)}
    assert {event["time"] for event in events} == {"2026-01-05T00:01:00Z"}  # each keeps the schedule's time
    world.minutes(len(FLEET) // HISTORIES_MAX)  # new targets learn their past, and are stored, in turns
    assert states(world) == set(FLEET)
    assert world.stack.host("TickFunction").errors == 0
    assert world.stack.ledger.denied() == set()


def test_a_shard_that_lost_its_tick_is_told_of():
    """The others still run: that any tick runs says nothing about it."""
    whole = World(Shards="3", EnableAlarmEvents="false")
    whole.minutes(6)
    assert whole.alarm("controller-silent") == "OK"
    template = expanded()
    del template["Resources"]["TickRule"]["Properties"]["Targets"][2]
    crippled = World(template, Shards="3", Targets=",".join(FLEET), EnableAlarmEvents="false")
    crippled.minutes(6)
    assert crippled.alarm("controller-silent") == "ALARM"
    assert states(crippled) == {name for name in FLEET if shard_of(name, 3) != 3}


def test_a_transformer_that_the_emulator_cannot_follow_does_not_deploy():
    """What it left out would run, and prove something else."""
    template = expanded()
    target = template["Resources"]["TickRule"]["Properties"]["Targets"][1]["Fn::If"][1]
    target["InputTransformer"]["InputPathsMap"] = {"time": "$.detail.state[0]"}
    with pytest.raises(TemplateError, match="only members of the event are emulated"):
        World(template, Shards="2")


def test_reserved_concurrency_leaves_every_shard_an_execution():
    """One execution for three ticks of the same minute would throttle two of them for ever."""
    world = World(Shards="3", ReserveConcurrency="true")
    assert str(world.stack.properties["TickFunction"]["ReservedConcurrentExecutions"]) == "3"


def test_two_installations_in_one_region_do_not_count_each_other_s_trouble():
    """The controller's metrics carry the installation: alarms and dashboards of the other stay calm."""
    world = World(EnableTick="false")
    trial = Stack(world.aws, expanded(), {"Prefix": "trial", "EnableTick": "false"}, name="trial")
    telemetry = trial.host("TickFunction").runtime.telemetry
    for _ in range(12):
        telemetry.count("backend_errors")
        telemetry.flush(now_s=world.clock.now_s())
        world.clock.advance(60.0)
    assert world.aws.cloudwatch.alarm_state("trial-controller-backends") == "ALARM"
    assert world.alarm("controller-backends") == "OK"


@pytest.mark.parametrize("prefix", ["flyball", "trial"])
def test_alarms_and_dashboard_name_the_dimension_that_the_installation_s_functions_write(prefix):
    """Otherwise they would be green, and empty, for ever."""
    world = World(Prefix=prefix, EnableProbe="true")
    telemetry = world.stack.host("TickFunction").runtime.telemetry
    telemetry.count("changes")
    telemetry.flush(now_s=world.clock.now_s())
    written = json.loads(world.stack.log[-1])["service"]
    assert written == f"{prefix}-controller"
    alarms = list(world.stack.of_type("AWS::CloudWatch::Alarm").values())
    within = [entry.get("MetricStat", {}).get("Metric", {}) for a in alarms for entry in a.get("Metrics", [])]
    dimensions = [dimension for metric in (*alarms, *within) for dimension in metric.get("Dimensions", [])]
    read = {dimension["Value"] for dimension in dimensions if dimension["Name"] == "service"}
    body = json.dumps(world.stack.dashboards["Dashboard"])
    assert read == {written}
    assert body.count(f'"service", "{written}"') == body.count('"service", ') == 3


def test_a_second_installation_s_policy_and_states_are_its_own():
    """What one decides must not reach the other's clients."""
    world = World(EnableAlarmEvents="false")
    Stack(
        world.aws,
        expanded(),
        {"Prefix": "trial", "Targets": "search", "EnableAlarmEvents": "false"},
        name="trial",
    )
    world.minutes(2)
    world.minutes(4, failures=590)
    assert world.circuit() is not None
    assert world.aws.client("dynamodb").scan(TableName="trial-circuits")["Items"] == []
    assert states(world) == {TARGET}


OTHERS = ["111111111111", "222222222222"]


def test_functions_in_other_accounts_may_read_if_their_accounts_are_named():
    """The account's key for DynamoDB would refuse them, whatever the policy says."""
    world = World(ClientAccounts=",".join(OTHERS))
    table = world.stack.properties["CircuitsTable"]
    (statement,) = table["ResourcePolicy"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": OTHERS}
    assert statement["Resource"] == world.stack.outputs["CircuitsTableArn"]
    assert table["SSESpecification"] == {"SSEEnabled": False}
    (trust,) = world.stack.properties["ClientRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": OTHERS}
    assert world.stack.outputs["ClientRoleArn"].endswith("-ClientRole")
    world.minutes(3)
    assert world.stack.host("TickFunction").errors == 0


def test_without_other_accounts_the_table_is_closed_and_there_is_no_role():
    """The default lets nobody in."""
    world = World()
    table = world.stack.properties["CircuitsTable"]
    assert "ResourcePolicy" not in table
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert "ClientRole" not in world.stack.properties


def test_the_client_reads_circuits_by_the_table_s_arn():
    """Another account's table has no other name; the reply is by the name that was asked for."""
    world = World(EnableAlarmEvents="false")
    world.minutes(2)
    world.minutes(4, failures=590)
    client = world.aws.client("dynamodb")
    found = [
        DynamoCircuits(table=world.stack.outputs[name], client=client).read([TARGET], "shop")
        for name in ("CircuitsTableName", "CircuitsTableArn")
    ]
    assert found[0] == found[1]
    assert found[1]


def test_a_fleet_that_outgrew_its_document_is_told_of_and_controlled_by_circuits(monkeypatch, caplog):
    """The document that stands, stands; who is overloaded is relieved all the same."""
    monkeypatch.setattr("flyball.document.DOCUMENT_BYTES_MAX", 500)  # two targets do not fit: 200 are slow
    world = World(Targets=f"{TARGET},search", EnableAlarmEvents="false")
    world.minutes(3)
    world.minutes(9, failures=590)
    host = world.stack.host("TickFunction")
    assert host.errors == 0
    assert host.runtime.telemetry.totals["configuration_failed"] > 5
    told = [record.facts for record in caplog.records if record.message == "configuration"]
    assert "at most 500 bytes" in told[-1]["detail"]
    assert world.alarm("controller-configuration") == "ALARM"
    item = world.circuit()
    assert item is not None
    assert item["budget_ratio"] == {"N": "0"}
