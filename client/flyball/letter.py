"""The dead letter: a record of one call that was given up, and its form as text.

One line of ASCII JSON, the same in a queue and in a file. Writing never fails:
what cannot be written is left out as a whole and named in `problem`, because half
a payload must never be redriven. Reading is total. Knows no sink, no clock and
no guard; see `flyball.deadletter`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from flyball.document import shown
from flyball.errors import ContractError

LETTER_SCHEMA = 1
# 256 KiB: every SQS queue takes a message of this size, and Lambda an event.
LETTER_BYTES_MAX = 262_144
ERROR_TEXT_MAX = 200  # characters; enough to tell errors apart, too little for a payload
KEY_MAX = 1_024  # characters of an idempotency key
TIME_MAX_S = 253_402_300_800.0  # the year 10000


class Letter(NamedTuple):
    """One call that was given up.

    `function` is the Lambda function's name, "" outside. `payload` is a JSON value,
    None if `problem` says why it is missing. `attempts` counts those that were made:
    0 = rejected, None = the writer did not know. `reason` is why there was no other: a
    GaveUp or RejectReason in small letters, "" = not known. `first_failed_at` is epoch
    seconds.
    """

    target: str
    function: str
    payload: Any
    error: str
    error_text: str
    attempts: int | None
    first_failed_at: float
    idempotency_key: str = ""
    problem: str = ""
    reason: str = ""
    schema: int = LETTER_SCHEMA


def encode_letter(letter: Letter) -> str:
    """Return the letter as one line of ASCII JSON, which SQS takes whatever the payload contains.

    Raises:
        ContractError: The payload is no JSON, or the letter is larger than LETTER_BYTES_MAX.

    >>> encode_letter(Letter("a", "", {"n": 1}, "TimeoutError", "", 4, 100.0))[:38]
    '{"attempts":4,"error":"TimeoutError","'
    """
    try:
        text = json.dumps(letter._asdict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as cause:
        raise ContractError(f"payload: no JSON: {cause}", field="payload", value=None) from cause
    if len(text) > LETTER_BYTES_MAX:
        bound = f"at most {LETTER_BYTES_MAX} bytes"
        raise ContractError(
            f"payload: the letter would be {len(text)} bytes; must be {bound}",
            field="payload",
            value=None,
            bound=bound,
        )
    return text


def decode_letter(data: str | bytes) -> Letter:
    """Return the letter in `data`. Total: anything gives a Letter or a ContractError.

    Unknown keys are a newer writer's and are ignored.
    """
    try:
        root = json.loads(data, parse_constant=_refuse_constant)
    except ContractError:
        raise
    except (ValueError, RecursionError) as cause:
        raise ContractError(f"letter: no JSON: {cause}", field="", value=shown(data)) from cause
    if not isinstance(root, dict):
        _fail("letter", root, "an object")
    if root.get("schema") != LETTER_SCHEMA or isinstance(root["schema"], bool | float):
        _fail("schema", root.get("schema"), f"{LETTER_SCHEMA}")
    if "payload" not in root:
        _fail("payload", None, "there")
    attempts, at_s = root.get("attempts"), root.get("first_failed_at")
    if attempts is not None and (not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0):
        _fail("attempts", attempts, "an integer of at least 0, or null")
    if not isinstance(at_s, int | float) or isinstance(at_s, bool) or not 0 <= at_s < TIME_MAX_S:
        _fail("first_failed_at", at_s, "epoch seconds")
    texts = ("target", "function", "error", "error_text", "idempotency_key", "problem", "reason")
    root.setdefault("reason", "")  # not every writer says it
    for field in texts:
        if not isinstance(root.get(field), str):
            _fail(field, root.get(field), "text")
    known = {field: root[field] for field in texts}
    return Letter(payload=root["payload"], attempts=attempts, first_failed_at=float(at_s), **known)


def _fail(field: str, value: object, bound: str) -> NoReturn:
    raise ContractError(f"{field}: {shown(value)} must be {bound}", field=field, value=value, bound=bound)


def _refuse_constant(name: str) -> NoReturn:
    raise ContractError(f"letter: {name} is no JSON number", field="", value=name, bound="finite")


def write_letter(
    error: BaseException,
    *,
    target: str,
    function: str,
    payload: Callable[[], object],
    idempotency_key: Callable[[], str],
    attempts: int | None,
    at: float,
    reason: str = "",
) -> Letter:
    """Return the letter of a call that failed with `error` at `at` (epoch seconds); raises no Exception.

    What goes wrong with payload or key stands in `problem`, and such a letter cannot be redriven.
    """
    letter = Letter(target, function, None, type(error).__name__, one_line(error), attempts, at)
    letter = letter._replace(reason=reason)
    try:
        key: object = idempotency_key()
        if not isinstance(key, str) or len(key) > KEY_MAX:
            _fail("idempotency_key", key, f"text of at most {KEY_MAX} characters")
        letter = letter._replace(idempotency_key=key)
        whole = letter._replace(payload=payload())
        encode_letter(whole)
    except ContractError as cause:
        return letter._replace(problem=str(cause))
    except Exception as cause:  # noqa: BLE001 - the user's own functions must not hide the call's error
        return letter._replace(problem=f"payload or key: {type(cause).__name__}: {one_line(cause)}")
    return whole


def one_line(error: BaseException) -> str:
    """Return the error's text on one line, cut to ERROR_TEXT_MAX characters."""
    try:
        return " ".join(str(error).split())[:ERROR_TEXT_MAX]
    except Exception:  # noqa: BLE001 - somebody's __str__
        return ""
