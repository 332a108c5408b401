"""What checks found, per target, between the probe function that writes it and the round that reads it.

One record per target beside its state (key `#probe/TARGET`): the newest results,
packed. The probe function appends, conditionally; the same slot twice (schedules
deliver at least once) counts once. A round reads the records of targets that are
restricted, and only those: what is nominal needs no proof of recovery.

Good checks in a row become one observation of quality PROBED, which the law
reads (core/probed.py). Gaps break a row: a probe that died and came back proves
nothing about the time between. Damaged bytes are an empty record.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flyball_controller.codec import short_hash
from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, nominal_setpoint
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, Checkpoints, Conflict, PortError
from flyball_controller.probes import Check
from flyball_controller.round_records import Remembered

KEY = "#probe/"  # targets' names begin with a letter or digit: no state has this key
KEPT = 32  # results per record: more than the longest row that the law can ask for (3 x hold_max 8)
GAP = 2.5  # a row may miss one check; two in a row are silence
SAVE_ATTEMPTS = 3
_MAGIC = b"fc"
_HEAD = struct.Struct("<2sBI")
_RESULT = struct.Struct("<df?")
VERSION = 1


class Result(NamedTuple):
    """One check: when it began (epoch seconds), how long it took, and whether the target was well."""

    at_s: float
    latency_ms: float
    good: bool


def key_of(target: str) -> str:
    """Return the key of a target's record.

    >>> key_of("payments-api")
    '#probe/payments-api'
    """
    return KEY + target


def encode_results(results: Iterable[Result]) -> bytes:
    """Return the record's bytes: the newest results, oldest first."""
    body = b"".join(_RESULT.pack(*result) for result in results)
    return _HEAD.pack(_MAGIC, VERSION, zlib.crc32(body)) + body


def decode_results(data: bytes) -> tuple[Result, ...]:
    """Return the results in a record; () for bytes that are none: no evidence, which changes nothing.

    >>> decode_results(encode_results([Result(60.0, 12.5, True)]))
    (Result(at_s=60.0, latency_ms=12.5, good=True),)
    """
    body = data[_HEAD.size :]
    if len(data) < _HEAD.size or len(body) % _RESULT.size:
        return ()
    magic, version, crc = _HEAD.unpack_from(data)
    if (magic, version, crc) != (_MAGIC, VERSION, zlib.crc32(body)):
        return ()
    return tuple(Result(*fields) for fields in _RESULT.iter_unpack(body))


def appended(results: tuple[Result, ...], result: Result, *, slot_s: float) -> tuple[Result, ...]:
    """Return the record with one more result; unchanged if it is not newer than the last by half a slot."""
    if results and result.at_s < results[-1].at_s + slot_s / 2.0:
        return results
    return (*results, result)[-KEPT:]


def write_results(
    checkpoints: Checkpoints, results: Mapping[str, Result], *, slot_s: float, now_s: float
) -> None:
    """Append one result per target.

    Raises:
        PortError: The store fails, or others keep writing the same record.
    """
    stored = checkpoints.load([key_of(target) for target in sorted(results)])
    for target, result in sorted(results.items()):
        _append(checkpoints, key_of(target), stored[key_of(target)], result, slot_s=slot_s, now_s=now_s)


def _append(
    checkpoints: Checkpoints, key: str, stored: Checkpoint, result: Result, *, slot_s: float, now_s: float
) -> None:
    for _ in range(SAVE_ATTEMPTS):
        earlier = decode_results(stored.data)
        now = appended(earlier, result, slot_s=slot_s)
        if now == earlier:
            return
        data = encode_results(now)
        outcome = checkpoints.save(
            key,
            data,
            expected_version=stored.version,
            write_id=short_hash(data),
            stamp_s=result.at_s,
            now_s=now_s,
        )
        if not isinstance(outcome, Conflict):
            return
        stored = outcome.current
    raise PortError(f"{key}: lost {SAVE_ATTEMPTS} races in a row", backend="check book", retryable=True)


def good_row(
    target: str, results: tuple[Result, ...], *, since_s: float, gap_s: float, now_s: float
) -> Observation | None:
    """Return the good checks in a row that lead up to now, None if there are none.

    Args:
        target: Whose.
        results: Oldest first.
        since_s: Checks that began before are left out: they show another setting.
        gap_s: Longest time between two checks of a row, and between the last and now.
        now_s: Time of the round.
    """
    count = 0
    first_s = newest_s = now_s
    slowest_ms = 0.0
    for result in reversed(results):
        if not result.good or not since_s <= result.at_s <= now_s or first_s - result.at_s > gap_s:
            break
        newest_s = newest_s if count else result.at_s
        first_s = result.at_s
        slowest_ms = max(slowest_ms, result.latency_ms)
        count += 1
    if not count:
        return None
    # A window has a length; the last check is over a moment after it began.
    period_s = newest_s - first_s + min(1.0, max(now_s - newest_s, 0.001))
    return Observation(
        target, first_s, period_s, now_s, count, latency_ms_p99=slowest_ms, quality=Quality.PROBED
    )


def is_restricted(state: State, policy: Policy) -> bool:
    """Return whether there is anything that good checks could speak for."""
    return state.law.applied != nominal_setpoint(policy)


def read_rows(
    checkpoints: Checkpoints, known: Mapping[str, Remembered], policies: PolicySet, *, now_s: float
) -> dict[str, Observation]:
    """Return the good rows of the targets that are restricted and have a check that counts as evidence.

    Args:
        checkpoints: The states' store.
        known: The targets of the round with their states.
        policies: With the checks.
        now_s: Time of the round.

    Raises:
        PortError: The store fails.
    """
    asked: dict[str, Check] = {
        name: policies.probes[name]
        for name, item in known.items()
        if name in policies.probes
        and policies.probes[name].evidence
        and is_restricted(item.state, policies.for_target(name))
    }
    if not asked:
        return {}
    stored = checkpoints.load([key_of(name) for name in asked])
    rows = {}
    for name, check in asked.items():
        row = good_row(
            name,
            decode_results(stored[key_of(name)].data),
            since_s=known[name].state.law.changed_s,
            gap_s=GAP * check.every_s,
            now_s=now_s,
        )
        if row is not None:
            rows[name] = row
    return rows
