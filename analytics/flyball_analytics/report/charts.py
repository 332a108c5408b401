"""One service as a picture: failures, what was normal, thresholds, circuit and parameters on one time axis.

Everything that happened stands above one another, so that a change can be followed up
to what caused it. Ratios are drawn on a square-root scale: a baseline of a tenth of a
per cent and an outage fit into one picture, and zero has a place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_analytics.labels import Incident
from flyball_analytics.moments import span_words, utc
from flyball_analytics.report.bins import Bin, Bins
from flyball_analytics.report.svg import (
    WIDTH,
    area_path,
    line_path,
    number,
    path,
    rect,
    steps_of,
    stretched,
    text,
    time_ticks,
)
from flyball_analytics.report.watch import Watched
from flyball_analytics.wording import CIRCUIT_WORDS, action, percent
from flyball_controller.core.model import Setpoint

VALUES, RIBBON, STRIP, GAP = 168.0, 14.0, 30.0, 24.0  # heights in CSS pixels; GAP has a strip's title
TOP = 20.0  # room for the marks of changes
MARKS_MAX = 80
TICK_GAP, TICK_DROP = 13.0, 4.0  # between two lines of words; from a line's middle to its foot
LEAST = 1.5  # of 1000: a stretch of one minute in four weeks must still be seen
RATIO_TICKS = (0.001, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0)
_HEIGHTS = {CircuitState.OPEN: 1.0, CircuitState.FORCED_OPEN: 1.0, CircuitState.HALF_OPEN: 0.5}
_CLASSES = {CircuitState.OPEN: "open", CircuitState.FORCED_OPEN: "open", CircuitState.HALF_OPEN: "half"}


class Axis(NamedTuple):
    """A span of time over 1000 units."""

    from_s: float
    to_s: float

    def x(self, at_s: float) -> float:
        """Return where a moment stands, kept inside."""
        share = (at_s - self.from_s) / (self.to_s - self.from_s)
        return WIDTH * min(1.0, max(0.0, share))

    def stretch(self, from_s: float, to_s: float) -> tuple[float, float]:
        """Return x and width of a stretch, wide enough to be seen."""
        left = self.x(from_s)
        width = max(LEAST, self.x(to_s) - left)
        return min(left, WIDTH - width), width


class Held(NamedTuple):
    """A setpoint and how long it was in force."""

    from_s: float
    to_s: float
    setpoint: Setpoint


def held(one: Watched) -> list[Held]:
    """Return what was in force from the first window to the last."""
    from_s, to_s = one.bins.from_s, one.bins.to_s
    found, now = [], one.nominal
    for change in one.changes:
        found.append(Held(from_s, change.at_s, now))
        from_s, now = change.at_s, change.applied
    return [*found, Held(from_s, max(from_s, to_s), now)]


def figure(one: Watched, bins: Bins, *, ident: str) -> str:
    """Return the picture of one service.

    Args:
        one: What was watched.
        bins: Its whole span, or a part of it close up.
        ident: Unique on the page; prefix of the ids in it.
    """
    axis = Axis(bins.from_s, bins.to_s)
    top = _top(bins)
    spans = [span for span in held(one) if span.to_s > bins.from_s and span.from_s < bins.to_s]
    ribbon = TOP + VALUES + GAP
    strips = ribbon + RIBBON + GAP
    attempts = strips + STRIP + GAP
    bottom = attempts + STRIP
    parts = [
        stretched(TOP, VALUES, _values(one, bins, axis, top)),
        *_scale(top),
        *_marks(one, axis),
        text("strip", 0.0, ribbon - 6.0, "circuit"),
        stretched(ribbon, RIBBON, _ribbon(spans, axis)),
        *_strip(spans, axis, strips, "retry budget", lambda s: s.budget_ratio, lambda v: f"{v:g}"),
        *_strip(spans, axis, attempts, "attempts", lambda s: float(s.max_attempts), lambda v: f"{v:.0f}"),
        *_time_axis(axis, TOP, bottom),
    ]
    return (
        f'<svg class="fig scaled" width="100%" height="{number(bottom + 20.0)}" role="img" '
        f'aria-labelledby="{ident}-t {ident}-d"><title id="{ident}-t">{escape(one.target)}</title>'
        f'<desc id="{ident}-d">{escape(describe(one, bins))}</desc>{"".join(parts)}</svg>'
    )


def describe(one: Watched, bins: Bins) -> str:
    """Return in words what the picture shows, for those who do not see it."""
    filled = bins.filled.values()
    requests = sum(each.requests for each in filled)
    ratio = sum(each.failures for each in filled) / requests if requests else 0.0
    peak = max((each.high for each in filled), default=0.0)
    changes = sum(bins.from_s <= change.at_s < bins.to_s for change in one.changes)
    incidents = sum(_inside(i, bins) for i in one.labels.incidents) if one.labels is not None else 0
    return (
        f"Failed share of first attempts from {utc(bins.from_s)} to {utc(bins.to_s)}: "
        f"{percent(ratio)} on average, {percent(peak)} in the worst window. "
        f"Changes: {changes}. Labelled incidents: {incidents}. In the whole recording the circuit "
        f"was not closed for {span_words(one.gated_s)}, clients were restricted for "
        f"{span_words(one.restricted_s)}."
    )


def _inside(incident: Incident, bins: Bins) -> bool:
    return incident.end_s >= bins.from_s and incident.start_s < bins.to_s


def _top(bins: Bins) -> float:
    """Return the highest ratio that the scale must hold."""
    highest = max((each.high for each in bins.filled.values()), default=0.0)
    trips = max((each.trip for each in bins.filled.values()), default=0.0)
    need = min(1.0, 1.12 * max(highest, trips, 0.01))
    return next(tick for tick in (0.03, 0.1, 0.25, 0.5, 1.0) if tick >= min(need, 1.0))


def _y(ratio: float, top: float) -> float:
    return VALUES * (1.0 - math.sqrt(min(max(ratio, 0.0), top) / top))


def _values(one: Watched, bins: Bins, axis: Axis, top: float) -> Iterator[str]:
    """Yield the stretches behind, the band of what is normal, the thresholds and the failures over them."""
    yield from _stretches(one, axis)
    for tick in RATIO_TICKS:
        if tick <= top:
            y = _y(tick, top)
            yield path("grid", line_path([(0.0, y), (WIDTH, y)]))
    for run in bins.runs():
        yield from _levels(run, bins, axis, top)


def _levels(run: Sequence[tuple[int, Bin]], bins: Bins, axis: Axis, top: float) -> Iterator[str]:
    """Yield the lines over neighbouring bins."""
    filled = [each for _, each in run]
    edges = [
        (axis.x(bins.from_s + n * bins.width_s), axis.x(bins.from_s + (n + 1) * bins.width_s)) for n, _ in run
    ]

    def level(values: Iterable[float]) -> list[tuple[float, float]]:
        return steps_of([(a, b, _y(value, top)) for (a, b), value in zip(edges, values, strict=True)])

    floor = [(edges[0][0], VALUES), (edges[-1][1], VALUES)]
    yield path("normal", area_path(level(b.expected for b in filled), floor))
    yield path("env", area_path(level(b.high for b in filled), level(b.low for b in filled)))
    yield path("val", line_path(level(b.ratio for b in filled)))
    yield path("trip", line_path(level(b.trip for b in filled)))
    if any(b.open_trip <= top for b in filled):
        yield path("otrip", line_path(level(b.open_trip for b in filled)))


def _stretches(one: Watched, axis: Axis) -> Iterator[str]:
    for gap in one.gaps:
        if gap.before_s <= axis.from_s or gap.after_s >= axis.to_s:
            continue
        x, width = axis.stretch(gap.after_s + one.period_s, gap.before_s)
        yield rect("gap", x, 0.0, width, VALUES, f"no data: {gap.windows} windows from {utc(gap.after_s)}")
    if one.labels is None:
        return
    for ignored in one.labels.ignore:
        if ignored[1] < axis.from_s or ignored[0] >= axis.to_s:
            continue
        x, width = axis.stretch(ignored[0], ignored[1] + one.period_s)
        yield rect("gap", x, 0.0, width, VALUES, f"left out of the score from {utc(ignored[0])}")
    for incident in one.labels.incidents:
        if incident.end_s < axis.from_s or incident.start_s >= axis.to_s:
            continue
        x, width = axis.stretch(incident.start_s, incident.end_s + one.period_s)
        note = f", {incident.note}" if incident.note else ""
        yield rect("inc", x, 0.0, width, VALUES, f"incident from {utc(incident.start_s)}{note}")


def _scale(top: float) -> Iterator[str]:
    """Yield the words of the ratio scale, left of the picture; where they would touch, the lower one goes."""
    taken = -math.inf
    for tick in sorted((t for t in RATIO_TICKS if t <= top), reverse=True):
        y = _y(tick, top)
        if y - taken >= TICK_GAP and VALUES - y >= TICK_GAP:
            yield text("tick y", 0.0, TOP + y + TICK_DROP, percent(tick), "end")
            taken = y
    yield text("tick y", 0.0, TOP + VALUES + TICK_DROP, "0", "end")


def _marks(one: Watched, axis: Axis) -> Iterator[str]:
    """Yield a mark over each change; filled ones tighten. The gravest first where there are too many."""
    paired = [p for p in zip(one.changes, one.costs, strict=True) if axis.from_s <= p[0].at_s <= axis.to_s]
    paired = sorted(paired, key=lambda pair: -pair[1].refused)[:MARKS_MAX]
    for change, _ in sorted(paired, key=lambda pair: pair[0].at_s):
        css = "tight" if change.tightened else "loose"
        x = axis.x(change.at_s) / 10.0
        told = f"{utc(change.at_s)}: {action(change.before, change.applied)}"
        title = f"<title>{escape(told)}</title>"
        yield f'<circle class="{css}" cx="{number(x)}%" cy="11" r="3.5">{title}</circle>'


def _ribbon(spans: Sequence[Held], axis: Axis) -> Iterator[str]:
    """Yield the circuit over time: nothing while closed, half height half-open, full height open."""
    yield rect("closed", 0.0, RIBBON - 2.0, WIDTH, 2.0)
    for span in spans:
        circuit = span.setpoint.circuit
        if circuit in _CLASSES:
            x, width = axis.stretch(span.from_s, span.to_s)
            height = RIBBON * _HEIGHTS[circuit]
            told = (
                f"{CIRCUIT_WORDS[circuit]} for {span_words(span.to_s - span.from_s)} from {utc(span.from_s)}"
            )
            yield rect(_CLASSES[circuit], x, RIBBON - height, width, height, told)


def _strip(
    spans: Sequence[Held],
    axis: Axis,
    y: float,
    title: str,
    value: Callable[[Setpoint], float],
    words: Callable[[float], str],
) -> Iterator[str]:
    """Yield one parameter as a step line with its lowest and highest value in words."""
    values = [value(span.setpoint) for span in spans]
    top = max(values) or 1.0  # all zero: the line lies on the floor
    edges = [
        (axis.x(span.from_s), axis.x(span.to_s), 1.0 + (STRIP - 2.0) * (1.0 - each / top))
        for span, each in zip(spans, values, strict=True)
    ]
    line = steps_of(edges)
    low, high = words(min(values)), words(max(values))
    told = f"{title} {high}" if low == high else f"{title} {low} to {high}"
    yield text("strip", 0.0, y - 6.0, told)
    area = area_path(line, [(line[0][0], STRIP), (line[-1][0], STRIP)])
    yield stretched(y, STRIP, [path("pfill", area), path("param", line_path(line))])


def _time_axis(axis: Axis, top: float, bottom: float) -> Iterator[str]:
    for place, (at_s, words) in enumerate(time_ticks(axis.from_s, axis.to_s)):
        x = axis.x(at_s) / 10.0
        thin = " odd" if place % 2 else ""
        yield (
            f'<line class="grid{thin}" x1="{number(x)}%" x2="{number(x)}%" y1="{number(top)}" '
            f'y2="{number(bottom)}"/>'
        )
        if 3.0 <= x <= 97.0:
            yield text(f"tick{thin}", x, bottom + 15.0, words, "middle")


SPARK_BINS, SPARK_HEIGHT = 72, 22.0


def spark(one: Watched) -> str:
    """Return a sparkline: the worst failed share over time, incidents behind it, openings below."""
    axis = Axis(one.bins.from_s, one.bins.to_s)
    top = max(0.03, max((each.high for each in one.bins.filled.values()), default=0.0))
    body = SPARK_HEIGHT - 4.0
    worst: dict[int, float] = {}
    for place, each in one.bins.filled.items():
        slot = place * SPARK_BINS // one.bins.count
        worst[slot] = max(worst.get(slot, 0.0), each.high)
    width = WIDTH / SPARK_BINS
    parts = []
    for incident in one.labels.incidents if one.labels is not None else ():
        x, wide = axis.stretch(incident.start_s, incident.end_s + one.period_s)
        parts.append(rect("inc", x, 0.0, max(wide, 8.0), body))
    edges = [
        (s * width, (s + 1) * width, body * (1.0 - math.sqrt(worst.get(s, 0.0) / top)))
        for s in range(SPARK_BINS)
    ]
    parts.append(path("sp", area_path(steps_of(edges), [(0.0, body), (WIDTH, body)])))
    for span in held(one):
        if span.setpoint.circuit in _CLASSES:
            x, wide = axis.stretch(span.from_s, span.to_s)
            parts.append(rect("open", x, body + 1.0, max(wide, 8.0), 3.0))
    return (
        f'<svg class="spark" width="140" height="{number(SPARK_HEIGHT)}" '
        f'viewBox="0 0 1000 {number(SPARK_HEIGHT)}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )
