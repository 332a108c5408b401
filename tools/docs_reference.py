"""Write the generated parts of the reference pages: commands, policy, codes, events, metrics, wire.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->` in a page that
people write around it. A test says when to run this again. What only people know
(what a metric means, what an event is for) stands in tools/docs_words.py, one
entry per name; a name without an entry, or the reverse, is an error.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from flyball.circuit_item import encode_circuit
from flyball.contract import Circuit, CircuitState, Document, TargetParams, encode_document
from flyball.records import BOUNDS, DOCUMENT_BYTES_MAX, FLEET
from flyball.telemetry import COUNT_METRICS
from flyball_analytics.assess.hazards import ABOUT
from flyball_analytics.cli.errors import MEANINGS as EXIT_MEANINGS
from flyball_analytics.codes import ABOUT as CODES
from flyball_analytics.policy_words import GROUPS
from flyball_analytics.schemas import policy_schema
from flyball_analytics.wording import WORDS
from flyball_controller.codec import (
    STATE_BYTES_MAX,
    STATE_VERSION,
    canonical_json,
    encode_state,
    journal_record,
)
from flyball_controller.core.model import Observation, Reason
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import initial_state
from flyball_controller.core.step import step
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_ranges import RULES
from flyball_controller.policy_set import PRESETS
from flyball_handlers.events import Code

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
sys.path.insert(0, str(ROOT / "tools"))
from docs_cli import commands, table  # noqa: E402 - siblings, not a package
from docs_words import CONTROLLER_METRICS, EVENTS, JOURNAL, REJECTIONS  # noqa: E402

UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_ratio": "ratio",
    "_per_year": "1/year",
    "_per_h_max": "1/h",
    "_per_min_min": "1/min",
}
RATIOS = frozenset(
    {
        "retry_floor",
        "open_floor",
        "open_bad_share",
        "trip_ceiling",
        "reset_floor",
        "reset_point",
        "timeout_trip",
        "throttle_trip",
        "throttle_share",
        "normal_floor",
        "open_share_max",
        "breaker_failure_ratio",
        "probe_ratio_min",
        "budget_nominal",
    }
)


def agree(kind: str, known: Iterable[str], described: Iterable[str]) -> None:
    """Stop if a name has no words, or words are about a name that is gone."""
    wrong = set(known) ^ set(described)
    if wrong:
        raise SystemExit(f"docs_reference: {kind}: say what {', '.join(sorted(wrong))} is, or remove it")


# --- command line -------------------------------------------------------------------------


def exit_codes() -> str:
    """Return what each exit code means."""
    rows = [(str(code.value), code.name, EXIT_MEANINGS[code]) for code in EXIT_MEANINGS]
    return table(("code", "name", "meaning"), rows)


# --- policy -------------------------------------------------------------------------------


def policy_fields() -> str:
    """Return a table per group of fields: unit, range, default, meaning, from the schema."""
    properties: dict[str, Any] = policy_schema()["properties"]["defaults"]["anyOf"][0]["properties"]
    agree("policy groups", GROUPS, GROUPS.keys() & properties.keys())
    parts: list[str] = []
    rows: list[tuple[str, ...]] = []
    head = ("field", "default", "range", "unit", "meaning")
    for name, schema in properties.items():
        if name in GROUPS and rows:
            parts.append(table(head, rows))
            rows = []
        if name in GROUPS:
            parts.append(f"### {GROUPS[name]}")
        shown = _shown(getattr(Policy(), name))
        rows.append((f"`{name}`", shown, _range(schema), _unit(name), schema["description"]))
    return "\n\n".join([*parts, table(head, rows)])


def _shown(value: object) -> str:
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-")
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def _range(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        words = {str(word).replace("_", "-") for word in schema["enum"] if word is not False}
        return ", ".join(sorted(words))
    if schema["type"] == "boolean":
        return "true, false"
    return f"{schema['minimum']:,g} to {schema['maximum']:,.10g}"


def _unit(name: str) -> str:
    if name in RATIOS:
        return "ratio"
    if re.search(r"_s(_max)?$", name):
        return "s"
    return "ms" if "_ms_" in name else next((u for ending, u in UNITS.items() if name.endswith(ending)), "")


def policy_rules() -> str:
    """Return what must hold between fields."""
    return "\n".join(f"- {rule.text}" for rule in RULES)


def presets() -> str:
    """Return every field in which a preset differs from the default, a column per preset."""
    made = {name: load_policy(name).default for name in PRESETS}
    rows = []
    for field in Policy._fields:
        values = [getattr(made[name], field) for name in PRESETS]
        if field != "digest" and len(set(values)) > 1:
            rows.append((f"`{field}`", *(_shown(value) for value in values)))
    return table(("field", *(f"`{name}`" for name in PRESETS)), rows)


# --- words that journals, logs and metrics use ---------------------------------------------


def reasons() -> str:
    """Return what each reason means, as `flyball explain` says it."""
    rows = [(str(r.value), f"`{r.name}`", WORDS[r].meaning.rstrip(".")) for r in Reason]
    return table(("number", "reason", "meaning"), rows)


def codes() -> str:
    """Return what each error code of the command line means, and what to do."""
    rows = [(f"`{code}`", f"{about.meaning} {about.remedy}") for code, about in CODES.items()]
    return table(("code", "meaning, and what to do"), rows)


def hazards() -> str:
    """Return what each hazard of `flyball assess` is."""
    return table(("hazard", "found where"), [(f"`{kind}`", about) for kind, about in ABOUT.items()])


def rejections() -> str:
    """Return why an event woke nobody."""
    agree("rejections", (code.value for code in Code), REJECTIONS)
    return table(("code", "meaning"), [(f"`{code.value}`", REJECTIONS[code.value]) for code in Code])


def events() -> str:
    """Return every recorded shape of event that the handlers are tested with."""
    recorded = sorted(path.stem for path in (ROOT / "tests" / "events").glob("*.json"))
    agree("events", recorded, EVENTS)
    rows = [(f"`{name}`", *EVENTS[name]) for name in recorded]
    return table(("sample", "from", "function", "what becomes of it"), rows)


def controller_metrics() -> str:
    """Return the controller's own metrics, found in the sources of the handlers."""
    found = dict(_emitted())
    agree("controller metrics", found, CONTROLLER_METRICS)
    rows = [(f"`{name}`", found[name], CONTROLLER_METRICS[name]) for name in sorted(found)]
    return table(("metric", "unit", "meaning"), rows)


def _emitted() -> Iterator[tuple[str, str]]:
    units = {"count": "Count", "seconds": "Seconds"}
    for path in sorted((ROOT / "handlers" / "flyball_handlers").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in units and node.args:
                for name in _names(node.args[0]):
                    yield name, units[node.func.attr]
            named = {k.arg: k.value for k in node.keywords}
            if node.func.attr == "add_metric" and isinstance(named.get("name"), ast.Constant):
                unit = named["unit"]
                assert isinstance(unit, ast.Attribute)  # noqa: S101 - MetricUnit.NAME
                yield str(named["name"].value), unit.attr  # type: ignore[union-attr]  # checked above


def _names(argument: ast.expr) -> Iterator[str]:
    """Return the names that an argument may be; what became of a document is the end of one."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
        for code in sorted(_published() - {"unchanged"}):
            yield f"{argument.values[0].value}{code}"


def _published() -> set[str]:
    """Return every word for what became of a document, as the port lists them."""
    ports = (ROOT / "controller" / "flyball_controller" / "ports.py").read_text()
    listed = re.search(r"class PublishStatus.*?code: str  #(.*?)\n", ports, re.DOTALL)
    assert listed is not None  # noqa: S101 - the port's contract
    return set(re.findall(r'"(\w+)"', listed[1]))


def client_metrics() -> str:
    """Return the names of the client's metrics; what they mean stands in its own reference."""
    return ", ".join(f"`{name}`" for name in (*COUNT_METRICS, "latency"))


# --- wire ---------------------------------------------------------------------------------


def document() -> str:
    """Return a document as it is deployed, and its bounds."""
    made = Document(7, "2026-01-05T00:31:00Z", "5f0c6b1e9a3d2c47", {"payments-api": TargetParams()})
    text = json.dumps(json.loads(encode_document(made)), indent=1)
    numbers = sum(len(fields) for fields in BOUNDS.values())
    return (
        f"At most {DOCUMENT_BYTES_MAX:,} bytes; {numbers} numbers a target, each bounded; newer ones that "
        f"say what readers assume anyway are left out.\n\n```json\n{text}\n```"
    )


def circuit_item() -> str:
    """Return a circuit item as it is stored."""
    made = Circuit(
        target="payments-api",
        function=FLEET,
        state=CircuitState.OPEN,
        changed_at=1_767_571_860.0,
        error_count=560,
        probe_ratio=0.1,
        version=412,
        write_id="9f86d081884c7d65",
        stamp=1_767_571_800.0,
        valid_until=1_767_571_950.0,
        reason="NEARLY_ALL_FAIL",
        budget_ratio=0.0,
        close_after=3,
    )
    return f"```json\n{json.dumps(encode_circuit(made), indent=1)}\n```"


def checkpoint() -> str:
    """Return what is known of a packed state from the outside."""
    state = initial_state(load_policy("two-loop").default)
    return (
        f"Version {STATE_VERSION}; {len(encode_state(state)):,} bytes before the first window, "
        f"at most {STATE_BYTES_MAX:,}; versions 1 to {STATE_VERSION} are read."
    )


def journal() -> str:
    """Return the fields of a journal record and one record, made by the real step."""
    policy = load_policy("two-loop").default
    seen = Observation("payments-api", 1_767_571_800.0, 60.0, 1_767_571_860.0, requests=600, errors_fast=560)
    before = initial_state(policy)
    after, decision = step(before, seen, policy)
    record = journal_record(decision, seen, encode_state(before), encode_state(after), with_state=True)
    agree("journal fields", record, JOURNAL)
    rows = table(("field", "meaning"), [(f"`{name}`", JOURNAL[name]) for name in record])
    shown = json.loads(canonical_json({**record, "state": "ZmIC..."}))
    text = json.dumps({name: shown[name] for name in record}, indent=1)
    return f"{rows}\n\n```json\n{text}\n```"


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "cli.md": {"commands": commands},
    "exit-codes.md": {"exit-codes": exit_codes},
    "policy.md": {"fields": policy_fields, "rules": policy_rules, "presets": presets},
    "errors.md": {"codes": codes, "reasons": reasons, "hazards": hazards, "rejections": rejections},
    "events.md": {"events": events},
    "telemetry.md": {"controller-metrics": controller_metrics, "client-metrics": client_metrics},
    "wire.md": {
        "document": document,
        "circuit-item": circuit_item,
        "checkpoint": checkpoint,
        "journal": journal,
    },
}


def rendered(name: str, text: str) -> str:
    """Return a page with every generated part made anew."""
    parts = PAGES[name]
    named = re.findall(r"<!-- generated: ([a-z-]+) -->", text)
    if sorted(named) != sorted(parts):
        wrong = sorted(set(named) ^ set(parts))
        raise SystemExit(f"{name}: parts {wrong} are missing, unknown or there twice")

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{parts[match[2]]()}\n<!-- end -->"

    return re.sub(r"(<!-- generated: ([a-z-]+) -->)\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def main() -> None:
    """Write all pages."""
    for name in PAGES:
        path = REFERENCE / name
        path.write_text(rendered(name, path.read_text()))


if __name__ == "__main__":
    main()
