"""Files to observations in arrival order."""

from __future__ import annotations

import pytest

from flyball_analytics.problems import ProblemKind, SeriesError
from flyball_analytics.series import Gap, read_csv, series_files
from flyball_controller.core.model import Observation, Quality

NOON_S = 1_700_049_600.0  # 2023-11-15T12:00:00Z


def test_counts_become_observations_that_arrive_at_the_end_of_their_window(write) -> None:
    """Nobody can see a minute before it is over: arrival is start + period."""
    path = write(
        "pay.csv",
        "timestamp,requests,errors,throttles,timeouts,latency_p50_ms,latency_p99_ms,attempts,request_failures,"
        "short_circuited",
        "2023-11-15T12:00:00Z,100,10,2,3,20,250.5,110,4,1",
        "2023-11-15T12:01:00Z,90,0,0,0,,,90,0,0",
    )
    series = read_csv(path)
    assert series.target == "pay"
    assert series.observations == (
        # 10 failures, of which 2 throttles and 3 time-outs: 5 fast errors.
        Observation("pay", NOON_S, 60.0, NOON_S + 60.0, 100, 3, 5, 2, 110, 4, 1, 0, 20.0, 250.5),
        Observation("pay", NOON_S + 60.0, 60.0, NOON_S + 120.0, 90, 0, 0, 0, 90, 0, 0, 0, -1.0, -1.0),
    )
    assert series.problems == ()
    assert (series.rows, series.period_s, series.gaps) == (2, 60.0, ())


def test_errors_fast_completes_the_classes_without_a_total(write) -> None:
    """The client's own metrics are already split."""
    path = write(
        "pay.csv",
        "timestamp,requests,errors_fast,timeouts,throttles",
        "2023-11-15 12:00,50,1,2,3",
        "2023-11-15 12:01,50,0,0,0",
    )
    first = read_csv(path).observations[0]
    assert (first.errors_fast, first.timeouts, first.throttles, first.failures) == (1, 2, 3, 6)


def test_a_ratio_with_requests_becomes_a_count(write) -> None:
    """0.1538462 of 13 is 2 errors: published ratios are rounded, counts are not."""
    path = write(
        "site.error_ratio.csv",
        "timestamp,value,requests,source",
        "2023-11-15 12:00:00,0.1538462,13,x",
        "2023-11-15 12:05:00,,0,x",
    )
    series = read_csv(path)
    assert series.target == "site"
    assert [(o.requests, o.failures, o.quality) for o in series.observations] == [
        (13, 2, Quality.OK),
        (0, 0, Quality.OK),  # without requests nothing can have failed: no ratio is needed
    ]
    assert series.unused == ("source",)
    assert series.period_s == 300.0


def test_a_percentage_is_read_when_it_is_named(write) -> None:
    """A ratio column in percent is a unit mistake only where nobody says so."""
    path = write("a.csv", "timestamp,value,requests", "2023-11-15 12:00,25,40", "2023-11-15 12:01,0,40")
    series = read_csv(path, columns={"error_percent": "value"})
    assert series.observations[0].failures == 10


def test_retries_and_requests_give_attempts(write) -> None:
    """Some exports count retries, some attempts."""
    path = write("a.csv", "timestamp,requests,errors,retries", "1700049600,40,4,7", "1700049660,40,0,0")
    assert [o.attempts for o in read_csv(path).observations] == [47, 40]


def test_fractional_counts_are_rounded(write) -> None:
    """Extrapolated counters (Prometheus increase) are not whole."""
    path = write("a.csv", "timestamp,requests,errors", "1700049600,119.7,2.2", "1700049660,120,0")
    assert (read_csv(path).observations[0].requests, read_csv(path).observations[0].failures) == (120, 2)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_comments_blank_lines_and_byte_order_mark_do_not_matter(tmp_path, separator) -> None:
    """Spreadsheets export all of these."""
    path = tmp_path / "a.csv"
    lines = [
        "\ufeff# exported by hand",
        "",
        separator.join(["timestamp", "requests", "errors"]),
        separator.join(["1700049600", "10", "1"]),
        "",
        separator.join(["1700049660", "10", "0"]),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    series = read_csv(path)
    assert [o.requests for o in series.observations] == [10, 10]
    assert series.problems == ()


def test_a_gap_is_reported_and_not_filled(write) -> None:
    """Missing is not zero: three minutes without rows are three missing windows and no observation."""
    path = write("a.csv", "timestamp,requests,errors", "1700049600,9,0", "1700049660,9,0", "1700049900,9,0")
    series = read_csv(path)
    assert series.gaps == (Gap(1_700_049_660.0, 1_700_049_900.0, 3),)
    assert len(series.observations) == 3


def test_the_period_is_the_commonest_distance_and_the_smallest_of_equals(write) -> None:
    """One gap must not change the period; 60 and 120 once each give 60."""
    head = "timestamp,requests,errors"
    assert (
        read_csv(write("a.csv", head, "1700049600,9,0", "1700049660,9,0", "1700049780,9,0")).period_s == 60.0
    )
    assert read_csv(write("b.csv", head, "1700049600,9,0"), period_s=30.0).period_s == 30.0


def test_a_stated_arrival_orders_the_replay_and_an_early_one_is_partial(write) -> None:
    """A row is decided on when it came: late data late, half a window as a lower bound."""
    path = write(
        "a.csv",
        "timestamp,arrived,requests,errors",
        "1700049600,1700050000,10,0",  # 12:00, came at 12:06:40
        "1700049660,1700049725,11,0",  # 12:01, came 5 s after its end
        "1700049720,1700049750,5,0",  # 12:02, came in the middle of its minute
        "1700049720,,12,0",  # the same minute again, when it is due
    )
    series = read_csv(path)
    assert [(o.start_s, o.arrived_s, o.requests, o.quality) for o in series.observations] == [
        (1_700_049_660.0, 1_700_049_725.0, 11, Quality.OK),
        (1_700_049_720.0, 1_700_049_750.0, 5, Quality.PARTIAL),
        (1_700_049_720.0, 1_700_049_780.0, 12, Quality.OK),
        (1_700_049_600.0, 1_700_050_000.0, 10, Quality.OK),
    ]
    assert series.problems == ()


def test_a_delay_moves_every_arrival(write) -> None:
    """CloudWatch shows a minute some time after its end; the replay can be told."""
    path = write("a.csv", "timestamp,requests,errors", "1700049600,9,0", "1700049660,9,0")
    assert [o.arrived_s - o.start_s for o in read_csv(path, delay_s=20.0).observations] == [80.0, 80.0]


def test_a_file_with_the_newest_row_first_is_read_from_its_end(write) -> None:
    """Consoles export that way; the rows are fine, only upside down."""
    path = write("a.csv", "timestamp,requests,errors", "1700049720,3,0", "1700049660,2,0", "1700049600,1,0")
    series = read_csv(path)
    assert [o.requests for o in series.observations] == [1, 2, 3]
    assert series.problems == ()
    assert any("newest first" in note for note in series.notes)


def test_latency_companions_are_joined_by_time(write) -> None:
    """One statistic per file is how CloudWatch exports come; averages are no quantile."""
    errors = write("s.error_ratio.csv", "timestamp,value,requests", "1700049600,0,9", "1700049660,0,9")
    write("s.latency_p99_s.csv", "timestamp,value", "1700049660,0.25", "1700050000,9")
    write("s.latency_p50_ms.csv", "time,value", "1700049600,12")
    write("s.latency_avg_s.csv", "timestamp,value", "1700049600,5")
    series = read_csv(errors)
    assert [(o.latency_ms_p50, o.latency_ms_p99) for o in series.observations] == [
        (12.0, -1.0),
        (-1.0, 250.0),
    ]
    assert "latency_p99_ms from s.latency_p99_s.csv (1 of 2 rows)" in series.notes
    alone = read_csv(errors, companions=False)
    assert {o.latency_ms_p99 for o in alone.observations} == {-1.0}


def test_bad_cells_of_a_companion_cost_their_latency_only(write) -> None:
    """The error counts beside it are still evidence."""
    errors = write("s.error_ratio.csv", "timestamp,value,requests", "1700049600,0,9", "1700049660,0,9")
    beside = write(
        "s.latency_p99_s.csv", "timestamp,value", "1700049600,-1", "soon,1", "1700049660,", "1700049660,x"
    )
    series = read_csv(errors)
    assert [o.latency_ms_p99 for o in series.observations] == [-1.0, -1.0]
    assert [(p.path, p.line, p.kind) for p in series.problems] == [
        (str(beside), 2, ProblemKind.LATENCY),
        (str(beside), 3, ProblemKind.TIMESTAMP),
        (str(beside), 5, ProblemKind.LATENCY),
    ]


def test_a_companion_without_its_columns_is_a_wrong_file(write) -> None:
    """It was meant to be joined: silence would hide that there is no latency."""
    errors = write("s.error_ratio.csv", "timestamp,value,requests", "1700049600,0,9", "1700049660,0,9")
    write("s.latency_p99_s.csv", "timestamp,p99", "1700049600,1")
    with pytest.raises(SeriesError, match="--no-latency"):
        read_csv(errors)


def test_a_target_column_selects_the_rows(write) -> None:
    """A fleet's export holds many targets; mixing them would be nonsense."""
    path = write(
        "fleet.csv",
        "timestamp,target,requests,errors",
        "1700049600,pay,1,0",
        "1700049600,mail,2,0",
        "1700049660,pay,3,0",
    )
    series = read_csv(path, target="pay")
    assert ([o.requests for o in series.observations], series.rows) == ([1, 3], 2)
    with pytest.raises(SeriesError, match=r"2 targets \(mail, pay\).*--target"):
        read_csv(path)
    with pytest.raises(SeriesError, match="--target"):
        read_csv(path, target="post")


def test_a_folder_lists_its_histories_without_the_latency_files(write, tmp_path) -> None:
    """Companions belong to their error file and are no targets."""
    for name in ("b.csv", "a.error_ratio.csv", "a.latency_p99_s.csv", "a.latency_avg_s.csv"):
        write(name, "timestamp")
    assert [p.name for p in series_files(tmp_path)] == ["a.error_ratio.csv", "b.csv"]


def test_a_part_of_a_series_keeps_the_windows_that_start_inside(write) -> None:
    """--from and --to are about windows, the end excluded."""
    path = write(
        "a.csv", "timestamp,requests,errors", *(f"{1_700_049_600 + 60 * i},{i},0" for i in range(1, 5))
    )
    part = read_csv(path).between(NOON_S + 120.0, NOON_S + 240.0)
    assert [o.requests for o in part.observations] == [2, 3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"timestamp,requests,errors\n", "0 usable rows"),
        (b"timestamp,requests,errors\n1700049600,1,0\n", "1 usable row:"),
        (b"timestamp,requests,errors\nx,1,0\ny,1,0\n", "first problem"),
        (b"\xff\xfe\x00", "is UTF-16: save it as UTF-8; a CSV text file is needed"),
        (b"\x1f\x8b\x08\x00", "is gzip: unpack it first (gunzip)"),
        (b"PK\x03\x04\xff", "a zip archive or a spreadsheet"),
        (b"PAR1\xff", "is Parquet: give the folder"),
        (b"timestamp,requests,requests,errors\n", "there are two columns 'requests': rename or remove one"),
        (b"timestamp,requests,errors\n1700049600,1,0\n\xff\n", "is not UTF-8"),
        (b'timestamp,requests,errors\n"' + b"x" * 140_000 + b'",1,0\n', "is not CSV"),
    ],
)
def test_a_file_that_cannot_give_a_series_is_refused_by_name(tmp_path, content, words) -> None:
    """One clear error, never a traceback from a library."""
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SeriesError) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_missing_file_or_a_folder_is_an_error_of_the_same_kind(tmp_path) -> None:
    """The caller handles one exception."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SeriesError, match="cannot be read"):
            read_csv(path)
