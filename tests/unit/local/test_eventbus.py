"""The event bus: what is delivered, when, how often, and who is told when it is not.

Fidelity: emulator. Times and counts are AWS's documented ones, worked by hand.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_local.delivery import DeliveryFaults, Outcome, Post, RetryPolicy
from flyball_local.eventbus import ScheduleError, Target, period_s
from flyball_local.virtualclock import VirtualClock
from unit.local.world import ALARM, NOW_S, World


def test_an_event_reaches_each_target_of_each_matching_rule_once():
    """Without faults the post is exact: one second of way, a tenth in the function's queue."""
    world = World()
    function = world.bus.function("controller", world.handler)
    queue = world.bus.queue("copy")
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function), Target(queue))
    world.bus.rule("others", {"source": ["aws.ec2"]}, Target(function))
    assert world.bus.put(ALARM) == 2
    assert world.bus.put({"id": "x", "source": "aws.s3"}) == 0
    world.clock.advance(60)
    assert world.seen == [(1.1, ALARM)]
    assert [json.loads(m.body) for m in queue.messages] == [ALARM]
    assert world.bus.counts() == {Outcome.DELIVERED: 3}  # two by the rule, one run of the function


def test_the_handler_gets_a_copy_and_a_context():
    """A handler that changes its event must not change what the next attempt or target gets."""
    got: list[Any] = []

    def handler(event: Any, context: Any) -> None:
        event["detail"].clear()
        got.append(context)

    world = World()
    function = world.bus.function("controller", handler)
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
    world.bus.put(ALARM)
    world.clock.advance(10)
    assert ALARM["detail"]
    assert got[0].function_name == "controller"
    assert got[0].invoked_function_arn == "arn:aws:lambda:eu-west-1:000000000000:function:controller"
    assert got[0].get_remaining_time_in_millis() == 30_000
    assert len(got[0].aws_request_id) == 36


def test_a_rule_of_the_same_name_replaces_the_old_one():
    """PutRule is an upsert; two copies would double every event."""
    world = World()
    function = world.bus.function("controller", world.handler)
    for _ in range(2):
        world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
    assert world.bus.put(ALARM) == 1


def test_a_duplicate_has_the_same_event_and_another_request_id():
    """At least once: handlers must deduplicate by content, not by invocation (E1)."""
    world = World(duplicate_ratio=1.0)
    function = world.bus.function("controller", world.handler)
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
    world.bus.put(ALARM)
    world.clock.advance(60)
    assert [event for _, event in world.seen] == [ALARM, ALARM]
    assert len(set(world.request_ids)) == 2
    assert [(d.letter_id, d.copy) for d in world.bus.deliveries[:2]] == [(ALARM["id"], 1), (ALARM["id"], 2)]


def test_a_delayed_event_arrives_within_its_bound_and_not_at_once():
    """F3: a delivery may be 30 hours late; what it says is then history."""
    world = World(seed=3, delay_ratio=1.0)
    function = world.bus.function("controller", world.handler)
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
    for _ in range(8):
        world.bus.put(ALARM)
    world.clock.advance(31 * 3600)
    assert len(world.seen) == 8
    assert min(world.times()) > 1.1
    assert max(world.times()) <= 30 * 3600 + 1.1
    assert max(world.times()) > 10 * 3600


def test_reordering_lets_a_later_event_overtake():
    """F2: an old OK may follow a new ALARM; handlers order by the event's own time."""
    world = World(seed=1, reorder_ratio=0.5)
    function = world.bus.function("controller", world.handler)
    world.bus.rule("numbers", {"n": [{"exists": True}]}, Target(function))
    for n in range(20):
        world.bus.put({"id": str(n), "n": n})
        world.clock.advance(1)
    world.clock.advance(60)
    order = [event["n"] for _, event in world.seen]
    assert sorted(order) == list(range(20))
    assert order != sorted(order)


def test_an_unreachable_target_is_tried_again_until_it_answers():
    """Delivery failures are EventBridge's to retry; nothing is lost by a short outage."""
    world = World(seed=2, unreachable_ratio=0.7)
    function = world.bus.function("controller", world.handler)
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
    for _ in range(20):
        world.bus.put(ALARM)
    world.clock.advance(24 * 3600)
    assert len(world.seen) == 20
    assert world.bus.counts()[Outcome.RETRIED] > 10
    assert world.bus.counts()[Outcome.DROPPED] == 0


@pytest.mark.parametrize("with_dlq", [False, True])
def test_a_target_that_never_answers_is_given_up_within_24_hours_and_185_retries(with_dlq: bool):
    """Without a dead-letter queue on the target the event is gone, silently."""
    world = World(lost_ratio=1.0)
    function = world.bus.function("controller", world.handler)
    dlq = world.bus.queue("lost") if with_dlq else None
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function, dlq))
    world.bus.put(ALARM)
    world.clock.advance(25 * 3600)
    assert world.seen == []
    last = world.bus.deliveries[-1]
    assert last.at_s - NOW_S <= 24 * 3600 + 1
    assert last.attempt <= 186
    assert last.outcome is (Outcome.DEAD_LETTERED if with_dlq else Outcome.DROPPED)
    if dlq is not None:
        (message,) = dlq.messages
        assert json.loads(message.body) == ALARM
        assert message.attributes["RULE_ARN"] == "arn:aws:events:eu-west-1:000000000000:rule/alarms"
        assert message.attributes["TARGET_ARN"] == function.arn
        assert message.attributes["RETRY_ATTEMPTS"] == str(last.attempt - 1)
        assert message.attributes["EXHAUSTED_RETRY_CONDITION"] == last.detail


def test_an_event_that_grows_too_old_is_given_up_before_its_retries_are_spent():
    """Whichever bound comes first: 60 s are over long before 185 retries 8 to 16 s apart."""
    clock = VirtualClock(NOW_S)
    post = Post(clock, Random(0), DeliveryFaults(lost_ratio=1.0))
    post.send("rule", "letter", lambda: None, policy=RetryPolicy(185, 60.0, 16.0, 16.0))
    clock.advance(600)
    last = post.deliveries[-1]
    assert (last.outcome, last.detail) == (Outcome.DROPPED, "MaximumEventAgeInSeconds")
    assert last.at_s - NOW_S <= 60.0
    assert 3 <= len(post.deliveries) <= 8


@settings(max_examples=50, deadline=None)  # a busy machine is no counter-example
@given(seed=st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_deliveries(seed: int):
    """A failing run must be replayable by its seed alone."""

    def run() -> list[Any]:
        world = World(
            seed=seed, duplicate_ratio=0.3, reorder_ratio=0.3, unreachable_ratio=0.3, lost_ratio=0.1
        )
        function = world.bus.function("controller", world.handler)
        world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
        for _ in range(5):
            world.bus.put(ALARM)
        world.clock.advance(600)
        return list(world.bus.deliveries)

    assert run() == run()


@pytest.mark.parametrize("bad", [{"duplicate_ratio": 1.5}, {"lost_ratio": -0.1}, {"delay_max_s": 0.0}])
def test_faults_outside_their_range_are_refused(bad: dict[str, float]):
    """A probability of 1.5 is a typing error, not a stronger fault."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        DeliveryFaults(**bad)


def test_faults_can_change_while_the_world_runs():
    """Scenarios have kind and unkind hours."""
    world = World()
    world.bus.faults = DeliveryFaults(duplicate_ratio=1.0)
    assert world.bus.faults.duplicate_ratio == 1.0


def test_a_schedule_fires_every_period_with_the_scheduled_event():
    """The tick handler recognises this form; the first firing is one period after the rule was made."""
    world = World()
    schedule = world.bus.schedule("tick", "rate(1 minute)", Target(world.bus.function("tick", world.handler)))
    world.clock.advance(130)
    assert world.times() == [61.1, 121.1]
    first = world.seen[0][1]
    assert first == {
        "version": "0",
        "id": first["id"],
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2024-11-20T10:54:20Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:000000000000:rule/tick"],
        "detail": {},
    }
    assert world.seen[1][1]["id"] != first["id"]
    schedule.disable()
    world.clock.advance(600)
    assert len(world.seen) == 2


def test_a_schedule_may_carry_a_constant_payload():
    """Scheduler targets get whatever Input says."""
    world = World()
    function = world.bus.function("tick", world.handler)
    world.bus.schedule("tick", "rate(2 hours)", Target(function), payload={"job": "sweep"})
    world.clock.advance(2 * 3600 + 2)
    assert world.seen == [(7201.1, {"job": "sweep"})]


def test_a_target_with_a_shape_gets_what_it_makes_and_a_dead_letter_keeps_the_event():
    """An input transformer: two targets of one rule can tell their shares of the work apart."""
    world = World()
    function = world.bus.function("controller", world.handler)
    shaped = Target(function, shape=lambda event: json.dumps({"of": event["id"], "share": 1}))
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, shaped, Target(function))
    world.bus.put(ALARM)
    world.clock.advance(10)
    assert [event for _, event in world.seen] == [{"of": ALARM["id"], "share": 1}, ALARM]
    dead = world.bus.queue("dead")
    world.bus.faults = DeliveryFaults(unreachable_ratio=1.0)
    world.bus.rule(
        "alarms",
        {"source": ["aws.cloudwatch"]},
        shaped._replace(dlq=dead, policy=RetryPolicy(0, 60.0, 1.0, 1.0)),
    )
    world.bus.put(ALARM)
    world.clock.advance(120)
    assert [json.loads(message.body) for message in dead.messages] == [ALARM]


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(10 minutes)", 600), ("rate(1 hour)", 3600), ("rate(2 days)", 172_800)],
)
def test_a_rate_is_read_in_seconds(expression: str, seconds: int):
    """Minutes, hours and days, singular for one."""
    assert period_s(expression) == seconds


@pytest.mark.parametrize(
    "expression",
    ["rate(1 minutes)", "rate(5 minute)", "rate(0 minutes)", "rate(30 seconds)", "cron(0 * * * ? *)", ""],
)
def test_an_expression_eventbridge_refuses_is_refused(expression: str):
    """A schedule that never fires is the failure nobody sees."""
    with pytest.raises(ScheduleError, match="expected"):
        period_s(expression)


def test_an_alarm_action_goes_past_the_rules_to_function_topic_and_queue():
    """CloudWatch invokes a function or a topic directly; the same post carries it, faults included."""
    world = World(duplicate_ratio=1.0)
    topic, queue = world.bus.topic("t"), world.bus.queue("q")
    topic.subscribe_queue(queue, raw=True)
    world.bus.send(
        "alarm a",
        "arn:aws:cloudwatch:eu-west-1:000000000000:alarm:a",
        {"alarmData": {}},
        Target(world.bus.function("controller", world.handler)),
        Target(topic),
    )
    world.clock.advance(10)
    assert [event for _, event in world.seen] == [{"alarmData": {}}] * 2
    assert [m.body for m in queue.messages] == ['{"alarmData": {}}'] * 4


def test_deliveries_can_be_drained_so_that_a_long_run_does_not_grow():
    """Each attempt is told once, and what comes after is recorded as before."""
    world = World()
    world.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(world.bus.queue("copy")))
    world.bus.put(ALARM)
    world.clock.advance(60)
    assert [delivery.outcome for delivery in world.bus.drain()] == [Outcome.DELIVERED]
    assert world.bus.drain() == []
    world.bus.put(ALARM)
    world.clock.advance(60)
    assert len(world.bus.deliveries) == 1
