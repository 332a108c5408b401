"""Any data frame as a history: pandas, pyarrow, polars, duckdb, without depending on the last two.

A frame is read exactly as the same CSV file would be (series.py): same words for
columns, same checks, same treatment of late and repeated rows. Frames are taken by what
they offer: named columns, the Arrow C stream (`__arrow_c_stream__`), or the interchange
protocol (`__dataframe__`); the last two need pyarrow (extra `sim`).
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyball_analytics.problems import MissingPackageError, SeriesError
from flyball_analytics.series import Series, read_csv

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

PATH = "frame"  # what a frame is called where a file would be named
Column = tuple[str, list[str]]


def from_frame(
    frame: Any,
    *,
    target: str | None = None,
    columns: Mapping[str, str] | None = None,
    period_s: float | None = None,
    delay_s: float = 0.0,
    now_s: float | None = None,
) -> Series:
    """Return the history of one target in a frame, as `read_csv` returns that of a file.

    Args:
        frame: Columns as in a CSV history; see the module for what counts as a frame.
        target: Name of the target, or whose rows to take if there is a target column.
        columns: Field name to column name, where the default words do not fit.
        period_s: Length of a window, > 0; default: the commonest distance of rows.
        delay_s: How long after its end a window can be read, >= 0.
        now_s: Rows that start later are impossible; None: no such check.

    Raises:
        SeriesError: If it is no frame, or cannot give a series; it is called `frame`.
    """
    with as_file(frame, name=target or PATH) as path:
        found = read_csv(
            path, target=target, columns=columns, period_s=period_s, delay_s=delay_s, now_s=now_s
        )
    problems = tuple(problem._replace(path=PATH) for problem in found.problems)
    return found._replace(path=PATH, problems=problems)


@contextmanager
def as_file(frame: Any, *, name: str) -> Iterator[Path]:
    """Give a frame as a CSV file that is gone afterwards.

    Raises:
        SeriesError: If it is no frame.
    """
    found = frame_columns(frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name.replace('/', '_')}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([word for word, _ in found])
            writer.writerows(zip(*(cells for _, cells in found), strict=True))
        yield path


def frame_columns(frame: Any) -> list[Column]:
    """Return the columns of a frame as text, in order; missing values are empty cells.

    Raises:
        SeriesError: If it is no frame.
    """
    if hasattr(frame, "column_names"):  # pyarrow: its `columns` are values
        return [(str(name), _cells(frame.column(name).to_pylist())) for name in frame.column_names]
    if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        return [(str(name), _cells(_values(frame[name]))) for name in frame.columns]
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__dataframe__"):
        return frame_columns(_arrow(frame))
    if isinstance(frame, Mapping):
        return [(str(name), _cells(list(values))) for name, values in frame.items()]
    raise SeriesError(
        f"a {type(frame).__name__} is no frame: give pandas, pyarrow or polars, anything with "
        "__arrow_c_stream__ or __dataframe__, or a mapping of column names to values",
        path=PATH,
    )


def _arrow(frame: Any) -> Any:
    """Return a frame as a pyarrow table."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingPackageError(
            f"reading a {type(frame).__name__} needs the Python package pyarrow: pip install 'flyball[sim]'",
            path=PATH,
        ) from error
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(frame).read_all()
    from pyarrow.interchange.from_dataframe import from_dataframe

    return from_dataframe(frame)


def _values(column: Any) -> list[Any]:
    return list(column.to_list()) if hasattr(column, "to_list") else list(column)


def _cells(values: Sequence[Any]) -> list[str]:
    """Return values as text; None, NaN and NaT are missing."""
    return ["" if value is None or value != value else str(value) for value in values]


def metric_data_frame(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return an answer of CloudWatch's GetMetricData as one frame: `timestamp`, and a column per query id.

    Minutes that a metric does not have stay missing: CloudWatch leaves out what is 0 only
    if nobody published it, and who did is for the reader to say (`fillna`).

    Args:
        results: `MetricDataResults`, of one reply or of several pages, as boto3 or the AWS
            command line give them (timestamps as datetimes or as text).
    """
    import pandas as pd

    columns: dict[str, dict[Any, float]] = {}
    for one in results:
        column = columns.setdefault(str(one["Id"]), {})
        moments = pd.to_datetime(list(one["Timestamps"]), utc=True)
        column.update(zip(moments, one["Values"], strict=True))
    frame = pd.DataFrame({name: pd.Series(values, dtype="float64") for name, values in columns.items()})
    frame.index.name = "timestamp"
    return frame.sort_index().reset_index()
