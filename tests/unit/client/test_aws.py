"""Circuits from DynamoDB: which keys are asked for, and what happens to bad answers."""

from __future__ import annotations

import sys

import pytest

from flyball.aws import TIMEOUT_S, DynamoCircuits, own_client
from flyball.contract import CircuitState, ContractError, encode_circuit
from flyball.errors import SourceError
from unit.client.support import circuit

OPEN = circuit(CircuitState.OPEN)


class Table:
    """A DynamoDB client that answers from memory."""

    def __init__(self, *items: object, unprocessed: object = None, error: Exception | None = None) -> None:
        self.items = items
        self.unprocessed = unprocessed or {}
        self.error = error
        self.requests: list[object] = []

    def batch_get_item(self, *, RequestItems: object) -> dict[str, object]:  # noqa: N803
        self.requests.append(RequestItems)
        if self.error is not None:
            raise self.error
        return {"Responses": {"circuits": list(self.items)}, "UnprocessedKeys": self.unprocessed}


def test_the_functions_own_item_and_the_fleets_are_read_in_one_request():
    """Two keys and the kill switch, one round trip."""
    table = Table(encode_circuit(OPEN))
    assert DynamoCircuits(table="circuits", client=table).read(["t"], "pay") == [OPEN]
    (request,) = table.requests
    keys = request["circuits"]["Keys"]
    assert sorted((key["target"]["S"], key["function"]["S"]) for key in keys) == [
        ("*", "*"),
        ("t", "*"),
        ("t", "pay"),
    ]


def test_a_single_name_is_not_taken_for_its_letters():
    """A text is a sequence of texts to the type checker, and to Python."""
    table = Table()
    DynamoCircuits(table="circuits", client=table).read("payments", "")
    assert table.requests[0]["circuits"]["Keys"] == [
        {"target": {"S": "*"}, "function": {"S": "*"}},
        {"target": {"S": "payments"}, "function": {"S": "*"}},
    ]


def test_many_targets_are_read_in_as_few_requests_as_there_may_be():
    """The kill switch and 120 keys are 100 and 21; each target's circuits are found."""
    table = Table(encode_circuit(OPEN))
    DynamoCircuits(table="circuits", client=table).read([f"t{i}" for i in range(60)], "pay")
    assert [len(request["circuits"]["Keys"]) for request in table.requests] == [100, 21]


@pytest.mark.parametrize("function", ["", "*"])
@pytest.mark.parametrize("targets", [["t"], ["t", "t"], ["t", "*"]])
def test_no_key_is_asked_for_twice(targets, function):
    """DynamoDB refuses a batch that names a key twice: a nameless function, a target named as the switch."""
    table = Table()
    assert DynamoCircuits(table="circuits", client=table).read(targets, function) == []
    assert len(table.requests[0]["circuits"]["Keys"]) == 2


def test_an_item_that_cannot_be_understood_does_not_hide_the_other():
    """K4: the bad one is as if absent, and counted."""
    source = DynamoCircuits(table="circuits", client=Table({"target": {"N": "1"}}, encode_circuit(OPEN)))
    assert source.read(["t"], "pay") == [OPEN]
    assert source.undecodable == 1


def test_only_bad_items_are_a_broken_contract():
    """Told apart from an outage: polling goes on at its pace."""
    with pytest.raises(ContractError):
        DynamoCircuits(table="circuits", client=Table({})).read(["t"], "pay")


@pytest.mark.parametrize(
    "table",
    [
        Table(error=OSError("unreachable")),
        Table(encode_circuit(OPEN), unprocessed={"circuits": {"Keys": []}}),
    ],
)
def test_an_unanswered_read_is_an_outage(table):
    """A half answer is none: the missing half might be the kill switch."""
    with pytest.raises(SourceError):
        DynamoCircuits(table="circuits", client=table).read(["t"], "pay")


def test_its_own_client_waits_little_and_tries_once(monkeypatch):
    """K3: the added latency is at most the declared time-out."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    config = own_client("dynamodb", timeout_s=TIMEOUT_S).meta.config
    assert (config.connect_timeout, config.read_timeout) == (TIMEOUT_S, TIMEOUT_S)
    assert config.retries["total_max_attempts"] == 1


def test_without_the_sdk_the_source_is_down_and_says_why(monkeypatch):
    """The client is standard library only; the rest of it goes on."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SourceError, match="boto3"):
        DynamoCircuits().read(["t"], "pay")


def test_without_a_region_the_source_is_down_and_says_why(monkeypatch):
    """A setting that is missing in one stage must not take the function down with it."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SourceError, match="region"):
        own_client("dynamodb", timeout_s=TIMEOUT_S)


def test_a_table_that_is_asked_for_by_its_arn_may_be_answered_for_by_its_name():
    """Else every circuit of another account would be none, in silence."""
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/circuits"
    source = DynamoCircuits(table=arn, client=Table(encode_circuit(OPEN)))
    assert source.read(["t"], "pay") == [OPEN]
