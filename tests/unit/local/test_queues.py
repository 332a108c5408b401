"""SQS and SNS between an event and a handler: batches, partial failures, envelopes, dead letters.

Fidelity: emulator.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyball_local.delivery import Outcome
from unit.local.world import World


def test_a_batch_has_the_real_form_and_is_deleted_after_success():
    """Handlers unwrap `Records[].body`; attributes are strings on the wire."""
    world = World()
    queue = world.bus.queue("alarms")
    queue.feed(world.bus.function("controller", world.handler))
    first = queue.send("one", {"kind": "test"})
    queue.send("two")
    world.clock.advance(10)
    ((at, event),) = world.seen
    assert at == 0.1
    assert [record["body"] for record in event["Records"]] == ["one", "two"]
    record = event["Records"][0]
    assert record["messageId"] == first
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:eu-west-1:000000000000:alarms"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"] == "1732100000000"
    assert record["attributes"]["ApproximateFirstReceiveTimestamp"] == "1732100000100"
    assert record["messageAttributes"]["kind"]["stringValue"] == "test"
    assert record["md5OfBody"] == "f97c5d29941bfb1b2fdab0874906ab82"  # md5("one")
    assert queue.messages == []


def test_only_the_messages_named_as_failed_come_back():
    """One poison record must not make its batch repeat (E2); it moves away after its last receive."""
    world = World()
    dlq = world.bus.queue("dead")
    queue = world.bus.queue("alarms", visibility_timeout_s=30.0, max_receive_count=2, dlq=dlq)
    batches: list[list[str]] = []

    def handler(event: Any, _: Any) -> Any:
        batches.append([record["body"] for record in event["Records"]])
        bad = [r["messageId"] for r in event["Records"] if r["body"] == "poison"]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in bad]}

    queue.feed(world.bus.function("controller", handler))
    queue.send("good")
    queue.send("poison", {"kind": "test"})
    world.clock.advance(300)
    assert batches == [["good", "poison"], ["poison"]]
    assert queue.messages == []
    assert [(m.body, m.attributes) for m in dlq.messages] == [("poison", {"kind": "test"})]
    assert world.bus.deliveries[-1].outcome is Outcome.DEAD_LETTERED
    assert dlq.redrive(queue) == 1
    world.clock.advance(300)
    assert batches[2:] == [["poison"], ["poison"]]


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "nobody"}]},
        {"batchItemFailures": [{"wrong": "x"}]},
        {"batchItemFailures": 7},
        {"other": []},
        ["x"],
    ],
)
def test_a_malformed_batch_answer_fails_the_whole_batch(answer: Any):
    """Documented: an answer Lambda cannot read is a failure of every message, never of none."""
    world = World()
    calls: list[int] = []
    queue = world.bus.queue("alarms", visibility_timeout_s=30.0)
    queue.feed(
        world.bus.function("controller", lambda event, _: calls.append(len(event["Records"])) or answer)
    )
    queue.send("one")
    queue.send("two")
    world.clock.advance(31)
    assert calls == [2, 2]
    assert len(queue.messages) == 2


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_empty_batch_answer_is_success(answer: Any):
    """Nothing named, nothing failed."""
    world = World()
    queue = world.bus.queue("alarms")
    queue.feed(world.bus.function("controller", lambda _event, _context: answer))
    queue.send("one")
    world.clock.advance(1)
    assert queue.messages == []


def test_without_partial_responses_an_answer_is_ignored_and_only_errors_count():
    """ReportBatchItemFailures off: what the handler returns means nothing."""
    world = World()
    queue = world.bus.queue("alarms")
    queue.feed(
        world.bus.function(
            "controller",
            lambda event, _: {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]},
        ),
        partial=False,
    )
    queue.send("one")
    world.clock.advance(1)
    assert queue.messages == []


def test_a_raising_handler_brings_the_batch_back_after_the_visibility_timeout():
    """Seen at 0.1 s and again 30 s later, with the receive count raised."""
    world = World()
    world.fail = 1
    queue = world.bus.queue("alarms", visibility_timeout_s=30.0)
    queue.feed(world.bus.function("controller", world.handler))
    queue.send("one")
    world.clock.advance(60)
    assert world.times() == [0.1, 30.2]  # one more poll latency of 0.1 s
    counts = [event["Records"][0]["attributes"]["ApproximateReceiveCount"] for _, event in world.seen]
    assert counts == ["1", "2"]


def test_batches_hold_at_most_their_size_and_the_rest_follows():
    """Twelve messages in batches of five: 5, 5, 2."""
    world = World()
    queue = world.bus.queue("alarms")
    for n in range(12):
        queue.send(str(n))
    queue.feed(world.bus.function("controller", world.handler), batch_size=5)
    world.clock.advance(10)
    assert [len(event["Records"]) for _, event in world.seen] == [5, 5, 2]


def test_a_message_that_becomes_visible_earlier_is_not_kept_waiting():
    """A poll planned for a hidden message must not delay a new one."""
    world = World()
    world.fail = 1
    queue = world.bus.queue("alarms", visibility_timeout_s=300.0)
    queue.feed(world.bus.function("controller", world.handler))
    queue.send("hidden")
    world.clock.advance(10)
    queue.send("new")
    world.clock.advance(1)
    assert world.times() == [0.1, 10.1]
    world.clock.advance(600)
    assert world.times() == [0.1, 10.1, 300.2]


def test_queue_settings_that_contradict_are_refused():
    """A receive limit without somewhere to move to would do nothing."""
    world = World()
    with pytest.raises(ValueError, match="belong together"):
        world.bus.queue("q", max_receive_count=3)
    with pytest.raises(ValueError, match="belong together"):
        world.bus.queue("q", dlq=world.bus.queue("d"))
    with pytest.raises(ValueError, match="at least 1"):
        world.bus.queue("q", max_receive_count=0, dlq=world.bus.queue("d"))
    with pytest.raises(ValueError, match="batch_size"):
        world.bus.queue("q").feed(world.bus.function("f", world.handler), batch_size=11)


def test_deleting_twice_is_no_error():
    """SQS's DeleteMessage is idempotent."""
    world = World()
    queue = world.bus.queue("q")
    queue.send("one")
    (message,) = queue.receive()
    queue.delete(message)
    queue.delete(message)
    assert queue.messages == []


def test_a_topic_wraps_for_functions_and_for_queues():
    """The same message has two spellings of its URL members and two depths; handlers meet both."""
    world = World()
    topic, queue, raw = world.bus.topic("alarms"), world.bus.queue("wrapped"), world.bus.queue("raw")
    topic.subscribe_function(world.bus.function("controller", world.handler))
    topic.subscribe_queue(queue)
    topic.subscribe_queue(raw, raw=True)
    message_id = topic.publish('{"AlarmName": "a"}', subject="ALARM")
    world.clock.advance(10)
    ((_, event),) = world.seen
    record = event["Records"][0]
    assert record["EventSource"] == "aws:sns"
    assert record["Sns"]["Message"] == '{"AlarmName": "a"}'
    assert record["Sns"]["Subject"] == "ALARM"
    assert record["Sns"]["MessageId"] == message_id
    assert "SigningCertUrl" in record["Sns"]
    envelope = json.loads(queue.messages[0].body)
    assert envelope["Message"] == '{"AlarmName": "a"}'
    assert envelope["TopicArn"] == "arn:aws:sns:eu-west-1:000000000000:alarms"
    assert "SigningCertURL" in envelope
    assert raw.messages[0].body == '{"AlarmName": "a"}'


def test_a_topic_without_subject_says_null_to_functions_and_nothing_to_queues():
    """Recorded events differ here; a handler that subscripts Subject would break on one of them."""
    world = World()
    topic, queue = world.bus.topic("alarms"), world.bus.queue("q")
    topic.subscribe_function(world.bus.function("controller", world.handler))
    topic.subscribe_queue(queue)
    topic.publish("m")
    world.clock.advance(10)
    assert world.seen[0][1]["Records"][0]["Sns"]["Subject"] is None
    assert "Subject" not in json.loads(queue.messages[0].body)


def test_a_lost_notification_goes_to_the_subscriptions_dead_letter_queue():
    """SNS tries for 23 days; the emulator keeps that bound."""
    world = World(lost_ratio=1.0)
    topic, dlq = world.bus.topic("alarms"), world.bus.queue("dead")
    topic.subscribe_function(world.bus.function("controller", world.handler), dlq=dlq)
    topic.subscribe_queue(world.bus.queue("q"))
    topic.publish("m")
    world.clock.advance(24 * 86_400)
    assert [json.loads(m.body)["Message"] for m in dlq.messages] == ["m"]
    assert world.bus.counts()[Outcome.DROPPED] == 1
