"""The checks for a real account, tried on the embedded one, or on what a service would say.

Fidelity: emulator, and botocore's models. What an account really says is what
`pytest -m aws` is for; here it is made sure that the checks run, can fail, and
leave nothing behind.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws import checks_appconfig, checks_lambda, checks_prices, checks_stack
from aws.account import eventually, refusal
from aws.recorded import asked_by_handlers
from flyball_analytics.prices import PRICES
from integration.aws_suite_world import EmbeddedAccount, ToldAccount, refused, role
from integration.infra_world import ACCOUNT

TARGET = "flyball-test"
GONE = {
    "delete_hosted_configuration_version",
    "delete_environment",
    "delete_configuration_profile",
    "delete_application",
    "delete_deployment_strategy",
}


@pytest.fixture
def account() -> EmbeddedAccount:
    """An account with the stack under test."""
    return EmbeddedAccount()


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA"])
def test_a_deployment_under_an_alarm_is_followed_to_its_end(account, state):
    """As the emulator assumes it: rolled back."""
    found = checks_appconfig.deployment_under_an_alarm(account, state)
    assert (found.point, found.facts["state"]) == ("a", "ROLLED_BACK")
    assert set(account.discarded) >= GONE | {"delete_role_policy", "delete_role"}


def test_the_time_to_complete_is_measured_and_so_is_a_reader_s(account):
    """The emulator takes the seconds of a recording."""
    found = checks_appconfig.seconds_to_complete(account)
    assert found.facts["complete_s"] == pytest.approx(7.0, abs=3.0)
    assert found.facts["seen_s"] <= 30.0
    assert set(account.discarded) == GONE


def test_both_conflicts_are_provoked(account):
    """Each in the state it is about, and the deployment is stopped."""
    found = checks_appconfig.conflict_while_deploying_and_baking(account)
    assert found.answer.startswith("ConflictException in both")
    assert set(found.facts) == {"DEPLOYING", "BAKING"}


def test_a_token_is_used_twice(account):
    """The emulator takes AWS at its word: a token is for one poll."""
    found = checks_appconfig.token_used_twice(account)
    assert found.facts["code"] == "BadRequestException"


def test_the_latest_number_is_missed_by_one(account):
    """And hit afterwards: the lock opens."""
    assert checks_appconfig.mismatch_of_the_latest_number(account).answer == "ConflictException"


def test_another_code_for_a_lost_race_fails(account, monkeypatch):
    """The publisher would not know that it lost."""
    monkeypatch.setattr(checks_appconfig, "CONFLICT", "SomeOtherException")
    with pytest.raises(AssertionError, match="for a lost race, and no other code"):
        checks_appconfig.mismatch_of_the_latest_number(account)
    assert set(account.discarded) == GONE  # also then


def test_an_incident_is_followed_from_metrics_to_the_circuit(account):
    """Nine calm and failing minutes of the test target."""
    found = checks_stack.incident_reaches_the_clients(account, TARGET)
    assert found.facts["reason"].startswith("SATURATED")
    with pytest.raises(AssertionError, match="still restricted by an earlier run"):
        checks_stack.incident_reaches_the_clients(account, TARGET)


def test_the_checks_of_the_stack_run_one_after_the_other(account):
    """On a real account they share a target: what one leaves behind must not fail the next."""
    checks_stack.validators_refuse_a_bad_document(account)
    for named in (True, False):
        checks_stack.alarm_wakes_the_controller(account, TARGET, named=named)
    checks_stack.override_is_in_force(account, TARGET)
    checks_stack.circuits_are_read_by_arn(account, TARGET)
    checks_stack.incident_reaches_the_clients(account, TARGET)
    checks_stack.controller_is_calm(account)


def test_an_incident_that_reaches_nobody_fails():
    """A stack without a tick, and without alarms."""
    dead = EmbeddedAccount(EnableTick="false", EnableAlarmEvents="false")
    with pytest.raises(AssertionError, match="no circuit item of flyball-test"):
        checks_stack.incident_reaches_the_clients(dead, TARGET)


@pytest.mark.parametrize("named", [True, False])
def test_an_alarm_is_made_rings_and_is_taken_back(account, named):
    """Both branches of the rule's `$or` that a check can reach by hand."""
    assert checks_stack.alarm_wakes_the_controller(account, TARGET, named=named).answer.startswith("woken by")
    alarms = account.client("cloudwatch").describe_alarms(AlarmNamePrefix="flyball/")["MetricAlarms"]
    assert alarms == []


def test_an_alarm_that_wakes_nobody_fails():
    """A rule whose pattern does not match looks fine in a template."""
    deaf = EmbeddedAccount(EnableAlarmEvents="false")
    with pytest.raises(AssertionError, match="not within 300 s: the controller's metric wake_ups"):
        checks_stack.alarm_wakes_the_controller(deaf, TARGET, named=True)


def test_an_override_is_made_seen_and_released(account):
    """Nothing stays forced after the check."""
    checks_stack.override_is_in_force(account, TARGET)
    account.pause(120.0)
    item = checks_stack.circuit_of(account, TARGET)
    assert item is None or item["state"]["S"] != "forced_open"


def test_circuits_are_asked_for_by_arn(account):
    """And a reply by the name would be noticed."""
    checks_stack.override_is_in_force(account, TARGET)
    assert checks_stack.circuits_are_read_by_arn(account, TARGET).facts["named"]
    by_name = ToldAccount(dynamodb={"batch_get_item": {"Responses": {"flyball-circuits": []}}})
    by_name.outputs["CircuitsTableArn"] = account.outputs["CircuitsTableArn"]
    with pytest.raises(AssertionError, match="the client would see no circuits"):
        checks_stack.circuits_are_read_by_arn(by_name, TARGET)


def test_both_validators_are_provoked(account):
    """By a document that only the function can refuse."""
    assert "revision" in checks_stack.validators_refuse_a_bad_document(account).facts["text"]


def test_every_call_of_the_handlers_is_put_to_iam(account):
    """The same calls as in the tests of permissions, under this account's names."""
    asked = asked_by_handlers(account)
    assert {function for function, _, _ in asked} >= {"flyball-tick", "flyball-alarm", "flyball-override"}
    ids = account.outputs["AppConfigIds"].split("/")
    assert any(ids[0] in resource for _, _, resource in asked)
    assert {function for function, _, _ in asked} <= set(account.world.stack.hosts)
    found = checks_stack.iam_decides_as_the_emulator(account, asked)
    assert found.facts["judged"] > 40


def test_a_role_that_iam_refuses_or_that_may_too_much_fails(account):
    """Both ways of being wrong."""
    table = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/flyball-circuits"
    with pytest.raises(AssertionError, match=r"DescribeTable on .*: implicitDeny"):
        checks_stack.iam_decides_as_the_emulator(account, {("flyball-tick", "dynamodb:DescribeTable", table)})
    everything = [{"EvalActionName": "a:b", "EvalResourceName": table, "EvalDecision": "allowed"}]
    wide = ToldAccount(
        iam={"simulate_principal_policy": {"EvaluationResults": everything}},
        **{"lambda": {"get_function_configuration": {"Role": f"arn:aws:iam::{ACCOUNT}:role/r"}}},
    )
    with pytest.raises(AssertionError, match=r"dynamodb:DeleteItem on .*: allowed"):
        checks_stack.iam_decides_as_the_emulator(wide, {("flyball-tick", "dynamodb:PutItem", table)})


def test_calm_is_no_alarm_in_alarm(account):
    """And that there are alarms at all."""
    account.pause(300.0)
    assert checks_stack.controller_is_calm(account).answer.endswith("none rings")
    account.client("cloudwatch").set_alarm_state(
        AlarmName="flyball-controller-rejects", StateValue="ALARM", StateReason="a test"
    )
    with pytest.raises(AssertionError, match="flyball-controller-rejects"):
        checks_stack.controller_is_calm(account)


@pytest.mark.parametrize(("stranger", "passes"), [("Forbidden", True), ("Complete", False)])
def test_a_linked_account_is_told_from_one_that_shares_nothing(stranger, passes):
    """If both looked alike, an account that lost its link would look like one without traffic."""

    def answer(arguments: Any) -> dict[str, Any]:
        (query,) = arguments["MetricDataQueries"]
        status = stranger if query["AccountId"] == "000000000000" else "Complete"
        return {"MetricDataResults": [{"Id": "m", "StatusCode": status, "Values": [], "Timestamps": []}]}

    told = ToldAccount(cloudwatch={"get_metric_data": answer})
    if passes:
        checks_stack.metrics_of_a_linked_account(told, "222222222222", TARGET)
    else:
        with pytest.raises(AssertionError, match="must not look like one without data"):
            checks_stack.metrics_of_a_linked_account(told, "222222222222", TARGET)


def functions(**more: Any) -> dict[str, Any]:
    """IAM and Lambda of an account in which functions can be made."""
    arn = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:flyball-test-lab"
    named = lambda a: {"Role": role(f"arn:aws:iam::{ACCOUNT}:role/{a['RoleName']}", a["RoleName"])}  # noqa: E731
    return {
        "iam": {"create_role": named},
        "lambda": {
            "create_function": {"FunctionArn": arn},
            "get_function_configuration": {"State": "Active"},
        },
        **more,
    }


def line(way: str, took_s: float) -> dict[str, str]:
    """A line of the lab function, as the log has it."""
    fact = {"lab": way, "at_s": 1_795_435_210.0 + took_s, "changed": "2026-11-23T12:00:10.000+0000"}
    return {"message": json.dumps(fact)}


LAB_GONE = {"delete_function", "delete_log_group", "delete_role_policy", "delete_role"}


@pytest.mark.parametrize(("rule_s", "passes"), [(2.0, True), (90.0, False)])
def test_delays_of_both_ways_are_read_from_the_log(rule_s, passes):
    """Five of each; an alarm that takes longer than a tick is of no use."""
    events = [line("rule", rule_s), line("action", 1.0)] * 5
    rule = f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/flyball-test-lab"
    told = ToldAccount(
        **functions(
            logs={"filter_log_events": {"events": events}},
            events={
                "put_rule": {"RuleArn": rule},
                "put_targets": {"FailedEntryCount": 0, "FailedEntries": []},
            },
        )
    )
    if passes:
        found = checks_lambda.latency_of_rule_and_action(told)
        assert found.answer == "median of 5: action 1.0 s, rule 2.0 s"
    else:
        with pytest.raises(AssertionError):
            checks_lambda.latency_of_rule_and_action(told)
    assert set(told.discarded) == LAB_GONE | {"remove_targets", "delete_rule"}
    assert [name for name, _ in told.client("cloudwatch").calls].count("set_alarm_state") == 10


def test_lines_that_are_missing_are_waited_for():
    """A log is readable after a while, and a way that says nothing is a result too: the check fails."""
    told = ToldAccount(logs={"filter_log_events": {"events": [line("rule", 1.0)] * 5}})
    assert checks_lambda.told(told, "flyball-test-lab", told.now_s()) is None


@pytest.mark.parametrize(("status", "passes"), [(500, True), (0, True), (200, False)])
def test_an_agent_that_answers_200_without_appconfig_fails(status, passes):
    """The client would take whatever it is for a document."""
    answer = {"status": status, "body": "", "seconds": 3.0}
    told = ToldAccount(answer, **functions())
    layer = "arn:aws:lambda:eu-west-1:434848589818:layer:AWS-AppConfig-Extension-Arm64:1"
    if passes:
        assert f"status {status}" in checks_lambda.agent_without_appconfig(told, layer).answer
    else:
        with pytest.raises(AssertionError, match="calls something a configuration"):
            checks_lambda.agent_without_appconfig(told, layer)
    assert set(told.discarded) == LAB_GONE


NO_ROLE = "The role defined for the function cannot be assumed by Lambda."
NO_RUNTIME = "Value python3.14 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set"


@pytest.mark.parametrize(("text", "answer"), [(NO_ROLE, "offered"), (NO_RUNTIME, "not offered")])
def test_a_runtime_is_asked_for_without_making_anything(text, answer):
    """The refusal says which of the two is missing."""
    error = refused("InvalidParameterValueException", text)
    told = ToldAccount(**{"lambda": {"create_function": lambda _: error}})
    found = checks_lambda.runtime_is_offered(told, "python3.14")
    assert found.answer == f"python3.14: {answer}"


def price_list(*usd: float) -> dict[str, Any]:
    """Products as the price list has them."""
    terms = [
        {"terms": {"OnDemand": {"t": {"priceDimensions": {"d": {"pricePerUnit": {"USD": f"{one:.10f}"}}}}}}}
        for one in usd
    ]
    return {"PriceList": [json.dumps(term) for term in terms]}


def test_every_price_of_the_table_is_looked_for():
    """A price that is new in the table must be looked for too, or be said to be free."""
    assert set(checks_prices.SERVICES) | checks_prices.FREE == set(PRICES)
    every = price_list(*(price.usd for price in PRICES.values()))
    told = ToldAccount(pricing={"get_products": every})
    assert checks_prices.prices_are_listed(told).point == "e"


def test_a_price_that_has_changed_is_named_with_the_nearest():
    """Two pages; DynamoDB's halving of 2024 would have been seen."""
    others = [price.usd for name, price in PRICES.items() if name != "dynamodb_write"]

    def pages(arguments: Any) -> dict[str, Any]:
        if "NextToken" in arguments:
            return price_list(1.25e-06)
        return {**price_list(*others), "NextToken": "n"}

    with pytest.raises(AssertionError, match=r"'dynamodb_write': {'ours': 6.25e-07, 'nearest': "):
        checks_prices.prices_are_listed(ToldAccount(pricing={"get_products": pages}))


def test_waiting_ends():
    """A check that hangs would hold up everything after it."""
    told = ToldAccount()
    began_s = told.now_s()
    with pytest.raises(AssertionError, match="not within 60 s"):
        eventually(told, lambda: None, within_s=60.0)
    assert told.now_s() - began_s <= 65.0


def test_a_call_that_goes_through_is_no_refusal():
    """Two empty words."""
    assert refusal(ToldAccount(), lambda: None) == ("", "")


def test_a_wrong_parameter_fails_here():
    """What botocore itself lets through: a runtime that there is no word for, a name too long."""
    told = ToldAccount()
    with pytest.raises(Exception, match="StateValue"):
        told.client("cloudwatch").set_alarm_state(AlarmName="a", StateValue="RINGING", StateReason="x")
    with pytest.raises(AttributeError, match="cloudwatch has no ring"):
        told.client("cloudwatch").ring()
