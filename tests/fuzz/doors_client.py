"""Doors of the client and of what it shares: document, circuit item, dead letter, experiment."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from flyball.contract import (
    BOUNDS,
    Circuit,
    CircuitState,
    ContractError,
    Document,
    decode_circuit,
    decode_document,
    encode_circuit,
    encode_document,
)
from flyball.errors import SettingsError
from flyball.letter import Letter, decode_letter, encode_letter
from flyball.names import is_target_name
from flyball.records import DEFAULT_PARAMS, SECTIONS
from flyball.testing import ControlledClock
from flyball_handlers import validator
from fuzz.engine import Door, require, told
from fuzz.mutate import mutate_bytes, mutate_tree, one_of

NOON_S = 1_795_435_200.0
WORDS = (
    "schema",
    "revision",
    "generated_at",
    "policy_hash",
    "targets",
    "defaults",
    "retry",
    "budget",
    "breaker",
)


@cache
def document_seeds() -> tuple[bytes, ...]:
    """Documents of several sizes, and of a newer publisher."""
    params = DEFAULT_PARAMS
    targets = {
        f"t-{i}": params._replace(retry=params.retry._replace(max_attempts=1 + i % 4)) for i in range(4)
    }
    plain = encode_document(Document(7, "2026-11-23T12:00:00Z", "ab12", targets, params))
    small = encode_document(Document(0, "", "", {}, params))
    newer = json.dumps(
        {**json.loads(plain), "color": "red", "defaults": {"retry": {"max_attempts": 99}}}
    ).encode()
    full = {section: getattr(params, section)._asdict() for section in SECTIONS}
    spelled = json.dumps(
        {
            "schema": 1,
            "revision": 1,
            "generated_at": "",
            "policy_hash": "",
            "targets": {"a": full},
            "defaults": full,
        }
    ).encode()
    return plain, small, newer, spelled


def mutate_json(rng: Random, pool: Sequence[bytes]) -> bytes:
    """A JSON text changed as a tree, or as bytes."""
    data = one_of(rng, pool)
    if rng.random() < 0.75:
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return mutate_bytes(rng, data, one_of(rng, pool))
        for _ in range(rng.choice((1, 1, 2, 3))):
            tree = mutate_tree(rng, tree, None, WORDS)
        return json.dumps(tree, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    return mutate_bytes(rng, data, one_of(rng, pool))


def _in_bounds(document: Document) -> None:
    for name, params in (("defaults", document.defaults), *document.targets.items()):
        require(name == "defaults" or is_target_name(name), "K10 names", ascii(name))
        for section, fields in BOUNDS.items():
            for field, (low, high) in fields.items():
                value = getattr(getattr(params, section), field)
                require(low <= value <= high, "K10 the client clips", f"{section}.{field}={value!r}")


def check_document(data: bytes) -> str:
    """Both readers: bounded whatever came, and the strict one is never more lenient (A1)."""
    try:
        document = decode_document(data)
    except ContractError as error:
        word = told(error)
        require(_refused(data), "A1 strict refuses what lenient refuses")
        return word
    _in_bounds(document)
    try:
        strict = decode_document(data, strict=True)
    except ContractError as error:
        require(_refused(data), "A1 the validator is the strict reader")
        return f"lenient only, {told(error)}"
    require(strict == document, "A1 both read the same", strict)
    require(not _refused(data), "A1 the validator is the strict reader")
    try:
        written = encode_document(document)
    except ContractError as error:  # a lone surrogate cannot be written as UTF-8
        return f"unwritable, {told(error)}"
    require(decode_document(written, strict=True) == document, "read(write(x)) == x")
    require(encode_document(decode_document(written)) == written, "canonical")
    return f"good, {min(len(document.targets), 3)} targets"


def _refused(data: bytes) -> bool:
    try:
        validator.handler({"content": base64.b64encode(data).decode()})
    except ContractError as error:
        told(error)
        return True
    return False


# --- circuit item ---------------------------------------------------------------------------

OPEN = Circuit("stock", "*", CircuitState.OPEN, 100.0, 9, 0.1, 3, "w", 60.0, 190.0, "errors", 0.2, 2, 4)


@cache
def circuit_seeds() -> tuple[dict[str, dict[str, str]], ...]:
    """Items of every state, and the shortest that an operator may write."""
    states = tuple(encode_circuit(OPEN._replace(state=state)) for state in CircuitState)
    needed = ("target", "function", "state", "version", "valid_until")
    return (
        *states,
        {key: states[0][key] for key in needed},
        encode_circuit(OPEN._replace(budget_ratio=None)),
    )


DIGITS = (
    "0",
    "-0",
    "1e999",
    "-1",
    "1.5",
    "9" * 38,
    "9007199254740993",
    "1E+3",
    "NaN",
    " 1",
    "1_0",
    "0x1",
    "١",
    "253402300801",
)


def mutate_circuit(rng: Random, pool: Sequence[Any]) -> Any:
    """An item with an attribute changed; often a number in another spelling."""
    item = one_of(rng, pool)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if isinstance(item, dict) and item and rng.random() < 0.5:
            item = {
                **item,
                rng.choice(list(item)): {rng.choice(("N", "N", "N", "S", "B", "M")): rng.choice(DIGITS)},
            }
        else:
            item = mutate_tree(
                rng, item, one_of(rng, pool), ("target", "function", "state", "version", "N", "S")
            )
    return item


def check_circuit(item: Any) -> str:
    """Whatever stands in the table is a bounded circuit or an error; an error opens nothing (K4)."""
    try:
        circuit = decode_circuit(item)
    except ContractError as error:
        return told(error)
    numbers = (circuit.changed_at, circuit.probe_ratio, circuit.stamp, circuit.valid_until)
    require(all(math.isfinite(n) and n >= 0.0 for n in numbers), "C3 finite", circuit)
    require(0.0 < circuit.probe_ratio <= 1.0, "K10 the client clips", circuit.probe_ratio)
    require(circuit.max_attempts is None or 1 <= circuit.max_attempts <= 4, "K10 the client clips", circuit)
    require(
        circuit.budget_ratio is None or 0.0 <= circuit.budget_ratio <= 3.0, "K10 the client clips", circuit
    )
    said = item.get("state") if isinstance(item, dict) else None
    require(said == {"S": circuit.state.name.lower()}, "K4 never another state", circuit.state)
    require(decode_circuit(encode_circuit(circuit)) == circuit, "read(write(x)) == x")
    return circuit.state.name


# --- dead letter ----------------------------------------------------------------------------

LETTER = Letter(
    "stock", "pay", {"n": [1, "é", None]}, "PaymentError", "down", 3, 1_000.0, "k-1", "", "attempts"
)


@cache
def letter_seeds() -> tuple[bytes, ...]:
    """Letters with and without payload."""
    return tuple(
        encode_letter(one).encode()
        for one in (LETTER, LETTER._replace(payload=None, attempts=None, problem="x"))
    )


def check_letter(data: bytes) -> str:
    """A line of a dead-letter file or queue."""
    try:
        letter = decode_letter(data)
    except ContractError as error:
        return told(error)
    require(math.isfinite(letter.first_failed_at), "C3 finite", letter.first_failed_at)
    try:
        line = encode_letter(letter)
    except ContractError as error:
        return f"unwritable, {told(error)}"
    require(line.isascii() and "\n" not in line, "O6 one line", ascii(line[:200]))
    require(decode_letter(line) == letter, "read(write(x)) == x")
    return f"good, {type(letter.payload).__name__}"


# --- experiment in the environment -------------------------------------------------------------


@cache
def experiment_seeds() -> tuple[bytes, ...]:
    """Experiments that are over and one that is not."""
    faults = [
        {"target": "stock", "error": "ConnectionError", "ratio": 0.5, "seed": 7},
        {"target": "mail", "latency_s": 2},
    ]
    texts = (
        {"until": "2026-01-05T12:00:00Z", "faults": faults},
        {"until": NOON_S + 3_600, "faults": faults},
    )
    return tuple(json.dumps(text).encode() for text in texts)


def check_experiment(data: bytes) -> str:
    """FLYBALL_FAULTS: on, over, or refused by name."""
    from flyball.environment import Runtime
    from flyball.faults_json import turn_on

    try:
        faults = turn_on(
            data.decode("utf-8", "replace"),
            Runtime(clock=ControlledClock(wall_s=NOON_S, monotonic_s=9.0, draw=lambda: 0.5)),
        )
    except SettingsError as error:
        return told(error)
    return "over" if faults is None else "on"


def doors() -> tuple[Door, ...]:
    """Return the doors of this file."""
    return (
        Door("document", document_seeds, mutate_json, check_document),
        Door("circuit-item", circuit_seeds, mutate_circuit, check_circuit),
        Door("letters", letter_seeds, mutate_json, check_letter),
        Door("experiments", experiment_seeds, mutate_json, check_experiment),
    )
