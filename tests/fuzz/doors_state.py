"""Doors of what the controller stored: states, results of checks, records, compiled policies, plans."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

from flyball.contract import CircuitState, Document, encode_document
from flyball.records import DEFAULT_PARAMS
from flyball_controller.aws.publish_plan import Limits, decode_record
from flyball_controller.check_book import Result, decode_results, encode_results
from flyball_controller.codec import (
    STATE_BYTES_MAX,
    canonical_json,
    decode_state,
    encode_state,
    observation_from_json,
    observation_to_json,
)
from flyball_controller.core.errors import CheckpointError, PolicyError
from flyball_controller.core.fleet import FleetState
from flyball_controller.core.inspect import is_finite
from flyball_controller.core.model import Hold, HoldKind, Observation
from flyball_controller.core.state import State, initial_state
from flyball_controller.core.step import step
from flyball_controller.fakes import MemoryCheckpoints
from flyball_controller.fleet_codec import decode_fleet, encode_fleet
from flyball_controller.operate import KIND, PLAN_SCHEMA, Base, PlanError, _digest, decode_plan
from flyball_controller.policy_set import compile_set, load_compiled, load_preset
from flyball_controller.policy_store import POINTER_KEY, read_pointer
from flyball_controller.ports import Checkpoint
from fuzz.doors_client import mutate_json
from fuzz.engine import Door, require, told
from fuzz.mutate import NUMBERS, mutate_bytes, one_of

POLICY = load_preset("two-loop").default
NOON_S = 1_795_435_200.0
DOUBLES = tuple(struct.pack("<d", v) for v in NUMBERS if isinstance(v, float)) + tuple(
    struct.pack("<q", v) for v in (0, -1, 1, 2**31, 2**62, -(2**63))
)


@cache
def _states() -> tuple[State, ...]:
    """A new state, one in an incident, one that has recovered in part, one with a hold."""
    state = initial_state(POLICY)
    found = [state]
    for minute in range(40):
        bad = 15 <= minute < 30
        failed = 190 if bad else 1
        seen = Observation(
            "stock",
            NOON_S + 60 * minute,
            60.0,
            NOON_S + 60 * minute + 80,
            200,
            errors_fast=failed,
            attempts=260,
        )
        state, _ = step(state, seen, POLICY)
        if minute in (10, 22, 36):
            found.append(state)
    return (*found, state._replace(hold=Hold(HoldKind.FREEZE, NOON_S + 9_000, "nora", "drill é")))


@cache
def state_seeds() -> tuple[bytes, ...]:
    """Encoded states."""
    return tuple(encode_state(state) for state in _states())


def _sealed(data: bytes) -> bytes:
    """The bytes with the checksum that fits them: damage that was written on purpose."""
    if len(data) < 7:
        return data
    return data[:3] + struct.pack("<I", zlib.crc32(data[7:])) + data[7:]


def mutate_state(rng: Random, pool: Sequence[bytes]) -> bytes:
    """A number replaced, or bytes changed; mostly with a checksum that fits."""
    data = one_of(rng, pool)
    if rng.random() < 0.6 and len(data) > 40:
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(7, len(data) - 8)
            data = data[:at] + rng.choice(DOUBLES) + data[at + 8 :]
    else:
        data = mutate_bytes(rng, data, one_of(rng, pool))
    return _sealed(data) if rng.random() < 0.85 else data


def _finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_finite(v) for v in value)
    return not isinstance(value, float) or is_finite(value)


def check_state(data: bytes) -> str:
    """Stored bytes: a state that the law can work with, or a named error (C3, C11)."""
    try:
        state = decode_state(data)
    except CheckpointError as error:
        return told(error) + str(error)[:36]
    require(_finite(state), "C3 finite", state)
    again = encode_state(state)
    require(len(again) <= STATE_BYTES_MAX, "bounded", len(again))
    require(decode_state(again) == state, "read(write(x)) == x")
    at_s = state.seen_s + 60.0 if 0.0 < state.seen_s < 1e11 else NOON_S
    for failed in (0, 60):
        seen = Observation("stock", at_s, 60.0, at_s + 80.0, 60, errors_fast=failed, attempts=60)
        after, decision = step(state, seen, POLICY)
        require(_finite(after) and _finite(decision), "C3 finite", decision)
        encode_state(after)
        applied = decision.applied
        require(1 <= applied.max_attempts <= 4 and 0.0 < applied.probe_ratio <= 1.0, "C4 bounds", applied)
        if (
            failed == 0
            and state.law.applied.circuit == CircuitState.CLOSED
            and state.hold.kind == HoldKind.NONE
        ):
            require(
                applied.circuit == CircuitState.CLOSED,
                "C7 nothing opens from good windows",
                decision.evidence,
            )
    return f"{state.law.regime.name}, {state.law.applied.circuit.name}"


# --- small records --------------------------------------------------------------------------


@cache
def result_seeds() -> tuple[bytes, ...]:
    """Results of checks."""
    return tuple(
        encode_results([Result(60.0 * i, 12.5, i % 2 == 0) for i in range(n)]) for n in (0, 1, 5, 32)
    )


def check_results(data: bytes) -> str:
    """Results of checks: what was written, or none."""
    found = decode_results(data)
    require(len(found) <= len(data), "bounded", len(found))
    require(repr(decode_results(encode_results(found))) == repr(found), "read(write(x)) == x")
    return f"{min(len(found), 6)} results"


@cache
def fleet_seeds() -> tuple[bytes, ...]:
    """Records of the fleet."""
    full = FleetState(("a", "b"), (("a", NOON_S), ("c", NOON_S + 1)), NOON_S)
    return encode_fleet(FleetState()), encode_fleet(full)


def check_fleet(data: bytes) -> str:
    """The fleet's record: what was written, or an empty one."""
    found = decode_fleet(data)
    require(_finite(found), "C3 finite", found)
    require(decode_fleet(encode_fleet(found)) == found, "read(write(x)) == x", found)
    return f"{min(len(found.open_targets), 3)} open, {min(len(found.tightened), 3)} tightened"


@cache
def record_seeds() -> tuple[bytes, ...]:
    """Records of the publisher, of two releases, and pointers to a policy."""
    fields = {
        "schema": 1,
        "revision": 7,
        "starts": [NOON_S],
        "holds": [["ab", NOON_S]],
        "rollback_seen": 3,
        "intent": ["ab", NOON_S, 7],
        "published": "ab",
        "published_version": 7,
        "edited": ["a"],
        "doubts": [["ab", 7]],
    }
    older = {key: fields[key] for key in ("schema", "revision", "starts", "holds", "rollback_seen", "intent")}
    pointer = {
        "schema": 1,
        "hash": "ab12",
        "before": "",
        "name": "p",
        "by": "nora",
        "why": "drill",
        "at_s": NOON_S,
    }
    return tuple(json.dumps(one).encode() for one in (fields, older, pointer))


def check_record(data: bytes) -> str:
    """The publisher's record, total; and the pointer to the policy, which is never another policy."""
    record = decode_record(data, now_s=NOON_S, limits=Limits())
    require(_finite(record.starts) and all(is_finite(h[1]) for h in record.holds), "C3 finite", record)
    store = MemoryCheckpoints()
    store.items[POINTER_KEY] = Checkpoint(3, data, "w")
    try:
        pointer = read_pointer(store)
    except PolicyError as error:
        return f"revision {record.revision > 0}, {told(error)}"
    require(is_finite(pointer.at_s), "C3 finite", pointer.at_s)
    return f"revision {record.revision > 0}, pointer"


@cache
def observation_seeds() -> tuple[bytes, ...]:
    """Observations as the journal holds them."""
    seen = Observation(
        "stock", NOON_S, 60.0, NOON_S + 80.0, 200, errors_fast=3, attempts=210, latency_ms_p50=12.5
    )
    odd = seen._replace(latency_ms_p99=float("nan"), requests=10**30)
    return tuple(json.dumps(observation_to_json(one)).encode() for one in (seen, odd))


def check_observation(data: bytes) -> str:
    """A recorded observation: read, or refused by name; the law can work with all that is read (C3)."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(plain, dict):
        return "no object"
    try:
        seen = observation_from_json(plain)
    except CheckpointError as error:
        return told(error) + str(error)[:24]
    after, decision = step(_states()[1], seen, POLICY)
    require(_finite(after), "C3 finite", decision)
    if any(isinstance(n, int) and abs(n) > 10**38 for n in seen):
        return (
            "cut"  # a count of more digits than a store takes is written cut short, and is impossible anyway
        )
    require(
        repr(observation_from_json(json.loads(json.dumps(observation_to_json(seen))))) == repr(seen),
        "read(write(x)) == x",
        seen,
    )
    return f"{seen.quality.name}, {decision.evidence[0].reason.name if decision.evidence else ''}"


# --- policies and plans -----------------------------------------------------------------------


@cache
def compiled_seeds() -> tuple[bytes, ...]:
    """Compiled policies: presets, and one with exceptions, canaries and probes."""
    full = {
        **json.loads(compile_set(load_preset("two-loop"))),
        "targets": {"stock": {"open_floor": 0.5, "mode": "shadow"}, "mail": {}},
        "canaries": {"mail": ["checkout-blue"]},
        "probes": {
            "stock": {
                "kind": "http",
                "url": "https://stock.internal/health",
                "every_s": 60,
                "expect_status": ["200-204"],
            },
            "mail": {"kind": "tcp", "host": "mail", "port": 25},
            "db": {"kind": "dynamodb", "table": "abc", "key": {"id": {"S": "health"}}},
            "fn": {"kind": "lambda", "function": "f", "payload": {"a": 1}},
        },
    }
    return json.dumps(full).encode(), compile_set(load_preset("ladder")), compile_set(load_preset("fixed"))


def check_compiled(data: bytes) -> str:
    """A compiled policy: finite numbers, known words, or a named error; and it can be compiled again."""
    try:
        found = load_compiled(data, where="policy.json")
    except PolicyError as error:
        return told(error)
    for policy in (found.default, *found.targets.values()):
        require(_finite(tuple(policy)), "C3 finite", policy)
        step(initial_state(policy), _seen(), policy)
    again = load_compiled(compile_set(found), where="again")
    require(again == found and again.hash == found.hash, "read(write(x)) == x")
    return f"good, {min(len(found.targets), 2)} targets, {min(len(found.probes), 2)} probes"


def _seen() -> Observation:
    return Observation("stock", NOON_S, 60.0, NOON_S + 80.0, 200, errors_fast=150, attempts=260)


@cache
def plan_seeds() -> tuple[bytes, ...]:
    """A plan, as `flyball plan --out` writes it."""
    document = Document(7, "", "ab", {"stock": DEFAULT_PARAMS}, DEFAULT_PARAMS)
    change = {"field": "mode", "before": 1, "after": 2}
    body = {
        "kind": KIND,
        "schema": PLAN_SCHEMA,
        "made_at_s": NOON_S,
        "base": Base(1, "ab", "cd", 3)._asdict(),
        "policy": json.loads(compiled_seeds()[0]),
        "document": json.loads(encode_document(document)),
        "policy_changes": [{"target": "stock", "kind": "changed", "changes": [change]}],
        "document_changes": [],
        "edited": ["stock"],
        "restricted": [],
    }
    return (json.dumps(body).encode(),)


def mutate_plan(rng: Random, pool: Sequence[bytes]) -> bytes:
    """A plan changed; mostly with the digest that fits, as an attacker would write it."""
    data = mutate_json(rng, pool)
    if rng.random() < 0.85:
        try:
            plain = json.loads(data)
            plain.pop("digest", None)
            return json.dumps({**plain, "digest": _digest(plain)}).encode()
        except (ValueError, AttributeError, TypeError, RecursionError):
            return data
    return data


def check_plan(data: bytes) -> str:
    """A plan in a file: what was planned, or a named error."""
    try:
        plan = decode_plan(data, where="plan.json")
    except PlanError as error:
        return told(error) + str(error)[:40]
    require(is_finite(plan.made_at_s), "C3 finite", plan.made_at_s)
    canonical_json(plan.policy_changes)
    return "good"


def doors() -> tuple[Door, ...]:
    """Return the doors of this file."""

    def plain(rng: Random, pool: Sequence[bytes]) -> bytes:
        return _sealed(mutate_bytes(rng, one_of(rng, pool), one_of(rng, pool)))

    json_doors: tuple[tuple[str, Callable[[], Sequence[bytes]], Callable[[Any], str]], ...] = (
        ("fleet-record", fleet_seeds, check_fleet),
        ("publisher-record", record_seeds, check_record),
        ("observations", observation_seeds, check_observation),
        ("compiled-policy", compiled_seeds, check_compiled),
    )
    return (
        Door("checkpoint", state_seeds, mutate_state, check_state),
        Door("check-results", result_seeds, plain, check_results),
        *(Door(name, seeds, mutate_json, check) for name, seeds, check in json_doors),
        Door("plan", plan_seeds, mutate_plan, check_plan),
    )
