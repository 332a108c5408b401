"""What people write to try a policy over a history: EWMA and band, minutes of the hour, breaker, ladder.

The column work is vectorised where a library can; what feeds back (votes, cool-downs
that double, retry levels) is a Python loop, as in every notebook of this kind. All see
the same failure ratios. None knows evidence, dispersion, regimes or a setpoint that can
be explained; the figures say what the machinery costs, not what it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

ALPHA = 0.01
BAND = 3.0
FLOOR = 0.05
MINUTES = 60
VOTES, OF = 3, 5
COOL_DOWN, COOL_DOWN_MAX = 2, 64
RETRIES = 3


def breaker(bad: Sequence[bool]) -> int:
    """Three of five votes, open, cool-down that doubles, half-open; retries follow. Returns the openings."""
    state, until, cool, opens, good, retries = 0, 0, COOL_DOWN, 0, 0, RETRIES
    votes = [False] * OF
    levels = []
    for number, over in enumerate(bad):
        votes[number % OF] = over
        if state == 0:
            if sum(votes) >= VOTES:
                state, until, opens = 1, number + cool, opens + 1
                cool = min(2 * cool, COOL_DOWN_MAX)
        elif state == 1:
            if number >= until:
                state, good = 2, 0
        elif over:
            state, until = 1, number + cool
        else:
            good += 1
            if good >= VOTES:
                state, cool = 0, COOL_DOWN
        if over and retries > 0:
            retries -= 1
        elif not over and retries < RETRIES:
            retries += 1
        levels.append((state, retries))
    return opens


def by_pandas(ratios: Any) -> int:
    """Vectorised means, deviations and minutes of the hour, then a Python loop for what feeds back."""
    import numpy as np
    import pandas as pd

    series = pd.Series(ratios)
    window = series.ewm(alpha=ALPHA, adjust=False)
    mean = window.mean()
    minute = np.arange(len(series)) % MINUTES
    season = (
        (series - mean)
        .groupby(minute)
        .transform(lambda one: one.ewm(alpha=0.3, adjust=False).mean().shift(1))
    )
    limit = (mean + BAND * window.std().fillna(0.0)).shift(1).fillna(0.0) + season.fillna(0.0) + FLOOR
    return breaker((series > limit).tolist())


def by_polars(ratios: Any) -> int:
    """The same in polars."""
    import polars as pl

    frame = pl.DataFrame({"r": ratios}).with_row_index("i")
    mean = pl.col("r").ewm_mean(alpha=ALPHA, adjust=False)
    deviation = pl.col("r").ewm_std(alpha=ALPHA, adjust=False).fill_null(0.0)
    frame = frame.with_columns(m=mean, limit=(mean + BAND * deviation).shift(1).fill_null(0.0) + FLOOR)
    season = (
        (pl.col("r") - pl.col("m")).ewm_mean(alpha=0.3, adjust=False).shift(1).over(pl.col("i") % MINUTES)
    )
    return breaker(frame.select(pl.col("r") > pl.col("limit") + season.fill_null(0.0))["r"].to_list())


def by_river(ratios: Any) -> int:
    """Online, one value at a time, as a stream would come."""
    from river.stats import EWMean, EWVar

    mean, variance = EWMean(fading_factor=ALPHA), EWVar(fading_factor=ALPHA)
    minutes = [EWMean(fading_factor=0.3) for _ in range(MINUTES)]
    bad = []
    for number, ratio in enumerate(ratios.tolist()):
        season = minutes[number % MINUTES]
        limit = mean.get() + BAND * variance.get() ** 0.5 + season.get() + FLOOR
        bad.append(ratio > limit)
        season.update(ratio - mean.get())
        mean.update(ratio)
        variance.update(ratio)
    return breaker(bad)


def peers() -> dict[str, Callable[[Any], int]]:
    """Return those that are installed, by name."""
    found: dict[str, Callable[[Any], int]] = {}
    for name, module, run in (
        ("pandas ewm + state machine", "pandas", by_pandas),
        ("polars ewm + state machine", "polars", by_polars),
        ("river EWMean, EWVar + state machine", "river", by_river),
    ):
        try:
            __import__(module)
        except ImportError:
            print(f"  {name}: not installed, left out")
            continue
        found[name] = run
    return found
