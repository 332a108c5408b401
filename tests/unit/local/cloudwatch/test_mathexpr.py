"""The metric-math subset: meaning, gaps, and refusal of everything else."""

from __future__ import annotations

import pytest

from flyball_local.cloudwatch.mathexpr import DEPTH_MAX, MathError, Scope, Series, parse


def series(*values: float | None, known: bool = True) -> Series:
    """A series over minutes 0, 60, ...; None is a gap."""
    points = {60 * i: v for i, v in enumerate(values) if v is not None}
    return Series(points, 0, 60.0 * len(values), 60, known)


ERRORS = series(1.0, None, 3.0, 0.0)
REQUESTS = series(4.0, 5.0, 6.0, 0.0)
NEVER = series(None, None, None, None, known=False)
SCOPE = Scope({"e": ERRORS, "r": REQUESTS, "n": NEVER}, ["e", "r"])


def values(text: str) -> list[float | None]:
    points = parse(text).series(SCOPE).points
    return [points.get(60 * i) for i in range(4)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e/r", [0.25, None, 0.5, None]),  # a gap stays a gap; 0/0 is no point
        ("100*e/r", [25.0, None, 50.0, None]),
        ("e + r - 1", [4.0, None, 8.0, -1.0]),
        ("1 - e * 2", [-1.0, None, -5.0, 1.0]),
        ("-(e)", [-1.0, None, -3.0, 0.0]),
        ("--e", [1.0, None, 3.0, 0.0]),
        ("10 / e", [10.0, None, 10.0 / 3.0, None]),
        ("FILL(e, 0)", [1.0, 0.0, 3.0, 0.0]),
        ("FILL(e, -1) / r", [0.25, -0.2, 0.5, None]),
        ("FILL(n, 0)", [None] * 4),  # never reported: nothing to fill
        ("SUM(METRICS())", [5.0, 5.0, 9.0, 0.0]),
        ("SUM([e, r])", [5.0, 5.0, 9.0, 0.0]),
        ("AVG([e, r])", [2.5, 5.0, 4.5, 0.0]),
        ("MAX([e, r])", [4.0, 5.0, 6.0, 0.0]),
        ("MIN([e, r])", [1.0, 5.0, 3.0, 0.0]),
        ("r - MIN(r)", [4.0, 5.0, 6.0, 0.0]),  # an aggregate of one series is a number
        ("e / SUM(e)", [0.25, None, 0.75, 0.0]),
        ("IF(r > 4, e, 9)", [9.0, None, 3.0, 9.0]),
        ("IF(r >= 5, 1, 0)", [0.0, 1.0, 1.0, 0.0]),
        ("IF(1, e, r)", [1.0, None, 3.0, 0.0]),
        ("e > 0 AND r < 6", [1.0, None, 0.0, 0.0]),
        ("e > 2 || r == 4", [1.0, None, 1.0, 0.0]),
        ("e != 1", [0.0, None, 1.0, 1.0]),
        ("r <= 5 && 1", [1.0, 1.0, 0.0, 1.0]),
        ("ABS(1 - e)", [0.0, None, 2.0, 1.0]),
        ("CEIL(r/4) + FLOOR(r/4) + ABS(1)", [3.0, 4.0, 4.0, 1.0]),
        ("1e1 * .5 * e", [5.0, None, 15.0, 0.0]),
    ],
)
def test_expressions_mean_what_the_guide_says(text: str, expected: list[float | None]) -> None:
    """Worked by hand on e = 1, -, 3, 0 and r = 4, 5, 6, 0."""
    assert values(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "e +",
        "(e",
        "e)",
        "e r",
        "FILL(e)",
        "FILL(e, REPEAT)",
        "FILL(5, 0)",
        "FILL(e, r)",
        "RATE(e)",
        "ANOMALY_DETECTION_BAND(e, 2)",
        "SEARCH('x', 'Sum', 60)",
        "METRICS('e')",
        "METRICS()",
        "METRICS() / 2",
        "SUM(1)",
        "SUM([])",
        "SUM(n) + r",
        "SUM([1])",
        "IF(e, METRICS(), 1)",
        "IF(METRICS(), 1, 0)",
        "ABS(METRICS())",
        "1 + 1",
        "SUM(e)",
        "e ^ 2",
        "e; r",
        "unknown + 1",
        "*e",
        "(" * (DEPTH_MAX + 1) + "e" + ")" * (DEPTH_MAX + 1),
        "(" * 1000 + "e",
        "+".join("e" * 1000),
    ],
)
def test_everything_else_is_a_math_error(text: str) -> None:
    """Also hostile nesting: an error, never a crash, and never an empty result."""
    with pytest.raises(MathError):
        parse(text).series(SCOPE)


def test_an_expression_tells_what_it_reads() -> None:
    """The order of evaluation and the check for undefined Ids rest on it."""
    expression = parse("SUM(METRICS()) + IF(a > b, FILL(c, 0), 1)")
    assert (expression.reads, expression.reads_metrics) == ({"a", "b", "c"}, True)


def test_a_lower_case_word_before_a_parenthesis_is_a_function() -> None:
    """AWS takes function names in any case."""
    assert values("fill(e, 0)") == [1.0, 0.0, 3.0, 0.0]
