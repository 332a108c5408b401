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
