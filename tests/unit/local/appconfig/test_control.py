"""Resources of the control plane: what is created can be read back, and every rule refuses with its code."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ParamValidationError

from flyball_local.appconfig import Limits, NotEmulatedError

from .conftest import refused

ID = re.compile(r"[a-z0-9]{4,7}")


def test_what_is_created_can_be_read_and_listed(world):
    """Create, get and list must agree, or callers that look before they create go wrong."""
    control, app = world.control, world.app
    assert ID.fullmatch(app)
    assert control.get_application(ApplicationId=app)["Name"] == "shop"
    assert [a["Id"] for a in control.list_applications()["Items"]] == [app]
    environment = control.get_environment(ApplicationId=app, EnvironmentId=world.env)
    assert environment["State"] == "READY_FOR_DEPLOYMENT"
    assert [e["Id"] for e in control.list_environments(ApplicationId=app)["Items"]] == [world.env]
    profile = control.get_configuration_profile(ApplicationId=app, ConfigurationProfileId=world.profile)
    assert (profile["Type"], profile["LocationUri"]) == ("AWS.Freeform", "hosted")
    listed = control.list_configuration_profiles(ApplicationId=app)["Items"]
    assert [(p["Id"], p["ValidatorTypes"]) for p in listed] == [(world.profile, [])]
    other = control.list_configuration_profiles(ApplicationId=app, Type="AWS.AppConfig.FeatureFlags")
    assert other["Items"] == []


def test_names_need_not_be_unique(world):
    """AppConfig declares no conflict for them: whoever ensures a resource must list first."""
    assert world.control.create_application(Name="shop")["Id"] != world.app


def test_the_same_seed_gives_the_same_ids(make_world):
    """Two runs of a simulation must be comparable line by line."""
    ids = [make_world(seed=seed).set_up().app for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


def test_predefined_strategies_exist_from_the_start(world):
    """Their times decide how long an environment is blocked."""
    listed = {s["Id"]: s for s in world.control.list_deployment_strategies()["Items"]}
    times = {
        name: (
            s["DeploymentDurationInMinutes"],
            s["FinalBakeTimeInMinutes"],
            s["GrowthFactor"],
            s["GrowthType"],
        )
        for name, s in listed.items()
    }
    assert times == {
        "AppConfig.AllAtOnce": (0, 10, 100.0, "LINEAR"),
        "AppConfig.Linear50PercentEvery30Seconds": (1, 1, 50.0, "LINEAR"),
        "AppConfig.Canary10Percent20Minutes": (20, 10, 10.0, "EXPONENTIAL"),
        "AppConfig.Linear20PercentEvery6Minutes": (30, 30, 20.0, "LINEAR"),
    }
    one = world.control.get_deployment_strategy(DeploymentStrategyId="AppConfig.AllAtOnce")
    assert one["FinalBakeTimeInMinutes"] == 10


def test_a_strategy_keeps_what_it_was_given_and_defaults_the_rest(world):
    """LINEAR, no bake time and no replication are the API's defaults."""
    made = world.control.create_deployment_strategy(Name="s", DeploymentDurationInMinutes=3, GrowthFactor=25)
    assert (made["GrowthType"], made["FinalBakeTimeInMinutes"], made["ReplicateTo"]) == ("LINEAR", 0, "NONE")


def test_lists_are_cut_into_pages_that_together_hold_everything_once(world):
    """A caller that reads the first page only would create what exists already."""
    for number in range(4):
        world.control.create_environment(ApplicationId=world.app, Name=f"e{number}")
    pages = world.control.get_paginator("list_environments").paginate(
        ApplicationId=world.app, PaginationConfig={"PageSize": 2}
    )
    sizes = [[e["Name"] for e in page["Items"]] for page in pages]
    assert sizes == [["prod", "e0"], ["e1", "e2"], ["e3"]]
    refused("BadRequestException", world.control.list_applications, NextToken="forged!")
    refused("BadRequestException", world.control.list_applications, NextToken="Zm9yZ2Vk")


def test_tags_are_kept(world):
    """They are accepted on creation; a caller may find its own things by them."""
    app = world.control.create_application(Name="t", Tags={"owner": "flyball"})["Id"]
    arn = f"arn:aws:appconfig:us-east-1:000000000000:application/{app}"
    assert world.control.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"owner": "flyball"}
    unknown = refused(
        "ResourceNotFoundException", world.control.list_tags_for_resource, ResourceArn=f"{arn}x"
    )
    assert unknown["ResourceName"] == f"{arn}x"


def test_names_do_not_stand_for_ids(world):
    """The request model would let a name pass; nothing promises that it is found."""
    refused("ResourceNotFoundException", world.control.get_application, ApplicationId="shop")
    refused(
        "ResourceNotFoundException",
        world.control.get_environment,
        ApplicationId=world.app,
        EnvironmentId="prod",
    )


def test_versions_count_up_and_carry_content_and_label(world):
    """Numbers are the identity of a version for ever."""
    assert [world.version(b"one"), world.version(b"two", VersionLabel="v2-b")] == [1, 2]
    read = world.control.get_hosted_configuration_version(
        ApplicationId=world.app, ConfigurationProfileId=world.profile, VersionNumber=2
    )
    assert (read["Content"].read(), read["VersionLabel"], read["ContentType"]) == (
        b"two",
        "v2-b",
        "application/json",
    )
    listing = {"ApplicationId": world.app, "ConfigurationProfileId": world.profile}
    listed = world.control.list_hosted_configuration_versions(**listing)["Items"]
    assert [v["VersionNumber"] for v in listed] == [2, 1]
    for label, found in (("v2*", [2]), ("v2-b", [2]), ("v2", [])):
        items = world.control.list_hosted_configuration_versions(**listing, VersionLabel=label)["Items"]
        assert [v["VersionNumber"] for v in items] == found


def test_a_version_is_created_only_on_top_of_the_expected_one(world):
    """LatestVersionNumber is the optimistic lock of the store: the loser gets 409, and nothing is written."""
    assert world.version(LatestVersionNumber=0) == 1
    content = {"Content": b"x", "ContentType": "text/plain", "ConfigurationProfileId": world.profile}
    refused(
        "ConflictException",
        world.control.create_hosted_configuration_version,
        ApplicationId=world.app,
        LatestVersionNumber=0,
        **content,
    )
    assert world.version(LatestVersionNumber=1) == 2


def test_a_label_names_one_version(world):
    """A deployment by label must be unambiguous."""
    world.version(VersionLabel="green")
    refused(
        "ConflictException",
        world.control.create_hosted_configuration_version,
        ApplicationId=world.app,
        ConfigurationProfileId=world.profile,
        Content=b"x",
        ContentType="text/plain",
        VersionLabel="green",
    )


def test_a_deleted_version_is_gone_and_its_number_is_not_reused(world):
    """Pruning must never make an old number mean new content."""
    world.version(b"one")
    key = {"ApplicationId": world.app, "ConfigurationProfileId": world.profile, "VersionNumber": 1}
    world.control.delete_hosted_configuration_version(**key)
    refused("ResourceNotFoundException", world.control.get_hosted_configuration_version, **key)
    refused("ResourceNotFoundException", world.control.delete_hosted_configuration_version, **key)
    assert world.version(b"two") == 2


def test_content_above_the_limit_is_refused_with_its_size(world):
    """2,048 KB is the default; the answer says how much was too much."""
    world.version(b"x" * (2048 * 1024))
    answer = refused(
        "PayloadTooLargeException",
        world.control.create_hosted_configuration_version,
        ApplicationId=world.app,
        ConfigurationProfileId=world.profile,
        Content=b"x" * (2048 * 1024 + 512),
        ContentType="text/plain",
    )
    assert (answer["Limit"], answer["Size"], answer["Measure"]) == (2048.0, 2048.5, "KILOBYTES")


def test_quotas_refuse_the_one_too_many(make_world):
    """Each kind has its own count; predefined strategies do not use theirs up."""
    world = make_world(
        limits=Limits(
            applications=1,
            profiles_per_application=1,
            environments_per_application=1,
            strategies=1,
            store_bytes=10,
        )
    ).set_up()
    world.strategy()
    world.version(b"123456")
    code, app, control = "ServiceQuotaExceededException", world.app, world.control
    refused(code, control.create_application, Name="b")
    refused(code, control.create_environment, ApplicationId=app, Name="b")
    refused(code, control.create_configuration_profile, ApplicationId=app, Name="b", LocationUri="hosted")
    refused(code, control.create_deployment_strategy, Name="b", DeploymentDurationInMinutes=0, GrowthFactor=1)
    refused(
        code,
        control.create_hosted_configuration_version,
        ApplicationId=app,
        ConfigurationProfileId=world.profile,
        Content=b"12345",
        ContentType="text/plain",
    )
    assert world.version(b"1234") == 2


def test_what_is_not_emulated_says_so_and_not_that_appconfig_refused(make_world):
    """A caller must not learn a refusal that AWS does not make."""
    world = make_world().set_up()
    service, app = world.service, world.app
    profile = {"ApplicationId": app, "Name": "f", "LocationUri": "hosted"}
    for operation, params in (
        ("CreateConfigurationProfile", {**profile, "Type": "AWS.AppConfig.FeatureFlags"}),
        ("CreateConfigurationProfile", {**profile, "LocationUri": "s3://bucket/key"}),
        ("DeleteApplication", {"ApplicationId": app}),
    ):
        with pytest.raises(NotEmulatedError):
            service.call("appconfig", operation, params)


def test_a_request_that_breaks_the_model_is_a_bad_request_to_a_caller_without_the_checker(world):
    """The service itself refuses it, as AWS does, also if the client sends it."""
    for check in world.checks:
        check.detach()
    answer = refused(
        "BadRequestException",
        world.control.get_deployment_strategy,
        DeploymentStrategyId="no such thing",
    )
    assert "DeploymentStrategyId" in answer["Message"]
    with pytest.raises(ParamValidationError):
        world.control.create_application()
