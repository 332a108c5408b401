"""An assessment as one HTML file that asks no network for anything (extra `report`: jinja2).

The style is that of the reports. Everything is in it, also as JSON for tools;
equal maps give equal bytes.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from flyball_analytics.assess.advice import Pattern
from flyball_analytics.assess.assessment import Assessment, Judged, Step
from flyball_analytics.assess.economics import usd
from flyball_analytics.assess.facts import criticality
from flyball_analytics.assess.forms import limits, money_lines, plain_of
from flyball_analytics.assess.hazards import ABOUT, Severity
from flyball_analytics.mapping.found import few
from flyball_analytics.report.parts import rendered, script_json

FOLDER = Path(__file__).parent
FIND_FROM = 12  # steps from which on a reader wants to search
PLACES = 6  # named in one row
CLASSES = {"high": "miss", "medium": "inconclusive", "low": "note"}


def render(judged: Assessment, *, source: str) -> bytes:
    """Return the page.

    Args:
        judged: The assessment.
        source: Where the map came from, for the foot of the page.

    Raises:
        SeriesError: If jinja2 is not installed; names the extra.
    """
    idents = {item.one.name: f"integration-{n}" for n, item in enumerate(judged.integrations, 1)}
    worst = judged.worst()
    context = {
        "title": "Resilience assessment",
        "badge": f"{worst} hazards" if worst is not None else "no hazards",
        "badge_class": CLASSES[worst.value] if worst is not None else "ok",
        "verdict": _verdict(judged),
        "cards": _cards(judged),
        "contents": _contents(judged),
        "find": len(judged.steps) >= FIND_FROM,
        "steps": [_step(step, idents) for step in judged.steps],
        "kinds": [
            (kind.value, severity.value, f"{len(where)}", ABOUT[kind], few(where, PLACES))
            for kind, severity, where in judged.by_kind()
        ],
        "integrations": [_integration(item, idents[item.one.name]) for item in judged.integrations],
        "function_heads": ["function", *(a.question for f in judged.functions[:1] for a in f.checklist)],
        "functions": [(f.name, *(answer.answer for answer in f.checklist)) for f in judged.functions],
        "questions": [
            (field, f"{len(where)}", few(where, PLACES)) for field, where in judged.questions().items()
        ],
        "histories": [(name, said.advice.value, said.because) for name, said in judged.histories.items()],
        "limits": limits(judged),
        "version": version("flyball"),
        "source": source,
        "data": script_json(plain_of(judged)),
    }
    return rendered("page.html.j2", context, folder=FOLDER)


def _verdict(judged: Assessment) -> str:
    """Return the one sentence that a reader takes away."""
    if not judged.steps:
        return "Nothing has to be done: the map proves no hazard and leaves no question open."
    first = judged.steps[0]
    counts = [(severity, sum(h.severity is severity for h in judged.hazards)) for severity in Severity]
    told = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    head = f"{told} hazards" if told else "No hazard that the map proves"
    return f"{head}. First: {first.where}: {first.do}."


def _cards(judged: Assessment) -> list[tuple[str, str, str]]:
    costs = [item.money.outage_usd for item in judged.integrations if item.money.outage_usd is not None]
    protected = [
        item.money.protection_usd
        for item in judged.integrations
        if item.advice.advised(Pattern.RETRY) or item.advice.advised(Pattern.BREAKER)
    ]
    high = sum(hazard.severity is Severity.HIGH for hazard in judged.hazards)
    return [
        ("Functions", f"{len(judged.functions):,}", f"{len(judged.known.targets):,} targets"),
        ("Integrations", f"{len(judged.integrations):,}", f"{len(protected):,} to protect"),
        ("High hazards", f"{high:,}", f"of {len(judged.hazards):,}"),
        (
            "Outages a month",
            usd(sum(costs)) if costs else "not known",
            f"expected, of {len(costs)} of {len(judged.integrations)} integrations",
        ),
        ("State and monitoring", usd(sum(protected)), "a month, for what is to be protected"),
        ("Open questions", f"{judged.unknown():,}", "not answered by the map"),
    ]


def _contents(judged: Assessment) -> list[tuple[str, str]]:
    sections = [
        ("first", "What to do first", bool(judged.steps)),
        ("hazards", "Hazards", bool(judged.hazards)),
        ("integrations", "Integrations", True),
        ("functions", "Functions", True),
        ("questions", "Open questions", judged.unknown() > 0),
        ("histories", "Histories", bool(judged.histories)),
    ]
    return [(ident, name) for ident, name, there in sections if there]


def _step(step: Step, idents: dict[str, str]) -> dict[str, str]:
    kind, colon, rest = step.because.partition(": ")
    severity = step.severity.value if step.severity is not None else ""
    return {
        "where": step.where,
        "link": idents.get(step.where, ""),
        "do": step.do,
        "cost": usd(step.usd) if step.usd is not None else "–",
        "severity": f"{severity} {kind}:" if severity and colon else "",
        "severity_class": CLASSES.get(severity, ""),
        "because": rest if severity and colon else step.because,
    }


def _integration(item: Judged, ident: str) -> dict[str, object]:
    level = criticality(item.one)
    advised = [choice.pattern.value for choice in item.advice.choices if choice.advised]
    told = f"criticality {level}" if level is not None else "criticality not known"
    return {
        "ident": ident,
        "name": item.one.name,
        "summary": f"{item.one.target.kind} · {told} · {', '.join(advised) or 'nothing advised yet'}",
        "checklist": [(answer.question, answer.answer) for answer in item.checklist],
        "choices": [
            (c.advised, c.pattern.value, f"{c.because}{f' ({c.setting})' if c.setting else ''}")
            for c in sorted(item.advice.choices, key=lambda choice: not choice.advised)
        ],
        "money": list(money_lines(item)),
    }
