"""`flyball rollback`: what stood before, published again under a higher revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from flyball_analytics.cli.apply import BUSY, RefusedError, check_deployed
from flyball_analytics.cli.errors import BackendError, ExitCode, InconclusiveError
from flyball_analytics.cli.operating import Place, form_option, listed, note, place_options, who_options
from flyball_analytics.cli.plan import write_changes
from flyball_controller.codec import canonical_json

if TYPE_CHECKING:
    from flyball.contract import Document
    from flyball_analytics.installation import Installation
    from flyball_controller.operate import TargetChange
    from flyball_controller.policy_store import Pointer

ROLLBACK_SCHEMA = 1


class Way(NamedTuple):
    """The way back: what stands, what stood before, and whether the policy goes back too."""

    content: str  # identity of what stands
    now: Document
    then: Document
    pointer: Pointer
    with_policy: bool
    changes: tuple[TargetChange, ...]

    @property
    def left_alone(self) -> tuple[str, ...]:
        """Targets that the controllers, whose policy stays, must not publish again."""
        return () if self.with_policy else tuple(change.target for change in self.changes)


@click.command(short_help="Publish what stood before again, under a higher revision.")
@click.option("--policy", is_flag=True, help="Go back to before the last policy was applied.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and end with 3.")
@who_options(reason_required=False)
@form_option
@place_options
@click.pass_context
def rollback(
    context: click.Context, policy: bool, dry_run: bool, by: str, reason: str, form: str, place: Place
) -> None:
    """Publish what stood before again, under a higher revision.

    The document before the one that stands is deployed as a new revision, because
    clients refuse lower ones. If it was made under the policy of before, or with
    --policy, that policy comes back into force too. If not, controllers leave the
    changed targets alone until somebody takes them over: flyball plan, then
    flyball apply --take-over. Twice is back and forth.

    \b
    example: flyball rollback --dry-run
    example: flyball rollback --policy --reason "INC-1234"
    """
    installation = place.open()
    now_s = place.now_s()
    way = way_back(installation, policy=policy, now_s=now_s)
    if dry_run:
        _tell(way, way.then.revision, form, done=False)
        context.exit(ExitCode.PENDING)
    revision = go_back(installation, way, by=by, why=reason, now_s=now_s)
    _tell(way, revision, form, done=True)


def way_back(installation: Installation, *, policy: bool, now_s: float) -> Way:
    """Return the way back from what stands; nothing is changed.

    Raises:
        InconclusiveError: Nothing, or nothing else, stood before.
        PortError: A store or AppConfig failed.
    """
    from flyball_controller.operate import document_changes
    from flyball_controller.policy_store import read_pointer

    publisher = installation.publisher
    live = publisher.live(now_s=now_s) if publisher is not None else None
    if publisher is None or live is None or live.document is None:
        raise InconclusiveError("no document stands that one could go back from")
    if live.in_flight:
        raise BackendError(BUSY)
    pointer = read_pointer(installation.checkpoints)
    under = live.document.policy_hash
    then = publisher.before(live.content, not_under=under if policy else "")
    if then is None:
        what = "of another policy " if policy else ""
        raise InconclusiveError(
            f"no earlier document {what}is kept (the newest twenty are); plan and apply what you want instead"
        )
    return Way(
        live.content,
        live.document,
        then,
        pointer,
        pointer.number > 0 and then.policy_hash != under,
        document_changes(live.document, then),
    )


def go_back(installation: Installation, way: Way, *, by: str, why: str, now_s: float) -> int:
    """Go back; return the new revision.

    Raises:
        RefusedError: Somebody applied or deployed something meanwhile.
        BackendError: The document could not be deployed.
        PortError: A store or AppConfig failed.
    """
    from flyball_controller.policy_store import SupersededError, put_in_force, read_policy

    publisher = installation.publisher
    assert publisher is not None  # noqa: S101 - way_back asked
    if way.with_policy:
        before = way.pointer.before
        policies = read_policy(installation.checkpoints, before) if before else None
        try:
            put_in_force(installation.checkpoints, policies, after=way.pointer, by=by, why=why, now_s=now_s)
        except SupersededError as error:
            raise RefusedError(f"{error}") from error
    detail = f"document of revision {way.then.revision}"
    note(installation, "ROLLED_BACK", by=by, why=why, detail=detail, now_s=now_s)
    report = publisher.deploy(way.then, over=way.content, edited=way.left_alone, now_s=now_s)
    check_deployed(report, policy_changed=way.with_policy)
    return report.revision


def _tell(way: Way, revision: int, form: str, *, done: bool) -> None:
    if form == "json":
        document = {
            "schema": ROLLBACK_SCHEMA,
            "done": done,
            "from_revision": way.now.revision,
            "to_content_of_revision": way.then.revision,
            "revision": revision if done else None,
            "policy_hash": way.then.policy_hash if way.with_policy else None,
            "changes": way.changes,
            "left_alone": way.left_alone,
        }
        click.echo(canonical_json(document).decode())
        return
    word = f"revision {revision} has" if done else "a new revision would have"
    click.echo(f"{word} the content of revision {way.then.revision}; before: {way.now.revision}")
    write_changes(way.changes, nothing="  no parameter differs")
    if way.with_policy:
        own = "the controllers' own" if not way.pointer.before else way.pointer.before
        click.echo(f"policy: back to {own}")
    if way.left_alone:
        click.echo(f"controllers leave alone, until taken over: {listed(way.left_alone)}")
