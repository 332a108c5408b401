"""The integration map: which function calls which target, and what is known of both.

These records are the file format too: the JSON Schema for editors is made from
them, and `integrations_file` reads YAML into them. A field that is left out is
not known; that is never the same as "none", which is written out where it is a
fact (`timeout_s: none`). Knows no AWS and gives no advice: flyball_analytics.assess does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NONE: Literal["none"] = "none"
UNLIMITED: Literal["unlimited"] = "unlimited"
KINDS = ("api", "database", "queue", "storage", "third_party", "function", "other")
YEAR_S = 31_536_000.0

Ratio = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, le=1e12, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1, le=5)]
Words = Annotated[str, Field(min_length=1, max_length=255)]  # as long as the name of an alarm
Code = Annotated[str, Field(min_length=1, max_length=120)] | Annotated[int, Field(ge=100, le=999)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Target(_Record):
    """What is known of one dependency."""

    kind: Literal["api", "database", "queue", "storage", "third_party", "function", "other"] = Field(
        "other", description="What it is."
    )
    criticality: Rank | None = Field(
        None, description="What its failure costs the business: 1 (nobody notices) to 5 (no business)."
    )
    owner: Words | None = Field(None, description="Who answers for it.")
    latency_ms: Positive | None = Field(None, description="Typical (median) time of a good answer, ms.")
    latency_p99_ms: Positive | None = Field(None, description="99th percentile of a good answer, ms.")
    error_ratio: Ratio | None = Field(None, description="Share of first attempts that fail on a normal day.")
    sla_ratio: Ratio | None = Field(None, description="Promised share of time in service, e.g. 0.999.")
    failures: Literal["transient", "permanent", "mixed"] | None = Field(
        None, description="Whether its failures pass by themselves; left out: told from the codes below."
    )
    transient_codes: list[Code] = Field(
        default_factory=list, description="Error codes that may pass: 503, 429, ThrottlingException."
    )
    permanent_codes: list[Code] = Field(
        default_factory=list, description="Error codes that will not pass: 400, AccessDenied."
    )
    rate_limit_per_s: Positive | None = Field(None, description="Calls a second that it accepts from us.")
    recovery_s: Positive | None = Field(None, description="Seconds until it is well again after a failure.")
    outages_per_year: Amount | None = Field(None, description="Outages that it has in a year.")
    usd_per_call: Amount | None = Field(None, description="What it charges for one call, US dollars.")
    usd_per_outage_h: Amount | None = Field(
        None, description="What an hour without it costs the business, US dollars."
    )
    alarms: list[Words] = Field(default_factory=list, description="CloudWatch alarms on its health.")
    history: Words | None = Field(
        None, description="Recorded metrics (CSV), as `flyball replay` reads them; relative to this file."
    )


class Call(_Record):
    """How one function calls one target."""

    criticality: Rank | None = Field(
        None, description="As the target's, where this function needs it more or less than others."
    )
    idempotent: bool | None = Field(
        None, description="Whether the call may be made twice without a second effect."
    )
    timeout_s: Positive | Literal["none"] | None = Field(
        None, description="Time-out of one attempt, s; none: it waits as long as the function lives."
    )
    layers: dict[str, Annotated[int, Field(ge=1, le=1000)] | Literal["unlimited"]] | None = Field(
        None, description="Attempts by layer that retries, e.g. {botocore: 5, tenacity: 3}; {}: nobody does."
    )
    backoff_max_s: Amount | None = Field(None, description="Longest pause between two attempts, s.")
    jitter: bool | None = Field(None, description="Whether pauses are random.")
    fallback: bool | None = Field(None, description="Whether there is another answer if the call fails.")
    calls_per_request: Positive = Field(1.0, description="Calls in one invocation, on average.")
    seen_in: list[Words] = Field(default_factory=list, description="file:line of the call in the source.")


class Function(_Record):
    """What is known of one Lambda function."""

    trigger: Literal["http", "async", "queue", "stream", "schedule", "workflow"] | None = Field(
        None, description="What invokes it; all but http repeat a failed invocation by themselves."
    )
    criticality: Rank | None = Field(None, description="As a target's: 1 to 5.")
    owner: Words | None = Field(None, description="Who answers for it.")
    timeout_s: Annotated[float, Field(gt=0.0, le=900.0)] | None = Field(
        None, description="The function's time-out, s."
    )
    memory_mb: Annotated[int, Field(ge=128, le=32_768)] | None = Field(None, description="Its memory, MB.")
    duration_ms: Positive | None = Field(None, description="Average time of an invocation, ms.")
    latency_goal_ms: Positive | None = Field(None, description="What its callers wait at most, ms.")
    cold_start_ms: Positive | None = Field(None, description="What a cold start adds, ms.")
    requests_per_month: Amount | None = Field(None, description="Invocations in a month.")
    platform_retries: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        None, description="Further invocations after a failed one (asynchronous: 2 unless set otherwise)."
    )
    dead_letter: bool | None = Field(
        None, description="Whether what fails for good is kept (DLQ or on-failure destination)."
    )
    reserved_concurrency: Annotated[int, Field(ge=0)] | Literal["none"] | None = Field(
        None, description="Reserved concurrency; none: it shares the account's."
    )
    provisioned_concurrency: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Environments kept warm; 0: none."
    )
    calls: dict[str, Call] | None = Field(
        None, description="The targets that it calls, by name; {}: none, a pure function."
    )


class IntegrationMap(_Record):
    """The whole map: what `integrations.yaml` holds."""

    version: Literal[1] = Field(description="Version of this format: 1.")
    targets: dict[str, Target] = Field(default_factory=dict, description="Dependencies by name.")
    functions: dict[str, Function] = Field(description="Functions by name.")
    rollback_alarms: list[Words] = Field(
        default_factory=list, description="Alarms that roll back AppConfig deployments (monitors)."
    )


def failures_of(target: Target) -> str | None:
    """Return transient, permanent or mixed; None: neither stated nor told by the codes.

    >>> failures_of(Target(transient_codes=[503], permanent_codes=[400]))
    'mixed'
    """
    if target.failures is not None:
        return target.failures
    if target.transient_codes and target.permanent_codes:
        return "mixed"
    if target.transient_codes:
        return "transient"
    return "permanent" if target.permanent_codes else None


def attempts_of(call: Call) -> float | None:
    """Return the most attempts that one call can become, layers multiplied; None: not known.

    >>> attempts_of(Call(layers={"botocore": 5, "tenacity": 3})), attempts_of(Call(layers={}))
    (15.0, 1.0)
    """
    if call.layers is None:
        return None
    product = 1.0
    for count in call.layers.values():
        product *= float("inf") if count == UNLIMITED else float(count)
    return product
