"""`flyball status` and `flyball watch`: what every target is doing now."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import click

from flyball.clock import Clock, SystemClock
from flyball_analytics.cli.errors import ExitCode
from flyball_analytics.cli.operating import Place, form_option, listed, place_options
from flyball_analytics.moments import span_words, utc
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from flyball_analytics.fleet_status import FleetStatus, TargetStatus
    from flyball_analytics.installation import Installation

WIDTH = 120
EVERY_S = 5.0  # a client's cache age: what is shown is what clients know


@click.command(short_help="Show what every target is doing now.")
@click.argument("targets", nargs=-1)
@click.option("--exit-code", is_flag=True, help="End with 1 if somebody should look.")
@form_option
@place_options
@click.pass_context
def status(
    context: click.Context, targets: tuple[str, ...], exit_code: bool, form: str, place: Place
) -> None:
    """Show what every target is doing now.

    TARGETS are names; none means all that the policy in force, FLYBALL_TARGETS and
    the document name. Reads states, circuits, holds and the document, and changes
    nothing. Somebody should look if the kill switch is on, a circuit is not closed,
    or no controller saved a state that it should have saved.

    \b
    example: flyball status
    example: flyball status payments orders --format json
    """
    from flyball_analytics.fleet_status import STATUS_SCHEMA, fleet_status

    found = fleet_status(place.open(), targets, now_s=place.now_s())
    if form == "json":
        click.echo(canonical_json({"schema": STATUS_SCHEMA, **found._asdict()}).decode())
    else:
        click.echo(as_text(found))
    if exit_code and found.needs_attention:
        context.exit(ExitCode.CHECK_FAILED)


@click.command(short_help="Show what every target is doing, again and again.")
@click.argument("targets", nargs=-1)
@click.option(
    "--every",
    type=click.FloatRange(1.0, 3_600.0),
    default=EVERY_S,
    show_default=True,
    help="Seconds.",
)
@click.option("--once", is_flag=True, help="Look once and end, as flyball status.")
@place_options
def watch(targets: tuple[str, ...], every: float, once: bool, place: Place) -> None:
    """Show what every target is doing, again and again.

    The table of flyball status, in place, until you press Ctrl-C. A look that fails
    leaves the last table and says so. Changes nothing. In a pipe it looks once.

    \b
    example: flyball watch
    example: flyball watch payments --every 2
    """
    from flyball_analytics.fleet_status import fleet_status

    installation = place.open()
    if once or not sys.stdout.isatty():
        click.echo(as_text(fleet_status(installation, targets, now_s=place.now_s())))
        return
    watch_live(installation, targets, every_s=every, place=place, clock=SystemClock())


def watch_live(
    installation: Installation,
    targets: tuple[str, ...],
    *,
    every_s: float,
    place: Place,
    clock: Clock,
    looks: int | None = None,
    console: Console | None = None,
) -> None:
    """Draw the table in place until interrupted, or `looks` times.

    The alternate screen is drawn whole each time, so that nothing flickers and the
    terminal is as before afterwards.
    """
    from rich.live import Live

    from flyball_analytics.fleet_status import fleet_status
    from flyball_controller.ports import PortError

    shown: Table | str = ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        done = 0
        try:
            while looks is None or done < looks:
                if done:
                    clock.sleep(every_s)
                try:
                    shown = as_table(fleet_status(installation, targets, now_s=place.now_s()))
                except PortError as error:
                    shown = _with_caption(shown, f"last look failed: {error}")
                live.update(shown, refresh=True)
                done += 1
        except KeyboardInterrupt:
            return


def _with_caption(shown: Table | str, words: str) -> Table | str:
    if isinstance(shown, str):
        return words
    shown.caption = words
    return shown


def headline(found: FleetStatus) -> list[str]:
    """Return what holds for all targets, one line each, the urgent first."""
    lines = []
    if found.kill_switch_until_s is not None:
        left = span_words(found.kill_switch_until_s - found.at_s)
        lines.append(
            f"KILL SWITCH ON, {left} more: all clients are on their defaults ({found.kill_switch_why})"
        )
    policy = f"{found.policy} ({found.policy_hash})" if found.policy else "of the controllers' own, not known"
    applied = f", number {found.policy_number} by {found.applied_by}" if found.policy_number else ""
    document = f"document revision {found.revision}" if found.revision else "no document"
    flight = ", a deployment is in flight" if found.in_flight else ""
    lines.append(f"{utc(found.at_s)}  policy {policy}{applied}; {document}{flight}")
    if found.document_problem:
        lines.append(f"the document could not be read: {found.document_problem}")
    edited = [row.target for row in found.targets if row.edited]
    if edited:
        lines.append(f"changed by hand in the document, left alone: {listed(edited)}")
    return lines


HEADS = ("target", "stage", "circuit", "regime", "attempts", "budget", "for", "decided", "data", "hold")


def as_table(found: FleetStatus) -> Table:
    """Return the status as a table for a terminal."""
    from rich import box
    from rich.table import Table

    table = Table(
        *HEADS,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        title="\n".join(headline(found)),
        title_justify="left",
        title_style="",
        caption_justify="left",
    )
    for row in found.targets:
        table.add_row(*cells(row, found.at_s), style="bold" if row.stale or row.circuit != "closed" else "")
    return table


def cells(row: TargetStatus, at_s: float) -> tuple[str, ...]:
    """Return one target's cells, as in HEADS."""
    circuit = row.circuit
    if row.decided_circuit not in ("?", row.circuit):
        circuit += f" (decided: {row.decided_circuit})"
    decided = "never" if row.decided_age_s is None else f"{span_words(row.decided_age_s)} ago"
    hold = ""
    if row.hold is not None and row.hold_until_s is not None:
        hold = f"{row.hold} {span_words(row.hold_until_s - at_s)} more, {row.hold_by}: {row.hold_why}"
    return (
        row.target,
        f"{row.stage} {', '.join(row.canary)}".strip(),
        circuit,
        row.regime,
        "-" if row.max_attempts is None else f"{row.max_attempts}",
        "-" if row.budget_ratio is None else f"{row.budget_ratio:g}",
        "-" if row.changed_s is None else span_words(max(0.0, at_s - row.changed_s)),
        f"{decided}{' STALE' if row.stale else ''}",
        "never" if row.data_age_s is None else f"{span_words(row.data_age_s)} ago",
        hold,
    )


def as_text(found: FleetStatus) -> str:
    """Return the status as plain text, the same on a terminal and in a pipe."""
    from rich.console import Console

    if not found.targets:
        return "\n".join([*headline(found), "no targets: name them, or set FLYBALL_TARGETS"])
    out = io.StringIO()
    table = as_table(found)
    table.title = None
    Console(file=out, width=WIDTH, color_system=None, highlight=False, emoji=False).print(table)
    return "\n".join([*headline(found), *(line.rstrip() for line in out.getvalue().splitlines())])
