"""Turns the records of a CloudWatch metric stream into observations of targets.

A Firehose record holds many data points, as JSON lines or as OpenTelemetry 1.0
messages; one batch may cut a minute in two and may repeat points. Only the
metrics that the sensor would read for a target count: the client's roll-up
(namespace `flyball`, the dimension `target` and no other, because points per
function describe the same requests again), or what the deployment maps the target
to, such as a Lambda function's own metrics. The arithmetic is the sensor's too.

Points become an Observation where the batch tells the story of a minute, that
is where it holds the requests. Whatever else is missing there makes it PARTIAL: a
lower bound, which may tighten and never loosens. Every other target seen in the
batch is woken for a read of the sensor. Repeated points are merged by taking the
larger one, so that neither order nor duplicates matter (E4).

Total (E1): damaged lines, messages and records are counted, their neighbours kept.

Sources: Amazon CloudWatch User Guide, "JSON format" and "OpenTelemetry 1.0.0
format" of metric streams; points may arrive late and out of order.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from flyball_controller.aws.metric_map import SUM, AwsMetricMap, client_metrics
from flyball_controller.aws.metric_windows import Span, floor_to, observations
from flyball_controller.aws.stream_points import PERIOD_S, Damage, Point, points_in
from flyball_controller.bounded import child, shown
from flyball_controller.core.model import Observation
from flyball_handlers.events import AGE_S_MAX, SKEW_S_MAX, Code, Expected, Rejected, undecodable
from flyball_handlers.targets import usable

RECORD_CHARS_MAX = 8_388_608  # more than Lambda can deliver in one invocation (6 MB)
REJECTIONS_MAX = 20  # kept for the log; all are counted

# (target, start of the minute) -> (metric, statistic) -> value
Minutes = dict[tuple[str, float], dict[tuple[str, str], float]]


class Streamed(NamedTuple):
    """What a batch said. A target is in `observations` or in `woken`, never in both."""

    observations: Mapping[str, tuple[Observation, ...]]
    woken: tuple[str, ...]
    points: int  # read, ours or not
    ignored: int  # not about a target of ours, too old, not yet possible, or impossible
    damaged: int  # records, lines or messages that could not be read
    rejections: tuple[Rejected, ...]  # the first few of them


class _Tally:
    """Counters and the first rejections; one per batch."""

    def __init__(self) -> None:
        self.points = 0
        self.ignored = 0
        self.damaged = 0
        self.rejections: list[Rejected] = []

    def reject(self, rejected: Rejected) -> None:
        self.damaged += 1
        if len(self.rejections) < REJECTIONS_MAX:
            self.rejections.append(rejected)


class _Watched:
    """Whose metrics are whose: the same maps that the sensor reads by."""

    def __init__(self, maps: Mapping[str, AwsMetricMap], expected: Expected) -> None:
        self._maps = dict(maps)
        self._expected = expected
        self._wanted: dict[str, frozenset[tuple[str, str]]] = {}
        self._mapped: dict[tuple[str, frozenset[tuple[str, str]]], tuple[str, ...]] = {}
        for target, entry in maps.items():
            key = (entry.namespace, frozenset(entry.dimensions))
            self._mapped[key] = (*self._mapped.get(key, ()), target)

    def targets(self, point: Point) -> tuple[str, ...]:
        """Return which targets a point is about."""
        expected = self._expected
        if (expected.accounts and point.account not in expected.accounts) or (
            expected.regions and point.region not in expected.regions
        ):
            return ()
        mapped = self._mapped.get((point.namespace, frozenset(point.dimensions.items())))
        if mapped is not None:
            return usable(mapped, expected.targets)
        if point.namespace != expected.namespace or list(point.dimensions) != ["target"]:
            return ()
        named = usable(point.dimensions.values(), expected.targets)
        return tuple(target for target in named if target not in self._maps)

    def map_of(self, target: str) -> AwsMetricMap:
        """Return the metrics of one target."""
        return self._maps.get(target) or client_metrics(target, namespace=self._expected.namespace)

    def wanted(self, target: str) -> frozenset[tuple[str, str]]:
        """Return the (metric, statistic) pairs that make an observation of one target."""
        if target not in self._wanted:
            self._wanted[target] = frozenset((s.metric, s.stat) for s in self.map_of(target).sources())
        return self._wanted[target]


def read_stream(
    records: Iterable[object],
    expected: Expected,
    *,
    maps: Mapping[str, AwsMetricMap] = MappingProxyType({}),
    lag_s: float = 0.0,
    observe: bool = True,
) -> Streamed:
    """Return the observations and wake-ups in the data of Firehose records; never raises.

    Args:
        records: Firehose records, each an object with base64 `data`.
        expected: Time, known targets, accounts and regions of this deployment.
        maps: Metrics of targets that do not run the client, as the sensor has them.
        lag_s: How long after its end a minute may still grow (>= 0).
        observe: False wakes only, for a controller whose windows are not minutes.
    """
    tally = _Tally()
    watched = _Watched(maps, expected)
    minutes: Minutes = {}
    woken: dict[str, None] = {}
    for i, record in enumerate(records):
        for point in _points(record, f"records[{i}].data", tally):
            tally.points += 1
            named = watched.targets(point)
            if not named or math.isnan(point.total) or not _timely(point.start_s, expected.now_s):
                tally.ignored += 1
                continue
            for target in named:
                woken[target] = None
                _merge(minutes, target, point, watched.wanted(target))
    found: dict[str, tuple[Observation, ...]] = {}
    for (target, start_s), values in sorted(minutes.items()):
        counted = any((metric, SUM) in values for metric in watched.map_of(target).requests)
        if observe and counted:
            seen = _observations(target, start_s, values, watched, expected.now_s, lag_s)
            found[target] = (*found.get(target, ()), *seen)
    return Streamed(
        observations=found,
        woken=tuple(target for target in sorted(woken) if target not in found),
        points=tally.points,
        ignored=tally.ignored,
        damaged=tally.damaged,
        rejections=tuple(tally.rejections),
    )


def _points(record: object, where: str, tally: _Tally) -> Iterator[Point]:
    """Yield the points of one record in either format."""
    raw = child(record, "data")
    if not isinstance(raw, str) or len(raw) > RECORD_CHARS_MAX:
        tally.reject(
            Rejected(Code.BAD_FIELD, where, shown(raw, 20), f"at most {RECORD_CHARS_MAX} base64 characters")
        )
        return
    try:
        data = base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        tally.reject(Rejected(Code.BAD_FIELD, where, shown(raw, 20), "it must be base64"))
        return
    yield from points_in(data, lambda damage: tally.reject(_rejected(damage, where)))


def _rejected(damage: Damage, where: str) -> Rejected:
    if damage.undecodable is not None:
        return undecodable(damage.undecodable, where)
    return Rejected(Code.BAD_FIELD, where, damage.value, damage.bound)


def _timely(start_s: float, now_s: float) -> bool:
    """E3: minutes that ended longer ago than AGE are the sensor's business, future ones nobody's."""
    return now_s - AGE_S_MAX - PERIOD_S <= start_s <= now_s + SKEW_S_MAX


def _merge(minutes: Minutes, target: str, point: Point, wanted: frozenset[tuple[str, str]]) -> None:
    """Add a point to its minute; of repeated points the larger stands, whatever the order (E4)."""
    values = minutes.setdefault((target, floor_to(point.start_s, PERIOD_S)), {})
    for stat, value in ((SUM, point.total), *point.quantiles.items()):
        key = (point.metric, stat)
        if key in wanted:
            values[key] = max(value, values.get(key, value))


def _observations(
    target: str,
    start_s: float,
    values: Mapping[tuple[str, str], float],
    watched: _Watched,
    now_s: float,
    lag_s: float,
) -> Iterator[Observation]:
    """Yield the observation of one minute, by the sensor's own arithmetic; PARTIAL if it may still grow."""
    counts = [key for key in watched.wanted(target) if key[1] == SUM]
    complete = all(key in values for key in counts) and start_s + PERIOD_S + lag_s <= now_s
    return observations(
        target,
        watched.map_of(target),
        {key: {start_s: value} for key, value in values.items()},
        Span(PERIOD_S, start_s, start_s + PERIOD_S),
        now_s=now_s,
        partial=not complete,
    )
