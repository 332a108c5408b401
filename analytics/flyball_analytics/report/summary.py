"""A report as plain values: what `--format json` prints and what the page carries inside for programs."""

from __future__ import annotations

from flyball_analytics.compare_text import comparison_json
from flyball_analytics.render import score_json
from flyball_analytics.report.model import Report
from flyball_analytics.report.pareto import front
from flyball_analytics.report.watch import Watched
from flyball_analytics.score import join_scores
from flyball_analytics.whatif_saved import kept_json
from flyball_analytics.whatif_text import lived_json

SCHEMA = 1


def summary(report: Report, *, brief: bool = False) -> dict[str, object]:
    """Return everything that the page says in numbers; null where there is not enough data.

    `brief` leaves out the comparison service by service, which makes half the size of a large fleet.
    """
    scores = [one.score for one in report.services if one.score is not None]
    return {
        "schema": SCHEMA,
        "title": report.title,
        "verdict": None if report.verdict is None else report.verdict.value,
        "sentences": list(report.sentences),
        "comparisons": [
            comparison_json(total, [] if brief else services) for total, services in report.comparisons
        ],
        "score": score_json(join_scores(scores)) if scores else None,
        "estimates": [
            {**one._asdict(), "interval": None if one.interval is None else list(one.interval)}
            for one in report.estimates
        ],
        "worst": [{**bad._asdict(), "lines": [list(line) for line in bad.lines]} for bad in report.worst],
        "services": [_service(one) for one in report.services],
        "pareto": None
        if report.sweep is None
        else {
            "objectives": list(report.sweep.objectives),
            "front": [
                {"name": p.name, "settings": dict(p.settings), "values": list(p.values)}
                for p in front(report.sweep.points)
            ],
        },
        "closed_loop": None
        if report.closed is None
        else {
            "kept": [kept_json(kept) for kept in report.closed.kept],
            "services": [] if brief else [lived_json(one) for one in report.closed.services],
        },
        "manifest": {
            "command": report.manifest.command,
            "version": report.manifest.version,
            "inputs": [one._asdict() for one in report.manifest.inputs],
            "policies": dict(report.manifest.policies),
            "notes": list(report.manifest.notes),
        },
    }


def _service(one: Watched) -> dict[str, object]:
    flow, total, quality = one.flow, one.figures.total, one.quality
    return {
        "target": one.target,
        "path": one.path,
        "from_s": one.bins.from_s,
        "to_s": one.bins.to_s,
        "period_s": one.period_s,
        "requests": flow.requests,
        "failures": flow.failures,
        "changes": len(one.changes),
        "gated_s": one.gated_s,
        "restricted_s": one.restricted_s,
        "false_open_min": None if one.score is None else total.refused_s / 60.0,
        "regimes": dict(sorted(one.regimes.items())),
        "score": None if one.score is None else score_json(one.score),
        "quality": {
            "rows": quality.rows,
            "windows": quality.windows,
            "gaps": quality.gaps,
            "missing": quality.missing,
            "late": quality.late,
            "problems": dict(quality.problems),
        },
    }
