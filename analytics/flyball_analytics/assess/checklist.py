"""The decision checklist, answered for every integration and every function.

Each answer says what follows from it; a question that the map cannot answer is
answered "not known", and `unknown` names the field that would. Questions are
those of docs/article.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flyball_analytics.assess.economics import Money, usd
from flyball_analytics.assess.facts import (
    CRITICAL,
    Integration,
    calls_per_s,
    concurrency_at_limit,
    criticality,
    repeats,
)
from flyball_analytics.integrations import Function, attempts_of, failures_of


class Answer(NamedTuple):
    """One question of the list; `unknown`: the field that would answer it, "" if it is answered."""

    question: str
    answer: str
    unknown: str = ""


def of_integration(one: Integration, money: Money) -> tuple[Answer, ...]:
    """Return the six questions, and cold starts, for one call."""
    return (
        _critical("Critical to the business?", criticality(one)),
        _failures(one),
        _idempotent(one),
        _normal(one),
        _retry_cost(one, money),
        _herd(one),
    )


def of_function(function: Function) -> tuple[Answer, ...]:
    """Return what is asked of a function itself."""
    return (
        _critical("Critical to the business?", function.criticality),
        _repeated(function),
        _cold(function),
        _pure(function),
    )


def _critical(question: str, level: int | None) -> Answer:
    if level is None:
        return Answer(question, "not known", "criticality")
    word = "yes" if level >= CRITICAL else "no"
    return Answer(question, f"{word}, {level} of 5")


def _failures(one: Integration) -> Answer:
    kind = failures_of(one.target)
    follows = {
        "transient": "transient: retries can help",
        "permanent": "permanent: alert, do not retry",
        "mixed": "both: retry the transient codes only",
    }
    if kind is None:
        return Answer("Transient or permanent errors?", "not known", "transient_codes, permanent_codes")
    return Answer("Transient or permanent errors?", follows[kind])


def _idempotent(one: Integration) -> Answer:
    if one.call.idempotent is None:
        return Answer("Idempotent?", "not known", "idempotent")
    return Answer("Idempotent?", "yes" if one.call.idempotent else "no: limit retries, repeat by hand")


def _normal(one: Integration) -> Answer:
    question, sla, errors = "SLA and normal error rate?", one.target.sla_ratio, one.target.error_ratio
    if sla is None and errors is None:
        return Answer(question, "not known", "error_ratio, sla_ratio")
    said = [f"SLA {100.0 * sla:.6g} %"] if sla is not None else []
    if errors is not None:
        said.append(f"{100.0 * errors:.3g} % fail normally")
        if sla is not None and errors > 1.0 - sla:
            said.append(f"more than the SLA's {100.0 * (1.0 - sla):.3g} %: talk to its owner")
    return Answer(question, ", ".join(said), "" if errors is not None else "error_ratio")


def _retry_cost(one: Integration, money: Money) -> Answer:
    question = "Cost of one more attempt, against an outage?"
    if money.attempt_usd is None:
        fields = {"latency_ms": one.target.latency_ms, "memory_mb": one.function.memory_mb}
        return Answer(question, "not known", _missing(fields))
    outage = "not known" if money.outage_usd is None else f"{usd(money.outage_usd)} a month expected"
    missing = "" if money.outage_usd is not None else "usd_per_outage_h, sla_ratio or outages_per_year"
    return Answer(
        question, f"{usd(money.attempt_usd * 1_000.0)} per 1,000 attempts; outages: {outage}", missing
    )


def _herd(one: Integration) -> Answer:
    question, limit = "Thundering herd?", concurrency_at_limit(one.target)
    attempts, rate = attempts_of(one.call), calls_per_s(one)
    if one.call.jitter is False and attempts != 1.0:
        return Answer(question, "yes: pauses without jitter bring all callers back at once")
    if rate is not None and one.target.rate_limit_per_s is not None and attempts is not None:
        stormed = rate * attempts
        if stormed > one.target.rate_limit_per_s:
            return Answer(
                question,
                f"yes: {rate:.3g}/s become {stormed:.3g}/s with retries, {one.target.rate_limit_per_s:g}/s "
                "are accepted",
            )
        return Answer(
            question, f"no: at most {stormed:.3g}/s on average of {one.target.rate_limit_per_s:g}/s"
        )
    if attempts == 1.0:
        return Answer(question, "no: nobody repeats the call")
    if limit is not None and one.function.reserved_concurrency == "none":
        return Answer(
            question, f"possible: {limit:.3g} calls at once reach its limit, and nothing bounds them"
        )
    fields = {
        "rate_limit_per_s": one.target.rate_limit_per_s,
        "requests_per_month": one.function.requests_per_month,
        "layers": one.call.layers,
    }
    return Answer(question, "not known", _missing(fields) or "jitter")


def _missing(fields: Mapping[str, object]) -> str:
    """Return the names of the fields that are not known."""
    return ", ".join(name for name, value in fields.items() if value is None)


def _pure(function: Function) -> Answer:
    if function.calls is None:
        return Answer("Pure?", "not known", "calls")
    return Answer("Pure?", "no" if function.calls else "yes: it calls no target, no pattern is needed")


def _repeated(function: Function) -> Answer:
    question, again = "Repeated by the platform?", repeats(function)
    if again is None:
        missing = "platform_retries" if function.trigger is not None else "trigger, platform_retries"
        return Answer(question, "not known", missing)
    safe = [name for name, call in (function.calls or {}).items() if call.idempotent is False]
    if again == 0:
        return Answer(question, "no")
    unsafe = f"; not idempotent: {', '.join(safe)}" if safe else ""
    return Answer(question, f"yes, up to {again} times{unsafe}")


def _cold(function: Function) -> Answer:
    question, cold, goal = "Do cold starts matter?", function.cold_start_ms, function.latency_goal_ms
    if function.trigger not in (None, "http"):
        return Answer(question, "no: nobody waits for it")
    if function.provisioned_concurrency:
        return Answer(question, f"no: {function.provisioned_concurrency} environments are kept warm")
    if cold is None or goal is None:
        fields = {"cold_start_ms": cold, "latency_goal_ms": goal}
        return Answer(question, "not known", _missing(fields))
    total = cold + (function.duration_ms or 0.0)
    word = "yes" if total > goal else "no"
    return Answer(question, f"{word}: {total:g} ms with a cold start, {goal:g} ms are wanted")
