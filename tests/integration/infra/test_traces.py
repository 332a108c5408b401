"""Traces as the template switches them (fidelity: emulator; the layer itself is AWS's and is not run)."""

from __future__ import annotations

from flyball_handlers.tracing import OtelTraces, Traces
from flyball_local.template.resources import role_statements
from integration.infra_world import WELL, World, probing

LAYER = "arn:aws:lambda:eu-west-1:615299751070:layer:AWSOpenTelemetryDistroPython:99"
SENDING = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def actions(world: World, function: str) -> set[str]:
    """What a function's role allows."""
    role = world.stack.properties[function]["Role"]
    return {action for statement in role_statements(world.stack, role) for action in statement.actions}


def test_a_layer_switches_traces_on_in_every_function_that_has_it():
    """The wrapper is in the layer: a function with one and without the other does not start."""
    world = World(TraceLayerArn=LAYER, EnableMetricStream="true", **probing(f"payments: {WELL}"))
    for logical, function in world.stack.of_type("AWS::Lambda::Function").items():
        variables = function.get("Environment", {}).get("Variables", {})
        traced = logical != "ValidatorFunction"  # it makes no round
        assert function.get("Layers", []) == ([LAYER] if traced else []), logical
        assert ("AWS_LAMBDA_EXEC_WRAPPER" in variables) == traced, logical
        assert variables.get("OTEL_SERVICE_NAME") == ("flyball-controller" if traced else None), logical
        assert (function.get("TracingConfig") == {"Mode": "Active"}) == traced, logical
        assert (actions(world, logical) >= SENDING) == traced, logical
    world.minutes(3)
    host = world.stack.host("TickFunction")
    assert isinstance(host.runtime.traces, OtelTraces)
    assert host.errors == 0
    assert world.stack.ledger.denied() == set()


def test_without_a_layer_nothing_of_it_is_there():
    """Neither permission, nor variable, nor the price of a trace."""
    world = World()
    function = world.stack.properties["TickFunction"]
    assert function["Layers"] == []
    assert function["TracingConfig"] == {"Mode": "PassThrough"}
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in function["Environment"]["Variables"]
    assert not actions(world, "TickFunction") & SENDING
    assert type(world.stack.host("TickFunction").runtime.traces) is Traces
