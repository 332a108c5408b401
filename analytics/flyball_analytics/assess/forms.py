"""An assessment as text for a terminal, as Markdown for a pull request, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from flyball_analytics.assess.advice import Choice, Pattern
from flyball_analytics.assess.assessment import Assessment, Judged, Step
from flyball_analytics.assess.economics import usd
from flyball_analytics.assess.facts import criticality
from flyball_analytics.assess.hazards import Severity
from flyball_analytics.integrations import IntegrationMap
from flyball_analytics.mapping.found import few

SCHEMA = 1
FIRST = 10  # steps in the summary; all of them with --all and in JSON
DETAILED_MAX = 12  # integrations shown in full; a bigger fleet is shown so with --all, or by name with --only
TABLE_MAX = 40  # integrations in a comment: GitHub takes 65,536 characters
PLACES = 4  # named beside a hazard or an open question


def _head(a: Assessment) -> str:
    counts = ", ".join(f"{sum(h.severity is s for h in a.hazards)} {s}" for s in Severity)
    return (
        f"{len(a.known.functions)} functions, {len(a.known.targets)} targets, {len(a.integrations)} "
        f"integrations; hazards: {counts}; {a.unknown()} questions not answered by the map"
    )


def gathered(steps: Iterable[Step]) -> list[tuple[Step, list[str]]]:
    """Return the steps, those that do the same for the same kind of reason as one, with all its places.

    The first of them, which costs most, says why.
    """
    groups: dict[tuple[object, ...], tuple[Step, list[str]]] = {}
    for step in steps:
        kind = step.because.partition(":")[0] if step.severity is not None else ""
        _, places = groups.setdefault((step.rank, kind, step.do), (step, []))
        places.append(step.where)
    return list(groups.values())


def _cost(step: Step, places: int) -> str:
    if step.usd is None:
        return ""
    return f" [outages {usd(step.usd)} a month{' at the first' if places > 1 else ''}]"


def money_lines(item: Judged) -> Iterator[str]:
    """Yield what outages, retries and protection of one integration cost in a month, in words."""
    money = item.money
    if money.outage_usd is None:
        yield f"outages: not known ({money.because})"
    else:
        yield f"outages: {usd(money.outage_usd)} a month expected: {money.because}"
    if money.retries_usd is not None:
        yield f"retries: {usd(money.retries_usd)} a month"
    if money.healed_usd is not None:
        yield f"healed by retries: {usd(money.healed_usd)} a month, if attempts fail independently"
    if not (item.advice.advised(Pattern.RETRY) or item.advice.advised(Pattern.BREAKER)):
        return
    if money.share_needed is None:
        needed = ""
    elif money.share_needed > 1.0:
        needed = ": more than its outages cost; do not buy it for this alone"
    else:
        needed = f": pays if it avoids {100.0 * money.share_needed:.2g} % of the outages' cost"
    yield f"state and monitoring: {usd(money.protection_usd)} a month{needed}"


def _choice(choice: Choice) -> str:
    if not choice.advised:
        return f"no {choice.pattern}: {choice.because}"
    setting = f" ({choice.setting})" if choice.setting else ""
    return f"{choice.pattern}{setting}: {choice.because}"


def _order(choices: tuple[Choice, ...]) -> list[Choice]:
    return sorted(choices, key=lambda choice: not choice.advised)


def text_of(a: Assessment, *, everything: bool = False) -> str:
    """Return the assessment for a terminal: what to do first, hazards, then every integration."""
    lines = [_head(a), ""]
    groups = gathered(a.steps)
    shown = groups if everything else groups[:FIRST]
    if shown:
        lines.append("first:")
    for number, (step, where) in enumerate(shown, 1):
        places = where if everything else where[:PLACES]
        more = f" and {len(where) - len(places)} more" if len(where) > len(places) else ""
        lines.append(f"{number:>3}. {', '.join(places)}{more}: {step.do}{_cost(step, len(where))}")
        lines.append(f"       {step.because}")
    if len(shown) < len(groups):
        lines.append(f"     and {len(groups) - len(shown)} more: --all")
    lines += _overview(a)
    detailed = everything or len(a.integrations) <= DETAILED_MAX
    if not detailed:
        count = f"{len(a.integrations)} integrations are judged"
        lines += ["", f"{count}: see one with --only NAME, all with --all, or a page with --format html"]
    for item in a.integrations if detailed else ():
        lines += ["", *_integration_text(item)]
    for function in a.functions if detailed else ():
        lines += ["", f"function {function.name}"]
        lines += [f"  {answer.question} {answer.answer}" for answer in function.checklist]
        if function.nothing is not None:
            lines.append(f"  {_choice(function.nothing)}")
    for name, history in a.histories.items():
        lines += ["", f"history of {name}: {history.advice}: {history.because}"]
    lines += ["", *limits(a)]
    return "\n".join(lines)


def _overview(a: Assessment) -> list[str]:
    """Return how often each hazard stands, and what would answer most questions."""
    lines = []
    if a.hazards:
        lines += ["", "hazards by kind (flyball explain KIND):"]
        for kind, severity, where in a.by_kind():
            lines.append(f"  {severity:<6} {kind:<26} {len(where):>3}  {few(where, PLACES)}")
    questions = a.questions()
    if questions:
        lines += ["", "to find out, what answers most questions first:"]
        lines += [f"  {len(where):>3}  {field}: {few(where, PLACES)}" for field, where in questions.items()]
    return lines


def _integration_text(item: Judged) -> list[str]:
    lines = [f"integration {item.one.name} ({item.one.target.kind})"]
    lines += [f"  {answer.question} {answer.answer}" for answer in item.checklist]
    lines += [
        f"  {'+' if choice.advised else '-'} {_choice(choice)}" for choice in _order(item.advice.choices)
    ]
    return [*lines, *(f"  $ {line}" for line in money_lines(item))]


def limits(a: Assessment) -> list[str]:
    """Return what an assessment does not say."""
    lines = []
    if a.uncalled:
        lines.append(f"called by no function of the map: {', '.join(a.uncalled)}")
    lines.append(
        "Hazards are found where the map proves them; what it does not say is not judged. Costs are "
        "estimates from the map's figures and dated list prices (flyball cost)."
    )
    return lines


def markdown_of(a: Assessment, *, everything: bool = False) -> str:
    """Return the assessment as GitHub-flavoured Markdown, short enough for a comment."""
    lines = ["## Resilience assessment", "", _head(a), ""]
    groups = gathered(a.steps)
    shown = groups if everything else groups[:FIRST]
    if shown:
        lines += ["### First", "", "| # | where | do | because | outages a month |", "|--:|---|---|---|--:|"]
    for number, (step, where) in enumerate(shown, 1):
        cost = usd(step.usd) if step.usd is not None else ""
        lines.append(_row(str(number), f"`{few(where, PLACES)}`", step.do, step.because, cost))
    if len(shown) < len(groups):
        lines += ["", f"and {len(groups) - len(shown)} more"]
    lines += [
        "",
        "### Patterns",
        "",
        "| integration | criticality | advised | not advised |",
        "|---|--:|---|---|",
    ]
    rows = a.integrations if everything else a.integrations[:TABLE_MAX]
    for item in rows:
        level = criticality(item.one)
        yes = "<br>".join(_cell(_choice(c)) for c in item.advice.choices if c.advised)
        no = "<br>".join(_cell(_choice(c)) for c in item.advice.choices if not c.advised)
        lines.append(f"| `{_cell(item.one.name)}` | {level if level is not None else '?'} | {yes} | {no} |")
    for function in a.functions:
        if function.nothing is not None:
            lines.append(_row(f"`{function.name}`", "", _choice(function.nothing), ""))
    if len(rows) < len(a.integrations):
        lines += ["", f"and {len(a.integrations) - len(rows)} integrations more"]
    return "\n".join([*lines, "", *limits(a)])


def _cell(text: str) -> str:
    """Return text that cannot break a table or become markup."""
    for mark, safe in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("`", "'"), ("\n", " ")):
        text = text.replace(mark, safe)
    return text


def _row(*cells: str) -> str:
    safe = [f"`{_cell(c[1:-1])}`" if c[:1] == c[-1:] == "`" and len(c) > 1 else _cell(c) for c in cells]
    return f"| {' | '.join(safe)} |"


def only(known: IntegrationMap, names: Collection[str]) -> IntegrationMap:
    """Return the part of a map that is about the named functions and targets.

    Raises:
        KeyError: Neither a function nor a target has one of the names.
    """
    for name in names:
        if name not in known.functions and name not in known.targets:
            raise KeyError(name)
    functions = {}
    for name, function in known.functions.items():
        calls = function.calls or {}
        if name in names:
            functions[name] = function
        elif any(target in names for target in calls):
            kept = {target: call for target, call in calls.items() if target in names}
            functions[name] = function.model_copy(update={"calls": kept})
    called = {target for function in functions.values() for target in function.calls or {}}
    targets = {name: target for name, target in known.targets.items() if name in called or name in names}
    return known.model_copy(update={"functions": functions, "targets": targets})


def plain_of(a: Assessment) -> dict[str, object]:
    """Return the assessment as plain values; unknown is null, attempts without bound are too."""
    return {
        "schema": SCHEMA,
        "functions": [
            {
                "name": f.name,
                "checklist": [answer._asdict() for answer in f.checklist],
                "nothing": f.nothing.because if f.nothing is not None else None,
            }
            for f in a.functions
        ],
        "integrations": [
            {
                "function": j.one.function_name,
                "target": j.one.target_name,
                "criticality": criticality(j.one),
                "checklist": [answer._asdict() for answer in j.checklist],
                "patterns": [{**c._asdict(), "pattern": c.pattern.value} for c in j.advice.choices],
                "attempts": j.advice.attempts,
                "timeout_s": j.advice.timeout_s,
                "money": j.money._asdict(),
            }
            for j in a.integrations
        ],
        "hazards": [{**h._asdict(), "kind": h.kind.value, "severity": h.severity.value} for h in a.hazards],
        "steps": [
            {**step._asdict(), "severity": step.severity.value if step.severity is not None else None}
            for step in a.steps
        ],
        "questions": a.questions(),
        "uncalled": list(a.uncalled),
        "unknown": a.unknown(),
        "histories": {
            name: {"advice": r.advice.value, "because": r.because} for name, r in a.histories.items()
        },
    }
