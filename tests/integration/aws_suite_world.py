"""Accounts for trying the checks of tests/aws: an embedded one, and one that is told what to say.

Requests and replies of both are held to botocore's service models: a check with
a wrong parameter fails here, and not after an hour on a real account.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from flyball_local.contractcheck import check_request, check_response, service_model
from flyball_local.template.policies import Request, allowed
from flyball_local.template.resources import role_statements
from integration.infra_world import ACCOUNT, World

Reply = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Told:
    """A client that answers what it was told; every call is noted.

    Args:
        service: Whose.
        replies: By operation, in snake case: a reply, or a function of the arguments. A ClientError
            in it is raised. What is not there is answered with nothing.
    """

    exceptions = type("Exceptions", (), {"ClientError": ClientError})

    def __init__(self, service: str, replies: Mapping[str, Reply]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._service = service
        self._replies = replies
        self._names = {xform_name(name): name for name in service_model(service).operation_names}

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation not in self._names:
            raise AttributeError(f"{self._service} has no {operation}")
        return lambda **arguments: self._answer(operation, arguments)

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Any:
        name = self._names[operation]
        check_request(self._service, name, arguments)
        self.calls.append((operation, arguments))
        reply = self._replies.get(operation, {})
        said = reply(arguments) if callable(reply) else reply
        if isinstance(said, Exception):
            raise said
        check_response(self._service, name, said)
        return said


def refused(code: str, text: str, operation: str = "Any") -> ClientError:
    """A refusal."""
    return ClientError({"Error": {"Code": code, "Message": text}}, operation)


class ToldAccount:
    """An account in which every service says what it was told. Time is a number."""

    region, account, stack, prefix = "eu-west-1", ACCOUNT, "flyball-test", "flyball"

    def __init__(self, answer: Mapping[str, Any] | None = None, **services: Mapping[str, Reply]) -> None:
        self.services = {name: Told(name, replies) for name, replies in services.items()}
        self.outputs: dict[str, str] = {}
        self.discarded: list[str] = []
        self._answer = dict(answer or {})
        self._now_s = 1_795_435_200.0

    def client(self, service: str) -> Any:
        """The client that was told."""
        return self.services.setdefault(service, Told(service, {}))

    def now_s(self) -> float:
        """The number."""
        return self._now_s

    def pause(self, seconds: float) -> None:
        """Add to it."""
        self._now_s += seconds

    def invoke(self, function: str, payload: Mapping[str, object]) -> dict[str, Any]:
        """Answer what was told."""
        return self._answer

    def discard(self, service: str, operation: str, **arguments: object) -> None:
        """Note it, if the request could be made."""
        getattr(self.client(service), operation)
        names = {xform_name(name): name for name in service_model(service).operation_names}
        check_request(service, names[operation], arguments)
        self.discarded.append(operation)


class EmbeddedAccount(ToldAccount):
    """The embedded account with the template deployed; IAM and Lambda answer by its roles."""

    def __init__(self, **parameters: str) -> None:
        self.world = World(EnableAppConfig="true", **{"Targets": "flyball-test", **parameters})
        super().__init__(
            iam={
                "create_role": lambda a: {
                    "Role": role(f"arn:aws:iam::{ACCOUNT}:role/{a['RoleName']}", a["RoleName"])
                },
                "simulate_principal_policy": self._simulate,
            },
            **{"lambda": {"get_function_configuration": self._configuration}},
        )
        self.outputs = dict(self.world.stack.outputs)

    def client(self, service: str) -> Any:
        """An emulator's client, else one that was told."""
        if service in ("appconfig", "appconfigdata", "cloudwatch", "dynamodb"):
            return self.world.stack.client(service)
        return super().client(service)

    def now_s(self) -> float:
        """The virtual time."""
        return self.world.clock.now_s()

    def pause(self, seconds: float) -> None:
        """Let it pass."""
        self.world.clock.advance(seconds)

    def invoke(self, function: str, payload: Mapping[str, object]) -> dict[str, Any]:
        """Run the handler."""
        arn = self.world.stack.place.arn("lambda", f"function:{function}")
        answer: dict[str, Any] = self.world.stack.function(arn).invoke(json.loads(json.dumps(payload)))
        return answer

    def _configuration(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        functions = self.world.stack.of_type("AWS::Lambda::Function").values()
        (found,) = [f for f in functions if f["FunctionName"] == arguments["FunctionName"]]
        return {"FunctionName": found["FunctionName"], "Role": found["Role"]}

    def _simulate(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        policy = role_statements(self.world.stack, arguments["PolicySourceArn"])
        (action,) = arguments["ActionNames"]
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": "allowed"
                    if allowed(Request(action, resource), policy)
                    else "implicitDeny",
                }
                for resource in arguments["ResourceArns"]
            ]
        }


def role(arn: str, name: str) -> dict[str, Any]:
    """A role as IAM describes it."""
    made = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    return {"Path": "/", "RoleName": name, "RoleId": "AROAEXAMPLEEXAMPLE", "Arn": arn, "CreateDate": made}
