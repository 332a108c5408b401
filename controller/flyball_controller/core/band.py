"""Whether one value of a metric (latency, a crash rate, a queue length) is too high for this moment.

For errors there is a better test, because errors come with requests
(docs/theory/thresholds.md, evidence). This module is for everything that is one
number per window. It never knows what the metric means, who asks, or what will
be done about it; all times are arguments.

Rules.
1. Values are judged by their square root. Counts have the same spread at every
   height there and skewed metrics a nearly symmetric one; a change of unit
   changes no decision; and a root needs no function whose last bit differs
   between platforms (a logarithm would, and has no zero).
2. A value is over only if it is over *every* one of: level + k spreads, a
   multiple of the level, a floor, an absolute excess, the resolution of the
   metric, what the season usually brings, and the third highest of the short
   lonely excursions of the last days. Each guard answers a complaint from
   practice; the theory names them.
3. One row moves the baseline by a bounded amount; rows over the band a fifth of
   that; while firing nothing is learned, and profiles stop after two hours.
4. The freeze is bounded: out of band for a day is a new normal. The old one is
   kept for a week, and comes back if the values do: otherwise a long incident
   would make the return to health look strange and the next incident normal.
5. A start inside an incident must not become normal: the first level comes from
   the lower third of the first twelve rows, and early rows are outweighed fast.
6. State is a function of the accepted points only, never of how they were cut
   into runs. What is not accepted is named in the verdict and changes nothing.

Sources: Bartlett (1936) for the root; Roberts (1959), Huber (1964), Brutlag
(2000) for level, clipping and spread; Shamir and Zhang (2013) for weighting
late rows in a young mean; VPA's 1 + 1/confidence for widening; Dynatrace for
absolute and relative together.
"""

from __future__ import annotations

from math import sqrt

from flyball_controller.core.band_learn import (
    change_normal,
    grain,
    learn,
    learn_season,
    note_excursion,
    season_of,
    start,
    visit_seasons,
    votes_needed,
)
from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import (
    UNKNOWN,
    BandState,
    BandVerdict,
    Note,
    Point,
)

GAP_PERIODS_MAX = 10.0  # after a gap one row counts at most like this many: it is still one row
CALM_FACTOR = 4.0  # out-of-band time is forgotten this much faster than it grows
SURE_WIDENING = 0.01  # confidence is 1 where the band is only this share wider than it will ever be


def step(state: BandState, point: Point, settings: BandSettings) -> tuple[BandState, BandVerdict]:
    """Return the state after one point, and the verdict made before learning from it.

    Total: any numbers are accepted, and what cannot be used is named in the note.

    >>> state = BandState()
    >>> for minute in range(60):
    ...     state, verdict = step(state, Point(60.0 * minute, 60.0, 0.2 + minute % 3 / 100), BandSettings())
    >>> verdict.firing, verdict.ready
    (False, True)
    >>> for minute in (60, 61):
    ...     state, verdict = step(state, Point(60.0 * minute, 60.0, 0.9), BandSettings())
    >>> verdict.firing, round(verdict.level, 2)
    (True, 0.21)
    """
    refused = _refusal(state, point)
    if refused is not Note.JUDGED:
        return state, _unjudged(state, point, settings, refused)
    value = point.value if point.value < settings.high else settings.high
    value = value - settings.low if value > settings.low else 0.0
    root = sqrt(value)
    elapsed_s = point.period_s
    if state.accepted > 0 and point.at_s - state.at_s > elapsed_s:
        elapsed_s = point.at_s - state.at_s
    expected, upper = bounds(state, point, settings)
    rows = state.now.rows
    ready = rows >= settings.ready_rows
    over = ready and root > upper
    votes, firing = _vote(
        state, point, settings, over, root <= expected + settings.reset_share * (upper - expected)
    )
    state = note_excursion(state, point, settings, root, value, elapsed_s)
    dt_s = elapsed_s if elapsed_s < GAP_PERIODS_MAX * point.period_s else GAP_PERIODS_MAX * point.period_s
    out_s = state.out_s + dt_s if over or firing else state.out_s - CALM_FACTOR * dt_s
    now, first, seasons = state.now, state.first, state.seasons
    if now.rows < settings.ready_rows:
        now, first = start(first, root, settings)
    elif not firing:
        seasons = learn_season(state, point, root, dt_s, settings, over=over)
        now = learn(now, root, dt_s, point.period_s, settings, over=over, least=grain(state, settings))
    state = state._replace(
        at_s=point.at_s,
        accepted=state.accepted + 1,
        now=now,
        first=first,
        votes=votes,
        firing=firing,
        out_s=out_s if out_s > 0.0 else 0.0,
        last=value,
        seasons=seasons,
    )
    state = state._replace(seasons=visit_seasons(state, point, root, settings, out=over or firing))
    note = Note.JUDGED if ready else Note.LEARNING
    state, note = change_normal(state, root, dt_s, settings, note)
    return state, _verdict(state.firing, over, expected, upper, settings, note, rows=rows)


def bounds(state: BandState, point: Point, settings: BandSettings) -> tuple[float, float]:
    """Return what is expected of a window and where it is over, both as roots above the range's low end."""
    now = state.now
    widen = 1.0 + settings.young_rows / (now.rows + 1.0)
    least = settings.spread_min_ratio * now.level
    spread = now.spread if now.spread > least else least
    resolution = grain(state, settings)
    expected = now.level
    upper = now.level + settings.spread_k * widen * spread
    excess = sqrt(now.level * now.level + settings.excess)
    lonely = now.level + settings.peak_margin * state.peaks[-1]
    for bound in (
        now.level + settings.spread_k * resolution,
        now.level * sqrt(settings.ratio),
        sqrt(settings.floor - settings.low) if settings.floor > settings.low else 0.0,
        excess,
        lonely,
    ):
        if bound > upper:
            upper = bound
    season = season_of(state, point, settings)
    if season >= 0.0:
        noise = state.seasons.spread if 0.0 <= state.seasons.spread < spread else spread
        if resolution > noise:
            noise = resolution
        for bound in (season + settings.season_k * noise, season * sqrt(settings.season_ratio)):
            if bound > upper:
                upper = bound
        if season > expected:
            expected = season
    top = sqrt(settings.ceiling - settings.low)
    return expected, upper if upper < top else top


def _refusal(state: BandState, point: Point) -> Note:
    """Return why a point is not accepted, JUDGED if it is."""
    at_s, period_s, value = point
    # Comparisons with NaN are false, so each is written to fail on it.
    if not -1e18 < at_s < 1e18 or not 0.0 < period_s < 1e18:
        return Note.INVALID
    if state.accepted > 0 and at_s <= state.at_s:
        return Note.DUPLICATE if at_s == state.at_s else Note.LATE
    if value != value:
        return Note.MISSING
    return Note.JUDGED if -1e308 < value < 1e308 else Note.INVALID


def _unjudged(state: BandState, point: Point, settings: BandSettings, note: Note) -> BandVerdict:
    expected, upper = state.now.level, state.now.level
    if note is Note.MISSING and state.accepted > 0:
        expected, upper = bounds(state, point, settings)
    return _verdict(state.firing, False, expected, upper, settings, note, rows=state.now.rows)


def _verdict(
    firing: bool, over: bool, expected: float, upper: float, settings: BandSettings, note: Note, *, rows: int
) -> BandVerdict:
    share = rows * SURE_WIDENING / settings.young_rows if settings.young_rows > 0.0 else 1.0
    known = rows >= settings.ready_rows
    return BandVerdict(
        firing,
        over,
        settings.low + expected * expected if known else UNKNOWN,
        settings.low + upper * upper if known else UNKNOWN,
        known,
        share if share < 1.0 else 1.0,
        note,
    )


def _vote(
    state: BandState, point: Point, settings: BandSettings, over: bool, clear: bool
) -> tuple[int, bool]:
    """Return the votes with this row's, and whether it fires: m of the last n rows open, one clear closes."""
    n, m = votes_needed(point.period_s, settings)
    passed = 1.0
    if state.accepted > 0:
        passed = (point.at_s - state.at_s) / point.period_s
    shift = n if passed >= n else int(passed + 0.5)
    votes = ((state.votes << (shift if shift > 0 else 1)) | int(over)) & ((1 << n) - 1)
    if state.firing:
        return (0, False) if clear else (votes, True)
    return votes, over and votes.bit_count() >= m
