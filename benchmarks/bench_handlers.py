"""CPU per event through each handler, without network: in-memory ports behind the real entry points.

The reference is the usual stack for the same alarm: Powertools' parser with its
EventBridge model, and one state of 70 numbers through boto3's type serialisers
to and from DynamoDB's map form. What boto3 itself costs per call (0.6-1.1 ms)
is in neither side.

Run: python benchmarks/bench_handlers.py
"""

from __future__ import annotations

import base64
import io
import json
from decimal import Decimal
from pathlib import Path

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from common import interleaved, table
from flyball_controller.aws.settings import Settings
from flyball_controller.core.model import Observation
from flyball_controller.fakes import (
    ManualClock,
    MemoryCheckpoints,
    MemoryCircuits,
    MemoryHolds,
    MemoryJournal,
    MemoryPublisher,
    ScriptedSensor,
)
from flyball_controller.loop import Ports
from flyball_controller.policy_file import load_policy
from flyball_handlers import alarm, stream, tick
from flyball_handlers.envelopes import read_delivery
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.wiring import Runtime, use_runtime

EVENTS = Path(__file__).resolve().parent.parent / "tests" / "events"
EVENT = json.loads((EVENTS / "eventbridge_metric.json").read_text())
NOON_S = 1_795_435_205.0  # five seconds after the recorded alarm
TARGETS = tuple(f"t{i:03d}" for i in range(100))


def make_runtime(windows: list[Observation], targets: tuple[str, ...]) -> tuple[Runtime, ManualClock]:
    """A runtime over memory."""
    clock = ManualClock(NOON_S)
    ports = Ports(
        ScriptedSensor(windows), MemoryCheckpoints(), MemoryCircuits(), MemoryHolds(), MemoryPublisher(),
        MemoryJournal(),
    )  # fmt: skip
    runtime = Runtime(
        settings=Settings.from_env({"FLYBALL_TARGETS": ",".join(targets)}),
        origins=Origins.from_env({}),
        ports=ports,
        policies=load_policy("two-loop"),
        clock=clock,
        telemetry=Telemetry(stream=io.StringIO()),
        sole_writer=True,
    )
    return runtime, clock


def usual_stack() -> int:
    """Parse with pydantic models, then a round trip of a state through DynamoDB's map form."""
    state = {f"field_{i}": Decimal(str(i * 0.37)) for i in range(70)}
    serialize, deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize
    for _ in range(200):
        parse(event=EVENT, model=EventBridgeModel)
        json.loads(EVENT["detail"]["state"]["reasonData"])
        deserialize(serialize(state))
    return 200


def parse_only() -> int:
    """Our parser alone."""
    runtime, clock = make_runtime([], ("payments-api",))
    expected = runtime.expected(clock.now_s())
    for _ in range(500):
        read_delivery(EVENT, expected)
    return 500


def alarms() -> int:
    """An alarm of a known target without new windows: parse, round, log line, metrics."""
    runtime, clock = make_runtime([], ("payments-api",))
    with use_runtime(runtime):
        for _ in range(200):
            clock.advance(1.0)
            alarm.handler(EVENT)
    return 200


def ticks() -> int:
    """A tick over 100 targets with one new window each, per target."""
    start_s = NOON_S
    windows = [
        Observation(name, start_s + 60.0 * m, 60.0, start_s + 60.0 * m + 80.0, 600, 0, 1, attempts=601)
        for m in range(6)
        for name in TARGETS
    ]
    runtime, clock = make_runtime(windows, TARGETS)
    with use_runtime(runtime):
        for minute in range(6):
            clock.advance(NOON_S + 60.0 * minute + 80.0 - clock.now_s())
            tick.handler({})
    return 6 * len(TARGETS)


def streams() -> int:
    """A Firehose batch of 40 records with one data point each, per record."""
    point = {
        "metric_stream_name": "s",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "namespace": "flyball",
        "metric_name": "requests",
        "dimensions": {"target": "payments-api"},
        "timestamp": int(NOON_S * 1000),
        "value": {"count": 60.0, "sum": 600.0, "max": 10.0, "min": 10.0},
        "unit": "Count",
    }
    data = base64.b64encode(json.dumps(point).encode() + b"\n").decode()
    records = [{"recordId": str(i), "approximateArrivalTimestamp": 1, "data": data} for i in range(40)]
    event = {"invocationId": "i", "deliveryStreamArn": "arn", "region": "eu-west-1", "records": records}
    runtime, clock = make_runtime([], ("payments-api",))
    with use_runtime(runtime):
        for _ in range(10):
            clock.advance(1.0)
            stream.handler(event)
    return 400


def main() -> None:
    """Measure and print."""
    figures = interleaved(
        {
            "usual stack: parser models + type serialisers": usual_stack,
            "parse an alarm": parse_only,
            "alarm handler, whole": alarms,
            "tick handler, per target": ticks,
            "stream handler, per record": streams,
        },
        rounds=5,
    )
    in_us = {name: value / 1_000.0 for name, value in figures.items()}
    table("CPU per event", in_us, reference="usual stack: parser models + type serialisers", unit="us")


if __name__ == "__main__":
    main()
