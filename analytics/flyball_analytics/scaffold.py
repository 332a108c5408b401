"""The files that `flyball init` writes: every field there, explained by the records that validate it.

The explanations are the fields' own, so that a scaffold never lags behind the
format; a field without an example here fails a test.
"""

from __future__ import annotations

import json

from pydantic import BaseModel

from flyball_analytics.integrations import Call, Function, Target
from flyball_analytics.schemas import integrations_schema, policy_schema

INTEGRATIONS, POLICY = "integrations.yaml", "policy.yaml"
INTEGRATIONS_SCHEMA, POLICY_SCHEMA = "integrations.schema.json", "policy.schema.json"

# One example of every field; those in SET stand in the scaffold as values, the others as comments.
EXAMPLES: dict[type[BaseModel], dict[str, str]] = {
    Target: {
        "kind": "third_party",
        "criticality": "5",
        "owner": "team-payments",
        "latency_ms": "200",
        "latency_p99_ms": "900",
        "error_ratio": "0.002",
        "sla_ratio": "0.999",
        "failures": "mixed",
        "transient_codes": "[429, 503]",
        "permanent_codes": "[400, 402]",
        "rate_limit_per_s": "50",
        "recovery_s": "300",
        "outages_per_year": "4",
        "usd_per_call": "0.0005",
        "usd_per_outage_h": "20000",
        "alarms": "[payments-5xx]",
        "history": "history/payments-api.csv",
    },
    Function: {
        "trigger": "http",
        "criticality": "5",
        "owner": "team-checkout",
        "timeout_s": "10",
        "memory_mb": "512",
        "duration_ms": "350",
        "latency_goal_ms": "1500",
        "cold_start_ms": "900",
        "requests_per_month": "3000000",
        "platform_retries": "0",
        "dead_letter": "false",
        "reserved_concurrency": "none",
        "provisioned_concurrency": "0",
    },
    Call: {
        "criticality": "5",
        "idempotent": "false",
        "timeout_s": "none",
        "layers": "{botocore: 5}",
        "backoff_max_s": "10",
        "jitter": "true",
        "fallback": "false",
        "calls_per_request": "1",
        "seen_in": "[src/checkout/pay.py:12]",
    },
}
SET = {
    Target: ("kind", "criticality"),
    Function: ("trigger", "criticality", "timeout_s"),
    Call: ("idempotent",),
}


def integrations_text() -> str:
    """Return a map of one function and one target, with every field explained."""
    return "\n".join(
        [
            f"# yaml-language-server: $schema={INTEGRATIONS_SCHEMA}",
            "# Which function calls which target. Replace the example, fill in what you know: what is left",
            "# out is not known, and `flyball assess` says what it needs. `flyball map` drafts this file.",
            "version: 1",
            "# rollback_alarms: [checkout-errors]  # Alarms that roll back AppConfig deployments (monitors).",
            "targets:",
            "  payments-api:",
            *_fields(Target, 4),
            "functions:",
            "  checkout:",
            *_fields(Function, 4),
            "    calls:",
            "      payments-api:",
            *_fields(Call, 8),
            "",
        ]
    )


def _fields(model: type[BaseModel], indent: int) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        if name == "calls":
            continue
        mark = "" if name in SET[model] else "# "
        lines.append(f"{' ' * indent}{mark}{name}: {EXAMPLES[model][name]}  # {field.description}")
    return lines


def first_policy_text() -> str:
    """Return a policy that decides and acts on nothing, with the way onward."""
    return "\n".join(
        [
            f"# yaml-language-server: $schema={POLICY_SCHEMA}",
            "# What the controller may do. Check it: flyball validate policy.yaml",
            "# `flyball assess --policy FILE` writes one from your integration map.",
            "version: 1",
            "preset: fixed  # thresholds that never move: the start; others: two-loop, adaptive, ladder",
            "mode: shadow  # decide and journal, act on nothing; then active (docs/how-to/modes.md), or off",
            "# defaults:",
            "#   attempts_nominal: 4  # first attempt and 3 retries",
            "targets:",
            "  payments-api: {}  # settings of its own, e.g. {open_floor: 0.6}",
            "",
        ]
    )


def scaffold() -> dict[str, str]:
    """Return the text of every file by its name."""
    return {
        INTEGRATIONS: integrations_text(),
        POLICY: first_policy_text(),
        INTEGRATIONS_SCHEMA: json.dumps(integrations_schema(), indent=2) + "\n",
        POLICY_SCHEMA: json.dumps(policy_schema(), indent=2) + "\n",
    }
