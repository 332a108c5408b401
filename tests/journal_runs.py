"""Journals for tests: one of a replay, and one that production rounds wrote."""

from __future__ import annotations

import json
from pathlib import Path

from core_runs import T0, calm, window
from flyball_analytics.journalfile import Entry
from flyball_analytics.replay import replay
from flyball_controller.codec import canonical_json
from flyball_controller.core.model import Hold, HoldKind, Observation
from flyball_controller.fakes import memory_ports
from flyball_controller.loop import Trigger, run_once
from flyball_controller.policy_set import load_preset

POLICIES = load_preset("two-loop")
# Five healthy minutes, four in which all fail at once, ten healthy ones.
OUTAGE = [*calm(0, 5), *(window(m, fast=600) for m in range(5, 9)), *calm(9, 10)]


def entries(records: list[dict[str, object]]) -> list[Entry]:
    """Records as a file of them is read: through JSON."""
    return [Entry(f"j:{n}", json.loads(canonical_json(r))) for n, r in enumerate(records, start=1)]


def replayed(observations: list[Observation] | None = None) -> list[dict[str, object]]:
    """What `flyball replay --format json` writes."""
    seen = OUTAGE if observations is None else observations
    return [one.record() for one in replay(seen, policy=POLICIES.for_target("t"))]


def production(*, held: bool = False) -> list[dict[str, object]]:
    """What the production round journals over the outage, one round a minute; an operator may step in."""
    ports = memory_ports(OUTAGE, past=calm(-600, 600))
    for minute in range(20):
        now_s = T0 + 60.0 * minute + 85.0
        if held and minute == 12:
            ports.holds.put("t", Hold(HoldKind.FREEZE, now_s + 300.0, "ann", "looking"), now_s=now_s)
        run_once(["t"], ports=ports, policies=POLICIES, now_s=now_s, trigger=Trigger("tick", f"{minute}"))
    return [dict(record) for record in ports.journal.records]


def write_journal(path: Path, records: list[dict[str, object]]) -> Path:
    """Write records as JSON lines."""
    path.write_bytes(b"".join(canonical_json(record) + b"\n" for record in records))
    return path
