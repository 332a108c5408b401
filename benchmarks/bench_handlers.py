"""CPU per event through each handler, without network: in-memory ports behind the real entry points.

The reference is the usual stack for the same alarm: Powertools' parser with its
EventBridge model, and one state of 70 numbers through boto3's type serialisers
to and from DynamoDB's map form. What boto3 itself costs per call (0.6-1.1 ms)
is in neither side.

A second table is about what each round has to do with the fleet's document; its
reference is the parser of JSON alone, which checks nothing.

Run: python benchmarks/bench_handlers.py
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import cycle
from pathlib import Path

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from common import interleaved, table
from flyball.contract import DEFAULT_PARAMS, Document, TargetParams, decode_document
from flyball_controller.aws.publish_document import Readings, Wishes, exact_wish
from flyball_controller.aws.settings import Settings
from flyball_controller.core.model import Observation
from flyball_controller.core.state import initial_state, nominal_setpoint
from flyball_controller.fakes import ManualClock, memory_ports
from flyball_controller.policy_file import load_policy
from flyball_controller.publication import to_params
from flyball_controller.round_records import Remembered
from flyball_handlers import alarm, stream, tick
from flyball_handlers.envelopes import read_delivery
from flyball_handlers.origins import Origins
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.wiring import Runtime, use_runtime

EVENTS = Path(__file__).resolve().parent.parent / "tests" / "events"
EVENT = json.loads((EVENTS / "eventbridge_metric.json").read_text())
NOON_S = 1_795_435_205.0  # five seconds after the recorded alarm
TARGETS = tuple(f"t{i:03d}" for i in range(100))
FLEET = 167  # about as many targets as one document holds
PLAIN = "json.loads of the same bytes"


def make_runtime(windows: list[Observation], targets: tuple[str, ...]) -> tuple[Runtime, ManualClock]:
    """A runtime over memory."""
    clock = ManualClock(NOON_S)
    runtime = Runtime(
        settings=Settings.from_env({"FLYBALL_TARGETS": ",".join(targets)}),
        origins=Origins.from_env({}),
        ports=memory_ports(windows),
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
    fresh = initial_state(runtime.policies.default)  # known ones: new targets wait for their histories
    runtime.cache.update({name: Remembered(0, fresh, -1.0) for name in TARGETS})
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


def document_figures() -> dict[str, float]:
    """What a round spends on the fleet's document, per round: reading what stands, making the wish."""
    policies = load_policy("two-loop")
    nominal = to_params(nominal_setpoint(policies.default), policies.default)
    names = [f"service-{number:03d}-api" for number in range(FLEET)]
    standing = exact_wish(Document(1, "", policies.hash, dict.fromkeys(names, nominal)), now_s=NOON_S)
    document = decode_document(standing.data)

    def wishes_of(first: TargetParams) -> Iterator[dict[str, TargetParams]]:
        """Each round makes its parameters anew: equal to those of the round before, and other objects."""
        copies = [{**decode_document(standing.data).targets, names[0]: first} for _ in range(2)]
        return cycle(copies)

    same, tight = nominal, nominal._replace(retry=nominal.retry._replace(budget_ratio=0.0))
    asked = {"defaults": DEFAULT_PARAMS, "policy_hash": policies.hash, "revision": 2, "now_s": NOON_S}
    known = Readings(lambda _: standing.data)
    pending = Wishes()

    def wishing(wishes: Callable[[], Wishes], first: TargetParams) -> Callable[[], int]:
        wished = wishes_of(first)

        def work() -> int:
            for _ in range(20):
                wishes().make(document, next(wished), content=standing.content, **asked)
            return 20

        return work

    def reading(readings: Callable[[], Readings]) -> Callable[[], int]:
        def work() -> int:
            for _ in range(20):
                readings().at(1)
            return 20

        return work

    def plain() -> int:
        for _ in range(20):
            json.loads(standing.data)
        return 20

    return interleaved(
        {
            PLAIN: plain,
            "what stands, read by a cold container": reading(lambda: Readings(lambda _: standing.data)),
            "what stands, read again by the next tick": reading(lambda: known),
            "a wish that adds nothing": wishing(Wishes, same),
            "a new wish": wishing(Wishes, tight),
            "a pending wish, offered again": wishing(lambda: pending, tight),
        },
        rounds=7,
    )


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
    documents = {name: value / 1_000.0 for name, value in document_figures().items()}
    table(f"CPU per round for the document of {FLEET} targets", documents, reference=PLAIN, unit="us")


if __name__ == "__main__":
    main()
