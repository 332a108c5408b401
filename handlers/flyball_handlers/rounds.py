"""Runs one round for a handler, says what happened, and decides what must be offered again.

The loop reports failures instead of raising them. Here they become what each
kind of caller needs: the targets for which the round has to be repeated. A
failure that names no target (metrics or holds unreadable, journal or
configuration not written) counts for every target of the round, if the backend
says that trying again can help; one that cannot be helped by repetition is
logged, counted and left to the operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyball_controller.bounded import text
from flyball_controller.core.model import Decision, Observation
from flyball_controller.loop import RunReport, Trigger, run_once
from flyball_controller.ports import PortError, PublishReport
from flyball_handlers.events import Rejected
from flyball_handlers.wiring import Runtime

EDITS_LOGGED_MAX = 20
REJECTIONS_LOGGED_MAX = 20  # per invocation; all are counted (T8)
DETAIL_CHARS_MAX = 300
# A decision without metrics from the last five minutes rests on what was known before: it is made all the
# same (holds expire, circuits are renewed), and counted apart, or a misspelt target would never be noticed.
INFORMED_S = 300.0


class NotAcknowledgedError(Exception):
    """The event must come again, or be kept for a human: Lambda retries, then the failure queue has it.

    `targets` are those whose round has to be repeated, `rejections` what could not be understood.
    """

    def __init__(self, *, targets: Sequence[str] = (), rejections: Sequence[Rejected] = ()) -> None:
        reasons = [f"round incomplete for {', '.join(targets)}"] if targets else []
        reasons += [rejected.sentence() for rejected in rejections[:3]]
        super().__init__("; ".join(reasons) or "not acknowledged")
        self.targets = tuple(targets)
        self.rejections = tuple(rejections)


class Round(NamedTuple):
    """What a round came to: the loop's report, and the targets for which it must be repeated."""

    report: RunReport | None
    again: frozenset[str]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions, in the loop's order."""
        return self.report.decisions if self.report is not None else ()


def run(
    runtime: Runtime,
    targets: Sequence[str],
    *,
    trigger: Trigger,
    now_s: float,
    given: Mapping[str, Sequence[Observation]] | None = None,
) -> Round:
    """Run one round for some targets; without targets nothing happens.

    Nor does anything, and all targets are to come again, while it is not known which policy holds.

    Args:
        runtime: The container's.
        targets: Whose; duplicates are dropped by the loop.
        trigger: Why.
        now_s: Time of the round, epoch seconds.
        given: Windows that came with the event.
    """
    telemetry = runtime.telemetry
    telemetry.count("decisions", 0)
    telemetry.count("informed_decisions", 0)
    telemetry.count("conflicts", 0)
    telemetry.count("backend_errors", 0)
    if not targets:
        return Round(None, frozenset())
    if not runtime.policy_known:
        telemetry.error("no round: which policy is in force could not be read yet", targets=len(targets))
        return Round(None, frozenset(targets))
    traces, number = runtime.traces, len(set(targets))
    with traces.round(trigger, targets=number, policy_hash=runtime.policies.hash) as trace:
        report = run_once(
            targets,
            ports=traces.ports(runtime.ports),
            policies=runtime.policies,
            now_s=now_s,
            trigger=trigger,
            given=given,
            cache=runtime.cache,
            sole_writer=runtime.sole_writer,
            fleet=runtime.targets,
            checkpoint_every_s=runtime.settings.checkpoint_every_s,
        )
        trace.tell(report)
    _tell(runtime, report, trigger, now_s)
    return Round(report, _again(report, targets))


def _again(report: RunReport, targets: Sequence[str]) -> frozenset[str]:
    names = frozenset(targets)
    again: set[str] = set()
    for where, error in report.errors:
        if error.retryable:
            again.update({where} if where in names else names)
    return frozenset(again)


def _tell(runtime: Runtime, report: RunReport, trigger: Trigger, now_s: float) -> None:
    telemetry = runtime.telemetry
    telemetry.count("decisions", len(report.decisions))
    telemetry.count("conflicts", report.conflicts)
    telemetry.count("backend_errors", len(report.errors))
    for decision in report.decisions:
        if decision.stamp_s > 0.0:
            telemetry.seconds("evidence_age", max(0.0, now_s - decision.stamp_s))
            telemetry.count("informed_decisions", now_s - decision.stamp_s <= INFORMED_S)
        if decision.changed:
            telemetry.count("changes")
            telemetry.info("decision", trigger=trigger.kind, **_facts(decision))
    for where, error in report.errors:
        telemetry.error(
            "backend failed",
            where=where,
            backend=error.backend,
            retryable=error.retryable,
            detail=text(str(error), DETAIL_CHARS_MAX),
        )
    if report.published is not None:
        _tell_edits(runtime, report.published, trigger, now_s)
    if report.published is not None and report.published.status.code != "unchanged":
        telemetry.count(f"configuration_{report.published.status.code}")
        telemetry.info(
            "configuration",
            outcome=report.published.status.code,
            revision=report.published.revision,
            detail=text(report.published.detail, DETAIL_CHARS_MAX),
        )


def _tell_edits(runtime: Runtime, published: PublishReport, trigger: Trigger, now_s: float) -> None:
    """Say, once, whose parameters somebody else changed; the number of those left alone, each round."""
    telemetry = runtime.telemetry
    telemetry.count("targets_edited", len(published.kept_edited))
    if not published.found_edited:
        return
    telemetry.count("configuration_edits", len(published.found_edited))
    telemetry.warning(
        "configuration edited",
        targets=list(published.found_edited[:EDITS_LOGGED_MAX]),
        remedy="it is left as it is; to take it over: flyball plan, then flyball apply --take-over",
    )
    records = [edit_record(target, trigger, published, now_s) for target in published.found_edited]
    try:
        runtime.ports.journal.append(records)
    except PortError as error:
        telemetry.error("edits not in the journal", detail=text(str(error), DETAIL_CHARS_MAX))


def edit_record(target: str, trigger: Trigger, published: PublishReport, now_s: float) -> dict[str, object]:
    """Return the journal's record of a target that somebody changed in the document."""
    return {
        "schema": 1,
        "target": target,
        "at_s": now_s,
        "sequence": 0,
        "event": "CONFIGURATION_EDITED",
        "detail": f"changed by somebody else; kept as it is (our revision {published.revision})",
        "trigger": trigger.kind,
    }


def _facts(decision: Decision) -> dict[str, object]:
    return {
        "decision": f"{decision.target}@{decision.state_version}",  # as `flyball why` takes it
        "target": decision.target,
        "regime": decision.regime.name,
        "circuit": decision.applied.circuit.name,
        "max_attempts": decision.applied.max_attempts,
        "budget_ratio": decision.applied.budget_ratio,
        "urgent": decision.urgent,
        "reasons": [item.reason.name for item in decision.evidence],
        "state_version": decision.state_version,
    }


def tell_rejections(runtime: Runtime, rejections: Sequence[Rejected]) -> None:
    """Count every rejection, and log the first few with field, value and remedy."""
    telemetry = runtime.telemetry
    telemetry.count("rejected_events", sum(rejected.malformed for rejected in rejections))
    telemetry.count("dropped_events", sum(not rejected.malformed for rejected in rejections))
    for rejected in rejections[:REJECTIONS_LOGGED_MAX]:
        telemetry.warning("event woke nobody", **{**rejected._asdict(), "code": rejected.code.value})
