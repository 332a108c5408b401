"""An analysis as plain values for programs: one versioned object per metric; seconds, shares in 0..1."""

from __future__ import annotations

from flyball_analytics.render import score_json
from flyball_analytics.thresholds.analysis import Analysis
from flyball_analytics.thresholds.metric import Metric
from flyball_analytics.thresholds.rules import RuleResult
from flyball_analytics.thresholds.tradeoff import Cell, smoothing_factor

SCHEMA = 1


def analysis_json(analysis: Analysis, *, policy_name: str, policy_hash: str) -> dict[str, object]:
    """Return what `flyball thresholds --format json` writes for one metric; null where nothing is known."""
    metric = analysis.metric
    bands = analysis.bands
    advice = analysis.recommendation
    curve = analysis.curve
    return {
        "schema": SCHEMA,
        "target": metric.target,
        "metric": metric.name,
        "unit": metric.unit,
        "path": metric.path,
        "policy": policy_name,
        "policy_hash": policy_hash,
        "period_s": metric.period_s,
        "windows": len(metric.points),
        "span_s": metric.span_s,
        "problems": len(metric.problems),
        "labelled": analysis.labels is not None,
        "baseline": None
        if bands is None
        else {
            **bands._asdict(),
            "seasons": [
                {**season._asdict(), "parts": [list(part) for part in season.parts]}
                for season in bands.seasons
            ],
        },
        "rules": [_rule(result) for result in analysis.results],
        "trade_off": None
        if curve is None
        else {
            "asked": curve.asked,
            "weeks": curve.weeks,
            "fixed": _cell(curve.fixed, metric),
            "cells": [_cell(cell, metric) for cell in curve.cells],
            "best": _cell(curve.best, metric),
        },
        "recommendation": {
            "advice": advice.advice.value,
            "because": advice.because,
            "missing": list(advice.missing),
            "choice": None if advice.choice is None else _cell(advice.choice, metric),
        },
    }


def _rule(result: RuleResult) -> dict[str, object]:
    return {
        "rule": result.rule,
        "title": result.title,
        "ready_s": result.ready_s,
        "firings": [{"start_s": f.start_s, "at_s": f.at_s, "end_s": f.end_s} for f in result.firings],
        "recurring": result.recurring,
        "score": score_json(result.score),
    }


def _cell(cell: Cell, metric: Metric) -> dict[str, object]:
    factor = None if cell.half_life_s is None else smoothing_factor(cell.half_life_s, metric.period_s)
    return {**cell._asdict(), "smoothing_factor": factor}
