"""Deployments in virtual time: who may start, what happens when, and how it ends."""

from __future__ import annotations

import pytest

from flyball_local.appconfig import NotEmulatedError, Timing

from .conftest import START_S, refused

ALARM = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:shop"
EXACT = Timing(start_latency_s=0.0, settle_s=0.0, monitor_period_s=10.0, rollback_s=5.0)


def minutes(world, deployment):
    """The event log, oldest first, as (minutes since start, type, by)."""
    log = reversed(world.deployment(deployment)["EventLog"])
    return [((e["OccurredAt"].timestamp() - START_S) / 60.0, e["EventType"], e["TriggeredBy"]) for e in log]


def environment_state(world):
    return world.control.get_environment(ApplicationId=world.app, EnvironmentId=world.env)["State"]


def test_all_at_once_blocks_the_environment_for_ten_minutes_of_baking(make_world):
    """The obvious strategy makes a fast controller impossible: whatever comes next meets 409."""
    world = make_world(timing=EXACT).set_up()
    first, second = world.version(b"1"), world.version(b"2")
    world.start(first, "AppConfig.AllAtOnce")
    for minute in range(10):
        assert world.deployment(1)["State"] == ("DEPLOYING" if minute == 0 else "BAKING")
        answer = refused("ConflictException", world.start, version=second, strategy="AppConfig.AllAtOnce")
        assert answer["Message"] == "Deployment number 1 already exists"
        assert environment_state(world) == "DEPLOYING"
        world.clock.advance(60.0)
    assert world.deployment(1)["State"] == "COMPLETE"
    assert world.start(second, "AppConfig.AllAtOnce")["DeploymentNumber"] == 2


def test_a_deployment_of_another_profile_blocks_the_environment_too(world):
    """One deployment at a time per environment, not per profile."""
    other = world.add_profile(name="other")
    world.start(world.version(), "AppConfig.AllAtOnce")
    refused(
        "ConflictException",
        world.start,
        version=world.version(profile=other),
        strategy="AppConfig.AllAtOnce",
        profile=other,
    )


def test_another_environment_is_free(world):
    """Different environments deploy at the same time."""
    world.start(world.version(), "AppConfig.AllAtOnce")
    world.env = world.control.create_environment(ApplicationId=world.app, Name="beta")["Id"]
    assert world.start(1, "AppConfig.AllAtOnce")["DeploymentNumber"] == 1


def test_an_instant_strategy_completes_in_seconds_not_at_once(world):
    """0/0/100 still answers DEPLOYING first (recorded: COMPLETE follows about 6 s later)."""
    started = world.start(world.version(), world.strategy())
    assert (started["State"], started["PercentageComplete"]) == ("DEPLOYING", 1.0)
    world.clock.advance(2.0)
    assert world.deployment(1)["State"] == "BAKING"
    assert world.deployment(1)["PercentageComplete"] == 100.0
    world.clock.advance(5.0)
    done = world.deployment(1)
    assert done["State"] == "COMPLETE"
    assert done["CompletedAt"].timestamp() - done["StartedAt"].timestamp() == 7.0


def test_a_linear_roll_out_follows_the_recorded_time_table(make_world):
    """Recorded in botocore's examples: 15 minutes, 25 % -> steps at 3, 6, 9, 12, bake at 15."""
    world = make_world(timing=EXACT).set_up()
    world.start(world.version(), world.strategy(minutes=15, bake=2, factor=25.0))
    world.clock.advance(3600.0)
    assert minutes(world, 1) == [
        (0.0, "DEPLOYMENT_STARTED", "USER"),
        (3.0, "PERCENTAGE_UPDATED", "APPCONFIG"),
        (6.0, "PERCENTAGE_UPDATED", "APPCONFIG"),
        (9.0, "PERCENTAGE_UPDATED", "APPCONFIG"),
        (12.0, "PERCENTAGE_UPDATED", "APPCONFIG"),
        (15.0, "BAKE_TIME_STARTED", "APPCONFIG"),
        (17.0, "DEPLOYMENT_COMPLETED", "APPCONFIG"),
    ]
    texts = [e["Description"] for e in world.deployment(1)["EventLog"] if "Configuration" in e["Description"]]
    assert texts[0] == "Configuration available to 100.00% of clients"


def test_the_percentage_grows_exponentially_when_asked(make_world):
    """G*(2^N): 10, 20, 40, 80, then all; 60 minutes in six parts of ten."""
    world = make_world(timing=EXACT).set_up()
    world.start(world.version(), world.strategy(minutes=60, factor=10.0, growth="EXPONENTIAL"))
    seen = []
    for _ in range(6):
        seen.append(world.deployment(1)["PercentageComplete"])
        world.clock.advance(600.0)
    assert seen == [1.0, 10.0, 20.0, 40.0, 80.0, 100.0]
    assert world.deployment(1)["State"] == "COMPLETE"


def test_the_latest_deployment_number_is_a_compare_and_set(world):
    """Two controllers that both think they are next: one must lose, and see it as a conflict."""
    strategy = world.strategy()
    assert world.start(world.version(), strategy, LatestDeploymentNumber=0)["DeploymentNumber"] == 1
    world.clock.advance(60.0)
    refused("ConflictException", world.start, version=1, strategy=strategy, LatestDeploymentNumber=0)
    assert world.start(1, strategy, LatestDeploymentNumber=1)["DeploymentNumber"] == 2


def test_deployments_are_listed_newest_first(world):
    """A reconcile after an unknown outcome looks at the first item only."""
    world.deployed(b"1")
    world.deployed(b"2")
    items = world.control.list_deployments(ApplicationId=world.app, EnvironmentId=world.env)["Items"]
    assert [(d["DeploymentNumber"], d["ConfigurationVersion"], d["State"]) for d in items] == [
        (2, "2", "COMPLETE"),
        (1, "1", "COMPLETE"),
    ]
    refused(
        "ResourceNotFoundException",
        world.control.get_deployment,
        ApplicationId=world.app,
        EnvironmentId=world.env,
        DeploymentNumber=3,
    )


def test_a_version_is_deployed_by_number_or_by_label(world):
    """Labels are for people; both lead to the same version."""
    world.version(b"1", VersionLabel="v-one")
    assert world.start("v-one", world.strategy())["ConfigurationVersion"] == "1"
    refused("ResourceNotFoundException", world.start, version="v-two", strategy=world.strategy())
    refused("ResourceNotFoundException", world.start, version=7, strategy=world.strategy())
    refused("ResourceNotFoundException", world.start, version=1, strategy="abcdefg")


def test_stopping_frees_the_environment_and_takes_the_version_back(make_world):
    """The way out of a long roll-out: readers are back on the old version, the next deployment may start."""
    world = make_world(timing=EXACT).set_up()
    world.deployed(b"old")
    agent = world.agent()
    assert agent.get() == b"old"
    world.start(world.version(b"new"), "AppConfig.AllAtOnce")
    world.clock.advance(60.0)
    assert agent.get() == b"new"
    stopped = world.stop(2)
    assert (stopped["State"], stopped["PercentageComplete"]) == ("ROLLED_BACK", 1.0)
    assert [e["EventType"] for e in stopped["EventLog"][:2]] == ["ROLLBACK_COMPLETED", "ROLLBACK_STARTED"]
    assert environment_state(world) == "ROLLED_BACK"
    world.clock.advance(60.0)
    assert agent.get() == b"old"
    assert world.deployment(2)["State"] == "ROLLED_BACK"
    assert world.start(1, world.strategy())["DeploymentNumber"] == 3


def test_a_deployment_that_is_over_cannot_be_stopped(world):
    """Only AllowRevert reaches a completed one, and nothing a rolled-back one."""
    world.deployed(b"1")
    refused("BadRequestException", world.stop, number=1)
    world.start(1, "AppConfig.AllAtOnce")
    world.stop(2)
    refused("BadRequestException", world.stop, number=2, AllowRevert=True)


def test_a_completed_deployment_is_reverted_within_72_hours(world):
    """AllowRevert is the operator's undo after the fact."""
    world.deployed(b"old")
    world.deployed(b"new")
    agent = world.agent()
    assert agent.get() == b"new"
    world.clock.advance(72 * 3600.0 - 10.0)
    assert world.stop(2, AllowRevert=True)["State"] == "REVERTED"
    assert environment_state(world) == "REVERTED"
    assert agent.get() == b"old"


@pytest.mark.parametrize("case", ["too late", "not the newest", "nothing before", "another in progress"])
def test_a_revert_is_refused_when_it_has_no_clear_meaning(world, case):
    """Each refusal keeps the configuration as it is."""
    world.deployed(b"1")
    number = 1
    if case == "too late":
        world.deployed(b"2")
        number = 2
        world.clock.advance(72 * 3600.0 + 10.0)
    elif case == "not the newest":
        world.deployed(b"2")
    elif case == "another in progress":
        world.start(1, "AppConfig.AllAtOnce")
    refused("BadRequestException", world.stop, number=number, AllowRevert=True)
    assert world.deployment(number)["State"] == "COMPLETE"


def test_a_run_of_many_days_need_not_keep_every_deployment(world):
    """Each holds two documents of the whole fleet; numbers and what stands must not notice."""
    for content in (b"1", b"2", b"3", b"4"):
        world.deployed(content)
    world.service.forget_deployments(keep=2)
    listed = world.control.list_deployments(ApplicationId=world.app, EnvironmentId=world.env)["Items"]
    assert [item["DeploymentNumber"] for item in listed] == [4, 3]
    refused(
        "ResourceNotFoundException",
        world.control.get_deployment,
        ApplicationId=world.app,
        EnvironmentId=world.env,
        DeploymentNumber=2,
    )
    assert world.agent().get() == b"4"
    assert world.stop(4, AllowRevert=True)["State"] == "REVERTED"
    assert world.agent().get() == b"3"
    assert world.start(1, world.instant, LatestDeploymentNumber=4)["DeploymentNumber"] == 5
    refused("ConflictException", world.start, version=1, strategy=world.instant, LatestDeploymentNumber=2)


def test_few_deployments_are_all_kept(world):
    """There is nothing to forget, and nothing is."""
    world.deployed(b"old")
    world.deployed(b"new")
    world.service.forget_deployments(keep=2)
    assert world.stop(2, AllowRevert=True)["State"] == "REVERTED"
    assert world.agent().get() == b"old"


@pytest.mark.parametrize("bad", ["ALARM", "INSUFFICIENT_DATA"])
def test_a_monitor_that_leaves_ok_rolls_the_deployment_back(make_world, bad):
    """Both states do it, INSUFFICIENT_DATA too: a silent metric undoes a mitigation."""
    states = {ALARM: "OK"}
    world = make_world(alarm_state=states.__getitem__, timing=EXACT).set_up(monitors=[ALARM])
    world.deployed(b"old")
    agent = world.agent()
    world.start(world.version(b"new"), "AppConfig.AllAtOnce")
    world.clock.advance(120.0)
    assert agent.get() == b"new"
    states[ALARM] = bad
    world.clock.advance(10.0)
    assert world.deployment(2)["State"] == "ROLLING_BACK"
    refused("ConflictException", world.start, version=1, strategy="AppConfig.AllAtOnce")
    refused("BadRequestException", world.stop, number=2)
    world.clock.advance(5.0)
    rolled = world.deployment(2)
    assert rolled["State"] == "ROLLED_BACK"
    assert rolled["EventLog"][1]["TriggeredBy"] == "CLOUDWATCH_ALARM"
    assert ALARM in rolled["EventLog"][1]["Description"]
    world.clock.advance(60.0)
    assert agent.get() == b"old"


def test_an_alarm_already_ringing_rolls_back_before_anybody_gets_more_than_a_moment(make_world):
    """Assumed of AWS: a controller deploying because of the alarm it monitors undoes itself."""
    world = make_world(alarm_state=lambda arn: "ALARM").set_up(monitors=[ALARM])
    world.start(world.version(), world.strategy(minutes=10, factor=10.0))
    world.clock.advance(10.0)
    assert world.deployment(1)["State"] == "ROLLED_BACK"


def test_a_completed_deployment_is_not_watched_any_more(make_world):
    """Monitors work during a deployment, baking included, and not after."""
    states = {ALARM: "OK"}
    world = make_world(alarm_state=states.__getitem__).set_up(monitors=[ALARM])
    world.deployed(b"1")
    states[ALARM] = "ALARM"
    world.clock.advance(3600.0)
    assert world.deployment(1)["State"] == "COMPLETE"


def test_two_runs_with_one_seed_agree_event_by_event(make_world):
    """Determinism: the whole log, not only the outcome."""

    def run():
        world = make_world(seed=5).set_up()
        world.start(world.version(), world.strategy(minutes=7, factor=30.0, bake=1))
        world.clock.advance(3600.0)
        answer = world.deployment(1)
        answer.pop("ResponseMetadata")
        return answer

    assert run() == run()


def test_events_tell_of_start_completion_and_rollback(make_world):
    """As with the EventBridge extension: the controller must recognise its own deployments (A6)."""
    events = []
    world = make_world(notify=events.append).set_up()
    world.deployed(b"1")
    world.start(1, "AppConfig.AllAtOnce")
    world.stop(2)
    assert [(e["detail"]["Type"], e["detail"]["DeploymentNumber"]) for e in events] == [
        ("OnDeploymentStart", 1),
        ("OnDeploymentComplete", 1),
        ("OnDeploymentStart", 2),
        ("OnDeploymentRolledBack", 2),
    ]
    complete = events[1]
    assert complete["source"] == "aws.appconfig"
    assert complete["detail-type"] == "On Deployment Complete"
    assert complete["detail"]["Environment"] == {"Id": world.env, "Name": "prod"}
    assert complete["time"] == "2026-11-18T12:00:07Z"
    assert len({e["id"] for e in events}) == 4


def test_extension_parameters_are_not_pretended_to_work(make_world):
    """No extension would ever see them."""
    world = make_world().set_up()
    params = {
        "ApplicationId": world.app,
        "EnvironmentId": world.env,
        "ConfigurationProfileId": world.profile,
        "DeploymentStrategyId": "AppConfig.AllAtOnce",
        "ConfigurationVersion": "1",
        "DynamicExtensionParameters": {"ext#p": "v"},
    }
    with pytest.raises(NotEmulatedError):
        world.service.call("appconfig", "StartDeployment", params)
