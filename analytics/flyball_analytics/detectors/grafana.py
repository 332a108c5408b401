"""The two rules of Grafana's promql-anomaly-detection, from their published recording rules.

adaptive  upper = max(avg_1h + 2 sd, 1.5 avg_1h, avg + 2 sd of the hour a day ago, the same a week ago),
          where sd is the 26 h mean of the hourly sd, kept only where that exceeded half of the mean.
robust    upper = max(median_1d + 2 MAD_1d, 1.5 median_1d, the same a day ago, the same a week ago).

Both alert when the value has been over for five minutes. As in PromQL, a window includes the newest value.

Source: grafana/promql-anomaly-detection, rules/adaptive.yml and rules/robust.yml.
"""

from __future__ import annotations

import math
from collections import deque

from flyball_analytics.detectors.base import Verdict
from flyball_analytics.detectors.simple import ROWS_MIN
from flyball_analytics.detectors.windows import Rolling, SortedWindow

HOUR_S = 3_600.0
DAY_S = 86_400.0
DAY_AGO_S = 84_600.0  # 23 h 30 min: the hour that ends then is centred on this time of yesterday
WEEK_AGO_S = 603_000.0
SPREAD_SPAN_S = 26.0 * HOUR_S
SPREAD_SHARE_MIN = 0.5
SPREAD_K = 2.0
MARGIN = 1.5
FOR_S = 300.0


class _Ago:
    """Bounds by the time they were computed, and the one of `ago_s` before now."""

    def __init__(self, ago_s: float) -> None:
        self._ago_s = ago_s
        self._kept: deque[tuple[float, float]] = deque()

    def at(self, at_s: float, period_s: float) -> float:
        """Return the newest bound at least as old as that; -inf if none is within two rows of it."""
        found = -math.inf
        while self._kept and self._kept[0][0] <= at_s - self._ago_s:
            made_s, bound = self._kept[0]
            if made_s >= at_s - self._ago_s - 2.0 * period_s:
                found = bound
                if len(self._kept) < 2 or self._kept[1][0] > at_s - self._ago_s:
                    break
            self._kept.popleft()
        return found

    def keep(self, at_s: float, bound: float) -> None:
        """Remember a bound."""
        self._kept.append((at_s, bound))


class _For:
    """`for: 5m`: over without a pause since then."""

    def __init__(self) -> None:
        self._since_s = math.inf

    def firing(self, at_s: float, *, over: bool) -> bool:
        """Return whether it has lasted."""
        if not over:
            self._since_s = math.inf
            return False
        self._since_s = min(self._since_s, at_s)
        return at_s - self._since_s >= FOR_S


class GrafanaAdaptive:
    """Mean of the hour with a filtered spread, and the same hour a day and a week ago."""

    def __init__(self) -> None:
        self._hour = Rolling(HOUR_S)
        self._spreads = Rolling(SPREAD_SPAN_S)
        self._ago = (_Ago(DAY_AGO_S), _Ago(WEEK_AGO_S))
        self._for = _For()
        self._rows = 0

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value has been over the band for five minutes."""
        if math.isnan(value):
            return Verdict(self._for.firing(at_s, over=False), None, None, False)
        self._hour.add(at_s, value)
        self._rows += 1
        level, spread = self._hour.mean, self._hour.sd
        if spread > SPREAD_SHARE_MIN * level:
            self._spreads.add(at_s, spread)
        else:
            self._spreads.drop_before(at_s)
        upper = MARGIN * level
        if len(self._spreads):
            upper = max(upper, level + SPREAD_K * self._spreads.mean)
        upper = max(upper, *(ago.at(at_s, period_s) for ago in self._ago))
        for ago in self._ago:
            ago.keep(at_s, level + SPREAD_K * spread)
        ready = self._rows > ROWS_MIN
        firing = self._for.firing(at_s, over=ready and value > upper)
        return Verdict(firing, level, upper, ready)


class GrafanaRobust:
    """Median and median deviation of a day, and of the days a day and a week ago."""

    def __init__(self) -> None:
        self._day = SortedWindow(DAY_S)
        self._ago = (_Ago(DAY_AGO_S), _Ago(WEEK_AGO_S))
        self._for = _For()
        self._rows = 0

    def feed(self, at_s: float, value: float, period_s: float) -> Verdict:
        """Return whether the value has been over the band for five minutes."""
        if math.isnan(value):
            return Verdict(self._for.firing(at_s, over=False), None, None, False)
        self._day.add(at_s, value)
        self._rows += 1
        level = self._day.median
        band = level + SPREAD_K * self._day.mad
        upper = max(band, MARGIN * level, *(ago.at(at_s, period_s) for ago in self._ago))
        for ago in self._ago:
            ago.keep(at_s, band)
        ready = self._rows > ROWS_MIN
        # An hourly row over the band has been over it for longer than five minutes.
        over = ready and value > upper
        return Verdict(self._for.firing(at_s, over=over) or (over and period_s >= FOR_S), level, upper, ready)
