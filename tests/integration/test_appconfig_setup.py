"""Setting AppConfig up, through boto3 against the embedded one (fidelity: emulator)."""

from __future__ import annotations

import pytest

from flyball_controller.aws.appconfig_setup import ensure_config, ensure_strategy
from flyball_controller.ports import PortError
from integration.appconfig_world import World


@pytest.fixture
def world() -> World:
    """A world that is set up once."""
    return World()


def test_setting_up_twice_makes_nothing_twice(world: World):
    """Infrastructure scripts run again and again."""
    assert ensure_config(world.client) == world.ids
    assert world.service.calls["CreateEnvironment"] == 1


def test_names_beyond_the_first_page_are_found(world: World):
    """Otherwise the 51st application would be made again at every run."""
    for i in range(55):
        ensure_config(world.client, application=f"flyball-{i:02d}")
    made = world.service.calls["CreateApplication"]
    ensure_config(world.client, application="flyball-54")
    assert world.service.calls["CreateApplication"] == made


def test_a_strategy_with_other_times_is_refused_and_not_changed(world: World):
    """A bake of ten minutes would block the environment after every change."""
    world.client.create_deployment_strategy(
        Name="slow", DeploymentDurationInMinutes=0, FinalBakeTimeInMinutes=10, GrowthFactor=100.0
    )
    with pytest.raises(PortError, match="FinalBakeTimeInMinutes=10") as caught:
        ensure_strategy(world.client, "slow")
    assert not caught.value.retryable
