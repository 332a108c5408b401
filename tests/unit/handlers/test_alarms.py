"""Recorded alarms of every shape, and the wake-ups they must give."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from flyball_handlers.alarms import read_alarm
from flyball_handlers.envelopes import read_delivery
from flyball_handlers.events import AlarmKind, AlarmState, Code, Expected, ReasonValues, Rejected, Wake

Sample = Callable[[str], object]
PREFIX = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:"
FAILING = f"{PREFIX}payments first attempts failing"
RATIO = f"{PREFIX}flyball/checkout/error-ratio"
PATH = f"{PREFIX}checkout-path-unhealthy"
AT_S = 1_795_435_200.989  # 2026-11-23T12:00:00.989Z

# file -> (targets, source, kind, alarm ARN, state, previous state)
WOKEN: dict[str, tuple[list[str], str, AlarmKind, str, str, str | None]] = {
    "eventbridge_metric": (["payments-api"], "eventbridge", AlarmKind.METRIC, FAILING, "ALARM", "OK"),
    "eventbridge_metric_muted": (["payments-api"], "eventbridge", AlarmKind.METRIC, FAILING, "ALARM", "OK"),
    "eventbridge_set_by_hand": (["payments-api"], "eventbridge", AlarmKind.METRIC, FAILING, "OK", "ALARM"),
    "eventbridge_insufficient_data": (
        ["payments-api"],
        "eventbridge",
        AlarmKind.METRIC,
        FAILING,
        "INSUFFICIENT_DATA",
        "OK",
    ),
    "eventbridge_metric_math": (
        ["checkout", "stock"],
        "eventbridge",
        AlarmKind.MATH,
        RATIO,
        "ALARM",
        "INSUFFICIENT_DATA",
    ),
    "eventbridge_anomaly": (
        ["search"],
        "eventbridge",
        AlarmKind.ANOMALY,
        f"{PREFIX}flyball/search/latency out of band",
        "ALARM",
        "OK",
    ),
    "eventbridge_composite": (
        ["payments-api", "mail"],
        "eventbridge",
        AlarmKind.COMPOSITE,
        PATH,
        "ALARM",
        "OK",
    ),
    "eventbridge_contributor": (
        ["search"],
        "eventbridge",
        AlarmKind.CONTRIBUTOR,
        f"{PREFIX}failing-targets",
        "ALARM",
        None,
    ),
    "eventbridge_log_alarm": (
        ["mail"],
        "eventbridge",
        AlarmKind.LOG,
        f"{PREFIX}flyball/mail/refused lines",
        "ALARM",
        "OK",
    ),
    "action_metric": (["payments-api"], "action", AlarmKind.METRIC, FAILING, "ALARM", "INSUFFICIENT_DATA"),
    "action_composite": (
        ["payments-api", "stock", "mail"],
        "action",
        AlarmKind.COMPOSITE,
        PATH,
        "ALARM",
        "OK",
    ),
    "sns_metric": (
        ["payments-api"],
        "sns/notification",
        AlarmKind.METRIC,
        FAILING,
        "ALARM",
        "INSUFFICIENT_DATA",
    ),
    "sns_metric_math": (["checkout"], "sns/notification", AlarmKind.MATH, RATIO, "ALARM", "OK"),
    "sns_composite": (["stock"], "sns/notification", AlarmKind.COMPOSITE, PATH, "ALARM", "OK"),
    "sqs_eventbridge": (["payments-api"], "sqs/eventbridge", AlarmKind.METRIC, FAILING, "ALARM", "OK"),
    "sqs_action": (["payments-api"], "sqs/action", AlarmKind.METRIC, FAILING, "ALARM", "INSUFFICIENT_DATA"),
    "sqs_sns": (["checkout"], "sqs/sns/notification", AlarmKind.MATH, RATIO, "ALARM", "OK"),
    "sqs_sns_raw_delivery": (
        ["payments-api"],
        "sqs/notification",
        AlarmKind.METRIC,
        FAILING,
        "ALARM",
        "INSUFFICIENT_DATA",
    ),
}

# file -> (code, field)
REFUSED = {
    "eventbridge_insights_summary": (Code.UNKNOWN_TARGET, "target"),
    "eventbridge_configuration_change": (Code.OWN_EVENT, "detail-type"),
    "appconfig_deployment_complete": (Code.OWN_EVENT, "detail-type"),
    "fis_state_change": (Code.UNKNOWN_SHAPE, "detail-type"),
    "tick_rule": (Code.UNKNOWN_SHAPE, "detail-type"),
    "tick_scheduler": (Code.UNKNOWN_SHAPE, "event"),
    "firehose_json": (Code.UNKNOWN_SHAPE, "event"),
    "override_open": (Code.UNKNOWN_SHAPE, "event"),
    "appconfig_validator": (Code.UNKNOWN_SHAPE, "event"),
}


@pytest.mark.parametrize("name", WOKEN)
def test_a_recorded_alarm_wakes_the_targets_it_is_about(
    name: str, sample: Sample, expected: Expected
) -> None:
    """Every documented shape must be understood: an alarm that is not understood is an outage not seen."""
    targets, source, kind, arn, state, previous = WOKEN[name]
    delivery = read_delivery(sample(name), expected)
    assert len(delivery.items) == 1
    item = delivery.items[0]
    assert item.rejections == ()
    assert [wake.target for wake in item.wakes] == targets
    for wake in item.wakes:
        assert wake.source == source
        assert wake.kind is kind
        assert wake.alarm_arn == arn
        assert wake.state is AlarmState(state)
        assert wake.previous is (None if previous is None else AlarmState(previous))
        assert wake.at_s == pytest.approx(AT_S, abs=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_a_recorded_event_that_is_no_alarm_is_refused_with_a_reason(
    name: str, sample: Sample, expected: Expected
) -> None:
    """Events of other kinds reach a handler by a wrong rule; they must be named, not guessed at (A6)."""
    (item,) = read_delivery(sample(name), expected).items
    (rejected,) = item.rejections
    assert (rejected.code, rejected.field) == REFUSED[name]
    assert rejected.remedy
    assert item.wakes == ()


def test_numbers_behind_a_state_are_kept_where_cloudwatch_sends_them(
    sample: Sample, expected: Expected
) -> None:
    """The audit trail shows what the alarm saw; no decision uses it."""
    (wake,) = read_alarm(sample("eventbridge_metric"), expected)
    assert isinstance(wake, Wake)
    assert wake.reason_values == ReasonValues(points=(412.0,), threshold=100.0, period_s=60.0)
    assert wake.reason_values.corroborated
    assert wake.reason.startswith("Threshold Crossed: 1 out of the last 1 datapoints [412.0")
    assert wake.alarm_name == "payments first attempts failing"


def test_an_anomaly_alarm_has_a_band_instead_of_a_threshold(sample: Sample, expected: Expected) -> None:
    """reasonData of anomaly alarms carries no threshold; a reader that insists on one fails on them."""
    (wake,) = read_alarm(sample("eventbridge_anomaly"), expected)
    assert isinstance(wake, Wake)
    assert wake.reason_values == ReasonValues(points=(910.0,), lower=(20.5,), upper=(80.25,), period_s=60.0)


def test_a_state_set_by_hand_is_marked_as_not_corroborated(sample: Sample, expected: Expected) -> None:
    """SetAlarmState sends no reasonData: a forged alarm can be told from an evaluated one (T1)."""
    (wake,) = read_alarm(sample("eventbridge_set_by_hand"), expected)
    assert isinstance(wake, Wake)
    assert not wake.reason_values.corroborated
    assert wake.reason_values == ReasonValues()


def test_a_muted_or_suppressed_alarm_still_wakes(sample: Sample, expected: Expected) -> None:
    """Mute rules keep people asleep; the state changed all the same."""
    (muted,) = read_alarm(sample("eventbridge_metric_muted"), expected)
    suppressed = read_alarm(sample("eventbridge_composite"), expected)[0]
    (plain,) = read_alarm(sample("eventbridge_metric"), expected)
    assert [(w.muted, w.suppressed) for w in (muted, suppressed, plain) if isinstance(w, Wake)] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_two_deliveries_of_one_state_change_have_one_key(sample: Sample, expected: Expected) -> None:
    """EventBridge gives a re-published event a new id; ARN, state time and value stay."""
    first = sample("eventbridge_metric")
    second = json.loads(json.dumps(first).replace("c4c1c1c9", "aaaaaaaa"))
    by_sns = sample("sns_metric")
    keys = {
        wake.key
        for event in (first, second, by_sns)
        for wake in read_delivery(event, expected).items[0].wakes
    }
    assert keys == {(FAILING, "", 1_795_435_200_989, "ALARM")}


def _event(sample: Sample, **changes: object) -> dict[str, object]:
    event = sample("eventbridge_metric")
    assert isinstance(event, dict)
    return {**event, **changes}


def test_an_alarm_of_another_account_or_region_is_refused(sample: Sample, expected: Expected) -> None:
    """A bus that other accounts may write to must not let them steer our circuits (T1, T7)."""
    for arn, code in (
        ("arn:aws:cloudwatch:eu-west-1:999999999999:alarm:x", Code.FOREIGN_ACCOUNT),
        ("arn:aws:cloudwatch:us-east-1:123456789012:alarm:x", Code.FOREIGN_REGION),
    ):
        (refused,) = read_alarm(_event(sample, resources=[arn]), expected)
        assert isinstance(refused, Rejected)
        assert refused.code is code
        assert not refused.malformed


def test_the_account_is_taken_from_the_arn_not_from_the_envelope(sample: Sample, expected: Expected) -> None:
    """The envelope's `account` is easily copied; the resource is what the alarm is."""
    (wake,) = read_alarm(_event(sample, account="999999999999"), expected)
    assert isinstance(wake, Wake)


def test_an_event_from_another_source_is_refused(sample: Sample, expected: Expected) -> None:
    """Customers cannot put aws.* on the default bus, but anything else on their own (T1)."""
    (refused,) = read_alarm(_event(sample, source="my.app"), expected)
    assert isinstance(refused, Rejected)
    assert refused.code is Code.FOREIGN_SOURCE


@pytest.mark.parametrize(
    ("later_s", "code"),
    [(900.9, None), (901.0, Code.TOO_OLD), (-1.0, None), (-1.02, Code.FROM_THE_FUTURE)],
)
def test_an_event_outside_its_time_is_recorded_only(
    later_s: float, code: Code | None, sample: Sample, expected: Expected
) -> None:
    """E3: redriving a dead-letter queue days later, or a wrong clock, must change nothing.

    The alarm stands at 12:00:00.989; 900 s of age and 2 s of skew are allowed.
    """
    now_s = 1_795_435_200.0 + later_s
    (outcome,) = read_alarm(sample("eventbridge_metric"), expected._replace(now_s=now_s))
    assert (outcome.code if isinstance(outcome, Rejected) else None) is code


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("resources",), [], "resources[0]"),
        (("resources",), ["arn:aws:s3:::bucket"], "resources[0]"),
        (("resources",), [f"{PREFIX}{'x' * 5000}"], "resources[0]"),
        (("detail", "state", "value"), "alarm", "detail.state.value"),
        (("detail", "state", "value"), ["ALARM"], "detail.state.value"),
        (("detail", "state", "timestamp"), None, "detail.state.timestamp"),
        (("detail", "state", "timestamp"), "2026-11-23T12:00:00", "detail.state.timestamp"),
        pytest.param(("detail", "state", "timestamp"), 10**5000, "detail.state.timestamp", id="huge number"),
        (("detail", "state"), "ALARM", "detail.state.value"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    path: tuple[str, ...], value: object, field: str, sample: Sample, expected: Expected
) -> None:
    """Whoever reads the dead-letter queue must see which field was wrong without the code."""
    event = sample("eventbridge_metric")
    place = event
    for key in path[:-1]:
        assert isinstance(place, dict)
        place = place[key]
    assert isinstance(place, dict)
    place[path[-1]] = value
    (refused,) = read_alarm(event, expected)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == (Code.BAD_FIELD, field)
    assert refused.malformed
    assert len(refused.sentence()) < 400


def test_unreadable_reason_data_does_not_lose_the_wake_up(sample: Sample, expected: Expected) -> None:
    """reasonData is decoration; ten thousand brackets in it are no reason to stay asleep (T16)."""
    event = sample("eventbridge_metric")
    assert isinstance(event, dict)
    for hostile in ("[" * 10_000, "9" * 100_000, '{"threshold": NaN', 7, None):
        event["detail"]["state"]["reasonData"] = hostile
        (wake,) = read_alarm(event, expected)
        assert isinstance(wake, Wake)
        assert wake.reason_values == ReasonValues()


def test_numbers_that_are_none_are_left_out_of_the_reason(sample: Sample, expected: Expected) -> None:
    """NaN, infinity and million-digit numbers would make an audit line that no reader accepts."""
    event = sample("eventbridge_metric")
    assert isinstance(event, dict)
    event["detail"]["state"]["reasonData"] = (
        '{"recentDatapoints": [NaN, 1e999, 3.5, true, "4"], "threshold": ' + "9" * 400 + "}"
    )
    (wake,) = read_alarm(event, expected)
    assert isinstance(wake, Wake)
    assert wake.reason_values == ReasonValues(points=(3.5,))


def test_a_lone_surrogate_in_a_reason_becomes_a_question_mark(sample: Sample, expected: Expected) -> None:
    """A lone surrogate cannot be encoded: one in a reason would break the log line it ends in (O6)."""
    event = sample("eventbridge_metric")
    assert isinstance(event, dict)
    event["detail"]["state"]["reason"] = "a\ud800b"
    (wake,) = read_alarm(event, expected)
    assert isinstance(wake, Wake)
    assert wake.reason == "a?b"


def test_an_alarm_wrapped_too_often_is_refused(sample: Sample, expected: Expected) -> None:
    """SNS in SQS wraps twice; a message that unwraps for ever is no delivery of AWS (T16)."""
    body = sample("sqs_sns")
    assert isinstance(body, dict)
    text = body["Records"][0]["body"]
    for _ in range(3):
        text = json.dumps({"Type": "Notification", "Message": text})
    event = {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": text}]}
    (rejected,) = read_delivery(event, expected).items[0].rejections
    assert rejected.code is Code.TOO_DEEP
