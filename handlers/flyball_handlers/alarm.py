"""Entry point for alarms: EventBridge, an alarm's Lambda action, SNS, and either of them through SQS.

An alarm is only a wake-up. All targets of one invocation are looked at in one
round, so that a storm of alarms costs one read of the metrics (T10), and
duplicates or disorder change nothing (E4). An empty event is somebody's ping to keep
a container warm: nothing can be lost with it, so it is no failure. No idempotency table is needed, nor
would one help: see flyball_handlers.events.

What is not done is not acknowledged. SQS gets the ids of the messages whose
target must be looked at again, or which nobody can read (they end in the
dead-letter queue, alone: E2); every other caller gets an exception after all
readable alarms were obeyed. Answers per message need no order, so FIFO queues
are answered in the same way. (Powertools' BatchProcessor calls once per message;
here one round serves all, so only the form of its answer is kept.)
"""

from __future__ import annotations

from typing import Any

from flyball_controller.loop import Trigger
from flyball_handlers import rounds, wiring
from flyball_handlers.envelopes import Delivery, read_delivery

DETAIL_CHARS_MAX = 400


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Look at every target that the alarms in `event` are about.

    Returns:
        For SQS `batchItemFailures`; otherwise the targets and how many events were turned away.

    Raises:
        NotAcknowledgedError: Something has to come again, and the caller is not SQS.
    """
    runtime = wiring.runtime()
    now_s = runtime.clock.now_s()
    if event is None or event == {}:
        runtime.telemetry.flush(now_s=now_s)
        return {"targets": [], "rejected": 0}
    delivery = read_delivery(event, runtime.expected(now_s))
    rejections = [rejected for item in delivery.items for rejected in item.rejections]
    wakes = [wake for item in delivery.items for wake in item.wakes]
    targets = sorted({wake.target for wake in wakes})
    keys = dict.fromkeys(":".join(map(str, wake.key)) for wake in wakes)
    try:
        runtime.telemetry.count("wake_ups", len(wakes))
        runtime.telemetry.count("duplicate_events", len(wakes) - len({(w.target, w.key) for w in wakes}))
        rounds.tell_rejections(runtime, rejections)
        trigger = Trigger("alarm", " ".join(keys)[:DETAIL_CHARS_MAX])
        done = rounds.run(runtime, targets, trigger=trigger, now_s=now_s)
    finally:
        runtime.telemetry.flush(now_s=now_s)
    failed = _failed(delivery, done.again)
    if delivery.batch and "" not in failed:
        return {"batchItemFailures": [{"itemIdentifier": record_id} for record_id in failed]}
    malformed = [rejected for rejected in rejections if rejected.malformed]
    if failed:
        raise rounds.NotAcknowledgedError(targets=sorted(done.again), rejections=malformed)
    return {"targets": targets, "rejected": len(rejections)}


def _failed(delivery: Delivery, again: frozenset[str]) -> list[str]:
    """Return the record ids that must come again; "" stands for one that cannot be named."""
    return list(
        dict.fromkeys(
            item.record_id
            for item in delivery.items
            if item.malformed or any(wake.target in again for wake in item.wakes)
        )
    )
