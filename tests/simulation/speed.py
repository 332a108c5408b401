"""Pure functions of the product, remembered while a simulation runs: the same content is worked out once.

A run meets the same few documents, states, records and histories hundreds of times,
and so do the runs of a batch. What is remembered is a function of its arguments alone
and neither arguments nor results are ever changed, so that it changes no decision.
A function in whose place something else stands (a planted bug) is left as it is, and
nothing outlives the outermost `with`: a bug planted inside of one of them is met too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from flyball import aws, document, telemetry
from flyball.contract import Document, decode_circuit, decode_document
from flyball.errors import ContractError
from flyball_controller import loop
from flyball_controller.aws import appconfig, operator_publisher, publish_document, publish_plan
from flyball_controller.aws.publish_document import content_hash
from flyball_controller.aws.publish_plan import Limits, Record, decode_record, encode_record
from flyball_controller.codec import decode_state
from flyball_controller.publication import backfill

_KEPT_MAX = 2_000
_UNREADABLE_S = -1.0  # stands in for the time of a record that cannot be read: nobody counts from there


class ByIdentity:
    """A function, remembered for arguments that are the same object as before.

    Arguments are kept alive, so that ids stay their own; they must never change.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._kept: dict[int, tuple[Any, Any]] = {}
        self.cache_clear = self._kept.clear

    def __call__(self, argument: Any) -> Any:
        """As the function."""
        known = self._kept.get(id(argument))
        if known is not None and known[0] is argument:
            return known[1]
        if len(self._kept) > _KEPT_MAX:
            self._kept.clear()
        result = self._function(argument)  # one that raises is asked again
        self._kept[id(argument)] = (argument, result)
        return result


@lru_cache(maxsize=512)
def document_of(data: bytes, *, strict: bool = False) -> Document:
    """As `decode_document`; what a strict reader accepts, every reader reads alike."""
    if strict:
        return decode_document(data, strict=True)
    try:
        return document_of(data, strict=True)
    except ContractError:
        return decode_document(data)


@lru_cache(maxsize=512)
def _readable_record(data: bytes) -> Record:
    return decode_record(data, now_s=_UNREADABLE_S, limits=Limits())


def _record_of(data: bytes, *, now_s: float, limits: Limits) -> Record:
    record = _readable_record(data)
    return decode_record(data, now_s=now_s, limits=limits) if _UNREADABLE_S in record.starts else record


@lru_cache(maxsize=64)
def _past_of(state: Any, history: Any, policy: Any, now_s: float) -> Any:
    return backfill(state, history, policy, now_s=now_s)


def _backfilled(state: Any, history: Any, policy: Any, *, now_s: float) -> Any:
    return _past_of(state, history, policy, now_s)


@lru_cache(maxsize=2_048)
def _lines_of(counts: tuple[int, ...], latencies: tuple[float, ...], target: str, function: str) -> list[str]:
    counters = telemetry.Counters()
    for name, count in zip(_COUNTS, counts, strict=True):
        setattr(counters, name, count)
    counters.latencies_ms.extend(latencies)
    return _REAL_LINES(counters, target=target, function=function, now_s=0.0)


def _lines(counters: Any, *, target: str, function: str, now_s: float) -> list[str]:
    """As `emf_lines`, but for the time stamp: environments throw their lines away."""
    counts = tuple([getattr(counters, name) for name in _COUNTS])
    return _lines_of(counts, tuple(counters.latencies_ms), target, function)


_COUNTS = tuple(name for name in telemetry.Counters.__slots__ if name != "latencies_ms")
_REAL_LINES = telemetry.emf_lines
state_of = lru_cache(maxsize=2_048)(decode_state)
circuit_of = ByIdentity(decode_circuit)
hash_of = ByIdentity(content_hash)
_record_bytes = lru_cache(maxsize=512)(encode_record)
_MEMORIES: tuple[Any, ...] = (
    document_of,
    _readable_record,
    _record_bytes,
    _past_of,
    _lines_of,
    state_of,
    circuit_of,
    hash_of,
)
PLACES: tuple[tuple[Any, str, Any, Any], ...] = (
    (document, "decode_document", decode_document, document_of),
    (publish_document, "decode_document", decode_document, document_of),
    (publish_document, "content_hash", content_hash, hash_of),
    (publish_plan, "decode_record", decode_record, _record_of),
    (appconfig, "decode_record", decode_record, _record_of),
    (operator_publisher, "decode_record", decode_record, _record_of),
    (appconfig, "encode_record", encode_record, _record_bytes),
    (loop, "backfill", backfill, _backfilled),
    (loop, "decode_state", decode_state, state_of),
    (aws, "decode_circuit", decode_circuit, circuit_of),
    (telemetry, "emf_lines", _REAL_LINES, _lines),
)
_depth = 0


@contextmanager
def remembering() -> Iterator[None]:
    """Remember for the length of a `with`; one inside of another shares its memory."""
    global _depth
    set_here = [(where, name, real) for where, name, real, _ in PLACES if getattr(where, name) is real]
    for where, name, real, quick in PLACES:
        if getattr(where, name) is real:
            setattr(where, name, quick)
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        for where, name, real in set_here:
            setattr(where, name, real)
        if not _depth:
            for memory in _MEMORIES:
                memory.cache_clear()
