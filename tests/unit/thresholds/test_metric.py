"""Metrics from files: counts with their latencies, and plain values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from flyball_analytics.problems import ProblemKind, SeriesError
from flyball_analytics.thresholds.metric import ERRORS, P50, P99, VALUE, orphans, read_metrics

Write = Callable[..., Path]


def test_a_counted_file_gives_the_error_ratio_and_the_latencies_it_has(write: Write) -> None:
    """Each is a metric with a threshold of its own; -1 and silence are no values."""
    path = write(
        "payments.csv",
        "timestamp,requests,errors,latency_p99_ms",
        "2026-01-05T00:00:00Z,100,5,210.5",
        "2026-01-05T00:01:00Z,0,0,",
        "2026-01-05T00:02:00Z,200,0,190",
    )
    errors, p99 = read_metrics(path)
    assert (errors.name, errors.unit, errors.target) == (ERRORS, "ratio", "payments")
    assert (p99.name, p99.unit) == (P99, "ms")
    assert [p.value for p in errors.points][::2] == [0.05, 0.0]
    assert math.isnan(errors.points[1].value)
    assert [p.value for p in p99.points][::2] == [210.5, 190.0]
    assert math.isnan(p99.points[1].value)
    assert errors.span_s == 180.0
    assert errors.series is not None
    assert p99.series is None


def test_a_value_file_is_one_metric_without_counts(write: Write) -> None:
    """Negative values and empty cells are values and windows like any other."""
    path = write(
        "temperature.csv",
        "time,value",
        "2026-01-05 00:00:00,-1.5",
        "2026-01-05 00:05:00,",
        "2026-01-05 00:10:00,3",
    )
    (metric,) = read_metrics(path)
    assert (metric.name, metric.unit, metric.period_s, metric.series) == (VALUE, "", 300.0, None)
    assert metric.points[0].value == -1.5
    assert math.isnan(metric.points[1].value)
    assert metric.points[0].arrived_s == metric.points[0].start_s + 300.0


def test_another_word_for_the_value_is_named_by_the_caller(write: Write) -> None:
    """Nothing is guessed."""
    path = write("a.csv", "timestamp,cpu", "2026-01-05T00:00:00Z,1", "2026-01-05T00:01:00Z,2")
    with pytest.raises(SeriesError, match="no column for requests"):
        read_metrics(path)
    (metric,) = read_metrics(path, columns={"value": "cpu"})
    assert [p.value for p in metric.points] == [1.0, 2.0]


def test_rows_that_cannot_be_used_are_counted_with_their_place(write: Write) -> None:
    """Bad times, bad numbers, repeated and backward rows: the rest still is a history."""
    path = write(
        "a.csv",
        "timestamp,value",
        "2026-01-05T00:00:00Z,1",
        "yesterday,2",
        "2026-01-05T00:01:00Z,many",
        "2026-01-05T00:00:00Z,3",
        "2026-01-04T00:00:00Z,4",
        "2026-01-05T00:02:00Z,5",
        "2027-01-05T00:00:00Z,6",
    )
    (metric,) = read_metrics(path, now_s=1_767_600_000.0)
    assert [p.value for p in metric.points] == [1.0, 5.0]
    assert [(p.kind, p.line) for p in metric.problems] == [
        (ProblemKind.TIMESTAMP, 3),
        (ProblemKind.NUMBER, 4),
        (ProblemKind.REPEATED, 5),
        (ProblemKind.BACKWARD, 6),
        (ProblemKind.FUTURE, 8),
    ]


def test_a_value_file_without_a_time_or_with_one_row_is_refused(write: Write) -> None:
    """The message names the columns that are there."""
    with pytest.raises(SeriesError, match="needs a time and a value column, has when, value"):
        read_metrics(write("a.csv", "when,value", "2026-01-05T00:00:00Z,1"))
    with pytest.raises(SeriesError, match="1 usable row"):
        read_metrics(write("b.csv", "timestamp,value", "2026-01-05T00:00:00Z,1"))


def test_a_latency_file_by_itself_is_a_value_and_beside_errors_it_is_joined(write: Write) -> None:
    """X.latency_p99_s.csv belongs to X.error_ratio.csv; without one it stands alone."""
    rows = ("2026-01-05T00:00:00Z,0.2,100", "2026-01-05T00:01:00Z,0.3,100")
    alone = write("b.latency_p99_s.csv", "timestamp,value,requests", *rows)
    write("a.latency_p50_s.csv", "timestamp,value,requests", *rows)
    both = write("a.error_ratio.csv", "timestamp,value,requests", *rows)
    (single,) = read_metrics(alone)
    assert (single.name, single.target) == (VALUE, "b.latency_p99_s")
    assert [m.name for m in read_metrics(both)] == [ERRORS, P50]
    assert orphans(both.parent) == [alone]


def test_a_part_of_a_metric_keeps_its_counts_in_step(write: Write) -> None:
    """[from, to): points and the series behind them."""
    path = write("a.csv", "timestamp,requests,errors", *(f"2026-01-05T00:0{m}:00Z,10,{m}" for m in range(6)))
    (whole,) = read_metrics(path)
    part = whole.between(whole.points[1].start_s, whole.points[4].start_s)
    assert [p.value for p in part.points] == [0.1, 0.2, 0.3]
    assert part.series is not None
    assert [o.failures for o in part.series.observations] == [1, 2, 3]
    assert part._replace(points=()).span_s == 0.0
