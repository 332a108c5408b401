"""A parameter that the functions could not obey is refused before anything is made (fidelity: emulator).

Otherwise the stack deploys, and every function fails at its start: nothing is decided, and the
error stands in a log. CloudFormation judges parameters by the template's own patterns and bounds.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyball.errors import SettingsError
from flyball_controller.aws.settings import Settings
from flyball_local.template import TemplateError
from flyball_local.template.expand import read_template
from integration.infra_world import TEMPLATE, World, expanded

PARAMETERS: dict[str, dict[str, Any]] = read_template(TEMPLATE)["Parameters"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        # What the command line of SAM makes of JSON that is quoted for the shell only.
        ({"PowertoolsTable": "breakers", "PowertoolsCircuits": "{"}, "PowertoolsCircuits: '{' must match"),
        ({"FunctionTargets": "{"}, "FunctionTargets: '{' must match"),
        ({"AlarmTargets": "checkout=payments"}, "AlarmTargets: 'checkout=payments' must match"),
        ({"Targets": "payments,"}, "Targets: 'payments,' must match"),
        ({"Targets": "pay ments"}, "Targets: 'pay ments' must match"),
        ({"PowertoolsCircuits": '{"a": "b"}'}, "CircuitsTogether: PowertoolsCircuits is set"),
        ({"PowertoolsTable": "arn:aws:dynamodb:eu-west-1:1:table/a"}, "PowertoolsTable: .* must match"),
        ({"ProbeSecurityGroups": "sg-0a"}, "SecurityGroupsTogether: ProbeSecurityGroups is set"),
        ({"ProbeSubnets": "subnet-0a, subnet-0b"}, "ProbeSubnets: .* must match"),
        ({"MetricPeriodSeconds": "45"}, "MetricPeriodSeconds: '45' must be one of"),
        ({"MetricLagSeconds": "901"}, r"MetricLagSeconds: 901 must lie in \[0, 900\]"),
        ({"MetricAccounts": "1234"}, "MetricAccounts: '1234' must match"),
        ({"MetricNamespace": 'a"b'}, "MetricNamespace: .* must match"),
        ({"AlarmTopicArn": "alerts"}, "AlarmTopicArn: 'alerts' must match"),
        ({"TraceLayerArn": "arn:aws:lambda:eu-west-1:123456789012:layer:a"}, "TraceLayerArn: .* must match"),
        ({"PermissionsBoundaryArn": "boundary"}, "PermissionsBoundaryArn: 'boundary' must match"),
        ({"ProbePolicyArn": "mine"}, "ProbePolicyArn: 'mine' must match"),
    ],
)  # fmt: skip
def test_a_value_that_every_function_would_refuse_is_refused_by_the_stack(parameters, words):
    """The deployment says which parameter, and nothing has changed."""
    with pytest.raises(TemplateError, match=words):
        World(**parameters)


def test_values_that_can_be_obeyed_pass_the_patterns():
    """A pattern that is too narrow keeps somebody out who has done nothing wrong."""
    World(
        Targets="payments, search ,stock-api@eu/orders#1",
        FunctionTargets='{"checkout": "payments", "111111111111:function:a": ["search"]}',
        AlarmTargets='{\n "checkout-5xx": "payments"\n}',
        PowertoolsTable="circuit-breakers",
        PowertoolsCircuits='{"payments-breaker": "payments"}',
        MetricAccounts="111111111111,222222222222",
        MetricNamespace="Team/flyball-2",
        MetricPeriodSeconds="300",
        AlarmTopicArn="arn:aws-us-gov:sns:us-gov-west-1:123456789012:alerts",
        PermissionsBoundaryArn="arn:aws:iam::123456789012:policy/teams/boundary",
    )


SETTINGS = {
    "MetricPeriodSeconds": "FLYBALL_METRIC_PERIOD_S",
    "MetricLagSeconds": "FLYBALL_METRIC_LAG_S",
    "CheckpointEverySeconds": "FLYBALL_CHECKPOINT_EVERY_S",
    "RollbackHoldSeconds": "FLYBALL_ROLLBACK_HOLD_S",
    "JournalDays": "FLYBALL_JOURNAL_DAYS",
}


@pytest.mark.parametrize(("parameter", "variable"), SETTINGS.items())
def test_the_bounds_of_a_number_are_those_of_the_setting(parameter, variable):
    """Inside, the functions start; one step outside, they would not have."""
    rule = PARAMETERS[parameter]
    inside = rule.get("AllowedValues") or [rule["MinValue"], rule["MaxValue"]]
    for value in inside:
        Settings.from_env({variable: str(value)})
    for value in (min(inside) - 1, max(inside) + 1):
        with pytest.raises(SettingsError, match=variable):
            Settings.from_env({variable: str(value)})


def test_every_number_has_bounds_and_every_text_a_pattern():
    """The next parameter must not be the one that takes anything. An alarm's name may hold any letter."""
    for name, rule in PARAMETERS.items():
        bounded = "AllowedValues" in rule or "AllowedPattern" in rule or "MinValue" in rule
        assert bounded or name == "MappedAlarmPrefix", name


def test_the_dashboard_quotes_the_namespace():
    """In a search expression a name with a hyphen is not one word."""
    body = expanded()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    searches = [str(w["properties"]["metrics"]) for w in widgets if "SEARCH" in str(w)]
    assert len(searches) == 4
    assert all('{"${MetricNamespace}",target}' in search for search in searches)


def test_names_of_targets_in_the_pattern_are_the_client_s():
    """A name that the client takes, the stack takes."""
    from flyball.names import is_target_name

    World(Targets="a" * 128)
    assert is_target_name("a" * 128)
    assert not is_target_name("a" * 129)
    with pytest.raises(TemplateError, match="Targets"):
        World(Targets="a" * 129)


LAMBDA_BYTES = 4_096  # of all variables of a function, names and values, as Lambda counts them
LEFT_BYTES = 2_800  # what docs/how-to/deploy.md promises for what grows with the fleet


def test_variables_leave_room_for_the_names_that_the_docs_promise():
    """Lambda refuses more than 4 KB, and then the whole stack rolls back."""
    world = World(Targets="", Prefix="a" * 20, EnableProbe="true")
    for name in ("TickFunction", "AlarmFunction", "ProbeFunction"):
        variables = world.stack.properties[name]["Environment"]["Variables"]
        used = sum(len(key) + len(str(value)) for key, value in variables.items())
        traced = len("AWS_LAMBDA_EXEC_WRAPPER/opt/otel-instrumentOTEL_SERVICE_NAME") + len("-controller") + 20
        # An id of AppConfig has at most 7 characters; the emulator's have too.
        assert used + traced <= LAMBDA_BYTES - LEFT_BYTES, (name, used + traced)
    words = (TEMPLATE.parents[1] / "docs" / "how-to" / "deploy.md").read_text()
    assert f"{LEFT_BYTES:,} bytes" in words
