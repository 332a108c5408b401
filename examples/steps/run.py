"""Runs an order's state machine through an outage of the payment provider, as it was and with flyball.

    python examples/steps/run.py

The provider refuses every connection for five minutes. No AWS account is used, no
socket is opened and nothing is written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from examples.dependency import BadGatewayError, Dependency
from examples.scene import Scene
from examples.steps.machine import Ended, Machine
from examples.table import Numbers, percentile, side_by_side

MINUTE_S = 60.0
ORDERS_PER_S = 1.0
LAST_ORDER_S = 12 * MINUTE_S
OUTAGE_S = (3 * MINUTE_S, 8 * MINUTE_S)
END_S = 30 * MINUTE_S
ROWS = (
    ("orders", "orders"),
    ("completed", "charged"),
    ("parked", "given up, for a person to look at"),
    ("charges_per_order", "charges per completed order"),
    ("outage_requests", "requests to the provider in its outage"),
    ("transitions_per_order", "state transitions, per order"),
    ("lambda_s", "seconds of Lambda, per order"),
    ("took_p99_s", "seconds until charged, 99th percentile"),
)


class Provider:
    """The provider as the function sees it, in the scene."""

    def __init__(self, scene: Scene, dependency: Dependency) -> None:
        self.receipts: dict[str, str] = {}
        self.charges = 0
        self.outage_requests = 0
        self._scene = scene
        self._dependency = dependency

    def charge(self, order: dict[str, Any], *, key: str, timeout_s: float) -> str:
        """Charge the card once per key; return the receipt."""
        self.outage_requests += OUTAGE_S[0] <= self._scene.now_s() < OUTAGE_S[1]
        try:
            self._dependency.request(timeout_s)
        except BadGatewayError as error:
            raise ConnectionError(str(error)) from error
        if key not in self.receipts:
            self.charges += 1
            self.receipts[key] = f"r-{self.charges}"
        return self.receipts[key]


def live(*, seed: int, with_flyball: bool) -> tuple[Numbers, list[str]]:
    """Return what became of the orders, and what the controller did."""
    scene = Scene(("payment-provider",) if with_flyball else (), seed=seed)
    dependency = Dependency(scene, servers=4, work_s=0.3)
    dependency.refuse(from_s=OUTAGE_S[0], until_s=OUTAGE_S[1])
    provider = Provider(scene, dependency)
    stand_ins: dict[str, Any] = {"provider": provider}
    if not with_flyball:
        stand_ins |= {"sleep": scene.sleep, "random": scene.random("jitter")}
    name = "app.py" if with_flyball else "before.py"
    function = scene.function(HERE / name, "handler", environments=100, timeout_s=10.0, stand_ins=stand_ins)
    machine = Machine(
        HERE / ("order.asl.json" if with_flyball else "before.asl.json"),
        invoke=lambda _, payload: function.invoke(payload),
        sleep=scene.sleep,
        draws=scene.random("retriers"),
    )
    ended: list[tuple[float, Ended]] = []

    def order(number: int) -> None:
        begun_s = scene.now_s()
        end = machine.execute(f"order-{number}", {"order": {"id": number, "cents": 4_200}})
        ended.append((scene.now_s() - begun_s, end))

    scene.traffic(ORDERS_PER_S, LAST_ORDER_S, order)
    scene.run(until_s=END_S)
    scene.close()
    completed = [took_s for took_s, end in ended if end.succeeded]
    numbers: Numbers = {
        "orders": len(ended),
        "completed": len(completed),
        "parked": sum(end.state == "Park" for _, end in ended),
        "charges_per_order": provider.charges / len(completed),
        "outage_requests": provider.outage_requests,
        "transitions_per_order": sum(end.transitions for _, end in ended) / len(ended),
        "lambda_s": function.billed_s / len(ended),
        "took_p99_s": percentile(completed, 0.99),
    }
    return numbers, scene.decisions("payment-provider")


def main() -> None:
    """Run both and show them side by side."""
    side_by_side(
        "A Step Functions flow whose payment provider is away for five minutes.",
        "Payment provider: refuses every connection from 3:00 to 8:00",
        ROWS,
        live,
    )


if __name__ == "__main__":
    main()
