"""Series notation: short to write, and impossible to misread."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.scenarios.notation import (
    NotationError,
    Piece,
    Quantity,
    level_at,
    parse_level,
    parse_series,
    parse_span_s,
)


def test_parts_follow_each_other_without_gaps() -> None:
    """A gap would be a level that nobody wrote."""
    pieces = parse_series("0 x10m, 30% x20m, 0 x30m", Quantity.SHARE)
    assert pieces == (
        Piece(0.0, 600.0, 0.0, 0.0),
        Piece(600.0, 1_800.0, 0.3, 0.3),
        Piece(1_800.0, 3_600.0, 0.0, 0.0),
    )


def test_a_ramp_goes_in_a_line() -> None:
    """Half way through, it is half way up."""
    (piece,) = parse_series("ramp 1 to 2.2 x25m", Quantity.FACTOR)
    assert piece.at(0.0) == 1.0
    assert piece.at(750.0) == pytest.approx(1.6)


def test_a_group_is_repeated_and_groups_may_hold_groups() -> None:
    """Flapping in one line."""
    pieces = parse_series("(1 x1m, (2 x1m, 3 x1m) x2) x2", Quantity.FACTOR)
    assert [piece.first for piece in pieces] == [1.0, 2.0, 3.0, 2.0, 3.0] * 2
    assert pieces[-1].end_s == 600.0


@pytest.mark.parametrize(
    ("text", "quantity", "level"),
    [
        ("12/s", Quantity.RATE, 12.0),
        ("90/min", Quantity.RATE, 1.5),
        ("90/m", Quantity.RATE, 1.5),
        ("7200/h", Quantity.RATE, 2.0),
        ("0.3", Quantity.SHARE, 0.3),
        ("30%", Quantity.SHARE, 0.3),
        ("1.5", Quantity.FACTOR, 1.5),
        ("120ms", Quantity.DELAY, 0.12),
        ("0.5s", Quantity.DELAY, 0.5),
        ("0", Quantity.DELAY, 0.0),
        ("off", Quantity.LIMIT, math.inf),
        ("6/s", Quantity.LIMIT, 6.0),
    ],
)
def test_each_quantity_has_its_own_levels(text: str, quantity: Quantity, level: float) -> None:
    """What a number means must be visible where it stands."""
    assert parse_level(text, quantity) == pytest.approx(level)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("12", Quantity.RATE),
        ("12/week", Quantity.RATE),
        ("off", Quantity.RATE),
        ("1.2", Quantity.SHARE),
        ("130%", Quantity.SHARE),
        ("0", Quantity.FACTOR),
        ("2x", Quantity.FACTOR),
        ("120", Quantity.DELAY),
        ("0/s", Quantity.LIMIT),
        ("-1", Quantity.SHARE),
        ("many", Quantity.SHARE),
    ],
)
def test_a_level_of_another_quantity_is_refused_with_an_example(text: str, quantity: Quantity) -> None:
    """A rate without its unit is the mistake that costs an afternoon."""
    with pytest.raises(NotationError) as caught:
        parse_level(text, quantity)
    assert "write a" in caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1 x10", "1 x10q", "x10m", "1 10m", "1 x1m 2 x1m", "1 x1m,", "ramp 1 2 x1m", "ramp 1 to x1m",
        "(1 x1m", "(1 x1m) x0", "(1 x1m) x2m", "(1 x1m) x1.5", "1 x0m", "1 x1.2.3m", "x", "(1 x1m) x20000",
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(text: str) -> None:
    """Whatever stands there, the answer is a NotationError that says how to write it."""
    with pytest.raises(NotationError) as caught:
        parse_series(text, Quantity.FACTOR)
    assert caught.value.remedy


def test_a_limit_cannot_ramp_to_off() -> None:
    """There is no half of infinity."""
    with pytest.raises(NotationError, match="ramp"):
        parse_series("ramp 6/s to off x10m", Quantity.LIMIT)


@pytest.mark.parametrize("text", ["90", "m", "-5m", "0s", "5 weeks"])
def test_a_span_needs_a_positive_number_and_a_unit(text: str) -> None:
    """`lag: 90` could be seconds or minutes."""
    with pytest.raises(NotationError):
        parse_span_s(text)


def test_beyond_its_end_a_series_has_the_level_it_is_told() -> None:
    """A fault ends, a load goes on: the reader decides."""
    pieces = parse_series("2 x1m", Quantity.FACTOR)
    assert level_at(pieces, 59.9, after=1.0) == 2.0
    assert level_at(pieces, 60.0, after=1.0) == 1.0


@given(st.text(max_size=40))
def test_any_text_is_a_series_or_a_notation_error(text: str) -> None:
    """A scenario file is user input: nothing else may escape."""
    try:
        pieces = parse_series(text, Quantity.FACTOR)
    except NotationError:
        return
    assert pieces[0].start_s == 0.0
    assert all(before.end_s == after.start_s for before, after in pairwise(pieces))
