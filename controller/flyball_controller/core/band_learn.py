"""How a value detector learns: a robust level and spread, lonely peaks, and when a level becomes normal.

Split from core/band.py, which holds the rules and judges; this module only
moves what is remembered. It never decides whether something fires.
"""

from __future__ import annotations

from math import sqrt

from flyball_controller.core.band_settings import BandSettings
from flyball_controller.core.band_state import NO_PEAKS, BandState, Normal, Note, Point, Seasons
from flyball_controller.core.profile import DAILY, HOURLY, WEEKLY, expectation, visit

LN2 = 0.6931471805599453
MEAN_DEVIATION_TO_SD = 1.2533141373155001  # sqrt(pi / 2), for a normal law
MEDIAN_DEVIATION_TO_SD = 1.4826022185056018  # for a normal law
LOWER_TO_SD = 1.5  # the lower third of a normal sample lies 1 / 1.5 of a spread over its lowest tenth, nearly
FREE_FALL_ROWS = 20  # until then the level falls unclipped: it may have begun inside an incident
LONELY_ROWS = 2  # longer excursions are never lonely, unless the vote needs more rows
VOTES_MAX = 32


def grain(state: BandState, settings: BandSettings) -> float:
    """Return the root spread of a count with the metric's resolution: half the root of its smallest step."""
    return settings.grain_k * sqrt(state.step_min)


def start(first: tuple[float, ...], root: float, settings: BandSettings) -> tuple[Normal, tuple[float, ...]]:
    """Gather the first rows; with the last of them return the normal that they show, from their lower third.

    The lower third because what goes wrong goes up: of twelve rows up to seven may
    belong to an incident. Spread: the smaller of the median deviation from that
    level and what the lower tail says.
    """
    first = (*first, root)
    count = len(first)
    if count < settings.ready_rows:
        return Normal(first[0], 0.0, count), first
    ordered = sorted(first)
    level = ordered[(count - 1) * 34 // 100]
    deviations = sorted(root - level if root > level else level - root for root in ordered)
    spread = MEDIAN_DEVIATION_TO_SD * deviations[(count - 1) // 2]
    lower = LOWER_TO_SD * (level - ordered[count // 10])
    if 0.0 < lower < spread:
        spread = lower
    return Normal(level, spread, count), ()


def learn(
    now: Normal,
    root: float,
    dt_s: float,
    period_s: float,
    settings: BandSettings,
    *,
    over: bool,
    least: float,
) -> Normal:
    """Return level and spread after one row, moved by a bounded amount.

    Args:
        now: What was normal.
        root: The row.
        dt_s: Time that the row stands for, > 0.
        period_s: Length of its window, > 0.
        settings: Rates and clips.
        over: The row is over the band: learned slower.
        least: Spread below which none is believed (the metric's resolution).
    """
    rate = _rate(dt_s, period_s, settings)
    young = settings.young_forget / (now.rows + settings.young_forget)
    if young > rate:
        rate = young
    if over:
        rate *= settings.over_rate
    spread = usual_spread(now, settings, least)
    limit = settings.clip_k * spread
    deviation = root - now.level
    if deviation > limit:
        deviation = limit
    clipped = deviation if deviation > -limit else -limit
    if now.rows > FREE_FALL_ROWS:
        deviation = clipped
    size = clipped if clipped > 0.0 else -clipped
    return Normal(
        now.level + rate * deviation,
        now.spread + rate * (MEAN_DEVIATION_TO_SD * size - now.spread),
        now.rows + 1,
    )


def _rate(dt_s: float, period_s: float, settings: BandSettings) -> float:
    """Return the weight of one row: 1 - 2^(-dt/H), written without a power."""
    half_life_s = settings.half_life_rows * period_s
    if settings.half_life_s > half_life_s:
        half_life_s = settings.half_life_s
    share = LN2 * dt_s / half_life_s
    return share / (1.0 + share)


def season_of(state: BandState, point: Point, settings: BandSettings) -> float:
    """Return the root that the season brings at this moment, -1 while no profile knows."""
    best = expectation(state.seasons.hourly, HOURLY, point.at_s, point.period_s)
    daily = expectation(state.seasons.daily, DAILY, point.at_s, point.period_s)
    if daily > best:
        best = daily
    if settings.weekly:
        weekly = expectation(state.seasons.weekly, WEEKLY, point.at_s, point.period_s)
        if weekly > best:
            best = weekly
    return best


def learn_season(
    state: BandState, point: Point, root: float, dt_s: float, settings: BandSettings, *, over: bool
) -> Seasons:
    """Return the seasons with the spread about them moved by one row, by a bounded amount."""
    season = season_of(state, point, settings)
    if season < 0.0:
        return state.seasons
    old = state.seasons.spread if state.seasons.spread >= 0.0 else state.now.spread
    size = root - season if root > season else season - root
    limit = settings.clip_k * usual_spread(state.now, settings, grain(state, settings))
    if size > limit:
        size = limit
    rate = _rate(dt_s, point.period_s, settings)
    if over:
        rate *= settings.over_rate
    return state.seasons._replace(spread=old + rate * (MEAN_DEVIATION_TO_SD * size - old))


def usual_spread(now: Normal, settings: BandSettings, least: float) -> float:
    """Return the spread, at least `least` and a share of the level."""
    share = settings.spread_min_ratio * now.level
    if share > least:
        least = share
    return now.spread if now.spread > least else least


def note_excursion(
    state: BandState, point: Point, settings: BandSettings, root: float, value: float, elapsed_s: float
) -> BandState:
    """Return the state with excursion, lonely peaks and resolution brought up to date."""
    now = state.now
    fade = 1.0 / (1.0 + LN2 * elapsed_s / settings.peak_half_life_s)
    a, b, c = state.peaks
    a, b, c = a * fade, b * fade, c * fade
    step_next = _smaller_step(state, value)
    high = now.level + settings.spread_k * usual_spread(now, settings, grain(state, settings))
    if now.level * sqrt(settings.ratio) > high:
        high = now.level * sqrt(settings.ratio)
    floor = sqrt(settings.floor - settings.low) if settings.floor > settings.low else 0.0
    if now.rows >= settings.ready_rows and root > high and root > floor:
        peak = root - now.level
        return state._replace(
            peaks=(a, b, c),
            step_next=step_next,
            run_rows=state.run_rows + 1,
            run_peak=peak if peak > state.run_peak else state.run_peak,
        )
    if state.run_rows > 0 and _was_lonely(state.run_rows, point.period_s, settings):
        peak = state.run_peak
        if peak > a:
            a, b, c = peak, a, b
        elif peak > b:
            b, c = peak, b
        elif peak > c:
            c = peak
    return state._replace(peaks=(a, b, c), step_next=step_next, step_min=step_next, run_rows=0, run_peak=0.0)


def _smaller_step(state: BandState, value: float) -> float:
    if state.last < 0.0 or value == state.last:
        return state.step_next
    size = value - state.last if value > state.last else state.last - value
    return size if state.step_next <= 0.0 or size < state.step_next else state.step_next


def _was_lonely(rows: int, period_s: float, settings: BandSettings) -> bool:
    """Return whether an excursion was too short to be an incident: few rows, and at most ten minutes."""
    _, m = votes_needed(period_s, settings)
    return rows * period_s <= settings.peak_s_max and rows <= (m if m > LONELY_ROWS else LONELY_ROWS)


def visit_seasons(
    state: BandState, point: Point, root: float, settings: BandSettings, *, out: bool
) -> Seasons:
    """Return the seasons with the row entered into its slots, unless its excursion has lasted too long.

    An excursion visits each slot at most once: two visits of three would make it
    the season, and an outage of two hours would be an hourly batch.
    """
    hourly, daily, weekly, spread = state.seasons
    at_s, period_s, _ = point
    out_s = state.out_s if out else 0.0
    if out_s < HOURLY.length_s:
        hourly = visit(hourly, HOURLY, at_s, period_s, root)
    if out_s < settings.season_stop_s:
        daily = visit(daily, DAILY, at_s, period_s, root)
        if settings.weekly:
            weekly = visit(weekly, WEEKLY, at_s, period_s, root)
    return Seasons(hourly, daily, weekly, spread)


def change_normal(
    state: BandState, root: float, dt_s: float, settings: BandSettings, note: Note
) -> tuple[BandState, Note]:
    """Return the state after relearning or restoring, where one is due, and what to call it."""
    if state.out_s >= settings.relearn_s:
        fresh = state._replace(
            before=state.now, seasons_before=state.seasons, before_s=0.0, back_rows=0, now=Normal(), first=()
        )
        fresh = fresh._replace(votes=0, firing=False, out_s=0.0, run_rows=0, run_peak=0.0, peaks=NO_PEAKS)
        return fresh, Note.RELEARNED
    before = state.before
    if before.rows == 0:
        return state, note
    since_s = state.before_s + dt_s
    band = before.level + settings.spread_k * usual_spread(before, settings, grain(state, settings))
    back_rows = state.back_rows + 1 if root <= band else 0
    if back_rows >= settings.restore_rows:
        old = forgotten(state)._replace(now=before, seasons=state.seasons_before, first=())
        return old._replace(votes=0, firing=False, out_s=0.0), Note.RESTORED
    if since_s >= settings.restore_s:
        return forgotten(state), note
    return state._replace(before_s=since_s, back_rows=back_rows), note


def forgotten(state: BandState) -> BandState:
    """Return the state without the normal before the last relearning."""
    return state._replace(before=Normal(), seasons_before=Seasons(), before_s=0.0, back_rows=0)


def votes_needed(period_s: float, settings: BandSettings) -> tuple[int, int]:
    """Return n and m of the vote for windows of this length: the rows of `vote_s`, and two thirds of them.

    >>> [votes_needed(p, BandSettings()) for p in (10.0, 60.0, 300.0, 3600.0)]
    [(18, 12), (3, 2), (1, 1), (1, 1)]
    """
    share = settings.vote_s / period_s
    n = VOTES_MAX if share > VOTES_MAX else int(share)
    if n < 1:
        n = 1
    return n, (2 * n + 2) // 3
