"""The circuit item codec: what DynamoDB gives back is read exactly, or refused; never opened by mistake."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import Circuit, CircuitState, ContractError, decode_circuit, encode_circuit
from unit.client.support import circuit

MINIMAL = {
    "target": {"S": "t"},
    "function": {"S": "*"},
    "state": {"S": "forced_open"},
    "version": {"N": "1"},
    "valid_until": {"N": "1764547200"},
}


def test_an_item_is_plain_typed_attributes():
    """Readable in the console, and without fractions where DynamoDB would drop them."""
    item = encode_circuit(circuit(CircuitState.HALF_OPEN, valid_until=1_090.5, budget_ratio=0.1))
    assert item["state"] == {"S": "half_open"}
    assert item["changed_at"] == {"N": "1000"}
    assert item["valid_until"] == {"N": "1090.5"}
    assert item["budget_ratio"] == {"N": "0.1"}
    assert "max_attempts" not in item


TIMES = st.floats(0.0, 4e9)
TEXTS = st.text(max_size=512)
CIRCUITS = st.builds(
    Circuit,
    target=st.text(min_size=1, max_size=512),
    function=st.text(min_size=1, max_size=512),
    state=st.sampled_from(list(CircuitState)),
    changed_at=TIMES,
    error_count=st.integers(0, 10**12),
    probe_ratio=st.floats(0.01, 1.0),
    version=st.integers(0, 2**53 - 1),
    write_id=TEXTS,
    stamp=TIMES,
    valid_until=TIMES,
    reason=TEXTS,
    budget_ratio=st.none() | st.floats(0.0, 3.0),
    max_attempts=st.none() | st.integers(1, 4),
    close_after=st.none() | st.integers(1, 100),
)


@given(circuit=CIRCUITS)
def test_what_is_encoded_is_decoded_unchanged(circuit):
    """To the last bit; unknown attributes beside it change nothing."""
    item = encode_circuit(circuit)
    assert decode_circuit({**item, "expires": {"N": "1"}, "note": {"M": {}}}) == circuit


def test_an_operator_can_write_a_kill_switch_by_hand():
    """O1: five attributes, no controller needed."""
    switch = decode_circuit(MINIMAL)
    assert (switch.state, switch.valid_until, switch.version) == (
        CircuitState.FORCED_OPEN,
        1_764_547_200.0,
        1,
    )


def test_numbers_out_of_bounds_are_clipped():
    """K10: an attacker's item allows no more than the bounds do."""
    wild = {"budget_ratio": {"N": "1e6"}, "max_attempts": {"N": "99"}, "probe_ratio": {"N": "0"}}
    decoded = decode_circuit({**MINIMAL, **wild})
    assert (decoded.budget_ratio, decoded.max_attempts, decoded.probe_ratio) == (3.0, 4, 0.01)


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("target", None),
        ("target", {"S": ""}),
        ("function", {"N": "1"}),
        ("state", {"S": "OPEN"}),
        ("state", {"N": "2"}),
        ("state", "open"),
        ("version", {"N": "-1"}),
        ("version", {"N": "1.5"}),
        ("version", {"N": "1_000"}),
        ("version", {"N": " 1"}),
        ("version", {"N": "٣"}),
        ("version", {"N": 1}),
        ("version", {"N": "1e99"}),
        ("version", {"N": "1", "S": "1"}),
        ("valid_until", {"N": "nan"}),
        ("valid_until", {"N": "Infinity"}),
        ("valid_until", {"N": "9e999"}),
        ("valid_until", {"N": "1e300"}),
        ("valid_until", {"NULL": True}),
        ("reason", {"S": "x" * 513}),
        ("max_attempts", {"N": "2.5"}),
        ("budget_ratio", {"S": "0.1"}),
    ],
)
def test_what_cannot_be_understood_is_refused_and_named(field, attribute):
    """K4: an error, never a circuit."""
    item = {**MINIMAL, field: attribute}
    if attribute is None:
        del item[field]
    with pytest.raises(ContractError) as caught:
        decode_circuit(item)
    assert caught.value.field == field


ATTRIBUTES = st.dictionaries(
    st.sampled_from(["S", "N", "B", "M", "NULL", "BOOL"]),
    st.text(max_size=8) | st.integers() | st.none() | st.booleans() | st.sampled_from(["1", "0.5", "open"]),
    max_size=2,
)


@given(
    item=st.none()
    | st.integers()
    | st.dictionaries(st.text(max_size=8), ATTRIBUTES | st.text() | st.none(), max_size=6)
    | st.dictionaries(st.sampled_from(Circuit._fields), ATTRIBUTES, max_size=13).map(
        lambda d: {**MINIMAL, **d}
    )
)
def test_any_item_gives_a_circuit_or_a_contract_error(item):
    """K4, C11: total, whatever stands in the table."""
    with suppress(ContractError):
        assert isinstance(decode_circuit(item), Circuit)


@pytest.mark.parametrize(
    "fields",
    [
        {"valid_until": float("inf")},
        {"stamp": float("nan")},
        {"version": -1},
        {"write_id": "x" * 600},
        {"target": ""},
    ],
)
def test_what_no_client_could_read_is_not_written(fields):
    """The controller learns of it, not the fleet."""
    with pytest.raises(ContractError):
        encode_circuit(circuit(CircuitState.OPEN, **fields))


def test_a_long_reason_is_cut():
    """It is for people; an item must stay within one read unit."""
    assert len(encode_circuit(circuit(CircuitState.OPEN, reason="x" * 9_999))["reason"]["S"]) == 512
