"""Canonical bytes: states for checkpoints, policies for hashing, decisions for the journal.

One value has one encoding, in any process on any platform: fixed-width
little-endian numbers for states, sorted compact JSON for the rest. States carry
a version; bytes that are no state raise CheckpointError and never become an
open circuit (C11). Native store types are avoided on purpose: encoding a nested
map costs a hundred times more than packing it (benchmarks/bench_handlers.py).

A new field means a new STATE_VERSION and a branch in `decode_state` that fills
it for the older one; versions are never reused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from enum import Enum
from math import isfinite
from typing import Any

from flyball.contract import CircuitState
from flyball_controller.codec_limits import refuse_impossible
from flyball_controller.core.baseline import HOURS, MINUTES, RECENT, UNVISITED, VISITS, Baseline
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.evidence import RING_LENGTH_MAX, Window
from flyball_controller.core.inspect import COUNT_MAX, is_finite
from flyball_controller.core.model import Decision, Hold, HoldKind, Observation, Quality, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.promise import Rarity
from flyball_controller.core.state import LawState, State

STATE_VERSION = 2  # 2: the rarity of the evidence for an open, the last day, two visits of each hour
_MAGIC = b"fb"
_HEAD = struct.Struct("<2sBI")  # magic, version, CRC-32 of the body
_LAW = struct.Struct("<BidiBdi4dIIIIB")
_TIMES = struct.Struct("<4dQBd")
_BASE = struct.Struct("<10dq4dqdd")
_SLOTS = struct.Struct(f"<{MINUTES * VISITS}H{HOURS}H{HOURS}H{HOURS}B{RECENT}H")
_BASE_1 = struct.Struct("<9dqdd")
_SLOTS_1 = struct.Struct(f"<{MINUTES * VISITS}H{HOURS}H{HOURS}B")
_RARITY = struct.Struct("<5d")
_WINDOW = struct.Struct("<dd7q")
_HOLD = struct.Struct("<BdHH")
_TEXT_MAX = 500  # of who and why of a hold, in bytes
STATE_BYTES_MAX = 4_096


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace")[:_TEXT_MAX]


def encode_state(state: State) -> bytes:
    """Return the state's canonical bytes, about 1.6 KB, at most STATE_BYTES_MAX."""
    law, applied, base = state.law, state.law.applied, state.baseline
    by, why = _text(state.hold.by), _text(state.hold.why)
    body = b"".join(
        (
            _LAW.pack(
                law.regime,
                applied.max_attempts,
                applied.budget_ratio,
                applied.throttle_base_ms,
                applied.circuit,
                applied.probe_ratio,
                applied.close_after,
                law.changed_s,
                law.loosened_s,
                law.circuit_since_s,
                law.off_since_s,
                law.bad_count,
                law.clean_count,
                law.off_count,
                law.hold_factor,
                law.useless,
            ),
            _TIMES.pack(
                state.stamp_s,
                state.seen_s,
                state.data_s,
                state.valid_until_s,
                state.sequence,
                state.open_allowed,
                state.loosen_frozen_until_s,
            ),
            _BASE.pack(*base[:10], *base[-8:]),
            _SLOTS.pack(*base.minute, *base.hour, *base.hour_before, *base.hour_visits, *base.recent),
            _RARITY.pack(state.rarity.any_s, *state.rarity.independent_s),
            _HOLD.pack(state.hold.kind, state.hold.until_s, len(by), len(why)),
            by,
            why,
            *(_WINDOW.pack(*window) for window in state.ring),
        )
    )
    return _HEAD.pack(_MAGIC, STATE_VERSION, zlib.crc32(body)) + body


def decode_state(data: bytes) -> State:
    """Return the state that `encode_state` packed.

    Raises:
        CheckpointError: For anything else: other magic, newer version, wrong
            length, damaged bytes, numbers that no step could have produced.
    """
    try:
        return _decode(data)
    except CheckpointError:
        raise
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise CheckpointError(f"checkpoint of {len(data)} bytes cannot be read: {error}") from error


def _decode(data: bytes) -> State:
    magic, version, crc = _HEAD.unpack_from(data, 0)
    if magic != _MAGIC:
        raise CheckpointError(f"checkpoint begins with {magic!r}, not {_MAGIC!r}: it is not a flyball state")
    if not 1 <= version <= STATE_VERSION:
        raise CheckpointError(
            f"checkpoint version {version} is not supported (this code reads 1 to {STATE_VERSION}): "
            "run the newer controller, or delete the item to start afresh"
        )
    body = data[_HEAD.size :]
    if zlib.crc32(body) != crc:
        raise CheckpointError(f"checkpoint of {len(data)} bytes is damaged: its checksum does not match")
    at = 0
    law_fields = _LAW.unpack_from(body, at)
    at += _LAW.size
    times = _TIMES.unpack_from(body, at)
    at += _TIMES.size
    numbers_in, slots_in = (_BASE, _SLOTS) if version >= 2 else (_BASE_1, _SLOTS_1)
    base_fields = numbers_in.unpack_from(body, at)
    at += numbers_in.size
    slots = slots_in.unpack_from(body, at)
    at += slots_in.size
    if version == 1:
        base_fields, slots = _from_version_1(base_fields, slots)
    rarity = (0.0,) * 5  # version 1 had none: evidence starts anew
    if version >= 2:
        rarity = _RARITY.unpack_from(body, at)
        at += _RARITY.size
    hold_kind, hold_until_s, by_length, why_length = _HOLD.unpack_from(body, at)
    at += _HOLD.size
    by = body[at : at + by_length].decode("utf-8", "replace")
    at += by_length
    why = body[at : at + why_length].decode("utf-8", "replace")
    at += why_length
    if (len(body) - at) % _WINDOW.size or (len(body) - at) // _WINDOW.size > RING_LENGTH_MAX:
        raise CheckpointError(
            f"checkpoint of {len(data)} bytes has {len(body) - at} bytes of windows left over"
        )
    ring = tuple(Window(*_WINDOW.unpack_from(body, i)) for i in range(at, len(body), _WINDOW.size))
    in_ring = (n for window in ring for n in window)
    numbers = (*law_fields, *times, *base_fields, *rarity, hold_until_s, *in_ring)
    if not all(map(isfinite, numbers)):
        raise CheckpointError("checkpoint holds a number that is not finite")
    refuse_impossible(law_fields, times, base_fields, rarity, ring)
    return State(
        _law(law_fields),
        _baseline(base_fields, slots),
        ring,
        times[0],
        times[1],
        times[2],
        times[3],
        times[4],
        Hold(HoldKind(hold_kind), hold_until_s, by, why),
        bool(times[5]),
        times[6],
        Rarity(rarity[0], (rarity[1], rarity[2], rarity[3], rarity[4])),
    )


def _law(fields: tuple[float, ...]) -> LawState:
    (regime, attempts, budget, base_ms, circuit, probe, close_after, *rest) = fields
    applied = Setpoint(
        int(attempts), budget, int(base_ms), CircuitState(int(circuit)), probe, int(close_after)
    )
    changed_s, loosened_s, circuit_since_s, off_since_s, saturated, clean, off, factor, useless = rest
    return LawState(
        Regime(int(regime)),
        applied,
        changed_s,
        loosened_s,
        circuit_since_s,
        off_since_s,
        int(saturated),
        int(clean),
        int(off),
        int(factor),
        bool(useless),
    )


def _from_version_1(
    fields: tuple[float, ...], slots: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return what version 2 holds: an hour stands for two visits; the last day is unknown."""
    hours = MINUTES * VISITS + HOURS
    before = slots[MINUTES * VISITS : hours]
    return (
        (*fields[:9], 0.0, fields[9], 0.0, 0.0, 0.0, 1.0, -1, 0.0, 0.0),
        (*slots[:hours], *before, *slots[hours:], *(UNVISITED,) * RECENT),
    )


def _baseline(fields: tuple[float, ...], slots: tuple[int, ...]) -> Baseline:
    hour = MINUTES * VISITS
    failures, requests, spread, dispersion, latency, proven, learned, typical, chronic, floor = fields[:10]
    index, hour_failures, hour_requests, peak, best, third, third_failures, third_requests = fields[10:]
    return Baseline(
        failures,
        requests,
        spread,
        dispersion,
        latency,
        proven,
        learned,
        typical,
        chronic,
        floor,
        slots[:hour],
        slots[hour : hour + HOURS],
        slots[hour + HOURS : hour + 2 * HOURS],
        slots[hour + 2 * HOURS : hour + 3 * HOURS],
        slots[hour + 3 * HOURS :],
        int(index),
        hour_failures,
        hour_requests,
        peak,
        best,
        int(third),
        third_failures,
        third_requests,
    )


def canonical_json(value: object) -> bytes:
    """Return sorted, compact UTF-8 JSON; enums by name, NaN refused.

    >>> canonical_json({"b": 1, "a": Quality.OK})
    b'{"a":"OK","b":1}'
    """
    plain = _plain(value)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


_LEAVES = frozenset({str, int, float, bool, type(None)})


def _plain(value: object) -> object:
    if type(value) in _LEAVES:  # most are; enums, which are ints too, have types of their own
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def short_hash(data: bytes) -> str:
    """Return the first 16 hex digits of SHA-256: an identity for journals and policies, not a secret."""
    return hashlib.sha256(data).hexdigest()[:16]


# Fields that policies got after their identities were first stored: left out while they say nothing.
LATER_FIELDS = frozenset({"attempt_timeout_ms", "base_ms", "cap_ms", "max_concurrent"})
_SILENT = Policy()


def policy_content(policy: Policy) -> dict[str, object]:
    """Return what a policy's identity is made of: a policy of before is the same one after an update."""
    return {
        field: value
        for field, value in policy._asdict().items()
        if field not in LATER_FIELDS or value != getattr(_SILENT, field)
    }


def policy_digest(policy: Policy) -> str:
    """Return the identity of a policy: equal for equal numbers, whatever file they came from."""
    return short_hash(canonical_json(policy_content(policy._replace(digest=""))))


def with_digest(policy: Policy) -> Policy:
    """Return the policy carrying its own identity."""
    return policy._replace(digest=policy_digest(policy))


def journal_record(
    decision: Decision,
    seen: Observation,
    before: bytes,
    after: bytes,
    *,
    shadow: bool = False,
    with_state: bool = False,
) -> dict[str, object]:
    """Return the journal's record of one step: its inputs, its result, and the hashes that chain it.

    `before` and `after` are the encoded states; their hashes chain one target's
    records, so that a missing or changed one shows. With `with_state` the record
    also holds the state itself (base64, about 1.6 KB): then it can be recomputed
    bit for bit a year later from nothing but itself and the policy.
    """
    record: dict[str, object] = {
        "schema": 1,
        "target": decision.target,
        "at_s": decision.at_s,
        "sequence": decision.state_version,
        "observation": observation_to_json(seen),
        "regime": decision.regime.name,
        "proposed": _plain(decision.proposed),
        "applied": _plain(decision.applied),
        "changed": decision.changed,
        "urgent": decision.urgent,
        "shadow": shadow,
        "evidence": [_plain(item) for item in decision.evidence],
        "valid_until_s": decision.valid_until_s,
        "error_count": decision.error_count,
        "policy_hash": decision.policy_hash,
        "state_before": short_hash(before),
        "state_after": short_hash(after),
    }
    if with_state:
        record["state"] = base64.b64encode(before).decode("ascii")
    return record


def observation_to_json(seen: Observation) -> dict[str, object]:
    """Return an observation as plain JSON values; numbers that JSON has no word for become text."""
    plain: dict[str, object] = {}
    for key, value in seen._asdict().items():
        if isinstance(value, float) and not is_finite(value):
            plain[key] = repr(value)
        elif isinstance(value, Enum):
            plain[key] = value.name
        elif isinstance(value, int) and abs(value) > COUNT_MAX:
            plain[key] = str(value)[:40]
        else:
            plain[key] = value
    return plain


def observation_from_json(plain: Mapping[str, object]) -> Observation:
    """Return the observation that `observation_to_json` wrote.

    Raises:
        CheckpointError: If a field is unknown, missing or of the wrong type.
    """
    defaults = Observation("", 0.0, 60.0, 0.0)
    values: dict[str, Any] = {}
    for key, value in plain.items():
        if key not in Observation._fields:
            raise CheckpointError(f"observation has an unknown field {key!r}")
        like = getattr(defaults, key)
        try:
            if key == "quality":
                values[key] = Quality[str(value)]
            elif isinstance(like, str):
                values[key] = str(value)
            else:
                values[key] = type(like)(value)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"observation field {key}={value!r} cannot be read: {error}") from error
    for key in ("target", "start_s", "period_s", "arrived_s"):
        if key not in values:
            raise CheckpointError(f"observation lacks the field {key!r}")
    return defaults._replace(**values)
