"""Makes the AppConfig resources that the publisher needs, once: for infrastructure scripts and the demo.

Idempotent by name: what exists is used, what is missing is made, and nothing is
ever changed. The running controller has no permission for any of this.

The strategy is 0 minutes, 0 bake, 100 %: AppConfig's own AllAtOnce bakes for ten
minutes and blocks every other deployment of the environment meanwhile. Roll-back
alarms on the environment are left out on purpose: a change made *because* an
alarm fired would be undone by that alarm.

Source: AWS AppConfig user guide, "Working with deployment strategies".
"""

from __future__ import annotations

from typing import Any

from flyball_controller.aws.clients import AppConfigSetupClient
from flyball_controller.aws.errors import aws_call
from flyball_controller.aws.settings import AppConfigIds
from flyball_controller.ports import PortError

BACKEND = "appconfig"
PAGES_MAX = 20
STRATEGY = {
    "DeploymentDurationInMinutes": 0,
    "FinalBakeTimeInMinutes": 0,
    "GrowthFactor": 100.0,
    "ReplicateTo": "NONE",
}


def ensure_strategy(client: AppConfigSetupClient, name: str = "flyball-at-once") -> str:
    """Return the id of the 0/0/100 strategy of that name, made if it is missing.

    Raises:
        PortError: If the backend fails, or a strategy of that name has other times (it is not changed).
    """
    found = _find("ListDeploymentStrategies", client.list_deployment_strategies, name)
    if found is None:
        with aws_call(BACKEND, "CreateDeploymentStrategy"):
            reply = client.create_deployment_strategy(Name=name, **STRATEGY)
        return str(reply["Id"])
    for field in ("DeploymentDurationInMinutes", "FinalBakeTimeInMinutes", "GrowthFactor"):
        if found.get(field) != STRATEGY[field]:
            raise PortError(
                f"deployment strategy {name!r} has {field}={found.get(field)!r}, must be {STRATEGY[field]}: "
                "it would block the environment while it runs; give another name",
                backend=BACKEND,
                retryable=False,
            )
    return str(found["Id"])


def ensure_config(
    client: AppConfigSetupClient,
    *,
    application: str = "flyball",
    environment: str = "live",
    profile: str = "resilience",
    strategy: str = "flyball-at-once",
    validators: tuple[dict[str, str], ...] = (),
) -> AppConfigIds:
    """Return the ids of application, environment, profile and strategy of these names, made if missing.

    Args:
        client: An AppConfig client.
        application: Application name.
        environment: Environment name inside the application.
        profile: Free-form, hosted configuration profile inside the application.
        strategy: Name of the 0/0/100 strategy.
        validators: At most two, as the API takes them; only used if the profile is made now.

    Raises:
        PortError: If the backend fails, or the strategy exists with other times.
    """
    application_id = _ensure("Application", client.list_applications, client.create_application, application)
    inside = {"ApplicationId": application_id}
    environment_id = _ensure(
        "Environment", client.list_environments, client.create_environment, environment, **inside
    )
    profile_id = _ensure(
        "ConfigurationProfile",
        client.list_configuration_profiles,
        lambda **arguments: client.create_configuration_profile(
            **arguments, LocationUri="hosted", Type="AWS.Freeform", Validators=list(validators)
        ),
        profile,
        **inside,
    )
    return AppConfigIds(application_id, environment_id, profile_id, ensure_strategy(client, strategy))


def find_config(
    client: AppConfigSetupClient,
    *,
    application: str = "flyball",
    environment: str = "live",
    profile: str = "resilience",
    strategy: str = "flyball-at-once",
) -> AppConfigIds | None:
    """Return the ids of what has these names, None if any of them is missing; nothing is made.

    Raises:
        PortError: If the backend fails.
    """
    application_id = _found(_find("ListApplications", client.list_applications, application))
    if not application_id:
        return None
    inside = {"ApplicationId": application_id}
    ids = AppConfigIds(
        application_id,
        _found(_find("ListEnvironments", client.list_environments, environment, **inside)),
        _found(_find("ListConfigurationProfiles", client.list_configuration_profiles, profile, **inside)),
        _found(_find("ListDeploymentStrategies", client.list_deployment_strategies, strategy)),
    )
    return ids if all(ids) else None


def _found(item: dict[str, Any] | None) -> str:
    return str(item["Id"]) if item else ""


def _ensure(kind: str, list_all: Any, create: Any, name: str, **inside: str) -> str:
    found = _find(f"List{kind}s", list_all, name, **inside)
    if found is None:
        with aws_call(BACKEND, f"Create{kind}"):
            found = create(Name=name, **inside)
    return str(found["Id"])


def _find(operation: str, list_all: Any, name: str, **inside: str) -> dict[str, Any] | None:
    """Return the resource of that name; of several (names are not unique) the one with the lowest id."""
    named: list[dict[str, Any]] = []
    arguments: dict[str, Any] = {**inside, "MaxResults": 50}
    for _ in range(PAGES_MAX):
        with aws_call(BACKEND, operation):
            reply = list_all(**arguments)
        named.extend(item for item in reply.get("Items", []) if item.get("Name") == name)
        if not reply.get("NextToken"):
            break
        arguments["NextToken"] = reply["NextToken"]
    return min(named, key=lambda item: str(item["Id"]), default=None)
