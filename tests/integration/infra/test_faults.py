"""FIS's layer as the template switches it (fidelity: emulator; the layer itself is AWS's and is not run)."""

from __future__ import annotations

import pytest

from chaos.fis import TEMPLATE as CHAOS
from chaos.fis import experiments
from flyball_local.template.expand import read_template
from integration.infra_world import TEMPLATE, World

LAYER = "arn:aws:lambda:eu-west-1:211125607513:layer:aws-fis-extension-arm64:9"
TRACES = "arn:aws:lambda:eu-west-1:615299751070:layer:AWSOpenTelemetryDistroPython:99"
FOLDER = "arn:aws:s3:::chaos-faults/FisConfigs/"
READER = "arn:aws:iam::123456789012:policy/flyball-chaos-FaultReaderPolicy"
FAULTS = {"FaultLayerArn": LAYER, "FaultLocation": FOLDER, "FaultReaderPolicyArn": READER}


def victims() -> set[str]:
    """Functions of ours that the experiments aim at, by the end of their name."""
    found = set()
    for name, one in experiments().items():
        if name.startswith("Controller"):
            found |= {arn.rpartition("-")[2] for arn in one["Targets"]["Functions"]["ResourceArns"]}
    return found


def test_the_layer_is_in_the_functions_that_experiments_aim_at_and_in_no_other():
    """FIS refuses a function without its layer; a layer where nothing is aimed at is a risk for nothing."""
    stack = World(**FAULTS, EnableMetricStream="true").stack
    with_layer = set()
    for function in stack.of_type("AWS::Lambda::Function").values():
        variables = function.get("Environment", {}).get("Variables", {})
        layers = function.get("Layers", [])
        fault = {
            "layers": layers == [LAYER],
            "location": variables.get("AWS_FIS_CONFIGURATION_LOCATION") == FOLDER,
            "wrapper": variables.get("AWS_LAMBDA_EXEC_WRAPPER") == "/opt/aws-fis/bootstrap",
        }
        if all(fault.values()):
            with_layer.add(function["FunctionName"].rpartition("-")[2])
        else:
            assert not any(fault.values()), function["FunctionName"]
            assert layers == []
    assert with_layer == victims() == {"tick", "alarm"}


def test_their_roles_alone_may_read_faults():
    """The policy is the chaos stack's: it reads one folder of one bucket."""
    stack = World(**FAULTS, EnableMetricStream="true").stack
    reading = {
        name
        for name, role in stack.of_type("AWS::IAM::Role").items()
        if READER in role.get("ManagedPolicyArns", [])
    }
    assert reading == {"TickRole", "AlarmRole"}


def test_without_the_layer_nothing_of_it_is_there():
    """Off by default: no layer, no variable, no wrapper, no policy."""
    stack = World().stack
    for logical in ("TickFunction", "AlarmFunction"):
        function = stack.properties[logical]
        assert function["Layers"] == []
        assert not [name for name in function["Environment"]["Variables"] if name.startswith("AWS_")]
    assert READER not in str(stack.properties["TickRole"])


@pytest.mark.parametrize(
    ("rule", "needs"),
    [("FaultsTogether", ["FaultLocation", "FaultReaderPolicyArn"]), ("OneWrapper", ["TraceLayerArn"])],
)
def test_half_of_it_and_two_wrappers_are_refused_before_anything_is_made(rule, needs):
    """A layer without its folder does nothing and says nothing; of two wrappers Lambda starts one."""
    one = read_template(TEMPLATE)["Rules"][rule]
    assert one["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "FaultLayerArn"}, ""]}]}
    empty = [{"Fn::Equals": [{"Ref": name}, ""]} for name in needs]
    wanted = empty if rule == "OneWrapper" else [{"Fn::Not": [test]} for test in empty]
    assert [part["Assert"] for part in one["Assertions"]] == wanted


def test_the_chaos_stack_says_what_to_set():
    """Its outputs have the parameters' names."""
    outputs = read_template(CHAOS)["Outputs"]
    parameters = read_template(TEMPLATE)["Parameters"]
    named = {name for name in parameters if name.startswith("Fault")}
    assert named == set(FAULTS)
    assert named - {"FaultLayerArn"} <= set(outputs)  # the layer is AWS's
