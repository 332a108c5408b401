"""What an operator can decide about a value detector; one flat record of plain numbers.

One default serves every metric: latencies, counts, rates, at any interval. Only
the range, the floor and the excess belong to a metric, because only they carry
its unit. The other defaults were chosen on recordings of other kinds of metrics
than they are judged on; docs/theory/thresholds.md has both lists.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.core.errors import PolicyError

HIGH = 1e18  # values over this are clamped to it: no metric of ours is larger


class BandSettings(NamedTuple):
    """Parameters of core/band.py. Ratios and k are unitless; `low`..`excess` have the metric's unit."""

    # --- the metric -----------------------------------------------------------------------
    low: float = 0.0  # the range; values outside are clamped to it
    high: float = HIGH
    floor: float = 0.0  # never over up to here
    ceiling: float = HIGH  # always over from here on, whatever was learned
    excess: float = 0.0  # never over unless this much above the level
    # --- the band -------------------------------------------------------------------------
    spread_k: float = 2.5
    ratio: float = 1.5  # never over unless this multiple of the level (Dynatrace: 50 %)
    spread_min_ratio: float = (
        0.02  # of the level's root (4 % of the level): constants are not infinitely sure
    )
    grain_k: float = 0.5  # a Poisson count has a root's spread of one half
    season_k: float = 3.5
    season_ratio: float = 1.3  # never over unless this multiple of what the season brings
    peak_margin: float = 1.15
    young_rows: float = 4.0  # k is widened by 1 + young_rows / rows
    ready_rows: int = 12  # rows before anything can fire
    # --- evidence -------------------------------------------------------------------------
    vote_s: float = 180.0  # two thirds of the rows of this span must be over; one row if it holds only one
    reset_share: float = 0.8  # ends at the expectation plus this share of the way to the band
    # --- learning -------------------------------------------------------------------------
    half_life_s: float = 43_200.0  # 12 h
    half_life_rows: float = 24.0  # at least: hourly rows need a day
    young_forget: float = 2.0  # a young mean weighs row i like i^(this - 1): early rows are outweighed
    clip_k: float = 3.0  # one row counts at most like this many spreads
    over_rate: float = 0.2  # rows over the band are learned this much slower
    season_stop_s: float = 7_200.0  # out of band this long: profiles stop learning
    peak_s_max: float = 600.0  # longer excursions are incidents, never normal
    peak_half_life_s: float = 604_800.0  # a week
    weekly: bool = False  # keep an hour-of-week profile too (4 kB)
    # --- the freeze -----------------------------------------------------------------------
    relearn_s: float = 86_400.0  # out of band this long is the new normal
    restore_s: float = 604_800.0  # for this long the old normal can come back
    restore_rows: int = 3  # rows in a line inside the old band that bring it back


# For a share of requests in 0..1 where the requests themselves are not at hand; with them the
# count evidence is better. A ratio of few requests is coarse, so the next lonely peak may stand
# a step higher than the last three; and a breaker has no business under 5 %.
RATIO = BandSettings(high=1.0, floor=0.05, peak_margin=1.3)

# Field: least value, and whether it is allowed itself.
_LEAST = {
    "excess": (0.0, True),
    "spread_k": (0.0, False),
    "ratio": (1.0, True),
    "spread_min_ratio": (0.0, True),
    "grain_k": (0.0, True),
    "season_k": (0.0, True),
    "season_ratio": (1.0, True),
    "peak_margin": (1.0, True),
    "young_rows": (0.0, True),
    "ready_rows": (3, True),
    "vote_s": (0.0, True),
    "reset_share": (0.0, True),
    "half_life_s": (0.0, False),
    "half_life_rows": (1.0, True),
    "young_forget": (1.0, True),
    "clip_k": (0.0, False),
    "over_rate": (0.0, True),
    "season_stop_s": (0.0, True),
    "peak_s_max": (0.0, True),
    "peak_half_life_s": (0.0, False),
    "relearn_s": (0.0, False),
    "restore_s": (0.0, True),
    "restore_rows": (1, True),
}


def checked(settings: BandSettings) -> BandSettings:
    """Return the settings, if a detector can obey them.

    Raises:
        PolicyError: A value is out of bounds; `field` names it.

    >>> checked(BandSettings(spread_k=4.0)).spread_k
    4.0
    """
    for field, (least, allowed) in _LEAST.items():
        value = getattr(settings, field)
        # Written so that NaN fails.
        if not (value > least or (allowed and value == least)):
            raise PolicyError(
                f"{field}={value!r} must be {'at least' if allowed else 'over'} {least}",
                field=field,
                value=value,
            )
    for field in ("reset_share", "over_rate"):
        value = getattr(settings, field)
        if not value <= 1.0:
            raise PolicyError(f"{field}={value!r} must be at most 1: it is a share", field=field, value=value)
    if not -HIGH <= settings.low < settings.high <= HIGH:
        raise PolicyError(
            f"high={settings.high!r} must be over low={settings.low!r}, and both within +-{HIGH:g}",
            field="high",
            value=settings.high,
        )
    if not settings.low < settings.ceiling:
        raise PolicyError(
            f"ceiling={settings.ceiling!r} must be over low={settings.low!r}: else every value is over it",
            field="ceiling",
            value=settings.ceiling,
        )
    if not settings.floor < settings.ceiling:
        raise PolicyError(
            f"floor={settings.floor!r} must be under ceiling={settings.ceiling!r}: between them is the band",
            field="floor",
            value=settings.floor,
        )
    return settings
