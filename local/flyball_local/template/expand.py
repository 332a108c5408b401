"""From the SAM template to plain CloudFormation, as the service's macro does it, without a network.

The macro's own source is published as aws-sam-translator; this file gives it
what it would ask AWS for. (It has no types, so it is imported by name.) Code is
uploaded before the macro runs, so a local `CodeUri` becomes an address in a
bucket here, and `code_paths` says which file each function's code is.

Source: AWS Serverless Application Model, "sam package"; aws-sam-translator.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from flyball_local.template.errors import TemplateError

SERVERLESS_FUNCTION = "AWS::Serverless::Function"
REGION = "eu-west-1"


def read_template(path: Path) -> dict[str, Any]:
    """Return a template file with its short tags (!Ref, !Sub, ...) written out."""
    parsed: dict[str, Any] = import_module("samtranslator.yaml_helper").yaml_parse(path.read_text())
    return parsed


def expand(path: Path) -> dict[str, Any]:
    """Return the CloudFormation template that the SAM macro makes of a file.

    Raises:
        TemplateError: The macro refuses it.
    """
    refusal: type[Exception] = import_module("samtranslator.model.exceptions").InvalidDocumentException
    transform = import_module("samtranslator.translator.transform").transform
    template = read_template(path)
    code = code_paths(template, path.parent)
    shared = template.get("Globals", {}).get("Function", {})
    if "CodeUri" in shared:
        shared["CodeUri"] = _uploaded(path.parent / shared["CodeUri"])
    for name, place in code.items():
        properties = template["Resources"][name]["Properties"]
        if "CodeUri" in properties:
            properties["CodeUri"] = _uploaded(place)
    before = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = REGION  # the macro asks which partition it runs in
    try:
        expanded: dict[str, Any] = transform(template, {}, _NoManagedPolicies())
    except refusal as refused:
        raise TemplateError(str(refused), where=path.name) from refused
    finally:
        if before is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = before
    return expanded


def code_paths(template: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Return the local code of every function, by logical id.

    Raises:
        TemplateError: A function without code.
    """
    shared = template.get("Globals", {}).get("Function", {}).get("CodeUri")
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == SERVERLESS_FUNCTION:
            uri = resource["Properties"].get("CodeUri", shared)
            if not isinstance(uri, str):
                raise TemplateError(f"CodeUri is {uri!r}: it must be a local file", where=name)
            found[name] = (folder / uri).resolve()
    return found


def _uploaded(path: Path) -> str:
    return f"s3://uploaded/{path.name}"


class _NoManagedPolicies:
    """The macro may look up AWS's managed policies by name; ours names none."""

    def load(self) -> dict[str, str]:
        """Return none."""
        return {}
