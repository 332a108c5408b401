"""The alarm handler through real rounds on fakes: effects, answers, what comes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.contract import CircuitState
from flyball_controller.core.model import Observation
from flyball_controller.ports import Checkpoint, Conflict, PortError
from flyball_handlers import alarm, tick
from flyball_handlers.rounds import NotAcknowledgedError
from flyball_handlers.wiring import use_runtime

from .conftest import NOON_S, World, window

Sample = Callable[[str], Any]


def storm(target: str = "payments-api") -> list[Observation]:
    """Ten calm minutes, then three in which 40 % of the first attempts time out."""
    calm = [window(target, minute, requests=1000) for minute in range(-13, -4)]
    return calm + [window(target, minute, requests=1000, timeouts=400) for minute in range(-4, -1)]


def test_an_alarm_makes_the_controller_look_and_act(world: World, sample: Sample) -> None:
    """The whole way: event in, metrics read, decision out, state, circuit, document and journal written."""
    world.sensor.windows = storm()
    answer = alarm.handler(sample("eventbridge_metric"))
    assert answer == {"targets": ["payments-api"], "rejected": 0}
    assert world.states()["payments-api"].law.applied.budget_ratio == 0.0
    circuit = world.circuits.items["payments-api", "*"]
    assert (circuit.state, circuit.budget_ratio) == (CircuitState.CLOSED, 0.0)
    assert world.publisher.document is not None
    assert world.publisher.document.targets["payments-api"].retry.budget_ratio == 0.0
    assert {record["trigger"] for record in world.journal.records} == {"alarm"}
    assert "payments first attempts failing::1795435200989:ALARM" in str(
        world.journal.records[0]["trigger_detail"]
    )


def test_a_forged_alarm_over_healthy_metrics_opens_nothing(world: World, sample: Sample) -> None:
    """T1: an alarm is only a wake-up; evidence comes from the sensor."""
    world.sensor.windows = [window("payments-api", minute, requests=1000) for minute in range(-10, -1)]
    alarm.handler(sample("eventbridge_metric"))
    assert world.circuits.items == {}
    assert world.states()["payments-api"].law.applied.budget_ratio == 0.2  # nominal


def test_alarms_over_one_target_in_one_batch_cost_one_round(world: World, sample: Sample) -> None:
    """T10: an alarm storm must not become a storm of metric reads and writes."""
    world.sensor.windows = storm()
    body = sample("sqs_eventbridge")["Records"][0]
    event = {"Records": [{**body, "messageId": str(i)} for i in range(10)]}
    assert alarm.handler(event) == {"batchItemFailures": []}
    assert world.checkpoints.items["payments-api"].version == 1
    assert world.runtime.telemetry.totals["duplicate_events"] == 9


def test_a_poisonous_message_fails_alone(world: World, sample: Sample) -> None:
    """E2: the readable messages of the batch are obeyed, the others go to the dead-letter queue alone."""
    world.sensor.windows = [*storm(), *storm("checkout")]
    answer = alarm.handler(sample("sqs_with_poison"))
    ids = [record["messageId"] for record in sample("sqs_with_poison")["Records"]]
    assert answer == {"batchItemFailures": [{"itemIdentifier": ids[1]}, {"itemIdentifier": ids[3]}]}
    assert {target for target, _ in world.circuits.items} == {"payments-api", "checkout"}
    codes = [line["facts"]["code"] for line in world.lines() if line.get("message") == "event woke nobody"]
    assert codes == ["not-json", "too-deep"]


def test_a_message_that_is_refused_on_purpose_is_acknowledged(world: World, sample: Sample) -> None:
    """E3, A6: an old event or our own echo would come again for ever, and then fill the dead-letter queue."""
    world.clock.advance(3_600.0)
    assert alarm.handler(sample("sqs_eventbridge")) == {"batchItemFailures": []}
    assert alarm.handler(sample("eventbridge_configuration_change")) == {"targets": [], "rejected": 1}
    assert world.checkpoints.items == {}
    assert world.runtime.telemetry.totals["dropped_events"] == 2


def test_redriving_a_dead_letter_queue_a_week_later_changes_nothing(world: World, sample: Sample) -> None:
    """E3: the safest thing an operator can do with old alarms must be safe."""
    world.sensor.windows = storm()
    alarm.handler(sample("eventbridge_metric"))
    before = dict(world.checkpoints.items)
    world.clock.advance(7 * 86_400.0)
    for name in ("eventbridge_metric", "sns_composite", "action_metric", "sqs_sns"):
        alarm.handler(sample(name))
    assert world.checkpoints.items == before


def test_an_unreadable_event_outside_a_batch_is_raised_with_its_reason(world: World) -> None:
    """Asynchronous invocation has no other way to keep the event than to fail it."""
    with pytest.raises(NotAcknowledgedError) as caught:
        alarm.handler({"hello": "world"})
    assert caught.value.rejections[0].field == "event"
    assert "unknown-shape: event is an object with hello" in str(caught.value)


def test_a_topic_that_waits_for_its_confirmation_says_so(world: World) -> None:
    """The first message of a subscription across accounts; it is kept, for the address to open is in it."""
    note = {
        "Type": "SubscriptionConfirmation",
        "SubscribeURL": "https://sns.example",
        "Message": "You have...",
    }
    record = {"eventSource": "aws:sqs", "messageId": "a-1", "body": json.dumps(note)}
    assert alarm.handler({"Records": [record]}) == {"batchItemFailures": [{"itemIdentifier": "a-1"}]}
    (line,) = [line for line in world.lines() if line.get("message") == "event woke nobody"]
    assert line["facts"]["value"] == "'SubscriptionConfirmation'"
    assert "SubscribeURL" in line["facts"]["remedy"]


@pytest.mark.parametrize("ping", [None, {}], ids=str)
def test_a_ping_that_says_nothing_is_no_failure(ping: object, world: World) -> None:
    """Warmers send it every few minutes; each would ring two alarms, and come again twice."""
    assert alarm.handler(ping) == {"targets": [], "rejected": 0}
    assert world.states() == {}
    assert not [line for line in world.lines() if line.get("level") in ("WARNING", "ERROR")]


def test_a_record_without_an_id_fails_the_whole_batch(world: World, sample: Sample) -> None:
    """An answer cannot name it; Lambda then repeats everything, which changes nothing."""
    event = sample("sqs_with_poison")
    del event["Records"][1]["messageId"]
    with pytest.raises(NotAcknowledgedError):
        alarm.handler(event)


def test_a_store_that_fails_is_reported_as_not_acknowledged(world: World, sample: Sample) -> None:
    """P8: what was not decided must come again: as the message, or as an exception."""
    world.checkpoints.fail_next(2)
    ids = [record["messageId"] for record in sample("sqs_eventbridge")["Records"]]
    assert alarm.handler(sample("sqs_eventbridge")) == {"batchItemFailures": [{"itemIdentifier": ids[0]}]}
    with pytest.raises(NotAcknowledgedError) as caught:
        alarm.handler(sample("eventbridge_metric"))
    assert caught.value.targets == ("payments-api",)


def test_unreadable_metrics_make_the_event_come_again(world: World, sample: Sample) -> None:
    """The wake-up asked for a look; without metrics nobody looked."""
    world.sensor.fail_next(2)  # history of the new target, then the read
    with pytest.raises(NotAcknowledgedError):
        alarm.handler(sample("eventbridge_metric"))
    assert world.runtime.telemetry.totals["backend_errors"] == 2


class Contested:
    """Checkpoints for which somebody else is always faster."""

    def load(self, keys: Any) -> dict[str, Checkpoint]:
        return {key: Checkpoint(0, b"") for key in keys}

    def save(self, key: str, data: bytes, **_: object) -> Conflict:
        return Conflict(Checkpoint(0, b""))


def test_too_many_lost_races_are_not_acknowledged(world: World, sample: Sample) -> None:
    """P8: after five conflicts the event must come again; a dropped conflict is a lost update."""
    world.sensor.windows = storm()
    contested = world.runtime.ports._replace(checkpoints=Contested())
    world.use(ports=contested)
    with pytest.raises(NotAcknowledgedError):
        alarm.handler(sample("eventbridge_metric"))
    assert world.runtime.telemetry.totals["conflicts"] == 5


def test_a_state_another_controller_wrote_is_not_decided_upon_from_memory(
    world: World, sample: Sample, make_world: Callable[[], World]
) -> None:
    """P7: this container's memory says nominal, the store says tightened; the store is right.

    Without the look at the store the round would see nothing new, stay nominal
    in memory, and publish nominal parameters over the other controller's.
    """
    world.sensor.windows = [window("payments-api", minute, requests=1000) for minute in range(-13, -4)]
    alarm.handler(sample("eventbridge_metric"))
    other = make_world()
    other.sensor.windows = storm()
    shared = world.runtime.ports._replace(sensor=other.sensor)
    with use_runtime(replace(other.runtime, ports=shared)):
        alarm.handler(sample("eventbridge_metric"))
    assert budget_published(world) == 0.0
    world.clock.advance(1.0)
    alarm.handler(sample("eventbridge_metric"))
    assert budget_published(world) == 0.0


def budget_published(world: World) -> float:
    assert world.publisher.document is not None
    return world.publisher.document.targets["payments-api"].retry.budget_ratio


def test_a_store_that_cannot_be_compared_with_memory_means_not_acknowledged(
    world: World, sample: Sample
) -> None:
    """Not knowing whether memory is stale means not deciding from it: the event must come again."""
    world.sensor.windows = storm()
    alarm.handler(sample("eventbridge_metric"))
    world.clock.advance(1.0)
    world.checkpoints.fail_next(1)
    with pytest.raises(NotAcknowledgedError):
        alarm.handler(sample("eventbridge_metric"))
    assert alarm.handler(sample("eventbridge_metric")) == {"targets": ["payments-api"], "rejected": 0}


def test_the_only_writer_trusts_its_memory(world: World, sample: Sample) -> None:
    """An embedded run of a whole day must not read every state every minute."""
    with use_runtime(replace(world.runtime, sole_writer=True)):
        alarm.handler(sample("eventbridge_metric"))
        world.clock.advance(1.0)
        world.checkpoints.fail_next(1)  # one read: the fleet's record, in the round itself
        with pytest.raises(NotAcknowledgedError):
            alarm.handler(sample("eventbridge_metric"))


def test_a_failure_that_repetition_cannot_mend_is_reported_and_acknowledged(
    world: World, sample: Sample
) -> None:
    """A missing permission does not come back by asking again; the metric and the log line say so."""

    class Forbidden:
        def append(self, records: object) -> None:
            raise PortError("not allowed \ud800", backend="journal", retryable=False)

    world.sensor.windows = storm()
    with use_runtime(replace(world.runtime, ports=world.runtime.ports._replace(journal=Forbidden()))):
        alarm.handler(sample("eventbridge_metric"))
    (line,) = [line for line in world.lines() if line.get("message") == "backend failed"]
    assert line["facts"] == {
        "where": "journal",
        "backend": "journal",
        "retryable": False,
        "detail": "not allowed \\ud800",
    }


ALARMS = ["eventbridge_metric", "sns_metric_math", "eventbridge_composite", "action_metric", "sqs_sns"]


def _final(make_world: Callable[[], World], sample: Sample, order: list[tuple[str, float]]) -> object:
    """Deliver events at their times, then tick; return what stands, without counters of writes."""
    world = make_world()
    world.sensor.windows = [w for t in ("payments-api", "checkout", "mail") for w in storm(t)]
    with use_runtime(world.runtime):
        for name, later_s in order:
            world.at(NOON_S + 5.0 + later_s)
            alarm.handler(sample(name))
        world.at(NOON_S + 60.0)
        tick.handler({})
    return (
        {name: state._replace(sequence=0) for name, state in world.states().items()},
        {key: c._replace(version=0, write_id="") for key, c in world.circuits.items.items()},
        world.publisher.document.targets if world.publisher.document else None,
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_and_duplicates_of_alarms_change_nothing(
    data: st.DataObject, make_world: Callable[[], World], sample: Sample
) -> None:
    """E4, P3: EventBridge and SNS deliver at least once and in any order."""
    extra = data.draw(st.lists(st.sampled_from(ALARMS), max_size=4))
    names = data.draw(st.permutations([*ALARMS, *extra]))
    times = sorted(data.draw(st.lists(st.floats(0.0, 50.0), min_size=len(names), max_size=len(names))))
    reference = _final(make_world, sample, [(name, 0.0) for name in ALARMS])
    assert _final(make_world, sample, list(zip(names, times, strict=True))) == reference


def test_a_duplicate_alarm_later_does_not_count_as_a_window(
    make_world: Callable[[], World], sample: Sample
) -> None:
    """E4, C7: `off_count` decides when learning of the profile stops; wake-ups must not age it."""
    once = _final(make_world, sample, [("eventbridge_metric", 0.0)])
    twice = [("eventbridge_metric", 0.0), ("eventbridge_metric", 20.0)]
    assert _final(make_world, sample, twice) == once


def test_every_log_line_is_one_json_object_whatever_an_alarm_says(world: World, sample: Sample) -> None:
    """O6: newlines, quotes, NaN and lone surrogates in alarm texts must not forge or break a line."""
    event = sample("eventbridge_metric")
    event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["dimensions"]["target"] = (
        'x\n{"level":"INFO"}\ud800"'
    )
    alarm.handler(event)
    alarm.handler({"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "\ud800\n{"}]})
    lines = world.lines()
    assert [line["facts"]["code"] for line in lines if "facts" in line] == ["unknown-target", "not-json"]
    assert sum("_aws" in line for line in lines) == 2


def test_metrics_of_the_controller_carry_no_text_from_outside(world: World, sample: Sample) -> None:
    """T8: every metric name and dimension is one of ours; cardinality is money."""
    alarm.handler(sample("eventbridge_metric"))
    (emf,) = [line for line in world.lines() if "_aws" in line]
    (directive,) = emf["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "flyball/controller"
    assert directive["Dimensions"] == [["service"]]
    assert {metric["Name"] for metric in directive["Metrics"]} == {
        "wake_ups",
        "duplicate_events",
        "rejected_events",
        "dropped_events",
        "decisions",
        "informed_decisions",
        "conflicts",
        "backend_errors",
        "configuration_deployed",
        "targets_edited",
    }
    assert emf["_aws"]["Timestamp"] == 1_795_435_205_000  # the controller's clock, not the machine's
    assert "payments" not in json.dumps(emf)
