"""Two contenders over the same history: which is better, by how much, and whether that can be known.

Each measure is compared on its own: the difference of the two, with a 95 % interval
from a paired bootstrap (the same pieces are drawn for both, so that what was hard for
one was hard for the other), against a margin below which a difference does not
matter. The whole interval beyond the margin is better or worse; the whole interval
inside it is the same; anything else is not known. A side is taken only if six pieces
or more differ: of five, all on one side, the exact sign test still lets chance win
6 times in 100.

The verdict on a contender: better needs one measure better and none that might be
worse. There is no weighted score: it would hide the trade that a reader has to make.

Pieces are whole services where six or more have data, else incidents and days.
Deterministic: the draws come from a fixed seed.

Sources: Efron (1979), Ann. Statist. 7, 1-26 (bootstrap); Kruschke (2018), Adv. Methods
Pract. Psychol. Sci. 1, 270-280 (interval against a region that does not matter);
Dixon & Mood (1946), J. Am. Stat. Assoc. 41, 557-566 (sign test).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from flyball_analytics.compare_figures import Day, Figures, Seen
from flyball_analytics.score import RATE_WEEKS_MIN, WEEK_S

DRAWS = 2_000
SEED = 1979
SHARE = 0.95
# The fewest pieces that, all on one side, an exact two-sided sign test at 5 % takes for no chance: 2 / 2**6.
PIECES_MIN = 6
ALL = "*"
UNLABELLED = "no labels: without them more or less of anything is neither good nor bad"


class Verdict(StrEnum):
    """What a comparison came to, seen from the candidate."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    MIXED = "mixed"  # better in one measure, worse in another: the reader's trade to make
    INCONCLUSIVE = "inconclusive"


class Measure(NamedTuple):
    """One figure to compare; lower is better for all of them.

    `margin`: a difference up to it does not matter. `acting`: only contenders that decide
    about traffic have it. `weeks_of`: weeks in one unit of what it is counted over; under
    a week in all there is no rate. 0: it is no rate.
    """

    unit: str
    meaning: str
    margin: float
    acting: bool
    weeks_of: float


MEASURES: dict[str, Measure] = {
    "missed_ratio": Measure("of incidents", "incidents never recognised", 0.02, False, 0.0),
    "delay_s": Measure("s", "from an incident's first bad window to the decision, mean", 60.0, False, 0.0),
    "false_alarms_per_week": Measure("/week", "trouble named in healthy time", 0.5, False, 1.0),
    "false_open_min_per_week": Measure("min/week", "healthy traffic refused by circuits", 1.0, True, 1.0),
    "restricted_ratio": Measure(
        "of time", "healthy time in which clients may do less", 0.001, True, 1.0 / WEEK_S
    ),
    "changes_per_h": Measure("/h", "setpoints changed per service", 0.05, True, 0.0),
}
LOST = "lost_ratio"
CLOSED_MEASURES: dict[str, Measure] = {
    LOST: Measure("of requests", "requests lost in and after incidents, closed loop", 0.005, True, 0.0),
}


class Pair(NamedTuple):
    """One piece: for both contenders how much there was (`*_of`) and how much of it counts."""

    base: float
    base_of: float
    other: float
    other_of: float


class Interval(NamedTuple):
    """Lower and upper end of a difference, candidate minus baseline."""

    low: float
    high: float


class Compared(NamedTuple):
    """One measure of two contenders. None: there is nothing to say it from.

    `limit` is what the candidate may have at most, None if nobody set one; `pieces` are
    `piece`s (services, incidents, days), of which `differing` differ.
    """

    measure: str
    base: float | None
    other: float | None
    difference: float | None
    interval: Interval | None
    pieces: int
    differing: int
    piece: str
    margin: float
    limit: float | None
    verdict: Verdict
    why: str
    worlds: Interval | None = None  # closed loop: the difference in the kindest and the worst world

    @property
    def kept(self) -> bool:
        """Whether the candidate keeps its limit; what cannot be said breaks none."""
        return self.limit is None or self.other is None or self.other <= self.limit


class Comparison(NamedTuple):
    """A candidate against the baseline, on one target or (`*`) on all of them."""

    target: str
    base: str
    other: str
    measures: tuple[Compared, ...]
    verdict: Verdict
    why: str


class Rules(NamedTuple):
    """What the user changes: margins and limits, by measure."""

    margins: Mapping[str, float] = {}
    limits: Mapping[str, float] = {}


class Lost(NamedTuple):
    """Requests lost in the closed loop.

    `pairs`: per target one pair per incident, mean over all worlds. `worlds`: per target,
    and `*` for all, the difference of the lost share in each world that may have been.
    """

    pairs: Mapping[str, Sequence[Pair]]
    worlds: Mapping[str, Sequence[float]]


_INCIDENT: dict[str, Callable[[Seen], float]] = {
    "missed_ratio": lambda seen: float(seen.missed),
    "delay_s": lambda seen: seen.delay_s,
}
_DAY: dict[str, Callable[[Day], tuple[float, float]]] = {
    "false_alarms_per_week": lambda day: (float(day.false_alarms), day.healthy_s / WEEK_S),
    "false_open_min_per_week": lambda day: (day.refused_s / 60.0, day.healthy_s / WEEK_S),
    "restricted_ratio": lambda day: (day.restricted_s, day.healthy_s),
    "changes_per_h": lambda day: (float(day.changes), day.recorded_s / 3_600.0),
}


def compare(
    base: Sequence[Figures],
    other: Sequence[Figures],
    rules: Rules = Rules(),  # noqa: B008  (immutable)
    *,
    lost: Lost | None = None,
) -> tuple[Comparison, list[Comparison]]:
    """Return the candidate against the baseline: over all targets together, and target by target.

    Args:
        base: The baseline's figures, one per target.
        other: The candidate's, of the same targets in the same order.
        rules: Margins and limits.
        lost: Requests lost in the closed loop; None: not run.

    Raises:
        ValueError: If the two are not about the same targets.
    """
    if [f.target for f in base] != [f.target for f in other]:
        raise ValueError("baseline and candidate must have the same targets in the same order")
    single = [
        _comparison([mine], [theirs], rules, lost, target=mine.target)
        for mine, theirs in zip(base, other, strict=True)
    ]
    return _comparison(base, other, rules, lost, target=ALL), single


def _comparison(
    base: Sequence[Figures],
    other: Sequence[Figures],
    rules: Rules,
    lost: Lost | None,
    *,
    target: str,
) -> Comparison:
    acts = all(f.acts for f in (*base, *other))
    labelled = any(f.labelled for f in base)
    measures = []
    for name, measure in MEASURES.items():
        if measure.acting and not acts:
            continue
        groups = [_pairs(name, mine, theirs) for mine, theirs in zip(base, other, strict=True)]
        piece = "incidents" if name in _INCIDENT else "days"
        measures.append(_compared(name, measure, groups, piece, rules))
    if lost is not None:
        measures.append(_lost(lost, [mine.target for mine in base], target, rules))
    verdict, why = overall(measures) if labelled else (Verdict.INCONCLUSIVE, UNLABELLED)
    return Comparison(target, base[0].contender, other[0].contender, tuple(measures), verdict, why)


def compare_lost(
    targets: Sequence[str],
    base: str,
    other: str,
    lost: Lost,
    rules: Rules = Rules(),  # noqa: B008
) -> tuple[Comparison, list[Comparison]]:
    """Return the comparison of two algorithms that only the closed loop knows, by lost requests alone."""
    found = []
    for target, of in ((ALL, targets), *((one, [one]) for one in targets)):
        measure = _lost(lost, of, target, rules)
        verdict, why = overall([measure])
        found.append(Comparison(target, base, other, (measure,), verdict, why))
    return found[0], found[1:]


def _lost(lost: Lost, targets: Sequence[str], target: str, rules: Rules) -> Compared:
    """Return the lost requests; where the worlds disagree about the side, that is no verdict."""
    groups = [list(lost.pairs.get(one, ())) for one in targets]
    found = _compared(LOST, CLOSED_MEASURES[LOST], groups, "incidents", rules)
    worlds = lost.worlds.get(target, ())
    if worlds:
        found = found._replace(worlds=Interval(min(worlds), max(worlds)))
    if worlds and min(worlds) < -found.margin and max(worlds) > found.margin:
        ends = f"{min(worlds) * 100.0:+.2g} % to {max(worlds) * 100.0:+.2g} %"
        return found._replace(
            interval=None, verdict=Verdict.INCONCLUSIVE, why=f"it depends on what no recording shows, {ends}"
        )
    return found


def _pairs(name: str, base: Figures, other: Figures) -> list[Pair]:
    """Return the pieces of one target."""
    if name in _INCIDENT:
        value = _INCIDENT[name]
        return [
            Pair(value(a), 1.0, value(b), 1.0) for a, b in zip(base.incidents, other.incidents, strict=True)
        ]
    figure = _DAY[name]
    days = sorted({*base.days, *other.days})
    return [Pair(*figure(base.days.get(day, Day())), *figure(other.days.get(day, Day()))) for day in days]


def _joined(pairs: Iterable[Pair]) -> Pair:
    kept = list(pairs)
    return Pair(*(math.fsum(column) for column in zip(*kept, strict=True)))


def _compared(
    name: str, measure: Measure, groups: Sequence[Sequence[Pair]], piece: str, rules: Rules
) -> Compared:
    """Return one measure: whole services are drawn where there are enough, else their pieces."""
    margin = rules.margins.get(name, measure.margin)
    limit = rules.limits.get(name)
    filled = [group for group in groups if any(p.base_of > 0.0 and p.other_of > 0.0 for p in group)]
    pairs = [p for group in filled for p in group if p.base_of > 0.0 and p.other_of > 0.0]
    if len(filled) >= PIECES_MIN:
        pairs, piece = [_joined(group) for group in filled], "services"
    if not pairs:
        nothing = (None, None, None, None)
        return Compared(
            name, *nothing, 0, 0, piece, margin, limit, Verdict.INCONCLUSIVE, f"no {piece} to compare"
        )
    total = _joined(pairs)
    base, other = total.base / total.base_of, total.other / total.other_of
    short = 0.0 < total.base_of * measure.weeks_of < RATE_WEEKS_MIN
    interval = None if short else paired_interval(pairs)
    differing = sum(p.base / p.base_of != p.other / p.other_of for p in pairs)
    verdict, why = judge(interval, pieces=len(pairs), differing=differing, margin=margin, piece=piece)
    if short:
        why = "under a week of healthy time"
    return Compared(
        name, base, other, other - base, interval, len(pairs), differing, piece, margin, limit, verdict, why
    )


@lru_cache(maxsize=64)
def _picks(count: int, draws: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Return the pieces that each draw takes; the same for every measure with as many pieces."""
    draw = random.Random(seed)
    places = range(count)
    return tuple(tuple(draw.choices(places, k=count)) for _ in range(draws))


def paired_interval(
    pairs: Sequence[Pair], *, draws: int = DRAWS, seed: int = SEED, share: float = SHARE
) -> Interval | None:
    """Return the percentile interval of the difference of two ratios of sums; None with under six pieces.

    Args:
        pairs: The pieces; what was there (`*_of`) must be > 0.
        draws: How often to draw, > 0.
        seed: Equal seeds give equal intervals.
        share: Mass inside, 0 < share < 1.

    >>> paired_interval([Pair(120.0, 1.0, 60.0, 1.0)] * 6)
    Interval(low=-60.0, high=-60.0)
    """
    if len(pairs) < PIECES_MIN:
        return None
    found = []
    base, base_of, other, other_of = zip(*pairs, strict=True)
    for picked in _picks(len(pairs), draws, seed):
        mine = sum([base[i] for i in picked]) / sum([base_of[i] for i in picked])
        theirs = sum([other[i] for i in picked]) / sum([other_of[i] for i in picked])
        found.append(theirs - mine)
    found.sort()
    tail = (1.0 - share) / 2.0
    return Interval(found[int(tail * (draws - 1))], found[math.ceil((1.0 - tail) * (draws - 1))])


def judge(
    interval: Interval | None, *, pieces: int, differing: int, margin: float, piece: str
) -> tuple[Verdict, str]:
    """Return the verdict on one measure and, where there is none, why.

    >>> judge(Interval(-90.0, -61.0), pieces=8, differing=7, margin=60.0, piece="incidents")
    (<Verdict.BETTER: 'better'>, '')
    """
    if interval is None:
        return Verdict.INCONCLUSIVE, f"{pieces} of {PIECES_MIN} {piece} needed"
    low, high = interval
    if -margin <= low and high <= margin:
        return Verdict.SAME, ""
    if not (high < -margin or low > margin):
        return Verdict.INCONCLUSIVE, "the interval crosses the margin"
    if differing < PIECES_MIN:
        return Verdict.INCONCLUSIVE, f"{differing} of {PIECES_MIN} differing {piece} needed"
    return (Verdict.BETTER if high < -margin else Verdict.WORSE), ""


def overall(measures: Sequence[Compared]) -> tuple[Verdict, str]:
    """Return the verdict of all measures together, and in words what decides it.

    Better needs proof on every measure: that it is better, or that it is not worse by
    more than its margin. Worse needs one that is worse, and none that is better.
    """
    better = [m.measure for m in measures if m.verdict is Verdict.BETTER]
    worse = [m.measure for m in measures if m.verdict is Verdict.WORSE]
    # Known not to be worse: the interval's upper end is inside the margin.
    unsure = [m for m in measures if m.verdict is Verdict.INCONCLUSIVE and not _not_worse(m)]
    if better and worse:
        return Verdict.MIXED, f"better: {', '.join(better)}; worse: {', '.join(worse)}"
    if worse:
        return Verdict.WORSE, f"worse: {', '.join(worse)}"
    if unsure:
        won = f"better: {', '.join(better)}; but not known: " if better else "not known: "
        return Verdict.INCONCLUSIVE, won + _grouped(unsure)
    if better:
        return Verdict.BETTER, f"better: {', '.join(better)}; nothing worse"
    if all(m.verdict is Verdict.SAME for m in measures):
        return Verdict.SAME, "every difference is within its margin"
    leaning = [m for m in measures if m.verdict is Verdict.INCONCLUSIVE]
    return Verdict.INCONCLUSIVE, f"not worse; whether better is not known: {_grouped(leaning)}"


def _grouped(measures: Sequence[Compared]) -> str:
    """Return the measures by what is in the way of a verdict: each reason once."""
    by_why: dict[str, list[str]] = {}
    for one in measures:
        by_why.setdefault(one.why, []).append(one.measure)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in by_why.items())


def _not_worse(one: Compared) -> bool:
    return one.interval is not None and one.interval.high <= one.margin
