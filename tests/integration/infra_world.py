"""The template of infra/, expanded once and deployed on an embedded account, with traffic to its targets."""

from __future__ import annotations

import atexit
import copy
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from flyball.outcome import Counters
from flyball.telemetry import emf_lines
from flyball_local.embedded import EmbeddedAws
from flyball_local.template import Stack, expand

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "template.yaml"
ACCOUNT = "123456789012"
TARGET = "payments"


WELL = "{kind: call, callable: integration.infra_world:is_well, critical: true}"


DOWN = "{kind: call, callable: integration.infra_world:is_down, critical: true}"


def is_down() -> bool:
    """Another one, of a target that is down."""
    return False


def is_well() -> bool:
    """What a check of kind `call` calls."""
    return True


def probing(*entries: str) -> dict[str, str]:
    """Parameters that install the probe, with a policy file of these entries of its section `probes`."""
    folder = Path(mkdtemp(prefix="flyball-policy-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    policy = folder / "policy.yaml"
    policy.write_text("version: 1\npreset: two-loop\nprobes:\n" + "".join(f"  {line}\n" for line in entries))
    return {"EnableProbe": "true", "Policy": str(policy), "ProbeModules": "integration.infra_world"}


@cache
def _expanded() -> dict[str, Any]:
    return expand(TEMPLATE)


def expanded() -> dict[str, Any]:
    """A copy of the expanded template that a test may change."""
    return copy.deepcopy(_expanded())


class World:
    """A deployed stack. `parameters` differ from the template's defaults; `template` replaces ours."""

    def __init__(self, template: dict[str, Any] | None = None, **parameters: str) -> None:
        self.aws = EmbeddedAws(seed=5, account=ACCOUNT)
        self.clock = self.aws.clock
        self.stack = Stack(self.aws, template or expanded(), {"Targets": TARGET, **parameters})

    def minutes(self, count: int, *, failures: int = 0, requests: int = 600, target: str = TARGET) -> None:
        """Let traffic flow for whole minutes; each minute is flushed in its middle, as clients do."""
        for _ in range(count):
            self.clock.advance(30.0)
            counters = Counters()
            counters.requests, counters.timeouts = requests, failures
            for line in emf_lines(counters, target=target, function="", now_s=self.clock.now_s()):
                self.aws.cloudwatch.ingest_emf(line)
            self.clock.advance(30.0)

    def alarm(self, name: str) -> str:
        """State of one of the stack's alarms, by the end of its name."""
        return self.aws.cloudwatch.alarm_state(f"flyball-{name}")

    def invocations(self, function: str) -> int:
        """How often a function ran, by logical id."""
        return self.stack.host(function).invocations

    def circuit(self, target: str = TARGET) -> dict[str, Any] | None:
        """The fleet's circuit item of a target, None if there is none."""
        key = {"target": {"S": target}, "function": {"S": "*"}}
        reply = self.aws.client("dynamodb").get_item(TableName="flyball-circuits", Key=key)
        item: dict[str, Any] | None = reply.get("Item")
        return item
