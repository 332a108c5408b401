"""The dead letter as text: whole, one line of ASCII, total to read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import ContractError
from flyball.letter import LETTER_BYTES_MAX, Letter, decode_letter, encode_letter

LETTER = Letter("t", "pay", {"n": 1}, "PaymentError", "down", None, 1_000.0, "k-1")


def test_the_largest_payload_is_kept_and_one_byte_more_is_not():
    """256 KiB is the whole letter, in bytes as sent."""
    frame = len(encode_letter(LETTER._replace(payload="")))
    largest = LETTER._replace(payload="x" * (LETTER_BYTES_MAX - frame))
    assert len(encode_letter(largest)) == 262_144
    with pytest.raises(ContractError) as caught:
        encode_letter(largest._replace(payload=largest.payload + "x"))
    assert (caught.value.field, caught.value.bound) == ("payload", "at most 262144 bytes")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(payload=JSON, texts=st.tuples(*[st.text()] * 5), attempts=st.none() | st.integers(0))
def test_every_letter_comes_back_as_it_was(payload, texts, attempts):
    """And its line is ASCII without a line break, which is all that SQS and a line format ask for."""
    target, function, error, text, key = texts
    letter = Letter(target, function, payload, error, text, attempts, 1.5, key)
    line = encode_letter(letter)
    assert line.isascii()
    assert "\n" not in line
    assert decode_letter(line) == letter
    assert decode_letter(line.encode()) == letter


@given(data=st.binary(max_size=200) | st.text(max_size=200) | JSON.map(json.dumps))
def test_reading_is_total(data):
    """Whatever lies in a queue."""
    with pytest.raises(ContractError):
        decode_letter(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("schema", True),
        ("schema", None),
        ("attempts", -1),
        ("attempts", True),
        ("attempts", 1.0),
        ("first_failed_at", "yesterday"),
        ("first_failed_at", -1),
        ("first_failed_at", False),
        ("first_failed_at", 10**400),
        ("target", None),
        ("idempotency_key", 7),
    ],
)
def test_a_letter_that_is_none_names_the_field(field, value):
    """So that it can be mended by hand."""
    with pytest.raises(ContractError) as caught:
        decode_letter(json.dumps({**LETTER._asdict(), field: value}))
    assert caught.value.field == field


def test_a_letter_needs_a_payload_and_may_have_more_than_we_know():
    """A newer writer's keys are ignored; null is a payload, absent is none."""
    known = LETTER._asdict()
    assert decode_letter(json.dumps({**known, "colour": "red"})) == LETTER
    assert decode_letter(json.dumps({**known, "payload": None})).payload is None
    del known["payload"]
    with pytest.raises(ContractError):
        decode_letter(json.dumps(known))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "253402300800"])
def test_a_time_that_is_none_is_refused(number):
    """JSON's exponents reach infinity, and Python reads NaN."""
    line = encode_letter(LETTER)
    assert "1000.0" in line
    with pytest.raises(ContractError):
        decode_letter(line.replace("1000.0", number))
