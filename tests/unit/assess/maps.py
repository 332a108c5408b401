"""Maps that the tests of assessment share: one careless fleet, one of nothing but pure functions."""

from __future__ import annotations

from flyball_analytics.assess.facts import Integration, integrations_of
from flyball_analytics.integrations import IntegrationMap
from flyball_analytics.integrations_file import parse_integrations

CARELESS = """
version: 1
rollback_alarms: [payments-errors, own-defects]
targets:
  payments-api:
    kind: third_party
    criticality: 5
    latency_ms: 400
    latency_p99_ms: 1500
    error_ratio: 0.01
    sla_ratio: 0.999
    transient_codes: [503, 429]
    permanent_codes: [400]
    rate_limit_per_s: 50
    recovery_s: 300
    usd_per_call: 0.001
    usd_per_outage_h: 20000
    alarms: [payments-errors]
  weather: {criticality: 1, latency_ms: 200, failures: transient}
  unused: {}
functions:
  checkout:
    trigger: http
    criticality: 5
    timeout_s: 3
    memory_mb: 512
    duration_ms: 900
    latency_goal_ms: 1500
    cold_start_ms: 1200
    provisioned_concurrency: 0
    reserved_concurrency: none
    requests_per_month: 2628000
    calls:
      payments-api:
        idempotent: false
        timeout_s: none
        layers: {botocore: 5, tenacity: unlimited}
        jitter: false
      weather: {idempotent: true, timeout_s: 2, layers: {}}
  mailer:
    trigger: queue
    criticality: 2
    timeout_s: 4.5
    platform_retries: 3
    dead_letter: false
    reserved_concurrency: none
    calls:
      payments-api: {idempotent: true, timeout_s: 1, layers: {sdk: 3}, backoff_max_s: 1}
  format: {trigger: http, calls: {}}
"""


def careless() -> IntegrationMap:
    """The fleet in which every hazard stands once at least."""
    return parse_integrations(CARELESS.encode(), where="integrations.yaml")


def one_call(target: str, call: str = "{}", function: str = "") -> Integration:
    """One integration, its fields in YAML's one-line form."""
    head = f"version: 1\ntargets:\n  api: {target}\nfunctions:\n  caller:\n"
    text = f"{head}    calls:\n      api: {call}\n{function}"
    return integrations_of(parse_integrations(text.encode(), where="integrations.yaml"))[0]
