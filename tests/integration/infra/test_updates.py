"""What an update of the stack does to what lives outside of it (fidelity: emulator).

CloudFormation cannot change the tags of an AppConfig deployment: with other tags on the stack
it makes the deployment anew, and so deploys the template's first document over the one that stands.
"""

from __future__ import annotations

import json
from typing import Any

from flyball_controller.aws.publish_document import FIRST_CONTENT, Readings
from flyball_local.template.expand import read_template
from integration.infra_world import TARGET, TEMPLATE, World


def ids(world: World) -> dict[str, str]:
    """What AppConfig calls the stack's application, environment and profile."""
    application, environment, profile, _ = world.stack.outputs["AppConfigIds"].split("/")
    return {"ApplicationId": application, "EnvironmentId": environment, "ConfigurationProfileId": profile}


def make_first_deployment_anew(world: World) -> None:
    """What CloudFormation does after a change of the stack's tags."""
    strategy = world.stack.outputs["AppConfigIds"].split("/")[3]
    world.clock.advance(5.0)
    world.stack.client("appconfig").start_deployment(
        **ids(world), ConfigurationVersion="1", DeploymentStrategyId=strategy
    )


def standing(world: World) -> dict[str, Any]:
    """The document that was deployed last."""
    names = ids(world)
    client = world.stack.client("appconfig")
    environment = {key: names[key] for key in ("ApplicationId", "EnvironmentId")}
    version = int(client.list_deployments(**environment)["Items"][0]["ConfigurationVersion"])
    profile = {key: names[key] for key in ("ApplicationId", "ConfigurationProfileId")}
    content = client.get_hosted_configuration_version(**profile, VersionNumber=version)["Content"].read()
    document: dict[str, Any] = json.loads(content)
    return document


def test_the_first_document_deployed_again_is_nobody_s_edit(caplog):
    """It was taken for one: the targets that it does not name were left alone until somebody noticed."""
    world = World()
    world.minutes(3)
    world.minutes(8, failures=590)
    before = standing(world)["targets"]
    assert TARGET in before
    make_first_deployment_anew(world)
    assert standing(world)["targets"] == {}
    world.minutes(4, failures=590)
    assert standing(world)["targets"] == before
    assert "configuration edited" not in caplog.messages


def test_an_empty_document_of_somebody_else_is_an_edit_as_ever(caplog):
    """Only the template's own words are nobody's; a person who empties the document means it."""
    world = World()
    world.minutes(3)
    world.minutes(8, failures=590)
    names = ids(world)
    strategy = world.stack.outputs["AppConfigIds"].split("/")[3]
    client = world.stack.client("appconfig")
    made = client.create_hosted_configuration_version(
        ApplicationId=names["ApplicationId"],
        ConfigurationProfileId=names["ConfigurationProfileId"],
        Content=b'{"schema":1,"revision":0,"generated_at":"","policy_hash":"by-nora","targets":{}}',
        ContentType="application/json",
    )
    world.clock.advance(5.0)
    client.start_deployment(
        **names, ConfigurationVersion=str(made["VersionNumber"]), DeploymentStrategyId=strategy
    )
    world.minutes(4, failures=590)
    assert standing(world)["targets"] == {}
    assert "configuration edited" in caplog.messages


def test_the_publisher_knows_the_first_document_by_its_words():
    """If the template's text changed, the publisher would take it for an edit again."""
    text = read_template(TEMPLATE)["Resources"]["FirstVersion"]["Properties"]["Content"]
    assert Readings().of(text.encode()).content == FIRST_CONTENT
