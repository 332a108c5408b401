"""What the reference pages say about names that the code only spells: events, metrics, fields, refusals.

Knows no code: tools/docs_reference.py holds these words against the code, and
stops where one of the two has a name that the other has not.
"""

from __future__ import annotations

_SEEN = "a round for the alarm's target"
_CHILDREN = "a round for the targets of its children"
_ALONE = "each record alone; only failed ones come back"
_RING = "EventBridge, alarm state change"

# Recorded sample (tests/events) -> who sends it, which function takes it, what becomes of it.
EVENTS: dict[str, tuple[str, str, str]] = {
    "action_composite": ("alarm action on a Lambda function", "`alarm`", _CHILDREN),
    "action_metric": ("alarm action on a Lambda function", "`alarm`", _SEEN),
    "appconfig_deployment_complete": (
        "AppConfig",
        "none",
        "refused as `own-event`: it follows from a write of ours",
    ),
    "appconfig_validator": (
        "AppConfig, before a deployment",
        "`validator`",
        "the document is judged; an error refuses it",
    ),
    "eventbridge_anomaly": (f"{_RING}, anomaly detection", "`alarm`", _SEEN),
    "eventbridge_composite": (f"{_RING}, composite", "`alarm`", _CHILDREN),
    "eventbridge_configuration_change": ("EventBridge, alarm edited", "none", "refused as `own-event`"),
    "eventbridge_contributor": (
        f"{_RING} of a contributor",
        "`alarm`",
        "a round for the contributor's target",
    ),
    "eventbridge_insights_summary": (
        f"{_RING}, Metrics Insights, all contributors",
        "none",
        "refused as `unknown-target`: contributors speak for themselves",
    ),
    "eventbridge_insufficient_data": (f"{_RING}, no data", "`alarm`", _SEEN),
    "eventbridge_log_alarm": (f"{_RING}, log alarm", "`alarm`", _SEEN),
    "eventbridge_metric": (f"{_RING}, one metric", "`alarm`", _SEEN),
    "eventbridge_metric_math": (f"{_RING}, metric math", "`alarm`", _SEEN),
    "eventbridge_metric_muted": (
        f"{_RING} while muted",
        "`alarm`",
        f"{_SEEN}: people are spared, the controller looks",
    ),
    "eventbridge_set_by_hand": (
        f"{_RING} by SetAlarmState",
        "`alarm`",
        f"{_SEEN}; noted as not corroborated by data",
    ),
    "firehose_json": (
        "Firehose, metric stream as JSON",
        "`stream`",
        "a round with its minutes; records go back unchanged",
    ),
    "firehose_opentelemetry": ("Firehose, metric stream as OpenTelemetry 1.0", "`stream`", "the same"),
    "fis_state_change": ("Fault Injection Service", "none", "refused as `unknown-shape`"),
    "override_close": ("an operator", "`override`", "the circuit is forced closed for a time"),
    "override_freeze": ("an operator", "`override`", "the target is kept as it is for a time"),
    "override_open": ("an operator", "`override`", "the circuit is forced open for a time"),
    "override_release": ("an operator", "`override`", "an earlier override ends"),
    "sns_composite": ("SNS, composite alarm", "`alarm`", _CHILDREN),
    "sns_metric": ("SNS, alarm on one metric", "`alarm`", _SEEN),
    "sns_metric_math": ("SNS, alarm on metric math", "`alarm`", _SEEN),
    "sqs_action": ("SQS, an alarm action's payload", "`alarm`", _ALONE),
    "sqs_eventbridge": ("SQS, from EventBridge", "`alarm`", _ALONE),
    "sqs_sns": ("SQS, from SNS", "`alarm`", _ALONE),
    "sqs_sns_raw_delivery": ("SQS, from SNS without envelope", "`alarm`", _ALONE),
    "sqs_with_poison": (
        "SQS, one record that nobody can read",
        "`alarm`",
        "the good ones count; the bad one is kept",
    ),
    "tick_rule": ("EventBridge rule, each minute", "`tick`", "a round over all targets"),
    "tick_scheduler": (
        "EventBridge Scheduler, each minute",
        "`tick`",
        "a round over all targets, or over one shard",
    ),
}

REJECTIONS: dict[str, str] = {
    "not-text": "a body that is neither text nor bytes of UTF-8",
    "too-large": "more bytes than any alarm has",
    "too-deep": "nested deeper than any alarm is",
    "not-json": "text that is no JSON",
    "unknown-shape": "no form that is known; a new one is worth a report",
    "bad-field": "a known form, with a field that is missing or impossible",
    "foreign-source": "alarm states from somebody other than CloudWatch",
    "foreign-account": "from an account that is not ours",
    "foreign-region": "from a region that is not ours",
    "unknown-target": "an alarm that names no target of ours",
    "too-old": "older than 15 minutes: the ticks have seen it since",
    "from-the-future": "stamped later than two clocks may differ",
    "own-event": "follows from a write of ours",
}

CONTROLLER_METRICS: dict[str, str] = {
    "backend_errors": "calls of CloudWatch, DynamoDB or AppConfig that failed",
    "changes": "decisions that changed a target's parameters",
    "check_good": "1 if a check was good, with the dimension `target`",
    "check_latency": "how long a check took, with the dimension `target`",
    "checks": "checks that were made",
    "checks_broken": "checks that could not be made, which says nothing about their targets",
    "checks_good": "checks that were good",
    "checks_hanging": "checks that do not end",
    "checks_late": "minutes of checks that began too late, and were left out",
    "configuration_deployed": "documents whose deployment was begun",
    "configuration_edits": "targets newly found to have been changed by somebody else",
    "configuration_failed": "documents that could not be deployed",
    "configuration_held": "documents kept back: just rolled back",
    "configuration_in_flight": "documents that wait for another deployment",
    "configuration_rate_limited": "documents that wait for the hour's allowance",
    "conflicts": "writes that another controller had overtaken; decided again",
    "decisions": "targets that were looked at",
    "dropped_events": "well-formed events that were not for us, too old, or our own",
    "duplicate_events": "events of one batch that say the same",
    "evidence_age": "age of the newest window behind a decision, the largest of the round",
    "informed_decisions": "decisions that rested on fresh metrics",
    "overrides": "operators' requests that were stored",
    "policy_unreadable": "rounds under the policy of before, because the one in force could not be read",
    "rejected_events": "events that nobody can read",
    "stream_pieces_damaged": "lines or messages of a metric stream that cannot be read",
    "stream_points": "points of a metric stream",
    "stream_points_ignored": "points of a metric stream that are about nothing of ours",
    "targets_edited": "targets that are left to whoever changed their parameters",
    "wake_ups": "targets that alarms woke us for",
}

JOURNAL: dict[str, str] = {
    "schema": "version of this record",
    "target": "whom it is about; partition key",
    "at_s": "time of the decision, epoch seconds",
    "sequence": "number of the state that it led to; rises by one with each change of state",
    "observation": "the window that was looked at, whole",
    "regime": "kind of trouble",
    "proposed": "parameters that the law wanted",
    "applied": "parameters that the guardrails allowed, and that are in force",
    "changed": "`applied` differs from before",
    "urgent": "it tightens",
    "shadow": "decided only; nothing was published",
    "evidence": "reasons, each with measured value, threshold, sample size and confidence",
    "valid_until_s": "until when the published circuit counts without renewal",
    "error_count": "failed first attempts in the evidence",
    "policy_hash": "identity of the target's policy",
    "state_before": "hash of the state before: chains the records of a target",
    "state_after": "hash of the state after",
    "state": "the state before, base64: with it, observation and policy anybody can recompute the decision",
}
