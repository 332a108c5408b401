"""The AppConfig document as bytes: canonical out, total in.

One reader, two tempers. A client reads leniently: unknown keys are a newer
publisher's and are ignored, likewise words that it does not know, and numbers
out of bounds are clipped (K10); it must keep working with what it understands.
Publisher and validator read strictly: whatever a client would silently bend is
refused before it is deployed (A1).
Both refuse what cannot be understood: wrong types, another schema, NaN.

Canonical form: keys sorted, no spaces, UTF-8, so that equal documents are equal
bytes and an unchanged one need not be deployed.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NamedTuple, NoReturn

from flyball.errors import ContractError
from flyball.records import (
    BOUNDS,
    CHOICES,
    DEFAULT_PARAMS,
    DOCUMENT_BYTES_MAX,
    INTEGER_FIELDS,
    LATER_FIELDS,
    SCHEMA_VERSION,
    SECTIONS,
    Document,
    Jitter,
    TargetParams,
    clip,
    is_target_name,
)

# Beyond this, a reader in another language could not keep the number exactly.
REVISION_MAX = 2**53 - 1
TEXT_MAX = 128  # characters of generated_at and policy_hash
KEYS = ("schema", "revision", "generated_at", "policy_hash", "targets", "defaults")
_SHOWN = 80  # characters of a wrong value that an error repeats


class _Reader(NamedTuple):
    strict: bool

    def fail(self, message: str, field: str, value: object, bound: str = "") -> NoReturn:
        raise ContractError(f"{field or 'document'}: {message}", field=field, value=value, bound=bound)

    def mapping(self, value: object, field: str, known: tuple[str, ...] | None) -> dict[str, Any]:
        """An object; strict readers refuse keys that are not `known` (None = any)."""
        if not isinstance(value, dict):
            self.fail(f"must be an object, not {shown(value)}", field, value, "object")
        if self.strict and known is not None:
            for key in value:
                if key not in known:
                    self._fail_unknown(key, field, known)
        return value

    def _fail_unknown(self, key: str, field: str, known: tuple[str, ...]) -> NoReturn:
        from flyball.hints import did_you_mean

        hint = did_you_mean(key, known, listing="known are")
        path = f"{field}.{key}" if field else key
        self.fail(f"unknown key {shown(key)}{hint}", path, key, ", ".join(known))

    def text(self, value: object, field: str) -> str:
        if not isinstance(value, str) or len(value) > TEXT_MAX:
            bound = f"text of at most {TEXT_MAX} characters"
            self.fail(f"must be {bound}, not {shown(value)}", field, value, bound)
        return value

    def revision(self, value: object, field: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= REVISION_MAX:
            bound = f"an integer in [0, {REVISION_MAX}]"
            self.fail(f"must be {bound}, not {shown(value)}", field, value, bound)
        return value

    def number(self, value: object, path: str, section: str, field: str) -> float:
        """A number of a section, inside its bounds: clipped if lenient, refused outside if strict."""
        low, high = BOUNDS[section][field]
        integer = field in INTEGER_FIELDS
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or (isinstance(value, float) and not isfinite(value)):
            bound = _range(section, field)
            self.fail(f"must be {bound}, not {shown(value)}", path, value, bound)
        assert isinstance(value, int | float)  # noqa: S101 - for the type checker; proven above
        if self.strict and (not low <= value <= high or (integer and isinstance(value, float))):
            bound = _range(section, field)
            self.fail(f"{shown(value)} must be {bound}", path, value, bound)
        clipped = clip(value, section=section, field=field)
        return int(clipped) if integer else float(clipped)

    def jitter(self, value: object, path: str, inherited: Jitter) -> Jitter:
        """A jitter by name; a lenient reader takes an unknown one for a newer publisher's."""
        names = CHOICES["retry"]["jitter"]
        bound = f"one of {', '.join(names)}"
        if not isinstance(value, str):
            self.fail(f"must be {bound}, not {shown(value)}", path, value, bound)
        if value in names:
            return Jitter(value)
        if self.strict:
            from flyball.hints import did_you_mean

            self.fail(f"{shown(value)} must be {bound}{did_you_mean(value, names)}", path, value, bound)
        return inherited

    def params(self, value: object, field: str, missing: TargetParams) -> TargetParams:
        """The parameters of one target; what it does not say is taken from `missing`."""
        entry = self.mapping(value, field, SECTIONS)
        sections = {}
        for section in SECTIONS:
            path = f"{field}.{section}"
            inherited = getattr(missing, section)
            values = self.mapping(entry.get(section, {}), path, inherited._fields)
            changes: dict[str, Any] = {
                name: self.number(values[name], f"{path}.{name}", section, name)
                for name in BOUNDS[section]
                if name in values
            }
            if section == "retry" and "jitter" in values:
                changes["jitter"] = self.jitter(values["jitter"], f"{path}.jitter", inherited.jitter)
            sections[section] = inherited._replace(**changes)
        return TargetParams(**sections)


def _range(section: str, field: str) -> str:
    """What a number of a section must be; spelt out only for an error."""
    low, high = BOUNDS[section][field]
    return f"{'an integer' if field in INTEGER_FIELDS else 'a number'} in [{low}, {high}]"


def decode_document(data: bytes, *, strict: bool = False) -> Document:
    """Return the document in `data`. Total: any bytes give a Document or a ContractError.

    Args:
        data: UTF-8 JSON, at most DOCUMENT_BYTES_MAX bytes.
        strict: Refuse unknown keys and numbers out of bounds, as the publisher
            and the validator do; otherwise ignore the former, clip the latter.

    Raises:
        ContractError: With `field`, `value` and `bound`; the document changes nothing then (A3).

    >>> document = decode_document(b'{"schema": 1, "revision": 7, "generated_at": "", "policy_hash": "",'
    ...                            b' "targets": {"a": {"retry": {"max_attempts": 99}}}}')
    >>> document.targets["a"].retry.max_attempts
    4
    """
    reader = _Reader(strict)
    root = reader.mapping(_parse(data), "", None)
    schema = root.get("schema")
    if schema != SCHEMA_VERSION or isinstance(schema, bool | float):
        # Asked first: nothing else can be judged under another schema.
        reader.fail(
            f"must be {SCHEMA_VERSION}, not {shown(schema)}: a client understands one schema only",
            "schema",
            schema,
            str(SCHEMA_VERSION),
        )
    reader.mapping(root, "", KEYS)
    for key in ("revision", "generated_at", "policy_hash", "targets"):
        if key not in root:
            reader.fail("is missing", key, None, "required")
    defaults = reader.params(root.get("defaults", {}), "defaults", DEFAULT_PARAMS)
    entries = reader.mapping(root["targets"], "targets", None)
    targets = {}
    for name, entry in entries.items():
        if not is_target_name(name):
            from flyball.names import BOUND, name_problem

            reader.fail(f"name {name_problem(name)}", "targets", name, BOUND)
        targets[name] = reader.params(entry, f"targets.{name}", defaults)
    return Document(
        revision=reader.revision(root["revision"], "revision"),
        generated_at=reader.text(root["generated_at"], "generated_at"),
        policy_hash=reader.text(root["policy_hash"], "policy_hash"),
        targets=targets,
        defaults=defaults,
    )


def encode_document(document: Document) -> bytes:
    """Return the canonical bytes of a document that every strict reader accepts.

    Raises:
        ContractError: A number is out of bounds or not finite, a name is no
            target name, or the whole is larger than DOCUMENT_BYTES_MAX.
    """
    content = {
        "schema": SCHEMA_VERSION,
        "revision": document.revision,
        "generated_at": document.generated_at,
        "policy_hash": document.policy_hash,
        "targets": {name: _as_dict(params, document.defaults) for name, params in document.targets.items()},
        "defaults": _as_dict(document.defaults, DEFAULT_PARAMS),
    }
    try:
        data = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError) as cause:  # no JSON value, a lone surrogate
        raise ContractError(f"document: {cause}", field="", value=document) from cause
    # What a client would refuse or bend must not be published (A1).
    decode_document(data, strict=True)
    return data


def _as_dict(params: TargetParams, assumed: TargetParams) -> dict[str, dict[str, object]]:
    """The sections of a target, without later fields that are as `assumed`, and without empty sections."""
    content = {}
    for section in SECTIONS:
        usual = getattr(assumed, section)
        fields = {
            name: value
            for name, value in getattr(params, section)._asdict().items()
            if (section, name) not in LATER_FIELDS or value != getattr(usual, name)
        }
        if fields:
            content[section] = fields
    return content


def _parse(data: bytes) -> object:
    if len(data) > DOCUMENT_BYTES_MAX:
        bound = f"at most {DOCUMENT_BYTES_MAX} bytes"
        raise ContractError(
            f"document: {len(data)} bytes; must be {bound}", field="", value=None, bound=bound
        )
    try:
        return json.loads(
            data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_object_without_repeats
        )
    except ContractError:
        raise
    # Nesting deeper than the interpreter's stack is a RecursionError.
    except (ValueError, RecursionError) as cause:
        raise ContractError(f"document: no JSON: {cause}", field="", value=shown(data)) from cause


def _refuse_constant(name: str) -> NoReturn:
    raise ContractError(f"document: {name} is no JSON number", field="", value=name, bound="finite")


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        # Readers in other languages may take the first: then two clients obey two documents.
        for key, _ in pairs:
            if key not in entries:
                break  # it was taken out when it came first
            del entries[key]
        raise ContractError(f"document: key {shown(key)} stands twice", field=key, value=key)
    return entries


def shown(value: object) -> str:
    """A value as an error may show it: one short line, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "an integer of more than 30 digits"  # its repr may be refused, or be long
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
