"""The validators of a profile: JSON Schema draft-04, and Lambda functions (a callback here).

Knows nothing of deployments. Who runs them when is AppConfig's peculiarity and
lives in control.py: at StartDeployment and ValidateConfiguration, never when a
version is created (user guide, "About validators").
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError, ValidationError

from flyball_local.appconfig.errors import bad_request
from flyball_local.appconfig.records import HostedVersion, Profile

DRAFT_4 = "http://json-schema.org/draft-04/schema#"

# Called with the function's ARN and the event AppConfig sends it; raises to refuse.
LambdaValidator = Callable[[str, Mapping[str, Any]], object]


def check_definition(validator: Mapping[str, str]) -> None:
    """Raise BadRequestException if a JSON_SCHEMA validator is no draft-04 schema.

    AWS documents draft-04 as the only version; refusing at creation, rather than
    at the first deployment, is our reading of that.
    """
    if validator["Type"] != "JSON_SCHEMA":
        return
    try:
        schema = json.loads(validator["Content"])
    except ValueError as error:
        raise bad_request(f"validator is not JSON: {error}") from error
    declared = schema.get("$schema", DRAFT_4) if isinstance(schema, dict) else DRAFT_4
    if declared.rstrip("#") != DRAFT_4.rstrip("#"):
        raise bad_request(f"$schema is {declared!r}: JSON Schema validators must be draft-04 ({DRAFT_4})")
    try:
        Draft4Validator.check_schema(schema)
    except SchemaError as error:
        raise bad_request(f"validator is no draft-04 schema: {error.message}") from error


def run_validators(profile: Profile, version: HostedVersion, call_lambda: LambdaValidator | None) -> None:
    """Raise BadRequestException with `Details.InvalidConfiguration` if any validator refuses the version."""
    for validator in profile.validators:
        if validator["Type"] == "JSON_SCHEMA":
            _run_schema(validator["Content"], version.content)
        else:
            _run_lambda(validator["Content"], profile, version, call_lambda)


def _run_schema(schema_text: str, content: bytes) -> None:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise _refused("", "syntax", f"content is not JSON: {error}", "") from error
    failures: list[ValidationError] = sorted(
        Draft4Validator(json.loads(schema_text)).iter_errors(document),
        key=lambda e: list(map(str, e.absolute_path)),
    )
    if failures:
        first = failures[0]
        location = "/" + "/".join(map(str, first.absolute_path))
        raise _refused(location, str(first.validator), first.message, json.dumps(first.instance))


def _run_lambda(
    arn: str, profile: Profile, version: HostedVersion, call_lambda: LambdaValidator | None
) -> None:
    if call_lambda is None:
        raise _refused("", "invoke", f"no Lambda function stands behind {arn}", "", kind="LAMBDA")
    event = {
        "applicationId": profile.application_id,
        "configurationProfileId": profile.id,
        "configurationVersion": str(version.number),
        "content": base64.b64encode(version.content).decode(),
        "uri": profile.location_uri,
    }
    try:
        call_lambda(arn, event)
    except Exception as error:
        raise _refused("", "function", f"{type(error).__name__}: {error}", "", kind="LAMBDA") from error


def _refused(
    location: str, constraint: str, reason: str, value: str, *, kind: str = "JSON_SCHEMA"
) -> Exception:
    detail = {
        "Constraint": constraint,
        "Location": location,
        "Reason": reason,
        "Type": kind,
        "Value": value,
    }
    return bad_request(
        f"Error invoking validator: {reason}",
        Reason="InvalidConfiguration",
        Details={"InvalidConfiguration": [detail]},
    )
