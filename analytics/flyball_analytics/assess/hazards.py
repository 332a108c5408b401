"""What is dangerous as it stands: each hazard with its place, its numbers and its remedy.

A hazard is found only where the map proves it. What the map does not say is no
hazard but an unknown (checklist.py). Thresholds are the platform's own facts,
named here with their source.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from flyball_analytics.assess.facts import (
    ATTEMPTS_MAX,
    CRITICAL,
    MINOR,
    REPEATING,
    Integration,
    criticality,
    integrations_of,
    repeats,
    timeout_wanted_s,
    worst_s,
)
from flyball_analytics.integrations import NONE, UNLIMITED, Function, IntegrationMap, attempts_of

LAMBDA_DEFAULT_TIMEOUT_S = 3.0  # AWS Lambda developer guide, "Configure Lambda function timeout"
SLOW_SHARE = 0.5  # of a critical function's time that a minor call may take at worst
BATCH = ("queue", "stream", "schedule", "async")


class Severity(StrEnum):
    """How soon: high = loses money or data in the next outage."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Kind(StrEnum):
    """The closed set of hazards; the value is what tools match."""

    NO_TIMEOUT = "no-time-out"
    DEFAULT_TIMEOUT = "default-time-out"
    RETRIES_OUTLAST_FUNCTION = "retries-outlast-function"
    UNBOUNDED_RETRIES = "unbounded-retries"
    STACKED_RETRIES = "stacked-retries"
    NO_DEAD_LETTERS = "no-dead-letters"
    NON_IDEMPOTENT_RETRY = "non-idempotent-retry"
    SHARED_CONCURRENCY = "shared-concurrency"
    NO_PROVISIONED_CONCURRENCY = "no-provisioned-concurrency"
    ROLLBACK_BY_OWN_ALARM = "rollback-by-own-alarm"
    NO_JITTER = "no-jitter"
    TIMEOUT_UNDER_P99 = "time-out-under-p99"
    MINOR_CALL_HOLDS_CRITICAL = "minor-call-holds-critical"


# When each is found, as `flyball explain` says it; docs/how-to/assess.md shows the same words.
ABOUT: dict[Kind, str] = {
    Kind.NO_TIMEOUT: "a call waits as long as its function",
    Kind.DEFAULT_TIMEOUT: "a function that calls something has Lambda's 3 s",
    Kind.RETRIES_OUTLAST_FUNCTION: "attempts x time-out + pauses > the function's time-out",
    Kind.UNBOUNDED_RETRIES: "a layer never gives up",
    Kind.STACKED_RETRIES: "layers multiply",
    Kind.NO_DEAD_LETTERS: "what fails for good is lost",
    Kind.NON_IDEMPOTENT_RETRY: "code or platform repeats what must not be repeated",
    Kind.SHARED_CONCURRENCY: "critical and batch functions draw from the same pool",
    Kind.NO_PROVISIONED_CONCURRENCY: "a critical function's cold start misses its goal",
    Kind.ROLLBACK_BY_OWN_ALARM: "an alarm on a target's health rolls back the answer to it",
    Kind.NO_JITTER: "all callers come back at once",
    Kind.TIMEOUT_UNDER_P99: "good answers are thrown away",
    Kind.MINOR_CALL_HOLDS_CRITICAL: "an unimportant call can use up an important function",
}


class Hazard(NamedTuple):
    """One finding. `where`: function, function -> target, or target; `target`: the one it concerns, or "".

    `criticality`: of the place; None: not known.
    """

    kind: Kind
    severity: Severity
    where: str
    says: str
    remedy: str
    target: str = ""
    criticality: int | None = None


def hazards_of(known: IntegrationMap) -> list[Hazard]:
    """Return every hazard of a map, in the order of functions and calls."""
    found: list[Hazard] = []
    for name, function in known.functions.items():
        found += _of_function(name, function)
    for one in integrations_of(known):
        found += [*_timeouts(one), *_retries(one)]
    return [*found, *_shared(known), *_rollbacks(known)]


def _graded(level: int | None, high: Severity = Severity.HIGH) -> Severity:
    """Return `high`, one step less where the criticality is known to be minor."""
    if level is not None and level <= MINOR:
        return Severity.MEDIUM if high is Severity.HIGH else Severity.LOW
    return high


def _of_function(name: str, function: Function) -> Iterator[Hazard]:
    level = function.criticality
    if function.timeout_s == LAMBDA_DEFAULT_TIMEOUT_S and function.calls:
        average = f", {function.duration_ms:g} ms is its average" if function.duration_ms is not None else ""
        yield Hazard(
            Kind.DEFAULT_TIMEOUT,
            _graded(level, Severity.MEDIUM),
            name,
            f"the function's time-out is Lambda's default of 3 s{average}",
            "set it from what it does: 3 x its average, and more than its calls' attempts take together",
            criticality=level,
        )
    again = repeats(function)
    if function.dead_letter is False and function.trigger in ("async", "queue", "stream", "schedule"):
        times = f"after {again} repetitions" if again is not None else "after the platform's repetitions"
        yield Hazard(
            Kind.NO_DEAD_LETTERS,
            _graded(level),
            name,
            f"what fails {times} of its {function.trigger} is lost: there is no dead-letter queue",
            "add a dead-letter queue or an on-failure destination, and an alarm on its depth",
            criticality=level,
        )
    cold, goal = function.cold_start_ms, function.latency_goal_ms
    if function.provisioned_concurrency == 0 and function.trigger in (None, "http") and cold and goal:
        total = cold + (function.duration_ms or 0.0)
        if level is not None and level >= CRITICAL and total > goal:
            yield Hazard(
                Kind.NO_PROVISIONED_CONCURRENCY,
                Severity.MEDIUM,
                name,
                f"a cold start takes {total:g} ms where {goal:g} ms are wanted, and nothing is kept warm",
                "keep environments warm (provisioned concurrency, SnapStart), or load less at the start",
                criticality=level,
            )


def _timeouts(one: Integration) -> Iterator[Hazard]:
    level, has, limit = criticality(one), one.call.timeout_s, one.function.timeout_s
    if has == NONE:
        waits = f" ({limit:g} s)" if limit is not None else ""
        wanted = timeout_wanted_s(one.target)
        value = f" of {wanted:.3g} s" if wanted is not None else ", 3 x its typical latency"
        yield _hazard(
            one,
            Kind.NO_TIMEOUT,
            _graded(level),
            f"the call has no time-out: it waits as long as the function lives{waits}, and is paid for",
            f"set a time-out{value}",
        )
        return
    p99 = one.target.latency_p99_ms
    if isinstance(has, int | float) and p99 is not None and has * 1_000.0 < p99:
        yield _hazard(
            one,
            Kind.TIMEOUT_UNDER_P99,
            _graded(level, Severity.MEDIUM),
            f"the time-out of {has:g} s is under the 99th percentile of {p99:g} ms: good answers are lost",
            f"set at least {timeout_wanted_s(one.target) or 0.0:.3g} s",
        )
    worst, whole = worst_s(one), one.function.criticality
    if (
        worst is not None
        and limit is not None
        and whole is not None
        and whole >= CRITICAL
        and level is not None
        and level <= MINOR
        and worst > SLOW_SHARE * limit
    ):
        yield _hazard(
            one,
            Kind.MINOR_CALL_HOLDS_CRITICAL,
            Severity.HIGH,
            f"a call of criticality {level} can take {worst:.3g} s of the {limit:g} s that a function of "
            f"criticality {whole} has",
            "give it a short time-out, one attempt and a fallback, or move it behind a queue",
        )


def _retries(one: Integration) -> Iterator[Hazard]:
    level, attempts, call = criticality(one), attempts_of(one.call), one.call
    layers = {name: count for name, count in (call.layers or {}).items() if count != 1}
    told = " x ".join(f"{name} {count}" for name, count in layers.items())
    if UNLIMITED in layers.values():
        yield _hazard(
            one,
            Kind.UNBOUNDED_RETRIES,
            Severity.HIGH,
            f"attempts are not bounded ({told}): in an outage every request becomes a storm",
            f"bound them: at most {ATTEMPTS_MAX} attempts, within the function's time",
        )
    if len(layers) > 1:
        yield _hazard(
            one,
            Kind.STACKED_RETRIES,
            _graded(level),
            f"layers multiply: {told} makes {_attempts(attempts or 1.0)} of one call",
            "let one layer retry, and set the others to one attempt",
        )
    worst, limit = worst_s(one), one.function.timeout_s
    if (
        worst is not None
        and limit is not None
        and attempts not in (None, 1.0)
        and limit < worst < float("inf")
    ):
        pause = f" + pauses of {call.backoff_max_s:g} s" if call.backoff_max_s else ""
        yield _hazard(
            one,
            Kind.RETRIES_OUTLAST_FUNCTION,
            _graded(level),
            f"{attempts:g} attempts x {call.timeout_s:g} s{pause} = {worst:.3g} s, the function has "
            f"{limit:g} s: it is killed in mid-retry",
            "lower the time-out or the attempts, or raise the function's time-out",
        )
    again = repeats(one.function)
    repeated = attempts is not None and attempts > 1.0
    platform = one.function.trigger in REPEATING and again is not None and again > 0
    if call.idempotent is False and (repeated or platform):
        who = f"{one.function.trigger} repeats it {again} times"
        if attempts is not None and repeated:
            who = f"{_attempts(attempts)} are made"
        yield _hazard(
            one,
            Kind.NON_IDEMPOTENT_RETRY,
            Severity.HIGH,
            f"the call acts twice if made twice, and {who}",
            "send an idempotency key, or do not repeat it: keep failures as dead letters for a person",
        )
    if call.jitter is False and (attempts is None or attempts > 1.0):
        yield _hazard(
            one,
            Kind.NO_JITTER,
            _graded(level, Severity.MEDIUM),
            "pauses have no jitter: all environments come back at the same moment",
            "draw each pause at random (full jitter)",
        )


def _attempts(count: float) -> str:
    return "attempts without bound" if count == float("inf") else f"{count:g} attempts"


def _shared(known: IntegrationMap) -> Iterator[Hazard]:
    """Yield critical functions that draw from the same concurrency as batch work."""
    batch = [
        name
        for name, function in known.functions.items()
        if function.reserved_concurrency == NONE
        and function.trigger in BATCH
        and function.criticality is not None
        and function.criticality < CRITICAL
    ]
    for name, function in known.functions.items():
        level = function.criticality
        if level is None or level < CRITICAL or function.reserved_concurrency != NONE or not batch:
            continue
        others = ", ".join(batch[:3]) + (f" and {len(batch) - 3} more" if len(batch) > 3 else "")
        yield Hazard(
            Kind.SHARED_CONCURRENCY,
            Severity.MEDIUM,
            name,
            f"a function of criticality {level} shares the account's concurrency with {others}: "
            "a burst of batch work throttles it",
            "reserve concurrency for it, or bound that of the others",
            criticality=level,
        )


def _rollbacks(known: IntegrationMap) -> Iterator[Hazard]:
    """Yield alarms that would roll back the very change that answers them."""
    monitors = set(known.rollback_alarms)
    for name, target in known.targets.items():
        for alarm in target.alarms:
            if alarm in monitors:
                yield Hazard(
                    Kind.ROLLBACK_BY_OWN_ALARM,
                    Severity.HIGH,
                    name,
                    f"alarm {alarm} is on {name}'s health and rolls back deployments: a mitigation is undone "
                    "because of what it answers",
                    "let only alarms on your own functions' defects roll back",
                    target=name,
                    criticality=target.criticality,
                )


def _hazard(one: Integration, kind: Kind, severity: Severity, says: str, remedy: str) -> Hazard:
    return Hazard(kind, severity, one.name, says, remedy, one.target_name, criticality(one))
