"""The template's rules, queues and dead-letter queues drive the real handlers (fidelity: emulator)."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball_handlers.telemetry import Telemetry
from flyball_local.delivery import DeliveryFaults
from flyball_local.template import TemplateError
from integration.infra_world import ACCOUNT, ROOT, TARGET, World, expanded

STATE_CHANGE = "CloudWatch Alarm State Change"


def alarm_event(name: str = f"flyball/{TARGET}/failures", **changes: Any) -> dict[str, Any]:
    """An alarm's event of the account that the stack is in."""
    event: dict[str, Any] = json.loads((ROOT / "tests" / "events" / "eventbridge_metric.json").read_text())
    event |= {"account": ACCOUNT, "region": "eu-west-1", "detail-type": STATE_CHANGE}
    event["resources"] = [f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:{name}"]
    event["detail"]["alarmName"] = name
    event["detail"]["configuration"] = {"metrics": []}
    event["detail"]["state"] |= {"value": "ALARM", "timestamp": "2026-01-05T00:00:00.000+0000"}
    return event | changes


def watching(namespace: str) -> dict[str, Any]:
    """An alarm with a name of its own over a metric of a namespace."""
    event = alarm_event("some-alarm")
    metric = {"namespace": namespace, "name": "timeouts", "dimensions": {"target": TARGET}}
    event["detail"]["configuration"]["metrics"] = [
        {"id": "m", "metricStat": {"metric": metric, "period": 60}}
    ]
    return event


def contributor(name: str) -> dict[str, Any]:
    """One contributor of an alarm over a query."""
    event = alarm_event(name, **{"detail-type": "CloudWatch Alarm Contributor State Change"})
    event["detail"]["alarmContributor"] = {"id": "1", "attributes": {"target": TARGET}}
    return event


def insufficient() -> dict[str, Any]:
    """An alarm without data."""
    event = alarm_event()
    event["detail"]["state"]["value"] = "INSUFFICIENT_DATA"
    return event


@pytest.mark.parametrize(
    "event",
    [alarm_event(), watching("flyball"), contributor("flyball-client-failures")],
    ids=["named", "client-metric", "contributor"],
)
def test_an_alarm_about_a_target_reaches_the_alarm_function_and_no_other(event):
    """The three ways an alarm can name a target."""
    world = World(EnableTick="false")
    world.minutes(1)
    world.aws.bus.put(event)
    world.clock.advance(5.0)
    assert world.invocations("AlarmFunction") == 1
    assert world.stack.host("AlarmFunction").runtime.telemetry.totals["wake_ups"] == 1
    assert world.invocations("OverrideFunction") == world.invocations("TickFunction") == 0


STRAY = {
    "another account": alarm_event(account="210987654321"),
    "another region": alarm_event(region="us-east-1"),
    "a forged source": alarm_event(source="my.app"),
    "a change of an alarm's definition": alarm_event(
        **{"detail-type": "CloudWatch Alarm Configuration Change"}
    ),
    "an alarm on the controller": alarm_event("flyball-controller-errors"),
    "somebody else's alarm": alarm_event("other-team/failures"),
    "a function's own metrics": watching("AWS/Lambda"),
    "the controller's metrics": watching("flyball/controller"),
    "somebody else's query": contributor("other-query"),
    "a contributor under the wrong name": contributor("flyball/payments/failures"),
    "an alarm without data": insufficient(),
    "our own deployment": {
        "source": "aws.appconfig",
        "detail-type": "On Deployment Complete",
        "account": ACCOUNT,
        "region": "eu-west-1",
        "detail": {},
    },
}


def test_an_event_that_is_none_of_our_business_reaches_nobody():
    """Each stray invocation costs; the controller's own writes must not wake it."""
    world = World(EnableTick="false")
    for what, event in STRAY.items():
        assert world.aws.bus.put(event) == 0, what
    world.clock.advance(5.0)
    ran = {name for name, host in world.stack.hosts.items() if host.invocations}
    assert ran == {"flyball-validator"}  # of the first deployment


def test_failing_calls_wake_the_controller_through_the_default_alarm_and_change_the_retries():
    """End to end: client metrics, query alarm, contributor, rule, queue, handler, circuit item."""
    world = World(EnableTick="false")
    world.minutes(3)
    assert world.invocations("AlarmFunction") == 0
    world.minutes(2, failures=590)
    assert world.invocations("AlarmFunction") == 1
    world.minutes(4, failures=10)
    assert world.invocations("AlarmFunction") == 2  # once more when the alarm is over
    item = world.circuit()
    assert item is not None
    assert item["budget_ratio"] == {"N": "0"}


def test_alarms_of_a_chosen_prefix_are_mapped_to_targets():
    """Alarms that exist already need not be renamed."""
    world = World(
        EnableTick="false", MappedAlarmPrefix="shop-", AlarmTargets=json.dumps({"shop-5xx": TARGET})
    )
    world.aws.bus.put(alarm_event("shop-5xx"))
    world.clock.advance(5.0)
    assert world.stack.host("AlarmFunction").runtime.telemetry.totals["wake_ups"] == 1


def test_the_tick_runs_each_minute_and_publishes_what_it_decides():
    """What the controller lives by."""
    world = World(EnableAlarmEvents="false")
    world.minutes(4)
    assert world.invocations("TickFunction") == 3  # the fourth is on its way
    world.minutes(4, failures=590)
    item = world.circuit()
    assert item is not None
    assert item["reason"]["S"].startswith("SATURATED")
    assert world.stack.host("TickFunction").runtime.telemetry.totals["configuration_deployed"] == 2


def test_a_switched_off_tick_does_not_run():
    """The rule stays, disabled, so that switching it on is one parameter."""
    world = World(EnableTick="false")
    world.minutes(5)
    assert world.invocations("TickFunction") == 0


def test_an_alarm_function_that_fails_loses_no_event_and_a_redrive_does_the_work():
    """Five tries, then the dead-letter queue, then its alarm; after the repair everything is done."""
    world = World(EnableTick="false", EnableClientAlarms="false")
    world.minutes(1)
    host = world.stack.host("AlarmFunction")
    host.fault = RuntimeError("bad release")
    world.aws.bus.put(alarm_event())
    world.minutes(40)
    dead = world.stack.queue("AlarmDeadLetters")
    assert host.invocations == host.errors == 5
    assert [json.loads(message.body)["detail"]["alarmName"] for message in dead.messages] == [
        f"flyball/{TARGET}/failures"
    ]
    assert world.alarm("controller-alarm-dead-letters") == "ALARM"
    host.fault = None
    assert dead.redrive(world.stack.queue("AlarmQueue")) == 1
    world.minutes(3)
    assert host.errors == 5
    assert not dead.messages
    assert not world.stack.queue("AlarmQueue").messages
    assert world.alarm("controller-alarm-dead-letters") == "OK"


def test_a_message_that_nobody_can_read_ends_alone_in_the_dead_letter_queue():
    """Its neighbours in the batch are done once, not five times."""
    world = World(EnableTick="false", EnableClientAlarms="false")
    world.minutes(1)
    world.stack.queue("AlarmQueue").send("{")
    world.aws.bus.put(alarm_event())
    world.minutes(40)
    assert [message.body for message in world.stack.queue("AlarmDeadLetters").messages] == ["{"]
    assert world.stack.host("AlarmFunction").errors == 0
    assert world.stack.host("AlarmFunction").runtime.telemetry.totals["wake_ups"] == 1


def test_a_tick_that_fails_is_kept_and_told_of_and_the_next_one_catches_up():
    """A tick is not tried again: the next one, a minute later, reads everything since the checkpoint."""
    world = World(EnableAlarmEvents="false")
    world.minutes(3)
    host = world.stack.host("TickFunction")
    host.fault = RuntimeError("bad release")
    world.minutes(6, failures=590)
    dead = world.stack.queue("DeadLetters")
    assert len(dead.messages) == host.errors == 6
    assert {json.loads(message.body)["source"] for message in dead.messages} == {"aws.events"}
    assert world.alarm("controller-errors") == "ALARM"
    assert world.alarm("controller-dead-letters") == "ALARM"
    assert world.circuit() is None
    host.fault = None
    world.minutes(2, failures=590)
    item = world.circuit()
    assert item is not None
    assert item["reason"]["S"].startswith("SATURATED")


def test_what_cannot_be_delivered_waits_in_the_dead_letter_queue_with_the_reason():
    """EventBridge drops it otherwise, after a day of silence."""
    world = World(EnableTick="false")
    world.aws.bus.faults = DeliveryFaults(unreachable_ratio=1.0)
    world.aws.bus.put(alarm_event())
    world.clock.advance(3_600.0)
    (letter,) = world.stack.queue("DeadLetters").messages
    assert letter.attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    assert letter.attributes["TARGET_ARN"].endswith(":flyball-alarms")


def test_a_silent_controller_is_told_of():
    """No error is raised by what does not run."""
    world = World(EnableAlarmEvents="false")
    world.minutes(5)
    assert world.alarm("controller-silent") == "OK"
    world.aws.bus.faults = DeliveryFaults(lost_ratio=1.0)
    world.minutes(6)
    assert world.alarm("controller-silent") == "ALARM"


def test_alarms_on_the_controller_do_not_wake_it():
    """A controller in trouble must not be driven by its own trouble."""
    world = World(EnableTick="false")
    world.stack.host("OverrideFunction").fault = RuntimeError("bad release")
    function = world.stack.function(world.stack.place.arn("lambda", "function:flyball-override"))
    for _ in range(6):
        function.invoke_async({})
        world.minutes(1)
    assert world.alarm("controller-errors") == "ALARM"
    assert world.invocations("AlarmFunction") == 0


def test_the_metric_stream_feeds_the_stream_function_and_every_record_goes_on():
    """The connection itself checks that each record comes back unchanged."""
    world = World(EnableTick="false", EnableAlarmEvents="false", EnableMetricStream="true")
    world.minutes(3)
    world.minutes(6, failures=590)
    host = world.stack.host("StreamFunction")
    assert host.invocations >= 8
    assert host.runtime.telemetry.totals["stream_points"] > 0
    item = world.circuit()
    assert item is not None
    assert item["reason"]["S"].startswith("SATURATED")


def test_an_override_is_in_force_before_it_is_answered():
    """Operators act on what they are told."""
    world = World(EnableAlarmEvents="false")
    world.minutes(2)
    function = world.stack.function(world.stack.place.arn("lambda", "function:flyball-override"))
    answer = function.invoke({"action": "open", "target": TARGET, "for_s": 600, "by": "nora", "why": "drill"})
    assert answer["effective"] is True
    item = world.circuit()
    assert item is not None
    assert item["state"] == {"S": "forced_open"}


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("TickPermission", "TickRule: the rule may not invoke"),
        ("AlarmQueuePolicy", "AlarmRule: the rule may not send"),
        ("DeadLettersPolicy", "TickRule: the rule may not send"),
    ],
)
def test_a_template_that_forgot_a_permission_does_not_deploy(resource, words):
    """On AWS it would, and nothing would ever arrive."""
    template = expanded()
    del template["Resources"][resource]
    with pytest.raises(TemplateError, match=words):
        World(template)


def test_a_validator_that_appconfig_may_not_invoke_stops_the_first_deployment():
    """AppConfig would refuse every document from then on."""
    template = expanded()
    del template["Resources"]["ValidatorPermission"]
    del template["Resources"]["ConfigProfile"]["DependsOn"]
    with pytest.raises(ClientError, match="AppConfig may not invoke the validator"):
        World(template)


def without(template: dict[str, Any], role: str, action: str) -> dict[str, Any]:
    """The template with an action taken out of a role's own policy."""
    for statement in template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
        actions = statement["Action"]
        if action in ([actions] if isinstance(actions, str) else actions):
            statement["Action"] = (
                "sqs:Nothing" if isinstance(actions, str) else [a for a in actions if a != action]
            )
    return template


@pytest.mark.parametrize(
    ("role", "action", "words"),
    [
        ("TickRole", "sqs:SendMessage", "flyball-tick: its role may not send to its dead-letter queue"),
        (
            "AlarmRole",
            "sqs:ReceiveMessage",
            "AlarmFunctionQueue: the function's role lacks sqs:ReceiveMessage",
        ),
        (
            "DeliveryRole",
            "lambda:InvokeFunction",
            "MetricStream: flyball-DeliveryRole lacks lambda:InvokeFunction",
        ),
        ("MetricStreamRole", "firehose:PutRecordBatch", "lacks firehose:PutRecordBatch"),
    ],
)
def test_a_role_that_a_service_needs_is_asked_when_the_stack_is_made(role, action, words):
    """These calls are made by AWS itself, not by the code; nobody would see them fail."""
    with pytest.raises(TemplateError, match=words):
        World(without(expanded(), role, action), EnableMetricStream="true")


def test_a_dead_controller_releases_what_it_published_within_a_minute_and_a_half():
    """Every act expires by itself: the client needs no controller to be let go."""
    world = World(EnableAlarmEvents="false")
    world.minutes(2)
    function = world.stack.function(world.stack.place.arn("lambda", "function:flyball-override"))
    function.invoke({"action": "open", "target": TARGET, "for_s": 3600, "by": "nora", "why": "drill"})
    world.minutes(2)
    died_s = world.clock.now_s()
    world.aws.bus.faults = DeliveryFaults(lost_ratio=1.0)
    world.minutes(5)
    item = world.circuit()
    assert item is not None
    assert item["state"] == {"S": "forced_open"}
    assert died_s < float(item["valid_until"]["N"]) <= died_s + 90.0


@pytest.mark.parametrize(
    ("alarm", "metric", "count"),
    [
        ("controller-backends", "backend_errors", 1),
        ("controller-conflicts", "conflicts", 10),
        ("controller-rejects", "rejected_events", 1),
        ("controller-configuration", "configuration_failed", 1),
    ],
)
def test_an_alarm_on_the_controller_reads_what_its_telemetry_writes(alarm, metric, count):
    """Namespace, dimension and name must fit, or the alarm is green for ever."""
    world = World(EnableTick="false")
    lines = io.StringIO()
    telemetry = Telemetry(stream=lines)
    for _ in range(12):
        telemetry.count(metric, count)
        telemetry.flush(now_s=world.clock.now_s())
        world.aws.cloudwatch.ingest_emf(lines.getvalue().splitlines()[-1])
        world.clock.advance(60.0)
    assert world.alarm(alarm) == "ALARM"
    world.clock.advance(900.0)
    assert world.alarm(alarm) == "OK"


def test_targets_without_any_metrics_are_told_of():
    """A misspelt target is never decided about, and nothing fails."""
    world = World(EnableAlarmEvents="false", Targets="paymants")
    world.minutes(45)
    assert world.alarm("controller-blind") == "ALARM"
    assert world.stack.host("TickFunction").errors == 0


def test_a_controller_that_sees_its_targets_is_not_called_blind():
    """The same time, spelt right."""
    world = World(EnableAlarmEvents="false")
    world.minutes(45)
    assert world.alarm("controller-blind") == "OK"


def test_a_container_that_is_recycled_goes_on_from_the_stored_state():
    """Lambda stops containers at will."""
    world = World(EnableAlarmEvents="false")
    world.minutes(2)
    world.minutes(4, failures=590)
    before = world.circuit()
    world.stack.host("TickFunction").restart()
    world.minutes(2, failures=590)
    after = world.circuit()
    assert before is not None
    assert after is not None
    assert int(after["version"]["N"]) > int(before["version"]["N"])
    assert after["reason"]["S"].startswith("SATURATED")


def test_a_stream_function_that_alters_records_is_found_out():
    """It would move the customer's data to the failed ones."""
    world = World(EnableTick="false", EnableAlarmEvents="false", EnableMetricStream="true")
    arn = world.stack.place.arn("lambda", "function:flyball-stream")
    world.stack.function(arn).handler = lambda event, _: {"records": event["records"][1:]}
    with pytest.raises(TemplateError, match="did not give every record back unchanged"):
        world.minutes(3)
