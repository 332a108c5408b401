"""A search as text: verdict, front beside the policy in force, what matters, what could not be run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flyball_analytics.moments import span_words
from flyball_analytics.space import Value
from flyball_analytics.sweep_objectives import TITLES, Objective, Scored
from flyball_analytics.sweep_outcome import Outcome
from flyball_analytics.sweep_patch import verdict

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 118
FRONT_MAX = 12
EFFECTS_MAX = 5  # per objective; further fields hardly move it
UNITS = {
    Objective.DELAY_S: "delay",
    Objective.FALSE_OPEN_MIN: "false-open min/w",
    Objective.RESTRICTED_MIN: "restricted min/w",
    Objective.CHANGES: "changes/day",
    Objective.LOST_MIN: "lost min",
    Objective.COST_USD: "USD/month",
}
NOTE = """\
Smaller is better everywhere. Each cell: fitted history, then > held-out history. * chosen. A missed incident
counts with its whole length. The replay is open loop: what was recorded does not react."""


def cell(name: str, value: float | None) -> str:
    """Return a value for people; `-` for None.

    >>> cell("delay_s", 90.0), cell("changes", 0.25)
    ('1.5 min', '0.25')
    """
    if value is None:
        return "-"
    return span_words(value) if name == Objective.DELAY_S else f"{value:.3g}"


def point_text(point: Mapping[str, Value]) -> str:
    """Return the fields of a point in one line.

    >>> point_text({"open_floor": 0.5, "law": "ladder"}), point_text({})
    ('open_floor=0.5 law=ladder', 'in force')
    """
    words = [
        f"{field}={str(value).lower() if isinstance(value, bool) else value}"
        for field, value in point.items()
    ]
    return " ".join(words) or "in force"


def outcome_text(outcome: Outcome) -> str:
    """Return the whole outcome."""
    parts = [_sentence(outcome), _tables(outcome), NOTE]
    if outcome.absent:
        why = "no labelled incident" if Objective.DELAY_S in outcome.absent else "no data"
        parts.append(f"not shown by this history ({why}): {', '.join(outcome.absent)}")
    if outcome.refused:
        reasons = "; ".join(outcome.refused[:3])
        parts.append(f"{outcome.refused_points} points of the space are no policies: {reasons}")
    if outcome.poison:
        parts.append("could not be run, in three attempts each:")
        parts += [f"  {one.source} (shard {one.key[:12]}): {one.error}" for one in outcome.poison]
        if outcome.left_out:
            parts.append(f"histories left out for all candidates: {', '.join(outcome.left_out)}")
        if outcome.dropped:
            parts.append(f"candidates dropped: {', '.join(str(number) for number in outcome.dropped)}")
    return "\n".join(parts)


def _sentence(outcome: Outcome) -> str:
    tried, on_front = len(outcome.rows), len(outcome.front)
    fitted, held = outcome.incidents
    return (
        f"{tried} policies tried, {on_front} on the front; {fitted} incidents fitted on, {held} held out "
        f"({outcome.ask.holdout}).\n"
        f"Chosen: number {outcome.chosen.number}, {point_text(outcome.changed)}. "
        f"{verdict(outcome.base, outcome.chosen)}\n"
    )


def _tables(outcome: Outcome) -> str:
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=WIDTH, no_color=True, highlight=False)
    console.print(_front_table(outcome))
    if outcome.effects:
        console.print(_effects_table(outcome))
    return text.getvalue()


def _front_table(outcome: Outcome) -> Table:
    from rich import box
    from rich.table import Table

    names = [name.value for name in outcome.ask.objectives if name.value not in outcome.absent]
    shown = _shown(outcome)
    hidden = len(outcome.front) - sum(row.front for row in shown)
    title = "Pareto front" + (f" ({hidden} more in --format json)" if hidden else "")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("number")
    table.add_column("changed", overflow="fold")
    for name in names:
        table.add_column(UNITS[Objective(name)], justify="right")
    table.add_column("missed", justify="right")
    for row in shown:
        mark = "*" if row.number == outcome.chosen.number else ""
        table.add_row(
            f"{row.number}{mark}",
            point_text(row.measured.candidate.point),
            *(_both(name, row) for name in names),
            _missed(row, outcome),
        )
    return table


def _shown(outcome: Outcome) -> list[Scored]:
    """Return the policy in force, then the front, thinned evenly where it is long; always the chosen one."""
    members = [row for row in outcome.front if row.number]
    if len(members) > FRONT_MAX:
        step = (len(members) - 1) / (FRONT_MAX - 1)
        places = {round(number * step) for number in range(FRONT_MAX)}
        members = [
            row for place, row in enumerate(members) if place in places or row.number == outcome.chosen.number
        ]
    if outcome.chosen.number and outcome.chosen not in members:
        members.append(outcome.chosen)
    return [outcome.base, *members]


def _both(name: str, row: Scored) -> str:
    fit = cell(name, row.fit.get(name))
    return f"{fit} > {cell(name, row.held[name])}" if name in row.held else fit


def _missed(row: Scored, outcome: Outcome) -> str:
    fitted, held = outcome.incidents
    return f"{row.measured.fit.missed} of {fitted} > {row.measured.held.missed} of {held}"


def _effects_table(outcome: Outcome) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="What matters", title_justify="left", pad_edge=False)
    for head in ("objective", "field", "rank correlation", "smallest mean", "largest mean"):
        table.add_column(head)
    counts: dict[str, int] = {}
    for one in outcome.effects:
        counts[one.objective] = counts.get(one.objective, 0) + 1
        if counts[one.objective] > EFFECTS_MAX:
            continue
        still = one.size == 0.0
        table.add_row(
            TITLES[Objective(one.objective)][0],
            one.field,
            "-" if one.rank is None else f"{one.rank:+.2f}",
            "changes nothing" if still else f"{cell(one.objective, one.low)} at {_word(one.at_low)}",
            "" if still else f"{cell(one.objective, one.high)} at {_word(one.at_high)}",
        )
    return table


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
