"""Hazards: each found where the map proves it, and nowhere else."""

from __future__ import annotations

import pytest

from flyball_analytics.assess.hazards import Kind, Severity, hazards_of
from flyball_analytics.integrations_file import parse_integrations
from unit.assess.maps import careless


def found() -> dict[tuple[Kind, str], tuple[Severity, str]]:
    return {(h.kind, h.where): (h.severity, h.says) for h in hazards_of(careless())}


PAY, MAIL, WEATHER = "checkout -> payments-api", "mailer -> payments-api", "checkout -> weather"


@pytest.mark.parametrize(
    ("kind", "where", "severity", "says"),
    [
        (Kind.NO_TIMEOUT, PAY, Severity.HIGH, "lives (3 s)"),
        (Kind.DEFAULT_TIMEOUT, "checkout", Severity.MEDIUM, "3 s, 900 ms is its average"),
        # 3 x 1 s + 2 pauses of 1 s = 5 s, and the function has 4.5.
        (Kind.RETRIES_OUTLAST_FUNCTION, MAIL, Severity.MEDIUM, "= 5 s, the function has 4.5 s"),
        (Kind.UNBOUNDED_RETRIES, PAY, Severity.HIGH, "botocore 5 x tenacity unlimited"),
        (Kind.STACKED_RETRIES, PAY, Severity.HIGH, "makes attempts without bound of one call"),
        (Kind.NO_DEAD_LETTERS, "mailer", Severity.MEDIUM, "after 3 repetitions of its queue"),
        (Kind.NON_IDEMPOTENT_RETRY, PAY, Severity.HIGH, "attempts without bound are made"),
        (Kind.SHARED_CONCURRENCY, "checkout", Severity.MEDIUM, "with mailer"),
        (Kind.NO_PROVISIONED_CONCURRENCY, "checkout", Severity.MEDIUM, "takes 2100 ms where 1500 ms"),
        (Kind.ROLLBACK_BY_OWN_ALARM, "payments-api", Severity.HIGH, "alarm payments-errors"),
        (Kind.NO_JITTER, PAY, Severity.MEDIUM, "no jitter"),
        (Kind.TIMEOUT_UNDER_P99, MAIL, Severity.LOW, "1 s is under the 99th percentile of 1500 ms"),
        (Kind.MINOR_CALL_HOLDS_CRITICAL, WEATHER, Severity.HIGH, "can take 2 s of the 3 s"),
    ],
)
def test_each_hazard_is_found_with_its_numbers(kind, where, severity, says):
    """The reader checks the claim from the line itself."""
    graded, text = found()[kind, where]
    assert graded is severity
    assert says in text


def test_nothing_else_is_found_in_the_careless_fleet():
    """A check that fires everywhere is none."""
    assert len(found()) == len(Kind)


def test_what_is_not_known_is_no_hazard():
    """An empty map would otherwise be the most dangerous of all."""
    text = b"version: 1\ntargets: {a: {}}\nfunctions: {f: {calls: {a: {}}}, g: {}}"
    assert hazards_of(parse_integrations(text, where="i")) == []


SOUND = """
version: 1
rollback_alarms: [own-defects]
targets:
  api: {criticality: 5, latency_ms: 100, latency_p99_ms: 400, alarms: [api-errors]}
functions:
  f:
    trigger: http
    criticality: 5
    timeout_s: 10
    duration_ms: 200
    latency_goal_ms: 2000
    cold_start_ms: 500
    provisioned_concurrency: 0
    reserved_concurrency: 20
    calls: {api: {idempotent: true, timeout_s: 0.5, layers: {flyball: 3, botocore: 1}, jitter: true}}
  batch:
    trigger: queue
    criticality: 1
    dead_letter: true
    platform_retries: 2
    reserved_concurrency: none
    calls: {api: {idempotent: true, timeout_s: 0.5, layers: {}}}
"""


def test_a_sound_fleet_has_no_hazard():
    """One attempt is no layer; a cold start within the goal is none; what is reserved is not shared."""
    assert hazards_of(parse_integrations(SOUND.encode(), where="i")) == []


def test_a_platform_that_repeats_makes_a_call_act_twice():
    """A queue delivers again whatever the code does."""
    text = SOUND.replace(
        "calls: {api: {idempotent: true, timeout_s: 0.5, layers: {}}}", "calls: {api: {idempotent: false}}"
    )
    (hazard,) = hazards_of(parse_integrations(text.encode(), where="i"))
    assert hazard.kind is Kind.NON_IDEMPOTENT_RETRY
    assert "queue repeats it 2 times" in hazard.says


def test_two_bounded_layers_are_multiplied():
    """5 x 3 = 15 attempts, of which nobody knows."""
    text = SOUND.replace("{flyball: 3, botocore: 1}", "{sdk: 5, tenacity: 3}")
    kinds = {h.kind: h.says for h in hazards_of(parse_integrations(text.encode(), where="i"))}
    assert "makes 15 attempts of one call" in kinds[Kind.STACKED_RETRIES]


def test_many_batch_functions_are_counted_not_listed():
    """A line stays a line."""
    batch = "".join(
        f"  b{i}: {{trigger: queue, criticality: 1, reserved_concurrency: none}}\n" for i in range(5)
    )
    text = SOUND.replace("reserved_concurrency: 20", "reserved_concurrency: none") + batch
    (hazard,) = hazards_of(parse_integrations(text.encode(), where="i"))
    assert "batch, b0, b1 and 3 more" in hazard.says


def one(function: str = "", call: str = "", target: str = "", rollback: str = "") -> set[Kind]:
    """The hazards of one function `f` that calls one target, with what is given and no more."""
    text = (
        f"version: 1\nrollback_alarms: [{rollback}]\ntargets:\n  api: {{{target}}}\n"
        f"functions:\n  f: {{{function}{', ' if function else ''}calls: {{api: {{{call}}}}}}}\n"
        "  batch: {trigger: queue, criticality: 2, reserved_concurrency: none}\n"
    )
    return {hazard.kind for hazard in hazards_of(parse_integrations(text.encode(), where="i"))}


COLD = "criticality: 4, cold_start_ms: 900, duration_ms: 200, latency_goal_ms: "
MINOR = "criticality: 5, timeout_s: 10"


@pytest.mark.parametrize(
    ("kind", "found", "not_found"),
    [
        (Kind.NO_TIMEOUT, {"call": "timeout_s: none"}, {"call": "timeout_s: 100"}),
        (Kind.DEFAULT_TIMEOUT, {"function": "timeout_s: 3"}, {"function": "timeout_s: 3.1"}),
        # 3 x 2 s + 2 x 1 s = 8 s.
        (
            Kind.RETRIES_OUTLAST_FUNCTION,
            {"function": "timeout_s: 7.9", "call": "timeout_s: 2, layers: {a: 3}, backoff_max_s: 1"},
            {"function": "timeout_s: 8", "call": "timeout_s: 2, layers: {a: 3}, backoff_max_s: 1"},
        ),
        # One attempt that is longer than the function is cut, but repeats nothing.
        (
            Kind.RETRIES_OUTLAST_FUNCTION,
            {"function": "timeout_s: 5", "call": "timeout_s: 3, layers: {a: 2}"},
            {"function": "timeout_s: 5", "call": "timeout_s: 6, layers: {a: 1}"},
        ),
        (Kind.UNBOUNDED_RETRIES, {"call": "layers: {a: unlimited}"}, {"call": "layers: {a: 1000}"}),
        (Kind.STACKED_RETRIES, {"call": "layers: {a: 2, b: 2}"}, {"call": "layers: {a: 4, b: 1}"}),
        (
            Kind.NO_DEAD_LETTERS,
            {"function": "trigger: async, dead_letter: false"},
            {"function": "trigger: http, dead_letter: false"},
        ),
        (
            Kind.NO_DEAD_LETTERS,
            {"function": "trigger: stream, dead_letter: false"},
            {"function": "trigger: stream, dead_letter: true"},
        ),
        (
            Kind.NON_IDEMPOTENT_RETRY,
            {"call": "idempotent: false, layers: {a: 2}"},
            {"call": "idempotent: true, layers: {a: 2}"},
        ),
        (
            Kind.NON_IDEMPOTENT_RETRY,
            {"function": "trigger: async", "call": "idempotent: false, layers: {}"},
            {"function": "trigger: async, platform_retries: 0", "call": "idempotent: false, layers: {}"},
        ),
        (
            Kind.SHARED_CONCURRENCY,
            {"function": "criticality: 4, reserved_concurrency: none"},
            {"function": "criticality: 3, reserved_concurrency: none"},
        ),
        (
            Kind.SHARED_CONCURRENCY,
            {"function": "criticality: 5, reserved_concurrency: none"},
            {"function": "criticality: 5, reserved_concurrency: 10"},
        ),
        # 900 ms + 200 ms = 1,100 ms.
        (
            Kind.NO_PROVISIONED_CONCURRENCY,
            {"function": f"{COLD}1099, provisioned_concurrency: 0"},
            {"function": f"{COLD}1100, provisioned_concurrency: 0"},
        ),
        (
            Kind.NO_PROVISIONED_CONCURRENCY,
            {"function": f"{COLD}500, provisioned_concurrency: 0"},
            {"function": f"{COLD}500, provisioned_concurrency: 1"},
        ),
        (
            Kind.ROLLBACK_BY_OWN_ALARM,
            {"target": "alarms: [a, b]", "rollback": "b"},
            {"target": "alarms: [a, b]", "rollback": "c"},
        ),
        (
            Kind.NO_JITTER,
            {"call": "jitter: false, layers: {a: 2}"},
            {"call": "jitter: false, layers: {}"},
        ),
        (
            Kind.TIMEOUT_UNDER_P99,
            {"call": "timeout_s: 0.9", "target": "latency_p99_ms: 901"},
            {"call": "timeout_s: 0.9", "target": "latency_p99_ms: 900"},
        ),
        (
            Kind.MINOR_CALL_HOLDS_CRITICAL,
            {"function": MINOR, "call": "timeout_s: 5.1, layers: {}", "target": "criticality: 2"},
            {"function": MINOR, "call": "timeout_s: 5, layers: {}", "target": "criticality: 2"},
        ),
        (
            Kind.MINOR_CALL_HOLDS_CRITICAL,
            {"function": MINOR, "call": "timeout_s: 9, layers: {}", "target": "criticality: 1"},
            {"function": MINOR, "call": "timeout_s: 9, layers: {}", "target": "criticality: 3"},
        ),
    ],
)
def test_each_hazard_has_a_bound_and_lies_on_the_right_side_of_it(kind, found, not_found):
    """One step to the safe side, and it is not told any more."""
    assert kind in one(**found)
    assert kind not in one(**not_found)


def test_every_kind_of_hazard_is_tried_on_both_sides():
    """A new kind without such a test would be a check that cannot fail."""
    marks = test_each_hazard_has_a_bound_and_lies_on_the_right_side_of_it.pytestmark
    assert {case[0] for mark in marks for case in mark.args[1]} == set(Kind)


def test_a_pure_function_has_no_hazard_of_calls_and_needs_no_pattern():
    """Formatting a string needs no breaker; that it takes three seconds is no default's fault."""
    text = b"version: 1\nfunctions: {f: {trigger: http, timeout_s: 3, calls: {}}}"
    assert hazards_of(parse_integrations(text, where="i")) == []
