"""Static stability, part three: CloudWatch and Firehose, each killed, slowed and corrupted.

Each test is a row of docs/reference/static-stability.md and carries its name.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chaos.stage import TARGET, Stage
from flyball.contract import CircuitState
from flyball.outcome import Counters
from flyball.telemetry import emf_lines
from flyball_controller.core.model import Regime
from flyball_controller.ports import PortError
from flyball_handlers import stream
from flyball_local.chaos.fleet import Strike
from flyball_local.demo.cloud import ACCOUNT, REGION

THROTTLED = 1  # number of a strike


class Dead:
    """A sensor whose backend does not answer."""

    def read(self, *_: Any, **__: Any) -> Any:
        """Fail."""
        raise PortError("no answer", backend="cloudwatch", retryable=True)

    history = read


def first_action_s(stage: Stage, since_s: float) -> float:
    """Seconds from `since_s` to the first journalled change of the setpoint."""
    return min(record["at_s"] for record in stage.journal() if record.get("changed")) - since_s


# --- CloudWatch ---------------------------------------------------------------------------


def test_cloudwatch_killed_the_controller_holds_what_it_applies(stage):
    """Blind is neither healthy nor broken: what is applied stays; clients see for themselves."""
    stage.strike(THROTTLED, Strike(throttle=0, ratio=0.7))
    stage.pass_s(240.0)
    applied, errors = stage.applied, stage.said("backend_errors")
    assert applied.budget_ratio < 0.2
    stage.use(sensor=Dead())
    stage.mend(THROTTLED)
    stage.fail()  # and now all of it fails, which the controller cannot see
    calls = stage.pass_s(240.0)
    assert stage.said("backend_errors") > errors
    assert stage.applied == applied
    assert stage.until_s() > stage.clock.now_s()
    late = calls[-120:]
    assert sum(call.refused for call in late) > 0.8 * len(late)  # environments opened by themselves
    stage.heal()
    stage.pass_s(60.0)
    assert stage.answered(60.0) > 0.98


def test_cloudwatch_slow_decisions_come_later_by_as_much(stage):
    """Metrics that arrive three minutes late delay what is done; none is done on half a minute."""
    late_s = 180.0
    with Stage() as prompt:
        prompt.pass_s(120.0)
        began_s = prompt.clock.now_s()
        prompt.fail()
        prompt.pass_s(240.0)
        usual_s = first_action_s(prompt, began_s)
    stage.cloud.aws.cloudwatch.store.lag_s += late_s
    began_s = stage.clock.now_s()
    stage.fail()
    calls = stage.pass_s(480.0)
    assert usual_s + late_s - 60.0 <= first_action_s(stage, began_s) <= usual_s + late_s + 60.0
    assert not [call for call in calls if call.defect]
    assert stage.said("backend_errors") == 0


def shout(stage: Stage, **counts: float) -> None:
    """Let some client report what cannot be."""
    counters = Counters()
    counters.requests = 1
    (line,) = emf_lines(counters, target=TARGET, function="", now_s=stage.clock.now_s())
    stage.log(json.dumps({**json.loads(line), **counts}))


@pytest.mark.parametrize(
    "counts",
    [
        {"timeouts": 1e12, "first_attempt_failures": 1e12},
        {"timeouts": -500.0},
        {"requests": -1e9, "errors_fast": 1e9},
        {"requests": 0.5, "latency": -3.0},
    ],
    ids=["more failures than calls", "negative", "negative calls", "half a call"],
)
def test_cloudwatch_corrupt_impossible_numbers_open_nothing(stage, counts):
    """A client with a bug, or a writer of metrics: counts that contradict each other are no evidence."""
    for _ in range(6):
        shout(stage, **counts)
        calls = stage.pass_s(60.0)
        assert stage.unhurt(calls)
    assert stage.applied.circuit == CircuitState.CLOSED
    assert stage.states() == {CircuitState.CLOSED}
    assert stage.said("backend_errors") == 0


def test_possible_numbers_of_that_size_are_acted_upon(stage):
    """Else the row above would hold because nobody listens."""
    for _ in range(3):
        shout(stage, requests=1_000, attempts=1_000, timeouts=900, first_attempt_failures=900)
        stage.pass_s(60.0)
    assert stage.cloud.runtime.cache[TARGET].state.law.regime != Regime.NOMINAL


# --- Firehose -----------------------------------------------------------------------------


def record(at_s: float, *, requests: float, failures: float, number: str = "1") -> dict[str, str]:
    """A record with one minute of the target, as the metric stream writes it."""
    metrics = {
        "requests": requests,
        "first_attempt_failures": failures,
        "timeouts": failures,
        "attempts": requests,
    }
    lines = [
        json.dumps(
            {
                "account_id": ACCOUNT,
                "region": REGION,
                "namespace": "flyball",
                "metric_name": name,
                "dimensions": {"target": TARGET},
                "timestamp": at_s * 1_000.0,
                "value": {"sum": value, "count": 1.0, "min": value, "max": value},
            }
        )
        for name, value in metrics.items()
    ]
    return {"recordId": number, "data": base64.b64encode("\n".join(lines).encode()).decode()}


def test_firehose_killed_the_tick_sees_the_same(stage):
    """The stream is a faster way to know, never the only one: without it the next tick decides."""
    stage.fail(ratio=0.6)
    stage.pass_s(180.0)
    triggers = {entry["trigger"] for entry in stage.journal() if entry.get("changed")}
    assert triggers
    assert triggers <= {"tick", "alarm"}
    assert stage.cloud.runtime.cache[TARGET].state.law.regime != Regime.NOMINAL


def test_firehose_slow_what_comes_late_teaches_and_does_nothing(stage):
    """Firehose retries for a day: a terrible minute of seven minutes ago is history."""
    stage.pass_s(1_200.0)
    before = stage.applied
    for ago_s in (1_200.0, 600.0, 420.0):  # refused by the handler, by the stamp, and by their age
        late_s = (stage.clock.now_s() - ago_s) // 60.0 * 60.0
        records = [record(late_s, requests=120, failures=119)]
        answer = stream.handler({"invocationId": "late", "records": records})
        assert [one["result"] for one in answer["records"]] == ["Ok"]
        assert stage.applied == before
    assert stage.unhurt(stage.pass_s(60.0))


def test_firehose_corrupt_its_records_go_on_and_their_neighbours_count(stage):
    """The function looks at the customer's data on its way to the bucket: whatever it is, it goes on."""
    stage.pass_s(55.0)
    minute_s = stage.clock.now_s() // 60.0 * 60.0
    stage.pass_s(85.0)
    damaged = [
        {"recordId": "2", "data": base64.b64encode(b"\x00\xff not json").decode()},
        {"recordId": "3", "data": "%%%"},
        {"recordId": "4"},
    ]
    bad = record(minute_s, requests=600, failures=590)
    answer = stream.handler({"invocationId": "now", "records": [*damaged, bad, "no record at all"]})
    assert {one["recordId"]: one["result"] for one in answer["records"]} == dict.fromkeys("1234", "Ok")
    assert {one["recordId"]: one["data"] for one in answer["records"]}["1"] == bad["data"]
    assert stage.said("stream_pieces_damaged") >= 3
    assert stage.said("backend_errors") == 0
    assert stage.applied.circuit == CircuitState.CLOSED  # one minute opens nothing
    assert stage.unhurt(stage.pass_s(60.0))
