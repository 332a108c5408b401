"""Scores as a table for people. Computes nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence

from flyball_analytics.judged import ALL, Judged
from flyball_analytics.moments import span_words
from flyball_analytics.score import median, rate_per_week
from flyball_analytics.wording import percent

WIDTH = 110
NAME_WIDTH_MIN = 12
COLUMN_GAP = 2
HEADS = ("series", "rule", "seen", "opened", "delay", "false", "a week", "restricted", "NAB", "by lot")
NOTE = """\
seen, opened: incidents in which the rule fired, in which traffic was cut. delay: median, from the first bad
window (in rows). false: alarms outside incidents; a week with a 95 % bootstrap interval. restricted: healthy
time under a false answer. NAB: standard profile, 100 = perfect, 0 = silence; by lot: what random scores get
on the same files. NAB charges every firing window, so that an answer that lasts scores far below 0."""


def judged_table(rows: Sequence[Judged], totals: Sequence[Judged], *, width: int = WIDTH) -> str:
    """Return one line per series, then one per rule over all of its series, and what the columns mean."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    lines = [_cells(one) for one in rows]
    last = [_cells(one) for one in totals] if len(rows) > len(totals) else []
    widest = [max(len(cells[place]) for cells in (HEADS, *lines, *last)) for place in range(len(HEADS))]
    # Only the name gives way: a number that is cut is another number.
    room = max(NAME_WIDTH_MIN, width - sum(widest[1:]) - COLUMN_GAP * len(HEADS))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="left" if place < 2 else "right", no_wrap=True)
    for cells in (*lines, *last):
        cells[0] = cells[0] if len(cells[0]) <= room else f"{cells[0][: room - 1]}…"
    for cells in lines:
        table.add_row(*cells)
    if last:
        table.add_section()
        for cells in last:
            table.add_row(*cells)
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, highlight=False, emoji=False).print(table)
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    return f"{text}\n\n{NOTE}"


def _cells(one: Judged) -> list[str]:
    score = one.score
    count = len(score.incidents)
    restricted = score.false_restricted_ratio
    return [
        "all" if one.target == ALL else one.target,
        one.rule,
        f"{score.recognised}/{count}" if count else "-",
        f"{score.opened}/{count}" if count and one.cuts else "-",
        _delay(one),
        str(score.false_alarms),
        _rate(one),
        "-" if restricted is None else percent(restricted),
        *("-" if nab is None else f"{nab.score:.1f}" for nab in (one.nab, one.by_lot)),
    ]


def _delay(one: Judged) -> str:
    rows = median(i.recognised_rows for i in one.score.incidents)
    delay_s = median(i.recognised_s for i in one.score.incidents)
    if rows is None or delay_s is None:
        return "-"
    early = "-" if delay_s < 0.0 else ""  # labels may leave room for an early sign
    return f"{early}{span_words(abs(delay_s))} ({rows:g})"


def _rate(one: Judged) -> str:
    rate = rate_per_week(one.score.false_alarms, one.score.healthy_weeks)
    if rate is None:
        return "< 1 week"
    if one.interval is None:
        return f"{rate:.2f}"
    return f"{rate:.2f} [{one.interval.low:.2f}, {one.interval.high:.2f}]"
