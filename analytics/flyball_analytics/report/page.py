"""A report as one HTML file that asks no network for anything (extra `report`: jinja2).

Services that need a look are drawn in full, the rest are rows with a small picture, so
that a thousand of them stay a file that can be mailed. Equal reports give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flyball_analytics.counts import counted
from flyball_analytics.moments import span_words
from flyball_analytics.report import charts
from flyball_analytics.report.estimates import Estimate
from flyball_analytics.report.model import Report
from flyball_analytics.report.parts import rendered, script_json
from flyball_analytics.report.sections import (
    arrows,
    comparison_section,
    kept_together,
    lost_section,
    moment,
    quality_section,
    sweep_section,
)
from flyball_analytics.report.summary import summary
from flyball_analytics.report.watch import Watched
from flyball_analytics.score import IncidentScore, join_scores, median
from flyball_analytics.wording import REGIME_WORDS, action, percent, reasons

DRAWN = 20  # services drawn in full; the rest are rows
OPEN_COUNT = 3  # of these, unfolded when the page opens
CHANGES_MAX = 40  # rows of a service's table of changes
INCIDENTS_MAX = 200


def render(report: Report, *, drawn: int = DRAWN) -> bytes:
    """Return the page.

    Args:
        report: From `model.build`.
        drawn: How many services are drawn in full, >= 0; the others are rows of the table.

    Raises:
        SeriesError: If jinja2 is not installed; names the extra.
    """
    full = {
        one.target + "\n" + one.path: f"service-{n}" for n, one in enumerate(report.services[:drawn], start=1)
    }
    context = {
        "title": report.title,
        "badge": report.verdict.value if report.verdict is not None else "",
        "sentences": [kept_together(sentence) for sentence in report.sentences],
        "cards": _cards(report),
        "contents": _contents(report),
        "policy": report.services[0].policy,
        "tables": report.tables,
        "comparisons": [comparison_section(done) for done in report.comparisons],
        **_incidents(report, full),
        "worst": _worst(report, full),
        "lost": None
        if report.closed is None
        else lost_section(report.closed, {one.target: one.period_s for one in report.services}),
        "load": [_estimate(one) for one in report.estimates],
        "rows": [_row(one, full) for one in report.services],
        "drawn": [_drawn(one, ident) for one, ident in zip(report.services, full.values(), strict=False)],
        "open_count": OPEN_COUNT,
        "sweep": sweep_section(report.sweep) if report.sweep is not None and report.sweep.points else None,
        "quality": quality_section(report),
        "manifest": {
            "version": report.manifest.version,
            "command": report.manifest.command,
            "inputs": [(i.name, f"{i.size:,}", i.sha256) for i in report.manifest.inputs],
            "policies": report.manifest.policies,
            "notes": report.manifest.notes,
        },
        "data": script_json(summary(report, brief=True)),
    }
    return rendered("page.html.j2", context)


def _contents(report: Report) -> list[tuple[str, str]]:
    """Return the sections that the page has."""
    sections = [
        *((one.ident, one.title, True) for one in report.tables),
        ("compare", "Comparison", bool(report.comparisons)),
        ("incidents", "Incidents", any(one.score and one.score.incidents for one in report.services)),
        ("worst", "Costliest decisions", bool(report.worst)),
        ("lost", "Requests lost", report.closed is not None),
        ("load", "Retries and refused load", True),
        ("services", "Services", True),
        ("pareto", "Pareto front", report.sweep is not None and bool(report.sweep.points)),
        ("quality", "Data quality", True),
        ("made", "How this page was made", True),
    ]
    return [(ident, name) for ident, name, there in sections if there]


def _card(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _cards(report: Report) -> list[dict[str, str]]:
    """Return the figures at the head of the page."""
    services = report.services
    flows = [one.flow for one in services]
    requests = sum(flow.requests for flow in flows)
    span_s = max(one.bins.to_s for one in services) - min(one.bins.from_s for one in services)
    cards = [
        _card("Services", f"{len(services):,}", f"{span_words(span_s)}, {_short(requests)} requests"),
    ]
    scores = [one.score for one in services if one.score is not None]
    if scores:
        score = join_scores(scores)
        late = median(i.recognised_s for i in score.incidents)
        recognised = f"{score.recognised} of {len(score.incidents)}"
        cards.append(
            _card(
                "Incidents recognised",
                recognised,
                "labelled ones" if late is None else f"median after {span_words(late)}",
            )
        )
        refused_min = sum(one.figures.total.refused_s for one in services) / 60.0
        cards.append(
            _card(
                "False open", f"{refused_min:.3g} min", f"in {score.healthy_weeks:.3g} healthy service-weeks"
            )
        )
        cards.append(_card("False alarms", f"{score.false_alarms:,}", "trouble named in healthy time"))
    changes = sum(len(one.changes) for one in services)
    touched = sum(bool(one.changes) for one in services)
    cards.append(_card("Changes", f"{changes:,}", f"on {counted(touched, 'service')}"))
    saved = next((e for e in report.estimates if e.name == "retries_saved_ratio"), None)
    if saved is not None and saved.value is not None:
        cards.append(_card("Retries not made", percent(saved.value), "of the recorded ones, open loop"))
    return cards


def _short(count: float) -> str:
    """Return a count that fits a card.

    >>> _short(950), _short(12_300), _short(4_560_000)
    ('950', '12.3 k', '4.56 M')
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def _key(one: Watched) -> str:
    return one.target + "\n" + one.path


def _incidents(report: Report, full: Mapping[str, str]) -> dict[str, object]:
    """Return the rows of the incident table, those that nobody recognised first where it is cut."""
    found = [
        (one, answer) for one in report.services if one.score is not None for answer in one.score.incidents
    ]
    found.sort(key=lambda pair: (pair[1].recognised_s is not None, pair[1].incident.start_s, pair[0].target))
    rows = [_incident(one, answer, full) for one, answer in found[:INCIDENTS_MAX]]
    return {"incidents": rows, "incidents_hidden": max(0, len(found) - INCIDENTS_MAX)}


def _incident(one: Watched, answer: IncidentScore, full: Mapping[str, str]) -> dict[str, str]:
    incident = answer.incident
    return {
        "target": one.target,
        "link": full.get(_key(one), ""),
        "began": moment(incident.start_s),
        "lasted": span_words(incident.end_s - incident.start_s + one.period_s),
        "note": incident.note,
        "recognised": _span(answer.recognised_s),
        "acted": _span(answer.acted_s),
        "opened": _span(answer.opened_s),
    }


def _span(span_s: float | None) -> str:
    return "" if span_s is None else span_words(span_s)


def _worst(report: Report, full: Mapping[str, str]) -> list[dict[str, object]]:
    by_target = {one.target: full.get(_key(one), "") for one in report.services}
    return [
        {
            **bad._asdict(),
            "title": arrows(bad.title),
            "lines": _grouped(bad.lines),
            "at": f"{moment(bad.at_s)} UTC",
            "link": by_target[bad.target],
        }
        for bad in report.worst
    ]


def _grouped(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the lines with each label once, where it begins."""
    found: list[tuple[str, str]] = []
    last = ""
    for label, words in lines:
        found.append(("" if label == last else label, arrows(words)))
        last = label
    return found


def _estimate(one: Estimate) -> tuple[str, ...]:
    def words(value: float) -> str:
        return f"{value:.3f} ×" if one.unit == "x" else percent(value)

    value = "not measured" if one.value is None else words(one.value)
    interval = "–" if one.interval is None else f"{words(one.interval.low)} to {words(one.interval.high)}"
    pieces = f"{one.pieces} {one.piece if one.pieces != 1 else one.piece.removesuffix('s')}"
    return (one.title, value, interval, pieces, one.meaning)


def _row(one: Watched, full: Mapping[str, str]) -> dict[str, str]:
    flow, score = one.flow, one.score
    return {
        "target": one.target,
        "link": full.get(_key(one), ""),
        "spark": charts.spark(one),
        "requests": _short(flow.requests),
        "failed": percent(flow.failures / flow.requests) if flow.requests else "–",
        "changes": f"{len(one.changes):,}",
        "gated": span_words(one.gated_s) if one.gated_s else "–",
        "false_open": "–" if score is None else _minutes(one.figures.total.refused_s),
        "incidents": f"{score.recognised}/{len(score.incidents)}"
        if score is not None and score.incidents
        else "–",
    }


def _minutes(span_s: float) -> str:
    return f"{span_s / 60.0:.3g} min" if span_s else "0"


def _drawn(one: Watched, ident: str) -> dict[str, object]:
    shown = one.changes[-CHANGES_MAX:]
    hidden = "" if len(shown) == len(one.changes) else f", the newest {len(shown)} of {len(one.changes)}"
    rows = [
        (moment(c.at_s), REGIME_WORDS[c.regime], arrows(action(c.before, c.applied)), reasons(c.evidence))
        for c in shown
    ]
    missed = len(one.score.incidents) - one.score.recognised if one.score is not None else 0
    parts = [
        counted(len(one.changes), "change"),
        f"not closed {span_words(one.gated_s)}" if one.gated_s else "circuit always closed",
        f"{missed} missed" if missed else "",
    ]
    return {
        "ident": ident,
        "target": one.target,
        "summary": " · ".join(part for part in parts if part),
        "figure": charts.figure(one, one.bins, ident=ident),
        "close": charts.figure(one, one.close, ident=f"{ident}-close") if one.close is not None else "",
        "close_title": _close_title(one),
        "changes": rows,
        "caption": f"What was changed, UTC{hidden}",
    }


def _close_title(one: Watched) -> str:
    if one.close is None:
        return ""
    what = (
        "The longest incident" if one.labels is not None and one.labels.incidents else "The costliest change"
    )
    return f"{what} close up, {moment(one.close.from_s)} to {moment(one.close.to_s)} UTC"
