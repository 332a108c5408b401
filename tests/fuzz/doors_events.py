"""Doors through which other systems speak: alarms, metric streams, operators' requests, log lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from flyball_controller.aws.otel import Summary, read_messages
from flyball_controller.aws.stream_points import points_in
from flyball_controller.core.model import Quality
from flyball_controller.overrides import (
    FIELDS,
    HOLD_S_MAX,
    InvalidOverrideError,
    read_override,
)
from flyball_handlers.envelopes import Item, read_delivery
from flyball_handlers.events import Code, Expected, Rejected, Wake
from flyball_handlers.streams import read_stream
from flyball_handlers.telemetry import _one_line
from fuzz.engine import Door, require, told
from fuzz.mutate import draw_value, mutate_bytes, mutate_tree, one_of
from fuzz.wire import draw_message, message

EVENTS = Path(__file__).resolve().parents[1] / "events"
NOON_S = 1_795_435_200.0  # when every recorded alarm changed its state
EXPECTED = Expected(
    now_s=NOON_S + 5.0,
    targets=frozenset({"payments-api", "checkout", "stock", "search", "mail"}),
    alarm_targets={"legacy-mail-5xx": ("mail",)},
    accounts=frozenset({"123456789012"}),
    regions=frozenset({"eu-west-1"}),
)
OPEN_MINDED = Expected(now_s=NOON_S + 5.0)
WORDS = (
    *("Records", "detail", "detail-type", "source", "resources", "alarmData", "alarmArn", "state", "value"),
    *(
        "timestamp",
        "reason",
        "reasonData",
        "configuration",
        "metrics",
        "alarmRule",
        "Type",
        "Message",
        "body",
    ),
    *("NewStateValue", "Trigger", "AlarmArn", "AlarmRule", "eventSource", "EventSource", "messageId", "Sns"),
    *("Dimensions", "dimensions"),
)


@cache
def samples() -> tuple[Any, ...]:
    """Return every recorded event, and one of yesterday, of tomorrow, of a target nobody knows."""
    recorded = [json.loads(path.read_bytes()) for path in sorted(EVENTS.glob("*.json"))]
    text = (EVENTS / "eventbridge_metric.json").read_text()
    changes = (("2026-11-23", "2026-11-22"), ("2026-11-23", "2026-11-24"), ("payments-api", "nobody"))
    return (*recorded, *(json.loads(text.replace(*change)) for change in changes))


def _mutate(words: tuple[str, ...]) -> Callable[[Random, Sequence[Any]], Any]:
    def mutate(rng: Random, pool: Sequence[Any]) -> Any:
        case = one_of(rng, pool)
        for _ in range(rng.choice((1, 1, 2, 4))):
            case = mutate_tree(rng, case, one_of(rng, pool), words)
        return case

    return mutate


def _records() -> tuple[Any, ...]:
    """Every recorded event as one record of a queue."""
    return tuple(
        {"eventSource": "aws:sqs", "messageId": f"m-{i}", "body": json.dumps(event)}
        for i, event in enumerate(samples())
    )


def _good(message_id: str) -> dict[str, Any]:
    body = (EVENTS / "eventbridge_metric.json").read_text()
    return {"eventSource": "aws:sqs", "messageId": message_id, "body": body}


@cache
def _good_item() -> Item:
    return read_delivery({"Records": [_good("good")]}, EXPECTED).items[0]


def _items(event: object, expected: Expected) -> tuple[Item, ...]:
    delivery = read_delivery(event, expected)
    require(len(delivery.items) <= 1 or isinstance(event, dict), "E1", len(delivery.items))
    for item in delivery.items:
        require(0 < len(item.outcomes) <= 50, "E1", len(item.outcomes))
        require(len(item.record_id) <= 128, "E1", len(item.record_id))
        for outcome in item.outcomes:
            if isinstance(outcome, Rejected):
                require(isinstance(outcome.code, Code), "E1", outcome)
                sentence = outcome.sentence()
                require(len(sentence) < 2_000, "short message", len(sentence))
                require(sentence.isprintable(), "printable message", ascii(sentence[:200]))
            else:
                require(isinstance(outcome, Wake), "E1", outcome)
                require(0 < len(outcome.target) <= 128, "E1", len(outcome.target))
                require(outcome.target.isascii(), "E1", ascii(outcome.target))
                if expected.targets:
                    require(outcome.target in expected.targets, "T1 only known targets", outcome.target)
                if expected.accounts:
                    origin = outcome.alarm_arn.split(":")[3:5]
                    require(origin == ["eu-west-1", "123456789012"], "T7 origin", origin)
                require(
                    -2.0 <= expected.now_s - outcome.at_s <= 900.0 if expected.accounts else True,
                    "E3",
                    outcome.at_s,
                )
                require(len(json.dumps(outcome)) < 40_000, "bounded", len(outcome.reason))
                require(outcome.alarm_name != "" and outcome.key != (), "E1", outcome)
    return delivery.items


def _word(items: tuple[Item, ...]) -> str:
    found = [
        f"{o.code}:{o.field[:24]}" if isinstance(o, Rejected) else f"{o.source[:24]}:{o.kind}"
        for i in items
        for o in i.outcomes
    ]
    return "|".join(sorted(set(found))[:4])


def check_event(event: Any) -> str:
    """One event as Lambda delivers it, for a strict deployment and for one that knows nothing of itself."""
    _items(event, OPEN_MINDED)
    return _word(_items(event, EXPECTED))


def check_record(record: Any) -> str:
    """A record between two good ones, which must be read as if it were not there (E2)."""
    items = _items({"Records": [_good("good"), record, _good("good")]}, EXPECTED)
    require(len(items) == 3, "E2 one item per record", len(items))
    require(items[0] == _good_item() == items[2], "E2 good neighbours kept")
    return _word(items[1:2])


# --- metric streams -------------------------------------------------------------------------


def _line(target: str, metric: str, minute: int, total: float) -> dict[str, Any]:
    return {
        "metric_stream_name": "s",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "namespace": "flyball",
        "metric_name": metric,
        "dimensions": {"target": target},
        "timestamp": int((NOON_S + 60 * minute) * 1000),
        "value": {"count": 3.0, "sum": total, "max": 2.0, "min": 1.0, "p50": 12.0, "p99": 80.0},
        "unit": "Count",
    }


def _text(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@cache
def _good_lines() -> bytes:
    return _text(_line("stock", "requests", -3, 100.0), _line("stock", "errors_fast", -3, 5.0))


def _summary(**changes: Any) -> Summary:
    base = Summary(
        "123456789012",
        "eu-west-1",
        "flyball",
        "requests",
        (("target", "payments-api"),),
        int(NOON_S - 120) * 10**9,
        int(NOON_S - 60) * 10**9,
        50.0,
        ((0.5, 12.0), (0.99, 80.0)),
    )
    return base._replace(**changes)


@cache
def stream_seeds() -> tuple[bytes, ...]:
    """Good data of both formats, and the recorded records."""
    recorded = [
        base64.b64decode(record["data"])
        for event in samples()
        if isinstance(event, dict)
        for record in event.get("records", [])
    ]
    lines = _text(_line("payments-api", "requests", -2, 90.0), _line("payments-api", "timeouts", -2, 4.0))
    return (
        _good_lines(),
        lines,
        message([_summary()]),
        message([_summary(), _summary(metric="timeouts", total=3.0)]),
        *recorded,
    )


def mutate_stream(rng: Random, pool: Sequence[bytes]) -> bytes:
    """A line changed as a tree, a message written with faults, or bytes changed."""
    kind = rng.randrange(4)
    if kind == 0:
        line = mutate_tree(
            rng, _line(rng.choice(("stock", "payments-api")), rng.choice(("requests", "timeouts")), -2, 9.0)
        )
        data = json.dumps(line, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        return data if rng.random() < 0.5 else data + b"\n" + one_of(rng, pool)
    if kind == 1:
        return draw_message(rng, [_summary(), _summary(metric="timeouts", total=draw_number(rng))])
    return mutate_bytes(rng, one_of(rng, pool), one_of(rng, pool))


def draw_number(rng: Random) -> float:
    """Return a float, hostile or not."""
    value = draw_value(rng)
    try:
        return float(value) if isinstance(value, int | float) else rng.random() * 100
    except OverflowError:
        return float("inf")


@cache
def _alone() -> Any:
    return _read([_good_lines()]).observations["stock"]


def _read(data: list[bytes]) -> Any:
    records = [{"recordId": str(i), "data": base64.b64encode(d).decode()} for i, d in enumerate(data)]
    return read_stream(records, EXPECTED)


def check_stream(data: bytes) -> str:
    """A record of a stream between good ones; damage is counted, the good minute stays as it was (E2)."""
    seen = _read([_good_lines(), data, _good_lines()])
    stock = seen.observations.get("stock", ())
    minute = [o for o in stock if o.start_s == _alone()[0].start_s]
    require(len(minute) == 1, "E2 good neighbours kept", stock)
    if b"stock" not in data and b"\\u" not in data:
        require(stock == _alone(), "E2 good neighbours kept", stock)
    for target, found in seen.observations.items():
        require(target in EXPECTED.targets, "T1 only known targets", target)
        for one in found:
            require(0 <= one.requests <= 2**53 and one.failures >= 0, "C3 finite counts", one)
            require(
                one.failures <= one.requests or one.quality == Quality.INVALID, "impossible is flagged", one
            )
    for rejected in seen.rejections:
        require(rejected.sentence().isprintable(), "printable message", ascii(rejected.sentence()[:200]))
    kinds = sorted({o.quality.name for found in seen.observations.values() for o in found})
    return f"{min(seen.damaged, 3)} damaged, {min(seen.ignored, 3)} ignored, {kinds}"


def check_lines(data: bytes) -> str:
    """The points in a record, read alone: finite, bounded, and damage is told once per line."""
    damage: list[Any] = []
    points = list(points_in(data, damage.append))
    require(len(points) + len(damage) <= data.count(b"\n") + 1 + len(data) // 2, "bounded", len(points))
    for point in points:
        require(len(point.dimensions) <= 60 and len(point.namespace) <= max(255, len(data)), "bounded", point)
        require(isinstance(point.start_s, float), "typed", point)
    bound = damage[0].bound[:20] if damage else ""
    return f"{min(len(points), 4)} points, {min(len(damage), 2)} damaged:{bound}"


def mutate_message(rng: Random, pool: Sequence[bytes]) -> bytes:
    """A message written with faults, or bytes changed."""
    if rng.random() < 0.6:
        return draw_message(rng, [_summary(), _summary(total=draw_number(rng))])
    return mutate_bytes(rng, one_of(rng, pool), one_of(rng, pool))


def check_message(data: bytes) -> str:
    """Binary messages: total, linear, and what we write is what we read."""
    points, damaged = read_messages(data)
    require(damaged in (0, 1) and len(points) <= len(data), "bounded", len(points))
    plain = [p for p in points if _writable(p)]
    if plain and len(plain) < 50:
        again, broken = read_messages(message(plain))
        require(not broken and repr(again) == repr(plain), "read(write(x)) == x", again)
    return f"{min(len(points), 5)} points, {damaged}"


def _writable(point: Summary) -> bool:
    texts = (
        point.account,
        point.region,
        point.namespace,
        point.metric,
        *(t for pair in point.dimensions for t in pair),
    )
    return all("\ufffd" not in text for text in texts)


# --- operators, log lines -----------------------------------------------------------------------

ASKED = {"target": "stock", "for_s": 600, "by": "nora", "why": "drill"}
OVERRIDES = (
    *({"action": action, **ASKED} for action in ("freeze", "open", "close", "release")),
    {"action": "open", "target": "mail", "until": "2026-11-23T13:00:00Z", "by": "nora", "why": "drill"},
)


def check_override(request: Any) -> str:
    """An operator's request: a hold that ends within a day, or a refusal that says why."""
    try:
        found = read_override(request, now_s=EXPECTED.now_s, known=EXPECTED.targets)
    except InvalidOverrideError as error:
        return told(error)
    hold = found.hold
    require(found.target in EXPECTED.targets, "T1 only known targets", found.target)
    require(0.0 <= hold.until_s - EXPECTED.now_s <= HOLD_S_MAX, "O1 every hold ends", hold.until_s)
    require(len(hold.by) <= 200 and len(hold.why) <= 200, "bounded", len(hold.why))
    return hold.kind.name


def check_log_line(facts: Any) -> str:
    """Facts from outside in a log line: one line, one JSON object, ASCII (O6)."""
    line = _one_line({"message": "x", "facts": facts})
    require("\n" not in line and "\r" not in line and line.isascii(), "O6 one line", ascii(line[:200]))
    read = json.loads(line, parse_constant=lambda name: require(False, "O6 strict JSON", name))
    require(set(read) == {"message", "facts"} and read["message"] == "x", "O6 no forged field", list(read))
    return type(facts).__name__


def doors() -> tuple[Door, ...]:
    """Return the doors of this file."""
    return (
        Door("events", samples, _mutate(WORDS), check_event),
        Door("queue-records", _records, _mutate(WORDS), check_record),
        Door("stream-records", stream_seeds, mutate_stream, check_stream),
        Door("stream-points", stream_seeds, mutate_stream, check_lines),
        Door("otel-messages", stream_seeds, mutate_message, check_message),
        Door("overrides", lambda: OVERRIDES, _mutate(FIELDS), check_override),
        Door("log-lines", samples, _mutate(WORDS), check_log_line),
    )
