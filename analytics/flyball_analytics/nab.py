"""The published score of the Numenta Anomaly Benchmark, for the record; never a measure to tune by.

NAB rewards the first detection inside a wide window round each anomaly, more so the
earlier it comes, and charges every firing row outside. It says nothing about delay in
minutes or alarms per week, charges a rule that stays open for an hour twelve times,
and gives chance a good score: a random row always stands beside it.

Formula (standard profile). A row at relative place y of a window (-1 at its left edge,
0 at its end, beyond it in widths past the end) weighs s(y) = 2 / (1 + e^(5y)) - 1, and
-1 from 3 widths on. A window counts its best row, s(y) / s(-1); a window without one
counts -1; every firing row outside counts 0.11 s(y) after the last window, -0.11 before
any. The first 15 % of a file, at most 750 rows, count nothing. The sum S is scaled so
that silence is 0 and a perfect detector 100: 100 (S - null) / (perfect - null).

Sources: Lavin and Ahmad (2015), "Evaluating real-time anomaly detection algorithms",
IEEE ICMLA, 38-44; scoring rules of numenta/NAB v1.1. Against it: Singh and Olinsky
(2017), "Demystifying Numenta anomaly benchmark", IJCNN, 1570-1577.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from flyball_analytics.labels import Labels

WINDOW_SHARE = 0.10  # of the rows of a file, shared by its anomalies
PROBATION_SHARE = 0.15
PROBATION_ROWS_MAX = 750
FALSE_ROW = 0.11  # what one firing row outside costs (standard profile)
FAR_WIDTHS = 3.0
STEEPNESS = 5.0
RANDOM_DRAWS = 11  # an odd number, so that the median of the draws is one of them


class NabSeries(NamedTuple):
    """The scores of one file, one per row, and its windows as first and last row numbers."""

    scores: tuple[float, ...]
    windows: tuple[tuple[int, int], ...]


class NabScore(NamedTuple):
    """0 = silence, 100 = perfect; `threshold` is the one it was reached at."""

    score: float
    threshold: float
    windows: int
    detected: int


class _Weight(NamedTuple):
    """What one row is worth if it fires: inside window number `window`, else (-1) outside."""

    score: float
    window: int
    worth: float


def sigmoid(place: float) -> float:
    """Return what a row at this relative place is worth, in -1..1.

    >>> [round(sigmoid(y), 4) for y in (-1.0, 0.0, 1.0, 3.5)]
    [0.9866, 0.0, -0.9866, -1.0]
    """
    return -1.0 if place > FAR_WIDTHS else 2.0 / (1.0 + math.exp(STEEPNESS * place)) - 1.0


def probation_rows(rows: int) -> int:
    """Return how many rows at the beginning of a file count nothing."""
    return min(int(PROBATION_SHARE * rows), PROBATION_ROWS_MAX)


def nab_windows(starts: Sequence[float], labels: Labels) -> tuple[tuple[int, int], ...]:
    """Return the windows of one file as row numbers: the labelled ones, else built as NAB builds them.

    Built: a tenth of the rows, shared by the incidents, centred on the middle of each;
    windows that touch are one.

    Args:
        starts: Start of every row, rising.
        labels: Incidents, and windows where the file states them.
    """
    count = len(starts)
    if labels.windows is not None:
        spans = [_rows_between(starts, a, b) for a, b in labels.windows]
        return tuple(span for span in spans if span[0] <= span[1])
    if not labels.incidents:
        return ()
    half = int(WINDOW_SHARE * count / len(labels.incidents) / 2)
    merged: list[tuple[int, int]] = []
    for incident in labels.incidents:
        first, last = _rows_between(starts, incident.start_s, incident.end_s)
        if first > last:
            continue
        middle = (first + last) // 2
        left, right = max(0, middle - half), min(count - 1, middle + half)
        if merged and left <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(right, merged[-1][1]))
        else:
            merged.append((left, right))
    return tuple(merged)


def _rows_between(starts: Sequence[float], from_s: float, to_s: float) -> tuple[int, int]:
    """Return the first and last row inside; first > last if there is none."""
    return bisect_left(starts, from_s), bisect_right(starts, to_s) - 1


def nab_score(series: Sequence[NabSeries], *, threshold: float | None = None) -> NabScore | None:
    """Return the score over several files together; None where no window can be scored.

    Args:
        series: Scores and windows of every file.
        threshold: A row fires if its score is at least this; None: the threshold
            that gives the best score on these very labels, which is how NAB does it.
    """
    weights: list[_Weight] = []
    windows = 0
    for one in series:
        found, count = _weights(one, windows)
        weights.extend(found)
        windows += count
    if windows == 0:
        return None
    weights.sort(key=lambda weight: -weight.score)
    best = [-1.0] * windows
    outside = 0.0
    at = NabScore(0.0, math.inf, windows, 0)
    chosen = at
    for score, group in groupby(weights, key=lambda weight: weight.score):
        if threshold is not None and score < threshold:
            break
        for weight in group:
            if weight.window < 0:
                outside += weight.worth
            elif weight.worth > best[weight.window]:
                best[weight.window] = weight.worth
        detected = sum(worth > -1.0 for worth in best)
        raw = math.fsum(best) + outside
        at = NabScore(100.0 * (raw + windows) / (2.0 * windows), score, windows, detected)
        if at.score > chosen.score:
            chosen = at
    return chosen if threshold is None else at._replace(threshold=threshold)


def _weights(one: NabSeries, before: int) -> tuple[list[_Weight], int]:
    """Return what each scored row is worth, and how many windows reach past the probation."""
    probation = probation_rows(len(one.scores))
    windows = [window for window in one.windows if window[1] >= probation]
    found: list[_Weight] = []
    place = 0  # the first window that has not ended before this row
    for row in range(probation, len(one.scores)):
        while place < len(windows) and windows[place][1] < row:
            place += 1
        if place < len(windows) and windows[place][0] <= row:
            left, right = windows[place]
            worth = sigmoid(-(right - row + 1) / (right - left + 1)) / sigmoid(-1.0)
            found.append(_Weight(one.scores[row], before + place, worth))
            continue
        if place == 0:
            past = math.inf
        else:
            left, right = windows[place - 1]
            past = (row - right) / max(right - left, 1)
        found.append(_Weight(one.scores[row], -1, FALSE_ROW * sigmoid(past)))
    return found, len(windows)


def nab_random(series: Sequence[NabSeries], *, draws: int = RANDOM_DRAWS, seed: int = 0) -> NabScore | None:
    """Return the median score of scores drawn by lot, the threshold tuned as for any other detector.

    Args:
        series: The files; their scores are not looked at.
        draws: How many times, odd.
        seed: Equal seeds give equal scores.
    """
    draw = random.Random(seed)
    found = []
    for _ in range(draws):
        by_lot = [one._replace(scores=tuple(draw.random() for _ in one.scores)) for one in series]
        score = nab_score(by_lot)
        if score is None:
            return None
        found.append(score)
    return sorted(found)[draws // 2]
