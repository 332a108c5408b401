"""`flyball shadow`: what active would have done, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flyball_analytics.cli.errors import BackendError, InconclusiveError
from flyball_analytics.cli.operating import Place, form_option, place_options
from flyball_analytics.cli.types import span
from flyball_analytics.moments import span_words, utc
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball_analytics.shadow import ShadowReport

STEPS_SHOWN_MAX = 10  # of one target


@click.command(short_help="Say what a target in shadow would have been told.")
@click.argument("targets", nargs=-1)
@click.option(
    "--since", "since_s", type=span, default="1d", show_default=True, help="Length of the look back."
)
@form_option
@place_options
def shadow(targets: tuple[str, ...], since_s: float, form: str, place: Place) -> None:
    """Say what a target in shadow would have been told.

    For each target: how often its parameters would have changed, for how long
    retries would have been restricted and the circuit open, and the latest changes
    with their reasons. TARGETS are names; none means all in shadow under the policy
    in force. Reads the journal, and changes nothing.

    \b
    example: flyball shadow --since 7d
    example: flyball shadow payments --format json
    """
    from flyball_analytics.shadow import SHADOW_SCHEMA, shadow_report

    installation = place.open()
    now_s = place.now_s()
    publisher = installation.publisher
    live = publisher.live(now_s=now_s) if publisher is not None else None
    policies = installation.in_force(live.document if live else None).policies
    if policies is None:
        raise BackendError(
            "the policy in force is not known here: set FLYBALL_POLICY as the controllers have it"
        )
    names = {*installation.settings.targets, *policies.targets}
    chosen = targets or tuple(sorted(name for name in names if policies.stage(name) == "shadow"))
    if not chosen:
        raise InconclusiveError("no target is in shadow under the policy in force; name the targets you mean")
    reports = [
        shadow_report(
            installation.journal.read(name, since_s=now_s - since_s, until_s=now_s),
            policies.for_target(name),
            target=name,
            since_s=now_s - since_s,
            until_s=now_s,
        )
        for name in chosen
    ]
    if form == "json":
        click.echo(canonical_json({"schema": SHADOW_SCHEMA, "targets": reports}).decode())
        return
    for report in reports:
        _write(report)
    click.echo("next: a canary of some functions (docs/how-to/modes.md), then flyball plan")


def _write(report: ShadowReport) -> None:
    length = span_words(report.until_s - report.since_s)
    click.echo(
        f"{report.target}: in {length} changed {len(report.steps)} times, "
        f"tightened {report.tightened} times; "
        f"retries restricted for {span_words(report.restricted_s)}, circuit not closed for "
        f"{span_words(report.open_s)}"
    )
    if report.acted:
        click.echo(f"  {report.acted} of the changes were published: it was not in shadow all the time")
    if report.unreadable:
        click.echo(f"  {report.unreadable} records could not be understood")
    for step in report.steps[-STEPS_SHOWN_MAX:]:
        click.echo(
            f"  {utc(step.at_s)}  {step.regime}: attempts {step.max_attempts}, budget {step.budget_ratio:g}, "
            f"{step.circuit} ({step.reason}; {step.decision})"
        )
