"""The checker must find what botocore lets pass, in both directions, and name the place."""

from __future__ import annotations

import datetime
import io
import json
import math
import os

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ServiceModel

from flyball_local.contractcheck import (
    Contract,
    ContractError,
    attach,
    check_error,
    check_request,
    check_response,
    contract_for,
)

AWARE = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
NAIVE = AWARE.replace(tzinfo=None)


def places(caught):
    return [(violation.path, violation.problem) for violation in caught.value.violations]


def one_shape(members, *, required=(), shapes=None, union=False):
    """A service with one operation, Do, whose input and output are the given structure."""
    structure = {"type": "structure", "members": members, "required": list(required), "union": union}
    return Contract(
        ServiceModel(
            {
                "metadata": {"protocol": "json", "endpointPrefix": "toy", "serviceId": "Toy"},
                "operations": {
                    "Do": {
                        "name": "Do",
                        "http": {"method": "POST", "requestUri": "/"},
                        "input": {"shape": "Thing"},
                        "output": {"shape": "Thing"},
                    }
                },
                "shapes": {"Thing": structure, **(shapes or {})},
            },
            service_name="toy",
        )
    )


def request_problems(contract, params):
    return [(v.path, v.problem) for v in contract.request("Do", params)]


def response_problems(contract, params):
    return [(v.path, v.problem) for v in contract.response("Do", params)]


START = {
    "ApplicationId": "abcd123",
    "EnvironmentId": "abcd124",
    "DeploymentStrategyId": "AppConfig.AllAtOnce",
    "ConfigurationProfileId": "abcd125",
    "ConfigurationVersion": "1",
}


def test_a_valid_call_passes():
    """A checker that cries at good requests would be switched off."""
    check_request("appconfig", "StartDeployment", START)


def test_a_pattern_is_enforced_though_botocore_sends_it():
    """botocore's own validation lets a bad strategy id through; AWS answers 400."""
    with pytest.raises(ContractError) as caught:
        check_request("appconfig", "StartDeployment", {**START, "DeploymentStrategyId": "my strategy!"})
    [(path, problem)] = places(caught)
    assert path == "DeploymentStrategyId"
    assert "AppConfig" in problem


def test_a_pattern_without_anchors_must_match_the_whole_value():
    """[a-z0-9]{4,7} means the id, not some four letters inside it."""
    check_response("appconfig", "GetApplication", {"Id": "abcd123", "Name": "n"})
    with pytest.raises(ContractError) as caught:
        check_response("appconfig", "GetApplication", {"Id": "NOT-an-id-abcd", "Name": "n"})
    assert places(caught)[0][0] == "Id"


def test_predefined_strategies_may_be_returned_by_their_public_name():
    """A documented deviation of AWS from its own model, allowed at those two members only."""
    check_response("appconfig", "ListDeploymentStrategies", {"Items": [{"Id": "AppConfig.AllAtOnce"}]})
    check_response("appconfig", "GetDeployment", {"DeploymentStrategyId": "AppConfig.AllAtOnce"})
    with pytest.raises(ContractError) as caught:
        check_response("appconfig", "GetDeployment", {"EnvironmentId": "AppConfig.AllAtOnce"})
    assert places(caught)[0][0] == "EnvironmentId"


def test_an_enum_is_enforced_in_lists_and_the_path_leads_there():
    """botocore's Stubber accepts any state an emulator invents."""
    with pytest.raises(ContractError) as caught:
        check_response(
            "appconfig",
            "ListDeployments",
            {"Items": [{"DeploymentNumber": 1, "State": "COMPLETE"}, {"State": "COMPLETED"}]},
        )
    [(path, problem)] = places(caught)
    assert path == "Items[1].State"
    assert "did you mean 'COMPLETE'?" in problem


def test_every_fault_is_reported_not_only_the_first():
    """One run must show all that is wrong with a request."""
    with pytest.raises(ContractError) as caught:
        check_request(
            "appconfig",
            "CreateDeploymentStrategy",
            {"Name": "", "GrowthFactor": 0.5, "GrowthTyp": "LINEAR", "FinalBakeTimeInMinutes": 1441},
        )
    assert [path for path, _ in places(caught)] == [
        "$",
        "Name",
        "GrowthFactor",
        "GrowthTyp",
        "FinalBakeTimeInMinutes",
    ]
    assert "did you mean 'GrowthType'?" in str(caught.value)
    assert caught.value.service == "appconfig"
    assert caught.value.operation == "CreateDeploymentStrategy"
    assert caught.value.side == "request"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ({"type": "string", "min": 2, "max": 3}, "abc", "a"),
        ({"type": "string", "max": 3}, "abc", "abcd"),
        ({"type": "string"}, "x", 7),
        ({"type": "string", "enum": ["A", "B"]}, "A", "C"),
        ({"type": "string", "pattern": "^a"}, "abc", "bca"),
        ({"type": "string", "pattern": "a"}, "a", "abc"),
        ({"type": "integer", "min": 1, "max": 5}, 5, 6),
        ({"type": "integer"}, 2**31 - 1, 2**31),
        ({"type": "integer"}, 1, 1.0),
        ({"type": "integer"}, 1, True),
        ({"type": "long"}, 2**31, 2**63),
        ({"type": "float", "min": 1.0}, 1.0, 0.999),
        ({"type": "double"}, 3, math.nan),
        ({"type": "double"}, 3.5, math.inf),
        ({"type": "double"}, 3.5, "3.5"),
        ({"type": "double"}, 3.5, False),
        ({"type": "boolean"}, False, 0),
        ({"type": "blob", "max": 2}, b"ab", b"abc"),
        ({"type": "blob"}, io.BytesIO(b""), 7),
        ({"type": "timestamp"}, AWARE, NAIVE),
        ({"type": "list", "member": {"shape": "Text"}, "max": 1}, ["a"], ["a", "b"]),
        ({"type": "list", "member": {"shape": "Text"}}, ["a"], "a"),
        ({"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}, "min": 1}, {"a": "b"}, {}),
        ({"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}}, {"a": "b"}, []),
        ({"type": "structure", "members": {}}, {}, []),
    ],
)
def test_each_constraint_of_a_member_holds_in_both_directions(kind, good, bad):
    """The table is the contract: one good and one bad value per constraint, at its edge."""
    contract = one_shape({"Field": {"shape": "Kind"}}, shapes={"Kind": kind, "Text": {"type": "string"}})
    assert request_problems(contract, {"Field": good}) == []
    assert response_problems(contract, {"Field": good}) == []
    assert [path for path, _ in request_problems(contract, {"Field": bad})] == ["Field"]
    assert [path for path, _ in response_problems(contract, {"Field": bad})] == ["Field"]


@pytest.mark.parametrize("value", ["2026-11-23T12:00:00Z", 1_795_000_000, 1.5])
def test_a_time_may_be_sent_as_text_or_number_but_is_received_as_datetime(value):
    """botocore converts on the way out only."""
    contract = one_shape({"At": {"shape": "Time"}}, shapes={"Time": {"type": "timestamp"}})
    assert request_problems(contract, {"At": value}) == []
    assert [path for path, _ in response_problems(contract, {"At": value})] == ["At"]


@pytest.mark.parametrize("value", ["soon", True, None, []])
def test_what_is_no_time_is_not_sent(value):
    """A wrong time must fail here, not as a 400 from AWS."""
    contract = one_shape({"At": {"shape": "Time"}}, shapes={"Time": {"type": "timestamp"}})
    assert [path for path, _ in request_problems(contract, {"At": value})] == ["At"]


def test_text_is_a_blob_on_the_way_out_only():
    """boto3 encodes text for a blob; a received blob is bytes."""
    contract = one_shape({"Data": {"shape": "Blob"}}, shapes={"Blob": {"type": "blob"}})
    assert request_problems(contract, {"Data": "text"}) == []
    assert [path for path, _ in response_problems(contract, {"Data": "text"})] == ["Data"]


def test_a_union_has_exactly_one_member():
    """Two members of a union are a request no service can read."""
    shapes = {"Text": {"type": "string"}}
    contract = one_shape({"A": {"shape": "Text"}, "B": {"shape": "Text"}}, shapes=shapes, union=True)
    assert request_problems(contract, {"A": "x"}) == []
    for wrong in ({}, {"A": "x", "B": "y"}):
        assert [path for path, _ in request_problems(contract, wrong)] == ["$"]


def test_a_shape_that_contains_itself_is_followed_to_any_depth():
    """DynamoDB's attribute values nest; the path must lead to the innermost fault."""
    item = {"M": {"a": {"L": [{"N": "1"}, {"M": {"b": {"S": 7}}}]}}}
    with pytest.raises(ContractError) as caught:
        check_request("dynamodb", "PutItem", {"TableName": "flyball-state", "Item": {"x": item}})
    assert places(caught) == [("Item['x'].M['a'].L[1].M['b'].S", "must be a string")]


def test_a_map_key_is_checked_too():
    """Keys have constraints of their own, e.g. the length of a tag's name."""
    with pytest.raises(ContractError) as caught:
        check_request("appconfig", "CreateApplication", {"Name": "a", "Tags": {"k" * 129: "v"}})
    assert places(caught)[0][0].startswith("Tags[")


def test_an_open_document_may_hold_anything():
    """Document types are free by definition; nothing in them can be unknown."""
    shapes = {"Doc": {"type": "structure", "members": {}, "document": True}}
    contract = one_shape({"Any": {"shape": "Doc"}}, shapes=shapes)
    assert request_problems(contract, {"Any": {"x": [1, "a", None]}}) == []
    assert contract.raw("Do", b'{"Any": {"x": 1}}') == ()


def test_a_pattern_python_cannot_express_is_listed_not_forgotten():
    """A check that silently does nothing would look like a passed one."""
    shapes = {"Text": {"type": "string", "pattern": "\\p{Print}+"}}
    contract = one_shape({"A": {"shape": "Text"}}, shapes=shapes)
    assert request_problems(contract, {"A": "x"}) == []
    assert contract.unchecked_patterns == {"\\p{Print}+"}


def test_no_pattern_of_appconfig_is_left_unchecked():
    """The emulator's own contract is checked completely."""
    for service in ("appconfig", "appconfigdata"):
        contract = contract_for(service)
        for name in contract.model.operation_names:
            contract.request(name, {})
            contract.response(name, {})
        assert contract.unchecked_patterns == frozenset()


def test_an_operation_without_input_or_output_takes_and_gives_nothing():
    """Members there would vanish unseen."""
    contract = contract_for("appconfig")
    assert contract.request("GetAccountSettings", {}) == ()
    assert [v.path for v in contract.request("GetAccountSettings", {"X": 1})] == ["X"]
    assert contract.response("DeleteApplication", {"ResponseMetadata": {}}) == ()
    assert [v.path for v in contract.response("DeleteApplication", {"X": 1})] == ["X"]


def test_an_unknown_operation_is_named_with_the_nearest_known():
    """A misspelt operation in a test must not look like a pass."""
    with pytest.raises(KeyError, match="did you mean 'StartDeployment'"):
        check_request("appconfig", "StartDeploymnt", {})


def error(code, status, **fields):
    return {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **fields}


def test_an_error_must_be_declared_with_its_status_and_fields():
    """Callers branch on codes: an emulator that invents one teaches them nonsense."""
    check_error("appconfig", "StartDeployment", error("ConflictException", 409, Message="m"))
    check_error("appconfig", "StartDeployment", error("ThrottlingException", 429))
    for wrong, path in (
        (error("ConflictException", 400), "ResponseMetadata.HTTPStatusCode"),
        (error("ConflictExcption", 409), "Error.Code"),
        (error("BadRequestException", 400, Reason="Nonsense"), "Reason"),
        (error("PayloadTooLargeException", 413), "Error.Code"),
    ):
        with pytest.raises(ContractError) as caught:
            check_error("appconfig", "StartDeployment", wrong)
        assert places(caught)[0][0] == path


def client_that_answers(service, status, body, headers=None):
    client = boto3.client(
        service,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}),
    )
    headers = {"x-amzn-RequestId": "1", **(headers or {})}
    client.meta.events.register_first(
        "before-send", lambda request, **_: AWSResponse(request.url, status, headers, Raw(body))
    )
    return client


class Raw(io.BytesIO):
    def stream(self, **_):
        return [self.read()]


def test_an_attached_client_refuses_to_send_what_breaks_the_model():
    """The request side: found before anything leaves."""
    client = client_that_answers("appconfig", 200, b"{}")
    attachment = attach(client)
    with pytest.raises(ContractError):
        client.get_deployment_strategy(DeploymentStrategyId="no")
    assert attachment.calls == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"Id": "abcd123", "Name": "e", "State": "IDLE"}, "State"),
        ({"Id": "abcd123", "Name": "e", "Stat": "DEPLOYING"}, "Stat"),
        ({"Monitors": [{"AlarmArn": "a", "Extra": 1}]}, "Monitors[0].Extra"),
    ],
)
def test_a_planted_wrong_response_is_caught(body, path):
    """The response side, also for members botocore would drop without a word."""
    client = client_that_answers("appconfig", 200, json.dumps(body).encode())
    attach(client)
    with pytest.raises(ContractError) as caught:
        client.get_environment(ApplicationId="abcd123", EnvironmentId="abcd124")
    assert places(caught)[0][0] == path


def test_a_resource_is_checked_as_its_calls_travel_not_as_python_sees_them():
    """boto3's Table turns attribute values into Python values on both sides of our check."""
    table = boto3.resource(
        "dynamodb", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    ).Table("flyball-state")
    body = b'{"Item": {"key": {"S": "a"}, "n": {"N": "1"}}}'
    table.meta.client.meta.events.register_first(
        "before-send", lambda request, **_: AWSResponse(request.url, 200, {}, Raw(body))
    )
    attachment = attach(table.meta.client)
    assert table.get_item(Key={"key": "a"})["Item"] == {"key": "a", "n": 1}
    assert attachment.calls == 1


def test_a_planted_undeclared_error_is_caught():
    """Also what is raised anyway is checked first."""
    client = client_that_answers("appconfig", 418, b"{}", {"x-amzn-ErrorType": "TeapotException"})
    attach(client)
    with pytest.raises(ContractError) as caught:
        client.get_application(ApplicationId="abcd123")
    assert places(caught)[0][0] == "Error.Code"


def test_collecting_lets_calls_pass_and_detaching_ends_the_checks():
    """For surveys of a foreign emulator: first see everything that is wrong."""
    client = client_that_answers("appconfig", 200, b'{"Id": "BAD"}')
    attachment = attach(client, collect=True)
    assert client.get_application(ApplicationId="abcd123")["Id"] == "BAD"
    assert [error.side for error in attachment.violations] == ["response"]
    attachment.detach()
    client.get_application(ApplicationId="x" * 65)
    assert attachment.calls == 1
    assert len(attachment.violations) == 1


def test_a_declared_error_reaches_the_caller_unharmed():
    """The checker changes nothing about correct behaviour."""
    client = client_that_answers(
        "appconfig",
        404,
        b'{"Message": "gone", "ResourceName": "x"}',
        {"x-amzn-ErrorType": "ResourceNotFoundException"},
    )
    attach(client)
    with pytest.raises(ClientError) as caught:
        client.get_application(ApplicationId="abcd123")
    assert caught.value.response["ResourceName"] == "x"


def test_models_come_from_the_package_whatever_the_user_has_in_their_home(tmp_path, monkeypatch):
    """A user's own model folder must not decide what our tests accept."""
    planted = tmp_path / "appconfig" / "2099-01-01"
    planted.mkdir(parents=True)
    (planted / "service-2.json").write_text("{}")
    monkeypatch.setitem(os.environ, "AWS_DATA_PATH", str(tmp_path))
    from flyball_local.contractcheck import service_model

    assert service_model.__wrapped__("appconfig").api_version == "2019-10-09"
