"""An AppConfig of one profile: hosted versions, one deployment at a time, rollbacks, agents that lag.

Deployments take DEPLOY_S of virtual time. What environments are served is found
out when they ask, so propagation is as staggered as their polls. It judges
nothing: starts and rollbacks are shown to `watch`.
Source: AWS AppConfig API reference, StartDeployment, StopDeployment (AllowRevert),
CreateHostedConfigurationVersion; user guide, "Working with AppConfig Agent".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyball.contract import Document
from flyball.errors import ContractError, SourceError
from flyball_controller.aws.settings import AppConfigIds
from simulation.dynamo import no_reply, refusal
from simulation.speed import document_of

IDS = AppConfigIds("app", "env", "profile", "strategy")
DEPLOY_S = 20.0
POLL_S = 45.0


class Profile:
    """One configuration profile in one environment."""

    def __init__(self, now_s: Callable[[], float], watch: Callable[[str, bytes, bytes], None]) -> None:
        """`watch` is told of each ("started" | "rolled back" | "by hand", content, what stood before)."""
        self._now_s = now_s
        self._watch = watch
        self.versions: dict[int, tuple[bytes, str]] = {}
        self.newest_version = 0
        self.deployments: list[dict[str, Any]] = []  # oldest first
        self.late: list[Callable[[], object]] = []

    def settle(self) -> None:
        """Complete what has been deploying for long enough."""
        for deployment in self.deployments[-1:]:
            if deployment["State"] == "DEPLOYING" and self._now_s() >= deployment["started_s"] + DEPLOY_S:
                deployment["State"] = "COMPLETE"

    def create(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Store a hosted version, unless another came first."""
        latest = arguments.get("LatestVersionNumber")
        if latest is not None and latest != self.newest_version:
            raise refusal("ConflictException", "CreateHostedConfigurationVersion", 409)
        self.newest_version += 1
        self.versions[self.newest_version] = (arguments["Content"], arguments.get("Description", ""))
        return {"VersionNumber": self.newest_version}

    def start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Start a deployment, unless one is in flight or another came first."""
        self.settle()
        latest = arguments.get("LatestDeploymentNumber")
        in_flight = any(deployment["State"] == "DEPLOYING" for deployment in self.deployments)
        if in_flight or (latest is not None and latest != len(self.deployments)):
            raise refusal("ConflictException", "StartDeployment", 409)
        content = self.versions[int(arguments["ConfigurationVersion"])][0]
        how = "started" if latest is not None else "started unlocked"
        self._deploy(how, arguments["ConfigurationVersion"], content)
        return {"DeploymentNumber": len(self.deployments)}

    def _deploy(self, how: str, version: str, content: bytes) -> None:
        before, _ = self.served()
        self.deployments.append(
            {
                "DeploymentNumber": len(self.deployments) + 1,
                "ConfigurationProfileId": "profile",
                "ConfigurationVersion": version,
                "State": "DEPLOYING",
                "started_s": self._now_s(),
                "content": content,
            }
        )
        self._watch(how, content, before)

    def roll_back(self) -> bool:
        """Undo the newest deployment, as an alarm would; False if there is nothing before it."""
        self.settle()
        standing = [d for d in self.deployments if d["State"] in ("DEPLOYING", "COMPLETE")]
        if len(standing) < 2 or standing[-1] is not self.deployments[-1]:
            return False
        standing[-1]["State"] = "ROLLED_BACK" if standing[-1]["State"] == "DEPLOYING" else "REVERTED"
        self._watch("rolled back", standing[-1]["content"], self.served()[0])
        return True

    def deploy_by_hand(self, content: bytes) -> bool:
        """Deploy other content as an operator would at the console; False if one is in flight."""
        self.settle()
        if any(deployment["State"] == "DEPLOYING" for deployment in self.deployments):
            return False
        number = self.create({"Content": content})["VersionNumber"]
        self._deploy("by hand", str(number), content)
        return True

    def served(self) -> tuple[bytes, str]:
        """Return what an agent that asks now receives, and the version's label."""
        self.settle()
        for deployment in reversed(self.deployments):
            if deployment["State"] in ("DEPLOYING", "COMPLETE"):
                return deployment["content"], deployment["ConfigurationVersion"]
        return b"", ""

    def standing(self) -> Document | None:
        """Return the document that is served, None if there is none, or none that a client could read."""
        data, _ = self.served()
        try:
            return document_of(data) if data else None
        except ContractError:
            return None


class PublisherClient:
    """The AppConfig client of one controller."""

    def __init__(
        self,
        profile: Profile,
        ask: Callable[[str], str],
        landing: Callable[[Callable[[], Any]], Callable[[], Any]] = lambda effect: effect,
    ) -> None:
        self._profile = profile
        self._ask = ask
        self._landing = landing

    def _call(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        fault = self._ask(operation)
        if fault == "throttle":
            raise refusal("TooManyRequestsException", operation, 429)
        if fault == "error":
            raise refusal("InternalServerException", operation, 500)
        if fault == "late":
            self._profile.late.append(self._landing(effect))
            raise no_reply(operation)
        if fault == "lost":
            effect()
            raise no_reply(operation)
        if fault == "retried":
            effect()
            self._ask(f"{operation} again")
        return effect()

    def list_deployments(self, **_: Any) -> dict[str, Any]:
        """ListDeployments, newest first."""

        def effect() -> dict[str, Any]:
            self._profile.settle()
            return {"Items": [dict(d) for d in reversed(self._profile.deployments)]}

        return self._call("ListDeployments", effect)

    def list_hosted_configuration_versions(self, **_: Any) -> dict[str, Any]:
        """ListHostedConfigurationVersions."""

        def effect() -> dict[str, Any]:
            found = self._profile.versions.items()
            return {"Items": [{"VersionNumber": n, "Description": text} for n, (_, text) in found]}

        return self._call("ListHostedConfigurationVersions", effect)

    def get_hosted_configuration_version(self, **arguments: Any) -> dict[str, Any]:
        """GetHostedConfigurationVersion."""

        def effect() -> dict[str, Any]:
            found = self._profile.versions.get(arguments["VersionNumber"])
            if found is None:
                raise refusal("ResourceNotFoundException", "GetHostedConfigurationVersion", 404)
            return {"Content": found[0]}

        return self._call("GetHostedConfigurationVersion", effect)

    def create_hosted_configuration_version(self, **arguments: Any) -> dict[str, Any]:
        """CreateHostedConfigurationVersion."""
        return self._call("CreateHostedConfigurationVersion", lambda: self._profile.create(arguments))

    def start_deployment(self, **arguments: Any) -> dict[str, Any]:
        """StartDeployment."""
        return self._call("StartDeployment", lambda: self._profile.start(arguments))

    def delete_hosted_configuration_version(self, **arguments: Any) -> dict[str, Any]:
        """DeleteHostedConfigurationVersion."""

        def effect() -> dict[str, Any]:
            self._profile.versions.pop(arguments["VersionNumber"], None)
            return {}

        return self._call("DeleteHostedConfigurationVersion", effect)

    def get_deployment(self, **_: Any) -> dict[str, Any]:
        """GetDeployment: our list names the profile, so nobody needs it."""
        raise AssertionError("the list already named the profile")


class Agent:
    """The AppConfig Agent of one environment: it polls every POLL_S, and says when the version changed."""

    def __init__(self, profile: Profile, now_s: Callable[[], float], *, phase_s: float) -> None:
        self._profile = profile
        self._now_s = now_s
        self._polled_s = now_s() - phase_s
        self._has: tuple[bytes, str] = profile.served()
        self._read: str | None = None
        self.replaced = False
        self.down = False

    def poll(self) -> None:
        """Ask AppConfig now."""
        self._has = self._profile.served()
        self._polled_s = self._now_s()

    def read(self) -> Document | None:
        """Answer the function's client."""
        if self.down:
            raise SourceError("the agent does not answer", source="agent")
        if self._now_s() - self._polled_s >= POLL_S:
            self.poll()
        data, version = self._has
        if not data:
            return None
        self.replaced = self._read not in (None, version)
        self._read = version
        return document_of(data)
