"""Any frame is the same history as the same CSV file."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from flyball_analytics.fromframe import frame_columns, from_frame, metric_data_frame
from flyball_analytics.problems import ProblemKind, SeriesError
from flyball_analytics.series import read_csv
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame

START = datetime(2026, 1, 5, tzinfo=UTC)
ROWS = {
    "timestamp": [START + timedelta(minutes=n) for n in range(6) if n != 3],
    "requests": [100, 90, 80, 70, 60],
    "errors": [1, 0, 2, 0, 3],
    "latency_p99_ms": [20.0, None, 25.0, float("nan"), 30.0],
}


class Stream:
    """A frame that offers the Arrow C stream and nothing else, as polars and duckdb do."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Interchange:
    """A frame that offers the interchange protocol and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __dataframe__(self, **options: object) -> object:
        return self._table.__dataframe__(**options)


FRAMES = {
    "mapping": lambda: ROWS,
    "pandas": lambda: pd.DataFrame(ROWS),
    "arrow": lambda: pa.table(ROWS),
    "stream": lambda: Stream(pa.table(ROWS)),
    "interchange": lambda: Interchange(pa.table(ROWS)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_gives_the_series_of_the_same_file(kind, tmp_path):
    """Same words, same checks, same gaps; only the path is called `frame`."""
    file = tmp_path / "payments.csv"
    pd.DataFrame(ROWS).to_csv(file, index=False)
    wanted = read_csv(file, delay_s=20.0)
    found = from_frame(FRAMES[kind](), target="payments", delay_s=20.0)
    assert found == wanted._replace(path="frame")
    assert len(found.gaps) == 1
    assert found.observations[1].latency_ms_p99 == -1.0


def test_problems_are_placed_in_the_frame():
    """Nobody can open the file that it went through."""
    rows = {**ROWS, "requests": [100, -90, 80, 70, 60]}
    found = from_frame(rows)
    assert found.target == "frame"
    assert found.problems[0].path == "frame"
    assert sum(found.problem_counts.values()) == 1
    assert next(iter(found.problem_counts)) in set(ProblemKind)


def test_a_target_column_chooses_rows_and_a_name_with_a_slash_is_a_name():
    """Frames of fleets hold all targets below one another."""
    both = pd.concat([pd.DataFrame(ROWS).assign(target="eu/pay"), pd.DataFrame(ROWS).assign(target="mail")])
    assert len(from_frame(both, target="eu/pay").observations) == 5
    assert metrics_of_frame(both, target="mail")[0].target == "mail"


def test_incidents_may_come_as_any_frame_too():
    """Start and end as moments, with or without a target column."""
    rows = {"start": [START], "end": [START + timedelta(minutes=2)]}
    plain = labels_of_frame(rows, target="payments")
    assert plain == labels_of_frame(pa.table({**rows, "target": ["payments"]}), target="payments")
    assert plain.incidents[0].end_s - plain.incidents[0].start_s == 120.0


def test_what_is_no_frame_is_named():
    """A list of lists has no words for its columns."""
    with pytest.raises(SeriesError, match="a list is no frame"):
        frame_columns([[1, 2]])


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    """Only what needs it asks for it."""
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("pyarrow"):
            raise ImportError("no", name="pyarrow")
        return real(name, *arguments, **named)

    stream = Stream(pa.table(ROWS))
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SeriesError, match=r"flyball\[sim\]"):
        from_frame(stream)
    assert len(from_frame(ROWS).observations) == 5


def test_an_answer_of_get_metric_data_is_one_frame():
    """Newest first, in pages, and what was not published is missing, not 0."""
    minutes = [START + timedelta(minutes=n) for n in range(3)]
    frame = metric_data_frame(
        [
            {"Id": "requests", "Timestamps": [minutes[2], minutes[1]], "Values": [30.0, 20.0]},
            {"Id": "errors", "Timestamps": [minutes[1].isoformat()], "Values": [1.0]},
            {"Id": "requests", "Timestamps": [minutes[0]], "Values": [10.0]},
        ]
    )
    assert list(frame.columns) == ["timestamp", "requests", "errors"]
    assert frame["requests"].to_list() == [10.0, 20.0, 30.0]
    assert frame["errors"].isna().to_list() == [True, False, True]
    assert list(frame["timestamp"]) == minutes
