"""What a soak must show: growth, sizes and costs of a run, each beside its limit.

Pure arithmetic over samples; knows no AWS and no clock. A run is judged from
`WARM_RATIO` of its samples on, and if it is long enough from `WARM_MIN` on:
before, caches and tables fill, as they must.
Growth is the least-squares slope times the judged span, so that one odd sample
neither makes nor hides it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

MIB = 1_048_576
WARM_RATIO = 0.25
WARM_MIN = 105  # of a run that is long enough: metrics and AppConfig's kept versions have filled up by then
SAMPLES_MIN = 8  # fewer say nothing about growth
RSS_GROWTH_RATIO, RSS_GROWTH_MIN_BYTES = 0.03, 8 * MIB  # the allocator's own breathing
OBJECTS_GROWTH_RATIO = 0.02
CHECKPOINT_BYTES_MAX = 4_096  # of a table's 400 KB; a state of today's codec needs about half
CHECKPOINT_GROWTH_RATIO = 0.05
DOCUMENT_BYTES_MAX = 65_536
JOURNAL_RECORD_BYTES_MAX = 8_192  # a decision with its evidence and the state before it
JOURNAL_RECORDS_PER_CHANGE_MAX = 6.0  # beside the change: regimes, freezes, blindness, each told once
TICK_P50_GROWTH_RATIO, TICK_P99_GROWTH_RATIO = 1.25, 1.6  # CPU time on a shared machine
KEYS_PER_INSTALLATION = 4  # of the state table, beside one per target: fleet, publisher, policy, spare


class Sample(NamedTuple):
    """One look at a run. Bytes are of the whole account; `objects` are those the collector tracks."""

    minute: int
    leg: int  # process the sample is from: memory is compared inside one leg only
    rss_bytes: float
    objects: float
    state_items: int
    circuit_items: int
    hold_items: int
    checkpoint_bytes_mean: float
    checkpoint_bytes_max: float
    document_bytes_max: float
    journal_bytes: float  # since the sample before
    journal_records: int


class Tick(NamedTuple):
    """CPU of one minute's ticks, milliseconds; `off_nominal` targets cost writes, `cold` ones reads."""

    minute: int
    tick_ms: float
    off_nominal: int
    cold: bool


class Facts(NamedTuple):
    """What happened in a run: that it was no idle week, and that nothing broke."""

    targets: int
    installations: int
    changes: int
    opened: int
    frozen: int  # correlated failures noticed by the fleet rule
    wakes: int
    duplicates: int
    dead_letters: int
    backend_errors: int
    open_at_end: int
    finished: bool  # the quiet end was lived through


class Check(NamedTuple):
    """One figure beside its limit; `least` says that the limit is a lower one."""

    name: str
    measured: float
    limit: float
    unit: str
    least: bool = False

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much y rises over the span of x: least-squares slope times span.

    >>> growth([(0.0, 10.0), (1.0, 12.0), (2.0, 14.0)])
    4.0
    """
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slope * (points[-1][0] - points[0][0])


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile; 0.0 of nothing.

    >>> quantile([4.0, 1.0, 3.0, 2.0], 0.5), quantile([4.0, 1.0, 3.0, 2.0], 0.99)
    (2.0, 4.0)
    """
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)] if ordered else 0.0


def judge(samples: Sequence[Sample], ticks: Sequence[Tick], facts: Facts) -> list[Check]:
    """Return every check of a run.

    Raises:
        ValueError: Too few samples of one process to speak of growth.
    """
    at_end = [Check("circuits open after the quiet end", facts.open_at_end, 0, "")] if facts.finished else []
    return [
        *_memory(samples),
        *_sizes(samples, facts),
        *_ticks(ticks),
        Check("circuits opened", facts.opened, 1, "", least=True),
        Check("correlated failures noticed", facts.frozen, 1, "", least=True),
        Check("alarms that woke the handler", facts.wakes, 1, "", least=True),
        Check("events delivered twice", facts.duplicates, 1, "", least=True),
        Check("dead letters", facts.dead_letters, 0, ""),
        Check("backend errors", facts.backend_errors, 0, ""),
        *at_end,
    ]


def _warm(samples: Sequence[Sample]) -> list[Sample]:
    """Return the longest leg without its warming up."""
    if not samples:
        raise ValueError("no samples yet: run longer, or sample more often")
    legs = {s.leg for s in samples}
    longest = max(legs, key=lambda leg: sum(s.leg == leg for s in samples))
    mine = [s for s in samples if s.leg == longest]
    warm = mine[int(len(mine) * WARM_RATIO) :]
    settled = [s for s in warm if s.minute - mine[0].minute >= WARM_MIN]
    if len(settled) >= SAMPLES_MIN:
        return settled
    if len(warm) < SAMPLES_MIN:
        raise ValueError(
            f"{len(warm)} samples of one process after warming up; growth needs at least {SAMPLES_MIN}: "
            "run longer, or sample more often"
        )
    return warm


def _memory(samples: Sequence[Sample]) -> list[Check]:
    warm = _warm(samples)
    rss = growth([(s.minute, s.rss_bytes) for s in warm])
    rss_max = max(RSS_GROWTH_MIN_BYTES, RSS_GROWTH_RATIO * warm[0].rss_bytes)
    objects = growth([(s.minute, s.objects) for s in warm])
    return [
        Check("resident memory, growth over the run", rss / MIB, rss_max / MIB, "MiB"),
        Check("objects, growth over the run", objects, OBJECTS_GROWTH_RATIO * warm[0].objects, ""),
    ]


def _sizes(samples: Sequence[Sample], facts: Facts) -> list[Check]:
    last = samples[-1]
    half = len(samples) // 2
    early = statistics.fmean(s.checkpoint_bytes_mean for s in samples[half // 2 : half] or samples[:1])
    keys = KEYS_PER_INSTALLATION * facts.installations
    written, records = sum(s.journal_bytes for s in samples), sum(s.journal_records for s in samples)
    return [
        Check("items in the state tables", max(s.state_items for s in samples), facts.targets + keys, ""),
        Check("items in the circuits tables", max(s.circuit_items for s in samples), facts.targets, ""),
        Check("items in the holds tables", max(s.hold_items for s in samples), 0, ""),
        Check(
            "largest checkpoint", max(s.checkpoint_bytes_max for s in samples), CHECKPOINT_BYTES_MAX, "bytes"
        ),
        Check(
            "mean checkpoint, last beside second quarter",
            last.checkpoint_bytes_mean / early,
            1.0 + CHECKPOINT_GROWTH_RATIO,
            "x",
        ),
        Check("largest document", max(s.document_bytes_max for s in samples), DOCUMENT_BYTES_MAX, "bytes"),
        Check("bytes of a journal record", written / max(1, records), JOURNAL_RECORD_BYTES_MAX, "bytes"),
        Check(
            "journal records a change", records / max(1, facts.changes), JOURNAL_RECORDS_PER_CHANGE_MAX, ""
        ),
    ]


def _ticks(ticks: Sequence[Tick]) -> list[Check]:
    """Compare the ticks of warm containers in the second and in the last third of the run.

    The last third has the quiet end, in which fewer targets are off nominal; so what
    is compared are the minutes in which at most the median number of them is.
    """
    usual = statistics.median(t.off_nominal for t in ticks)
    alike = [t for t in ticks if not t.cold and t.off_nominal <= usual]
    third = len(alike) // 3
    early = [t.tick_ms for t in alike[third : 2 * third]]
    late = [t.tick_ms for t in alike[2 * third :]]
    return [
        Check(f"tick CPU, {name}, last beside second third", _ratio(late, early, share), limit, "x")
        for name, share, limit in (
            ("p50", 0.5, TICK_P50_GROWTH_RATIO),
            ("p99", 0.99, TICK_P99_GROWTH_RATIO),
        )
    ]


def _ratio(late: Sequence[float], early: Sequence[float], share: float) -> float:
    reference = quantile(early, share)
    return quantile(late, share) / reference if reference else 0.0
