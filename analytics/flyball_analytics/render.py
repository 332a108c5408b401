"""A replay as text for people and as JSON for programs; every number beside its unit and its count.

Renders what replay, tally and score found and computes nothing of its own. Words
for reasons, regimes and actions come from wording.py.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from flyball_analytics.counts import counted
from flyball_analytics.moments import span_words, utc
from flyball_analytics.score import Score, median, rate_per_week, rate_per_week_max
from flyball_analytics.series import Series
from flyball_analytics.tally import Change, Tally
from flyball_analytics.wording import REGIME_WORDS, action, percent, reasons

if TYPE_CHECKING:
    from rich.table import Table

# How many problems and gaps are shown with their place; the rest is counted.
SHOWN_MAX = 5
# Wide enough for time, regime, action and one reason side by side in a pipe or a log.
WIDTH = 140
ACTION_WIDTH_MAX = 60
REASON_WIDTH_MIN = 30
SUMMARY_WIDTH = 112  # of the columns of numbers in a summary with labels
COLUMN_GAPS = 6  # two spaces between each pair of the four columns


class Run(NamedTuple):
    """One file replayed: what was read, what it came to, and how it fits the labels (None: no labels)."""

    series: Series
    policy_name: str
    policy_hash: str
    tally: Tally
    score: Score | None


def header(series: Series, *, policy_name: str, policy_hash: str) -> str:
    """Return what was read: rows, span, gaps, problems and assumptions."""
    lines = [f"{series.path}: target {series.target}, policy {policy_name} ({policy_hash})"]
    starts = [o.start_s for o in series.observations]
    if starts:
        first, last = min(starts), max(starts)
        lines.append(
            f"  read      {counted(series.rows, 'row')}, {utc(first)} to {utc(last)} "
            f"({span_words(last - first + series.period_s)}), one every {span_words(series.period_s)}"
        )
    else:
        lines.append(f"  read      {counted(series.rows, 'row')}, none of them usable")
    lines.append(f"  gaps      {_gaps(series)}")
    lines.append(f"  problems  {_problems(series)}")
    lines.extend(f"            {problem}" for problem in series.problems[:SHOWN_MAX])
    hidden = sum(series.problem_counts.values()) - min(len(series.problems), SHOWN_MAX)
    if hidden > 0:
        lines.append(f"            and {hidden:,} more")
    lines.extend(f"  assumed   {note}" for note in series.notes)
    if series.unused:
        lines.append(f"  unused    {', '.join(series.unused)}")
    return "\n".join(lines)


def _gaps(series: Series) -> str:
    if not series.gaps:
        return "none"
    windows = sum(gap.windows for gap in series.gaps)
    longest = max(series.gaps, key=lambda gap: gap.windows)
    return (
        f"{len(series.gaps):,}, {counted(windows, 'window')} in all; the longest after "
        f"{utc(longest.after_s)} "
        f"({counted(longest.windows, 'window')}); nothing was filled in"
    )


def _problems(series: Series) -> str:
    counts = series.problem_counts
    if not counts:
        return "none"
    parts = (f"{counts[kind]:,} x {kind}" for kind in sorted(counts, key=lambda k: (-counts[k], k)))
    return ", ".join(parts)


def decisions(changes: Sequence[Change], *, width: int = WIDTH) -> str:
    """Return the table of decisions that changed something."""
    if not changes:
        return "No decision changed anything."
    table = _table("decided at", "regime", "action", "because")
    actions = [action(c.before, c.applied) for c in changes]
    # What was done is read first: the reasons beside it give way, not the other way round.
    # Widths are fixed, because a minimum alone makes the library wrap at one width and cut at another.
    times = max(len(utc(c.at_s)) for c in changes)
    words = max(len("regime"), *(len(REGIME_WORDS[c.regime]) for c in changes))
    table.columns[2].width = min(max(len(text) for text in actions), ACTION_WIDTH_MAX)
    table.columns[3].width = max(
        REASON_WIDTH_MIN, width - times - words - table.columns[2].width - COLUMN_GAPS
    )
    for c, text in zip(changes, actions, strict=True):
        table.add_row(utc(c.at_s), REGIME_WORDS[c.regime], text, reasons(c.evidence))
    return _print(table, width)


def closing(run: Run) -> str:
    """Return what it came to: windows per regime, changes, time restricted, and the fit to the labels."""
    tally = run.tally
    regimes = ", ".join(
        f"{REGIME_WORDS[regime]} {count:,}" for regime, count in sorted(tally.regimes.items())
    )
    restored = len(tally.changes) - tally.tightened - tally.widened
    changes = (
        f"{len(tally.changes)}: {tally.tightened} tightened ({tally.opened} opened), "
        f"{tally.widened} raised retries, {restored} restored"
    )
    time = (
        f"restricted {_minutes(tally.restricted_s)}, of these open or half-open {_minutes(tally.gated_s)}; "
        f"retries raised {_minutes(tally.widened_s)}"
    )
    lines = [f"  windows   {regimes or 'none'}", f"  changes   {changes}", f"  time      {time}"]
    if run.score is not None:
        lines.extend(score_lines(run.score))
    return "\n".join(lines)


def score_lines(score: Score) -> list[str]:
    """Return the fit to the labels: each figure with the counts behind it."""
    false = (
        f"{counted(score.false_alarms, 'alarm')}, {counted(score.false_actions, 'action')}, "
        f"{counted(score.false_opens, 'open')} in "
        f"{score.healthy_weeks:.2f} healthy weeks ({_rate(score)})"
    )
    healthy = (
        f"falsely restricted {_minutes(score.false_restricted_s)} ({_ratio(score)}), "
        f"restricted since an incident {_minutes(score.tail_restricted_s)}"
    )
    return [f"  labels    {_recall(score)}", f"  false     {false}", f"  healthy   {healthy}"]


def _recall(score: Score) -> str:
    """Return how many incidents were answered and how late."""
    if not score.incidents:
        return "no incident is labelled: recall cannot be judged"
    text = (
        f"{counted(len(score.incidents), 'incident')}: {score.recognised} recognised, "
        f"{score.caught} answered, {score.opened} opened"
    )
    rows = median(i.recognised_rows for i in score.incidents)
    delay_s = median(i.recognised_s for i in score.incidents)
    if rows is not None and delay_s is not None:
        text += f"; recognised {counted(rows, 'row')} late (median), "
        text += f"{span_words(delay_s)} after the first bad window began"
    already = sum(i.restricted_before and i.acted_rows is None for i in score.incidents)
    return f"{text}; {already} more began while already restricted" if already else text


def _rate(score: Score) -> str:
    """Return the rate of false opens, or why there is none to give."""
    weeks = score.healthy_weeks
    most = rate_per_week_max(score.false_opens, weeks)
    if most is None:
        return "not enough data for a rate"
    rate = rate_per_week(score.false_opens, weeks)
    if rate is None:
        return f"not enough data for a rate; at most {most:.3g} opens/week with 95 % confidence"
    return f"{rate:.3g} opens/week, at most {most:.3g} with 95 % confidence"


def _ratio(score: Score) -> str:
    ratio = score.false_restricted_ratio
    return "not enough data" if ratio is None else percent(ratio)


def _minutes(span_s: float) -> str:
    return f"{span_s / 60.0:.0f} min"


def summary(runs: Sequence[Run], total: Score | None, *, width: int = WIDTH) -> str:
    """Return one line per file, and what all files come to."""
    labelled = total is not None
    heads = ["target", "rows", "prob-\nlems", "tight-\nened", "opened", "raised", "min\nrestr."]
    if labelled:
        heads += ["recog-\nnised", "ans-\nwered", "delay\nrows"]
        heads += ["false\nalarms", "false\nactions", "false\nopens", "healthy\nweeks", "falsely\nrestr."]
    table = _table(*heads, numbers_from=1)
    # A name is copied from here into the next command: it is never broken, whatever the width.
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max(len(run.series.target) for run in runs)
    width = max(width, table.columns[0].min_width + SUMMARY_WIDTH)
    for run in runs:
        tally = run.tally
        cells = [
            run.series.target,
            str(run.series.rows),
            str(sum(run.series.problem_counts.values())),
            str(tally.tightened),
            str(tally.opened),
            str(tally.widened),
            f"{tally.restricted_s / 60.0:.0f}",
        ]
        table.add_row(*cells, *(_score_cells(run.score) if labelled else []))
    lines = [_print(table, width), *_first_problems(runs)]
    if total is not None:
        lines += [f"all {counted(len(runs), 'target')}", *score_lines(total)]
    return "\n".join(lines)


def _first_problems(runs: Sequence[Run]) -> list[str]:
    """Return for each history with problems how many, with place and remedy of the first."""
    wrong = [run.series for run in runs if run.series.problem_counts]
    lines = []
    for series in wrong[:SHOWN_MAX]:
        count = sum(series.problem_counts.values())
        lines.append(f"  problems  {series.target}: {count:,}, the first: {series.problems[0]}")
    if len(wrong) > SHOWN_MAX:
        lines.append(f"  problems  in {counted(len(wrong) - SHOWN_MAX, 'more history', 'more histories')}")
    return lines


def _score_cells(score: Score | None) -> list[str]:
    if score is None:
        return ["-"] * 8
    rows = median(i.recognised_rows for i in score.incidents)
    return [
        f"{score.recognised}/{len(score.incidents)}" if score.incidents else "-",
        f"{score.caught}/{len(score.incidents)}" if score.incidents else "-",
        "-" if rows is None else f"{rows:g}",
        str(score.false_alarms),
        str(score.false_actions),
        str(score.false_opens),
        f"{score.healthy_weeks:.2f}",
        _ratio(score),
    ]


def run_json(run: Run) -> dict[str, object]:
    """Return the summary of one file as plain values; times in seconds, shares in 0..1."""
    tally = run.tally
    return {
        "target": run.series.target,
        "path": run.series.path,
        "policy": run.policy_name,
        "policy_hash": run.policy_hash,
        "rows": run.series.rows,
        "period_s": run.series.period_s,
        "gaps": len(run.series.gaps),
        "problems": {str(kind): count for kind, count in run.series.problem_counts.items()},
        "regimes": {regime.name: count for regime, count in tally.regimes.items()},
        "changes": len(tally.changes),
        "tightened": tally.tightened,
        "opened": tally.opened,
        "widened": tally.widened,
        "restricted_s": tally.restricted_s,
        "gated_s": tally.gated_s,
        "score": None if run.score is None else score_json(run.score),
    }


def score_json(score: Score) -> dict[str, object]:
    """Return a score as plain values; null where there is not enough data."""
    return {
        "incidents": len(score.incidents),
        "recognised": score.recognised,
        "answered": score.caught,
        "opened": score.opened,
        "recall": score.recall,
        "recognised_rows_median": median(i.recognised_rows for i in score.incidents),
        "recognised_s_median": median(i.recognised_s for i in score.incidents),
        "answered_rows_median": median(i.acted_rows for i in score.incidents),
        "answered_s_median": median(i.acted_s for i in score.incidents),
        "false_alarms": score.false_alarms,
        "false_actions": score.false_actions,
        "false_opens": score.false_opens,
        "healthy_weeks": score.healthy_weeks,
        "false_opens_per_week": rate_per_week(score.false_opens, score.healthy_weeks),
        "false_opens_per_week_max": rate_per_week_max(score.false_opens, score.healthy_weeks),
        "false_restricted_s": score.false_restricted_s,
        "false_restricted_ratio": score.false_restricted_ratio,
        "tail_restricted_s": score.tail_restricted_s,
    }


def _table(*heads: str, numbers_from: int | None = None) -> Table:
    """Return an empty table; columns from `numbers_from` on hold numbers: right-aligned, never broken."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for position, head in enumerate(heads):
        number = numbers_from is not None and position >= numbers_from
        fixed = number or head in ("decided at", "regime")
        table.add_column(head, overflow="fold", no_wrap=fixed, justify="right" if number else "left")
    return table


def _print(table: Table, width: int) -> str:
    """Return the table as plain text, the same on a terminal and in a pipe."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, color_system=None, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
