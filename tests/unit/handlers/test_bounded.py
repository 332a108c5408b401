"""Readers that must survive any value: huge, deep, malformed, hostile."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller import bounded
from flyball_controller.bounded import Fault, Undecodable

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=5)
    | st.binary(max_size=8)
    | st.integers(14_300, 20_000).map(lambda bits: 1 << bits),  # over 4,300 digits
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(value=ANYTHING)
def test_every_reader_gives_a_bounded_value_or_none(value: object) -> None:
    """E1: no exception, and nothing longer than the limit that was named."""
    cut = bounded.text(value, 7)
    assert cut is None or len(cut.encode("utf-8")) <= 7 * 4  # encodable: no lone surrogate is left
    assert len(bounded.shown(value)) < 700  # 80 characters, each at most \UXXXXXXXX when printed
    found = bounded.number(value)
    assert found is None or math.isfinite(found)
    assert len(bounded.numbers(value, 3)) <= 3
    assert len(bounded.members(value, 3)) <= 3
    bounded.instant_s(value)
    bounded.child(value, "a", "b")
    bounded.decode_json(value)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (None, Fault.NOT_TEXT),
        (b"{}", Fault.NOT_TEXT),
        (" " * 262_145, Fault.TOO_LARGE),
        ("[" * 33 + "]" * 33, Fault.TOO_DEEP),
        ('{"a":' * 100_000, Fault.TOO_LARGE),
        ('{"a":' * 50_000, Fault.TOO_DEEP),
        ("9" * 200_000, Fault.NOT_JSON),
        ("-" + "9" * 5_000, Fault.NOT_JSON),
        ("{'a': 1}", Fault.NOT_JSON),
        ("", Fault.NOT_JSON),
        ('"\x00', Fault.NOT_JSON),
    ],
    ids=range(11),
)
def test_a_text_that_cannot_be_decoded_says_why(raw: object, fault: Fault) -> None:
    """T16: size and depth are judged before a parser runs; digits by the interpreter's own limit."""
    result = bounded.decode_json(raw)
    assert isinstance(result, Undecodable)
    assert result.fault is fault
    assert len(result.shown) < 300


def test_the_limits_themselves_are_allowed() -> None:
    """32 levels, 262,144 characters, 4,300 digits pass."""
    assert bounded.decode_json("[" * 32 + "]" * 32) != []
    assert bounded.decode_json('"' + "x" * 262_142 + '"') == "x" * 262_142
    assert bounded.decode_json("9" * 4_300) == 10**4_300 - 1


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    """An alarm's reason may hold any number of brackets; only real nesting is refused."""
    reason = "[" * 500 + '\\"{' * 100
    assert bounded.decode_json(json.dumps({"reason": reason})) == {"reason": reason}


@pytest.mark.parametrize(
    ("piece", "times", "depth"),
    [
        ('\\"', 131_072, 0),
        ('"', 262_144, 0),
        ('"[', 131_072, 65_536),  # every second bracket stands outside a string
        ("\\", 262_144, 0),
        ('"\\', 131_072, 0),
        ("[]{", 87_381, 87_381),
        ('x"\\\\', 65_536, 0),
    ],
)
def test_depth_of_hostile_text_is_exact_and_found_in_one_pass(piece: str, times: int, depth: int) -> None:
    """T16: quotes and backslashes that never close must not make the search start again at each of them.

    A search that backtracks needs minutes for a quarter of a megabyte.
    """
    assert bounded.depth_of(piece * times) == depth


def test_nan_and_infinity_read_as_nothing() -> None:
    """Python's reader accepts words that JSON does not have; no number of ours may be one."""
    assert bounded.decode_json('{"a": NaN, "b": -Infinity, "c": 1e999}') == {
        "a": None,
        "b": None,
        "c": math.inf,
    }
    assert bounded.number(math.inf) is None


@pytest.mark.parametrize(
    ("raw", "at_s"),
    [
        ("2026-11-23T12:00:00.989+0000", 1_795_435_200.989),
        ("2026-11-23T12:00:00Z", 1_795_435_200.0),
        ("2026-11-23T13:00:00+01:00", 1_795_435_200.0),
        ("2026-11-23T12:00:00", None),
        ("2026-13-23T12:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140.0),
        ("٢026-11-23T12:00:00Z", None),
        ("\ud800", None),
        ("2" * 41, None),
        (1_795_435_200, None),
    ],
)
def test_an_instant_needs_a_zone(raw: object, at_s: float | None) -> None:
    """A time without zone would be read in the container's zone."""
    assert bounded.instant_s(raw) == (None if at_s is None else pytest.approx(at_s, abs=1e-3))
