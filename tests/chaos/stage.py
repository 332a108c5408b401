"""The stage of the static-stability table: one target, a few environments, one controller, all real.

The world of the experiments with slower traffic and short ways to say what a row
says: hold a circuit, let time pass, count who was answered, look at what the
controller stored and journalled. Parts of the controller's ports can be replaced
by ones that fail, where the emulator has no switch for it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from flyball.contract import CircuitState
from flyball_controller.codec import decode_state
from flyball_controller.core.state import Setpoint, State
from flyball_controller.policy_file import load_policy
from flyball_handlers import override, wiring
from flyball_local.chaos.fleet import TARGET, CallRecord, Environment, Strike
from flyball_local.chaos.world import World

SLOWER = 0.4  # two calls a second: enough for the controller to decide on, and quick to simulate
OUTAGE = 9  # numbers of strikes


class Stage(World):
    """A world whose clients and controller can be asked what they do."""

    def __init__(self, policy: str = "two-loop") -> None:
        super().__init__(load_policy(policy), seed=7)
        self.rate_factor = SLOWER

    # --- time ------------------------------------------------------------------------------

    def pass_s(self, seconds: float) -> list[CallRecord]:
        """Let time pass; return the calls that came meanwhile."""
        before = len(self.calls)
        self.run_to(self.clock.now_s() + seconds)
        return self.calls[before:]

    def answered(self, seconds: float) -> float:
        """Let time pass; return the share of the calls that were answered."""
        calls = self.pass_s(seconds)
        return sum(call.ok for call in calls) / len(calls)

    # --- what goes wrong -------------------------------------------------------------------

    def fail(self, *, ratio: float = 1.0) -> None:
        """Let the target refuse a share of its calls."""
        self.strike(OUTAGE, Strike(error=ConnectionError, ratio=ratio))

    def heal(self) -> None:
        """Let it answer again."""
        self.mend(OUTAGE)

    def use(self, **ports: Any) -> None:
        """Replace ports of the controller."""
        runtime = wiring.runtime()
        self.cloud.runtime = replace(runtime, ports=runtime.ports._replace(**ports))
        wiring.set_runtime(self.cloud.runtime)

    def forget(self) -> None:
        """Let the controller start cold: it knows only what is stored."""
        self.cloud.runtime.cache.clear()

    # --- people ----------------------------------------------------------------------------

    def order(self, action: str, **more: object) -> dict[str, Any]:
        """Invoke the override function."""
        event = {"action": action, "target": TARGET, "by": "nora", "why": "drill", **more}
        return override.handler(event)

    # --- what the controller did -----------------------------------------------------------

    def item(self, table: str, **key: str) -> dict[str, Any] | None:
        """Return a stored item."""
        named = {name: {"S": value} for name, value in key.items()}
        reply = self.cloud.client("dynamodb").get_item(TableName=f"flyball-{table}", Key=named)
        found: dict[str, Any] | None = reply.get("Item")
        return found

    def put(self, table: str, **attributes: dict[str, Any]) -> None:
        """Write an item past everybody."""
        self.cloud.client("dynamodb").put_item(TableName=f"flyball-{table}", Item=attributes)

    def published(self) -> dict[str, Any] | None:
        """Return the circuit item of the fleet."""
        return self.item("circuits", target=TARGET, function="*")

    def until_s(self) -> float:
        """Return until when the published circuit holds, epoch seconds."""
        found = self.published()
        assert found is not None
        return float(found["valid_until"]["N"])

    def stored(self) -> tuple[int, State]:
        """Return the stored state of the target, and its version."""
        found = self.cloud.runtime.ports.checkpoints.load([TARGET])[TARGET]
        return found.version, decode_state(found.data)

    @property
    def applied(self) -> Setpoint:
        """The setpoint that the controller applies."""
        return self.cloud.runtime.cache[TARGET].state.law.applied

    def journal(self) -> list[dict[str, Any]]:
        """Return all that the journal says, oldest first."""
        items = self.cloud.client("dynamodb").scan(TableName="flyball-journal")["Items"]
        records = [json.loads(item["record"]["S"]) for item in items]
        return sorted(records, key=lambda record: record["at_s"])

    def said(self, name: str) -> int:
        """Return a counter of the controller's telemetry."""
        return int(self.cloud.runtime.telemetry.totals[name])

    @property
    def deployments(self) -> int:
        """How many deployments were ever started."""
        return int(self.cloud.aws.appconfig.calls["StartDeployment"])

    # --- what clients know -----------------------------------------------------------------

    @property
    def first(self) -> Environment:
        """The environment that serves most calls."""
        return self.environments[0]

    def revisions(self) -> set[int]:
        """Revisions of the document that environments obey; -1 = none was read."""
        return {one.runtime.targets[TARGET].revision for one in self.environments}

    def states(self) -> set[CircuitState]:
        """Circuit states that environments enforce."""
        return {one.runtime.targets[TARGET].state(one.clock.wall_s()) for one in self.environments}

    def unhurt(self, calls: list[CallRecord]) -> bool:
        """Whether all calls were answered by a target that is well, at once and without repetition."""
        return bool(calls) and all(call.ok and call.attempts == 1 for call in calls)
