"""Results held against labels: every figure that `flyball score` prints, for one series and for a rule.

The figures are those of score.py, with an interval of the rate of false alarms and the
NAB score for the record. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.labels import Labels
from flyball_analytics.nab import NabScore, NabSeries, nab_random, nab_score, nab_windows
from flyball_analytics.render import score_json
from flyball_analytics.results import Result
from flyball_analytics.score import Score, join_scores, score_steps
from flyball_analytics.score_interval import (
    PIECES_MIN,
    Interval,
    Piece,
    bootstrap_rate,
    healthy_pieces,
    join_pieces,
)

SCHEMA = 1
ALL = "*"


class Judged(NamedTuple):
    """One series, or all of a rule together (target `*`).

    `cuts`: the rule decides about traffic (a journal, the production step); any other rule
    only fires. `interval` is the 95 % bootstrap interval of false alarms per week, None with too few
    pieces; `nab` is at the rule's own threshold, `nab_tuned` at the best one on these
    labels, `by_lot` what chance gets; None without a window to score.
    """

    target: str
    rule: str
    path: str
    cuts: bool
    score: Score
    interval: Interval | None
    pieces: tuple[Piece, ...]
    nab: NabScore | None
    nab_tuned: NabScore | None
    by_lot: NabScore | None
    nab_series: tuple[NabSeries, ...]


def judge(result: Result, labels: Labels) -> Judged:
    """Return the figures of one series."""
    pieces = healthy_pieces(result.steps, labels)
    starts = [start_s for start_s, _ in result.rows]
    series = NabSeries(tuple(score for _, score in result.rows), nab_windows(starts, labels))
    score = score_steps(result.steps, labels)
    return _judged(result.target, result, score, pieces, pieces, (series,))


def judge_all(results: Sequence[Result], judged: Sequence[Judged]) -> Judged:
    """Return the figures of several series of one rule together: sums, and one NAB score over all files.

    The interval draws whole series where there are five or more, else their days.
    """
    whole = [join_pieces(one.pieces) for one in judged]
    pieces = whole if len(whole) >= PIECES_MIN else [piece for one in judged for piece in one.pieces]
    series = tuple(one for part in judged for one in part.nab_series)
    return _judged(ALL, results[0], join_scores(one.score for one in judged), pieces, whole, series)


def _judged(
    target: str,
    result: Result,
    score: Score,
    drawn: Sequence[Piece],
    kept: Sequence[Piece],
    series: tuple[NabSeries, ...],
) -> Judged:
    return Judged(
        target,
        result.rule,
        result.path if target != ALL else "",
        result.cuts,
        score,
        bootstrap_rate(drawn),
        tuple(kept),
        nab_score(series, threshold=result.threshold),
        nab_score(series),
        nab_random(series),
        series,
    )


def judged_json(one: Judged) -> dict[str, object]:
    """Return the figures as plain values; null where there is not enough data."""
    score = score_json(one.score)
    return {
        "schema": SCHEMA,
        "target": one.target,
        "rule": one.rule,
        "path": one.path,
        "score": {
            **(score if one.cuts else {**score, "answered": None, "opened": None}),
            "missed": len(one.score.incidents) - one.score.recognised,
            "false_alarms_per_week": one.score.false_alarms / one.score.healthy_weeks
            if one.score.healthy_weeks >= 1.0
            else None,
            "false_alarms_per_week_interval": None if one.interval is None else list(one.interval),
        },
        "nab": {
            "own_threshold": None if one.nab is None else one.nab.score,
            "tuned": None if one.nab_tuned is None else one.nab_tuned.score,
            "tuned_threshold": None if one.nab_tuned is None else _finite(one.nab_tuned.threshold),
            "random": None if one.by_lot is None else one.by_lot.score,
            "windows": 0 if one.nab is None else one.nab.windows,
        },
    }


def _finite(value: float) -> float | None:
    """Return the value; None for the threshold that nothing reaches."""
    return value if value < float("inf") else None
