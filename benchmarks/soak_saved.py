"""What of a soak survives its process: tables without the journal, documents, the circuits that clients hold.

Nothing else: containers start cold on AWS too, and metrics of the last minutes
are written again by the world. Plain JSON, so that a saved run can be looked at.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from flyball.contract import Circuit, CircuitState
from flyball_controller.aws.settings import AppConfigIds
from soak_world import SoakWorld

KEPT_ROLES = ("state", "circuits", "holds")


def save(world: SoakWorld) -> dict[str, Any]:
    """Return what must survive: tables (without journal) and documents, as plain JSON."""
    tables: dict[str, list[Any]] = {}
    for role in KEPT_ROLES:
        for name, item in world.items(role):
            tables.setdefault(name, []).append(_plain(item))
    documents = {name: base64.b64encode(data).decode() for name, data in world.documents().items()}
    circuits = {target: list(circuit) for target, circuit in world.circuits.items()}
    return {"tables": tables, "documents": documents, "circuits": circuits}


def restore(world: SoakWorld, saved: Mapping[str, Any]) -> None:
    """Put a saved run into this new account."""
    client = world.client("dynamodb")
    for name, items in saved["tables"].items():
        for item in items:
            client.put_item(TableName=name, Item=_wire(item))
    for target, fields in saved["circuits"].items():
        circuit = Circuit(*fields)
        world.circuits[target] = circuit._replace(state=CircuitState(circuit.state))
    appconfig = world.client("appconfig")
    for installation in world.installations:
        data = saved["documents"].get(installation.name)
        if data is not None:
            _deploy(appconfig, installation.config, base64.b64decode(data))


def _deploy(client: Any, ids: AppConfigIds, content: bytes) -> None:
    created = client.create_hosted_configuration_version(
        ApplicationId=ids.application_id,
        ConfigurationProfileId=ids.profile_id,
        Content=content,
        ContentType="application/json",
    )
    client.start_deployment(
        ApplicationId=ids.application_id,
        EnvironmentId=ids.environment_id,
        ConfigurationProfileId=ids.profile_id,
        DeploymentStrategyId=ids.strategy_id,
        ConfigurationVersion=str(created["VersionNumber"]),
    )


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
        for name, value in item.items()
    }


def _wire(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else value for name, value in item.items()
    }
