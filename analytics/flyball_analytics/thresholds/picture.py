"""Thresholds over a history as a picture: the value, what was normal, trip and reset, when each rule fired.

matplotlib is imported when something is drawn (extra `plot`). Values stand above,
rules below on the same time axis, so that a mark can be followed up to what caused it.
Error ratios are drawn on a square-root scale: a baseline of a tenth of a percent and
an outage fit into one picture, and zero still has a place. A pure function of the
analyses: no dates of its own, and SVG identifiers come from a fixed salt.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from flyball_analytics.moments import span_words
from flyball_analytics.thresholds.analysis import Analysis
from flyball_analytics.thresholds.firings import Row
from flyball_analytics.thresholds.rules import RuleResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN, VALUES_IN, RULE_IN, TITLE_IN = 12.0, 2.9, 0.27, 0.9
CLOSE_SHARE = 0.36  # of the width, for the newest windows
CLOSE_WINDOWS = 288  # a day of 5-minute windows: each can be seen
# Okabe and Ito: eight colours that colour-blind people can tell apart.
INK, NORMAL, TRIP, CLEAN, INCIDENT = "#444444", "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GRID = "#e2e2e2"
# More points than pixels only make lines thick: each bin keeps its lowest and highest value.
BINS_MAX = 1_500
# A level that follows the hour is a comb in a picture of weeks; wide bins make a band of it.
LEVEL_BINS_MAX = 150
LEAST_MARK = 0.0025  # of the axis: a firing of one minute in four weeks must still be seen
RATIO_TICKS = (0.0, 0.001, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0)


class _View(NamedTuple):
    """One column of the picture: the stretch that it shows."""

    from_s: float
    to_s: float

    @property
    def least_s(self) -> float:
        """Shortest bar that can be seen."""
        return LEAST_MARK * (self.to_s - self.from_s)


def draw(analyses: Sequence[Analysis], *, form: str) -> bytes:
    """Return the picture of one or more metrics, one above the other, as SVG or PNG.

    The whole history stands on the left; where it is long, its newest windows stand
    beside it, close up.

    Args:
        analyses: At least one; each with windows.
        form: `svg` or `png`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    heights: list[float] = []
    for analysis in analyses:
        heights += [VALUES_IN, RULE_IN * len(analysis.results) + 0.15]
    with rc_context(
        {"svg.hashsalt": "flyball", "svg.fonttype": "none", "font.size": 9.0, "axes.edgecolor": INK}
    ):
        size = (WIDTH_IN, sum(heights) + TITLE_IN * len(analyses))
        figure = Figure(figsize=size, layout="constrained")
        _panels(figure, analyses, heights)
        picture = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(picture, format=form, dpi=120, metadata=metadata)
    return picture.getvalue()


def _panels(figure: Figure, analyses: Sequence[Analysis], heights: Sequence[float]) -> None:
    grid = figure.add_gridspec(len(heights), 2, height_ratios=list(heights), width_ratios=[1.0, CLOSE_SHARE])
    for number, analysis in enumerate(analyses):
        views = _views(analysis)
        for place, view in enumerate(views):
            # A short history has one column; it takes the room of both.
            column = slice(0, 2) if len(views) == 1 else slice(place, place + 1)
            values = figure.add_subplot(grid[2 * number, column])
            rules = figure.add_subplot(grid[2 * number + 1, column], sharex=values)
            _values(values, analysis, view)
            _rules(rules, analysis, view)
            for axes in (values, rules):
                _frame(axes, analysis, view)
            _time_axis(rules, ticks=8 if place == 0 else 4)
            values.tick_params(labelbottom=False, bottom=False)
            if place == 0:
                values.set_title(_title(analysis), loc="left", fontsize=10.5, fontweight="bold", pad=22.0)
                key = values.legend(
                    loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=6, frameon=False, borderaxespad=0.1
                )
                key.set_in_layout(False)  # it may be wider than the picture below, which must not give way
            else:
                values.set_title(
                    f"the newest {span_words(view.to_s - view.from_s)}", loc="right", fontsize=9.0
                )
                values.set_ylabel("")
                values.tick_params(labelleft=False)
                rules.tick_params(labelleft=False)


def _views(analysis: Analysis) -> list[_View]:
    """Return the whole history, and its newest windows where they are a small part of it."""
    starts = [point.start_s for point in analysis.metric.points]
    first, last = min(starts), max(starts) + analysis.metric.period_s
    whole = _View(first, last)
    close_s = CLOSE_WINDOWS * analysis.metric.period_s
    return [whole] if last - first <= 2.0 * close_s else [whole, _View(last - close_s, last)]


def _title(analysis: Analysis) -> str:
    advice = analysis.recommendation
    metric = analysis.metric
    return (
        f"{metric.target} · {metric.name}: {advice.advice.value}  "
        f"({span_words(metric.span_s)}, one window every {span_words(metric.period_s)})"
    )


def _values(axes: Axes, analysis: Analysis, view: _View) -> None:
    """Draw what was normal, the levels of ours, and the value over them."""
    metric = analysis.metric
    every = sorted(analysis.results[-1].rows, key=lambda row: row.start_s)
    rows = [row for row in every if view.from_s <= row.start_s < view.to_s]
    times, low, high = _envelope(rows, "value", BINS_MAX)
    close = len(rows) <= 2 * CLOSE_WINDOWS
    axes.fill_between(
        times, low, high, color=INK, alpha=0.55, lw=0.5, ec=INK, step="post", zorder=1, label="value"
    )
    if close:  # few enough windows for a line over the bands
        axes.plot(times, high, color=INK, lw=1.0, drawstyle="steps-post", zorder=3)
    for field, colour, label in (
        ("level", NORMAL, "normal"),
        ("upper", TRIP, "trips over (lower bound)" if metric.series is not None else "trips over"),
        ("reset", CLEAN, "clean under (plain share)"),
    ):
        _level(axes, rows, field, colour, label)
    if analysis.labels is not None and analysis.labels.incidents:
        axes.fill_between([], [], color=INCIDENT, alpha=0.35, lw=0.0, label="labelled incident")
    if metric.unit == "ratio":
        _ratio_scale(axes, *(_highest(every, field) for field in ("value", "upper")))
    else:
        _value_scale(axes, every, metric.unit)


def _highest(rows: Sequence[Row], field: str) -> float:
    return max(_envelope(rows, field, BINS_MAX)[2], default=0.0)


def _value_scale(axes: Axes, rows: Sequence[Row], unit: str) -> None:
    """Set a linear scale that holds every value and the usual trip level; what rises far above it leaves."""
    from matplotlib.ticker import EngFormatter

    axes.set_ylabel(unit or "value")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    lowest = min(0.0, min(_envelope(rows, "value", BINS_MAX)[1], default=0.0))
    trips = sorted(_envelope(rows, "upper", BINS_MAX)[2])
    usual = trips[int(0.9 * len(trips))] if trips else 0.0
    highest = max(_highest(rows, "value"), usual)
    axes.set_ylim(lowest, lowest + 1.08 * (highest - lowest) if highest > lowest else lowest + 1.0)


def _level(axes: Axes, rows: Sequence[Row], field: str, colour: str, label: str) -> None:
    """Draw one level of ours: a line close up, a band from its lowest to its highest over weeks."""
    close = len(rows) <= BINS_MAX
    times, low, high = _envelope(rows, field, BINS_MAX if close else LEVEL_BINS_MAX)
    if not times:
        return
    style = "--" if field == "reset" else "-"
    if field == "reset" and low != high and not close:
        # Three bands over one another cannot be told apart; close up it is a line, named here.
        axes.plot([], [], color=colour, lw=1.2, ls=style, label=label)
        return
    axes.plot(times, low, color=colour, lw=1.2, ls=style, label=label, drawstyle="steps-post")
    if low != high:
        axes.plot(times, high, color=colour, lw=0.5, drawstyle="steps-post")
        axes.fill_between(times, low, high, color=colour, alpha=0.15, lw=0.0, step="post")
    elif field == "level":
        axes.fill_between(times, high, color=colour, alpha=0.12, lw=0.0, step="post")


def _ratio_scale(axes: Axes, highest: float, trip: float) -> None:
    """Set a square-root scale in percent that holds the highest value and the trip level."""
    top = min(1.0, 1.15 * max(highest, trip, 0.01))
    axes.set_yscale("function", functions=(_root, _square))
    axes.set_ylim(0.0, top)
    ticks = [tick for tick in RATIO_TICKS if tick <= top]
    axes.set_yticks(ticks, [f"{100.0 * tick:g} %" for tick in ticks])
    axes.set_ylabel("failed requests")


def _root(values: object) -> object:
    import numpy as np

    return np.sqrt(np.maximum(np.asarray(values, dtype=float), 0.0))


def _square(values: object) -> object:
    import numpy as np

    return np.asarray(values, dtype=float) ** 2


def _rules(axes: Axes, analysis: Analysis, view: _View) -> None:
    """Draw a lane per rule with a bar per firing; the number of firings stands at the right end."""
    results = analysis.results
    shown = [[f for f in r.firings if f.end_s > view.from_s and f.start_s < view.to_s] for r in results]
    for lane, firings in enumerate(shown):
        bars = [(_day(f.start_s), _day(max(f.end_s - f.start_s, view.least_s))) for f in firings]
        colour = NORMAL if lane == len(results) - 1 else INK
        axes.broken_barh(bars, (lane - 0.36, 0.72), color=colour, lw=0.0)
        axes.annotate(
            f"{len(firings)}",
            (1.0, lane),
            xycoords=("axes fraction", "data"),
            xytext=(4.0, 0.0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    axes.annotate(
        "firings", (1.0, 1.0), xycoords="axes fraction", ha="center", va="bottom", fontsize=7.5, color=INK
    )
    axes.set_yticks(range(len(results)), [_lane_name(result) for result in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _lane_name(result: RuleResult) -> str:
    return result.title if len(result.title) <= 28 else f"{result.title[:27]}…"


def _frame(axes: Axes, analysis: Analysis, view: _View) -> None:
    axes.set_xlim(_day(view.from_s), _day(view.to_s))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="both", linewidth=0.5, color=GRID)
    axes.set_axisbelow(True)
    for incident in () if analysis.labels is None else analysis.labels.incidents:
        end_s = max(incident.end_s + analysis.metric.period_s, incident.start_s + view.least_s)
        if end_s > view.from_s and incident.start_s < view.to_s:
            axes.axvspan(_day(incident.start_s), _day(end_s), color=INCIDENT, alpha=0.35, lw=0.0, zorder=0)


def _time_axis(axes: Axes, *, ticks: int) -> None:
    from matplotlib import dates

    locators: Any = dates.AutoDateLocator  # these two carry no types of their own
    formatters: Any = dates.ConciseDateFormatter
    locator = locators(minticks=3, maxticks=ticks, tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatters(locator, tz=UTC))
    axes.set_xlabel("UTC", loc="left", fontsize=8.0)


def _day(moment_s: float) -> float:
    """Return matplotlib's number of a moment: days since its epoch, which is ours."""
    return moment_s / 86_400.0


def _envelope(rows: Sequence[Row], field: str, bins_max: int) -> tuple[list[float], list[float], list[float]]:
    """Return the start of each bin, its lowest and its highest of one field; NaN and None are left out."""
    there = [(row.start_s, value) for row in rows if (value := getattr(row, field)) is not None]
    there = [(start_s, value) for start_s, value in there if value == value]
    size = max(1, -(-len(there) // bins_max))
    parts = [there[place : place + size] for place in range(0, len(there), size)]
    return (
        [_day(part[0][0]) for part in parts],
        [min(value for _, value in part) for part in parts],
        [max(value for _, value in part) for part in parts],
    )
