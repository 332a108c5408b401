"""Which pattern is advised, and that each refusal has its reason."""

from __future__ import annotations

import pytest

from flyball_analytics.assess.advice import Pattern, advise
from flyball_analytics.assess.facts import attempts_that_fit, calls_per_s, criticality, repeats, worst_s
from flyball_analytics.integrations import Function
from unit.assess.maps import one_call

FINE = "{criticality: 5, latency_ms: 200, failures: transient}"


def choice(one, pattern):
    return next(c for c in advise(one).choices if c.pattern is pattern)


@pytest.mark.parametrize(
    ("target", "call", "why"),
    [
        ("{failures: permanent}", "{idempotent: true}", "do not pass by themselves"),
        ("{}", "{idempotent: true}", "not known whether its failures pass"),
        (FINE, "{idempotent: false}", "acts twice"),
        (FINE, "{}", "say idempotent: true or false"),
        ("{criticality: 1, failures: mixed}", "{idempotent: true}", "nobody notices"),
    ],
)
def test_a_retry_is_refused_with_its_reason(target, call, why):
    """What is not known is never taken for a yes."""
    one = one_call(target, call)
    assert not choice(one, Pattern.RETRY).advised
    assert why in choice(one, Pattern.RETRY).because
    assert advise(one).attempts == 1


def test_a_retry_that_cannot_end_in_time_is_refused():
    """2 x 0.6 s + a pause is more than 90 % of 1 s."""
    one = one_call(FINE, "{idempotent: true}", "    timeout_s: 1\n")
    assert attempts_that_fit(one) == 1
    assert "would not end within the function's 1 s" in choice(one, Pattern.RETRY).because


def test_as_many_attempts_are_advised_as_fit():
    """3 x 0.6 + 0.1 + 0.2 = 2.1 s fit into 90 % of 2.5 s; the fourth ends after 3.1 s."""
    one = one_call(FINE, "{idempotent: true}", "    timeout_s: 2.5\n    trigger: http\n")
    assert advise(one).attempts == 3
    assert choice(one, Pattern.RETRY).setting == "3 attempts, budget 20 %, full jitter"


def test_the_other_work_of_the_function_takes_its_time_first():
    """Of 2.25 s, 0.3 s are somebody else's: three attempts end after 2.1 s, two after 1.3 s."""
    one = one_call(FINE, "{idempotent: true}", "    timeout_s: 2.5\n    duration_ms: 500\n")
    assert attempts_that_fit(one) == 2


def test_a_platform_that_repeats_needs_one_retry_only():
    """4 attempts x 3 deliveries would be 12."""
    one = one_call(FINE, "{idempotent: true}", "    timeout_s: 60\n    trigger: queue\n")
    assert advise(one).attempts == 2
    assert "repeats the whole invocation" in choice(one, Pattern.RETRY).because


def test_without_times_the_usual_number_is_advised_and_the_doubt_said():
    """Three retries are the practice; whether they fit is the user's to find out."""
    one = one_call("{criticality: 3, failures: transient, rate_limit_per_s: 5}", "{idempotent: true}")
    assert advise(one).attempts == 4
    assert "is not known" in choice(one, Pattern.RETRY).because
    assert "throttles wait longer" in choice(one, Pattern.RETRY).because


@pytest.mark.parametrize(
    ("target", "function", "why"),
    [
        ("{failures: permanent, criticality: 5}", "", "a circuit would hide them"),
        (FINE, "    requests_per_month: 262800\n", "6 calls a minute: below 10"),
        ("{kind: database, criticality: 5, latency_ms: 4}", "", "an internal call of 4 ms"),
        ("{}", "", "not known how critical"),
        ("{criticality: 2, latency_ms: 900}", "", "criticality 2: a time-out and a fallback"),
        ("{criticality: 3, latency_ms: 100}", "", "criticality 3: a time-out and a fallback"),
    ],
)
def test_a_breaker_is_refused_with_its_reason(target, function, why):
    """A circuit where it cannot be judged, or is not needed, is one more thing that breaks."""
    assert not choice(one_call(target, "{}", function), Pattern.BREAKER).advised
    assert why in choice(one_call(target, "{}", function), Pattern.BREAKER).because


@pytest.mark.parametrize("target", ["{criticality: 4}", "{criticality: 3, latency_ms: 400}"])
def test_a_breaker_protects_what_is_critical_or_fails_slowly(target):
    """1.2 s for each failed call multiply the function's concurrency."""
    assert choice(one_call(target), Pattern.BREAKER).advised


def test_a_rate_limit_bounds_concurrency_by_littles_law():
    """50 a second x 0.2 s = 10 calls at once; two calls an invocation leave 5 invocations."""
    limited = "{rate_limit_per_s: 50, latency_ms: 200}"
    one = one_call(limited, "{calls_per_request: 2}", "    reserved_concurrency: 30\n")
    assert choice(one, Pattern.BULKHEAD).setting == "reserved concurrency 5"
    enough = one_call(limited, "{}", "    reserved_concurrency: 10\n")
    assert not choice(enough, Pattern.BULKHEAD).advised
    assert choice(one_call(limited), Pattern.BULKHEAD).because.endswith("concurrency is not bounded")


@pytest.mark.parametrize(
    ("target", "call", "advised", "why"),
    [
        ("{latency_ms: 100, latency_p99_ms: 1000}", "{timeout_s: 9}", True, "is 1.2 s; it has 9 s"),
        ("{latency_ms: 100, latency_p99_ms: 1000}", "{timeout_s: 1.5}", False, "it has 1.5 s"),
        ("{latency_ms: 5}", "{timeout_s: none}", True, "is 0.25 s; it has none"),
        ("{}", "{}", True, "its latency is not known"),
        ("{}", "{timeout_s: 2}", False, "the latency is not known"),
    ],
)
def test_every_call_gets_a_time_out_from_its_latency(target, call, advised, why):
    """A time-out that is right already is left alone."""
    found = choice(one_call(target, call), Pattern.TIMEOUT)
    assert found.advised is advised
    assert why in found.because


def test_nothing_is_advised_where_nothing_helps():
    """Over-engineering is a hazard too."""
    one = one_call("{failures: permanent, criticality: 1}", "{timeout_s: 2}")
    assert advise(one).advised(Pattern.NOTHING)


def test_nothing_is_no_answer_while_a_question_is_open():
    """Whether it may be made twice decides; until then neither a retry nor "nothing" is advised."""
    one = one_call("{failures: transient, criticality: 1}", "{timeout_s: 2}")
    assert not any(choice.advised for choice in advise(one).choices)


def test_a_time_out_under_the_99th_percentile_is_never_near_enough():
    """1.5 s is half of the wanted 2.4 s, but one good answer in a hundred takes 2 s."""
    one = one_call("{latency_ms: 500, latency_p99_ms: 2000}", "{timeout_s: 1.5}")
    assert choice(one, Pattern.TIMEOUT).advised
    assert not choice(
        one_call("{latency_ms: 500, latency_p99_ms: 2000}", "{timeout_s: 2}"), Pattern.TIMEOUT
    ).advised


def test_an_integration_is_as_critical_as_the_lesser_of_its_ends():
    """A critical function lives without the weather; what the call itself says counts before both."""
    assert criticality(one_call("{criticality: 2}", "{}", "    criticality: 5\n")) == 2
    assert criticality(one_call("{criticality: 2}", "{criticality: 4}")) == 4
    assert criticality(one_call("{}")) is None


def test_facts_that_are_not_known_stay_unknown():
    """No default stands in for a fact."""
    assert worst_s(one_call("{}")) is None
    assert calls_per_s(one_call("{}")) is None
    assert repeats(Function()) is None
    assert repeats(Function(trigger="async")) == 2
    assert repeats(Function(trigger="http")) == 0
    assert attempts_that_fit(one_call("{}", "{timeout_s: 1}", "    timeout_s: 3\n")) == 2
