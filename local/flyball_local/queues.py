"""SQS and SNS as far as they stand between an event and a handler.

A `Queue` hides received messages for a time, counts receives and moves what was
received too often to its dead-letter queue; an event source mapping polls it
and obeys partial batch responses. A `Topic` wraps a message for functions and
queues. Bodies and envelopes have the real field names, because unwrapping them
is what the handlers are tested for.

Sources: AWS Lambda developer guide, "Using Lambda with Amazon SQS" (event form,
and "Reporting batch item failures": an answer that names an unknown id or is
malformed fails the whole batch); Amazon SNS developer guide, "Parsing message
formats".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flyball_local.delivery import SNS, Outcome, Post
from flyball_local.functions import FunctionError, LambdaFunction, ThrottledError, iso_ms

BATCH_MAX = 10  # without a batch window, SQS hands Lambda at most ten messages
POLL_LATENCY_S = 0.1


@dataclass(slots=True)
class Message:
    """One message in a queue; `visible_at_s` is when it may be received (again)."""

    message_id: str
    body: str
    sent_s: float
    visible_at_s: float
    attributes: Mapping[str, str] = field(default_factory=dict)
    receive_count: int = 0
    first_received_s: float | None = None


class Queue:
    """A standard queue. Public `messages` holds what is neither deleted nor moved."""

    def __init__(
        self,
        post: Post,
        name: str,
        *,
        arn: str,
        region: str,
        visibility_timeout_s: float = 30.0,
        max_receive_count: int | None = None,
        dlq: Queue | None = None,
    ) -> None:
        self.name: str = name
        self.arn = arn
        if (max_receive_count is None) is not (dlq is None):
            raise ValueError(
                f"max_receive_count={max_receive_count!r} and dlq={dlq!r} belong together: "
                "a count without a queue to move to, or a queue nothing is moved to, changes nothing"
            )
        if max_receive_count is not None and max_receive_count < 1:
            raise ValueError(f"max_receive_count={max_receive_count} must be at least 1")
        self.messages: list[Message] = []
        self._post = post
        self._region = region
        self._visibility_timeout_s = visibility_timeout_s
        self._max_receive_count = max_receive_count
        self._dlq = dlq
        self._mapping: _Mapping | None = None

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> str:
        """Put a message into the queue and return its id."""
        now_s = self._post.clock.now_s()
        message = Message(self._post.new_id(), body, now_s, now_s, dict(attributes or {}))
        self.messages.append(message)
        if self._mapping is not None:
            self._mapping.wake()
        return message.message_id

    def receive(self, limit: int = BATCH_MAX) -> list[Message]:
        """Return up to `limit` visible messages and hide them; overdue ones move to the dead-letter queue."""
        now_s = self._post.clock.now_s()
        received: list[Message] = []
        for message in [m for m in self.messages if m.visible_at_s <= now_s]:
            if len(received) == limit:
                break
            if self._max_receive_count is not None and message.receive_count >= self._max_receive_count:
                self._move(message)
                continue
            message.receive_count += 1
            message.first_received_s = now_s if message.first_received_s is None else message.first_received_s
            message.visible_at_s = now_s + self._visibility_timeout_s
            received.append(message)
        return received

    def delete(self, message: Message) -> None:
        """Remove a message that was dealt with; removing it twice is not an error."""
        if message in self.messages:
            self.messages.remove(message)

    def redrive(self, to: Queue) -> int:
        """Send everything here to another queue as new messages (a redrive), and return how many."""
        moved, self.messages = self.messages, []
        for message in moved:
            to.send(message.body, message.attributes)
        return len(moved)

    def feed(self, function: LambdaFunction, *, batch_size: int = BATCH_MAX, partial: bool = True) -> None:
        """Map the queue to a function (an event source mapping).

        Args:
            function: Invoked synchronously with each batch.
            batch_size: Most messages per batch, 1 to 10.
            partial: ReportBatchItemFailures: only the messages the answer names come back.
        """
        if not 1 <= batch_size <= BATCH_MAX:
            raise ValueError(f"batch_size={batch_size} must lie in [1, {BATCH_MAX}]")
        self._mapping = _Mapping(self._post, self, function, batch_size, partial)
        self._mapping.wake()

    def event(self, batch: list[Message]) -> dict[str, Any]:
        """Return the event Lambda gets for a batch."""
        return {"Records": [self._record(message) for message in batch]}

    def _move(self, message: Message) -> None:
        self.messages.remove(message)
        self._post.record(
            f"queue {self.name}", message.message_id, message.receive_count, Outcome.DEAD_LETTERED
        )
        if self._dlq is not None:
            self._dlq.send(message.body, message.attributes)

    def _record(self, message: Message) -> dict[str, Any]:
        first_s = message.sent_s if message.first_received_s is None else message.first_received_s
        return {
            "messageId": message.message_id,
            "receiptHandle": f"{message.message_id}#{message.receive_count}",
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.receive_count),
                "SentTimestamp": str(int(message.sent_s * 1000)),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": str(int(first_s * 1000)),
            },
            "messageAttributes": {
                name: {
                    "stringValue": value,
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": "String",
                }
                for name, value in message.attributes.items()
            },
            "md5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": self._region,
        }


@dataclass(slots=True)
class _Mapping:
    """Polls one queue for one function."""

    post: Post
    queue: Queue
    function: LambdaFunction
    batch_size: int
    partial: bool
    next_poll_s: float | None = None

    def wake(self) -> None:
        """Poll as soon as a message is visible, unless an earlier poll is already due."""
        if not self.queue.messages:
            return
        now_s = self.post.clock.now_s()
        due_s = max(now_s, min(m.visible_at_s for m in self.queue.messages)) + POLL_LATENCY_S
        if self.next_poll_s is None or due_s < self.next_poll_s:
            self.next_poll_s = due_s
            self.post.clock.call_at(due_s, lambda: self._poll(due_s))

    def _poll(self, due_s: float) -> None:
        if due_s != self.next_poll_s:  # an earlier poll has taken over
            return
        self.next_poll_s = None
        batch = self.queue.receive(self.batch_size)
        if batch:
            failed = self._failed(batch)
            for message in batch:
                if message.message_id not in failed:
                    self.queue.delete(message)
                outcome = Outcome.RETRIED if message.message_id in failed else Outcome.DELIVERED
                self.post.record(
                    f"queue {self.queue.name} -> {self.function.name}",
                    message.message_id,
                    message.receive_count,
                    outcome,
                    failed.get(message.message_id, ""),
                )
        self.wake()

    def _failed(self, batch: list[Message]) -> dict[str, str]:
        """Return why each message that must come back does, by id."""
        ids = [message.message_id for message in batch]
        try:
            answer = self.function.invoke(self.queue.event(batch))
        except (FunctionError, ThrottledError) as fault:
            return dict.fromkeys(ids, str(fault))
        if not self.partial or not answer:
            return {}
        try:
            named = [item["itemIdentifier"] for item in answer["batchItemFailures"] or ()]
        except (KeyError, TypeError):
            return dict.fromkeys(ids, "malformed batch response")
        if not set(named) <= set(ids):
            return dict.fromkeys(ids, "batch response names an unknown message")
        return dict.fromkeys(named, "named in batchItemFailures")


class _Subscriber(NamedTuple):
    name: str
    hand_over: Callable[[dict[str, Any]], object]
    dlq: Queue | None


class Topic:
    """A standard topic: at least once, unordered, to functions and queues."""

    def __init__(self, post: Post, name: str, *, arn: str, region: str) -> None:
        self.name = name
        self.arn = arn
        self._post = post
        self._region = region
        self._subscribers: list[_Subscriber] = []

    def subscribe_function(self, function: LambdaFunction, *, dlq: Queue | None = None) -> None:
        """Invoke the function asynchronously with each message."""
        self._subscribers.append(
            _Subscriber(
                function.name, lambda wrapped: function.invoke_async(_lambda_event(wrapped, self.arn)), dlq
            )
        )

    def subscribe_queue(self, queue: Queue, *, raw: bool = False, dlq: Queue | None = None) -> None:
        """Send each message to the queue; `raw` without the envelope."""
        self._subscribers.append(
            _Subscriber(
                queue.name,
                lambda wrapped: queue.send(wrapped["Message"] if raw else json.dumps(wrapped)),
                dlq,
            )
        )

    def publish(self, message: str, *, subject: str | None = None) -> str:
        """Send a message to all subscribers and return its id."""
        message_id = self._post.new_id()
        wrapped: dict[str, Any] = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": self.arn,
            **({} if subject is None else {"Subject": subject}),
            "Message": message,
            "Timestamp": iso_ms(self._post.clock.now_s()),
            "SignatureVersion": "1",
            "Signature": "bG9jYWw=",
            "SigningCertURL": f"https://sns.{self._region}.amazonaws.com/SimpleNotificationService-local.pem",
            "UnsubscribeURL": f"https://sns.{self._region}.amazonaws.com/?Action=Unsubscribe",
        }
        for subscriber in self._subscribers:
            self._send(subscriber, message_id, wrapped)
        return message_id

    def _send(self, subscriber: _Subscriber, message_id: str, wrapped: dict[str, Any]) -> None:
        name, hand_over, dlq = subscriber

        def dead_letter(_reason: str, _retries: int) -> None:
            if dlq is not None:
                dlq.send(json.dumps(wrapped))

        self._post.send(
            f"topic {self.name} -> {name}",
            message_id,
            lambda: hand_over(wrapped),
            policy=SNS,
            dead_letter=None if dlq is None else dead_letter,
        )


def _lambda_event(wrapped: Mapping[str, Any], topic_arn: str) -> dict[str, Any]:
    # The URL members are spelt differently in the Lambda event than in the HTTP and SQS envelope.
    renamed = {"SigningCertURL": "SigningCertUrl", "UnsubscribeURL": "UnsubscribeUrl"}
    sns = {renamed.get(name, name): value for name, value in wrapped.items()}
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": f"{topic_arn}:00000000-0000-4000-8000-000000000000",
                "Sns": {"Subject": None, **sns, "MessageAttributes": {}},
            }
        ]
    }
