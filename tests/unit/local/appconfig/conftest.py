"""A small world around the emulator: real boto3 clients on either face, every call held to the model.

Fidelity: emulator. `in_process` and `http` run the same tests, so that neither
face can drift.
"""

from __future__ import annotations

from contextlib import ExitStack

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from flyball_local import contractcheck
from flyball_local.appconfig import AppConfigService
from flyball_local.virtualclock import VirtualClock

START_S = 1_795_003_200.0


def make_client(name, *, url=None, attempts=1):
    """A client that reads no environment and, unless told otherwise, never retries."""
    return boto3.client(
        name,
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


class World:
    """One service, its clock, two clients, and the usual resources made on first use."""

    def __init__(self, service, clock, url=None):
        self.service = service
        self.clock = clock
        self.control = make_client("appconfig", url=url)
        self.data = make_client("appconfigdata", url=url)
        self.checks = []
        for client in (self.control, self.data):
            if url is None:
                service.attach(client)
            self.checks.append(contractcheck.attach(client))

    def close(self):
        self.control.close()
        self.data.close()

    def set_up(self, *, monitors=(), validators=()):
        """Make application, environment and profile; keep their ids."""
        self.app = self.control.create_application(Name="shop")["Id"]
        self.env = self.control.create_environment(
            ApplicationId=self.app, Name="prod", Monitors=[{"AlarmArn": arn} for arn in monitors]
        )["Id"]
        self.profile = self.add_profile(validators=validators)
        return self

    def add_profile(self, *, name="flyball", validators=()):
        return self.control.create_configuration_profile(
            ApplicationId=self.app, Name=name, LocationUri="hosted", Validators=list(validators)
        )["Id"]

    def strategy(self, *, minutes=0, bake=0, factor=100.0, growth="LINEAR"):
        return self.control.create_deployment_strategy(
            Name="s",
            DeploymentDurationInMinutes=minutes,
            FinalBakeTimeInMinutes=bake,
            GrowthFactor=factor,
            GrowthType=growth,
        )["Id"]

    def version(self, content=b'{"n": 1}', *, profile=None, **more):
        return self.control.create_hosted_configuration_version(
            ApplicationId=self.app,
            ConfigurationProfileId=profile or self.profile,
            Content=content,
            ContentType="application/json",
            **more,
        )["VersionNumber"]

    def start(self, version, strategy, *, profile=None, **more):
        return self.control.start_deployment(
            ApplicationId=self.app,
            EnvironmentId=self.env,
            ConfigurationProfileId=profile or self.profile,
            DeploymentStrategyId=strategy,
            ConfigurationVersion=str(version),
            **more,
        )

    def deployment(self, number):
        return self.control.get_deployment(
            ApplicationId=self.app, EnvironmentId=self.env, DeploymentNumber=number
        )

    def stop(self, number, **more):
        return self.control.stop_deployment(
            ApplicationId=self.app, EnvironmentId=self.env, DeploymentNumber=number, **more
        )

    def deployed(self, content):
        """Create a version and carry its deployment through; return the version number."""
        number = self.version(content)
        if not hasattr(self, "instant"):
            self.instant = self.strategy()
        deployment = self.start(number, self.instant)["DeploymentNumber"]
        self.clock.advance(10.0)
        assert self.deployment(deployment)["State"] == "COMPLETE"
        return number

    def session(self, **more):
        return self.data.start_configuration_session(
            ApplicationIdentifier=self.app,
            EnvironmentIdentifier=self.env,
            ConfigurationProfileIdentifier=self.profile,
            **more,
        )["InitialConfigurationToken"]

    def poll(self, token):
        """Return (body, next token, whole answer)."""
        answer = self.data.get_latest_configuration(ConfigurationToken=token)
        return answer["Configuration"].read(), answer["NextPollConfigurationToken"], answer

    def agent(self, **more):
        return self.service.agent(self.app, self.env, self.profile, **more)


def refused(code, call, **params):
    """Call, expect the error `code`, and return the error's response."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response


@pytest.fixture(params=["in_process", "http"])
def make_world(request):
    """A factory of worlds on one face; arguments go to AppConfigService."""
    with ExitStack() as stack:

        def make(**arguments):
            clock = VirtualClock(START_S)
            service = AppConfigService(clock, **arguments)
            url = stack.enter_context(service.serve()).url if request.param == "http" else None
            world = World(service, clock, url)
            stack.callback(world.close)
            return world

        yield make


@pytest.fixture
def world(make_world):
    """A world with application, environment and profile."""
    return make_world().set_up()
