"""Every kind of bad row: flagged or counted, with its exact place, and never the end of the reading."""

from __future__ import annotations

import pytest

from flyball_analytics.problems import ProblemKind, ProblemLog
from flyball_analytics.series import read_csv
from flyball_controller.core.model import Quality

GOOD = ("2023-11-15 12:00,100,1,0,0,110,1,50,90", "2023-11-15 12:02,100,1,0,0,110,1,50,90")
HEADER = (
    "timestamp,requests,errors,timeouts,throttles,attempts,request_failures,latency_p50_ms,latency_p99_ms"
)


def read_with(write, row: str, header: str = HEADER, good: tuple[str, str] = GOOD):
    """Return the series of a good row, the row in question (line 3), and another good row."""
    return read_csv(write("a.csv", header, good[0], row, good[1]), now_s=1_800_000_000.0)


@pytest.mark.parametrize(
    ("row", "kind", "column", "value"),
    [
        ("2023-11-15 12:01,100,101,0,0,110,1,50,90", ProblemKind.MORE_ERRORS, "errors", "101"),
        ("2023-11-15 12:01,100,1,0,0,110,101,50,90", ProblemKind.MORE_ERRORS, "request_failures", "101"),
        ("2023-11-15 12:01,-5,1,0,0,110,1,50,90", ProblemKind.NEGATIVE, "requests", "-5"),
        ("2023-11-15 12:01,100,1,0,-1,110,1,50,90", ProblemKind.NEGATIVE, "throttles", "-1"),
        ("2023-11-15 12:01,nan,1,0,0,110,1,50,90", ProblemKind.NUMBER, "requests", "nan"),
        ("2023-11-15 12:01,100,inf,0,0,110,1,50,90", ProblemKind.NUMBER, "errors", "inf"),
        ("2023-11-15 12:01,100,few,0,0,110,1,50,90", ProblemKind.NUMBER, "errors", "few"),
        ("2023-11-15 12:01,1e300,1,0,0,110,1,50,90", ProblemKind.TOO_LARGE, "requests", "1e300"),
        ("2023-11-15 12:01,100,1,1,1,110,1,50,90", ProblemKind.CONTRADICTION, "errors", "1"),
        ("2023-11-15 12:01,100,1,0,0,99,1,50,90", ProblemKind.CONTRADICTION, "attempts", "99"),
        ("2023-11-15 12:01,100,1", ProblemKind.CELLS, "(row)", "3 cells"),
        ("2023-11-15 12:01,100,1,0,0,110,1,50,90,7", ProblemKind.CELLS, "(row)", "10 cells"),
        ("2023-11-15 12:00,100,1,0,0,110,1,50,90", ProblemKind.REPEATED, "timestamp", "1700049600"),
        ("2023-11-15 11:59,100,1,0,0,110,1,50,90", ProblemKind.BACKWARD, "timestamp", "1700049540"),
    ],
)
def test_an_impossible_row_is_kept_as_invalid_with_its_place(write, row, kind, column, value) -> None:
    """It stays for the journal and is never acted upon; the user finds the cell."""
    series = read_with(write, row)
    assert [o.quality for o in series.observations] == [Quality.OK, Quality.INVALID, Quality.OK]
    (problem,) = series.problems
    assert (problem.line, problem.kind, problem.column, problem.value) == (3, kind, column, value)
    assert problem.path.endswith("a.csv")
    assert problem.bound
    assert problem.remedy
    assert str(problem).startswith(f"{problem.path}:3: {kind}: {column}={value!r} ")
    assert series.problem_counts == {kind: 1}
    assert series.rows == 3


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("noon,100,1,0,0,110,1,50,90", ProblemKind.TIMESTAMP),
        (",100,1,0,0,110,1,50,90", ProblemKind.TIMESTAMP),
        ("2033-11-15 12:01,100,1,0,0,110,1,50,90", ProblemKind.FUTURE),
    ],
)
def test_a_row_without_a_usable_moment_is_counted_and_left_out(write, row, kind) -> None:
    """There is no time at which it could be replayed."""
    series = read_with(write, row)
    assert len(series.observations) == 2
    assert [(p.line, p.kind, p.column) for p in series.problems] == [(3, kind, "timestamp")]
    assert series.rows == 3


def test_a_future_row_is_accepted_without_a_clock(write) -> None:
    """Simulated histories may lie in the future; only the command line knows now."""
    path = write("a.csv", "timestamp,requests,errors", "2033-01-01 00:00,1,0", "2033-01-01 00:01,1,0")
    assert read_csv(path).problems == ()


@pytest.mark.parametrize(
    "row", ["2023-11-15 12:01,,1,0,0,110,1,50,90", "2023-11-15 12:01,100,,0,0,110,1,50,90"]
)
def test_a_blank_count_makes_the_window_missing(write, row) -> None:
    """Blank is not zero: the window is replayed as a look that found nothing."""
    series = read_with(write, row)
    seen = series.observations[1]
    assert (seen.quality, seen.requests, seen.failures) == (Quality.MISSING, 0, 0)
    assert [(p.line, p.kind) for p in series.problems] == [(3, ProblemKind.BLANK)]


def test_blank_optional_cells_are_not_measured_and_no_problem(write) -> None:
    """Attempts, request failures and latency may be unknown."""
    seen = read_with(write, "2023-11-15 12:01,100,1,0,0,,,,").observations[1]
    assert (seen.attempts, seen.request_failures, seen.latency_ms_p50, seen.latency_ms_p99) == (
        0,
        -1,
        -1.0,
        -1.0,
    )
    assert seen.quality == Quality.OK


@pytest.mark.parametrize("latency", ["-3", "nan", "slow"])
def test_an_impossible_latency_is_dropped_and_the_counts_stay(write, latency) -> None:
    """Error counts are evidence whatever the latency says."""
    series = read_with(write, f"2023-11-15 12:01,100,1,0,0,110,1,{latency},90")
    seen = series.observations[1]
    assert (seen.quality, seen.requests, seen.latency_ms_p50, seen.latency_ms_p99) == (
        Quality.OK,
        100,
        -1.0,
        90.0,
    )
    assert [(p.line, p.kind, p.column) for p in series.problems] == [
        (3, ProblemKind.LATENCY, "latency_p50_ms")
    ]


RATIO = "timestamp,value,requests"
RATIO_GOOD = ("2023-11-15 12:00,0.1,100", "2023-11-15 12:02,0.1,100")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("2023-11-15 12:01,1.01,100", ProblemKind.RATIO),
        ("2023-11-15 12:01,-0.1,100", ProblemKind.RATIO),
        ("2023-11-15 12:01,nan,100", ProblemKind.NUMBER),
        ("2023-11-15 12:01,0.5,0", ProblemKind.MORE_ERRORS),
    ],
)
def test_a_ratio_must_be_a_share_of_something(write, row, kind) -> None:
    """Outside 0..1 it is no ratio, and half of nothing cannot have failed."""
    series = read_with(write, row, RATIO, RATIO_GOOD)
    assert series.observations[1].quality == Quality.INVALID
    assert [(p.line, p.kind, p.column) for p in series.problems] == [(3, kind, "value")]


def test_a_ratio_in_percent_is_told_how_to_be_read(write) -> None:
    """The remedy can be pasted."""
    series = read_with(write, "2023-11-15 12:01,12,100", RATIO, RATIO_GOOD)
    assert "--column error_percent=value" in series.problems[0].remedy


def test_a_percentage_over_100_is_impossible_too(write) -> None:
    """The same bound in its own unit."""
    path = write("a.csv", RATIO, "2023-11-15 12:00,10,100", "2023-11-15 12:01,101,100")
    series = read_csv(path, columns={"error_percent": "value"})
    assert series.problems[0].bound == "must lie in 0..100"


def test_a_blank_ratio_is_missing(write) -> None:
    """As a blank count."""
    series = read_with(write, "2023-11-15 12:01,,100", RATIO, RATIO_GOOD)
    assert series.observations[1].quality == Quality.MISSING


@pytest.mark.parametrize("classes", ["1,1,1", "4,1,1"])
def test_classes_that_do_not_add_up_to_the_errors_contradict(write, classes) -> None:
    """One of the columns means something else; guessing which would be worse."""
    header = "timestamp,requests,errors,errors_fast,timeouts,throttles"
    good = ("2023-11-15 12:00,100,5,3,1,1", "2023-11-15 12:02,100,5,3,1,1")
    series = read_with(write, f"2023-11-15 12:01,100,5,{classes}", header, good)
    assert [(p.line, p.kind) for p in series.problems] == [(3, ProblemKind.CONTRADICTION)]


@pytest.mark.parametrize("arrived", ["2023-11-15 11:00", "later", "2033-11-15 12:00"])
def test_an_impossible_arrival_flags_the_row(write, arrived) -> None:
    """Nothing arrives before it began or after now."""
    header = "timestamp,arrived,requests,errors"
    good = ("2023-11-15 12:00,2023-11-15 12:01,9,0", "2023-11-15 12:02,2023-11-15 12:03,9,0")
    series = read_with(write, f"2023-11-15 12:01,{arrived},9,0", header, good)
    assert [o.quality for o in series.observations] == [Quality.OK, Quality.INVALID, Quality.OK]
    assert [(p.line, p.kind, p.column) for p in series.problems] == [(3, ProblemKind.ARRIVED, "arrived")]


def test_problems_beyond_the_kept_ones_are_still_counted() -> None:
    """A million bad rows must neither fill the memory nor disappear."""
    log = ProblemLog()
    from flyball_analytics.problems import Problem

    for line in range(ProblemLog.KEPT + 5):
        log.add(Problem("a.csv", line, "errors", "x", ProblemKind.NUMBER, "b", "r"))
    assert (len(log.kept), log.counts[ProblemKind.NUMBER]) == (ProblemLog.KEPT, ProblemLog.KEPT + 5)
