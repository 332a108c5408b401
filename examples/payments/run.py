"""Runs the payments function through a bad twelve minutes, as it was and with flyball.

    python examples/payments/run.py

The provider loses two thirds of its servers for four minutes. No AWS account
is used, no socket is opened and nothing is written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from examples.dependency import BadGatewayError, Dependency
from examples.queues import QueueClient
from examples.scene import Answer, Scene
from examples.table import Numbers, percentile, side_by_side

MINUTE_S = 60.0
ORDERS_PER_S = 4.0
END_S = 12 * MINUTE_S
TROUBLE_S = (3 * MINUTE_S, 7 * MINUTE_S)
WELL_RATIO = 0.95  # of the orders of a minute charged at once
ROWS = (
    ("orders", "orders"),
    ("charged", "charged at once"),
    ("later", "taken, to be charged later"),
    ("refused", "refused (503 or time-out)"),
    ("requests_per_order", "requests to the provider, per order"),
    ("answer_p50_s", "seconds until the answer, median"),
    ("answer_p99_s", "seconds until the answer, 99th percentile"),
    ("lambda_s", "seconds of Lambda, per order"),
    ("well_after_min", "minutes from the trouble's end until well"),
)


class Provider:
    """The provider as the function sees it, in the scene."""

    def __init__(self, dependency: Dependency) -> None:
        self._dependency = dependency

    def charge(self, order: dict[str, Any], *, key: str, timeout_s: float) -> str:
        """Charge the card; return the receipt."""
        try:
            self._dependency.request(timeout_s)
        except BadGatewayError as error:
            raise ConnectionError(str(error)) from error
        return f"r-{key}"


def live(*, seed: int, with_flyball: bool) -> tuple[Numbers, list[str]]:
    """Return what the twelve minutes came to, and what the controller did."""
    scene = Scene(("payment-provider",) if with_flyball else (), seed=seed)
    dependency = Dependency(scene, servers=3, work_s=0.4)
    dependency.lose(2 / 3, from_s=TROUBLE_S[0], until_s=TROUBLE_S[1])
    unpaid = scene.bus.queue("unpaid")
    scene.clients["sqs"] = QueueClient(scene, {"https://sqs.example/unpaid": unpaid})
    stand_ins: dict[str, Any] = {"provider": Provider(dependency)}
    if not with_flyball:
        stand_ins |= {"sleep": scene.sleep, "random": scene.random("jitter")}
    source = HERE / ("app.py" if with_flyball else "before.py")
    function = scene.function(source, "handler", environments=200, timeout_s=10.0, stand_ins=stand_ins)
    answers: list[tuple[float, Answer]] = []

    def order(number: int) -> None:
        at_s = scene.now_s()
        headers = {"idempotency-key": f"order-{number}"}
        body = json.dumps({"id": f"order-{number}", "cents": 4_200})
        answers.append((at_s, function.invoke({"headers": headers, "body": body})))

    scene.traffic(ORDERS_PER_S, END_S, order)
    scene.run(until_s=END_S + MINUTE_S)
    scene.close()
    if with_flyball:
        assert len(unpaid.messages) == _count(answers, 202)  # noqa: S101 - no order without its charge is lost
    return _measures(answers, dependency, function.billed_s), scene.decisions("payment-provider")


def _count(answers: list[tuple[float, Answer]], status: int) -> int:
    return sum(not a.error and a.result["statusCode"] == status for _, a in answers)


def _measures(answers: list[tuple[float, Answer]], dependency: Dependency, billed_s: float) -> Numbers:
    charged, later = _count(answers, 200), _count(answers, 202)
    took_s = [answer.took_s for _, answer in answers]
    return {
        "orders": len(answers),
        "charged": charged,
        "later": later,
        "refused": len(answers) - charged - later,
        "requests_per_order": dependency.requests / len(answers),
        "answer_p50_s": percentile(took_s, 0.5),
        "answer_p99_s": percentile(took_s, 0.99),
        "lambda_s": billed_s / len(answers),
        "well_after_min": _well_after_min(answers),
    }


def _well_after_min(answers: list[tuple[float, Answer]]) -> float | None:
    """Return minutes from the end of the trouble until a minute is well; None if none is."""
    minute_s = TROUBLE_S[1]
    while minute_s < END_S:
        inside = [(at_s, a) for at_s, a in answers if minute_s <= at_s < minute_s + MINUTE_S]
        if _count(inside, 200) >= WELL_RATIO * len(inside):
            return (minute_s - TROUBLE_S[1]) / MINUTE_S
        minute_s += MINUTE_S
    return None


def main() -> None:
    """Run both and show them side by side."""
    side_by_side(
        "An API behind Lambda whose payment provider loses most of its servers.",
        "Payment provider: two thirds of its servers away from 3:00 to 7:00, 12 minutes in all",
        ROWS,
        live,
    )


if __name__ == "__main__":
    main()
