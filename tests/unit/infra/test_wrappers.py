"""The Terraform and CDK wrappers, as far as they can be checked without a provider (fidelity: parse).

Synthesising the CDK application and `terraform fmt` were done by hand; the docs say with which versions.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from typing import Any

import pytest

from flyball_local.template.expand import code_paths, read_template
from integration.infra_world import ROOT, TEMPLATE

TERRAFORM = ROOT / "infra" / "terraform"
CDK = ROOT / "infra" / "cdk" / "app.py"


def plain(node: Any) -> Any:
    """A parsed file without the quotes that the parser keeps around names and texts."""
    if isinstance(node, dict):
        return {key.strip('"'): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return node.strip('"') if isinstance(node, str) else node


def parsed(name: str) -> dict[str, Any]:
    """One Terraform file."""
    with (TERRAFORM / name).open() as file:
        result: dict[str, Any] = plain(import_module("hcl2").load(file))
    return result


@pytest.fixture(scope="module")
def main() -> dict[str, Any]:
    """The main file, parsed once: the parser takes a while."""
    return parsed("main.tf")


def test_terraform_replaces_every_local_code_path(main):
    """One that is forgotten is a path on somebody's desk in a template on AWS."""
    text = (TERRAFORM / "main.tf").read_text()
    raw = set(re.findall(r"CodeUri: (\S+)", TEMPLATE.read_text()))
    assert raw == set(re.findall(r'"(\.\./dist/[a-z-]+\.zip)", "s3://', text))
    (local,) = main["locals"]
    wanted = {path.name for path in code_paths(read_template(TEMPLATE), TEMPLATE.parent).values()}
    assert all(name in str(local["bundles"]) for name in wanted)


def test_terraform_sets_parameters_that_exist_and_grants_what_the_template_needs(main):
    """`Prefix` and `Targets` by name; the rest is the user's map."""
    stacks = [
        block["aws_cloudformation_stack"]["flyball"]
        for block in main["resource"]
        if "aws_cloudformation_stack" in block
    ]
    (stack,) = stacks
    assert set(stack["capabilities"]) == {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}
    named = set(re.findall(r"([A-Z]\w+)\s*=", (TERRAFORM / "main.tf").read_text()))
    assert {"Prefix", "Targets"} <= named
    assert named <= set(read_template(TEMPLATE)["Parameters"])


def test_terraform_s_variables_are_used_and_all_that_are_used_exist(main):
    """A typo here is an error of `terraform plan` at the user's."""
    declared = {name for block in parsed("variables.tf")["variable"] for name in block}
    used = set(re.findall(r"var\.(\w+)", (TERRAFORM / "main.tf").read_text()))
    assert declared == used


def test_terraform_s_outputs_are_outputs_of_the_stack():
    """Asked for by name, found only after a deployment."""
    text = (TERRAFORM / "outputs.tf").read_text()
    named = set(re.findall(r'outputs(?:\["|, ")(\w+)"', text))
    assert named
    assert named <= set(read_template(TEMPLATE)["Outputs"])
    assert len(parsed("outputs.tf")["output"]) == text.count('output "')


def test_the_cdk_application_names_resources_of_the_template():
    """It gives every function its code; one that is missed would be deployed without."""
    tree = ast.parse(CDK.read_text())
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    resources = read_template(TEMPLATE)["Resources"]
    functions = {name for name, r in resources.items() if r["Type"] == "AWS::Serverless::Function"}
    assert functions <= texts
    assert {text for text in texts if text.endswith(("Function", "Table"))} <= set(resources)
    assert {"flyball-controller.zip", "flyball-validator.zip"} <= texts
