"""What fails or cannot be delivered waits for a human, whichever way it came (fidelity: emulator)."""

from __future__ import annotations

import json

import pytest

from flyball_local.delivery import DeliveryFaults
from integration.infra_world import TARGET, WELL, World, probing

BROKEN = RuntimeError("bad release")


@pytest.mark.parametrize(
    ("function", "other"),
    [("TickFunction", "ProbeFunction"), ("ProbeFunction", "TickFunction")],
)
def test_a_scheduled_function_that_fails_leaves_each_event_once_and_stops_nothing_else(function, other):
    """No retries: the next minute has an event of its own. The letter is the proof, and its alarm rings."""
    world = World(EnableAlarmEvents="false", **probing(f"{TARGET}: {WELL}"))
    world.stack.host(function).fault = BROKEN
    world.minutes(5)
    letters = world.stack.queue("DeadLetters").messages
    assert len(letters) == world.stack.host(function).errors == world.invocations(function) == 4
    assert world.stack.host(other).errors == 0
    assert world.invocations(other) == 4
    assert world.alarm("controller-dead-letters") == "ALARM"


def test_an_override_that_was_sent_and_failed_is_kept_with_what_it_asked():
    """Nobody repeats it: a late override is a surprise. Somebody has to ask who sent it."""
    world = World(EnableAlarmEvents="false")
    world.stack.host("OverrideFunction").fault = BROKEN
    wish = {"action": "open", "target": TARGET, "for_s": 600, "by": "nora", "why": "drill"}
    world.stack.function(world.stack.place.arn("lambda", "function:flyball-override")).invoke_async(wish)
    world.minutes(10)
    (letter,) = world.stack.queue("DeadLetters").messages
    assert json.loads(letter.body) == wish
    assert world.stack.host("OverrideFunction").errors == 1
    assert world.circuit() is None


def test_a_redrive_before_the_repair_ends_in_the_queue_again_and_loses_nothing():
    """Whoever redrives too early must not be punished by losing the alarms."""
    world = World(EnableTick="false", EnableClientAlarms="false")
    world.minutes(1)
    host = world.stack.host("AlarmFunction")
    host.fault = BROKEN
    for number in range(3):
        world.stack.queue("AlarmQueue").send(json.dumps({"number": number}))
    world.minutes(40)
    dead = world.stack.queue("AlarmDeadLetters")
    before = sorted(message.body for message in dead.messages)
    assert len(before) == 3
    assert dead.redrive(world.stack.queue("AlarmQueue")) == 3
    assert not dead.messages
    world.minutes(40)
    assert sorted(message.body for message in dead.messages) == before


@pytest.mark.parametrize(
    ("parameters", "sender"),
    [
        ({"EnableAlarmEvents": "false"}, "rule/flyball-tick"),
        ({"EnableAlarmEvents": "false", "EnableTick": "false", "EnableProbe": "true"}, "flyball-probe"),
    ],
    ids=["rule", "schedule"],
)
def test_a_schedule_that_reaches_nobody_leaves_its_events(parameters, sender):
    """EventBridge drops what it could not deliver unless a queue takes it."""
    world = World(**parameters)
    world.minutes(2)
    world.aws.bus.faults = DeliveryFaults(unreachable_ratio=1.0)
    world.minutes(6)
    letters = world.stack.queue("DeadLetters").messages
    assert letters
    assert all(sender in letter.attributes["RULE_ARN"] for letter in letters)
