"""The front as a picture: objective against objective, the policy in force, the choice and what became of it.

matplotlib is imported when something is drawn (extra `plot`). Equal outcomes give equal
files: no dates, a fixed salt for SVG identifiers.
"""

from __future__ import annotations

import io
from itertools import combinations
from typing import TYPE_CHECKING

from flyball_analytics.plot import COLOURS
from flyball_analytics.sweep_objectives import Objective
from flyball_analytics.sweep_outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_IN = 4.2
AXES = {
    Objective.DELAY_S: "detection delay, s",
    Objective.FALSE_OPEN_MIN: "false-open minutes a week",
    Objective.RESTRICTED_MIN: "restricted minutes a week",
    Objective.CHANGES: "changes a day",
    Objective.LOST_MIN: "lost requests, min of traffic",
    Objective.COST_USD: "cost, USD a month",
}
PANELS_MAX = 6  # four objectives; more pairs are unreadable


def draw_front(outcome: Outcome, *, form: str) -> bytes:
    """Return the picture as SVG or PNG: one panel per pair of objectives.

    Args:
        outcome: With at least one objective; one alone is drawn against the candidate's number.
        form: `svg` or `png`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(outcome.base.fit)
    pairs = list(combinations(names, 2))[:PANELS_MAX] or [("number", names[0])]
    with rc_context({"svg.hashsalt": "flyball", "svg.fonttype": "none", "font.size": 9.0}):
        figure = Figure(figsize=(PANEL_IN * len(pairs), PANEL_IN), layout="constrained")
        panels = figure.subplots(1, len(pairs), squeeze=False)[0]
        for axes, (across, up) in zip(panels, pairs, strict=True):
            _panel(axes, outcome, across, up)
        figure.suptitle(
            f"{len(outcome.rows)} policies, {len(outcome.front)} on the front; lower left is better",
            fontsize=10.0,
        )
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
        picture = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(picture, format=form, dpi=110, metadata=metadata)
    return picture.getvalue()


def _panel(axes: Axes, outcome: Outcome, across: str, up: str) -> None:
    def place(values: dict[str, float], number: int) -> tuple[float, float]:
        return (float(number) if across == "number" else values[across]), values[up]

    rows = [(place(dict(row.fit), row.number), row.front) for row in outcome.rows]
    others = [point for point, on_front in rows if not on_front]
    members = sorted(point for point, on_front in rows if on_front)
    axes.scatter(*_columns(others), s=12.0, color="#bbbbbb", label="tried")
    axes.scatter(*_columns(members), s=26.0, color=COLOURS[0], label="front")
    base = place(dict(outcome.base.fit), 0)
    axes.scatter(*_columns([base]), s=70.0, marker="s", color=COLOURS[1], label="in force")
    chosen = place(dict(outcome.chosen.fit), outcome.chosen.number)
    axes.scatter(*_columns([chosen]), s=110.0, marker="*", color=COLOURS[2], label="chosen")
    # The held-out history is another one, easier or harder: its two points compare with each other alone.
    for row, marker, colour, words in (
        (outcome.base, "s", COLOURS[1], "in force, held-out history"),
        (outcome.chosen, "*", COLOURS[2], "chosen, held-out history"),
    ):
        if up in row.held and across in (*row.held, "number"):
            there = place(dict(row.held), row.number)
            axes.scatter(
                *_columns([there]), s=90.0, marker=marker, facecolors="none", edgecolors=colour, label=words
            )
    axes.set_xlabel("candidate" if across == "number" else _label(across))
    axes.set_ylabel(_label(up))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, linewidth=0.4, alpha=0.5)


def _label(name: str) -> str:
    return AXES[Objective(name)]


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
