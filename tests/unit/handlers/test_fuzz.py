"""Arbitrary and mutated events: nothing escapes, nothing is half done (E1)."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball_controller.aws.otel import read_messages
from flyball_handlers import alarm, stream
from flyball_handlers.envelopes import read_delivery
from flyball_handlers.events import Code, Expected, Rejected, Wake
from flyball_handlers.rounds import NotAcknowledgedError
from flyball_handlers.streams import read_stream

from .conftest import World
from .test_bounded import ANYTHING

SAMPLES = sorted(Path(__file__).parents[2].joinpath("events").glob("*.json"))
OPEN_MINDED = Expected(now_s=1_795_435_205.0)
HOSTILE: list[Any] = [
    None,
    True,
    -1,
    10**5_000,
    float("nan"),
    float("inf"),
    "",
    "\ud800",
    "x" * 300_000,
    "[" * 100_000,
    '{"Type":"Notification","Message":"{}"}',
    [],
    {},
    [[[[]]]],
    {"a": {"b": {}}},
]


def check(event: object) -> None:
    """Every item has at least one outcome, every outcome is of known form and small."""
    delivery = read_delivery(event, OPEN_MINDED)
    for item in delivery.items:
        assert item.outcomes
        assert len(item.outcomes) <= 50
        assert len(item.record_id) <= 128
        for outcome in item.outcomes:
            if isinstance(outcome, Rejected):
                assert isinstance(outcome.code, Code)
                assert len(outcome.sentence()) < 1_500
            else:
                assert isinstance(outcome, Wake)
                assert 0 < len(outcome.target) <= 128
                assert len(json.dumps(outcome)) < 20_000
                assert outcome.alarm_name
                assert outcome.key
    seen = read_stream(delivery.items, OPEN_MINDED)
    assert seen.observations == {}


@given(event=ANYTHING)
def test_an_arbitrary_event_is_accepted_or_rejected(event: object) -> None:
    """Whatever a caller sends ends as a wake-up or a counted rejection."""
    check(event)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_in_any_envelope_is_rejected(hostile: object) -> None:
    """T16: the same values one level deeper, where a reader may already trust its input."""
    check(hostile)
    for event in (
        {"Records": hostile},
        {"Records": [hostile, {"eventSource": hostile, "EventSource": hostile}]},
        {"Records": [{"eventSource": "aws:sqs", "messageId": hostile, "body": hostile}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": hostile}}]},
        {"detail-type": hostile, "source": hostile, "detail": hostile, "resources": hostile},
        {"alarmData": {"state": hostile, "configuration": hostile}, "alarmArn": hostile},
        {"NewStateValue": "ALARM", "AlarmArn": hostile, "Trigger": hostile, "AlarmRule": hostile},
    ):
        check(event)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside."""
    found = [path]
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        found += places(inner, (*path, key))
    return found


def mutate(event: Any, draw: random.Random) -> Any:
    """Replace, remove or damage a few places of a recorded event, inside embedded JSON too."""
    for _ in range(draw.randint(1, 4)):
        *way, last = draw.choice([p for p in places(event) if p] or [("x",)])
        place = event
        for key in way:
            place = place[key]
        if not isinstance(place, dict | list):
            continue
        old = place[last] if isinstance(place, list) or last in place else None
        match draw.randint(0, 3):
            case 0:
                place[last] = copy.deepcopy(draw.choice(HOSTILE))
            case 1 if isinstance(place, dict) and last in place:
                del place[last]
            case 2 if isinstance(old, str) and old[:1] in "{[" and old:
                try:
                    place[last] = json.dumps(mutate(json.loads(old), draw))
                except (ValueError, RecursionError):  # an earlier mutation left no JSON here
                    place[last] = old[: len(old) // 2]
            case _ if isinstance(old, str):
                cut = draw.randint(0, len(old))
                place[last] = old[:cut] + draw.choice(["\ud800", "\\", '"', "{", "\n", ""]) + old[cut + 1 :]
    return event


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_mutated_recorded_event_never_raises(seed: int) -> None:
    """Most random inputs die in the first check; mutants of real payloads reach the last one."""
    draw = random.Random(seed)
    check(mutate(json.loads(draw.choice(SAMPLES).read_text()), draw))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_handlers_raise_nothing_but_their_refusal(seed: int, world: World) -> None:
    """Through the handlers, logs included: only the documented exception leaves them."""
    draw = random.Random(seed)
    event = mutate(json.loads(draw.choice(SAMPLES).read_text()), draw)
    refusal: NotAcknowledgedError | None = None
    answer = {}
    try:
        answer = alarm.handler(event)
    except NotAcknowledgedError as error:
        refusal = error
    if refusal is None:
        assert set(answer) in ({"targets", "rejected"}, {"batchItemFailures"})
    else:
        assert refusal.rejections or refusal.targets
        assert len(str(refusal)) < 6_000
    assert set(stream.handler(event)) == {"records"}
    world.lines()


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_stream_record_or_damage(data: bytes) -> None:
    """The wire reader never raises and never reads past the end."""
    points, damaged = read_messages(data)
    assert damaged in (0, 1)
    assert len(points) <= len(data)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_every_sample_survives_every_truncation_of_its_text(
    path: Path, sample: Callable[[str], object]
) -> None:
    """A body cut off in transit is the commonest damage; each cut must be a rejection, not a crash."""
    text = json.dumps(sample(path.stem))
    step = max(1, len(text) // 60)
    for cut in range(0, len(text), step):
        check({"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": text[:cut]}]})
