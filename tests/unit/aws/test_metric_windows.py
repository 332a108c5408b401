"""From raw values to observations: what is missing stays missing, what is impossible is flagged."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.aws.metric_map import COUNT_FIELDS, AwsMetricMap, client_metrics, lambda_metrics
from flyball_controller.aws.metric_windows import (
    Series,
    Span,
    complete_span,
    history_spans,
    observations,
)
from flyball_controller.core.inspect import COUNT_MAX
from flyball_controller.core.model import Observation, Quality

HOUR = 3_600
DAY = 86_400
MAP = client_metrics("payments")
SPAN = Span(60, 600.0, 900.0)
NOW = 1_000.0


def look(
    metric_map: AwsMetricMap = MAP, *, partial: bool = False, **values: dict[float, float]
) -> list[Observation]:
    """Observe series given as metric name (or metric_p50) = {start: value}."""
    series: Series = {
        (
            name.removesuffix("_p50").removesuffix("_p99"),
            name[-3:] if name[-4:] in ("_p50", "_p99") else "Sum",
        ): v
        for name, v in values.items()
    }
    return list(observations("payments", metric_map, series, SPAN, now_s=NOW, partial=partial))


def test_every_count_and_both_latencies_arrive_in_their_field():
    """Swapped metrics would steer by the wrong numbers; each value is different here."""
    values = {field: {600.0: float(100 - i)} for i, field in enumerate(COUNT_FIELDS)}
    values |= {"requests": {600.0: 1_000.0}, "latency_p50": {600.0: 12.5}, "latency_p99": {600.0: 80.0}}
    assert look(**values) == [
        Observation(
            target="payments",
            start_s=600.0,
            period_s=60.0,
            arrived_s=NOW,
            requests=1_000,
            timeouts=99,
            errors_fast=98,
            throttles=97,
            attempts=96,
            request_failures=95,
            short_circuited=94,
            errors_permanent=93,
            latency_ms_p50=12.5,
            latency_ms_p99=80.0,
        )
    ]


def test_a_missing_minute_is_absent_and_a_present_one_reads_missing_failures_as_zero():
    """C7; and the client emits every counter with requests, so a missing one there is a true 0."""
    found = look(requests={600.0: 5.0, 720.0: 0.0}, latency_p99={660.0: 9.0}, attempts={780.0: 3.0})
    assert [(seen.start_s, seen.requests, seen.failures) for seen in found] == [(600.0, 5, 0), (720.0, 0, 0)]
    assert found[0].latency_ms_p99 == -1.0
    assert all(seen.quality == Quality.OK for seen in found)


def test_a_minute_of_short_circuited_calls_is_an_observation():
    """An open circuit sends no requests; without this it would look like no data at all."""
    assert look(short_circuited={600.0: 7.0})[0].short_circuited == 7


def test_failures_without_any_request_are_flagged_and_kept():
    """They cannot be: but dropping them would hide a broken emitter."""
    found = look(timeouts={600.0: 3.0})
    assert [(seen.quality, seen.timeouts) for seen in found] == [(Quality.INVALID, 3)]


@pytest.mark.parametrize(
    ("value", "clamped"),
    [(-1.0, 0), (math.nan, 0), (math.inf, COUNT_MAX), (-math.inf, 0), (1e300, COUNT_MAX)],
)
def test_an_impossible_count_is_flagged_and_clamped(value: float, clamped: int):
    """C3: never raised, never lost, always a whole number that JSON and floats hold."""
    (seen,) = look(requests={600.0: 10.0}, attempts={600.0: value})
    assert (seen.quality, seen.attempts) == (Quality.INVALID, clamped)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_an_impossible_latency_is_flagged_and_reads_as_not_measured(value: float):
    """0 would be a fast answer."""
    (seen,) = look(requests={600.0: 10.0}, latency_p50={600.0: value})
    assert (seen.quality, seen.latency_ms_p50) == (Quality.INVALID, -1.0)


def test_more_failures_than_requests_are_flagged():
    """6 + 5 of 10 requests cannot have failed; nor 11 after all attempts."""
    (seen,) = look(requests={600.0: 10.0}, timeouts={600.0: 6.0}, errors_fast={600.0: 5.0})
    assert seen.quality == Quality.INVALID
    (seen,) = look(requests={600.0: 10.0}, request_failures={600.0: 11.0})
    assert seen.quality == Quality.INVALID


def test_a_window_from_the_future_is_flagged_and_one_still_filling_is_left():
    """Now is 1000: the window from 900 ends at 960 but is not in the span yet; 1020 has not begun."""
    found = look(requests={840.0: 1.0, 900.0: 1.0, 1_020.0: 1.0, 540.0: 1.0})
    assert [(seen.start_s, seen.quality) for seen in found] == [
        (840.0, Quality.OK),
        (1_020.0, Quality.INVALID),
    ]


def test_what_the_service_calls_partial_is_partial():
    """Counts still arriving are a lower bound: they may tighten and teach nothing."""
    assert look(requests={600.0: 1.0}, partial=True)[0].quality == Quality.PARTIAL
    assert look(requests={600.0: -1.0}, partial=True)[0].quality == Quality.INVALID


def test_a_lambda_function_counts_throttles_as_requests():
    """Throttled invocations are in neither Invocations nor Errors (AWS Lambda developer guide)."""
    found = look(
        lambda_metrics("checkout"),
        Invocations={600.0: 90.0},
        Throttles={600.0: 10.0, 660.0: 4.0},
        Errors={600.0: 9.0},
        Duration_p99={600.0: 250.0},
    )
    assert [(s.requests, s.errors_fast, s.throttles) for s in found] == [(100, 9, 10), (4, 0, 4)]
    assert (found[0].latency_ms_p99, found[0].attempts, found[0].request_failures) == (250.0, 0, -1)


def test_a_latency_in_seconds_becomes_milliseconds():
    """Load balancers report seconds."""
    seconds = AwsMetricMap(
        "AWS/ApplicationELB", (), ("RequestCount",), latency="T", latency_ms_per_unit=1_000.0
    )
    assert look(seconds, RequestCount={600.0: 1.0}, T_p50={600.0: 0.25})[0].latency_ms_p50 == 250.0
    without = AwsMetricMap("AWS/SQS", (), ("N",))
    assert look(without, N={600.0: 1.0})[0].latency_ms_p50 == -1.0


def test_each_metric_is_asked_for_once():
    """CloudWatch bills per metric requested: throttles serve two fields with one query."""
    assert [(s.metric, s.stat) for s in lambda_metrics("f").sources()] == [
        ("Invocations", "Sum"),
        ("Throttles", "Sum"),
        ("Errors", "Sum"),
        ("Duration", "p50"),
        ("Duration", "p99"),
    ]
    assert len(list(MAP.sources())) == 10
    assert len(list(AwsMetricMap("AWS/SQS", (), ("N",)).sources())) == 1


numbers = st.floats(allow_nan=True, allow_infinity=True)
starts = st.sampled_from([600.0, 660.0, 720.0, 1_020.0]) | st.floats(0, 2_000)


@given(
    st.dictionaries(
        st.sampled_from([(f, "Sum") for f in COUNT_FIELDS] + [("latency", "p50"), ("latency", "p99")]),
        st.dictionaries(starts, numbers, max_size=4),
    )
)
def test_any_values_give_possible_observations(series: dict[tuple[str, str], dict[float, float]]):
    """C3: total; whatever is not flagged is possible; every start appears at most once, in order."""
    found = list(observations("t", MAP, series, SPAN, now_s=NOW))
    assert [seen.start_s for seen in found] == sorted({seen.start_s for seen in found})
    for seen in found:
        counts = [getattr(seen, field) for field in COUNT_FIELDS]
        assert all(isinstance(count, int) and 0 <= count <= COUNT_MAX for count in counts)
        assert all(v == -1.0 or 0.0 <= v < math.inf for v in (seen.latency_ms_p50, seen.latency_ms_p99))
        if seen.quality == Quality.OK:
            assert seen.failures <= seen.requests
            assert SPAN.start_s <= seen.start_s < SPAN.end_s


# --- which windows -----------------------------------------------------------------------


@given(
    since_s=st.floats(0, 2e9) | st.just(-math.inf),
    now_s=st.floats(1e9, 2e9),
    period_s=st.sampled_from([10, 60, 300]),
    lag_s=st.floats(0, 900),
)
def test_complete_windows_are_exactly_those_after_since_that_ended_the_lag_ago(
    since_s: float, now_s: float, period_s: int, lag_s: float
):
    """Nothing seen twice, nothing skipped, nothing read while it is filling."""
    span = complete_span(since_s=since_s, now_s=now_s, period_s=period_s, lag_s=lag_s, lookback_s=10_800.0)
    assert span.start_s % period_s == 0
    assert span.end_s % period_s == 0
    assert span.windows <= 10_800 // period_s + 1
    if span.windows:
        newest = span.end_s - period_s
        assert newest + period_s + lag_s <= now_s + 1e-6
        assert newest + 2 * period_s + lag_s > now_s - 1e-6
        assert span.start_s > since_s
        assert span.start_s - period_s <= since_s or span.start_s >= now_s - 10_800.0 - 1e-6


def test_a_target_seen_a_week_ago_is_caught_up_over_the_look_back_only():
    """Three hours of minutes; older windows are history."""
    span = complete_span(since_s=0.0, now_s=7.0 * DAY, period_s=60, lag_s=20.0, lookback_s=3.0 * HOUR)
    assert (span.start_s, span.end_s) == (7.0 * DAY - 3 * HOUR + 60, 7.0 * DAY - 60)


@pytest.mark.parametrize(
    ("period_s", "days", "periods"),
    [
        (60, 1, [60]),
        (60, 14, [60]),
        (60, 15, [300, 60]),
        (60, 100, [3600, 300, 60]),
        (10, 1, [60, 10]),
        (10, 455, [3600, 300, 60, 10]),
        (300, 100, [3600, 300]),
        (3600, 455, [3600]),
        (120, 30, [300, 120]),
    ],
)
def test_history_uses_the_finest_period_still_retained(period_s: int, days: int, periods: list[int]):
    """Retention: under 60 s three hours, 60 s 15 days, 300 s 63 days, 1 h 455 days."""
    spans = history_spans(until_s=1_700_000_000.0, days=days, period_s=period_s)
    assert [span.period_s for span in spans] == periods


@given(
    until_s=st.floats(1.6e9, 1.8e9),
    days=st.integers(1, 455),
    period_s=st.sampled_from([1, 10, 30, 60, 120, 300, 3600]),
)
def test_history_spans_join_without_gap_or_overlap_inside_retention(until_s: float, days: int, period_s: int):
    """A window in two spans would be learned twice; one asked for too late would come back empty."""
    limits = {60: 15 * DAY, 120: 15 * DAY, 300: 63 * DAY, 3600: 455 * DAY}
    spans = history_spans(until_s=until_s, days=days, period_s=period_s)
    for older, newer in pairwise(spans):
        assert older.end_s == newer.start_s
    for span in spans:
        assert span.start_s % span.period_s == 0
        assert span.end_s % span.period_s == 0
        assert span.start_s >= until_s - limits.get(span.period_s, 3 * HOUR)
        assert span.start_s >= until_s - days * DAY
        assert span.end_s <= until_s
    assert sum(span.windows * span.period_s for span in spans) > days * DAY - 3 * HOUR
