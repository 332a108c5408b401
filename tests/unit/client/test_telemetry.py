"""Metric lines: names, dimensions, limits of the format, and what is counted where."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.call import Outcome, Target
from flyball.outcome import LATENCIES_MAX, Counters
from flyball.telemetry import COUNT_METRICS, VALUES_MAX, emf_lines, flush


def used() -> Target:
    """Three calls: a success, a time-out that is not retried, a refused argument."""
    target = Target("t", function="pay")
    for outcome, latency_ms in (
        (Outcome.SUCCESS, 12.3456),
        (Outcome.TIMEOUT, 1_000.0),
        (Outcome.PERMANENT, 3.0),
    ):
        target.begin(0.0, 0.5).finish(outcome, now_s=0.0, draw=0.5, latency_ms=latency_ms)
    return target


def written(target: Target, now_s: float = 1_764_547_200.25) -> list[dict[str, object]]:
    lines: list[str] = []
    flush(target, now_s, lines.append)
    return [json.loads(line) for line in lines]


def test_a_flush_writes_one_document_with_all_counts():
    """Zeros too: once a target is used, a missing count means missing data (C7)."""
    (line,) = written(used())
    assert {name: line[name] for name in COUNT_METRICS} == {
        "requests": 3,
        "first_attempt_failures": 1,
        "attempts": 3,
        "retries": 0,
        "timeouts": 1,
        "throttles": 0,
        "errors_fast": 0,
        "errors_permanent": 1,
        "request_failures": 1,
        "short_circuited": 0,
        "fallbacks": 0,
    }
    assert line["latency"] == [12.346, 1_000.0, 3.0]
    assert (line["target"], line["function"]) == ("t", "pay")


def test_the_metadata_declares_what_is_written():
    """Namespace, roll-up dimension set, units, milliseconds since the epoch."""
    (line,) = written(used())
    aws = line["_aws"]
    assert aws["Timestamp"] == 1_764_547_200_250
    (directive,) = aws["CloudWatchMetrics"]
    assert directive["Namespace"] == "flyball"
    assert directive["Dimensions"] == [["target", "function"], ["target"]]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == {**dict.fromkeys(COUNT_METRICS, "Count"), "latency": "Milliseconds"}


def test_a_flush_begins_anew_and_silence_writes_nothing():
    """Nothing is counted twice, and idle environments cost nothing."""
    target = used()
    assert len(written(target)) == 1
    assert written(target) == []


def test_a_nameless_function_has_no_dimension():
    """An empty dimension value makes CloudWatch drop the whole document."""
    target = Target("t")
    target.begin(0.0, 0.5).finish(Outcome.SUCCESS, now_s=0.0, draw=0.5, latency_ms=1.0)
    (line,) = written(target)
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["target"]]
    assert "function" not in line


def test_more_latencies_than_a_document_holds_go_into_further_ones():
    """250 values are 100 + 100 + 50; counts stand in the first only."""
    counters = Counters()
    counters.requests = 250
    counters.latencies_ms.extend(range(250))
    lines = [json.loads(line) for line in emf_lines(counters, target="t", function="f", now_s=0.0)]
    assert [len(line["latency"]) for line in lines] == [100, 100, 50]
    assert [line.get("requests") for line in lines] == [250, None, None]
    assert [len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for line in lines] == [12, 1, 1]


def test_latencies_are_bounded_between_flushes():
    """Whoever never flushes must not run out of memory; the newest stay."""
    counters = Counters()
    counters.latencies_ms.extend(range(LATENCIES_MAX + 7))
    assert len(counters.latencies_ms) == LATENCIES_MAX
    assert counters.latencies_ms[0] == 7


def test_short_circuited_calls_alone_are_worth_a_line():
    """An open circuit must be seen, though nothing was asked of the target."""
    counters = Counters()
    counters.short_circuited = 4
    (line,) = emf_lines(counters, target="t", function="f", now_s=0.0)
    assert json.loads(line)["short_circuited"] == 4
    assert "latency" not in json.loads(line)


def test_a_failing_writer_loses_a_flush_and_counts_nothing_twice():
    """Stdout may be closed."""
    target = used()

    def closed(line: str) -> None:
        raise OSError("closed")

    with pytest.raises(OSError, match="closed"):
        flush(target, 0.0, closed)
    assert written(target) == []


@given(name=st.text(min_size=1), function=st.text(), latencies=st.lists(st.floats(0, 1e6), max_size=250))
def test_a_line_is_one_json_object_whatever_the_names(name, function, latencies):
    """O6: no name can break a line or forge a field; and no document exceeds the format's limits."""
    counters = Counters()
    counters.requests = 1
    counters.latencies_ms.extend(latencies)
    for line in emf_lines(counters, target=name, function=function, now_s=1.0):
        assert "\n" not in line
        parsed = json.loads(line)
        assert parsed["target"] == name
        assert set(parsed) <= {"_aws", "target", "function", "latency", *COUNT_METRICS}
        assert len(parsed.get("latency", [])) <= VALUES_MAX
