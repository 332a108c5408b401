"""A comparison as text, Markdown and plain values; every number beside its margin, its limit and its count.

Computes nothing. The three forms hold the same rows, so that what stands in a pull
request is what stood on the terminal.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flyball_analytics.compare import (
    ALL,
    CLOSED_MEASURES,
    MEASURES,
    Compared,
    Comparison,
    Verdict,
)
from flyball_analytics.moments import span_words
from flyball_analytics.wording import percent

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
WIDTH = 120
GAP = 2  # between two columns
NAME_MAX = 24  # of a service in a table; JSON has it whole
SHARES = frozenset({"missed_ratio", "restricted_ratio", "lost_ratio"})
HEADS = ("measure", "baseline", "candidate", "difference", "95 %", "counts from", "limit", "verdict")
MARKS = {Verdict.BETTER: "+", Verdict.WORSE: "!", Verdict.SAME: "=", Verdict.INCONCLUSIVE: "?"}
SHORT = {
    "missed_ratio": "missed",
    "delay_s": "delay",
    "false_alarms_per_week": "alarms/w",
    "false_open_min_per_week": "false-open/w",
    "restricted_ratio": "restricted",
    "changes_per_h": "changes/h",
    "lost_ratio": "lost",
}
NAMES = {
    "missed_ratio": "missed incidents",
    "delay_s": "detection delay",
    "false_alarms_per_week": "false alarms a week",
    "false_open_min_per_week": "false-open min a week",
    "restricted_ratio": "healthy time restricted",
    "changes_per_h": "changes per hour",
    "lost_ratio": "lost requests (closed loop)",
}
NOTE = """\
difference: candidate minus baseline; lower is better everywhere. 95 %: paired bootstrap. counts from: a
difference up to there does not matter (--margin). A missed incident counts with its whole length.
services: baseline > candidate, then + better, ! worse, = same, ? not known."""


def value_text(name: str, value: float | None, *, signed: bool = False) -> str:
    """Return a value with its unit, `-` for None.

    >>> value_text("delay_s", 90.0), value_text("missed_ratio", -0.25, signed=True)
    ('1.5 min', '-25 %')
    """
    if value is None:
        return "-"
    sign = "-" if value < 0.0 else "+" if signed and value > 0.0 else ""
    size = abs(value)
    if name in SHARES:
        return f"{sign}{percent(size)}"
    return f"{sign}{span_words(size)}" if name == "delay_s" else f"{sign}{size:.3g}"


def verdict_sentence(one: Comparison) -> str:
    """Return the verdict in one sentence: against what, in which measures and by how much."""
    head = f"{one.other} against {one.base}: {one.verdict.value}."
    told = [
        f"{NAMES[m.measure]} {value_text(m.measure, m.difference, signed=True)} "
        f"({_interval(m)}, {m.pieces} {m.piece})"
        for m in one.measures
        if m.verdict in (Verdict.BETTER, Verdict.WORSE) and m.interval is not None
    ]
    decided = f" {_sentence_case('; '.join(told))}." if told else ""
    if one.verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.MIXED):
        return head + decided
    return f"{head}{decided} {_sentence_case(one.why)}."


def _sentence_case(text: str) -> str:
    for name, words in NAMES.items():
        text = text.replace(name, words)
    return text[:1].upper() + text[1:]


def _interval(one: Compared) -> str:
    if one.interval is None:
        return "-"
    return " to ".join(_brief(one.measure, end, signed=True) for end in one.interval)


def measure_row(one: Compared) -> tuple[str, ...]:
    """Return the cells of one measure under HEADS."""
    limit = "-"
    if one.limit is not None:
        limit = f"{value_text(one.measure, one.limit)} {'kept' if one.kept else 'BROKEN'}"
    values = (value_text(one.measure, v) for v in (one.base, one.other))
    return (
        NAMES[one.measure],
        *values,
        value_text(one.measure, one.difference, signed=True),
        _interval(one),
        value_text(one.measure, one.margin),
        limit,
        one.verdict.value,
    )


def service_heads(total: Comparison) -> tuple[str, ...]:
    """Return the heads of the table of services: the measures that were compared, in short."""
    return ("service", "verdict", *(SHORT[measure.measure] for measure in total.measures))


def service_row(one: Comparison) -> tuple[str, ...]:
    """Return the cells of one service: of each measure both values and a mark for its verdict."""
    name = one.target if len(one.target) <= NAME_MAX else f"{one.target[: NAME_MAX - 1]}…"
    return (name, one.verdict.value, *(_service_cell(measure) for measure in one.measures))


def _service_cell(one: Compared) -> str:
    if one.base is None:
        return "-"
    before, after = (_brief(one.measure, value) for value in (one.base, one.other))
    return f"{before} > {after} {MARKS[one.verdict]}"


def _brief(name: str, value: float | None, *, signed: bool = False) -> str:
    """Return a value short enough for one of many columns: two digits, minutes for delays."""
    if value is None:
        return "-"
    shown, unit = (value * 100.0, "%") if name in SHARES else (value, "")
    if name == "delay_s":
        shown, unit = value / 60.0, "m"
    sign = "+" if signed and value > 0.0 else ""
    return f"{sign}{shown:.3g}{unit}" if abs(shown) >= 10.0 else f"{sign}{shown:.2g}{unit}"


def world_lines(total: Comparison) -> list[str]:
    """Return a line for each measure of the closed loop: its difference over what no recording shows."""
    lines = []
    for one in total.measures:
        if one.worlds is not None:
            ends = " to ".join(_brief(one.measure, end, signed=True) for end in one.worlds)
            lines.append(
                f"Range: {NAMES[one.measure]}, {ends} over what no recording shows (capacity, cause of "
                "time-outs); the 95 % is over incidents alone"
            )
    return lines


def _unknown(total: Comparison) -> list[str]:
    """Return a line for each measure without a verdict that the sentence does not name; then the worlds."""
    said = verdict_sentence(total)
    unknown = [
        f"not known: {NAMES[m.measure]}, {m.why}" for m in total.measures if m.why and m.why not in said
    ]
    return [*unknown, *world_lines(total)]


def comparison_text(total: Comparison, services: Sequence[Comparison], *, width: int = WIDTH) -> str:
    """Return the verdict sentence, the table of measures, and one line per service."""
    rows = [measure_row(m) for m in total.measures]
    parts = [verdict_sentence(total), "", _table(HEADS, rows, width), *_unknown(total)]
    if len(services) > 1:
        parts += ["", _table(service_heads(total), [service_row(one) for one in services], width)]
    return "\n".join(parts)


def comparison_markdown(total: Comparison, services: Sequence[Comparison]) -> str:
    """Return the same as Markdown, for a pull request."""
    rows = [measure_row(m) for m in total.measures]
    parts = [f"**{verdict_sentence(total)}**", "", *_markdown(HEADS, rows)]
    parts += ["", *(f"- {line}" for line in _unknown(total))] if _unknown(total) else []
    if len(services) > 1:
        cells = [service_row(one) for one in services]
        parts += ["", *_markdown(service_heads(total), cells)]
    return "\n".join(parts)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *escaped)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table: Table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # A cut number is another number: a table that does not fit is wider, never cut.
    natural = sum(max(map(len, column)) + GAP for column in zip(heads, *rows, strict=True))
    out = io.StringIO()
    Console(file=out, width=max(width, natural), color_system=None, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def comparison_json(total: Comparison, services: Sequence[Comparison]) -> dict[str, object]:
    """Return the same as plain values; null where there is not enough data."""
    return {"schema": SCHEMA, **_plain(total), "services": [_plain(one) for one in services]}


def _plain(one: Comparison) -> dict[str, object]:
    return {
        "target": one.target,
        "baseline": one.base,
        "candidate": one.other,
        "verdict": one.verdict.value,
        "why": one.why,
        "sentence": verdict_sentence(one) if one.target == ALL else None,
        "measures": [_measure_json(measure) for measure in one.measures],
    }


def _measure_json(one: Compared) -> dict[str, object]:
    known = {**MEASURES, **CLOSED_MEASURES}[one.measure]
    return {
        "measure": one.measure,
        "unit": known.unit,
        "meaning": known.meaning,
        "baseline": one.base,
        "candidate": one.other,
        "difference": one.difference,
        "interval": None if one.interval is None else list(one.interval),
        "pieces": one.pieces,
        "piece": one.piece,
        "differing": one.differing,
        "margin": one.margin,
        "limit": one.limit,
        "limit_kept": None if one.limit is None else one.kept,
        "verdict": one.verdict.value,
        "why": one.why,
        "worlds": None if one.worlds is None else list(one.worlds),
    }
