"""Results of a sweep as a picture and a table: which policies nothing beats in every objective at once.

Takes plain records, so that a sweep's run directory, an Optuna study or a notebook can
fill them. Recomputes the front: a page must not repeat what it has not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from flyball_analytics.report.svg import number, text

HEIGHT, TOP, LEFT, BOTTOM = 260.0, 14.0, 6.0, 34.0  # LEFT in per cent of the width
POINTS_MAX = 1_500  # more dots than that are a cloud; those of the front are always drawn
TABLE_MAX = 12


class Point(NamedTuple):
    """One policy of a sweep. `values`: one per objective, lower is better."""

    name: str
    settings: Mapping[str, object]
    values: tuple[float, ...]


class Effect(NamedTuple):
    """How much one parameter moves one objective: rank correlation, -1..1."""

    parameter: str
    objective: str
    correlation: float


class Sweep(NamedTuple):
    """All of a sweep; `chosen` names the point that was recommended, None if none was."""

    objectives: tuple[str, ...]  # with their unit, as a reader sees them
    points: tuple[Point, ...]
    effects: tuple[Effect, ...] = ()
    chosen: str | None = None
    note: str = ""


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats (nowhere worse, somewhere better), by their first objective.

    Of points that are equal in every objective the first given stands for all.

    >>> points = [Point("a", {}, (1.0, 5.0)), Point("b", {}, (2.0, 3.0)), Point("c", {}, (2.0, 4.0))]
    >>> [point.name for point in front(points)]
    ['a', 'b']
    """
    ordered = sorted(points, key=lambda point: point.values)
    kept: list[Point] = []
    for point in ordered:  # whoever beats it, or equals it, comes before it in this order
        if not any(_as_good(other.values, point.values) for other in kept):
            kept.append(point)
    return kept


def _as_good(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))


def figure(sweep: Sweep, *, ident: str) -> str:
    """Return the first two objectives of every policy; the front is drawn large."""
    best = front(sweep.points)
    names = {point.name for point in best}
    rest = [point for point in sweep.points if point.name not in names][:POINTS_MAX]
    xs = [point.values[0] for point in (*best, *rest)]
    ys = [point.values[1] for point in (*best, *rest)]
    scale_x, scale_y = _Scale.over(xs), _Scale.over(ys)
    dots = [
        *_dots(rest, "dot", 2.5, scale_x, scale_y, sweep.objectives),
        *_dots(best, "front", 5.0, scale_x, scale_y, sweep.objectives),
        *_dots(
            [p for p in best if p.name == sweep.chosen], "chosen", 8.5, scale_x, scale_y, sweep.objectives
        ),
    ]
    words = [
        text("tick", LEFT, HEIGHT - 18.0, f"{scale_x.low:.3g}"),
        text("tick", 100.0, HEIGHT - 18.0, f"{scale_x.high:.3g}", "end"),
        text("strip", 50.0, HEIGHT - 4.0, sweep.objectives[0], "middle"),
        text("tick", 0.0, TOP + 8.0, f"{scale_y.high:.3g}"),
        text("tick", 0.0, HEIGHT - BOTTOM - 2.0, f"{scale_y.low:.3g}"),
        text("strip", LEFT + 1.0, TOP + 8.0, sweep.objectives[1]),
    ]
    frame = (
        f'<line class="axis" x1="{number(LEFT)}%" x2="100%" y1="{number(HEIGHT - BOTTOM)}" '
        f'y2="{number(HEIGHT - BOTTOM)}"/><line class="axis" x1="{number(LEFT)}%" x2="{number(LEFT)}%" '
        f'y1="{number(TOP)}" y2="{number(HEIGHT - BOTTOM)}"/>'
    )
    told = (
        f"{len(sweep.points)} policies by {sweep.objectives[0]} and {sweep.objectives[1]}; "
        f"{len(best)} of them are beaten by none."
    )
    return (
        f'<svg class="fig" width="100%" height="{number(HEIGHT)}" role="img" '
        f'aria-labelledby="{ident}-t {ident}-d">'
        f'<title id="{ident}-t">Pareto front</title><desc id="{ident}-d">{escape(told)}</desc>'
        f"{frame}{''.join(dots)}{''.join(words)}</svg>"
    )


class _Scale(NamedTuple):
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> _Scale:
        """Return the scale that holds the values; a single one gets room around it."""
        low, high = min(values), max(values)
        return cls(low, high) if high > low else cls(low - 0.5, high + 0.5)

    def share(self, value: float) -> float:
        """Return where a value stands, 0..1."""
        return (value - self.low) / (self.high - self.low)


def _dots(
    points: Sequence[Point], css: str, size: float, x: _Scale, y: _Scale, objectives: Sequence[str]
) -> Iterator[str]:
    for point in points:
        left = LEFT + 2.0 + (96.0 - LEFT) * x.share(point.values[0])
        up = HEIGHT - BOTTOM - 8.0 - (HEIGHT - BOTTOM - TOP - 24.0) * y.share(point.values[1])
        told = "; ".join(f"{name} {value:.4g}" for name, value in zip(objectives, point.values, strict=True))
        yield (
            f'<circle class="{css}" cx="{number(left)}%" cy="{number(up)}" r="{number(size)}">'
            f"<title>{escape(point.name)}: {escape(told)}</title></circle>"
        )
