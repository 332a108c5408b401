"""From raw metric values to observations: pure, total, and honest about what is missing.

Rules. A window without requests and without short-circuited calls is absent, not
zero (C7). Inside a present window an absent counter is 0 (see metric_map). An
impossible value (negative, NaN, infinite, more failures than requests, a window
that lies in the future) flags the whole observation INVALID, clamps the number,
and never raises (C3); the observation is kept for the journal. Windows that have
not ended, or ended less than the lag ago, are left for the next read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flyball_controller.aws.metric_map import NO_LATENCY, P50, P99, SUM, AwsMetricMap
from flyball_controller.core.inspect import COUNT_MAX
from flyball_controller.core.model import Observation, Quality

NOT_MEASURED = -1
LATENCY_NOT_MEASURED = -1.0

DAY_S = 86_400
HOUR_S = 3_600
MINUTE_S = 60
# Longest look-back at each period, finest first. Source: Amazon CloudWatch user
# guide, "Metrics retention": < 60 s 3 hours, 60 s 15 days, 300 s 63 days, 1 h 455 days.
RETENTION_S = ((MINUTE_S, 15 * DAY_S), (300, 63 * DAY_S), (HOUR_S, 455 * DAY_S))
RETENTION_SUB_MINUTE_S = 3 * HOUR_S

# Values of one series: window start (epoch s) -> value. Key of series: (metric, statistic).
Series = Mapping[tuple[str, str], Mapping[float, float]]


class Span(NamedTuple):
    """Windows of one period whose starts lie in [start_s, end_s), both multiples of the period."""

    period_s: int
    start_s: float
    end_s: float

    @property
    def windows(self) -> int:
        """How many windows it holds."""
        return max(0, round((self.end_s - self.start_s) / self.period_s))


def floor_to(at_s: float, period_s: int) -> float:
    """Return the latest multiple of the period at or before `at_s`.

    >>> floor_to(119.9, 60)
    60.0
    """
    return float(math.floor(at_s / period_s) * period_s)


def complete_span(*, since_s: float, now_s: float, period_s: int, lag_s: float, lookback_s: float) -> Span:
    """Return the windows that start after `since_s` and ended at least `lag_s` before `now_s`.

    Args:
        since_s: Start of the newest window already seen (exclusive); -inf = none.
        now_s: Epoch seconds.
        period_s: Length of a window.
        lag_s: How long after its end a window is still filling.
        lookback_s: Windows starting earlier than this before `now_s` are given up.

    >>> complete_span(since_s=60.0, now_s=200.0, period_s=60, lag_s=20.0, lookback_s=3600.0)
    Span(period_s=60, start_s=120.0, end_s=180.0)
    """
    oldest_s = floor_to(now_s - lookback_s, period_s) + period_s
    next_s = floor_to(since_s, period_s) + period_s if math.isfinite(since_s) else oldest_s
    end_s = floor_to(now_s - lag_s, period_s)
    start_s = min(max(oldest_s, next_s), end_s)
    return Span(period_s, start_s, end_s)


def history_spans(*, until_s: float, days: int, period_s: int) -> tuple[Span, ...]:
    """Return spans that cover up to `days` before `until_s`, oldest first, each at the finest period kept.

    Bounds lie on whole hours, so that no window is in two spans; each tier ends
    one hour before its retention does, because the service rounds start times.

    >>> [(s.period_s, s.windows) for s in history_spans(until_s=1_700_000_000.0, days=20, period_s=60)]
    [(300, 1452), (60, 21493)]
    """
    own_s = max([RETENTION_SUB_MINUTE_S, *(limit for p, limit in RETENTION_S if p <= period_s)])
    tiers = [(period_s, own_s), *((p, limit) for p, limit in RETENTION_S if p > period_s)]
    oldest_s = until_s - days * DAY_S
    spans: list[Span] = []
    end_s = floor_to(until_s, period_s)
    for period, retention_s in tiers:
        reach_s = max(oldest_s, until_s - retention_s + HOUR_S)
        start_s = floor_to(reach_s, HOUR_S) + (HOUR_S if reach_s % HOUR_S else 0)
        if start_s < end_s:
            spans.insert(0, Span(period, start_s, end_s))
            end_s = start_s
    return tuple(spans)


def observations(
    target: str,
    metric_map: AwsMetricMap,
    series: Series,
    span: Span,
    *,
    now_s: float,
    arrival_lag_s: float | None = None,
    partial: bool = False,
) -> Iterator[Observation]:
    """Yield one observation per present window, oldest first.

    Args:
        target: Whose.
        metric_map: How fields are made of metrics.
        series: Raw values; windows outside `span` are ignored unless they lie in the future.
        span: Which windows are complete.
        now_s: Epoch seconds; a window that starts later is impossible and flagged.
        arrival_lag_s: If given, `arrived_s` is the end of the window plus this; otherwise `now_s`.
        partial: The service said that values are still missing.
    """
    counts = metric_map.counts()
    starts = {start for values in series.values() for start in values}
    for start_s in sorted(starts):
        future = start_s > now_s
        if not (span.start_s <= start_s < span.end_s or future):
            continue
        arrived_s = now_s if arrival_lag_s is None else start_s + span.period_s + arrival_lag_s
        found = _observe(target, metric_map, counts, series, start_s, span.period_s, arrived_s)
        if found is None:
            continue
        if future:
            found = found._replace(quality=Quality.INVALID)
        elif partial and found.quality == Quality.OK:
            found = found._replace(quality=Quality.PARTIAL)
        yield found


def _observe(
    target: str,
    metric_map: AwsMetricMap,
    counts: Mapping[str, tuple[str, ...]],
    series: Series,
    start_s: float,
    period_s: float,
    arrived_s: float,
) -> Observation | None:
    """Build one window, None if nothing shows that calls were made in it."""
    raw = {field: _values(series, names, start_s) for field, names in counts.items()}
    read = {field: _count(values) for field, values in raw.items()}
    numbers = {field: number for field, (number, _) in read.items()}
    sound = all(ok for _, ok in read.values())
    present = any(raw.get(field) for field in ("requests", "short_circuited"))
    failed_without_request = any(numbers.get(field, 0) for field in ("timeouts", "errors_fast", "throttles"))
    if not present and sound and not failed_without_request:
        return None
    latencies, latency_sound = _latencies(metric_map, series, start_s)
    seen = Observation(
        target=target,
        start_s=start_s,
        period_s=float(period_s),
        arrived_s=arrived_s,
        requests=numbers.get("requests", 0),
        timeouts=numbers.get("timeouts", 0),
        errors_fast=numbers.get("errors_fast", 0),
        throttles=numbers.get("throttles", 0),
        attempts=numbers.get("attempts", 0),
        request_failures=numbers.get("request_failures", NOT_MEASURED),
        short_circuited=numbers.get("short_circuited", 0),
        errors_permanent=numbers.get("errors_permanent", 0),
        latency_ms_p50=latencies[P50],
        latency_ms_p99=latencies[P99],
    )
    possible = seen.failures <= seen.requests and seen.request_failures <= seen.requests
    return seen if sound and latency_sound and possible else seen._replace(quality=Quality.INVALID)


def _values(series: Series, names: tuple[str, ...], start_s: float) -> list[float]:
    found = (series.get((name, SUM), {}).get(start_s) for name in names)
    return [value for value in found if value is not None]


def _count(values: list[float]) -> tuple[int, bool]:
    """Return the sum as a whole number in [0, COUNT_MAX], and whether every value was possible."""
    total, sound = 0, True
    for value in values:
        if math.isfinite(value) and 0.0 <= value <= COUNT_MAX:
            total += round(value)
        else:
            sound = False
            total += COUNT_MAX if value > 0.0 else 0  # NaN and negative give 0
    return min(total, COUNT_MAX), sound and total <= COUNT_MAX


def _latencies(metric_map: AwsMetricMap, series: Series, start_s: float) -> tuple[dict[str, float], bool]:
    """Return both quantiles in milliseconds, -1.0 where not measured, and whether they were possible."""
    found, sound = {}, True
    for stat in (P50, P99):
        value = None
        if metric_map.latency != NO_LATENCY:
            value = series.get((metric_map.latency, stat), {}).get(start_s)
        milliseconds = LATENCY_NOT_MEASURED
        if value is not None:
            milliseconds = value * metric_map.latency_ms_per_unit
            if not (math.isfinite(milliseconds) and milliseconds >= 0.0):
                milliseconds, sound = LATENCY_NOT_MEASURED, False
        found[stat] = milliseconds
    return found, sound
