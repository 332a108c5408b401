"""A packed series as numpy columns: what the compiled replay reads, and the ground of all policies, by array.

The same values as `shards_input.series_of` and `shards_replay.ground_rows` give, and
sums in the same order; only without an object per row. numpy comes with the extra `sim`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flyball_analytics.compare_figures import DAY_S, Day
from flyball_analytics.fastreplay_columns import COUNT_FAST_MAX, COUNTS, History, columns_of
from flyball_analytics.labels import Labels
from flyball_analytics.shards_input import FLOAT_FIELDS, Columns
from flyball_analytics.shards_replay import Ground
from flyball_controller.core.model import Observation, Quality


def arrays_in(columns: Columns) -> dict[str, NDArray[Any]]:
    """Return the columns by the names of `Observation`, (rows,) each."""
    return {
        name: np.frombuffer(data, dtype="<f8" if name in FLOAT_FIELDS else "<i8")
        for name, data in columns.bytes_of.items()
    }


def history_in(columns: Columns) -> History:
    """Return the history that the compiled replay reads, with looks into its gaps."""
    arrays = arrays_in(columns)
    odd: dict[int, Observation] = {}
    too_large = np.zeros(columns.rows, dtype=np.bool_)
    for name in COUNTS:
        too_large |= (arrays[name] > COUNT_FAST_MAX) | (arrays[name] < -COUNT_FAST_MAX)
    for row in np.flatnonzero(too_large).tolist():
        values = [arrays[name][row].item() for name in arrays]
        odd[row] = Observation._make((columns.target, *values[:-1], Quality(values[-1])))
    given = {("window_s" if name == "period_s" else name): array for name, array in arrays.items()}
    return columns_of(given, target=columns.target, looks_s=columns.period_s, odd=odd)


def ground_columns(columns: Columns, labels: Labels) -> Ground:
    """Return what the policies over a history share; equal to `shards_replay.ground_rows`."""
    arrays = arrays_in(columns)
    start_s, period_s = arrays["start_s"], arrays["period_s"]
    sound = np.flatnonzero(arrays["quality"] != int(Quality.INVALID))
    sound = sound[np.argsort(start_s[sound], kind="stable")]
    numbers = np.full(columns.rows, -1, dtype=np.int64)
    numbers[sound] = np.arange(len(sound))
    scored = sound[labels.probation :]
    begins = start_s[scored]
    well = np.ones(len(scored), dtype=np.bool_)
    for begin, end in (*labels.ignore, *((one.from_s, one.to_s) for one in labels.incidents)):
        well &= ~((begin <= begins) & (begins <= end))
    healthy = np.zeros(columns.rows, dtype=np.uint8)
    healthy[scored] = well
    keys, places = np.unique(np.floor_divide(begins, DAY_S), return_inverse=True)
    # bincount adds one after the other, in order: the sums of the loop, bit for bit.
    lengths = period_s[scored]
    recorded_s = np.bincount(places, lengths, len(keys)).tolist()
    healthy_s = np.bincount(places[well], lengths[well], len(keys)).tolist()
    days = {
        int(key): Day(recorded_s=recorded, healthy_s=good)
        for key, recorded, good in zip(keys.tolist(), recorded_s, healthy_s, strict=True)
    }
    first_s = float(period_s[sound[0]]) if len(sound) else 0.0
    return Ground(labels, numbers.tolist(), bytes(healthy), days, first_s)
