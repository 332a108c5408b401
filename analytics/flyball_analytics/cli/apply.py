"""`flyball apply`: put a plan in force, if what it was made against still stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from flyball_analytics.cli.errors import BackendError, ExitCode, FlyballError, InvalidError
from flyball_analytics.cli.operating import Place, form_option, listed, note, place_options, who_options
from flyball_analytics.codes import ErrorCode
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball_analytics.installation import Installation
    from flyball_controller.operate import Plan
    from flyball_controller.policy_store import Pointer
    from flyball_controller.ports import PublishReport

APPLIED_SCHEMA = 1
BUSY = "AppConfig is still deploying something; nothing was changed, try again in a minute"


class RefusedError(FlyballError):
    """What was asked for would undo something that the person did not see."""

    exit_code = ExitCode.CHECK_FAILED
    usual = ErrorCode.STALE


class Done(NamedTuple):
    """What applying came to."""

    policy_number: int  # of the policy in force now
    policy_hash: str
    policy_changed: bool
    document: str  # "deployed", "unchanged" or "none"
    revision: int
    taken_over: tuple[str, ...]
    detail: str


@click.command(short_help="Put a plan in force, if what it was made against still stands.")
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--take-over", is_flag=True, help="Replace parameters that people changed in the document.")
@who_options(reason_required=False)
@form_option
@place_options
def apply(plan: Path, take_over: bool, by: str, reason: str, form: str, place: Place) -> None:
    """Put a plan in force, if what it was made against still stands.

    PLAN is the file of flyball plan --out. First the policy changes, for every
    controller at its next round, then the document is deployed. Refused with exit
    code 1, and nothing changed, if another policy was applied, another document
    stands, or people changed targets in it and --take-over is not given.

    \b
    example: flyball apply plan.json
    example: flyball apply plan.json --take-over --reason "INC-1234 is over"
    """
    from flyball_controller.operate import PlanError, decode_plan

    try:
        wished = decode_plan(plan.read_bytes(), where=str(plan))
    except PlanError as error:
        raise InvalidError(str(error)) from error
    installation = place.open()
    done = apply_plan(installation, wished, take_over=take_over, by=by, why=reason, now_s=place.now_s())
    if form == "json":
        click.echo(canonical_json({"schema": APPLIED_SCHEMA, **done._asdict()}).decode())
        return
    word = "in force from the next round on" if done.policy_changed else "was in force"
    click.echo(f"policy {done.policy_number} ({done.policy_hash}): {word}")
    click.echo(f"document revision {done.revision}: {done.document}; {done.detail}")
    if done.taken_over:
        click.echo(f"taken over: {listed(done.taken_over)}")
    if done.policy_changed or done.document == "deployed":
        click.echo("back: flyball rollback --policy" if done.policy_changed else "back: flyball rollback")


def apply_plan(
    installation: Installation, wished: Plan, *, take_over: bool, by: str, why: str, now_s: float
) -> Done:
    """Put a plan in force.

    Raises:
        RefusedError: The base is gone, or edits are not to be taken over; nothing was changed.
        BackendError: Something failed; the message says what is in force.
        PortError: A store or AppConfig failed before anything was changed.
    """
    pointer = check_base(installation, wished, take_over=take_over, now_s=now_s)
    changed = wished.policies.hash != wished.base.policy_hash
    if changed:
        pointer = put_policy(installation, wished, pointer, by=by, why=why, now_s=now_s)
    note(installation, "PLAN_APPLIED", by=by, why=why, detail=f"policy {wished.policies.hash}", now_s=now_s)
    publisher = installation.publisher
    if publisher is None:
        words = "the installation has no AppConfig profile"
        return Done(pointer.number, wished.policies.hash, changed, "none", 0, (), words)
    report = publisher.deploy(wished.document, over=wished.base.content, edited=(), now_s=now_s)
    check_deployed(report, policy_changed=changed)
    return Done(
        pointer.number,
        wished.policies.hash,
        changed,
        report.status.code,
        report.revision,
        wished.edited,
        report.detail,
    )


def check_base(installation: Installation, wished: Plan, *, take_over: bool, now_s: float) -> Pointer:
    """Return the pointer that stands, if everything is as the plan saw it.

    Raises:
        RefusedError: It is not.
        PortError: A store or AppConfig failed.
    """
    from flyball_controller.policy_store import read_pointer

    pointer = read_pointer(installation.checkpoints)
    if pointer.number != wished.base.policy_number:
        raise RefusedError(
            f"the plan is stale: it was made over policy {wished.base.policy_number}, and policy "
            f"{pointer.number} ({pointer.hash or 'their own'}) was applied by {pointer.by} since; plan again"
        )
    publisher = installation.publisher
    if publisher is None:
        return pointer
    live = publisher.live(now_s=now_s)
    fresh = sorted(set(live.edited) - set(wished.edited))
    if fresh:
        raise RefusedError(
            f"{listed(fresh)} changed by hand in the document since the plan was made; "
            "look at it, and plan again"
        )
    if live.content != wished.base.content:
        revision = live.document.revision if live.document else 0
        raise RefusedError(
            f"the plan is stale: it was made over document revision {wished.base.revision}, and revision "
            f"{revision} or another content stands now; plan again"
        )
    if live.edited and not take_over:
        raise RefusedError(
            f"{listed(live.edited)} changed by hand in the document: nothing was changed; "
            "--take-over replaces these parameters by the plan's"
        )
    if live.in_flight:
        raise BackendError(BUSY)
    return pointer


def put_policy(
    installation: Installation, wished: Plan, pointer: Pointer, *, by: str, why: str, now_s: float
) -> Pointer:
    """Put the plan's policy in force; the one before is kept for a rollback."""
    from flyball_controller.policy_store import SupersededError, put_in_force

    try:
        return put_in_force(
            installation.checkpoints, wished.policies, after=pointer, by=by, why=why, now_s=now_s
        )
    except SupersededError as error:
        raise RefusedError(f"the plan is stale: {error}") from error


def check_deployed(report: PublishReport, *, policy_changed: bool) -> None:
    """Raise unless the document stands; say what is in force by now."""
    if report.status.code in ("deployed", "unchanged"):
        return
    stands = "the policy is in force, and the next round will publish by it" if policy_changed else ""
    words = f"the document was not deployed ({report.status.code}): {report.detail}"
    if report.status.code == "stale" and not policy_changed:
        raise RefusedError(f"{words}; plan again")
    raise BackendError(f"{words}; {stands}" if stands else words)
