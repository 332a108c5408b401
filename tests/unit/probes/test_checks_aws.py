"""Checks that call AWS, and code of the user's own: what is the target's fault and what is ours."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from flyball_controller.aws.clients import Clients
from flyball_handlers.checks import Outcome
from flyball_handlers.checks_aws import AwsChecks

from .servers import check, checker


class Client:
    """Answers every operation with one reply, or raises; keeps the arguments."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls.append((operation, arguments))
            if isinstance(self.reply, Exception):
                raise self.reply
            return self.reply

        return call


class Body:
    """A payload of unknown size."""

    closed = False

    def close(self) -> None:
        """Let go."""
        self.closed = True


def outcome_of(reply: Any, **fields: object) -> tuple[Outcome, Client]:
    """What a check makes of a reply."""
    client = Client(reply)
    aws = AwsChecks(lambda service, timeout_s: client)
    return checker(aws=aws).run(check(**fields)), client


def refused(code: str) -> ClientError:
    """An error as AWS answers it."""
    return ClientError({"Error": {"Code": code, "Message": "secret words"}}, "Operation")


def test_a_function_is_asked_by_a_dry_run_unless_there_is_a_payload() -> None:
    """A dry run starts no code; with a payload the user says that starting it is harmless."""
    outcome, client = outcome_of({"StatusCode": 204}, kind="lambda", function="mailer")
    assert outcome.good
    assert client.calls == [("invoke", {"FunctionName": "mailer", "InvocationType": "DryRun"})]
    body = Body()
    outcome, client = outcome_of({"Payload": body}, kind="lambda", function="mailer", payload={"ping": 1})
    assert outcome.good
    assert body.closed
    arguments = client.calls[0][1]
    assert (arguments["InvocationType"], arguments["Payload"]) == ("RequestResponse", b'{"ping": 1}')


def test_a_function_that_raises_is_not_well() -> None:
    """Its answer is 200 all the same."""
    outcome, _ = outcome_of(
        {"StatusCode": 200, "FunctionError": "Unhandled"}, kind="lambda", function="f", payload={}
    )
    assert (outcome.good, outcome.code, outcome.broken) == (False, "function-error", False)


def test_a_table_is_read_by_key_or_asked_for_its_status() -> None:
    """An item that is not there was read, too."""
    outcome, client = outcome_of({}, kind="dynamodb", table="ledger", key={"id": {"S": "health"}})
    assert outcome.good
    wanted = {"TableName": "ledger", "Key": {"id": {"S": "health"}}, "ConsistentRead": True}
    assert client.calls == [("get_item", wanted)]
    for status, good in (("ACTIVE", True), ("UPDATING", True), ("DELETING", False), ("ARCHIVED", False)):
        outcome, client = outcome_of({"Table": {"TableStatus": status}}, kind="dynamodb", table="ledger")
        assert outcome.good is good
        assert client.calls[0][0] == "describe_table"


@pytest.mark.parametrize(
    ("failure", "code", "broken"),
    [
        (refused("AccessDeniedException"), "denied", True),
        (refused("ProvisionedThroughputExceededException"), "error", False),
        (refused("ThrottlingException"), "throttled", False),
        (refused("TooManyRequestsException"), "throttled", False),
        (refused("ResourceNotFoundException"), "error", False),
        (ReadTimeoutError(endpoint_url="x"), "timeout", False),
        (ConnectTimeoutError(endpoint_url="x"), "timeout", False),
        (EndpointConnectionError(endpoint_url="x"), "unreachable", False),
        (NoCredentialsError(), "misconfigured", True),
        (RuntimeError("a defect"), "raised", False),
    ],
    ids=lambda value: getattr(value, "operation_name", None) and str(value)[:60],
)
def test_a_refusal_by_iam_is_our_trouble_and_everything_else_the_target_s(
    failure: Exception, code: str, broken: bool
) -> None:
    """A role that lost a permission must not look like a table that is down."""
    outcome, _ = outcome_of(failure, kind="dynamodb", table="ledger")
    assert (outcome.good, outcome.code, outcome.broken) == (False, code, broken)


def test_clients_of_checks_give_up_in_time_and_try_once() -> None:
    """A check's time-out is the policy's; botocore's own would be a minute, five times."""
    clients = Clients(region="eu-west-1")
    client = clients.checking("dynamodb", 3.0)
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1.0, 2.0)
    assert config.retries["total_max_attempts"] == 1
    assert clients.checking("dynamodb", 3.0) is client
    short = clients.checking("dynamodb", 0.4).meta.config
    assert (short.connect_timeout, short.read_timeout) == (0.2, 0.2)


@pytest.fixture
def user_module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module in the bundle, `acme.health`."""
    package, module = types.ModuleType("acme"), types.ModuleType("acme.health")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "acme", package)
    monkeypatch.setitem(sys.modules, "acme.health", module)
    return module


def raises() -> None:
    """A callable of a target that is down."""
    raise RuntimeError("down")


@pytest.mark.parametrize(
    ("function", "good", "code"),
    [
        (lambda: None, True, "ok"),
        (lambda: True, True, "ok"),
        (lambda: False, False, "said-no"),
        (raises, False, "raised"),
    ],
)
def test_code_of_the_user_s_own_says_yes_by_returning(
    user_module: types.ModuleType, function: Any, good: bool, code: str
) -> None:
    """Only False and an exception mean no: a function without a return statement is a yes."""
    user_module.search = function  # type: ignore[attr-defined]
    outcome = checker(modules=("acme",)).run(check(kind="call", callable="acme.health:search"))
    assert (outcome.good, outcome.code, outcome.broken) == (good, code, False)


@pytest.mark.parametrize(
    ("callable_", "modules", "code"),
    [
        ("os:abort", ("acme",), "callable-not-allowed"),
        ("acme.health:search", (), "callable-not-allowed"),
        ("acmes.health:search", ("acme",), "callable-not-allowed"),
        ("acme.health:missing", ("acme",), "callable-missing"),
        ("acme.nothing:search", ("acme",), "callable-missing"),
        ("acme.health:__name__", ("acme",), "callable-missing"),
    ],
)
def test_a_policy_calls_nothing_that_the_function_s_settings_do_not_name(
    user_module: types.ModuleType, callable_: str, modules: tuple[str, ...], code: str
) -> None:
    """Policies are data that operators apply; code is what the bundle's owner chose to offer."""
    outcome = checker(modules=modules).run(check(kind="call", callable=callable_))
    assert (outcome.good, outcome.code, outcome.broken) == (False, code, True)
