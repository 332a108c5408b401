"""What only a real account can tell: `pytest -m aws tests/aws`. The checks themselves: test_aws_suite.py."""

from __future__ import annotations

import os

import pytest

from aws import checks_appconfig, checks_lambda, checks_prices, checks_stack
from aws.recorded import asked_by_handlers

pytestmark = pytest.mark.aws


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA"])
def test_a_deployment_under_an_alarm(account, keep, state):
    """(a) Whether a mitigation would be rolled back by the alarm that asked for it."""
    keep(checks_appconfig.deployment_under_an_alarm(account, state))


def test_how_long_a_deployment_takes(account, keep):
    """(b) What stands between a decision and its document."""
    keep(checks_appconfig.seconds_to_complete(account))


def test_how_a_second_deployment_is_refused(account, keep):
    """(c) The publisher decides on the code."""
    keep(checks_appconfig.conflict_while_deploying_and_baking(account))


def test_whether_a_token_can_be_used_twice(account, keep):
    """(d) A reader whose answer was lost has nothing else."""
    keep(checks_appconfig.token_used_twice(account))


def test_the_prices(account, keep):
    """(e) The cost table is dated, and rests on secondary sources."""
    keep(checks_prices.prices_are_listed(account))


def test_how_long_an_alarm_takes_on_both_ways(account, keep):
    """(f) Why the rule and not the action was chosen, in seconds."""
    keep(checks_lambda.latency_of_rule_and_action(account))


def test_what_the_agent_says_without_appconfig(account, keep):
    """(g) A cold client in a region where AppConfig is down."""
    layer = os.environ.get("FLYBALL_AWS_TEST_AGENT_LAYER")
    if not layer:
        pytest.skip(
            "set FLYBALL_AWS_TEST_AGENT_LAYER to the ARN of the AppConfig Agent's layer of this region"
        )
    keep(checks_lambda.agent_without_appconfig(account, layer))


@pytest.mark.parametrize("runtime", ["python3.13", "python3.14", "python3.15"])
def test_which_runtimes_are_offered(account, keep, runtime):
    """(h) What `make package` should compile for."""
    keep(checks_lambda.runtime_is_offered(account, runtime))


def test_the_code_of_a_lost_race(account, keep):
    """(i) Two publishers: the second must know that it is the second."""
    keep(checks_appconfig.mismatch_of_the_latest_number(account))


def test_iam_decides_as_the_emulator(account, keep):
    """What the tests of permissions take from the Service Authorization Reference."""
    asked = asked_by_handlers(account)
    keep(checks_stack.iam_decides_as_the_emulator(account, asked))


def test_the_validators_are_called(account, keep):
    """The permission of AppConfig has no source, as none is documented."""
    keep(checks_stack.validators_refuse_a_bad_document(account))


@pytest.mark.parametrize("named", [True, False], ids=["by name", "by metric"])
def test_an_alarm_wakes_the_controller(account, keep, target, named):
    """`$or` over a list in a pattern, the queue's policy, the mapping."""
    keep(checks_stack.alarm_wakes_the_controller(account, target, named=named))


def test_an_override_is_in_force(account, keep, target):
    """Within the answer."""
    keep(checks_stack.override_is_in_force(account, target))


def test_circuits_are_read_by_arn(account, keep, target):
    """As functions in other accounts read them."""
    keep(checks_stack.circuits_are_read_by_arn(account, target))


def test_an_incident_reaches_the_clients(account, keep, target):
    """The whole way, about eleven minutes."""
    keep(checks_stack.incident_reaches_the_clients(account, target))


def test_a_linked_account_is_read(account, keep, target):
    """Cross-account observability, if there is another account."""
    other = os.environ.get("FLYBALL_AWS_TEST_OTHER_ACCOUNT")
    if not other:
        pytest.skip("set FLYBALL_AWS_TEST_OTHER_ACCOUNT to an account that shares its metrics with this one")
    keep(checks_stack.metrics_of_a_linked_account(account, other, target))


def test_the_controller_is_calm_after_all_that(account, keep):
    """None of its own alarms rings."""
    keep(checks_stack.controller_is_calm(account))
