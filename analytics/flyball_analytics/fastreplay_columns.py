"""A history as columns of numbers: what the compiled replay reads, and how a row is an observation again.

A column that holds one value throughout has length 1 and costs nothing to read. Rows
that could need the whole step whatever the state is (flagged, partial, missing,
impossible, after a gap) are marked once, when the columns are made. Numbers that no
column can hold keep their observation. Knows no policy and no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flyball_analytics.replay import with_looks
from flyball_controller.core.model import Observation, Quality

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

# Fifteen pooled windows of three classes stay under 2^53, where floats and counts are one.
COUNT_FAST_MAX = 1 << 48
TIME_FAST_MAX_S = 1e11
# Looks are due from 1.5 periods on; a shorter distance is never a gap.
GAP_FAST = 1.4
FLOATS = ("start_s", "window_s", "arrived_s", "latency_ms_p50", "latency_ms_p99")
COUNTS = (
    "requests",
    "timeouts",
    "errors_fast",
    "throttles",
    "attempts",
    "request_failures",
    "short_circuited",
    "errors_permanent",
)

# By value; what is none raises KeyError, as Quality() would raise ValueError.
_QUALITIES = {int(quality): quality for quality in Quality}


class History(NamedTuple):
    """The windows of one target in order of arrival; each column has `rows` entries, or one for all rows.

    `looks_s` is the period after which production looks in vain, None: only rows are
    replayed. `sound` is 0 where a row needs the whole step in any case. `odd` holds the
    rows whose numbers do not fit into columns.
    """

    target: str
    rows: int
    looks_s: float | None
    start_s: NDArray[np.float64]
    window_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]
    latency_ms_p50: NDArray[np.float64]
    latency_ms_p99: NDArray[np.float64]
    requests: NDArray[np.int64]
    timeouts: NDArray[np.int64]
    errors_fast: NDArray[np.int64]
    throttles: NDArray[np.int64]
    attempts: NDArray[np.int64]
    request_failures: NDArray[np.int64]
    short_circuited: NDArray[np.int64]
    errors_permanent: NDArray[np.int64]
    quality: NDArray[np.uint8]
    sound: NDArray[np.uint8]
    odd: Mapping[int, Observation]

    def observation(self, row: int) -> Observation:
        """Return one row as the step sees it."""
        if row in self.odd:
            return self.odd[row]
        columns = (
            self.start_s, self.window_s, self.arrived_s, self.requests, self.timeouts, self.errors_fast,
            self.throttles, self.attempts, self.request_failures, self.short_circuited,
            self.errors_permanent, self.latency_ms_p50, self.latency_ms_p99,
        )  # fmt: skip
        values: list[Any] = [column.item(row if column.size > 1 else 0) for column in columns]
        quality = _QUALITIES[self.quality.item(row if self.quality.size > 1 else 0)]
        return Observation._make((self.target, *values, quality))

    def seen(self, row: int) -> list[tuple[Observation, bool]]:
        """Return what is stepped through to get past a row: the looks before it (True), and the row."""
        observation = self.observation(row)
        if self.looks_s is None or row == 0 or self.sound[row]:
            return [(observation, False)]  # sound: no gap before it
        # Only the arrival of the row before counts; its other numbers may be anything.
        before = observation._replace(arrived_s=self._arrived_s(row - 1))
        return list(with_looks([before, observation], period_s=self.looks_s))[1:]

    def _arrived_s(self, row: int) -> float:
        return self.odd[row].arrived_s if row in self.odd else float(_at(self.arrived_s, row))


def _at(column: NDArray[Any], row: int) -> Any:
    return column[row] if len(column) > 1 else column[0]


def history_of(
    observations: Sequence[Observation], *, looks_s: float | None, target: str | None = None
) -> History:
    """Return observations as columns.

    Args:
        observations: Of one target, in order of arrival.
        looks_s: Period of the looks into gaps, > 0; None: no looks.
        target: Name; default: that of the first row.
    """
    import numpy as np

    rows = len(observations)
    odd = {row: seen for row, seen in enumerate(observations) if not _fits(seen)}
    taken: Sequence[Observation] = observations
    if odd:
        blank = Observation("", 0.0, 0.0, 0.0, quality=Quality.INVALID)
        taken = [blank if row in odd else seen for row, seen in enumerate(observations)]
    columns: dict[str, ArrayLike] = {
        name: np.fromiter((getattr(seen, field) for seen in taken), dtype, rows)
        for name, field, dtype in (
            *((name, "period_s" if name == "window_s" else name, np.float64) for name in FLOATS),
            *((name, name, np.int64) for name in COUNTS),
            ("quality", "quality", np.uint8),
        )
    }
    name = target if target is not None else observations[0].target if observations else ""
    return columns_of(columns, target=name, looks_s=looks_s, odd=odd)


def _fits(seen: Observation) -> bool:
    """Return whether the row's numbers are of the declared types and survive a column."""
    counts = (getattr(seen, name) for name in COUNTS)
    return all(isinstance(count, int) and abs(count) <= COUNT_FAST_MAX for count in counts)


def columns_of(
    columns: Mapping[str, ArrayLike],
    *,
    target: str,
    looks_s: float | None,
    odd: Mapping[int, Observation] | None = None,
) -> History:
    """Return a history from arrays; a column that is missing or has one value is constant.

    Args:
        columns: By the names of `History`; `start_s`, `window_s`, `arrived_s` and `requests`
            are needed. Others default as in `Observation`.
        target: Name.
        looks_s: Period of the looks into gaps, > 0; None: no looks.
        odd: Rows that are taken from here whatever their columns say.

    Raises:
        ValueError: If a needed column is missing, one is unknown, or lengths differ.
    """
    import numpy as np

    known = (*FLOATS, *COUNTS, "quality")
    for needed in ("start_s", "window_s", "arrived_s", "requests"):
        if needed not in columns:
            raise ValueError(
                f"column {needed!r} is missing: needed are start_s, window_s, arrived_s, requests"
            )
    for name in columns:
        if name not in known:
            raise ValueError(f"column {name!r} is unknown: known are {', '.join(known)}")
    rows = len(np.atleast_1d(np.asarray(columns["start_s"])))
    defaults = Observation("", 0.0, 0.0, 0.0)._asdict()
    arrays: dict[str, NDArray[Any]] = {}
    for name in known:
        dtype: type = np.float64 if name in FLOATS else np.int64 if name in COUNTS else np.uint8
        given: NDArray[Any] = np.atleast_1d(
            np.ascontiguousarray(columns.get(name, defaults.get(name, 0)), dtype=dtype)
        )
        if len(given) not in (1, rows):
            raise ValueError(f"column {name!r} has {len(given)} entries, start_s has {rows}")
        arrays[name] = _shortened(given)
    sound = _sound(arrays, rows, looks_s)
    for row in odd or ():
        sound[row : row + 2] = 0  # the row after it measures its distance from the true arrival
    return History(target, rows, looks_s, **arrays, sound=sound, odd=dict(odd or {}))


def _shortened(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column that is constant, bit for bit, as its first entry."""
    if len(column) < 2:
        return column
    bits = column.view(f"u{column.dtype.itemsize}")
    return column[:1].copy() if bool((bits == bits[0]).all()) else column


def _sound(arrays: Mapping[str, NDArray[Any]], rows: int, looks_s: float | None) -> NDArray[np.uint8]:
    """Return 1 where a row is possible, whole and follows the one before without a gap.

    Stricter than the step's own test where that is simpler; never laxer.
    """
    import numpy as np

    start, window, arrived = arrays["start_s"], arrays["window_s"], arrays["arrived_s"]
    sound = np.ones(rows, dtype=np.bool_)
    sound &= (start >= 0.0) & (start <= TIME_FAST_MAX_S) & (start <= arrived)
    sound &= (arrived <= TIME_FAST_MAX_S) & (window > 0.0) & (window <= 86_400.0)
    for name in ("latency_ms_p50", "latency_ms_p99"):
        sound &= ((arrays[name] >= 0.0) | (arrays[name] == -1.0)) & (arrays[name] < np.inf)
    for name in COUNTS:
        sound &= (arrays[name] >= (-1 if name == "request_failures" else 0)) & (
            arrays[name] <= COUNT_FAST_MAX
        )
    sound &= (arrays["requests"] > 0) & (arrays["request_failures"] <= arrays["requests"])
    sound &= arrays["timeouts"] + arrays["errors_fast"] + arrays["throttles"] <= arrays["requests"]
    sound &= arrays["quality"] == int(Quality.OK)
    if looks_s is not None and rows > 1 and len(arrived) > 1:
        longest = np.maximum(window[1:] if len(window) > 1 else window, looks_s)
        sound[1:] &= np.diff(arrived) <= GAP_FAST * longest  # false also where a time is no number
    return sound.astype(np.uint8)
