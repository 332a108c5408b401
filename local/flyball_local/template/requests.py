"""Which permissions an API call needs: action and every resource that IAM checks for it.

Only the operations of flyball's own adapters and readers are listed; another
one is an error, so that a new call cannot slip past the roles unseen. Where
AWS documents several resource types for an action, all of them must be allowed
(the service may check fewer).

Source: AWS Service Authorization Reference, "Actions, resources, and condition
keys" for Amazon DynamoDB, AWS AppConfig and Amazon CloudWatch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flyball_local.template.errors import TemplateError
from flyball_local.template.policies import Request

LEADING_KEYS = "dynamodb:LeadingKeys"

_APPLICATION = "application/{ApplicationId}"
_ENVIRONMENT = _APPLICATION + "/environment/{EnvironmentId}"
_PROFILE = _APPLICATION + "/configurationprofile/{ConfigurationProfileId}"
APPCONFIG_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "ListDeployments": (_APPLICATION, _ENVIRONMENT),
    "GetDeployment": (_APPLICATION, _ENVIRONMENT, _ENVIRONMENT + "/deployment/{DeploymentNumber}"),
    "StartDeployment": (
        _APPLICATION,
        _ENVIRONMENT,
        _PROFILE,
        "deploymentstrategy/{DeploymentStrategyId}",
    ),
    "ListHostedConfigurationVersions": (_APPLICATION, _PROFILE),
    "CreateHostedConfigurationVersion": (_APPLICATION, _PROFILE),
    "GetHostedConfigurationVersion": (
        _APPLICATION,
        _PROFILE,
        _PROFILE + "/hostedconfigurationversion/{VersionNumber}",
    ),
    "DeleteHostedConfigurationVersion": (
        _APPLICATION,
        _PROFILE,
        _PROFILE + "/hostedconfigurationversion/{VersionNumber}",
    ),
}
CONFIGURATION = _ENVIRONMENT + "/configuration/{ConfigurationProfileId}"
ITEM_OPERATIONS = frozenset({"GetItem", "PutItem", "DeleteItem", "UpdateItem", "Query"})
BATCH_OPERATIONS = frozenset({"BatchGetItem", "BatchWriteItem"})


class Place(NamedTuple):
    """Where resources are, and the partition key of each table (for dynamodb:LeadingKeys)."""

    region: str
    account: str
    table_keys: Mapping[str, str]

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def requests_of(service: str, operation: str, params: Mapping[str, Any], place: Place) -> list[Request]:
    """Return what must be allowed for one call; all of it.

    Args:
        service: botocore's name of the service.
        operation: In the service model's spelling.
        params: The caller's arguments.
        place: Of the account.

    Raises:
        TemplateError: No permission is known for the operation.

    >>> requests_of("cloudwatch", "GetMetricData", {}, Place("r", "1", {}))[0][:2]
    ('cloudwatch:GetMetricData', '*')
    """
    if service == "cloudwatch" and operation == "GetMetricData":
        return [Request("cloudwatch:GetMetricData", "*")]
    if service == "dynamodb" and operation in ITEM_OPERATIONS | BATCH_OPERATIONS:
        return list(_dynamodb(operation, params, place))
    if service == "appconfig" and operation in APPCONFIG_RESOURCES:
        return [
            Request(f"appconfig:{operation}", place.arn("appconfig", form.format(**params)))
            for form in APPCONFIG_RESOURCES[operation]
        ]
    if service == "appconfigdata" and operation == "StartConfigurationSession":
        names = {
            "ApplicationId": params["ApplicationIdentifier"],
            "EnvironmentId": params["EnvironmentIdentifier"],
            "ConfigurationProfileId": params["ConfigurationProfileIdentifier"],
        }
        return [
            Request(
                "appconfig:StartConfigurationSession", place.arn("appconfig", CONFIGURATION.format(**names))
            )
        ]
    raise TemplateError(f"no permission is known for {service}:{operation}", where="permissions")


def _dynamodb(operation: str, params: Mapping[str, Any], place: Place) -> Iterator[Request]:
    action = f"dynamodb:{operation}"
    if operation in ITEM_OPERATIONS:
        entries = {params["TableName"]: [params.get("Item") or params.get("Key") or {}]}
    elif operation == "BatchGetItem":
        entries = {table: wish["Keys"] for table, wish in params["RequestItems"].items()}
    else:
        entries = {
            table: [
                w["PutRequest"]["Item"] if "PutRequest" in w else w["DeleteRequest"]["Key"] for w in writes
            ]
            for table, writes in params["RequestItems"].items()
        }
    for table, items in entries.items():
        key = place.table_keys.get(table, "")
        leading = tuple(str(next(iter(item[key].values()))) for item in items if key in item)
        context = {LEADING_KEYS: leading} if leading else {}
        yield Request(action, place.arn("dynamodb", f"table/{table}"), context)
