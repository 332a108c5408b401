"""flyball in a CDK application: the template of this repository, included; nothing is defined twice.

Needs `pip install aws-cdk-lib` and `make package` before `cdk deploy` (docs/how-to/cdk.md).
Copy `Flyball` into your own application; other stacks use its `client_policy` and `client_variables`.
"""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sam as sam
from aws_cdk import cloudformation_include as include
from constructs import Construct

INFRA = Path(__file__).resolve().parent.parent
CODE = {"ValidatorFunction": "flyball-validator.zip"}  # all other functions: the controller's bundle


class Flyball(cdk.Stack):
    """The installation as one stack. `parameters` are those of infra/template.yaml."""

    def __init__(self, scope: Construct, name: str, parameters: dict[str, str]) -> None:
        super().__init__(scope, name)
        template = include.CfnInclude(
            self, "Template", template_file=str(INFRA / "template.yaml"), parameters=parameters
        )
        code = {
            file: assets.Asset(self, file, path=str(INFRA.parent / "dist" / file))
            for file in ("flyball-controller.zip", "flyball-validator.zip")
        }
        for function in (
            "TickFunction",
            "AlarmFunction",
            "OverrideFunction",
            "ProbeFunction",
            "StreamFunction",
            "ValidatorFunction",
        ):
            resource = template.get_resource(function)
            if not isinstance(resource, sam.CfnFunction):
                raise TypeError(
                    f"{function} is {type(resource).__name__}: is template.yaml of another release?"
                )
            bundle = code[CODE.get(function, "flyball-controller.zip")]
            resource.code_uri = sam.CfnFunction.S3LocationProperty(
                bucket=bundle.s3_bucket_name, key=bundle.s3_object_key
            )
        self.client_policy = iam.ManagedPolicy.from_managed_policy_arn(
            self, "ClientPolicyOfFlyball", template.get_resource("ClientPolicy").ref
        )
        self.client_variables = {"FLYBALL_CIRCUITS_TABLE": template.get_resource("CircuitsTable").ref}
        if parameters.get("EnableAppConfig", "true") == "true":
            ids = ("ConfigApplication", "ConfigEnvironment", "ConfigProfile")
            self.client_variables["FLYBALL_APPCONFIG"] = "/".join(template.get_resource(i).ref for i in ids)


if __name__ == "__main__":
    app = cdk.App()
    Flyball(app, "flyball", {"Targets": "payments"})
    app.synth()
