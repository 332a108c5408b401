"""Typed attributes: reading is total, writing refuses what DynamoDB cannot store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.aws.tables import expires, number, read_bytes, read_number, read_text, read_version
from flyball_controller.ports import PortError
from unit.aws.doubles import Waits

attributes = st.dictionaries(
    st.sampled_from(["S", "N", "B", "M"]),
    st.none()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.integers()
    | st.sampled_from(["1e999", "nan", "٣"]),
    max_size=2,
)


@given(attributes)
def test_any_attribute_reads_as_its_type_or_as_none(attribute: dict[str, object]):
    """Something else may have written the item; a reader must not fall over it."""
    item = {"x": attribute}
    assert isinstance(read_text(item, "x"), str | None)
    assert isinstance(read_bytes(item, "x"), bytes | None)
    assert isinstance(read_number(item, "x"), float | None)
    version = read_version(item, "x")
    assert version is None or version >= 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_with_every_digit(value: float):
    """Stamps are compared: a rounded one could order two windows wrongly."""
    assert float(number(value, field="x")["N"]) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused_with_its_field(value: float):
    """The caller has to clamp; the error says where."""
    with pytest.raises(PortError, match="stamp"):
        number(value, field="stamp")
    with pytest.raises(PortError, match="expires"):
        expires(value)


def test_pauses_double_up_to_their_cap():
    """0.05 s doubled per try, at most 1 s, times the draw of one half: 0.05, 0.1, 0.2, 0.4, 0.5."""
    waits = Waits()
    pauses = waits.pauses()
    for attempt in range(1, 6):
        pauses.wait(attempt)
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.5]
