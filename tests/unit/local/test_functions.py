"""Asynchronous invocation: retries, ages, throttles and who is told in the end.

Fidelity: emulator. Times and counts are Lambda's documented ones, worked by hand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyball_local.delivery import Outcome
from flyball_local.functions import FunctionError, ThrottledError
from unit.local.world import ALARM, World


def test_a_failing_handler_is_tried_again_after_one_and_two_minutes():
    """Lambda's documented schedule: attempts at 0.1, 60.1 and 180.1 s, one request id for all three."""
    world = World()
    world.fail = 2
    function = world.bus.function("controller", world.handler)
    function.invoke_async(ALARM)
    world.clock.advance(600)
    assert world.times() == [0.1, 60.1, 180.1]
    assert len(set(world.request_ids)) == 1
    assert [d.outcome for d in world.bus.deliveries] == [
        Outcome.RETRIED,
        Outcome.RETRIED,
        Outcome.DELIVERED,
    ]


def test_exhausted_retries_leave_a_failure_record_and_the_bare_event():
    """The on-failure destination and the dead-letter queue differ in form; redrive tools need both right."""
    world = World()
    world.fail = 99
    records: list[dict[str, Any]] = []
    dlq = world.bus.queue("dead")
    function = world.bus.function("controller", world.handler, on_failure=records.append, dlq=dlq)
    request_id = function.invoke_async(ALARM)
    world.clock.advance(600)
    assert records == [
        {
            "version": "1.0",
            "timestamp": "2024-11-20T10:56:20.100Z",
            "requestContext": {
                "requestId": request_id,
                "functionArn": function.arn + ":$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": ALARM,
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "responsePayload": {"errorMessage": "boom", "errorType": "RuntimeError"},
        }
    ]
    (message,) = dlq.messages
    assert json.loads(message.body) == ALARM
    assert message.attributes == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "boom"}


def test_without_destination_or_queue_a_given_up_event_is_dropped():
    """The default of a new function: nobody is told."""
    world = World()
    world.fail = 1
    world.bus.function("controller", world.handler, max_retries=0).invoke_async(ALARM)
    world.clock.advance(600)
    assert world.times() == [0.1]
    assert world.bus.counts() == {Outcome.DROPPED: 1}


def test_a_throttled_event_waits_with_growing_back_off():
    """429s are not errors: they cost no retry, and wait 1, 2, 4 s … up to 5 minutes."""
    world = World()
    function = world.bus.function("controller", world.handler, max_retries=0)
    function.throttle(3)
    function.invoke_async(ALARM)
    world.clock.advance(600)
    assert world.times() == [7.1]  # 0.1 + 1 + 2 + 4
    assert [d.attempt for d in world.bus.deliveries] == [1, 2, 3, 4]


def test_an_event_older_than_its_maximum_age_is_never_run():
    """A stale alarm must not reach a handler that was starved for minutes (pitfall 13)."""
    world = World()
    records: list[dict[str, Any]] = []
    function = world.bus.function(
        "controller", world.handler, max_event_age_s=60.0, on_failure=records.append
    )
    function.throttle(7)  # 1 + 2 + 4 + 8 + 16 + 32 = 63 s
    function.invoke_async(ALARM)
    world.clock.advance(600)
    assert world.seen == []
    assert records[0]["requestContext"]["condition"] == "EventAgeExceeded"
    assert records[0]["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in records[0]


def test_a_synchronous_call_returns_json_or_says_what_was_raised():
    """The caller gets what JSON carries: tuples come back as lists, an exception as type and message."""
    world = World()
    assert world.bus.function("f", lambda event, _: {"got": (event, 1)}).invoke("x") == {"got": ["x", 1]}
    event = {"n": 1}
    world.bus.function("e", lambda event, _: event.clear()).invoke(event)
    assert event == {"n": 1}, "the handler works on a copy"
    with pytest.raises(FunctionError) as raised:
        world.bus.function("g", lambda _event, _context: 1 / 0).invoke({})
    assert (raised.value.error_type, raised.value.error_message) == ("ZeroDivisionError", "division by zero")
    with pytest.raises(FunctionError) as unserialisable:
        world.bus.function("h", lambda _event, _context: {1, 2}).invoke({})
    assert unserialisable.value.error_type == "TypeError"
    busy = world.bus.function("i", lambda _event, _context: None)
    busy.throttle(1)
    with pytest.raises(ThrottledError):
        busy.invoke({})


def test_function_settings_outside_lambdas_bounds_are_refused():
    """Lambda retries at most twice and keeps an event at most six hours."""
    world = World()
    with pytest.raises(ValueError, match="max_retries"):
        world.bus.function("f", world.handler, max_retries=3)
    with pytest.raises(ValueError, match="max_event_age_s"):
        world.bus.function("f", world.handler, max_event_age_s=59.0)
    with pytest.raises(ValueError, match="calls"):
        world.bus.function("f", world.handler).throttle(0)
