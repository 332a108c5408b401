"""The policies of a fleet as plain records: one default, exceptions by target, one identity.

This is what Lambda loads: compiled JSON, no validation library on the import
path. Files that people write (YAML) pass through `flyball_controller.policy_file`
first. Compiled text is checked again here, field by field: a file edited by
hand after compiling gets the same kind of error, not a silent default.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from enum import IntEnum
from importlib import resources
from typing import Any, NamedTuple

from flyball_controller.codec import canonical_json, short_hash, with_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.model import Mode
from flyball_controller.core.policy import Law, Policy

PRESETS = ("two-loop", "adaptive", "fixed", "ladder")
COMPILED_VERSION = 1
_ENUMS: dict[str, type[IntEnum]] = {"mode": Mode, "law": Law}


class PolicySet(NamedTuple):
    """One policy for all targets, and the exceptions."""

    default: Policy
    targets: Mapping[str, Policy]
    name: str

    def for_target(self, target: str) -> Policy:
        """Return the policy of one target."""
        return self.targets.get(target, self.default)

    @property
    def hash(self) -> str:
        """Identity of the whole set: equal sets hash equal, whatever file they came from."""
        return short_hash(canonical_json([self.default, dict(self.targets)]))


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """Return '; did you mean X?' for the nearest known word, '' if none is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def policy_from_fields(fields: Mapping[str, object], *, base: Policy, where: str) -> Policy:
    """Return `base` with `fields` replaced, types checked.

    Raises:
        PolicyError: For an unknown field or a value of the wrong type; names `where`.
    """
    changes: dict[str, Any] = {}
    for key, value in fields.items():
        if key not in Policy._fields or key == "digest":
            known = tuple(name for name in Policy._fields if name != "digest")
            raise PolicyError(
                f"{where}: unknown key {key!r}{did_you_mean(key, known)}", field=key, value=value
            )
        changes[key] = _typed(key, value, getattr(base, key), where)
    return with_digest(base._replace(**changes))


def _typed(key: str, value: object, like: object, where: str) -> object:
    kind = _ENUMS.get(key)
    if kind is not None:
        word = str(value).upper().replace("-", "_")
        if word not in kind.__members__:
            allowed = ", ".join(name.lower() for name in kind.__members__)
            raise PolicyError(f"{where}: {key}={value!r} must be one of {allowed}", field=key, value=value)
        return kind[word]
    if isinstance(like, bool):
        good = isinstance(value, bool)
    elif isinstance(like, int):
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good:
        expected = {bool: "true or false", int: "a whole number"}.get(type(like), "a number")
        raise PolicyError(f"{where}: {key}={value!r} must be {expected}", field=key, value=value)
    return float(value) if isinstance(like, float) and isinstance(value, int | float) else value


def _fields_of(policy: Policy, base: Policy) -> dict[str, object]:
    """Return what differs from `base`, in the form that `policy_from_fields` reads."""
    changed = {}
    for key, value in policy._asdict().items():
        if key != "digest" and value != getattr(base, key):
            changed[key] = value.name.lower() if isinstance(value, IntEnum) else value
    return changed


def compile_set(policies: PolicySet) -> bytes:
    """Return the set as canonical JSON that `load_compiled` reads back unchanged."""
    base = Policy()
    return canonical_json(
        {
            "compiled": COMPILED_VERSION,
            "name": policies.name,
            "default": _fields_of(policies.default, base),
            "targets": {
                name: _fields_of(policy, policies.default) for name, policy in policies.targets.items()
            },
        }
    )


def load_compiled(data: bytes, *, where: str) -> PolicySet:
    """Return the set that `compile_set` wrote.

    Raises:
        PolicyError: If the bytes are no compiled policy of this version.
    """
    try:
        plain = json.loads(data)
    except ValueError as error:
        raise PolicyError(f"{where}: is not JSON: {error}", field="") from error
    if not isinstance(plain, dict) or plain.get("compiled") != COMPILED_VERSION:
        raise PolicyError(
            f"{where}: is no compiled policy of version {COMPILED_VERSION}; "
            "make one with: flyball validate POLICY.yaml --compile FILE",
            field="compiled",
        )
    default_fields, target_fields = plain.get("default"), plain.get("targets")
    if not isinstance(default_fields, dict) or not isinstance(target_fields, dict):
        raise PolicyError(f"{where}: 'default' and 'targets' must be objects", field="default")
    default = policy_from_fields(default_fields, base=Policy(), where=f"{where}: default")
    targets = {}
    for name, fields in target_fields.items():
        if not isinstance(fields, dict):
            raise PolicyError(f"{where}: targets.{name} must be an object", field=f"targets.{name}")
        targets[str(name)] = policy_from_fields(fields, base=default, where=f"{where}: targets.{name}")
    return PolicySet(default, targets, str(plain.get("name", "")))


def load_preset(name: str) -> PolicySet:
    """Return a shipped policy by name.

    Raises:
        PolicyError: If there is no such preset.
    """
    if name not in PRESETS:
        listed = ", ".join(PRESETS)
        raise PolicyError(
            f"there is no preset {name!r} (shipped: {listed}){did_you_mean(name, PRESETS)}",
            field="preset",
            value=name,
        )
    data = resources.files("flyball_controller").joinpath("presets", f"{name}.json").read_bytes()
    return load_compiled(data, where=f"preset {name}")
