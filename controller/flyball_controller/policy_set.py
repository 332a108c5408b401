"""The policies of a fleet as plain records: one default, exceptions by target, one identity.

This is what Lambda loads: compiled JSON, no validation library on the import
path. Files that people write (YAML) pass through `flyball_controller.policy_file`
first. Compiled text is checked again here, field by field: a file edited by
hand after compiling gets the same kind of error, not a silent default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from functools import cached_property
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

from flyball.contract import FLEET
from flyball.hints import did_you_mean
from flyball.names import name_problem
from flyball_controller.codec import canonical_json, policy_content, short_hash, with_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.model import Mode
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.policy_ranges import RANGES, contradiction
from flyball_controller.probes import Check, check_to_fields, checks_from_section

PRESETS = ("two-loop", "adaptive", "fixed", "ladder")
COMPILED_VERSION = 1
_ENUMS: dict[str, type[IntEnum]] = {"mode": Mode, "law": Law, "promise": Promise}
NO_CANARIES: Mapping[str, tuple[str, ...]] = MappingProxyType({})
NO_PROBES: Mapping[str, Check] = MappingProxyType({})
CANARIES_MAX = 20  # each costs a write per round while its target is off nominal
FUNCTION_NAME_MAX = 140  # Lambda's own limit for a name with a qualifier


class _Fields(NamedTuple):
    default: Policy
    targets: Mapping[str, Policy]
    name: str
    canaries: Mapping[str, tuple[str, ...]] = NO_CANARIES
    probes: Mapping[str, Check] = NO_PROBES  # what the probe function asks of targets


class PolicySet(_Fields):
    """One policy for all targets, and the exceptions. `canaries`: the only functions a target acts on.

    Never changed once made, mappings included: its identity is worked out once, not every round.
    """

    def for_target(self, target: str) -> Policy:
        """Return the policy of one target."""
        return self.targets.get(target, self.default)

    @cached_property
    def hash(self) -> str:
        """Identity of the whole set: equal sets hash equal, whatever file they came from."""
        canaries = [dict(self.canaries)] if self.canaries else []
        probes = [dict(self.probes)] if self.probes else []
        targets = {name: policy_content(policy) for name, policy in self.targets.items()}
        return short_hash(canonical_json([policy_content(self.default), targets, *canaries, *probes]))

    def canary_functions(self, target: str) -> tuple[str, ...]:
        """Return the only functions that what is decided for a target is published to; () = all."""
        return self.canaries.get(target, ())

    def stage(self, target: str) -> str:
        """Return how far a target is let: "off", "shadow", "canary" or "active"."""
        mode = self.for_target(target).mode
        return "canary" if mode == Mode.ACTIVE and target in self.canaries else mode.name.lower()


def policy_from_fields(fields: Mapping[str, object], *, base: Policy, where: str) -> Policy:
    """Return `base` with `fields` replaced, types and ranges checked, each field by itself.

    Raises:
        PolicyError: For an unknown field or a value of the wrong type; names `where`.
    """
    changes: dict[str, Any] = {}
    for key, value in fields.items():
        if key not in Policy._fields or key == "digest":
            known = tuple(name for name in Policy._fields if name != "digest")
            raise PolicyError(
                f"{where}: unknown key {key!r}{did_you_mean(key, known)}",
                field=key,
                value=value,
                code="unknown-key",
            )
        changes[key] = _typed(key, value, getattr(base, key), where)
    return with_digest(base._replace(**changes))


def _whole(fields: Mapping[str, object], *, base: Policy, where: str) -> Policy:
    """Return the policy of these fields, which must not contradict each other."""
    policy = policy_from_fields(fields, base=base, where=where)
    broken = contradiction(policy)
    if broken is not None:
        raise PolicyError(f"{where}: {broken.text}", field=broken.field, code="contradiction")
    return policy


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
    if key in RANGES and isinstance(value, int | float):
        low, high = RANGES[key]
        if not low <= value <= high:  # NaN is in no range
            shown = repr(value)[:40]
            raise PolicyError(
                f"{where}: {key}={shown} must be from {low:g} to {high:g}", field=key, value=value
            )
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
    fields: dict[str, object] = {
        "compiled": COMPILED_VERSION,
        "name": policies.name,
        "default": _fields_of(policies.default, base),
        "targets": {name: _fields_of(policy, policies.default) for name, policy in policies.targets.items()},
    }
    if policies.canaries:
        fields["canaries"] = policies.canaries
    if policies.probes:
        fields["probes"] = {name: check_to_fields(check) for name, check in policies.probes.items()}
    return canonical_json(fields)


def load_compiled(data: bytes, *, where: str) -> PolicySet:
    """Return the set that `compile_set` wrote.

    Raises:
        PolicyError: If the bytes are no compiled policy of this version, or hold one that no file may hold.
    """
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{where}: is not JSON: {error}", field="", code="not-yaml") from error
    if not isinstance(plain, dict) or plain.get("compiled") != COMPILED_VERSION:
        raise PolicyError(
            f"{where}: is no compiled policy of version {COMPILED_VERSION}; "
            "make one with: flyball validate POLICY.yaml --compile FILE",
            field="compiled",
            code="wrong-version",
        )
    default_fields, target_fields = plain.get("default"), plain.get("targets")
    if not isinstance(default_fields, dict) or not isinstance(target_fields, dict):
        raise PolicyError(f"{where}: 'default' and 'targets' must be objects", field="default")
    default = _whole(default_fields, base=Policy(), where=f"{where}: default")
    targets = {}
    for name, fields in target_fields.items():
        if not isinstance(fields, dict):
            raise PolicyError(f"{where}: targets.{name} must be an object", field=f"targets.{name}")
        problem = name_problem(name)
        if problem:
            raise PolicyError(f"{where}: the target {problem}", field="targets", code="bad-name")
        targets[str(name)] = _whole(fields, base=default, where=f"{where}: targets.{name}")
    canaries = {}
    listed = plain.get("canaries") or {}
    if not isinstance(listed, dict):
        raise PolicyError(f"{where}: 'canaries' must be an object", field="canaries")
    for name, functions in listed.items():
        canaries[str(name)] = canary_names(functions, where=f"{where}: canaries.{name}")
    probes = checks_from_section(
        plain.get("probes"), at=lambda target, field: f"{where}: probes.{target}.{field}".rstrip(".")
    )
    return PolicySet(
        default, targets, str(plain.get("name", "")), canaries or NO_CANARIES, probes or NO_PROBES
    )


def canary_names(value: object, *, where: str) -> tuple[str, ...]:
    """Return the functions of a canary as they stand in a file, sorted.

    Raises:
        PolicyError: It is no list of 1 to `CANARIES_MAX` distinct function names.

    >>> canary_names(["checkout-blue"], where="fleet.yaml:7")
    ('checkout-blue',)
    """
    good = (
        isinstance(value, list)
        and 0 < len(value) <= CANARIES_MAX
        and all(
            isinstance(name, str) and name.isprintable() and 0 < len(name) <= FUNCTION_NAME_MAX
            for name in value
        )
        and len(set(value)) == len(value)
        and FLEET not in value
    )
    if not (good and isinstance(value, list)):
        raise PolicyError(
            f"{where}: canary={value!r} must list 1 to {CANARIES_MAX} distinct names of functions, as "
            "AWS_LAMBDA_FUNCTION_NAME gives them; leave it out to act on all functions",
            field="canary",
            value=value,
        )
    return tuple(sorted(value))


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
            code="unknown-name",
        )
    data = resources.files("flyball_controller").joinpath("presets", f"{name}.json").read_bytes()
    return load_compiled(data, where=f"preset {name}")
