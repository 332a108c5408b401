"""Metric store of the embedded CloudWatch: samples in, statistics per period out.

Semantics kept, because controllers fail on them: missing periods are absent and
never zero; points may come late (two weeks back) or early (two hours ahead);
resolution coarsens with age; what was put at t can be read only from t + lag_s.
Time is always an argument: the store has no clock, so a test or a seeding tool
may write history by passing the `now_s` of then. It knows no wire format.

Kept per series and unit: 60 s buckets for every point, 1 s buckets besides as
soon as a point with 1 s resolution came, and 300 s and 3600 s buckets into which
older ones are folded. `revision` rises with every point that becomes readable.

Source: botocore service model "cloudwatch", GetMetricData (retention, rounding
of StartTime) and PutMetricData (bounds).
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flyball_local.cloudwatch.buckets import Bucket, StatisticOf, StatisticSet, merged
from flyball_local.cloudwatch.points import (
    DAY_S,
    FIVE_MINUTES_S,
    HOUR_S,
    MINUTE_S,
    NO_UNIT,
    RETENTION,
    MetricKey,
    Points,
    checked_samples,
    checked_set,
    checked_time,
)


class _Tiers:
    """Buckets of one series in one unit, by resolution; keys are bucket starts in epoch seconds."""

    __slots__ = ("five", "hour", "minute", "oldest_s", "second")

    def __init__(self) -> None:
        self.second: dict[int, Bucket] | None = None
        self.minute: dict[int, Bucket] = {}
        self.five: dict[int, Bucket] = {}
        self.hour: dict[int, Bucket] = {}
        self.oldest_s = math.inf  # start of the oldest minute bucket

    def targets(self, at_s: float, resolution_s: int) -> list[Bucket]:
        """Return the buckets a point of that time belongs to, made if new."""
        start = int(at_s // MINUTE_S) * MINUTE_S
        bucket = self.minute.get(start)
        if bucket is None:
            bucket = self.minute[start] = Bucket()
            if start < self.oldest_s:
                self.oldest_s = start
        if self.second is None:
            if resolution_s >= MINUTE_S:
                return [bucket]
            # What came before stays visible to sub-minute readers at its minute's start.
            self.second = {}
            for minute, older in self.minute.items():
                if older.count:
                    self.second[minute] = merged([Bucket(), older])
        second = start if resolution_s >= MINUTE_S else int(at_s // 1)
        return [bucket, self.second.setdefault(second, Bucket())]

    def fold(self, now_s: float) -> None:
        """Move buckets past their tier's age into the next coarser tier. Reads do not depend on when."""
        if self.second is not None:
            for start in [s for s in self.second if s < now_s - RETENTION[0][0] - MINUTE_S]:
                del self.second[start]
        _fold(self.minute, self.five, FIVE_MINUTES_S, now_s - RETENTION[1][0] - FIVE_MINUTES_S)
        _fold(self.five, self.hour, HOUR_S, now_s - RETENTION[2][0] - HOUR_S)
        for start in [s for s in self.hour if s < now_s - RETENTION[3][0] - HOUR_S]:
            del self.hour[start]
        self.oldest_s = min(self.minute, default=math.inf)

    def forget_before(self, at_s: float) -> None:
        """Drop buckets that began before `at_s`, at every resolution."""
        for buckets in (self.second or {}, self.minute, self.five, self.hour):
            for start in [s for s in buckets if s < at_s]:
                del buckets[start]
        self.oldest_s = min(self.minute, default=math.inf)

    def sources(self, period_s: int, start_s: int, now_s: float) -> list[tuple[dict[int, Bucket], int]]:
        """Return the bucket maps, with their resolution, that together answer a period from `start_s` on."""
        if period_s < MINUTE_S:
            if self.second is not None:
                return [(self.second, 1)]
            return [(self.minute, MINUTE_S)]
        found = [(self.minute, MINUTE_S)]
        if start_s < now_s - RETENTION[1][0]:
            found += [(self.five, FIVE_MINUTES_S), (self.hour, HOUR_S)]
        return found


def _fold(fine: dict[int, Bucket], coarse: dict[int, Bucket], size_s: int, before_s: float) -> None:
    for start in [s for s in fine if s < before_s]:
        coarse.setdefault(start // size_s * size_s, Bucket()).merge(fine.pop(start))


class _Waiting(NamedTuple):
    """A point that is stored but not readable yet."""

    visible_s: float
    key: MetricKey
    unit: str
    at_s: float
    resolution_s: int
    samples: tuple[tuple[float, float], ...]
    aggregate: StatisticSet | None


class ChangeFeed:
    """Minutes that changed since the last `drain`, each once: what a metric stream delivers."""

    def __init__(self) -> None:
        self._changed: dict[tuple[MetricKey, str, int], None] = {}

    def note(self, key: MetricKey, unit: str, at_s: float) -> None:
        """Remember that the minute of `at_s` changed."""
        self._changed[(key, unit, int(at_s // MINUTE_S) * MINUTE_S)] = None

    def drain(self, *, before_s: float) -> list[tuple[MetricKey, str, int]]:
        """Return and forget the changed minutes that ended by `before_s`, in order of first change."""
        done = [c for c in self._changed if c[2] + MINUTE_S <= before_s]
        for change in done:
            del self._changed[change]
        return done


class MetricStore:
    """All series of one account and region.

    Args:
        lag_s: Seconds, >= 0, from a put until the point can be read (its visibility lag).

    >>> store = MetricStore()
    >>> key = MetricKey("flyball", "requests", (("target", "a"),))
    >>> store.put(key, 3.0, at_s=125.0, now_s=130.0)
    >>> store.read(key, statistic=lambda b: b.total, start_s=0, end_s=180, period_s=60, now_s=180.0)
    Points(times_s=[120], values=[3.0])
    """

    def __init__(self, *, lag_s: float = 0.0) -> None:
        if not 0.0 <= lag_s < math.inf:
            raise ValueError(f"lag_s={lag_s!r} must be a finite number of seconds, at least 0")
        self.lag_s = lag_s
        self.revision = 0
        self._series: dict[MetricKey, dict[str, _Tiers]] = {}
        self._waiting: deque[_Waiting] = deque()
        self._feeds: list[ChangeFeed] = []

    def put(
        self,
        key: MetricKey,
        value: float,
        *,
        at_s: float,
        now_s: float,
        count: float = 1.0,
        unit: str = NO_UNIT,
        resolution_s: int = MINUTE_S,
    ) -> None:
        """Store `count` samples of one value; see `put_samples`."""
        self.put_samples(key, ((value, count),), at_s=at_s, now_s=now_s, unit=unit, resolution_s=resolution_s)

    def put_samples(
        self,
        key: MetricKey,
        samples: Iterable[tuple[float, float]],
        *,
        at_s: float,
        now_s: float,
        unit: str = NO_UNIT,
        resolution_s: int = MINUTE_S,
    ) -> None:
        """Store samples given as (value, how often), all of one time.

        Raises:
            PointError: No sample, a value not finite or beyond 2^360, a count not positive,
                or the time outside two weeks back to two hours ahead. Nothing is stored then.
        """
        checked_time(at_s, now_s)
        taken = checked_samples(samples)
        self._accept(_Waiting(now_s + self.lag_s, key, unit, at_s, resolution_s, taken, None))

    def put_set(
        self,
        key: MetricKey,
        aggregate: StatisticSet,
        *,
        at_s: float,
        now_s: float,
        unit: str = NO_UNIT,
        resolution_s: int = MINUTE_S,
    ) -> None:
        """Store a statistic set; raises PointError as `put_samples`, and for minimum > maximum."""
        checked_time(at_s, now_s)
        checked_set(aggregate)
        self._accept(_Waiting(now_s + self.lag_s, key, unit, at_s, resolution_s, (), aggregate))

    def _accept(self, point: _Waiting) -> None:
        if self.lag_s:
            self._waiting.append(point)
        else:
            self._apply(point)

    def settle(self, now_s: float) -> None:
        """Make readable what was put at least `lag_s` before `now_s`. Reads do it themselves."""
        waiting = self._waiting
        while waiting and waiting[0].visible_s <= now_s:
            self._apply(waiting.popleft())

    def _apply(self, point: _Waiting) -> None:
        units = self._series.get(point.key)
        if units is None:
            units = self._series[point.key] = {}
        tiers = units.get(point.unit)
        if tiers is None:
            tiers = units[point.unit] = _Tiers()
        for bucket in tiers.targets(point.at_s, point.resolution_s):
            for value, count in point.samples:
                bucket.add(value, count)
            if point.aggregate is not None:
                bucket.add_set(*point.aggregate)
        # Folding is housekeeping: once a day of data beyond the tier is enough.
        now_s = point.visible_s - self.lag_s
        if tiers.oldest_s < now_s - RETENTION[1][0] - DAY_S:
            tiers.fold(now_s)
        self.revision += 1
        for feed in self._feeds:
            feed.note(point.key, point.unit, point.at_s)

    def read(
        self,
        key: MetricKey,
        *,
        statistic: StatisticOf,
        start_s: int,
        end_s: float,
        period_s: int,
        now_s: float,
        unit: str | None = None,
    ) -> Points:
        """Return one value per period that has data, oldest first.

        Args:
            statistic: From `buckets.statistic`.
            start_s: Start of the first period, epoch seconds, inclusive; periods are
                counted from here, so an unaligned start gives unaligned periods.
            end_s: Exclusive end.
            period_s: 1, 5, 10, 20, 30 or a multiple of 60.
            now_s: Decides what is visible yet and what is retained still.
            unit: Only points put with this unit; None means all of them together.
        """
        times: list[int] = []
        values: list[float] = []
        for at_s, bucket in self.windows(
            key, start_s=start_s, end_s=end_s, period_s=period_s, now_s=now_s, unit=unit
        ):
            value = statistic(bucket)
            if value is not None:
                times.append(at_s)
                values.append(value)
        return Points(times, values)

    def windows(
        self,
        key: MetricKey,
        *,
        start_s: int,
        end_s: float,
        period_s: int,
        now_s: float,
        unit: str | None = None,
    ) -> list[tuple[int, Bucket]]:
        """Return (start, bucket) of each period that has data, oldest first; arguments as `read`.

        The buckets may be the store's own: read them, do not change them.
        """
        self.settle(now_s)
        units = self._series.get(key)
        if units is None:
            return []
        chosen = list(units.values()) if unit is None else [t for u, t in units.items() if u == unit]
        kept_s = now_s - _age_max(period_s)
        if len(chosen) == 1 and period_s == MINUTE_S and start_s % MINUTE_S == 0:
            # The common query: newest minutes of one series. No merging, no lists.
            get = chosen[0].minute.get
            return [
                (at_s, bucket)
                for at_s in range(start_s, math.ceil(end_s), MINUTE_S)
                if at_s >= kept_s and (bucket := get(at_s)) is not None
            ]
        return _gather(chosen, start_s, end_s, period_s, kept_s, now_s)

    def keys(self, *, now_s: float) -> Iterator[MetricKey]:
        """Yield every series that has a readable point, in order of first appearance."""
        self.settle(now_s)
        return iter(tuple(self._series))

    def known(self, key: MetricKey) -> bool:
        """Return whether the series ever had a readable point."""
        return key in self._series

    def newest_s(self, key: MetricKey) -> float:
        """Return the start of the series' newest bucket, minus infinity without one."""
        return max(
            (
                max(buckets)
                for tiers in self._series.get(key, {}).values()
                for buckets in (tiers.minute, tiers.five, tiers.hour)
                if buckets
            ),
            default=-math.inf,
        )

    def forget_before(self, at_s: float) -> None:
        """Drop all minutes that began before `at_s`, as if retention ended there: for runs of many days."""
        for units in self._series.values():
            for tiers in units.values():
                tiers.forget_before(at_s)

    def feed(self) -> ChangeFeed:
        """Return a new feed of the minutes that change from now on."""
        feed = ChangeFeed()
        self._feeds.append(feed)
        return feed


@functools.cache
def _age_max(period_s: int) -> int:
    """Return how old a point may be to answer this period: the largest tier the period is a multiple of."""
    return max(age for age, finest in RETENTION if period_s >= finest and period_s % finest == 0)


def _gather(
    tiers: list[_Tiers], start_s: int, end_s: float, period_s: int, kept_s: float, now_s: float
) -> list[tuple[int, Bucket]]:
    """Collect buckets into periods counted from `start_s`; walks range or buckets, whichever is less."""
    parts: dict[int, list[Bucket]] = {}
    first_s = max(start_s, math.ceil(kept_s))
    for one in tiers:
        for source, size_s in one.sources(period_s, start_s, now_s):
            if (end_s - first_s) / size_s < len(source):
                aligned = -(-first_s // size_s) * size_s
                inside = [s for s in range(aligned, math.ceil(end_s), size_s) if s in source]
            else:
                inside = [s for s in source if first_s <= s < end_s]
            for at_s in inside:
                slot = start_s + (at_s - start_s) // period_s * period_s
                parts.setdefault(slot, []).append(source[at_s])
    return [(slot, merged(parts[slot])) for slot in sorted(parts)]
