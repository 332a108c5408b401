"""One row of a metric export -> one Observation with a quality, and what was wrong with it.

Nothing here stops the reading: a cell that cannot be right makes the observation
INVALID (kept for the journal, never acted upon), a blank count makes it MISSING
(blank is not zero), an impossible latency is dropped and the counts stay good.
Knows nothing of files, order, periods or neighbours: see series.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.columns import CLASS_FIELDS, RATIO_FIELDS, Columns, Field
from flyball_analytics.moments import MomentError, parse_moment
from flyball_analytics.problems import Problem, ProblemKind, ProblemLog
from flyball_controller.core.model import Observation, Quality

# Above this a float no longer holds every integer, and no window has that many calls.
COUNT_MAX = 2**53
NOT_MEASURED = -1.0
_NEEDED_COUNTS = (Field.REQUESTS, Field.ERRORS, *CLASS_FIELDS)
_OTHER_COUNTS = (
    Field.ATTEMPTS,
    Field.RETRIES,
    Field.REQUEST_FAILURES,
    Field.SHORT_CIRCUITED,
    Field.ERRORS_PERMANENT,
)


class Row(NamedTuple):
    """A parsed row, its period and arrival still open; `arrived_s` is None where the file does not say."""

    line: int
    observation: Observation
    arrived_s: float | None


class _BadCellError(Exception):
    """A cell that cannot be used; becomes a Problem with the place added."""

    def __init__(self, kind: ProblemKind, bound: str, remedy: str) -> None:
        super().__init__(bound)
        self.kind = kind
        self.bound = bound
        self.remedy = remedy


def parse_count(text: str) -> int | None:
    """Return the count in `text`, rounded if it is a fraction; None for a blank cell.

    Extrapolating sources (Prometheus `increase`) write counts as fractions.
    """
    number = _finite(text)
    if number is None:
        return None
    if abs(number) > COUNT_MAX:
        raise _BadCellError(
            ProblemKind.TOO_LARGE, f"must be at most {COUNT_MAX}", "check the unit of the column"
        )
    return round(number)


def _finite(text: str) -> float | None:
    """Return the number in `text`, None for a blank cell."""
    stripped = text.strip()
    if not stripped:
        return None
    try:
        number = float(stripped)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _BadCellError(
            ProblemKind.NUMBER, "must be a finite number", "correct the cell or delete the row"
        )
    return number


class RowReader:
    """Reads the rows of one file; reports to `log`, never raises for data."""

    def __init__(
        self, columns: Columns, *, path: str, target: str, now_s: float | None, log: ProblemLog
    ) -> None:
        self._columns = columns
        self._path = path
        self._target = target
        self._now_s = now_s
        self._log = log
        self._line = 0
        self._cells: Sequence[str] = ()
        self._quality = Quality.OK

    def read(self, line: int, cells: Sequence[str]) -> Row | None:
        """Return the row, or None if it names no usable moment (counted as a problem)."""
        self._line, self._cells, self._quality = line, cells, Quality.OK
        start_s = self._start_s()
        if start_s is None:
            return None
        arrived_s = self._arrived_s(start_s)
        if len(cells) != len(self._columns.header):
            self._problem(
                "(row)",
                f"{len(cells)} cells",
                ProblemKind.CELLS,
                f"must have {len(self._columns.header)} cells as the header has",
                "a missing or extra separator shifts every value",
            )
            self._quality = Quality.INVALID
            return Row(line, self._observation(start_s, {}), arrived_s)
        counts = self._counts()
        return Row(line, self._observation(start_s, counts), arrived_s)

    # --- moments -------------------------------------------------------------------------

    def _start_s(self) -> float | None:
        """Return the window start; a moment in the future has no place in a recording."""
        text = self._text(Field.TIMESTAMP)
        name = self._columns.name(Field.TIMESTAMP)
        try:
            start_s = parse_moment(text)
        except MomentError as error:
            self._problem(name, text, ProblemKind.TIMESTAMP, f"must be {error.bound}", error.remedy)
            return None
        if self._now_s is not None and start_s > self._now_s:
            self._problem(
                name,
                text,
                ProblemKind.FUTURE,
                "must not be later than now",
                "check clock, time zone and unit; --now sets what counts as now",
            )
            return None
        return start_s

    def _arrived_s(self, start_s: float) -> float | None:
        """Return the arrival that the file states, None if it states none (or an impossible one)."""
        if Field.ARRIVED not in self._columns.position:
            return None
        text = self._text(Field.ARRIVED)
        if not text.strip():
            return None
        try:
            arrived_s = parse_moment(text)
            if arrived_s < start_s:
                raise MomentError(text, bound="after the start of its window", remedy="check the time zone")
            if self._now_s is not None and arrived_s > self._now_s:
                raise MomentError(text, bound="at most now", remedy="check clock, time zone and unit")
        except MomentError as error:
            name = self._columns.name(Field.ARRIVED)
            self._problem(name, text, ProblemKind.ARRIVED, f"must be {error.bound}", error.remedy)
            self._quality = Quality.INVALID
            return None
        return arrived_s

    # --- counts --------------------------------------------------------------------------

    def _counts(self) -> dict[Field, int]:
        """Return every count of the row; sets the quality by what is wrong or blank."""
        counts: dict[Field, int] = {}
        blank: list[Field] = []
        for field in (*_NEEDED_COUNTS, *_OTHER_COUNTS):
            if field not in self._columns.position:
                continue
            count = self._count(field)
            if count is not None:
                counts[field] = count
            elif field in _NEEDED_COUNTS and self._quality != Quality.INVALID:
                blank.append(field)
        ratio_blank = self._ratio_to_errors(counts)
        if counts.get(Field.REQUESTS) == 0:
            blank = []  # no request can have failed: blank failures are zero here
        elif ratio_blank is not None:
            blank.append(ratio_blank)
        if self._quality != Quality.INVALID and blank:
            self._problem(
                self._columns.name(blank[0]),
                "",
                ProblemKind.BLANK,
                "must be a count or ratio",
                "blank is not zero: the row is replayed as missing; write 0 if nothing failed",
            )
            self._quality = Quality.MISSING
            return {}
        self._classes(counts)
        return counts

    def _count(self, field: Field) -> int | None:
        """Return one count, None if blank or unusable (then the row is INVALID)."""
        text = self._text(field)
        try:
            count = parse_count(text)
            if count is not None and count < 0:
                raise _BadCellError(
                    ProblemKind.NEGATIVE, "must be at least 0", "correct the cell or delete the row"
                )
        except _BadCellError as bad:
            self._problem(self._columns.name(field), text, bad.kind, bad.bound, bad.remedy)
            self._quality = Quality.INVALID
            return None
        return count

    def _ratio_to_errors(self, counts: dict[Field, int]) -> Field | None:
        """Turn an error ratio into a count of errors; return its field if the cell is blank."""
        for field, top in zip(RATIO_FIELDS, (1.0, 100.0), strict=True):
            if field not in self._columns.position:
                continue
            text = self._text(field)
            try:
                ratio = _finite(text)
                if ratio is not None and not 0.0 <= ratio <= top:
                    raise _BadCellError(
                        ProblemKind.RATIO,
                        f"must lie in 0..{top:g}",
                        f"if it is a percentage, use --column error_percent={self._columns.name(field)}"
                        if top < 2.0
                        else "correct the cell or delete the row",
                    )
                if ratio and counts.get(Field.REQUESTS) == 0:
                    raise _BadCellError(
                        ProblemKind.MORE_ERRORS,
                        "must be 0 where there are no requests",
                        "check the requests column",
                    )
            except _BadCellError as bad:
                self._problem(self._columns.name(field), text, bad.kind, bad.bound, bad.remedy)
                self._quality = Quality.INVALID
                return None
            if ratio is None:
                return field
            counts[Field.ERRORS] = round(ratio / top * counts.get(Field.REQUESTS, 0))
        return None

    def _classes(self, counts: dict[Field, int]) -> None:
        """Split failures by class and refuse what contradicts itself."""
        requests = counts.get(Field.REQUESTS, 0)
        split = sum(counts.get(field, 0) for field in CLASS_FIELDS)
        total = counts.get(Field.ERRORS, split)
        if self._quality == Quality.INVALID:
            return
        if Field.ERRORS_FAST not in counts:
            counts[Field.ERRORS_FAST] = total - split  # what is neither time-out nor throttle
        elif total != split:
            self._contradiction(
                Field.ERRORS,
                total,
                f"must be errors_fast + timeouts + throttles = {split}",
                "drop one column",
            )
        if counts[Field.ERRORS_FAST] < 0:
            self._contradiction(
                Field.ERRORS,
                total,
                f"must be at least timeouts + throttles = {split}",
                "errors counts every failed first attempt; if yours leaves them out, call it errors_fast",
            )
        elif max(total, counts.get(Field.REQUEST_FAILURES, 0)) > requests:
            worst = Field.ERRORS if total > requests else Field.REQUEST_FAILURES
            self._contradiction(
                worst,
                counts.get(worst, total),
                f"must be at most requests = {requests}",
                "count first attempts only, in the same window as requests",
                ProblemKind.MORE_ERRORS,
            )
        if Field.RETRIES in counts and Field.ATTEMPTS not in counts:
            counts[Field.ATTEMPTS] = requests + counts[Field.RETRIES]
        if 0 < counts.get(Field.ATTEMPTS, 0) < requests:
            self._contradiction(
                Field.ATTEMPTS,
                counts[Field.ATTEMPTS],
                f"must be at least requests = {requests}",
                "attempts are first attempts and retries together; name retries `retries`",
            )

    def _contradiction(
        self,
        field: Field,
        value: int,
        bound: str,
        remedy: str,
        kind: ProblemKind = ProblemKind.CONTRADICTION,
    ) -> None:
        """Report columns that cannot all be true; the row becomes INVALID."""
        name = self._columns.name(field) if field in self._columns.position else field.value
        self._problem(name, str(value), kind, bound, remedy)
        self._quality = Quality.INVALID

    # --- latency and the whole -----------------------------------------------------------

    def _latency_ms(self, ms_field: Field, s_field: Field) -> float:
        """Return a latency in ms, -1.0 if the file has none or an impossible one."""
        for field, scale in ((ms_field, 1.0), (s_field, 1_000.0)):
            if field not in self._columns.position:
                continue
            text = self._text(field)
            try:
                latency = _finite(text)
            except _BadCellError:
                latency = math.nan
            if latency is None:
                return NOT_MEASURED
            if latency >= 0.0:
                return latency * scale
            self._problem(
                self._columns.name(field),
                text,
                ProblemKind.LATENCY,
                "must be a finite number, at least 0",
                "the row is replayed without this latency",
            )
        return NOT_MEASURED

    def _observation(self, start_s: float, counts: dict[Field, int]) -> Observation:
        """Return the observation; period and arrival are set when the whole file is known."""
        whole = len(self._cells) == len(self._columns.header)
        return Observation(
            target=self._target,
            start_s=start_s,
            period_s=0.0,
            arrived_s=start_s,
            requests=counts.get(Field.REQUESTS, 0),
            timeouts=counts.get(Field.TIMEOUTS, 0),
            errors_fast=counts.get(Field.ERRORS_FAST, 0),
            throttles=counts.get(Field.THROTTLES, 0),
            attempts=counts.get(Field.ATTEMPTS, 0),
            request_failures=counts.get(Field.REQUEST_FAILURES, -1),
            short_circuited=counts.get(Field.SHORT_CIRCUITED, 0),
            errors_permanent=counts.get(Field.ERRORS_PERMANENT, 0),
            latency_ms_p50=self._latency_ms(Field.LATENCY_P50_MS, Field.LATENCY_P50_S) if whole else -1.0,
            latency_ms_p99=self._latency_ms(Field.LATENCY_P99_MS, Field.LATENCY_P99_S) if whole else -1.0,
            quality=self._quality,
        )

    def _text(self, field: Field) -> str:
        """Return the cell of a field; a row that is too short has blank cells at its end."""
        position = self._columns.position[field]
        return self._cells[position] if position < len(self._cells) else ""

    def _problem(self, column: str, value: str, kind: ProblemKind, bound: str, remedy: str) -> None:
        self._log.add(Problem(self._path, self._line, column, value, kind, bound, remedy))
