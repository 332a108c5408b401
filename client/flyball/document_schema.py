"""The document's JSON Schema, made from the records and their bounds.

Draft 4, because that is the only draft AppConfig's validators know. It says what
a strict reader (`decode_document(..., strict=True)`) accepts; a test compares
the two over generated documents. It cannot express the size limit in bytes, and
no schema sees repeated keys: the reader refuses both.
"""

from __future__ import annotations

from typing import Any

from flyball.document import KEYS, REVISION_MAX, TEXT_MAX
from flyball.records import BOUNDS, CHOICES, INTEGER_FIELDS, SCHEMA_VERSION, SECTIONS, TARGET_NAME_PATTERN


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 4) of the AppConfig document.

    >>> document_schema()["definitions"]["retry"]["properties"]["max_attempts"]
    {'type': 'integer', 'minimum': 1, 'maximum': 4}
    """
    params = {
        "type": "object",
        "properties": {section: {"$ref": f"#/definitions/{section}"} for section in SECTIONS},
        "additionalProperties": False,
    }
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "flyball configuration document",
        "type": "object",
        "properties": {
            "schema": {"enum": [SCHEMA_VERSION], "type": "integer"},
            "revision": {"type": "integer", "minimum": 0, "maximum": REVISION_MAX},
            "generated_at": {"type": "string", "maxLength": TEXT_MAX},
            "policy_hash": {"type": "string", "maxLength": TEXT_MAX},
            "targets": {
                "type": "object",
                "patternProperties": {TARGET_NAME_PATTERN: {"$ref": "#/definitions/params"}},
                "additionalProperties": False,
            },
            "defaults": {"$ref": "#/definitions/params"},
        },
        "required": [key for key in KEYS if key != "defaults"],
        "additionalProperties": False,
        "definitions": {"params": params, **{section: _section(section) for section in SECTIONS}},
    }


def _section(section: str) -> dict[str, Any]:
    numbers = {
        field: {
            "type": "integer" if field in INTEGER_FIELDS else "number",
            "minimum": low,
            "maximum": high,
        }
        for field, (low, high) in BOUNDS[section].items()
    }
    words = {
        field: {"type": "string", "enum": list(names)} for field, names in CHOICES.get(section, {}).items()
    }
    return {"type": "object", "properties": {**numbers, **words}, "additionalProperties": False}
