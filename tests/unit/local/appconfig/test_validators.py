"""Validators: which language, when they run, and how they refuse."""

from __future__ import annotations

import base64
import json

import pytest

from .conftest import refused

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
SCHEMA = {
    "$schema": DRAFT_4,
    "type": "object",
    "properties": {"attempts": {"type": "integer", "maximum": 4, "exclusiveMaximum": False}},
    "required": ["attempts"],
}
ARN = "arn:aws:lambda:us-east-1:000000000000:function:check"


def json_schema(schema):
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return {"Type": "JSON_SCHEMA", "Content": text}


def test_a_bad_document_is_stored_but_not_deployed(make_world):
    """Validation happens at StartDeployment, not at version creation: a bad version can exist."""
    world = make_world().set_up(validators=[json_schema(SCHEMA)])
    assert world.version(b'{"attempts": 5}') == 1
    answer = refused("BadRequestException", world.start, version=1, strategy="AppConfig.AllAtOnce")
    assert answer["Reason"] == "InvalidConfiguration"
    [detail] = answer["Details"]["InvalidConfiguration"]
    assert (detail["Location"], detail["Constraint"], detail["Value"]) == ("/attempts", "maximum", "5")
    listed = world.control.list_deployments(ApplicationId=world.app, EnvironmentId=world.env)
    assert listed["Items"] == []


def test_a_good_document_passes_the_draft_04_dialect(make_world):
    """exclusiveMaximum as a boolean exists only there; a newer validator would refuse this schema."""
    world = make_world().set_up(validators=[json_schema(SCHEMA)])
    world.version(b'{"attempts": 4}')
    assert world.start(1, "AppConfig.AllAtOnce")["DeploymentNumber"] == 1


def test_validation_can_be_asked_for_alone(make_world):
    """ValidateConfiguration runs the same validators and changes nothing."""
    world = make_world().set_up(validators=[json_schema(SCHEMA)])
    world.version(b'{"attempts": 4}')
    world.version(b"{}")
    world.version(b"not json")
    key = {"ApplicationId": world.app, "ConfigurationProfileId": world.profile}
    world.control.validate_configuration(**key, ConfigurationVersion="1")
    for version in ("2", "3"):
        refused(
            "BadRequestException",
            world.control.validate_configuration,
            **key,
            ConfigurationVersion=version,
        )


@pytest.mark.parametrize(
    "schema",
    ["{", {"$schema": "https://json-schema.org/draft/2020-12/schema"}, {"type": "no such type"}, "7"],
)
def test_a_validator_that_is_no_draft_04_schema_is_refused(world, schema):
    """Schemas in newer drafts look valid and are not understood by AppConfig."""
    refused(
        "BadRequestException",
        world.control.create_configuration_profile,
        ApplicationId=world.app,
        Name="p",
        LocationUri="hosted",
        Validators=[json_schema(schema)],
    )


def test_a_lambda_validator_gets_the_documented_event_and_refuses_by_raising(make_world):
    """Our own validator function is exercised with exactly this payload."""
    seen = []

    def check(arn, event):
        seen.append((arn, event))
        if b"bad" in base64.b64decode(event["content"]):
            raise ValueError("attempts=9 is above 4")

    world = make_world(call_lambda=check).set_up(validators=[{"Type": "LAMBDA", "Content": ARN}])
    world.version(b"good")
    world.version(b"bad")
    answer = refused("BadRequestException", world.start, version=2, strategy="AppConfig.AllAtOnce")
    assert "attempts=9" in answer["Details"]["InvalidConfiguration"][0]["Reason"]
    world.start(1, "AppConfig.AllAtOnce")
    arn, event = seen[-1]
    assert arn == ARN
    assert event == {
        "applicationId": world.app,
        "configurationProfileId": world.profile,
        "configurationVersion": "1",
        "content": base64.b64encode(b"good").decode(),
        "uri": "hosted",
    }


def test_a_lambda_validator_without_a_function_refuses(make_world):
    """A validator that cannot run must not count as passed."""
    world = make_world().set_up(validators=[{"Type": "LAMBDA", "Content": ARN}])
    world.version()
    refused("BadRequestException", world.start, version=1, strategy="AppConfig.AllAtOnce")
