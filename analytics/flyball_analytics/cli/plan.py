"""`flyball plan`: what a policy would change, before it changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball_analytics.cli.errors import ExitCode
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.operating import Place, form_option, listed, place_options, shown
from flyball_analytics.cli.room import check_room
from flyball_controller.policy_file import load_policy

if TYPE_CHECKING:
    from flyball_analytics.installation import InForce, Installation
    from flyball_controller.operate import Plan, TargetChange
    from flyball_controller.policy_set import PolicySet

TARGETS_SHOWN_MAX = 40  # one screen; the file has all of them
FIELDS_SHOWN_MAX = 6


@click.command(short_help="Show what a policy would change in the document and in force.")
@click.argument("policy")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan, for flyball apply."
)
@form_option
@place_options
@click.pass_context
def plan(context: click.Context, policy: str, out: Path | None, form: str, place: Place) -> None:
    """Show what a policy would change in the document and in force.

    POLICY is a YAML file, a compiled JSON file or the name of a preset. Reads the
    policy in force, the states and the document that stands; only --out is written.
    Ends with 3 if there is anything to apply, with 0 if not, and with 1 if the
    document would be larger than clients accept; over 80 % of that it warns.

    \b
    example: flyball plan fleet.yaml
    example: flyball plan fleet.yaml --out plan.json
    example: flyball apply plan.json
    """
    from flyball_controller.document_room import room_of
    from flyball_controller.operate import encode_plan

    policies = load_policy(policy)
    installation = place.open()
    made, in_force = plan_for(installation, policies, now_s=place.now_s())
    if installation.publisher is not None:
        check_room(room_of(made.document), where=policy)
    data = encode_plan(made)
    if out is not None:
        write_whole(out, data)
    if form == "json":
        click.echo(data.decode())
    else:
        _write(made, in_force, policy, out)
    if made.pending:
        context.exit(ExitCode.PENDING)


def plan_for(installation: Installation, policies: PolicySet, *, now_s: float) -> tuple[Plan, InForce]:
    """Return the plan that puts a policy in force, and what is in force now.

    Raises:
        PortError: A store or AppConfig failed.
        PolicyError: The policy in force cannot be read.
    """
    from flyball_controller.operate import Base, make_plan

    publisher = installation.publisher
    live = publisher.live(now_s=now_s) if publisher is not None else None
    document = live.document if live is not None else None
    in_force = installation.in_force(document)
    known = in_force.policies
    # The document's targets too: the functions' FLYBALL_TARGETS may name some that nothing else does.
    documented = document.targets if document else ()
    named = known.targets if known else ()
    names = {*installation.settings.targets, *documented, *policies.targets, *named}
    base = Base(
        in_force.pointer.number,
        known.hash if known else in_force.pointer.hash,
        live.content if live else "",
        document.revision if document else 0,
    )
    made = make_plan(
        base,
        document,
        known,
        policies,
        names=sorted(names),
        states=installation.states(sorted(names)),
        edited=live.edited if live else (),
        now_s=now_s,
        publishes=publisher is not None,
    )
    return made, in_force


def _write(made: Plan, in_force: InForce, policy: str, out: Path | None) -> None:
    pointer, known = in_force.pointer, in_force.policies
    now = f"{known.name} ({known.hash})" if known else "the controllers' own, not known here"
    applied = f", applied by {pointer.by}" if pointer.hash else ""
    click.echo(f"in force: {now}{applied}; document revision {made.base.revision or 'none'}")
    click.echo(f"wished:   {policy} ({made.policies.hash})")
    if not made.pending:
        click.echo("nothing would change")
        return
    if known is None:
        click.echo("policy, beside the shipped defaults:")
    else:
        click.echo("policy:")
    write_changes(made.policy_changes, nothing="  no setting differs")
    click.echo("document:")
    write_changes(made.document_changes, nothing="  no parameter differs")
    if made.restricted:
        click.echo(f"below nominal for now, raised by the controller in steps: {listed(made.restricted)}")
    if made.edited:
        click.echo(f"changed by hand in the document, left alone since: {listed(made.edited)}")
        click.echo("  applying needs --take-over, and replaces these parameters")
    if out is not None:
        over = " --take-over" if made.edited else ""
        click.echo(f"next: flyball apply {out}{over}")
    else:
        click.echo("next: the same with --out plan.json, then flyball apply plan.json")


SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def write_changes(changes: tuple[TargetChange, ...], *, nothing: str) -> None:
    """Write changes as one line per target, at most a screen."""
    if not changes:
        click.echo(nothing)
    for change in changes[:TARGETS_SHOWN_MAX]:
        name = "all targets" if change.target == "*" else change.target
        fields = [
            f"{field.field} {shown(field.after)}"
            if change.kind == "added"
            else f"{field.field} {shown(field.before)} -> {shown(field.after)}"
            for field in change.changes
        ]
        words = "; ".join(fields[:FIELDS_SHOWN_MAX])
        if len(fields) > FIELDS_SHOWN_MAX:
            words += f"; {len(fields) - FIELDS_SHOWN_MAX} more"
        if change.kind == "removed":
            words = "clients use the document's defaults"
        click.echo(f"  {SIGNS[change.kind]} {name}: {words}")
    if len(changes) > TARGETS_SHOWN_MAX:
        click.echo(f"  and {len(changes) - TARGETS_SHOWN_MAX} more targets; --format json shows all")
