"""Every feature of the template can be switched off, and what is left still works (fidelity: emulator)."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from flyball_controller.aws.settings import Settings
from flyball_handlers.origins import VARIABLES, Origins
from flyball_local.template import TemplateError
from flyball_local.template.expand import read_template
from integration.infra_world import ACCOUNT, ROOT, TARGET, TEMPLATE, World, expanded

TOPIC = "arn:aws:sns:eu-west-1:123456789012:alerts"
SWITCHES = [name for name in expanded()["Parameters"] if name.startswith("Enable")]


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switched_off_feature_leaves_a_stack_that_works(switch):
    """A condition that is forgotten in one place refers to what is not there."""
    world = World(**{switch: "false"})
    world.minutes(2)
    assert world.stack.ledger.denied() == set()
    expected = 0 if switch == "EnableTick" else 1
    assert world.invocations("TickFunction") == expected


def test_everything_switched_on_and_off_at_once_deploys():
    """The two ends of the range."""
    all_on = World(
        **dict.fromkeys(SWITCHES, "true"),
        AlarmTopicArn=TOPIC,
        MappedAlarmPrefix="x",
    )
    all_off = World(**dict.fromkeys(SWITCHES, "false"))
    assert set(all_off.stack.hosts) == {"flyball-tick"}
    assert len(all_on.stack.hosts) == 6
    assert not all_off.aws.cloudwatch.alarms.all()
    alarms = all_on.aws.cloudwatch.alarms.all()
    assert {tuple(alarm.view.params["AlarmActions"]) for alarm in alarms} == {(TOPIC,)}


def test_without_appconfig_circuits_carry_the_decisions():
    """The controller must not fail for a document that nobody wants."""
    world = World(EnableAppConfig="false", EnableAlarmEvents="false")
    world.minutes(2)
    world.minutes(4, failures=590)
    assert world.circuit() is not None
    assert world.stack.host("TickFunction").errors == 0
    assert world.stack.outputs["ClientVariables"] == "FLYBALL_CIRCUITS_TABLE=flyball-circuits"


def test_a_document_is_there_before_the_first_tick_and_is_replaced_by_it():
    """Readers find something from the first minute on."""
    world = World(EnableAlarmEvents="false")
    application, environment, profile, _ = world.stack.outputs["AppConfigIds"].split("/")
    client = world.stack.client("appconfig")
    world.clock.advance(30.0)
    first = client.list_deployments(ApplicationId=application, EnvironmentId=environment)["Items"]
    assert [(d["DeploymentNumber"], d["State"]) for d in first] == [(1, "COMPLETE")]
    world.minutes(2)
    content = client.get_hosted_configuration_version(
        ApplicationId=application, ConfigurationProfileId=profile, VersionNumber=2
    )["Content"].read()
    assert TARGET in json.loads(content)["targets"]


def test_the_first_document_never_changes():
    """An update of the stack would deploy another text over the document that stands."""
    version = read_template(TEMPLATE)["Resources"]["FirstVersion"]["Properties"]
    assert version["Content"] == '{"schema":1,"revision":0,"generated_at":"","policy_hash":"","targets":{}}'
    assert version["Description"] == "empty"


BEYOND = {"retry": {"max_attempts": 9}}
DOCUMENT = {"schema": 1, "revision": 9, "generated_at": "", "policy_hash": "", "targets": {}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps({**DOCUMENT, "targets": {"a": BEYOND}}), "9 is greater than the maximum of 4"),
        (json.dumps(DOCUMENT)[:-1] + ', "revision": 9}', "ContractError.*revision"),
    ],
    ids=["the schema refuses it", "only the client's own reader refuses it"],
)
def test_no_document_that_a_client_would_bend_can_be_deployed(content, words):
    """Whoever writes it: the validators belong to the profile."""
    world = World()
    application, environment, profile, strategy = world.stack.outputs["AppConfigIds"].split("/")
    client = world.stack.client("appconfig")
    made = client.create_hosted_configuration_version(
        ApplicationId=application,
        ConfigurationProfileId=profile,
        Content=content,
        ContentType="application/json",
    )
    with pytest.raises(ClientError, match=words):
        client.start_deployment(
            ApplicationId=application,
            EnvironmentId=environment,
            ConfigurationProfileId=profile,
            ConfigurationVersion=str(made["VersionNumber"]),
            DeploymentStrategyId=strategy,
        )


def test_the_defaults_of_the_template_are_the_defaults_of_the_settings():
    """Two truths about one number would drift apart."""
    world = World(Targets="")
    variables = world.stack.properties["TickFunction"]["Environment"]["Variables"]
    values = {name: str(value) for name, value in variables.items()}
    settings = Settings.from_env(values, also=VARIABLES)
    assert settings.appconfig is not None
    assert settings._replace(appconfig=None) == Settings()
    origins = Origins.from_env(values)
    assert origins._replace(accounts=frozenset(), regions=frozenset()) == Origins()
    assert (origins.accounts, origins.regions) == ({ACCOUNT}, {"eu-west-1"})


def test_every_setting_is_a_parameter():
    """What can be set must be settable without editing the template.

    The region is the stack's own; the shard stands in each tick's event.
    """
    from flyball_controller.aws.settings import VARIABLES as SETTINGS

    variables = read_template(TEMPLATE)["Globals"]["Function"]["Environment"]["Variables"]
    ours = {name for name in variables if name.startswith("FLYBALL_")}
    assert ours == {*SETTINGS, *VARIABLES} - {"FLYBALL_REGION", "FLYBALL_SHARD"}


def test_two_installations_of_other_prefixes_share_an_account():
    """Names must not collide: a test installation beside the real one."""
    world = World()
    from flyball_local.template import Stack

    second = Stack(world.aws, expanded(), {"Prefix": "trial", "Targets": TARGET}, name="trial")
    world.clock.advance(120.0)
    assert second.host("TickFunction").invocations == 1
    assert second.outputs["CircuitsTableName"] == "trial-circuits"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"EnableTick": "yes"}, "EnableTick: 'yes' must be one of true, false"),
        ({"Prefix": "Fly ball"}, "Prefix: 'Fly ball' must match"),
        ({"JournalDays": "0"}, r"JournalDays: 0 must lie in \[1, 3650\]"),
        ({"Target": "a"}, "Target: unknown parameter; did you mean 'Targets'?"),
        ({"PowertoolsTable": "breakers"}, "PowertoolsTogether: PowertoolsTable is set"),
    ],
)
def test_a_value_that_cannot_be_obeyed_is_refused_before_anything_is_made(parameters, words):
    """As CloudFormation does; later it would be a function that fails at every start."""
    with pytest.raises(TemplateError, match=words):
        World(**parameters)


def test_the_sample_configuration_of_sam_sets_no_parameter():
    """A value there is set again by every plain `sam deploy`: `Policy=two-loop` took back one's own policy,
    and `Prefix` would have replaced every table of a stack that has another one."""
    text = (ROOT / "infra" / "samconfig.toml").read_text()
    import tomllib

    environments = {name: e for name, e in tomllib.loads(text).items() if name != "version"}
    names = {name: e["deploy"]["parameters"]["stack_name"] for name, e in environments.items()}
    assert names == {"default": "flyball", "sweep": "flyball-sweep"}
    for environment in environments.values():
        deploy = environment["deploy"]["parameters"]
        assert not {"parameter_overrides", "tags"} & set(deploy)
        assert set(deploy["capabilities"].split()) == {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}
