"""Closed-loop results as text and JSON: tables of measures, broken expectations, coverage, JUnit.

Every number stands beside its unit; "never" is a word, and what has no meaning
is a dash. Computes nothing of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from xml.etree import ElementTree as Xml

from flyball_analytics.arrivals import EXACT, ModelError
from flyball_analytics.closedloop import Result
from flyball_analytics.closedloop_control import Action
from flyball_analytics.judge import Coverage, Verdict, distance
from flyball_analytics.moments import span_words
from flyball_analytics.scenarios.expect import bound_words
from flyball_analytics.scenarios.measures import MEASURES
from flyball_analytics.scenarios.model import Scenario
from flyball_analytics.wording import action as action_words

EXCESS = "lost_min over the best"


def number(value: float, unit: str) -> str:
    """Return a measured value as a person reads it, without its unit.

    >>> number(0.98765, "ratio"), number(float("inf"), "s"), number(float("nan"), "s"), number(1.0, "yes/no")
    ('0.988', 'never', '-', 'yes')
    """
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    if unit == "yes/no":
        return "yes" if value else "no"
    if unit == "ratio":
        return f"{value:.3f}"
    if unit == "min":
        return f"{value:.2f}"
    return f"{value:.0f}"


def plain(value: float) -> float | str | None:
    """Return a value for JSON, which knows neither NaN nor infinity."""
    if math.isnan(value):
        return None
    return "never" if math.isinf(value) else round(value, 6)


def header(scenario: Scenario, *, seed: int, model: ModelError) -> str:
    """Return what was simulated."""
    period_s = model.period_s if model.period_s is not None else scenario.period_s
    lag_s = model.lag_s if model.lag_s is not None else scenario.lag_s
    callers = len(scenario.callers)
    services = f"{callers} services" if callers > 1 else "1 service"
    metrics = f"metrics every {span_words(period_s)}, {span_words(lag_s)} late"
    lines = [
        f"{scenario.name}: {scenario.description}",
        f"  {services} over {span_words(scenario.duration_s)}, seed {seed}, {metrics}",
    ]
    varied = {key: value for key, value in model._asdict().items() if value != getattr(EXACT, key)}
    if varied:
        lines.append("  varied: " + ", ".join(f"{key}={value}" for key, value in varied.items()))
    for incident in scenario.incidents:
        harmless = ", harmless" if incident.harmless else ""
        lines.append(f"  {clock(incident.start_s)}-{clock(incident.end_s)} {incident.label}{harmless}")
    return "\n".join(lines)


def clock(at_s: float) -> str:
    """Return a time of the scenario as minutes and seconds, hours before them if there are any.

    >>> clock(754.0), clock(3_754.0)
    ('12:34', '1:02:34')
    """
    minutes, seconds = divmod(round(at_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def measures_table(results: Sequence[Result]) -> str:
    """Return the measures, one row each, with the algorithms side by side."""
    best = min(result.measures["lost_min"] for result in results)
    rows = [["measure", "unit", *(result.algorithm for result in results)]]
    for name, measure in MEASURES.items():
        values = [number(result.measures[name], measure.unit) for result in results]
        if set(values) != {"-"}:
            rows.append([name, measure.unit, *values])
        if name == "lost_min" and len(results) > 1:
            over = [number(result.measures[name] - best, "min") for result in results]
            rows.append([EXCESS, "min", *over])
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells in columns: the first two to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def actions_text(actions: Sequence[Action], *, start_s: float) -> str:
    """Return what a controller did, one line each."""
    if not actions:
        return "  nothing"
    return "\n".join(
        f"  {clock(a.at_s - start_s)}  {a.target}: {action_words(a.before, a.after)}"
        f"  ({f'{a.regime.lower()}: ' if a.regime else ''}{a.why})"
        for a in actions
    )


def result_json(result: Result, *, start_s: float) -> dict[str, object]:
    """Return one run as plain data."""
    return {
        "scenario": result.scenario,
        "algorithm": result.algorithm,
        "seed": result.seed,
        "measures": {name: plain(value) for name, value in result.measures.items()},
        "actions": [
            {
                "at_s": round(a.at_s - start_s, 3),
                "target": a.target,
                "regime": a.regime,
                "reason": a.reason,
                "before": {**a.before._asdict(), "circuit": a.before.circuit.name},
                "after": {**a.after._asdict(), "circuit": a.after.circuit.name},
                "tightens": a.urgent,
            }
            for a in result.actions
        ],
    }


# --- expectations --------------------------------------------------------------------------


def broken(verdicts: Sequence[Verdict], *, policy_option: str) -> str:
    """Return each broken expectation: bound, values by seed, meaning, and the command that shows it."""
    blocks = []
    for _, group in groupby(verdicts, key=lambda v: (v.file, v.algorithm, v.bound)):
        seeds = list(group)
        failing = [verdict for verdict in seeds if not verdict.kept]
        if failing:
            blocks.append(_block(seeds, failing, policy_option))
    return "\n\n".join(blocks)


def _block(seeds: Sequence[Verdict], failing: Sequence[Verdict], policy_option: str) -> str:
    first = failing[0]
    bound = first.bound
    measure = MEASURES[bound.measure]
    lines = [f"BROKEN {first.file}:{bound.line} {first.algorithm}: {bound.measure} {bound_words(bound)}"]
    lines.append(f"    {measure.meaning} [{measure.unit}]")
    for verdict in seeds:
        value = number(verdict.value, measure.unit)
        if verdict.kept:
            lines.append(f"    kept    seed {verdict.seed}: {value}")
            continue
        beyond = distance(verdict)
        by = ""
        if math.isfinite(beyond) and measure.unit != "yes/no":
            by = f", off by {number(beyond, measure.unit)}"
        limit = number(verdict.limit, measure.unit)
        lines.append(f"    broken  seed {verdict.seed}: {value}, wanted {bound.op} {limit}{by}")
    lines.append(
        f"    flyball simulate {first.file} --algorithm {first.algorithm} --seed {first.seed}{policy_option}"
    )
    return "\n".join(lines)


def summary_rows(verdicts: Sequence[Verdict]) -> str:
    """Return one line per scenario: how many expectations over how many seeds were kept."""
    rows = [["scenario", "result", "kept", "of", "seeds"]]
    for name, group in groupby(verdicts, key=lambda v: v.scenario):
        entries = list(group)
        kept = sum(verdict.kept for verdict in entries)
        word = "ok" if kept == len(entries) else "BROKEN"
        seeds = len({verdict.seed for verdict in entries})
        rows.append([name, word, str(kept), str(len(entries)), str(seeds)])
    return table(rows)


def coverage_text(found: Coverage) -> str:
    """Return how much of the law the runs reached, and what never."""
    lines = ["reached of the law:"]
    for word, never, total in (
        ("regimes", found.regimes, found.regimes_all),
        ("reasons", found.reasons, found.reasons_all),
    ):
        missing = f"; never {', '.join(never)}" if never else ""
        lines.append(f"  {word:<9}{total - len(never)} of {total}{missing}")
    lines.append(f"  branches {found.branches_all - len(found.branches)} of {found.branches_all}")
    lines += [f"    never {branch.words}" for branch in found.branches]
    return "\n".join(lines)


def verdict_json(verdict: Verdict) -> dict[str, object]:
    """Return one verdict as plain data."""
    return {
        "scenario": verdict.scenario,
        "file": verdict.file,
        "line": verdict.bound.line,
        "algorithm": verdict.algorithm,
        "measure": verdict.bound.measure,
        "bound": bound_words(verdict.bound),
        "seed": verdict.seed,
        "value": plain(verdict.value),
        "limit": plain(verdict.limit),
        "kept": verdict.kept,
    }


def coverage_json(found: Coverage) -> Mapping[str, object]:
    """Return the coverage as plain data."""
    return {
        "regimes_never": found.regimes,
        "regimes": found.regimes_all,
        "reasons_never": found.reasons,
        "reasons": found.reasons_all,
        "branches_never": [branch.words for branch in found.branches],
        "branches": found.branches_all,
    }


def junit(verdicts: Sequence[Verdict]) -> bytes:
    """Return the verdicts as JUnit XML: a suite per scenario, a case per bound and seed."""
    root = Xml.Element(
        "testsuites", tests=str(len(verdicts)), failures=str(sum(not verdict.kept for verdict in verdicts))
    )
    for name, group in groupby(verdicts, key=lambda v: v.scenario):
        entries = list(group)
        failures = sum(not verdict.kept for verdict in entries)
        suite = Xml.SubElement(
            root, "testsuite", name=name, tests=str(len(entries)), failures=str(failures), errors="0"
        )
        for verdict in entries:
            bound = verdict.bound
            case = Xml.SubElement(
                suite,
                "testcase",
                classname=f"{verdict.scenario}.{verdict.algorithm}",
                name=f"{bound.measure} {bound_words(bound)} seed {verdict.seed}",
                file=verdict.file,
                line=str(bound.line),
            )
            if not verdict.kept:
                unit = MEASURES[bound.measure].unit
                value, limit = number(verdict.value, unit), number(verdict.limit, unit)
                text = f"{value}, wanted {bound.op} {limit} [{unit}]"
                Xml.SubElement(case, "failure", message=text).text = text
    Xml.indent(root)
    data: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"
