"""The Terraform and CDK wrappers, as far as they can be checked without a provider (fidelity: parse).

Synthesising the CDK application and `terraform fmt` were done by hand; the docs say with which versions.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
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


def test_terraform_names_no_partition_s_domain():
    """Buckets of the Chinese regions have another one, and CloudFormation would find no template."""
    assert "amazonaws.com" not in "".join(path.read_text() for path in TERRAFORM.glob("*.tf"))


def test_the_cdk_application_gives_clients_the_variables_that_the_stack_gives():
    """It gave the table only: functions of a CDK application never read the document."""
    output = str(read_template(TEMPLATE)["Outputs"]["ClientVariables"]["Value"])
    wanted = set(re.findall(r"(FLYBALL_[A-Z_]+)=", output))
    assert wanted == set(re.findall(r'"(FLYBALL_[A-Z_]+)"', CDK.read_text()))
    ids = re.search(r"FLYBALL_APPCONFIG=\$\{(\w+)\}/\$\{(\w+)\}/\$\{(\w+)\}", output)
    assert ids
    assert ", ".join(f'"{name}"' for name in ids.groups()) in CDK.read_text()


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


def test_values_of_parameters_in_the_docs_survive_sam_s_own_parser():
    """It ends an unquoted value at the first quote or blank: a JSON object became one brace."""
    parameters = read_template(TEMPLATE)["Parameters"]
    checked = set()
    for page in (ROOT / "docs").rglob("*.md"):
        joined = page.read_text().replace("\\\n", " ")
        for line in joined.splitlines():
            command, found, values = line.partition("--parameter-overrides ")
            if not found or "sam deploy" not in command:
                continue
            for word in shlex.split(values.partition(" && ")[0], comments=True):
                name, _, value = word.partition("=")
                assert name in parameters, (page.name, word)
                quoted = re.fullmatch(r'"((?:\\.|[^"\\])*)"', value)
                if value.startswith('"'):
                    assert quoted, (page.name, word)
                    json.loads(re.sub(r"\\(.)", r"\1", quoted[1]))
                else:
                    assert not set(value) & set('" {'), (page.name, word)
                checked.add(name)
    assert {"Targets", "PowertoolsCircuits", "FunctionTargets"} <= checked


def test_another_stack_is_deployed_with_a_configuration_of_its_own():
    """SAM reads infra/samconfig.toml for every template beside it: for the sweep it offered the controller's
    stack, which a press of Enter would have replaced by the sweep."""
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").glob("*.yaml"), ROOT / "README.md"]
    others = []
    for page in pages:
        for line in page.read_text().replace("\\\n", " ").splitlines():
            command = line.partition("sam deploy")[2]
            if "--stack-name" in command or re.search(r"--template-file (?!infra/template\.yaml)", command):
                others.append(page.name)
                assert "--config-env" in command, (page.name, line)
    assert set(others) == {"tune.md", "sweep.yaml", "real-account.md"}
