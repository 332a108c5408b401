"""Plans: what a policy would change in the published document and in the policy in force. Pure.

A plan is made from what stands and is worth nothing once something else does.
So it names its base: the content of the document and the number of the policy
that were seen. Whoever applies it compares both again, and the file carries a
digest, so that a plan that was edited after it was read is refused too.

The document of a plan is what the controller's next round publishes: a new bound
binds at once, a higher nominal value is reached by the controller's own steps.
Knows no client, no clock and no store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum
from typing import NamedTuple

from flyball.contract import (
    DEFAULT_PARAMS,
    Document,
    TargetParams,
    decode_document,
    encode_document,
)
from flyball.errors import printable
from flyball_controller.codec import canonical_json
from flyball_controller.core.guardrails import clip
from flyball_controller.core.inspect import TIME_MAX_S
from flyball_controller.core.model import Mode, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, nominal_setpoint
from flyball_controller.drift import DEFAULTS
from flyball_controller.policy_set import PolicySet, compile_set, load_compiled
from flyball_controller.probes import Check, check_to_fields
from flyball_controller.publication import to_params

PLAN_SCHEMA = 1
KIND = "flyball-plan"


class PlanError(ValueError):
    """A plan file that cannot be obeyed; `field` says where it is wrong."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(printable(message))
        self.field = field


class Base(NamedTuple):
    """What the plan was made against."""

    policy_number: int  # of the policy that was applied last; 0 = none ever was
    policy_hash: str  # of the policy in force, as far as it is known; "" = it is not
    content: str  # identity of the document that stands; "" = none
    revision: int


class FieldChange(NamedTuple):
    """One value, of a parameter ("retry.max_attempts") or a policy ("retry_floor"); None = not there."""

    field: str
    before: object
    after: object


class TargetChange(NamedTuple):
    """What changes for one target. `kind`: "added", "removed" or "changed"."""

    target: str
    kind: str
    changes: tuple[FieldChange, ...]


class Plan(NamedTuple):
    """What would change, and everything that is needed to do it."""

    base: Base
    policies: PolicySet
    document: Document
    policy_changes: tuple[TargetChange, ...]
    document_changes: tuple[TargetChange, ...]
    edited: tuple[str, ...]  # targets that people changed in the document: applying takes them over
    restricted: tuple[str, ...]  # targets that stay below the policy's nominal values for now
    made_at_s: float

    @property
    def pending(self) -> bool:
        """Whether applying it would change anything that somebody would notice."""
        same_policy = self.policies.hash == self.base.policy_hash
        return bool(self.document_changes or self.policy_changes or self.edited or not same_policy)


def expected_setpoint(state: State | None, policy: Policy) -> Setpoint:
    """Return what clients of a target would be told under a policy, given its state now.

    What is applied now, cut to the policy's bounds as the next round will cut it; nominal
    for a target without a state. What a policy tightened or a failure restricted is never loosened by a
    plan: the controller does that, after it has seen clean windows.
    """
    if state is None:
        return nominal_setpoint(policy)
    return clip(state.law.applied, policy)


def expected_targets(
    standing: Document | None,
    policies: PolicySet,
    *,
    names: Iterable[str],
    states: Mapping[str, State],
) -> dict[str, TargetParams]:
    """Return the parameters that the document would hold per target.

    Active targets get what `expected_setpoint` says, those in canary the nominal
    values, those in shadow or off none: their clients use the document's defaults.
    Targets of the standing document that nobody names here stay as they are.
    """
    targets = dict(standing.targets) if standing else {}
    for name in names:
        policy = policies.for_target(name)
        if policy.mode != Mode.ACTIVE:
            targets.pop(name, None)
        elif policies.canary_functions(name):
            targets[name] = to_params(nominal_setpoint(policy), policy)
        else:
            targets[name] = to_params(expected_setpoint(states.get(name), policy), policy)
    return targets


def make_plan(
    base: Base,
    standing: Document | None,
    in_force: PolicySet | None,
    policies: PolicySet,
    *,
    names: Iterable[str],
    states: Mapping[str, State],
    edited: tuple[str, ...],
    now_s: float,
    publishes: bool = True,
) -> Plan:
    """Return the plan that puts a policy in force.

    Args:
        base: What was seen.
        standing: The document that stands, None if there is none.
        in_force: The policy that controllers obey now, None if it is not known.
        policies: The policy wished.
        names: All targets of the installation.
        states: Their states, as far as there are any.
        edited: Targets that people changed in the document.
        now_s: Epoch seconds.
        publishes: Whether there is a document at all; if not, circuits alone carry decisions.
    """
    known = sorted({*names, *policies.targets, *(in_force.targets if in_force else ())})
    # What nobody publishes has no limit of size, and must not stop a plan by it.
    targets = expected_targets(standing, policies, names=known, states=states) if publishes else {}
    document = Document(base.revision, "", policies.hash, targets, DEFAULT_PARAMS)
    restricted = [
        name
        for name in known
        if name in states
        and policies.stage(name) == "active"
        and expected_setpoint(states[name], policies.for_target(name))
        != nominal_setpoint(policies.for_target(name))
    ]
    return Plan(
        base=base,
        policies=policies,
        document=document,
        policy_changes=policy_changes(in_force, policies),
        document_changes=document_changes(standing, document) if publishes else (),
        edited=edited,
        restricted=tuple(restricted),
        made_at_s=now_s,
    )


def policy_changes(before: PolicySet | None, after: PolicySet) -> tuple[TargetChange, ...]:
    """Return what differs between two policies; the first is "*", the default for all targets.

    Without a known policy the shipped defaults stand in its place.
    """
    before = before if before is not None else PolicySet(Policy(), {}, "as shipped")
    changes = [_policy_change(DEFAULTS, before.default, after.default, (), ())]
    for name in sorted({*before.targets, *after.targets}):
        old, new = before.for_target(name), after.for_target(name)
        # What changed for all targets is said once, unless it is special here.
        shared = {} if name in after.targets else _fields(before.default, after.default)
        functions = before.canary_functions(name), after.canary_functions(name)
        changes.append(_policy_change(name, old, new, *functions, said=shared))
    for name in sorted({*before.probes, *after.probes}):
        checks = _check_words(before.probes.get(name)), _check_words(after.probes.get(name))
        if checks[0] != checks[1]:
            changes.append(TargetChange(name, "changed", (FieldChange("probe", *checks),)))
    return tuple(change for change in changes if change.changes)


def _check_words(check: Check | None) -> str | None:
    """Return a check as its fields, on one line; None if there is none."""
    return canonical_json(check_to_fields(check)).decode() if check is not None else None


def _policy_change(
    name: str,
    old: Policy,
    new: Policy,
    old_canary: tuple[str, ...],
    new_canary: tuple[str, ...],
    *,
    said: Mapping[str, object] | None = None,
) -> TargetChange:
    fields = [
        FieldChange(field, _word(values[0]), _word(values[1]))
        for field, values in _fields(old, new).items()
        if field not in (said or {})
    ]
    if old_canary != new_canary:
        fields.append(FieldChange("canary", ", ".join(old_canary) or None, ", ".join(new_canary) or None))
    return TargetChange(name, "changed", tuple(fields))


def _fields(old: Policy, new: Policy) -> dict[str, tuple[object, object]]:
    return {
        field: (getattr(old, field), getattr(new, field))
        for field in Policy._fields
        if field != "digest" and getattr(old, field) != getattr(new, field)
    }


def _word(value: object) -> object:
    """Return a value as files write it."""
    if isinstance(value, IntEnum):
        return value.name.lower()
    return value.value if isinstance(value, Enum) else value


def document_changes(before: Document | None, after: Document) -> tuple[TargetChange, ...]:
    """Return what differs between two documents, target by target; "*" is the defaults.

    >>> one = Document(1, "", "p", {"a": TargetParams()})
    >>> change = document_changes(None, one)[0]
    >>> change.target, change.kind, change.changes[0]
    ('a', 'added', FieldChange(field='retry.max_attempts', before=None, after=4))
    """
    old_targets = before.targets if before else {}
    changes = []
    if before is not None and before.defaults != after.defaults:
        changes.append(TargetChange(DEFAULTS, "changed", _differing(before.defaults, after.defaults)))
    for name in sorted({*old_targets, *after.targets}):
        old, new = old_targets.get(name), after.targets.get(name)
        if old == new:
            continue
        kind = "added" if old is None else "removed" if new is None else "changed"
        changes.append(TargetChange(name, kind, _differing(old, new)))
    return tuple(changes)


def _differing(old: TargetParams | None, new: TargetParams | None) -> tuple[FieldChange, ...]:
    found = []
    for section in TargetParams._fields:
        before = getattr(old, section)._asdict() if old is not None else {}
        after = getattr(new, section)._asdict() if new is not None else {}
        found += [
            FieldChange(f"{section}.{field}", _word(before.get(field)), _word(after.get(field)))
            for field in (before or after)
            if before.get(field) != after.get(field)
        ]
    return tuple(found)


# --- the file ---------------------------------------------------------------------------


def encode_plan(plan: Plan) -> bytes:
    """Return the plan as a file: canonical JSON with a digest over all of it."""
    body: dict[str, object] = {
        "schema": PLAN_SCHEMA,
        "kind": KIND,
        "made_at_s": plan.made_at_s,
        "base": plan.base,
        "pending": plan.pending,
        "policy": json.loads(compile_set(plan.policies)),
        "policy_hash": plan.policies.hash,
        "policy_changes": plan.policy_changes,
        "document": json.loads(encode_document(plan.document)),
        "document_changes": plan.document_changes,
        "edited": plan.edited,
        "restricted": plan.restricted,
    }
    return canonical_json({**body, "digest": _digest(body)})


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical_json(body)).hexdigest()


def decode_plan(data: bytes, *, where: str) -> Plan:
    """Return the plan in a file; `where` stands in errors.

    Raises:
        PlanError: It is no plan of this version, or it was changed after it was made.
    """
    try:
        plain = json.loads(data)
        fields = plain.items() if isinstance(plain, dict) else ()
        digest = _digest({key: value for key, value in fields if key != "digest"})
    except (ValueError, RecursionError) as error:  # NaN and infinity, too: no plan of ours holds them
        raise PlanError(f"{where}: is not JSON: {error}", field="") from error
    if not isinstance(plain, dict) or plain.get("kind") != KIND or plain.get("schema") != PLAN_SCHEMA:
        raise PlanError(
            f"{where}: is no plan of version {PLAN_SCHEMA}; make one with: flyball plan POLICY --out FILE",
            field="kind",
        )
    if plain.get("digest") != digest:
        raise PlanError(
            f"{where}: was changed after it was made; change the policy and plan again", field="digest"
        )
    try:
        policies = load_compiled(canonical_json(plain["policy"]), where=f"{where}: policy")
        document = decode_document(canonical_json(plain["document"]), strict=True)
        return Plan(
            Base(**plain["base"]),
            policies,
            document,
            _changes(plain["policy_changes"]),
            _changes(plain["document_changes"]),
            tuple(plain["edited"]),
            tuple(plain["restricted"]),
            _moment_s(plain["made_at_s"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PlanError(f"{where}: {error!r}; plan again with this release", field="") from error


def _moment_s(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= TIME_MAX_S:
        raise ValueError(f"made_at_s={str(value)[:40]!r} must be epoch seconds")
    return float(value)


def _changes(plain: Iterable[Mapping[str, object]]) -> tuple[TargetChange, ...]:
    found = []
    for change in plain:
        fields = change["changes"]
        if not isinstance(fields, list):  # the digest is no secret: anybody can write a fitting one
            raise TypeError(f"changes of {change['target']!r} must be a list")
        found.append(
            TargetChange(
                str(change["target"]), str(change["kind"]), tuple(FieldChange(**field) for field in fields)
            )
        )
    return tuple(found)
