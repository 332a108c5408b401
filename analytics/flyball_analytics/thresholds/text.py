"""An analysis as text for people; every number with its unit and the count behind it. Computes nothing."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flyball_analytics.counts import counted
from flyball_analytics.moments import span_words, utc
from flyball_analytics.score import median, rate_per_week
from flyball_analytics.thresholds.analysis import Analysis
from flyball_analytics.thresholds.metric import Metric
from flyball_analytics.thresholds.recommend import Advice
from flyball_analytics.thresholds.rules import RuleResult
from flyball_analytics.thresholds.season import Bands, Season
from flyball_analytics.thresholds.tradeoff import Cell, TradeOff, smoothing_factor
from flyball_analytics.wording import confidence, percent

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 100
LABEL_WIDTH = 12
PARTS_SHOWN = 4
TIMES_SHOWN = 2
DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # hour 0 of the epoch was a Thursday


def amount(metric: Metric, value: float | None) -> str:
    """Return a value of this metric with its unit; a dash if there is none."""
    if value is None:
        return "-"
    if metric.unit == "ratio":
        return percent(value)
    return f"{value:.4g} {metric.unit}".rstrip()


def analysis_text(analysis: Analysis, *, width: int = WIDTH) -> str:
    """Return everything about one metric: baseline, bands, the rules' table, advice and trade-off."""
    metric = analysis.metric
    lines = [
        f"{metric.target} · {metric.name}",
        _line("history", _history(metric), width),
        *(_line("baseline", text, width) for text in _baseline(metric, analysis.bands)),
    ]
    lines += ["", rules_table(analysis, width=width), ""]
    advice = analysis.recommendation
    lines.append(_line("advice", f"{advice.advice.value.upper()}: {advice.because}.", width))
    if advice.advice is not Advice.UNKNOWN:
        lines += [_line("needs", text, width) for text in advice.missing]
    if advice.choice is not None:
        label = "choose" if advice.advice is Advice.MOVE else "if moved"
        lines.append(_line(label, _choice(advice.choice, analysis.curve, metric), width))
    if analysis.curve is not None:
        lines += ["", curve_text(analysis.curve, metric, width=width)]
    return "\n".join(lines)


def _line(label: str, text: str, width: int) -> str:
    """Return `label  text`, wrapped under itself."""
    indent = " " * LABEL_WIDTH
    return textwrap.fill(
        text, width, initial_indent=f"  {label}".ljust(LABEL_WIDTH), subsequent_indent=indent
    )


def _history(metric: Metric) -> str:
    text = f"{counted(len(metric.points), 'window')} of {span_words(metric.period_s)}"
    text += f" over {span_words(metric.span_s)}"
    if metric.series is not None:
        requests = sum(o.requests for o in metric.series.observations)
        failures = sum(o.failures for o in metric.series.observations)
        ratio = percent(failures / requests) if requests else "no"
        text += f", {requests:,} requests, {failures:,} failed ({ratio})"
    if metric.problems:
        text += f"; {counted(len(metric.problems), 'problem')}, the first: {metric.problems[0]}"
    return text


def _baseline(metric: Metric, bands: Bands | None) -> list[str]:
    """Return where the thresholds stand now, and when more than usual is normal."""
    if bands is None:
        return ["nothing learned"]
    # Of counts the lower confidence bound trips and the plain share is clean: said, because the bound
    # may be over 3 % only where the share is far over the 4 % below which it is clean.
    surely = "where surely (lower bound) " if bands.reset is not None else ""
    now = f"{amount(metric, bands.level)} is normal now; trips {surely}over {amount(metric, bands.trip)}"
    if bands.reset is not None:
        now += f", clean again where the plain share is under {amount(metric, bands.reset)}"
    if bands.opens is not None:
        now += f", opens where surely over {amount(metric, bands.opens)}"
    if bands.confidence is not None:
        now += f" ({confidence(bands.confidence)})"
    lines = [now]
    if bands.level_low is not None and bands.level_high is not None and bands.level_high > bands.level_low:
        low, high = amount(metric, bands.level_low), amount(metric, bands.level_high)
        lines.append(f"over the newest day {low} to {high} was expected")
    lines += [_season(metric, season) for season in bands.seasons]
    return lines


def _season(metric: Metric, season: Season) -> str:
    if season.known == 0 and not season.parts:
        return f"{season.cycle}: not known yet"
    known = "" if season.known == season.slots else f" ({season.known} of {season.slots} slots known)"
    if not season.parts:
        return f"{season.cycle}{known}: nothing above the level"
    name = _hour_name if season.slots > 60 else _minute_name
    parts = [
        f"{name(first)}{'' if first == last else f' to {name(last)}'} up to {amount(metric, top)}"
        for first, last, top in season.parts[:PARTS_SHOWN]
    ]
    more = len(season.parts) - PARTS_SHOWN
    return f"{season.cycle}{known}: " + ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _minute_name(slot: int) -> str:
    return f":{slot:02d}"


def _hour_name(slot: int) -> str:
    return f"{DAYS[slot // 24]} {slot % 24:02d}h"


def rules_table(analysis: Analysis, *, width: int = WIDTH) -> str:
    """Return the table of the rules: how often each would have fired, and when last."""
    labelled = analysis.labels is not None
    heads = ["rule", "firings", "false" if labelled else "recurring", "false/wk" if labelled else "a week"]
    if labelled:
        heads += ["seen", "delay"]
    table = _table(*heads, "newest (UTC)")
    for result in analysis.results:
        score = result.score
        rate = rate_per_week(score.false_alarms, score.healthy_weeks)
        cells = [result.title, str(len(result.firings))]
        cells.append(str(score.false_alarms if labelled else result.recurring))
        cells.append("-" if rate is None else f"{rate:.2f}")
        if labelled:
            cells += [_seen(result), _delay(result)]
        newest = [utc(f.start_s)[5:16].replace("T", " ") for f in result.firings[-TIMES_SHOWN:]]
        table.add_row(*cells, ", ".join(newest) or "never")
    return textwrap.indent(_print(table, width - 2), "  ")


def _seen(result: RuleResult) -> str:
    score = result.score
    return f"{score.recognised}/{len(score.incidents)}" if score.incidents else "-"


def _delay(result: RuleResult) -> str:
    """Return the median delay in windows: 0 = the first bad window already fired."""
    rows = median(i.recognised_rows for i in result.score.incidents)
    return "-" if rows is None else counted(rows, "row")


def _choice(cell: Cell, curve: TradeOff | None, metric: Metric) -> str:
    if cell.multiple is None or cell.half_life_s is None:
        return "the fixed threshold"
    if curve is not None and _all_equal(curve.cells):
        return "what is set now: every multiple and half-life does the same here"
    factor = smoothing_factor(cell.half_life_s, metric.period_s)
    text = (
        f"multiple {cell.multiple:g}, half-life {span_words(cell.half_life_s)} "
        f"(smoothing factor {factor:.3g} a window)"
    )
    if metric.series is not None:
        text += f"; in the policy retry_multiple: {cell.multiple:g}, half_life_s: {cell.half_life_s:g}"
    return text


def curve_text(curve: TradeOff, metric: Metric, *, width: int = WIDTH) -> str:
    """Return the trade-off as a grid: false firings a week · seen of asked · median delay in windows."""
    halves = sorted({c.half_life_s for c in curve.cells if c.half_life_s is not None})
    table = _table("multiple", *(f"half-life {span_words(half)}" for half in halves))
    by_place = {(c.multiple, c.half_life_s): c for c in curve.cells}
    table.add_row("fixed", _cell(curve.fixed, curve), *[""] * (len(halves) - 1))
    for multiple in sorted({c.multiple for c in curve.cells if c.multiple is not None}):
        table.add_row(f"{multiple:g}", *(_cell(by_place[multiple, half], curve) for half in halves))
    title = _line(
        "trade-off",
        f"false firings a week · seen · delay, over {curve.weeks:.1f} healthy weeks; asked: {curve.asked}"
        "; * = chosen",
        width,
    )
    if _all_equal(curve.cells):
        title += "\n" + _line(
            "", "every cell is the same: floors and guards decide here, not the multiple", width
        )
    return f"{title}\n{textwrap.indent(_print(table, width - 2), '  ')}"


def _all_equal(cells: Sequence[Cell]) -> bool:
    return len({cell[2:] for cell in cells}) == 1


def _cell(cell: Cell, curve: TradeOff) -> str:
    delay = "-" if cell.delay_rows is None else f"{cell.delay_rows:g}"
    star = "* " if cell == curve.best else ""
    return f"{star}{cell.false_per_week:.2f} · {cell.caught}/{cell.incidents} · {delay}"


def _table(*heads: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for position, head in enumerate(heads):
        table.add_column(head, justify="left" if position in (0, len(heads) - 1) else "right", no_wrap=True)
    return table


def _print(table: Table, width: int) -> str:
    """Return the table as plain text, the same on a terminal and in a pipe."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, color_system=None, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
