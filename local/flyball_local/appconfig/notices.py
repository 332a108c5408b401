"""The EventBridge events AppConfig's AWS-authored extension sends about deployments.

Only the "Complete" form is documented (user guide, "Working with the AWS
AppConfig deployment events to Amazon EventBridge extension"); the others are
taken to differ in `detail-type` and `detail.Type` alone.
"""

from __future__ import annotations

from typing import Any

from flyball_local.appconfig.records import ACCOUNT, REGION, Application, Deployment, moment

DETAIL_TYPES = {
    "OnDeploymentStart": "On Deployment Start",
    "OnDeploymentComplete": "On Deployment Complete",
    "OnDeploymentRolledBack": "On Deployment Rolled Back",
}


def deployment_event(
    kind: str, deployment: Deployment, application: Application, *, number: int, now_s: float
) -> dict[str, Any]:
    """Return the event for `kind` (a key of DETAIL_TYPES); `number` makes its ids unique."""
    return {
        "version": "0",
        "id": f"00000000-0000-4000-8000-{number:012x}",
        "detail-type": DETAIL_TYPES[kind],
        "source": "aws.appconfig",
        "account": ACCOUNT,
        "time": moment(now_s).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:appconfig:{REGION}:{ACCOUNT}:extensionassociation/emulated"],
        "detail": {
            "InvocationId": f"{number:07d}",
            "Parameters": {},
            "Type": kind,
            "Application": {"Id": application.id, "Name": application.name},
            "Environment": {"Id": deployment.environment.id, "Name": deployment.environment.name},
            "ConfigurationProfile": {"Id": deployment.profile.id, "Name": deployment.profile.name},
            "DeploymentNumber": deployment.number,
            "ConfigurationVersion": deployment.target.version,
        },
    }
