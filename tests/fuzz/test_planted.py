"""Planted bugs: each law of the doors is shown to fail on code that breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import flyball.document
import flyball_controller.aws.otel as otel
import flyball_controller.codec as codec
import flyball_controller.overrides as overrides
import flyball_controller.ports as ports
import flyball_handlers.alarms as alarms
import flyball_handlers.envelopes as envelopes
from flyball.contract import CircuitState, ContractError, Document, decode_circuit
from flyball.names import is_target_name
from flyball_analytics import rows
from flyball_controller.aws.stream_points import points_in
from flyball_controller.core.fleet import FleetState
from flyball_handlers.envelopes import Delivery, read_delivery
from flyball_handlers.streams import read_stream
from fuzz import doors_client, doors_events, doors_state, engine
from fuzz.doors import all_doors
from fuzz.engine import run_batch

Patch = Callable[[pytest.MonkeyPatch], None]


def _unnamed(patch: pytest.MonkeyPatch) -> None:
    """A reader that did not think of integers beyond a float."""

    def decode(data: bytes) -> FleetState:
        try:
            plain = json.loads(data)
            return FleetState((), (), float(plain["frozen_until_s"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return FleetState()

    patch.setattr(doors_state, "decode_fleet", decode)


def _endless(patch: pytest.MonkeyPatch) -> None:
    """A reader of the wire that does not advance over a message of length 0."""

    def read(data: bytes) -> tuple[list[Any], int]:
        at = 0
        while at < len(data):
            try:
                begin, end = otel.message_end(data, at)
            except otel.WireError:
                return [], 1
            at = end if end > begin else at
        return [], 0

    patch.setattr(doors_events, "read_messages", read)


def _keeping(patch: pytest.MonkeyPatch) -> None:
    """A reader that remembers what it read."""
    kept: list[Any] = []

    def points(data: bytes, reject: Any) -> list[Any]:
        found = list(points_in(data, reject))
        kept.append([data])
        return found

    patch.setattr(doors_events, "points_in", points)


def _allocating(patch: pytest.MonkeyPatch) -> None:
    """A reader that believes a length."""
    patch.setattr(engine, "MEMORY_EVERY", 8)

    def read(data: bytes) -> tuple[list[Any], int]:
        bytearray(1 << 23 if len(data) > 20 else 1)
        return [], 0

    patch.setattr(doors_events, "read_messages", read)


def _forgetful(patch: pytest.MonkeyPatch) -> None:
    """A writer that leaves out the defaults."""
    write = flyball.document.encode_document

    def encode(document: Document) -> bytes:
        return write(document._replace(defaults=flyball.document.DEFAULT_PARAMS))

    patch.setattr(doors_client, "encode_document", encode)


def _poisoned_queue(patch: pytest.MonkeyPatch) -> None:
    """A batch that ends at its first bad record."""

    def read(event: Any, expected: Any) -> Delivery:
        delivery = read_delivery(event, expected)
        bad = next((i for i, item in enumerate(delivery.items) if item.malformed), len(delivery.items))
        return delivery._replace(items=delivery.items[: bad + 1])

    patch.setattr(doors_events, "read_delivery", read)


def _poisoned_stream(patch: pytest.MonkeyPatch) -> None:
    """A stream whose minutes are all lost when one record is damaged."""

    def read(records: Any, expected: Any) -> Any:
        seen = read_stream(records, expected)
        return seen._replace(observations={}) if seen.damaged else seen

    patch.setattr(doors_events, "read_stream", read)


def _late_taken(patch: pytest.MonkeyPatch) -> None:
    """No look at the age of an alarm."""
    patch.setattr(alarms, "_untimely", lambda at_s, facts, now_s: None)


def _foreign_taken(patch: pytest.MonkeyPatch) -> None:
    """No look at the account and region."""
    patch.setattr(alarms, "_foreign", lambda region, account, field, expected: None)


def _unknown_taken(patch: pytest.MonkeyPatch) -> None:
    """Any well-formed name is a target."""

    def usable(candidates: Any, known: Any) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(is_target_name, candidates)))[:50]

    patch.setattr(alarms.targets, "usable", usable)


def _silent(patch: pytest.MonkeyPatch) -> None:
    """An event that comes to nothing at all."""
    patch.setattr(envelopes, "read_alarm", lambda payload, expected, via="": ())


def _unclipped(patch: pytest.MonkeyPatch) -> None:
    """A client that obeys what it is told."""
    patch.setattr(flyball.document, "clip", lambda value, section, field: value)


def _lenient(patch: pytest.MonkeyPatch) -> None:
    """A validator that reads as a client does."""
    patch.setattr(
        doors_client.validator, "decode_document", lambda data, strict: flyball.document.decode_document(data)
    )


def _open_from_nothing(patch: pytest.MonkeyPatch) -> None:
    """An item that cannot be understood opens, to be on the safe side."""

    def decode(item: Any) -> Any:
        try:
            return decode_circuit(item)
        except ContractError:
            return doors_client.OPEN._replace(state=CircuitState.OPEN)

    patch.setattr(doors_client, "decode_circuit", decode)


def _any_number(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint is believed when its checksum fits."""
    patch.setattr(codec, "refuse_impossible", lambda *numbers: None)


def _endless_hold(patch: pytest.MonkeyPatch) -> None:
    """An operator may hold for ever."""
    patch.setattr(overrides, "HOLD_S_MAX", 1e12)


def _template(patch: pytest.MonkeyPatch) -> None:
    """A log line made by a template instead of a JSON writer."""
    patch.setattr(doors_events, "_one_line", lambda blob: f'{{"message": "x", "facts": "{blob["facts"]}"}}')


def _raw_messages(patch: pytest.MonkeyPatch) -> None:
    """Errors that repeat control characters."""
    patch.setattr(ports, "printable", lambda text: text)


def _credulous(patch: pytest.MonkeyPatch) -> None:
    """A table whose contradictions are taken as they are."""
    patch.setattr(rows.RowReader, "_contradiction", lambda *arguments: None)


PLANTED: tuple[tuple[str, str, Patch], ...] = (
    ("fleet-record", "only named errors", _unnamed),
    ("otel-messages", "no hang", _endless),
    ("stream-points", "no growth", _keeping),
    ("otel-messages", "memory in proportion", _allocating),
    ("document", "read(write(x)) == x", _forgetful),
    ("document", "K10 the client clips", _unclipped),
    ("document", "A1 the validator is the strict reader", _lenient),
    ("queue-records", "E2 one item per record", _poisoned_queue),
    ("stream-records", "E2 good neighbours kept", _poisoned_stream),
    ("events", "E3", _late_taken),
    ("events", "E1", _silent),
    ("events", "T7 origin", _foreign_taken),
    ("events", "T1 only known targets", _unknown_taken),
    ("circuit-item", "K4 never another state", _open_from_nothing),
    ("checkpoint", "only named errors", _any_number),
    ("overrides", "O1 every hold ends", _endless_hold),
    ("log-lines", "only named errors", _template),
    ("prometheus", "printable message", _raw_messages),
    ("csv", "impossible is flagged", _credulous),
)


@pytest.mark.parametrize(
    ("door", "law", "plant"), PLANTED, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_planted_bug_is_caught(door: str, law: str, plant: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that has never failed proves nothing."""
    plant(monkeypatch)
    for seed in range(40):
        outcome = run_batch(all_doors()[door], seed, 200, cpu_s=0.2, stop_at=1)
        if law in {failure.law for failure in outcome.failures}:
            return
    pytest.fail(f"not caught: {law}")
