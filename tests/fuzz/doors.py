"""All doors by name, and how many inputs of a hundred thousand each gets.

Shares follow what an attacker can reach without any permission (events, streams)
and what is cheap to read; YAML is slow to parse and is read at a desk.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from fuzz import doors_client, doors_events, doors_files, doors_records, doors_state
from fuzz.engine import Door

SHARES: dict[str, int] = {
    "events": 12_000,
    "queue-records": 5_000,
    "stream-records": 6_000,
    "stream-points": 14_000,
    "otel-messages": 14_000,
    "overrides": 5_000,
    "log-lines": 1_000,
    "document": 6_000,
    "circuit-item": 10_000,
    "letters": 5_000,
    "experiments": 2_000,
    "checkpoint": 2_000,
    "check-results": 3_000,
    "fleet-record": 3_000,
    "publisher-record": 3_000,
    "observations": 2_000,
    "compiled-policy": 500,
    "plan": 400,
    "policy-yaml": 100,
    "integrations-yaml": 100,
    "mapping-yaml": 200,
    "csv": 2_000,
    "journal": 300,
    "gzip": 3_000,
    "prometheus": 1_400,
}


# Inputs that long runs learned, one per outcome; written by `tools/fuzz.py keep`.
LEARNED = Path(__file__).parent / "corpus" / "learned"


def as_line(case: Any) -> str:
    """Return an input as a line of a file of learned ones."""
    entry = {"b": base64.b64encode(case).decode()} if isinstance(case, bytes) else {"j": case}
    return json.dumps(entry)


def learned(name: str) -> list[Any]:
    """Return the learned inputs of a door."""
    path = LEARNED / f"{name}.jsonl"
    entries = map(json.loads, path.read_text().splitlines() if path.exists() else ())
    return [base64.b64decode(entry["b"]) if "b" in entry else entry["j"] for entry in entries]


def _seeds(door: Door) -> Sequence[Any]:
    return [*door.seeds(), *learned(door.name)]


@cache
def all_doors() -> dict[str, Door]:
    """Return every door by its name; its corpus is what was written and what was learned."""
    modules = (doors_events, doors_client, doors_state, doors_files, doors_records)
    found = [door for module in modules for door in module.doors()]
    return {door.name: door._replace(seeds=partial(_seeds, door)) for door in found}
