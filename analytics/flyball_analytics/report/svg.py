"""Small pieces of SVG: paths on a grid of 1000 by a height, stretched by the page to any width.

Geometry and text are apart: a nested picture with `preserveAspectRatio="none"` carries
the lines, which keep their stroke width, and text stands beside it at per cent of the
width, so that it has the same size on a telephone and on a wall. Colours are classes:
the page's style sheet knows light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

WIDTH = 1_000.0
Points = Sequence[tuple[float, float]]
HOUR_S, DAY_S = 3_600.0, 86_400.0
# Distances of ticks that fall on what people call round.
_TICKS_S = (
    300.0, 900.0, 1_800.0, HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 2 * DAY_S, 7 * DAY_S,
    14 * DAY_S, 28 * DAY_S, 91 * DAY_S, 182 * DAY_S, 364 * DAY_S,
)  # fmt: skip
TICKS_MAX = 9


def number(value: float) -> str:
    """Return a coordinate with one decimal at most.

    >>> number(3.0), number(2.345), number(-0.04)
    ('3', '2.3', '0')
    """
    text = f"{value:.1f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def line_path(points: Points) -> str:
    """Return `M x y L ...` through the points; empty without points."""
    if not points:
        return ""
    head, *tail = (f"{number(x)} {number(y)}" for x, y in points)
    return f"M{head}" + (f"L{' '.join(tail)}" if tail else "")


def steps_of(edges: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a step line over (from x, to x, y) stretches; equal neighbours are joined.

    >>> steps_of([(0.0, 1.0, 5.0), (1.0, 2.0, 5.0), (2.0, 3.0, 7.0)])
    [(0.0, 5.0), (2.0, 5.0), (2.0, 7.0), (3.0, 7.0)]
    """
    corners: list[tuple[float, float]] = []
    for start, end, y in edges:
        if corners and number(corners[-1][1]) == number(y):
            corners[-1] = (end, corners[-1][1])
        else:
            corners += [(start, y), (end, y)]
    return corners


def area_path(upper: Points, lower: Points) -> str:
    """Return the closed outline between two lines over the same stretch."""
    return f"{line_path([*upper, *reversed(lower)])}Z" if upper else ""


def path(css: str, data: str) -> str:
    """Return a path element; nothing for an empty path."""
    return f'<path class="{css}" d="{data}"/>' if data else ""


def rect(css: str, x: float, y: float, width: float, height: float, title: str = "") -> str:
    """Return a rectangle, with a title for pointers and screen readers if there is one."""
    told = f"><title>{escape(title)}</title></rect>" if title else "/>"
    return (
        f'<rect class="{css}" x="{number(x)}" y="{number(y)}" width="{number(width)}" '
        f'height="{number(height)}"{told}'
    )


def text(css: str, x_percent: float, y: float, words: str, anchor: str = "start") -> str:
    """Return a text at a share of the width."""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{css}" x="{number(x_percent)}%" y="{number(y)}"{at}>{escape(words)}</text>'


def stretched(y: float, height: float, content: Iterable[str], *, css: str = "") -> str:
    """Return a nested picture over the whole width whose inside is 1000 by `height`."""
    named = f' class="{css}"' if css else ""
    return (
        f'<svg{named} x="0" y="{number(y)}" width="100%" height="{number(height)}" '
        f'viewBox="0 0 1000 {number(height)}" preserveAspectRatio="none">{"".join(content)}</svg>'
    )


def time_ticks(from_s: float, to_s: float) -> list[tuple[float, str]]:
    """Return round moments inside a span (UTC) with their words, at most nine; days from midnight.

    >>> time_ticks(1767571200.0, 1767571200.0 + 7200.0)[1]
    (1767572100.0, '00:15')
    """
    span_s = to_s - from_s
    distance_s = next((t for t in _TICKS_S if span_s / t <= TICKS_MAX), _TICKS_S[-1])
    first = -(-from_s // distance_s) * distance_s
    ticks = []
    at_s = first
    while at_s < to_s:
        ticks.append((at_s, _tick_words(at_s, distance_s)))
        at_s += distance_s
    return ticks


def _tick_words(at_s: float, distance_s: float) -> str:
    moment = datetime.fromtimestamp(at_s, UTC)
    if distance_s >= 91 * DAY_S:
        return f"{moment:%b %Y}"
    if distance_s >= DAY_S or (moment.hour == 0 and moment.minute == 0 and distance_s >= 3 * HOUR_S):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}"
