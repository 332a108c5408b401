"""Alarm transitions in every shape in which they reach a Lambda function.

EventBridge, direct alarm action, SNS, and the last two inside SQS. The shapes
differ where parsers break: `dimensions` is a map in EventBridge and a list in
SNS, `alarmData` against `detail`, a display name in SNS's `Region`, upper-case
statistics, stamps without a colon, JSON in a string inside JSON. Builders are
pure: the same transition gives the same bytes; a repeated delivery differs only
where AWS's would (a re-published EventBridge event has a new id).

Builders work from an alarm's request parameters, so they also serve alarms this
emulator does not evaluate (anomaly detection, contributors).

Source: Amazon CloudWatch User Guide, "Alarm events and EventBridge" and "Invoke a
Lambda function from an alarm"; LocalStack snapshots recorded against AWS for the
direct action and SNS (Apache-2.0; shapes only).
"""

from __future__ import annotations

import functools
import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from botocore.loaders import Loader

from flyball_local.cloudwatch.alarms import StateView, Transition
from flyball_local.cloudwatch.alarmspec import AlarmView
from flyball_local.cloudwatch.stamps import millis, offset_stamp, zulu_stamp

Event = dict[str, Any]
STATE_CHANGE = "CloudWatch Alarm State Change"
CONTRIBUTOR_CHANGE = "CloudWatch Alarm Contributor State Change"

_UUIDS = uuid.UUID("6f1d2c1e-3d0b-5d0e-9a51-2f5b6f7a8c90")  # namespace of our name-based ids


def _identifier(*parts: object) -> str:
    return str(uuid.uuid5(_UUIDS, "|".join(str(p) for p in parts)))


# EventBridge.


def eventbridge_event(
    transition: Transition,
    *,
    delivery: int = 0,
    suppressed_by: str | None = None,
    mute: Mapping[str, str] | None = None,
) -> Event:
    """Return the "CloudWatch Alarm State Change" event of a transition.

    Args:
        delivery: 0 for the first publication; a re-publication has another number, hence another id.
        suppressed_by: WaitPeriod, ExtensionPeriod or Alarm: a composite alarm's actions are held back.
        mute: `muteDetail`, while a mute rule is active (mutedByArn, muteWindowStart, muteWindowEnd).
    """
    state = _state(transition.new)
    if suppressed_by is not None:
        state["actionsSuppressedBy"] = suppressed_by
        state["actionsSuppressedReason"] = f"Actions suppressed by {suppressed_by}"
    detail: Event = {
        "alarmName": transition.alarm.name,
        "configuration": _configuration(transition.alarm),
        "previousState": _state(transition.old),
        "state": state,
    }
    if mute is not None:
        detail["muteDetail"] = dict(mute)
    return _envelope(transition, STATE_CHANGE, detail, delivery)


def contributor_event(transition: Transition, attributes: Mapping[str, str], *, delivery: int = 0) -> Event:
    """Return the event of one contributor of a Metrics Insights alarm; its states are OK and ALARM only."""
    known_as = hashlib.sha256(json.dumps(dict(attributes), sort_keys=True).encode()).hexdigest()[:32]
    detail: Event = {
        "alarmName": transition.alarm.name,
        "configuration": _configuration(transition.alarm),
        "state": _state(transition.new),
        "alarmContributor": {"id": known_as, "attributes": dict(attributes)},
    }
    return _envelope(transition, CONTRIBUTOR_CHANGE, detail, delivery)


def _envelope(transition: Transition, detail_type: str, detail: Event, delivery: int) -> Event:
    alarm, new = transition.alarm, transition.new
    return {
        "version": "0",
        "id": _identifier(detail_type, alarm.arn, millis(new.at_s), new.value.value, delivery),
        "detail-type": detail_type,
        "source": "aws.cloudwatch",
        "account": alarm.account,
        "time": zulu_stamp(new.at_s),
        "region": alarm.region,
        "resources": [alarm.arn],
        "detail": detail,
    }


def _state(state: StateView) -> Event:
    shown: Event = {"value": state.value.value, "reason": state.reason}
    if state.reason_data is not None:
        shown["reasonData"] = state.reason_data
    shown["timestamp"] = offset_stamp(state.at_s)
    return shown


def _configuration(alarm: AlarmView) -> Event:
    params = alarm.params
    shown: Event = {}
    if params.get("AlarmDescription"):
        shown["description"] = params["AlarmDescription"]
    if "AlarmRule" in params:
        shown["alarmRule"] = params["AlarmRule"]
        for field in ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"):
            if field in params:
                shown[field[0].lower() + field[1:]] = params[field]
        return shown
    shown["metrics"] = [_metric(query, alarm) for query in _queries(params)]
    return shown


def _queries(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the alarm's metric queries in request form; a plain alarm has one, without an Id of its own."""
    if "Metrics" in params:
        return list(params["Metrics"])
    metric = {k: params[k] for k in ("Namespace", "MetricName", "Dimensions") if k in params}
    stat = {
        "Metric": metric,
        "Period": params["Period"],
        "Stat": params.get("Statistic") or params["ExtendedStatistic"],
    }
    return [{"MetricStat": stat | ({"Unit": params["Unit"]} if "Unit" in params else {})}]


def _metric(query: Mapping[str, Any], alarm: AlarmView) -> Event:
    shown: Event = {"id": query.get("Id") or _identifier("metric", alarm.arn)}
    if "Expression" in query:
        shown["expression"] = query["Expression"]
        if "Period" in query:
            shown["period"] = query["Period"]
    else:
        stat = query["MetricStat"]
        metric = stat["Metric"]
        shown["metricStat"] = {
            "metric": {
                "namespace": metric["Namespace"],
                "name": metric["MetricName"],
                "dimensions": {d["Name"]: d["Value"] for d in metric.get("Dimensions", ())},
            },
            "period": stat["Period"],
            "stat": stat["Stat"],
        }
        if "Unit" in stat:
            shown["metricStat"]["unit"] = stat["Unit"]
    if "Label" in query:
        shown["label"] = query["Label"]
    shown["returnData"] = query.get("ReturnData", True)
    return shown


# Direct action.


def lambda_action_event(transition: Transition) -> Event:
    """Return what a Lambda function named as an alarm action is invoked with: `alarmData`, not `detail`."""
    alarm, new = transition.alarm, transition.new
    return {
        "source": "aws.cloudwatch",
        "alarmArn": alarm.arn,
        "accountId": alarm.account,
        "time": offset_stamp(new.at_s),
        "region": alarm.region,
        "alarmData": {
            "alarmName": alarm.name,
            "state": _state(new),
            "previousState": _state(transition.old),
            "configuration": _configuration(alarm),
        },
    }


# SNS.


def sns_message(transition: Transition) -> Event:
    """Return the JSON that SNS carries as text in `Message`: no reason data, no previous reason."""
    alarm, new, params = transition.alarm, transition.new, transition.alarm.params
    message: Event = {
        "AlarmName": alarm.name,
        "AlarmDescription": params.get("AlarmDescription"),
        "AWSAccountId": alarm.account,
        "AlarmConfigurationUpdatedTimestamp": offset_stamp(alarm.updated_s),
        "NewStateValue": new.value.value,
        "NewStateReason": new.reason,
        "StateChangeTime": offset_stamp(new.at_s),
        "Region": region_name(alarm.region),
        "AlarmArn": alarm.arn,
        "OldStateValue": transition.old.value.value,
        "OKActions": list(params.get("OKActions", ())),
        "AlarmActions": list(params.get("AlarmActions", ())),
        "InsufficientDataActions": list(params.get("InsufficientDataActions", ())),
        "ActionExecutedAfterMuteWindow": False,
    }
    if "AlarmRule" in params:
        message["AlarmRule"] = params["AlarmRule"]
        message["TriggeringChildren"] = _children(new)
        return message
    message["Trigger"] = _trigger(params)
    return message


def _children(state: StateView) -> list[Event]:
    listed = json.loads(state.reason_data)["triggeringAlarms"] if state.reason_data else []
    return [
        {"Arn": c["arn"], "State": {"Value": c["state"]["value"], "Timestamp": c["state"]["timestamp"]}}
        for c in listed
    ]


def _trigger(params: Mapping[str, Any]) -> Event:
    trigger: Event = {}
    if "Metrics" in params:
        trigger["Period"] = max(q["MetricStat"]["Period"] for q in params["Metrics"] if "MetricStat" in q)
        trigger["Metrics"] = [_sns_query(query) for query in params["Metrics"]]
    else:
        statistic = params.get("Statistic")
        trigger |= {"MetricName": params["MetricName"], "Namespace": params["Namespace"]}
        if statistic is not None:
            trigger |= {"StatisticType": "Statistic", "Statistic": statistic.upper()}
        else:
            trigger |= {
                "StatisticType": "ExtendedStatistic",
                "ExtendedStatistic": params["ExtendedStatistic"],
            }
        trigger |= {
            "Unit": params.get("Unit"),
            "Dimensions": [{"name": d["Name"], "value": d["Value"]} for d in params.get("Dimensions", ())],
            "Period": params["Period"],
        }
    trigger |= {
        "EvaluationPeriods": params["EvaluationPeriods"],
        "ComparisonOperator": params["ComparisonOperator"],
    }
    if "DatapointsToAlarm" in params:
        trigger["DatapointsToAlarm"] = params["DatapointsToAlarm"]
    if "Threshold" in params:
        trigger["Threshold"] = float(params["Threshold"])
    trigger["TreatMissingData"] = params.get("TreatMissingData", "")
    trigger["EvaluateLowSampleCountPercentile"] = params.get("EvaluateLowSampleCountPercentile", "")
    return trigger


def _sns_query(query: Mapping[str, Any]) -> Event:
    shown: Event = {}
    if "Expression" in query:
        shown["Expression"] = query["Expression"]
    else:
        stat = query["MetricStat"]
        metric = stat["Metric"]
        shown["MetricStat"] = {
            "Metric": {
                "Dimensions": [
                    {"name": d["Name"], "value": d["Value"]} for d in metric.get("Dimensions", ())
                ],
                "MetricName": metric["MetricName"],
                "Namespace": metric["Namespace"],
            },
            "Period": stat["Period"],
            "Stat": stat["Stat"],
        }
    shown |= {"Id": query["Id"], "ReturnData": query.get("ReturnData", True)}
    return shown | ({"Label": query["Label"]} if "Label" in query else {})


@functools.cache
def region_name(region: str) -> str:
    """Return the display name SNS messages carry; the code itself if botocore does not know it.

    >>> region_name("us-east-1")
    'US East (N. Virginia)'
    """
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    for partition in loader.load_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            named = str(partition["regions"][region].get("description", region))
            # Alarm messages still use the older names of European regions.
            return named.replace("Europe (", "EU (")
    return region


def _topic_parts(transition: Transition, topic: str) -> tuple[str, str]:
    arn = f"arn:aws:sns:{transition.alarm.region}:{transition.alarm.account}:{topic}"
    return arn, f"{arn}:{_identifier('subscription', arn)}"


def _notification(transition: Transition, topic: str, signing: str) -> Event:
    """Return SNS's own fields; Lambda and SQS deliveries spell the URL members differently (Url, URL)."""
    arn, subscription = _topic_parts(transition, topic)
    alarm, new = transition.alarm, transition.new
    base = f"https://sns.{alarm.region}.amazonaws.com/"
    return {
        "Type": "Notification",
        "MessageId": _identifier("sns", alarm.arn, millis(new.at_s), new.value.value),
        "TopicArn": arn,
        "Subject": f'{new.value.value}: "{alarm.name}" in {region_name(alarm.region)}'[:100],
        "Message": json.dumps(sns_message(transition), separators=(",", ":")),
        "Timestamp": zulu_stamp(new.at_s, with_millis=True),
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        f"SigningCert{signing}": f"{base}SimpleNotificationService-0000000000000000000000.pem",
        f"Unsubscribe{signing}": f"{base}?Action=Unsubscribe&SubscriptionArn={subscription}",
    }


def sns_record(transition: Transition, *, topic: str = "alarms") -> Event:
    """Return one member of `Records` as SNS invokes a Lambda function; wrap with `records_event`."""
    _, subscription = _topic_parts(transition, topic)
    return {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription,
        "Sns": _notification(transition, topic, "Url") | {"MessageAttributes": {}},
    }


# SQS.


def sqs_record(
    body: Mapping[str, Any] | str,
    *,
    account: str,
    region: str,
    sent_s: float,
    queue: str = "alarms",
    receives: int = 1,
) -> Event:
    """Return one member of `Records` as SQS invokes a Lambda function.

    Args:
        body: An event to be carried as JSON (EventBridge to SQS), or the text itself.
        sent_s: When it was sent, epoch seconds.
        receives: How often it was received, this time included: > 1 for a redelivery.
    """
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    message_id = _identifier("sqs", queue, text)
    return {
        "messageId": message_id,
        "receiptHandle": _identifier("receipt", message_id, receives),
        "body": text,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(millis(sent_s)),
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": str(millis(sent_s)),
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{region}:{account}:{queue}",
        "awsRegion": region,
    }


def eventbridge_in_sqs_record(transition: Transition, *, queue: str = "alarms", receives: int = 1) -> Event:
    """Return the SQS record of a transition that EventBridge delivered to a queue."""
    alarm = transition.alarm
    return sqs_record(
        eventbridge_event(transition),
        account=alarm.account,
        region=alarm.region,
        sent_s=transition.new.at_s,
        queue=queue,
        receives=receives,
    )


def sns_in_sqs_record(
    transition: Transition, *, topic: str = "alarms", queue: str = "alarms", receives: int = 1
) -> Event:
    """Return the SQS record of a transition that SNS delivered to a queue (raw delivery off)."""
    alarm = transition.alarm
    return sqs_record(
        _notification(transition, topic, "URL"),
        account=alarm.account,
        region=alarm.region,
        sent_s=transition.new.at_s,
        queue=queue,
        receives=receives,
    )


def records_event(*records: Event) -> Event:
    """Return the event a function gets for SNS or SQS records."""
    return {"Records": list(records)}
