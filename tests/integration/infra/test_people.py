"""What people may do: the commands under the template's policies for them (fidelity: emulator)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from flyball_analytics.cli import cli
from flyball_controller.aws.clients import CallLimits, Clients
from flyball_local.template.policies import Request, Statement, allowed, statements
from flyball_local.template.requests import requests_of
from integration.infra_world import TARGET, World

WHY = ("--reason", "drill", "--by", "nora")


class People(Clients):
    """An account's clients, held to the policies of a person; `asked` is what was allowed."""

    def __init__(self, world: World, *policies: str) -> None:
        super().__init__(region=world.aws.region)
        self._world = world
        self._policy: list[Statement] = []
        for name in policies:
            self._policy += statements(world.stack.properties[name]["PolicyDocument"], name)
        self.asked: list[Request] = []

    def _make(self, service: str, limits: CallLimits) -> Any:
        if service == "lambda":
            return self
        client = self._world.aws.client(service)

        def before(params: dict[str, Any], model: Any, **_: object) -> None:
            for request in requests_of(service, model.name, params, self._world.stack.place):
                if not allowed(request, self._policy):
                    said = {"Error": {"Code": "AccessDeniedException", "Message": f"{request}"}}
                    raise ClientError(said, model.name)
                self.asked.append(request)

        client.meta.events.register_first(f"before-parameter-build.{service}", before)
        return client

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        """Invoke a function of the stack, if the person may."""
        arn = self._world.stack.place.arn("lambda", f"function:{FunctionName}")
        request = Request("lambda:InvokeFunction", arn)
        if not allowed(request, self._policy):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": arn}}, "Invoke")
        self.asked.append(request)
        import io

        answer = self._world.stack.function(arn).invoke(json.loads(Payload))
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def run(world: World, people: People, *arguments: str) -> Result:
    """Run the command line as a person, at the account's time."""
    words = [
        *arguments,
        "--appconfig",
        world.stack.outputs["AppConfigIds"],
        "--now",
        f"{world.clock.now_s():.3f}",
    ]
    return CliRunner().invoke(cli, words, obj=people, env={"FLYBALL_TARGETS": TARGET}, catch_exceptions=False)


@pytest.fixture
def world() -> World:
    """A stack that has run for three minutes."""
    world = World(EnableAlarmEvents="false")
    world.minutes(3)
    return world


def test_an_operator_looks_and_holds_and_needs_no_other_right(world):
    """The policy of the people on call."""
    people = People(world, "OperatorPolicy")
    assert run(world, people, "status").exit_code == 0
    assert run(world, people, "watch", "--once").exit_code == 0
    assert run(world, people, "circuit", "open", TARGET, "--for", "5m", *WHY).exit_code == 0
    item = world.circuit()
    assert item is not None
    assert item["state"] == {"S": "forced_open"}
    assert run(world, people, "circuit", "release", TARGET, *WHY).exit_code == 0
    assert run(world, people, "plan", "two-loop").exit_code in (0, 3)
    assert run(world, people, "dashboard", "--region", "eu-west-1").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("kill-switch", "on", *WHY),
        ("circuit", "open", TARGET, "--for", "5m", "--direct", *WHY),
        ("rollback",),
    ],
    ids=["kill switch", "by hand", "rollback"],
)
def test_an_operator_may_not_write_anything_but_through_the_function(world, arguments):
    """Else the function's checks, and its journal, could be gone around."""
    world.minutes(4, failures=590)  # a second document, so that there is a way back
    world.clock.advance(15.0)
    result = run(world, People(world, "OperatorPolicy"), *arguments)
    assert result.exit_code == 5
    assert "AccessDenied" in result.stderr


def test_whoever_may_apply_plans_applies_and_rolls_back(world, tmp_path):
    """Three policies together, and every right of the new one is used."""
    people = People(world, "OperatorPolicy", "PublishPolicy", "ApplyPolicy")
    policy, path = tmp_path / "fleet.yaml", str(tmp_path / "plan.json")
    policy.write_text(f"version: 1\ntargets:\n  {TARGET}: {{budget_nominal: 0.1}}\n")
    assert run(world, people, "plan", str(policy), "--out", path).exit_code == 3
    done = run(world, people, "apply", path, *WHY)
    assert (done.exit_code, done.stderr) == (0, "")
    world.minutes(2)
    assert world.stack.ledger.denied() == set()
    assert world.stack.host("TickFunction").runtime.policies.name == "two-loop"  # the host's own, as built
    back = run(world, people, "rollback", "--policy", *WHY)
    assert (back.exit_code, back.stderr) == (0, "")
    used = {(request.action, request.resource.rpartition("/")[2]) for request in people.asked}
    assert {
        ("dynamodb:PutItem", "flyball-state"),
        ("dynamodb:BatchGetItem", "flyball-state"),
        ("dynamodb:BatchWriteItem", "flyball-journal"),
    } <= used


def test_whoever_may_apply_policies_may_write_no_state(world):
    """A state is the controller's memory; a person who could write it could make it decide anything."""
    policy = statements(world.stack.properties["ApplyPolicy"]["PolicyDocument"], "ApplyPolicy")

    def may_put(table: str, key: str, value: str) -> bool:
        params = {"TableName": table, "Item": {key: {"S": value}}}
        return all(allowed(r, policy) for r in requests_of("dynamodb", "PutItem", params, world.stack.place))

    assert may_put("flyball-state", "key", "#policy")
    assert may_put("flyball-state", "key", "#policy/ab12")
    assert not may_put("flyball-state", "key", TARGET)
    assert not may_put("flyball-circuits", "target", TARGET)


def test_the_kill_switch_needs_its_own_policy_alone(world):
    """In the night when nothing else works."""
    people = People(world, "KillSwitchPolicy")
    for position in ("on", "off"):
        result = run(world, people, "kill-switch", position, *WHY)
        assert (result.exit_code, result.stderr) == (0, "")
    assert {request.action for request in people.asked} == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:BatchWriteItem",
    }
