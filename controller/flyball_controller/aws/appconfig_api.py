"""AppConfig's control plane as the publisher sees it: deployments, versions, and nothing else.

One method per question or act, each one call (or a few pages), typed at the
edge. No decision is made here. Errors leave as AwsError with the service's code;
what a refused or unanswered write means is for the publisher to say.

Source: AWS AppConfig API reference, ListDeployments ("in descending deployment
number order"), StartDeployment, CreateHostedConfigurationVersion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from flyball_controller.aws.clients import AppConfigClient
from flyball_controller.aws.errors import AwsError, aws_call
from flyball_controller.aws.settings import AppConfigIds

BACKEND = "appconfig"
CONFLICT = "ConflictException"
INVALID_CONFIGURATION = "InvalidConfiguration"  # reason of a BadRequestException: a validator said no
NOT_FOUND = "ResourceNotFoundException"
CONTENT_TYPE = "application/json"
PAGE_ITEMS = 50  # MaxResults, service limit
# Deployments of other profiles in the same environment may fill pages; ours older
# than this many pages is as good as none.
DEPLOYMENT_PAGES_MAX = 5
VERSION_PAGES_MAX = 20

IN_FLIGHT = frozenset({"BAKING", "VALIDATING", "DEPLOYING", "ROLLING_BACK"})
STANDING = frozenset({"BAKING", "VALIDATING", "DEPLOYING", "COMPLETE"})
ROLLED_BACK = frozenset({"ROLLING_BACK", "ROLLED_BACK", "REVERTED"})


class Deployment(NamedTuple):
    """One deployment of the environment."""

    number: int
    ours: bool  # of our configuration profile
    version: int  # hosted version number, 0 if it is not one
    state: str


class Version(NamedTuple):
    """One hosted version of our profile."""

    number: int
    description: str


class AppConfigApi:
    """The calls of one application, environment and profile."""

    def __init__(self, client: AppConfigClient, ids: AppConfigIds) -> None:
        self._client = client
        self._ids = ids

    def deployments(self) -> list[Deployment]:
        """Return the environment's deployments, newest first, as far back as one of ours that stands."""
        found: list[Deployment] = []
        for page in self._pages("ListDeployments", self._client.list_deployments, DEPLOYMENT_PAGES_MAX):
            found.extend(self._deployment(item) for item in page)
            if any(d.ours and d.state in STANDING for d in found):
                break
        return sorted(found, reverse=True)

    def versions(self) -> list[Version]:
        """Return our profile's hosted versions, newest first."""
        list_versions = self._client.list_hosted_configuration_versions
        pages = self._pages("ListHostedConfigurationVersions", list_versions, VERSION_PAGES_MAX, profile=True)
        found = [
            Version(item["VersionNumber"], item.get("Description", "")) for page in pages for item in page
        ]
        return sorted(found, reverse=True)

    def content(self, version: int) -> bytes | None:
        """Return the bytes of a hosted version, None if it was deleted."""
        try:
            with aws_call(BACKEND, "GetHostedConfigurationVersion"):
                reply = self._client.get_hosted_configuration_version(
                    **self._profile(), VersionNumber=version
                )
                body = reply["Content"]
                # botocore streams the payload: reading it is part of the call.
                content: bytes = body.read() if hasattr(body, "read") else body
        except AwsError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        return content

    def create(self, content: bytes, *, description: str, latest: int) -> int:
        """Store a hosted version if `latest` is still the newest (0 = there is none); return its number."""
        lock = {"LatestVersionNumber": latest} if latest else {}
        with aws_call(BACKEND, "CreateHostedConfigurationVersion"):
            reply = self._client.create_hosted_configuration_version(
                **self._profile(), Content=content, ContentType=CONTENT_TYPE, Description=description, **lock
            )
        return int(reply["VersionNumber"])

    def start(self, version: int, *, latest: int, description: str) -> int:
        """Start a deployment if `latest` is still the newest (0 = there is none); return its number."""
        lock = {"LatestDeploymentNumber": latest} if latest else {}
        with aws_call(BACKEND, "StartDeployment"):
            reply = self._client.start_deployment(
                **self._environment(),
                ConfigurationProfileId=self._ids.profile_id,
                DeploymentStrategyId=self._ids.strategy_id,
                ConfigurationVersion=str(version),
                Description=description,
                **lock,
            )
        return int(reply["DeploymentNumber"])

    def delete(self, version: int) -> None:
        """Delete a hosted version."""
        with aws_call(BACKEND, "DeleteHostedConfigurationVersion"):
            self._client.delete_hosted_configuration_version(**self._profile(), VersionNumber=version)

    def _environment(self) -> dict[str, Any]:
        return {"ApplicationId": self._ids.application_id, "EnvironmentId": self._ids.environment_id}

    def _profile(self) -> dict[str, Any]:
        return {"ApplicationId": self._ids.application_id, "ConfigurationProfileId": self._ids.profile_id}

    def _deployment(self, item: dict[str, Any]) -> Deployment:
        number = int(item["DeploymentNumber"])
        profile_id = item.get("ConfigurationProfileId")
        if profile_id is None:  # a young member of the list; the deployment itself always has it
            with aws_call(BACKEND, "GetDeployment"):
                reply = self._client.get_deployment(**self._environment(), DeploymentNumber=number)
            profile_id = reply["ConfigurationProfileId"]
        version = item.get("ConfigurationVersion", "")
        hosted = int(version) if version.isascii() and version.isdigit() else 0
        return Deployment(number, profile_id == self._ids.profile_id, hosted, item["State"])

    def _pages(
        self, operation: str, call: Any, pages_max: int, *, profile: bool = False
    ) -> Iterator[list[dict[str, Any]]]:
        arguments = {**(self._profile() if profile else self._environment()), "MaxResults": PAGE_ITEMS}
        for _ in range(pages_max):
            with aws_call(BACKEND, operation):
                reply = call(**arguments)
            yield reply.get("Items", [])
            if not reply.get("NextToken"):
                return
            arguments["NextToken"] = reply["NextToken"]
