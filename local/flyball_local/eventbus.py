"""EventBridge for tests and the demo: rules, schedules and targets on the virtual clock.

One `EventBus` is one emulated account's messaging: it makes the functions,
queues and topics, matches events against rules, fires schedules, and carries
everything through one unkind Post (duplicates, delays, reordering, retries,
dead letters, all from one seed). Every attempt ends in `deliveries`.

A Lambda target is invoked asynchronously, as EventBridge does: the rule's
retries cover delivery only; what the handler raises is the function's affair.

Knows no alarm and no handler: callers put events that have the real shapes
(`cloudwatch` makes alarm events) and pass any callable as a function.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from flyball_local.delivery import (
    EVENTBRIDGE,
    Delivery,
    DeliveryFaults,
    Outcome,
    Post,
    RetryPolicy,
    Timeline,
)
from flyball_local.functions import EVENT_AGE_MAX_S, Handler, LambdaFunction
from flyball_local.patterns import check_pattern, matches
from flyball_local.queues import Queue, Topic

UNIT_S = {"minute": 60, "hour": 3_600, "day": 86_400}
RATE = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)")


class Target(NamedTuple):
    """Where a rule sends its events, the queue for those it could not deliver, and when it gives up.

    `shape` makes what the receiver gets of the event (an input transformer); None: the event itself.
    """

    receiver: LambdaFunction | Queue | Topic
    dlq: Queue | None = None
    policy: RetryPolicy = EVENTBRIDGE
    shape: Callable[[Mapping[str, Any]], str] | None = None


class ScheduleError(ValueError):
    """A schedule expression that cannot be obeyed."""


class Schedule:
    """A standing order; `disable()` ends it."""

    def __init__(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        """Fire no more."""
        self.enabled = False


class _Rule(NamedTuple):
    name: str
    arn: str
    pattern: Mapping[str, Any]
    targets: tuple[Target, ...]


class EventBus:
    """The default event bus of one emulated account, with the functions, queues and topics around it."""

    def __init__(
        self,
        clock: Timeline,
        *,
        seed: int = 0,
        faults: DeliveryFaults | None = None,
        region: str = "eu-west-1",
        account: str = "000000000000",
        latency_s: float = 1.0,
    ) -> None:
        """Make a bus without rules.

        Args:
            clock: The virtual clock all deliveries run on.
            seed: Draws identifiers, faults and back-off.
            faults: How unkind delivery is; None: at once and once. May be replaced later (`faults = …`).
            region: Region of ARNs and events.
            account: Account of ARNs and events, 12 digits.
            latency_s: Undisturbed way from event to receiver, seconds.
        """
        self._post = Post(clock, Random(seed), faults or DeliveryFaults(), latency_s)
        self._region = region
        self._account = account
        self._rules: dict[str, _Rule] = {}

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """Every attempt so far, oldest first."""
        return self._post.deliveries

    def drain(self) -> list[Delivery]:
        """Return every attempt since the last `drain` and forget them: a run of days must not grow."""
        made, self._post.deliveries = self._post.deliveries, []
        return made

    @property
    def faults(self) -> DeliveryFaults:
        """How unkind delivery is now; letters already on their way keep their fate."""
        return self._post.faults

    @faults.setter
    def faults(self, faults: DeliveryFaults) -> None:
        self._post.faults = faults

    def counts(self) -> Counter[Outcome]:
        """Return how many attempts ended how."""
        return self._post.counts()

    def function(
        self,
        name: str,
        handler: Handler,
        *,
        max_retries: int = 2,
        max_event_age_s: float = EVENT_AGE_MAX_S,
        on_failure: Callable[[dict[str, Any]], object] | None = None,
        dlq: Queue | None = None,
    ) -> LambdaFunction:
        """Register a callable `handler(event, context)` as a Lambda function."""
        return LambdaFunction(
            self._post,
            name,
            handler,
            arn=self._arn("lambda", f"function:{name}"),
            max_retries=max_retries,
            max_event_age_s=max_event_age_s,
            on_failure=on_failure,
            dead_letter=None if dlq is None else dlq.send,
        )

    def queue(
        self,
        name: str,
        *,
        visibility_timeout_s: float = 30.0,
        max_receive_count: int | None = None,
        dlq: Queue | None = None,
    ) -> Queue:
        """Make an SQS queue; with `dlq`, messages received `max_receive_count` times in vain move there."""
        return Queue(
            self._post,
            name,
            arn=self._arn("sqs", name),
            region=self._region,
            visibility_timeout_s=visibility_timeout_s,
            max_receive_count=max_receive_count,
            dlq=dlq,
        )

    def topic(self, name: str) -> Topic:
        """Make an SNS topic."""
        return Topic(self._post, name, arn=self._arn("sns", name), region=self._region)

    def rule(self, name: str, pattern: Mapping[str, Any], *targets: Target) -> None:
        """Send every event that matches the pattern to the targets; a rule of the same name is replaced.

        Raises:
            PatternError: If the pattern is malformed or uses an operator the emulator does not know.
        """
        check_pattern(pattern)
        self._rules[name] = _Rule(name, self._arn("events", f"rule/{name}"), pattern, targets)

    def put(self, event: Mapping[str, Any]) -> int:
        """Accept one event in its full form and return how many targets it is on its way to."""
        text = json.dumps(event)
        letter_id = str(event.get("id", ""))
        sent = 0
        for rule in self._rules.values():
            if matches(rule.pattern, event):
                for target in rule.targets:
                    self._carry(f"rule {rule.name}", rule.arn, target, letter_id, text)
                    sent += 1
        return sent

    def send(self, sender: str, sender_arn: str, event: Mapping[str, Any], *targets: Target) -> None:
        """Carry one event past the rules straight to targets, as an alarm's own Lambda and SNS actions do.

        Args:
            sender: Kind and name for the record, e.g. "alarm payments-errors".
            sender_arn: Its ARN, for dead letters.
            event: What the target receives.
            targets: Who receives it.
        """
        letter_id, text = self._post.new_id(), json.dumps(event)
        for target in targets:
            self._carry(sender, sender_arn, target, letter_id, text)

    def schedule(
        self, name: str, expression: str, *targets: Target, payload: Mapping[str, Any] | None = None
    ) -> Schedule:
        """Fire at a rate, first one period from now, until the schedule is disabled.

        Args:
            name: Rule name.
            expression: "rate(1 minute)", "rate(5 minutes)", hours or days; one minute is the finest there is.
            targets: Who gets the event.
            payload: Constant event instead of the "Scheduled Event".

        Raises:
            ScheduleError: If the expression is not a rate EventBridge accepts.
        """
        rule = _Rule(name, self._arn("events", f"rule/{name}"), {}, targets)
        schedule = Schedule()
        self._arm(rule, schedule, period_s(expression), payload)
        return schedule

    def _arm(self, rule: _Rule, schedule: Schedule, every_s: int, payload: Mapping[str, Any] | None) -> None:
        due_s = self._post.clock.now_s() + every_s

        def fire() -> None:
            if not schedule.enabled:
                return
            event = self._scheduled_event(rule, due_s)
            text = json.dumps(event if payload is None else payload)
            for target in rule.targets:
                self._carry(f"rule {rule.name}", rule.arn, target, event["id"], text)
            self._arm(rule, schedule, every_s, payload)

        self._post.clock.call_at(due_s, fire)

    def _scheduled_event(self, rule: _Rule, at_s: float) -> dict[str, Any]:
        return {
            "version": "0",
            "id": self._post.new_id(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._account,
            "time": datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": [rule.arn],
            "detail": {},
        }

    def _carry(self, sender: str, sender_arn: str, target: Target, letter_id: str, text: str) -> None:
        receiver, dlq, policy, shape = target
        given = text if shape is None else shape(json.loads(text))

        def hand_over() -> None:
            if isinstance(receiver, LambdaFunction):
                receiver.invoke_async(json.loads(given))
            elif isinstance(receiver, Queue):
                receiver.send(given)
            else:
                receiver.publish(given)

        def dead_letter(reason: str, retries: int) -> None:
            if dlq is not None:
                dlq.send(
                    text,
                    {
                        "RULE_ARN": sender_arn,
                        "TARGET_ARN": receiver.arn,
                        "ERROR_CODE": "SDK_CLIENT_ERROR",
                        "ERROR_MESSAGE": "receiver unreachable",
                        "EXHAUSTED_RETRY_CONDITION": reason,
                        "RETRY_ATTEMPTS": str(retries),
                    },
                )

        self._post.send(
            f"{sender} -> {receiver.name}",
            letter_id,
            hand_over,
            policy=policy,
            dead_letter=None if dlq is None else dead_letter,
        )

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self._region}:{self._account}:{resource}"


def period_s(expression: str) -> int:
    """Return the seconds between two firings of a rate expression.

    >>> period_s("rate(5 minutes)")
    300

    Raises:
        ScheduleError: If EventBridge would refuse it, or it is a cron expression.
    """
    form = RATE.fullmatch(expression)
    plural_fits = form is not None and (form[1] == "1") is (form[3] == "")
    if form is None or not plural_fits:
        raise ScheduleError(
            f'schedule {expression!r}: expected "rate(1 minute)" or "rate(N minutes|hours|days)" '
            "(the plural for more than one); cron is not emulated"
        )
    return int(form[1]) * UNIT_S[form[2]]
