"""Sections of the page that are tables: comparison, sweep, data quality; records in, rows of words out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from flyball_analytics.compare import Comparison
from flyball_analytics.compare_text import HEADS, measure_row, service_heads, service_row, world_lines
from flyball_analytics.moments import span_words, utc
from flyball_analytics.report import pareto
from flyball_analytics.report.model import Closed, Done, Report
from flyball_analytics.report.watch import Watched
from flyball_analytics.whatif import utilisation
from flyball_analytics.whatif_saved import LIMITS, count_words, ends_words, kept_sentence
from flyball_analytics.wording import percent

SERVICES_MAX = 40  # rows of the comparison by service: more are not read, and hide what follows
QUALITY_MAX = 40  # histories; those with problems come first
NO_BREAK = "\u00a0"
LOST_MAX = 200
LOST_HEADS = (
    "service", "incident", "algorithm", "lost", "of requests", "attempts per request", "recorded lost",
    "utilisation",
)  # fmt: skip


def comparison_section(done: Done) -> dict[str, object]:
    """Return the tables of one candidate against the baseline."""
    total, services = done
    one = len(services) == 1
    marks = "+ better, ! worse, = same, ? not known"
    shown, hidden = services, ""
    if len(services) > SERVICES_MAX:
        shown = sorted(services, key=_differing)[:SERVICES_MAX]
        hidden = f"; {len(shown)} of {len(services)}, those that differ in most measures first"
    return {
        "caption": f"{total.other} (candidate) against {total.base} (baseline): {total.verdict.value}",
        "heads": HEADS,
        "rows": [measure_row(measure) for measure in total.measures],
        "ranges": world_lines(total),
        "numeric": (1, 2, 3, 4, 5),
        "services": [] if one else [[kept_together(cell) for cell in service_row(s)] for s in shown],
        "service_heads": service_heads(total),
        "services_caption": f"By service, baseline > candidate: {marks}{hidden}",
    }


def _differing(one: Comparison) -> tuple[int, str]:
    """Return by what services are ordered: in how many measures they differ by more than the margin."""
    count = sum(m.difference is not None and abs(m.difference) > m.margin for m in one.measures)
    return -count, one.target


def kept_together(words: str) -> str:
    """Return words in which no percent sign begins a line; two values with a verdict's mark stay on one.

    >>> kept_together("5 % > 2 % ?").count(chr(160)), kept_together("not known: 5 %").count(chr(160))
    (5, 1)
    """
    marked = words[-2:-1] == " " and words[-1] in "+!=?"
    return words.replace(" ", NO_BREAK) if marked else words.replace(" %", f"{NO_BREAK}%")


def moment(at_s: float) -> str:
    """Return a moment to the minute, UTC.

    >>> moment(1692611400.0)
    '2023-08-21 09:50'
    """
    return utc(at_s)[:16].replace("T", " ")


def arrows(words: str) -> str:
    """Return an action with real arrows.

    >>> arrows("attempts 4 -> 2")
    'attempts 4 → 2'
    """
    return words.replace(" -> ", " → ")


def sweep_section(sweep: pareto.Sweep) -> dict[str, object]:
    """Return the picture and the tables of a sweep."""
    best = pareto.front(sweep.points)
    shown = best[: pareto.TABLE_MAX]
    settings = sorted({name for point in shown for name in point.settings})
    many = f"the first {len(shown)} of {len(best)}" if len(shown) < len(best) else f"{len(best)}"
    effects = sorted(sweep.effects, key=lambda e: (-abs(e.correlation), e.parameter, e.objective))
    return {
        "told": (
            f"{len(sweep.points)} policies were tried; {len(best)} {_are(len(best))} beaten by none "
            f"(large dots). {sweep.note}".rstrip()
        ),
        "figure": pareto.figure(sweep, ident="pareto-figure"),
        "caption": f"Policies on the front: {many}",
        "heads": ["policy", *sweep.objectives, *settings],
        "numeric": tuple(range(1, 1 + len(sweep.objectives) + len(settings))),
        "rows": [
            (
                f"{point.name} (chosen)" if point.name == sweep.chosen else point.name,
                *(_figure(value) for value in point.values),
                *(str(point.settings.get(name, "–")) for name in settings),
            )
            for point in shown
        ],
        "effects": [(e.parameter, e.objective, f"{e.correlation:+.2f}") for e in effects[: pareto.TABLE_MAX]],
    }


def _figure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _are(count: int) -> str:
    return "of them is" if count == 1 else "of them are"


def quality_section(report: Report) -> dict[str, object]:
    """Return the rows on the data, the worst first where the table is cut."""
    ordered: Sequence[Watched] = sorted(
        report.services,
        key=lambda one: (-sum(one.quality.problems.values()), -one.quality.missing, one.target),
    )
    shown = ordered[:QUALITY_MAX]
    clean = sum(
        not one.quality.problems and not one.quality.missing and not one.quality.late for one in ordered
    )
    cut = "" if len(shown) == len(ordered) else f"; the first {len(shown)} are listed"
    return {
        "caption": f"{clean} of {len(ordered)} histories are without gap, late row or problem{cut}",
        "rows": [
            (
                one.target,
                f"{one.quality.rows:,}",
                f"{one.quality.windows:,}",
                span_words(one.period_s),
                f"{one.quality.gaps:,}",
                f"{one.quality.missing:,}",
                f"{one.quality.late:,}",
                "; ".join(f"{count} × {kind}" for kind, count in one.quality.problems.items()) or "none",
                "; ".join(one.quality.notes) or "nothing",
            )
            for one in shown
        ],
    }


def lost_section(closed: Closed, period_of: Mapping[str, float]) -> dict[str, object]:
    """Return the rows on requests lost in incidents lived through again: every algorithm of every incident.

    `period_of`: length of a window, by target.
    """
    rows: list[tuple[str, ...]] = []
    for lived in closed.services:
        for place, incident in enumerate(lived.incidents):
            used = [utilisation(lived.fit, incident, world) for world in lived.worlds]
            recorded = lived.recorded[place]
            lasted = span_words(incident.end_s - incident.start_s + period_of.get(lived.fit.target, 0.0))
            for one in (r for r in lived.ranges if r.incident == incident):
                share = (one.low / one.arrived, one.high / one.arrived) if one.arrived else (0.0, 0.0)
                rows.append(
                    (
                        lived.fit.target,
                        f"{moment(incident.start_s)}, {lasted}",
                        one.algorithm.removeprefix("flyball:"),
                        count_words(one.low, one.high),
                        ends_words(percent(share[0]), percent(share[1])),
                        ends_words(f"{one.amplification_low:.2f}", f"{one.amplification_high:.2f}"),
                        "not measured" if recorded is None else f"{recorded:,.0f}",
                        ends_words(f"{min(used):.2f}", f"{max(used):.2f}"),
                    )
                )
    hidden = "" if len(rows) <= LOST_MAX else f"; the first {LOST_MAX} of {len(rows)} rows"
    assumed = sorted({note for lived in closed.services for note in lived.fit.assumed})
    return {
        "told": [kept_sentence(kept) for kept in closed.kept],
        "limits": LIMITS,
        "assumed": assumed,
        "caption": f"Requests lost from the start of each incident until half an hour after it{hidden}",
        "heads": LOST_HEADS,
        "rows": rows[:LOST_MAX],
        "numeric": (3, 4, 5, 6, 7),
    }
