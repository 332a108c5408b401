"""An embedded AppConfig and environments that read it without the Agent, each with two clocks of its own."""

from __future__ import annotations

from botocore.config import Config

from flyball.appconfigdata import POLL_S, TIMEOUT_S, AppConfigDataDocuments
from flyball.contract import DEFAULT_PARAMS, Document, encode_document
from flyball_local import contractcheck
from flyball_local.appconfig import AppConfigService
from flyball_local.isolated import isolated_session
from flyball_local.virtualclock import VirtualClock

NOW_S = 1_795_003_200.0
DAY_S = 86_400.0
NAMES = ("shop", "prod", "flyball")
ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:orders"
SESSION = isolated_session("us-east-1")
ONE_ATTEMPT = Config(
    connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}, proxies={}
)


def document(revision: int) -> Document:
    return Document(revision, "", "", {"t": DEFAULT_PARAMS})


class ClientClock:
    """An environment's two clocks on the world's virtual one: frozen, monotonic stands still (K6)."""

    def __init__(self, world: VirtualClock) -> None:
        self._world = world
        self.lost_s = 0.0  # of monotonic time, to freezes
        self.skew_s = 0.0  # of wall time

    def wall_s(self) -> float:
        return self._world.now_s() + self.skew_s

    def monotonic_s(self) -> float:
        return self._world.now_s() - NOW_S - self.lost_s

    def draw(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self._world.advance(seconds)


class World:
    """One account with one profile, and as many environments as asked for."""

    def __init__(self, *, seed: int = 0) -> None:
        self.clock = VirtualClock(NOW_S)
        self.alarm = "OK"  # state of the monitor
        self.service = AppConfigService(self.clock, seed=seed, alarm_state=lambda arn: self.alarm)
        self.control, self.data = (
            SESSION.client(name, config=ONE_ATTEMPT) for name in ("appconfig", "appconfigdata")
        )
        for client in (self.control, self.data):
            self.service.attach(client)
            contractcheck.attach(client)
        self.app = self.control.create_application(Name="shop")["Id"]
        self.env = self.control.create_environment(
            ApplicationId=self.app, Name="prod", Monitors=[{"AlarmArn": ALARM}]
        )["Id"]
        self.profile = self.control.create_configuration_profile(
            ApplicationId=self.app, Name="flyball", LocationUri="hosted"
        )["Id"]
        self.clocks: list[ClientClock] = []
        self.early = 0  # polls that were refused for coming too soon
        self.data.meta.events.register("after-call.appconfigdata", self._note)

    def _note(self, parsed: dict[str, object], **_: object) -> None:
        self.early += "PollIntervalNotSatisfied" in str(parsed.get("Error"))

    def source(self, poll_s: int = POLL_S) -> AppConfigDataDocuments:
        self.clocks.append(ClientClock(self.clock))
        return AppConfigDataDocuments(*NAMES, poll_s=poll_s, client=self.data, clock=self.clocks[-1])

    def strategy(self, minutes: int, factor: float, bake: int) -> str:
        made = self.control.create_deployment_strategy(
            Name="s",
            DeploymentDurationInMinutes=minutes,
            FinalBakeTimeInMinutes=bake,
            GrowthFactor=factor,
            ReplicateTo="NONE",
        )
        return str(made["Id"])

    def start(self, content: bytes, *, minutes: int = 0, factor: float = 100.0, bake: int = 0) -> int:
        """Begin to deploy `content`; returns the deployment's number."""
        version = self.control.create_hosted_configuration_version(
            ApplicationId=self.app,
            ConfigurationProfileId=self.profile,
            Content=content,
            ContentType="application/json",
        )["VersionNumber"]
        started = self.control.start_deployment(
            ApplicationId=self.app,
            EnvironmentId=self.env,
            ConfigurationProfileId=self.profile,
            DeploymentStrategyId=self.strategy(minutes, factor, bake),
            ConfigurationVersion=str(version),
        )
        return int(started["DeploymentNumber"])

    def deploy(self, revision: int) -> None:
        self.start(encode_document(document(revision)))
        self.clock.advance(10.0)

    def polls(self) -> tuple[int, int]:
        """Sessions started and polls made so far."""
        calls = self.service.calls
        return calls["StartConfigurationSession"], calls["GetLatestConfiguration"]
