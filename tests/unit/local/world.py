"""A small emulated account for the tests of the event bus: one bus, one clock, one note-taking handler."""

from __future__ import annotations

from typing import Any

from flyball_local.delivery import DeliveryFaults
from flyball_local.eventbus import EventBus
from flyball_local.virtualclock import VirtualClock

NOW_S = 1_732_100_000.0  # 2024-11-20T10:53:20Z
ALARM = {
    "version": "0",
    "id": "11111111-2222-4333-8444-555555555555",
    "detail-type": "CloudWatch Alarm State Change",
    "source": "aws.cloudwatch",
    "detail": {"alarmName": "payments-errors", "state": {"value": "ALARM"}},
}


class World:
    """A bus, its clock, and a handler that notes when it got what."""

    def __init__(self, seed: int = 0, **faults: float) -> None:
        self.clock = VirtualClock(NOW_S)
        self.bus = EventBus(self.clock, seed=seed, faults=DeliveryFaults(**faults))
        self.seen: list[tuple[float, Any]] = []
        self.fail = 0

    def handler(self, event: Any, context: Any) -> Any:
        self.seen.append((round(self.clock.now_s() - NOW_S, 3), event))
        self.request_ids = [*getattr(self, "request_ids", []), context.aws_request_id]
        if self.fail:
            self.fail -= 1
            raise RuntimeError("boom")
        return None

    def times(self) -> list[float]:
        return [at for at, _ in self.seen]
