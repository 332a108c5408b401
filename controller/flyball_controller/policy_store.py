"""The policy in force, kept beside the states: applied by people, obeyed by controllers at their next round.

A policy travels in a function's bundle (FLYBALL_POLICY) until somebody applies
one with `flyball apply`. From then on the stored one holds: changing a policy
is then no deployment of code, and every controller changes within a round.

Two kinds of keys in the states' store. `#policy` is the pointer: which policy
holds, since when, by whom and why; it is written conditionally, so of two
people who apply at once one is refused. `#policy/HASH` is a compiled policy
under its own identity: written once, never changed, kept for `rollback`.

Knows no client and no clock. A policy that cannot be read is an error for the
caller to report, never another policy.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import NamedTuple

from flyball_controller.codec import canonical_json, short_hash
from flyball_controller.core.errors import PolicyError
from flyball_controller.policy_set import PolicySet, compile_set, load_compiled
from flyball_controller.ports import Checkpoints, Conflict, PortError

POINTER_KEY = "#policy"  # targets' names begin with a letter or digit: no state has this key
SCHEMA = 1
BACKEND = "policy store"


class Pointer(NamedTuple):
    """Which policy is in force. `number` rises by one with each that is applied; 0 = none ever was.

    `hash` "" means that each controller's own policy (FLYBALL_POLICY) is in force:
    nothing was applied, or it was taken back. `before` was in force before.
    """

    number: int
    hash: str = ""
    before: str = ""
    name: str = ""
    by: str = ""
    why: str = ""
    at_s: float = 0.0


NOTHING_APPLIED = Pointer(0)


class SupersededError(PortError):
    """Somebody applied another policy meanwhile; `current` says who and which."""

    def __init__(self, current: Pointer) -> None:
        super().__init__(
            f"policy {current.number} ({current.name}, {current.hash}) was applied by {current.by} "
            "meanwhile; plan again",
            backend=BACKEND,
            retryable=False,
        )
        self.current = current


def content_key(policy_hash: str) -> str:
    """Return the key of a compiled policy.

    >>> content_key("ab12")
    '#policy/ab12'
    """
    return f"{POINTER_KEY}/{policy_hash}"


def read_pointer(checkpoints: Checkpoints) -> Pointer:
    """Return which policy is in force, `NOTHING_APPLIED` if none was ever applied.

    Raises:
        PortError: The store fails.
        PolicyError: The pointer cannot be read; its `value` is what stands there, cut short.
    """
    stored = checkpoints.load([POINTER_KEY])[POINTER_KEY]
    if stored.version == 0:
        return NOTHING_APPLIED
    try:
        plain = json.loads(stored.data)
        if plain["schema"] != SCHEMA:
            raise ValueError(f"schema {plain['schema']!r} is not {SCHEMA}")
        words = {field: str(plain[field]) for field in ("hash", "before", "name", "by", "why")}
        at_s = float(plain["at_s"])
        if not isfinite(at_s):
            raise ValueError(f"at_s {at_s!r} is no time")
        return Pointer(stored.version, at_s=at_s, **words)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise PolicyError(
            f"the pointer to the policy in force (key {POINTER_KEY!r}) cannot be read: {error!r}; "
            "apply a policy to replace it",
            field=POINTER_KEY,
            value=stored.data[:80],
        ) from error


def read_policy(checkpoints: Checkpoints, policy_hash: str) -> PolicySet:
    """Return a stored policy by its identity.

    Raises:
        PortError: The store fails.
        PolicyError: There is none, or what stands there is not what the identity says.
    """
    key = content_key(policy_hash)
    stored = checkpoints.load([key])[key]
    if stored.version == 0:
        raise PolicyError(f"policy {policy_hash} is not in the store", field=key)
    policies = load_compiled(stored.data, where=key)
    if policies.hash != policy_hash:
        raise PolicyError(f"{key}: holds policy {policies.hash}; apply the policy again", field=key)
    return policies


def store_policy(checkpoints: Checkpoints, policies: PolicySet, *, now_s: float) -> None:
    """Store a compiled policy under its identity; one that is there already stays.

    Raises:
        PortError: The store fails.
    """
    key = content_key(policies.hash)
    data = compile_set(policies)
    stored = checkpoints.load([key])[key]
    if stored.data == data:
        return
    outcome = checkpoints.save(
        key,
        data,
        expected_version=stored.version,
        write_id=short_hash(data),
        stamp_s=now_s,
        now_s=now_s,
    )
    if isinstance(outcome, Conflict) and outcome.current.data != data:
        raise PortError(f"{key} is being written by others", backend=BACKEND, retryable=True)


def put_in_force(
    checkpoints: Checkpoints, policies: PolicySet | None, *, after: Pointer, by: str, why: str, now_s: float
) -> Pointer:
    """Store a policy and let controllers obey it from their next round on.

    Args:
        checkpoints: The states' store.
        policies: The policy; None gives each controller its own back.
        after: The pointer that the caller saw: it must still stand.
        by: Who.
        why: The reason, for those who look later.
        now_s: Epoch seconds.

    Raises:
        SupersededError: Another policy was applied meanwhile.
        PortError: The store fails.
    """
    if policies is None:
        pointer = Pointer(after.number + 1, "", after.hash, "", by, why, now_s)
    else:
        store_policy(checkpoints, policies, now_s=now_s)
        pointer = Pointer(after.number + 1, policies.hash, after.hash, policies.name, by, why, now_s)
    fields = {**pointer._asdict(), "schema": SCHEMA}
    del fields["number"]  # it is the version, which the store keeps
    data = canonical_json(fields)
    outcome = checkpoints.save(
        POINTER_KEY,
        data,
        expected_version=after.number,
        write_id=short_hash(data),
        stamp_s=now_s,
        now_s=now_s,
    )
    if isinstance(outcome, Conflict):
        raise SupersededError(read_pointer(checkpoints))
    return pointer
