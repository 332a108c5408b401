"""Results as text for people and as JSON for programs; computes nothing of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flyball_local.chaos.experiment import Bound, Experiment, Result, Verdict
from flyball_local.chaos.measures import MEASURES, Phase

SCHEMA = 1
_INDENT = " " * 4


def list_text(experiments: Mapping[str, Experiment]) -> str:
    """Return what each experiment is for, one per paragraph."""
    lines = []
    for one in experiments.values():
        managed = f"FIS template {one.managed}" if one.managed else "no counterpart in FIS"
        lines += [f"{one.name}  ({one.fault_s / 60.0:g} min, {managed})", f"{_INDENT}{one.hypothesis}"]
    return "\n".join(lines) + "\n"


def list_json(experiments: Mapping[str, Experiment]) -> str:
    """Return the same for programs."""
    return _dumped({"schema": SCHEMA, "experiments": [_experiment(one) for one in experiments.values()]})


def results_text(results: Sequence[Result]) -> str:
    """Return a table per experiment, and the verdicts at the end."""
    lines = [line for result in results for line in (*_result_lines(result), "")]
    counted = [(verdict, sum(one.verdict == verdict for one in results)) for verdict in Verdict]
    lines.append(", ".join(f"{count} {verdict.value}" for verdict, count in counted if count))
    return "\n".join(lines) + "\n"


def results_json(results: Sequence[Result]) -> str:
    """Return every measure of every phase, the bounds and the verdicts."""
    return _dumped(
        {
            "schema": SCHEMA,
            "measures": {name: meaning for name, (_, meaning) in MEASURES.items()},
            "results": [_result(result) for result in results],
        }
    )


def _result_lines(result: Result) -> list[str]:
    one = result.experiment
    lines = [
        f"{one.name}: {result.verdict.value}  (policy {result.policy}, seed {result.seed})",
        f"{_INDENT}{one.hypothesis}",
        f"{_INDENT}{'':26}{'before':>9}{'during':>9}{'late':>9}{'after':>9}  promised",
    ]
    kept = {(finding.bound.measure, finding.bound.phase): finding for finding in result.findings}
    for name in MEASURES:
        values = [result.phases[phase][name] for phase in Phase]
        bounds = [finding for (measure, _), finding in kept.items() if measure == name]
        if name != "calls" and not bounds:
            continue
        promised = "; ".join(
            f"{_range(f.bound)} {f.bound.phase.value}{'' if f.kept else ' BROKEN'}" for f in bounds
        )
        lines.append(f"{_INDENT}{name:26}{''.join(f'{shown(v):>9}' for v in values)}  {promised}".rstrip())
    found = "never" if result.recovered_s is None else f"after {result.recovered_s:g} s"
    lines.append(f"{_INDENT}recovered {found}, at most {one.recovers_within_s:g} s promised")
    lines += [f"{_INDENT}! {reason}" for reason in result.reasons]
    return lines


def shown(value: float | None) -> str:
    """Return a number in at most eight characters, "-" for what was not seen.

    >>> shown(None), shown(0.33333), shown(2400.0)
    ('-', '0.333', '2400')
    """
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def _range(bound: Bound) -> str:
    if bound.low is None:
        return f"<= {bound.high:g}"
    return f">= {bound.low:g}" if bound.high is None else f"{bound.low:g} to {bound.high:g}"


def _experiment(one: Experiment) -> dict[str, Any]:
    return {
        "name": one.name,
        "hypothesis": one.hypothesis,
        "fault_s": one.fault_s,
        "recovers_within_s": one.recovers_within_s,
        "fis_template": one.managed or None,
        "faults": [
            {"kind": type(step.fault).__name__, "from_s": step.from_s, "to_s": step.to_s}
            for step in one.steps
        ],
        "bounds": [_bound(bound) for bound in one.bounds],
    }


def _bound(bound: Bound) -> dict[str, Any]:
    return {**bound._asdict(), "phase": bound.phase.value}


def _result(result: Result) -> dict[str, Any]:
    return {
        "experiment": _experiment(result.experiment),
        "seed": result.seed,
        "policy": result.policy,
        "verdict": result.verdict.value,
        "reasons": list(result.reasons),
        "recovered_s": result.recovered_s,
        "findings": [
            {"bound": _bound(finding.bound), "value": finding.value, "kept": finding.kept}
            for finding in result.findings
        ],
        "phases": {phase.value: dict(result.phases[phase]) for phase in Phase},
    }


def _dumped(plain: object) -> str:
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"
