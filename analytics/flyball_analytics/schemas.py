"""JSON Schemas of the files that people write, for editors; made from what validates them."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from flyball_analytics.policy_words import MEANINGS
from flyball_controller.core.model import Mode
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.policy_file import RANGES
from flyball_controller.policy_set import CANARIES_MAX, PRESETS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ENUMS: dict[str, type[IntEnum]] = {"mode": Mode, "law": Law, "promise": Promise}


def policy_schema() -> dict[str, Any]:
    """Return the schema of a policy file; rules between fields are `flyball validate`'s."""
    section: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: _field(name, value) for name, value in Policy()._asdict().items() if name != "digest"
        },
    }
    canary = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": CANARIES_MAX}
    target = {**section, "properties": {**section["properties"], "canary": canary}}
    return {
        "$schema": DRAFT,
        "title": "flyball policy",
        "type": "object",
        "additionalProperties": False,
        "required": ["version"],
        "properties": {
            "version": {"const": 1},
            "description": {"type": "string"},
            "preset": {"enum": list(PRESETS)},
            "mode": section["properties"]["mode"],
            "defaults": {"anyOf": [section, {"type": "null"}]},
            "targets": {
                "anyOf": [
                    {"type": "object", "additionalProperties": {"anyOf": [target, {"type": "null"}]}},
                    {"type": "null"},
                ]
            },
            "probes": {"type": "object"},
        },
    }


def _field(name: str, default: object) -> dict[str, Any]:
    return {"description": MEANINGS[name], **_values(name, default)}


def _values(name: str, default: object) -> dict[str, Any]:
    if name in _ENUMS:
        words = [member.name.lower() for member in _ENUMS[name]]
        if name == "law":
            words.append("two-loop")
        # YAML 1.1 reads a bare `off` as false; the reader takes it as the word.
        return {"enum": [*words, False] if name == "mode" else words}
    if isinstance(default, bool):
        return {"type": "boolean", "default": default}
    low, high = RANGES[name]
    kind = "integer" if isinstance(default, int) else "number"
    return {"type": kind, "minimum": low, "maximum": high, "default": default}


def integrations_schema() -> dict[str, Any]:
    """Return the schema of an integration map."""
    from flyball_analytics.integrations_file import integrations_schema as made

    return made()


def document_schema() -> dict[str, Any]:
    """Return the schema of the document that clients read."""
    from flyball.document_schema import document_schema as made

    return made()


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "document": document_schema,
    "integrations": integrations_schema,
    "policy": policy_schema,
}
