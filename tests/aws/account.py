"""An account that checks are run against: a real one, or the embedded one that tests the checks themselves.

A check is a function of an `Account`; it asserts what flyball relies upon, and
returns what it found out. Nothing in a check says which kind of account it is:
time passes by `pause`, clients come from `client`, and whatever a check makes
beside the stack it gives back through `discard`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
EVERY_S = 5.0


class Finding(NamedTuple):
    """What a check found out. `point`: of the list of what emulation cannot tell; "" = of the stack."""

    point: str
    answer: str
    facts: Mapping[str, object]


class Account(Protocol):
    """What checks need of an account and of the stack under test in it."""

    region: str
    account: str
    stack: str  # its name, part of the names of what checks make
    prefix: str
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """Return a client, of the same account each time."""
        ...

    def now_s(self) -> float:
        """Return epoch seconds."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def invoke(self, function: str, payload: Mapping[str, object]) -> dict[str, Any]:
        """Invoke a function by name and return its answer; what it raises is an AssertionError."""
        ...

    def discard(self, service: str, operation: str, **arguments: object) -> None:
        """Take back something that a check made; that it is gone already is no error."""
        ...


class RealAccount:
    """The account of the shell's credentials, with a deployed stack of infra/template.yaml.

    Args:
        stack: Name of the stack.
        region: AWS region; None: the shell's.
    """

    def __init__(self, stack: str, region: str | None) -> None:
        import boto3

        self._session = boto3.session.Session(region_name=region)
        self._clients: dict[str, Any] = {}
        self.stack = stack
        self.region = str(self._session.region_name)
        self.account = str(self.client("sts").get_caller_identity()["Account"])
        (described,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])}
        given = {p["ParameterKey"]: p["ParameterValue"] for p in described.get("Parameters", [])}
        self.prefix = given["Prefix"]

    def client(self, service: str) -> Any:
        """Return a client of the shell's credentials, made once."""
        if service not in self._clients:
            made: Callable[[str], Any] = self._session.client
            self._clients[service] = made(service)
        return self._clients[service]

    def now_s(self) -> float:
        """Return this machine's time."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def invoke(self, function: str, payload: Mapping[str, object]) -> dict[str, Any]:
        """Invoke a function."""
        reply = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload).encode())
        said: dict[str, Any] = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, said
        return said

    def discard(self, service: str, operation: str, **arguments: object) -> None:
        """Call the operation; "not found" is fine."""
        client = self.client(service)
        try:
            getattr(client, operation)(**arguments)
        except client.exceptions.ClientError as error:
            if "NotFound" not in str(error) and "NoSuchEntity" not in str(error):
                raise


def eventually(
    account: Account, look: Callable[[], T | None], *, within_s: float, every_s: float = EVERY_S
) -> T:
    """Return what `look` returns as soon as it is not None.

    Raises:
        AssertionError: It is None for longer than `within_s`.
    """
    until_s = account.now_s() + within_s
    while True:
        found = look()
        if found is not None:
            return found
        assert account.now_s() < until_s, f"not within {within_s:.0f} s: {look.__doc__ or look.__qualname__}"
        account.pause(every_s)


def refusal(account: Account, call: Callable[[], object]) -> tuple[str, str]:
    """Return code and text of the refusal of a call; ("", "") if it goes through."""
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError as error:
        said = error.response["Error"]
        return said["Code"], said["Message"]
    return "", ""


class Lab(NamedTuple):
    """An AppConfig application of a check's own."""

    application: str
    environment: str
    profile: str
    strategies: Mapping[str, str]  # by name: "at-once", "slow" (a minute, then baked for one)


STRATEGIES = {"at-once": (0, 0, 100.0), "slow": (1, 1, 50.0)}


@contextmanager
def lab(account: Account, *, monitors: list[dict[str, str]] | None = None) -> Iterator[Lab]:
    """Yield an application with one environment, one profile and two strategies; take all back after it."""
    client = account.client("appconfig")
    name = f"{account.stack}-lab-{account.now_s():.0f}"
    application = client.create_application(Name=name)["Id"]
    watch = {"Monitors": monitors} if monitors else {}
    environment = client.create_environment(ApplicationId=application, Name="lab", **watch)["Id"]
    profile = client.create_configuration_profile(
        ApplicationId=application, Name="lab", LocationUri="hosted"
    )["Id"]
    strategies = {}
    for kind, (minutes, bake, growth) in STRATEGIES.items():
        strategies[kind] = client.create_deployment_strategy(
            Name=f"{name}-{kind}",
            DeploymentDurationInMinutes=minutes,
            FinalBakeTimeInMinutes=bake,
            GrowthFactor=growth,
            ReplicateTo="NONE",
        )["Id"]
    try:
        yield Lab(application, environment, profile, strategies)
    finally:
        of = {"ApplicationId": application}
        for version in client.list_hosted_configuration_versions(**of, ConfigurationProfileId=profile)[
            "Items"
        ]:
            account.discard(
                *("appconfig", "delete_hosted_configuration_version"),
                **of, ConfigurationProfileId=profile, VersionNumber=version["VersionNumber"],
            )  # fmt: skip
        bypass = {"DeletionProtectionCheck": "BYPASS"}
        account.discard("appconfig", "delete_environment", **of, EnvironmentId=environment, **bypass)
        account.discard(
            "appconfig", "delete_configuration_profile", **of, ConfigurationProfileId=profile, **bypass
        )
        account.discard("appconfig", "delete_application", **of)
        for strategy in strategies.values():
            account.discard("appconfig", "delete_deployment_strategy", DeploymentStrategyId=strategy)


def new_version(account: Account, at: Lab, content: Mapping[str, object]) -> str:
    """Store a content and return its version number."""
    made = account.client("appconfig").create_hosted_configuration_version(
        ApplicationId=at.application,
        ConfigurationProfileId=at.profile,
        Content=json.dumps(content).encode(),
        ContentType="application/json",
    )
    return str(made["VersionNumber"])


def start(account: Account, at: Lab, version: str, *, strategy: str = "at-once", **more: object) -> int:
    """Start a deployment and return its number."""
    reply = account.client("appconfig").start_deployment(
        ApplicationId=at.application,
        EnvironmentId=at.environment,
        ConfigurationProfileId=at.profile,
        ConfigurationVersion=version,
        DeploymentStrategyId=at.strategies[strategy],
        **more,
    )
    return int(reply["DeploymentNumber"])


def state(account: Account, at: Lab, number: int) -> str:
    """Return a deployment's state."""
    reply = account.client("appconfig").get_deployment(
        ApplicationId=at.application, EnvironmentId=at.environment, DeploymentNumber=number
    )
    return str(reply["State"])


def reaches(account: Account, at: Lab, number: int, *states: str, within_s: float) -> str:
    """Wait until a deployment is in one of some states; return which."""

    def look() -> str | None:
        """the deployment's state"""
        now = state(account, at, number)
        return now if now in states else None

    return eventually(account, look, within_s=within_s, every_s=1.0)
