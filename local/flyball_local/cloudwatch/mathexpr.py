"""The metric-math subset of the embedded CloudWatch: parse once, evaluate over series.

Offered: + - * / on series and numbers, comparisons, AND OR, parentheses, IF,
FILL(series, number), METRICS(), and ABS CEIL FLOOR SUM AVG MIN MAX. Everything
else is refused by name, so that a query which works here works on AWS and one
that needs more than this fails loudly instead of returning nothing.

Rules kept: two series combine only where both have a point; SUM, AVG, MIN and
MAX over an array use the points that are there; a division by zero gives no
point. Knows nothing of stores, clocks or alarms.

Source: Amazon CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

# What a person writes; far below what the interpreter's stack bears (parsing takes
# about 18 frames per level of nesting, evaluating one per operator).
DEPTH_MAX = 20
TOKENS_MAX = 300

_TOKEN = re.compile(
    r"\s*(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"  # number
    r"|[A-Za-z_]\w*"  # Id or function
    r"|<=|>=|==|!=|&&|\|\||[-+*/()<>,\[\]])"
)


class MathError(ValueError):
    """An expression that cannot be parsed or has no meaning here."""


class Series(NamedTuple):
    """Values by period start, with the grid they came from (FILL needs the empty slots too)."""

    points: Mapping[int, float]
    start_s: int
    end_s: float
    period_s: int
    known: bool  # the metric exists, even if this range is empty


Value = float | Series | list[Series]
Evaluate = Callable[["Scope"], Value]


class Scope(NamedTuple):
    """What an expression may refer to: results by Id, and which of them are plain metrics (for METRICS())."""

    results: Mapping[str, Series]
    metrics: Sequence[str]


class Expression(NamedTuple):
    """A parsed expression: the Ids it reads, whether it reads all metrics, and how to evaluate it."""

    reads: frozenset[str]
    reads_metrics: bool
    evaluate: Evaluate

    def series(self, scope: Scope) -> Series:
        """Return the resulting time series; raises MathError if the result is a number or an array."""
        value = self.evaluate(scope)
        if not isinstance(value, Series):
            kind = "an array of series" if isinstance(value, list) else "a number"
            raise MathError(f"the expression gives {kind}, but must give one time series")
        return value


def parse(text: str) -> Expression:
    """Return the parsed expression; raises MathError naming what is not offered.

    >>> e = parse("100 * errors / requests")
    >>> sorted(e.reads)
    ['errors', 'requests']
    >>> grid = dict(start_s=0, end_s=120, period_s=60, known=True)
    >>> scope = Scope({"errors": Series({0: 1.0}, **grid), "requests": Series({0: 4.0, 60: 9.0}, **grid)}, ())
    >>> e.series(scope).points
    {0: 25.0}
    """
    parser = _Parser(text)
    evaluate = parser.either(0)
    if parser.peek is not None:
        raise MathError(f"unexpected {parser.peek!r} in expression {text!r}")
    return Expression(frozenset(parser.reads), parser.reads_metrics, evaluate)


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise MathError(f"cannot read {text[at : at + 12]!r} in expression {text!r}")
        found.append(match[0].strip())
        at = match.end()
    if not 0 < len(found) <= TOKENS_MAX:
        raise MathError(f"the expression has {len(found)} parts; it must have 1 to {TOKENS_MAX}")
    return found


class _Parser:
    """Recursive descent, one method per level of precedence, loosest first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.reads: set[str] = set()
        self.reads_metrics = False

    @property
    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, *wanted: str) -> str | None:
        token = self.peek
        if token is not None and (token in wanted or token.upper() in wanted):
            self.at += 1
            return token.upper()
        return None

    def need(self, token: str) -> None:
        if not self.take(token):
            raise MathError(f"expected {token!r} but found {self.peek!r} in expression {self.text!r}")

    def either(self, depth: int) -> Evaluate:
        if depth > DEPTH_MAX:
            raise MathError(f"the expression is nested deeper than {DEPTH_MAX} levels")
        return self._chain(lambda: self.both(depth), "OR", "||")

    def both(self, depth: int) -> Evaluate:
        return self._chain(lambda: self.comparison(depth), "AND", "&&")

    def comparison(self, depth: int) -> Evaluate:
        return self._chain(lambda: self.total(depth), "<", "<=", ">", ">=", "==", "!=")

    def total(self, depth: int) -> Evaluate:
        return self._chain(lambda: self.product(depth), "+", "-")

    def product(self, depth: int) -> Evaluate:
        return self._chain(lambda: self.sign(depth), "*", "/")

    def _chain(self, tighter: Callable[[], Evaluate], *signs: str) -> Evaluate:
        left = tighter()
        while sign := self.take(*signs):
            left = _binary(sign, left, tighter())
        return left

    def sign(self, depth: int) -> Evaluate:
        negative = False
        while sign := self.take("-", "+"):
            negative ^= sign == "-"
        value = self.atom(depth)
        return _binary("*", _constant(-1.0), value) if negative else value

    def atom(self, depth: int) -> Evaluate:
        word = self.peek
        if word is None:
            raise MathError(f"the expression {self.text!r} ends too early")
        self.at += 1
        if word == "(":
            inner = self.either(depth + 1)
            self.need(")")
            return inner
        if word == "[":
            return _array(self.arguments("]", depth))
        if word[0].isdigit() or word[0] == ".":
            return _constant(float(word))
        if not (word[0].isalpha() or word[0] == "_"):
            raise MathError(f"unexpected {word!r} in expression {self.text!r}")
        if self.take("("):
            return self.call(word.upper(), depth)
        self.reads.add(word)
        return lambda scope: _lookup(scope, word)

    def arguments(self, closing: str, depth: int) -> list[Evaluate]:
        if self.take(closing):
            return []
        found = [self.either(depth + 1)]
        while self.take(","):
            found.append(self.either(depth + 1))
        self.need(closing)
        return found

    def call(self, name: str, depth: int) -> Evaluate:
        if name == "METRICS":
            self.need(")")
            self.reads_metrics = True
            return lambda scope: [scope.results[i] for i in scope.metrics]
        rule = _FUNCTIONS.get(name)
        if rule is None:
            offered = ", ".join(["METRICS", *sorted(_FUNCTIONS)])
            raise MathError(f"function {name} is not offered by this emulator; it has {offered}")
        arity, function = rule
        arguments = self.arguments(")", depth)
        if len(arguments) != arity:
            raise MathError(f"{name} takes {arity} argument(s), not {len(arguments)}")
        return lambda scope: function(*(a(scope) for a in arguments))


def _constant(number: float) -> Evaluate:
    return lambda _scope: number


def _lookup(scope: Scope, name: str) -> Series:
    try:
        return scope.results[name]
    except KeyError as error:
        raise MathError(f"Id {name!r} is not defined in this request") from error


def _array(items: list[Evaluate]) -> Evaluate:
    def build(scope: Scope) -> Value:
        return [_one_series("[...]", item(scope)) for item in items]

    return build


_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else math.nan,
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "AND": lambda a, b: float(bool(a) and bool(b)),
    "&&": lambda a, b: float(bool(a) and bool(b)),
    "OR": lambda a, b: float(bool(a) or bool(b)),
    "||": lambda a, b: float(bool(a) or bool(b)),
}


def _binary(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    apply = _OPERATORS[sign]

    def evaluate(scope: Scope) -> Value:
        a, b = left(scope), right(scope)
        if isinstance(a, list) or isinstance(b, list):
            raise MathError(f"{sign} on an array of series is not offered; aggregate it first, e.g. SUM(...)")
        if isinstance(a, Series):
            other = b.points if isinstance(b, Series) else dict.fromkeys(a.points, b)
            return _finite(a, {t: apply(v, other[t]) for t, v in a.points.items() if t in other})
        if isinstance(b, Series):
            return _finite(b, {t: apply(a, v) for t, v in b.points.items()})
        return apply(a, b)

    return evaluate


def _finite(like: Series, points: Mapping[int, float]) -> Series:
    return like._replace(points={t: v for t, v in points.items() if math.isfinite(v)})


def _one_series(name: str, value: Value) -> Series:
    if not isinstance(value, Series):
        raise MathError(f"{name} takes time series here")
    return value


def _each(name: str, function: Callable[[float], float]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        if isinstance(value, float):
            return function(value)
        series = _one_series(name, value)
        return series._replace(points={t: function(v) for t, v in series.points.items()})

    return apply


def _aggregate(name: str, function: Callable[[list[float]], float]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        if isinstance(value, Series):
            # Over one series the result is one number, over an array one series.
            if not value.points:
                raise MathError(f"{name} of a series without points has no value")
            return function(list(value.points.values()))
        if not isinstance(value, list) or not value:
            raise MathError(f"{name} takes a series or a non-empty array of series")
        by_time: dict[int, list[float]] = {}
        for series in value:
            for at_s, number in series.points.items():
                by_time.setdefault(at_s, []).append(number)
        known = any(series.known for series in value)
        return value[0]._replace(points={t: function(by_time[t]) for t in sorted(by_time)}, known=known)

    return apply


def _fill(value: Value, filler: Value) -> Value:
    """Give every empty period a value; a metric that was never reported stays empty."""
    series = _one_series("FILL", value)
    if not isinstance(filler, float):
        raise MathError(
            "FILL takes a number as second argument here (REPEAT, LINEAR and series are not offered)"
        )
    if not series.known:
        return series
    slots = range(series.start_s, math.ceil(series.end_s), series.period_s)
    return series._replace(points={t: series.points.get(t, filler) for t in slots})


def _if(condition: Value, then: Value, otherwise: Value) -> Value:
    if isinstance(condition, float):
        return then if condition else otherwise
    series = _one_series("IF", condition)
    points = {}
    for at_s, holds in series.points.items():
        chosen = then if holds else otherwise
        number = chosen if isinstance(chosen, float) else _one_series("IF", chosen).points.get(at_s)
        if number is not None:
            points[at_s] = number
    return series._replace(points=points)


_FUNCTIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    "ABS": (1, _each("ABS", abs)),
    "CEIL": (1, _each("CEIL", lambda v: float(math.ceil(v)))),
    "FLOOR": (1, _each("FLOOR", lambda v: float(math.floor(v)))),
    "SUM": (1, _aggregate("SUM", math.fsum)),
    "AVG": (1, _aggregate("AVG", lambda v: math.fsum(v) / len(v))),
    "MIN": (1, _aggregate("MIN", min)),
    "MAX": (1, _aggregate("MAX", max)),
    "FILL": (2, _fill),
    "IF": (3, _if),
}
