"""Labelled series for bench_thresholds.py: recorded ones from a directory, and a synthetic set for everybody.

A directory holds one folder per set, each with a labels.json (flyball_analytics.labels)
and the CSV files that it names. Two keys of "dataset" are used besides: `source` and
`merge_min` (openings nearer than this are one). The recorded sets that the figures in
docs/theory/thresholds.md come from are public and not part of this repository:
microsoft/cloud-monitoring-dataset (MIT), amazon-science/petshop-root-cause-analysis
(CC BY 4.0), IntelligentDDS/Nezha (MIT), numenta/NAB v1.1 (MIT).

Which part was fitted on: every NAB series, and of cloud-monitoring those whose name has
an even SHA-256. Everything else is judged only.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.labels import Incident, Labels, read_labels
from flyball_analytics.moments import parse_moment

PROBATION_SHARE = 0.15
PROBATION_ROWS_MAX = 750
JOIN_S = 1_800.0
T0 = 1_699_999_200.0  # a full hour


class Labelled(NamedTuple):
    """One series with its truth; `peaks` are the incidents' heights where the labels state them."""

    group: str  # set and kind of metric
    name: str
    fitted: bool
    period_s: float
    join_s: float
    rows: tuple[tuple[float, float], ...]
    labels: Labels
    peaks: tuple[float, ...]


def recorded(folder: Path) -> Iterator[Labelled]:
    """Yield every labelled series under a directory."""
    for file in sorted(folder.glob("*/labels.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        labels = read_labels(file)
        for name, entry in raw["series"].items():
            rows = tuple(_rows(file.parent / name))
            probation = entry.get("probation")
            if probation is None:
                probation = min(int(PROBATION_SHARE * len(rows)), PROBATION_ROWS_MAX)
            truth = labels[name]._replace(probation=probation)
            first_s = rows[probation][0]
            kept = tuple(i for i in truth.incidents if i.to_s >= first_s)
            yield Labelled(
                f"{file.parent.name}/{_kind(name)}",
                name,
                _fitted(file.parent.name, name),
                float(entry["interval_s"]),
                60.0 * raw.get("dataset", {}).get("merge_min", JOIN_S / 60.0),
                rows,
                truth._replace(incidents=kept),
                tuple(float(i.get("peak", math.inf)) for i in entry["incidents"]),
            )


def _rows(path: Path) -> Iterator[tuple[float, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for cells in reader:
            yield parse_moment(cells[0]), float(cells[1]) if cells[1] else math.nan


def _kind(name: str) -> str:
    if "/" in name:
        return name.split("/", maxsplit=1)[0]
    return "errors" if "error_ratio" in name else "latency"


def _fitted(folder: str, name: str) -> bool:
    even = hashlib.sha256(f"{folder}/{name}".encode()).digest()[0] % 2 == 0
    return folder.startswith("nab") or (folder == "ms-cloud" and even)


def synthetic() -> Iterator[Labelled]:
    """Yield six kinds of service, four series of each, with incidents of known place; the same every time."""
    for kind, (period_s, days, quiet) in _KINDS.items():
        for seed in range(4):
            draw = random.Random(f"{kind}-{seed}")
            count = int(days * 86_400.0 / period_s)
            values = [quiet(i, period_s, draw) for i in range(count)]
            incidents = []
            rows_each = max(3, int(1_200.0 / period_s))
            for number in range(1, 6):
                at = int(count * (0.15 + 0.16 * number)) + draw.randrange(rows_each)
                factor = draw.uniform(2.5, 8.0)
                base = sorted(values[max(0, at - 300) : at])[-max(1, min(at, 300) // 20)]
                for i in range(at, at + rows_each):
                    values[i] = max(values[i], base) * factor
                begin, end = T0 + at * period_s, T0 + (at + rows_each - 1) * period_s
                incidents.append(Incident(begin, end, begin - period_s, end + 2.0 * period_s))
            rows = tuple((T0 + i * period_s, v) for i, v in enumerate(values))
            probation = min(int(PROBATION_SHARE * count), PROBATION_ROWS_MAX)
            labels = Labels(tuple(incidents), probation=probation)
            peaks = (math.inf,) * len(incidents)
            yield Labelled(
                f"synthetic/{kind}", f"{kind}-{seed}", False, period_s, JOIN_S, rows, labels, peaks
            )


def _latency(i: int, period_s: float, draw: random.Random) -> float:
    return 0.2 * math.exp(0.15 * draw.gauss(0.0, 1.0))


def _hourly_batch(i: int, period_s: float, draw: random.Random) -> float:
    return _latency(i, period_s, draw) * (5.0 if i % 60 in (10, 11, 12) else 1.0)


def _nightly_job(i: int, period_s: float, draw: random.Random) -> float:
    hour = i * period_s / 3_600.0 % 24.0
    day = 1.0 + 0.4 * math.sin(2.0 * math.pi * hour / 24.0)
    return _latency(i, period_s, draw) * day * (4.0 if 3.0 <= hour < 3.5 else 1.0)


def _cold_starts(i: int, period_s: float, draw: random.Random) -> float:
    return _latency(i, period_s, draw) * (draw.uniform(4.0, 6.0) if draw.random() < 0.05 else 1.0)


def _hourly_counts(i: int, period_s: float, draw: random.Random) -> float:
    mean = 20.0 * (1.0 + 0.5 * math.sin(2.0 * math.pi * i / 24.0))
    return float(sum(draw.random() < mean / 200.0 for _ in range(200)))


def _heavy_tail(i: int, period_s: float, draw: random.Random) -> float:
    return 0.1 + 0.05 * draw.paretovariate(2.5)


_KINDS = {
    "latency-1min": (60.0, 7, _latency),
    "hourly-batch": (60.0, 7, _hourly_batch),
    "nightly-job": (300.0, 21, _nightly_job),
    "cold-starts": (300.0, 14, _cold_starts),
    "hourly-counts": (3_600.0, 60, _hourly_counts),
    "heavy-tail": (300.0, 14, _heavy_tail),
}
