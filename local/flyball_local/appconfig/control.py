"""The control plane: applications, environments, profiles, versions, strategies, deployments.

One public method per operation, named as boto3 names it; parameters and results
are the model's structures as dicts. By the time a method runs, shapes, patterns
and ranges have been checked (rest.py); here is what the model cannot say.

Resources are addressed by id. Since 2026 the request model would let names
pass, but no document promises that they work, so they are not found here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeVar

from flyball_local.appconfig.deployments import DeploymentEngine
from flyball_local.appconfig.errors import (
    NotEmulatedError,
    ServiceError,
    bad_request,
    conflict,
)
from flyball_local.appconfig.records import (
    ACCOUNT,
    PREDEFINED,
    REGION,
    Application,
    Deployment,
    Environment,
    HostedVersion,
    Limits,
    Profile,
    Strategy,
    Wire,
    without_none,
)
from flyball_local.appconfig.validators import LambdaValidator, check_definition, run_validators

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

ID_LENGTH = 7
ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
PAGE_MAX = 50
FREEFORM = "AWS.Freeform"


class ControlPlane:
    """State and operations of one account in one region."""

    def __init__(
        self, engine: DeploymentEngine, *, draw: Random, limits: Limits, call_lambda: LambdaValidator | None
    ) -> None:
        self._engine = engine
        self._draw = draw
        self._limits = limits
        self.call_lambda = call_lambda
        self._ids: set[str] = set()
        self._tags: dict[str, dict[str, str]] = {}
        self.applications: dict[str, Application] = {}
        self.strategies: dict[str, Strategy] = {strategy.id: strategy for strategy in PREDEFINED}

    # -- applications

    def create_application(self, params: Wire) -> Wire:
        """CreateApplication. Names need not be unique."""
        _within_quota("applications", len(self.applications), self._limits.applications)
        application = Application(
            id=self._new_id(), name=params["Name"], description=params.get("Description")
        )
        self.applications[application.id] = application
        self._tag(params, f"application/{application.id}")
        return application.to_wire()

    def get_application(self, params: Wire) -> Wire:
        """GetApplication."""
        return self._application(params).to_wire()

    def list_applications(self, params: Wire) -> Wire:
        """ListApplications, oldest first."""
        return _page(list(self.applications.values()), params, Application.to_wire)

    # -- environments

    def create_environment(self, params: Wire) -> Wire:
        """CreateEnvironment, with the alarms to monitor during deployments."""
        application = self._application(params)
        environments = application.environments
        _within_quota("environments", len(environments), self._limits.environments_per_application)
        environment = Environment(
            id=self._new_id(),
            application_id=application.id,
            name=params["Name"],
            description=params.get("Description"),
            monitors=tuple(params.get("Monitors", ())),
        )
        environments[environment.id] = environment
        self._tag(params, f"application/{application.id}/environment/{environment.id}")
        return environment.to_wire()

    def get_environment(self, params: Wire) -> Wire:
        """GetEnvironment."""
        return self._environment(params).to_wire()

    def list_environments(self, params: Wire) -> Wire:
        """ListEnvironments, oldest first."""
        return _page(list(self._application(params).environments.values()), params, Environment.to_wire)

    # -- profiles

    def create_configuration_profile(self, params: Wire) -> Wire:
        """CreateConfigurationProfile. Only hosted, free-form configurations are emulated."""
        application = self._application(params)
        _within_quota(
            "configuration profiles", len(application.profiles), self._limits.profiles_per_application
        )
        if params["LocationUri"] != "hosted":
            raise NotEmulatedError(f"LocationUri={params['LocationUri']!r}: only 'hosted' is emulated")
        if params.get("Type", FREEFORM) != FREEFORM:
            raise NotEmulatedError(f"Type={params['Type']!r}: only {FREEFORM!r} is emulated")
        validators = tuple(params.get("Validators", ()))
        for validator in validators:
            check_definition(validator)
        profile = Profile(
            id=self._new_id(),
            application_id=application.id,
            name=params["Name"],
            location_uri=params["LocationUri"],
            type=FREEFORM,
            validators=validators,
            description=params.get("Description"),
            role_arn=params.get("RetrievalRoleArn"),
            kms_key=params.get("KmsKeyIdentifier"),
        )
        application.profiles[profile.id] = profile
        self._tag(params, f"application/{application.id}/configurationprofile/{profile.id}")
        return profile.to_wire()

    def get_configuration_profile(self, params: Wire) -> Wire:
        """GetConfigurationProfile."""
        return self._profile(params).to_wire()

    def list_configuration_profiles(self, params: Wire) -> Wire:
        """ListConfigurationProfiles, oldest first, optionally of one type."""
        wanted = params.get("Type")
        profiles = [p for p in self._application(params).profiles.values() if wanted in (None, p.type)]
        return _page(profiles, params, Profile.to_summary)

    # -- hosted versions

    def create_hosted_configuration_version(self, params: Wire) -> Wire:
        """CreateHostedConfigurationVersion. Nothing validates the content here: deployments do."""
        profile = self._profile(params)
        content, label = params["Content"], params.get("VersionLabel")
        self._check_size(content)
        expected = params.get("LatestVersionNumber")
        if expected is not None and expected != profile.latest_number:
            raise conflict(
                f"LatestVersionNumber is {expected}, but the latest version is {profile.latest_number}"
            )
        if label is not None and any(version.label == label for version in profile.versions.values()):
            raise conflict(f"version label {label!r} is already in use")
        profile.latest_number += 1
        version = HostedVersion(
            profile.latest_number, content, params["ContentType"], params.get("Description"), label
        )
        profile.versions[version.number] = version
        return {**_version_wire(profile, version), "Content": content}

    def get_hosted_configuration_version(self, params: Wire) -> Wire:
        """GetHostedConfigurationVersion."""
        profile = self._profile(params)
        version = self._version(profile, params["VersionNumber"])
        return {**_version_wire(profile, version), "Content": version.content}

    def list_hosted_configuration_versions(self, params: Wire) -> Wire:
        """ListHostedConfigurationVersions, newest first, optionally by label or label prefix (`v2*`)."""
        profile = self._profile(params)
        versions = sorted(profile.versions.values(), reverse=True)
        wanted = params.get("VersionLabel")
        if wanted is not None:
            pattern = re.compile(re.escape(wanted.removesuffix("*")) + (".*" if wanted.endswith("*") else ""))
            versions = [v for v in versions if v.label is not None and pattern.fullmatch(v.label)]
        return _page(versions, params, lambda version: _version_wire(profile, version))

    def delete_hosted_configuration_version(self, params: Wire) -> Wire:
        """DeleteHostedConfigurationVersion. What is deployed stays deployed; numbers are never reused."""
        profile = self._profile(params)
        del profile.versions[self._version(profile, params["VersionNumber"]).number]
        return {}

    def validate_configuration(self, params: Wire) -> Wire:
        """ValidateConfiguration: run the profile's validators on one version."""
        profile = self._profile(params)
        run_validators(profile, self._find_version(profile, params["ConfigurationVersion"]), self.call_lambda)
        return {}

    # -- strategies

    def create_deployment_strategy(self, params: Wire) -> Wire:
        """CreateDeploymentStrategy."""
        _within_quota(
            "deployment strategies", len(self.strategies) - len(PREDEFINED), self._limits.strategies
        )
        strategy = Strategy(
            id=self._new_id(),
            name=params["Name"],
            description=params.get("Description"),
            duration_min=params["DeploymentDurationInMinutes"],
            bake_min=params.get("FinalBakeTimeInMinutes", 0),
            growth_factor=float(params["GrowthFactor"]),
            growth_type=params.get("GrowthType", "LINEAR"),
            replicate_to=params.get("ReplicateTo", "NONE"),
        )
        self.strategies[strategy.id] = strategy
        self._tag(params, f"deploymentstrategy/{strategy.id}")
        return strategy.to_wire()

    def get_deployment_strategy(self, params: Wire) -> Wire:
        """GetDeploymentStrategy, predefined ones included."""
        return self._strategy(params).to_wire()

    def list_deployment_strategies(self, params: Wire) -> Wire:
        """ListDeploymentStrategies, predefined ones first."""
        return _page(list(self.strategies.values()), params, Strategy.to_wire)

    # -- deployments

    def start_deployment(self, params: Wire) -> Wire:
        """StartDeployment: validators run now; the rest happens on the clock."""
        environment, profile = self._environment(params), self._profile(params)
        if params.get("DynamicExtensionParameters"):
            raise NotEmulatedError("DynamicExtensionParameters: extensions are not emulated")
        strategy = self._strategy(params)
        version = self._find_version(profile, params["ConfigurationVersion"])
        run_validators(profile, version, self.call_lambda)
        deployment = self._engine.start(
            environment,
            profile,
            strategy,
            version.served(),
            description=params.get("Description"),
            expected_latest=params.get("LatestDeploymentNumber"),
        )
        self._tag(
            params,
            f"application/{environment.application_id}/environment/{environment.id}"
            f"/deployment/{deployment.number}",
        )
        return deployment.to_wire()

    def get_deployment(self, params: Wire) -> Wire:
        """GetDeployment."""
        return self._deployment(params).to_wire()

    def list_deployments(self, params: Wire) -> Wire:
        """ListDeployments, newest first."""
        newest_first = self._environment(params).deployments[::-1]
        return _page(newest_first, params, Deployment.to_summary)

    def stop_deployment(self, params: Wire) -> Wire:
        """StopDeployment: roll back what is in progress, or revert what was completed."""
        deployment = self._deployment(params)
        self._engine.stop(deployment, allow_revert=params.get("AllowRevert", False))
        return deployment.to_wire()

    # -- tags

    def list_tags_for_resource(self, params: Wire) -> Wire:
        """ListTagsForResource."""
        arn = params["ResourceArn"]
        if arn not in self._tags:
            raise _missing("Resource", arn)
        return {"Tags": dict(self._tags[arn])}

    def _tag(self, params: Wire, path: str) -> None:
        self._tags[f"arn:aws:appconfig:{REGION}:{ACCOUNT}:{path}"] = dict(params.get("Tags", {}))

    # -- finding things

    def _application(self, params: Wire) -> Application:
        return _find("Application", self.applications, params["ApplicationId"])

    def _environment(self, params: Wire) -> Environment:
        return _find("Environment", self._application(params).environments, params["EnvironmentId"])

    def _profile(self, params: Wire) -> Profile:
        return _find(
            "Configuration profile", self._application(params).profiles, params["ConfigurationProfileId"]
        )

    def _strategy(self, params: Wire) -> Strategy:
        return _find("Deployment strategy", self.strategies, params["DeploymentStrategyId"])

    def _deployment(self, params: Wire) -> Deployment:
        deployments = {d.number: d for d in self._environment(params).deployments}
        return _find("Deployment", deployments, params["DeploymentNumber"])

    def _version(self, profile: Profile, number: int) -> HostedVersion:
        return _find("Hosted configuration version", profile.versions, number)

    def _find_version(self, profile: Profile, name: str) -> HostedVersion:
        """Return a version by number or by label (a label has at least one other character than digits)."""
        if name.isdecimal():
            return self._version(profile, int(name))
        labelled = {version.label: version for version in profile.versions.values()}
        return _find("Hosted configuration version", labelled, name)

    def _new_id(self) -> str:
        while True:
            new = "".join(self._draw.choices(ID_ALPHABET, k=ID_LENGTH))
            if new not in self._ids:
                self._ids.add(new)
                return new

    def _check_size(self, content: bytes) -> None:
        size, limit = len(content), self._limits.version_bytes
        if size > limit:
            raise ServiceError(
                "PayloadTooLargeException",
                f"content has {size} bytes, more than {limit}",
                Measure="KILOBYTES",
                Limit=limit / 1024,
                Size=size / 1024,
            )
        stored = sum(
            len(version.content)
            for application in self.applications.values()
            for profile in application.profiles.values()
            for version in profile.versions.values()
        )
        _within_quota("bytes in the hosted store", stored + size - 1, self._limits.store_bytes)


def _version_wire(profile: Profile, version: HostedVersion) -> Wire:
    return without_none(
        ApplicationId=profile.application_id,
        ConfigurationProfileId=profile.id,
        VersionNumber=version.number,
        Description=version.description,
        ContentType=version.content_type,
        VersionLabel=version.label,
    )


def _find(kind: str, items: Mapping[_K, _V], key: _K) -> _V:
    try:
        return items[key]
    except KeyError:
        raise _missing(kind, str(key)) from None


def _missing(kind: str, name: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"{kind} {name} could not be found", ResourceName=name)


def _within_quota(what: str, present: int, limit: int) -> None:
    if present >= limit:
        raise ServiceError("ServiceQuotaExceededException", f"quota of {limit} {what} is used up")


def _page(items: Sequence[_T], params: Wire, to_wire: Callable[[_T], Wire]) -> Wire:
    """Return one page, and a token if there is more."""
    size = params.get("MaxResults", PAGE_MAX)
    start = _offset(params.get("NextToken"))
    page: Wire = {"Items": [to_wire(item) for item in items[start : start + size]]}
    if start + size < len(items):
        page["NextToken"] = base64.urlsafe_b64encode(b"from:%d" % (start + size)).decode()
    return page


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).removeprefix(b"from:"))
    except (ValueError, binascii.Error) as error:
        raise bad_request(f"NextToken {token!r} was not given by this service") from error
