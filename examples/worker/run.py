"""Runs the worker through an outage of its carrier, as it was and with flyball.

    python examples/worker/run.py

The carrier refuses every connection for six minutes, and every hundredth order has
an address that it will never take. No AWS account is used, no socket is opened.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from examples.dependency import BadGatewayError, Dependency
from examples.queues import QueueClient, poll
from examples.scene import Function, Scene, SceneClock
from examples.table import Numbers, side_by_side
from flyball.aws import DynamoCircuits
from flyball_analytics.letterboxes import Queue as Letterbox
from flyball_analytics.redrive import Gate, Pace, Plan, redrive

MINUTE_S = 60.0
ORDERS_PER_S = 1.0
LAST_ORDER_S = 14 * MINUTE_S
OUTAGE_S = (3 * MINUTE_S, 9 * MINUTE_S)
REDRIVES_S = (12 * MINUTE_S, 16 * MINUTE_S)  # by a schedule; the first finds the circuit half-open
END_S = 25 * MINUTE_S
RECEIVES = 3
REDRIVEN_PER_S = 5.0
ROWS = (
    ("orders", "orders"),
    ("shipped", "shipped"),
    ("twice", "shipped more than once"),
    ("dead_good", "good orders that wait for a person"),
    ("dead_bad", "bad orders that wait for a person"),
    ("redriven", "kept, and redriven by themselves"),
    ("outage_requests", "requests to the carrier during its outage"),
    ("lambda_s", "seconds of Lambda, per order"),
)


class Carrier:
    """The carrier as the worker sees it, in the scene."""

    def __init__(self, scene: Scene, dependency: Dependency) -> None:
        self.parcels: Counter[str] = Counter()
        self.outage_requests = 0
        self._scene = scene
        self._dependency = dependency

    def ship(self, order: dict[str, Any], *, key: str, timeout_s: float) -> None:
        """Ask for a parcel to be fetched."""
        self.outage_requests += OUTAGE_S[0] <= self._scene.now_s() < OUTAGE_S[1]
        try:
            self._dependency.request(timeout_s)
        except BadGatewayError as error:
            raise ConnectionError(str(error)) from error
        if order["address"] == "nowhere":
            raise ValueError("the carrier refuses this order: 422")
        self.parcels[key] += 1


def live(*, seed: int, with_flyball: bool) -> tuple[Numbers, list[str]]:
    """Return what became of the orders, and what the controller did."""
    scene = Scene(("carrier",) if with_flyball else (), seed=seed)
    dependency = Dependency(scene, servers=4, work_s=0.2)
    dependency.refuse(from_s=OUTAGE_S[0], until_s=OUTAGE_S[1])
    carrier = Carrier(scene, dependency)
    dead, unsent = scene.bus.queue("orders-dead"), scene.bus.queue("unsent")
    orders = scene.bus.queue("orders", visibility_timeout_s=MINUTE_S, max_receive_count=RECEIVES, dlq=dead)
    client = scene.clients["sqs"] = QueueClient(scene, {"https://sqs.example/unsent": unsent})
    stand_ins: dict[str, Any] = {"carrier": carrier}
    if not with_flyball:
        stand_ins |= {"sleep": scene.sleep, "random": scene.random("jitter")}
    source = HERE / ("app.py" if with_flyball else "before.py")
    worker = scene.function(source, "handler", environments=5, timeout_s=10.0, stand_ins=stand_ins)
    poll(scene, orders, worker, pollers=5, until_s=END_S)
    count = _orders(scene, orders)
    redriven: list[str] = []
    if with_flyball:
        again = scene.function(source, "again", environments=1, stand_ins=stand_ins)
        for at_s in REDRIVES_S:
            scene.start(lambda: redriven.extend(_redrive(scene, client, again)), at_s=at_s)
    scene.run(until_s=END_S)
    scene.close()
    waiting = [json.loads(message.body)["address"] for message in dead.messages]
    waiting += [json.loads(message.body)["payload"]["address"] for message in unsent.messages]
    numbers: Numbers = {
        "orders": count,
        "shipped": len(carrier.parcels),
        "twice": sum(times > 1 for times in carrier.parcels.values()),
        "dead_good": waiting.count("home"),
        "dead_bad": waiting.count("nowhere"),
        "redriven": redriven.count("sent"),
        "outage_requests": carrier.outage_requests,
        "lambda_s": sum(function.billed_s for function in scene.functions) / count,
    }
    return numbers, scene.decisions("carrier")


def _orders(scene: Scene, queue: Any) -> int:
    """Let orders come into the queue; return how many there will be."""
    draws, at_s, number = scene.random("orders"), 0.0, 0
    while (at_s := at_s + draws.expovariate(ORDERS_PER_S)) < LAST_ORDER_S:
        number += 1
        body = json.dumps({"id": f"order-{number}", "address": "nowhere" if number % 100 == 0 else "home"})
        scene.start(partial(queue.send, body), at_s=at_s)
    return number


def _redrive(scene: Scene, client: QueueClient, again: Function) -> list[str]:
    """Do what `flyball redrive unsent --lambda worker-again --circuits ... --apply` does."""
    assert scene.cloud is not None  # noqa: S101 - there is one with flyball
    clock = SceneClock(scene, "redrive")
    gate = Gate(DynamoCircuits(client=scene.cloud.client("dynamodb")), clock)
    pace = Pace(REDRIVEN_PER_S, 0.5, scene.random("redrive"), scene.sleep)
    letters = Letterbox(client, "https://sqs.example/unsent", seconds_per_letter=1.5 / REDRIVEN_PER_S)

    def submit(letter: Any) -> None:
        answer = again.invoke(letter.payload)
        if answer.error:
            raise RuntimeError(f"{answer.error}: {answer.text}")

    plan = Plan(apply=True, now_s=scene.clock.now_s())
    return [result.outcome.value for result in redrive(letters, submit, plan=plan, pace=pace, gate=gate)]


def main() -> None:
    """Run both and show them side by side."""
    side_by_side(
        "An SQS worker whose carrier is away for six minutes.",
        "Carrier: refuses every connection from 3:00 to 9:00; every hundredth order is bad",
        ROWS,
        live,
    )


if __name__ == "__main__":
    main()
