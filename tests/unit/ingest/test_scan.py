"""The template scanner gives what the JSON parser gives, bit for bit, or leaves the line to it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball_analytics.ingest import jit, templates
from flyball_analytics.ingest import scan_kernel as kernel
from flyball_analytics.ingest.scan import ParserReader, Registry, ScannerReader, make_reader
from flyball_controller.aws.stream_points import Damage
from unit.ingest.streamlines import MONDAY_MS, NUMBERS, line, minute_lines, odd_lines, text

SCANS = pytest.mark.parametrize(
    "scan", [kernel.scan_lines, kernel.scan_lines_fast], ids=["plain", "compiled"]
)


def read(reader, data: bytes):
    """Points with their names, as bits, and the damage: everything a reader says."""
    damage: list[Damage] = []
    batch = reader.read(data, 1, damage.append)
    names = [reader._registry.names[i] for i in batch.series.tolist()]
    return names, batch.values.tobytes(), damage


@SCANS
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_both_readers_agree_on_every_bit_and_every_damage(scan, data):
    """A faster reader that is wrong about one number in a million is of no use to a replay."""
    lines = data.draw(st.lists(odd_lines(), min_size=1, max_size=6))
    # Again, in another order: the second time the scanner has templates to be wrong with.
    body = "\n".join([*lines, *lines[::-1], *lines]).encode("utf-8", "surrogatepass")
    assert read(ScannerReader(Registry(), scan), body) == read(ParserReader(Registry()), body)


@SCANS
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_same_form_with_other_numbers_is_read_like_a_parser_reads_it(scan, numbers):
    """This is the fast path itself: only the numbers differ from a line that was seen."""
    form = line("latency", 0.0, value={"sum": "#", "p99": "#"}).replace('"#"', "%s")
    body = "\n".join(form % (one, one) for one in ["1", *numbers]).encode()
    assert read(ScannerReader(Registry(), scan), body) == read(ParserReader(Registry()), body)


@SCANS
def test_after_the_first_line_of_a_series_no_line_needs_the_parser(scan):
    """Else the scanner would be correct and pointless."""
    known = ScannerReader(Registry(), scan)
    known.read(text([one for minute in range(2) for one in minute_lines(minute)]), 1, pytest.fail)
    known._read_odd = lambda *_: pytest.fail("a line was left to the parser")
    body = text([one for minute in range(2, 40) for one in reversed(minute_lines(minute, requests=5.5))])
    batch = known.read(body, 1, pytest.fail)
    assert len(batch.series) == 38 * 9
    assert batch.values[0].tolist()[2:] == [3.25, 8.123456789012345]


@SCANS
def test_many_series_outgrow_the_first_tables(scan, monkeypatch):
    """A thousand targets have ten thousand series; the tables must grow without losing one."""
    monkeypatch.setattr(templates, "_ROOM", 2)
    lines = [line("requests", i, target=f"service-{i}") for i in range(60)]
    registry = Registry()
    known = ScannerReader(registry, scan)
    for _ in range(2):
        batch = known.read(text(lines), 1, pytest.fail)
        assert batch.values[:, kernel.SUM].tolist() == list(range(60))
        assert batch.series.tolist() == list(range(60))
    assert len(registry.names) == 60


def test_a_shorter_form_that_comes_later_is_found_too():
    """The search for a line's first number begins where no known form has one yet."""
    short = f'{{"timestamp":{MONDAY_MS},"namespace":"n","metric_name":"m","value":{{"sum":1}}}}'
    body = text([line("requests", 1), short, line("requests", 2), short, line("timeouts", 3), short])
    for scan in (kernel.scan_lines, kernel.scan_lines_fast):
        assert read(ScannerReader(Registry(), scan), body) == read(ParserReader(Registry()), body)


def test_more_long_numbers_than_are_noted_at_a_time_are_all_converted(monkeypatch):
    """The notes have a fixed size; a file may have any number of them."""
    monkeypatch.setattr("flyball_analytics.ingest.scan.FIXES_MAX", 8)
    totals = [0.1234567890123456789 + i for i in range(40)]
    batch = ScannerReader(Registry()).read(text([line("latency", x) for x in totals]), 1, pytest.fail)
    assert batch.values[:, kernel.SUM].tolist() == totals


def test_a_number_is_exact_or_left_as_text():
    """Seventeen digits need care: rounding twice gives another float."""
    exactly = {"0.1": True, "17.560000000000002": False, "9007199254740992": True, "9007199254740993": False}
    for written, exact in {**exactly, "1e22": True, "1e23": False, "-2.5E-3": True}.items():
        end, value, is_exact = kernel.number_at(np.frombuffer(written.encode() + b"\n", np.uint8), 0)
        assert (end, is_exact) == (len(written), exact)
        if exact:
            assert struct.pack("<d", value) == struct.pack("<d", float(written))
    for written in ("-", "01", "1.", "1e", "1e+", "-0", "1e251", "1" * 41, "x"):
        assert kernel.number_at(np.frombuffer(written.encode() + b"\n", np.uint8), 0)[0] == -1


def test_lines_that_cannot_have_a_template_are_still_read(monkeypatch):
    """Long lines, and more forms than are kept, cost time and nothing else."""
    long = line(
        "requests", 1, dimensions={"target": "x" * 1_000, **{f"d{i}": "y" * 1_000 for i in range(40)}}
    )
    assert templates.Known().learn(long.encode(), 0) == -1
    assert templates.pieces_of(b'{"a":1}') is None
    monkeypatch.setattr(templates, "TEMPLATES_MAX", 1)
    body = text([long, line("requests", 1), line("timeouts", 2), line("timeouts", 3)])
    assert read(ScannerReader(Registry()), body) == read(ParserReader(Registry()), body)


def test_without_numba_the_parser_reads(monkeypatch):
    """The extra may be installed without it; values must not depend on that."""
    assert isinstance(make_reader(Registry()), ScannerReader)
    monkeypatch.setattr("flyball_analytics.ingest.scan.has_numba", lambda: False)
    assert isinstance(make_reader(Registry()), ParserReader)
    monkeypatch.setattr(jit, "has_numba", lambda: False)
    assert jit.compiled(len) is len
    assert jit.jitable(len) is len


def test_where_no_cache_can_be_written_the_kernel_is_compiled_all_the_same(monkeypatch):
    """A read-only installation without a home folder is what a container is."""
    import numba

    asked = []

    def njit(function, *, cache, **_):
        asked.append(cache)
        if cache:
            raise RuntimeError("no locator available")
        return function

    monkeypatch.setattr(numba, "njit", njit)
    assert jit.compiled(len) is len
    assert asked == [True, False]
