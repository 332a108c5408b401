"""Which pattern an integration needs: time-out, retry, breaker, bulkhead or nothing, each with its reason.

A pattern that is not advised has a reason too: what is not known is said, and
never taken for a yes. The rules are those of docs/article.md ("decision checklist").
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from flyball_analytics.assess.facts import (
    CRITICAL,
    DEFAULTS,
    MINOR,
    REPEATING,
    Integration,
    attempts_that_fit,
    calls_per_s,
    concurrency_at_limit,
    criticality,
    repeats,
    timeout_wanted_s,
)
from flyball_analytics.integrations import NONE, failures_of

UNKNOWN = "not known"  # in a reason: the map does not say; so "nothing" would be no answer either
INTERNAL = ("database", "queue", "storage", "function")
FAST_MS = 10.0  # an internal call this fast is itself as quick as a circuit's answer
HOLDS_S = 1.0  # a failure that holds an environment this long multiplies concurrency
REPEATED_ATTEMPTS = 2  # in the code, where the platform repeats the whole invocation anyway


class Pattern(StrEnum):
    """What can be put around a call."""

    TIMEOUT = "time-out"
    RETRY = "retry"
    BREAKER = "breaker"
    BULKHEAD = "bulkhead"
    NOTHING = "nothing"


class Choice(NamedTuple):
    """One pattern: whether it is advised, why (not), and how it is set."""

    pattern: Pattern
    advised: bool
    because: str
    setting: str = ""


class Advice(NamedTuple):
    """All choices for one integration; `attempts`: 1 = no retry; `timeout_s` None: not known."""

    choices: tuple[Choice, ...]
    attempts: int
    timeout_s: float | None

    def advised(self, pattern: Pattern) -> bool:
        """Return whether a pattern is advised."""
        return any(choice.pattern is pattern and choice.advised for choice in self.choices)


def advise(one: Integration) -> Advice:
    """Return what to put around one call, and why."""
    timeout = _timeout(one)
    retry, attempts = _retry(one)
    choices = [timeout, retry, _breaker(one), _bulkhead(one)]
    open_question = any(UNKNOWN in choice.because for choice in choices if choice is not timeout)
    if not open_question and not any(choice.advised for choice in choices):
        choices.append(Choice(Pattern.NOTHING, True, "none of the patterns would help here"))
    wanted = timeout_wanted_s(one.target)
    return Advice(tuple(choices), attempts, wanted if timeout.advised else None)


def pure_function() -> Choice:
    """Return the advice for a function that calls nothing."""
    return Choice(Pattern.NOTHING, True, "it calls no target: a pure function needs no pattern")


def _timeout(one: Integration) -> Choice:
    wanted, has = timeout_wanted_s(one.target), one.call.timeout_s
    if wanted is None:
        because = "every call needs one, and its latency is not known: measure it, then set 3 x the median"
        if isinstance(has, int | float):
            return Choice(Pattern.TIMEOUT, False, f"it has one of {has:g} s; the latency is not known")
        return Choice(Pattern.TIMEOUT, True, because)
    because = (
        f"3 x the typical latency, at least 1.2 x the 99th percentile and 0.25 s, is {wanted:.3g} s; "
        f"{'it has none' if has in (None, NONE) else f'it has {has:g} s'}"
    )
    p99_s = (one.target.latency_p99_ms or 0.0) / 1_000.0
    good = isinstance(has, int | float) and max(0.5 * wanted, p99_s) <= has <= 2.0 * wanted
    return Choice(Pattern.TIMEOUT, not good, because, f"timeout_s={wanted:.3g}")


def _retry(one: Integration) -> tuple[Choice, int]:
    """Return the choice and the attempts, 1 where nothing is to be repeated."""
    refused = _no_retry(one)
    if refused:
        return Choice(Pattern.RETRY, False, refused), 1
    fits = attempts_that_fit(one)
    attempts = DEFAULTS.attempts_nominal if fits is None else min(fits, DEFAULTS.attempts_nominal)
    again = repeats(one.function)
    why = "failures may pass and the call may be made twice"
    if one.function.trigger in REPEATING and again != 0 and attempts > REPEATED_ATTEMPTS:
        attempts = REPEATED_ATTEMPTS
        why += f"; {one.function.trigger} repeats the whole invocation besides, so one retry here"
    if fits is None:
        why += "; whether so many fit into the function's time-out is not known"
    budget = f"budget {100.0 * DEFAULTS.budget_nominal:g} %"
    if one.target.rate_limit_per_s is not None:
        why += "; it has a rate limit: throttles wait longer (throttle_base_ms), with jitter"
    return Choice(Pattern.RETRY, True, why, f"{attempts} attempts, {budget}, full jitter"), attempts


def _no_retry(one: Integration) -> str:
    """Return why nothing should be repeated; "" if it should."""
    kind, level = failures_of(one.target), criticality(one)
    if kind == "permanent":
        return "its failures do not pass by themselves: alert on the first one"
    if kind is None:
        return "not known whether its failures pass: list its error codes (transient_codes, permanent_codes)"
    if one.call.idempotent is False:
        return "made twice it acts twice: give it an idempotency key, or repeat it by hand from dead letters"
    if one.call.idempotent is None:
        return "not known whether it may be made twice: say idempotent: true or false"
    if level == 1:
        return "nobody notices when it fails: drop it and go on"
    fits = attempts_that_fit(one)
    if fits is not None and fits < REPEATED_ATTEMPTS:
        return f"a second attempt would not end within the function's {one.function.timeout_s:g} s"
    return ""


def _breaker(one: Integration) -> Choice:
    level, rate = criticality(one), calls_per_s(one)
    wait = timeout_wanted_s(one.target)

    def no(because: str) -> Choice:
        return Choice(Pattern.BREAKER, False, because)

    if failures_of(one.target) == "permanent":
        return no("its failures concern single calls and do not pass: a circuit would hide them")
    if rate is not None and rate * 60.0 < DEFAULTS.open_per_min_min:
        return no(
            f"{rate * 60.0:.3g} calls a minute: below {DEFAULTS.open_per_min_min:g} "
            "an open circuit cannot be judged"
        )
    latency = one.target.latency_ms
    if one.target.kind in INTERNAL and latency is not None and latency <= FAST_MS:
        return no(f"an internal call of {latency:g} ms: a time-out (and a bulkhead) is enough")
    if level is None:
        return no("not known how critical it is: say criticality: 1 to 5")
    held = f"; a failed call holds an environment for up to {wait:.3g} s" if wait is not None else ""
    setting = "circuit by the controller, and the client's own"
    if level >= CRITICAL:
        return Choice(Pattern.BREAKER, True, f"critical ({level}){held}", setting)
    if level > MINOR and wait is not None and wait >= HOLDS_S:
        return Choice(Pattern.BREAKER, True, f"criticality {level}{held}", setting)
    return no(f"criticality {level}: a time-out and a fallback are enough")


def _bulkhead(one: Integration) -> Choice:
    limit = concurrency_at_limit(one.target)
    reserved = one.function.reserved_concurrency
    if limit is None:
        return Choice(
            Pattern.BULKHEAD,
            False,
            "no rate limit is stated that it could exceed; an environment makes one call at a time",
        )
    most = max(1, int(limit / max(1.0, one.call.calls_per_request)))
    because = f"{one.target.rate_limit_per_s:g} calls a second are reached by {limit:.3g} calls at once"
    if isinstance(reserved, int) and reserved <= most:
        return Choice(Pattern.BULKHEAD, False, f"{because}; {reserved} are reserved already")
    has = f"{reserved} are reserved" if isinstance(reserved, int) else "concurrency is not bounded"
    return Choice(Pattern.BULKHEAD, True, f"{because}; {has}", f"reserved concurrency {most}")
