"""What flyball itself costs in a month, line by line, and what it has to save to be worth it.

Arithmetic only: quantities come from a `Fleet` (stated by the user, or counted in a
replay by cost_replay.py), prices from prices.py. Every line carries its quantity, so
that a reader can check it with a pocket calculator. Nothing here reads a file.

A month is 730 hours. The arithmetic is that of docs/reference/cost.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from flyball_controller.aws.metric_map import client_metrics
from flyball_controller.core.policy import Policy

HOURS = 730.0
HOUR_S = 3_600.0
DAYS = HOURS / 24.0
TICK_S = 60.0
PUBLISH_S = 300.0  # a quiet target's items are written again this often, so that they do not run out
ITEMS = 2  # checkpoint and circuit of a target
POLL_S = 45.0  # of the AppConfig Agent
CIRCUIT_READS_PER_DAY = 17_520.0  # of one warm environment: one in about 5 s
CONTROLLER_METRICS, CONTROLLER_ALARM_METRICS, ALARMS_PER_TARGET = 12.0, 17.0, 2.0
CLIENT_METRICS = 12.0  # per target, once for all callers in an account and once per function
STREAM_UPDATES_PER_MIN = 12.0  # metrics of a target in a stream
STREAM_UPDATE_GB = 0.5e-6  # half a kilobyte of JSON
TICK_FIXED_S, TICK_TARGET_S, TICK_GB = 0.1, 0.005, 0.5  # assumed, not yet measured on AWS
LOG_TICK_GB, LOG_TARGET_GB = 1e-6, 0.3e-6  # a kilobyte a tick, 300 bytes a target in it


class Group(StrEnum):
    """What a line rises with."""

    CONTROLLER = "controller"
    FLEET = "fleet"


class Fleet(NamedTuple):
    """What is controlled. All counts >= 0.

    `environments`: execution environments of callers that are warm, on average.
    `functions`: functions that call each target, on average. `changes_per_h`: deployments.
    `accounts`: those whose metrics one controller reads (MetricAccounts), each with callers of each target.
    """

    targets: int
    requests: float = 0.0  # a month, to all targets
    functions: float = 3.0
    environments: float = 0.0
    cold_starts_per_day: float = 0.0
    changes_per_h: float = 0.25  # one in four hours: a quiet fleet
    stream: bool = False  # metrics come by a stream beside the tick
    accounts: int = 1


class Calls(NamedTuple):
    """What one more attempt costs: time of the caller, and what the target charges."""

    retries_ratio: float = 0.0  # retries per request, as recorded or as stated
    call_ms: float = 200.0
    memory_mb: float = 512.0
    usd_per_call: float = 0.0


class Stakes(NamedTuple):
    """What an outage costs. None: nobody said, so nothing is computed from it."""

    usd_per_lost_request: float | None = None
    usd_per_outage_h: float | None = None


class Line(NamedTuple):
    """One line of the bill, USD a month. `arithmetic`: how the quantity comes about, in words."""

    part: str
    group: Group
    arithmetic: str
    usd: float


class Span(NamedTuple):
    """Two ends of something that no recording shows; the lower one first."""

    low: float
    high: float


class Saved(NamedTuple):
    """What a replay shows, scaled to a month; estimates of an open loop. Counts >= 0, hours may be negative.

    `retries_ratio`: share of the recorded retries that are not made. `earlier_h`: hours
    of labelled incidents that are answered and were not under the baseline. `refused_well`: requests
    refused in healthy time beyond those of the baseline. `kept`: requests lost fewer in the incidents
    lived through again (closed loop), None if they were not.
    """

    retries_ratio: float
    earlier_h: float
    refused_well: float
    incidents: int
    days: float
    baseline: str
    kept: Span | None = None


class Bill(NamedTuple):
    """All of it, USD a month. None: not stated, or nothing to compute it from."""

    lines: tuple[Line, ...]
    received_at_limit: float  # configurations received if the policy's changes an hour are used up
    retries: float
    retries_saved: float | None
    outage_saved: float | None
    break_even_outage_min: float | None
    break_even_requests: float | None
    break_even_retries_ratio: float | None
    avoided: Span | None = None  # outages avoided, closed loop, less what is refused while all is well
    # USD that a lost request must cost at least, in the kindest and the worst world; infinite: never pays.
    break_even_usd_per_request: Span | None = None
    accounts: int = 1

    @property
    def total(self) -> float:
        """Sum of all lines."""
        return sum(line.usd for line in self.lines)

    @property
    def saved(self) -> float | None:
        """What is saved in all; None if nothing is known of it."""
        known = [value for value in (self.retries_saved, self.outage_saved) if value is not None]
        return sum(known) if known else None

    @property
    def saved_span(self) -> Span | None:
        """What is saved in all, with the closed loop's range in the place of the open loop's estimate."""
        if self.avoided is None:
            return None
        more = self.retries_saved or 0.0
        return Span(self.avoided.low + more, self.avoided.high + more)


def bill(
    fleet: Fleet,
    policy: Policy,
    price: Mapping[str, float],
    *,
    calls: Calls = Calls(),  # noqa: B008  (immutable)
    stakes: Stakes = Stakes(),  # noqa: B008  (immutable)
    saved: Saved | None = None,
) -> Bill:
    """Return what flyball costs in a month, and what it has to save.

    Args:
        fleet: What is controlled.
        policy: The default of the policy set; says how many changes an hour are allowed.
        price: From `prices.prices`.
        calls: What an attempt costs.
        stakes: What an outage costs.
        saved: What a replay shows; None: there was none.
    """
    lines = (*_controller(fleet, price), *_fleet(fleet, price))
    total = sum(line.usd for line in lines)
    attempt = calls.call_ms / 1_000.0 * calls.memory_mb / 1_024.0 * price["lambda_gb_s"] + calls.usd_per_call
    retries = fleet.requests * calls.retries_ratio * attempt
    return Bill(
        lines,
        fleet.environments * policy.changes_per_h_max * HOURS * price["appconfig_received"],
        retries,
        None if saved is None else retries * saved.retries_ratio,
        _outages(stakes, saved),
        _ratio(total, stakes.usd_per_outage_h, 60.0),
        _ratio(total, stakes.usd_per_lost_request, 1.0),
        total / retries if retries > 0.0 else None,
        _avoided(stakes, saved),
        None if saved is None or saved.kept is None else _least_usd(total, saved.kept),
        fleet.accounts,
    )


def _ratio(total: float, usd: float | None, factor: float) -> float | None:
    return factor * total / usd if usd is not None and usd > 0.0 else None


def _outages(stakes: Stakes, saved: Saved | None) -> float | None:
    """Return what earlier answers save, less what was refused while all was well."""
    if saved is None or (stakes.usd_per_outage_h is None and stakes.usd_per_lost_request is None):
        return None
    earlier = (stakes.usd_per_outage_h or 0.0) * saved.earlier_h
    return earlier - (stakes.usd_per_lost_request or 0.0) * saved.refused_well


def _avoided(stakes: Stakes, saved: Saved | None) -> Span | None:
    """Return what the requests that are not lost are worth, less what is refused while all is well.

    The half hour after an incident is in both: the cautious end.
    """
    usd = stakes.usd_per_lost_request
    if usd is None or saved is None or saved.kept is None:
        return None
    return Span(*(usd * (end - saved.refused_well) for end in saved.kept))


def _least_usd(total: float, kept: Span) -> Span:
    """Return what a lost request must cost for the bill to be saved: in the best world, and in the worst."""
    return Span(*(total / end if end > 0.0 else float("inf") for end in (kept.high, kept.low)))


def queries_per_target() -> int:
    """Return how many metrics the sensor requests of one target at a tick."""
    return sum(1 for _ in client_metrics("any").sources())


def _times(accounts: int) -> str:
    return f" x {accounts} accounts" if accounts > 1 else ""


def _controller(fleet: Fleet, price: Mapping[str, float]) -> tuple[Line, ...]:
    """Return what rises with targets, and what is always there."""
    ticks, n = HOURS * HOUR_S / TICK_S, fleet.targets
    queries = queries_per_target()
    seconds = TICK_FIXED_S + TICK_TARGET_S * n
    reads, writes = ticks * (ITEMS * n + 1), HOURS * HOUR_S / PUBLISH_S * ITEMS * n
    log_gb = ticks * (LOG_TICK_GB + LOG_TARGET_GB * n)
    c = Group.CONTROLLER
    lines = [
        Line(
            "metrics read",
            c,
            f"{ticks:,.0f} ticks x {queries} metrics x {n:,}" + _times(fleet.accounts),
            ticks * queries * n * fleet.accounts * price["metric_data"],
        ),
        Line(
            "ticks (Lambda)",
            c,
            f"{ticks:,.0f} x {seconds:.3g} s (assumed) x {TICK_GB:g} GB, and requests",
            ticks * (seconds * TICK_GB * price["lambda_gb_s"] + price["lambda_request"]),
        ),
        Line("schedule (EventBridge)", c, f"{ticks:,.0f} events", ticks * price["event"]),
        Line(
            "state (DynamoDB)",
            c,
            f"{reads:,.0f} read and {writes:,.0f} write units",
            reads * price["dynamodb_read"] + writes * price["dynamodb_write"],
        ),
        Line("client alarms", c, f"{ALARMS_PER_TARGET:g} x {n:,}", ALARMS_PER_TARGET * n * price["alarm"]),
        Line(
            "alarms on the controller",
            c,
            f"{CONTROLLER_ALARM_METRICS:g} metrics",
            CONTROLLER_ALARM_METRICS * price["alarm"],
        ),
        Line(
            "metrics of the controller",
            c,
            f"{CONTROLLER_METRICS:g}",
            CONTROLLER_METRICS * price["custom_metric"],
        ),
        Line("dashboard", c, "1", price["dashboard"]),
        Line("logs", c, f"{log_gb:.3g} GB (assumed)", log_gb * price["logs_gb"]),
    ]
    if fleet.stream:
        updates = HOURS * 60.0 * STREAM_UPDATES_PER_MIN * n
        gigabytes = updates * STREAM_UPDATE_GB
        usd = updates * price["metric_stream"] + gigabytes * price["firehose_gb"]
        lines.append(
            Line(
                "metric stream and Firehose", c, f"{updates:,.0f} updates, {gigabytes:.3g} GB (assumed)", usd
            )
        )
    return tuple(lines)


def _fleet(fleet: Fleet, price: Mapping[str, float]) -> tuple[Line, ...]:
    """Return what rises with functions, environments and changes."""
    metrics = CLIENT_METRICS * (fleet.accounts + fleet.functions) * fleet.targets
    apart = f"{fleet.accounts} accounts" if fleet.accounts > 1 else "1"
    circuit = fleet.environments * CIRCUIT_READS_PER_DAY * DAYS
    polls = fleet.environments * HOURS * HOUR_S / POLL_S
    changed = fleet.environments * fleet.changes_per_h * HOURS
    cold = fleet.cold_starts_per_day * DAYS
    f = Group.FLEET
    return (
        Line(
            "metrics of the clients",
            f,
            f"{CLIENT_METRICS:g} x ({apart} + {fleet.functions:g} functions) x {fleet.targets:,}",
            metrics * price["custom_metric"],
        ),
        Line(
            "circuits read (DynamoDB)",
            f,
            f"{fleet.environments:g} warm x {CIRCUIT_READS_PER_DAY:,.0f} a day, half a unit each",
            circuit * 0.5 * price["dynamodb_read"],
        ),
        Line("document polled (AppConfig)", f, f"{polls:,.0f} requests", polls * price["appconfig_request"]),
        Line(
            "document received (AppConfig)",
            f,
            f"{changed:,.0f} by changes, {cold:,.0f} by cold starts",
            (changed + cold) * price["appconfig_received"],
        ),
    )
