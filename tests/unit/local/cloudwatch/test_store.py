"""The metric store: periods, lag, lateness, retention, resolution, units, feeds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_local.cloudwatch import MetricStore, PointError, metric_key
from flyball_local.cloudwatch.buckets import StatisticSet, statistic
from flyball_local.cloudwatch.points import DAY_S, HOUR_S, Points

from .conftest import T0

KEY = metric_key("flyball", "requests", {"target": "a"})
SUM = statistic("Sum")
assert SUM is not None


def total(
    store: MetricStore, *, start: float, end: float, period: int = 60, now: float, **more: str
) -> Points:
    """Read sums; times relative to T0 in and out."""
    assert SUM is not None
    found = store.read(
        KEY,
        statistic=SUM,
        start_s=T0 + int(start),
        end_s=T0 + end,
        period_s=period,
        now_s=T0 + now,
        unit=more.get("unit"),
    )
    return Points([t - T0 for t in found.times_s], found.values)


def test_a_missing_minute_is_absent_and_not_zero() -> None:
    """Zero errors and no data call for opposite decisions."""
    store = MetricStore()
    store.put(KEY, 2.0, at_s=T0 + 59, now_s=T0 + 60)
    store.put(KEY, 0.0, at_s=T0 + 120, now_s=T0 + 121)
    assert total(store, start=0, end=180, now=200) == ([0, 120], [2.0, 0.0])


def test_the_start_is_inclusive_and_the_end_exclusive() -> None:
    """Two adjoining reads must not count a minute twice."""
    store = MetricStore()
    for minute in range(3):
        store.put(KEY, 1.0, at_s=T0 + 60 * minute, now_s=T0 + 300)
    assert total(store, start=60, end=120, now=300) == ([60], [1.0])
    assert total(store, start=0, end=121, now=300).times_s == [0, 60, 120]


def test_an_unknown_series_reads_as_empty() -> None:
    """A client that has not reported yet is no error."""
    store = MetricStore()
    assert total(store, start=0, end=600, now=600) == ([], [])
    assert not store.known(KEY)


def test_a_point_is_readable_only_after_the_lag() -> None:
    """Real points show up late; a controller that reads the newest minute at once must notice here."""
    store = MetricStore(lag_s=90.0)
    store.put(KEY, 1.0, at_s=T0, now_s=T0 + 60)
    assert total(store, start=0, end=60, now=149.9) == ([], [])
    assert store.revision == 0
    assert total(store, start=0, end=60, now=150.0) == ([0], [1.0])
    assert store.revision == 1
    assert list(store.keys(now_s=T0 + 150)) == [KEY]


@pytest.mark.parametrize("offset", [-14 * DAY_S, 2 * HOUR_S])
def test_points_are_taken_up_to_the_bounds_of_lateness(offset: int) -> None:
    """The bounds themselves belong to the accepted range."""
    store = MetricStore()
    store.put(KEY, 1.0, at_s=T0 + offset, now_s=T0)
    assert store.revision == 1


@pytest.mark.parametrize("offset", [-14 * DAY_S - 1, 2 * HOUR_S + 1, math.nan])
def test_points_beyond_the_bounds_of_lateness_are_refused_with_the_field(offset: float) -> None:
    """AWS refuses them; taking them would hide a clock fault."""
    with pytest.raises(PointError) as caught:
        MetricStore().put(KEY, 1.0, at_s=T0 + offset, now_s=T0)
    assert caught.value.field == "Timestamp"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**360 * 1.001])
def test_impossible_values_are_refused_and_leave_no_trace(value: float) -> None:
    """One NaN would poison every sum of its minute."""
    store = MetricStore()
    with pytest.raises(PointError) as caught:
        store.put_samples(KEY, [(1.0, 1.0), (value, 1.0)], at_s=T0, now_s=T0)
    assert caught.value.field == "Value"
    assert not store.known(KEY)


@pytest.mark.parametrize("count", [0.0, -1.0, math.nan, math.inf])
def test_a_count_must_be_positive(count: float) -> None:
    """Zero samples would divide an average by zero."""
    with pytest.raises(PointError) as caught:
        MetricStore().put(KEY, 1.0, at_s=T0, now_s=T0, count=count)
    assert caught.value.field == "Counts"


def test_no_samples_are_refused() -> None:
    """An empty list is a fault of the caller's, not a silent minute."""
    with pytest.raises(PointError) as caught:
        MetricStore().put_samples(KEY, [], at_s=T0, now_s=T0)
    assert caught.value.field == "Values"


def test_a_statistic_set_is_checked_like_values() -> None:
    """Order of minimum and maximum included."""
    store = MetricStore()
    with pytest.raises(PointError) as caught:
        store.put_set(KEY, StatisticSet(2, 3.0, 2.0, 1.0), at_s=T0, now_s=T0)
    assert caught.value.field == "Minimum"
    with pytest.raises(PointError) as caught:
        store.put_set(KEY, StatisticSet(2, math.nan, 1.0, 2.0), at_s=T0, now_s=T0)
    assert caught.value.field == "Sum"
    store.put_set(KEY, StatisticSet(2, 3.0, 1.0, 2.0), at_s=T0, now_s=T0)
    assert total(store, start=0, end=60, now=60) == ([0], [3.0])


@pytest.mark.parametrize("lag_s", [-1.0, math.inf, math.nan])
def test_a_lag_must_be_a_finite_time(lag_s: float) -> None:
    """Points that never show would look like a dead client."""
    with pytest.raises(ValueError, match="lag_s"):
        MetricStore(lag_s=lag_s)


# Retention: (age of the point, period, readable?).
@pytest.mark.parametrize(
    ("age_s", "period_s", "readable"),
    [
        (15 * DAY_S - 60, 60, True),
        (15 * DAY_S + 60, 60, False),
        (15 * DAY_S + 60, 300, True),
        (63 * DAY_S - 600, 300, True),
        (63 * DAY_S + 600, 300, False),
        (63 * DAY_S + 600, 3600, True),
        (455 * DAY_S + 7200, 3600, False),
    ],
)
def test_old_points_answer_only_coarse_periods(age_s: int, period_s: int, readable: bool) -> None:
    """A baseline over weeks must ask for 5-minute or hourly periods, or it gets nothing."""
    store = MetricStore()
    store.put(KEY, 5.0, at_s=T0, now_s=T0)
    store.put(KEY, 1.0, at_s=T0 + age_s, now_s=T0 + age_s)  # a newer point lets old ones be folded
    found = total(store, start=0, end=3600, period=period_s, now=age_s)
    assert found == (([0], [5.0]) if readable else ([], []))


def test_folding_keeps_sums_and_the_newest_resolution() -> None:
    """Housekeeping must be invisible to readers."""
    store = MetricStore()
    for hour in range(0, 80 * 24, 6):
        now = T0 + hour * HOUR_S
        store.put(KEY, 1.0, at_s=now + 65, now_s=now + 65)
        store.put(KEY, 2.0, at_s=now + 725, now_s=now + 725)
    end = 80 * 24 * HOUR_S
    hourly = total(store, start=0, end=end, period=3600, now=end)
    assert hourly.values == [3.0] * 320
    five = total(store, start=end - 20 * DAY_S, end=end, period=300, now=end)
    assert five.values == [1.0, 2.0] * 80


def test_folding_drops_old_seconds_and_keeps_their_minutes() -> None:
    """High-resolution series are housekept too."""
    store = MetricStore()
    store.put(KEY, 1.0, at_s=T0, now_s=T0, resolution_s=1)
    later = 17 * DAY_S
    store.put(KEY, 2.0, at_s=T0 + later, now_s=T0 + later, resolution_s=1)
    (tiers,) = store._series[KEY].values()
    assert list(tiers.second or ()) == [T0 + later]
    assert total(store, start=0, end=300, period=300, now=later) == ([0], [1.0])


def test_high_resolution_points_lose_their_seconds_after_three_hours() -> None:
    """Sub-minute answers are for the last three hours; the minute stays."""
    store = MetricStore()
    for second in (0, 7, 31):
        store.put(KEY, 1.0, at_s=T0 + second, now_s=T0 + 60, resolution_s=1)
    assert total(store, start=0, end=60, period=10, now=60) == ([0, 30], [2.0, 1.0])
    assert total(store, start=0, end=60, period=10, now=3 * HOUR_S + 60) == ([], [])
    assert total(store, start=0, end=60, period=60, now=3 * HOUR_S + 60) == ([0], [3.0])


def test_standard_points_appear_to_short_periods_at_the_minute() -> None:
    """A 10-second alarm on a one-minute metric sees one point in six; the other five are missing."""
    store = MetricStore()
    store.put(KEY, 4.0, at_s=T0 + 42, now_s=T0 + 60)
    assert total(store, start=0, end=60, period=10, now=60) == ([0], [4.0])
    # The first high-resolution point must not hide what came before, nor what comes after.
    store.put(KEY, 1.0, at_s=T0 + 75, now_s=T0 + 80, resolution_s=1)
    store.put(KEY, 2.0, at_s=T0 + 90, now_s=T0 + 90)
    assert total(store, start=0, end=120, period=10, now=120) == ([0, 60, 70], [4.0, 2.0, 1.0])
    assert total(store, start=0, end=120, now=120) == ([0, 60], [4.0, 3.0])


def test_units_are_kept_apart_and_read_together() -> None:
    """A query with a unit sees only that unit; without one, everything."""
    store = MetricStore()
    store.put(KEY, 1.0, at_s=T0, now_s=T0, unit="Count")
    store.put(KEY, 2.0, at_s=T0, now_s=T0, unit="Percent")
    assert total(store, start=0, end=60, now=60).values == [3.0]
    assert total(store, start=0, end=60, now=60, unit="Count").values == [1.0]
    assert total(store, start=0, end=60, now=60, unit="Bytes") == ([], [])


def test_a_feed_tells_completed_minutes_once() -> None:
    """The running minute is not ready; a late point reports its minute again."""
    store = MetricStore()
    store.put(KEY, 1.0, at_s=T0 - 60, now_s=T0)
    feed = store.feed()
    for second in (5, 10, 65):
        store.put(KEY, 1.0, at_s=T0 + second, now_s=T0 + second)
    assert feed.drain(before_s=T0 + 70) == [(KEY, "None", T0)]
    assert feed.drain(before_s=T0 + 70) == []
    store.put(KEY, 1.0, at_s=T0 + 20, now_s=T0 + 100)
    assert feed.drain(before_s=T0 + 120) == [(KEY, "None", T0 + 60), (KEY, "None", T0)]


POINTS = st.lists(st.tuples(st.integers(0, 7_199), st.integers(-1_000, 1_000)), max_size=60)


@given(POINTS, st.sampled_from([60, 120, 300, 900, 3600]), st.integers(0, 59))
def test_no_period_loses_or_invents_a_sample(points: list[tuple[int, int]], period: int, shift: int) -> None:
    """Sum conservation: however the range is cut, also unaligned, the parts sum to the whole."""
    store = MetricStore()
    for second, value in points:
        store.put(KEY, float(value), at_s=T0 + second, now_s=T0 + 7_200)
    start = -shift * 60
    found = total(store, start=start, end=7_200, period=period, now=7_200)
    assert sum(found.values) == sum(value for _, value in points)
    assert found.times_s == sorted(set(found.times_s))
    assert all((t - start) % period == 0 for t in found.times_s)


@given(POINTS, st.randoms())
def test_the_order_of_arrival_changes_nothing(points: list[tuple[int, int]], random: object) -> None:
    """Late and shuffled points end in the same minutes."""
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    answers = []
    for order in (points, shuffled):
        store = MetricStore()
        for second, value in order:
            store.put(KEY, float(value), at_s=T0 + second, now_s=T0 + 7_200)
        answers.append(total(store, start=0, end=7_200, now=7_200))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("resolution_s", [1, 60])
def test_what_is_forgotten_is_absent_and_the_rest_stays(resolution_s: int) -> None:
    """A run of days drops minutes that nobody reads any more, at every resolution."""
    store = MetricStore()
    for minute in range(4):
        at_s = T0 + 60 * minute
        store.put(KEY, 1.0, at_s=at_s, now_s=T0 + 300, resolution_s=resolution_s)
    store.forget_before(T0 + 120)
    assert total(store, start=0, end=240, now=300) == Points([120, 180], [1.0, 1.0])
    assert total(store, start=0, end=240, period=30, now=300).times_s == [120, 180]
    store.put(KEY, 5.0, at_s=T0, now_s=T0 + 300)  # and may come again
    assert total(store, start=0, end=60, now=300) == Points([0], [5.0])
