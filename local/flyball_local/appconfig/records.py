"""What AppConfig remembers. Times are epoch seconds of the virtual clock; `to_*` give the wire form.

Records that never change are frozen; Deployment, Environment and Profile are
the state machine's own and change only inside control.py and deployments.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

Wire = dict[str, Any]

ACCOUNT = "000000000000"
REGION = "us-east-1"
# ConfigurationName is shorter in the model (64) than a profile's name may be (128).
CONFIGURATION_NAME_MAX = 64
# The model's lowest percentage: a deployment that reached nobody yet reports 1.0
# (botocore appconfig examples-1.json, StartDeployment).
PERCENTAGE_MIN = 1.0
IN_PROGRESS = frozenset({"DEPLOYING", "BAKING", "ROLLING_BACK"})


class Limits(NamedTuple):
    """Quotas, by the defaults of AWS General Reference, "AWS AppConfig endpoints and quotas"."""

    applications: int = 100
    profiles_per_application: int = 100
    environments_per_application: int = 20
    strategies: int = 20
    version_bytes: int = 2_048 * 1_024
    store_bytes: int = 1_024**3


class Served(NamedTuple):
    """One configuration as a reader gets it."""

    version: str
    label: str | None
    content: bytes
    content_type: str


class HostedVersion(NamedTuple):
    """One immutable version in the hosted store."""

    number: int
    content: bytes
    content_type: str
    description: str | None
    label: str | None

    def served(self) -> Served:
        """Return what readers see of this version."""
        return Served(str(self.number), self.label, self.content, self.content_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a deployment spreads: whole minutes, percent per step."""

    id: str
    name: str
    duration_min: int
    bake_min: int
    growth_factor: float
    growth_type: str = "LINEAR"
    replicate_to: str = "NONE"
    description: str | None = None

    def to_wire(self) -> Wire:
        """Return the DeploymentStrategy structure."""
        return without_none(
            Id=self.id,
            Name=self.name,
            Description=self.description,
            DeploymentDurationInMinutes=self.duration_min,
            GrowthType=self.growth_type,
            GrowthFactor=self.growth_factor,
            FinalBakeTimeInMinutes=self.bake_min,
            ReplicateTo=self.replicate_to,
        )


# User guide, "Using predefined deployment strategies".
PREDEFINED = (
    Strategy(
        id="AppConfig.AllAtOnce", name="AppConfig.AllAtOnce", duration_min=0, bake_min=10, growth_factor=100.0
    ),
    Strategy(
        id="AppConfig.Linear50PercentEvery30Seconds",
        name="AppConfig.Linear50PercentEvery30Seconds",
        duration_min=1,
        bake_min=1,
        growth_factor=50.0,
    ),
    Strategy(
        id="AppConfig.Canary10Percent20Minutes",
        name="AppConfig.Canary10Percent20Minutes",
        duration_min=20,
        bake_min=10,
        growth_factor=10.0,
        growth_type="EXPONENTIAL",
    ),
    Strategy(
        id="AppConfig.Linear20PercentEvery6Minutes",
        name="AppConfig.Linear20PercentEvery6Minutes",
        duration_min=30,
        bake_min=30,
        growth_factor=20.0,
    ),
)


@dataclass(slots=True, kw_only=True)
class Profile:
    """A configuration profile and its hosted versions; `latest_number` never falls, also when versions go."""

    id: str
    application_id: str
    name: str
    location_uri: str
    type: str
    validators: tuple[Wire, ...] = ()
    description: str | None = None
    role_arn: str | None = None
    kms_key: str | None = None
    versions: dict[int, HostedVersion] = field(default_factory=dict)
    latest_number: int = 0

    def to_wire(self) -> Wire:
        """Return the ConfigurationProfile structure."""
        return without_none(
            ApplicationId=self.application_id,
            Id=self.id,
            Name=self.name,
            Description=self.description,
            LocationUri=self.location_uri,
            RetrievalRoleArn=self.role_arn,
            Validators=[dict(validator) for validator in self.validators],
            Type=self.type,
            KmsKeyIdentifier=self.kms_key,
        )

    def to_summary(self) -> Wire:
        """Return the ConfigurationProfileSummary structure."""
        return {
            "ApplicationId": self.application_id,
            "Id": self.id,
            "Name": self.name,
            "LocationUri": self.location_uri,
            "ValidatorTypes": [validator["Type"] for validator in self.validators],
            "Type": self.type,
        }


class Event(NamedTuple):
    """One line of a deployment's log."""

    at_s: float
    type: str
    by: str
    text: str

    def to_wire(self) -> Wire:
        """Return the DeploymentEvent structure."""
        return {
            "EventType": self.type,
            "TriggeredBy": self.by,
            "Description": self.text,
            "OccurredAt": moment(self.at_s),
        }


@dataclass(slots=True, kw_only=True)
class Deployment:
    """One deployment of one version to one environment, from start to its final state."""

    number: int
    environment: Environment
    profile: Profile
    strategy: Strategy
    target: Served
    before: Served | None
    started_s: float
    description: str | None = None
    state: str = "DEPLOYING"
    percentage: float = 0.0
    completed_s: float | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def in_progress(self) -> bool:
        """True while it occupies its environment, baking included."""
        return self.state in IN_PROGRESS

    def to_wire(self) -> Wire:
        """Return the Deployment structure, newest event first."""
        return without_none(
            ApplicationId=self.environment.application_id,
            EnvironmentId=self.environment.id,
            DeploymentStrategyId=self.strategy.id,
            ConfigurationLocationUri=self.profile.location_uri,
            Description=self.description,
            EventLog=[event.to_wire() for event in reversed(self.events)],
            KmsKeyIdentifier=self.profile.kms_key,
            **self._common(),
        )

    def to_summary(self) -> Wire:
        """Return the DeploymentSummary structure."""
        return without_none(Type="USER", **self._common())

    def _common(self) -> Wire:
        return {
            "ConfigurationProfileId": self.profile.id,
            "DeploymentNumber": self.number,
            "ConfigurationName": self.profile.name[:CONFIGURATION_NAME_MAX],
            "ConfigurationVersion": self.target.version,
            "VersionLabel": self.target.label,
            "DeploymentDurationInMinutes": self.strategy.duration_min,
            "GrowthType": self.strategy.growth_type,
            "GrowthFactor": self.strategy.growth_factor,
            "FinalBakeTimeInMinutes": self.strategy.bake_min,
            "State": self.state,
            "PercentageComplete": max(PERCENTAGE_MIN, self.percentage),
            "StartedAt": moment(self.started_s),
            "CompletedAt": None if self.completed_s is None else moment(self.completed_s),
        }


@dataclass(slots=True, kw_only=True)
class Environment:
    """A deployment group: at most one of its deployments is in progress."""

    id: str
    application_id: str
    name: str
    description: str | None = None
    monitors: tuple[Wire, ...] = ()
    state: str = "READY_FOR_DEPLOYMENT"
    deployments: list[Deployment] = field(default_factory=list)

    @property
    def latest_number(self) -> int:
        """Number of the newest deployment, 0 = none yet; older ones may have been forgotten."""
        return self.deployments[-1].number if self.deployments else 0

    def to_wire(self) -> Wire:
        """Return the Environment structure."""
        return without_none(
            ApplicationId=self.application_id,
            Id=self.id,
            Name=self.name,
            Description=self.description,
            State=self.state,
            Monitors=[dict(monitor) for monitor in self.monitors],
        )


@dataclass(slots=True, kw_only=True)
class Application:
    """A folder for environments and profiles."""

    id: str
    name: str
    description: str | None = None
    environments: dict[str, Environment] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)

    def to_wire(self) -> Wire:
        """Return the Application structure."""
        return without_none(Id=self.id, Name=self.name, Description=self.description)


def without_none(**members: Any) -> Wire:
    """Return the members that have a value: absent and null are different things on the wire."""
    return {name: value for name, value in members.items() if value is not None}


def moment(at_s: float) -> datetime:
    """Return epoch seconds as the aware UTC datetime the wire form carries."""
    return datetime.fromtimestamp(at_s, UTC)
