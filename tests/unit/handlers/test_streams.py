"""Metric streams in both formats: what becomes an observation, what only wakes, what is given back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.aws.metric_map import lambda_metrics
from flyball_controller.core.model import Observation, Quality
from flyball_handlers import stream, wiring
from flyball_handlers.events import Expected
from flyball_handlers.streams import Streamed, read_stream

from .conftest import ACCOUNT, NOON_S, REGION, World

Sample = Callable[[str], Any]
MINUTE_S = NOON_S - 60.0  # 11:59, the minute of the recorded points
NOW_S = NOON_S + 30.0


@pytest.fixture
def expected(expected: Expected) -> Expected:
    """Half a minute after the recorded minute ended."""
    return expected._replace(now_s=NOW_S)


def record(*lines: object) -> dict[str, str]:
    """Return a Firehose record of JSON lines."""
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    return {"recordId": "1", "data": base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()}


def point(metric: str, total: object, **changes: object) -> dict[str, object]:
    """Return one JSON point of the client's roll-up."""
    base: dict[str, object] = {
        "account_id": ACCOUNT,
        "region": REGION,
        "namespace": "flyball",
        "metric_name": metric,
        "dimensions": {"target": "stock"},
        "timestamp": MINUTE_S * 1000.0,
        "value": {"sum": total},
    }
    return {**base, **changes}


WHOLE = Observation(
    target="payments-api",
    start_s=MINUTE_S,
    period_s=60.0,
    arrived_s=NOW_S,
    requests=1200,
    timeouts=90,
    errors_fast=30,
    throttles=12,
    attempts=1410,
    request_failures=24,
    short_circuited=6,
    errors_permanent=5,
    latency_ms_p50=80.0,
    latency_ms_p99=950.0,
    quality=Quality.OK,
)


@pytest.mark.parametrize("name", ["firehose_json", "firehose_opentelemetry"])
def test_a_recorded_stream_gives_observations_and_wake_ups(
    name: str, sample: Sample, expected: Expected
) -> None:
    """Both formats tell the same story: one whole minute, one with requests only, one without."""
    seen = read_stream(sample(name)["records"], expected, maps={"mail": lambda_metrics("mail-sender")})
    assert seen.observations["payments-api"] == (WHOLE,)
    (partial,) = seen.observations["search"]
    assert (partial.requests, partial.quality) == (40, Quality.PARTIAL)
    assert set(seen.observations) == {"payments-api", "search"}
    assert seen.woken == ("mail", "stock")
    # Per function and EC2 are not ours.
    assert (seen.points, seen.ignored, seen.damaged) == (15, 2, 0)


def test_a_minute_that_may_still_grow_is_partial(sample: Sample, expected: Expected) -> None:
    """The stream can be faster than the last late point; a lower bound must not loosen anything."""
    early = expected._replace(now_s=NOON_S + 19.0)
    seen = read_stream(sample("firehose_json")["records"], early, lag_s=20.0)
    assert seen.observations["payments-api"][0].quality is Quality.PARTIAL
    late = expected._replace(now_s=NOON_S + 20.0)
    seen = read_stream(sample("firehose_json")["records"], late, lag_s=20.0)
    assert seen.observations["payments-api"][0].quality is Quality.OK


def test_a_controller_with_other_windows_is_only_woken(sample: Sample, expected: Expected) -> None:
    """A stream always carries minutes; mixed with 10-second windows they would count requests twice."""
    seen = read_stream(sample("firehose_json")["records"], expected, observe=False)
    assert seen.observations == {}
    assert seen.woken == ("payments-api", "search", "stock")


def test_a_function_without_the_client_is_observed_by_its_own_metrics(expected: Expected) -> None:
    """The sensor's map decides what counts: invocations and throttles are the requests, p99 the duration."""
    mine = {"namespace": "AWS/Lambda", "dimensions": {"FunctionName": "mail-sender"}}
    lines = record(
        point("Invocations", 90.0, **mine),
        point("Throttles", 10.0, **mine),
        point("Errors", 4.0, **mine),
        point("Duration", 900.0, **{**mine, "value": {"sum": 900.0, "p99": 75.0}}),
        point("ConcurrentExecutions", 5.0, **mine),
    )
    seen = read_stream([lines], expected, maps={"mail": lambda_metrics("mail-sender")})
    (mail,) = seen.observations["mail"]
    assert (mail.requests, mail.errors_fast, mail.throttles, mail.latency_ms_p99) == (100, 4, 10, 75.0)
    assert mail.quality is Quality.OK


def test_a_mapped_target_is_not_observed_by_the_client_metrics_as_well(expected: Expected) -> None:
    """Two sources for one target would disagree; the map is the operator's word."""
    seen = read_stream([record(point("requests", 5.0))], expected, maps={"stock": lambda_metrics("f")})
    assert (seen.observations, seen.woken, seen.ignored) == ({}, (), 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"account_id": "999999999999"},
        {"account_id": 7},
        {"region": "us-east-1"},
        {"namespace": "Other"},
        {"dimensions": {"target": "stock", "function": "f"}},
        {"dimensions": {}},
        {"dimensions": {"target": "unheard-of"}},
        {"timestamp": (NOW_S - 961.0) * 1000.0},
        {"timestamp": (NOW_S + 3.0) * 1000.0},
    ],
    ids=str,
)
def test_a_point_that_is_not_ours_or_not_of_now_is_ignored(
    changes: dict[str, object], expected: Expected
) -> None:
    """E3, T1, T7: streams carry all metrics of an account, some hours late."""
    seen = read_stream([record(point("requests", 5.0, **changes))], expected)
    assert (seen.observations, seen.woken, seen.points, seen.ignored) == ({}, (), 1, 1)


@pytest.mark.parametrize(
    "line",
    [
        "not json\n",
        "[" * 50 + "\n",
        "[]\n",
        json.dumps(point("requests", "5")) + "\n",
        json.dumps(point("requests", float("nan"))) + "\n",
        json.dumps(point("requests", 5.0, timestamp=None)) + "\n",
        '{"a": "' + "x" * 70_000 + '"}\n',
        '{"a": "\ud800"}\n',
    ],
    ids=range(8),
)
def test_a_damaged_line_costs_only_itself(line: str, expected: Expected) -> None:
    """E2: the neighbours of a bad line are read."""
    seen = read_stream([record(point("requests", 5.0), line, point("timeouts", 1.0))], expected)
    (stock,) = seen.observations["stock"]
    assert (stock.requests, stock.timeouts) == (5, 1)
    assert (seen.points, seen.damaged, len(seen.rejections)) == (2, 1, 1)


@pytest.mark.parametrize("data", [None, 7, "@@@", "x" * 5, "ü", "A" * 8_388_612], ids=range(6))
def test_data_that_is_no_base64_is_damage(data: object, expected: Expected) -> None:
    """Firehose always encodes; anything else is counted and shown short."""
    seen = read_stream([{"recordId": "1", "data": data}, record(point("requests", 5.0))], expected)
    assert set(seen.observations) == {"stock"}
    assert seen.damaged == 1


def test_impossible_counts_make_an_invalid_observation(expected: Expected) -> None:
    """More failures than requests, or negative ones: kept for the journal, never acted upon."""
    for lines in (
        [point("requests", 5.0), point("timeouts", 6.0)],
        [point("requests", -5.0)],
        [point("requests", 1e300)],
    ):
        seen = read_stream([record(*lines)], expected)
        assert seen.observations["stock"][0].quality is Quality.INVALID, lines


def test_only_a_few_rejections_are_kept_and_all_are_counted(expected: Expected) -> None:
    """T8: a megabyte of bad lines must not become a megabyte of log."""
    seen = read_stream([record(*["x\n"] * 2_000, '{"}\n')], expected)
    assert (seen.damaged, len(seen.rejections)) in ((1, 1), (2_001, 20))
    seen = read_stream([record('{"x\n', *["x\n"] * 2_000)], expected)
    assert (seen.damaged, len(seen.rejections)) == (2_001, 20)


@given(data=st.data())
def test_order_duplicates_and_cuts_of_a_stream_change_nothing(data: st.DataObject) -> None:
    """E4: points may come twice, out of order, and spread over the records of a batch."""
    expected = Expected(now_s=NOW_S)
    lines = [
        point(metric, float(n), timestamp=(MINUTE_S + 60.0 * minute) * 1000.0)
        for minute in (-1, 0)
        for n, metric in enumerate(("requests", "timeouts", "attempts"), start=10)
    ]
    # A point may be sent while its minute still grows, and again when it has.
    earlier = [{**line, "value": {"sum": 3.0}} for line in lines]
    extra = data.draw(st.lists(st.sampled_from([*lines, *earlier]), max_size=6))
    shuffled = data.draw(st.permutations([*lines, *extra]))
    cut = data.draw(st.integers(0, len(shuffled)))
    seen = read_stream([record(*shuffled[:cut]), record(*shuffled[cut:])], expected)
    assert seen.observations == read_stream([record(*lines)], expected).observations
    assert [w.start_s for w in seen.observations["stock"]] == [MINUTE_S - 60.0, MINUTE_S]


# --- the handler: the Firehose contract -------------------------------------------------------


def answers(event: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"recordId": r["recordId"], "result": "Ok", "data": r["data"]} for r in event["records"]]


@pytest.mark.parametrize("name", ["firehose_json", "firehose_opentelemetry"])
def test_every_record_goes_back_once_and_unchanged(name: str, world: World, sample: Sample) -> None:
    """An answer that leaves out or alters a record moves the customer's data to processing-failed/."""
    event = sample(name)
    assert stream.handler(event) == {"records": answers(event)}


def test_a_stream_makes_the_controller_decide_from_its_own_points(world: World, sample: Sample) -> None:
    """The whole minute in the batch is evidence: no read of the sensor gave it."""
    world.clock.advance(25.0)
    stream.handler(sample("firehose_json"))
    states = world.states()
    assert states["payments-api"].stamp_s == MINUTE_S
    assert states["payments-api"].ring[-1].requests == 1200
    assert states["stock"].stamp_s < 0.0  # woken, and the sensor had nothing
    assert world.runtime.telemetry.totals["stream_points"] == 15


@pytest.mark.parametrize(
    "changes",
    [{"metric_period_s": 300}, {"metric_accounts": ("111111111111", "222222222222")}],
    ids=["other windows", "several accounts"],
)
def test_a_stream_that_carries_a_part_only_wakes(
    changes: dict[str, Any], world: World, sample: Sample
) -> None:
    """A part of a window, or one account's part of a target, must not be decided about as the whole."""
    world.use(settings=world.runtime.settings._replace(**changes))
    world.clock.advance(25.0)
    stream.handler(sample("firehose_json"))
    assert world.states()["payments-api"].stamp_s < 0.0  # woken, and the sensor had nothing


def test_records_go_back_even_if_every_backend_fails(world: World, sample: Sample) -> None:
    """Our own work is a guest in somebody's data path."""
    for port in (world.checkpoints, world.sensor, world.publisher, world.journal, world.holds):
        port.fail_next(10)
    event = sample("firehose_json")
    assert stream.handler(event) == {"records": answers(event)}


class Broken:
    """A clock that raises what no port may raise."""

    def now_s(self) -> float:
        raise RuntimeError("clock is gone \ud800")


def test_records_go_back_even_if_our_code_is_wrong(world: World, sample: Sample) -> None:
    """Any exception of ours is logged, and costs one look."""
    world.use(clock=Broken())
    event = sample("firehose_json")
    assert stream.handler(event) == {"records": answers(event)}
    (line,) = world.lines()
    assert (line["message"], line["facts"]["error"]) == ("stream look failed", "RuntimeError")


def test_a_look_that_failed_is_counted_where_an_alarm_watches(world: World, sample: Sample) -> None:
    """The handler never raises, so that Lambda's own Errors metric is zero for ever."""
    world.use(ports=world.runtime.ports._replace(sensor=None))
    event = sample("firehose_json")
    assert stream.handler(event) == {"records": answers(event)}
    counts = [line["backend_errors"] for line in world.lines() if "backend_errors" in line]
    assert counts
    assert sum(c if isinstance(c, int | float) else c[0] for c in counts) >= 1


def test_records_go_back_even_without_a_runtime(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt setting must not stop the archive behind the stream."""
    monkeypatch.setenv("FLYBALL_NO_SUCH_SETTING", "1")
    wiring.set_runtime(None)
    event = sample("firehose_json")
    assert stream.handler(event) == {"records": answers(event)}


@pytest.mark.parametrize(
    "event", [None, [], {"records": None}, {"records": [None, {}, {"recordId": 7}]}], ids=str
)
def test_an_event_of_another_shape_is_answered_with_nothing(event: object, world: World) -> None:
    """There is nothing to give back, and nothing to raise about."""
    assert stream.handler(event) == {"records": []}


def test_a_record_id_that_comes_twice_is_answered_once(world: World) -> None:
    """Each recordId exactly once, whatever came."""
    twice = [{"recordId": "1", "data": "YQ=="}, {"recordId": "1", "data": "YQ=="}]
    assert len(stream.handler({"records": twice})["records"]) == 1


def test_nothing_seen_is_a_valid_result() -> None:
    """An empty batch has no observations and no wake-ups."""
    assert read_stream([], Expected(now_s=NOW_S)) == Streamed({}, (), 0, 0, 0, ())
