"""SQS as boto3 shows it, over a queue of the embedded AWS; and what polls it for a function.

Only the four calls that the examples and `flyball redrive` make are there; any
other is an AttributeError. Receipt handles are message ids: here nobody else holds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.scene import Function, Scene
from flyball_local.queues import Message, Queue

IDLE_S = 1.0  # a poller that found nothing asks again after this long


class QueueClient:
    """What `boto3.client("sqs")` is in the scene; queues by their URL. Arguments are SQS's own."""

    def __init__(self, scene: Scene, queues: Mapping[str, Queue]) -> None:
        self._scene = scene
        self._queues = queues
        self._held: dict[str, Message] = {}

    def send_message(self, **given: Any) -> dict[str, Any]:
        """Put a message into a queue."""
        return {"MessageId": self._queues[given["QueueUrl"]].send(given["MessageBody"])}

    def receive_message(self, **given: Any) -> dict[str, Any]:
        """Return visible messages and hide them."""
        received = self._queues[given["QueueUrl"]].receive(given.get("MaxNumberOfMessages", 1))
        self._held |= {message.message_id: message for message in received}
        return {"Messages": [_shown(message) for message in received]} if received else {}

    def delete_message(self, **given: Any) -> dict[str, Any]:
        """Remove a message that was dealt with."""
        self._queues[given["QueueUrl"]].delete(self._held.pop(given["ReceiptHandle"]))
        return {}

    def change_message_visibility(self, **given: Any) -> dict[str, Any]:
        """Show a message again after another while."""
        message = self._held[given["ReceiptHandle"]]
        message.visible_at_s = self._scene.clock.now_s() + given["VisibilityTimeout"]
        return {}


def _shown(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.message_id,
        "ReceiptHandle": message.message_id,
        "Body": message.body,
        "Attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(int(message.sent_s * 1_000.0)),
        },
    }


def poll(scene: Scene, queue: Queue, function: Function, *, pollers: int, until_s: float) -> None:
    """Map a queue to a function: `pollers` batches at once, partial batch responses obeyed."""

    def job() -> None:
        while scene.now_s() < until_s:
            batch = queue.receive()
            if not batch:
                scene.sleep(IDLE_S)
                continue
            answer = function.invoke(queue.event(batch))
            failed = _failed(answer.result, batch) if not answer.error else {m.message_id for m in batch}
            for message in batch:
                if message.message_id not in failed:
                    queue.delete(message)

    for number in range(pollers):
        scene.start(job, at_s=number * IDLE_S / pollers)


def _failed(result: Any, batch: list[Message]) -> set[str]:
    """Return the messages that come back: those that the answer names, none if it names nothing."""
    named = {item["itemIdentifier"] for item in (result or {}).get("batchItemFailures", ())}
    known = {message.message_id for message in batch}
    return min(named, known)
