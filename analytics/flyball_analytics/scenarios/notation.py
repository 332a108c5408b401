"""Series as people write them: `"0 x10m, 0.3 x20m, ramp 0.3 to 0 x5m, (0.6 x2m, 0 x2m) x4"`.

A series is a comma-separated list of parts. A part is a level and how long it
holds (`LEVEL xSPAN`), a ramp (`ramp LEVEL to LEVEL xSPAN`), or a group and how
often it is repeated (`( ... ) xCOUNT`). Spans carry a unit (s, m, h, d) and
counts do not, so the two cannot be mistaken for each other.

What a level may be depends on the quantity: a rate needs its unit (`12/s`,
`3/min`), a share may be written as `30%`, a delay needs `ms` or `s`. Nothing
here knows what a series is for.
"""

from __future__ import annotations

import math
import re
from enum import IntEnum
from typing import NamedTuple

SPAN_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
PIECES_MAX = 10_000  # a mistyped count must not fill the memory
_TOKEN = re.compile(r"\s*(?:([(),])|x\s*([0-9.]+)\s*([a-z]*)|([^\s(),]+))")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(.*)")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


class NotationError(ValueError):
    """Text that is no series; `remedy` says how to write one."""

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.remedy = remedy


class Quantity(IntEnum):
    """What a level measures."""

    RATE = 0  # per second
    SHARE = 1  # 0..1
    FACTOR = 2  # > 0, 1 = as always
    DELAY = 3  # seconds
    LIMIT = 4  # a rate, or `off`


_EXAMPLES = {
    Quantity.RATE: "a rate like 12/s, 30/min or 900/h",
    Quantity.SHARE: "a share from 0 to 1, or like 30%",
    Quantity.FACTOR: "a factor above 0 like 1.5",
    Quantity.DELAY: "a delay like 120ms or 0.5s",
    Quantity.LIMIT: "a limit like 6/s, or off",
}


class Piece(NamedTuple):
    """A stretch [start_s, end_s) over which the level goes in a line from `first` to `last`."""

    start_s: float
    end_s: float
    first: float
    last: float

    def at(self, at_s: float) -> float:
        """Return the level at a time within.

        >>> Piece(0.0, 100.0, 1.0, 2.0).at(50.0)
        1.5
        """
        if self.first == self.last:
            return self.first
        return self.first + (self.last - self.first) * (at_s - self.start_s) / (self.end_s - self.start_s)


def level_at(pieces: tuple[Piece, ...], at_s: float, *, after: float) -> float:
    """Return the level of a series at `at_s` (>= 0), `after` beyond its end."""
    for piece in pieces:
        if at_s < piece.end_s:
            return piece.at(at_s)
    return after


def parse_level(text: str, quantity: Quantity) -> float:
    """Return the level in seconds, per second, or plain; LIMIT `off` is infinite.

    Raises:
        NotationError: If the text is no such level.

    >>> parse_level("90/min", Quantity.RATE), parse_level("30%", Quantity.SHARE)
    (1.5, 0.3)
    """
    word = text.strip()
    if quantity is Quantity.LIMIT and word == "off":
        return math.inf
    match = _NUMBER.fullmatch(word)
    level = _level(float(match[1]), match[2], quantity) if match else None
    if level is None:
        raise NotationError(f"{word!r} is no level", remedy=f"write {_EXAMPLES[quantity]}")
    return level


def _level(number: float, unit: str, quantity: Quantity) -> float | None:
    """Return the level, None if the unit does not fit or the number is out of range."""
    if quantity in (Quantity.RATE, Quantity.LIMIT):
        per_s = SPAN_S.get(unit[1:]) if unit.startswith("/") else None
        if per_s is None or (quantity is Quantity.LIMIT and number <= 0.0):
            return None
        return number / per_s
    if quantity is Quantity.SHARE:
        share = number / 100.0 if unit == "%" else number
        return share if unit in ("", "%") and share <= 1.0 else None
    if quantity is Quantity.FACTOR:
        return number if unit == "" and number > 0.0 else None
    scale = {"ms": 0.001, "s": 1.0}.get(unit, 1.0 if number == 0.0 and unit == "" else math.nan)
    return None if math.isnan(scale) else number * scale


def parse_span_s(text: str) -> float:
    """Return the seconds of `90s`, `10m`, `1.5h` or `2d`; a span without a unit is refused.

    Raises:
        NotationError: If it is no positive span with a unit.

    >>> parse_span_s("1.5h")
    5400.0
    """
    match = _SPAN.fullmatch(text.strip())
    unit_s = SPAN_S.get(match[2]) if match else None
    if match is None or unit_s is None or float(match[1]) <= 0.0:
        raise NotationError(f"{text!r} is no span", remedy="write it like 90s, 10m, 1.5h or 2d")
    return float(match[1]) * unit_s


def parse_series(text: str, quantity: Quantity) -> tuple[Piece, ...]:
    """Return the pieces of a series, from 0 s on, without gaps.

    Raises:
        NotationError: If the text is no series of this quantity.

    >>> [tuple(p) for p in parse_series("0 x10m, ramp 0 to 50% x5m", Quantity.SHARE)]
    [(0.0, 600.0, 0.0, 0.0), (600.0, 900.0, 0.0, 0.5)]
    >>> len(parse_series("(1 x1m, 2 x1m) x3", Quantity.FACTOR))
    6
    """
    parser = _Parser(text, quantity)
    parts = parser.series()
    if parser.more:
        raise NotationError(f"unexpected {parser.shown!r}", remedy="parts are separated by commas")
    pieces: list[Piece] = []
    start_s = 0.0
    for span_s, first, last in parts:
        pieces.append(Piece(start_s, start_s + span_s, first, last))
        start_s += span_s
    return tuple(pieces)


_Part = tuple[float, float, float]  # span_s, first, last


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, quantity: Quantity) -> None:
        self._quantity = quantity
        self._tokens: list[tuple[str, str, str]] = []  # kind, text, unit
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:  # a lone x: everything else is a word
                raise NotationError(f"{text[position:].strip()!r} is no part", remedy=_HOW)
            position = match.end()
            mark, number, unit, word = match.groups()
            if mark:
                self._tokens.append((mark, mark, ""))
            elif number:
                self._tokens.append(("x", number, unit))
            else:
                self._tokens.append(("word", word, ""))
        self._next = 0

    @property
    def more(self) -> bool:
        return self._next < len(self._tokens)

    @property
    def shown(self) -> str:
        return self._tokens[self._next][1] if self.more else "the end"

    def _take(self, kind: str, *, wanted: str) -> tuple[str, str]:
        if not self.more or self._tokens[self._next][0] != kind:
            raise NotationError(f"{self.shown!r} stands where {wanted} should", remedy=_HOW)
        _, text, unit = self._tokens[self._next]
        self._next += 1
        return text, unit

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self.more else ""

    def series(self) -> list[_Part]:
        parts = self._part()
        while self._peek() == ",":
            self._next += 1
            parts += self._part()
        return parts

    def _part(self) -> list[_Part]:
        if self._peek() == "(":
            return self._group()
        word, _ = self._take("word", wanted="a level")
        if word != "ramp":
            level = parse_level(word, self._quantity)
            return [(self._span(), level, level)]
        first = parse_level(self._take("word", wanted="a level")[0], self._quantity)
        to, _ = self._take("word", wanted="'to'")
        if to != "to":
            raise NotationError(f"{to!r} stands where 'to' should", remedy="write ramp 0 to 30% x10m")
        last = parse_level(self._take("word", wanted="a level")[0], self._quantity)
        if math.isinf(first) or math.isinf(last):
            raise NotationError("a ramp cannot begin or end with off", remedy="give it a number")
        return [(self._span(), first, last)]

    def _group(self) -> list[_Part]:
        self._next += 1
        inside = self.series()
        self._take(")", wanted="')'")
        number, unit = self._take("x", wanted="how often the group is repeated, like x5,")
        if unit or not number.isdigit() or int(number) < 1:
            raise NotationError(f"'x{number}{unit}' is no count", remedy="repeat a group like ( ... ) x5")
        if len(inside) * int(number) > PIECES_MAX:
            raise NotationError(f"x{number} makes over {PIECES_MAX} pieces", remedy="repeat it less often")
        return inside * int(number)

    def _span(self) -> float:
        number, unit = self._take("x", wanted="how long the level holds, like x10m,")
        return parse_span_s(number + unit)


_HOW = "a part is LEVEL xSPAN, ramp LEVEL to LEVEL xSPAN, or ( ... ) xCOUNT"
